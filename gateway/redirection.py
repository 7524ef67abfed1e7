"""Where a Redis or Valkey cluster has a key, and what its nodes say of keys that others have.

Rules without I/O. What a node says is believed as far as it has the form of an address, and no further: it comes from outside.
"""

import re
from binascii import crc_hqx
from typing import Final, NamedTuple

SLOTS: Final = 16_384

_HOST: Final = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.-]{0,251}[0-9A-Za-z])?|[0-9A-Fa-f:.]{2,45}")
_REDIRECTION: Final = re.compile(r"(MOVED|ASK) ([0-9]{1,5}) ([^ ]{0,260}):([0-9]{1,5})")
_SCRIPTS: Final = ("EVAL", "EVALSHA")

Part = bytes | str | int


class Redirection(NamedTuple):
    """Another node has the slot: for good, or (`once`) for this command only. `host` is empty for the host that said so."""

    host: str
    port: int
    once: bool

    @property
    def place(self) -> str:
        """As a URL has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def redirection(error: str) -> Redirection | None:
    """What an error says of another node; None for any other error, and for an address that is none."""
    found = _REDIRECTION.fullmatch(error)
    if found is None:
        return None
    kind, slot, host, port = found.groups()
    if int(slot) >= SLOTS or not 0 < int(port) < 65_536 or (host and _HOST.fullmatch(host) is None):
        return None
    return Redirection(host, int(port), kind == "ASK")


def slot_of(parts: tuple[Part, ...]) -> int | None:
    """The slot of a command's keys, which share one; None for a command without keys."""
    at = 3 if parts[0] in _SCRIPTS else 1
    if len(parts) <= at or (at == 3 and parts[2] == 0):
        return None
    key = parts[at]
    data = key if isinstance(key, bytes) else str(key).encode()
    begin = data.find(b"{")
    if begin >= 0:
        end = data.find(b"}", begin + 1)
        if end > begin + 1:
            data = data[begin + 1 : end]
    return crc_hqx(data, 0) % SLOTS
