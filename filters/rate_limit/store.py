"""Where limits keep their cells: the interface, and the table in this process's memory.

One decision concerns all the limits that match a request: either every one is charged, or none is.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Protocol, TypeAlias

from filters._key import Counted
from filters.rate_limit.algorithm import Algorithm, Cell

Charge: TypeAlias = tuple[int, Algorithm, Hashable, int]
"""Which limit, how it counts, whose cell, and how much. A cost of 0 only looks: it is never refused, and changes nothing."""

Cells: TypeAlias = tuple[Cell | None, ...]
"""One for each charge, None where there is none."""

Decision: TypeAlias = tuple[float, int, Cells, Cells]
"""What became of one request: the seconds until it would pass, 0.0 when it passed and was charged; which of the
charges asked for that longest wait, -1 when none did; the cells as they were, and as they are now."""


class Store(Protocol):
    alone: bool
    """Whether the last decision was by what this process counts for itself, for want of what all of them have counted."""

    def decide(self, charges: Sequence[Charge], now: float) -> Decision:
        """Makes every charge, or none when one refuses. `now` is monotonic; no cell stands in two of the charges."""

    def charge_late(self, charges: Sequence[Charge], now: float) -> tuple[Cells, Cells]:
        """Makes charges that nobody can refuse any more. Gives the cells as they were, and as they are now."""

    def known(self) -> list[Counted]:
        """Whose cells this process has asked for."""

    def in_use(self, now: float) -> int:
        """How many cells say something; some milliseconds."""

    def forget(self, whose: Sequence[Counted], now: float) -> None:
        """Has their cells be as good as none. Raises TableBusy where that cannot be at the moment."""


_MAX_CELLS = 1 << 18
_SWEPT = 2


class MemoryStore:
    """Cells in dictionaries, one for each limit, dead ones swept out as new ones come.

    Every new cell looks at the two oldest: a dead one goes, a live one moves to the end. So a table is walked
    through while it grows by half, and no request pays for more. At `max_cells` in one table the oldest goes,
    dead or alive: whoever can make up keys without end may reset a limit, but not use up the memory.
    """

    def __init__(self, max_cells: int = _MAX_CELLS) -> None:
        self.alone = False
        self._max_cells = max_cells
        self._tables: dict[int, OrderedDict[Hashable, Cell]] = {}

    def decide(self, charges: Sequence[Charge], now: float) -> Decision:
        if len(charges) == 1:  # nothing to hold back until the others have agreed
            ((limit, algorithm, key, cost),) = charges
            table = self._tables.get(limit)
            cell = None if table is None else table.get(key)
            if not cost:
                return 0.0, -1, (cell,), (cell,)
            wait, after = algorithm.charge(cell, now, cost)
            if wait:
                return wait, 0, (cell,), (cell,)
            if cell is None:
                self._insert(limit, key, after, now)
            else:
                table[key] = after  # type: ignore[index] # a cell came out of it
            return 0.0, -1, (cell,), (after,)
        return self._decide_all(charges, now)

    def _decide_all(self, charges: Sequence[Charge], now: float) -> Decision:
        longest, refused, number = 0.0, -1, 0
        tables = self._tables
        before: list[Cell | None] = []
        charged: list[Cell | None] = []
        for limit, algorithm, key, cost in charges:
            table = tables.get(limit)
            cell = None if table is None else table.get(key)
            before.append(cell)
            if cost:
                wait, after = algorithm.charge(cell, now, cost)
                if wait > longest:
                    longest, refused = wait, number
                charged.append(after)
            else:
                charged.append(cell)
            number += 1  # noqa: SIM113 - enumerate() would make a pair for every charge
        told = tuple(before)
        if refused >= 0:
            return longest, refused, told, told
        number = 0
        for limit, _, key, cost in charges:
            cell = charged[number]
            if cost and cell is not None:
                if before[number] is None:
                    self._insert(limit, key, cell, now)
                else:
                    tables[limit][key] = cell
            number += 1  # noqa: SIM113 - as above
        return 0.0, -1, told, tuple(charged)

    def charge_late(self, charges: Sequence[Charge], now: float) -> tuple[Cells, Cells]:
        before: list[Cell | None] = []
        charged: list[Cell | None] = []
        for limit, algorithm, key, cost in charges:
            table = self._tables.get(limit)
            cell = None if table is None else table.get(key)
            before.append(cell)
            after = algorithm.owe(cell, now, cost)
            charged.append(after)
            if cell is None:
                self._insert(limit, key, after, now)
            else:
                table[key] = after  # type: ignore[index] # a cell came out of it
        return tuple(before), tuple(charged)

    def known(self) -> list[Counted]:
        return [(limit, key) for limit, table in self._tables.items() for key in table]

    def in_use(self, now: float) -> int:
        return sum(cell[0] > now for table in self._tables.values() for cell in table.values())

    def forget(self, whose: Sequence[Counted], now: float) -> None:
        for limit, key in whose:
            table = self._tables.get(limit)
            if table is not None:
                table.pop(key, None)

    def _insert(self, limit: int, key: Hashable, cell: Cell, now: float) -> None:
        table = self._tables.get(limit)
        if table is None:
            table = self._tables[limit] = OrderedDict()
        for _ in range(_SWEPT):
            if not table:
                break
            oldest = next(iter(table))
            if table[oldest][0] <= now:
                del table[oldest]
            else:
                table.move_to_end(oldest)
        if len(table) >= self._max_cells:
            table.popitem(last=False)
        table[key] = cell

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))
