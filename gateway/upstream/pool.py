"""The endpoints of one upstream, and connections to them: kept while idle, made when none is.

A connection is kept by its endpoint, and so by the scheme, and remembers the address that it was made to: where the
endpoint's name has other addresses now, it serves out its exchange and gets no other. Which endpoint a request goes to is
decided in `gateway.upstream.selection`.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from random import random
from time import time
from typing import Any, Final

import structlog

from gateway.api.exchange import Exchange
from gateway.config.model import Endpoint as Address
from gateway.config.model import Upstream
from gateway.upstream.checker import Checker
from gateway.upstream.connection import Home, UpstreamConnection
from gateway.upstream.dialer import ConnectError, Dialer, Reach
from gateway.upstream.hash_key import key_reader
from gateway.upstream.member import Member
from gateway.upstream.resolver import Resolver
from gateway.upstream.retry import Retry
from gateway.upstream.selection import EXHAUSTED, Refusal, Selection, Ticket
from gateway.upstream.standing import Standing, describe, describe_breaker
from gateway.wheel import FAR

SWEEP: Final = 1.0
"""Seconds between two looks for connections that have idled too long, or whose address is no longer one."""

OUT_OF_REACH: Final = 1.0
"""Seconds in which a request that could not be sent elsewhere leaves an endpoint alone that was found out of reach."""

_GOOD_NEWS: Final = frozenset(("breaker_closed", "endpoint_back", "endpoint_healthy", "panic_over"))


class Endpoint(Home):
    """One server of an upstream.

    member       what balancing knows of it
    connections  all that stand, idle or in use
    idle         those that are free, the freshest last
    connecting   how many are being made
    waiting      who waits for one of `max_connections`, first come first: gets one that has become free, or None for leave
                 to make one, which is counted in `connecting` already
    missed_at    when it was last found out of reach, if no connection has been made since; on the loop's clock
    """

    __slots__ = (
        "address",
        "authority",
        "connecting",
        "connections",
        "dialer",
        "idle",
        "limit",
        "member",
        "missed_at",
        "waiting",
    )

    def __init__(self, address: Address, member: Member, dialer: Reach, limit: int) -> None:
        self.address = address.address
        self.authority = address.authority.encode("latin-1")
        self.member = member
        self.dialer = dialer
        self.limit = limit
        self.connections: set[UpstreamConnection] = set()
        self.idle: deque[UpstreamConnection] = deque()
        self.connecting = 0
        self.waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()
        self.missed_at = float("-inf")

    def on_lost(self, connection: UpstreamConnection) -> None:
        self.connections.discard(connection)
        self.make_room()

    def reserve(self) -> bool:
        """Whether another connection may be made, which is counted then."""
        if self.limit and len(self.connections) + self.connecting >= self.limit:
            return False
        self.connecting += 1
        return True

    def made(self) -> None:
        """A connection that was reserved stands, or does not."""
        self.connecting -= 1
        self.make_room()

    def make_room(self) -> None:
        """Those who wait may make connections, as far as there is room."""
        while self.waiting:
            if self.waiting[0].done():
                self.waiting.popleft()
            elif self.reserve():
                self.waiting.popleft().set_result(None)
            else:
                return

    def hand_over(self, connection: UpstreamConnection) -> bool:
        """Gives a free connection to the first who waits; False where nobody does."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False


class Pool:
    """The connections of one upstream. Of the chosen endpoint, the freshest idle connection is reused.

    context   for https endpoints
    resolver  one for all upstreams; a new one by default
    reach     makes the connections to all endpoints, in place of the network
    """

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        *,
        context: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.name = name
        self._log: Any = structlog.get_logger("upstream").bind(upstream=name)
        self._loop = asyncio.get_running_loop()
        self._resolver: Resolver = resolver if resolver is not None else Resolver()
        self.selection = Selection(upstream, clock=self._loop.time, random=random, tell=self._tell)
        self.endpoints = tuple(
            Endpoint(
                server.url,
                member,
                reach
                or Dialer(
                    server.url,
                    self._resolver,
                    timeout=upstream.timeouts.connect,
                    max_age=upstream.resolve,
                    context=context,
                    server_name=upstream.tls.server_name if upstream.tls is not None else None,
                ),
                upstream.max_connections or 0,
            )
            for server, member in zip(upstream.servers, self.selection.members, strict=True)
        )
        self.first_byte = upstream.timeouts.first_byte
        self.idle = upstream.timeouts.idle
        self.total = upstream.timeouts.total
        self.retry: Retry | None = Retry(upstream.retries, random) if upstream.retries is not None else None
        """The rules by which requests are sent again, where there are any."""
        self.soonest = min(self.first_byte, self.total)
        if self.retry is not None and self.retry.per_try is not None:
            self.soonest = min(self.soonest, self.retry.per_try)
        """The earliest that a request which is wholly sent can run into a timeout, in seconds."""
        self._keepalive = upstream.keepalive
        self._max_idle = upstream.max_idle
        self._max_age = upstream.resolve
        self._pending_timeout = upstream.pending_timeout
        self.counts = self.selection.counts
        """Whether `begun` and `over` have to be called for each attempt."""
        self.only = (
            self.endpoints[0]
            if len(self.endpoints) == 1 and not self.counts and upstream.health is None
            else None
        )
        """The endpoint of all requests, where there is nothing to choose; then nobody need ask `choose`."""
        self.key_of: Callable[[Exchange], bytes | None] | None = (
            key_reader(upstream.hash) if upstream.hash is not None else None
        )
        """Gives what a request is known by, for `choose`; None where it does not matter."""
        self._sweep: asyncio.TimerHandle | None = None
        self._return: asyncio.TimerHandle | None = None
        self._closed = False
        self._checkers: list[Checker] = []
        if upstream.health is not None:
            for endpoint in self.endpoints:
                take = partial(self._checked, endpoint.member)
                checker = Checker(upstream.health, endpoint.authority, endpoint.dialer, take, random)
                checker.start()
                self._checkers.append(checker)

    async def known(self) -> None:
        """Waits until each endpoint has been checked once, where they are checked at all."""
        for checker in self._checkers:
            await checker.known.wait()

    def now(self) -> float:
        """Seconds on the clock that the pool goes by."""
        return self._loop.time()

    def choose(self, key: bytes | None = None, tried: Collection[Endpoint] = ()) -> Endpoint | Refusal:
        """The endpoint that a request goes to, or why there is none.

        key    what `key_of` gives of the exchange
        tried  endpoints of earlier attempts: another is chosen where there is one that may take the request
        """
        only = self.only
        if only is not None:
            return only
        chosen = self.selection.choose(key, [endpoint.member for endpoint in tried] if tried else ())
        return chosen if isinstance(chosen, Refusal) else self.endpoints[chosen.index]

    def another(self, key: bytes | None, tried: Collection[Endpoint]) -> Endpoint | None:
        """The endpoint that a request goes to which could not be sent to those `tried`, or None.

        One that was out of reach for another request a moment ago is left alone, so that where all are, each request
        makes about one attempt, and not one at every endpoint.
        """
        since = self._loop.time() - OUT_OF_REACH
        passed = [endpoint for endpoint in self.endpoints if endpoint in tried or endpoint.missed_at > since]
        if len(passed) == len(self.endpoints):
            return None
        chosen = self.choose(key, passed)
        return None if isinstance(chosen, Refusal) or chosen in passed else chosen

    def begun(self, endpoint: Endpoint) -> Ticket:
        """An attempt at the endpoint that was just chosen begins. Not asked for where `counts` is false."""
        return self.selection.begun(endpoint.member)

    def over(self, ticket: Ticket, failure: str | None, status: int = 0) -> None:
        """The attempt is over, by a failure (a reason code) or else an answer; see `Selection.over`."""
        selection = self.selection
        selection.over(ticket, failure, status)
        if selection.due != FAR and self._return is None and not self._closed:
            self._return = self._loop.call_at(selection.due, self._take_back)

    def _take_back(self) -> None:
        self._return = None
        self.selection.refresh(self._loop.time())
        if self.selection.due != FAR and not self._closed:
            self._return = self._loop.call_at(self.selection.due, self._take_back)

    def _checked(self, member: Member, ok: bool, detail: str) -> None:
        self.selection.checked(member, ok, detail, time())

    def _tell(self, event: str, endpoint: str, facts: Mapping[str, object]) -> None:
        log = self._log.info if event in _GOOD_NEWS else self._log.warning
        if endpoint:
            log(event, endpoint=endpoint, **facts)
        else:
            log(event, **facts)

    def take(self, endpoint: Endpoint) -> UpstreamConnection | None:
        """An idle connection that is fit for a request, or None.

        What has come on it unasked is no answer to that request: a connection with something unread is ended. It is looked at
        each time, be it as short as it may since it became free: what follows an answer most often follows at once.
        """
        idle = endpoint.idle
        while idle:
            connection = idle.pop()
            # Not `closed`: of an upstream that closes in the way of TLS, the socket stands a moment longer.
            if connection.keep_alive and not connection.transport.is_closing():
                if not connection.has_unread():
                    return connection
                connection.abort()
        return None

    async def connect(self, endpoint: Endpoint) -> UpstreamConnection:
        """A new connection; or, where that has to wait for one of `max_connections`, one that has become free meanwhile and
        has served `requests` before. Raises ConnectError.
        """
        if not endpoint.reserve():
            free = await self._wait(endpoint)
            if free is not None:
                return free
        try:
            connection = await endpoint.dialer.connect()
            endpoint.missed_at = float("-inf")
            if not connection.closed:
                connection.home = endpoint
                endpoint.connections.add(connection)
        except ConnectError:
            endpoint.missed_at = self._loop.time()
            raise
        finally:
            endpoint.made()
        if endpoint.dialer.name is not None:
            self._sweep_later()
        return connection

    async def _wait(self, endpoint: Endpoint) -> UpstreamConnection | None:
        """Waits for a connection that is free, or for leave to make one (None). Raises ConnectError."""
        until = self._loop.time() + self._pending_timeout
        while True:
            waiter: asyncio.Future[UpstreamConnection | None] = self._loop.create_future()
            endpoint.waiting.append(waiter)
            try:
                async with asyncio.timeout_at(until):
                    connection = await waiter
            except BaseException as error:
                self._not_wanted(endpoint, waiter)
                if isinstance(error, TimeoutError):
                    raise ConnectError(EXHAUSTED, "no connection has become free") from None
                raise
            if connection is None or _fit(connection):
                return connection
            if endpoint.reserve():
                return None

    def _not_wanted(self, endpoint: Endpoint, waiter: "asyncio.Future[UpstreamConnection | None]") -> None:
        """Who waited is gone: what it was given is for another."""
        if not waiter.done():
            waiter.cancel()
        elif not waiter.cancelled():
            connection = waiter.result()
            if connection is None:
                endpoint.made()
            else:
                self.give_back(endpoint, connection)

    def give_back(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        """Takes a connection whose exchange is over; keeps it when it is fit for another."""
        if not connection.release():
            return
        if endpoint.waiting and endpoint.hand_over(connection):
            return
        idle = endpoint.idle
        if self._closed or len(idle) >= self._max_idle:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        idle.append(connection)
        if self._sweep is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        if self._sweep is None and not self._closed:
            self._sweep = self._loop.call_later(SWEEP, self._drop_stale)

    def _drop_stale(self) -> None:
        self._sweep = None
        oldest = self._loop.time() - self._keepalive
        left = False
        for endpoint in self.endpoints:
            self._follow(endpoint)
            idle = endpoint.idle
            while idle and (idle[0].closed or idle[0].idle_since <= oldest):
                idle.popleft().close()
            left = left or bool(idle) or (endpoint.dialer.name is not None and bool(endpoint.connections))
        if left:
            self._sweep_later()

    def _follow(self, endpoint: Endpoint) -> None:
        """Sees to it that no request goes to an address that the endpoint's name no longer has."""
        name = endpoint.dialer.name
        if name is None or not endpoint.connections:
            return
        addresses = self._resolver.known(name)
        gone = [connection for connection in endpoint.connections if connection.remote not in addresses]
        for connection in gone:
            connection.retire()
            if connection in endpoint.idle:
                endpoint.idle.remove(connection)
                connection.close()
        self._resolver.refresh(name, self._max_age)

    @property
    def pending(self) -> int:
        """Requests that wait for a connection."""
        return sum(1 for endpoint in self.endpoints for waiter in endpoint.waiting if not waiter.done())

    def status(self) -> Standing:
        """How the pool and its endpoints stand, for an operator; plain values, instants in seconds since the epoch."""
        now, wall = self._loop.time(), time()
        selection = self.selection
        return {
            "name": self.name,
            "panic": selection.panics,
            "pending": self.pending,
            "refused": dict(selection.refused),
            "breaker": describe_breaker(selection.breaker, now, wall),
            "endpoints": [
                {
                    **describe(endpoint.member, selection.share(endpoint.member, now), now, wall),
                    "connections": len(endpoint.connections),
                    "idle": len(endpoint.idle),
                }
                for endpoint in self.endpoints
            ],
        }

    @property
    def idle_count(self) -> int:
        return sum(len(endpoint.idle) for endpoint in self.endpoints)

    def close(self) -> None:
        """Ends the checks, and the idle connections; those in use end with their exchange."""
        self._closed = True
        for checker in self._checkers:
            checker.close()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        if self._return is not None:
            self._return.cancel()
            self._return = None
        for endpoint in self.endpoints:
            while endpoint.idle:
                endpoint.idle.pop().close()


def _fit(connection: UpstreamConnection) -> bool:
    """Whether a free connection may take a request; one with something unread is ended."""
    if not connection.keep_alive or connection.dirty or connection.transport.is_closing():
        return False
    if connection.has_unread():
        connection.abort()
        return False
    return True
