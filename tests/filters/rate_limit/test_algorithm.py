"""The arithmetic of limits, against models that keep every request instead of one instant."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit.algorithm import (
    TOLERANCE,
    Algorithm,
    CalendarWindow,
    Cell,
    Closed,
    FixedWindow,
    Gcra,
    SlidingWindow,
    algorithm_of,
)

VALUES = st.integers(1, 20)
UNITS = st.sampled_from([1.0, 60.0, 3600.0, 86400.0])
STARTS = st.floats(0, 1e6)
# Parts of the unit that pass between two requests; often none, often about one interval.
GAPS = st.lists(
    st.sampled_from([0.0, 0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5]) | st.floats(0, 2), max_size=60
)


class Bucket:
    """Nova's leaky bucket, from its definition: what is in it, and since when."""

    def __init__(self, value: int, unit: float, burst: int) -> None:
        self.water, self.at = 0.0, 0.0
        self.drop, self.size = unit / value, unit / value * burst

    def wait(self, now: float) -> float:
        level = max(0.0, self.water - (now - self.at)) + self.drop
        if level > self.size + TOLERANCE:
            return level - self.size
        self.water, self.at = level, now
        return 0.0


def run(algorithm: Algorithm, instants: list[float]) -> list[float]:
    """The wait of each request; refused ones are not charged."""
    cell: Cell | None = None
    waits = []
    for now in instants:
        wait, after = algorithm.charge(cell, now)
        if not wait:
            cell = after
        waits.append(wait)
    return waits


def instants(start: float, gaps: list[float], unit: float) -> list[float]:
    times, now = [], start
    for gap in gaps:
        now += gap * unit
        times.append(now)
    return times


def test_ten_a_minute_as_nova_counted_them() -> None:
    gcra, cell = Gcra(10, 60.0, 10), None
    for _ in range(10):
        wait, cell = gcra.charge(cell, 100.0)
        assert wait == 0.0
    assert gcra.charge(cell, 100.0)[0] == pytest.approx(6.0)
    assert gcra.charge(cell, 105.9)[0] == pytest.approx(0.1)
    assert gcra.charge(cell, 106.1)[0] == 0.0


def test_burst_is_apart_from_the_rate() -> None:
    assert run(Gcra(60, 60.0, 2), [0.0, 0.0, 0.0, 1.0, 1.0]) == pytest.approx([0, 0, 1, 0, 1])


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.integers(0, 50))
def test_as_many_are_taken_by_another_rate_as_were_by_the_last(
    value: int, other: int, third: int, taken: int
) -> None:
    usual = 60.0 / value
    gcra = [Gcra(rate, 60.0, 200, usual=usual) for rate in (value, other, third)]
    cell: Cell | None = None
    for _ in range(taken):
        _, cell = gcra[0].charge(cell, 100.0)
    assert {one.remaining(cell, 100.0) for one in gcra} == {200 - taken}
    wait, cell = gcra[1].charge(cell, 100.0)
    assert wait == 0.0
    assert {one.remaining(cell, 100.0) for one in gcra} == {199 - taken}
    for one in gcra:
        assert one.remaining(one.owe(cell, 100.0, 1), 100.0) == 198 - taken
        assert algorithm_of(one.spec).charge(cell, 100.0) == one.charge(cell, 100.0)


def test_a_window_opens_with_the_first_request() -> None:
    window = FixedWindow(2, 60.0)
    assert run(window, [59.0, 60.0, 118.9, 119.0, 119.0, 119.0]) == pytest.approx([0, 0, 0.1, 0, 0, 60])


def test_a_window_lets_nearly_twice_the_value_through_around_its_end() -> None:
    assert run(FixedWindow(3, 60.0), [0.0, 59.0, 59.0, 60.0, 60.0, 60.0]) == [0] * 6


@given(VALUES, UNITS, st.integers(1, 30), STARTS, GAPS)
def test_gcra_agrees_with_the_leaky_bucket(
    value: int, unit: float, burst: int, start: float, gaps: list[float]
) -> None:
    times = instants(start, gaps, unit)
    bucket = Bucket(value, unit, burst)
    bucket.at = start
    cell: Cell | None = None
    gcra = Gcra(value, unit, burst)
    for now in times:
        wait, after = gcra.charge(cell, now)
        expected = bucket.wait(now)
        if wait == 0.0 or expected == 0.0:
            if max(wait, expected) > 2 * TOLERANCE:
                raise AssertionError((wait, expected))
            if wait != expected:
                return  # at the very edge of the tolerance: from here on the two are apart by one request
        else:
            assert wait == pytest.approx(expected, abs=2 * TOLERANCE)
        if not wait:
            cell = after


@given(VALUES, UNITS, st.integers(1, 30), STARTS, GAPS)
def test_gcra_never_lets_more_through_than_burst_and_rate(
    value: int, unit: float, burst: int, start: float, gaps: list[float]
) -> None:
    times = instants(start, gaps, unit)
    passed = [now for now, wait in zip(times, run(Gcra(value, unit, burst), times), strict=True) if not wait]
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            span = passed[last] - passed[first] + 2 * TOLERANCE
            assert last - first + 1 <= burst + value / unit * span


@given(VALUES, UNITS, STARTS, GAPS)
def test_a_window_agrees_with_counting(value: int, unit: float, start: float, gaps: list[float]) -> None:
    opened: float | None = None
    count = 0
    times = instants(start, gaps, unit)
    for now, wait in zip(times, run(FixedWindow(value, unit), times), strict=True):
        if opened is None or now >= opened + unit - TOLERANCE:
            opened, count = now, 0
        if count < value:
            assert wait == 0.0
            count += 1
        else:
            assert wait == pytest.approx(opened + unit - now)


def test_a_sliding_window_counts_the_last_one_in_proportion() -> None:
    window = SlidingWindow(10, 60.0)
    cell: Cell | None = None
    for _ in range(10):
        wait, cell = window.charge(cell, 70.0)
        assert wait == 0.0
    assert cell == (180.0, 10.0, 0.0)
    assert window.remaining(cell, 90.0) == 0
    assert window.charge(cell, 90.0)[0] == pytest.approx(30.0)
    assert window.remaining(cell, 120.0) == 0
    assert window.remaining(cell, 121.0) == 1  # nine and a bit, rounded down
    assert window.remaining(cell, 150.0) == 5
    wait, cell = window.charge(cell, 150.0, 5)
    assert (wait, cell) == (0.0, (240.0, 5.0, 10.0))
    assert window.charge(cell, 150.0)[0] == pytest.approx(0.0, abs=1e-4)
    assert window.charge(cell, 150.0)[0] > 0.0
    assert window.charge(cell, 200.0)[1] == (300.0, 1.0, 5.0)


def test_a_calendar_window_is_known_by_its_number() -> None:
    monday, tuesday = CalendarWindow(2, 1, 100.0), CalendarWindow(2, 2, 200.0)
    _, cell = monday.charge(None, 50.0)
    _, cell = monday.charge(cell, 60.0)
    assert monday.charge(cell, 70.0)[0] == pytest.approx(30.0)
    assert (monday.remaining(cell, 70.0), monday.reset(cell, 70.0)) == (0, 30.0)
    assert tuesday.remaining(cell, 100.0) == 2
    wait, cell = tuesday.charge(cell, 100.0)
    assert (wait, cell[1:]) == (0.0, (1.0, 2.0))
    # A request that set out on Monday and comes after one of Tuesday is Tuesday's.
    wait, cell = monday.charge(cell, 99.9)
    assert (wait, cell[1:]) == (0.0, (2.0, 2.0))
    assert tuesday.charge(cell, 101.0)[0] == pytest.approx(99.0)


def test_what_is_closed_lets_nothing_through() -> None:
    closed = Closed(60.0)
    assert closed.charge(None, 5.0)[0] == closed.charge((9.0, 0.0, 0.0), 5.0)[0] == 60.0
    assert (closed.remaining(None, 5.0), closed.reset(None, 5.0), closed.capacity) == (0, 60.0, 0)
    assert closed.owe(None, 5.0, 3)[0] <= 5.0


def test_what_is_owed_is_bounded_and_paid_back() -> None:
    gcra = Gcra(10, 60.0, 10, debt=5)
    cell = gcra.owe(None, 0.0, 12)
    assert gcra.charge(cell, 0.0)[0] == pytest.approx(18.0)
    cell = gcra.owe(cell, 0.0, 1_000_000)
    assert gcra.charge(cell, 0.0)[0] == pytest.approx(36.0)
    assert gcra.charge(gcra.owe(cell, 0.0, 7), 0.0)[0] == pytest.approx(36.0)
    window = SlidingWindow(10, 60.0, debt=10)
    cell = window.owe(None, 60.0, 1_000_000)
    assert cell == (180.0, 20.0, 0.0)
    assert window.charge(cell, 120.0)[0] == pytest.approx(30.0, abs=1e-4)
    day = CalendarWindow(10, 3, 100.0, debt=10)
    assert day.owe(day.owe(None, 50.0, 9), 50.0, 99)[1:] == (20.0, 3.0)


def test_the_spec_says_all_that_another_implementation_needs() -> None:
    assert Gcra(10, 60.0, 5, debt=2).spec == ("gcra", (6.0, 30.0, 12.0))
    assert FixedWindow(10, 60.0).spec == ("fixed_window", (10.0, 60.0, 0.0))
    assert SlidingWindow(10, 60.0).spec == ("sliding_window", (10.0, 60.0, 0.0))
    assert CalendarWindow(10, 7, 99.0, debt=1).spec == ("calendar_window", (10.0, 7.0, 99.0, 1.0))
    assert Closed(60.0).spec == ("closed", (60.0,))


ALGORITHMS = st.one_of(
    st.builds(Gcra, VALUES, UNITS, st.integers(1, 30), st.integers(0, 40)),
    st.builds(FixedWindow, VALUES, UNITS, st.integers(0, 40)),
    st.builds(SlidingWindow, VALUES, UNITS, st.integers(0, 40)),
)


@given(ALGORITHMS, STARTS, GAPS, st.lists(st.integers(1, 5), min_size=60, max_size=60))
def test_what_remains_is_what_fits(
    algorithm: Algorithm, start: float, gaps: list[float], costs: list[int]
) -> None:
    cell: Cell | None = None
    for now, cost in zip(instants(start, gaps, 1.0), costs, strict=False):
        remaining = algorithm.remaining(cell, now)
        assert 0 <= remaining <= algorithm.capacity
        for more in (remaining, remaining + 1):
            wait, _ = algorithm.charge(cell, now, more) if more else (0.0, None)
            assert (wait == 0.0) == (more <= remaining)
        reset = algorithm.reset(cell, now)
        if not remaining:
            assert algorithm.charge(cell, now + reset + TOLERANCE)[0] == 0.0
        else:
            assert algorithm.remaining(cell, now + reset + TOLERANCE) == algorithm.capacity
        cell = algorithm.owe(cell, now, cost)


@given(ALGORITHMS, STARTS, GAPS, st.integers(1, 100))
def test_what_is_owed_late_is_what_a_charge_would_have_taken(
    algorithm: Algorithm, start: float, gaps: list[float], cost: int
) -> None:
    cell: Cell | None = None
    for now in instants(start, gaps, 1.0):
        wait, after = algorithm.charge(cell, now, cost)
        if not wait:
            assert algorithm.owe(cell, now, cost) == pytest.approx(after)
            cell = after


@given(
    st.one_of(
        st.builds(Gcra, VALUES, UNITS, st.integers(1, 30)),
        st.builds(FixedWindow, VALUES, UNITS),
        st.builds(SlidingWindow, VALUES, UNITS),
    ),
    STARTS,
    GAPS,
)
def test_the_wait_is_true(algorithm: Algorithm, start: float, gaps: list[float]) -> None:
    cell: Cell | None = None
    for now in instants(start, gaps, 1.0):
        wait, after = algorithm.charge(cell, now)
        if not wait:
            cell = after
            continue
        assert algorithm.charge(cell, now + wait)[0] == 0.0
        seconds = max(1, ceil(wait - TOLERANCE))
        assert algorithm.charge(cell, now + seconds)[0] == 0.0
        if seconds > 1:
            assert algorithm.charge(cell, now + seconds - 1)[0] > 0.0


@given(
    st.one_of(
        st.builds(Gcra, VALUES, UNITS, st.integers(1, 30)),
        st.builds(FixedWindow, VALUES, UNITS),
        st.builds(SlidingWindow, VALUES, UNITS),
    ),
    STARTS,
    GAPS,
)
def test_an_expired_cell_is_as_good_as_none(algorithm: Algorithm, start: float, gaps: list[float]) -> None:
    cell: Cell | None = None
    for now in instants(start, gaps, 1.0):
        wait, after = algorithm.charge(cell, now)
        if cell is not None and cell[0] <= now:
            assert (wait, after) == algorithm.charge(None, now)
        if not wait:
            cell = after
