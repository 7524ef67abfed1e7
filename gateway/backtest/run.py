"""Runs a back-test: every record is judged, on all cores; what counts is counted again in the order of time.

The first half reads parts of files side by side. What needs no counting is decided there; the rest is written to temporary
files, sorted by time, and decided in the second half as these are merged. Memory holds a bounded number of exchanges, the
cells of the limits, and the groups of the report.
"""

import gc
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from gateway.backtest.event import HELD
from gateway.backtest.judging import Half, Stretch, Worker
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
_CLOCK_GRAIN: Final = 1.0
"""Seconds within which two offsets are of one machine."""
_GARBAGE: Final = 5_000_000
"""Objects that may be made before the collector looks for garbage. What is held here has no cycles."""


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
    """Judges all records of the files. Raises OSError, ConfigurationError, and QueryError for `where`.

    `progress` is told the share that is done, from 0 to 1; `held` are the exchanges that a process holds at most.
    """
    predicate(parse(question.where))
    plans = plans_of(question)  # what is wrong with a configuration is said before anything is read
    parts, pasts = parts_of(files)
    offsets = _machines([part.offset for part in parts])
    count = min(processes or os.cpu_count() or 1, max(1, len(parts)))
    found = Found(Tally(), 0, False, 0)
    with tempfile.TemporaryDirectory(prefix="weir-backtest-") as directory, _seldom_collected():
        halves: list[Half] = []
        if count == 1:
            worker = Worker(question, plans, pasts, directory, held)
            for part in parts:
                halves.append(worker.half(part, offsets[part.offset]))
                progress(0.9 * len(halves) / len(parts))
        else:
            with ProcessPoolExecutor(
                count,
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(question, pasts, directory, held),
            ) as pool:
                pending = [pool.submit(_half, part, offsets[part.offset]) for part in parts]
                for done in as_completed(pending):
                    halves.append(done.result())
                    progress(0.9 * len(halves) / len(parts))
        for half in halves:
            found.tally.merge(half.tally)
        sampled = any(half.sampled for half in halves)
        gaps = _gaps(halves)
        fresh = (
            not gaps
            and not sampled
            and question.since < min((half.first for half in halves), default=question.since)
            and _fresh(halves)
        )
        files_of_events = [file for half in halves for file in half.files]
        if files_of_events:
            began = min(half.first for half in halves)
            machines = {
                number: Machine(*plans, began, offset, fresh=fresh) for offset, number in offsets.items()
            }
            settle(files_of_events, machines, gaps, plans, found.tally, sampled=sampled)
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


def _machines(offsets: Sequence[float]) -> dict[float, int]:
    """Offset -> number of the machine whose it is: what two clocks have been apart tells one machine from another."""
    known: dict[float, int] = {}
    last = float("-inf")
    number = -1
    for offset in sorted(set(offsets)):
        if offset - last > _CLOCK_GRAIN:
            number += 1
        known[offset] = number
        last = offset
    return known


def _gaps(halves: Sequence[Half]) -> list[tuple[float, int]]:
    """Instants at which records of a machine are missing; a worker that begins anew with its first record is no gap."""
    gaps: list[tuple[float, int]] = []
    workers: dict[tuple[int, int], list[Stretch]] = {}
    for half in halves:
        for worker, runs in half.runs.items():
            workers.setdefault(worker, []).extend(runs)
    for (machine, _), runs in workers.items():
        runs.sort(key=lambda run: (run.began, run.first))
        for one, other in pairwise(runs):
            if other.first != one.last + 1 and other.first > 1:
                gaps += [(one.ended, machine), (other.began, machine)]
    return sorted(gaps)


def _fresh(halves: Sequence[Half]) -> bool:
    """Whether the log has all exchanges since the gateway began to count: what told of that is there, and so is the first
    record of each worker."""
    pasts = {revision: past for half in halves for revision, past in half.pasts.items()}
    since = {past.since for past in pasts.values()}
    if (
        len(since) != 1
        or since == {0.0}
        or not any(0 <= past.at - past.since < _STARTING for past in pasts.values())
    ):
        return False
    first: dict[tuple[int, int], Stretch] = {}
    for half in halves:
        for worker, runs in half.runs.items():
            known = [first[worker]] if worker in first else []
            first[worker] = min([*runs, *known], key=lambda run: (run.began, run.first))
    return all(run.first == 1 for run in first.values())


_worker: Worker | None = None


def _begin(question: Question, pasts: Mapping[str, Past], directory: str, held: int) -> None:
    global _worker
    gc.set_threshold(_GARBAGE)
    _worker = Worker(question, plans_of(question), pasts, directory, held)


def _half(part: Part, machine: int) -> Half:
    assert _worker is not None
    return _worker.half(part, machine)
