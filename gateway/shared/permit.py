"""Permits by key in a zone of the shared memory; see `gateway.api.permit` for what they promise.

The cell of a key has how many permits are taken and how many wait for one; it does not expire while there are any. Each
permit, and each that waits, has a *seat* besides, which says of which cell it is and belongs to a block of one process. Both
are changed at once. So what a process that was killed has had is known, and whoever would otherwise be refused frees it:

    owners of the blocks   a word each: which process, 0 for none
    blocks                 words: 0 for a free seat, else the offset of a cell, + 1 for a permit, + 2 for one that waits

Those who wait in one process get their turns in the order in which they came. Between processes there is no order: each that
has some waiting looks every `POLL` seconds whether a permit is free, and is told of nothing. Where no other process has
anybody waiting, the next in this one gets a permit that was given back here at once.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Final

from gateway.api.permit import Demand
from gateway.api.table import Place
from gateway.shared.memory import SharedMemory
from gateway.shared.zone import BLOCKS, ENTRY, SEATS, Zone, cell_of, seats_at, word

POLL: Final = 0.005
"""Seconds between two looks of a process where somebody waits."""
REAP: Final = 0.01
"""Seconds between two looks for processes that have ended."""
RETRY: Final = 0.05
"""Seconds until what could not be given back, because another process has stopped with the lock, is tried again."""

_FOREVER: Final = float("inf")
_NEVER: Final = float("-inf")
_PERMIT: Final = 1
_WAITS: Final = 2
_KINDS: Final = 7
_AT_ONCE: Final = 300  # seats that are freed in one change, each with a cell at most


class _Changes:
    """What is to be changed at once."""

    __slots__ = ("entries", "offsets")

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.entries: list[bytes] = []

    def cell(self, offset: int, hashed: bytes, expires: float, taken: float, waiting: float) -> None:
        self.offsets.append(offset)
        self.entries.append(ENTRY.pack(offset, hashed, expires, taken, waiting))

    def word(self, offset: int, value: int) -> None:
        self.offsets.append(offset | 1)
        self.entries.append(word(offset, value))


class SharedClaim:
    """See `gateway.api.permit.Claim`."""

    __slots__ = (
        "_demands",
        "_held",
        "_most",
        "_permits",
        "_queued",
        "_turn",
        "deadline",
        "full",
        "shed",
        "used",
    )

    def __init__(self, permits: "SharedPermits", demands: Sequence[Demand]) -> None:
        self._permits = permits
        self._demands = demands
        self._held: list[tuple[int, int]] = []  # offsets of cells and of seats
        self._queued: tuple[int, int] | None = None
        self._turn: asyncio.Future[bool] | None = None
        self._most: Sequence[int] = ()
        self.deadline = 0.0
        self.shed = False
        self.full = -1
        self.used = 0

    def queue(self, *most: int) -> bool:
        self._most = most if len(most) > 1 else most * len(self._demands)
        return self._permits.queue(self)

    async def turn(self, timeout: float) -> bool:
        if self.full < 0:
            return True
        loop = asyncio.get_running_loop()
        self.deadline = loop.time() + timeout
        self._turn = loop.create_future()
        self._permits.wait(self)
        try:
            return await self._turn
        except asyncio.CancelledError:
            self.release()
            raise
        finally:
            self._turn = None

    def amend(self, *most: int) -> None:
        self._demands = [(place, each) for (place, _), each in zip(self._demands, most, strict=True)]

    def release(self) -> None:
        self._permits.give_back(self)


class SharedPermits:
    """The permits of one definition."""

    __slots__ = (
        "_blocks",
        "_closed",
        "_free",
        "_late",
        "_memory",
        "_owners",
        "_reaped_at",
        "_retry",
        "_tick",
        "_waiting",
        "zone",
    )

    def __init__(self, zone: Zone, memory: SharedMemory) -> None:
        self.zone = zone
        self._memory = memory
        self._owners = seats_at(zone.slots)
        self._blocks = self._owners + BLOCKS * 8
        self._free: list[int] = []  # offsets of seats in blocks of ours
        self._late: list[tuple[int, int]] = []  # to be given back
        self._waiting: dict[SharedClaim, None] = {}
        self._tick: asyncio.TimerHandle | asyncio.Handle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._reaped_at = _NEVER
        self._closed = False

    def place(self, key: bytes) -> Place:
        return self.zone.place(key)

    def claim(self, demands: Sequence[Demand]) -> SharedClaim:
        claim = SharedClaim(self, demands)
        if self.zone.enter():
            try:
                self.zone.decisions += 1
                self._take(claim)
            finally:
                self.zone.leave()
        return claim

    # ---- those who wait

    def queue(self, claim: SharedClaim) -> bool:
        if claim.full < 0:
            return True
        if not self.zone.enter():
            return False
        try:
            return self._queue(claim)
        finally:
            self.zone.leave()

    def wait(self, claim: SharedClaim) -> None:
        self._waiting[claim] = None
        if self._tick is None:
            self._tick = asyncio.get_running_loop().call_later(POLL, self._look)

    def _look(self) -> None:
        """Whether it is anybody's turn, or time is up."""
        self._tick = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self.zone.enter():
            try:
                in_vain: set[int] = set()
                for claim in list(self._waiting):
                    queued = claim._queued
                    if queued is not None and queued[0] in in_vain:
                        continue  # somebody before it waits for the same
                    self._take(claim)
                    if claim.full < 0:
                        self._told(claim, True)
                    elif claim.shed:
                        self._told(claim, False)
                    elif queued is not None:
                        in_vain.add(queued[0])
            finally:
                self.zone.leave()
        for claim in list(self._waiting):
            if claim.deadline <= now:
                self._told(claim, False)
                self.give_back(claim)
        if self._waiting and self._tick is None:
            self._tick = loop.call_later(POLL, self._look)

    def _told(self, claim: SharedClaim, passed: bool) -> None:
        del self._waiting[claim]
        turn = claim._turn
        if turn is not None and not turn.done():
            turn.set_result(passed)

    def _look_soon(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        self._tick = asyncio.get_running_loop().call_soon(self._look)

    # ---- giving back

    def give_back(self, claim: SharedClaim) -> None:
        self._waiting.pop(claim, None)
        seats, claim._held = claim._held, []
        if claim._queued is not None:
            seats.append(claim._queued)
            claim._queued = None
        if seats and not self._closed:
            self._late += seats
            self._give_late()

    def _give_late(self) -> None:
        """Gives back what is to be given back; tried again where the lock is not to be had."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if not self.zone.enter():
            self._retry = asyncio.get_running_loop().call_later(RETRY, self._give_late)
            return
        try:
            seats, self._late = self._late, []
            self._vacate(seats)
            self._free += [seat for _, seat in seats]
            own = Counter(claim._queued[0] for claim in self._waiting if claim._queued is not None)
            alone = any(own[cell] and cell_of(self.zone.memory, cell)[2] <= own[cell] for cell, _ in seats)
        finally:
            self.zone.leave()
        if alone:
            self._look_soon()

    def _vacate(self, seats: Sequence[tuple[int, int]]) -> None:
        """Frees seats, and takes them off their cells."""
        words, memory = self.zone.words, self.zone.memory
        for start in range(0, len(seats), _AT_ONCE):
            cells: dict[int, list[float]] = {}
            changes = _Changes()
            for cell, seat in seats[start : start + _AT_ONCE]:
                counts = cells.get(cell)
                if counts is None:
                    counts = cells[cell] = list(cell_of(memory, cell)[1:])
                counts[0 if words[seat >> 3] & _KINDS == _PERMIT else 1] -= 1
                changes.word(seat, 0)
            for cell, (taken, waiting) in cells.items():
                expires = _FOREVER if taken > 0 or waiting > 0 else _NEVER
                changes.cell(cell, memory[cell : cell + 16], expires, max(0.0, taken), max(0.0, waiting))
            self.zone.write(changes.offsets, changes.entries)

    def close(self) -> None:
        """For after the last claim. What is given back later was of no use to anybody any more."""
        self._closed = True
        for handle in (self._tick, self._retry):
            if handle is not None:
                handle.cancel()
        if not self._memory.closed and self.zone.enter():
            try:
                self._vacate(self._late)
                for number, owner in enumerate(self._owned()):
                    if owner == self._memory.owner:
                        self.zone.words[self._owners // 8 + number] = 0
            finally:
                self.zone.leave()
        self.zone.close()

    # ---- under the lock

    def _take(self, claim: SharedClaim) -> None:
        """Takes all that is demanded, or none and says in `full` which is not to be had."""
        demands, queued = claim._demands, claim._queued
        found = self._found(demands)
        full = self._full(demands, found, queued)
        if full >= 0 and self._reap():
            found = self._found(demands)
            full = self._full(demands, found, queued)
        if full >= 0:
            cell = cell_of(self.zone.memory, found[full])
            claim.full, claim.used = full, int(cell[1])
            if queued is not None and queued[0] != found[full]:
                # It waits for another one from now on.
                self._vacate([queued])
                self._free.append(queued[1])
                claim._queued = None
                claim.shed = not self._queue(claim)
            return
        places = [place for place, _ in demands]
        offsets = self.zone.allot(places, found, places, monotonic(), True)
        changes = _Changes()
        left = False
        for number, offset in enumerate(offsets):
            seat = self._seat() if offset >= 0 else -1
            if seat < 0:  # there is no room for so many: it passes, and is counted as what has made room
                self.zone.evictions += 1
                continue
            _, taken, waiting = (
                cell_of(self.zone.memory, offset) if found[number] >= 0 else (_NEVER, 0.0, 0.0)
            )
            if queued is not None and offset == queued[0]:
                waiting -= 1
                left = True
            changes.cell(offset, places[number][1], _FOREVER, taken + 1, waiting)
            changes.word(seat, offset | _PERMIT)
            claim._held.append((offset, seat))
            if number == 0:
                claim.used = int(taken) + 1
        if queued is not None:
            if not left:
                _, taken, waiting = cell_of(self.zone.memory, queued[0])
                hashed = self.zone.memory[queued[0] : queued[0] + 16]
                changes.cell(queued[0], hashed, _FOREVER, taken, waiting - 1)
            changes.word(queued[1], 0)
            self._free.append(queued[1])
            claim._queued = None
        self.zone.write(changes.offsets, changes.entries)
        claim.full = -1

    def _found(self, demands: Sequence[Demand]) -> list[int]:
        """The offsets of their cells, -1 where there is none."""
        return [self.zone.search(home, hashed) for (home, hashed), _ in demands]

    def _full(self, demands: Sequence[Demand], found: Sequence[int], queued: tuple[int, int] | None) -> int:
        """Which is the first of which there are no more, or for which others wait; -1 for none."""
        for number, offset in enumerate(found):
            if offset >= 0:
                _, taken, waiting = cell_of(self.zone.memory, offset)
                if taken >= demands[number][1] or (waiting > 0 and queued is None):
                    return number
        return -1

    def _queue(self, claim: SharedClaim) -> bool:
        ((home, hashed), _) = claim._demands[claim.full]
        cell = self.zone.search(home, hashed)
        if cell < 0:
            return False
        expires, taken, waiting = cell_of(self.zone.memory, cell)
        if waiting >= claim._most[claim.full]:
            return False
        seat = self._seat()
        if seat < 0:
            return False
        if expires != _FOREVER:  # it has been left meanwhile
            taken = waiting = 0.0
        changes = _Changes()
        changes.cell(cell, hashed, _FOREVER, taken, waiting + 1)
        changes.word(seat, cell | _WAITS)
        self.zone.write(changes.offsets, changes.entries)
        claim._queued = (cell, seat)
        return True

    def _seat(self) -> int:
        """The offset of a free seat, which is ours alone; -1 where there is none."""
        if not self._free:
            for number, owner in enumerate(self._owned()):
                if not owner:
                    self.zone.words[self._owners // 8 + number] = self._memory.owner
                    start = self._blocks + number * SEATS * 8
                    self._free = list(range(start + (SEATS - 1) * 8, start - 8, -8))
                    break
            else:
                return -1
        return self._free.pop()

    def _owned(self) -> list[int]:
        """The owner of each block."""
        start = self._owners // 8
        return self.zone.words[start : start + BLOCKS].tolist()

    def _reap(self) -> bool:
        """Frees what processes have had that have ended; whether there was any."""
        now = monotonic()
        if now - self._reaped_at < REAP:
            return False
        self._reaped_at = now
        reaped = False
        owners = self._owned()
        dead = {owner for owner in set(owners) if owner and not self._memory.lives(owner)}
        for number, owner in enumerate(owners):
            if owner in dead:
                start = self._blocks // 8 + number * SEATS
                seats = self.zone.words[start : start + SEATS].tolist()
                self._vacate([(value & ~_KINDS, (start + at) * 8) for at, value in enumerate(seats) if value])
                self.zone.words[self._owners // 8 + number] = 0
                reaped = True
        return reaped
