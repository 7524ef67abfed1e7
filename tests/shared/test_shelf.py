"""A shelf gives what was put there, whole, or nothing; and nothing that was withdrawn, whatever becomes of the mark."""

import signal
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api.shelf import TAGS
from gateway.shared.memory import SharedMemory
from gateway.shared.shelf import SHARE, SLACK, SharedShelf
from gateway.shared.zone import PROBES, SHELF, VOID_AT
from tests.shared.process import Other, shelf_of

SLOTS = 64
ROOM = SLOTS * SHELF
STEPS = 6 * 2
"""How much is laid; what is laid; the journal, that it is in force, the cell, and that it is no more."""
FOUND = "shelf.get({key!r}, {now}) and shelf.get({key!r}, {now}).value.decode()"


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=SLOTS)
    yield memory
    memory.close()


@pytest.fixture
def shelf(memory: SharedMemory) -> SharedShelf:
    return shelf_of(memory, "a", "a")


def put(shelf: SharedShelf, key: bytes, value: bytes, made: float, *tags: bytes, until: float = 1e6) -> None:
    shelf.put(key, value, tags=tags, made=made, until=until, now=made)


def got(shelf: SharedShelf, key: bytes, now: float = 100.0) -> bytes | None:
    found = shelf.get(key, now)
    return None if found is None else found.value


def test_another_process_finds_what_one_has_put_there(memory: SharedMemory, shelf: SharedShelf) -> None:
    put(shelf, b"k", b"value", 10.0, b"tag")
    with Other(memory) as other:
        other.ask("globals().update(shelf=shelf_of(memory, 'a', 'a'))")
        assert other.ask(FOUND.format(key=b"k", now=20.0)) == "value"
        assert other.ask(FOUND.format(key=b"other", now=20.0)) is None
        other.ask("shelf.withdraw(b'tag', 30.0, 1e6)")
    assert got(shelf, b"k") is None


@pytest.mark.parametrize("step", range(STEPS + 1))
def test_one_that_is_killed_while_it_puts_something_there_leaves_all_of_it_or_nothing(
    memory: SharedMemory, shelf: SharedShelf, step: int
) -> None:
    size = ROOM // SHARE - 64
    others = {f"k{number}".encode(): bytes([number]) * size for number in range(2 * SHARE)}
    for key, value in others.items():
        put(shelf, key, value, 10.0)
    put(shelf, b"k", b"before", 10.0)
    with Other(memory) as other:
        other.ask("globals().update(shelf=shelf_of(memory, 'a', 'a'))")
        other.ask(f"die_at(memory, shelf, {step})")
        other.ask(f"shelf.put(b'k', b'x' * {size}, tags=(), made=20.0, until=1e6, now=20.0)")
        if step < STEPS:
            other.process.wait()
    assert got(shelf, b"k") == (b"before" if step < 7 else b"x" * size)
    found = {key: got(shelf, key) for key in others}
    assert all(value in (None, others[key]) for key, value in found.items())
    assert sum(value is not None for value in found.values()) >= SHARE - 2
    put(shelf, b"k", b"after", 30.0)
    assert got(shelf, b"k") == b"after"


def test_what_several_put_there_at_once_is_found_whole_also_where_one_is_killed(
    memory: SharedMemory, shelf: SharedShelf
) -> None:
    with Other(memory) as first, Other(memory) as second, Other(memory) as third:
        for other, letter, seconds in ((first, b"a", 1.0), (second, b"b", 1.0), (third, b"c", 1e6)):
            other.ask("globals().update(shelf=shelf_of(memory, 'a', 'a'))")
            other.tell(f"lay(shelf, {letter!r}, {seconds})")
        found: set[bytes] = set()
        end = time.monotonic() + 60.0
        while not found >= {b"a", b"b", b"c"} and time.monotonic() < end:
            for number in range(7):
                value = got(shelf, b"%d" % number, time.monotonic())
                if value:
                    assert value == value[:1] * len(value)
                    found.add(value[:1])
        assert found == {b"a", b"b", b"c"}
        third.kill()
        assert first.answer() > 0
        assert second.answer() > 0
    put(shelf, b"k", b"value", time.monotonic())
    assert got(shelf, b"k", time.monotonic()) == b"value"


def test_the_oldest_make_room(shelf: SharedShelf) -> None:
    # Of values as long as these fewer than there are slots to choose from, so that it is the bytes that are short.
    for number in range(400):
        put(shelf, b"%d" % number, b"%03d" % number * 66, float(number), until=number + 1000.0)
    found = [number for number in range(400) if got(shelf, b"%d" % number, 400.0) == b"%03d" % number * 66]
    assert found == list(range(found[0], 400))
    assert ROOM // 256 <= len(found) < PROBES


@pytest.mark.parametrize(
    ("length", "tags", "kept"),
    [
        (ROOM // SHARE - 24, 0, True),
        (ROOM // SHARE - 23, 0, False),
        (ROOM // SHARE - 23 - 24, 1, False),
        (ROOM, 0, False),
        (2 * ROOM, 0, False),
        (0, 0, True),
        (0, TAGS + 1, False),
    ],
)
def test_what_would_take_more_than_its_share_is_not_put_there(
    shelf: SharedShelf, length: int, tags: int, kept: bool
) -> None:
    put(shelf, b"other", b"other", 1.0)
    put(shelf, b"k", b"x" * length, 1.0, *(b"%d" % number for number in range(tags)))
    assert got(shelf, b"k") == (b"x" * length if kept else None)
    assert got(shelf, b"other") == b"other"


def test_as_many_tags_as_there_may_be_are_all_good_to_withdraw_by() -> None:
    memory = SharedMemory.create(slots=1024)
    shelf = shelf_of(memory, "a", "a")
    tags = [b"%d" % number for number in range(TAGS)]
    for tag in tags:
        put(shelf, tag, b"value", 10.0, *tags)
    shelf.withdraw(tags[-1], 11.0, 1e6)
    assert [got(shelf, tag) for tag in tags] == [None] * TAGS
    memory.close()


def test_a_length_that_cannot_be_is_no_value(shelf: SharedShelf) -> None:
    put(shelf, b"k", b"value", 1.0)
    zone = shelf.zone
    head = zone.memory.find(b"value") - 24
    for tags, length in ((0, ROOM), (0, (1 << 32) - 1), ((1 << 32) - 1, 0)):
        zone.memory[head + 16 : head + 24] = tags.to_bytes(4, "little") + length.to_bytes(4, "little")
        assert got(shelf, b"k") is None


def test_an_older_value_does_not_take_the_place_of_a_younger_one(shelf: SharedShelf) -> None:
    put(shelf, b"k", b"young", 20.0)
    put(shelf, b"k", b"old", 10.0)
    assert got(shelf, b"k") == b"young"
    assert shelf.get(b"k", 30.0, since=20.0) is None
    assert shelf.get(b"k", 30.0, since=19.0) == (20.0, b"young")


def test_what_was_made_before_it_was_withdrawn_cannot_be_put_there_afterwards(shelf: SharedShelf) -> None:
    shelf.withdraw(b"tag", 10.0, 1e6)
    put(shelf, b"k", b"value", 10.0, b"tag")
    put(shelf, b"other", b"value", 10.0, b"another tag")
    assert (got(shelf, b"k"), got(shelf, b"other")) == (None, b"value")
    put(shelf, b"k", b"value", 10.5, b"tag")
    assert got(shelf, b"k") == b"value"


def test_a_mark_that_has_to_make_room_takes_all_that_is_older_with_it(shelf: SharedShelf) -> None:
    put(shelf, b"k", b"value", 10.0, b"tag")
    shelf.withdraw(b"tag", 11.0, 50.0)
    for number in range(1000):
        shelf.withdraw(b"%d" % number, 12.0, 1e6)
    assert shelf.zone.evictions
    put(shelf, b"k", b"value", 10.5, b"tag")
    assert got(shelf, b"k", 13.0) is None
    put(shelf, b"k", b"value", 12.5, b"tag")
    assert got(shelf, b"k", 13.0) == b"value"


def test_where_one_has_stopped_with_the_lock_nothing_is_had_and_all_can_be_withdrawn() -> None:
    memory = SharedMemory.create(slots=SLOTS, patience=0.01)
    shelf = shelf_of(memory, "a", "a")
    put(shelf, b"k", b"value", 10.0, b"tag")
    put(shelf, b"later", b"value", 11.0 + SLACK, b"another tag")
    with Other(memory) as other:
        other.ask("globals().update(shelf=shelf_of(memory, 'a', 'a'))")
        assert other.ask("shelf.zone.enter()")
        other.process.send_signal(signal.SIGSTOP)
        assert got(shelf, b"k") is None
        put(shelf, b"l", b"value", 10.0)
        shelf.withdraw(b"tag", 10.5, 1e6)
        other.process.send_signal(signal.SIGCONT)
        other.ask("shelf.zone.leave()")
    assert [got(shelf, key) for key in (b"k", b"l", b"later")] == [None, None, b"value"]
    memory.close()


def test_a_shelf_that_nobody_attends_to_is_void_after_a_revocation_and_others_where_nobody_could(
    memory: SharedMemory,
) -> None:
    shelf = shelf_of(memory, "a", "a")
    put(shelf, b"k", b"value", 10.0)
    with Other(memory) as other:
        other.ask("globals().update(shelf=shelf_of(memory, 'b', 'b'))")
        other.ask("shelf.put(b'k', b'value', tags=(), made=10.0, until=1e6, now=10.0)")
        memory.void(11.0, attended=True)
        assert other.ask(FOUND.format(key=b"k", now=20.0)) == "value"
    memory.void(12.0, attended=True)
    left = shelf_of(memory, "b", "b")
    assert (got(shelf, b"k"), got(left, b"k")) == (b"value", None)
    put(left, b"k", b"value", 13.0)
    memory.void(12.5, attended=False)
    assert (got(shelf, b"k"), got(left, b"k")) == (None, b"value")


_KEYS = st.sampled_from([b"%d" % number for number in range(12)])
_STEPS = st.lists(
    st.tuples(st.sampled_from("pppgw"), _KEYS, st.integers(0, 300), st.sampled_from([0.0, 0.0, 1.0, 40.0])),
    max_size=80,
)


@settings(max_examples=80, deadline=None)
@given(steps=_STEPS)
def test_is_a_dictionary_that_may_forget_and_never_remembers_what_was_withdrawn(
    steps: list[tuple[str, bytes, int, float]],
) -> None:
    memory = SharedMemory.create(slots=16)
    shelf = shelf_of(memory, "a", "a")
    model: dict[bytes, float] = {}
    withdrawn: dict[bytes, float] = {}
    now = 1.0
    for what, key, size, ahead in steps:
        now += ahead
        tag = key[:1]  # several keys have one
        if what == "p":
            value = key * size
            before = model.get(key)
            shelf.put(key, value, tags=(tag,), made=now, until=now + 60, now=now)
            if before is None or before < now:
                found = shelf.get(key, now)
                model[key] = now
                if found is None and len(value) < 16 * SHELF // SHARE - 48:
                    assert withdrawn.get(tag, -1.0) >= now or shelf.zone.words[VOID_AT // 8]
        elif what == "w":
            shelf.withdraw(tag, now, now + 60)
            withdrawn[tag] = now
        for each in model:
            found = shelf.get(each, now)
            if found is not None:
                assert found.value == each * (len(found.value) // len(each))
                assert found.made > withdrawn.get(each[:1], -1.0)
                assert now < found.made + 60
    memory.close()
