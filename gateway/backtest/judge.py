"""Judges a recorded exchange by a configuration, as far as that needs no counting.

Filters that judge by what a record holds run as they do in the gateway. What a filter has learnt of the network stands in the
record as its verdict, which counts where the filter is the same as it was. What limits decide is left open: the charges are
told, and `gateway.backtest.counting` makes them in the order of time. What cannot be known is undecidable, never guessed.
"""

from collections.abc import Callable, Hashable, Sequence
from inspect import iscoroutine
from typing import Any, Final, NamedTuple, TypeAlias

from gateway.api.exchange import Exchange, Instant
from gateway.api.fact import BODY, LENGTH, PRINCIPAL, TARGET, Fact, header_names
from gateway.api.filter import Filter, facts_read
from gateway.api.principal import Principal
from gateway.api.verdict import Fault, Refused, Response
from gateway.backtest.recorded import (
    ANSWER,
    PASSED,
    REFUSE,
    UNDECIDABLE,
    Past,
    Recorded,
    Verdict,
    cells_of,
    undecidable,
)
from gateway.backtest.tariff import Tariffs
from gateway.chain import Chain, Entry
from gateway.http import target as target_rules
from gateway.plan import Plan, PlannedRoute

_FIXED: Final = frozenset(
    (
        "malformed_request",
        "version_unsupported",
        "host_invalid",
        "framing_invalid",
        "method_unknown",
        "method_unsupported",
        "expectation_unknown",
    )
)
"""Reasons for which a request is refused by every configuration."""
_COUNTED: Final = frozenset(("rate_counted", "rate_limited", "rate_exempt"))
"""Reasons of verdicts that charges tell all of."""
_MOST: Final = 4096
_SAME_CLOCK: Final = 5.0
"""Seconds by which the wall clock may have been set while the gateway ran, against the clock that limits count by."""


Draw: TypeAlias = tuple[int, Hashable, int, str | None, bool, Sequence[float] | None, bool]
"""What one limit is to be charged, as a plain tuple: number of the tariff, key, and cost; hash of the key as it was recorded;
whether the record says what the cell held, and that: seconds to live and two numbers, None for no cell; whether more was charged
when the answer came. The record is taken at its word only of a limit that is defined as it was."""


class Count(NamedTuple):
    """What a filter that counts is to decide.

    place    index of the entry in the plan
    instant  of the decision, on the axis of the limits
    passed   whether it was recorded to pass; None where it was not recorded to count
    shadow   whether nothing comes of it
    draws    what the exchange would be charged
    """

    place: int
    instant: float
    passed: bool | None
    shadow: bool
    draws: list[Draw]


class Loss(NamedTuple):
    """An entry may have charged anybody, at this instant."""

    instant: float


class Skip(NamedTuple):
    """What was charged then by an entry that the request does not come to now: limits, and hashes of the keys."""

    place: int
    hashes: dict[str, str]


class Shadow(NamedTuple):
    """What a filter in shadow would have made of the request, and what it did then."""

    name: str
    before: Verdict
    after: Verdict


class Trace(NamedTuple):
    """The way of an exchange through a chain. `parts` are what counts and what is undecidable, in order; then comes `end`."""

    parts: Sequence[Count | Loss | Skip | Verdict]
    end: Verdict
    shadows: Sequence[Shadow]


class _Step:
    """What is worked out of an entry once for each configuration of the past.

    by_record  whether what it said then is all that there is to judge by
    same       whether the entry was defined then as it is now
    told       whether records then held all header fields that it reads
    limits     names of its limits that were defined as they are now
    plain      whether its hook judges any exchange by itself, and that is all
    """

    __slots__ = (
        "by_record",
        "condition_reads",
        "condition_told",
        "counts",
        "delicate",
        "entry",
        "identifies",
        "judge",
        "limits",
        "name",
        "names",
        "plain",
        "reads",
        "same",
        "shadow",
        "told",
    )

    def __init__(
        self, entry: Entry, same: bool, headers: frozenset[str] | None, limits: frozenset[str]
    ) -> None:
        filter = entry.filter
        kind = type(filter)
        assert entry.on_request is not None
        self.entry = entry
        self.name: str = entry.name
        self.judge: Callable[[Exchange], Any] = entry.on_request
        self.reads: frozenset[Fact] = facts_read(filter)
        self.condition_reads = entry.condition_facts
        self.identifies: bool = kind.suppose is not Filter.suppose
        self.counts: bool = kind.charges is not Filter.charges
        self.by_record: bool = self.identifies or not (filter.pure or self.counts)
        self.delicate = not self.reads.isdisjoint(_DELICATE)
        self.same = same
        self.limits = limits
        self.shadow: bool = entry.mode == "shadow"
        read = frozenset(header_names(self.reads))
        condition_read = frozenset(header_names(self.condition_reads))
        self.told = not read or (headers is not None and read <= headers)
        self.condition_told = not condition_read or (headers is not None and condition_read <= headers)
        self.names = condition_read if self.by_record else condition_read | read
        self.plain = bool(
            not self.shadow
            and entry.condition is None
            and self.told
            and not (self.by_record or self.counts or self.delicate)
        )


class _Way:
    """The entries of a chain, for one configuration of the past. `names` are the header fields that any of them reads."""

    __slots__ = ("chain", "names", "past", "steps")

    def __init__(self, chain: Chain, past: Past, steps: list[_Step]) -> None:
        self.chain = chain
        self.past = past
        self.steps = steps
        self.names: frozenset[str] = frozenset().union(*(step.names for step in steps))


_NOT_FOUND: Final = Verdict(REFUSE, 404, "", "route_not_found")
_NOT_ROUTED: Final = Verdict(REFUSE, 405, "", "method_not_routed")

# An Instant, a Count and a Trace in a third of the time that their constructors take.
_instant = tuple.__new__
_count = tuple.__new__
_trace = tuple.__new__

_DELICATE: Final = (BODY, LENGTH, TARGET, PRINCIPAL)
"""Facts that a record may lack."""


class Judge:
    """Judges by a plan.

    offset   seconds from the axis of the limits to the wall clock
    callers  whether what was recorded of callers counts also where the filter that found them out is another now
    tariffs  by which the charges of its traces are numbered; may be replaced at any time
    """

    def __init__(self, plan: Plan, *, offset: float = 0.0, callers: bool = False) -> None:
        self._offset = offset
        self._plan = plan
        self._callers = callers
        described = plan.describe()
        self._digests = {entry["name"]: entry for entry in described["entries"]}
        self._core: str = described["core"]
        # By the ids of what each value holds on to, so that nothing else can have them.
        self._ways: dict[tuple[int, int], _Way] = {}
        self._principals: dict[object, Principal] = {}
        self.tariffs = Tariffs()

    def trace(self, recorded: Recorded) -> Trace:
        """The way of a recorded exchange."""
        if not recorded.entered:
            return Trace((), self._head(recorded), ())
        if not recorded.path_is_known:
            return Trace((), undecidable("", "a part of the path is not recorded"), ())
        facts = recorded.facts
        target: str = facts["target"]
        planned, params, _, allow = self._plan.router.match(
            facts["host"], target.partition("?")[0], facts["method"]
        )
        limit = self._plan.body_limit
        length = facts.get("content_length")
        if limit is not None and isinstance(length, int) and length > limit:
            return Trace((), Verdict(REFUSE, 413, "", "request_too_large"), ())
        if planned is not None:
            way = self._way(planned.chain, recorded.past)
            exchange = recorded.exchange(
                _instant(Instant, (recorded.at, recorded.at - self._offset)), way.names
            )
            exchange.route, exchange.params = planned.info, params
            return self._through(way, exchange, recorded, PASSED)
        way = self._way(self._plan.chain, recorded.past)
        exchange = recorded.exchange(Instant(recorded.at, recorded.at - self._offset), way.names)
        return self._through(way, exchange, recorded, _NOT_FOUND if allow is None else _NOT_ROUTED)

    def _head(self, recorded: Recorded) -> Verdict:
        """What becomes of a request that was refused before any filter saw it."""
        verdict = recorded.verdict()
        reason = recorded.reason
        same_core = recorded.past.core == self._core != ""
        if reason in _FIXED or (same_core and reason != "target_ambiguous"):
            return verdict
        if reason == "target_ambiguous" and recorded.path_is_known:
            facts = recorded.facts
            try:
                target = target_rules.split(facts["target"].encode("latin-1", "replace"))
            except ValueError:
                return verdict
            planned: PlannedRoute | None = self._plan.router.match(
                facts["host"], target.path, facts["method"]
            )[0]
            if planned is None or not planned.lenient:
                return verdict
        return undecidable("", f"it was refused before filters saw it: {reason}")

    def _through(self, way: _Way, exchange: Exchange, recorded: Recorded, end: Verdict) -> Trace:
        parts: list[Count | Loss | Skip | Verdict] = []
        shadows: list[Shadow] = []
        unknown: set[Fact] = set()  # what an entry that is undecidable would have found out
        found: Count | Verdict | None
        for number, step in enumerate(way.steps):
            if step.plain:
                found = self._asked(step, exchange, recorded)
            else:
                if step.entry.condition is not None:
                    holds = self._holds(step, exchange, recorded, unknown)
                    if holds is None:
                        if not step.shadow:
                            parts.append(undecidable(step.name, "whether its `when` holds is not known"))
                            if step.identifies:
                                unknown.add(PRINCIPAL)
                        continue
                    if not holds:
                        continue
                if step.shadow:
                    shadow = self._in_shadow(step, exchange, recorded, unknown)
                    if isinstance(shadow, Count):
                        parts.append(shadow)
                    elif shadow is not None:
                        shadows.append(shadow)
                    continue
                found = self._judged(step, exchange, recorded, unknown)
            if found is None:
                continue
            if isinstance(found, Count):
                parts.append(found)
            elif found.kind == UNDECIDABLE:
                parts.append(found)
                if step.counts:
                    parts.append(Loss(exchange.clock.monotonic))
                if step.identifies:
                    unknown.add(PRINCIPAL)
            else:
                for later in way.steps[number + 1 :]:
                    skip = _skipped(later, recorded)
                    if skip is not None:
                        parts.append(skip)
                return Trace(parts, found, shadows)
        return _trace(Trace, (parts, end, shadows))

    def _holds(self, step: _Step, exchange: Exchange, recorded: Recorded, unknown: set[Fact]) -> bool | None:
        """Whether the entry's condition does; None where that is not known."""
        if not step.condition_told or not unknown.isdisjoint(step.condition_reads):
            return None
        if TARGET in step.condition_reads and not recorded.path_is_known:
            return None
        assert step.entry.condition is not None
        return step.entry.condition(exchange)

    def _judged(
        self, step: _Step, exchange: Exchange, recorded: Recorded, unknown: set[Fact]
    ) -> Count | Verdict | None:
        if step.by_record:
            return self._by_record(step, exchange, recorded)
        if step.delicate:
            lacking = self._lacking(step, recorded, unknown)
            if lacking:
                return self._by_record(step, exchange, recorded, lacking)
        if not step.told:
            return self._by_record(step, exchange, recorded, "a header field that it reads is not recorded")
        if step.counts:
            return self._count(step, exchange, recorded)
        return self._asked(step, exchange, recorded)

    def _asked(self, step: _Step, exchange: Exchange, recorded: Recorded) -> Verdict | None:
        """What its hook says."""
        entry = step.entry
        try:
            verdict = step.judge(exchange)
        except Refused as refused:
            verdict = refused.fault
        except Exception as error:  # noqa: BLE001 - a bug of a filter is a bug of one exchange
            return undecidable(entry.name, f"it fails: {type(error).__name__}")
        if verdict is None:
            return None
        if isinstance(verdict, Fault):
            return Verdict(REFUSE, verdict.status, entry.name, verdict.reason, entry.source(verdict.rule))
        if isinstance(verdict, Response):
            return Verdict(ANSWER, verdict.status, entry.name, verdict.reason, entry.source(verdict.rule))
        if iscoroutine(verdict):
            verdict.close()
        return self._by_record(step, exchange, recorded, "it has to wait for something")

    def _lacking(self, step: _Step, recorded: Recorded, unknown: set[Fact]) -> str:
        """What of the facts that the entry reads is not known; empty where all are."""
        reads = step.reads
        if BODY in reads and not recorded.body_is_empty:
            return "bodies are not recorded"
        if LENGTH in reads and not recorded.length_is_known:
            return "the size of the body was not known when it was judged"
        if PRINCIPAL in reads and PRINCIPAL in unknown:
            return "who was calling is not known"
        if TARGET in reads and not step.counts and not recorded.query_is_known:
            return "a part of the target is not recorded"
        return ""

    def _by_record(
        self, step: _Step, exchange: Exchange, recorded: Recorded, why: str = ""
    ) -> Verdict | None:
        """What the entry said then, where it is the same as then."""
        entry = step.entry
        told = recorded.steps.get(entry.name)
        if not step.same and not (self._callers and step.identifies):
            return undecidable(
                entry.name, why or "it is another than it was, and needs more than is recorded"
            )
        if told is None or told["verdict"] in ("skip", "undecided") or told.get("shadow"):
            return undecidable(entry.name, why or "it was not asked")
        if told["verdict"] == "pass":
            if step.identifies:
                exchange.principal = self._principal(recorded)
            return None
        kind = ANSWER if told["verdict"] == "answer" else REFUSE
        return Verdict(kind, told["status"], entry.name, told["reason"], entry.source(()))

    def _principal(self, recorded: Recorded) -> Principal | None:
        told = recorded.facts.get("principal")
        if told is None:
            return None
        key = (told.get("token_key"), told.get("project_id"), told.get("expires_at"))
        found = self._principals.get(key)
        if found is None or key[0] is None:
            if len(self._principals) >= _MOST:
                self._principals.clear()
            found = recorded.principal
            assert found is not None
            self._principals[key] = found
        return found

    def _count(self, step: _Step, exchange: Exchange, recorded: Recorded) -> Count | Verdict | None:
        entry = step.entry
        told = recorded.steps.get(entry.name)
        if told is not None and told.get("reason", "rate_counted") not in _COUNTED:
            # A store has decided, or nobody: what it said is what is known of it.
            return self._by_record(step, exchange, recorded)
        cells: Sequence[Sequence[Any]] = ()
        late: frozenset[str] = frozenset()
        passed: bool | None = None
        now: float = exchange.clock.monotonic
        if told is not None and bool(told.get("shadow")) == step.shadow:
            instant, recorded_cells = cells_of(told)
            if instant is not None:
                if abs(recorded.at - instant - self._offset) >= _SAME_CLOCK:
                    return undecidable(
                        entry.name, "it counted by another clock: the machine was started anew"
                    )
                passed = told["verdict"] == "pass"
                cells = recorded_cells
                if recorded.late:
                    late = _late(entry.name, recorded)
                now = instant
                exchange.clock = _instant(Instant, (recorded.at, instant))
        charges = entry.filter.charges(exchange)
        if charges is None:
            return self._by_record(step, exchange, recorded, "it does more than count")
        if not charges:
            return None
        draws: list[Draw] = []
        index: int = entry.index
        tariffs, limits = self.tariffs, step.limits
        for charge in charges:
            limit, key, cost, _, _, _, _ = charge
            hashed: str | None = None
            tells = False
            held: Sequence[float] | None = None
            for cell in cells:
                if cell[0] == limit:
                    hashed = cell[1]
                    if limit in limits:
                        tells, held = True, cell[3]
                    break
            draws.append((tariffs.number(index, charge), key, cost, hashed, tells, held, limit in late))
        return _count(Count, (index, now, passed, step.shadow, draws))

    def _in_shadow(
        self, step: _Step, exchange: Exchange, recorded: Recorded, unknown: set[Fact]
    ) -> Shadow | Count | None:
        """What an entry in shadow makes of the request; None where there is nothing to compare it with, or it is undecidable."""
        entry = step.entry
        told = recorded.steps.get(entry.name)
        principal, headers = exchange.principal, exchange.request.headers
        exchange.request.headers = headers.copy()
        found = self._judged(step, exchange, recorded, unknown)
        exchange.principal, exchange.request.headers = principal, headers
        if isinstance(found, Count):
            return found
        if told is None or not told.get("shadow") or (found is not None and found.kind == UNDECIDABLE):
            return None
        before = PASSED
        if told["verdict"] in ("refuse", "answer"):
            before = Verdict(REFUSE, told["status"], entry.name, told["reason"], told["source"])
        return Shadow(entry.name, before, PASSED if found is None else found)

    # ---- what is worked out once

    def _way(self, chain: Chain, past: Past) -> _Way:
        key = (id(chain), id(past))
        way = self._ways.get(key)
        if way is None:
            steps = [self._step(entry, past) for entry in chain.guards]
            way = self._ways[key] = _Way(chain, past, steps)
        return way

    def _step(self, entry: Entry, past: Past) -> _Step:
        mine = self._digests[entry.name]
        then = past.entries.get(entry.name)
        limits: frozenset[str] = frozenset()
        if then is not None and then.type == entry.type:
            limits = frozenset(name for name, told in mine["limits"].items() if then.limits.get(name) == told)
        same = then is not None and (then.type, then.digest) == (entry.type, mine["digest"])
        return _Step(entry, same, past.headers, limits)


def _skipped(step: _Step, recorded: Recorded) -> Skip | None:
    """What an entry has charged that the request does not come to now."""
    told = recorded.steps.get(step.name) if step.counts else None
    if told is None or told["verdict"] != "pass":
        return None
    hashes = {cell[0]: cell[1] for cell in cells_of(told)[1]}
    return Skip(step.entry.index, hashes) if hashes else None


def _late(name: str, recorded: Recorded) -> frozenset[str]:
    """Names of the limits that an entry has charged more when the answer came."""
    found: set[str] = set()
    for step in recorded.late:
        if step["name"] == name:
            for note in (step, *step.get("notes", ())):
                found.update(str(cell[0]) for cell in cells_of(note)[1])
    return frozenset(found)
