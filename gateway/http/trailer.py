"""Trailer fields of a response: who wants them, and which may travel (RFC 9110 sections 6.5 and 10.1.4)."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

from gateway.http.fields import RawField
from gateway.http.framing import HOP_BY_HOP, PROTECTED
from gateway.http.listing import members
from gateway.http.message import field_lines

FORBIDDEN: Final = (
    HOP_BY_HOP
    | PROTECTED
    | {
        b"age",
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expires",
        b"forwarded",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"location",
        b"max-forwards",
        b"pragma",
        b"proxy-authentication-info",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"vary",
        b"warning",
        b"www-authenticate",
    }
)
"""Lower-case names of fields that are needed before the body, to frame, route, authenticate or understand the message,
or that belong to one hop: in a trailer section they mean nothing good (RFC 9110 section 6.5.1)."""


def wanted(te: bytes | list[bytes]) -> bool:
    """Whether the lines of a TE field say that trailer fields will not be thrown away."""
    value = b",".join(te if isinstance(te, list) else [te]).decode("latin-1")
    return any(member.lower() == "trailers" for member in members(value) or ())


def trailer_section(lines: Iterable[RawField], drop: AbstractSet[bytes]) -> bytes:
    """The trailer fields as they go on the wire, without the forbidden ones and those in `drop` (lower case)."""
    return field_lines([(name, value.rstrip(b" \t")) for name, value in lines], FORBIDDEN | drop)
