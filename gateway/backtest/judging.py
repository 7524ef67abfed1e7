"""The first half of a back-test: judges the records of a part of a file, and keeps what is to be counted for the second."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from gateway.backtest.event import HELD, File, Spool
from gateway.backtest.gap import Stretch
from gateway.backtest.judge import Judge
from gateway.backtest.line import UNREADABLE
from gateway.backtest.question import Question
from gateway.backtest.recorded import PASSED, Past, Recorded
from gateway.backtest.source import Heard, Part, records
from gateway.backtest.tally import Tally
from gateway.inspect.grammar import parse
from gateway.inspect.predicate import predicate
from gateway.plan import Plan


class Share(NamedTuple):
    """What a process has made of the records of one gateway in a part of a file.

    files    of what is to be counted, which do not know of which machine they are
    first    when the first exchange was
    last     when the last of those that are to be counted comes to its last limit
    runs     numbers of records by those of workers
    closing  the workers that say so when they end in order
    """

    files: Sequence[File]
    first: float
    last: float
    runs: Mapping[int, Sequence[Stretch]]
    closing: AbstractSet[int]


class Half(NamedTuple):
    """What a process has made of a part of the file of that number.

    offset  see `Part`; `common` too
    shares  by since when the memory has been there that the gateway's limits were counted in
    heard   what the part says beside its records
    """

    file: int
    offset: float
    common: bool
    tally: Tally
    shares: Mapping[float, Share]
    skipped: int
    sampled: bool
    heard: Heard


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

    def _judge(self, plan: Plan, part: Part) -> Judge:
        # By the configuration that alone has made the log the same is under way as was.
        flights = not (self._pasts.keys() <= {plan.revision} and _are_all_there(self._pasts))
        return Judge(plan, offset=part.offset, callers=self._question.callers, flights=flights)

    def half(self, part: Part, file: int) -> Half:
        """What becomes of the records of a part of the file of that number."""
        question, pasts = self._question, self._pasts
        judge = self._judge(self._plan, part)
        old_judge: Judge | None = None
        if self._old_plan is not None:
            old_judge = self._judge(self._old_plan, part)
        tally = Tally()
        skipped, sampled = 0, False
        since, until = question.since, question.until
        # What comes before the period has been counted, and what is counted is judged of it.
        judged_since = since
        if judge.counts or (old_judge is not None and old_judge.counts):
            judged_since = float("-inf")
        going: dict[float, _Going] = {}
        heard = Heard()
        mine: _Going | None = None
        for recorded in records(part, pasts, heard, self._wanted):
            if recorded is None:
                skipped += 1
                continue
            try:
                at = recorded.at
                number, worker = recorded.sequence, recorded.worker
                if mine is None or mine.since != recorded.since:
                    mine = going.get(recorded.since)
                    if mine is None:
                        for other in going.values():
                            other.spool.close()  # so that all of them hold no more than one may
                        spool = Spool(self._directory, file, judge, old_judge, held=self._held)
                        mine = going[recorded.since] = _Going(recorded.since, spool)
                    mine.spool.resume()
                if not judged_since <= at < until:
                    mine.follow(worker, number, at, recorded)
                    continue
                trace = judge.trace(recorded)
                old = None if old_judge is None else old_judge.trace(recorded)
                before = recorded.verdict() if old is None else PASSED
            except (ValueError, KeyError, TypeError, AttributeError, *UNREADABLE):
                skipped += 1
                continue
            if recorded.sampled:
                sampled = True
            mine.follow(worker, number, at, recorded)
            told = recorded.told and at >= since
            counts = bool(trace.parts) or (old is not None and bool(old.parts))
            if not counts and not told:
                continue
            request_id, asked = recorded.request_id, recorded.asked
            if counts:
                mine.spool.add(
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
        shares = {since: own.share() for since, own in going.items()}
        return Half(file, part.offset, part.common, tally, shares, skipped, sampled, heard)


def _are_all_there(pasts: Mapping[str, Past]) -> bool:
    """Whether no number of a configuration is missing in between."""
    numbers: dict[float, set[int]] = {}
    for past in pasts.values():
        for since, _, number in past.told:
            numbers.setdefault(since, set()).add(number)
    return all(max(those) - min(those) < len(those) for those in numbers.values())


class _Run:
    """A stretch that goes on."""

    __slots__ = ("began", "behind", "done", "ended", "first", "last")

    def __init__(self, number: int, at: float, recorded: Recorded) -> None:
        self.first = self.last = number
        self.began = self.ended = at
        self.done = recorded.ended
        self.behind = recorded.behind


class _Going:
    """What has been read of one gateway."""

    def __init__(self, since: float, spool: Spool) -> None:
        self.since = since
        self.spool = spool
        self._first = float("inf")
        self._runs: dict[int, list[_Run]] = {}
        self._closing: set[int] = set()

    def follow(self, worker: int, number: int, at: float, recorded: Recorded) -> None:
        """Notes the number of a record among those of its worker."""
        if at < self._first:
            self._first = at
        runs = self._runs.get(worker)
        if runs is None:
            runs = self._runs[worker] = []
            if recorded.closes:
                self._closing.add(worker)
        else:
            last = runs[-1]
            if last.last + 1 == number:
                last.last = number
                last.behind = recorded.behind
                if at > last.ended:
                    last.ended = at
                return
        runs.append(_Run(number, at, recorded))

    def share(self) -> Share:
        self.spool.close()
        runs = {
            worker: [Stretch(run.first, run.last, run.began, run.ended, run.done, run.behind) for run in each]
            for worker, each in self._runs.items()
        }
        return Share(self.spool.files, self._first, self.spool.last, runs, self._closing)
