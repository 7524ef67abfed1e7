"""Cells in a table that all worker processes share, so that several workers count as one."""

from collections.abc import Callable, Sequence

from filters._key import Counted, counted_as, places
from filters.rate_limit.algorithm import Cell
from filters.rate_limit.store import Cells, Charge, Decision, MemoryStore
from gateway.api import Place, Table, TableBusy


class SharedStore:
    """The interface of `MemoryStore`. While a process that has stopped holds the table, each counts by itself in `local`."""

    def __init__(
        self,
        table: Table,
        local: MemoryStore | None = None,
        met: Callable[[Counted], None] | None = None,
    ) -> None:
        """`met` hears of each key that is new."""
        self._table = table
        self._local = local if local is not None else MemoryStore()
        self._places = places(table.place, met)
        self.alone = False

    def decide(self, charges: Sequence[Charge], now: float) -> Decision:
        if len(charges) == 1:
            return self._decide_one(charges, charges[0], now)
        decided: Decision = (0.0, -1, (), ())

        def change(cells: Sequence[Cell | None]) -> list[Cell | None] | None:
            nonlocal decided
            longest, refused, number, charged = 0.0, -1, 0, False
            after: list[Cell | None] = []
            for _, algorithm, _, cost in charges:
                cell = cells[number]
                if cost:
                    charged = True
                    wait, cell = algorithm.charge(cell, now, cost)
                    if wait > longest:
                        longest, refused = wait, number
                after.append(cell)
                number += 1  # noqa: SIM113 - enumerate() would make a pair for every charge
            before = tuple(cells)
            if refused >= 0:
                decided = (longest, refused, before, before)
                return None
            decided = (0.0, -1, before, tuple(after))
            return after if charged else None

        try:
            self._table.update(self._places_of(charges), now, change)
        except TableBusy:
            self.alone = True
            return self._local.decide(charges, now)
        self.alone = False
        return decided

    def _decide_one(self, charges: Sequence[Charge], charge: Charge, now: float) -> Decision:
        """There is nothing to hold back until others have agreed."""
        limit, algorithm, key, cost = charge
        decided: Decision = (0.0, -1, (), ())

        def change(cells: Sequence[Cell | None]) -> list[Cell | None] | None:
            nonlocal decided
            cell = cells[0]
            before = (cell,)
            if not cost:
                decided = (0.0, -1, before, before)
                return None
            wait, after = algorithm.charge(cell, now, cost)
            if wait > 0.0:
                decided = (wait, 0, before, before)
                return None
            decided = (0.0, -1, before, (after,))
            return [after]

        try:
            self._table.update([self._places[limit, key]], now, change)
        except TableBusy:
            self.alone = True
            return self._local.decide(charges, now)
        self.alone = False
        return decided

    def charge_late(self, charges: Sequence[Charge], now: float) -> tuple[Cells, Cells]:
        told: tuple[Cells, Cells] = ((), ())

        def change(cells: Sequence[Cell | None]) -> list[Cell]:
            nonlocal told
            after = [
                algorithm.owe(cell, now, cost)
                for (_, algorithm, _, cost), cell in zip(charges, cells, strict=True)
            ]
            told = tuple(cells), tuple(after)
            return after

        try:
            self._table.update(self._places_of(charges), now, change)
        except TableBusy:
            return self._local.charge_late(charges, now)
        return told

    def known(self) -> list[Counted]:
        return self._places.known()

    def in_use(self, now: float) -> int:
        return self._table.in_use(now)

    def forget(self, whose: Sequence[Counted], now: float) -> None:
        def change(cells: Sequence[Cell | None]) -> list[Cell | None]:
            return [None if cell is None else (now, 0.0, 0.0) for cell in cells]

        self._local.forget(whose, now)
        # Not by the memo, which has those that were counted.
        place = self._table.place
        self._table.update([place(counted_as(counted)) for counted in whose], now, change)

    def _places_of(self, charges: Sequence[Charge]) -> list[Place]:
        places = self._places
        return [places[limit, key] for limit, _, key, _ in charges]
