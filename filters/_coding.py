"""Content codings (RFC 9110 section 8.4.1): bodies that are decoded up to a limit, and no further."""

import zlib
from typing import Final

from gateway.http.fields import Fields

WINDOWS: Final[dict[str, int]] = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_NAMES: Final = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
_MOST_MEMBERS: Final = 64
"""Members of one gzip body, each of which takes a decoder of its own."""


class UnknownCoding(ValueError):  # noqa: N818 - it names what is wrong
    """A body has a coding that is not known, or several, which are a way to make little into much."""


def coding_of(fields: Fields) -> str | None:
    """`gzip`, `deflate`, or None for no coding. Raises UnknownCoding."""
    values = fields.all(b"content-encoding")
    if not values:
        return None
    name = values[0].strip(" \t").lower() if len(values) == 1 else ""
    if name == "identity":
        return None
    coding = _NAMES.get(name)
    if coding is None:
        raise UnknownCoding
    return coding


def decoded(raw: bytes, coding: str, limit: int) -> bytes:
    """The content of a coded body. Raises OverflowError beyond `limit` bytes, ValueError for what is none."""
    if not raw:
        return b""  # nothing was coded
    window = WINDOWS[coding]
    if coding == "deflate" and not _has_header(raw):
        window = -zlib.MAX_WBITS  # as some send it, without the zlib format that the section asks for
    pieces: list[bytes] = []
    left = limit
    for _ in range(_MOST_MEMBERS):
        decoder = zlib.decompressobj(window)
        try:
            # One byte beyond is enough to know, and all that is made of a bomb.
            piece = decoder.decompress(raw, left + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        left -= len(piece)
        if left < 0:
            raise OverflowError
        if not decoder.eof:
            raise ValueError("the body ends too early")
        pieces.append(piece)
        raw = decoder.unused_data
        if not raw:
            return b"".join(pieces)
        if coding != "gzip":
            break
    raise ValueError("something follows the coded content")


def _has_header(raw: bytes) -> bool:
    """Whether a body begins as RFC 1950 section 2.2 has it."""
    return len(raw) > 1 and raw[0] & 0x0F == 8 and (raw[0] << 8 | raw[1]) % 31 == 0
