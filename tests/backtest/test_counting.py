"""What limits held, between the least and the most."""

from typing import Any

import pytest

from gateway.backtest.counting import Ledger
from gateway.backtest.judge import Count, Skip
from gateway.config.load import loads
from gateway.plan import Plan, build_plan
from gateway.registry import Registry
from tests.backtest.logged import text_of

GCRA = {"name": "few", "rate": "60/minute", "burst": 3, "key": ["project_id"]}
FIXED = {"name": "few", "rate": "2/minute", "key": ["project_id"], "algorithm": "fixed_window"}


def _plan(*limits: dict[str, Any]) -> Plan:
    registry = Registry()
    text = text_of(filters=[{"rate_limit": {"limits": list(limits)}}])
    return build_plan(loads(text, "gateway.yaml", registry=registry), registry)


def _count(plan: Plan, at: float, passed: bool | None = None, **options: Any) -> Count:
    from gateway.api.exchange import Instant
    from gateway.api.testing import exchange

    charges = plan.entries[0].filter.charges(exchange(clock=Instant(at, at)))
    assert charges is not None
    return Count(
        **{
            "place": 0,
            "charges": charges,
            "instant": at,
            "before": {},
            "hashes": {"few": "k"},
            "late": frozenset(),
            "passed": passed,
            "shadow": False,
            **options,
        }
    )


def _told(ledger: Ledger, plan: Plan, *counts: Any) -> list[bool | None]:
    return [
        ledger.decide(count if isinstance(count, Count) else _count(plan, count), reached=True).passed
        for count in counts
    ]


def test_where_nothing_was_counted_before_all_is_known() -> None:
    plan = _plan(GCRA)
    assert _told(Ledger(plan, 0.0, fresh=True), plan, 1, 1, 1, 1, 2, 2) == [
        True,
        True,
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(("limit", "age"), [(GCRA, 3.0), (FIXED, 60.0)])
def test_else_it_is_when_the_bucket_must_have_been_empty(limit: dict[str, Any], age: float) -> None:
    plan = _plan(limit)
    assert _told(Ledger(plan, 0.0), plan, 0.5, 0.5 + age) == [None, True]


def test_or_when_it_must_have_been_full() -> None:
    """Requests that nobody could have refused fill it up from both ends."""
    plan = _plan(GCRA)
    # After 2 s at most one of the three is still out: two more pass, and then it is full, whatever it was.
    assert _told(Ledger(plan, 0.0), plan, 2.0, 2.0, 2.0, 2.0)[:2] == [True, True]


def test_a_record_says_what_the_cell_held() -> None:
    plan = _plan(GCRA)
    ledger = Ledger(plan, 0.0)
    told = _count(plan, 10.0, passed=True, before={"few": [2.0, 0.0, 0.0]})
    assert _told(ledger, plan, told, 10.0, 11.0) == [True, False, True]


def test_the_verdict_of_the_record_is_taken_where_all_is_as_it_was() -> None:
    """Not worked out anew, where a rounding error might say otherwise."""
    plan = _plan(GCRA)
    told = _count(plan, 10.0, passed=False, before={"few": [2.0, 0.0, 0.0]})
    assert _told(Ledger(plan, 0.0), plan, told) == [False]


def test_no_record_is_believed_once_something_was_decided_otherwise() -> None:
    plan = _plan(GCRA)
    ledger = Ledger(plan, 0.0)
    # It was recorded to be refused by something before, and is charged now.
    assert _told(ledger, plan, _count(plan, 10.0)) == [True]
    stale = _count(plan, 10.1, passed=True, before={"few": None})
    assert _told(ledger, plan, stale, 10.1, 10.1) == [True, True, False]
    # Until the bucket must have been empty, as the record says it was.
    again = _count(plan, 20.0, passed=True, before={"few": None})
    assert _told(ledger, plan, again) == [True]


def test_what_is_not_charged_any_more_makes_records_stale() -> None:
    plan = _plan(GCRA)
    ledger = Ledger(plan, 0.0, fresh=True)
    first = _count(plan, 10.0, passed=True, before={"few": None})
    assert _told(ledger, plan, first) == [True]
    ledger.skip(Skip(0, {"few": "k"}))
    full = _count(plan, 10.0, passed=False, before={"few": [3.0, 0.0, 0.0]})
    assert _told(ledger, plan, full) == [True]


def test_a_request_that_may_not_come_so_far_may_have_been_charged() -> None:
    plan = _plan(FIXED)
    ledger = Ledger(plan, 0.0, fresh=True)
    assert ledger.decide(_count(plan, 1.0), reached=False).passed is None
    assert _told(ledger, plan, 2.0, 70.0) == [None, True]


def test_behind_a_gap_nothing_is_known() -> None:
    plan = _plan(FIXED)
    ledger = Ledger(plan, 0.0, fresh=True)
    assert _told(ledger, plan, 1.0) == [True]
    ledger.lose(2.0)
    assert _told(ledger, plan, 3.0) == [None]


def test_the_longest_wait_is_the_reason() -> None:
    plan = _plan({**GCRA, "name": "short", "burst": 1}, {**GCRA, "rate": "1/hour", "burst": 1})
    ledger = Ledger(plan, 0.0, fresh=True)
    assert _told(ledger, plan, 1.0) == [True]
    decided = ledger.decide(_count(plan, 1.0), reached=True)
    assert decided.passed is False and decided.by is not None and decided.by.limit == "few"
