"""Judges a recorded exchange by a configuration, as far as that needs no counting.

Filters that judge by what a record holds run as they do in the gateway. What a filter has learnt of the network stands in the
record as its verdict, which counts where the filter is the same as it was. What limits decide is left open: the charges are
told, and `gateway.backtest.counting` makes them in the order of time. What cannot be known is undecidable, never guessed.
"""

from collections.abc import Callable, Sequence
from inspect import iscoroutine
from typing import Any, Final, NamedTuple

from gateway.api.exchange import Exchange, Instant
from gateway.api.fact import BODY, LENGTH, PARAMS, PRINCIPAL, TARGET, Fact, header_names
from gateway.api.filter import Filter, facts_of
from gateway.api.meter import Charge
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


class Count(NamedTuple):
    """What a filter that counts is to decide.

    place     index of the entry in the plan
    charges   that the exchange would be charged
    instant   of the decision, on the axis of the limits
    before    what cells held then, by the name of the limit: seconds to live and two numbers, None for no cell; only of limits
              that are defined as they were
    hashes    of the keys as they were recorded, by the name of the limit
    late      names of limits that were charged more when the answer came
    passed    whether it was recorded to pass; None where it was not recorded to count
    shadow    whether nothing comes of it
    """

    place: int
    charges: Sequence[Charge]
    instant: float
    before: dict[str, Sequence[float] | None]
    hashes: dict[str, str]
    late: frozenset[str]
    passed: bool | None
    shadow: bool


class Loss(NamedTuple):
    """An entry may have charged anybody, at this instant."""

    place: int
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


class _Step(NamedTuple):
    """What is worked out of an entry once."""

    entry: Entry
    judge: Callable[[Exchange], Any]
    headers: frozenset[str]
    reads: frozenset[Fact]
    condition_headers: frozenset[str]
    condition_reads: frozenset[Fact]
    by_record: bool
    identifies: bool
    counts: bool
    delicate: bool


class _Known(NamedTuple):
    """What is worked out of an entry once for each configuration of the past.

    same    whether the entry was defined then as it is now
    told    whether records then held all header fields that it reads
    limits  names of its limits that were defined as they are now
    """

    same: bool
    told: bool
    condition_told: bool
    limits: frozenset[str]


_DELICATE: Final = (BODY, LENGTH, TARGET, PARAMS, PRINCIPAL)


class Judge:
    """Judges by a plan.

    offset   seconds from the axis of the limits to the wall clock
    callers  whether what was recorded of callers counts also where the filter that found them out is another now
    """

    def __init__(self, plan: Plan, *, offset: float = 0.0, callers: bool = False) -> None:
        self._offset = offset
        self._plan = plan
        self._callers = callers
        described = plan.describe()
        self._digests = {entry["name"]: entry for entry in described["entries"]}
        self._core: str = described["core"]
        self._chains: dict[int, tuple[Chain, tuple[_Step, ...]]] = {}
        self._known: dict[int, tuple[Past, dict[int, _Known]]] = {}
        self._principals: dict[Any, Principal] = {}

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
        exchange = recorded.exchange(Instant(recorded.at, recorded.at - self._offset))
        if planned is not None:
            exchange.route, exchange.params = planned.info, params
            return self._through(planned.chain, exchange, recorded, PASSED)
        end = (
            Verdict(REFUSE, 404, "", "route_not_found")
            if allow is None
            else Verdict(REFUSE, 405, "", "method_not_routed")
        )
        return self._through(self._plan.chain, exchange, recorded, end)

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

    def _through(self, chain: Chain, exchange: Exchange, recorded: Recorded, end: Verdict) -> Trace:
        steps = self._steps(chain)
        known = self._knowledge(recorded.past)
        parts: list[Count | Loss | Skip | Verdict] = []
        shadows: list[Shadow] = []
        unknown: set[Fact] = set()  # what an entry that is undecidable would have found out
        for number, step in enumerate(steps):
            entry = step.entry
            knows = known.get(entry.index)
            if knows is None:
                knows = known[entry.index] = self._knows(step, recorded.past)
            in_shadow = entry.mode == "shadow"
            if entry.condition is not None:
                holds = self._holds(step, knows, exchange, recorded, unknown)
                if holds is None:
                    if not in_shadow:
                        parts.append(undecidable(entry.name, "whether its `when` holds is not known"))
                        if step.identifies:
                            unknown.add(PRINCIPAL)
                    continue
                if not holds:
                    continue
            if in_shadow:
                shadow = self._in_shadow(step, knows, exchange, recorded, unknown)
                if isinstance(shadow, Count):
                    parts.append(shadow)
                elif shadow is not None:
                    shadows.append(shadow)
                continue
            found = self._judged(step, knows, exchange, recorded, unknown)
            if found is None:
                continue
            if isinstance(found, Count):
                parts.append(found)
            elif found.kind == UNDECIDABLE:
                parts.append(found)
                if step.counts:
                    parts.append(Loss(entry.index, exchange.clock.monotonic))
                if step.identifies:
                    unknown.add(PRINCIPAL)
            else:
                parts += self._skipped(steps[number + 1 :], recorded)
                return Trace(parts, found, shadows)
        return Trace(parts, end, shadows)

    def _skipped(self, steps: Sequence[_Step], recorded: Recorded) -> list[Skip]:
        skipped = []
        for step in steps:
            told = recorded.steps.get(step.entry.name) if step.counts else None
            if told is not None and told["verdict"] == "pass":
                hashes = {cell[0]: cell[1] for cell in cells_of(told)[1]}
                if hashes:
                    skipped.append(Skip(step.entry.index, hashes))
        return skipped

    def _holds(
        self, step: _Step, knows: _Known, exchange: Exchange, recorded: Recorded, unknown: set[Fact]
    ) -> bool | None:
        """Whether the entry's condition does; None where that is not known."""
        if not knows.condition_told or not unknown.isdisjoint(step.condition_reads):
            return None
        if TARGET in step.condition_reads and not recorded.path_is_known:
            return None
        assert step.entry.condition is not None
        return step.entry.condition(exchange)

    def _judged(
        self, step: _Step, knows: _Known, exchange: Exchange, recorded: Recorded, unknown: set[Fact]
    ) -> Count | Verdict | None:
        entry = step.entry
        if step.by_record:
            return self._by_record(step, knows, exchange, recorded)
        if step.delicate:
            lacking = self._lacking(step, recorded, unknown)
            if lacking:
                return self._by_record(step, knows, exchange, recorded, lacking)
        if not knows.told:
            return self._by_record(
                step, knows, exchange, recorded, "a header field that it reads is not recorded"
            )
        if step.counts:
            return self._count(step, knows, exchange, recorded)
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
        return self._by_record(step, knows, exchange, recorded, "it has to wait for something")

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
        self, step: _Step, knows: _Known, exchange: Exchange, recorded: Recorded, why: str = ""
    ) -> Verdict | None:
        """What the entry said then, where it is the same as then."""
        entry = step.entry
        told = recorded.steps.get(entry.name)
        if not knows.same and not (self._callers and step.identifies):
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

    def _count(
        self, step: _Step, knows: _Known, exchange: Exchange, recorded: Recorded
    ) -> Count | Verdict | None:
        entry = step.entry
        told = recorded.steps.get(entry.name)
        if told is not None and told.get("reason", "rate_counted") not in _COUNTED:
            # A store has decided, or nobody: what it said is what is known of it.
            return self._by_record(step, knows, exchange, recorded)
        before: dict[str, Sequence[float] | None] = {}
        hashes: dict[str, str] = {}
        late: frozenset[str] = frozenset()
        passed: bool | None = None
        if told is not None and bool(told.get("shadow")) == (entry.mode == "shadow"):
            instant, cells = cells_of(told)
            if instant is not None and abs(recorded.at - instant - self._offset) >= _SAME_CLOCK:
                return undecidable(entry.name, "it counted by another clock: the machine was started anew")
            if instant is not None:
                passed = told["verdict"] == "pass"
                before = {cell[0]: cell[3] for cell in cells if cell[0] in knows.limits}
                hashes = {cell[0]: cell[1] for cell in cells}
                if recorded.late:
                    late = _late(entry.name, recorded)
                exchange.clock = Instant(recorded.at, instant)
        charges = entry.filter.charges(exchange)
        if charges is None:
            return self._by_record(step, knows, exchange, recorded, "it does more than count")
        if not charges:
            return None
        now = exchange.clock.monotonic
        return Count(entry.index, charges, now, before, hashes, late, passed, entry.mode == "shadow")

    def _in_shadow(
        self, step: _Step, knows: _Known, exchange: Exchange, recorded: Recorded, unknown: set[Fact]
    ) -> Shadow | Count | None:
        """What an entry in shadow makes of the request; None where there is nothing to compare it with, or it is undecidable."""
        entry = step.entry
        told = recorded.steps.get(entry.name)
        principal, headers = exchange.principal, exchange.request.headers
        exchange.request.headers = headers.copy()
        found = self._judged(step, knows, exchange, recorded, unknown)
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

    def _steps(self, chain: Chain) -> tuple[_Step, ...]:
        known = self._chains.get(id(chain))
        if known is None:
            known = self._chains[id(chain)] = (chain, tuple(map(_step, chain.guards)))
        return known[1]

    def _knowledge(self, past: Past) -> dict[int, _Known]:
        known = self._known.get(id(past))
        if known is None:
            known = self._known[id(past)] = (past, {})
        return known[1]

    def _knows(self, step: _Step, past: Past) -> _Known:
        entry = step.entry
        mine = self._digests[entry.name]
        then = past.entries.get(entry.name)
        same = then is not None and (then.type, then.digest) == (entry.type, mine["digest"])
        limits: frozenset[str] = frozenset()
        if then is not None and then.type == entry.type:
            limits = frozenset(name for name, told in mine["limits"].items() if then.limits.get(name) == told)
        headers = past.headers
        return _Known(
            same,
            (headers is not None and step.headers <= headers) or not step.headers,
            (headers is not None and step.condition_headers <= headers) or not step.condition_headers,
            limits,
        )


def _late(name: str, recorded: Recorded) -> frozenset[str]:
    """Names of the limits that an entry has charged more when the answer came."""
    found: set[str] = set()
    for step in recorded.late:
        if step["name"] == name:
            for note in (step, *step.get("notes", ())):
                found.update(str(cell[0]) for cell in cells_of(note)[1])
    return frozenset(found)


def _step(entry: Entry) -> _Step:
    filter = entry.filter
    kind = type(filter)
    reads = facts_of(kind, filter.config)
    condition_reads = entry.condition_facts
    identifies = kind.suppose is not Filter.suppose
    counts = kind.charges is not Filter.charges
    assert entry.on_request is not None
    return _Step(
        entry,
        entry.on_request,
        frozenset(header_names(reads)),
        reads,
        frozenset(header_names(condition_reads)),
        condition_reads,
        identifies or not (filter.pure or counts),
        identifies,
        counts,
        not reads.isdisjoint(_DELICATE),
    )
