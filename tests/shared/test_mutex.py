"""Mutexes in shared memory exclude processes from each other, and none outlives its holder."""

import mmap
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from gateway.shared import mutex
from gateway.shared.lock import ByteLock
from gateway.shared.memory import SharedMemory
from gateway.shared.mutex import SIZE, Mutex
from gateway.shared.table import SharedTable
from tests.shared.process import Other

pytestmark = pytest.mark.skipif(
    not mutex.AVAILABLE, reason="no robust mutexes here: bytes of a file are locked"
)


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=64)
    yield memory
    memory.close()


@pytest.fixture
def lock(memory: SharedMemory) -> Mutex:
    lock = memory.claim("a", "a").lock
    assert isinstance(lock, Mutex)
    return lock


def other_of(memory: SharedMemory) -> Other:
    """Another process, whose `held` is the same lock."""
    other = Other(memory)
    other.ask("globals().update(held=memory.claim('a', 'a').lock)")
    return other


def test_one_has_it_and_no_other(memory: SharedMemory, lock: Mutex) -> None:
    with other_of(memory) as other:
        assert other.ask("held.take()") is True
        assert not lock.try_take()
        another = memory.claim("b", "b").lock
        assert another.try_take(), "each zone has its own"
        another.free()
        other.ask("held.free()")
        assert lock.take()
        assert other.ask("held.try_take()") is False
        lock.free()
        assert other.ask("held.try_take()") is True


def test_a_process_has_it_once_however_often_it_has_the_memory(memory: SharedMemory, lock: Mutex) -> None:
    again = memory.claim("a", "a").lock
    assert lock.try_take() and not again.try_take()
    lock.free()
    assert again.try_take()
    again.free()


def test_one_that_is_killed_has_it_no_longer(memory: SharedMemory, lock: Mutex) -> None:
    for _ in range(3):
        with other_of(memory) as other:
            assert other.ask("held.take()") is True
            other.kill()
        assert lock.try_take(), "the first to take it is told that its holder has died, and has it"
        with other_of(memory) as other:
            assert other.ask("held.try_take()") is False
        lock.free()
        with other_of(memory) as other:
            assert other.ask("held.try_take()") is True
            other.ask("held.free()")


def test_a_thread_that_ends_with_it_has_it_no_longer(lock: Mutex) -> None:
    thread = threading.Thread(target=lock.try_take)
    thread.start()
    thread.join()
    lock._patience = 60.0  # the interpreter is done with it before the kernel is
    assert lock.take()
    lock.free()


def test_a_holder_that_is_stopped_holds_others_up_once(memory: SharedMemory, lock: Mutex) -> None:
    lock._patience = 0.05
    with other_of(memory) as other:
        assert other.ask("held.take()") is True
        other.process.send_signal(signal.SIGSTOP)
        assert not lock.take()
        lock._patience = 3600.0
        began = time.monotonic()
        assert not lock.take()
        assert time.monotonic() - began < 60
        assert (lock.waits, lock.timeouts) == (2, 2)
        other.process.send_signal(signal.SIGCONT)
        other.ask("held.free()")
        assert lock.take()
        lock.free()


def test_memory_can_be_let_go_of_when_it_is_closed() -> None:
    memory = mmap.mmap(-1, 4096)
    lock = Mutex(memory, 4096 - SIZE)
    lock.make()
    assert lock.take()
    with pytest.raises(BufferError):
        memory.close()
    lock.close()
    memory.close()
    with pytest.raises(ValueError, match="closed"):
        lock.take()


def test_where_there_is_none_bytes_of_a_file_are_locked(
    memory: SharedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutex, "AVAILABLE", False)
    table = SharedTable(memory.claim("a", "a"))
    assert isinstance(table.zone.lock, ByteLock)
    table.update([table.place(b"a")], 0.0, lambda cells: [(9.0, 1.0, 2.0)])
    found: list[object] = []
    table.update([table.place(b"a")], 0.0, found.extend)
    assert found == [(9.0, 1.0, 2.0)]
