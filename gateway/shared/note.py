"""Notes: a few words that each process leaves on a cell of a shared table, for the others to read.

They lie where a zone has room for seats, which no table needs: a ring of records of 512 bytes, each of one process and one cell.
A note lies in one of the `PROBES` records from the one that the hash of its cell names. Where all of them are taken the one that
is oldest goes, be it the new one. They are written under the lock of the zone, and read without it: a record that was read in the midst of a change,
or that a killed process has left half written, does not fit its checksum, and is none.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final
from zlib import crc32

from gateway.api.table import NOTE, Place
from gateway.shared.zone import BLOCKS, SEATS, Zone, seats_at

PROBES: Final = 16
"""Records in which a note may lie: so many processes can have one of the same cell."""

_HEAD: Final = Struct("16sQdIHxx")
_RECORD: Final = 512
_RECORDS: Final = BLOCKS * SEATS * 8 // _RECORD
_WINDOW: Final = PROBES * _RECORD
_EMPTY: Final = bytes(16)
_NEVER: Final = float("-inf")

assert _HEAD.size + NOTE == _RECORD


def leave(zone: Zone, owner: int, notes: Sequence[tuple[Place, bytes]], now: float) -> None:
    """Writes the notes of process `owner`. For whoever has the lock."""
    memory = zone.memory
    for (_, hashed), text in notes:
        home = _home(zone, hashed)
        window = memory[home : home + _WINDOW]
        chosen, least = -1, now
        for at in range(0, _WINDOW, _RECORD):
            whose, by, since, _, _ = _HEAD.unpack_from(window, at)
            if whose == hashed and by == owner:
                chosen = at
                break
            if whose == _EMPTY:
                since = _NEVER
            if since <= least:
                chosen, least = at, since
        if chosen < 0:
            continue
        text = text[:NOTE]
        head = _HEAD.pack(hashed, owner, now, _check(hashed, owner, text), len(text))
        memory[home + chosen : home + chosen + _HEAD.size + len(text)] = head + text


def others(zone: Zone, owner: int, place: Place) -> list[bytes]:
    """The notes on a cell by processes other than `owner`."""
    return [text for by, text in _on(zone, place) if by != owner]


def own(zone: Zone, owner: int, place: Place) -> bytes | None:
    """The note on a cell by process `owner`."""
    return next((text for by, text in _on(zone, place) if by == owner), None)


def _on(zone: Zone, place: Place) -> list[tuple[int, bytes]]:
    """The notes on a cell, each with the process that has left it."""
    _, hashed = place
    home = _home(zone, hashed)
    window = zone.memory[home : home + _WINDOW]
    found: list[tuple[int, bytes]] = []
    at = window.find(hashed)
    while at >= 0:
        if at % _RECORD == 0:
            _, by, _, check, size = _HEAD.unpack_from(window, at)
            text = window[at + _HEAD.size : at + _HEAD.size + size]
            if size <= NOTE and check == _check(hashed, by, text):
                found.append((by, text))
        at = window.find(hashed, at + 1)
    return found


def every(zone: Zone) -> list[bytes]:
    """All notes, whosever they are."""
    found: list[bytes] = []
    memory, start = zone.memory, _start(zone)
    for at in range(start, start + _RECORDS * _RECORD, _RECORD):
        hashed, by, _, check, size = _HEAD.unpack_from(memory, at)
        if hashed != _EMPTY and size <= NOTE:
            text = memory[at + _HEAD.size : at + _HEAD.size + size]
            if check == _check(hashed, by, text):
                found.append(text)
    return found


def _start(zone: Zone) -> int:
    return seats_at(zone.slots) + BLOCKS * 8


def _home(zone: Zone, hashed: bytes) -> int:
    number = int.from_bytes(hashed[8:], "little") % (_RECORDS - PROBES + 1)
    return _start(zone) + number * _RECORD


def _check(hashed: bytes, owner: int, text: bytes) -> int:
    return crc32(text, crc32(hashed) ^ (owner & 0xFFFFFFFF))
