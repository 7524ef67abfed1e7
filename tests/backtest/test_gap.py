"""Where records are missing from a log."""

import pytest

from gateway.backtest.gap import ENDLESS, Gap, Missing, Stretch, Worker, breaks, missing
from gateway.backtest.recorded import End

RUN = Stretch(1, 5, 0.0, 10.0)
OTHER = Worker([Stretch(1, 9, 0.0, 100.0)], closes=True, end=End(1.0, 1, 9, 100.0))


@pytest.mark.parametrize(
    ("runs", "expected", "whole"),
    [
        ([(1, 100, 0, 99), (101, 200, 100, 199)], [], True),
        ([(101, 200, -5, 199), (1, 100, 0, 99)], [], True),  # 101 took long, and was written in another file
        ([(1, 100, 0, 99), (101, 200, 60, 199), (201, 300, 50, 299)], [], True),
        ([(1, 100, 0, 99), (102, 200, 100, 199)], [(99, 100)], True),
        ([(7, 100, 0, 99), (101, 200, 100, 199)], [], False),
        ([(1, 100, 0, 99), (1, 50, 100, 149), (51, 60, 150, 160)], [], True),  # another process
        ([(1, 100, 0, 99), (2, 50, 100, 149)], [(99, 100)], True),  # of which the first record is not there
        (
            [(1, 100, 0, 99), (1, 50, 200, 249), (101, 160, 300, 360)],
            [(249, 300)],
            True,
        ),  # and not of the first
        ([(1, 100, 0, 99), (1, 50, 100, 149), (101, 120, 98, 101)], [], True),  # which was still at work
        ([(1, 100, 0, 99), (1, 100, 0, 99), (101, 200, 99, 199), (101, 200, 99, 199)], [], True),  # twice
        ([(1, 2, 0, 0), (4, 4, 0, 0)], [(0, 0)], True),
        ([(2, 2, 9.5, 9.5), (1, 1, 10, 10), (3, 3, 10.5, 10.5)], [], True),  # the first came to its end first
    ],
)
def test_what_is_missing_is_told_by_the_numbers_of_each_process(
    runs: list[tuple[int, int, float, float]], expected: list[tuple[float, float]], whole: bool
) -> None:
    stretches = [Stretch(*run) for run in runs]
    assert breaks(stretches) == (expected, whole)
    assert breaks(stretches[::-1]) == (expected, whole)


def _end(sequence: int, at: float) -> End:
    return End(1.0, 0, sequence, at)


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
        (Worker([Stretch(1, 5, 0.0, 100.0)], closes=True), [], []),
        (Worker([], closes=True, came=3.0), [], []),
        (Worker([], came=3.0, over=30.0), [(3.0, 30.0)], []),
        (Worker([], over=30.0), [(-ENDLESS, 30.0)], []),
        (Worker([], came=3.0, end=_end(0, 9.0)), [], []),
        (Worker([], came=3.0, end=_end(2, 9.0), over=30.0), [(3.0, 9.0)], []),
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
        "nothing has come to it",
        "all that it did is missing",
        "and when it began too",
        "it has done nothing",
        "and when it ended is known",
    ],
)
def test_what_is_missing_behind_the_last_record_of_a_worker(
    worker: Worker, gaps: list[tuple[float, float]], open_ends: list[tuple[float, float]]
) -> None:
    found = missing(7, [worker, OTHER], 100.0)
    assert found == Missing([Gap(*gap, 7) for gap in gaps], [Gap(*gap, 7) for gap in open_ends], True)


def test_what_is_missing_between_records_makes_the_beginning_unsure() -> None:
    runs = [Stretch(1, 5, 0.0, 10.0), Stretch(8, 9, 9.0, 20.0)]
    assert missing(0, [Worker(runs)], 20.0) == Missing([Gap(9.0, 10.0, 0)], [], False)


def test_what_nothing_is_counted_behind_is_not_missing() -> None:
    """Which is told by what is counted last, and not by heads: one that waits for its body may be counted long after."""
    workers = [Worker([RUN], closes=True, over=30.0)]
    assert missing(0, workers, 10.0).gaps == []
    assert missing(0, workers, 10.5).gaps == [Gap(10.0, 30.0, 0)]
