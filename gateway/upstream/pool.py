"""Connections to the endpoints of one upstream: kept while idle, made when none is.

A connection is kept by its endpoint, and so by the scheme, and remembers the address that it was made to: where the
endpoint's name has other addresses now, it serves out its exchange and gets no other.
"""

import asyncio
import ssl
from collections import deque
from typing import Final

from gateway.config.model import Endpoint as Address
from gateway.config.model import Upstream
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.dialer import Dialer
from gateway.upstream.resolver import Resolver

SWEEP: Final = 1.0
"""Seconds between two looks for connections that have idled too long, or whose address is no longer one."""


class Endpoint:
    """One server of an upstream.

    connections  all that stand, idle or in use
    idle         those that are free, the freshest last
    """

    __slots__ = ("address", "authority", "connections", "dialer", "idle")

    def __init__(self, address: Address, dialer: Dialer) -> None:
        self.address = address.address
        self.authority = address.authority.encode("latin-1")
        self.dialer = dialer
        self.connections: set[UpstreamConnection] = set()
        self.idle: deque[UpstreamConnection] = deque()


class Pool:
    """The connections of one upstream. An endpoint is chosen in turn; its freshest idle connection is reused.

    context   for https endpoints
    resolver  one for all upstreams; a new one by default
    """

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        *,
        context: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self.name = name
        self._resolver: Resolver = resolver if resolver is not None else Resolver()
        self.endpoints = tuple(
            Endpoint(
                address,
                Dialer(
                    address,
                    self._resolver,
                    timeout=upstream.timeouts.connect,
                    max_age=upstream.resolve,
                    context=context,
                    server_name=upstream.tls.server_name if upstream.tls is not None else None,
                ),
            )
            for address in upstream.endpoints
        )
        self.first_byte = upstream.timeouts.first_byte
        self.idle = upstream.timeouts.idle
        self.total = upstream.timeouts.total
        self.soonest = min(self.first_byte, self.total)
        """The earliest that a request which is wholly sent can run into a timeout, in seconds."""
        self._keepalive = upstream.keepalive
        self._max_idle = upstream.max_idle
        self._max_age = upstream.resolve
        self._loop = asyncio.get_running_loop()
        self._only = self.endpoints[0] if len(self.endpoints) == 1 else None
        self._turn = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def next_endpoint(self) -> Endpoint:
        if self._only is not None:
            return self._only
        self._turn = (self._turn + 1) % len(self.endpoints)
        return self.endpoints[self._turn]

    def take(self, endpoint: Endpoint) -> UpstreamConnection | None:
        """An idle connection that is fit for a request, or None."""
        idle = endpoint.idle
        while idle:
            connection = idle.pop()
            # Not `closed`: of an upstream that closes in the way of TLS, the socket stands a moment longer.
            if connection.keep_alive and not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, endpoint: Endpoint) -> UpstreamConnection:
        """A new connection. Raises ConnectError."""
        connection = await endpoint.dialer.connect()
        if not connection.closed:
            connection.home = endpoint.connections
            endpoint.connections.add(connection)
        if endpoint.dialer.name is not None:
            self._sweep_later()
        return connection

    def give_back(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        """Takes a connection whose exchange is over; keeps it when it is fit for another."""
        if not connection.release():
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
    def idle_count(self) -> int:
        return sum(len(endpoint.idle) for endpoint in self.endpoints)

    def close(self) -> None:
        """Closes the idle connections; those in use end with their exchange."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for endpoint in self.endpoints:
            while endpoint.idle:
                endpoint.idle.pop().close()
