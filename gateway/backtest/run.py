"""Runs a back-test: every record is judged, on all cores; what counts is counted again in the order of time.

The first half reads parts of files side by side. What needs no counting is decided there; the rest is written to temporary
files, sorted by time, and decided in the second half as these are merged. Memory holds a bounded number of exchanges, the
cells of the limits, and the groups of the report.
"""

import gc
import os
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from gateway.backtest.event import HELD
from gateway.backtest.judging import Half, Stretch, Worker
from gateway.backtest.machine import Origin, machines
from gateway.backtest.question import Question, plans_of
from gateway.backtest.recorded import Past
from gateway.backtest.settling import Machine, settle
from gateway.backtest.source import Part, parts_of
from gateway.backtest.tally import Tally
from gateway.inspect.grammar import parse
from gateway.inspect.predicate import predicate

__all__ = ["Found", "Question", "backtest"]

_STARTING: Final = 60.0
"""Seconds within which a gateway that starts has told the log of its configuration."""
_GARBAGE: Final = 5_000_000
"""Objects that may be made before the collector looks for garbage. What is held here has no cycles."""


class DoubledError(ValueError):
    """Records are there twice."""


class Found(NamedTuple):
    """The outcome. `skipped` lines were no records, and `damaged` files could not be read to their end."""

    tally: Tally
    skipped: int
    sampled: bool
    gaps: int
    damaged: Sequence[str] = ()


def backtest(
    question: Question,
    files: Sequence[Path],
    *,
    processes: int | None = None,
    held: int = HELD,
    progress: Callable[[float], None] = lambda share: None,
) -> Found:
    """Judges all records of the files. Raises OSError, ConfigurationError, DoubledError, and QueryError for `where`.

    `progress` is told the share that is done, from 0 to 1; `held` are the exchanges that a process holds at most.
    """
    predicate(parse(question.where))
    plans = plans_of(question)  # what is wrong with a configuration is said before anything is read
    parts, pasts = parts_of(files)
    numbers = {file: number for number, file in enumerate(dict.fromkeys(part.file for part in parts))}
    count = min(processes or os.cpu_count() or 1, max(1, len(parts)))
    found = Found(Tally(), 0, False, 0)
    with tempfile.TemporaryDirectory(prefix="weir-backtest-") as directory, _seldom_collected():
        halves: list[Half] = []
        if count == 1:
            worker = Worker(question, plans, pasts, directory, held)
            for part in parts:
                halves.append(worker.half(part, numbers[part.file]))
                progress(0.9 * len(halves) / len(parts))
        else:
            with ProcessPoolExecutor(
                count,
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(question, pasts, directory, held),
            ) as pool:
                pending = [pool.submit(_half, part, numbers[part.file]) for part in parts]
                for done in as_completed(pending):
                    halves.append(done.result())
                    progress(0.9 * len(halves) / len(parts))
        for half in halves:
            found.tally.merge(half.tally)
        sampled = any(half.sampled for half in halves)
        halves, origins = _told_apart(halves)
        _refuse_doubled(halves)
        gaps, broken = _gaps(halves)
        files_of_events = [file for half in halves for file in half.files]
        if files_of_events:
            counting: dict[int, Machine] = {}
            for machine, origin in origins.items():
                first = min(half.first for half in halves if half.file == machine)
                fresh = machine not in broken and not sampled and question.since < first and _fresh(origin)
                counting[machine] = Machine(*plans, first, origin.offset, fresh=fresh)
            settle(files_of_events, counting, gaps, plans, found.tally, sampled=sampled)
        progress(1.0)
    return found._replace(
        skipped=sum(half.skipped for half in halves),
        sampled=sampled,
        gaps=len(gaps),
        damaged=sorted({file for half in halves for file in half.damaged}),
    )


@contextmanager
def _seldom_collected() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(_GARBAGE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _told_apart(halves: Sequence[Half]) -> tuple[list[Half], dict[int, Origin]]:
    """The same by the numbers of machines in place of those of files, and what the files of each machine say of it."""
    told: dict[int, Origin] = {}
    for half in halves:
        known = told.get(half.file)
        told[half.file] = half.origin if known is None else _joined(known, half.origin)
    numbers = dict(zip(told, machines(list(told.values())), strict=True))
    origins: dict[int, Origin] = {}
    for file, origin in told.items():
        known = origins.get(numbers[file])
        origins[numbers[file]] = origin if known is None else _joined(known, origin)
    return [
        half._replace(
            file=numbers[half.file],
            files=[file._replace(machine=numbers[half.file]) for file in half.files],
            runs={(numbers[half.file], worker): runs for (_, worker), runs in half.runs.items()},
        )
        for half in halves
    ], origins


def _joined(one: Origin, other: Origin) -> Origin:
    begun = dict(one.begun)
    for since, at in other.begun.items():
        begun[since] = min(at, begun.get(since, at))
    return one._replace(begun=begun, common=one.common or other.common)


def _refuse_doubled(halves: Sequence[Half]) -> None:
    """Raises DoubledError where two stretches of a worker begin with the same number at the same instant."""
    seen: set[tuple[tuple[int, int], int, float]] = set()
    for half in halves:
        for worker, runs in half.runs.items():
            for run in runs:
                if (worker, run.first, run.began) in seen:
                    raise DoubledError(
                        f"record {run.first} of worker {worker[1]}, and what follows it, is there twice"
                    )
                seen.add((worker, run.first, run.began))


def _gaps(halves: Sequence[Half]) -> tuple[list[tuple[float, int]], set[int]]:
    """Instants at which records of a machine are missing, and the machines of which some are, or a worker's first."""
    gaps: list[tuple[float, int]] = []
    broken: set[int] = set()
    workers: dict[tuple[int, int], list[Stretch]] = {}
    for half in halves:
        for worker, runs in half.runs.items():
            workers.setdefault(worker, []).extend(runs)
    for (machine, _), runs in workers.items():
        between, whole = breaks(runs)
        gaps += [(at, machine) for gap in between for at in gap]
        if between or not whole:
            broken.add(machine)
    return sorted(gaps), broken


def breaks(runs: Sequence[Stretch]) -> tuple[list[tuple[float, float]], bool]:
    """Between which instants records of a worker are missing, and whether its first is there.

    What follows on what is told by the numbers: the first record of a stretch may be that of an exchange which began long
    before. The numbers begin anew where another process takes the worker's place; then nothing follows on what ended before.
    """
    begun = sorted(run.began for run in runs if run.first == 1)
    ended = sorted(run.ended for run in runs)
    open_ends: dict[int, list[float]] = {}
    missing: list[tuple[float, float]] = []
    whole = True
    for run in sorted(runs, key=lambda run: (run.first, run.began)):
        if run.first > 1:
            ends = open_ends.get(run.first, [])
            before = next((end for end in ends if _same_process(begun, end, run.began)), None)
            if before is not None:
                ends.remove(before)
            elif place := bisect_left(ended, run.ended):
                missing.append((ended[place - 1], run.began))
            else:
                whole = False
        open_ends.setdefault(run.last + 1, []).append(run.ended)
    return missing, whole


def _same_process(begun: Sequence[float], end: float, beginning: float) -> bool:
    """Whether none has begun to write in between."""
    return beginning <= end or bisect_right(begun, end) == bisect_right(begun, beginning)


def _fresh(origin: Origin) -> bool:
    """Whether the log begins when the machine has begun to count: what told of that is there. A store is older than a gateway."""
    begun = [(since, at) for since, at in origin.begun.items() if since > 0]
    return not origin.common and len(begun) == 1 and all(0 <= at - since < _STARTING for since, at in begun)


_worker: Worker | None = None


def _begin(question: Question, pasts: Mapping[str, Past], directory: str, held: int) -> None:
    global _worker
    gc.set_threshold(_GARBAGE)
    _worker = Worker(question, plans_of(question), pasts, directory, held)


def _half(part: Part, file: int) -> Half:
    assert _worker is not None
    return _worker.half(part, file)
