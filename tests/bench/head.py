"""The head of a message, as far as the loads need it: its first line, and where the message ends."""

import re
from typing import Final, NamedTuple

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)


class Head(NamedTuple):
    """A message's first line, the length of its body if that is given, and the bytes of the head itself."""

    first: bytes
    length: int | None
    size: int

    @property
    def status(self) -> int:
        """Of an answer; 0 for anything else."""
        version, _, rest = self.first.partition(b" ")
        return int(rest[:3]) if version == b"HTTP/1.1" and rest[:3].isdigit() else 0

    @property
    def whole(self) -> int:
        """Bytes of head and body."""
        return self.size + (self.length or 0)


def parse(data: bytes | bytearray) -> Head | None:
    """The head that `data` begins with; None while it is not complete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = _LENGTH.search(data, 0, end + 2)
    first = bytes(data[: data.index(b"\r\n")])
    return Head(first, None if found is None else int(found[1]), end + 4)
