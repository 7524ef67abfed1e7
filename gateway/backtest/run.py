"""Runs a back-test: every record is judged, on all cores; what counts is counted again in the order of time.

The first half reads parts of files side by side. What needs no counting is decided there; the rest is written to temporary
files, sorted by time, and decided in the second half as these are merged. Memory holds a bounded number of exchanges, the
cells of the limits, and the groups of the report.
"""

import heapq
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.backtest.counting import Ledger
from gateway.backtest.judge import Count, Judge, Loss, Skip, Trace
from gateway.backtest.recorded import PASSED, REFUSE, UNKNOWN_PAST, Past, Recorded, Verdict, undecidable
from gateway.backtest.source import Part, parts_of, records
from gateway.backtest.tally import Tally
from gateway.config.load import Loaded, loads
from gateway.inspect.grammar import parse
from gateway.inspect.predicate import predicate
from gateway.plan import Plan, build_plan
from gateway.registry import Registry

_HELD: Final = 50_000
"""Exchanges that a process holds until it writes them down, sorted."""
_SLICE: Final = 500
_STARTING: Final = 60.0
"""Seconds within which a gateway that starts has told the log of its configuration."""
_CLOCK_GRAIN: Final = 1.0
"""Seconds within which two offsets are of one machine."""


class Question(NamedTuple):
    """What is asked.

    text, file, directory  the configuration that judges
    old_text, old_file     that which it is held against; None for what was recorded
    since, until  seconds since the epoch; other exchanges do not count
    where         query; other exchanges are judged, and not told of
    callers       see `Judge`
    """

    text: str
    file: str
    directory: Path
    old_text: str | None = None
    old_file: str = ""
    old_directory: Path = Path()
    since: float = float("-inf")
    until: float = float("inf")
    where: str = ""
    callers: bool = False


class Found(NamedTuple):
    """The outcome. `skipped` lines were no records."""

    tally: Tally
    skipped: int
    sampled: bool
    gaps: int


class _Event(NamedTuple):
    """An exchange that is to be decided in its turn. `old` is None where it is held against what was recorded.

    number, worker  of its record: of exchanges of one instant these tell an order
    """

    at: float
    number: int
    worker: int
    request_id: str
    machine: int
    asked: str
    route: str
    project: str
    before: Verdict
    old: Trace | None
    new: Trace
    told: bool


class _Run(NamedTuple):
    """Numbers of records of one worker that follow one another, and when the first and the last were."""

    first: int
    last: int
    began: float
    ended: float


class _Half(NamedTuple):
    """What a process has made of a part."""

    tally: Tally
    files: Sequence[str]
    skipped: int
    sampled: bool
    first: float
    runs: Mapping[tuple[int, int], Sequence[_Run]]
    pasts: Mapping[str, Past]


def backtest(
    question: Question,
    files: Sequence[Path],
    *,
    processes: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Found:
    """Judges all records of the files. Raises OSError, ConfigurationError, and QueryError for `where`.

    `progress` is told the share that is done, from 0 to 1.
    """
    predicate(parse(question.where))
    _plans(question)  # what is wrong with a configuration is said before anything is read
    parts, pasts = parts_of(files)
    offsets = _machines([part.offset for part in parts])
    count = min(processes or os.cpu_count() or 1, max(1, len(parts)))
    found = Found(Tally(), 0, False, 0)
    with tempfile.TemporaryDirectory(prefix="weir-backtest-") as directory:
        halves: list[_Half] = []
        if count == 1:
            worker = _Worker(question, pasts, directory)
            for part in parts:
                halves.append(worker.half(part, offsets[part.offset]))
                progress(0.9 * len(halves) / len(parts))
        else:
            with ProcessPoolExecutor(
                count,
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(question, pasts, directory),
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
            and question.since < min(half.first for half in halves)
            and _fresh(halves)
        )
        _second(question, halves, offsets, gaps, sampled, found.tally, fresh=fresh)
        progress(1.0)
    return found._replace(skipped=sum(half.skipped for half in halves), sampled=sampled, gaps=len(gaps))


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


def _plans(question: Question) -> tuple[Plan, Plan | None]:
    registry = Registry()

    def built(text: str, file: str, directory: Path) -> Plan:
        loaded: Loaded = loads(text, file, registry=registry, directory=directory)
        return build_plan(loaded, registry, hash_key=b"none" * 8)

    new = built(question.text, question.file, question.directory)
    if question.old_text is None:
        return new, None
    return new, built(question.old_text, question.old_file, question.old_directory)


# ---- the first half


class _Worker:
    """Judges parts of files in one process."""

    def __init__(self, question: Question, pasts: Mapping[str, Past], directory: str) -> None:
        self._question = question
        self._pasts = dict(pasts)
        self._directory = directory
        self._plan, self._old_plan = _plans(question)
        self._wanted = predicate(parse(question.where))
        self._everything = not question.where.strip()

    def half(self, part: Part, machine: int) -> _Half:
        question, pasts = self._question, self._pasts
        judge = Judge(self._plan, offset=part.offset, callers=question.callers)
        old_judge = None
        if self._old_plan is not None:
            old_judge = Judge(self._old_plan, offset=part.offset, callers=question.callers)
        tally = Tally()
        held: list[_Event] = []
        written: list[str] = []
        skipped, sampled, first = 0, False, float("inf")
        runs: dict[tuple[int, int], list[list[float]]] = {}
        for fields in records(part, pasts):
            if fields is None:
                skipped += 1
                continue
            try:
                recorded = Recorded(fields, pasts.get(fields["gateway.revision"], UNKNOWN_PAST))
                at = recorded.at
                if not question.since <= at < question.until:
                    continue
                trace = judge.trace(recorded)
                old = None if old_judge is None else old_judge.trace(recorded)
                before = recorded.verdict() if old is None else PASSED
            except (ValueError, KeyError, TypeError, AttributeError):
                skipped += 1
                continue
            sampled = sampled or recorded.sampled
            first = min(first, at)
            _follow(runs, machine, fields, at)
            told = self._everything or self._wanted(fields)
            if not trace.parts and (old is None or not old.parts):
                if told:
                    _tell(tally, recorded, before if old is None else old.end, trace)
                continue
            held.append(
                _Event(
                    at,
                    fields["gateway.sequence"],
                    fields["gateway.worker"],
                    recorded.request_id,
                    machine,
                    recorded.asked,
                    recorded.route,
                    recorded.project,
                    before,
                    old,
                    trace,
                    told,
                )
            )
            if len(held) >= _HELD:
                written.append(self._written(held))
                held = []
        if held:
            written.append(self._written(held))
        closed = {
            worker: [_Run(int(run[0]), int(run[1]), run[2], run[3]) for run in told]
            for worker, told in runs.items()
        }
        return _Half(tally, written, skipped, sampled, first, closed, pasts)

    def _written(self, held: list[_Event]) -> str:
        held.sort(key=_when)
        descriptor, name = tempfile.mkstemp(dir=self._directory)
        with os.fdopen(descriptor, "wb") as stream:
            for start in range(0, len(held), _SLICE):
                pickle.dump(held[start : start + _SLICE], stream, protocol=5)
        return name


_worker: _Worker | None = None


def _begin(question: Question, pasts: Mapping[str, Past], directory: str) -> None:
    global _worker
    _worker = _Worker(question, pasts, directory)


def _half(part: Part, machine: int) -> _Half:
    assert _worker is not None
    return _worker.half(part, machine)


def _when(event: _Event) -> tuple[float, int, int]:
    return event[:3]


def _tell(tally: Tally, recorded: Recorded, before: Verdict, trace: Trace) -> None:
    tally.add(
        *(recorded.at, recorded.request_id, recorded.asked, recorded.route, recorded.project),
        *(before, trace.end),
    )
    for shadow in trace.shadows:
        tally.shadow(*shadow)


def _follow(
    runs: dict[tuple[int, int], list[list[float]]], machine: int, fields: Mapping[str, Any], at: float
) -> None:
    """Notes the number of a record among those of its worker."""
    number = fields["gateway.sequence"]
    known = runs.setdefault((machine, fields["gateway.worker"]), [])
    if known and known[-1][1] + 1 == number:
        known[-1][1], known[-1][3] = number, max(at, known[-1][3])
    else:
        known.append([number, number, at, at])


# ---- the second half


def _gaps(halves: Sequence[_Half]) -> list[tuple[float, int]]:
    """Instants at which records of a machine are missing; a worker that begins anew with its first record is no gap."""
    gaps: list[tuple[float, int]] = []
    workers: dict[tuple[int, int], list[_Run]] = {}
    for half in halves:
        for worker, runs in half.runs.items():
            workers.setdefault(worker, []).extend(runs)
    for (machine, _), runs in workers.items():
        runs.sort(key=lambda run: (run.began, run.first))
        for one, other in pairwise(runs):
            if other.first != one.last + 1 and other.first > 1:
                gaps += [(one.ended, machine), (other.began, machine)]
    return sorted(gaps)


def _fresh(halves: Sequence[_Half]) -> bool:
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
    first: dict[tuple[int, int], _Run] = {}
    for half in halves:
        for worker, runs in half.runs.items():
            known = [first[worker]] if worker in first else []
            first[worker] = min([*runs, *known], key=lambda run: (run.began, run.first))
    return all(run.first == 1 for run in first.values())


def _second(
    question: Question,
    halves: Sequence[_Half],
    offsets: Mapping[float, int],
    gaps: Sequence[tuple[float, int]],
    sampled: bool,
    tally: Tally,
    *,
    fresh: bool,
) -> None:
    files = [file for half in halves for file in half.files]
    if not files:
        return
    plan, old_plan = _plans(question)
    began = min(half.first for half in halves)
    by_machine = {machine: offset for offset, machine in offsets.items()}
    news = {machine: Ledger(plan, began - offset, fresh=fresh) for machine, offset in by_machine.items()}
    olds = {
        machine: Ledger(old_plan, began - offset, fresh=fresh)
        for machine, offset in by_machine.items()
        if old_plan is not None
    }
    ahead = list(reversed(gaps))
    for event in heapq.merge(*map(_read, files), key=_when):
        while ahead and ahead[-1][0] <= event.at:
            at, machine = ahead.pop()
            for ledgers in (news, olds):
                if machine in ledgers:
                    ledgers[machine].lose(at - by_machine[machine])
        if sampled:
            news[event.machine].lose(event.at - by_machine[event.machine])
            if olds:
                olds[event.machine].lose(event.at - by_machine[event.machine])
        after = resolve(event.new, news[event.machine], plan, tally if event.told else None)
        before = event.before
        if event.old is not None and old_plan is not None:
            before = resolve(event.old, olds[event.machine], old_plan, None)
        if event.told:
            tally.add(
                *(event.at, event.request_id, event.asked, event.route, event.project),
                *(before, after),
            )


def _read(file: str) -> Iterator[_Event]:
    with Path(file).open("rb") as stream:
        while True:
            try:
                events: list[_Event] = pickle.load(stream)  # noqa: S301 - written by ourselves a moment ago
            except EOFError:
                return
            yield from events


def resolve(trace: Trace, ledger: Ledger, plan: Plan, tally: Tally | None) -> Verdict:
    """What becomes of an exchange, when what counts has been counted. Tells `tally` of filters in shadow."""
    unsure: Verdict | None = None
    refused: Verdict | None = None
    for part in trace.parts:
        if isinstance(part, Count):
            if refused is not None:
                ledger.stray(part)
                continue
            decided = ledger.decide(part, reached=unsure is None)
            entry = plan.entries[part.place]
            if part.shadow:
                if tally is not None and part.passed is not None and decided.passed is not None:
                    would = Verdict(REFUSE, 0, entry.name, "rate_limited")
                    tally.shadow(
                        entry.name, PASSED if part.passed else would, PASSED if decided.passed else would
                    )
            elif decided.passed is None:
                unsure = unsure or undecidable(
                    entry.name, "what was counted before is not known" if part.charges else ""
                )
            elif not decided.passed:
                by = decided.by or part.charges[0]
                refused = Verdict(REFUSE, by.status, entry.name, "rate_limited", entry.source(by.rule))
        elif isinstance(part, Loss):
            ledger.lose(part.instant, strays=True)
        elif isinstance(part, Skip):
            ledger.skip(part)
        elif refused is None:
            unsure = unsure or part
    if unsure is not None:
        return unsure
    if refused is not None:
        return refused
    if tally is not None:
        for shadow in trace.shadows:
            tally.shadow(*shadow)
    return trace.end
