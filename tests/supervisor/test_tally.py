"""What workers have counted, those included that have ended."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.metrics import Metrics, merged
from gateway.supervisor.tally import Tally
from tests.support.records import record


def worker(requests: int, connections: int = 1) -> list[Any]:
    told = Metrics()
    for _ in range(requests):
        told.observe(record(duration=0.3))
    told.gauge("gateway_connections", "Open.", lambda: connections)
    return list(told.collect())


def sums(families: list[list[Any]]) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in merged(families)
        for sample in family.samples
        if sample.name in ("gateway_requests_total", "gateway_connections")
        or sample.name == "http_server_request_duration_seconds_count"
    }


def test_what_a_worker_has_told_stays_when_it_has_ended_and_what_it_has_open_does_not() -> None:
    tally = Tally()
    assert sums(tally.take({0: worker(3), 1: worker(4)}, [0, 1])) == {
        "gateway_requests_total": 7,
        "http_server_request_duration_seconds_count": 7,
        "gateway_connections": 2,
    }
    for _ in range(2):
        assert sums(tally.take({1: worker(5)}, [1])) == {
            "gateway_requests_total": 8,
            "http_server_request_duration_seconds_count": 8,
            "gateway_connections": 1,
        }


def test_a_worker_that_is_silent_counts_as_it_has_told_last() -> None:
    tally = Tally()
    tally.take({0: worker(3), 1: worker(4)}, [0, 1])
    assert sums(tally.take({0: worker(5)}, [0, 1]))["gateway_requests_total"] == 9
    assert sums(tally.take({0: worker(5), 1: worker(6)}, [0, 1]))["gateway_requests_total"] == 11


def test_who_answers_two_at_once_and_ends_is_counted_once() -> None:
    tally = Tally()
    late = worker(3)
    tally.take({0: worker(3)}, [])
    assert sums(tally.take({0: late}, []))["gateway_requests_total"] == 3


@given(
    st.lists(
        st.lists(st.sampled_from(["request", "end", "silent", "told"]), min_size=3, max_size=3), max_size=12
    )
)
def test_totals_never_fall(steps: list[list[str]]) -> None:
    """Three slots, each with a worker that counts, ends and is followed, answers, or does not."""
    tally = Tally()
    numbers, counted, next_number, before = [0, 1, 2], [0, 0, 0], 3, 0.0
    for step in steps:
        told = {}
        for slot, what in enumerate(step):
            if what == "end":
                numbers[slot], counted[slot], next_number = next_number, 0, next_number + 1
            elif what == "request":
                counted[slot] += 1
            if what != "silent":
                told[numbers[slot]] = worker(counted[slot])
        now = sums(tally.take(told, numbers)).get("gateway_requests_total", 0.0)
        assert now >= before
        before = now
