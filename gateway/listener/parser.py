"""The parts of aiohttp that the listener stands on: every name of it that is not public API is here.

aiohttp's C parser of requests is hardened beyond llhttp (duplicate singletons, sizes, the state after an
error), and that hardening is what we keep; the server protocol around it is ours. What the parser does was
read in its source and is pinned by the wire tests, so another minor version is refused at start.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol, cast

import aiohttp
from aiohttp import http_exceptions
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gateway.http.fields import Fields, RawField
from gateway.http.framing import Problem

MINIMUM: Final = (3, 14, 4)
"""CVE-2026-69243 and CVE-2026-111750 are mended from here on."""
BEFORE: Final = (3, 15)


class UnsupportedAiohttp(Exception):  # noqa: N818 - it names what is wrong
    """The installed aiohttp is not the one that the listener was tested with."""


def require_parser(version: str = aiohttp.__version__, parser: Any = HttpRequestParser) -> None:
    """Raises UnsupportedAiohttp unless the C parser of a known minor version is here."""
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if not numbers >= MINIMUM or numbers[:2] >= BEFORE:
        raise UnsupportedAiohttp(
            f"aiohttp {version} is installed; the listener needs >= {'.'.join(map(str, MINIMUM))}, "
            f"< {'.'.join(map(str, BEFORE))}"
        )
    if parser is HttpRequestParserPy:
        raise UnsupportedAiohttp(
            "aiohttp is installed without its C parser; install a wheel, or a C compiler"
        )


class FlowControl(Protocol):
    """What a request body asks of the connection when it outruns its reader, and when it does no more."""

    def pause_reading(self) -> None: ...
    def resume_reading(self, resume_parser: bool = True) -> None: ...


class Head(NamedTuple):
    """What a parser found of a request.

    closes  whether no request may follow on the connection
    """

    method: str
    target: bytes
    version: tuple[int, int]
    fields: Fields
    closes: bool


class Message(Protocol):
    """The parser's own form of a request, as far as it is used."""

    method: str
    path: str
    version: tuple[int, int]
    raw_headers: tuple[RawField, ...]
    should_close: bool
    upgrade: bool
    chunked: bool


class Parser(Protocol):
    """What is used of aiohttp's parser."""

    def feed_data(self, data: bytes) -> tuple[Sequence[tuple[Message, StreamReader]], bool, bytes]:
        """The requests that begin in `data`, whether the last asks for an upgrade, and what is left behind it."""


class _NoParser:
    """In place of a parser, which knows its connection, once that has gone: no circle is left for a collection to find."""

    def feed_data(self, data: bytes) -> tuple[Sequence[tuple[Message, StreamReader]], bool, bytes]:
        return (), False, b""


NO_PARSER: Final[Parser] = _NoParser()


def head_of(message: Message) -> Head:
    """The parser's message in our terms: the target as the bytes that it was, the fields as they came."""
    return Head(
        message.method,
        message.path.encode("utf-8", "surrogateescape"),
        message.version,
        Fields(message.raw_headers),
        # An Upgrade that is not taken leaves the parser behind the bytes that follow it.
        message.should_close or message.upgrade,
    )


class PayloadError(Exception):
    """The body of a request is malformed."""


def make_parser(
    protocol: FlowControl,
    loop: asyncio.AbstractEventLoop,
    *,
    buffer: int,
    target_length: int,
    field_size: int,
    header_count: int,
) -> Parser:
    """A parser for one connection; sizes in bytes."""
    parser: Any = HttpRequestParser(
        protocol,  # type: ignore[arg-type] # of BaseProtocol it uses the two methods of FlowControl
        loop,
        buffer,
        max_line_size=target_length,
        max_field_size=field_size,
        max_headers=header_count,
        payload_exception=PayloadError,
        auto_decompress=False,
    )
    return cast(Parser, parser)


VERSION_UNSUPPORTED: Final = Problem(
    505, "version_unsupported", "Only HTTP/1.1 and HTTP/1.0 are spoken here."
)

ParseError = http_exceptions.HttpProcessingError


def classify(error: http_exceptions.HttpProcessingError, head: bytes) -> Problem:
    """What to answer to a head that the parser refuses; `head` is what it was shown of it.

    The parser tells 414 and 431 from 400 by the type of its exception and its text only: a LineTooLong holds
    the target as a bytearray and a field as bytes. A text that is not known is a 400.
    """
    if isinstance(error, http_exceptions.LineTooLong):
        if isinstance(error.args[0], bytearray):
            return Problem(414, "target_too_long", "The request target is too long.")
        return Problem(431, "headers_too_large", "A header field of the request is too large.")
    if isinstance(error, http_exceptions.BadHttpMethod):
        # llhttp tells a method that it does not know from noise by the first letters only.
        if _METHOD.match(head):
            return Problem(501, "method_unknown", "The method is not known.")
        return Problem(400, "malformed_request", "The request is malformed.")
    if isinstance(error, http_exceptions.BadStatusLine):
        if "Invalid HTTP version" in error.message:
            return VERSION_UNSUPPORTED
        return Problem(400, "malformed_request", "The request line is malformed.")
    for text, problem in _BY_TEXT:
        if text in error.message:
            return problem
    return Problem(400, "malformed_request", "The request is malformed.")


_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |\Z)")
_FRAMING = Problem(400, "framing_invalid", "The length of the request body is not certain.")
_HOST = Problem(400, "host_invalid", "The Host field is missing or repeated.")
_BY_TEXT: Final = (
    ("Too many headers", Problem(431, "headers_too_large", "The request has too many header fields.")),
    ("Missing 'Host'", _HOST),
    ("Duplicate 'Host'", _HOST),
    ("Content-Length", _FRAMING),
    ("Transfer-Encoding", _FRAMING),
    ("hunk", _FRAMING),  # "Chunk size overflow", "Expected LF after chunk data" and their kin
)

__all__ = [
    "EMPTY_PAYLOAD",
    "VERSION_UNSUPPORTED",
    "Head",
    "ParseError",
    "Parser",
    "PayloadError",
    "StreamReader",
    "UnsupportedAiohttp",
    "classify",
    "head_of",
    "make_parser",
    "require_parser",
]
