"""Looks on while filters judge: what each has changed, and which of them cannot judge by what is supposed."""

from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Final, NamedTuple

from gateway.api.exchange import Exchange, Instant
from gateway.api.fact import PRINCIPAL, Fact, header
from gateway.api.filter import Filter, facts_read
from gateway.api.principal import Principal
from gateway.api.verdict import Verdict
from gateway.chain import Entry, Hook
from gateway.http.fields import Fields, RawField
from gateway.trial.given import Given
from gateway.trial.silence import listen

_ASKS: Final = "asks the network"


class Change(NamedTuple):
    """One line of a header section, the caller, or the target that is sent, that a filter has changed.

    kind   "added", "removed", "found" or "sent"
    """

    kind: str
    name: str
    value: str


class Sight(NamedTuple):
    """What was seen of one hook.

    undecided  why it cannot judge; empty where it can
    changes    what it did to the message
    supposed   what of its verdict rests on what was supposed, as people would say it; empty for nothing
    """

    undecided: str = ""
    changes: tuple[Change, ...] = ()
    supposed: str = ""


class Witness:
    """Stands between the chain and the hooks of its entries, for one exchange at a time.

    seen  by index of the entry and phase
    """

    def __init__(self) -> None:
        self.seen: dict[tuple[int, str], Sight] = {}
        self._given = Given("GET", "/")
        self._clock = Instant(0.0, 0.0)
        # What an entry that cannot judge would have found out, and who that was; what shadow entries lack, beside.
        self._unknown: dict[Fact, str] = {}
        self._unknown_in_shadow: dict[Fact, str] = {}

    def begin(self, given: Given) -> None:
        """The next exchange is that of `given`."""
        self._given = given
        self._clock = Instant(given.wall, given.wall)
        self.seen = {}
        self._unknown = {}
        self._unknown_in_shadow = {}

    def attend(self, entry: Entry) -> None:
        """Takes the place of the entry's hooks. What judges a share of the requests in shadow judges this one."""
        entry.shadow_share = 10_000
        facts = facts_read(entry.filter)
        owned = frozenset(header(name.decode("latin-1")) for name in entry.filter.owns)
        finds = owned | {PRINCIPAL}
        if entry.on_request is not None:
            entry.on_request = self._request_hook(entry, entry.on_request, facts, finds)
        if entry.on_response is not None:
            entry.on_response = self._response_hook(entry, entry.on_response)
        if entry.condition is not None:
            entry.condition = self._condition(entry, entry.condition, entry.condition_facts, finds)

    def _lacks(self, entry: Entry, facts: Iterable[Fact]) -> str:
        """Whose word is missing for one of `facts`; empty where all are there."""
        unknown = self._unknown_in_shadow if entry.mode == "shadow" else self._unknown
        for fact in facts:
            if fact in unknown:
                return unknown[fact]
        return ""

    def _cannot(self, entry: Entry, phase: str, why: str, finds: Iterable[Fact] = ()) -> None:
        self.seen[entry.index, phase] = Sight(undecided=why)
        for fact in finds:
            self._unknown_in_shadow.setdefault(fact, entry.name)
            if entry.mode != "shadow":
                self._unknown.setdefault(fact, entry.name)

    def _condition(
        self,
        entry: Entry,
        holds: Callable[[Exchange], bool],
        facts: Iterable[Fact],
        finds: frozenset[Fact],
    ) -> Callable[[Exchange], bool]:
        reads = tuple(facts)

        def condition(exchange: Exchange) -> bool:
            exchange.clock = self._clock
            whose = self._lacks(entry, reads)
            if whose:
                self._cannot(entry, "request", f"whether its `when` holds depends on {whose}", finds)
                return False
            return holds(exchange)

        return condition

    def _request_hook(
        self,
        entry: Entry,
        judge: Hook,
        facts: frozenset[Fact],
        finds: frozenset[Fact],
    ) -> Hook:
        supposes = type(entry.filter).suppose is not Filter.suppose

        def hook(exchange: Exchange) -> Verdict | Awaitable[Verdict]:
            exchange.clock = self._clock
            given = self._given
            whose = self._lacks(entry, facts)
            if whose:
                self._cannot(entry, "request", f"depends on {whose}")
                exchange.leave_unjudged(entry.filter)
                return None
            before = _Before(exchange)
            if given.identity is not None and supposes:
                verdict = entry.filter.suppose(exchange, given.identity.principal)
                self._saw(entry, before, exchange, "the caller is the supposed one")
                return verdict
            supposed = ""
            if given.counts and entry.filter.count_before(exchange, given.counts):
                supposed = "requests like it have been counted before, as supposed"
            elif entry.filter.limits:
                supposed = "nothing has been counted before, as supposed"
            asked = listen()
            pending = judge(exchange)
            if isawaitable(pending):
                return settle(pending, exchange, before, asked, supposed)
            self._saw(entry, before, exchange, supposed)
            return pending

        async def settle(
            pending: Awaitable[Verdict],
            exchange: Exchange,
            before: _Before,
            asked: list[str],
            supposed: str,
        ) -> Verdict:
            verdict = await pending
            if asked:
                before.restore(exchange)
                exchange.leave_unjudged(entry.filter)
                self._cannot(entry, "request", f"{_ASKS}: {asked[0]}", finds)
                return None
            self._saw(entry, before, exchange, supposed)
            return verdict

        return hook

    def _saw(self, entry: Entry, before: "_Before", exchange: Exchange, supposed: str) -> None:
        self.seen[entry.index, "request"] = Sight("", before.changes(exchange), supposed)

    def _response_hook(self, entry: Entry, judge: Hook) -> Hook:
        def hook(exchange: Exchange) -> Verdict | Awaitable[Verdict]:
            assert exchange.response is not None
            before = list(exchange.response.headers.raw)
            asked = listen()
            pending = judge(exchange)
            if isawaitable(pending):
                return settle(pending, exchange, before, asked)
            see(exchange, before)
            return pending

        async def settle(
            pending: Awaitable[Verdict], exchange: Exchange, before: list[RawField], asked: list[str]
        ) -> Verdict:
            verdict = await pending
            if asked:
                self._cannot(entry, "response", f"{_ASKS}: {asked[0]}")
            else:
                see(exchange, before)
            return verdict

        def see(exchange: Exchange, before: list[RawField]) -> None:
            assert exchange.response is not None
            changes = _difference(before, list(exchange.response.headers.raw))
            if changes:
                self.seen[entry.index, "response"] = Sight("", tuple(changes))

        return hook


class _Before:
    """An exchange as it was before a hook saw it."""

    def __init__(self, exchange: Exchange) -> None:
        self._headers = list(exchange.request.headers.raw)
        self._principal = exchange.principal
        self._outgoing = exchange.outgoing

    def restore(self, exchange: Exchange) -> None:
        exchange.request.headers = Fields(self._headers)
        exchange.principal = self._principal
        exchange.outgoing = self._outgoing

    def changes(self, exchange: Exchange) -> tuple[Change, ...]:
        changes = _difference(self._headers, list(exchange.request.headers.raw))
        principal = exchange.principal
        if principal is not None and principal is not self._principal:
            changes.append(Change("found", "principal", _named(principal)))
        if exchange.outgoing != self._outgoing:
            changes.append(Change("sent", "target", exchange.outgoing.decode("latin-1")))
        return tuple(changes)


def _named(principal: Principal) -> str:
    told = {
        "user": principal.user_id or principal.user_name,
        "project": principal.project_id or principal.project_name,
        "roles": ",".join(principal.roles),
    }
    return " ".join(f"{name}={value}" for name, value in told.items() if value) or "nobody in particular"


def _difference(before: list[RawField], after: list[RawField]) -> list[Change]:
    """The lines that are gone, and those that are new."""
    rest = list(after)
    changes = []
    for line in before:
        if line in rest:
            rest.remove(line)
        else:
            changes.append(_change("removed", line))
    return [*changes, *(_change("added", line) for line in rest)]


def _change(kind: str, line: RawField) -> Change:
    name, value = line
    return Change(kind, name.decode("latin-1"), value.decode("latin-1"))
