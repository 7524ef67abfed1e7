"""Which workers are at work, when any of them has recorded something last, and how many configurations have been put in force: words
of the shared memory's first page.

A worker has a place for as long as it lives: a word with its number, and the lock of a byte. The kernel frees that however the
worker ends, so what one that was killed has left in the word says nothing.
"""

import time
from hashlib import blake2b
from typing import Final

from gateway.shared.lock import ByteLock

PLACES: Final = 448
"""Workers that may be at work at once. Where there are more, nobody knows which."""
_RECORDED: Final = 0
_MORE: Final = 1
_FIRST: Final = 2
_GENERATION: Final = _FIRST + PLACES
_REVISION: Final = _GENERATION + 1
WORDS: Final = _REVISION + 1
LOCKS: Final = PLACES + 1
"""Bytes of the file of locks."""


class Roll:
    """As one process has it. A process has one place at most.

    words  `WORDS` of them, which are zero at first
    fd     the file of locks, and `offset`, where its `LOCKS` begin in it
    """

    def __init__(self, words: memoryview, fd: int, offset: int) -> None:
        self._words = words
        self._fd = fd
        self._offset = offset
        self._place = -1
        self._closed = False

    def _lock(self, place: int) -> ByteLock:
        return ByteLock(self._fd, self._offset + place)

    def enter(self, number: int) -> None:
        """The worker of that number, this process, is at work from now on. Harmless a second time."""
        if self._place >= 0:
            return
        for place in range(PLACES):
            if self._lock(place).try_take():
                self._words[_FIRST + place] = number + 1
                self._place = place
                return
        self._words[_MORE] = 1

    def leave(self) -> None:
        """This process has written its last line. Harmless a second time."""
        place, self._place = self._place, -1
        if place >= 0 and not self._closed:
            self._words[_FIRST + place] = 0
            self._lock(place).free()

    def numbers(self) -> list[int] | None:
        """Of the workers that are at work; None where there have been too many to know."""
        if self._closed or self._words[_MORE]:
            return None
        told = self._words[_FIRST:].tolist()
        return sorted(
            number - 1
            for place, number in enumerate(told)
            if number and (place == self._place or self._lock(place).is_held())
        )

    def generation(self, revision: str) -> int | None:
        """This process has put the configuration of that revision in force: which one that is since the memory is there, the first is 1.
        It is the one of others that have the same in force, where none has had another since. None where nobody knows."""
        lock = self._lock(PLACES)
        if self._closed or not lock.take():
            return None
        words = self._words
        word = int.from_bytes(blake2b(revision.encode(), digest_size=8).digest())
        if not words[_GENERATION] or words[_REVISION] != word:
            # In this order: of one that is killed in between a number is missed, and none is another's.
            words[_GENERATION] += 1
            words[_REVISION] = word
        number: int = words[_GENERATION]
        lock.free()
        return number

    def note(self) -> None:
        """A worker has recorded something just now."""
        if not self._closed:
            self._words[_RECORDED] = time.monotonic_ns()

    @property
    def noted(self) -> int:
        """When any worker has recorded something last, in nanoseconds of the clock that all processes have; 0 for never."""
        return 0 if self._closed else self._words[_RECORDED]

    def close(self) -> None:
        """Lets go of the memory. From then on it knows of nobody."""
        self._closed = True
        self._words.release()
