"""Connections to the endpoints of one upstream: kept while idle, made when none is."""

import asyncio
import socket
from collections import deque
from typing import Any, Final

from gateway.config.model import Endpoint as Address
from gateway.config.model import Upstream
from gateway.upstream.connection import UpstreamConnection

SWEEP: Final = 1.0
"""Seconds between two looks for connections that have idled too long."""


class Endpoint:
    """One server of an upstream, and its idle connections, the freshest last."""

    __slots__ = ("address", "authority", "host", "idle", "port")

    def __init__(self, address: Address) -> None:
        self.host, self.port = address
        self.address = f"{address.host}:{address.port}"
        self.authority = address.authority.encode("latin-1")
        self.idle: deque[UpstreamConnection] = deque()


class Pool:
    """The connections of one upstream. An endpoint is chosen in turn; its freshest idle connection is reused."""

    def __init__(self, name: str, upstream: Upstream) -> None:
        self.name = name
        self.endpoints = tuple(Endpoint(address) for address in upstream.endpoints)
        self.timeouts = upstream.timeouts
        self.first_byte = upstream.timeouts.first_byte
        self.idle = upstream.timeouts.idle
        self.total = upstream.timeouts.total
        self.soonest = min(self.first_byte, self.total)
        """The earliest that a request which is wholly sent can run into a timeout, in seconds."""
        self._keepalive = upstream.keepalive
        self._max_idle = upstream.max_idle
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
            if not connection.closed and not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, endpoint: Endpoint) -> UpstreamConnection:
        """A new connection. Raises OSError, or TimeoutError after `timeouts.connect` seconds."""
        connection = UpstreamConnection()
        protocol: Any = connection
        async with asyncio.timeout(self.timeouts.connect):
            await self._loop.create_connection(lambda: protocol, endpoint.host, endpoint.port)
        sock = connection.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    def give_back(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        """Takes a connection whose exchange is over; keeps it when it is fit for another."""
        if not connection.release():
            return
        idle = endpoint.idle
        if self._closed or len(idle) >= self._max_idle:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(SWEEP, self._drop_stale)

    def _drop_stale(self) -> None:
        self._sweep = None
        oldest = self._loop.time() - self._keepalive
        left = False
        for endpoint in self.endpoints:
            idle = endpoint.idle
            while idle and (idle[0].closed or idle[0].idle_since <= oldest):
                idle.popleft().abort()
            left = left or bool(idle)
        if left and not self._closed:
            self._sweep = self._loop.call_later(SWEEP, self._drop_stale)

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
                endpoint.idle.pop().abort()
