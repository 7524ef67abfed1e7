"""What those who watch are told, and that nothing is asked while nobody does."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.live import MOST, Live, Watcher, brief, quantile, rates
from gateway.inspect.grammar import parse
from gateway.inspect.predicate import predicate
from tests.admin.test_server import BUCKET, Service
from tests.inspect.lines import RECORDS, line
from tests.support.deadline import within
from tests.support.records import record, refused


class Watched(Service):
    """A gateway of which somebody may ask what has come."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_for_lines = 0
        self.fails = False

    async def recent_lines(self, after: Mapping[int, int]) -> tuple[list[bytes], Mapping[int, int]]:
        self.asked_for_lines += 1
        if self.fails:
            raise OSError("gone")
        return await super().recent_lines(after)


def watcher(text: str = "", **options: Any) -> Watcher:
    return Watcher(predicate(parse(text)), **options)


async def told(watching: Watcher, name: str) -> Any:
    """The next event of that name."""
    async for event, value in watching.events():
        if event == name:
            return value
    return None


async def test_each_is_told_the_records_that_he_asks_for() -> None:
    service = Watched()
    live = Live(service, tick=0.01)
    everything, refusals = watcher(), watcher("status = 405")
    live.join(everything)
    live.join(refusals)
    service.lines = [orjson.dumps(each) for each in RECORDS] + [b"garbage", b"[]"]
    seen = await within(told(everything, "records"), "records come")
    assert (len(seen["records"]), seen["more"]) == (len(RECORDS), 0)
    seen = await within(told(refusals, "records"), "records come")
    assert [each["status"] for each in seen["records"]] == [405]
    live.close()


async def test_a_summary_has_rates_since_the_last_one() -> None:
    service = Watched()
    service.buckets = service.buckets._replace(found=[BUCKET])
    live, watching = Live(service, tick=0.01), watcher()
    live.join(watching)
    first = await within(told(watching, "summary"), "a summary comes")
    assert "requests" not in first
    service.metrics.observe(record())
    service.metrics.observe(refused())
    async with asyncio.timeout(20):
        while not (summary := await told(watching, "summary")).get("requests"):
            pass
    assert set(summary["classes"]) == {"2xx", "4xx"}
    assert [(each["filter"], each["reason"]) for each in summary["refusals"]] == [
        ("methods", "method_not_allowed")
    ]
    assert summary["limits"][0]["limit"] == "writes"
    assert summary["workers"] == [{"slot": 0, "pid": 1}]
    live.close()


async def test_nothing_is_asked_while_nobody_watches() -> None:
    service = Watched()
    live, watching = Live(service, tick=0.001), watcher()
    await asyncio.sleep(0.01)
    assert service.asked_for_lines == 0
    live.join(watching)
    await within(told(watching, "summary"), "a summary comes")
    live.leave(watching)
    asked = service.asked_for_lines
    await asyncio.sleep(0.02)
    assert service.asked_for_lines == asked


async def test_a_look_that_fails_ends_no_watch() -> None:
    service = Watched()
    service.fails = True
    live, watching = Live(service, tick=0.01), watcher()
    with structlog.testing.capture_logs() as logs:
        live.join(watching)
        while not logs:
            await asyncio.sleep(0.001)
        service.fails = False
        await within(told(watching, "summary"), "a summary comes")
    assert {each["event"] for each in logs} == {"live_failed"}
    live.close()


async def test_who_is_slow_misses_the_oldest() -> None:
    slow = watcher()
    for number in range(1000):
        slow.tell(("summary", number))
    events = []
    async for _, number in slow.events():
        events.append(number)
        if number == 999:
            break
    assert events[0] > 900


def test_of_a_crowd_the_last_are_told_and_how_many_more_there_were() -> None:
    watching = watcher()
    watching.tell_records([line(number) for number in range(MOST + 7)])
    _, told = watching._events[0]
    assert (len(told["records"]), told["more"]) == (MOST, 7)


def test_a_list_says_little_of_a_record_and_nothing_that_is_hidden() -> None:
    shown = brief(RECORDS[1])
    assert shown["reason"] == "method_not_allowed"
    assert shown["source"] == "gateway.yaml:12:9"
    assert shown["time"] == "2023-11-14T22:14:20.000Z"
    assert shown["project_id"] == "p-1"
    assert "shadow" not in shown
    hidden = brief(RECORDS[1], frozenset(("project_id", "user_id", "client")))
    assert not {"project_id", "user_id", "client"} & set(hidden)


@pytest.mark.parametrize(
    ("buckets", "part", "found"),
    [
        ({}, 0.5, None),
        ({0.1: 0.0, float("inf"): 0.0}, 0.5, None),
        ({0.1: 10.0, 0.2: 10.0, float("inf"): 10.0}, 0.5, 50.0),
        ({0.1: 0.0, 0.2: 10.0, float("inf"): 10.0}, 0.5, 150.0),
        ({0.1: 5.0, 0.2: 10.0, float("inf"): 10.0}, 0.9, 180.0),
        ({0.1: 0.0, float("inf"): 10.0}, 0.5, 100.0),
    ],
)
def test_a_quantile_of_buckets(buckets: dict[float, float], part: float, found: float | None) -> None:
    assert quantile(buckets, part) == found


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_in_the_bucket_of_the_true_one(durations: list[float], part: float) -> None:
    bounds = [0.1, 0.25, 0.5, 1.0]
    buckets = {bound: float(sum(each <= bound for each in durations)) for bound in bounds}
    buckets[float("inf")] = float(len(durations))
    found = quantile(buckets, part)
    assert found is not None
    ordered = sorted(durations)
    true = ordered[max(0, -(-int(part * 1000) * len(ordered) // 1000) - 1)]
    least = max([0.0, *(bound for bound in bounds if bound < true)])
    most = min(bound for bound in bounds if bound >= true)
    assert least * 1000 - 0.01 <= found <= most * 1000 + 0.01


def test_rates_are_by_the_second_and_never_below_nothing() -> None:
    key = ("gateway_requests_total", (("method", "GET"), ("route", "/a"), ("status", "200")))
    none = ("gateway_requests_total", (("method", "GET"), ("route", "/a"), ("status", "0")))
    told = rates({key: 10.0}, {key: 30.0, none: 4.0}, 2.0)
    assert (told["requests"], told["classes"], told["routes"]) == (
        12.0,
        {"2xx": 10.0, "none": 2.0},
        {"/a": 12.0},
    )
    assert rates({key: 10.0}, {key: 3.0}, 1.0)["requests"] == 0
