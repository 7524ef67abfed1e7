"""Runs a back-test: every record is judged, on all cores; what counts is counted again in the order of time.

The first half reads parts of files side by side. What needs no counting is decided there; the rest is written to temporary
files, sorted by time, and decided in the second half as these are merged. Memory holds a bounded number of exchanges, the
cells of the limits, and the groups of the report.
"""

import gc
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

from gateway.backtest.double import Suspect, doubled, suspects
from gateway.backtest.drop import drops
from gateway.backtest.event import HELD, File
from gateway.backtest.gap import Gap, Missing, Stretch, missing
from gateway.backtest.gap import Worker as WorkerOf
from gateway.backtest.generation import Generations
from gateway.backtest.judging import Half, Share, Worker
from gateway.backtest.life import Life, lives_of
from gateway.backtest.machine import Origin, machines
from gateway.backtest.question import Question, plans_of
from gateway.backtest.recorded import ENDLESS, End, Mark, Past
from gateway.backtest.settling import Machine, settle
from gateway.backtest.source import Part, later, parts_of
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
    """The outcome.

    skipped  lines that were no records
    gaps     how often records are missing
    open     workers of which nobody knows whether they have ended where their records do
    damaged  files that could not be read to their end
    unheard  workers of which there is no line, and that others say to have been at work
    """

    tally: Tally
    skipped: int
    sampled: bool
    gaps: int
    open: int = 0
    damaged: Sequence[str] = ()
    unheard: int = 0


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
        log = _Log(halves)
        lacking = log.missing()
        again = doubled(parts, log.suspects) if log.suspects else None
        if again is not None:
            raise DoubledError(_twice(again.number, again.worker))
        before = [gap for of_machine in lacking.values() for gap in of_machine.before]
        gaps = [gap for of_machine in lacking.values() for gap in of_machine.gaps]
        behind = [gap for of_machine in lacking.values() for gap in of_machine.open]
        files_of_events = log.files()
        if files_of_events:
            counting: dict[int, Machine] = {}
            for machine, origins in log.origins.items():
                first = log.first(machine)
                fresh = (
                    not lacking[machine].before
                    and machine not in log.partial
                    and not sampled
                    and _fresh(origins)
                )
                offset = origins[0].offset  # all have about that
                sinces = {origin.since for origin in origins}
                counting[machine] = Machine(
                    *plans,
                    first,
                    offset,
                    fresh=fresh,
                    revisions=pasts.keys(),
                    drops=drops(pasts.values(), plans[0], sinces),
                    old_drops=() if plans[1] is None else drops(pasts.values(), plans[1], sinces),
                )
            lost = [*before, *gaps, *behind, *log.unknown, *log.left_out]
            settle(files_of_events, counting, lost, plans, found.tally, sampled=sampled)
        progress(1.0)
    return found._replace(
        skipped=sum(half.skipped for half in halves),
        sampled=sampled or bool(log.left_out),
        gaps=len(gaps),
        open=len(behind),
        damaged=sorted({file for half in halves for file in half.heard.damaged}),
        unheard=log.unheard,
    )


@contextmanager
def _seldom_collected() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(_GARBAGE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Log:
    """All files of the log: which records are of one machine, and which are missing.

    suspects  records that may be there twice, once it is known what is missing
    partial   the machines of which some worker has counted before the log begins, or may have, once that is known
    unheard   workers of which only others tell, once that is known
    unknown   when configurations were in force that the log does not describe, and
    left_out  when it was not to have records of all exchanges, once that is known
    """

    def __init__(self, halves: Sequence[Half]) -> None:
        self._halves = halves
        self.suspects: set[Suspect] = set()
        self.partial: set[int] = set()
        self.unheard = 0
        self.unknown: list[Gap] = []
        self.left_out: list[Gap] = []
        begun: dict[float, float] = {}
        for half in halves:
            for since, at in half.heard.begun.items():
                begun[since] = min(at, begun.get(since, at))
        origins: dict[tuple[int, float], Origin] = {}
        for half in halves:
            for since in half.shares:
                known = origins.get((half.file, since))
                common = half.common or (known is not None and known.common)
                origins[half.file, since] = Origin(half.offset, since, begun.get(since), common)
        self._numbers = dict(zip(origins, machines(list(origins.values())), strict=True))
        self.origins: dict[int, list[Origin]] = {}
        for place, origin in origins.items():
            self.origins.setdefault(self._numbers[place], []).append(origin)

    def shares(self) -> Iterator[tuple[int, float, Share]]:
        """Of which machine each is, since when it has counted, and what was made of it."""
        for half in self._halves:
            for since, share in half.shares.items():
                yield self._numbers[half.file, since], since, share

    def files(self) -> list[File]:
        """Of events, by machines."""
        return [file._replace(machine=machine) for machine, _, share in self.shares() for file in share.files]

    def first(self, machine: int) -> float:
        """When the first exchange was."""
        return min(share.first for number, _, share in self.shares() if number == machine)

    def _last(self, machine: int) -> float:
        """When an exchange comes to a limit that none comes to later."""
        return max(share.last for number, _, share in self.shares() if number == machine)

    def missing(self) -> dict[int, Missing]:
        """What is missing of each machine. Raises DoubledError where two stretches of a worker begin with the same number at the
        same instant."""
        runs: dict[int, dict[tuple[float, int], list[Stretch]]] = {}
        closing: set[tuple[int, float, int]] = set()
        for machine, since, share in self.shares():
            since = since or self._since(machine)
            for worker, stretches in share.runs.items():
                runs.setdefault(machine, {}).setdefault((since, worker), []).extend(stretches)
            closing |= {(machine, since, worker) for worker in share.closing}
        came = _earliest(half.heard.came for half in self._halves)
        over = _earliest(half.heard.over for half in self._halves)
        resumed: set[tuple[float, int]] = set().union(*(half.heard.resumed for half in self._halves))
        marks: dict[tuple[float, int], Mark] = {}
        for half in self._halves:
            for key, mark in half.heard.marks.items():
                marks[key] = later(mark, marks.get(key))
        lives = lives_of([half.heard.at_work for half in self._halves])
        generations = self._generations()
        ends: dict[tuple[float, int], End] = {}
        for end in (end for half in self._halves for end in half.heard.ends):
            key = end.since, end.worker
            if key not in ends or ends[key].sequence < end.sequence:
                ends[key] = end
        found: dict[int, Missing] = {}
        for machine, of_workers in runs.items():
            for (_, worker), stretches in of_workers.items():
                _refuse_doubled(worker, stretches)
                self.suspects |= suspects(worker, stretches)
            sinces = {since for since, _ in of_workers}
            heard = {key for key in {*came, *over, *ends, *resumed, *marks} if key[0] in sinces}
            unheard = {key for key in lives if key[0] in sinces} - heard - of_workers.keys()
            self.unheard += len(unheard)
            known = sorted(of_workers.keys() | heard | unheard)
            if not _all_heard(known) or not resumed.isdisjoint(heard - came.keys()):
                self.partial.add(machine)
            for since in sinces & generations.keys():
                own = generations[since]
                last = partial(_over, since, ends, over, lives)
                self.unknown += [Gap(*period[:2], machine, period.by) for period in own.unknown()]
                self.left_out += [Gap(*period[:2], machine, period.by) for period in own.left_out(last)]
            found[machine] = missing(
                machine,
                [
                    WorkerOf(
                        of_workers.get(key, ()),
                        (machine, *key) in closing,
                        came.get(key, lives.get(key, Life()).came),
                        ends.get(key),
                        _sooner(over.get(key), lives.get(key, Life()).over),
                        marks.get(key),
                        key[1],
                        generations.get(key[0], Generations()),
                    )
                    for key in known
                ],
                self._last(machine),
            )
        return found

    def _generations(self) -> dict[float, Generations]:
        """By since when their gateway has counted."""
        found: dict[float, Generations] = {}
        for half in self._halves:
            for since, generations in half.heard.generations.items():
                found.setdefault(since, Generations()).merge(generations)
        return found

    def _since(self, machine: int) -> float:
        """Since when a machine has counted, for records that do not say it; 0 where nobody knows, or there are several."""
        sinces = {origin.since for origin in self.origins[machine]} - {0.0}
        return sinces.pop() if len(sinces) == 1 else 0.0


def _all_heard(workers: Iterable[tuple[float, int]]) -> bool:
    """Whether all are there that have been: numbers are given one after another, for as long as a memory is there."""
    numbers: dict[float, set[int]] = {}
    for since, number in workers:
        numbers.setdefault(since, set()).add(number)
    return all(max(those) < len(those) for those in numbers.values())


def _over(
    since: float,
    ends: Mapping[tuple[float, int], End],
    over: Mapping[tuple[float, int], float],
    lives: Mapping[tuple[float, int], Life],
    worker: int,
) -> float:
    """When a worker was over; infinity where nobody knows."""
    end = ends.get((since, worker))
    told = _sooner(over.get((since, worker)), lives.get((since, worker), Life()).over)
    return end.at if end is not None else ENDLESS if told is None else told


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _earliest(told: Iterable[Mapping[tuple[float, int], float]]) -> dict[tuple[float, int], float]:
    found: dict[tuple[float, int], float] = {}
    for some in told:
        for key, at in some.items():
            found[key] = min(at, found.get(key, at))
    return found


def _refuse_doubled(worker: int, stretches: Sequence[Stretch]) -> None:
    seen: set[tuple[int, float]] = set()
    for run in stretches:
        if (run.first, run.began) in seen:
            raise DoubledError(_twice(run.first, worker))
        seen.add((run.first, run.began))


def _twice(number: int, worker: int) -> str:
    return f"record {number} of worker {worker}, and what follows it, is there twice"


def _fresh(origins: Sequence[Origin]) -> bool:
    """Whether the log begins when the machine has begun to count: what told of that is there. A store is older than a gateway."""
    begun = {origin.since: origin.told for origin in origins if origin.since > 0}
    return (
        not any(origin.common for origin in origins)
        and len(begun) == 1
        and all(told is not None and 0 <= told - since < _STARTING for since, told in begun.items())
    )


_worker: Worker | None = None


def _begin(question: Question, pasts: Mapping[str, Past], directory: str, held: int) -> None:
    global _worker
    gc.set_threshold(_GARBAGE)
    _worker = Worker(question, plans_of(question), pasts, directory, held)


def _half(part: Part, file: int) -> Half:
    assert _worker is not None
    return _worker.half(part, file)
