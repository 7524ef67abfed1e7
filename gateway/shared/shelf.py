"""A shelf in a zone of the shared memory; see `gateway.api.shelf` for what it promises.

Values lie in a ring, one behind the other: what is laid down takes the place of what was laid there longest ago. The slots of
the zone say where: the cell of a key has the instant at which its value ends, its place, counted from the first byte that was
ever laid, and the instant at which it was made. Of a value that has been overwritten since, the place says so.

**Whole or not at all.** Whoever lays a value down first counts its bytes as laid, which is one word: then what has lain there is
gone. Then he writes them, and at last the cell, by the journal of the zone. A process that is killed before that has left bytes
that no cell names.

**What is withdrawn** leaves a mark, a cell too: the tag, and the instant up to which all that has it is void. A value is good
only if none of its tags has a mark that is as young as it is. A mark that has to make room for another cell, or that cannot be
left because another process has stopped with the lock, voids all that was made before, by one word that needs no lock.
"""

from collections.abc import Sequence
from math import inf
from struct import Struct
from typing import Final

from gateway.api.shelf import TAGS, Shelved
from gateway.api.table import Cell, Place
from gateway.shared.zone import ENTRY, LAID_AT, SHELF, VOID_AT, Zone, cell_of, shelf_at

SHARE: Final = 16
"""So many values have room at least: one that would take more than its share is not laid down."""
SLACK: Final = 1.0
"""Seconds by which more is void where the lock was not to be had, so that it does not matter who of several writes the word
last."""

_HEAD: Final = Struct("16sII")
_TAG: Final = Struct("Q16s")
_MARK: Final = -1.0
"""In place of the instant at which a value was made: the cell is a mark's."""
_VOID: Final = VOID_AT // 8
_LAID: Final = LAID_AT // 8


class SharedShelf:
    """The shelf of one definition."""

    __slots__ = ("_at", "_size", "zone")

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self._at = shelf_at(zone.slots)
        self._size = zone.slots * SHELF

    def get(self, key: bytes, now: float, since: float = -inf) -> Shelved | None:
        zone = self.zone
        place = zone.place(b"=" + key)
        if not zone.enter():
            return None
        try:
            cell = self._cell(place, now)
            if cell is None:
                return None
            _, laid, made = cell
            if made <= since or _nanoseconds(made) <= zone.words[_VOID]:
                return None
            return self._read(place[1], int(laid), made, now)
        finally:
            zone.leave()

    def _read(self, hashed: bytes, laid: int, made: float, now: float) -> Shelved | None:
        """The value that was laid at a place, unless another has been laid there or it has been withdrawn."""
        zone, size = self.zone, self._size
        if zone.words[_LAID] - laid > size:
            return None
        at = self._at + laid % size
        whose, tags, length = _HEAD.unpack_from(zone.memory, at)
        end = at + _HEAD.size + tags * _TAG.size
        if whose != hashed or end + length > self._at + size:
            return None
        for tag in _TAG.iter_unpack(zone.memory[at + _HEAD.size : end]):
            mark = self._cell(tag, now)
            if mark is not None and mark[1] >= made:
                return None
        return Shelved(made, zone.memory[end : end + length])

    def put(
        self, key: bytes, value: bytes, *, tags: Sequence[bytes], made: float, until: float, now: float
    ) -> None:
        zone, size = self.zone, self._size
        needed = _HEAD.size + len(tags) * _TAG.size + len(value)
        if len(tags) > TAGS or needed > size // SHARE or until <= now:
            return
        place = zone.place(b"=" + key)
        told = b"".join(_TAG.pack(*zone.place(b"#" + tag)) for tag in tags)
        record = _HEAD.pack(place[1], len(tags), len(value)) + told + value
        if not zone.enter():
            return
        try:
            cell = self._cell(place, now)
            if cell is not None and cell[2] >= made and zone.words[_LAID] - int(cell[1]) <= size:
                return
            laid = zone.words[_LAID]
            left = size - laid % size
            if left < needed:
                laid += left
            zone.words[_LAID] = laid + needed
            at = self._at + laid % size
            zone.memory[at : at + needed] = record
            self._set(place, (until, float(laid), made), now)
        finally:
            zone.leave()

    def withdraw(self, tag: bytes | None, now: float, until: float) -> None:
        zone = self.zone
        if tag is None:
            self._void(now)
            return
        place = zone.place(b"#" + tag)
        if not zone.enter():
            self._void(now + SLACK)
            return
        try:
            self._set(place, (until, now, _MARK), now)
        finally:
            zone.leave()

    def close(self) -> None:
        self.zone.close()

    # ---- under the lock

    def _cell(self, place: Place, now: float) -> Cell | None:
        offset = self.zone.search(*place)
        if offset < 0:
            return None
        cell = cell_of(self.zone.memory, offset)
        return cell if cell[0] > now else None

    def _set(self, place: Place, cell: Cell, now: float) -> None:
        zone = self.zone
        home, hashed = place
        offset = zone.search(home, hashed)
        if offset < 0:
            offset = zone.allot([place], [-1], [cell], now)[0]
            expires, instant, made = cell_of(zone.memory, offset)
            if made == _MARK and expires > now:
                self._void(instant)
        zone.write_cell(offset, ENTRY.pack(offset, hashed, *cell))

    # ---- without it

    def _void(self, instant: float) -> None:
        """All that was made up to an instant is void."""
        words, until = self.zone.words, _nanoseconds(instant)
        if words[_VOID] < until:
            words[_VOID] = until


def _nanoseconds(instant: float) -> int:
    return max(0, int(instant * 1e9))
