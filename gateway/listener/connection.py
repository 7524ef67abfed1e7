"""One client connection: bytes in, requests one after another, bytes out.

The parser is aiohttp's; this protocol keeps what aiohttp's server protocol keeps (pipelining, read
backpressure) and does differently what it cannot: drain without losing a half-sent request, timeouts from
the first byte of a head, half-close, and lingering after an answer that came before the body was read.
"""

import asyncio
import re
from collections import deque
from time import monotonic, time
from typing import TYPE_CHECKING, Final, cast

from gateway.api.exchange import Instant
from gateway.config.model import Limits
from gateway.http.chunked import ChunkedEnd
from gateway.http.framing import Problem, content_length
from gateway.listener.handler import Handler
from gateway.listener.parser import (
    EMPTY_PAYLOAD,
    NO_PARSER,
    VERSION_UNSUPPORTED,
    Head,
    ParseError,
    Parser,
    StreamReader,
    classify,
    head_of,
    make_parser,
)
from gateway.listener.peer import NOBODY, peer_of
from gateway.listener.proxy_protocol import Prefix
from gateway.listener.section import origin_of, request_line
from gateway.listener.transport import reset, unread
from gateway.wheel import FAR

if TYPE_CHECKING:
    from gateway.listener.listener import Listener

BODY_BUFFER: Final = 64 * 1024
"""Bytes of a request body read ahead of its reader; the parser holds twice as many at the most."""
WRITE_HIGH: Final = 64 * 1024
LINGER_BYTES: Final = 1024 * 1024
TURN: Final = 512
"""What is done for one client before others have their turn, in lines of a chunked body, each of some 2 us: whoever sends
chunks of a byte, or requests without end, waits between turns and holds nobody up."""
REQUEST: Final = 16
"""How many of them the beginning of a request counts for, which may be all of an exchange."""

_NEXT_TURN: Final = 0.05
"""Seconds until an idle connection is looked at again on which something has come in the last moment."""

Queued = tuple[Head, StreamReader] | Problem


class Connection:
    """The server side of one connection, what asyncio calls a protocol. `handler` is the exchange in progress, if any."""

    __slots__ = (
        "_advancing",
        "_body_paused",
        "_chunked",
        "_clean",
        "_discarded",
        "_early",
        "_early_paused",
        "_eof",
        "_fields_limit",
        "_final",
        "_half_closes",
        "_head",
        "_in_head",
        "_last_payload",
        "_last_section",
        "_leaves",
        "_left",
        "_limits",
        "_line_limit",
        "_parser",
        "_pipeline",
        "_prefix",
        "_queue",
        "_queue_paused",
        "_reading",
        "_resting",
        "_to_head",
        "_unread",
        "_work",
        "deadline",
        "filed",
        "handler",
        "lingering",
        "listener",
        "loop",
        "origin",
        "peer",
        "section",
        "transport",
        "write_paused",
    )

    def __init__(
        self, listener: "Listener", prefix: Prefix | None = None, *, half_close: bool = True
    ) -> None:
        """`prefix` is what a balancer has said of the client, `half_close` whether one that sends no more is answered."""
        self.listener = listener
        self.loop = listener.loop
        self.transport: asyncio.Transport | None = None
        self._obey(listener.limits)
        self.peer = NOBODY
        self.origin = ""  # of whom header sections are kept
        self._prefix = prefix
        self._half_closes = True  # the other end can end its side alone, and we ours
        self._leaves = not half_close  # the other end is gone when it ends its side
        self.handler: Handler | None = None
        self.deadline = FAR
        self.filed = FAR
        self.write_paused = False
        self.lingering = False
        self._queue: deque[Queued] = deque()
        self._head = b""  # of the head that has begun and is not complete
        self._in_head = False  # whether the clock of that head runs
        self._last_payload: StreamReader = EMPTY_PAYLOAD
        self._left = 0  # bytes to come of a body by Content-Length
        self._chunked: ChunkedEnd | None = None
        self._unread = b""  # what waits for a place in the queue, or for the next turn
        self._work = TURN  # what may be done in this turn
        self._resting = False  # until the next
        self._early: bytes | None = None  # what came behind a request that offers an upgrade
        self._early_paused = False
        self._final = False  # no request may follow
        self._to_head = False  # whether what is refused last was to be a HEAD request
        self._eof = False
        self._advancing = False
        self._body_paused = False
        self._queue_paused = False
        self._reading = True
        self._discarded = 0
        self._clean = True  # nothing of a request is here, and another may come
        self._last_section = 0  # hash of the section that came last
        self.section: bytes | None = None  # of the request in progress, when it is that one again

    def _obey(self, limits: Limits) -> None:
        """From the next head on, these limits count."""
        self._limits = limits
        self._fields_limit = limits.header_size + len(b"\r\n\r\n")
        self._pipeline = limits.pipeline
        self._line_limit = limits.target_length
        self._parser = self._new_parser() if self.transport is not None else NO_PARSER

    def _new_parser(self) -> Parser:
        limits = self._limits
        return make_parser(
            self,
            self.loop,
            buffer=BODY_BUFFER,
            target_length=limits.target_length,
            field_size=limits.field_size,
            header_count=limits.header_count,
        )

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)
        self._parser = self._new_parser()
        self.peer = peer_of(transport, self._prefix)
        self.origin = origin_of(self.peer)
        self._half_closes = self.peer.tls is None
        self._leaves = self._leaves or not self._half_closes
        if not self.listener.opened(self, self.peer.address):
            self.abort()  # before a byte of it is read: whoever is over a limit costs nothing more
            return
        self._wait(self.listener.idle_timeout)

    def data_received(self, data: bytes) -> None:
        if self.lingering:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.abort()
            return
        if self._clean and self.handler is None and not self.write_paused:
            line, _, text = data.partition(b"\r\n")
            section = self.listener.sections.get((self.origin, text))
            if section is not None and len(line) <= self._line_limit:
                parts = request_line(line)
                if parts is not None:
                    self.deadline = FAR
                    self.handler = handler = Handler(self, _instant(Instant, (time(), monotonic())))
                    handler.begin_again(section, parts)
                    return
            again = hash(text)
            # Behind anything but a plain line, an empty one say, it would be more than a section.
            known = again == self._last_section and request_line(line) is not None
            self.section = text if known else None
            self._last_section = again
        else:
            self.section = None
        self._clean = False
        self._feed(data)
        self._advance()

    def eof_received(self) -> bool:
        self._eof = True
        self._clean = False
        if self.lingering:
            return False
        handler = self.handler
        if handler is not None and (handler.receiving or self._leaves):
            # The request can never be complete, or nobody is there any more: the upstream attempt ends now.
            handler.on_client_gone()
            return False
        if self._leaves:
            return False
        # A client that only shuts down its sending side still gets its answers.
        return handler is not None or bool(self._queue)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.deadline = FAR
        self._queue.clear()
        if self.handler is not None:
            self.handler.on_client_gone()
        self._parser, self._last_payload = NO_PARSER, EMPTY_PAYLOAD
        self.listener.closed(self)

    def pause_writing(self) -> None:
        self.write_paused = True
        if self.handler is not None:
            self.handler.on_client_blocked()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.handler is not None:
            self.handler.on_client_writable()
        elif self._queue:
            self._advance()

    # ---- flow control

    def pause_reading(self) -> None:
        """A request body has outrun its reader."""
        self._body_paused = True
        self._set_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        self._body_paused = False
        self._set_reading()

    def _set_reading(self) -> None:
        reading = not (self._body_paused or self._queue_paused or self._early_paused or self._resting)
        if reading == self._reading or self.transport is None:
            return
        self._reading = reading
        if reading:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    # ---- requests

    def _feed(self, data: bytes) -> None:
        """Shows the parser one message at a time; requests go to the queue, body bytes to their payload.

        The parser would keep the last trailer of one message for the head of the next, and would lose the
        requests that it reads in one go with a malformed one. So it never sees beyond the end of a message.
        """
        if self._unread:
            self._unread += data
            return
        while data:
            if self._left:
                size = min(self._left, len(data))
                self._left -= size
                data = self._feed_body(data, size, ended=not self._left)
            elif self._chunked is not None:
                if self._work <= 0:
                    self._unread = data
                    self._rest()
                    return
                size = self._chunked.consume(data, self._work)
                self._work -= self._chunked.lines
                data = self._feed_body(data, size, ended=self._chunked.done)
            elif self._final:
                # Bytes behind the last request of this connection are nobody's, or a tunnel's.
                if self._early is not None:
                    self._keep(self._early + data)
                return
            elif len(self._queue) >= self._pipeline:
                self._unread = data
                self._queue_paused = True
                self._set_reading()
                return
            else:
                data = self._feed_head(data)

    def _feed_head(self, data: bytes) -> bytes:
        """Parses up to the end of a head; the bytes behind it."""
        if (data[0] in b"\r\n" and not self._head) or self._head == b"\r":
            # RFC 9112 section 2.2: empty lines before a request line, and nothing that only looks like them.
            data = self._head + data
            self._head = b""
            empty = _EMPTY_LINES.match(data)
            data = data[empty.end() :] if empty is not None else data
            if not data:
                return b""
            if data == b"\r":
                self._head = data
                return b""
            if data[0] in b"\r\n":
                self._refuse(_MALFORMED, data)
                return b""
        begun = len(self._head)
        if not begun and self._limits is not self.listener.limits:
            self._obey(self.listener.limits)
        seen = self._head + data if begun else data
        end = seen.find(b"\r\n\r\n", max(0, begun - 3)) + 4
        if end < 4:
            self._head = seen
            head, rest = data, b""
        else:
            self._head = b""
            if end == len(seen):
                head, rest = data, b""
            else:
                head, rest = data[: end - begun], data[end - begun :]
                seen = seen[:end]
        try:
            messages, upgraded, _ = self._parser.feed_data(head)
        except ParseError as error:
            self._refuse(classify(error, seen), seen)
            return b""
        line_end = seen.find(b"\r\n")
        if line_end >= 0 and len(seen) - line_end > self._fields_limit:
            self._refuse(_HEAD_TOO_LARGE, seen)
            return b""
        if end < 4:
            return b""
        if len(messages) != 1:
            self._refuse(_MALFORMED, seen)
            return b""
        message, payload = messages[0]
        self._in_head = False
        if not seen.endswith(_VERSIONS, 0, line_end):
            self._refuse(VERSION_UNSUPPORTED, seen)  # RTSP and ICE are parsed as well
            return b""
        if seen.count(b" ", 0, line_end) != 2:
            self._refuse(_MALFORMED, seen)  # RFC 9112 section 3: one space before and one behind the target
            return b""
        parsed = head_of(message)
        length, uncertain = None, False
        if not (message.chunked or payload.is_eof()):
            length = content_length(parsed.fields.raw)
            if length is None and b"content-length" in parsed.fields.index():
                # Only to the parser has it one: the head will be refused in its turn, and no body is waited for.
                payload, uncertain = EMPTY_PAYLOAD, True
        self._queue.append((parsed, payload))
        self._last_payload = payload
        self._final = upgraded or uncertain or parsed.closes
        if message.upgrade and payload is EMPTY_PAYLOAD and self.listener.plan.upgrades:
            self._early = b""
        if not payload.is_eof():
            if message.chunked:
                self._chunked = ChunkedEnd()
            else:
                self._left = length or 0
        return rest

    def _feed_body(self, data: bytes, size: int, *, ended: bool) -> bytes:
        """Parses `size` bytes of a body, the last of it when `ended`; the bytes behind it."""
        try:
            self._parser.feed_data(data if size == len(data) else data[:size])
        except ParseError:
            self._refuse_body()
            return b""
        broken = self._chunked is not None and self._chunked.broken
        if broken or self._last_payload.is_eof() != ended:
            self._refuse_body()  # the parser sees another end of the body than we do
            return b""
        if ended and self._chunked is not None:
            if self._chunked.trailers:
                self._parser = self._new_parser()
            self._chunked = None
        return data[size:]

    def _keep(self, early: bytes) -> None:
        """What a client sends before it knows whether its upgrade is taken; it is not read further than need be."""
        self._early = early
        if len(early) >= BODY_BUFFER:
            self._early_paused = True
            self._set_reading()

    def _refuse(self, problem: Problem, seen: bytes) -> None:
        """The head that came is answered in its turn, and is the last of this connection; `seen` is what came of it."""
        self._to_head = seen.startswith(b"HEAD ")
        self._queue.append(problem)
        self._end_of_requests()

    def _refuse_body(self) -> None:
        """A body is malformed: its request fails if it is in progress, and is never begun if it is not."""
        payload = self._last_payload
        self._end_of_requests()
        handler = self.handler
        if handler is not None and handler.payload is payload:
            handler.on_body_malformed()
        else:
            begun = self._queue.pop()
            self._to_head = not isinstance(begun, Problem) and begun[0].method == "HEAD"
            self._queue.append(_MALFORMED_BODY)

    def _end_of_requests(self) -> None:
        self._final = True
        self._last_payload = EMPTY_PAYLOAD
        self._left = 0
        self._chunked = None
        self._head = self._unread = b""
        self._early = None
        self._early_paused = False
        self._clean = False

    def _advance(self) -> None:
        """Hands new body bytes to the exchange in progress, and starts the next when there is none."""
        if self._advancing:
            return
        self._advancing = True
        try:
            handler = self.handler
            if handler is not None:
                handler.on_body_data()
            # Nothing new begins for a client that does not take what it has been answered.
            while (
                self.handler is None
                and self._queue
                and not self._resting
                and self._serving()
                and not self.write_paused
            ):
                if self._work <= 0:
                    self._rest()
                    break
                self._work -= REQUEST
                self._start(self._queue.popleft())
        finally:
            self._advancing = False
            self._work = TURN
        if self.handler is None and not self._queue and not self._resting and self._serving():
            if self._eof and self.transport is not None:
                self._close()
            elif self._head and not self._in_head and self._head != b"\r":
                self._in_head = True
                self._wait(self.listener.plan.configuration.timeouts.header)

    def _rest(self) -> None:
        """Others have their turn: what waits here goes on in the loop's next, and nothing more is read before."""
        self._resting = True
        self._set_reading()
        self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        if self._serving():
            if self._unread and not self._queue_paused:
                unread, self._unread = self._unread, b""
                self._feed(unread)
            self._advance()
        self._set_reading()

    def _serving(self) -> bool:
        return self.transport is not None and not self.lingering

    def _start(self, queued: Queued) -> None:
        if self._eof and not isinstance(queued, Problem) and not queued[1].is_eof():
            queued = _CUT_OFF  # the client has ended its side inside this request: it can never be complete
        now = Instant(time(), monotonic())
        self.deadline = FAR
        self.handler = handler = Handler(self, now)
        if isinstance(queued, Problem):
            handler.refuse_head(queued, to_head=self._to_head)
            return
        handler.begin(*queued)
        if self._queue_paused and len(self._queue) * 2 <= self._pipeline:
            unread, self._unread = self._unread, b""
            self._queue_paused = False
            self._feed(unread)
            self._set_reading()

    # ---- for the handler

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    @property
    def ended(self) -> bool:
        """Whether the client has sent all."""
        return self._eof

    def hand_over(self) -> bytes:
        """Leaves the transport to a tunnel: what the client has sent behind its request."""
        early = self._early or b""
        self._early = None
        self._early_paused = self._body_paused = self._queue_paused = False
        self._set_reading()
        return early

    def exchange_over(self, *, keep_alive: bool, linger: bool) -> None:
        """The exchange is done and its answer written; goes on, or ends the connection."""
        self.handler = None
        transport = self.transport
        if transport is None:
            return
        if keep_alive and (self._clean or not self._ends()):
            self.deadline = self.loop.time() + self.listener.idle_timeout
            if self.deadline < self.filed:
                self.listener.wheel.file(self)
            if self._clean:
                return  # nothing waits
            if not self._advancing:
                self._advance()
            self._clean = self._is_clean()
            return
        self._end_of_requests()
        self._queue.clear()
        timeouts = self.listener.plan.configuration.timeouts
        if linger and not self._eof:
            # Closing now would reset the connection, and the client might never see the answer.
            self.lingering = True
            if self._half_closes:
                transport.write_eof()
            self._body_paused = self._queue_paused = False
            self._set_reading()
            self._wait(timeouts.linger)
        else:
            self._close()
            self._wait(timeouts.body)

    def _is_clean(self) -> bool:
        """Whether nothing of a request is here, and another may come."""
        return (
            self.handler is None
            and self._chunked is None
            and not (self._queue or self._head or self._left or self._unread or self._final or self._eof)
        )

    def _ends(self) -> bool:
        """Whether the connection ends although the answer did not say so."""
        if self._queue or self._unread or (self._head and not self._eof):
            return False
        return self._eof

    def abort(self) -> None:
        """Ends the connection so that no client can take what it got for a whole answer."""
        if self.transport is not None:
            reset(self.transport)

    def _close(self) -> None:
        transport = self.transport
        # A second time, the TLS of asyncio lets go of its transport without an end.
        if transport is not None and not transport.is_closing():
            transport.close()

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
            self._to_head = self._head.startswith(b"HEAD ")
            self._end_of_requests()
            self._start(_HEADER_TIMEOUT)
        elif self._resting or (self._reading and unread(self.transport)):
            # It was idle, but is no longer: the loop looks at its timers before it looks at its sockets, and a client
            # whose request is lost does not know whether it was.
            self._wait(_NEXT_TURN)
        else:
            self._close()
            self._wait(self.listener.plan.configuration.timeouts.body)

    def cut(self) -> None:
        """The time to drain is over: what is in progress ends here."""
        if self.handler is not None:
            self.handler.on_stopped()
        self.abort()

    def drain(self, grace: float) -> None:
        """Closes the connection, if nothing is in progress on it, unless a request comes within `grace` seconds."""
        if self.handler is None and not (self._queue or self._head or self._unread or self.lingering):
            if grace:
                self._wait(grace)
            else:
                self._close()


_instant: Final = tuple.__new__  # an Instant in a third of the time that its constructor takes
_VERSIONS: Final = (b" HTTP/1.1", b" HTTP/1.0")
_MALFORMED: Final = Problem(400, "malformed_request", "The request is malformed.")
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)*+")
_MALFORMED_BODY: Final = Problem(400, "framing_invalid", "The request body is malformed.")
_CUT_OFF: Final = Problem(400, "framing_invalid", "The request ended before its body did.")
_HEAD_TOO_LARGE: Final = Problem(431, "headers_too_large", "The header fields of the request are too large.")
_HEADER_TIMEOUT: Final = Problem(408, "header_timeout", "The request did not arrive in time.")
