"""Locks exclude processes from each other, and none outlives its holder."""

import signal
import time
from collections.abc import Iterator

import pytest

from gateway.shared import lock as lock_module
from gateway.shared.lock import ByteLock
from gateway.shared.memory import SharedMemory
from tests.shared.process import Other

FREE = 5_000_000  # a byte that nothing else has


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=64)
    yield memory
    memory.close()


def held_by(other: Other) -> None:
    other.ask(
        "globals().update(held=__import__('gateway.shared.lock', fromlist=['']).ByteLock(memory.descriptors[1], 5000000))"
    )
    assert other.ask("held.take()") is True


@pytest.mark.parametrize("plain", [True, False], ids=["at once", "by the standard library"])
def test_one_has_it_and_no_other(memory: SharedMemory, monkeypatch: pytest.MonkeyPatch, plain: bool) -> None:
    monkeypatch.setattr(lock_module, "_PLAIN", plain and lock_module._PLAIN)
    lock = ByteLock(memory.descriptors[1], FREE)
    with Other(memory) as other:
        held_by(other)
        assert not lock.try_take()
        assert ByteLock(memory.descriptors[1], FREE + 1).take()
        other.ask("held.free()")
        assert lock.take()
        assert other.ask("held.try_take()") is False
        lock.free()
        assert other.ask("held.try_take()") is True


def test_one_that_is_killed_has_it_no_longer(memory: SharedMemory) -> None:
    lock = ByteLock(memory.descriptors[1], FREE)
    with Other(memory) as other:
        held_by(other)
        other.kill()
        assert lock.try_take()


def test_a_holder_that_is_stopped_holds_others_up_once(memory: SharedMemory) -> None:
    lock = ByteLock(memory.descriptors[1], FREE, patience=0.05)
    with Other(memory) as other:
        held_by(other)
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
        assert lock.timeouts == 2
        lock.free()
        # From now on others are waited for again.
        assert other.ask("held.take()") is True
        other.tell("__import__('time').sleep(0.05) or held.free()")
        assert lock.take()
        assert lock.timeouts == 2
