"""The file of the shared memory, and which definition has which zone of it.

The supervisor makes two anonymous files and hands them to every worker, and to the program that takes over from it: one has
the zones, the other nothing but locks (those of zones lie in the zones, where the machine has such). So what is counted outlives reloads, workers and upgrades, and ends with the service.

    0       what the file is, the secret of its hashes, how many slots a zone has; and the roll of workers
    4096    the directory: which definition each zone belongs to
    then    for each zone, which processes have it; for each process, its incarnation; then the zones

A zone is freed when no process has it that lives. One that ends, or is killed, lets go of nothing: whoever takes its place
finds what was counted. What it alone has had is freed when another lets go of something, or when all zones are taken.
"""

import mmap
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from struct import Struct
from tempfile import TemporaryFile
from typing import Final, NamedTuple

from gateway.shared import mutex
from gateway.shared.lock import PATIENCE, ByteLock, Lock
from gateway.shared.mutex import Mutex
from gateway.shared.roll import WORDS, Roll
from gateway.shared.zone import MUTEX_AT, PROBES, SLOTS, VOID_AT, Zone, zone_size

ZONES: Final = 1024
"""Definitions that may have a zone at once."""
PROCESSES: Final = 4096
"""That may have zones at once: more than there can be workers, old and new ones together."""

_MAGIC: Final = (b"Weir zones, 2m" if mutex.AVAILABLE else b"Weir zones, 2").ljust(16, b"\0")
"""Of those that have one kind of lock and of the others."""
_HEAD: Final = Struct("16s32sQQ")
_INCARNATIONS: Final = 8
"""The word that says how many there have been."""
_NUMBERS: Final = 9
"""The word that says how many numbers have been given out."""
_ROLL: Final = 16
"""The word at which the roll of workers begins."""
_WORD: Final = Struct("Q")
_PAGE: Final = 4096
_DIRECTORY: Final = _PAGE
_ENTRY: Final = Struct("B7x16sB103s")
_HOLDERS: Final = _DIRECTORY + ZONES * _ENTRY.size
_LIVES: Final = _HOLDERS + ZONES * PROCESSES
_ZONES_AT: Final = _LIVES + PROCESSES * 8

# In the file of locks.
_DIRECTORY_LOCK: Final = 0
_ZONE_LOCKS: Final = 1
_LIFE_LOCKS: Final = _ZONE_LOCKS + ZONES
_ROLL_LOCKS: Final = _LIFE_LOCKS + PROCESSES


class Counted(NamedTuple):
    """What this process has counted for all zones of one name that it has or had."""

    decisions: int = 0
    evictions: int = 0
    recoveries: int = 0
    waits: int = 0
    timeouts: int = 0


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


class SharedMemory:
    """Both files, as one process has them. A second one in the same process must be of other files: locks are a process's.

    Zones are claimed and released in any thread.
    """

    def __init__(self, descriptors: tuple[int, int], *, patience: float = PATIENCE) -> None:
        """Takes over files that `create` has made, in this process or another. Raises ValueError where they are none."""
        self.descriptors = descriptors
        self._patience = patience
        cells, locks = descriptors
        if os.fstat(cells).st_size < _ZONES_AT:
            raise ValueError("not the shared memory of this version")
        self._head = mmap.mmap(cells, _ZONES_AT)
        magic, secret, slots, size = _HEAD.unpack_from(self._head, 0)
        if magic != _MAGIC or size != zone_size(slots):
            self._head.close()
            raise ValueError("not the shared memory of this version")
        self._secret: bytes = secret
        self._slots: int = slots
        self._size: int = size
        self._words = memoryview(self._head).cast("Q")
        self.roll = Roll(self._words[_ROLL : _ROLL + WORDS], locks, _ROLL_LOCKS)
        self._mutex = threading.RLock()
        self._lock = ByteLock(locks, _DIRECTORY_LOCK, patience=max(patience, 10.0))
        self._process = -1
        self.owner = 0
        """Tells this process from all others, before and after; 0 while it has no zone."""
        self._claims: dict[int, int] = {}
        self._zones: dict[str, list[Zone]] = {}
        self._former: dict[str, Counted] = {}
        self._leaving = False
        self.closed = False
        """Whether the files are closed: then there is nothing to be let go of."""
        # Of plans that only judge, and that nobody ends, there may be many in one process.
        self._close_files = weakref.finalize(self, _close, descriptors)

    @classmethod
    def create(cls, *, slots: int = SLOTS, patience: float = PATIENCE) -> "SharedMemory":
        """New files. `slots` of a zone, a power of two. Raises OSError."""
        cells, locks = _file("weir-zones"), _file("weir-locks")
        os.ftruncate(cells, _ZONES_AT)
        os.pwrite(cells, _HEAD.pack(_MAGIC, os.urandom(32), slots, zone_size(slots)), 0)
        return cls((cells, locks), patience=patience)

    @property
    def created_at(self) -> float:
        """Since when there has been anything to count in, in seconds since the epoch."""
        return os.fstat(self.descriptors[1]).st_mtime  # locks write nothing

    def number(self) -> int:
        """A number that no other process has been given. Raises OSError where the memory is not to be had."""
        with self._mutex, _Held(self._lock):
            number: int = self._words[_NUMBERS]
            self._words[_NUMBERS] = number + 1
            return number

    def close(self) -> None:
        """Closes the files, and nothing is freed; for after the last use of every zone. Harmless a second time."""
        if self.closed:
            return
        self.roll.close()
        self._words.release()
        self._head.close()
        self._close_files()
        self.closed = True

    def leave(self) -> None:
        """This process ends: what it lets go of from now on is left for others."""
        self._leaving = True

    def derived(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same for all who share the memory and unknown to all others."""
        return blake2b(purpose.encode(), key=self._secret, person=b"derived", digest_size=32).digest()

    # ---- for definitions

    def claim(self, name: str, definition: str) -> Zone:
        """The zone of a definition, as others have it, or a new one; it is told of by `name`, not at all without one.

        Raises OSError where there is none to be had.
        """
        hashed = blake2b(definition.encode(), key=self._secret, digest_size=48).digest()
        key, secret = hashed[:16], hashed[16:]
        with self._mutex, _Held(self._lock):
            self._join()
            number = next((number for number, found in self._used() if found == key), -1)
            if number < 0:
                number = self._unused()
                memory = self._map(number)
                _wipe(memory)
                lock = self._lock_of(number, memory)
                if isinstance(lock, Mutex):
                    lock.make()
                told = name.encode()[:103]
                _ENTRY.pack_into(self._head, _DIRECTORY + number * _ENTRY.size, 0, key, len(told), told)
                self._hold(number, True)
                self._head[_DIRECTORY + number * _ENTRY.size] = 1
            else:
                self._hold(number, True)
                memory = self._map(number)
                lock = self._lock_of(number, memory)
            self._claims[number] = self._claims.get(number, 0) + 1
            zone = Zone(number, name, memory, self._slots, secret, lock, self._let_go)
            self._zones.setdefault(name, []).append(zone)
            return zone

    def _lock_of(self, number: int, memory: mmap.mmap) -> Lock:
        if mutex.AVAILABLE:
            return Mutex(memory, MUTEX_AT, patience=self._patience)
        return ByteLock(self.descriptors[1], _ZONE_LOCKS + number, patience=self._patience)

    def _let_go(self, zone: Zone) -> None:
        with self._mutex:
            self._zones[zone.name].remove(zone)
            self._former[zone.name] = _sum([self._former.get(zone.name, Counted()), _counted(zone)])
            zone.unmap()
            self._claims[zone.number] -= 1
            if self._leaving or self.closed or self._claims[zone.number]:
                return
            with _Held(self._lock):
                self._hold(zone.number, False)
                self._sweep()

    # ---- under the lock of the directory

    def _join(self) -> None:
        """Takes a number among the processes that have zones. One that was another's, which has ended, will do."""
        if self._process >= 0:
            return
        for process in range(PROCESSES):
            if self._life(process).try_take():
                break
        else:
            raise OSError("too many processes have the shared memory")
        incarnation = self._words[_INCARNATIONS] + 1
        self._words[_INCARNATIONS] = incarnation
        self._words[_LIVES // 8 + process] = incarnation
        self._process = process
        self.owner = incarnation * PROCESSES + process
        for number, _ in self._used():
            self._hold(number, False)

    def _life(self, process: int) -> ByteLock:
        return ByteLock(self.descriptors[1], _LIFE_LOCKS + process)

    def _used(self) -> Iterator[tuple[int, bytes]]:
        for number in range(ZONES):
            at = _DIRECTORY + number * _ENTRY.size
            if self._head[at]:
                yield number, self._head[at + 8 : at + 24]

    def _unused(self) -> int:
        """The number of a free zone."""
        for again in (True, False):
            used = {number for number, _ in self._used()}
            if len(used) < ZONES:
                number = min(set(range(ZONES)) - used)
                needed = _ZONES_AT + (number + 1) * self._size
                if os.fstat(self.descriptors[0]).st_size < needed:
                    os.ftruncate(self.descriptors[0], needed)
                return number
            if again:
                self._sweep()
        raise OSError(f"more than {ZONES} definitions count in the shared memory")

    def _map(self, number: int) -> mmap.mmap:
        return mmap.mmap(self.descriptors[0], self._size, offset=_ZONES_AT + number * self._size)

    def _hold(self, number: int, holds: bool) -> None:
        self._head[_HOLDERS + number * PROCESSES + self._process] = holds

    def _sweep(self) -> None:
        """Frees zones that no living process has."""
        for number, _ in list(self._used()):
            start = _HOLDERS + number * PROCESSES
            if not self._attended(start):
                self._head[_DIRECTORY + number * _ENTRY.size] = 0
                self._head[start : start + PROCESSES] = bytes(PROCESSES)
                memory = self._map(number)
                _wipe(memory)
                memory.close()

    def _attended(self, start: int) -> bool:
        """Whether a process that lives has the zone whose holders stand at an offset."""
        holders = self._head[start : start + PROCESSES]
        process = holders.find(1)
        while process >= 0 and not self._lives(process):
            process = holders.find(1, process + 1)
        return process >= 0

    def _lives(self, process: int) -> bool:
        if process == self._process:
            return True
        life = self._life(process)
        if not life.try_take():
            return True
        life.free()
        return False

    # ---- of other processes

    def lives(self, owner: int) -> bool:
        """Whether the process that was told by `owner` has not ended."""
        incarnation, process = divmod(owner, PROCESSES)
        return self._words[_LIVES // 8 + process] == incarnation and self._lives(process)

    def void(self, now: float, *, attended: bool) -> None:
        """All is void that has been put on shelves up to an instant; of those that are `attended`, a process that lives has seen
        to that.

        Nothing is locked: where a zone comes or goes meanwhile, what is void at worst is known to others, and can be had again.
        """
        if self.closed:
            return
        for number, _ in list(self._used()):
            start = _HOLDERS + number * PROCESSES
            if attended and self._attended(start):
                continue
            os.pwrite(
                self.descriptors[0], _WORD.pack(int(now * 1e9)), _ZONES_AT + number * self._size + VOID_AT
            )

    def usage(self, now: float) -> dict[str, int]:
        """How many cells have not expired, by name; some milliseconds for each zone."""
        found: dict[str, int] = {}
        with self._mutex:
            for number, name in self._named():
                memory = self._map(number)
                zone = Zone(number, name, memory, self._slots, b"", self._lock, self._let_go)
                found[name] = found.get(name, 0) + zone.in_use(now)
                zone.unmap()
        return found

    def capacity(self) -> dict[str, int]:
        """How many cells there is room for, by name."""
        found: dict[str, int] = {}
        with self._mutex:
            for _, name in self._named():
                found[name] = found.get(name, 0) + self._slots + PROBES - 1
        return found

    def _named(self) -> Iterator[tuple[int, str]]:
        if self.closed:
            return
        for number, _ in self._used():
            at = _DIRECTORY + number * _ENTRY.size
            _, _, length, told = _ENTRY.unpack_from(self._head, at)
            if length:
                yield number, told[:length].decode("utf-8", "replace")

    def counted(self) -> dict[str, Counted]:
        """What this process has counted, by name."""
        with self._mutex:
            names = {*self._former, *self._zones}
            return {
                name: _sum(
                    [self._former.get(name, Counted()), *map(_counted, self._zones.get(name, ()))],
                )
                for name in sorted(names - {""})
            }


class _Held:
    """The lock of the directory, for a while. Raises OSError where it is not to be had."""

    def __init__(self, lock: ByteLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.take():
            raise OSError("a process that has the shared memory has stopped")

    def __exit__(self, *failure: object) -> None:
        self._lock.free()


def _file(name: str) -> int:
    """A file without a name in any directory, for this process and those that it hands it to."""
    with suppress(AttributeError, OSError):  # another system, or a sandbox that does not know of it
        return os.memfd_create(name)
    with TemporaryFile() as file:
        return os.dup(file.fileno())


def _wipe(memory: mmap.mmap) -> None:
    """Has it read as zeros, and gives its pages back."""
    try:
        memory.madvise(mmap.MADV_REMOVE)
    except (AttributeError, OSError):  # not with such a file
        memory[:] = bytes(len(memory))


def _counted(zone: Zone) -> Counted:
    return Counted(zone.decisions, zone.evictions, zone.recoveries, zone.lock.waits, zone.lock.timeouts)


def _sum(counts: Sequence[Counted]) -> Counted:
    return Counted(*map(sum, zip(*counts, strict=True)))
