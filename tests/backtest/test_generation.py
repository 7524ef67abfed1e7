"""Which configurations may have charged what is missing from a log."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.backtest.generation import Generations, Period
from gateway.backtest.recorded import ENDLESS

NOW = 1_767_268_800.0
A, B = frozenset("a"), frozenset("b")


def _line(number: int | None, at: float, worker: int = 0, **fields: Any) -> dict[str, Any]:
    """What a worker says so many seconds after noon."""
    return {
        "timestamp": datetime.fromtimestamp(NOW + at, UTC).isoformat(),
        "gateway.worker": worker,
        **({} if number is None else {"gateway.generation": number}),
        **fields,
    }


def _plan(
    number: int | None,
    revision: str,
    at: float,
    worker: int = 0,
    sample: object = None,
    under_way: float = 0.0,
) -> dict[str, Any]:
    told = {"gateway.under_way_ms": under_way * 1000} if under_way else {}
    described = {} if sample is None else {"sample": sample}
    return _line(number, at, worker, **{"gateway.revision": revision, "gateway.plan": described}, **told)


def _told(*lines: dict[str, Any]) -> Generations:
    """In two parts, and one of them twice, as files that repeat what they begin with."""
    found, other = Generations(), Generations()
    for place, line in enumerate(lines):
        (other if place % 2 else found).learn(line)
    found.merge(other)
    found.merge(other)
    return found


def _noon(period: Period) -> tuple[float, float, object]:
    return period.since - NOW, period.until - NOW, period.by


BOTH = [_plan(1, "a", 0), _plan(1, "a", 0.5, 1), _plan(2, "b", 100), _plan(2, "b", 100.5, 1)]


@pytest.mark.parametrize(
    ("lines", "worker", "since", "until", "expected"),
    [
        ([_plan(1, "a", 0)], 0, 5, 9, A),
        ([_plan(1, "a", 0)], 0, 5, ENDLESS, A),
        ([_plan(1, "a", 0)], 7, -ENDLESS, ENDLESS, A),
        ([], 0, 5, 9, None),
        ([_plan(None, "a", 0)], 0, 5, 9, None),
        ([_plan(None, "a", 0), _plan(1, "b", 50)], 0, 5, 9, None),
        ([_plan(None, "a", 0), _plan(1, "b", 50)], 0, 60, 69, B),
        (BOTH, 0, 5, 99, A),
        (BOTH, 0, 5, 101, A | B),
        (BOTH, 0, 100, 101, B),
        (BOTH, 1, 90, 100.4, A),
        (BOTH, 7, 5, 9, A),
        (BOTH, 7, 70, 90, A | B),
        (BOTH, 7, 161, 190, B),
        ([*BOTH, _plan(3, "a", 200)], 0, 50, 250, A | B),
        ([_plan(1, "a", 0), _plan(3, "a", 200)], 0, 50, 250, None),
        ([_plan(1, "a", 0), _plan(3, "a", 200)], 0, 50, 90, None),
        ([_plan(1, "a", 0), _line(1, 95), _plan(3, "a", 200)], 0, 50, 90, A),
        ([_plan(1, "a", 0), _plan(3, "a", 200)], 0, 201, 250, A),
        ([_plan(1, "a", 0), _line(2, 300)], 0, 50, 90, None),
        ([_plan(2, "a", 0)], 0, -ENDLESS, 9, None),
        ([_plan(2, "a", 0, 1), _line(2, 90)], 0, 70, 80, A),
        ([_plan(1, "a", 0), {**_line(2, 50), "gateway.generation": "2"}], 0, 5, 9, A),
    ],
    ids=[
        "there was one",
        "to the end",
        "of a worker of which nothing is known",
        "nobody tells",
        "an older gateway does not number them",
        "nor before another took over from it",
        "which does",
        "before another",
        "while another came",
        "after it",
        "the worker came to it late",
        "of others, long before",
        "shortly before",
        "after it, of which others tell",
        "that was before came again",
        "and the one between is not described",
        "it may have come before",
        "it had not by then",
        "it was gone by then",
        "of one a worker says nothing else",
        "what came first is not described",
        "another tells of what was in force long before",
        "a number that is none",
    ],
)
def test_which_may_have_charged_what_is_missing(
    lines: list[dict[str, Any]], worker: int, since: float, until: float, expected: frozenset[str] | None
) -> None:
    assert _told(*lines).between(worker, NOW + since, NOW + until) == expected
    assert _told(*lines[::-1]).between(worker, NOW + since, NOW + until) == expected


def test_what_was_in_force_when_a_log_begins_is_told_apart_from_what_was_before() -> None:
    told = _told(*BOTH)
    assert [*map(_noon, told.before(0, NOW + 300))] == [(-ENDLESS, 160.0, A), (160.0, 300.0, B)]
    assert [*map(_noon, told.before(7, NOW + 300))] == [(-ENDLESS, 160.0, A), (160.0, 300.0, B)]
    assert [*map(_noon, told.before(0, NOW + 150))] == [(-ENDLESS, 150.0, A | B)]
    assert [*map(_noon, _told(_plan(1, "a", 0)).before(0, NOW + 300))] == [(-ENDLESS, 300.0, A)]
    late = _told(_plan(7, "b", 0))
    assert [*map(_noon, late.before(0, NOW + 300))] == [(-ENDLESS, 60.0, None), (60.0, 300.0, B)]


def test_when_configurations_were_in_force_that_no_line_describes() -> None:
    assert _told(*BOTH).unknown() == []
    assert _told(_plan(None, "a", 0)).unknown() == []
    between = _told(
        _plan(1, "a", 0), _line(1, 60), _line(1, 50, 1), _plan(4, "a", 200), _plan(4, "a", 201, 1)
    )
    assert [*map(_noon, between.unknown())] == [(50.0, 201.0, None)]
    assert [*map(_noon, _told(_plan(2, "a", 100)).unknown())] == [(-ENDLESS, 101.0, None)]
    behind = _told(_plan(1, "a", 0), _line(1, 60), _line(2, 120))
    assert [*map(_noon, behind.unknown())] == [(60.0, ENDLESS, None)]
    assert _told(_line(1, 60)).unknown() == [Period(-ENDLESS, ENDLESS, None)]


def _left_out(*lines: dict[str, Any], over: float = ENDLESS) -> list[tuple[float, float, object]]:
    return [*map(_noon, _told(*lines).left_out(lambda worker: NOW + over))]


def test_when_exchanges_may_have_left_no_record() -> None:
    some, all_of_them = {"passed": 0.1, "slow": 2.0}, {"passed": 1.0, "slow": 2.0}
    assert _left_out(*BOTH) == []
    assert _left_out(_plan(1, "a", 0, sample=all_of_them)) == []
    assert _left_out(_plan(1, "a", 0, sample=some)) == [(0.0, ENDLESS, A)]
    assert _left_out(_plan(1, "a", 0, sample=some), over=90) == [(0.0, 90.0, A)]
    one = [_plan(1, "a", 0, sample=some), _plan(1, "a", 1, 1, sample=some)]
    assert _left_out(*one, _plan(2, "b", 50), over=90) == [(0.0, 90.0, A)]
    assert _left_out(*one, _plan(2, "b", 50), _plan(2, "b", 51, 1), over=90) == [(0.0, 51.0, A)]


def test_what_was_under_way_when_it_was_begun_to_leave_some_out_may_have_left_none_either() -> None:
    """It was charged by the configuration before, and was not slow."""
    some = {"passed": 0.1, "slow": 2.0}
    lines = [_plan(1, "a", 0), _plan(2, "b", 100, sample=some, under_way=0.5)]
    assert _left_out(*lines) == [(100.0, ENDLESS, B), (99.5, 102.0, A | B)]
    lines[1] = _plan(2, "b", 100, sample=some, under_way=50.0)
    assert _left_out(*lines) == [(100.0, ENDLESS, B), (98.0, 102.0, A | B)]
    lines[1] = _plan(2, "b", 100, sample={"passed": "some"}, under_way=50.0)
    assert _left_out(*lines) == [(100.0, ENDLESS, B), (50.0, ENDLESS, A | B)]
