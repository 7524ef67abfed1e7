"""Recognises the plainest messages, so that the parsers need not be asked (RFC 9112 sections 3, 4 and 5).

Nearly every message of an API is of one form: a start line in origin form and HTTP/1.1, fields of printable ASCII
whose names do not repeat, a length that is certain. What is recognised here is such a message to any reader; nothing
is refused here, since whatever is not recognised goes to the hardened parser, which judges it. Tests hold recogniser
and parser together: what the one takes, the other takes too, and finds the same in it.
"""

import re
from typing import Final, NamedTuple

from gateway.http.fields import Fields

# A value is not empty, begins and ends with a visible character, and holds no control character.
_FIELD: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++:[ \t]*+[!-~](?:[\t -~]*[!-~])?\r\n"
_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]++):[ \t]*+([^\r]++)\r\n")

_REQUEST: Final = re.compile(
    rb"(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) (/[!-\"$-~]*+) HTTP/1\.1\r\n((?:" + _FIELD + rb")++)\r\n"
)
_RESPONSE: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([ -~]*+)\r\n((?:" + _FIELD + rb")++)\r\n")

_NOT_IN_REQUEST: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"sec-websocket-key1",
    )
)
_NOT_IN_RESPONSE: Final = frozenset((b"transfer-encoding", b"upgrade"))
_BODILESS: Final = (204, 304)


class PlainRequest(NamedTuple):
    """The head of a request without a body that leaves its connection open."""

    method: str
    target: bytes
    fields: Fields


class PlainResponse(NamedTuple):
    """A whole response with a Content-Length."""

    status: int
    phrase: bytes
    fields: Fields
    body: bytes


def plain_request(head: bytes) -> PlainRequest | None:
    """The request whose head is exactly `head`, if it is plain."""
    match = _REQUEST.fullmatch(head)
    if match is None:
        return None
    method, target, block = match.groups()
    fields = Fields(tuple(_LINE.findall(block)))
    index = fields.index()
    if len(index) != len(fields.raw) or b"host" not in index or not _NOT_IN_REQUEST.isdisjoint(index):
        return None
    return PlainRequest(method.decode("ascii"), target, fields)


def plain_response(data: bytes) -> PlainResponse | None:
    """The response that is exactly `data`, if it is plain; for an answer to any method but HEAD."""
    match = _RESPONSE.match(data)
    if match is None:
        return None
    status_text, phrase, block = match.groups()
    lines = _LINE.findall(block)
    fields = Fields.over(lines)
    index = fields.index()
    length = index.get(b"content-length")
    if (
        len(index) != len(lines)
        or not isinstance(length, bytes)
        or not length.isdigit()
        or len(length) > 18
        or len(data) - match.end() != int(length)
        or not _NOT_IN_RESPONSE.isdisjoint(index)
        or (b"connection" in index and index[b"connection"] != b"keep-alive")
    ):
        return None
    status = int(status_text)
    if status in _BODILESS:
        return None
    return PlainResponse(status, phrase, fields, data[match.end() :])
