"""A little parser of HTTP/1.1 messages for the tests: strict, so that what it accepts is beyond doubt."""

import json
import re
from typing import Any, NamedTuple

from tests.support.sockets import Wire

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\r\n")
_REQUEST_LINE = re.compile(rb"([A-Z-]+) ([!-~\x80-\xff]+) HTTP/1\.1\r\n")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([!-~\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[!-~\x80-\xff])?|)"
)


class Head(NamedTuple):
    """A first line and field lines, in order and case as they came."""

    first: bytes
    lines: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.lines if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} occurs {len(values)} times: {values}"
        return values[0] if values else None


class Answer(NamedTuple):
    """A response as a client read it."""

    status: int
    phrase: str
    head: Head
    body: bytes
    whole: bool
    """False where the stream ended before the message did."""
    trailers: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return self.head.all(name)

    def get(self, name: str) -> str | None:
        return self.head.get(name)

    @property
    def closes(self) -> bool:
        return "close" in [option.strip().lower() for option in ",".join(self.all("connection")).split(",")]

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fault(self) -> str:
        """The name of a fault of the compute API."""
        (name,) = self.json()
        return str(name)


class Received(NamedTuple):
    """A request as an upstream read it."""

    method: str
    target: bytes
    head: Head
    body: bytes
    whole: bool

    def all(self, name: str) -> list[str]:
        return self.head.all(name)

    def get(self, name: str) -> str | None:
        return self.head.get(name)

    @property
    def names(self) -> list[str]:
        return [name.lower() for name, _ in self.head.lines]


def parse_lines(data: bytes) -> list[tuple[str, str]]:
    """Field lines, each ended by CR LF."""
    lines: list[tuple[str, str]] = []
    assert data == b"" or data.endswith(b"\r\n"), data
    for line in data.split(b"\r\n")[:-1]:
        match = _FIELD.fullmatch(line)
        assert match is not None, f"not a field line: {line!r}"
        lines.append((match[1].decode("ascii"), match[2].decode("latin-1")))
    return lines


async def read_head(wire: Wire) -> Head | None:
    """A head up to its empty line; None where the stream ends before its first byte."""
    data = await wire.take_until(b"\r\n\r\n")
    if data == b"":
        return None
    assert data.endswith(b"\r\n\r\n"), f"the stream ended inside a head: {data[:300]!r}"
    first, _, fields = data[:-2].partition(b"\r\n")
    return Head(first + b"\r\n", parse_lines(fields))


async def read_answer(wire: Wire, method: str = "GET") -> Answer:
    """One final response; interim ones before it fail."""
    head = await read_head(wire)
    assert head is not None, "the connection was reset" if wire.was_reset else "the connection was closed"
    return await read_answer_body(wire, head, method)


async def read_answer_body(wire: Wire, head: Head, method: str = "GET") -> Answer:
    status, phrase = status_of(head)
    assert status >= 200, f"an interim response: {head.first!r}"
    if method == "HEAD" or status in (204, 304):
        assert not (status == 204 and head.all("content-length")), "Content-Length in a 204"
        assert not (status == 204 and head.all("transfer-encoding")), "Transfer-Encoding in a 204"
        return Answer(status, phrase, head, b"", True, [])
    coding, length = head.get("transfer-encoding"), head.get("content-length")
    if coding is not None:
        assert coding == "chunked", coding
        assert length is None, "Content-Length beside Transfer-Encoding"
        body, whole, trailers = await read_chunked(wire)
        return Answer(status, phrase, head, body, whole, trailers)
    if length is not None:
        assert re.fullmatch("[0-9]+", length), length
        body = await wire.take(int(length))
        return Answer(status, phrase, head, body, len(body) == int(length), [])
    body = await wire.rest()
    return Answer(status, phrase, head, body, not wire.was_reset, [])


def status_of(head: Head) -> tuple[int, str]:
    match = _STATUS_LINE.fullmatch(head.first)
    assert match is not None, f"not a status line: {head.first!r}"
    return int(match[1]), match[2].decode("latin-1")


async def read_chunked(wire: Wire) -> tuple[bytes, bool, list[tuple[str, str]]]:
    """A chunked body: its bytes, whether it was whole, and its trailers."""
    body = bytearray()
    while True:
        line = await wire.take_until(b"\r\n")
        if not line.endswith(b"\r\n"):
            return bytes(body), False, []
        size = re.fullmatch(rb"([0-9A-Fa-f]+)\r\n", line)
        assert size is not None, f"not the beginning of a chunk: {line!r}"
        count = int(size[1], 16)
        if count == 0:
            break
        data = await wire.take(count + 2)
        if len(data) < count + 2:
            return bytes(body + data[:count]), False, []
        assert data.endswith(b"\r\n"), "a chunk without its end"
        body += data[:-2]
    fields = b""
    while (line := await wire.take_until(b"\r\n")) != b"\r\n":
        if not line.endswith(b"\r\n"):
            return bytes(body), False, []
        fields += line
    return bytes(body), True, parse_lines(fields)


async def read_request_head(wire: Wire) -> tuple[str, bytes, Head] | None:
    head = await read_head(wire)
    if head is None:
        return None
    match = _REQUEST_LINE.fullmatch(head.first)
    assert match is not None, f"not a request line of HTTP/1.1: {head.first!r}"
    return match[1].decode("ascii"), match[2], head


async def read_request_body(wire: Wire, method: str, target: bytes, head: Head) -> Received:
    coding, length = head.get("transfer-encoding"), head.get("content-length")
    if coding is not None:
        assert coding == "chunked", coding
        assert length is None, "Content-Length beside Transfer-Encoding"
        body, whole, trailers = await read_chunked(wire)
        assert not trailers, trailers
        return Received(method, target, head, body, whole)
    if length is not None:
        assert re.fullmatch("[0-9]+", length), length
        body = await wire.take(int(length))
        return Received(method, target, head, body, len(body) == int(length))
    return Received(method, target, head, b"", True)
