"""Some records are left out, and none that anybody would look for."""

from typing import Any

import pytest

from gateway.record import Record
from gateway.sampling import Sampling
from gateway.trace import TraceSource
from tests.support.records import Entry, attempt, record, refused, step

SHADOW = Entry("rate_limit", mode="shadow")


def ordinary(number: int = 0, **changes: Any) -> Record:
    request_id = f"req-{number:08d}-0000-4000-8000-000000000000"
    return record(**{"request_id": request_id, "attempts": [attempt()], **changes})


KEPT: dict[str, Record] = {
    "refusal": refused(),
    "answer of a filter": ordinary(decision="answer"),
    "error of the upstream": ordinary(status=502, attempts=[attempt(status=502)]),
    "client's error": ordinary(status=404),
    "failure": ordinary(decision="fail", reason="upstream_closed", status=502),
    "abort": ordinary(decision="abort", reason="client_disconnected", status=200),
    "nothing sent": ordinary(status=0),
    "slow": ordinary(duration=1.0),
    "retried": ordinary(attempts=[attempt(error="upstream_closed"), attempt()]),
    "refusal in shadow": ordinary(steps=[step(SHADOW, "refuse", "rate_limited", status=413)]),
    "error in shadow": ordinary(steps=[step(SHADOW, "error", "filter_failed", status=500)]),
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_what_somebody_may_look_for_is_kept_and_says_no_share(kept: Record) -> None:
    assert not Sampling(0.0, 1.0).leaves_out(kept)
    assert kept.aside is None


def test_what_a_client_asked_to_be_traced_is_kept() -> None:
    traced = ordinary()
    traced.more().traced = True
    assert not Sampling(0.0, 1.0).leaves_out(traced)


def test_what_shadow_lets_pass_is_like_the_rest() -> None:
    assert Sampling(0.0, 1.0).leaves_out(ordinary(steps=[step(SHADOW)]))


def test_the_share_is_kept_and_told() -> None:
    sampling = Sampling(0.1, 1.0)
    made = [ordinary(number) for number in range(5000)]
    kept = [one for one in made if not sampling.leaves_out(one)]
    assert len(kept) == pytest.approx(500, rel=0.2)
    assert {one.aside.share for one in kept if one.aside is not None} == {0.1}


def test_gateways_behind_each_other_keep_the_same() -> None:
    first, second = Sampling(0.3, 1.0, b"key"), Sampling(0.3, 1.0, b"key")
    for number in range(200):
        outer = ordinary(number)
        inner = ordinary(number + 1000, global_id=outer.exchange.request_id)
        assert first.leaves_out(outer) == second.leaves_out(inner)


def test_those_of_one_trace_are_kept_together() -> None:
    sampling, source = Sampling(0.5, 1.0), TraceSource("always", 1.0)
    for number in range(100):
        one, other = ordinary(number), ordinary(number + 1000)
        one.trace = other.trace = source.trace({}, False)
        assert sampling.leaves_out(one) == sampling.leaves_out(other)


def test_a_key_makes_another_choice() -> None:
    made = [ordinary(number) for number in range(200)]
    choices = [[Sampling(0.5, 1.0, key).leaves_out(one) for one in made] for key in (b"", b"a", b"b" * 100)]
    assert len({tuple(choice) for choice in choices}) == 3
