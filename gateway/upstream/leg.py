"""One request on its way to an upstream and its answer back: the attempts that it takes.

A request is sent a second time only where that cannot be noticed: when no connection could be made (nothing
was sent), or when a pooled connection turned out to be closed before any byte of an answer, the method is
idempotent (RFC 9110 section 9.2.2), and no byte of a streamed body has been used up. Filters see neither.
"""

import asyncio
from time import perf_counter
from typing import Final, Protocol

from gateway.config.model import Endpoint
from gateway.record import Attempt
from gateway.task import spawn
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.pool import Pool
from gateway.wheel import FAR

IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))


class LegOwner(Protocol):
    """The exchange that a leg serves."""

    def on_leg_ready(self) -> None:
        """A connection stands and the head has been sent: the body may follow."""

    def on_leg_progress(self) -> None:
        """A segment of the answer has arrived: see `leg.connection`."""

    def on_leg_writable(self) -> None:
        """The connection takes body bytes again."""

    def on_leg_failure(self, reason: str) -> None:
        """The exchange with the upstream is over; `reason` is a reason code."""


class _Nobody:
    """The owner of a leg that is over."""

    def on_leg_ready(self) -> None: ...
    def on_leg_progress(self) -> None: ...
    def on_leg_writable(self) -> None: ...
    def on_leg_failure(self, reason: str) -> None: ...


_NOBODY: Final = _Nobody()


class Leg:
    """Sends one request to a pool and hands its answer to `owner`."""

    __slots__ = (
        "_attempted_at",
        "_chunked",
        "_connect_seconds",
        "_endpoint",
        "_first_byte_at",
        "_host",
        "_line",
        "_loop",
        "_no_body",
        "_owner",
        "_pool",
        "_progress_at",
        "_repeatable",
        "_rest",
        "_reused",
        "_sent_at",
        "_task",
        "attempts",
        "connection",
        "streamed",
    )

    def __init__(self, pool: Pool, owner: LegOwner, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._owner: LegOwner = owner
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self.attempts: list[Attempt] = []
        self.connection: UpstreamConnection | None = None
        self.streamed = False
        self._sent_at = FAR
        self._progress_at = FAR
        self._first_byte_at: float | None = None
        self._connect_seconds: float | None = None
        self._reused = False

    def start(
        self, line: bytes, rest: bytes, *, host: str | None, method: str, whole: bool, chunked: bool
    ) -> None:
        """Sends the request line, a Host field, and the rest: fields, and the body too when `whole`.

        `host` None leaves Host to `rest`; "" is the endpoint's own. `chunked` frames what `write` sends.
        """
        self._line = line
        self._rest = rest
        self._host = host
        self._no_body = method == "HEAD"
        self._repeatable = method in IDEMPOTENT
        self._chunked = chunked
        if whole:
            self._sent_at = 0.0
        self._attempt(self._pool.next_endpoint())

    def _attempt(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._attempted_at = perf_counter()
        connection = self._pool.take(endpoint)
        if connection is None:
            self._connect()
        else:
            self._reused = True
            self._send(connection)

    def _connect(self) -> None:
        self._reused = False
        self._task = spawn(self._connecting(), name="upstream connect")

    async def _connecting(self) -> None:
        failure = "upstream_connect_failed"
        for _ in range(len(self._pool.endpoints)):
            try:
                connection = await self._pool.connect(self._endpoint)
            except TimeoutError:
                failure = "upstream_connect_timeout"
            except OSError:
                failure = "upstream_connect_failed"
            else:
                self._task = None
                self._connect_seconds = perf_counter() - self._attempted_at
                self._send(connection)
                self._owner.on_leg_ready()
                return
            self._record(failure)
            self._endpoint = self._pool.next_endpoint()
            self._attempted_at = perf_counter()
        self._task = None
        self._owner.on_leg_failure(failure)

    def _send(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        if self._sent_at != FAR:
            self._sent_at = self._loop.time()
        if self._host is None:
            data = self._line + self._rest
        else:
            host = (self._host or self._endpoint.authority).encode("latin-1")
            data = b"%bHost: %b\r\n%b" % (self._line, host, self._rest)
        connection.begin(self, data, no_body=self._no_body)

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
            self.connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        else:
            self.connection.write(chunk)
        if self.connection.writing_paused:
            self._progress_at = self._loop.time()

    def end(self) -> None:
        """The request body is complete."""
        assert self.connection is not None
        if self._chunked:
            self.connection.write(b"0\r\n\r\n")
        self._sent_at = self._loop.time()

    @property
    def sent(self) -> bool:
        """Whether the whole request has been handed to the socket."""
        return self._sent_at != FAR and self.connection is not None

    # ---- Owner of the connection

    def on_progress(self) -> None:
        connection = self.connection
        assert connection is not None
        if connection.got_bytes:
            if self._first_byte_at is None:
                self._first_byte_at = perf_counter()
        elif connection.error is not None and self._reused and self._repeatable and not self.streamed:
            self._record(connection.error)
            connection.abort()
            self.connection = None
            self._attempted_at = perf_counter()
            self._connect()
            return
        if connection.error is not None:
            self.fail(connection.error)
            return
        if not connection.complete:
            self._progress_at = self._loop.time()
        self._owner.on_leg_progress()

    def on_writable(self) -> None:
        self._owner.on_leg_writable()

    # ---- ends

    def fail(self, reason: str) -> None:
        """Ends the attempt for `reason` and tells the owner."""
        self.abort(reason)
        self._owner.on_leg_failure(reason)

    def abort(self, reason: str) -> None:
        """Ends the attempt without a word to the owner; the upstream sees its connection close."""
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

    def forget_owner(self) -> None:
        """Breaks the circle with the owner, so that both go when their exchange does and not at a collection."""
        self._owner = _NOBODY

    def _record(self, error: str | None) -> None:
        connection = self.connection
        begun = self._attempted_at
        first = self._first_byte_at
        self.attempts.append(
            Attempt(
                self._pool.name,
                f"{self._endpoint.host}:{self._endpoint.port}",
                self._reused,
                self._connect_seconds,
                None if first is None else first - begun,
                perf_counter() - begun,
                connection.status if connection is not None else 0,
                error,
            )
        )

    # ---- timeouts

    def deadline(self) -> tuple[float, str]:
        """When the upstream will have taken too long, on the loop's clock, and the reason code of that."""
        connection = self.connection
        if connection is None:
            return FAR, ""  # `connect` has its own timeout
        timeouts = self._pool.timeouts
        if self._sent_at == FAR:
            if connection.writing_paused:
                return self._progress_at + timeouts.idle, "upstream_idle_timeout"
            return FAR, ""  # it is the client that is waited for
        if not connection.head_done:
            return self._sent_at + timeouts.first_byte, "upstream_first_byte_timeout"
        return self._progress_at + timeouts.idle, "upstream_idle_timeout"
