"""Message heads as bytes: what we send of the lines that came (RFC 9112 sections 2.1, 3 and 4).

Lines travel as they arrived, in order and case; the caller names what stops at this hop.
"""

from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Final

from gateway.http.fields import RawField, folded

_PHRASES: Final = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"


_MEMO_PHRASE: Final = 64
"""The longest phrase that is remembered."""


class _StatusLines(dict[tuple[int, bytes], bytes]):
    """A bounded memo: upstreams use a few statuses, and the usual phrases."""

    def __missing__(self, key: tuple[int, bytes]) -> bytes:
        status, phrase = key
        line = b"HTTP/1.1 %d %b\r\n" % (status, phrase or _PHRASES.get(status, b""))
        if len(self) < 256 and len(phrase) <= _MEMO_PHRASE:
            self[key] = line
        return line


_status_lines: Final = _StatusLines()


def status_line(status: int, phrase: bytes = b"") -> bytes:
    """The status line, in our own version whatever the upstream's was (RFC 9112 section 2.3)."""
    return _status_lines[status, phrase]


def field_section(lines: Iterable[RawField], drop: Collection[bytes], ours: Iterable[bytes]) -> bytes:
    """The lines not named in `drop` (lower case), then ours without their ends, at least one; and the empty line."""
    fold = folded
    kept = [b": ".join(line) for line in lines if fold[line[0]] not in drop]
    kept += ours
    return b"\r\n".join(kept) + b"\r\n\r\n"


def field_lines(lines: Iterable[RawField], drop: Collection[bytes]) -> bytes:
    """The lines that are not named in `drop` (lower case), as they go on the wire."""
    fold = folded
    return b"".join([b"%b: %b\r\n" % line for line in lines if fold[line[0]] not in drop])


def first_lines_only(lines: Iterable[RawField], singletons: Collection[bytes]) -> list[RawField]:
    """The lines, with only the first of each name in `singletons` kept."""
    seen: set[bytes] = set()
    kept: list[RawField] = []
    for line in lines:
        key = folded[line[0]]
        if key in singletons:
            if key in seen:
                continue
            seen.add(key)
        kept.append(line)
    return kept


def chunk(data: bytes) -> bytes:
    """One chunk of the chunked coding (RFC 9112 section 7.1); `data` is not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes) -> bytes:
    """The last chunk with whole trailer lines behind it (RFC 9112 section 7.1.2)."""
    return b"0\r\n%b\r\n" % trailers
