"""Keys are known to whoever comes after."""

from collections.abc import Hashable, Iterator
from unittest import mock

import pytest

from filters.rate_limit.key import AT_ONCE, Keys
from gateway.api import Instant
from gateway.api.testing import FakeTable, FrozenServices
from gateway.shared.memory import SharedMemory
from gateway.shared.note import PROBES
from gateway.shared.table import SharedTable

NOW = Instant(1_700_000_000.0, 1000.0)


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=1024)
    yield memory
    memory.close()


def workers(memory: SharedMemory, count: int) -> list[Keys]:
    zone = memory.claim("a", "a")
    return [Keys(SharedTable(zone, owner)) for owner in range(1, count + 1)]


def tell(keys: Keys) -> None:
    with mock.patch.object(keys, "_timer"):
        keys.start(lambda: NOW)
        keys.tell()


@pytest.mark.parametrize(
    "key",
    ["p1", ("p1", ("a", None)), (("apart",), ("day", "p1"), ("client_ip", "192.0.2.1")), "\N{SNOWMAN}"],
)
def test_a_key_is_known_to_others_as_it_was(memory: SharedMemory, key: Hashable) -> None:
    one, other = workers(memory, 2)
    one.met((1 << 55, key))
    assert other.known() == []
    tell(one)
    assert other.known() == one.known() == [(1 << 55, key)]


def test_it_is_told_by_one_of_them(memory: SharedMemory) -> None:
    several = workers(memory, 3)
    for keys in several:
        keys.met((0, "p1"))
        tell(keys)
    assert several[0].known() == [(0, "p1")]


def test_what_cannot_be_told_is_left_out(memory: SharedMemory) -> None:
    one, other = workers(memory, 2)
    for whose in ((0, "a" * 1000), (0, "\ud800"), (-1, "probe"), (0, "p1")):
        one.met(whose)
    tell(one)
    assert other.known() == [(0, "p1")]


def test_no_more_is_told_at_once_than_requests_can_wait_for_and_none_is_lost(memory: SharedMemory) -> None:
    one, other = workers(memory, 2)
    for number in range(AT_ONCE + 1):
        one.met((0, number))
    tell(one)
    assert len(other.known()) == AT_ONCE
    tell(one)
    assert len(other.known()) == AT_ONCE + 1


def test_one_that_ends_tells_all_that_it_knows(memory: SharedMemory) -> None:
    one, other = workers(memory, 2)
    for number in range(3 * AT_ONCE):
        one.met((0, number))
    with mock.patch.object(one, "_timer"):
        one.flush()
        assert other.known() == []  # it has not begun
        one.start(lambda: NOW)
        one.flush()
    assert len(other.known()) == 3 * AT_ONCE


def test_a_table_that_is_busy_is_told_later() -> None:
    services = FrozenServices()
    table = FakeTable(services)
    keys = Keys(table)
    keys.met((0, "p1"))
    services.table_busy = True
    tell(keys)
    with mock.patch.object(keys, "_timer"):
        keys.flush()
    assert keys.known() == []
    services.table_busy = False
    tell(keys)
    assert keys.known() == [(0, "p1")]


def test_keys_without_end_leave_the_notes_of_buckets_alone(memory: SharedMemory) -> None:
    (keys,) = workers(memory, 1)
    table = SharedTable(memory.claim("a", "a"), 9)
    places = [table.place(str(number).encode()) for number in range(100)]
    table.leave([(place, b"consumers") for place in places], NOW.monotonic - 30.0)
    for number in range(20_000 // AT_ONCE):
        for each in range(AT_ONCE):
            keys.met((0, number * AT_ONCE + each))
        tell(keys)
    other = SharedTable(memory.claim("a", "a"), 8)
    assert [other.notes(place) for place in places] == [[b"consumers"]] * 100
    assert len(keys.known()) > 100 * PROBES
