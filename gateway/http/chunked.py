"""Where a chunked body ends (RFC 9112 section 7.1).

The parser judges whether the coding is well-formed, but for extensions, which it skips; this reader finds the last
byte of it, so that the parser is never shown two messages at once. Where the two disagree, the message is refused.
"""

import re
import sys
from typing import Final

MAX_LINE: Final = 16 * 1024
"""Bytes of a chunk's size line with its extensions, or of a trailer line."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*+"'
# Extensions are ignored, but one that is malformed may be read otherwise by others: section 7.1.1.
_SIZE = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:[ \t]*+;[ \t]*+"
    + _TOKEN
    + rb"(?:[ \t]*+=[ \t]*+(?:"
    + _TOKEN
    + rb"|"
    + _QUOTED
    + rb"))?+)*+"
    rb"[ \t]*+\r\n"
)


class ChunkedEnd:
    """Follows a chunked body from its first byte.

    done      the last byte has been seen
    trailers  fields came behind the last chunk
    broken    what came cannot be the chunked coding; nothing more is followed
    lines     how many size lines and trailers the last call has followed: what it has cost, whatever their chunks hold
    """

    __slots__ = ("_in_trailer", "_left", "_line", "broken", "done", "lines", "trailers")

    def __init__(self) -> None:
        self._left = 0  # of the chunk's data and the line end behind it
        self._line = b""
        self._in_trailer = False
        self.done = False
        self.trailers = False
        self.broken = False
        self.lines = 0

    def consume(self, data: bytes, most: int = sys.maxsize) -> int:
        """How many bytes of `data`, from its start, belong to the body.

        Fewer than all only at its end, or where `most` lines have been followed and another would begin.
        """
        position, size = 0, len(data)
        self.lines = 0
        while position < size:
            if self._left:
                step = min(self._left, size - position)
                position += step
                self._left -= step
                continue
            if self.lines == most:
                return position
            self.lines += 1
            end = data.find(b"\n", position) + 1
            if not end:
                self._line += data[position:]
                self.broken = len(self._line) > MAX_LINE
                return size
            line = self._line + data[position:end]
            self._line = b""
            position = end
            if not self._follow(line):
                self.broken = True
                return size
            if self.done:
                return position
        return size

    def _follow(self, line: bytes) -> bool:
        if len(line) > MAX_LINE:
            return False
        if self._in_trailer:
            self.done = line == b"\r\n"
            self.trailers = self.trailers or not self.done
            return True
        match = _SIZE.fullmatch(line)
        if match is None:
            return False
        length = int(match[1], 16)
        self._in_trailer = not length
        self._left = length + 2 if length else 0
        return True
