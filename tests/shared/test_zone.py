"""What is changed in a zone is changed whole or not at all, also by a process that is killed."""

from collections.abc import Iterator

import pytest

from gateway.shared.memory import SharedMemory
from gateway.shared.table import SharedTable
from gateway.shared.zone import BLOCKS, PROBES, SEATS, SHELF, SLOT, seats_at, shelf_at, word, zone_size
from tests.shared.process import Other, decide, table_of

RULES = "[('gcra', b'a', 1.0, 10), ('window', b'b', 60.0, 10), ('window', b'c', 60.0, 10)]"
STEPS = 2 + 2 + 4 * 2 + 2
"""The journal, how many of it are in force, four slots (one has the number of the decision), and none in force."""

ONE_STEPS = 2 + 2 + 2 + 2
"""The same for a single slot."""


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=64)
    yield memory
    memory.close()


@pytest.mark.parametrize("step", range(STEPS + 1))
def test_one_that_is_killed_in_the_midst_of_a_change_leaves_all_of_it_or_nothing(
    memory: SharedMemory, step: int
) -> None:
    rules = eval(RULES)
    table = table_of(memory, "a", "a")
    for _ in range(3):
        assert decide(table, rules, 100.0)[0]
    before = cells(table)
    assert [cell and cell[1] for cell in before] == [3.0, 0.0, 3.0, 3.0]
    with Other(memory) as other:
        other.ask("globals().update(table=table_of(memory, 'a', 'a'))")
        other.ask(f"die_at(memory, table, {step})")
        told = other.ask(f"decide(table, {RULES}, 100.0)")
        if step == STEPS:
            assert told == [True, 3]
        else:
            assert told is None
            other.process.wait()
    assert table.zone.lock.try_take(), "the lock is left behind"
    table.zone.lock.free()
    after = cells(table)
    if step < 3:  # the journal is not whole, or not in force
        assert after == before
    else:
        assert after == [(float("inf"), 4.0, 4.0), (104.0, 0.0, 0.0), (160.0, 4.0, 0.0), (160.0, 4.0, 0.0)]
    assert table.zone.recoveries == (2 < step < STEPS - 1)
    assert table.zone.words[0] == 0
    # And it goes on.
    assert [decide(table, rules, 100.0)[0] for _ in range(8)].count(True) == 7 - (step >= 3)


@pytest.mark.parametrize("step", range(ONE_STEPS + 1))
def test_one_that_is_killed_while_it_changes_one_cell_leaves_all_of_it_or_nothing(
    memory: SharedMemory, step: int
) -> None:
    table = table_of(memory, "a", "a")
    place = table.place(b"a")
    table.update([place], 100.0, lambda cells: [(160.0, 1.0, 5.0)])
    with Other(memory) as other:
        other.ask("globals().update(table=table_of(memory, 'a', 'a'))")
        other.ask(f"die_at(memory, table, {step})")
        other.ask("table.update([table.place(b'a')], 100.0, lambda cells: [(170.0, 2.0, 6.0)])")
        if step < ONE_STEPS:
            other.process.wait()
    found: list[tuple[float, float, float] | None] = []
    table.update([place], 100.0, found.extend)
    assert found == [(160.0, 1.0, 5.0) if step < 3 else (170.0, 2.0, 6.0)]
    assert table.zone.recoveries == (2 < step < ONE_STEPS - 1)
    assert table.zone.words[0] == 0


def cells(table: SharedTable) -> list[tuple[float, float, float] | None]:
    found: list[tuple[float, float, float] | None] = []
    table.update([table.place(key) for key in (b"decided", b"a", b"b", b"c")], 100.0, found.extend)
    return found


def test_words_are_changed_with_cells(memory: SharedMemory) -> None:
    zone = memory.claim("a", "a")
    at = seats_at(64)
    assert zone.enter()
    zone.write([at | 1, at + 8 | 1], [word(at, 1 << 63), word(at + 8, 7)])
    zone.leave()
    assert list(zone.words[at // 8 : at // 8 + 3]) == [1 << 63, 7, 0]


def test_its_parts_do_not_overlap() -> None:
    for slots in (64, 1 << 18):
        zone_end = seats_at(slots) + BLOCKS * 8 + BLOCKS * SEATS * 8
        assert shelf_at(slots) >= zone_end
        assert zone_size(slots) >= shelf_at(slots) + slots * SHELF
        assert zone_size(slots) % 4096 == 0
        assert seats_at(slots) >= 53248 + (slots + PROBES - 1) * SLOT.size
    assert zone_size(1 << 18) < 31 << 20


def test_tells_how_many_cells_have_not_expired(memory: SharedMemory) -> None:
    table = table_of(memory, "a", "a")
    for number in range(40):
        table.update([table.place(b"%d" % number)], 0.0, lambda cells: [(100.0 + number, 0.0, 0.0)])  # noqa: B023
    assert table.zone.in_use(0.0) == 40
    assert table.zone.in_use(129.5) == 10
