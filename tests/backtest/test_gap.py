"""Where records are missing from a log."""

import pytest

from gateway.backtest.gap import Gap, Missing, Stretch, Worker, breaks, missing
from gateway.backtest.recorded import ENDLESS, End, Mark


def _run(first: int, last: int, began: float, ended: float) -> Stretch:
    """Of exchanges that took no time, and one at a time."""
    return Stretch(first, last, began, ended, began, ended)


RUN = _run(1, 5, 0.0, 10.0)
OTHER = Worker([_run(1, 9, 0.0, 100.0)], closes=True, end=End(1.0, 1, 9, 100.0, 100.0))


@pytest.mark.parametrize(
    ("runs", "expected", "first"),
    [
        ([(1, 100, 0, 99), (101, 200, 100, 199)], [], None),
        ([(101, 200, -5, 199), (1, 100, 0, 99)], [], None),  # 101 took long, and was written in another file
        ([(1, 100, 0, 99), (101, 200, 60, 199), (201, 300, 50, 299)], [], None),
        ([(1, 100, 0, 99), (102, 200, 100, 199)], [(99, 100)], None),
        ([(7, 100, 3, 99), (101, 200, 100, 199)], [], 3),
        ([(1, 100, 0, 99), (1, 50, 100, 149), (51, 60, 150, 160)], [], None),  # another process
        ([(1, 100, 0, 99), (2, 50, 100, 149)], [(99, 100)], None),  # of which the first record is not there
        (
            [(1, 100, 0, 99), (1, 50, 200, 249), (101, 160, 300, 360)],
            [(99, 300)],
            None,
        ),  # of the first or of the second
        ([(1, 100, 0, 99), (1, 50, 100, 149), (101, 120, 98, 101)], [], None),  # which was still at work
        ([(1, 100, 0, 99), (1, 100, 0, 99), (101, 200, 99, 199), (101, 200, 99, 199)], [], None),  # twice
        ([(1, 2, 0, 0), (4, 4, 0, 0)], [(0, 0)], None),
        ([(2, 2, 9.5, 9.5), (1, 1, 10, 10), (3, 3, 10.5, 10.5)], [], None),  # the first came to its end first
    ],
)
def test_what_is_missing_is_told_by_the_numbers_of_each_process(
    runs: list[tuple[int, int, float, float]], expected: list[tuple[float, float]], first: float | None
) -> None:
    stretches = [_run(*run) for run in runs]
    assert breaks(stretches) == (expected, first)
    assert breaks(stretches[::-1]) == (expected, first)


def test_what_is_missing_may_have_been_counted_while_it_was_under_way() -> None:
    """It was when the number before it was given, or began later, and it ended before the next one got its number."""
    runs = [Stretch(1, 5, 0.0, 10.0, 0.5, 3.0), Stretch(7, 9, 9.0, 20.0, 14.0, 16.0)]
    assert breaks(runs) == ([(3.0, 14.0)], None)
    assert breaks(runs[1:]) == ([], 14.0)
    behind = missing(7, [Worker(runs[:1], closes=True, over=30.0)], 100.0)
    assert behind.gaps == [Gap(3.0, 30.0, 7)]
    ahead = missing(7, [Worker(runs[1:])], 100.0)
    assert ahead == Missing([Gap(-ENDLESS, 14.0, 7)], [], [])


def _end(sequence: int, at: float) -> End:
    return End(1.0, 0, sequence, at, at)


def _mark(sequence: int, last: float, behind: float) -> Mark:
    return Mark(1.0, 0, sequence, last, behind)


@pytest.mark.parametrize(
    ("worker", "gaps", "open_ends"),
    [
        (Worker([RUN], closes=True, end=_end(5, 12.0)), [], []),
        (Worker([RUN], closes=True, end=_end(7, 12.0)), [(10.0, 12.0)], []),
        (Worker([RUN], closes=True, end=_end(3, 5.0)), [], [(10.0, ENDLESS)]),
        (Worker([RUN], closes=True), [], [(10.0, ENDLESS)]),
        (Worker([RUN], closes=True, over=30.0), [(10.0, 30.0)], []),
        (Worker([RUN], closes=True, over=30.0, end=_end(5, 12.0)), [], []),
        (Worker([RUN]), [], []),
        (Worker([_run(1, 5, 0.0, 100.0)], closes=True), [], []),
        (Worker([], came=3.0), [], [(3.0, ENDLESS)]),
        (Worker([]), [], [(-ENDLESS, ENDLESS)]),
        (Worker([], came=3.0, over=30.0), [(3.0, 30.0)], []),
        (Worker([], over=30.0), [(-ENDLESS, 30.0)], []),
        (Worker([], came=3.0, end=_end(0, 9.0)), [], []),
        (Worker([], came=3.0, end=_end(2, 9.0), over=30.0), [(3.0, 9.0)], []),
        (Worker([], end=_end(5, 9.0)), [(-ENDLESS, 9.0)], []),
        (Worker([], end=End(1.0, 0, 5, 9.0, 4.5)), [(-ENDLESS, 4.5)], []),
        (Worker([RUN], closes=True, mark=_mark(5, 10.0, 50.0)), [], [(50.0, ENDLESS)]),
        (Worker([RUN], closes=True, mark=_mark(5, 10.0, 50.0), over=60.0), [(50.0, 60.0)], []),
        (Worker([RUN], closes=True, mark=_mark(5, 10.0, 7.0)), [], [(10.0, ENDLESS)]),
        (Worker([RUN], closes=True, mark=_mark(4, 9.0, 9.5)), [], [(10.0, ENDLESS)]),
        (Worker([RUN], closes=True, mark=_mark(8, 40.0, 50.0)), [(10.0, 40.0)], [(50.0, ENDLESS)]),
        (
            Worker([RUN], closes=True, mark=_mark(8, 40.0, 50.0), end=_end(9, 70.0)),
            [(10.0, 40.0), (50.0, 70.0)],
            [],
        ),
        (Worker([RUN], closes=True, mark=_mark(5, 10.0, 50.0), end=_end(5, 70.0)), [], []),
        (Worker([], came=3.0, mark=_mark(0, -ENDLESS, 50.0)), [], [(50.0, ENDLESS)]),
        (Worker([], mark=_mark(0, -ENDLESS, 50.0)), [], [(50.0, ENDLESS)]),
        (Worker([], came=3.0, mark=_mark(2, 40.0, 50.0)), [(3.0, 40.0)], [(50.0, ENDLESS)]),
    ],
    ids=[
        "it ended in order",
        "its last records are missing",
        "what it said is older than what it did",
        "nobody knows whether it has ended",
        "another has its place",
        "and it had ended in order",
        "one that is older than last lines",
        "nothing follows",
        "what has come to it may be under way",
        "and when it began nobody knows",
        "all that it did is missing",
        "and when it began too",
        "it has done nothing",
        "and when it ended is known",
        "all that is known of it is that it has ended",
        "and when its last exchange was over",
        "it says that it has done nothing since",
        "and another has its place",
        "something was under way then",
        "what it says is older than what it did",
        "it says that it has done something since",
        "and it ended later",
        "and it ended in order",
        "it says that it has done nothing at all",
        "and when it began nobody knows",
        "all that it says to have done is missing",
    ],
)
def test_what_is_missing_behind_the_last_record_of_a_worker(
    worker: Worker, gaps: list[tuple[float, float]], open_ends: list[tuple[float, float]]
) -> None:
    found = missing(7, [worker, OTHER], 100.0)
    assert found == Missing([], [Gap(*gap, 7) for gap in gaps], [Gap(*gap, 7) for gap in open_ends])


def test_what_a_worker_has_done_before_the_log_begins_is_missing_ahead_of_it() -> None:
    found = missing(7, [Worker([], mark=_mark(3, 4.0, 50.0)), OTHER], 100.0)
    assert found == Missing([Gap(-ENDLESS, 4.0, 7)], [], [Gap(50.0, ENDLESS, 7)])


def test_a_clock_that_was_set_back_makes_no_gap_that_ends_before_it_begins() -> None:
    runs = [_run(1, 5, 0.0, 10.0), _run(8, 9, 9.0, 20.0)]
    assert missing(0, [Worker(runs)], 20.0) == Missing([], [Gap(9.0, 10.0, 0)], [])


def test_what_nothing_is_counted_behind_is_not_missing() -> None:
    """Which is told by what is counted last, and not by heads: one that waits for its body may be counted long after."""
    workers = [Worker([RUN], closes=True, over=30.0)]
    assert missing(0, workers, 10.0).gaps == []
    assert missing(0, workers, 10.5).gaps == [Gap(10.0, 30.0, 0)]
