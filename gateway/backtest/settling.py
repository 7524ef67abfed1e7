"""The second half of a back-test: decides what is to be counted, in the order of time."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Final, TypeAlias

from gateway.backtest.counting import Ledger, Scale
from gateway.backtest.drop import Drop
from gateway.backtest.event import AT_ONCE, Event, File, Packed, Reader, key_of, lanes
from gateway.backtest.gap import Gap
from gateway.backtest.generation import Revisions
from gateway.backtest.judge import Hold, Skip
from gateway.backtest.recorded import FORWARD, PASSED, REFUSE, UNDECIDABLE, Verdict, undecidable
from gateway.backtest.tally import Tally
from gateway.backtest.tariff import Placed
from gateway.plan import Plan

_COUNT: Final = 7
_SKIP: Final = len(Skip._fields)
_HOLD: Final = len(Hold._fields)
"""By how many members the parts of a trace are told apart; what is left is a loss."""

_Standing: TypeAlias = tuple[Verdict | None, Verdict | None]
"""Of an exchange on its way: why it is undecidable, and what has refused it."""
_STANDING: Final[_Standing] = (None, None)


class Machine:
    """What is counted of the exchanges of one machine.

    offset  seconds from the axis of its limits to the wall clock
    new     what the plan counts; old, what that counts which it is held against
    lacking  in how many gaps the exchange is that is decided; `_others` in how many where something may have been charged by another
             configuration than each plan
    """

    def __init__(
        self,
        plan: Plan,
        old_plan: Plan | None,
        began: float,
        offset: float,
        *,
        fresh: bool,
        revisions: AbstractSet[str] = frozenset(),
        drops: Sequence[Drop] = (),
        old_drops: Sequence[Drop] = (),
    ) -> None:
        """`revisions` are of the configurations that the log is of; drops are of what the plan counts, and of what the old one
        does."""
        self.offset = offset
        self.lacking = 0
        self._plans = plan, old_plan
        self._others = [0, 0]
        self._revisions = revisions
        self.new = Ledger(plan, began - offset, fresh=fresh)
        self.old = None if old_plan is None else Ledger(old_plan, began - offset, fresh=fresh)
        self.drops = [(drop, self.new) for drop in drops]
        if self.old is not None:
            self.drops += [(drop, self.old) for drop in old_drops]

    def open(self, gap: Gap) -> None:
        """The exchanges that are decided from now on are in this gap."""
        self.lacking += 1
        self._note(gap.by, 1)

    def close(self, gap: Gap) -> None:
        self.lose(gap.until)
        self.lacking -= 1
        self._note(gap.by, -1)

    def sample(self) -> None:
        """Exchanges may be missing before any, by which of the configurations that the log is of is not known."""
        self.lacking += 1
        self._note(self._revisions, 1)

    def _note(self, by: Revisions, count: int) -> None:
        """By another plan something may have been charged then and not now, or now and not then, whatever of the plan is another:
        then what records say of cells is of another history."""
        for place, plan in enumerate(self._plans):
            if plan is not None and (by is None or not by <= {plan.revision}):
                self._others[place] += count

    def lose(self, at: float) -> None:
        """Exchanges up to this instant are not in the log, in seconds since the epoch."""
        new, old = self._others
        _lose(self.new, at - self.offset, strays=new > 0)
        if self.old is not None:
            _lose(self.old, at - self.offset, strays=old > 0)


def _lose(ledger: Ledger, now: float, *, strays: bool) -> None:
    ledger.lose(now, strays=strays)
    if strays:
        ledger.flights.doubt(now)


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
        _, _, _, told, request_id, asked, route, project, number, old, new, at, _ = event
        machine = self.machine
        after = self._resolved(new, machine.new, self._new, self._plan, tally if told else None)
        before = self._verdicts[number]
        if old is not None and machine.old is not None and self._old_plan is not None:
            before = self._resolved(old, machine.old, self._old, self._old_plan, None)
        if told:
            tally.add(at, request_id, asked, route, project, before, after)

    def begin(self, event: Event, tally: Tally) -> "list[_Walk]":
        """The ways of an exchange that comes to one limit a while after another, to be gone a limit at a time."""
        _, _, _, told, request_id, asked, route, project, number, old, new, at, _ = event
        machine = self.machine
        verdicts: dict[bool, Verdict] = {}
        walks: list[_Walk] = []

        def arrived(*, is_old: bool, verdict: Verdict) -> None:
            verdicts[is_old] = verdict
            if told and len(verdicts) == len(walks):
                before = verdicts.get(True, self._verdicts[number])
                tally.add(at, request_id, asked, route, project, before, verdicts[False])

        tells = tally if told else None
        walks.append(
            _Walk(self, event, new, machine.new, self._new, self._plan, tells, partial(arrived, is_old=False))
        )
        if old is not None and machine.old is not None and self._old_plan is not None:
            walks.append(
                _Walk(
                    self,
                    event,
                    old,
                    machine.old,
                    self._old,
                    self._old_plan,
                    None,
                    partial(arrived, is_old=True),
                )
            )
        return walks

    def _resolved(
        self, trace: Packed, ledger: Ledger, scales: list[Scale], plan: Plan, tally: Tally | None
    ) -> Verdict:
        """What becomes of an exchange, when what counts has been counted. Tells `tally` of filters in shadow."""
        standing = self.through(trace[1], _STANDING, ledger, scales, plan, tally)
        verdict = self.ended(trace, standing, tally)
        if ledger.flights.used:
            self.told(trace, verdict, ledger)
        return verdict

    def through(
        self,
        parts: Sequence[Any],
        standing: "_Standing",
        ledger: Ledger,
        scales: list[Scale],
        plan: Plan,
        tally: Tally | None,
    ) -> "_Standing":
        """How an exchange stands behind these parts of its way, that stood so before them."""
        unsure, refused = standing
        for part in parts:
            if isinstance(part, int):
                if refused is None and unsure is None:
                    unsure = self._verdicts[part]
            elif len(part) == _COUNT:
                place, now, passed, shadow, draws, _, hashed_by = part
                if refused is not None:
                    if passed:
                        ledger.stray(now, draws, scales, hashed_by=hashed_by)
                    continue
                decided = ledger.decide(
                    now, passed, draws, scales, reached=unsure is None, hashed_by=hashed_by
                )
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
            elif len(part) == _HOLD:
                held = Hold(*part)
                if refused is None and unsure is None and held.reached:
                    unsure = self._flight(held, ledger, plan)
                    if held.refusal is not None and unsure is None:
                        # As it was then: so what comes behind was not asked, and is not now.
                        return None, self._verdicts[part[-1]]
                else:
                    flight = ledger.flights.at(held.place)
                    if held.passed:
                        flight.lack(held.ended)
                    elif refused is None and held.reached:
                        flight.add(held.instant)
            elif len(part) == _SKIP:
                ledger.skip(part[0], part[1], hashed_by=part[2], instant=part[3])
            else:
                ledger.lose(part[0], strays=True)
        return unsure, refused

    def _flight(self, held: Hold, ledger: Ledger, plan: Plan) -> Verdict | None:
        """Why it is not known whether it is as it was that the exchange is under way; None where it is."""
        flight, now = ledger.flights.at(held.place), held.instant
        if held.passed:
            if flight.more(now) <= held.room:
                if held.queued and flight.fewer(now):  # then it has to wait less, and ends sooner
                    flight.lack(held.ended)
                return None
            flight.lack(held.ended)
            if held.queues:  # it may have to wait, and be under way for longer
                flight.add(now)
        else:
            if held.passed is not None and not flight.fewer(now):
                return None
            flight.add(now)
        return undecidable(plan.entries[held.place].name, "who else is under way is not known")

    def told(self, trace: Packed, verdict: Verdict, ledger: Ledger) -> None:
        """Notes how an exchange is under way otherwise than it was because something else becomes of it."""
        for part in trace[1]:
            if isinstance(part, int) or len(part) != _HOLD:
                continue
            held = Hold(*part)
            if not (held.passed and held.reached):
                continue
            if held.forwarded:
                if verdict.kind != FORWARD:
                    ledger.flights.at(held.place).lack(held.ended)
            elif verdict.kind in (FORWARD, UNDECIDABLE):
                ledger.flights.at(held.place).add(held.instant)

    def ended(self, trace: Packed, standing: "_Standing", tally: Tally | None) -> Verdict:
        """What becomes of an exchange that has gone all of its way."""
        unsure, refused = standing
        if unsure is not None:
            return unsure
        if refused is not None:
            return refused
        if tally is not None:
            for name, before, after in trace[2]:
                tally.shadow(name, self._verdicts[before], self._verdicts[after])
        return self._verdicts[trace[0]]

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


class _Walk:
    """The way of an exchange through one configuration, as far as it has been gone."""

    def __init__(
        self,
        settler: _Settler,
        event: Event,
        trace: Packed,
        ledger: Ledger,
        scales: list[Scale],
        plan: Plan,
        tally: Tally | None,
        arrived: Callable[..., None],
    ) -> None:
        self.settler = settler
        self._event = event
        self._trace = trace
        self._of = ledger, scales, plan, tally
        self._standing: _Standing = _STANDING
        self._arrived = arrived
        self._place = 0

    @property
    def turn(self) -> tuple[float, int, int]:
        """When it comes to its next limit; as the key of an event."""
        _, number, worker, *_, at, _ = self._event
        waited = next((part[5] for part in self._trace[1][self._place :] if _counts(part)), 0.0)
        return at + waited, number, worker

    def go(self) -> bool:
        """Goes to the next limit that it does not come to at once; whether there is one."""
        parts = self._trace[1]
        begin = end = self._place
        reached: float | None = None
        while end < len(parts):
            part = parts[end]
            if _counts(part):
                if reached is not None and part[5] - reached > AT_ONCE:
                    break
                reached = part[5]
            end += 1
        self._place = end
        self._standing = self.settler.through(parts[begin:end], self._standing, *self._of)
        if end < len(parts):
            return True
        verdict = self.settler.ended(self._trace, self._standing, self._of[3])
        if self._of[0].flights.used:
            self.settler.told(self._trace, verdict, self._of[0])
        self._arrived(verdict=verdict)
        return False


def _counts(part: Any) -> bool:
    return not isinstance(part, int) and len(part) in (_COUNT, _HOLD)


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
    ahead: list[tuple[float, int, Callable[[], None]]] = []
    for gap in gaps:
        where = machines.get(gap.machine)
        if where is not None:
            ahead += [(gap.since, 0, partial(where.open, gap)), (gap.until, 1, partial(where.close, gap))]
    for where in machines.values():
        if sampled:
            where.sample()
        ahead += [(drop.at, 2, partial(ledger.drop, drop.places)) for drop, ledger in where.drops]
    ahead.sort(key=lambda change: change[:2], reverse=True)

    def advance(at: float, machine: Machine) -> None:
        while ahead and ahead[-1][0] < at:
            ahead.pop()[2]()
        if machine.lacking:
            machine.lose(at)

    walks: list[tuple[tuple[float, int, int], int, _Walk]] = []  # of exchanges that are held before a limit
    number = 0

    def walk_until(key: tuple[float, int, int] | None) -> None:
        while walks and (key is None or walks[0][0] < key):
            turn, order, walk = heapq.heappop(walks)
            advance(turn[0], walk.settler.machine)
            if walk.go():
                heapq.heappush(walks, (walk.turn, order, walk))

    for settler, event in _in_order(files, machines, plans):
        if walks:
            walk_until(key_of(event))
        if event[12]:
            for walk in settler.begin(event, tally):
                number += 1
                heapq.heappush(walks, (walk.turn, number, walk))
            continue
        advance(event[0], settler.machine)
        settler.settle(event, tally)
    walk_until(None)


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
