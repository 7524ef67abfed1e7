"""One client connection: bytes in, requests one after another, bytes out.

The parser is aiohttp's; this protocol keeps what aiohttp's server protocol keeps (pipelining, read
backpressure) and does differently what it cannot: drain without losing a half-sent request, timeouts from
the first byte of a head, half-close, and lingering after an answer that came before the body was read.
"""

import asyncio
from collections import deque
from time import monotonic, time
from typing import TYPE_CHECKING, Final, cast

from gateway.api.exchange import Instant
from gateway.http.framing import Problem
from gateway.listener.handler import Handler
from gateway.listener.head import Peer
from gateway.listener.parser import (
    EMPTY_PAYLOAD,
    VERSION_UNSUPPORTED,
    ParseError,
    RawRequestMessage,
    StreamReader,
    classify,
    make_parser,
)
from gateway.wheel import FAR, Wheel

if TYPE_CHECKING:
    from gateway.listener.listener import Listener

BODY_BUFFER: Final = 64 * 1024
"""Bytes of a request body read ahead of its reader; the parser holds twice as many at the most."""
WRITE_HIGH: Final = 64 * 1024
LINGER_BYTES: Final = 1024 * 1024
PROBE: Final = 16 * 1024

Queued = tuple[RawRequestMessage, StreamReader] | Problem


class Connection(asyncio.Protocol):
    """The server side of one connection. `handler` is the exchange in progress, if any."""

    __slots__ = (
        "_advancing",
        "_body_paused",
        "_discarded",
        "_eof",
        "_final",
        "_head_limit",
        "_in_head",
        "_last_payload",
        "_parser",
        "_partial",
        "_partial_head",
        "_queue",
        "_queue_paused",
        "_reading",
        "deadline",
        "filed",
        "handler",
        "lingering",
        "listener",
        "loop",
        "peer",
        "transport",
        "write_paused",
    )

    def __init__(self, listener: "Listener") -> None:
        self.listener = listener
        self.loop = listener.loop
        limits = listener.plan.configuration.limits
        self._parser = make_parser(
            self,
            self.loop,
            buffer=BODY_BUFFER,
            target_length=limits.target_length,
            field_size=limits.field_size,
            header_count=limits.header_count,
            pipeline=limits.pipeline,
        )
        self._head_limit = limits.header_size + limits.target_length
        self.transport: asyncio.Transport | None = None
        self.peer = Peer("", 0, "http")
        self.handler: Handler | None = None
        self.deadline = FAR
        self.filed = Wheel.NOT_FILED
        self.write_paused = False
        self.lingering = False
        self._queue: deque[Queued] = deque()
        self._last_payload: StreamReader = EMPTY_PAYLOAD
        self._partial = b""  # bytes since the last head, as far as a request line in them could go on
        self._partial_head = False  # whether a head has begun that is not complete
        self._in_head = False  # whether its clock runs
        self._final = False
        self._eof = False
        self._advancing = False
        self._body_paused = False
        self._queue_paused = False
        self._reading = True
        self._discarded = 0

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)
        name = transport.get_extra_info("peername")
        if isinstance(name, tuple):
            self.peer = Peer(name[0], name[1], "http")
        self.listener.opened(self)
        self._wait(self.listener.plan.configuration.timeouts.idle)

    def data_received(self, data: bytes) -> None:
        if self.lingering:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.abort()
            return
        self._feed(data)
        self._advance()

    def eof_received(self) -> bool:
        self._eof = True
        if self.lingering:
            return False
        handler = self.handler
        if handler is not None and handler.receiving:
            # The request can never be complete: the upstream attempt ends now.
            handler.on_client_gone()
            return False
        # A client that only shuts down its sending side still gets its answers.
        return handler is not None or bool(self._queue)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.deadline = FAR
        self._queue.clear()
        if self.handler is not None:
            self.handler.on_client_gone()
        self.listener.closed(self)

    def pause_writing(self) -> None:
        self.write_paused = True
        if self.handler is not None:
            self.handler.on_client_blocked()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.handler is not None:
            self.handler.on_client_writable()

    # ---- the parser's flow control

    def pause_reading(self) -> None:
        self._body_paused = True
        self._parser.pause_reading()
        self._set_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        if not self._body_paused:
            return
        self._body_paused = False
        if resume_parser:
            self._feed(b"")
        self._set_reading()

    def _set_reading(self) -> None:
        reading = not (self._body_paused or self._queue_paused)
        if reading == self._reading or self.transport is None:
            return
        self._reading = reading
        if reading:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    # ---- requests

    def _feed(self, data: bytes) -> None:
        """Parses; requests go to the queue, body bytes to their payload. Starts nothing."""
        if self._final and self._last_payload.is_eof():
            return  # bytes after the last request of this connection are nobody's
        body_open = not self._last_payload.is_eof()
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except ParseError as error:
            self._malformed(error, body_open=body_open)
            return
        if messages:
            seen = self._partial + data if self._partial else data
            self._in_head = self._partial_head = False
            for message, payload in messages:
                if self._final:
                    break
                problem = self._line_problem(message, seen)
                if problem is not None:
                    self._queue.append(problem)
                    self._final = True
                    self._last_payload = EMPTY_PAYLOAD
                    break
                self._queue.append((message, payload))
                self._last_payload = payload
                # An Upgrade that is not taken leaves the parser behind the bytes that follow it.
                self._final = upgraded or message.upgrade or message.should_close
            self._partial = b"" if data.endswith(b"\r\n\r\n") else data[-PROBE:]
            if len(self._queue) >= self.listener.plan.configuration.limits.pipeline:
                self._queue_paused = True
                self._set_reading()
        elif body_open:
            self._partial = data[-PROBE:] if self._last_payload.is_eof() else b""
        elif data:
            self._partial += data
            self._partial_head = True
            if len(self._partial) > self._head_limit:
                self._queue.append(_HEAD_TOO_LARGE)
                self._final = True

    def _line_problem(self, message: RawRequestMessage, seen: bytes) -> Problem | None:
        """What the parser does not tell of a head: another protocol's name, and its whole size."""
        if b" RTSP/" in seen or b" ICE/" in seen:
            line = f"{message.method} {message.path} ".encode("utf-8", "surrogateescape")
            if line + b"RTSP/" in seen or line + b"ICE/" in seen:
                return VERSION_UNSUPPORTED
        limit = self.listener.plan.configuration.limits.header_size
        if len(seen) > limit and sum(len(n) + len(v) + 4 for n, v in message.raw_headers) > limit:
            return _HEAD_TOO_LARGE
        return None

    def _malformed(self, error: ParseError, *, body_open: bool) -> None:
        """The parser is of no more use. An open body ends badly, a head is answered in its turn."""
        if self._final:
            return
        self._final = True
        handler = self.handler
        if body_open and handler is not None and handler.payload is self._last_payload:
            self._last_payload = EMPTY_PAYLOAD
            handler.on_body_malformed()
            return
        self._last_payload = EMPTY_PAYLOAD
        if self._queue or handler is not None:
            self.listener.malformed_pipelined += 1
        self._queue.append(classify(error))

    def _advance(self) -> None:
        """Hands new body bytes to the exchange in progress, and starts the next when there is none."""
        if self._advancing:
            return
        self._advancing = True
        try:
            handler = self.handler
            if handler is not None:
                handler.on_body_data()
            while self.handler is None and self._queue and self.transport is not None and not self.lingering:
                self._start(self._queue.popleft())
        finally:
            self._advancing = False
        if self.handler is None and self.transport is not None and not self.lingering:
            if self._eof:
                self.transport.close()
            elif self._partial_head and not self._in_head and not self._final:
                self._in_head = True
                self._wait(self.listener.plan.configuration.timeouts.header)

    def _start(self, queued: Queued) -> None:
        now = Instant(time(), monotonic())
        self.deadline = FAR
        self.handler = handler = Handler(self, now)
        if isinstance(queued, Problem):
            handler.refuse_head(queued)
            return
        self._parser.message_consumed()
        if self._queue_paused and len(self._queue) * 2 <= self.listener.plan.configuration.limits.pipeline:
            self._queue_paused = False
            self._feed(b"")
            self._set_reading()
        handler.begin(*queued)

    # ---- for the handler

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def exchange_over(self, *, keep_alive: bool, linger: bool) -> None:
        """The exchange is done and its answer written; goes on, or ends the connection."""
        self.handler = None
        transport = self.transport
        if transport is None:
            return
        if keep_alive and not self._eof:
            self._wait(self.listener.plan.configuration.timeouts.idle)
            if not self._advancing:
                self._advance()
            return
        self._final = True
        self._last_payload = EMPTY_PAYLOAD
        self._queue.clear()
        timeouts = self.listener.plan.configuration.timeouts
        if linger and not self._eof and transport.can_write_eof():
            # Closing now would reset the connection, and the client might never see the answer.
            self.lingering = True
            transport.write_eof()
            self._body_paused = self._queue_paused = False
            self._set_reading()
            self._wait(timeouts.linger)
        else:
            transport.close()
            self._wait(timeouts.body)

    def abort(self) -> None:
        """Ends the connection so that no client can take what it got for a whole answer."""
        if self.transport is not None:
            self.transport.abort()

    def _wait(self, seconds: float) -> None:
        self.deadline = self.loop.time() + seconds
        self.listener.wheel.file(self)

    def on_deadline(self, now: float) -> None:
        self.deadline = FAR
        if self.handler is not None:
            self.handler.on_deadline(now)
        elif self.transport is None:
            return
        elif self.lingering or self.transport.is_closing():
            self.transport.abort()
        elif self._in_head:
            self._in_head = False
            self._final = True
            self._start(_HEADER_TIMEOUT)
        else:
            self.transport.close()
            self._wait(self.listener.plan.configuration.timeouts.body)

    def drain(self) -> None:
        """Closes the connection if nothing is in progress on it."""
        if self.handler is None and not self._queue and not self._partial_head and self.transport is not None:
            self.transport.close()


_HEAD_TOO_LARGE: Final = Problem(431, "headers_too_large", "The header fields of the request are too large.")
_HEADER_TIMEOUT: Final = Problem(408, "header_timeout", "The request did not arrive in time.")
