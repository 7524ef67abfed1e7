"""Request ids in the form that the compute APIs use: "req-" and a version 4 UUID (RFC 9562 section 5.4)."""

import os
import re
from collections.abc import Callable

# A block of 128 ids is made in some 30 us: little for the one request that waits for it.
_IDS_PER_BLOCK = 128

_LAYOUT = b"req-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
_SIZE = len(_LAYOUT)
_PLACES = tuple(place for place, char in enumerate(_LAYOUT) if char == ord("x"))

_VERSION_4 = bytes(byte & 0x0F | 0x40 for byte in range(256))
_VARIANT_10 = bytes(byte & 0x3F | 0x80 for byte in range(256))

_VALID = re.compile(r"req-[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}")


class RequestIds:
    """A source of request ids from blocks of entropy.

    Each process makes its own: two that share a block after a fork would give the same ids.
    """

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._ready: list[str] = []

    def next(self) -> str:
        """An id that was not given before."""
        ready = self._ready
        if not ready:
            self._refill()
        return ready.pop()

    def _refill(self) -> None:
        block = bytearray(self._entropy(16 * _IDS_PER_BLOCK))
        block[6::16] = block[6::16].translate(_VERSION_4)
        block[8::16] = block[8::16].translate(_VARIANT_10)
        digits = block.hex().encode("ascii")
        # Column by column over all ids of the block: 32 copies, and not five slices for each id.
        text = bytearray(_LAYOUT * _IDS_PER_BLOCK)
        for digit, place in enumerate(_PLACES):
            text[place::_SIZE] = digits[digit::32]
        ids = text.decode("ascii")
        self._ready.extend([ids[start : start + _SIZE] for start in range(0, len(ids), _SIZE)])


def valid(value: str) -> bool:
    """Whether the value has the form of a request id, in lower case, with nothing around it."""
    return _VALID.fullmatch(value) is not None
