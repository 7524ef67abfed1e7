"""Judges a recorded exchange by a configuration, as far as that needs no counting.

Filters that judge by what a record holds run as they do in the gateway. What a filter has learnt of the network stands in the
record as its verdict, which counts where the filter is the same as it was. The header fields that it has set then are not
recorded: who reads one of them judges as he did, where nothing before him is another, and is undecidable elsewhere. What limits
decide is left open: the charges are told, and `gateway.backtest.counting` makes them in the order of time. What cannot be known
is undecidable, never guessed.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from inspect import iscoroutine
from typing import Any, Final, NamedTuple, TypeAlias, final

from gateway.api.exchange import Exchange, Instant, ShadowExchange
from gateway.api.fact import (
    BODY,
    CLIENT,
    LENGTH,
    PARAMS,
    PRINCIPAL,
    ROUTE,
    SCHEME,
    TARGET,
    Fact,
    header,
    header_names,
)
from gateway.api.filter import Filter, facts_read
from gateway.api.principal import Principal
from gateway.api.verdict import Fault, Refused, Response
from gateway.backtest.recorded import (
    ANSWER,
    FORWARD,
    PASSED,
    REFUSE,
    UNDECIDABLE,
    Past,
    Recorded,
    Verdict,
    cells_of,
    principal_in,
    undecidable,
)
from gateway.backtest.sealed import REDACTED, SealedFields, SealedOverlay, Spelling, Unread, spelling
from gateway.backtest.tariff import Tariffs
from gateway.chain import Chain, Entry, sampled
from gateway.http import delegation
from gateway.http import target as target_rules
from gateway.http.delegation import Delegation
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
_ELSEWHERE: Final = frozenset(("rate_leased", "rate_counted_locally"))
"""Reasons of verdicts by what has been counted, of which no record says what it was: shares of a store's cell that were drawn ahead,
or what one process has counted for itself."""
UNTOLD: Final[Sequence[float]] = ()
"""Stands for what a cell held that was not what decides."""
_MOST: Final = 4096
_SAME_CLOCK: Final = 5.0
"""Seconds by which the wall clock may have been set while the gateway ran, against the clock that limits count by."""


Draw: TypeAlias = tuple[int, Hashable, int, str | None, bool, Sequence[float] | None, bool, Spelling | None]
"""What one limit is to be charged, as a plain tuple: number of the tariff, key (None where nobody knows whose cell it is), and
cost; hash of the key as it was recorded; whether the record says what the cell held, and that: seconds to live and two numbers,
None for no cell, and `UNTOLD` where a request is paid otherwise, so that nobody knows what the cell holds; whether more was charged when the answer came; how header fields are spelled in the key, None where the key is no more than its hash. The record is taken at
its word only of a limit that is defined as it was."""


@final
class Count:
    """What a filter that counts is to decide.

    place      index of the entry in the plan
    instant    of the decision, on the axis of the limits
    passed     whether it was recorded to pass; None where it was not recorded to count
    shadow     whether nothing comes of it
    draws      what the exchange would be charged
    waited     seconds after the arrival of the head at which it comes to decide: limits charge as of an instant of their own, one
               request after another
    hashed_by  what tells apart by what the keys were hashed; empty where that is not known
    """

    __slots__ = ("draws", "hashed_by", "instant", "passed", "place", "shadow", "waited")

    def __init__(
        self,
        place: int,
        instant: float,
        passed: bool | None,
        shadow: bool,
        draws: list[Draw],
        waited: float = 0.0,
        hashed_by: str = "",
    ) -> None:
        self.place = place
        self.instant = instant
        self.passed = passed
        self.shadow = shadow
        self.draws = draws
        self.waited = waited
        self.hashed_by = hashed_by


class Loss(NamedTuple):
    """An entry may have charged anybody, at this instant."""

    instant: float


class Skip(NamedTuple):
    """What was charged then by an entry that the request does not come to now: limits, and hashes of the keys.

    hashed_by  as of a count
    instant    of the charge; infinity where it is not known
    """

    place: int
    hashes: dict[str, str]
    hashed_by: str = ""
    instant: float = float("inf")


class Hold(NamedTuple):
    """What an entry that limits how many are under way said then, which is so still unless others are under way.

    place      as of a count; `waited` too
    instant    of the arrival, on the axis of the limits
    ended      when the exchange was over then
    passed     whether it was under way then; None where it did not come so far
    reached    whether it may come so far now
    room       by how many more may be under way before it would not have passed
    queued     whether it had to wait for others; and `queues`, whether any may
    forwarded  whether all filters passed it then
    refusal    what it said where it refused
    """

    place: int
    instant: float
    ended: float
    passed: bool | None
    reached: bool
    waited: float
    room: int
    queued: bool
    queues: bool
    forwarded: bool
    refusal: Verdict | None = None


class Shadow(NamedTuple):
    """What a filter in shadow would have made of the request, and what it did then."""

    name: str
    before: Verdict
    after: Verdict


@final
class Trace:
    """The way of an exchange through a chain. `parts` are what counts and what is undecidable, in order; then comes `end`."""

    __slots__ = ("end", "parts", "shadows")

    def __init__(
        self, parts: Sequence[Count | Hold | Loss | Skip | Verdict], end: Verdict, shadows: Sequence[Shadow]
    ) -> None:
        self.parts = parts
        self.end = end
        self.shadows = shadows


class _Flying(NamedTuple):
    """An entry that limits how many are under way.

    most    how many may be, where there is but one limit; 0 elsewhere
    queues  whether any wait for others
    """

    place: int
    most: int
    queues: bool


def _flying(entry: Entry) -> _Flying:
    limits = entry.filter.config.limits
    most = limits[0].max if len(limits) == 1 else 0
    return _Flying(entry.index, most, any(limit.queue is not None for limit in limits))


class _Step:
    """What is worked out of an entry once for each configuration of the past.

    by_record    whether what it said then is all that there is to judge by
    same         whether its options were then what they are now
    whole        whether all of the entry was, its condition too
    told         whether records then held all header fields that it reads
    limits       names of its limits that were defined as they are now
    routed       whether it judges by parameters of the route's path
    plain        whether its hook judges any exchange by itself, and that is all
    found_out    header fields that others may read of it, and no record tells
    disturbed    whether an entry before it may make another request of it than was made then
    is_partial   whether it is in shadow for a share of the exchanges
    ahead        names of those that may hold a request before it comes to it
    keyed        header fields in the keys of its limits, by names of these; and `tokened`, those with a token in their keys
    taken        header fields in keys that are taken from clients now
    split        whether an entry before it makes lines of the members of one
    leases       whether shares of a store's cells are drawn ahead
    flies        whether it limits how many are under way, and others may be than were
    """

    __slots__ = (
        "ahead",
        "by_record",
        "condition_reads",
        "condition_told",
        "counts",
        "delegates",
        "delicate",
        "disturbed",
        "entry",
        "flies",
        "found_out",
        "identifies",
        "is_partial",
        "judge",
        "keyed",
        "leases",
        "limits",
        "name",
        "names",
        "plain",
        "reads",
        "routed",
        "same",
        "shadow",
        "split",
        "taken",
        "tokened",
        "told",
        "whole",
    )

    def __init__(
        self,
        entry: Entry,
        same: bool,
        whole: bool,
        headers: frozenset[str] | None,
        limits: frozenset[str],
        flies: bool,
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
        self.routed = PARAMS in self.reads
        self.delicate = not self.reads.isdisjoint(_DELICATE)
        self.same = same
        self.whole = whole
        self.limits = limits
        self.shadow: bool = entry.mode == "shadow"
        self.is_partial: bool = self.shadow and entry.shadow_share < 10_000
        self.delegates: bool = self.shadow and entry.delegate is not None
        self.disturbed = False
        self.ahead: Sequence[str] = ()
        parts = _key_parts(entry) if self.counts else {}
        self.keyed: Mapping[str, Sequence[str]] = _header_keys(parts)
        self.tokened = [name for name, key in parts.items() if _TOKEN in key]
        self.split = False
        store = getattr(filter.config, "store", None)
        self.flies = flies
        self.leases = getattr(store, "lease", None) is not None
        self.taken: frozenset[str] = frozenset()
        read = frozenset(header_names(self.reads))
        condition_read = frozenset(header_names(self.condition_reads))
        self.told = not read or (headers is not None and read <= headers)
        self.condition_told = not condition_read or (headers is not None and condition_read <= headers)
        self.names = condition_read if self.by_record else condition_read | read
        self.found_out: frozenset[Fact] = frozenset(header(name.decode("latin-1")) for name in filter.owns)
        self.plain = bool(
            not self.shadow
            and entry.condition is None
            and self.told
            and not (self.by_record or self.counts or self.delicate)
        )


class _Aside:
    """What entries in shadow have found out of an exchange, for one another only. `unknown` as in `Judge._through`."""

    __slots__ = ("base", "exchange", "unknown")

    def __init__(self, base: Exchange) -> None:
        self.base = base
        self.exchange = ShadowExchange(base, base.request.body)
        if isinstance(base.request.headers, SealedFields):
            self.exchange.request.headers = SealedOverlay(base.request.headers)
        self.unknown: set[Fact] = set()


class _Way:
    """The entries of a chain, for one configuration of the past.

    names      the header fields of a client that any of them reads
    finders    names of the entries that may have found out who was calling
    gone       names of entries that are not in the chain, and may have made another request of one
    elsewhere  entries of other chains that count: their places, and the limits that are what they were
    unseen     header fields that were taken from clients then, and are not now: no record has them
    judged     of fields that filters own, and that are judged now: names of the entries that judged them then, and of those of them
               that are in the chain. Where none of them was, the field was taken from the client
    """

    __slots__ = ("chain", "elsewhere", "finders", "gone", "judged", "names", "past", "steps", "unseen")

    def __init__(
        self,
        chain: Chain,
        past: Past,
        steps: list[_Step],
        elsewhere: Mapping[str, tuple[int, frozenset[str]]],
        owned: AbstractSet[str],
    ) -> None:
        self.elsewhere = elsewhere
        self.unseen: frozenset[Fact] = frozenset(header(name) for name in past.owned - owned)
        self.chain = chain
        self.past = past
        self.steps = steps
        unwanted = frozenset(name.decode("latin-1") for name in chain.unwanted)
        own_names = frozenset(step.name for step in steps)
        self.judged: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        for field in past.owned.intersection(name.decode("latin-1") for name in chain.doubtful):
            judging = frozenset(name for name, entry in past.entries.items() if field in entry.judges)
            self.judged[field] = judging, judging & own_names
        self.names: frozenset[str] = frozenset().union(*(step.names for step in steps)) - unwanted
        read_later: frozenset[Fact] = frozenset()
        for step in steps:
            step.taken = unwanted.intersection(
                name.lower() for names in step.keyed.values() for name in names
            )
        for step in reversed(steps):
            # One of somebody else's may set fields without saying so.
            silent = step.by_record and "." in step.entry.type
            step.found_out = read_later if silent else read_later & step.found_out
            read_later |= {fact for fact in step.reads | step.condition_reads if fact.startswith("header:")}
        own = {step.name: step.entry.type for step in steps}
        enforced = {name: entry for name, entry in past.entries.items() if entry.mode == "enforce"}
        self.finders = frozenset(
            name for name, entry in enforced.items() if entry.type in _FINDERS or "." in entry.type
        )
        self.gone = frozenset(
            name
            for name, entry in enforced.items()
            if own.get(name) != entry.type and entry.type not in _ONLY_REFUSE
        )
        places = {name: place for place, name in enumerate(past.entries)}
        order = [
            places[step.name]
            for step in steps
            if step.name in places and (step.counts or not _leaves_alone(step.entry))
        ]
        disturbed = order != sorted(order)
        changing = [
            (number, places[step.name])
            for number, step in enumerate(steps)
            if step.name in places and not _leaves_alone(step.entry)
        ]
        held = [step.name if step.delegates or not step.shadow else "" for step in steps]
        split = False
        for number, step in enumerate(steps):
            step.split = split
            split = split or _splits(step.entry)
            step.ahead = [name for name in held[:number] if name]
            place = places.get(step.name)
            overtakes = place is not None and any(
                (before < number) != (was < place) for before, was in changing if before != number
            )
            step.disturbed = disturbed or overtakes
            disturbed = disturbed or not (step.whole or _leaves_alone(step.entry))


def _leaves_alone(entry: Entry) -> bool:
    """Whether the entry makes nothing else of a request that it passes, whatever its options were."""
    filter = entry.filter
    narrowed = callable(getattr(filter.config, "only_refuses", None)) and entry.type not in _ONLY_REFUSE
    return type(filter).only_refuses and not narrowed


def _limits_flights(entry: Entry) -> bool:
    """Whether the entry limits how many are under way."""
    return entry.type == "concurrency" and entry.mode == "enforce"


def _splits(entry: Entry) -> bool:
    """Whether the entry makes several lines of a header field of the request that is a list."""
    return bool(getattr(getattr(entry.filter.config, "request", None), "split", None))


def _key_parts(entry: Entry) -> dict[str, Sequence[str]]:
    """The parts of the keys of limits, by names of these."""
    found: dict[str, Sequence[str]] = {}
    for name, rule in entry.filter.limits.items():
        options: Any = entry.filter.config
        for part in rule:
            options = options[part] if isinstance(part, int) else getattr(options, part)
        found[name] = getattr(options, "key", ())
    return found


def _header_keys(parts: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The header fields in the keys of limits, by names of these; only of limits that have some."""
    found: dict[str, Sequence[str]] = {}
    for name, key in parts.items():
        fields = [part.removeprefix(_HEADER_PART) for part in key if part.startswith(_HEADER_PART)]
        if fields:
            found[name] = fields
    return found


_HEADER_PART: Final = "header:"
_TOKEN: Final = "token"  # noqa: S105 - the part of a key that is called so
_FINDERS: Final = frozenset(("token_auth", "external_auth", "principal"))
_ONLY_REFUSE: Final = frozenset(
    ("api", "body_size", "concurrency", "ip_allow", "json_body", "methods", "rate_limit", "rbac", "uuid")
)
"""Types of filters that change nothing in a request that they pass, whatever their options."""

_NOT_FOUND: Final = Verdict(REFUSE, 404, "", "route_not_found")
_NOT_ROUTED: Final = Verdict(REFUSE, 405, "", "method_not_routed")

# An Instant in a third of the time that its constructor takes.
_instant = tuple.__new__

_DELICATE: Final = (BODY, LENGTH, TARGET, PRINCIPAL)
"""Facts that a record may lack."""
_DELEGATED: Final = header(delegation.NAME)
_SCHEME_ALONE: Final = frozenset((SCHEME,))
_BY_PROXIES: Final = frozenset((CLIENT, SCHEME))
_ENDLESS: Final = 1 << 62
_UNANNOUNCED: Final = "whether its body was whole when its size was looked at is not recorded"
_NOBODY: Final = b"null"
_NO_LIMITS: Final[frozenset[str]] = frozenset()
_NOT_SPELLED: Final[Spelling] = ()


class Judge:
    """Judges by a plan.

    offset   seconds from the axis of the limits to the wall clock
    callers  whether what was recorded of callers counts also where the filter that found them out is another now
    flights  whether others may be under way than were
    tariffs  by which the charges of its traces are numbered; may be replaced at any time
    counts   whether anything of the plan counts
    trace    tells the way of a recorded exchange
    """

    def __init__(
        self, plan: Plan, *, offset: float = 0.0, callers: bool = False, flights: bool = False
    ) -> None:
        self._offset = offset
        self._plan = plan
        self._callers = callers
        described = plan.describe()
        self._origin: str = described["origin"]
        self._owned = frozenset(described["owned"])
        self._bounds: dict[str, int] = described["bounds"]
        # Of the exchange that is judged: what is another than it was, and whether filters that were have gone.
        self._lost: frozenset[Fact] = frozenset()
        self._disturbed = False
        self._unseen: frozenset[Fact] = frozenset()
        self._believed = True
        self.counts = any(type(entry.filter).charges is not Filter.charges for entry in plan.entries)
        self._flying: dict[str, _Flying] = {
            entry.name: _flying(entry) for entry in plan.entries if flights and _limits_flights(entry)
        }
        self.counts = self.counts or bool(self._flying)
        self.trace: Callable[[Recorded], Trace] = self._trace_among_others if self._flying else self._trace
        self._digests = {entry["name"]: entry for entry in described["entries"]}
        self._core: str = described["core"]
        # By the ids of what each value holds on to, so that nothing else can have them.
        self._ways: dict[tuple[int, int], _Way] = {}
        self._principals: dict[bytes, Principal] = {}
        self.tariffs = Tariffs()

    def _trace(self, recorded: Recorded) -> Trace:
        if recorded.foreign:
            return self._unjudged(recorded, undecidable("", "its record is of another version"))
        if not recorded.entered:
            return self._unjudged(recorded, self._head(recorded))
        if not recorded.path_is_known:
            return self._unjudged(recorded, undecidable("", "a part of the path is not recorded"))
        facts = recorded.facts
        target: str = facts.target
        past = recorded.past
        if past.core != self._core:
            refused = self._beyond(past, target)
            if refused is not None:
                return self._unjudged(recorded, refused)
        planned, params, _, allow = self._plan.router.match(
            facts.host, target.partition("?")[0], facts.method
        )
        limit = self._plan.body_limit
        if limit is not None and past.core != self._core:
            length = facts.content_length
            if isinstance(length, int) and length > limit:
                return self._unjudged(recorded, Verdict(REFUSE, 413, "", "request_too_large"))
            if length is None and recorded.body_size > limit:
                return self._unjudged(recorded, undecidable("", _UNANNOUNCED))
        if planned is not None:
            way = self._way(planned.chain, recorded.past)
            exchange = recorded.exchange(
                _instant(Instant, (recorded.at, recorded.at - self._offset)), way.names
            )
            exchange.route, exchange.params = planned.info, params
            if past.origin != self._origin:
                self._look_for_client(exchange)
            self._disbelieve(planned.chain, exchange)
            return self._through(way, exchange, recorded, PASSED)
        way = self._way(self._plan.chain, recorded.past)
        exchange = recorded.exchange(Instant(recorded.at, recorded.at - self._offset), way.names)
        if past.origin != self._origin:
            self._look_for_client(exchange)
        self._disbelieve(self._plan.chain, exchange)
        return self._through(way, exchange, recorded, _NOT_FOUND if allow is None else _NOT_ROUTED)

    def _trace_among_others(self, recorded: Recorded) -> Trace:
        """With what entries said then that limit how many are under way, where the exchange does not come to them now, or may not."""
        trace = self._trace(recorded)
        come_to = {part.place for part in trace.parts if isinstance(part, Hold)}
        if len(come_to) == len(self._flying):
            return trace
        parts = list(trace.parts)
        unsure = any(isinstance(part, Verdict) for part in parts)
        if trace.end.kind == UNDECIDABLE and not unsure:
            unsure = True
            parts.append(trace.end)
        for name, flying in self._flying.items():
            if flying.place not in come_to:
                hold = self._hold(name, recorded, reached=unsure)
                if unsure or hold.passed:
                    parts.append(hold)
        return Trace(parts, trace.end, trace.shadows)

    def _hold(
        self,
        name: str,
        recorded: Recorded,
        *,
        reached: bool,
        waited: float = 0.0,
        refusal: Verdict | None = None,
    ) -> Hold:
        place, most, queues = self._flying[name]
        told = recorded.steps.get(name)
        passed: bool | None = None
        room, queued = 0, False
        if told is not None and not told.shadow and told.verdict in ("pass", "refuse"):
            passed = told.verdict == "pass"
            queued = told.reason == "concurrency_waited"
            used = None if told.facts is None else told.facts.used
            if most and isinstance(used, int) and passed and not queued:
                room = max(0, most - used)
        at, ended = recorded.at - self._offset, recorded.ended - self._offset
        forwarded = recorded.verdict().kind == FORWARD
        return Hold(place, at, ended, passed, reached, waited, room, queued, queues, forwarded, refusal)

    def _unjudged(self, recorded: Recorded, end: Verdict) -> Trace:
        """The way of an exchange that no filter judges, or of which nobody knows whether one does."""
        if end.kind == UNDECIDABLE:
            return Trace((Loss(recorded.at - self._offset),) if self.counts else (), end, ())
        if not recorded.steps:
            return Trace((), end, ())
        way = self._way(self._plan.chain, recorded.past)
        parts: list[Count | Hold | Loss | Skip | Verdict] = []
        for step in way.steps:
            skip = _skipped(step, recorded)
            if skip is not None:
                parts.append(skip)
        return Trace([*parts, *_skipped_elsewhere(way, recorded)], end, ())

    def _beyond(self, past: Past, target: str) -> Verdict | None:
        """What becomes of a request that came to the filters then, where what is judged before them is another now."""
        bounds = self._bounds
        if len(target) > bounds["target_length"]:
            return Verdict(REFUSE, 414, "", "target_too_long")
        for name, bound in bounds.items():
            if name != "target_length" and bound < past.bounds.get(name, _ENDLESS):
                return undecidable("", f"whether it is within {name} is not recorded")
        return None

    def _look_for_client(self, exchange: Exchange) -> None:
        """Where other proxies are trusted than were, what they say is not recorded; who is none of them is the client himself."""
        self._lost = _BY_PROXIES
        if exchange.peer not in self._plan.trusted:
            exchange.client = exchange.peer
            self._lost = _SCHEME_ALONE

    def _disbelieve(self, chain: Chain, exchange: Exchange) -> None:
        """Takes what none believes of the peer; what is in a record was believed then, or judged by others."""
        headers = exchange.request.headers
        before = len(headers)
        chain.disbelieve(headers, exchange.peer)
        self._believed = len(headers) == before

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
                target = target_rules.split(facts.target.encode("latin-1", "replace"))
            except ValueError:
                return verdict
            planned: PlannedRoute | None = self._plan.router.match(facts.host, target.path, facts.method)[0]
            if planned is None or not planned.lenient:
                return verdict
        return undecidable("", f"it was refused before filters saw it: {reason}")

    def _through(self, way: _Way, exchange: Exchange, recorded: Recorded, end: Verdict) -> Trace:
        parts: list[Count | Hold | Loss | Skip | Verdict] = []
        shadows: list[Shadow] = []
        unseen = self._unseen = way.unseen
        if way.judged:
            unseen = self._unseen = unseen | _taken(way, exchange, recorded)
        unknown = set(unseen)  # what an entry found out then, or would have, and is not recorded
        aside: _Aside | None = None
        found: Count | Verdict | None
        lost = self._lost
        if lost:
            self._lost = frozenset()
        self._disturbed = bool(way.gone) and not way.gone.isdisjoint(recorded.steps)
        if way.elsewhere:
            parts += _skipped_elsewhere(way, recorded)
        for number, step in enumerate(way.steps):
            if lost and not lost.isdisjoint(step.reads | step.condition_reads):
                _give_up(step, "who the client is behind proxies is not recorded", exchange, parts, unknown)
                continue
            if step.plain and not unknown:
                try:
                    said = step.judge(exchange)
                except Unread as unread:
                    found = self._unread(way, step, exchange, recorded, unknown, unread)
                except Exception as error:  # noqa: BLE001 - as in `_asked`
                    found = self._raised(step, error)
                else:
                    if said is None:
                        continue
                    found = self._said(step, exchange, recorded, said)
            else:
                holds = (
                    True
                    if step.entry.condition is None
                    else self._holds(way, number, exchange, recorded, unknown)
                )
                if holds is None:
                    _give_up(step, "whether its `when` holds is not known", exchange, parts, unknown)
                    continue
                if not holds or (step.is_partial and not sampled(step.entry, exchange)):
                    skip = _skipped(step, recorded)
                    if skip is not None:
                        parts.append(skip)
                    continue
                if step.shadow:
                    if aside is None:
                        aside = _Aside(exchange)
                    shadow = self._in_shadow(way, number, recorded, unknown, aside, parts)
                    if isinstance(shadow, Count):
                        parts.append(shadow)
                    elif shadow is not None:
                        shadows.append(shadow)
                    continue
                found = self._judged(way, number, exchange, recorded, unknown, parts)
            if step.flies and not isinstance(found, Count):
                if not self._same_keys(step, exchange, recorded):
                    found = undecidable(step.name, "who else is under way is not known")
                if found is None or found.kind != UNDECIDABLE:
                    waited = recorded.waited(step.ahead)
                    parts.append(self._hold(step.name, recorded, reached=True, waited=waited, refusal=found))
                    continue
            if found is None:
                continue
            if isinstance(found, Count):
                parts.append(found)
            elif found.kind == UNDECIDABLE:
                _give_up(step, found.reason, exchange, parts, unknown)
            else:
                for later in way.steps[number + 1 :]:
                    skip = _skipped(later, recorded)
                    if skip is not None:
                        parts.append(skip)
                return Trace(parts, found, shadows)
        return Trace(parts, end, shadows)

    def _holds(
        self, way: _Way, number: int, exchange: Exchange, recorded: Recorded, unknown: set[Fact]
    ) -> bool | None:
        """Whether the entry's condition does; None where that is not known."""
        step = way.steps[number]
        if (
            not step.condition_told
            or (unknown and not unknown.isdisjoint(step.condition_reads))
            or (TARGET in step.condition_reads and not recorded.path_is_known)
        ):
            told = recorded.steps.get(step.name)
            if told is None or not step.whole or not _as_then(way, number, recorded):
                return None
            return bool(told.verdict != "skip")
        assert step.entry.condition is not None
        try:
            return step.entry.condition(exchange)
        except Unread:
            told = recorded.steps.get(step.name)
            if told is None or not step.whole or step.disturbed or self._disturbed:
                return None
            return told.verdict != "skip"

    def _judged(
        self,
        way: _Way,
        number: int,
        exchange: Exchange,
        recorded: Recorded,
        unknown: set[Fact],
        parts: list[Count | Hold | Loss | Skip | Verdict],
    ) -> Count | Verdict | None:
        step = way.steps[number]
        if unknown and not unknown.isdisjoint(step.reads):
            why = "who was calling is not known"
            if PRINCIPAL not in unknown or PRINCIPAL not in step.reads:
                names = ", ".join(header_names(unknown & step.reads))
                why = f"what a filter has set {names} to is not recorded"
            unseen = self._unseen & step.reads
            if unseen:
                why = f"{', '.join(header_names(unseen))} was taken from the client then, and is not recorded"
            if unseen or not _as_then(way, number, recorded):
                return undecidable(step.name, why)
            if step.counts:
                return self._count(step, exchange, recorded, parts, why)
            found = self._by_record(step, exchange, recorded, why)
        elif step.by_record:
            found = self._by_record(step, exchange, recorded)
        else:
            lacking = self._lacking(step, recorded) if step.delicate else ""
            if not step.told:
                lacking = "a header field that it reads is not recorded"
            if not lacking:
                if step.counts:
                    return self._count(step, exchange, recorded, parts)
                try:
                    return self._asked(step, exchange, recorded)
                except Unread as unread:
                    return self._unread(way, step, exchange, recorded, unknown, unread)
            found = self._by_record(step, exchange, recorded, lacking)
        if found is None:
            unknown |= step.found_out
            told = recorded.steps.get(step.name)
            if step.identifies and not step.shadow and told is not None and told.shadow:
                unknown.discard(PRINCIPAL)  # its own step says whom it found
            elif step.identifies and not recorded.principal_is_known:
                unknown.add(PRINCIPAL)
            elif step.identifies and not step.shadow and len(way.finders) > 1:
                # The record says who was known in the end.
                if _last_finder(way, recorded) == step.name:
                    unknown.discard(PRINCIPAL)
                else:
                    unknown.add(PRINCIPAL)
        return found

    def _asked(self, step: _Step, exchange: Exchange, recorded: Recorded) -> Verdict | None:
        """What its hook says. Raises Unread where that is by something secret."""
        try:
            verdict = step.judge(exchange)
        except Unread:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of a filter is a bug of one exchange
            return self._raised(step, error)
        return None if verdict is None else self._said(step, exchange, recorded, verdict)

    def _raised(self, step: _Step, error: Exception) -> Verdict:
        entry = step.entry
        if isinstance(error, Refused):
            fault = error.fault
            return Verdict(REFUSE, fault.status, entry.name, fault.reason, entry.source(fault.rule))
        return undecidable(entry.name, f"it fails: {type(error).__name__}")

    def _said(self, step: _Step, exchange: Exchange, recorded: Recorded, verdict: Any) -> Verdict | None:
        entry = step.entry
        if isinstance(verdict, Fault):
            return Verdict(REFUSE, verdict.status, entry.name, verdict.reason, entry.source(verdict.rule))
        if isinstance(verdict, Response):
            return Verdict(ANSWER, verdict.status, entry.name, verdict.reason, entry.source(verdict.rule))
        if iscoroutine(verdict):
            verdict.close()
        return self._by_record(step, exchange, recorded, "it has to wait for something")

    def _unread(
        self,
        way: _Way,
        step: _Step,
        exchange: Exchange,
        recorded: Recorded,
        unknown: set[Fact],
        unread: Unread,
    ) -> Verdict | None:
        """What an entry said then that judges by something secret. What it makes of the request by that is not recorded."""
        entry = step.entry
        finds = entry.type in _FINDERS
        if not finds and not _leaves_alone(entry):
            return undecidable(entry.name, unread.why)
        found = self._by_record(step, exchange, recorded, unread.why)
        if found is None and finds:
            unknown |= step.found_out
            if not step.shadow and recorded.principal_is_known and _last_finder(way, recorded) == step.name:
                exchange.principal = self._principal(recorded)
            else:
                unknown.add(PRINCIPAL)
        return found

    def _lacking(self, step: _Step, recorded: Recorded) -> str:
        """What of the facts that the entry reads is not recorded; empty where all are."""
        reads = step.reads
        if BODY in reads and not recorded.body_is_empty:
            return "bodies are not recorded"
        if LENGTH in reads and not recorded.length_is_known:
            return "the size of the body was not known when it was judged"
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
        promoted = told is not None and told.shadow and step.identifies and not step.shadow
        if (
            told is None
            or told.verdict in ("skip", "undecided")
            or (told.shadow != step.shadow and not promoted)
        ):
            return undecidable(entry.name, why or "it was not asked")
        if step.disturbed or self._disturbed:
            return undecidable(entry.name, "what is made of the request before it is another than it was")
        if step.routed and recorded.template != ("" if exchange.route is None else exchange.route.template):
            return undecidable(entry.name, "the path of its route was another")
        if promoted and _saw_other_shadows(entry, recorded):
            return undecidable(entry.name, "what others in shadow made of the request is not recorded")
        if told.verdict == "pass":
            if promoted:
                text = recorded.found_in_shadow(entry.name)
                if not text or REDACTED in text:
                    return undecidable(entry.name, "who it found to be calling is not recorded")
                exchange.principal = None if text == _NOBODY else self._principal_of(text)
            elif step.identifies and not step.shadow:
                exchange.principal = self._principal(recorded)
            return None
        kind = ANSWER if told.verdict == "answer" else REFUSE
        return Verdict(kind, told.status, entry.name, told.reason, entry.source(()))

    def _principal(self, recorded: Recorded) -> Principal | None:
        text = recorded.principal_text
        return self._principal_of(text) if text else None

    def _principal_of(self, text: bytes) -> Principal:
        found = self._principals.get(text)
        if found is None:
            if len(self._principals) >= _MOST:
                self._principals.clear()
            found = self._principals[text] = principal_in(text)
        return found

    def _count(
        self,
        step: _Step,
        exchange: Exchange,
        recorded: Recorded,
        parts: list[Count | Hold | Loss | Skip | Verdict],
        unread: str = "",
    ) -> Count | Verdict | None:
        """What it would charge. `unread`: why the keys cannot be told; then those count that were charged."""
        entry = step.entry
        told = recorded.steps.get(entry.name)
        elsewhere = False
        if told is not None and (told.reason or "rate_counted") not in _COUNTED:
            elsewhere = told.reason in _ELSEWHERE
            if not elsewhere:  # it was not counted at all: what it said is what is known of it
                return self._by_record(step, exchange, recorded)
        elif told is not None and told.facts is not None and told.facts.because is not None:
            elsewhere = True  # and has been refused by that
        if unread and told is not None and told.reason == "rate_exempt":
            return self._by_record(step, exchange, recorded)  # of whom nobody says who he is
        cells: Sequence[Sequence[Any]] = ()
        late: frozenset[str] = frozenset()
        passed: bool | None = None
        now: float = exchange.clock.monotonic
        if told is not None and told.shadow == step.shadow:
            instant, recorded_cells = cells_of(told.facts)
            if elsewhere:
                passed, cells = told.verdict == "pass", recorded_cells
            elif instant is not None:
                if abs(recorded.at - instant - self._offset) >= _SAME_CLOCK:
                    return undecidable(
                        entry.name, "it counted by another clock: the machine was started anew"
                    )
                passed = told.verdict == "pass"
                cells = recorded_cells
                if recorded.late:
                    late = _late(entry.name, recorded)
                now = instant
                exchange.clock = _instant(Instant, (recorded.at, instant))
        headers = exchange.request.headers
        opened = headers if isinstance(headers, (SealedFields, SealedOverlay)) else None
        if opened is not None and entry.type == "rate_limit":  # it only tells values apart
            opened.opened = True
        spellings: dict[str, Spelling | None] = {}
        try:
            charges = entry.filter.charges(exchange)
            if charges and (step.keyed or step.tokened) and not unread:
                spellings = _spellings(step, exchange, recorded)
        except Unread as secret:
            return self._by_record(step, exchange, recorded, secret.why)
        finally:
            if opened is not None:
                opened.opened = False
        if charges is None:
            return self._by_record(step, exchange, recorded, "it does more than count")
        if len(cells) > len(charges):
            skip = _skipped(step, recorded, {charge.tariff.limit for charge in charges})
            if skip is not None:
                parts.append(skip)
            if passed is False:
                passed = None  # it may have been one of those that refused
        if not charges:
            return None
        if unread and {charge.tariff.limit for charge in charges} != {cell[0] for cell in cells}:
            return undecidable(entry.name, unread)
        draws: list[Draw] = []
        index: int = entry.index
        tariffs = self.tariffs
        hashed_by = recorded.hashed_by if cells else ""
        limits = step.limits
        if not self._same_keys(step, exchange, recorded):
            limits = _NO_LIMITS
            skip = _skipped(step, recorded)  # it may not be where it was charged then that it is now
            if skip is not None:
                parts.append(skip)
        for charge in charges:
            tariff, key, cost = charge
            limit = tariff[0]
            hashed: str | None = None
            tells = False
            held: Sequence[float] | None = None
            for cell in cells:
                if cell[0] == limit:
                    if limit in limits and (
                        step.same or not elsewhere
                    ):  # of another it was another's, of those whom it counts then
                        hashed, tells, held = cell[1], True, cell[3]
                    if unread:
                        key, cost = (hashed if hashed_by else None), cell[2]
                    break
            if elsewhere or (step.leases and not tells):
                held = UNTOLD
            spelled = spellings.get(limit, _NOT_SPELLED)
            draws.append(
                (
                    tariffs.number(index, tariff),
                    None if spelled is None else key,
                    cost,
                    hashed,
                    tells,
                    held,
                    limit in late or (tariff[5] and not tells),
                    None if unread else spelled or _NOT_SPELLED,
                )
            )
        return Count(index, now, passed, step.shadow, draws, recorded.waited(step.ahead), hashed_by)

    def _same_keys(self, step: _Step, exchange: Exchange, recorded: Recorded) -> bool:
        """Whether the keys of limits that are what they were are what they were too."""
        if step.disturbed or self._disturbed or exchange.client != recorded.facts.client:
            return False
        if step.keyed and not (self._believed and step.taken.isdisjoint(recorded.facts.headers)):
            return False
        if ROUTE not in step.reads:
            return True
        return recorded.route == ("" if exchange.route is None else exchange.route.name)

    def _in_shadow(
        self,
        way: _Way,
        number: int,
        recorded: Recorded,
        unknown: set[Fact],
        aside: "_Aside",
        parts: list[Count | Hold | Loss | Skip | Verdict],
    ) -> Shadow | Count | None:
        """What an entry in shadow makes of the request; None where there is nothing to compare it with, or it is undecidable."""
        step = way.steps[number]
        entry = step.entry
        told = recorded.steps.get(entry.name)
        exchange = aside.exchange
        exchange.follow()
        unread = unknown | aside.unknown
        found = self._judged(way, number, exchange, recorded, unread, parts)
        lost = isinstance(found, Verdict) and found.kind == UNDECIDABLE
        if lost:
            unread |= step.found_out
        if step.identifies and (lost or found is None):
            unread.add(PRINCIPAL)
        aside.unknown = unread
        if isinstance(found, Count):
            if step.delegates:
                unknown.add(_DELEGATED)
            return found
        if step.delegates and (lost or (found is not None and found.kind == REFUSE)):
            if lost:
                unknown.add(_DELEGATED)
            else:
                assert found is not None and entry.delegate is not None
                why = Delegation(found.status, entry.name, "", entry.delegate)
                aside.base.request.headers.add(delegation.NAME, delegation.written(why))
        if told is None or not told.shadow or lost:
            return None
        before = PASSED
        if told.verdict in ("refuse", "answer"):
            before = Verdict(REFUSE, told.status, entry.name, told.reason, told.source)
        return Shadow(entry.name, before, PASSED if found is None else found)

    # ---- what is worked out once

    def _way(self, chain: Chain, past: Past) -> _Way:
        key = (id(chain), id(past))
        way = self._ways.get(key)
        if way is None:
            steps = [self._step(entry, past) for entry in chain.guards]
            own = {step.name for step in steps}
            elsewhere = {
                entry.name: (entry.index, self._same_limits(entry, past))
                for entry in self._plan.entries
                if entry.name not in own and type(entry.filter).charges is not Filter.charges
            }
            way = self._ways[key] = _Way(chain, past, steps, elsewhere, self._owned)
        return way

    def _same_limits(self, entry: Entry, past: Past) -> frozenset[str]:
        """Names of the limits of an entry that are what they were."""
        then = past.entries.get(entry.name)
        if then is None or then.type != entry.type:
            return _NO_LIMITS
        told = self._digests[entry.name]["limits"]
        return frozenset(name for name, digest in told.items() if then.limits.get(name) == digest)

    def _step(self, entry: Entry, past: Past) -> _Step:
        mine = self._digests[entry.name]
        then = past.entries.get(entry.name)
        limits = self._same_limits(entry, past)
        same = then is not None and (then.type, then.digest) == (entry.type, mine["digest"])
        whole = then is not None and same and (then.mode, then.scope) == (mine["mode"], mine["scope"])
        return _Step(entry, same, whole, past.headers, limits, entry.name in self._flying)


def _give_up(
    step: _Step,
    why: str,
    exchange: Exchange,
    parts: list[Count | Hold | Loss | Skip | Verdict],
    unknown: set[Fact],
) -> None:
    """Notes that nobody knows what an entry makes of the exchange, and what others would have of it."""
    if step.shadow:
        if step.delegates:
            unknown.add(_DELEGATED)
        return
    parts.append(undecidable(step.name, why))
    if step.counts:
        parts.append(Loss(exchange.clock.monotonic))
    if step.identifies:
        unknown.add(PRINCIPAL)
    unknown |= step.found_out


def _spellings(step: _Step, exchange: Exchange, recorded: Recorded) -> dict[str, Spelling | None]:
    """How header fields, and then a token, are spelled in the keys of limits, by names of these; None where that does not tell
    whose a cell is."""
    hashed_by, headers = recorded.hashed_by, exchange.request.headers
    found = {
        limit: spelling(headers, names, hashed_by, split=step.split) for limit, names in step.keyed.items()
    }
    if step.tokened:
        principal = exchange.principal
        part = None if principal is None or principal.token_key is None else recorded.token_hashed_by
        for limit in step.tokened:
            fields = found.get(limit, _NOT_SPELLED)
            found[limit] = None if fields is None or part == "" else (*fields, part)
    return found


def _as_then(way: _Way, number: int, recorded: Recorded) -> bool:
    """Whether an entry is met as it was: all that were asked before it were those that are now, and none has been changed."""
    steps = way.steps[: number + 1]
    if not all(step.whole for step in steps):
        return False
    names = [step.name for step in steps if not step.is_partial or step.name in recorded.steps]
    return names == list(recorded.steps)[: len(names)]


def _taken(way: _Way, exchange: Exchange, recorded: Recorded) -> set[Fact]:
    """Header fields that are judged now, and were taken from the client then, or may have been."""
    found: set[Fact] = set()
    headers, told = recorded.facts.headers, way.past.headers
    for field, (judging, own) in way.judged.items():
        if field not in headers and told is not None and field in told:
            continue  # the client has not sent it
        if not judging.isdisjoint(recorded.steps):
            continue
        # Who was refused before it came to one that judges left no trace of that.
        route = "" if exchange.route is None else exchange.route.name
        if not own or recorded.reason == "passed" or recorded.route != route:
            found.add(header(field))
    return found


def _saw_other_shadows(entry: Entry, recorded: Recorded) -> bool:
    """Whether the request that an entry saw in shadow may have been changed by others in shadow, which nobody else saw."""
    for name, step in recorded.steps.items():
        if name == entry.name:
            return False
        then = recorded.past.entries.get(name)
        if step.shadow and step.verdict != "skip" and (then is None or then.type not in _ONLY_REFUSE):
            return True
    return False


def _last_finder(way: _Way, recorded: Recorded) -> str:
    """The last entry that may have found out who was calling."""
    last = ""
    for name, told in recorded.steps.items():
        if name in way.finders and told.verdict == "pass":
            last = name
    return last


def _skipped(step: _Step, recorded: Recorded, but: AbstractSet[str] = _NO_LIMITS) -> Skip | None:
    """What an entry has charged that the request does not come to now, but for some limits."""
    if not step.counts:
        return None
    return _skip(step.name, step.entry.index, step.limits - but, recorded)


def _skipped_elsewhere(way: _Way, recorded: Recorded) -> list[Skip]:
    """What was charged by entries that are in other chains now."""
    found: list[Skip] = []
    for name in recorded.steps:
        there = way.elsewhere.get(name)
        if there is not None:
            skip = _skip(name, there[0], there[1], recorded)
            if skip is not None:
                found.append(skip)
    return found


def _skip(name: str, place: int, limits: AbstractSet[str], recorded: Recorded) -> Skip | None:
    told = recorded.steps.get(name)
    if told is None or told.verdict != "pass":
        return None
    instant, cells = cells_of(told.facts)
    hashes = {cell[0]: cell[1] for cell in cells if cell[0] in limits}
    if not hashes:
        return None
    if instant is None or told.reason in _ELSEWHERE:  # which may be of another axis
        instant = float("inf")
    return Skip(place, hashes, recorded.hashed_by, instant)


def _late(name: str, recorded: Recorded) -> frozenset[str]:
    """Names of the limits that an entry has charged more when the answer came."""
    found: set[str] = set()
    for step in recorded.late:
        if step.name == name:
            for facts in (step.facts, *(note.facts for note in step.notes)):
                found.update(str(cell[0]) for cell in cells_of(facts)[1])
    return frozenset(found)
