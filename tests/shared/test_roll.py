"""Who is at work is told by who lives, however others have ended."""

import time
from collections.abc import Iterator

import pytest

from gateway.shared import lock, roll
from gateway.shared.memory import SharedMemory
from tests.shared.process import Other


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=64)
    yield memory
    memory.close()


@pytest.mark.parametrize("plain", [True, False], ids=["by the system's own question", "by taking the lock"])
def test_those_are_at_work_that_live_and_have_not_left(
    memory: SharedMemory, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    if not plain:
        monkeypatch.setattr(lock, "_PLAIN", False)
    assert memory.roll.numbers() == []
    memory.roll.enter(7)
    memory.roll.enter(7)
    assert memory.roll.numbers() == [7]
    with Other(memory) as killed, Other(memory) as other:
        killed.ask("memory.roll.enter(0)")
        other.ask("memory.roll.enter(3)")
        assert memory.roll.numbers() == other.ask("memory.roll.numbers()") == [0, 3, 7]
        killed.kill()
        assert memory.roll.numbers() == other.ask("memory.roll.numbers()") == [3, 7]
        with Other(memory) as successor:  # in the place of the one that was killed
            successor.ask("memory.roll.enter(9)")
            assert memory.roll.numbers() == [3, 7, 9]
        other.ask("memory.roll.leave()")
        memory.roll.leave()
        memory.roll.leave()
        assert memory.roll.numbers() == other.ask("memory.roll.numbers()") == []


def test_where_there_are_too_many_nobody_knows_who(
    memory: SharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll, "PLACES", 1)
    memory.roll.enter(0)
    assert memory.roll.numbers() == [0]
    with Other(memory) as other:
        other.ask("setattr(__import__('gateway.shared.roll').shared.roll, 'PLACES', 1)")
        other.ask("memory.roll.enter(1)")
        assert memory.roll.numbers() is None


def test_when_anybody_has_recorded_something_all_know(memory: SharedMemory) -> None:
    assert memory.roll.noted == 0
    with Other(memory) as other:
        before = time.monotonic_ns()
        other.ask("memory.roll.note()")
        assert before <= memory.roll.noted <= time.monotonic_ns()


def test_configurations_are_counted_as_they_come_into_force(memory: SharedMemory) -> None:
    """In whichever process: who begins with what is in force, or is told of it later, begins no other."""
    assert memory.roll.generation("a") == memory.roll.generation("a") == 1
    with Other(memory) as other:
        assert other.ask("memory.roll.generation('a')") == 1
        assert other.ask("memory.roll.generation('b')") == 2
        assert memory.roll.generation("b") == 2
        assert memory.roll.generation("a") == 3
        assert other.ask("memory.roll.generation('a')") == 3


def test_where_a_process_has_stopped_that_counts_them_nobody_waits_for_it(memory: SharedMemory) -> None:
    with Other(memory) as other:
        other.ask("memory.roll._lock(__import__('gateway.shared.roll').shared.roll.PLACES).take()")
        assert memory.roll.generation("a") is None
    assert memory.roll.generation("a") == 1


def test_of_a_memory_that_is_closed_nobody_knows_anything() -> None:
    memory = SharedMemory.create(slots=64)
    memory.roll.enter(0)
    memory.close()
    memory.roll.note()
    memory.roll.leave()
    assert (memory.roll.numbers(), memory.roll.noted, memory.roll.generation("a")) == (None, 0, None)
