"""Which keys have been counted, told to whoever comes after: cells of a shared table are known by hashes only.

Of each key that is new to it a worker leaves a note in the table, unless another has. So operators are shown, and may empty, what
was counted by workers that have ended since, or before an upgrade. A table has room for some thousands of notes: those of
keys are as good as a minute old from the begin, so that they make room for what workers tell each other of their buckets.
"""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final

import orjson

from filters._key import Counted
from gateway.api import NOTE, Instant, Table, TableBusy, Timer

TELL: Final = 0.5
"""Seconds between two looks for what is new."""
AGAIN: Final = 0.02
"""The same where there is more than is told at once."""
AT_ONCE: Final = 64
"""Keys that are told at once, in some microseconds each, while requests wait."""
_WAITING: Final = 8192
_LESS: Final = 60.0
_MARK: Final = b"key "
"""What notes of keys begin with, and what tells their places from those of cells."""


class Keys:
    """Of one entry."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._new: deque[Counted] = deque()
        self._timer = Timer()
        self._now: Callable[[], Instant] | None = None

    def start(self, now: Callable[[], Instant]) -> None:
        """Tells from now on, until it is closed."""
        self._now = now
        if not self._timer.is_set:
            self._timer.set(TELL, self.tell)

    def close(self) -> None:
        self._timer.cancel()

    def flush(self) -> None:
        """Tells all that is new at once, for this process may end; what cannot be told now waits."""
        while self._now is not None and self._new:
            waiting = len(self._new)
            self.tell()
            if len(self._new) >= waiting:
                break

    def met(self, whose: Counted) -> None:
        """Has a key told in its turn; not where too many wait already."""
        if whose[0] >= 0 and len(self._new) < _WAITING:
            self._new.append(whose)

    def tell(self) -> None:
        """Leaves notes of what is new, of so many as are told at once."""
        assert self._now is not None
        new, table = self._new, self._table
        some = [new.popleft() for _ in range(min(AT_ONCE, len(new)))]
        notes = []
        for whose in some:
            text = _note(whose)
            if text is not None and not table.notes(place := table.place(text)):
                notes.append((place, text))
        if notes:
            try:
                table.leave(notes, self._now().monotonic - _LESS)
            except TableBusy:
                new.extendleft(reversed(some))
        self._timer.set(AGAIN if new else TELL, self.tell)

    def known(self) -> list[Counted]:
        """Whose keys have been told, by any worker; some milliseconds."""
        found: list[Counted] = []
        for text in self._table.every_note():
            if text.startswith(_MARK):
                limit, key = orjson.loads(text[len(_MARK) :])
                found.append((limit, _frozen(key)))
        return found


def _note(whose: Counted) -> bytes | None:
    """None of one that is no text at all, or too long."""
    try:
        text = _MARK + orjson.dumps(whose)
    except TypeError:  # half of a surrogate pair
        return None
    return text if len(text) <= NOTE else None


def _frozen(value: Any) -> Hashable:
    """A key again, whose tuples JSON has as lists."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
