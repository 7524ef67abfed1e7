"""Connections to the endpoints of one upstream: kept while idle, made when none is."""

import asyncio
import socket
from collections import deque
from typing import Final

from gateway.config.model import Endpoint, Upstream
from gateway.upstream.connection import UpstreamConnection

SWEEP: Final = 1.0
"""Seconds between two looks for connections that have idled too long."""


class Pool:
    """The connections of one upstream. An endpoint is chosen in turn; its freshest idle connection is reused."""

    def __init__(self, name: str, upstream: Upstream) -> None:
        self.name = name
        self.endpoints = upstream.endpoints
        self.timeouts = upstream.timeouts
        self._keepalive = upstream.keepalive
        self._max_idle = upstream.max_idle
        self._idle: dict[Endpoint, deque[UpstreamConnection]] = {
            endpoint: deque() for endpoint in self.endpoints
        }
        self._turn = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def next_endpoint(self) -> Endpoint:
        endpoints = self.endpoints
        if len(endpoints) == 1:
            return endpoints[0]
        self._turn = (self._turn + 1) % len(endpoints)
        return endpoints[self._turn]

    def take(self, endpoint: Endpoint) -> UpstreamConnection | None:
        """An idle connection that is fit for a request, or None."""
        idle = self._idle[endpoint]
        while idle:
            connection = idle.pop()
            if not connection.closed and not connection.transport.is_closing():
                return connection
        return None

    async def connect(self, endpoint: Endpoint) -> UpstreamConnection:
        """A new connection. Raises OSError, or TimeoutError after `timeouts.connect` seconds."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.timeouts.connect):
            _, connection = await loop.create_connection(UpstreamConnection, endpoint.host, endpoint.port)
        sock = connection.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return connection

    def give_back(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        """Takes a connection whose exchange is over; keeps it when it is fit for another."""
        if not connection.release():
            return
        idle = self._idle[endpoint]
        if self._closed or len(idle) >= self._max_idle:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP, self._drop_stale, loop)

    def _drop_stale(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        oldest = loop.time() - self._keepalive
        left = False
        for idle in self._idle.values():
            while idle and (idle[0].closed or idle[0].idle_since <= oldest):
                idle.popleft().abort()
            left = left or bool(idle)
        if left and not self._closed:
            self._sweep = loop.call_later(SWEEP, self._drop_stale, loop)

    @property
    def idle_count(self) -> int:
        return sum(len(idle) for idle in self._idle.values())

    def close(self) -> None:
        """Closes the idle connections; those in use end with their exchange."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for idle in self._idle.values():
            while idle:
                idle.pop().abort()
