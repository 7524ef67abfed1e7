"""Where records are missing from a log, told by their numbers and by the last lines of workers.

The records of a worker are numbered without a gap. One that ends in order says in its last line which number was its last. One
that does not has been killed, or is still at work, or its last line is in a file that is not here: what it has counted behind
its last record nobody knows, until another has its place or the log ends.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from gateway.backtest.recorded import End

ENDLESS: Final = float("inf")


class Stretch(NamedTuple):
    """Numbers of records of one worker that follow one another, and when the first and the last were."""

    first: int
    last: int
    began: float
    ended: float


class Gap(NamedTuple):
    """Records of a machine are missing that were after `since`, and not after `until`."""

    since: float
    until: float
    machine: int


class Worker(NamedTuple):
    """What is known of a worker.

    runs    its records
    closes  whether it says so when it ends in order
    came    when it has told first of its configuration; None where it did not
    end     its last line
    over    when it was over at the latest; None where nobody tells
    """

    runs: Sequence[Stretch]
    closes: bool = False
    came: float | None = None
    end: End | None = None
    over: float | None = None


class Missing(NamedTuple):
    """What is missing of a machine.

    gaps   between records, and behind those of workers that have ended
    open   behind those of workers of which nobody knows whether they have
    whole  whether the first records are there
    """

    gaps: Sequence[Gap]
    open: Sequence[Gap]
    whole: bool


def missing(machine: int, workers: Sequence[Worker], last: float) -> Missing:
    """What is missing of a machine that has had these workers, and where something is counted at `last` for the last time."""
    gaps: list[Gap] = []
    behind: list[Gap] = []
    whole = True
    for worker in workers:
        between, complete = breaks(worker.runs)
        gaps += [Gap(min(instants), max(instants), machine) for instants in between]
        whole = whole and complete and not between
        tail = _tail(worker)
        if tail is not None and tail[0] < last:
            (behind if tail[1] == ENDLESS else gaps).append(Gap(*tail, machine))
    return Missing(gaps, behind, whole)


def _tail(worker: Worker) -> tuple[float, float] | None:
    """Between which instants records may be missing behind the last that there is of a worker; None where none can be."""
    final = max(worker.runs, key=lambda run: run.last, default=None)
    end, over = worker.end, worker.over
    number = 0 if final is None else final.last
    if end is not None and end.sequence >= number:
        if end.sequence == number:
            return None
        at = final.ended if final is not None else -ENDLESS if worker.came is None else worker.came
        return at, max(at, end.at)
    if final is None:
        if over is None:
            return None  # nothing has come to it, as far as anybody knows
        return (-ENDLESS if worker.came is None else worker.came), over
    if not worker.closes:
        return None
    ended = max(run.ended for run in worker.runs)
    return ended, ENDLESS if over is None else max(ended, over)


def breaks(runs: Sequence[Stretch]) -> tuple[list[tuple[float, float]], bool]:
    """Between which instants records of a worker are missing, and whether its first is there.

    Where each number is there once they are those of one process, and what follows on what is told by them alone: records may be
    in any order, and that of an exchange which began long before may come late. Elsewhere they begin anew where another process
    has taken the worker's place; then nothing follows on what ended before.
    """
    runs = sorted(runs, key=lambda run: (run.first, run.began))
    if all(run.last < following.first for run, following in pairwise(runs)):
        return [
            (run.ended, following.began)
            for run, following in pairwise(runs)
            if run.last + 1 < following.first
        ], not runs or runs[0].first == 1
    begun = sorted(run.began for run in runs if run.first == 1)
    ended = sorted(run.ended for run in runs)
    open_ends: dict[int, list[float]] = {}
    found: list[tuple[float, float]] = []
    whole = True
    for run in runs:
        if run.first > 1:
            ends = open_ends.get(run.first, [])
            before = next((end for end in ends if _same_process(begun, end, run.began)), None)
            if before is not None:
                ends.remove(before)
            elif place := bisect_left(ended, run.ended):
                found.append((ended[place - 1], run.began))
            else:
                whole = False
        open_ends.setdefault(run.last + 1, []).append(run.ended)
    return found, whole


def _same_process(begun: Sequence[float], end: float, beginning: float) -> bool:
    """Whether none has begun to write in between."""
    return beginning <= end or bisect_right(begun, end) == bisect_right(begun, beginning)
