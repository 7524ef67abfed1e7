"""Runs the filters of a route around one upstream leg: inward on the request, outward on the answer.

Hooks decide synchronously wherever they can; only a hook that returns an awaitable makes the chain wait.
The balance rule: a filter that let the request pass sees the response exactly once; one that answered, or
was never reached, does not. A hook that raises is a bug: it is reported, the client gets a plain 500 and the
chain still unwinds. Shadow filters run on an overlay of the exchange, and only the record hears of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from inspect import isawaitable
from time import perf_counter
from types import NoneType
from typing import Any, Final, Protocol, TypeAlias

from gateway.api.body import Body, Wrapper, too_large
from gateway.api.exchange import Exchange, Note, ShadowExchange
from gateway.api.fact import Fact
from gateway.api.filter import Filter, Peers
from gateway.api.verdict import Fault, Refused, Response, Rule, Verdict
from gateway.http import delegation
from gateway.http.delegation import Delegation
from gateway.http.fields import Fields, folded
from gateway.record import Step, members, steps
from gateway.task import discard, spawn

Hook: TypeAlias = Callable[[Exchange], Verdict | Awaitable[Verdict]]

_NONE: frozenset[int] = frozenset()

_step: Final[Any] = tuple.__new__  # a Step in a quarter of the time that its constructor takes
_now: Final[Callable[[], float]] = perf_counter

SHADOW_BUDGET = 2.0
"""Seconds that a shadow hook which has to wait may take before it counts as undecided."""


class Entry:
    """One entry of a chain: a filter, its place in the configuration, and the hooks it really has.

    scope  says of which exchanges it judges, and for whom: of two that are equal both judge the same; empty for all
    """

    __slots__ = (
        "condition",
        "condition_facts",
        "delegate",
        "filter",
        "index",
        "mode",
        "name",
        "on_request",
        "on_response",
        "path",
        "plain",
        "scope",
        "shadow_share",
        "source",
        "statuses",
        "type",
    )

    def __init__(
        self,
        index: int,
        name: str,
        type: str,
        filter: Filter[Any],
        *,
        mode: str = "enforce",
        condition: Callable[[Exchange], bool] | None = None,
        condition_facts: frozenset[Fact] = frozenset(),
        shadow_percent: float = 100.0,
        delegate: float | None = None,
        scope: str = "",
        source: Callable[[Rule], str] = lambda rule: "",
        path: tuple[str | int, ...] = (),
    ) -> None:
        self.index = index
        self.name = name
        self.type = type
        self.filter = filter
        self.mode = mode
        self.condition = condition
        self.condition_facts = condition_facts
        self.shadow_share = int(shadow_percent * 100)
        self.delegate = delegate
        self.scope = scope
        self.source = source
        self.path = path
        self.on_request: Hook | None = filter.on_request if _overrides(filter, "on_request") else None
        self.statuses = filter.statuses
        self.on_response: Hook | None = (
            filter.on_response
            if _overrides(filter, "on_response") and (self.statuses is None or self.statuses)
            else None
        )
        self.plain = mode == "enforce" and condition is None


def _overrides(filter: Filter[Any], hook: str) -> bool:
    return getattr(type(filter), hook) is not getattr(Filter, hook)


class Chain:
    """The entries that an exchange runs through, in order; entries that are off are left out.

    inward   place, entry and hook of each that is met inward; where the hook is None, the entry takes a second look
    guards   the entries whose hooks run inward
    outward  whether any looks at every answer
    statuses those of answers that any looks at
    unwanted lower-case names of the fields that are taken from a client's request before the first entry
    doubtful those of the fields that filters own which a client's request keeps for who judges them, and no further unless
             somebody has
    believed of those that are judged for some peers only, whose they are
    """

    __slots__ = (
        "_judging",
        "believed",
        "doubtful",
        "entries",
        "guards",
        "inward",
        "outward",
        "statuses",
        "unwanted",
    )

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(
            entry
            for entry in entries
            if entry.mode != "off" and (entry.on_request is not None or entry.on_response is not None)
        )
        self.inward = tuple(
            (place, entry, entry.on_request if entry.plain else None)
            for place, entry in enumerate(self.entries)
            if entry.on_request is not None or not entry.plain
        )
        self.guards = tuple(entry for entry in self.entries if entry.on_request is not None)
        lookers = [entry for entry in self.entries if entry.on_response is not None]
        self.outward = any(entry.statuses is None for entry in lookers)
        self.statuses: frozenset[int] = frozenset().union(*(entry.statuses or () for entry in lookers))
        # What those in shadow think of a field is not heard: it only goes as far as to them.
        self._judging = tuple(
            (place, entry.mode == "enforce", entry.filter.judges)
            for place, entry in enumerate(self.entries)
            if entry.filter.judges
        )
        self.unwanted: frozenset[bytes] = frozenset()
        self.doubtful: frozenset[bytes] = frozenset()
        self.believed: Mapping[bytes, tuple[Peers, ...]] = {}

    def own(self, owned: frozenset[bytes]) -> None:
        """Says which fields none but filters may set, of all chains."""
        judged = frozenset().union(*(names for _, _, names in self._judging))
        self.unwanted = owned - judged
        self.doubtful = owned & judged
        self.believed = {
            name: tuple(filter.believes[name] for filter in judging)
            for name in self.doubtful
            if (judging := [entry.filter for entry in self.entries if name in entry.filter.judges])
            and all(name in filter.believes for filter in judging)
        }

    def disbelieve(self, headers: Fields, peer: str) -> None:
        """Takes what nobody here would believe of this peer."""
        for name, believed in self.believed.items():
            if headers.has(name) and not any(peer in peers for peers in believed):
                headers.remove(name)

    def unjudged(self, left_out: AbstractSet[int], passed: Sequence[object] = ()) -> frozenset[bytes]:
        """Which of the doubtful nobody has judged, where the entries at some places were left out, and the filters `passed`
        have let the request pass without a look at them."""
        return self.doubtful.difference(
            *(
                names
                for place, enforces, names in self._judging
                if enforces
                and place not in left_out
                and not any(self.entries[place].filter is filter for filter in passed)
            )
        )


class Reporter(Protocol):
    """Where a bug in a filter is told."""

    def __call__(self, where: str, exchange: Exchange, error: BaseException) -> None: ...


class Run:
    """One exchange on its way through a chain.

    `inward()` gives the verdict on the request: None to forward it, a Fault, or a Response; or an awaitable
    of that where a filter has to wait. `outward()` takes `exchange.response` through the filters that
    passed the request, outermost last; it may be replaced there. `finish()` runs what was deferred. Each is
    called at most once.
    """

    # Most runs leave these as they are.
    _passed = 0
    _not_outward: set[int] | None = None
    _shadow: ShadowExchange | None = None
    _shadow_tasks: list[asyncio.Task[None]] | None = None
    _waits: tuple[object, ...] = ()  # what has been handed out to be awaited
    _held: Awaitable[Verdict] | None = None  # what a shadow that delegates still waits for
    decider: Step | None = None
    _doubted: dict[bytes, tuple[bytes, ...]] | None = (
        None  # what the client sent of doubtful fields, by lines
    )
    _said: Fault | None = None  # the refusal of a wrapper, which has been written down

    def __init__(
        self,
        chain: Chain,
        exchange: Exchange,
        render: Callable[[Fault, Exchange], Response],
        report: Reporter,
    ) -> None:
        self._chain = chain
        self._exchange = exchange
        self._render = render
        self._report = report

    @property
    def guards(self) -> tuple[Entry, ...]:
        return self._chain.guards

    @property
    def steps(self) -> list[Step]:
        """What each filter has done so far."""
        return steps(self.guards, self._exchange.trail)

    def sees(self, status: int) -> bool:
        """Whether any filter looks at an answer of this status."""
        return self._chain.outward or status in self._chain.statuses

    # ---- inward

    def inward(self, after: int = -1) -> Verdict | Awaitable[Verdict]:
        """The verdict of the filters behind the place `after`."""
        exchange = self._exchange
        trail = exchange.trail
        body = exchange.request.body
        wrappers = body.wrappers
        ahead = self._chain.inward
        if after < 0:
            trail.append(_now())
            if self._chain.doubtful:
                self._doubt(exchange.request.headers)
        else:
            ahead = tuple(item for item in ahead if item[0] > after)
        for place, entry, hook in ahead:
            if hook is None:
                # Not a plain guard: it has a condition, or judges in shadow, or looks at answers only.
                hook = entry.on_request if self._enforced(entry, place) else None
                if hook is None:
                    held = self._held
                    if held is not None:
                        self._held = None
                        self._passed = place
                        telling = self._wait_to_tell(place, held)
                        self._waits += (telling, held)
                        return telling
                    wrappers = body.wrappers
                    continue
            try:
                verdict = hook(exchange)
            except Refused as refused:
                verdict = refused.fault
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a bug of one filter must not take the gateway down
                verdict = self._bug(entry, "on_request", error)
            if verdict is not None:
                self._passed = place
                if isinstance(verdict, (Fault, Response)):
                    return self._decided(entry, verdict, self._elapsed(), "request")
                waiting = self._wait(place, verdict, wrappers)
                self._waits += (waiting, verdict)
                return waiting
            trail.append(_now())
            if body.wrappers is not wrappers:
                self._own_wrappers(entry, body, wrappers, "request")
                wrappers = body.wrappers
        self._passed = len(self._chain.entries)
        if self._doubted is not None:
            self._drop_unjudged(self._doubted)
        return None

    def _doubt(self, headers: Fields) -> None:
        """Keeps in mind what the client itself says in doubtful fields, but for what none believes of it."""
        chain = self._chain
        index = headers.index()
        if not chain.doubtful.isdisjoint(index):
            if chain.believed:
                chain.disbelieve(headers, self._exchange.peer)
                index = headers.index()
            self._doubted = {
                name: (value,) if isinstance(value, bytes) else tuple(value)
                for name, value in index.items()
                if name in chain.doubtful
            } or None

    def _drop_unjudged(self, doubted: dict[bytes, tuple[bytes, ...]]) -> None:
        """Takes away what the client has said and nobody has judged; what filters have put there is the operator's word.

        What a peer may say another filter may have found too, and set: there only the very lines of the client go.
        """
        exchange = self._exchange
        names = self._chain.unjudged(self._not_outward or _NONE, exchange.unjudged)
        unjudged = {
            name: lines if name in self._chain.believed else _pieces(b",".join(lines))
            for name, lines in doubted.items()
            if name in names
        }
        if not unjudged:
            return
        headers = exchange.request.headers
        kept = [
            (name, value)
            for name, value in headers.raw
            if (sent := unjudged.get(folded[name])) is None or not _among(value, sent)
        ]
        if len(kept) != len(headers):
            headers.replace(kept)

    def _elapsed(self) -> float:
        """Seconds since the last instant in the trail."""
        trail = self._exchange.trail
        last = len(trail) - 1
        while type(trail[last]) is not float:
            last -= 1
        return _now() - float(trail[last])

    async def _wait(self, place: int, pending: Awaitable[Verdict], wrappers: tuple[Wrapper, ...]) -> Verdict:
        entry = self._chain.entries[place]
        exchange = self._exchange
        verdict = await self._settled(entry, pending, "on_request")
        if verdict is not None:
            return self._decided(entry, verdict, self._elapsed(), "request")
        exchange.trail.append(_now())
        body = exchange.request.body
        if body.wrappers is not wrappers:
            self._own_wrappers(entry, body, wrappers, "request")
        verdict_or_more = self.inward(place)
        if verdict_or_more is None or isinstance(verdict_or_more, (Fault, Response)):
            return verdict_or_more
        return await verdict_or_more

    async def _wait_to_tell(self, place: int, pending: Awaitable[Verdict]) -> Verdict:
        """Goes on when a shadow that delegates has its verdict: filters further on may be about to read of it."""
        entry = self._chain.entries[place]
        before = _now()
        overlay = self._overlay()
        verdict = await self._settled(entry, pending, "shadow request")
        elapsed = _now() - before
        trail = self._exchange.trail
        trail.append(self._shadow_step(entry, verdict, elapsed, overlay, "request", place))
        self._tell(entry, verdict)
        trail.append(_now())
        verdict_or_more = self.inward(place)
        if verdict_or_more is None or isinstance(verdict_or_more, (Fault, Response)):
            return verdict_or_more
        return await verdict_or_more

    def _tell(self, entry: Entry, verdict: Verdict) -> None:
        """Writes down for those further on what an entry in shadow would have refused, if it delegates that."""
        if (
            entry.delegate is not None
            and isinstance(verdict, Fault)
            and verdict.reason != "filter_failed"
            and not _unsound(verdict)
        ):
            why = Delegation(verdict.status, entry.name, verdict.message, entry.delegate)
            self._exchange.request.headers.add(delegation.NAME, delegation.written(why))

    async def _settled(self, entry: Entry, pending: Awaitable[Verdict], hook: str) -> Verdict:
        try:
            verdict = await pending
        except Refused as refused:
            return refused.fault
        except _TooLate:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return self._bug(entry, hook, error)  # nobody has cancelled it: the hook's own doing
        except Exception as error:  # noqa: BLE001 - see inward
            return self._bug(entry, hook, error)
        if verdict is None or isinstance(verdict, (Fault, Response)):
            return verdict
        return self._bug(entry, hook, TypeError(f"{hook} returned {type(verdict).__name__}"))

    def _enforced(self, entry: Entry, place: int) -> bool:
        """Whether the entry's hooks take part in the exchange; runs a shadow entry on its overlay."""
        condition = entry.condition
        if condition is not None:
            try:
                holds = condition(self._exchange)
            except Exception as error:  # noqa: BLE001 - see inward
                self._report(f"{entry.name}.when", self._exchange, error)
                holds = True  # a guard whose condition is broken guards
            if not holds:
                self._leave_out(place)
                self._exchange.trail += (
                    Step(entry, "skip", "condition_false", (), 0.0, 0, None, None, "request"),
                    _now(),
                )
                return False
        if entry.mode == "shadow":
            if not sampled(entry, self._exchange):
                self._leave_out(place)
                self._exchange.trail.append(None)
            elif entry.on_request is not None:
                self._shadow_request(entry, entry.on_request, place)
                if self._held is None:
                    self._exchange.trail.append(_now())
            return False
        return True

    def _leave_out(self, place: int) -> None:
        if self._not_outward is None:
            self._not_outward = set()
        self._not_outward.add(place)

    def _decided(
        self, entry: Entry, verdict: Fault | Response, elapsed: float, phase: str
    ) -> Fault | Response:
        """Writes the verdict down; in place of one that no answer can be made of, a bug's."""
        if verdict is self._said:
            return verdict  # by a wrapper, while another filter had the body
        wrong = _unsound(verdict)
        if wrong:
            verdict = self._bug(entry, f"on_{phase}", TypeError(wrong))
        refusal = isinstance(verdict, Fault)
        kind = "answer" if not refusal else "error" if verdict.reason == "filter_failed" else "refuse"
        self.decider = step = Step(
            entry,
            kind,
            verdict.reason,
            verdict.rule,
            elapsed,
            verdict.status,
            _taken(self._exchange),
            verdict.facts if isinstance(verdict, Fault) else None,
            phase,
        )
        self._exchange.trail.append(step)
        return verdict

    def _bug(self, entry: Entry, hook: str, error: BaseException) -> Fault:
        self._report(f"{entry.name}.{hook}", self._exchange, error)
        return Fault(500, "filter_failed", INTERNAL_ERROR)

    # ---- bodies

    def _own_wrappers(self, entry: Entry, body: Body, before: tuple[Wrapper, ...], phase: str) -> None:
        """Ties the wrappers that a hook has just added to its entry, so that a refusal has a name."""
        if body.wrappers[: len(before)] != before:
            before = ()  # the body was replaced, which took them all
        added = body.wrappers[len(before) :]
        body.wrappers = (*before, *(self._owned(entry, fn, phase) for fn in added))

    def _owned(self, entry: Entry, fn: Wrapper, phase: str) -> Wrapper:
        def through(chunk: bytes) -> bytes:
            try:
                passed: Any = fn(chunk)
                if type(passed) is not bytes:
                    raise TypeError(f"a body wrapper returned {type(passed).__name__}")
                return passed
            except Refused as refused:
                decided = self._decided(entry, refused.fault, 0.0, phase)
                self._said = refused.fault
                if decided is refused.fault:
                    raise
                assert isinstance(decided, Fault)
                raise Refused(decided) from refused
            except Exception as error:
                fault = self._bug(entry, "body", error)
                self._decided(entry, fault, 0.0, phase)
                raise Refused(fault) from error

        return through

    # ---- outward

    def outward(self) -> Awaitable[None] | None:
        """Takes `exchange.response` outward; None when that is done already, an awaitable otherwise."""
        if not self._chain.outward and not self._chain.statuses:
            return None
        return self._outward(self._passed - 1)

    def _outward(self, start: int) -> Awaitable[None] | None:
        exchange = self._exchange
        entries = self._chain.entries
        left_out = self._not_outward
        before = _now()
        for place in range(start, -1, -1):
            entry = entries[place]
            hook = entry.on_response
            if hook is None or (left_out is not None and place in left_out):
                continue
            response = exchange.response
            assert response is not None
            if entry.statuses is not None and response.status not in entry.statuses:
                continue
            if entry.mode == "shadow":
                self._shadow_response(entry)
                continue
            body, wrappers = response.body, response.body.wrappers
            try:
                verdict = hook(exchange)
            except Refused as refused:
                verdict = refused.fault
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - see inward
                verdict = self._bug(entry, "on_response", error)
            after = _now()
            if verdict is not None and not isinstance(verdict, (Fault, Response)):
                waiting = self._wait_outward(place, verdict, before, body, wrappers)
                self._waits += (waiting, verdict)
                return waiting
            self._passed_outward(entry, verdict, after - before, body, wrappers)
            before = after
        return None

    async def _wait_outward(
        self,
        place: int,
        pending: Awaitable[Verdict],
        before: float,
        body: Body,
        wrappers: tuple[Wrapper, ...],
    ) -> None:
        entry = self._chain.entries[place]
        verdict = await self._settled(entry, pending, "on_response")
        self._passed_outward(entry, verdict, _now() - before, body, wrappers)
        rest = self._outward(place - 1)
        if rest is not None:
            await rest

    def _passed_outward(
        self, entry: Entry, verdict: Verdict, elapsed: float, body: Body, wrappers: tuple[Wrapper, ...]
    ) -> None:
        wrong = "" if verdict is not None else _unsound(self._exchange.response)
        if wrong:
            verdict = self._bug(entry, "on_response", TypeError(wrong))
        if verdict is None:
            self._exchange.trail.append(
                Step(entry, "pass", None, (), elapsed, 0, _taken(self._exchange), None, "response")
            )
            if body.wrappers is not wrappers:
                self._own_wrappers(entry, body, wrappers, "response")
            return
        verdict = self._decided(entry, verdict, elapsed, "response")
        exchange = self._exchange
        exchange.response = verdict if isinstance(verdict, Response) else self._render(verdict, exchange)

    # ---- shadow

    def _overlay(self) -> ShadowExchange:
        if self._shadow is None:
            self._shadow = ShadowExchange(self._exchange, _Tap(self._exchange.request.body))
        return self._shadow

    def _shadow_request(self, entry: Entry, hook: Hook, place: int) -> None:
        overlay = self._overlay()
        overlay.request.body = tap = _Tap(self._exchange.request.body, holds=entry.delegate is not None)
        tap.owner = lambda fault: self._shadow_late(entry, place, fault)
        self._shadow_hook(entry, hook, overlay, "request", place)

    def _shadow_response(self, entry: Entry) -> None:
        overlay = self._overlay()
        response = self._exchange.response
        assert response is not None and entry.on_response is not None
        tap = _Tap(response.body)
        tap.owner = lambda fault: self._shadow_late(entry, None, fault)
        if overlay.response is None:
            overlay.response = Response(response.status, response.headers.overlay(), tap)
        else:
            overlay.response.body = tap
        self._shadow_hook(entry, entry.on_response, overlay, "response", None)

    def _shadow_hook(
        self,
        entry: Entry,
        hook: Hook,
        overlay: ShadowExchange,
        phase: str,
        place: int | None,
    ) -> None:
        overlay.follow()
        before = _now()
        verdict: Verdict
        try:
            outcome = hook(overlay)
            if outcome is not None and isawaitable(outcome):
                if entry.delegate is not None and phase == "request":
                    self._held = outcome
                    return
                self._shadow_wait(entry, outcome, overlay, phase, place, before)
                return
            verdict = outcome
        except Refused as refused:
            verdict = refused.fault
        except Exception as error:  # noqa: BLE001 - a shadow never fails a request
            verdict = self._bug(entry, f"shadow {phase}", error)
        elapsed = _now() - before
        self._exchange.trail.append(self._shadow_step(entry, verdict, elapsed, overlay, phase, place))
        if phase == "request":
            self._tell(entry, verdict)

    def _shadow_step(
        self,
        entry: Entry,
        verdict: Verdict,
        elapsed: float,
        overlay: ShadowExchange,
        phase: str,
        place: int | None,
    ) -> Step:
        notes = _taken(overlay)
        if verdict is None:
            found = None
            if phase == "request" and type(entry.filter).suppose is not Filter.suppose:
                notes, found = _with_principal(notes, overlay)
            passed: Step = _step(Step, (entry, "pass", None, (), elapsed, 0, notes, found, phase))
            return passed
        if place is not None:
            self._leave_out(place)
        facts = verdict.facts if isinstance(verdict, Fault) else None
        kind = "answer" if isinstance(verdict, Response) else "refuse"
        if verdict.reason == "filter_failed":
            kind = "error"
        return Step(entry, kind, verdict.reason, verdict.rule, elapsed, verdict.status, notes, facts, phase)

    def _shadow_wait(
        self,
        entry: Entry,
        pending: Awaitable[Verdict],
        overlay: ShadowExchange,
        phase: str,
        place: int | None,
        before: float,
    ) -> None:
        taps = (overlay.request.body, None if overlay.response is None else overlay.response.body)
        tap = taps[phase == "response"]
        if isinstance(tap, _Tap):
            tap.record()
        trail = self._exchange.trail
        undecided = Step(entry, "undecided", "undecided", (), 0.0, 0, None, None, phase)
        trail.append(undecided)

        async def settle() -> None:
            try:
                async with asyncio.timeout(SHADOW_BUDGET):
                    verdict = await self._settled(entry, pending, f"shadow {phase}")
            except (TimeoutError, _TooLate):
                return
            elapsed = _now() - before
            for slot, item in enumerate(trail):
                if item is undecided:
                    trail[slot] = self._shadow_step(entry, verdict, elapsed, overlay, phase, place)
                    return

        if self._shadow_tasks is None:
            self._shadow_tasks = []
        self._shadow_tasks.append(spawn(settle(), name=f"shadow {entry.name}"))
        self._waits += (pending,)

    def _shadow_late(self, entry: Entry, place: int | None, fault: Fault | BaseException) -> None:
        """A shadow body wrapper refused, or broke, after its hook had passed."""
        phase = "request" if place is not None else "response"
        if isinstance(fault, Fault):
            late = Step(
                entry, "refuse", fault.reason, fault.rule, 0.0, fault.status, None, fault.facts, phase
            )
        else:
            self._bug(entry, f"shadow {phase} body", fault)
            late = Step(entry, "error", "filter_failed", (), 0.0, 500, None, None, phase)
        if place is not None:
            self._leave_out(place)
        self._exchange.trail.append(late)

    # ---- the end

    def finish(self) -> None:
        """Runs the deferred callbacks, last first, and drops what shadow filters still wait for."""
        if self._shadow_tasks is not None:
            for task in self._shadow_tasks:
                task.cancel()
        for waiting in self._waits:
            discard(waiting)
        exchange = self._exchange
        _run_deferred(exchange.take_deferred(), exchange, self._report)
        if self._shadow is not None:
            _run_deferred(self._shadow.take_deferred(), exchange, self._report)
            self._shadow = None  # what it sees of bodies knows this run: no circles


INTERNAL_ERROR = "The server has either erred or is incapable of performing the requested operation."
"""Nova's words for a 500; nothing of the cause reaches the client."""


def _unsound(verdict: Any) -> str:
    """What is wrong with a verdict, or with an answer that a filter has edited: a filter is typed by its own checker only.

    Empty for one of which an answer can be made.
    """
    if isinstance(verdict, Fault):
        seen: tuple[Any, ...] = (
            verdict.reason,
            verdict.message,
            verdict.details,
            verdict.retry_after,
            verdict.rule,
        )
        reason, message, details, retry_after, rule = seen
        status: Any = verdict.status
        if type(status) is not int or not 400 <= status <= 599:
            return f"the status of a fault is 400 to 599, not {status!r}"
        if (
            not isinstance(reason, str)
            or not isinstance(message, str)
            or not isinstance(details, (str, NoneType))
        ):
            return "reason, message and details of a fault are text"
        if type(retry_after) not in (int, NoneType) or (retry_after is not None and retry_after < 0):
            return f"retry_after of a fault is whole seconds, not {retry_after!r}"
        return "" if isinstance(rule, tuple) else "the rule of a fault is a tuple"
    if not isinstance(verdict, Response):
        return f"the response is {type(verdict).__name__}"
    parts: tuple[Any, ...] = (verdict.status, verdict.headers, verdict.body, verdict.phrase, verdict.rule)
    status, headers, body, phrase, rule = parts
    if type(status) is not int or not (200 <= status <= 999 or status == 101):
        return f"the status of a response is 200 to 999, or 101, not {status!r}"
    if not isinstance(headers, Fields) or not isinstance(body, Body) or type(phrase) is not bytes:
        return "headers of a response are Fields, its body is a Body, its phrase is bytes"
    whole: Any = body.complete
    if type(whole) not in (bytes, NoneType):
        return f"the body of a response is bytes, not {type(whole).__name__}"
    return "" if isinstance(rule, tuple) else "the rule of a response is a tuple"


def _pieces(value: bytes) -> frozenset[bytes]:
    """The members of a value, without weights: by these it is known again, whether it has been split, merged or weighted."""
    return frozenset([piece.partition(b";")[0].strip(b" \t") for piece in value.split(b",")])


def _among(value: bytes, sent: frozenset[bytes] | tuple[bytes, ...]) -> bool:
    """Whether a line is one of the client's, by its pieces or by itself."""
    if isinstance(sent, tuple):
        return any(value is line for line in sent)
    return not sent.isdisjoint(_pieces(value))


def _taken(exchange: Exchange) -> tuple[Note, ...] | None:
    """Takes the notes at the end of the trail off it."""
    trail = exchange.trail
    if not trail or type(trail[-1]) is not Note:
        return None
    notes: list[Note] = []
    while trail and type(trail[-1]) is Note:
        notes.append(trail.pop())
    return tuple(reversed(notes))


def _with_principal(
    notes: tuple[Note, ...] | None, overlay: ShadowExchange
) -> tuple[tuple[Note, ...] | None, dict[str, object] | None]:
    """Notes, or else facts, that say too who is calling by the word of a filter in shadow: no other part of a record does."""
    principal = overlay.principal
    found: dict[str, object] = {"principal": None if principal is None else members(principal)}
    if not notes:
        return None, found
    return (notes[0]._replace(facts={**notes[0].facts, **found}), *notes[1:]), None


def _run_deferred(callbacks: Iterable[Callable[[], None]], exchange: Exchange, report: Reporter) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - one broken callback must not keep the others from running
            report("defer", exchange, error)


def sampled(entry: Entry, exchange: Exchange) -> bool:
    """Whether this exchange is in the entry's share: by its id, so that one exchange is wholly in or out."""
    return entry.shadow_share >= 10_000 or int(exchange.request_id[-8:], 16) % 10_000 < entry.shadow_share


TEE_LIMIT = 1024 * 1024
"""Bytes of a streamed body that are kept for a shadow filter which waits, and may yet ask for them."""


class _Tap(Body):
    """What a shadow filter sees of a body: every chunk, and no way to change one, or to hold one unless it `holds`."""

    __slots__ = ("_base", "_holds", "_tee", "owner")

    owner: Callable[[Fault | BaseException], None]

    def __init__(self, base: Body, *, holds: bool = False) -> None:
        super().__init__(base.complete, base.length)
        self._base = base
        self._holds = holds
        self._tee: _Tee | None = None

    def wrap(self, fn: Wrapper, *, resizes: bool = False) -> None:
        owner = self.owner
        broken = False

        def tap(chunk: bytes) -> bytes:
            nonlocal broken
            if not broken:
                try:
                    fn(chunk)
                except Refused as refused:
                    broken = True
                    owner(refused.fault)
                except Exception as error:  # noqa: BLE001 - a shadow never fails a request
                    broken = True
                    owner(error)
            return chunk

        self._base.wrap(tap)

    def record(self) -> None:
        """Keeps what comes from now on: the hook waits, and the stream will not wait for it."""
        if self._base.complete is None and self._tee is None:
            self._tee = _Tee()
            self._base.wrap(self._tee)

    async def _collected(self, limit: int) -> bytes:
        whole = self._base.complete
        if whole is None and self._holds:
            return await self._base.collect(limit)
        if whole is None:
            self.record()
            assert self._tee is not None
            whole = await self._tee.whole()
        if len(whole) > limit:
            raise too_large(limit)
        return whole


class _TooLate(Exception):  # noqa: N818 - no error: the hook stays undecided
    """A shadow hook asked for more of a body than was kept."""


class _Tee:
    """A body wrapper that keeps the first bytes of what passes, for those who ask for the whole."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __call__(self, chunk: bytes) -> bytes:
        if not self._ended.done():
            self._size += len(chunk)
            self._chunks.append(chunk)
            if self._size > TEE_LIMIT:
                self._chunks.clear()
            if not chunk or self._size > TEE_LIMIT:
                self._ended.set_result(None)
        return chunk

    async def whole(self) -> bytes:
        """The body once it has passed. Raises _TooLate when it was not all kept."""
        await asyncio.shield(self._ended)
        if self._size > TEE_LIMIT:
            raise _TooLate
        return b"".join(self._chunks)
