"""What an upstream has said, to the letter: a stream of bytes and the methods that it answers -> the responses in it.

The counterpart of the reference parser of requests, by the same rule: where the text lets a recipient be lenient, it is
malformed here. Three leaves that change nothing of where a message ends or what it says are taken, since servers that
need them are many: a status line without the space before an absent phrase, `Content-Length` in a 204, and whatever a
response without a body says of the length of one.
"""

import re
from collections.abc import Container, Sequence
from typing import Final, Literal, NamedTuple

from tests.smuggling.reference import (
    Ended,
    Fault,
    Field,
    check_length,
    codings_of,
    length_of,
    members,
    options,
    read_chunked,
    read_fields,
    read_line,
)

Ending = Literal["none", "length", "chunked", "close"]


class Interim(NamedTuple):
    """A 1xx response before the final one."""

    status: int
    phrase: bytes
    fields: tuple[Field, ...]


class Reply(NamedTuple):
    """A final response; of an unfinished one, what is certain of it.

    body      with the chunked coding removed
    ending    how its end is found
    closes    whether no response may follow on the connection
    end       where it ends in the stream
    """

    status: int
    phrase: bytes
    version: tuple[int, int]
    fields: tuple[Field, ...]
    interim: tuple[Interim, ...]
    body: bytes
    trailers: tuple[Field, ...]
    ending: Ending
    closes: bool
    end: int

    def all(self, name: bytes) -> list[bytes]:
        """The values of all lines of `name`, which is given in lower case."""
        return [value for key, value in self.fields if key.lower() == name]


class Stop(NamedTuple):
    """Where the stream stops being responses to what was asked, and why; empty where it just ends.

    begun  a response whose head was whole before that
    """

    at: int
    reason: str = ""
    begun: Reply | None = None


class Replies(NamedTuple):
    """All that an upstream has said. `stop` is None where every request has its response and nothing follows."""

    replies: tuple[Reply, ...]
    stop: Stop | None


_STATUS_LINE: Final = re.compile(rb"HTTP/([0-9])\.([0-9]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")


def parse_replies(
    data: bytes, methods: Sequence[bytes], *, ended: bool, offered: Container[bytes] = ()
) -> Replies:
    """The responses to requests of these methods; `ended` says that the stream ends in good order behind `data`.

    `offered` are the protocols, in lower case, that all but a HEAD request offer. Behind a 101 nothing is a response.
    """
    replies: list[Reply] = []
    at = 0
    for method in methods:
        found = read_reply(data, at, method, ended=ended, offered=offered)
        if isinstance(found, Stop):
            return Replies(tuple(replies), found)
        replies.append(found)
        at = found.end
        if found.status == 101:
            return Replies(tuple(replies), None)
        if found.closes:
            break
    return Replies(tuple(replies), Stop(at, "nobody asked") if at < len(data) else None)


def read_reply(
    data: bytes, at: int, method: bytes, *, ended: bool, offered: Container[bytes] = ()
) -> Reply | Stop:
    """The final response that begins at `at`, or behind interim ones."""
    interim: list[Interim] = []
    begun: Reply | None = None
    try:
        while True:
            begin = at
            begun, at = _head(data, begin, method)
            if begun.status == 101 and not (method != b"HEAD" and _switches(begun, offered)):
                raise Fault(begin, "a change of protocol that nobody asked for")
            if begun.status >= 200 or begun.status == 101:
                break
            interim.append(Interim(begun.status, begun.phrase, begun.fields))
            begun = None
        begun = begun._replace(interim=tuple(interim))
        if begun.ending == "length":
            size = length_of(begun.all(b"content-length"))
            begun = begun._replace(body=data[at : at + size], end=min(len(data), at + size))
            if len(begun.body) < size:
                raise Ended
        elif begun.ending == "close":
            begun = begun._replace(body=data[at:], end=len(data))
            if not ended:
                raise Ended
        elif begun.ending == "chunked":
            sink = bytearray()
            try:
                trailers, end = read_chunked(data, at, sink)
            finally:
                begun = begun._replace(body=bytes(sink))
            begun = begun._replace(trailers=trailers, end=end)
    except Fault as fault:
        return Stop(fault.at, fault.reason, begun)
    except Ended:
        return Stop(len(data), "", begun)
    return begun


def _head(data: bytes, begin: int, method: bytes) -> tuple[Reply, int]:
    line, at = read_line(data, begin)
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise Fault(begin, "status line")
    version = (int(match[1]), int(match[2]))
    if version[0] != 1:
        raise Fault(begin, "version")
    status = int(match[3])
    fields, at = read_fields(data, at)
    reply = Reply(status, match[4] or b"", version, fields, (), b"", (), "none", False, at)
    ending = _ending(reply, method, begin)
    return reply._replace(ending=ending, closes=ending == "close" or _closes(reply)), at


def _ending(reply: Reply, method: bytes, at: int) -> Ending:
    """How the end of the response is found (RFC 9112 section 6.3)."""
    codings, lengths = reply.all(b"transfer-encoding"), reply.all(b"content-length")
    if codings and reply.version < (1, 1):
        raise Fault(at, "Transfer-Encoding in HTTP/1.0")
    if codings and lengths:
        raise Fault(at, "Transfer-Encoding beside Content-Length")
    if codings and (reply.status < 200 or reply.status == 204):
        raise Fault(at, "Transfer-Encoding where there is no body")
    if lengths and reply.status < 200:
        raise Fault(at, "Content-Length in an interim response")
    if method == b"HEAD" or reply.status < 200 or reply.status in (204, 304):
        return "none"
    if codings:
        codings_of(codings, at)
        return "chunked"
    if lengths:
        check_length(lengths, at)
        return "length"
    return "close"


def _switches(reply: Reply, offered: Container[bytes]) -> bool:
    """Whether a 101 takes what was offered (RFC 9110 section 7.8)."""
    names = [name.lower() for name in members(reply.all(b"upgrade")) or ()]
    asked = b"upgrade" in options(reply.all(b"connection"))
    return reply.version == (1, 1) and asked and names != [] and all(name in offered for name in names)


def _closes(reply: Reply) -> bool:
    """RFC 9112 section 9.3."""
    said = options(reply.all(b"connection"))
    return b"close" in said or (reply.version < (1, 1) and b"keep-alive" not in said)
