"""A table is a dictionary that processes share, bounded, and changed by one of them at a time."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.table import Cell, TableBusy
from gateway.shared.memory import SharedMemory
from gateway.shared.table import SharedTable
from gateway.shared.zone import ENTRIES, LINGER, PROBES
from tests.shared.process import Other, decided, table_of

PROCESSES = 8


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=1024, patience=60.0)
    yield memory
    memory.close()


def put(table: SharedTable, now: float, **cells: Cell) -> None:
    places = [table.place(key.encode()) for key in cells]
    table.update(places, now, lambda found: list(cells.values()))


def get(table: SharedTable, now: float, *keys: str) -> list[Cell | None]:
    found: list[Cell | None] = []

    def read(cells: Sequence[Cell | None]) -> None:
        found.extend(cells)

    table.update([table.place(key.encode()) for key in keys], now, read)
    return found


_KEYS = st.sampled_from([f"key {number}" for number in range(40)])
_STEPS = st.lists(
    st.tuples(st.lists(_KEYS, min_size=1, max_size=6), st.floats(0, 50), st.floats(-5, 100), st.booleans()),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=_STEPS)
def test_is_a_dictionary_whose_entries_expire(steps: list[tuple[list[str], float, float, bool]]) -> None:
    # With few slots, so that most cells do not lie where their hashes would have them.
    memory = SharedMemory.create(slots=16)
    table = table_of(memory, "a", "a")
    model: dict[str, Cell] = {}
    now = 0.0
    for number, (keys, ahead, life, writes) in enumerate(steps):
        now += ahead
        after = [(now + life, float(number), float(place)) for place in range(len(keys))]
        seen: list[Cell | None] = []

        def change(
            cells: Sequence[Cell | None],
            seen: list[Cell | None] = seen,
            after: list[Cell] = after,
            writes: bool = writes,
        ) -> Sequence[Cell] | None:
            seen.extend(cells)
            return after if writes else None

        evicted = table.zone.evictions
        table.update([table.place(key.encode()) for key in keys], now, change)
        for key, cell in zip(keys, seen, strict=True):
            expected = model.get(key)
            if expected is not None and expected[0] <= now:
                expected = None
            if cell is None and evicted:
                model.pop(key, None)  # it has made room: never another's, or an older one
            else:
                assert cell == expected
        if writes:
            model.update(zip(keys, after, strict=True))
    memory.close()


def test_a_cell_has_gone_when_it_expires(memory: SharedMemory) -> None:
    table = table_of(memory, "a", "a")
    put(table, 0.0, a=(10.0, 1.0, 2.0), b=(20.0, 3.0, 4.0))
    assert get(table, 9.9, "a", "b", "c") == [(10.0, 1.0, 2.0), (20.0, 3.0, 4.0), None]
    assert get(table, 10.0, "a", "b") == [None, (20.0, 3.0, 4.0)]
    # For one that came earlier, and is decided later, it has not.
    assert get(table, 9.9, "a") == [(10.0, 1.0, 2.0)]
    assert [table.in_use(now) for now in (9.9, 10.0, 20.0)] == [2, 1, 0]


def test_nothing_is_written_where_the_decision_is_none_or_fails(memory: SharedMemory) -> None:
    table = table_of(memory, "a", "a")
    put(table, 0.0, a=(10.0, 1.0, 0.0))

    def fail(cells: Sequence[Cell | None]) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        table.update([table.place(b"a")], 0.0, fail)
    table.update([table.place(b"a"), table.place(b"b")], 0.0, lambda cells: None)
    assert get(table, 0.0, "a", "b") == [(10.0, 1.0, 0.0), None]
    with Other(memory) as other:
        assert other.ask("table_of(memory, 'a', 'a').zone.lock.try_take()") is True


def test_of_several_cells_some_may_stay_as_they_were() -> None:
    memory = SharedMemory.create(slots=1)
    table = table_of(memory, "a", "a")
    put(table, 0.0, a=(10.0, 1.0, 0.0))
    places = [table.place(key) for key in (b"b", b"a", b"c")]
    table.update(places, 0.0, lambda cells: [None, None, (10.0, 2.0, 0.0)])
    assert get(table, 0.0, "a", "b", "c") == [(10.0, 1.0, 0.0), None, (10.0, 2.0, 0.0)]
    memory.close()


def test_a_key_that_is_given_twice_has_one_cell(memory: SharedMemory) -> None:
    table = table_of(memory, "a", "a")
    place = table.place(b"a")
    table.update([place, place], 0.0, lambda cells: [(9.0, 1.0, 0.0), (9.0, 2.0, 0.0)])
    assert get(table, 0.0, "a") == [(9.0, 2.0, 0.0)]
    assert table.zone.in_use(0.0) == 1


def test_more_than_a_journal_takes_is_refused(memory: SharedMemory) -> None:
    table = table_of(memory, "a", "a")
    places = [table.place(b"%d" % number) for number in range(ENTRIES + 1)]
    with pytest.raises(ValueError, match="at most 1024 cells"):
        table.update(places, 0.0, lambda cells: None)
    table.update(places[:-1], 0.0, lambda cells: [(9.0, 0.0, 0.0)] * ENTRIES)


def test_of_a_full_table_the_cells_go_that_expire_first() -> None:
    memory = SharedMemory.create(slots=1)  # all cells are neighbours
    table = table_of(memory, "a", "a")
    for number in range(PROBES):
        put(table, 0.0, **{f"key {number}": (100.0 - number, float(number), 0.0)})
    assert table.zone.evictions == 0
    put(table, 0.0, new=(50.0, 0.0, 0.0), other=(60.0, 0.0, 0.0))
    assert table.zone.evictions == 2
    last = PROBES - 1
    assert get(table, 0.0, f"key {last}", f"key {last - 1}", "new", "other") == [
        None,
        None,
        (50.0, 0.0, 0.0),
        (60.0, 0.0, 0.0),
    ]
    assert None not in get(table, 0.0, *(f"key {number}" for number in range(PROBES - 2)))
    memory.close()


def test_of_the_cells_of_one_decision_none_makes_room_for_another() -> None:
    memory = SharedMemory.create(slots=1)
    table = table_of(memory, "a", "a")
    for number in range(PROBES):
        put(table, 0.0, **{f"key {number}": (100.0 + number, 0.0, 0.0)})
    # The one that expires first is part of the decision itself, and comes last in it.
    places = [table.place(key) for key in (b"new", b"key 0")]
    table.update(places, 0.0, lambda cells: [(500.0, 1.0, 0.0), (500.0, 2.0, 0.0)])
    assert get(table, 0.0, "new", "key 0", "key 1", "key 2") == [
        (500.0, 1.0, 0.0),
        (500.0, 2.0, 0.0),
        None,
        (102.0, 0.0, 0.0),
    ]
    # And more of them than there are slots: those that fit are kept.
    places = [table.place(b"more %d" % number) for number in range(PROBES + 2)]
    table.update(places, 0.0, lambda cells: [(900.0, float(number), 0.0) for number in range(len(places))])
    kept = get(table, 0.0, *(f"more {number}" for number in range(PROBES + 2)))
    assert kept == [(900.0, float(number), 0.0) for number in range(PROBES)] + [None, None]
    memory.close()


def test_room_is_made_without_loss_where_a_cell_has_expired() -> None:
    memory = SharedMemory.create(slots=1)
    table = table_of(memory, "a", "a")
    for number in range(PROBES):
        put(table, 0.0, **{f"key {number}": (10.0 + number, 0.0, 0.0)})
    put(table, 11.5, new=(99.0, 0.0, 0.0))
    put(table, 12.0 + LINGER, newer=(200.0, 0.0, 0.0))
    assert table.zone.evictions == 0
    assert get(table, 11.5, "new") == [(99.0, 0.0, 0.0)]
    memory.close()


def test_tables_know_nothing_of_each_other(memory: SharedMemory) -> None:
    first, second = table_of(memory, "a", "a"), table_of(memory, "a", "b")
    put(first, 0.0, a=(10.0, 1.0, 0.0))
    assert get(second, 0.0, "a") == [None]
    assert first.place(b"a")[1] != second.place(b"a")[1]


def test_hashes_differ_from_one_deployment_to_the_next(memory: SharedMemory) -> None:
    other = SharedMemory.create(slots=1024)
    assert table_of(memory, "a", "a").place(b"a")[1] != table_of(other, "a", "a").place(b"a")[1]
    other.close()


def test_says_that_a_process_has_stopped_with_it() -> None:
    memory = SharedMemory.create(slots=64, patience=0.02)
    table = table_of(memory, "a", "a")
    with Other(memory) as other:
        assert other.ask("table_of(memory, 'a', 'a').zone.lock.take()") is True
        with pytest.raises(TableBusy):
            put(table, 0.0, a=(10.0, 1.0, 0.0))
        assert table.zone.lock.timeouts == 1
        other.kill()
        put(table, 0.0, a=(10.0, 1.0, 0.0))
    memory.close()


# ---- several processes

_RULES = [
    ("gcra", b"project a", 0.002, 20),
    ("window", b"user b", 0.25, 60),
    ("gcra", b"address c", 0.0015, 100),
]


def test_eight_processes_decide_as_one_would(memory: SharedMemory) -> None:
    with ExitStack() as stack:
        others = [stack.enter_context(Other(memory)) for _ in range(PROCESSES)]
        for other in others:
            other.ask("globals().update(table=table_of(memory, 'a', 'a'))")
        for number, other in enumerate(others):
            # Not all have all limits: decisions overlap in parts.
            rules = _RULES if number % 2 else _RULES[:2]
            other.tell(f"[(*told, {number % 2}) for told in hammer(table, {rules!r}, 1.2, 4000)]")
        told = [decision for other in others for decision in other.answer()]
    told.sort()
    assert [number for number, _, _, _ in told] == list(range(len(told))), "a decision is lost"
    model: dict[bytes, Cell] = {}
    passed = 0
    for number, now, admitted, all_of_them in told:
        rules = _RULES if all_of_them else _RULES[:2]
        cells = [model.get(key) for _, key, _, _ in rules]
        cells = [cell if cell is not None and cell[0] > now else None for cell in cells]
        after, expected = decided(rules, cells, now)
        assert admitted == expected, f"decision {number}"
        if expected:
            model.update(zip((key for _, key, _, _ in rules), after, strict=True))
            passed += 1
    assert 0 < passed < len(told)


def test_exactly_the_limit_passes_over_windows_while_processes_are_killed(memory: SharedMemory) -> None:
    table = table_of(memory, "a", "a")
    rules = [("window", b"a", 10.0, 700), ("gcra", b"b", 0.01, 1000)]
    with ExitStack() as stack:
        others = [stack.enter_context(Other(memory)) for _ in range(PROCESSES)]
        for window in range(3):
            now = 1000.0 + 20 * window
            before = 700 * window
            for other in others:
                other.ask("globals().update(table=table_of(memory, 'a', 'a'))")
            for other in others:
                other.tell(f"many(table, {rules!r}, {now}, 400)")
            while passed(table) < before + 300:
                time.sleep(0.001)
            dying, others = others[:3], others[3:]
            for other in dying:
                other.process.kill()
            assert None not in [other.answer() for other in others], "one has waited for a lock in vain"
            assert passed(table) == before + 700
            count, back = get(table, now, "a", "b")
            assert count == (now + 10.0, 700.0, 0.0)
            assert back is not None and back[0] == pytest.approx(now + 7.0)
            # Whoever comes after them sees what they have left.
            others += [stack.enter_context(Other(memory)) for _ in dying]
            new = others[-1]
            assert new.ask(f"many(table_of(memory, 'a', 'a'), {rules!r}, {now}, 50)") == 0


def passed(table: SharedTable) -> int:
    (cell,) = get(table, 0.0, "decided")
    return int(cell[2]) if cell is not None else 0
