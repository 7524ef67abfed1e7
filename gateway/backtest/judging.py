"""The first half of a back-test: judges the records of a part of a file, and keeps what is to be counted for the second."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.backtest.event import HELD, File, Spool
from gateway.backtest.judge import Judge
from gateway.backtest.line import UNREADABLE
from gateway.backtest.machine import Origin
from gateway.backtest.question import Question
from gateway.backtest.recorded import PASSED, Past
from gateway.backtest.source import Heard, Part, records
from gateway.backtest.tally import Tally
from gateway.inspect.grammar import parse
from gateway.inspect.predicate import predicate
from gateway.plan import Plan


class Stretch(NamedTuple):
    """Numbers of records of one worker that follow one another, and when the first and the last were."""

    first: int
    last: int
    began: float
    ended: float


class Half(NamedTuple):
    """What a process has made of a part of the file of that number, which stands for the machine until that is known.

    damaged  files that could not be read to their end
    """

    file: int
    origin: Origin

    tally: Tally
    files: Sequence[File]
    skipped: int
    sampled: bool
    first: float
    runs: Mapping[tuple[int, int], Sequence[Stretch]]
    damaged: Sequence[str]


class Worker:
    """Judges parts of files in one process, by the plans of the question.

    held  events that are held until they are written down
    """

    def __init__(
        self,
        question: Question,
        plans: tuple[Plan, Plan | None],
        pasts: Mapping[str, Past],
        directory: str,
        held: int = HELD,
    ) -> None:
        self._question = question
        self._pasts = dict(pasts)
        self._directory = directory
        self._held = held
        self._plan, self._old_plan = plans
        self._wanted = predicate(parse(question.where)) if question.where.strip() else None

    def half(self, part: Part, file: int) -> Half:
        """What becomes of the records of a part of the file of that number."""
        question, pasts = self._question, self._pasts
        judge = Judge(self._plan, offset=part.offset, callers=question.callers)
        old_judge: Judge | None = None
        if self._old_plan is not None:
            old_judge = Judge(self._old_plan, offset=part.offset, callers=question.callers)
        tally = Tally()
        spool = Spool(self._directory, file, judge, old_judge, held=self._held)
        skipped, sampled, first = 0, False, float("inf")
        since, until = question.since, question.until
        runs: dict[int, list[_Going]] = {}
        heard = Heard()
        for recorded in records(part, pasts, heard, self._wanted):
            if recorded is None:
                skipped += 1
                continue
            try:
                at = recorded.at
                if not since <= at < until:
                    continue
                number, worker = recorded.sequence, recorded.worker
                trace = judge.trace(recorded)
                old = None if old_judge is None else old_judge.trace(recorded)
                before = recorded.verdict() if old is None else PASSED
            except (ValueError, KeyError, TypeError, AttributeError, *UNREADABLE):
                skipped += 1
                continue
            if recorded.sampled:
                sampled = True
            if at < first:
                first = at
            of_worker = runs.get(worker)
            if of_worker is None:
                of_worker = runs[worker] = []
            _follow(of_worker, number, at)
            told = recorded.told
            counts = bool(trace.parts) or (old is not None and bool(old.parts))
            if not counts and not told:
                continue
            request_id, asked = recorded.request_id, recorded.asked
            if counts:
                spool.add(
                    (at, number, worker),
                    told,
                    request_id,
                    asked,
                    recorded.route,
                    recorded.project,
                    before,
                    old,
                    trace,
                )
                continue
            if old is not None:
                before = old.end
            tally.add(at, request_id, asked, recorded.route, recorded.project, before, trace.end)
            for shadow in trace.shadows:
                tally.shadow(shadow.name, shadow.before, shadow.after)
        spool.close()
        closed = {
            (file, worker): [Stretch(run.first, run.last, run.began, run.ended) for run in each]
            for worker, each in runs.items()
        }
        origin = Origin(part.offset, heard.begun, part.common)
        return Half(file, origin, tally, spool.files, skipped, sampled, first, closed, heard.damaged)


class _Going:
    """A stretch that goes on."""

    __slots__ = ("began", "ended", "first", "last")

    def __init__(self, number: int, at: float) -> None:
        self.first = self.last = number
        self.began = self.ended = at


def _follow(runs: list[_Going], number: int, at: float) -> None:
    """Notes the number of a record among those of its worker."""
    if runs:
        last = runs[-1]
        if last.last + 1 == number:
            last.last = number
            if at > last.ended:
                last.ended = at
            return
    runs.append(_Going(number, at))
