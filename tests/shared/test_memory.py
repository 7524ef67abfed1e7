"""A definition finds its zone again as long as anybody has it, or nobody needs the room."""

import mmap
import os
from collections.abc import Iterator

import pytest

from gateway.shared import memory as memory_module
from gateway.shared.memory import Counted, SharedMemory
from tests.shared.process import Other, table_of
from tests.shared.test_table import get, put


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=64)
    yield memory
    memory.close()


CELL = (10.0, 1.0, 0.0)
GET = "table.update([table.place(b'a')], 0.0, lambda cells: seen.extend(cells))"


def claimed(other: Other, definition: str = "a") -> object:
    """The cell of a key, as another process finds it when it claims the table."""
    other.ask(f"globals().update(table=table_of(memory, 'a', {definition!r}), seen=[])")
    other.ask(GET)
    return other.ask("seen")


def test_processes_with_one_definition_share_a_table(memory: SharedMemory) -> None:
    table = table_of(memory, "a", "a")
    put(table, 0.0, a=CELL)
    with Other(memory) as other:
        assert claimed(other) == [list(CELL)]
        assert claimed(other, "b") == [None]
    assert {zone.name for zone in memory._zones["a"]} == {"a"}


def test_no_number_is_given_twice(memory: SharedMemory) -> None:
    with Other(memory) as other:
        assert [memory.number(), other.ask("memory.number()"), memory.number()] == [0, 1, 2]


def test_what_nobody_has_any_more_is_freed(memory: SharedMemory) -> None:
    first = table_of(memory, "a", "a")
    put(first, 0.0, a=CELL)
    with Other(memory) as other:
        claimed(other)
        first.close()
        again = table_of(memory, "a", "a")
        assert get(again, 0.0, "a") == [CELL]
        again.close()
        other.ask("table.close()")
    anew = table_of(memory, "a", "a")
    assert get(anew, 0.0, "a") == [None]
    assert anew.zone.number == first.zone.number


def test_a_definition_that_is_claimed_anew_before_it_is_let_go_of_keeps_its_table(
    memory: SharedMemory,
) -> None:
    first = table_of(memory, "a", "a")
    put(first, 0.0, a=CELL)
    second = table_of(memory, "a", "a")
    first.close()
    assert get(second, 0.0, "a") == [CELL]


def test_one_that_is_killed_leaves_its_table_to_the_next(memory: SharedMemory) -> None:
    with Other(memory) as other:
        claimed(other)
        other.ask("table.update([table.place(b'a')], 0.0, lambda cells: [(10.0, 1.0, 0.0)])")
        other.kill()
    with Other(memory) as other:
        assert claimed(other) == [list(CELL)]


def test_one_that_ends_leaves_its_table_to_the_next(memory: SharedMemory) -> None:
    with Other(memory) as other:
        claimed(other)
        other.ask("table.update([table.place(b'a')], 0.0, lambda cells: [(10.0, 1.0, 0.0)])")
        other.ask("memory.leave()")
        other.ask("table.close()")
    with Other(memory) as other:
        assert claimed(other) == [list(CELL)]


def test_what_the_dead_alone_have_had_is_freed_when_others_let_go(memory: SharedMemory) -> None:
    kept, given_up = table_of(memory, "b", "b"), table_of(memory, "c", "c")
    put(kept, 0.0, a=CELL)
    with Other(memory) as other:
        claimed(other)
        claimed(other, "b")
        other.kill()
    assert list(memory.usage(0.0)) == ["b", "c", "a"]
    given_up.close()
    assert list(memory.usage(0.0)) == ["b"]
    assert get(kept, 0.0, "a") == [CELL]


def test_a_number_that_is_given_again_has_none_of_its_former_zones(memory: SharedMemory) -> None:
    table = table_of(memory, "b", "b")
    with Other(memory) as other:
        claimed(other)
        owner = other.ask("memory.owner")
        assert memory.lives(owner)
        other.kill()
    assert not memory.lives(owner)
    with Other(memory) as other:
        claimed(other, "c")
        again = other.ask("memory.owner")
        assert again % memory_module.PROCESSES == owner % memory_module.PROCESSES
        assert memory.lives(again)
        assert not memory.lives(owner)
        table.close()
        assert list(memory.usage(0.0)) == ["a"]  # of the table "c", which is told of as "a"
    assert memory.lives(memory.owner)


def test_more_definitions_than_there_are_zones_are_refused(
    memory: SharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "ZONES", 2)
    first, _ = table_of(memory, "a", "a"), table_of(memory, "b", "b")
    with pytest.raises(OSError, match="more than 2 definitions"):
        table_of(memory, "c", "c")
    first.close()
    with Other(memory) as other:
        claimed(other, "c")
        with pytest.raises(OSError, match="more than 2 definitions"):
            table_of(memory, "d", "d")
        other.kill()
    table_of(memory, "d", "d")  # the room of one that is dead


def test_files_of_another_kind_are_refused(memory: SharedMemory) -> None:
    cells, locks = (os.memfd_create(name) for name in ("cells", "locks"))
    with pytest.raises(ValueError, match="not the shared memory of this version"):
        SharedMemory((cells, locks))
    os.ftruncate(cells, 64 << 20)
    with pytest.raises(ValueError, match="not the shared memory of this version"):
        SharedMemory((cells, locks))
    for descriptor in (cells, locks):
        os.close(descriptor)


def test_a_stopped_holder_of_the_directory_fails_a_claim(
    memory: SharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory._lock._patience = 0.02
    with Other(memory) as other:
        assert other.ask("memory._lock.take()") is True
        with pytest.raises(OSError, match="has stopped"):
            table_of(memory, "a", "a")
    table_of(memory, "a", "a")


def test_without_anonymous_files_of_the_system_there_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.delattr(mmap, "MADV_REMOVE")
    memory = SharedMemory.create(slots=64)
    table = table_of(memory, "a", "a")
    put(table, 0.0, a=CELL)
    assert get(table, 0.0, "a") == [CELL]
    memory.close()


def test_what_is_let_go_of_after_the_end_is_nobodys(memory: SharedMemory) -> None:
    first, second = table_of(memory, "a", "a"), table_of(memory, "b", "b")
    first.close()
    memory.close()
    second.close()
    assert list(memory.counted()) == ["a", "b"]


def test_tells_how_full_it_is_and_what_was_counted(memory: SharedMemory) -> None:
    table = table_of(memory, "a", "a")
    put(table, 0.0, a=CELL, b=(5.0, 0.0, 0.0))
    put(table_of(memory, "a", "other"), 0.0, c=CELL)
    assert memory.usage(0.0) == {"a": 3}
    assert memory.usage(7.0) == {"a": 2}
    assert memory.capacity() == {"a": 2 * 95}
    assert memory.counted() == {"a": Counted(decisions=2)}
    table.close()
    assert memory.counted() == {"a": Counted(decisions=2)}
    assert memory.usage(0.0) == {"a": 1}
