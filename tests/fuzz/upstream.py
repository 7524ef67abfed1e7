"""The parser of an upstream's responses: what it delivers is what the reference reads, or it delivers nothing.

An input is a byte of choices, a byte that says how long a segment is, and what the upstream sends. No exception escapes,
no body has a byte that is not of it, and what comes behind a message never becomes part of another exchange.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from gateway.upstream.connection import Owner, UpstreamConnection
from tests.smuggling.response import Replies, Reply, parse_replies
from tests.support.transport import FakeTransport

_OFFERED: Final = frozenset((b"websocket",))
_METHODS: Final = 3
"""How often the connection is used, where it may be."""


class Choices(NamedTuple):
    """What the first two bytes say.

    cut    0 one segment, 1 each byte, 2 pieces of `step` bytes, 3 a segment for each message
    heads  of which requests the method is HEAD, by the bits
    ended  whether the connection ends in good order
    offer  whether the requests offer another protocol
    idle   whether the next request waits for what may come without being asked for
    """

    cut: int
    heads: int
    ended: bool
    idle: bool
    step: int
    offer: bool = False


def choices(data: bytes) -> Choices:
    flags, step = (data[:2] + b"\x00\x00")[:2]
    return Choices(flags & 3, flags >> 2 & 7, not flags & 32, bool(flags & 64), step + 1, bool(flags & 128))


def coded(said: bytes, made: Choices = Choices(0, 0, True, False, 1)) -> bytes:
    """The input in which an upstream says this."""
    flags = made.cut | made.heads << 2 | (not made.ended) << 5 | made.idle << 6 | made.offer << 7
    return bytes([flags, made.step - 1]) + said


_SAID: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 201 Made It\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n",
    b'HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\nTrailer: X\r\n\r\n00a;q="\\"\r"\r\n0123456789\r\n0\r\n\r\n',
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nab",
    b"HTTP/1.1 204 No Content\r\nX-Foo: a\r\n\r\n",
    b'HTTP/1.1 304 Not Modified\r\nContent-Length: 870\r\nETag: "a"\r\n\r\n',
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world",
    b"HTTP/1.1 502 Bad\x80\r\nX-Foo : a\r\nX-Bar: \ta \t\r\n b\r\nContent-Length: 2, 2\r\n\r\nno",
    b"HTTP/1.1 999 Odd\nContent-Length: +1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
)


def seeds() -> list[bytes]:
    """Inputs to begin with: each response alone, in pieces, to HEAD, and each two in a row."""
    rows = [*_SAID, *(first + second for first in _SAID for second in _SAID)]
    made = [coded(said) for said in rows]
    made += [coded(said, Choices(3, 0, True, False, 1)) for said in rows]
    made += [coded(said, Choices(2, 5, False, True, 7)) for said in rows]
    made += [coded(said, Choices(2, 0, True, False, 40, True)) for said in rows]
    return made


class _Owner(Owner):
    """Who has sent the request; it reads after each segment, as the test does."""

    def on_progress(self) -> None:
        pass

    def on_writable(self) -> None:
        pass


def check(data: bytes) -> None:
    """Feeds one input to a connection. Raises AssertionError where something does not hold."""
    made = choices(data)
    said = data[2:]
    methods = [b"HEAD" if made.heads >> place & 1 else b"GET" for place in range(_METHODS)]
    expected = parse_replies(said, methods, ended=made.ended, offered=_OFFERED if made.offer else ())
    _Talk(made, methods, expected, said).hear()


class _Talk:
    """One connection to an upstream, from its first request to its end."""

    def __init__(self, made: Choices, methods: list[bytes], expected: Replies, said: bytes) -> None:
        self._made = made
        self._methods = methods
        self._said = said
        self._expected = expected
        self._owner = _Owner()
        self._connection = UpstreamConnection()
        self._transport = FakeTransport()
        self._connection.connection_made(self._transport)
        self._place = -1
        self._begin()

    def _begin(self) -> None:
        self._place += 1
        self._body = b""
        self._interim: list[tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]] = []
        no_body = self._methods[self._place] == b"HEAD"
        self._connection.begin(self._owner, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", no_body=no_body)
        if self._made.offer and not no_body:
            self._connection.offered = _OFFERED

    def hear(self) -> None:
        at = 0
        for segment in _segments(self._said, self._made, self._expected):
            self._connection.data_received(segment)
            at += len(segment)
            if not self._goes_on(at):
                return
        self._end()

    def _goes_on(self, at: int) -> bool:
        """Looks at what has been delivered, and asks again where the connection may be used; False at its end."""
        if self._connection.error is not None:
            self._failed()
            return False
        self._take()
        if self._connection.protocol:
            self._switched(at)
            return True
        if not self._connection.complete:
            self._unfinished()
            return True
        reply = self._delivered()
        if not self._connection.release():
            assert self._transport.aborted, (
                "an exchange is over, and its connection is neither kept nor ended"
            )
            return False
        assert reply.end == at, (
            f"bytes behind a message that ends at {reply.end} of {at} are left for another"
        )
        assert not reply.closes, "a connection is used again that the upstream ends"
        if self._made.idle:
            self._unasked()
            return False
        if self._place + 1 == len(self._methods):
            return False
        self._begin()
        return True

    def _take(self) -> None:
        connection = self._connection
        self._interim += [(i.status, i.phrase, tuple(i.fields)) for i in connection.interim]
        connection.interim = []
        self._body += connection.take()

    def _delivered(self) -> Reply:
        """What the connection has delivered as a whole message is what the reference reads in this place."""
        replies, stop = self._expected
        assert self._place < len(replies), f"a message is delivered that is none: {stop}"
        reply = replies[self._place]
        self._same_head(reply)
        assert self._body == reply.body, f"body {self._body!r} for {reply.body!r}"
        return reply

    def _unfinished(self) -> None:
        """What is delivered of a message before its end is the beginning of what the reference reads."""
        if not self._connection.head_done:
            assert self._body == b"", "a body before its head"
            return
        reply = self._reference()
        assert reply is not None, f"a head is delivered that is none: {self._expected.stop}"
        self._same_head(reply)
        assert reply.body.startswith(self._body), f"body begins with {self._body!r}, not {reply.body!r}"

    def _switched(self, at: int) -> None:
        """Behind a 101 all bytes are the tunnel's."""
        assert self._place < len(self._expected.replies), f"a change of protocol: {self._expected.stop}"
        reply = self._expected.replies[self._place]
        self._same_head(reply)
        assert not self._connection.complete
        assert self._body == self._said[reply.end : at], f"{self._body!r} in the tunnel"

    def _failed(self) -> None:
        """Of a broken message nothing but its beginning has been delivered, and the connection is of no use."""
        if self._body and not self._connection.protocol:
            reply = self._reference()
            assert reply is not None and reply.body.startswith(self._body), "a body that is none"
        assert not self._connection.release(), "a connection is kept behind a broken message"

    def _reference(self) -> Reply | None:
        replies, stop = self._expected
        if self._place < len(replies):
            return replies[self._place]
        return stop.begun if stop is not None and self._place == len(replies) else None

    def _same_head(self, reply: Reply) -> None:
        connection = self._connection
        told = (connection.status, connection.phrase, connection.version, tuple(connection.fields))
        version = ".".join(map(str, reply.version))
        assert told == (reply.status, reply.phrase, version, reply.fields), f"{told!r} for {reply!r}"
        interim = [tuple(each) for each in reply.interim]
        assert self._interim == interim, f"interim {self._interim!r} for {interim!r}"

    def _unasked(self) -> None:
        """Whatever comes on an idle connection ends it."""
        self._connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert self._transport.aborted and self._connection.dirty
        assert self._connection.take() == b"" and not self._connection.interim

    def _end(self) -> None:
        """The upstream ends the connection in the middle of an exchange."""
        if self._made.ended:
            self._connection.eof_received()
            self._connection.connection_lost(None)
        else:
            self._connection.connection_lost(ConnectionResetError())
        if self._connection.complete:
            self._take()
            reply = self._delivered()
            assert reply.ending == "close", "a message is whole by an end that is not its own"
        else:
            assert self._connection.error == "upstream_closed"
            self._failed()


def _segments(said: bytes, made: Choices, expected: Replies) -> Iterator[bytes]:
    if made.cut == 3:
        ends = [reply.end for reply in expected.replies if 0 < reply.end < len(said)]
        cuts = [0, *ends, len(said)]
    elif made.cut:
        cuts = [*range(0, len(said), 1 if made.cut == 1 else made.step), len(said)]
    else:
        cuts = [0, len(said)]
    for begin, end in pairwise(cuts):
        if begin < end:
            yield said[begin:end]
