"""Where limits keep their cells: the interface, and the table in this process's memory.

One decision concerns all the limits that match a request: either every one is charged, or none is.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Protocol, TypeAlias

from filters.rate_limit.algorithm import Algorithm, Cell

Place: TypeAlias = tuple[int, Algorithm, Hashable]
"""Which limit, how it counts, and whose cell."""


Decision: TypeAlias = tuple[float, int, tuple[Cell | None, ...]]
"""What became of one request: the seconds until it would pass, 0.0 when it passed and was charged; which of the
places asked for that longest wait, -1 when none did; and the cells as they were, None where there was none."""


class Store(Protocol):
    def decide(self, places: Sequence[Place], now: float) -> Decision:
        """Charges one request to every place, or to none when one refuses. `now` is monotonic."""


_MAX_CELLS = 1 << 18
_SWEPT = 2


class MemoryStore:
    """Cells in dictionaries, one for each limit, dead ones swept out as new ones come.

    Every new cell looks at the two oldest: a dead one goes, a live one moves to the end. So a table is walked
    through while it grows by half, and no request pays for more. At `max_cells` in one table the oldest goes,
    dead or alive: whoever can make up keys without end may reset a limit, but not use up the memory.
    """

    def __init__(self, max_cells: int = _MAX_CELLS) -> None:
        self._max_cells = max_cells
        self._tables: dict[int, OrderedDict[Hashable, Cell]] = {}

    def decide(self, places: Sequence[Place], now: float) -> Decision:
        if len(places) == 1:  # nothing to hold back until the others have agreed
            ((limit, algorithm, key),) = places
            table = self._tables.get(limit)
            cell = None if table is None else table.get(key)
            wait, after = algorithm.charge(cell, now)
            if wait:
                return wait, 0, (cell,)
            if cell is None:
                self._insert(limit, key, after, now)
            else:
                table[key] = after  # type: ignore[index] # a cell came out of it
            return 0.0, -1, (cell,)
        return self._decide_all(places, now)

    def _decide_all(self, places: Sequence[Place], now: float) -> Decision:
        longest, refused, number = 0.0, -1, 0
        tables = self._tables
        before: list[Cell | None] = []
        charged: list[Cell] = []
        for limit, algorithm, key in places:
            table = tables.get(limit)
            cell = None if table is None else table.get(key)
            wait, after = algorithm.charge(cell, now)
            if wait > longest:
                longest, refused = wait, number
            before.append(cell)
            charged.append(after)
            number += 1  # noqa: SIM113 - enumerate() would make a pair for every place
        if refused < 0:
            number = 0
            for limit, _, key in places:
                if before[number] is None:
                    self._insert(limit, key, charged[number], now)
                else:
                    tables[limit][key] = charged[number]
                number += 1  # noqa: SIM113 - as above
        return longest, refused, tuple(before)

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
