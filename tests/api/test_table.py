"""A table in a filter's test is as one in the gateway, but that nobody else has it."""

from collections.abc import Iterator, Sequence

import pytest

from gateway.api import Cell, Table, TableBusy
from gateway.api.testing import FrozenServices
from gateway.shared.memory import SharedMemory
from gateway.shared.table import SharedTable


@pytest.fixture(params=["in the gateway", "in a test"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "in a test":
        yield FrozenServices().table("a")
        return
    memory = SharedMemory.create(slots=64)
    yield SharedTable(memory.claim("a", "a"))
    memory.close()


def test_gives_what_is_there_and_keeps_what_it_is_given(table: Table) -> None:
    seen: list[Cell | None] = []

    def change(cells: Sequence[Cell | None]) -> Sequence[Cell] | None:
        seen.extend(cells)
        return [(10.0, 1.0, 2.0), (5.0, 3.0, 4.0)] if len(seen) < 4 else None

    places = [table.place(b"a"), table.place(b"b")]
    table.update(places, 0.0, change)
    table.update(places, 5.0, change)
    assert seen == [None, None, (10.0, 1.0, 2.0), None]


def test_is_the_same_for_one_name_and_may_be_busy() -> None:
    services = FrozenServices()
    table = services.table("a")
    assert services.table("a") is table
    assert services.table("b") is not table
    services.table_busy = True
    with pytest.raises(TableBusy):
        table.update([table.place(b"a")], 0.0, lambda cells: None)
