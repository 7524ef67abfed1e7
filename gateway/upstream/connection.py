"""The client side of HTTP/1.1: one connection to an upstream, its responses parsed by llhttp.

An upstream is hostile until checked: what is not certain to be one response to one request is an error, and
the connection that brought it is never used again (RFC 9112 sections 6.3 and 9.2).
"""

import asyncio
import re
import select
import ssl
import sys
from abc import ABC, abstractmethod
from typing import Final, NamedTuple, cast

import httptools

from gateway.http.chunked import ChunkedEnd
from gateway.http.fields import MEMO_MAX, MEMO_NAME, Fields, RawField, is_token
from gateway.http.framing import BODILESS, HOP_BY_HOP, connection_options
from gateway.http.upgrade import taken
from gateway.tls import words

MAX_HEAD: Final = 256 * 1024
"""Bytes of a response head, 1xx heads included, and of all that may come between two pieces of a body. Nova's catalog
headers reach tens of kilobytes."""
MAX_FIELDS: Final = 512
MAX_TRAILERS: Final = 16 * 1024
"""Bytes of all trailer fields."""
MAX_INTERIM: Final = 16
LINES: Final = 512
"""Lines of a chunked body, each of some 2 us, that are followed before others have their turn: an upstream that sends chunks
of a byte holds nobody up."""
AT_ONCE: Final = 4096
"""Bytes of a head and what comes with it that are not looked at apart; they hold about as many lines."""
WRITE_HIGH: Final = 128 * 1024


class Interim(NamedTuple):
    """A 1xx response."""

    status: int
    phrase: bytes
    fields: Fields


class Owner(ABC):
    """Who sent the request: told once for each segment of the answer, and when the socket takes more."""

    @abstractmethod
    def on_progress(self) -> None:
        """Something has changed: see the connection's attributes."""

    @abstractmethod
    def on_writable(self) -> None:
        """The socket takes bytes again."""


class Home(ABC):
    """What a connection belongs to while it stands."""

    __slots__ = ()

    @abstractmethod
    def on_lost(self, connection: "UpstreamConnection") -> None:
        """The connection is no more."""


class UpstreamConnection:
    """One connection, one request at a time; what asyncio calls a protocol.

    After `begin` the owner is told of progress and reads: `interim`, then `head_done` with `status`,
    `phrase` and `fields`, then `take()` for the body until `complete`, then `trailers`. `error` is a reason code
    that ends the exchange. A connection is fit for another request while `reusable` holds.

    Where protocols were `offered`, the head may be a 101: then `protocol` says which, the message is never complete,
    and all that follows is for `hand_over`.
    """

    __slots__ = (
        "_chunked",
        "_chunks",
        "_fields",
        "_heads",
        "_held",
        "_in_body",
        "_interim_count",
        "_left",
        "_lines",
        "_no_body",
        "_overhead",
        "_owner",
        "_parser",
        "_poll",
        "_reading_paused",
        "_section",
        "_tls",
        "_trailer_size",
        "_until_close",
        "closed",
        "complete",
        "detail",
        "dirty",
        "error",
        "got_bytes",
        "head_done",
        "home",
        "idle_since",
        "interim",
        "keep_alive",
        "length",
        "offered",
        "phrase",
        "protocol",
        "raw",
        "remote",
        "requests",
        "section",
        "status",
        "told",
        "trailers",
        "transport",
        "version",
        "writing_paused",
    )

    transport: asyncio.Transport
    raw: asyncio.Transport
    """That of the socket, under TLS or the same."""

    def __init__(self) -> None:
        self._tls: ssl.SSLObject | None = None
        self.remote: str | None = None  # the address that the endpoint's name stood for, where it is a name
        self.home: Home | None = None  # the endpoint
        self.detail: str | None = None  # what more there is to say of an error, to the operator
        self.closed = False
        self.dirty = False
        self.requests = 0
        self.idle_since = 0.0
        self._poll: select.poll | None = None
        self.writing_paused = False
        self._reading_paused = False
        self._owner: Owner | None = None
        self._parser = _NO_PARSER
        self._lines: list[RawField] = []
        self._chunks: list[bytes] = []
        self._heads = bytearray()  # of the response, as they came
        self._held = b""  # what has come and is for the next turn of the loop
        self._in_body = False  # whether they have been checked
        self._left = 0  # bytes to come of a body; below zero where nobody knows
        self._chunked: ChunkedEnd | None = None
        self._overhead = 0  # bytes since the beginning, or the last piece of the body
        self._interim_count = 0
        self._trailer_size = 0
        self._no_body = False
        self._until_close = False
        self.interim: list[Interim] = []
        self.head_done = False
        self.complete = True
        self.error: str | None = None
        self.got_bytes = False
        self.keep_alive = False
        self.length: int | None = None  # of the body, where Content-Length says it
        self.phrase = b""
        self.status = 0
        self.version = "1.1"
        self._fields: Fields | None = _NO_FIELDS
        # Of a response that came whole and plain: its header section without Connection, and the whole of it; and
        # which of the fields that say something to a gateway are in it, in lower case.
        self.section = self._section = b""
        self.told: list[bytes] = []
        self.trailers: list[RawField] = []
        self.offered = _NO_PROTOCOLS  # by the request: names in lower case
        self.protocol = b""  # that a 101 has switched to, as it came

    # ---- for the owner

    def begin(self, owner: Owner, data: bytes, *, no_body: bool) -> None:
        """Sends the first bytes of a request; `no_body` for HEAD, whose answer has none."""
        self._owner = owner
        self._no_body = no_body
        if self.requests:
            # What a reusable connection can still hold of its last exchange.
            self._chunks = []
            self._overhead = self._interim_count = self.status = 0
            self.phrase = self.section = b""
            self.head_done = self.got_bytes = self._in_body = False
            if self.trailers:
                self.trailers = []
                self._trailer_size = 0
                # To llhttp, a coding or a Connection among them says something of what follows.
                self._parser = httptools.HttpResponseParser(self)
            if self.offered:
                self.offered = _NO_PROTOCOLS
        self.requests += 1
        self.complete = False
        self.transport.write(data)

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def take(self) -> bytes:
        """The body bytes that have arrived since the last call."""
        chunks = self._chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        return data

    def pause(self) -> None:
        if not self._reading_paused and not self.closed:
            self._reading_paused = True
            # The socket, and not TLS: uvloop's would go on reading, and lose what it holds when the upstream closes.
            if not self._held:
                self.raw.pause_reading()

    def resume(self) -> None:
        if self._reading_paused and not self.closed:
            self._reading_paused = False
            if not self._held:
                self.raw.resume_reading()

    def hand_over(self) -> bytes:
        """Leaves the transport to a tunnel: what has come behind the 101. The owner hears nothing more."""
        self._owner = None
        self.resume()
        return self.take()

    def close(self, within: float = 1.0) -> None:
        """Ends the connection in order: what has been written still arrives, if it does `within` seconds.

        Under TLS a close_notify is the end of it (RFC 8446 section 6.1); the other side's is not waited for.
        """
        if self.closed:
            return
        self.transport.close()
        if not self.transport.get_write_buffer_size():
            self.raw.close()
        if self.transport.get_write_buffer_size() or self.raw.get_write_buffer_size():
            asyncio.get_running_loop().call_later(within, self.raw.abort)

    def abort(self) -> None:
        """Ends the connection at once; the owner hears nothing more."""
        self._owner = None
        if not self.closed:
            self.transport.abort()

    def give_up(self) -> None:
        """Ends a connection whose handshake has failed: nobody tells us that it is lost, and it knows us as we do it."""
        self.abort()
        self.closed = True
        self._parser = _NO_PARSER
        self.transport = self.raw = _NO_TRANSPORT

    def has_unread(self) -> bool:
        """Whether something has come that the event loop has not read yet, be it the end."""
        poll = self._poll
        if poll is None:
            sock = self.raw.get_extra_info("socket")
            if sock is None:
                return False
            self._poll = poll = select.poll()
            poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def retire(self) -> None:
        """Sees to it that no other request is sent on the connection."""
        self.dirty = True

    def release(self) -> bool:
        """Lets go of a finished exchange; True when another request may be sent on the connection."""
        self._owner = None
        if (
            self.keep_alive
            and self.complete
            and not self.dirty
            and not self.closed
            and self.error is None
            and not self.writing_paused
        ):
            if self._reading_paused:
                self.resume()
            return True
        self.abort()
        return False

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = self.raw = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)

    def secured(self, transport: asyncio.Transport) -> None:
        """From now on all goes through `transport`, which speaks TLS over the one that the connection was made with."""
        self.transport = transport
        self._tls = transport.get_extra_info("ssl_object")
        transport.set_write_buffer_limits(high=WRITE_HIGH)

    def data_received(self, data: bytes) -> None:
        owner = self._owner
        if owner is None:
            self.dirty = True  # bytes on an idle connection belong to no request
            self.transport.abort()
            return
        if not self.got_bytes and self._take_whole(data):
            owner.on_progress()
            return
        if self.complete:
            self.dirty = True  # the message is over: this is of no message that was asked for
            return
        self.got_bytes = True
        if self._held:
            self._held += data
            return
        if self._read_on(data, LINES) and not self._reading_paused:
            self.raw.pause_reading()
        owner.on_progress()

    def _read_on(self, data: bytes, lines: int) -> bool:
        """Reads what has come of the answer; of a chunked body so many `lines`, and the rest in the next turn of the loop.

        Whether there is a rest.
        """
        while data:
            if self.protocol:
                self._chunks.append(data)
                break
            size = len(data)
            chunked = self._chunked if self._in_body else None
            if chunked is not None:
                size = chunked.consume(data, lines)
            elif not self._in_body:
                if not self._may_go_on_with(data):
                    self._fail()
                    break
                if size > AT_ONCE or self._heads or data[9:10] == b"1":
                    size = self._head_size(data)
            piece, data = (data, b"") if size == len(data) else (data[:size], data[size:])
            if not self._read(piece, followed=chunked is not None):
                self.dirty = self.dirty or bool(data)
                break
            if data and chunked is not None:
                self._held = data
                asyncio.get_running_loop().call_soon(self._go_on)
                return True
        return False

    def _may_go_on_with(self, data: bytes) -> bool:
        """Whether `data` is no beginning of a head, or begins one: the parser would skip any number of empty lines."""
        heads = self._heads
        if heads and not heads.endswith(b"\r\n\r\n"):
            return True
        return data.startswith(_BEGINNING) or _BEGINNING.startswith(data)

    def _head_size(self, data: bytes) -> int:
        """How many bytes of `data` belong to the head that is being read: an interim head has a parser of its own."""
        heads = self._heads
        end = data.find(b"\r\n\r\n")
        if heads:
            before = bytes(heads[-3:])
            across = (before + data[:3]).find(b"\r\n\r\n")
            if across >= 0:
                return across + 4 - len(before)
        return end + 4 if end >= 0 else len(data)

    def _go_on(self) -> None:
        """Others have had their turn, and nothing more was read meanwhile."""
        held, self._held = self._held, b""
        owner = self._owner
        if owner is None or not held:
            return
        if not (self._read_on(held, LINES) or self._reading_paused or self.closed):
            self.raw.resume_reading()
        owner.on_progress()

    def _read(self, data: bytes, *, followed: bool) -> bool:
        """Has the parser read a piece of the answer, and judges what it makes of it: whether the answer goes on.

        `followed` where the end of the chunked body has been looked for.
        """
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self.protocol:
                self._chunks.append(data[upgrade.args[0] :])
            else:
                self._fail()
        except httptools.HttpParserError:
            self._fail()
        if self.error is None and not self._agrees(data, followed=followed):
            self.complete = False
            self._fail()
        if self._overhead > MAX_HEAD and not (self.complete or self.protocol):
            self._fail()
        return self.error is None and not self.complete

    def _agrees(self, data: bytes, *, followed: bool) -> bool:
        """Whether the parser has read these bytes by the grammar; it is more lenient.

        It skips empty lines before a head, and what is malformed in a chunk's extensions, and does not tell where a
        message has ended: bytes of this segment behind it would be taken for nothing, or for the beginning of the next.
        """
        if not self._in_body:
            heads = self._heads
            heads += data
            if not self.head_done:
                return True
            match = _HEADS.match(heads)
            if match is None:
                return False
            data = bytes(heads[match.end() :])
            heads.clear()
            self._in_body = True
            self._chunked = None
            if self.protocol:
                return True  # what follows is no response
            if self._no_body or self.status in BODILESS:
                self._left = 0
            elif self.length is not None:
                self._left = self.length
            elif self._until_close:
                self._left = -1
            else:
                self._chunked = ChunkedEnd()
        chunked = self._chunked
        if chunked is not None:
            if not followed and chunked.consume(data) < len(data):
                self.dirty = True
            return chunked.done == self.complete and not chunked.broken
        if self._left >= 0:
            self._left -= len(data)
            if self._left < 0:
                self.dirty = True
            return self.complete == (self._left <= 0)
        return not self.complete

    def _take_whole(self, data: bytes) -> bool:
        """Takes a response that is here from its first byte to its last, and beyond doubt; most are.

        What this grammar does not know, the parser judges.
        """
        head, mark, body = data.partition(b"\r\n\r\n")
        if not mark or self._no_body:
            return False
        lines = head.split(b"\r\n")
        first = lines[0]
        count = len(lines) - 1
        status = _STATUSES.get(first[:13])
        if status is None or count > MAX_FIELDS:
            return False
        text = b" ".join(lines)
        if text.translate(_IN_LINES) != text:
            return False
        told: list[bytes] = []
        kept_alive = 0
        for number in range(1, count + 1):
            line = lines[number]
            name, colon, value = line.partition(b":")
            says = _names[name]
            if not colon or says == _NOT_PLAIN or says in told:
                return False
            if not says:
                continue
            if says == b"content-length":
                if value != b" %d" % len(body):
                    return False
            elif says == b"connection":
                if value.lower() != b" keep-alive":
                    return False
                kept_alive = number
            told.append(says)
        if b"content-length" not in told:
            return False
        self._section = section = data[len(first) + 2 : len(head) + 2]
        if kept_alive:
            del lines[kept_alive]
            section = b"\r\n".join(lines[1:]) + b"\r\n"
        self.got_bytes = self.head_done = self.complete = self.keep_alive = True
        self.status = status
        self.phrase = first[13:]
        self.version = "1.1"
        self.length = len(body)
        self.section = section
        self.told = told
        self._fields = None
        self._chunks.append(body)
        return True

    @property
    def fields(self) -> Fields:
        """The header fields of the response."""
        fields = self._fields
        if fields is None:
            lines = [(name, value.rstrip(b" \t")) for name, value in _FIELDS.findall(self._section)]
            fields = self._fields = Fields.over(lines)
        return fields

    def eof_received(self) -> bool:
        self._end(clean=self._tls is None or _said_goodbye(self._tls))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self.home is not None:
            self.home.on_lost(self)
        if isinstance(exc, ssl.SSLError) and not self.complete and self.error is None:
            # With TLS 1.3, a server that refuses our certificate says so after the handshake.
            self.error = "upstream_tls_failed"
            self.detail = words(exc)
        self._end(clean=False)  # an orderly end has been told by `eof_received`
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.on_progress()
        self._parser = _NO_PARSER

    def _end(self, *, clean: bool) -> None:
        if self._held and self._owner is not None:
            held, self._held = self._held, b""
            self._read_on(held, sys.maxsize)
        self.keep_alive = False
        if self.complete or self.error is not None:
            return
        if self.head_done and self._until_close and clean:
            self.complete = True
        else:
            self.error = "upstream_closed"
            if self._tls is not None and self._until_close and not clean:
                self.detail = "the answer ended without a close_notify"

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self._owner is not None:
            self._owner.on_writable()

    def _fail(self) -> None:
        self.keep_alive = False
        self.dirty = True
        if not self.complete and self.error is None:
            self.error = "upstream_response_invalid"

    # ---- httptools callbacks

    def on_message_begin(self) -> None:
        if self.complete:
            self.dirty = True

    def on_status(self, phrase: bytes) -> None:
        if not self.head_done:  # else it is that of a message nobody asked for
            self.phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_done:
            if self.complete:
                return  # a field of a message that nobody asked for
            # Never merged into the header section (RFC 9110 section 6.5.1).
            self.trailers.append((name, value.rstrip(b" \t")))
            self._trailer_size += len(name) + len(value)
            if name.lower() == b"connection":
                self.keep_alive = False  # llhttp obeys it, and takes no further message
            if self._trailer_size > MAX_TRAILERS or len(self.trailers) > MAX_FIELDS:
                self._fail()
            return
        if value.endswith(b"\t") and name.lower() == b"transfer-encoding":
            self._fail()  # to the parser it is another coding then
        self._lines.append((name, value.rstrip(b" \t")))
        if len(self._lines) > MAX_FIELDS:
            self._fail()

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        parser = self._parser
        status = parser.get_status_code()
        version = parser.get_http_version()
        fields = Fields.over(self._lines)
        self._lines = []
        index = fields.index()
        phrase = self.phrase
        if version not in _VERSIONS or not 100 <= status <= 999 or phrase.translate(None, _CONTROL) != phrase:
            self._fail()
            return
        if status < 200:
            # A 1xx has no body (RFC 9110 section 15.2).
            self._interim_count += 1
            if (
                self._interim_count > MAX_INTERIM
                or b"transfer-encoding" in index
                or b"content-length" in index
            ):
                self._fail()
                return
            if status == 101:
                self._switch(version, fields)
                return
            self.interim.append(Interim(status, phrase, fields))
            self.phrase = b""
            # The final answer is still to come, whatever the interim one says of the connection (RFC 9112 section 9.6);
            # llhttp would take nothing more behind a `close`.
            self._parser = httptools.HttpResponseParser(self)
            if b"close" in connection_options(index.get(b"connection", b"")):
                self.dirty = True
            return
        length = index.get(b"content-length")
        if b"transfer-encoding" in index:
            coding = index[b"transfer-encoding"]
            if (
                isinstance(coding, list)
                or coding.lower() != b"chunked"
                or version == "1.0"
                or length is not None
                or status == 204
            ):
                self._fail()
                return
            self._until_close = False
            self.length = None
        elif length is None:
            self._until_close = True
            self.length = None
        elif isinstance(length, list) or not length.isdigit() or len(length) > 18:
            self._fail()
            return
        else:
            self._until_close = False
            self.length = int(length)
        self.status = status
        self.version = version
        self._fields = fields
        closes = b"close" in connection_options(index.get(b"connection", b""))
        self.keep_alive = not closes and parser.should_keep_alive()
        self.head_done = True
        if self._no_body or status in BODILESS:
            # llhttp would wait for the body that Content-Length announces, and misses the length that is absent.
            self.complete = True
            # Content that was announced may come all the same, and would be taken for the next answer. An answer to HEAD
            # without a length announces some: to GET, the end of the connection would end it.
            empty = self.length == 0 or (status in BODILESS and self._until_close)
            self.keep_alive = (self.keep_alive or (version == "1.1" and not closes)) and empty
            self._parser = httptools.HttpResponseParser(self)

    def _switch(self, version: str, fields: Fields) -> None:
        """A 101, which has to answer what was offered (RFC 9110 section 7.8)."""
        protocol = taken(fields.index(), self.offered) if self.offered and version == "1.1" else b""
        if not protocol:
            self._fail()
            return
        self.protocol = protocol
        self.status = 101
        self.version = version
        self._fields = fields
        self.length = None
        self._until_close = self.keep_alive = False
        self.head_done = True

    def on_body(self, chunk: bytes) -> None:
        if self.complete:
            self.dirty = True
        elif self.error is None:
            self._overhead = 0
            self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        if self.head_done and self.error is None and not self.protocol:
            self.complete = True


_NO_FIELDS: Final = Fields()
_NO_TRANSPORT: Final = asyncio.Transport()
_NO_PARSER: Final = httptools.HttpResponseParser(object())  # a parser knows its connection: no circle is left
_NO_PROTOCOLS: Final[frozenset[bytes]] = frozenset()
# RFC 9112 sections 4 and 5, of final responses with a body, without what a sender ought not to send: other versions,
# folded or bare lines.
_STATUSES: Final = {b"HTTP/1.1 %d " % status: status for status in range(200, 600) if status not in BODILESS}
_IN_LINES: Final = bytes(byte if byte == 9 or 0x20 <= byte != 0x7F else byte ^ 0xFF for byte in range(256))
"""Leaves as it is what may stand in lines."""
# The heads of a response, interim ones first, with what recipients have to know.
_FIELD_LINES = rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
_PHRASE = rb"(?: [\t\x20-\x7e\x80-\xff]*+)?+\r\n"
_BEGINNING: Final = b"HTTP/1."
_HEADS: Final = re.compile(
    rb"(?:HTTP/1\.[01] 1(?!01)[0-9][0-9]"
    + _PHRASE
    + _FIELD_LINES
    + rb")*+HTTP/1\.[01] (?:[2-9][0-9][0-9]|101)"
    + _PHRASE
    + _FIELD_LINES
)
_FIELDS: Final = re.compile(rb"([^:\r\n]++):[ \t]*+([^\r\n]*+)\r\n")
_PLAIN_ONES: Final = frozenset(
    (b"connection", b"content-length", b"date", b"x-compute-request-id", b"x-openstack-request-id")
)
"""Fields that a plain response may have once each."""
_SAYS_NOTHING: Final = b""
_NOT_PLAIN: Final = b"-"


class _Names(dict[bytes, bytes]):
    """What a field of a name says to a gateway: the name in lower case where a plain response may have it once, `_NOT_PLAIN` where
    it may not have it or no field may be named so (RFC 9110 section 5.1), else `_SAYS_NOTHING`. A bounded memo."""

    def __missing__(self, name: bytes) -> bytes:
        lower = name.lower()
        says = _SAYS_NOTHING
        if lower in _PLAIN_ONES:
            says = lower
        elif lower in _NEVER_PLAIN or not is_token(name):
            says = _NOT_PLAIN
        if len(name) <= MEMO_NAME:
            if len(self) >= MEMO_MAX:
                self.clear()
            self[name] = says
        return says


_names: Final = _Names()
_NEVER_PLAIN: Final = HOP_BY_HOP - _PLAIN_ONES
_VERSIONS: Final = ("1.1", "1.0")
_CONTROL: Final = bytes(byte for byte in range(32) if byte != 9) + b"\x7f"


def _said_goodbye(tls: ssl.SSLObject) -> bool:
    """Whether the stream that has ended was ended by a close_notify: any other end may be anybody's doing.

    asyncio's own TLS tells of both in one way.
    """
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
