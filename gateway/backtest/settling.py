"""The second half of a back-test: decides what is to be counted, in the order of time."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gateway.backtest.counting import Ledger, Scale
from gateway.backtest.event import Event, File, Packed, Reader, key_of, lanes
from gateway.backtest.gap import Gap
from gateway.backtest.judge import Skip
from gateway.backtest.recorded import PASSED, REFUSE, Verdict, undecidable
from gateway.backtest.tally import Tally
from gateway.backtest.tariff import Placed
from gateway.plan import Plan

_COUNT: Final = 5
_SKIP: Final = len(Skip._fields)
"""By how many members the parts of a trace are told apart; what is left is a loss."""


class Machine:
    """What is counted of the exchanges of one machine.

    offset  seconds from the axis of its limits to the wall clock
    new     what the plan counts; old, what that counts which it is held against
    lacking  in how many gaps the exchange is that is decided
    """

    def __init__(
        self, plan: Plan, old_plan: Plan | None, began: float, offset: float, *, fresh: bool
    ) -> None:
        self.offset = offset
        self.lacking = 0
        self.new = Ledger(plan, began - offset, fresh=fresh)
        self.old = None if old_plan is None else Ledger(old_plan, began - offset, fresh=fresh)

    def lose(self, at: float) -> None:
        """Exchanges up to this instant are not in the log, in seconds since the epoch."""
        self.new.lose(at - self.offset)
        if self.old is not None:
            self.old.lose(at - self.offset)


class _Settler:
    """Decides the events of one file."""

    def __init__(self, file: File, machine: Machine, plan: Plan, old_plan: Plan | None) -> None:
        reader = Reader(file)
        named = reader.named
        self.machine = machine
        self.slices = reader.slices()
        self._verdicts: list[Verdict] = named.verdicts
        self._plan = plan
        self._old_plan = old_plan
        self._new = machine.new.scales(named.new)
        self._old: list[Scale] = [] if machine.old is None else machine.old.scales(named.old)
        self._undecided: dict[str, Verdict] = {}
        self._refusals: dict[int, Verdict] = {}  # by the ids of the tariffs, which the scales hold on to

    def settle(self, event: Event, tally: Tally) -> None:
        at, _, _, told, request_id, asked, route, project, number, old, new = event
        machine = self.machine
        after = self._resolved(new, machine.new, self._new, self._plan, tally if told else None)
        before = self._verdicts[number]
        if old is not None and machine.old is not None and self._old_plan is not None:
            before = self._resolved(old, machine.old, self._old, self._old_plan, None)
        if told:
            tally.add(at, request_id, asked, route, project, before, after)

    def _resolved(
        self, trace: Packed, ledger: Ledger, scales: list[Scale], plan: Plan, tally: Tally | None
    ) -> Verdict:
        """What becomes of an exchange, when what counts has been counted. Tells `tally` of filters in shadow."""
        unsure: Verdict | None = None
        refused: Verdict | None = None
        end, parts, shadows = trace
        for part in parts:
            if isinstance(part, int):
                if refused is None and unsure is None:
                    unsure = self._verdicts[part]
            elif len(part) == _COUNT:
                place, now, passed, shadow, draws = part
                if refused is not None:
                    if passed:
                        ledger.stray(now, draws, scales)
                    continue
                decided = ledger.decide(now, passed, draws, scales, reached=unsure is None)
                verdict, by = decided
                if shadow:
                    if tally is not None and passed is not None and verdict is not None:
                        name = plan.entries[place].name
                        would = Verdict(REFUSE, 0, name, "rate_limited")
                        tally.shadow(name, PASSED if passed else would, PASSED if verdict else would)
                elif verdict is None:
                    if unsure is None:
                        unsure = self._undecidable(plan.entries[place].name)
                elif not verdict:
                    assert by is not None, "something must have refused"
                    refused = self._refusal(by, plan)
            elif len(part) == _SKIP:
                ledger.skip(part[0], part[1])
            else:
                ledger.lose(part[0], strays=True)
        if unsure is not None:
            return unsure
        if refused is not None:
            return refused
        if tally is not None:
            for name, before, after in shadows:
                tally.shadow(name, self._verdicts[before], self._verdicts[after])
        return self._verdicts[end]

    def _refusal(self, by: Placed, plan: Plan) -> Verdict:
        known = self._refusals.get(id(by))
        if known is None:
            entry = plan.entries[by.place]
            known = Verdict(REFUSE, by.status, entry.name, "rate_limited", entry.source(by.rule))
            self._refusals[id(by)] = known
        return known

    def _undecidable(self, name: str) -> Verdict:
        known = self._undecided.get(name)
        if known is None:
            known = self._undecided[name] = undecidable(name, "what was counted before is not known")
        return known


def settle(
    files: Sequence[File],
    machines: Mapping[int, Machine],
    gaps: Sequence[Gap],
    plans: tuple[Plan, Plan | None],
    tally: Tally,
    *,
    sampled: bool,
) -> None:
    """Decides all events, and tells of them. `gaps` are in any order.

    sampled  whether records may be missing before each
    """
    ahead = [
        (at, ends, machines[gap.machine])
        for gap in gaps
        if gap.machine in machines
        for at, ends in ((gap.since, False), (gap.until, True))
    ]
    ahead.sort(key=lambda change: change[:2], reverse=True)
    for settler, event in _in_order(files, machines, plans):
        at = event[0]
        while ahead and ahead[-1][0] < at:
            when, ends, machine = ahead.pop()
            if ends:
                machine.lose(when)
            machine.lacking += -1 if ends else 1
        if sampled or settler.machine.lacking:
            settler.machine.lose(at)
        settler.settle(event, tally)


def _in_order(
    files: Sequence[File], machines: Mapping[int, Machine], plans: tuple[Plan, Plan | None]
) -> Iterable[tuple[_Settler, Event]]:
    rows = [_row(lane, machines, plans) for lane in lanes(files)]
    return rows[0] if len(rows) == 1 else heapq.merge(*rows, key=_key)


def _row(
    files: Sequence[File], machines: Mapping[int, Machine], plans: tuple[Plan, Plan | None]
) -> Iterator[tuple[_Settler, Event]]:
    plan, old_plan = plans
    for file in files:
        settler = _Settler(file, machines[file.machine], plan, old_plan)
        for events in settler.slices:
            for event in events:
                yield settler, event


def _key(item: tuple[_Settler, Event]) -> tuple[float, int, int]:
    return key_of(item[1])
