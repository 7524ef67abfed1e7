"""Where a request of one upstream goes: balancing among the endpoints that health, ejection and breakers leave.

Knows neither sockets nor the event loop. An attempt is told of when it begins and when it is over, and what becomes of it
is what passive health and the breakers go by.

    choose -> begun -> over, and so again for each attempt
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import ceil
from typing import Final, NamedTuple

from gateway.config.model import Upstream
from gateway.upstream.balance import Random, balancer
from gateway.upstream.breaker import CLOSED, OPEN, Breaker
from gateway.upstream.canary import Canary
from gateway.upstream.ejection import Ejector
from gateway.upstream.health import Health
from gateway.upstream.member import Member
from gateway.wheel import FAR

UNAVAILABLE: Final = "upstream_unavailable"
CIRCUIT_OPEN: Final = "upstream_circuit_open"
EXHAUSTED: Final = "upstream_pool_exhausted"
REFUSALS: Final = frozenset((UNAVAILABLE, CIRCUIT_OPEN, EXHAUSTED))
"""Reason codes of requests that we keep from an upstream; they say nothing of it."""

LEAST_SHARE: Final = 0.1
"""Of its weight, what an endpoint begins with that has come back."""

Tell = Callable[[str, str, Mapping[str, object]], None]
"""Takes an event: its name, the endpoint's address ("" for the pool as a whole), and what more there is to say."""


class Refusal(NamedTuple):
    """No endpoint may take the request: a reason code, and the seconds that the client is asked to wait."""

    reason: str
    retry_after: int


class Ticket:
    """An attempt in progress, from `begun` to `over`."""

    __slots__ = ("epoch", "is_over", "member", "pool_epoch")

    def __init__(self, member: Member, epoch: int, pool_epoch: int) -> None:
        self.member = member
        self.epoch = epoch
        self.pool_epoch = pool_epoch
        self.is_over = False


class Selection:
    """The choices of one pool.

    clock   seconds that never go back
    random  numbers from 0 to below 1
    tell    takes what changes, never what a single request does

    due     when `refresh` has something to do; FAR for never
    refused requests that no endpoint could take, by reason
    """

    def __init__(self, upstream: Upstream, *, clock: Callable[[], float], random: Random, tell: Tell) -> None:
        self._clock = clock
        self._tell = tell
        main = len(upstream.endpoints)
        self.members = tuple(
            Member(index, server.url.address, server.weight, canary=index >= main)
            for index, server in enumerate(upstream.servers)
        )
        self._main: Sequence[Member] = self.members[:main]
        self._others: Sequence[Member] = self.members[main:]
        self._balancer = balancer(upstream.balance, random)
        self._canary = Canary(upstream.canary, random) if upstream.canary is not None else None
        self._interval = 0.0
        if upstream.health is not None:
            self._interval = upstream.health.interval
            for member in self.members:
                member.health = Health(upstream.health)
        self._ejector = Ejector(upstream.ejection, self.members) if upstream.ejection is not None else None
        self._judges = upstream.health is not None or upstream.ejection is not None
        self.breaker: Breaker | None = None
        self._breaks = False
        if upstream.breaker is not None:
            if upstream.breaker.pool is not None:
                self.breaker = Breaker(upstream.breaker.pool)
            if upstream.breaker.endpoint is not None:
                self._breaks = True
                for member in self.members:
                    member.breaker = Breaker(upstream.breaker.endpoint)
        self._learns = self._ejector is not None or upstream.breaker is not None
        self._errors = frozenset(upstream.gateway_errors)
        self._slow_start = upstream.slow_start
        self._least_well = len(self.members) * upstream.panic_percent / 100
        self._limit = upstream.max_connections or 0
        self._max_pending = upstream.max_pending
        self.counts = bool(
            self._learns or self._limit or (upstream.balance == "least_request" and len(self.members) > 1)
        )
        """Whether `begun` and `over` have to be called."""
        self._simple = not (self._judges or self._learns or self._limit or self._canary is not None)
        self.panics = False
        self._takes_all = True  # no member is left out: all are well, or it is a panic
        self.due = FAR
        self.refused: dict[str, int] = dict.fromkeys(sorted(REFUSALS), 0)

    # ---- a request

    def choose(self, key: bytes | None, tried: Collection[Member]) -> Member | Refusal:
        """The member that a request which is known by `key` goes to: none of `tried` where there is another."""
        if self._simple and not tried:
            return self._balancer.pick(self.members, key)
        now = self._clock()
        if self.breaker is not None and not self.breaker.admits(now):
            return self._refusal(CIRCUIT_OPEN, self.breaker.remaining(now))
        if now >= self.due:
            self.refresh(now)
        first, second = self._main, self._others
        if self._canary is not None and self._is_canary(key, tried):
            first, second = second, first
        found = self._able(first, second, tried, now)
        if not found and tried:
            found = self._able(first, second, (), now)
        if not found:
            return self._no_member(now)
        if len(found) == 1:
            return found[0]
        if self._slow_start:
            for member in found:
                member.share = self.share(member, now)
        return self._balancer.pick(found, key)

    def _is_canary(self, key: bytes | None, tried: Collection[Member]) -> bool:
        for member in tried:
            return member.canary  # a second attempt stays on the side of the first
        assert self._canary is not None
        return self._canary.takes(key)

    def _able(
        self, first: Sequence[Member], second: Sequence[Member], tried: Collection[Member], now: float
    ) -> list[Member]:
        """Those of the first group that may take a request, else of the second, which stands in for it.

        Where all have as many requests as they have connections, they may wait.
        """
        limit = self._limit
        found = self._of(first, tried, now, limit) or self._of(second, tried, now, limit)
        if not found and limit and self.pending < self._max_pending:
            found = self._of(first, tried, now, 0) or self._of(second, tried, now, 0)
        return found

    def _of(
        self, members: Sequence[Member], tried: Collection[Member], now: float, limit: int
    ) -> list[Member]:
        return [
            member
            for member in members
            if (not limit or member.active < limit)
            and (self._takes_all or member.well)
            and (member.breaker is None or member.breaker.admits(now))
            and member not in tried
        ]

    def _no_member(self, now: float) -> Refusal:
        """Why none may: the reason that is closest to one that could."""
        left = [member for member in self.members if self._takes_all or member.well]
        if self._limit and any(member.breaker is None or member.breaker.admits(now) for member in left):
            return self._refusal(EXHAUSTED, 0.0)
        if left:
            waits = [member.breaker.remaining(now) for member in left if member.breaker is not None]
            return self._refusal(CIRCUIT_OPEN, min(waits))
        waits = [member.ejected_until - now if member.ejected else self._interval for member in self.members]
        return self._refusal(UNAVAILABLE, min(waits))

    def _refusal(self, reason: str, seconds: float) -> Refusal:
        self.refused[reason] += 1
        return Refusal(reason, max(1, ceil(seconds)))

    def begun(self, member: Member) -> Ticket:
        """An attempt at a member that was just chosen begins."""
        member.active += 1
        return Ticket(
            member,
            member.breaker.begun() if member.breaker is not None else 0,
            self.breaker.begun() if self.breaker is not None else 0,
        )

    def over(self, ticket: Ticket, failure: str | None, status: int) -> None:
        """The attempt is over; a second call does nothing.

        `failure` is the reason code of what ended it, None for an answer with `status`. One that does not begin with
        `upstream_`, such as that of a client that has left, says nothing of the endpoint.
        """
        if ticket.is_over:
            return
        ticket.is_over = True
        member = ticket.member
        member.active -= 1
        if not self._learns:
            return
        ok: bool | None
        if failure is None:
            ok = status not in self._errors
        else:
            ok = False if failure.startswith("upstream_") and failure not in REFUSALS else None
        why = failure if failure is not None else f"status {status}"
        now = self._clock()
        if member.breaker is not None:
            self._tell_breaker(member.breaker, ticket.epoch, ok, now, member.address, why)
        if self.breaker is not None:
            self._tell_breaker(self.breaker, ticket.pool_epoch, ok, now, "", why)
        if self._ejector is not None and ok is not None:
            if ok:
                self._ejector.succeeded(member)
            else:
                self._eject(self._ejector, member, why, now)

    def _tell_breaker(
        self, breaker: Breaker, epoch: int, ok: bool | None, now: float, address: str, why: str
    ) -> None:
        before = breaker.state
        breaker.over(epoch, ok, now)
        after = breaker.state
        if after == before:
            return
        if after == OPEN:
            self._tell("breaker_open", address, {"reason": why, "seconds": breaker.remaining(now)})
        elif after == CLOSED:
            self._tell("breaker_closed", address, {"reason": "probes have succeeded"})

    def _eject(self, ejector: Ejector, member: Member, why: str, now: float) -> None:
        seconds = ejector.failed(member, now)
        if seconds:
            self.due = min(self.due, member.ejected_until)
            self._tell(
                "endpoint_ejected",
                member.address,
                {"reason": why, "failures": member.failures, "seconds": seconds},
            )
            self._weigh_up()

    # ---- how members stand

    @property
    def pending(self) -> int:
        """Requests that are beyond the connections of their endpoint, and wait for one."""
        limit = self._limit
        return sum(max(0, member.active - limit) for member in self.members) if limit else 0

    def refresh(self, now: float) -> None:
        """Takes back those whose time is up."""
        ejector = self._ejector
        self.due = FAR
        if ejector is None:
            return
        for member in self.members:
            if ejector.take_back(member, now):
                member.returned_at = now
                self._tell("endpoint_back", member.address, {"reason": "its time is up"})
            elif member.ejected:
                self.due = min(self.due, member.ejected_until)
        self._weigh_up()

    def _weigh_up(self) -> None:
        """A member is in or out now that was not."""
        well = 0
        for member in self.members:
            if member.well:
                well += 1
        panics = well < self._least_well
        self._takes_all = panics or well == len(self.members)
        if panics != self.panics:
            self.panics = panics
            self._tell("panic" if panics else "panic_over", "", {"well": well, "of": len(self.members)})

    def checked(self, member: Member, ok: bool, detail: str, at: float) -> None:
        """A check of the member is over; `at` is in seconds since the epoch."""
        health = member.health
        assert health is not None
        if health.take(ok, detail, at):
            if ok:
                member.returned_at = self._clock()
            self._tell("endpoint_healthy" if ok else "endpoint_unhealthy", member.address, {"reason": detail})
            self._weigh_up()

    def share(self, member: Member, now: float) -> float:
        """The member's weight, or what it has of it in its slow start."""
        since = now - member.returned_at
        if since >= self._slow_start:
            return member.weight
        return member.weight * max(LEAST_SHARE, since / self._slow_start)
