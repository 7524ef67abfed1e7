"""A table of cells that all worker processes share, as far as filters have it.

What is counted in it is counted once, whichever worker carries the request: each change sees what all others have left.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

Cell: TypeAlias = tuple[float, float, float]
"""When it expires, on the machine's monotonic clock, from when on it is as good as none; and two numbers of the filter's."""
Place: TypeAlias = tuple[int, bytes]
"""Where a cell lies. To be had from `place`, and good for that table only."""

NOTE: Final = 472
"""Bytes of a note."""

Change: TypeAlias = Callable[[Sequence[Cell | None]], Sequence[Cell | None] | None]
"""From the cells as they are to the cells as they are to be."""


class TableBusy(Exception):  # noqa: N818 - it names what is wrong
    """Nothing was read or changed: a process that has the table has stopped. It is to be expected, though seldom."""


class Table(Protocol):
    """Cells by key. To be used in the event loop's thread."""

    @abstractmethod
    def place(self, key: bytes) -> Place:
        """Where the cell of a key lies. Worth keeping for keys that come again; it takes some microseconds."""

    @abstractmethod
    def update(
        self,
        places: Sequence[Place],
        now: float,
        change: Change,
    ) -> None:
        """Gives `change` the cells, None for one that has expired or is not there, and puts in their places what it returns: all
        or none, also when the process is killed meanwhile, and nobody else comes in between. What is None, one of them or
        all, stays as it was.

        So `change` must be short, and touch no table. What it raises passes through, and then nothing has changed. `now` is on
        the monotonic clock. The table is bounded: where it is full, cells that expire soon go before their time. Raises TableBusy.
        """

    @abstractmethod
    def leave(self, notes: Sequence[tuple[Place, bytes]], now: float) -> None:
        """Leaves notes on cells, at most `NOTE` bytes each, for other processes to read.

        Each takes the place of what this process has left there before. A table has room for some thousands: where there is
        none, the one of the earliest `now` goes, be it the new one. They have nothing to do with whether the cell is there. Raises TableBusy.
        """

    @abstractmethod
    def every_note(self) -> list[bytes]:
        """All notes that there are, this process's own included; some milliseconds."""

    @abstractmethod
    def notes(self, place: Place) -> list[bytes]:
        """What other processes have left on a cell, those that have ended included."""

    @abstractmethod
    def own_note(self, place: Place) -> bytes | None:
        """What this process has left on a cell, and is still there."""

    @abstractmethod
    def in_use(self, now: float) -> int:
        """How many cells have not expired; some milliseconds."""
