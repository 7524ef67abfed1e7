"""Limits decide by a shared table as they do by one in the process's own memory."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import _key
from filters.rate_limit.algorithm import Algorithm, FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.shared import SharedStore
from filters.rate_limit.store import Charge, MemoryStore
from gateway.api.testing import FrozenServices
from gateway.shared.memory import SharedMemory
from gateway.shared.table import SharedTable

LIMITS: tuple[Algorithm, ...] = (Gcra(3, 60.0, 3, 5), FixedWindow(5, 60.0, 2), SlidingWindow(4, 10.0))

_CHARGES = st.dictionaries(
    st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", ("a", "b")])),
    st.integers(0, 2),
    min_size=1,
    max_size=5,
)


@pytest.fixture
def table() -> Iterator[SharedTable]:
    memory = SharedMemory.create(slots=256)
    yield SharedTable(memory.claim("a", "a"))
    memory.close()


@given(steps=st.lists(st.tuples(_CHARGES, st.floats(0, 30), st.booleans()), max_size=40))
def test_decides_as_one_process_would(steps: list[tuple[dict[tuple[int, object], int], float, bool]]) -> None:
    memory = SharedMemory.create(slots=256)
    store, model = SharedStore(SharedTable(memory.claim("a", "a"))), MemoryStore()
    now = 1000.0
    for wanted, ahead, late in steps:
        now += ahead
        charges: list[Charge] = [(limit, LIMITS[limit], key, cost) for (limit, key), cost in wanted.items()]
        if late:
            store.charge_late(charges, now)
            model.charge_late(charges, now)
        else:
            wait, refused, before, after = store.decide(charges, now)
            expected = model.decide(charges, now)
            assert (wait, refused) == expected[:2]
            for mine, others in ((before, expected[2]), (after, expected[3])):
                assert mine == tuple(
                    None if mine[number] is None and cell is not None and cell[0] <= now else cell
                    for number, cell in enumerate(others)
                )
    memory.close()


def test_several_count_as_one(table: SharedTable) -> None:
    stores = [SharedStore(table) for _ in range(3)]
    charges: list[Charge] = [(0, LIMITS[0], "a", 1), (1, LIMITS[1], "a", 1)]
    assert [store.decide(charges, 0.0)[1] for store in stores] == [-1, -1, -1]
    assert [store.decide(charges, 0.0)[1] for store in stores] == [0, 0, 0]


def test_a_look_and_a_refusal_change_nothing(table: SharedTable) -> None:
    store = SharedStore(table)
    look: list[Charge] = [(0, LIMITS[0], "a", 0), (1, LIMITS[1], "a", 0)]
    assert store.decide(look, 0.0) == (0.0, -1, (None, None), (None, None))
    assert table.zone.in_use(0.0) == 0
    assert store.decide([(0, LIMITS[0], "a", 0), (1, LIMITS[1], "a", 5)], 0.0)[1] == -1
    assert table.zone.in_use(0.0) == 1
    assert store.decide([(0, LIMITS[0], "a", 1), (1, LIMITS[1], "a", 1)], 0.0)[:2] == (60.0, 1)
    assert store.decide(look, 0.0)[2] == (None, (60.0, 5.0, 0.0))


def test_without_the_table_each_counts_by_itself() -> None:
    services = FrozenServices()
    store = SharedStore(services.table("a"))
    charges: list[Charge] = [(0, LIMITS[0], "a", 2)]
    assert store.decide(charges, 0.0)[1] == -1
    assert not store.alone
    services.table_busy = True
    assert store.decide(charges, 0.0)[1] == -1
    assert store.alone
    assert store.decide(charges, 0.0)[1] == 0
    store.charge_late(charges, 0.0)
    services.table_busy = False
    assert store.decide(charges, 0.0)[1] == 0
    assert not store.alone


def test_what_it_keeps_of_keys_is_bounded(table: SharedTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_key, "_PLACES_MAX", 10)
    store = SharedStore(table)
    for number in range(35):
        store.decide([(0, LIMITS[0], number, 3)], 0.0)
    assert len(store._places) <= 10
    assert store.decide([(0, LIMITS[0], 1, 1)], 0.0)[1] == 0
