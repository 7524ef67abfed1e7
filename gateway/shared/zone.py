"""The memory of one definition: a journal, slots for cells, blocks of seats; changed under a lock, whole or not at all.

    0        how many entries of the journal are in force; 0 for none
    64       the mutex, where there are any
    128      of the shelf: the instant up to which all of it is void, and how many bytes have been laid on it
    4096     the journal: entries (offset, 40 bytes that belong there)
    53248    the slots: a cell each, of 40 bytes: the hash of its key, the instant at which it expires, two numbers
    then     owners of the blocks of seats, and the blocks; see `gateway.shared.permit`
    then     the shelf; see `gateway.shared.shelf`

**Whole or not at all.** Whoever changes something writes all of it to the journal first, then how many entries that are, one
word, which is there or is not; then he makes the changes, and takes the word back. A process that is killed before the word
has changed nothing. After it, whoever has the lock next, which the kernel frees, finds the word and makes the changes (again).

**Slots** are found by open addressing: a cell lies in the slot that its hash names, or in one of the `PROBES - 1` behind it. A
slot that was once used never gets an empty hash again, so that a search ends at the first that has one; it is free again when
its cell has expired. Where none of them is free, the cell that expires first makes room, and that is counted: what it has
counted is forgotten. Until every slot of a neighbourhood is taken, nothing is.
"""

import mmap
from collections.abc import Callable, Sequence
from hashlib import blake2b
from struct import Struct
from typing import Final

from gateway.api.table import Cell, Place
from gateway.shared.lock import Lock

SLOTS: Final = 1 << 18
"""Cells of a zone; 40 bytes each, of which the machine gives only those pages that have been written to."""
PROBES: Final = 32
"""Slots in which a cell may lie."""
LINGER: Final = 60.0
"""Seconds after which the slot of a cell that has expired is free: a request that came earlier may be decided later."""
ENTRIES: Final = 1024
"""Of the journal: changes that are made at once."""
BLOCKS: Final = 512
"""Of seats, in a zone."""
SEATS: Final = 1024
"""In a block."""
SHELF: Final = 64
"""Bytes of the shelf for each slot; what there is to one entry of it may be much longer."""

SLOT: Final = Struct("16sddd")
ENTRY: Final = Struct("Q16sddd")
_NEIGHBOURHOOD: Final = Struct("16sd16x" * PROBES)

MUTEX_AT: Final = 64
VOID_AT: Final = 128
LAID_AT: Final = 136
_PAGE: Final = 4096
_JOURNAL: Final = _PAGE
_SECOND: Final = _JOURNAL + ENTRY.size
_SLOTS_AT: Final = _JOURNAL + ENTRIES * ENTRY.size
_EMPTY: Final = bytes(16)
_WORD: Final = Struct("Q8x")


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def seats_at(slots: int) -> int:
    """Where the owners of the blocks begin, the blocks behind them."""
    return _pages(_SLOTS_AT + (slots + PROBES - 1) * SLOT.size)


def shelf_at(slots: int) -> int:
    """Where the shelf begins."""
    return _pages(seats_at(slots) + BLOCKS * 8 + BLOCKS * SEATS * 8)


def zone_size(slots: int) -> int:
    """Bytes of a zone with so many slots, a whole number of pages."""
    return _pages(shelf_at(slots) + slots * SHELF)


class Zone:
    """One definition's memory, as this process has it mapped.

    number, name  which one, and whose
    memory        from the begin of the zone
    decisions     changes that were decided, whether anything was changed or not
    evictions     cells that had to make room before they had expired
    recoveries    changes finished for a process that was killed in the midst of them
    """

    __slots__ = (
        "_release",
        "decisions",
        "evictions",
        "lock",
        "memory",
        "name",
        "number",
        "recoveries",
        "secret",
        "slots",
        "words",
    )

    def __init__(
        self,
        number: int,
        name: str,
        memory: mmap.mmap,
        slots: int,
        secret: bytes,
        lock: Lock,
        release: "Callable[[Zone], None]",
    ) -> None:
        """`slots` is a power of two; `secret` is of this zone, at most 64 bytes."""
        self.number = number
        self.name = name
        self.memory = memory
        self.slots = slots
        self.secret = secret
        self.lock = lock
        self.words: memoryview = memoryview(memory).cast("Q")
        self.decisions = 0
        self.evictions = 0
        self.recoveries = 0
        self._release = release

    def close(self) -> None:
        """Lets go of it: it is freed when no process has it any more."""
        self._release(self)

    def unmap(self) -> None:
        self.lock.close()
        self.words.release()
        self.memory.close()

    # ---- under the lock

    def enter(self) -> bool:
        """Takes the lock, and finishes what one that was killed has begun; False when the lock is not to be had."""
        if not self.lock.take():
            return False
        if self.words[0]:
            try:
                self._finish()
            except BaseException:
                self.lock.free()
                raise
        return True

    def leave(self) -> None:
        self.lock.free()

    def place(self, key: bytes) -> Place:
        """The offset of the slot that the hash of a key names, and the hash: keyed, 128 bits of it.

        So nobody can aim at another's cell, or at one neighbourhood.
        """
        hashed = blake2b(key, key=self.secret, digest_size=16).digest()
        return _SLOTS_AT + (int.from_bytes(hashed[:8], "little") & (self.slots - 1)) * SLOT.size, hashed

    def search(self, home: int, hashed: bytes) -> int:
        """The offset of the slot that has this hash, -1 when there is none."""
        at = self.memory[home : home + PROBES * SLOT.size].find(hashed)
        return home + at if at >= 0 else -1

    def allot(
        self,
        places: Sequence[Place],
        found: Sequence[int],
        wanted: Sequence[object],
        now: float,
        keep: bool = False,
    ) -> list[int]:
        """The offsets of the slots for these cells, of which those at `found` have one already, the others -1 there.

        There is none for what is not `wanted`, None there: it would be passed over by a search, and then stay empty.
        With `keep` no cell has to make room. An offset remains -1 where there is no slot.
        """
        taken = {offset for offset in found if offset >= 0}
        given: dict[bytes, int] = {}
        offsets: list[int] = []
        for (home, hashed), offset, want in zip(places, found, wanted, strict=True):
            if offset < 0 and want is not None:
                offset = given.get(hashed, -1)
            if offset < 0 and want is not None:
                offset = self._free(home, taken, now, keep)
                if offset >= 0:
                    taken.add(offset)
                    given[hashed] = offset
            offsets.append(offset)
        return offsets

    def _free(self, home: int, taken: set[int], now: float, keep: bool) -> int:
        first, least = -1, 0.0
        values = _NEIGHBOURHOOD.unpack_from(self.memory, home)
        for number in range(PROBES):
            offset = home + number * SLOT.size
            if offset in taken:
                continue
            expires: float = values[2 * number + 1]
            if values[2 * number] == _EMPTY or not expires + LINGER > now:
                return offset
            if first < 0 or expires < least:
                first, least = offset, expires
        if first < 0 or least > now:
            if keep:
                return -1
            self.evictions += 1
        return first

    def write(self, offsets: list[int], entries: list[bytes]) -> None:
        """Makes changes, at most `ENTRIES`: all, or none should the process be killed.

        Each is an offset and an `ENTRY` that begins with it: the offset of a slot, or that of a word and 1.
        """
        memory, words = self.memory, self.words
        journal = b"".join(entries)
        memory[_JOURNAL : _JOURNAL + len(journal)] = journal
        words[0] = len(entries)
        number = 0
        for offset in offsets:
            if offset & 1:
                memory[offset - 1 : offset + 7] = entries[number][8:16]
            else:
                memory[offset : offset + 40] = entries[number][8:]
            number += 1  # noqa: SIM113 - enumerate() would make a pair for every change
        words[0] = 0

    def write_cell(self, offset: int, entry: bytes) -> None:
        """What `write` does, for the cell of one slot."""
        memory, words = self.memory, self.words
        memory[_JOURNAL:_SECOND] = entry
        words[0] = 1
        memory[offset : offset + 40] = entry[8:]
        words[0] = 0

    def _finish(self) -> None:
        """Makes the changes that stand in the journal. It does not matter which of them have been made."""
        size = ENTRY.size
        count = min(self.words[0], ENTRIES)
        entries = [self.memory[at : at + size] for at in range(_JOURNAL, _JOURNAL + count * size, size)]
        self.write([int(ENTRY.unpack(entry)[0]) for entry in entries], entries)
        self.recoveries += 1

    # ---- without it

    def in_use(self, now: float) -> int:
        """How many cells have not expired; some milliseconds for a zone of many."""
        used = 0
        end = _SLOTS_AT + (self.slots + PROBES - 1) * SLOT.size
        for start in range(_SLOTS_AT, end, SLOT.size << 10):
            chunk = self.memory[start : min(start + (SLOT.size << 10), end)]
            used += sum(map(now.__lt__, memoryview(chunk).cast("d")[2 :: SLOT.size // 8].tolist()))
        return used


def word(offset: int, value: int) -> bytes:
    """A change of the word at `offset`."""
    return ENTRY.pack(offset | 1, _WORD.pack(value), 0.0, 0.0, 0.0)


def cell_of(memory: mmap.mmap, offset: int) -> Cell:
    """The cell in the slot at `offset`."""
    _, expires, x, y = SLOT.unpack_from(memory, offset)
    return expires, x, y
