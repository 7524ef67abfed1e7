"""Counts wrong passwords, so that nobody can try them out at speed, however many workers there are."""

from collections.abc import Sequence
from contextlib import suppress
from math import ceil

from gateway.api import Cell, Place, Table, TableBusy


class Attempts:
    """Of each key, so many may fail in a period; instants are monotonic seconds, and so is the period.

    An attempt counts from its beginning, so that many at once are no way round; one that comes to nothing is undone. The
    counts are in a table that all workers share.
    """

    def __init__(self, table: Table, failures: int, period: float) -> None:
        self._table = table
        self._limit = failures
        self._period = period

    def begin(self, key: tuple[str, str], now: float) -> int:
        """Counts an attempt, and 0; or the whole seconds until another may begin."""
        wait = 0.0

        def change(cells: Sequence[Cell | None]) -> list[Cell] | None:
            nonlocal wait
            until, count, _ = cells[0] or (now + self._period, 0.0, 0.0)
            if count >= self._limit:
                wait = until - now
                return None
            return [(until, count + 1, 0.0)]

        try:
            self._table.update([self._place(key)], now, change)
        except TableBusy:  # nobody knows how many there were
            return 1
        return max(1, ceil(wait)) if wait else 0

    def undo(self, key: tuple[str, str], now: float) -> None:
        """The attempt says nothing: nobody could judge it."""

        def change(cells: Sequence[Cell | None]) -> list[Cell] | None:
            cell = cells[0]
            return None if cell is None or not cell[1] else [(cell[0], cell[1] - 1, 0.0)]

        with suppress(TableBusy):
            self._table.update([self._place(key)], now, change)

    def succeeded(self, key: tuple[str, str], now: float) -> None:
        """The attempt was right: those before it were a slip."""
        with suppress(TableBusy):
            self._table.update(
                [self._place(key)], now, lambda cells: None if cells[0] is None else [(now, 0.0, 0.0)]
            )

    def _place(self, key: tuple[str, str]) -> Place:
        return self._table.place(repr(key).encode("utf-8", "backslashreplace"))
