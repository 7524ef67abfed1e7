"""One request on its way to an upstream and its answer back: the attempts that it takes.

A request is sent a second time only where that cannot be noticed: when no connection could be made (nothing
was sent), or when a pooled connection turned out to be closed before any byte of an answer, the method is
idempotent (RFC 9110 section 9.2.2), and no byte of a streamed body has been used up. Filters see neither.
"""

import asyncio
from abc import ABC, abstractmethod
from time import perf_counter
from typing import Final

from gateway.http import message as wire
from gateway.record import Attempt
from gateway.task import spawn
from gateway.trace import Trace
from gateway.upstream.connection import Owner, UpstreamConnection
from gateway.upstream.dialer import ConnectError
from gateway.upstream.pool import Endpoint, Pool
from gateway.upstream.selection import Refusal, Ticket
from gateway.wheel import FAR

IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))


_attempt = tuple.__new__  # an Attempt in a third of the time that its constructor takes


class LegOwner(ABC):
    """The exchange that a leg serves."""

    @abstractmethod
    def on_leg_ready(self) -> None:
        """A connection stands and the head has been sent: the body may follow."""

    @abstractmethod
    def on_leg_progress(self) -> None:
        """A segment of the answer has arrived: see `leg.connection`."""

    @abstractmethod
    def on_leg_writable(self) -> None:
        """The connection takes body bytes again."""

    @abstractmethod
    def on_leg_failure(self, reason: str) -> None:
        """The exchange with the upstream is over; `reason` is a reason code."""


class Leg(Owner):
    """Sends one request to a pool and hands its answer to `owner`."""

    # Most of these keep their first value in most exchanges, so they are the class's.
    _task: asyncio.Task[None] | None = None
    _first_byte_at: float | None = None
    _connect_seconds: float | None = None
    _reused = False
    _chunked = False
    connection: UpstreamConnection | None = None
    offered: frozenset[bytes] | None = None
    """Protocols that the request offers to switch to, lower case; to be set before `start`."""
    streamed = False
    key: bytes | None = None
    """What the request is known by (see `Pool.key_of`); to be set before `start`."""
    retry_after: int | None = None
    """Seconds that the client is asked to wait, where the pool has refused the request."""
    _ticket: Ticket | None = None
    _refusal: asyncio.Handle | None = None
    trace: Trace | None = None
    """The trace that each attempt tells the upstream of; to be set before `start`."""

    def __init__(self, pool: Pool, owner: LegOwner, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._owner = owner
        self._loop = loop
        self.attempts: list[Attempt] = []
        self._sent_at = self._progress_at = FAR

    def start(
        self, line: bytes, rest: bytes, *, host: bytes | None, method: str, whole: bool, chunked: bool
    ) -> None:
        """Sends the request line, a Host field, and the rest: fields, and the body too when `whole`.

        `host` None leaves Host to `rest`; b"" is the endpoint's own. `chunked` frames what `write` sends.
        """
        self._line = line
        self._rest = rest
        self._host = host
        self._method = method
        if chunked:
            self._chunked = True
        if whole:
            self._sent_at = 0.0
        pool = self._pool
        self._attempted_at = perf_counter()
        endpoint = pool.only
        if endpoint is None:
            chosen = pool.choose(self.key)
            if isinstance(chosen, Refusal):
                # Told in a moment, as every failure is: the owner is in the midst of starting us.
                self._refusal = self._loop.call_soon(self._refused, chosen)
                return
            endpoint = chosen
            if pool.counts:
                self._ticket = pool.begun(endpoint)
        self._endpoint = endpoint
        connection = pool.take(endpoint)
        if connection is None:
            self._connect()
        else:
            self._reused = True
            self._send(connection)

    def _connect(self) -> None:
        self._reused = False
        self._task = spawn(self._connecting(), name="upstream connect")

    async def _connecting(self) -> None:
        pool = self._pool
        tried: list[Endpoint] = []
        while True:
            try:
                connection = await pool.connect(self._endpoint)
            except ConnectError as error:
                failure = error.reason
                self._record(failure, error.detail)
            else:
                self._task = None
                self._connect_seconds = perf_counter() - self._attempted_at
                self._reused = connection.requests > 0
                self._send(connection)
                self._owner.on_leg_ready()
                return
            tried.append(self._endpoint)
            if len(tried) == len(pool.endpoints):
                break
            chosen = pool.choose(self.key, tried)
            if isinstance(chosen, Refusal) or chosen in tried:
                break
            self._endpoint = chosen
            self._attempted_at = perf_counter()
            if pool.counts:
                self._ticket = pool.begun(chosen)
        self._task = None
        self._owner.on_leg_failure(failure)

    def _refused(self, refusal: Refusal) -> None:
        self._refusal = None
        self.retry_after = refusal.retry_after
        self._owner.on_leg_failure(refusal.reason)

    def _send(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        if self._sent_at != FAR:
            self._sent_at = self._loop.time()
        host, line = self._host, self._line
        if self.trace is not None:
            line += self.trace.send(len(self.attempts))
        if host is not None:
            data = b"%bHost: %b\r\n%b" % (line, host or self._endpoint.authority, self._rest)
        else:
            data = line + self._rest
        connection.begin(self, data, no_body=self._method == "HEAD")
        if self.offered is not None:
            connection.offered = self.offered

    # ---- the body, outward from the client

    @property
    def writable(self) -> bool:
        """Whether body bytes may be written now."""
        connection = self.connection
        return connection is not None and not connection.writing_paused and not connection.closed

    def write(self, chunk: bytes) -> None:
        assert self.connection is not None
        self.streamed = True
        if self._chunked:
            self.connection.write(wire.chunk(chunk))
        else:
            self.connection.write(chunk)
        if self.connection.writing_paused:
            self._progress_at = self._loop.time()

    def end(self) -> None:
        """The request body is complete."""
        assert self.connection is not None
        self.streamed = True
        if self._chunked:
            self.connection.write(wire.LAST_CHUNK)
        self._sent_at = self._loop.time()

    @property
    def sent(self) -> bool:
        """Whether the whole request has been handed to the socket."""
        return self._sent_at != FAR and self.connection is not None

    def resume(self) -> None:
        """The answer is read on; the time that nobody read it was not the upstream's."""
        if self.connection is not None:
            self._progress_at = self._loop.time()
            self.connection.resume()

    # ---- Owner of the connection

    def on_progress(self) -> None:
        connection = self.connection
        assert connection is not None
        if connection.error is not None:
            self._failed(connection, connection.error)
            return
        if self._first_byte_at is None:
            self._first_byte_at = perf_counter()
        if not connection.complete:
            self._progress_at = self._loop.time()
        self._owner.on_leg_progress()

    def _failed(self, connection: UpstreamConnection, error: str) -> None:
        if self._reused and not connection.got_bytes and not self.streamed and self._method in IDEMPOTENT:
            # The end of a connection that was kept too long says nothing of the endpoint, and is no attempt's.
            ticket, self._ticket = self._ticket, None
            self._record(error)
            self._ticket = ticket
            connection.abort()
            self.connection = None
            self._attempted_at = perf_counter()
            self._connect()
        else:
            self.fail(error)

    def on_writable(self) -> None:
        self._owner.on_leg_writable()

    # ---- ends

    def fail(self, reason: str) -> None:
        """Ends the attempt for `reason` and tells the owner."""
        self.abort(reason)
        self._owner.on_leg_failure(reason)

    def abort(self, reason: str) -> None:
        """Ends the attempt without a word to the owner; the upstream sees its connection close."""
        if self._refusal is not None:
            self._refusal.cancel()
            self._refusal = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._record(reason)
        if self.connection is not None:
            self._record(reason)
            self.connection.abort()
            self.connection = None

    def done(self) -> None:
        """The answer is complete and taken; the connection goes back to its pool if all was sent."""
        connection = self.connection
        assert connection is not None
        self._record(None)
        self.connection = None
        if self._sent_at != FAR:
            self._pool.give_back(self._endpoint, connection)
        else:
            connection.abort()

    def let_go(self, error: str | None) -> UpstreamConnection:
        """The tunnel that the connection became is over, because of `error` unless it ended in order."""
        connection = self.connection
        assert connection is not None
        self._record(error)
        self.connection = None
        return connection

    def _record(self, error: str | None, detail: str | None = None) -> None:
        connection = self.connection
        ticket = self._ticket
        if ticket is not None:
            self._ticket = None
            self._pool.over(ticket, error, connection.status if connection is not None else 0)
        if connection is not None:
            status, peer = connection.status, connection.remote
            detail = connection.detail
        else:
            status, peer = 0, None
        begun = self._attempted_at
        first = self._first_byte_at
        self.attempts.append(
            _attempt(
                Attempt,
                (
                    self._pool.name,
                    self._endpoint.address,
                    self._reused,
                    status,
                    error,
                    detail,
                    peer,
                    self._connect_seconds,
                    None if first is None else first - begun,
                    perf_counter() - begun,
                ),
            )
        )

    # ---- timeouts

    def deadline(self) -> tuple[float, str]:
        """When the upstream will have taken too long, on the loop's clock, and the reason code of that."""
        connection = self.connection
        if connection is None:
            return FAR, ""  # `connect` has its own timeout
        pool = self._pool
        if self._sent_at == FAR:
            if connection.writing_paused:
                return self._progress_at + pool.idle, "upstream_idle_timeout"
            return FAR, ""  # it is the client that is waited for
        if not connection.head_done:
            return self._sent_at + pool.first_byte, "upstream_first_byte_timeout"
        return self._progress_at + pool.idle, "upstream_idle_timeout"
