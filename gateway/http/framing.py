"""Which request heads are certain, and which fields stop at this hop.

RFC 9112 sections 2.3, 3.2, 6.1 and 6.3; RFC 9110 sections 7.6.1 and 10.1.1. A head that could be read in two
ways is refused: what we would forward might not be what the client sent.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.http.fields import RawField, folded

HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""Fields that never cross (RFC 9110 section 7.6.1), and those addressed to this hop."""

BODILESS: Final = (204, 304)
"""Statuses whose responses have no body, whatever their fields say (RFC 9112 section 6.3)."""

PROTECTED: Final = frozenset(
    (
        b"content-length",
        b"host",
        b"x-auth-token",
        b"x-service-token",
        b"authorization",
        b"date",
        b"via",
        b"expect",
        b"x-compute-request-id",
        b"x-openstack-request-id",
    )
)
"""Fields that a `Connection` option cannot take away: the message means something else without them."""


class Problem(NamedTuple):
    """What is wrong with a head: the status to answer, the reason code, a sentence for the client."""

    status: int
    reason: str
    message: str


def check_framing(version: tuple[int, int], index: dict[bytes, bytes | list[bytes]]) -> Problem | None:
    """The first problem of a request head's framing, or None.

    `index` maps lower-case names to their value, or to a list where a name is repeated.
    """
    coding = index.get(b"transfer-encoding")
    if coding is not None:
        if version < (1, 1):
            return Problem(400, "framing_invalid", "Transfer-Encoding is not part of HTTP/1.0.")
        if isinstance(coding, list) or coding.lower() != b"chunked":
            return Problem(400, "framing_invalid", "The only transfer coding accepted is chunked.")
        if b"content-length" in index:
            return Problem(400, "framing_invalid", "Content-Length and Transfer-Encoding exclude each other.")
    else:
        length = index.get(b"content-length")
        if length is not None and (isinstance(length, list) or not length.isdigit() or len(length) > 18):
            return Problem(400, "framing_invalid", "Content-Length is not one whole number.")
    return None


def content_length(lines: Iterable[RawField]) -> int | None:
    """The length that a head announces, None where it announces none or no whole number."""
    for name, value in lines:
        if len(name) == 14 and folded[name] == b"content-length":
            return int(value) if value.isdigit() and len(value) <= 18 else None
    return None


def connection_options(value: bytes | list[bytes]) -> set[bytes]:
    """The lower-case options of the Connection field."""
    lines = value if isinstance(value, list) else (value,)
    return {option.strip().lower() for line in lines for option in line.split(b",")}


def dropped(index: dict[bytes, bytes | list[bytes]]) -> frozenset[bytes] | set[bytes]:
    """The lower-case names that stop at this hop: the fixed ones and those that Connection names."""
    connection = index.get(b"connection")
    if connection is None or (
        not isinstance(connection, list) and connection.lower() in _PLAIN_CONNECTION and b"close" not in index
    ):
        return HOP_BY_HOP
    return HOP_BY_HOP | (connection_options(connection) - PROTECTED)


_PLAIN_CONNECTION: Final = frozenset((b"keep-alive", b"close", b"upgrade", b""))
