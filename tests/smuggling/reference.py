"""What a client has said, to the letter: a stream of bytes -> the requests in it (RFC 9112, RFC 9110 section 5).

This is the judge's measure and shares no code with the gateway. It follows the grammar where the text lets a
recipient be lenient (one LF as a line end, white space in the request line, obs-fold as SP): whoever uses such
a leave reads something that another recipient reads differently, and between two recipients stands a proxy.

A list of equal lengths is one length and empty members of a list are none, since there the text says what a
recipient has to make of them. What is in doubt by the text itself (two framings, a coding that is not chunked
at the end, Transfer-Encoding in HTTP/1.0, two hosts) is malformed. A target that is outside the grammar but
holds visible ASCII only leaves no doubt where it ends: its request is a message whose `form` is None.
"""

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Literal, NamedTuple

Field = tuple[bytes, bytes]
Form = Literal["origin", "absolute", "authority", "asterisk"]
Framing = Literal["none", "length", "chunked"]


class Message(NamedTuple):
    """One request; of an unfinished one, what is certain of it.

    form      of the target, None where it is none of the four
    fields    names as they came, values without the white space around them
    body      with the chunked coding removed, other codings left on it
    codings   all transfer codings in lower case, in the order that they were applied
    closes    whether no request may follow on the connection
    begin     where its request line begins in the stream
    end       where it ends: the next one begins here or behind empty lines
    """

    method: bytes
    target: bytes
    form: Form | None
    version: tuple[int, int]
    fields: tuple[Field, ...]
    body: bytes
    trailers: tuple[Field, ...]
    framing: Framing
    codings: tuple[bytes, ...]
    closes: bool
    begin: int
    end: int

    def all(self, name: bytes) -> list[bytes]:
        """The values of all lines of `name`, which is given in lower case."""
        return [value for key, value in self.fields if key.lower() == name]


class Malformed(NamedTuple):
    """Where the stream stops being HTTP/1.1, and why. `begun` is a request whose head was whole before that."""

    at: int
    reason: str
    begun: Message | None = None


class Incomplete(NamedTuple):
    """The stream ends inside a request."""

    at: int
    begun: Message | None = None


class Closed(NamedTuple):
    """What follows is nobody's: the request before was the last one of its connection."""

    at: int


End = Malformed | Incomplete | Closed | None


class Stream(NamedTuple):
    """All that a client has said. `end` is None where the stream ends behind a message."""

    messages: tuple[Message, ...]
    end: End


_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_OWS = rb"[ \t]*"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_UNRESERVED = rb"A-Za-z0-9\-._~"
_SUB_DELIMS = rb"!$&'()*+,;="
_ESCAPE = rb"%[0-9A-Fa-f]{2}"
_PCHAR = rb"(?:[" + _UNRESERVED + _SUB_DELIMS + rb":@]|" + _ESCAPE + rb")"
_QUERY = rb"(?:\?(?:" + _PCHAR + rb"|[/?])*)?"
_ABEMPTY = rb"(?:/" + _PCHAR + rb"*)*"
_REG_NAME = rb"(?:[" + _UNRESERVED + _SUB_DELIMS + rb"]|" + _ESCAPE + rb")*"
_LITERAL = rb"\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[" + _UNRESERVED + _SUB_DELIMS + rb":]+)\]"
_HOST_PORT = rb"(?:" + _LITERAL + rb"|" + _REG_NAME + rb")(?::[0-9]*)?"

TOKEN: Final = re.compile(_TOKEN)
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_FIELD_LINE = re.compile(
    rb"("
    + _TOKEN
    + rb"):"
    + _OWS
    + rb"((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)"
    + _OWS
)
_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]+)((?:"
    + _OWS
    + rb";"
    + _OWS
    + _TOKEN
    + rb"(?:"
    + _OWS
    + rb"="
    + _OWS
    + rb"(?:"
    + _TOKEN
    + rb"|"
    + _QUOTED
    + rb"))?)*)"
)
_ORIGIN = re.compile(rb"(?:/" + _PCHAR + rb"*)+" + _QUERY)
_HTTP_URI = re.compile(rb"([Hh][Tt][Tt][Pp][Ss]?)://([^/?#]+)(" + _ABEMPTY + rb")(" + _QUERY + rb")")
_OTHER_URI = re.compile(rb"[A-Za-z][A-Za-z0-9+\-.]*:(?:" + _PCHAR + rb"|/)*" + _QUERY)
_AUTHORITY = re.compile(rb"(?:" + _LITERAL + rb"|" + _REG_NAME + rb"):[0-9]*")
_HOST = re.compile(_HOST_PORT)
_CODING = re.compile(
    rb"("
    + _TOKEN
    + rb")((?:"
    + _OWS
    + rb";"
    + _OWS
    + _TOKEN
    + _OWS
    + rb"="
    + _OWS
    + rb"(?:"
    + _TOKEN
    + rb"|"
    + _QUOTED
    + rb"))*)"
)
_MEMBER = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^",])*', re.DOTALL)

BEYOND: Final = 1 << 62
"""A length that no stream of the tests reaches; numbers are cut off here instead of overflowing."""


class Fault(Exception):  # noqa: N818 - it is a Malformed on its way
    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason


class Ended(Exception):  # noqa: N818 - the stream does, which is no error
    pass


def parse(data: bytes) -> Stream:
    """All requests of the stream, up to the first that is no request."""
    messages: list[Message] = []
    at = 0
    while True:
        found = read(data, at)
        if not isinstance(found, Message):
            return Stream(tuple(messages), found)
        messages.append(found)
        at = found.end
        if found.closes:
            return Stream(tuple(messages), Closed(at) if at < len(data) else None)


def read(data: bytes, at: int = 0) -> Message | Malformed | Incomplete | None:
    """The request that begins at `at`, behind empty lines (RFC 9112 section 2.2); None where there is no byte."""
    while data.startswith(b"\r\n", at):
        at += 2
    if at >= len(data):
        return None
    if data[at:] == b"\r":
        return Incomplete(at)
    begun: Message | None = None
    try:
        begun, body_at = _head(data, at)
        body, trailers, end = begun.body, begun.trailers, body_at
        if begun.framing == "length":
            size = length_of(begun.all(b"content-length"))
            body, end = data[body_at : body_at + size], body_at + size
            if len(body) < size:
                begun = begun._replace(body=body, end=len(data))
                raise Ended
        elif begun.framing == "chunked":
            sink = bytearray()
            try:
                trailers, end = read_chunked(data, body_at, sink)
            except (Fault, Ended):
                begun = begun._replace(body=bytes(sink))
                raise
            body = bytes(sink)
    except Fault as fault:
        return Malformed(fault.at, fault.reason, begun)
    except Ended:
        return Incomplete(at, begun)
    return begun._replace(body=body, trailers=trailers, end=end)


def read_line(data: bytes, at: int) -> tuple[bytes, int]:
    """The line that begins at `at`, without its CR LF, and where the next one begins."""
    end = data.find(b"\r\n", at)
    line = data[at:] if end < 0 else data[at:end]
    feed = line.find(b"\n")
    if feed >= 0:
        raise Fault(at + feed, "bare LF")
    carriage = line.find(b"\r")
    if carriage >= 0 and (end >= 0 or carriage < len(line) - 1):
        raise Fault(at + carriage, "bare CR")
    if end < 0:
        raise Ended
    return line, end + 2


def _head(data: bytes, begin: int) -> tuple[Message, int]:
    line, at = read_line(data, begin)
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Fault(begin, "request line")
    method, target = match[1], match[2]
    version = (int(match[3]), int(match[4]))
    if version[0] != 1:
        raise Fault(begin, "version")
    fields, at = read_fields(data, at)
    message = Message(
        method, target, _form(method, target, begin), version, fields, b"", (), "none", (), False, begin, at
    )
    if not _single_host(message):
        raise Fault(begin, "host")
    framing, codings = _framing(message)
    return message._replace(framing=framing, codings=codings, closes=_closes(message)), at


def read_fields(data: bytes, at: int) -> tuple[tuple[Field, ...], int]:
    """The field lines from `at` up to the empty line, and where that ends (RFC 9112 section 5)."""
    fields: list[Field] = []
    while True:
        begin = at
        line, at = read_line(data, begin)
        if not line:
            return tuple(fields), at
        if line[:1] in (b" ", b"\t"):
            raise Fault(begin, "obs-fold" if fields else "white space before the first field")
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            raise Fault(begin, "field line")
        fields.append((match[1], match[2]))


def _form(method: bytes, target: bytes, at: int) -> Form | None:
    """The form of the target (RFC 9112 section 3.2)."""
    if method == b"CONNECT":
        if _AUTHORITY.fullmatch(target) is None:
            raise Fault(at, "target of CONNECT")
        return "authority"
    if _ORIGIN.fullmatch(target):
        return "origin"
    if target == b"*":
        return "asterisk" if method == b"OPTIONS" else None
    uri = _HTTP_URI.fullmatch(target)
    if uri is not None:
        # RFC 9110 section 4.2: a host is needed, and userinfo is an error.
        return "absolute" if valid_host(uri[2]) and not uri[2].startswith(b":") else None
    return "absolute" if target[:4].lower() != b"http" and _OTHER_URI.fullmatch(target) else None


def http_uri(target: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Authority, path and query (with its mark) of an http or https URI; None of anything else."""
    uri = _HTTP_URI.fullmatch(target)
    return None if uri is None else (uri[2], uri[3], uri[4])


def valid_host(value: bytes) -> bool:
    """Whether the value is `uri-host [ ":" port ]`; the host may be empty."""
    if _HOST.fullmatch(value) is None:
        return False
    if value.startswith(b"[") and value[1:2] not in (b"v", b"V"):
        try:
            IPv6Address(value[1 : value.index(b"]")].decode("ascii"))
        except AddressValueError:
            return False
    return True


def _single_host(message: Message) -> bool:
    """RFC 9112 section 3.2: not two of them, and one in HTTP/1.1."""
    hosts = message.all(b"host")
    if len(hosts) > 1 or (not hosts and message.version >= (1, 1)):
        return False
    return all(valid_host(host) for host in hosts)


def members(values: list[bytes]) -> list[bytes] | None:
    """The members of a list field (RFC 9110 section 5.6.1.2), without the empty ones; None for open quotes."""
    found: list[bytes] = []
    value = b",".join(values)
    at = 0
    while at <= len(value):
        match = _MEMBER.match(value, at)
        assert match is not None
        member = match[0].strip(b" \t")
        if member:
            found.append(member)
        at = match.end() + 1
        if at <= len(value) and value[at - 1 : at] != b",":
            return None
    return found


def _framing(message: Message) -> tuple[Framing, tuple[bytes, ...]]:
    """How the end of the body is found (RFC 9112 section 6.3)."""
    codings, lengths = message.all(b"transfer-encoding"), message.all(b"content-length")
    if codings:
        if message.version < (1, 1):
            raise Fault(message.begin, "Transfer-Encoding in HTTP/1.0")
        if lengths:
            raise Fault(message.begin, "Transfer-Encoding beside Content-Length")
        return "chunked", codings_of(codings, message.begin)
    if lengths:
        check_length(lengths, message.begin)
        return "length", ()
    return "none", ()


def codings_of(values: list[bytes], at: int) -> tuple[bytes, ...]:
    names: list[bytes] = []
    found = members(values)
    for member in found or ():
        coding = _CODING.fullmatch(member)
        if coding is None or (coding[1].lower() == b"chunked" and coding[2]):
            raise Fault(at, "transfer coding")
        names.append(coding[1].lower())
    if not names or names[-1] != b"chunked":
        raise Fault(at, "the last transfer coding is not chunked")
    if b"chunked" in names[:-1]:
        raise Fault(at, "chunked twice")
    return tuple(names)


def check_length(values: list[bytes], at: int) -> None:
    numbers = members(values)
    if not numbers or not all(re.fullmatch(rb"[0-9]+", number) for number in numbers):
        raise Fault(at, "Content-Length")
    # RFC 9112 section 6.3: "all values in the list are the same"; 05 and 5 are one number and two values.
    if len(set(numbers)) > 1:
        raise Fault(at, "different Content-Lengths")


def length_of(values: list[bytes]) -> int:
    numbers = members(values)
    assert numbers, "the head has been judged"
    digits = numbers[0].lstrip(b"0")
    return min(int(digits or b"0"), BEYOND) if len(digits) < 30 else BEYOND


def read_chunked(data: bytes, at: int, sink: bytearray) -> tuple[tuple[Field, ...], int]:
    """Decodes a chunked body into `sink`; its trailers, and where it ends (RFC 9112 section 7.1)."""
    while True:
        line, begin = read_line(data, at)
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise Fault(at, "chunk line")
        digits = match[1].lstrip(b"0")
        size = int(digits or b"0", 16) if len(digits) < 15 else BEYOND
        if size == 0:
            return read_fields(data, begin)
        sink += data[begin : begin + size]
        at = begin + size
        ending = data[at : at + 2]
        if ending not in (b"", b"\r", b"\r\n"):
            raise Fault(at, "no line end behind the data of a chunk")
        if ending != b"\r\n":
            raise Ended
        at += 2


def options(values: list[bytes]) -> set[bytes]:
    """The options of the Connection field in lower case (RFC 9110 section 7.6.1): tokens, so no comma is quoted."""
    return {member.strip(b" \t").lower() for member in b",".join(values).split(b",")} - {b""}


def _closes(message: Message) -> bool:
    """RFC 9112 section 9.3. Behind a CONNECT there is a tunnel, or nothing."""
    said = options(message.all(b"connection"))
    if b"close" in said or message.method == b"CONNECT":
        return True
    return message.version < (1, 1) and b"keep-alive" not in said
