"""A table of cells by key in a zone of the shared memory; see `gateway.api.table` for what it promises."""

from collections.abc import Sequence
from typing import Any, Final

from gateway.api.table import Cell, Change, Place, TableBusy
from gateway.shared import note
from gateway.shared.zone import ENTRIES, ENTRY, SLOT, Zone

_EMPTY: Final = bytes(16)
_unpack: Final = SLOT.unpack_from
_entry: Final = ENTRY.pack


class SharedTable:
    """The table of one definition."""

    __slots__ = ("_owner", "zone")

    def __init__(self, zone: Zone, owner: int = 0) -> None:
        """`owner` tells this process from others that have the zone."""
        self.zone = zone
        self._owner = owner

    def place(self, key: bytes) -> Place:
        return self.zone.place(key)

    def update(
        self,
        places: Sequence[Place],
        now: float,
        change: Change,
    ) -> None:
        if len(places) > ENTRIES:
            raise ValueError(f"at most {ENTRIES} cells change at once")
        if len(places) == 1:
            self._update_one(places[0], now, change)
            return
        zone = self.zone
        if not zone.enter():
            raise TableBusy
        try:
            zone.decisions += 1
            memory = zone.memory
            cells: list[Cell | None] = []
            offsets: list[int] = []
            hashes: list[bytes] = []
            absent = False
            for offset, hashed in places:
                hashes.append(hashed)
                slot: tuple[Any, ...] = _unpack(memory, offset)
                if slot[0] != hashed:
                    offset = -1 if slot[0] == _EMPTY else zone.search(offset, hashed)
                    if offset < 0:
                        absent = True
                        offsets.append(-1)
                        cells.append(None)
                        continue
                    slot = _unpack(memory, offset)
                offsets.append(offset)
                expires: float = slot[1]
                cells.append((expires, slot[2], slot[3]) if expires > now else None)
            after = change(cells)
            if after is None:
                return
            if absent:
                offsets = zone.allot(places, offsets, after, now)
            changed: list[int] = []
            entries: list[bytes] = []
            number = 0
            for cell in after:
                offset = offsets[number]
                if cell is not None and offset >= 0:
                    changed.append(offset)
                    entries.append(_entry(offset, hashes[number], cell[0], cell[1], cell[2]))
                number += 1  # noqa: SIM113 - enumerate() would make a pair for every cell
            zone.write(changed, entries)
        finally:
            zone.leave()

    def _update_one(self, place: Place, now: float, change: Change) -> None:
        """What `update` does of many, without the lists that hold them."""
        zone = self.zone
        if not zone.enter():
            raise TableBusy
        try:
            zone.decisions += 1
            offset, hashed = place
            slot: tuple[Any, ...] = _unpack(zone.memory, offset)
            if slot[0] != hashed:
                offset = -1 if slot[0] == _EMPTY else zone.search(offset, hashed)
                if offset >= 0:
                    slot = _unpack(zone.memory, offset)
            cell: Cell | None = None
            if offset >= 0:
                expires: float = slot[1]
                if expires > now:
                    cell = (expires, slot[2], slot[3])
            after = change((cell,))
            changed = after[0] if after is not None else None
            if changed is None:
                return
            if offset < 0:
                offset = zone.allot([place], [-1], [changed], now)[0]
                if offset < 0:
                    return
            zone.write_cell(offset, _entry(offset, hashed, changed[0], changed[1], changed[2]))
        finally:
            zone.leave()

    def leave(self, notes: Sequence[tuple[Place, bytes]], now: float) -> None:
        if not self.zone.enter():
            raise TableBusy
        try:
            note.leave(self.zone, self._owner, notes, now)
        finally:
            self.zone.leave()

    def notes(self, place: Place) -> list[bytes]:
        return note.others(self.zone, self._owner, place)

    def own_note(self, place: Place) -> bytes | None:
        return note.own(self.zone, self._owner, place)

    def every_note(self) -> list[bytes]:
        return note.every(self.zone)

    def in_use(self, now: float) -> int:
        return self.zone.in_use(now)

    def close(self) -> None:
        self.zone.close()
