"""Refuses requests beyond a rate: 413 or 429 with Retry-After (RFC 6585 section 4, RFC 9110 section 10.2.3).

All limits that match a request are decided at once, and none is charged when one refuses, so that a refused
request costs its sender nothing. Of several that refuse the one with the longest wait is told. All workers of
a machine count as one; a table that they share has the counts, which outlive reloads, workers and upgrades, but not a time with
`mode: off`.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from inspect import isawaitable
from math import ceil
from typing import Final, NamedTuple, TypeAlias

from filters._key import Counted
from filters._memo import Memo
from filters._representation import vary
from filters.rate_limit.algorithm import TOLERANCE, Cell, Closed, algorithm_of
from filters.rate_limit.caller import CallerTest, compile_callers
from filters.rate_limit.consumer import Board, Consumers
from filters.rate_limit.field import HeaderLine, Standing, add_lines, closest, header_lines
from filters.rate_limit.inspection import Inspection
from filters.rate_limit.key import Keys
from filters.rate_limit.lease import Leases, Wanted
from filters.rate_limit.limit import Limit, Table, Terms
from filters.rate_limit.option import ExemptOptions, LimitStoreOptions, RateLimitConfig
from filters.rate_limit.override import read_overrides
from filters.rate_limit.path import REGEX, Captured, PathTest
from filters.rate_limit.query import query_names
from filters.rate_limit.remote import Answer, Names, RemoteStore
from filters.rate_limit.report import MAX_BODY, NEVER, Absolute, RateLine, absolute_of, as_json, as_xml
from filters.rate_limit.script import EPOCH
from filters.rate_limit.shared import SharedStore
from filters.rate_limit.store import Cells, Charge, Decision, Store
from gateway.api import (
    Bucket,
    Check,
    Effect,
    Exchange,
    Fault,
    Filter,
    Instant,
    Meter,
    NoStore,
    Note,
    OptionError,
    Refused,
    Response,
    Rule,
    Selection,
    Services,
    SingleFlight,
    Spec,
    StoreError,
    Verdict,
)
from gateway.api import Charge as Planned
from gateway.http.fields import Fields
from gateway.http.negotiation import answer_format

_HASHES_MAX = 16_384
_LIMITS: Final[Rule] = ("limits",)
_WAITS = 8
"""How often a request waits for what somebody else draws, before it asks for itself."""
_OF_BODY: Final = frozenset(
    (b"content-length", b"content-type", b"content-encoding", b"etag", b"last-modified")
)
_PROBING: Counted = (-1, "probe")
_ENDS: Final = ("/", ".json", ".xml")
_LONGEST_COST = 9
"""Digits of a cost that an answer may say."""

_OF_LIMITS: Final[Mapping[str, Effect]] = {
    "limits": "fewer",
    "limits.rate": "greater",
    "limits.burst": "greater",
    "limits.cost.default": "less",
    "limits.cost.methods.*": "less",
    "limits.cost.max": "less",
    "limits.cost.header": "fewer",
    "limits.cost.strip": "none",
    "limits.uri": "none",
    "limits.status": "none",
}
"""What changes of the options of limits do to access, be they of all or of a group."""

_CellFact: TypeAlias = tuple[str, str, int, Cell | None]
"""For the record: the limit, the hash of the key, the cost, and the cell as it was, whose first number is told as the
seconds that it had to live."""

# A Note or a Charge in a third of the time that its constructor takes.
_note: Final = tuple.__new__
_planned: Final = tuple.__new__


class _Open(NamedTuple):
    """A request that has passed, until its answer comes."""

    limits: Sequence[Limit]
    charges: Sequence[Charge]
    cells: Cells
    clock: Instant


async def _over() -> None:
    """What whoever waits for a draw would begin where there is none any more."""


class RateLimit(Filter[RateLimitConfig]):
    name = "rate_limit"
    Config = RateLimitConfig
    access = {
        **_OF_LIMITS,
        **{f"groups.{option}": effect for option, effect in _OF_LIMITS.items()},
        "exempt": "more",
        "exempt.*": "more",
        "status": "none",
        "retry_after": "none",
        "headers": "none",
        "headers_on": "none",
        "partition_key": "none",
        "consumers": "none",
        "on_store_error": ("deny", "local", "allow"),
    }
    only_refuses = True

    def __init__(self, config: RateLimitConfig, services: Services) -> None:
        super().__init__(config, services)
        table = services.table("limits")
        self._board = services.state("board", lambda: Board(table))
        self._keys = keys = services.state("keys", lambda: Keys(table))
        own, groups = _compiled(config, services, self._board)
        self._table = Table(own)
        self._groups: tuple[tuple[CallerTest | None, Table], ...] = tuple(
            (None if group.for_ is None else compile_callers(group.for_), Table((*own, *limits)))
            for group, limits in zip(config.groups, groups, strict=True)
        )
        self._exempt = None if config.exempt is None else _exemption(config.exempt)
        self._store: Store = services.state("limits", lambda: SharedStore(table, met=keys.met))
        self._common, self._leases = _common(config, services, self._keys)
        self._drawn: SingleFlight[Counted, Answer | None] = SingleFlight()
        self.pure = self._common is None
        self._hashes: Memo[Hashable, str] = Memo(
            lambda key: services.keyed_hash(repr(key).encode("utf-8", "backslashreplace")), _HASHES_MAX
        )
        self._open: dict[str, _Open] = {}
        self._limits: tuple[Limit, ...] = tuple(limit for limits in (own, *groups) for limit in limits)
        self.limits = {limit.label: limit.rule for limit in self._limits}
        self._by_answer = any(limit.header is not None for limit in self._limits)
        self._tells = config.headers_on == "all" and bool(config.headers)
        self._looks_back = self._by_answer or self._tells
        self._inspection = Inspection(
            self._limits,
            self._store,
            self._common,
            self._keys,
            self._hashes.__getitem__,
            services,
            local=config.on_store_error == "local",
        )
        endpoint = config.endpoint
        self._endpoint = None if endpoint is None else PathTest(endpoint.path)
        self._named_endpoint = endpoint is not None and not endpoint.path.startswith(REGEX)
        self._asking: dict[str, str] = {}
        if not (self._looks_back or (endpoint is not None and endpoint.absolute)):
            self.statuses = frozenset()

    async def start(self) -> None:
        if any(limit.consumers is not None for limit in self._limits):
            self._board.start()
        self._keys.start(self.services.now)
        self.checks()  # so that it is known, before anybody asks, whether the store is there

    async def close(self) -> None:
        self._keys.flush()
        self._board.flush()
        self._drawn.close()

    def checks(self) -> Sequence[Check]:
        """Whether the store is there, and takes what it is told: without it `deny` lets nobody pass."""
        if self._common is None:
            return ()
        if self._common.refusing and _PROBING not in self._drawn:
            self._drawn.join(_PROBING, self._probe)  # whoever is not ready is asked for nothing else
        return (Check("store", self._common.available(), self.config.on_store_error == "deny"),)

    async def _probe(self) -> None:
        assert self._common is not None
        with suppress(StoreError):
            await self._common.probe()

    # ---- inward

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        if (
            self._endpoint is not None
            and exchange.method in ("GET", "HEAD")
            and self._asks(self._endpoint, exchange.path)
        ):
            return self._told(exchange)
        return self._count(exchange)

    def _asks(self, endpoint: PathTest, path: str) -> bool:
        """Whether that is where limits are asked for, with a slash or the suffix of a form behind it, as Nova had it."""
        if endpoint.captured(path) is not None:
            return True
        bare = next((path.removesuffix(end) for end in _ENDS if path.endswith(end)), "")
        return bool(bare) and self._named_endpoint and endpoint.captured(bare) is not None

    def _count(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        """Whether all limits for the exchange have room for it; then they are charged."""
        if self._exempt is not None:
            named = self._exempt(exchange)
            if named is not None:
                exchange.trail.append(_note(Note, ("rate_exempt", ("exempt", named), {})))
                return None
        table = self._table_of(exchange) if self._groups else self._table
        matching = table.of(exchange.method)
        if not matching:
            return None
        if self._common is not None:
            return self._decide_in_common(exchange, matching)
        if len(matching) != 1 or not table.plain or self._looks_back:
            return self._decide_all(exchange, matching)
        (limit,) = matching
        now = exchange.clock.monotonic
        key = limit.key(exchange)
        algorithm = limit.terms.algorithm
        assert algorithm is not None
        cost = limit.cost
        charge: Charge = (limit.index, algorithm, key, cost)
        decision = self._store.decide((charge,), now)
        if self._store.alone:
            return self._decided_alone(exchange, matching, (charge,), exchange.clock, decision)
        wait, refused, before, _ = decision
        cell = before[0]
        left: Cell | None = None if cell is None else (cell[0] - now, cell[1], cell[2])
        facts: dict[str, object] = {
            "instant": now,
            "cells": ((limit.label, self._hashes[key], cost, left),),
        }
        if refused < 0:
            if limit.consumers is not None:
                principal = exchange.principal
                who = (principal.user_id if principal is not None else None) or exchange.client
                fresh = left is None or left[0] <= 0
                limit.consumers.count(key, who, cost, algorithm.capacity, fresh, now)
            exchange.trail.append(_note(Note, ("rate_counted", _LIMITS, facts)))
            return None
        return self._refusal(exchange, matching, (charge,), before, 0, wait, facts, exchange.clock)

    def count_before(self, exchange: Exchange, counts: Mapping[str, int]) -> bool:
        clock = exchange.clock
        table = self._table_of(exchange) if self._groups else self._table
        limits, charges = self._charges(exchange, table.of(exchange.method), clock)
        before: list[Charge] = [
            (index, algorithm, key, count)
            for limit, (index, algorithm, key, _) in zip(limits, charges, strict=True)
            if (count := counts.get(limit.label) or counts.get(limit.name or limit.label))
        ]
        if before:
            self._store.charge_late(before, clock.monotonic)
        return bool(before)

    def charges(self, exchange: Exchange) -> Sequence[Planned] | None:
        if self._endpoint is not None and self._asks(self._endpoint, exchange.path):
            return None
        if self._exempt is not None and self._exempt(exchange) is not None:
            return ()
        table = self._table_of(exchange) if self._groups else self._table
        limits, charges = self._charges(exchange, table.of(exchange.method), exchange.clock)
        return [
            _planned(Planned, (limit.tariff(algorithm), key, cost))
            for limit, (_, algorithm, key, cost) in zip(limits, charges, strict=True)
        ]

    def meter(self, spec: Spec) -> Meter:
        return algorithm_of(spec)

    def _table_of(self, exchange: Exchange) -> Table:
        """The limits for the caller."""
        for test, table in self._groups:
            if test is None or test(exchange) is not None:
                return table
        return self._table

    def _decide_all(self, exchange: Exchange, matching: Sequence[Limit]) -> Verdict:
        clock = exchange.clock
        limits, charges = self._charges(exchange, matching, clock)
        if not charges:
            return None
        decision = self._store.decide(charges, clock.monotonic)
        if self._store.alone:
            return self._decided_alone(exchange, limits, charges, clock, decision)
        return self._decided(exchange, limits, charges, clock, decision)

    def _decided_alone(
        self,
        exchange: Exchange,
        limits: Sequence[Limit],
        charges: Sequence[Charge],
        clock: Instant,
        decision: Decision,
    ) -> Verdict:
        """By what this process has counted for itself, while it cannot get at what all have counted."""
        reason = "rate_counted_locally"
        return self._decided(exchange, limits, charges, clock, decision, reason, because="table_busy")

    def _charges(
        self, exchange: Exchange, matching: Sequence[Limit], clock: Instant
    ) -> tuple[list[Limit], list[Charge]]:
        """The limits that count the exchange, and what each is to be charged. `clock` has the axis of the cells."""
        method = exchange.method
        limits: list[Limit] = []
        charges: list[Charge] = []
        names: frozenset[str] | None = None
        for limit in matching:
            captured: Captured | None = ()
            terms: Terms | None = limit.terms
            cost = limit.cost
            if not limit.plain:
                if limit.costs is not None:
                    cost = limit.costs.get(method, cost)
                if not cost:
                    continue
                if limit.path is not None:
                    captured = limit.path.captured(exchange.path)
                    if captured is None:
                        continue
                if limit.query is not None:
                    if names is None:
                        names = query_names(exchange.query)
                    if not limit.query <= names:
                        continue
                if limit.overridden is not None:
                    terms = limit.terms_of(exchange)
                    if terms is None:
                        continue
            key = limit.key(exchange)
            assert terms is not None and captured is not None
            algorithm = terms.algorithm
            if algorithm is None:
                algorithm = terms.counting(clock)
            if limit.overridden is None:
                cell = (key, captured) if captured else key
            else:
                cell = terms.cell(key, captured)
            charges.append((limit.index, algorithm, cell, cost))
            limits.append(limit)
        return limits, charges

    def _decided(
        self,
        exchange: Exchange,
        limits: Sequence[Limit],
        charges: Sequence[Charge],
        clock: Instant,
        decision: Decision,
        reason: str = "rate_counted",
        **more: object,
    ) -> Verdict:
        """What a decision on the axis of `clock` means for the exchange; `more` is for the record."""
        now = clock.monotonic
        wait, refused, before, after = decision
        facts = {"instant": now, "cells": self._cell_facts(limits, charges, before, now), **more}
        if refused >= 0:
            return self._refusal(exchange, limits, charges, before, refused, wait, facts, clock)
        self._count_consumers(exchange, limits, charges, before, now)
        exchange.trail.append(_note(Note, (reason, _LIMITS, facts)))
        if self._looks_back:
            self._remember(exchange, _Open(limits, charges, after, clock))
        return None

    # ---- by a store that machines share

    def _decide_in_common(
        self, exchange: Exchange, matching: Sequence[Limit]
    ) -> Verdict | Awaitable[Verdict]:
        wall = exchange.clock.wall
        limits, charges = self._charges(exchange, matching, Instant(wall, wall - EPOCH))
        if not charges:
            return None
        leases = self._leases
        if leases is None:
            return self._asked(exchange, matching, limits, Wanted(tuple(charges), (), (-1, None)))
        lacking = leases.spend(charges, exchange.clock.monotonic)
        if lacking is not None:
            return self._drawn_for(exchange, matching, limits, lacking)
        return self._leased(exchange, limits, charges, leases)

    async def _drawn_for(
        self, exchange: Exchange, matching: Sequence[Limit], limits: Sequence[Limit], lacking: Wanted
    ) -> Verdict:
        """Asks the store, or waits for what somebody else is drawing for the same key, so that a busy one has few questions."""
        leases = self._leases
        assert leases is not None
        wanted: Wanted | None = lacking
        for _ in range(_WAITS):
            if wanted is None:
                return self._leased(exchange, limits, lacking.charges, leases)
            if wanted.shares or wanted.whose not in self._drawn:
                break
            with suppress(StoreError):
                await self._drawn.join(wanted.whose, _over)
            wanted = leases.spend(lacking.charges, self.services.now().monotonic)
        if wanted is None:
            return self._leased(exchange, limits, lacking.charges, leases)
        return await self._asked(exchange, matching, limits, wanted)

    def _leased(
        self, exchange: Exchange, limits: Sequence[Limit], charges: Sequence[Charge], leases: Leases
    ) -> Verdict:
        """The charges are paid by what was drawn ahead."""
        cells: Cells = (None,) * len(charges)
        facts = {"cells": self._cell_facts(limits, charges, cells, 0.0)}
        self._count_consumers(exchange, limits, charges)
        exchange.trail.append(_note(Note, ("rate_leased", _LIMITS, facts)))
        if self._looks_back:
            self._remember(exchange, _Open(limits, charges, cells, exchange.clock))
        ahead = leases.ahead(charges, exchange.clock.monotonic)
        if ahead is not None and ahead.whose not in self._drawn:
            self._drawn.join(ahead.whose, lambda: self._draw_ahead(ahead))
        return None

    async def _asked(
        self,
        exchange: Exchange,
        matching: Sequence[Limit],
        limits: Sequence[Limit],
        wanted: Wanted,
    ) -> Verdict:
        try:
            if wanted.shares and wanted.whose not in self._drawn:
                drawn = await self._drawn.join(wanted.whose, lambda: self._draw(wanted))
                assert drawn is not None
                answer = drawn
            else:
                answer = await self._draw(wanted)
        except StoreError as error:
            return self._undecided(exchange, matching, error)
        clock = Instant(exchange.clock.wall, answer.now)
        return self._decided(exchange, limits, wanted.charges, clock, answer.decision, store=True)

    async def _draw_ahead(self, wanted: Wanted) -> None:
        with suppress(StoreError):  # what there is not is asked for by the next request
            await self._draw(wanted)

    async def _draw(self, wanted: Wanted) -> Answer:
        """What the store decides; what it grants beyond the charges is kept. Raises StoreError."""
        common, leases = self._common, self._leases
        assert common is not None
        if leases is None:
            return await common.decide(wanted.charges)
        began = self.services.now().monotonic
        granted = False
        try:
            answer = await common.decide(wanted.charges, shares=wanted.shares)
            granted = answer.decision[1] < 0
            if granted:
                leases.keep(wanted, answer.granted, began)
        finally:
            if not granted:
                leases.fail(wanted)
        return answer

    def _undecided(self, exchange: Exchange, matching: Sequence[Limit], error: StoreError) -> Verdict:
        rule: Rule = ("on_store_error",)
        match self.config.on_store_error:
            case "allow":
                exchange.note("rate_uncounted", rule=rule, because=error.reason)
                return None
            case "deny":
                message = "The request cannot be counted at the moment."
                facts = {"because": error.reason}
                return Fault(503, "rate_store_unavailable", message, rule=rule, retry_after=1, facts=facts)
        clock = exchange.clock
        limits, charges = self._charges(exchange, matching, clock)
        decision = self._store.decide(charges, clock.monotonic)
        reason = "rate_counted_locally"
        return self._decided(exchange, limits, charges, clock, decision, reason, because=error.reason)

    def _cell_facts(
        self, limits: Sequence[Limit], charges: Sequence[Charge], before: Cells, now: float
    ) -> tuple[_CellFact, ...]:
        cells: list[_CellFact] = []
        number = 0
        for _, _, key, cost in charges:
            cell = before[number]
            left: Cell | None = None if cell is None else (cell[0] - now, cell[1], cell[2])
            cells.append((limits[number].label, self._hashes[key], cost, left))
            number += 1  # noqa: SIM113 - enumerate() would make a pair for every charge
        return tuple(cells)

    def _count_consumers(
        self,
        exchange: Exchange,
        limits: Sequence[Limit],
        charges: Sequence[Charge],
        before: Cells | None = None,
        now: float = 0.0,
    ) -> None:
        """`before` are the cells as they were; None where the buckets are known not to have been empty."""
        who: str | None = None
        number = 0
        for limit in limits:
            if limit.consumers is not None:
                if who is None:
                    principal = exchange.principal
                    who = (principal.user_id if principal is not None else None) or exchange.client
                _, algorithm, key, cost = charges[number]
                fresh = False
                if before is not None:
                    cell = before[number]
                    fresh = cell is None or cell[0] <= now
                limit.consumers.count(key, who, cost, algorithm.capacity, fresh, exchange.clock.monotonic)
            number += 1  # noqa: SIM113 - as above

    def _refusal(
        self,
        exchange: Exchange,
        limits: Sequence[Limit],
        charges: Sequence[Charge],
        before: Cells,
        refused: int,
        wait: float,
        facts: dict[str, object],
        clock: Instant,
    ) -> Fault:
        limit = limits[refused]
        terms = limit.terms_of(exchange)
        assert terms is not None
        cell = charges[refused][2]
        facts["limit"] = limit.label
        facts["key"] = limit.described(cell)
        if terms.source is not None:
            facts["override"] = terms.source
        if limit.consumers is not None:
            facts["consumers"] = limit.consumers.top(cell)
        headers: tuple[HeaderLine, ...] = ()
        forms = self.config.headers
        closed = [isinstance(algorithm, Closed) for _, algorithm, _, _ in charges]
        blocked = any(closed)
        if forms:
            standings = self._standings(exchange, limits, charges, before, clock)
            # The limit of which something comes back says nothing where another lets nothing through.
            headers = header_lines(forms, standings, standings[closed.index(True) if blocked else refused])
        return Fault(
            limit.status,
            "rate_limited",
            "This request was rate-limited.",
            rule=limit.rule,
            headers=headers,
            details=terms.details[0] + exchange.method + terms.details[1],
            # Of one that is blocked no time is promised: it is not temporary (RFC 9110 section 15.5.14).
            retry_after=None if blocked else _whole(wait),
            retry_date=self.config.retry_after == "date",
            facts=facts,
        )

    def _standings(
        self,
        exchange: Exchange,
        limits: Sequence[Limit],
        charges: Sequence[Charge],
        cells: Cells,
        clock: Instant,
    ) -> list[Standing]:
        """Where the client stands; with a limit that has no room for the request, until when that is so."""
        now = clock.monotonic
        made: list[Standing] = []
        for limit, (_, algorithm, key, cost), cell in zip(limits, charges, cells, strict=True):
            wait, _ = algorithm.charge(cell, now, cost)
            remaining = algorithm.remaining(cell, now)
            reset: int | None = None
            if not isinstance(algorithm, Closed):
                reset = _whole(wait) if wait else max(0, ceil(algorithm.reset(cell, now) - TOLERANCE))
            quota, window = (limit.terms_of(exchange) or limit.terms).quota(clock)
            partition = ""
            if self.config.partition_key:
                partition = b64encode(bytes.fromhex(self._hashes[key])[:9]).decode("ascii")
            made.append(
                Standing(limit.policy, quota, window, algorithm.capacity, remaining, reset, partition)
            )
        return made

    # ---- limits as clients ask for them

    async def _told(self, exchange: Exchange) -> Verdict:
        verdict = self._count(exchange)
        verdict = await verdict if isawaitable(verdict) else verdict
        if verdict is not None:
            return verdict
        headers = exchange.request.headers
        form = answer_format(exchange.path, headers.all("Accept"))
        if form is None:
            message = "Limits are told in JSON and XML."
            return Fault(406, "limits_unacceptable", message, rule=("endpoint",))
        assert self.config.endpoint is not None
        if not self.config.endpoint.absolute:
            return _document(form, await self._lines(exchange), {}, Fields())
        headers.set("Accept", "application/json")
        headers.remove("Accept-Encoding")
        name, asking = exchange.request_id, self._asking
        asking[name] = form

        def forget() -> None:
            asking.pop(name, None)

        exchange.defer(forget)
        return None

    async def _merged(self, exchange: Exchange, form: str) -> Verdict:
        """The upstream's answer with our rates in place of its own."""
        response = exchange.response
        assert response is not None
        if (
            exchange.method == "HEAD"
        ):  # a body of ours is none of the upstream's, and its length is not known without that
            _describe(response.headers, form)
            response.body.wrap(lambda chunk: chunk, resizes=True)
            return None
        try:
            absolute = absolute_of(await response.body.collect(MAX_BODY))
        except (Refused, ValueError):
            message = "The limits cannot be read."
            return Fault(502, "limits_unreadable", message, rule=("endpoint", "absolute"))
        return _document(form, await self._lines(exchange), absolute, response.headers)

    async def _lines(self, exchange: Exchange) -> list[RateLine]:
        """Where the caller stands with each limit whose bucket is his own."""
        if self._exempt is not None and self._exempt(exchange) is not None:
            return []
        wall = exchange.clock.wall
        clock = Instant(wall, wall - EPOCH) if self._common is not None else exchange.clock
        limits = [limit for limit in self._table_of(exchange).all if limit.personal]
        found = [(limit, terms) for limit in limits if (terms := limit.terms_of(exchange)) is not None]
        charges: list[Charge] = [
            (limit.index, terms.counting(clock), terms.cell(limit.key(exchange)), 0) for limit, terms in found
        ]
        if not charges:
            return []
        cells: Cells = (None,) * len(charges)
        if self._common is None:
            cells = self._store.decide(charges, clock.monotonic)[2]
        else:
            with suppress(StoreError):  # then nothing is known of what has been counted
                answer = await self._common.decide(charges)
                cells, clock = answer.decision[2], Instant(wall, answer.now)
        now = clock.monotonic
        lines: list[RateLine] = []
        for (limit, terms), (_, algorithm, _, _), cell in zip(found, charges, cells, strict=True):
            value, remaining = terms.quota(clock)[0], algorithm.remaining(cell, now)
            for method in sorted(limit.methods) or (None,):
                available = ceil(wall + limit.wait(algorithm, cell, now, method))
                if isinstance(algorithm, Closed):
                    available = NEVER
                verb = method or "ALL"
                lines.append(RateLine(limit.uri, limit.regex, verb, value, remaining, terms.unit, available))
        return lines

    # ---- for operators

    def buckets(self, selection: Selection) -> AsyncIterator[Sequence[Bucket]]:
        return self._inspection.buckets(selection)

    def reset(self, selection: Selection) -> AsyncIterator[Sequence[Bucket]]:
        return self._inspection.reset(selection)

    def meant(self, selection: Selection) -> bool:
        return self._inspection.meant(selection)

    def unseen(self, selection: Selection) -> str | None:
        return self._inspection.unseen(selection)

    # ---- outward

    def _remember(self, exchange: Exchange, opened: _Open) -> None:
        name = exchange.request_id
        known = self._open
        known[name] = opened

        def forget() -> None:
            known.pop(name, None)

        exchange.defer(forget)

    def on_response(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        """Takes what the answer says that the request has cost, and tells the client where it stands."""
        form = self._asking.pop(exchange.request_id, None)
        verdict = self._look_back(exchange)
        if form is None or exchange.response is None or not _holds_limits(exchange.response):
            return verdict
        return self._after(verdict, exchange, form)

    async def _after(self, pending: Verdict | Awaitable[Verdict], exchange: Exchange, form: str) -> Verdict:
        if isawaitable(pending):
            await pending
        return await self._merged(exchange, form)

    def _look_back(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        opened = self._open.pop(exchange.request_id, None)
        if opened is None or exchange.response is None:
            return None
        if self._by_answer:
            late = self._late(exchange, opened)
            if late:
                if self._common is not None:
                    return self._charge_in_common(exchange, opened, late)
                now = self.services.now()
                charges = [charge for _, charge in late]
                before, after = self._store.charge_late(charges, now.monotonic)
                opened = self._charged(exchange, opened, late, before, after, now)
        self._tell(exchange, opened)
        return None

    async def _charge_in_common(
        self, exchange: Exchange, opened: _Open, late: Sequence[tuple[int, Charge]]
    ) -> Verdict:
        assert self._common is not None
        try:
            answer = await self._common.charge_late([charge for _, charge in late])
        except StoreError as error:
            exchange.note("rate_uncounted", rule=("on_store_error",), because=error.reason)
        else:
            clock = Instant(opened.clock.wall, answer.now)
            _, _, before, after = answer.decision
            opened = self._charged(exchange, opened, late, before, after, clock)
        self._tell(exchange, opened)
        return None

    def _tell(self, exchange: Exchange, opened: _Open) -> None:
        if self._tells and exchange.response is not None:
            standings = self._standings(exchange, *opened)
            add_lines(exchange.response.headers, self.config.headers, standings, closest(standings))

    def _late(self, exchange: Exchange, opened: _Open) -> list[tuple[int, Charge]]:
        """What the answer costs beyond what was taken at the start, each with its place among the charges."""
        response = exchange.response
        assert response is not None
        headers = response.headers
        late: list[tuple[int, Charge]] = []
        stripped: set[str] = set()
        for place, (limit, charge) in enumerate(zip(opened.limits, opened.charges, strict=True)):
            if limit.header is None:
                continue
            lines = headers.all(limit.header)
            if limit.strip:
                stripped.add(limit.header)
            if not lines:
                continue
            cost = _cost(lines)
            if cost is None:
                exchange.note("rate_cost_invalid", rule=(*limit.rule, "cost", "header"))
                continue
            more = min(cost, limit.greatest) - charge[3]
            if more > 0:
                late.append((place, (charge[0], charge[1], charge[2], more)))
        for name in stripped:
            headers.remove(name)
        return late

    def _charged(
        self,
        exchange: Exchange,
        opened: _Open,
        late: Sequence[tuple[int, Charge]],
        before: Cells,
        after: Cells,
        clock: Instant,
    ) -> _Open:
        """What is known of the exchange when that has been taken."""
        limits = [opened.limits[place] for place, _ in late]
        charges = [charge for _, charge in late]
        self._count_consumers(exchange, limits, charges)
        exchange.note(
            "rate_charged_late",
            rule=(*limits[0].rule, "cost", "header"),
            instant=clock.monotonic,
            cells=self._cell_facts(limits, charges, before, clock.monotonic),
        )
        cells = list(opened.cells)
        for (place, _), cell in zip(late, after, strict=True):
            cells[place] = cell
        return opened._replace(cells=tuple(cells), clock=clock)


def _document(form: str, lines: Sequence[RateLine], absolute: Absolute, headers: Fields) -> Response:
    """The limits, with what else stands in `headers`."""
    kept = headers.copy()
    _describe(kept, form)
    body = as_xml(lines, absolute) if form == "xml" else as_json(lines, absolute)
    return Response(200, kept, body, reason="limits_told", rule=("endpoint",))


def _holds_limits(response: Response) -> bool:
    """Whether it should be a document of limits: 200, or another success that says so."""
    if response.status == 200:
        return True
    kind = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    return 200 < response.status < 300 and response.status != 206 and kind == "application/json"


def _describe(headers: Fields, form: str) -> None:
    """Has the fields be those of the limits in this form."""
    headers.drop(_OF_BODY)
    headers.set("Content-Type", f"application/{form}")
    vary(headers, "Accept")


def _common(
    config: RateLimitConfig, services: Services, keys: Keys
) -> tuple[RemoteStore | None, Leases | None]:
    """The store that machines share, and what is drawn from it ahead."""
    options = config.store
    if options is None:
        return None, None
    try:
        client = services.store("limits", options)
    except OptionError as error:
        raise OptionError(("store", *error.rule), *error.messages) from None
    if isinstance(client, NoStore):  # a configuration that is only tried counts here
        return None, None
    lease = options.lease
    leases: Leases | None = None
    if lease is not None:
        drawn: dict[object, Leases] = services.state("memo leases", dict)
        leases = drawn.setdefault((_where(options), lease), Leases(lease.share, lease.time))
    named: dict[str, Names] = services.state("memo names", dict)
    return RemoteStore(
        client, named.setdefault(options.prefix, Names(options.prefix, services.identity, keys.met))
    ), leases


def _where(options: LimitStoreOptions | None) -> str:
    """Where is counted: what was counted elsewhere is not known there."""
    if options is None:
        return "here"
    return sha256(f"{options.place} {options.prefix}".encode()).hexdigest()[:16]


def _compiled(
    config: RateLimitConfig, services: Services, board: Board
) -> tuple[list[Limit], list[list[Limit]]]:
    """The limits for all, and those of each group, which stores know by their places in all of them."""
    places: list[tuple[Rule, str]] = [
        (("limits", number), f"limits[{number}]") for number in range(len(config.limits))
    ]
    for group, options in enumerate(config.groups):
        places += [
            (("groups", group, "limits", number), f"groups[{group}].limits[{number}]")
            for number in range(len(options.limits))
        ]
    every = config.all_limits
    overrides = config.overrides
    overridden = None if overrides is None else read_overrides(overrides.file, every, services)
    where = _where(config.store)
    labels = config.labels()
    limits: list[Limit] = []
    for place, (number, limit) in enumerate(zip(config.numbers(), every, strict=True)):
        label = labels[place] or places[place][1]
        # Held in any case: where it is lost, so is what the limit has counted.
        consumers = services.state(
            f"consumers {number:x} {where} of {label}", partial(Consumers, number, board)
        )
        limits.append(
            Limit(
                number,
                limit,
                *places[place],
                config.status,
                None if overridden is None else overridden[place],
                consumers if config.consumers else None,
                label,
            )
        )
    own, rest = limits[: len(config.limits)], limits[len(config.limits) :]
    groups: list[list[Limit]] = []
    for group_options in config.groups:
        groups.append(rest[: len(group_options.limits)])
        rest = rest[len(group_options.limits) :]
    return own, groups


def _exemption(options: ExemptOptions) -> Callable[[Exchange], str | None]:
    paths = tuple(PathTest(path) for path in options.paths)
    callers = compile_callers(options)

    def test(exchange: Exchange) -> str | None:
        named = callers(exchange)
        if named is None:
            for path in paths:
                if path.captured(exchange.path) is not None:
                    return "paths"
        return named

    return test


def _whole(wait: float) -> int:
    """Seconds of Retry-After: whole ones, and never none."""
    return max(1, ceil(wait - TOLERANCE))


def _cost(lines: Sequence[str]) -> int | None:
    """What an answer says that it has cost; None for what is no whole number of some size, or said twice."""
    if len(lines) != 1:
        return None
    text = lines[0].strip(" \t")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_COST else None
