"""Sums of back-tests."""

import pickle

import pytest

from gateway.backtest.recorded import ANSWER, FORWARD, PASSED, REFUSE, UNDECIDABLE, Verdict, undecidable
from gateway.backtest.tally import CHANGED, EXAMPLES, NEWLY_ALLOWED, NEWLY_REFUSED, UNCHANGED, Tally, classify

REFUSED = Verdict(REFUSE, 413, "rate_limit", "rate_limited", "old.yaml:1:1")


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (PASSED, PASSED, UNCHANGED),
        (REFUSED, REFUSED._replace(source="new.yaml:9:9"), UNCHANGED),
        (REFUSED, PASSED, NEWLY_ALLOWED),
        (PASSED, REFUSED, NEWLY_REFUSED),
        (REFUSED, REFUSED._replace(status=429), CHANGED),
        (REFUSED, REFUSED._replace(filter="other"), CHANGED),
        (Verdict(ANSWER, 200), PASSED, CHANGED),
        (PASSED, undecidable("f", "why"), UNDECIDABLE),
        (undecidable("", "why"), REFUSED, UNDECIDABLE),
    ],
)
def test_classes(before: Verdict, after: Verdict, kind: str) -> None:
    assert classify(before, after) == kind


def _tally(*ats: int) -> Tally:
    tally = Tally()
    for at in ats:
        tally.add(float(at), f"req-{at}", "GET /", "r", f"p{at % 2}", REFUSED, PASSED)
    return tally


def test_groups_have_the_first_examples_whatever_the_order() -> None:
    one = _tally(*range(10))
    two = _tally(*range(5, 10))
    two.merge(_tally(*range(5)))
    for tally in (one, two):
        ((key, group),) = tally.ordered()
        assert (key.kind, key.route, group.count) == (NEWLY_ALLOWED, "r", 10)
        assert [example.at for example in group.examples] == [float(at) for at in range(EXAMPLES)]
        assert group.projects == {"p0": 5, "p1": 5}
        assert (tally.total, tally.first, tally.last) == (10, 0.0, 9.0)


def test_the_dangerous_ones_come_first_then_the_many() -> None:
    tally = _tally(1)
    for _ in range(3):
        tally.add(0.0, "a", "GET /", "r", "", PASSED, REFUSED)
    tally.add(0.0, "b", "GET /", "q", "", REFUSED, PASSED)
    tally.add(0.0, "c", "GET /", "q", "", REFUSED, PASSED)
    assert [(key.kind, group.count) for key, group in tally.ordered()] == [
        (NEWLY_ALLOWED, 2),
        (NEWLY_ALLOWED, 1),
        (NEWLY_REFUSED, 3),
    ]


def test_groups_and_projects_are_bounded() -> None:
    tally = Tally()
    for number in range(2500):
        tally.add(0.0, "a", "GET /", f"r{number}", f"p{number}", REFUSED, PASSED)
        tally.add(0.0, "a", "GET /", "one", f"p{number}", REFUSED, PASSED)
    assert len(tally.groups) <= 2001 and sum(group.count for group in tally.groups.values()) == 5000
    assert all(len(group.projects) <= 1000 for group in tally.groups.values())


def test_shadows() -> None:
    tally = Tally()
    tally.shadow("s", PASSED, REFUSED)
    tally.shadow("s", REFUSED, PASSED)
    tally.shadow("s", PASSED, PASSED)
    other = Tally()
    other.shadow("s", PASSED, REFUSED)
    tally.merge(other)
    assert tally.shadows == {"s": [2, 1]} and PASSED.kind == FORWARD


def test_a_sum_goes_to_another_process_whole() -> None:
    tally = _tally(1, 2, 3)
    tally.shadow("methods", PASSED, REFUSED)
    other: Tally = pickle.loads(pickle.dumps(tally))
    for one in (tally, other):
        one.merge(_tally(0))
    assert (other.total, other.counts, other.shadows) == (tally.total, tally.counts, tally.shadows)
    assert (other.first, other.last) == (0.0, 3.0)
    ((key, group),), ((same, expected),) = other.ordered(), tally.ordered()
    assert (key, group.count, group.projects) == (same, expected.count, expected.projects)
    assert group.examples == expected.examples
