"""The bounds are the project's promise, so they stand here once more, as it was made."""

from dataclasses import replace

import pytest

from tests.bench import bound
from tests.bench.backtest import ROWS as BACKTESTS
from tests.bench.bound import Bound, Finding, compare, promises, weigh
from tests.bench.decision import ROWS as DECIDERS
from tests.bench.hook import HOOKS
from tests.bench.memory import IDLE, STALLED_CLIENT, STALLED_UPSTREAM, MemorySample
from tests.bench.subject import SUBJECTS
from tests.bench.test_result import made, samples
from tests.bench.workload import WORKLOADS

_PROMISED = {
    ("W1", "full policy / Envoy with policy, JWT not cached"): (0.70, 0.55),
    ("W1", "full policy / Envoy with policy, JWT cached"): (0.90, 0.70),
    ("W1", "full policy / nginx with policy, auth_request"): (2.1, 1.6),
    ("W1", "no policy / nginx, no policy"): (2.5, 2.0),
    ("W1", "what the full policy adds"): (14.0, 8.0),
    ("W3", "no policy / Envoy, no policy"): (1.0, 0.7),
    ("W4-up", "no policy / nginx, no policy"): (1.9, 1.2),
    ("inspection", "what all of inspection adds to the full policy"): (6.0, None),
    ("hooks", "a cached token check"): (2.0, None),
    ("hooks", "the same, of a header section that has never come before"): (2.0, None),
    ("hooks", "a request with a metadata body, by the description of its API"): (8.0, None),
    ("backtest", "a record of a back-test by the configuration that made it"): (16.7, 10.0),
    ("backtest", "a record of a back-test by another configuration"): (16.7, 10.0),
    ("decisions", "a decision by four limits that workers share"): (6.0, None),
    ("decisions", "a decision by four limits that machines share, without the part of Redis"): (30.0, None),
    ("memory", "memory that 200 MB take, past a client that stalls"): (4.0, None),
    ("memory", "memory that 200 MB take, past an upstream that stalls"): (4.0, None),
    ("memory", "memory of an idle connection"): (None, 12.0),
}


def test_every_bound_is_kept_as_data() -> None:
    assert {(each.workload, each.title): tuple(each.bound) for each in promises()} == _PROMISED


def test_comparisons_are_of_subjects_that_are_measured() -> None:
    for comparison in bound.COMPARISONS:
        rows = {comparison.row, comparison.by or comparison.row}
        assert any(rows <= set(known) for known in (SUBJECTS, HOOKS, DECIDERS, BACKTESTS))
        for workload in comparison.bounds.keys() & WORKLOADS.keys():
            assert {comparison.row, comparison.by} <= set(WORKLOADS[workload].subjects)


def test_a_ratio_is_of_medians_with_its_range_by_round() -> None:
    result = made(samples("weir+policy", 60.0, 50.0, 70.0), samples("envoy+policy", 100.0, 50.0, 120.0))
    (finding,) = compare(result)
    assert finding.value == pytest.approx(0.6)
    assert finding.low == pytest.approx(70 / 120)
    assert finding.high == 1.0
    assert finding.bound == Bound(0.70, 0.55)


def test_what_is_added_is_normalised_by_the_yardstick_of_the_run() -> None:
    result = made(
        samples("nginx", 12.0, 13.0, 11.0),
        samples("weir", 30.0, 30.0, 30.0),
        samples("weir+policy", 37.0, 36.0, 38.0),
    )
    (added,) = (each for each in compare(result) if each.unit)
    assert added.value == pytest.approx(7 / 12 * 24)
    assert added.low == pytest.approx(6 / 13 * 24)
    assert added.high == pytest.approx(8 / 11 * 24)
    assert (added.unit, added.held) == ("us", True)


def test_nothing_is_added_where_nothing_normalises() -> None:
    assert not any(each.unit for each in compare(made(samples("weir", 30.0), samples("weir+policy", 37.0))))


def test_a_row_alone_is_normalised() -> None:
    by = "nginx (W1)"
    result = made(samples(by, 12.0, 12.0), samples("shared", 2.0, 4.0), workload="decisions", yardstick=by)
    (finding,) = compare(result)
    assert (finding.value, finding.low, finding.high, finding.unit) == (6.0, 4.0, 8.0, "us")
    assert finding.held


def test_what_limits_add_is_told_of_each_proxy() -> None:
    result = made(
        samples("nginx", 12.0),
        samples("nginx+limits", 12.5),
        samples("weir", 24.0),
        samples("weir+limits", 27.0),
        workload="limits",
    )
    found = {finding.title: finding.value for finding in compare(result) if finding.unit}
    assert found == {"what four limits add in nginx": 1.0, "what four limits add in Weir": 6.0}


def test_the_cost_of_a_chain_is_that_of_each_of_its_filters() -> None:
    result = made(
        samples("nginx (W1)", 24.0),
        samples("weir", 50.0),
        samples("weir+1", 53.0),
        samples("weir+8", 66.0),
        samples("weir+30", 80.0),
        workload="filters",
        yardstick="nginx (W1)",
    )
    assert [finding.value for finding in compare(result)] == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("value", "held", "verdict"),
    [(0.55, True, "aim met"), (0.56, True, "held"), (0.70, True, "held"), (0.71, False, "MISSED")],
)
def test_a_bound_that_is_just_met_holds(value: float, held: bool, verdict: str) -> None:
    finding = Finding("W1", "a title", value, value, value, "", Bound(0.70, 0.55))
    assert (finding.held, finding.verdict) == (held, verdict)


@pytest.mark.parametrize(
    ("limits", "held", "verdict"),
    [
        (Bound(), None, ""),
        (Bound(aim=12.0), None, "aim not met"),
        (Bound(aim=20.0), None, "aim met"),
        (Bound(must=20.0), True, "held"),
        (Bound(must=4.0), False, "MISSED"),
    ],
)
def test_only_what_must_be_can_be_missed(limits: Bound, held: bool | None, verdict: str) -> None:
    finding = Finding("memory", "a title", 15.0, 15.0, 15.0, "KiB", limits)
    assert (finding.held, finding.verdict) == (held, verdict)


@pytest.mark.parametrize(("workload", "held"), [("W1", False), ("W1v", None), ("W2", None), ("W3", None)])
def test_a_bound_is_for_its_workload_only(workload: str, held: bool | None) -> None:
    result = made(samples("weir+policy", 200.0), samples("envoy+policy", 100.0), workload=workload)
    assert [finding.held for finding in compare(result)] == [held]


def test_no_ratio_without_both_rows() -> None:
    assert compare(made(samples("weir+policy", 200.0))) == []
    assert compare(made(samples("weir", 200.0), samples("envoy", 0.0))) == []


def test_memory_is_weirs() -> None:
    one = MemorySample("weir", STALLED_CLIENT, before=0, after=3 << 20, amount=200_000_000)
    found = weigh(
        [
            one,
            replace(one, row="envoy", after=90 << 20),
            replace(one, kind=STALLED_UPSTREAM, problem="closed"),
            replace(one, kind=IDLE, after=11 << 20, amount=1024),
        ]
    )
    assert [(each.value, each.unit, each.held) for each in found] == [(3.0, "MiB", True), (11.0, "KiB", None)]
