"""Where records are missing from a log, told by their numbers and by the last lines of workers.

The records of a worker are numbered without a gap, in the order in which exchanges end. One that ends in order says in its last
line which number was its last. One that does not has been killed, or is still at work, or its last line is in a file that is not
here: what it has counted behind its last record nobody knows, until another has its place or the log ends. While it is at work it
says from time to time which number was its last, so that nothing is missing up to then. And it says who else is at work: of a worker
of which no line is here all is missing.

An exchange whose record is missing may have been counted at any time while it was under way. It was so until its number was given,
which was before the next was. It was not before what had been under way longest when the number before it was given: that
record says since when.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from gateway.backtest.generation import Generations, Revisions
from gateway.backtest.recorded import ENDLESS, End, Mark

_NOBODY: Final = Generations()


class Stretch(NamedTuple):
    """Numbers of records of one worker that follow one another.

    began   when the head of the first arrived
    ended   when the last head of theirs did
    done    when the first had come to its end
    behind  when at the earliest one began that has a number behind theirs; minus infinity where nobody knows
    """

    first: int
    last: int
    began: float
    ended: float
    done: float
    behind: float


class Gap(NamedTuple):
    """Records are missing of what was counted after `since`, and not after `until`, by one of these configurations."""

    since: float
    until: float
    machine: int
    by: Revisions = None


class Worker(NamedTuple):
    """What is known of a worker.

    runs    its records
    closes  whether it says so when it ends in order
    came    when it has told first of its configuration; None where its first line is not there
    end     its last line
    over    when it was over at the latest; None where nobody tells
    mark    the last that it says of its records while it is at work
    number  its own, and the configurations of its gateway
    """

    runs: Sequence[Stretch]
    closes: bool = False
    came: float | None = None
    end: End | None = None
    over: float | None = None
    mark: Mark | None = None
    number: int = 0
    generations: Generations = _NOBODY

    def gap(self, since: float, until: float, machine: int) -> Gap:
        return Gap(since, until, machine, self.generations.between(self.number, since, until))

    def before(self, until: float, machine: int) -> list[Gap]:
        """All that it did until then."""
        periods = self.generations.before(self.number, until)
        return [Gap(period.since, period.until, machine, period.by) for period in periods]


class Missing(NamedTuple):
    """What is missing of a machine.

    before  ahead of the records that a worker has first here, where its very first is not
    gaps    between records, and behind those of workers that have ended
    open    behind those of workers of which nobody knows whether they have
    """

    before: Sequence[Gap]
    gaps: Sequence[Gap]
    open: Sequence[Gap]


def missing(machine: int, workers: Sequence[Worker], last: float) -> Missing:
    """What is missing of a machine that has had these workers, and where something is counted at `last` for the last time."""
    before: list[Gap] = []
    gaps: list[Gap] = []
    behind: list[Gap] = []
    for worker in workers:
        between, first = breaks(worker.runs)
        gaps += [worker.gap(*instants, machine) for instants in between]
        if first is not None:
            before += worker.before(first, machine)
        elif not worker.runs and worker.came is None and worker.mark is not None and worker.mark.sequence:
            before += worker.before(worker.mark.last, machine)
        for since, until in _tails(worker):
            if since < last:
                (behind if until == ENDLESS else gaps).append(worker.gap(since, until, machine))
    return Missing(before, gaps, behind)


def _tails(worker: Worker) -> list[tuple[float, float]]:
    """Between which instants what is missing behind the last record of a worker may have been counted."""
    found: list[tuple[float, float]] = []
    final = max(worker.runs, key=lambda run: run.last, default=None)
    end, over, mark = worker.end, worker.over, worker.mark
    number = 0 if final is None else final.last
    since = final.behind if final is not None else -ENDLESS if worker.came is None else worker.came
    if mark is not None and mark.sequence >= number:
        if mark.sequence > number and (final is not None or worker.came is not None):
            found.append((since, max(since, mark.last)))
        number, since = mark.sequence, max(since, mark.behind)
    if end is not None and end.sequence >= number:
        if end.sequence > number:
            found.append((since, max(since, end.last)))
    elif final is None or worker.closes:
        found.append((since, ENDLESS if over is None else max(since, over)))
    return found


def breaks(runs: Sequence[Stretch]) -> tuple[list[tuple[float, float]], float | None]:
    """Between which instants may have been counted what is missing between the records of a worker; and until when what is missing
    ahead of them, None where its first is there.

    Where each number is there once they are those of one process, and what follows on what is told by them alone: records may be
    in any order, and that of an exchange which began long before may come late. Elsewhere they begin anew where another process
    has taken the worker's place; then nothing follows on what ended before.
    """
    runs = sorted(runs, key=lambda run: (run.first, run.began))
    if all(run.last < following.first for run, following in pairwise(runs)):
        return [
            _between(run.behind, following.done)
            for run, following in pairwise(runs)
            if run.last + 1 < following.first
        ], runs[0].done if runs and runs[0].first > 1 else None
    begun = sorted(run.began for run in runs if run.first == 1)
    by_end = sorted(runs, key=lambda run: run.ended)
    ended = [run.ended for run in by_end]
    oldest = list(accumulate((run.behind for run in by_end), min))
    open_ends: dict[int, list[float]] = {}
    found: list[tuple[float, float]] = []
    first: float | None = None
    for run in runs:
        if run.first > 1:
            ends = open_ends.get(run.first, [])
            before = next((end for end in ends if _same_process(begun, end, run.began)), None)
            if before is not None:
                ends.remove(before)
            elif place := bisect_left(ended, run.ended):
                found.append(_between(oldest[place - 1], run.done))
            else:
                first = run.done if first is None else max(first, run.done)
        open_ends.setdefault(run.last + 1, []).append(run.ended)
    return found, first


def _between(since: float, until: float) -> tuple[float, float]:
    """The clock may have been set back."""
    return min(since, until), max(since, until)


def _same_process(begun: Sequence[float], end: float, beginning: float) -> bool:
    """Whether none has begun to write in between."""
    return beginning <= end or bisect_right(begun, end) == bisect_right(begun, beginning)
