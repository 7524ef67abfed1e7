"""So many permits are out at once and no more, over all processes; and none is lost, whoever ends and however."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.shared import permit
from gateway.shared.memory import SharedMemory
from gateway.shared.permit import SharedClaim, SharedPermits
from gateway.shared.zone import cell_of
from tests.shared.process import Other, permits_of
from tests.support.deadline import until, within

PROCESSES = 8


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=64, patience=60.0)
    yield memory
    memory.close()


@pytest.fixture
def permits(memory: SharedMemory) -> SharedPermits:
    return permits_of(memory, "a", "a")


def claimed(permits: SharedPermits, **limits: int) -> SharedClaim:
    return permits.claim([(permits.place(key.encode()), most) for key, most in limits.items()])


def counts(permits: SharedPermits, key: str) -> tuple[float, float]:
    """How many permits of a key are taken, and how many wait."""
    home, hashed = permits.place(key.encode())
    cell = permits.zone.search(home, hashed)
    _, taken, waiting = cell_of(permits.zone.memory, cell) if cell >= 0 else (0.0, 0.0, 0.0)
    return taken, waiting


def begun(other: Other) -> None:
    other.ask("globals().update(permits=permits_of(memory, 'a', 'a'), claims=[])")


CLAIM = (
    "claims.append(permits.claim([(permits.place(b'a'), 3), (permits.place(b'b'), 5)])) or claims[-1].full"
)


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 4), min_size=1)),
        st.tuples(st.just("release"), st.integers(0, 20)),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=_STEPS)
def test_counts_as_a_dictionary_would(steps: list[tuple[str, Any]]) -> None:
    memory = SharedMemory.create(slots=1)
    permits = permits_of(memory, "a", "a")
    model: Counter[str] = Counter()
    out: list[tuple[SharedClaim, list[str]]] = []
    for what, value in steps:
        if what == "claim":
            claim = claimed(permits, **value)
            full = [number for number, key in enumerate(value) if model[key] >= value[key]]
            assert claim.full == (full[0] if full else -1)
            assert claim.used == model[list(value)[max(0, claim.full)]] + (not full)
            if not full:
                model.update(value.keys())
                out.append((claim, list(value)))
        elif out:
            claim, keys = out.pop(value % len(out))
            claim.release()
            claim.release()
            model.subtract(keys)
        for key in "abcd":
            assert counts(permits, key) == (model[key], 0)
    memory.close()


def test_what_another_process_has_is_counted(memory: SharedMemory, permits: SharedPermits) -> None:
    with Other(memory) as other:
        begun(other)
        assert [other.ask(CLAIM) for _ in range(2)] == [-1, -1]
        first = claimed(permits, a=3, b=5)
        assert (first.full, first.used) == (-1, 3)
        assert (claimed(permits, b=5, a=3).full, other.ask(CLAIM)) == (1, 0)
        other.ask("claims[0].release()")
        assert claimed(permits, a=3, b=5).full == -1
        assert counts(permits, "b") == (3, 0)


def test_what_a_process_had_that_was_killed_is_free(memory: SharedMemory, permits: SharedPermits) -> None:
    claimed(permits, b=5)
    with Other(memory) as other:
        begun(other)
        assert [other.ask(CLAIM) for _ in range(4)] == [-1, -1, -1, 0]
        assert claimed(permits, a=3).full == 0
        other.kill()
        permits._reaped_at = 0.0
        assert [claimed(permits, a=3).full for _ in range(4)] == [-1, -1, -1, 0]
        assert counts(permits, "b") == (1, 0)
        # Its successor has the same number among the processes, and nothing of it.
        with Other(memory) as again:
            begun(again)
            assert again.ask(CLAIM) == 0
            again.kill()


STEPS = 2 + 2 + 2 * 4 + 2
"""Of a claim of two: the journal, how many of it are in force, two cells and two seats (a seat is a word), none in force."""


@pytest.mark.parametrize("released", [False, True], ids=["claims", "releases"])
@pytest.mark.parametrize("step", range(STEPS + 1))
def test_one_that_is_killed_in_the_midst_of_it_has_all_or_nothing(
    memory: SharedMemory, permits: SharedPermits, step: int, released: bool
) -> None:
    mine = claimed(permits, a=3, b=5)
    with Other(memory) as other:
        begun(other)
        assert other.ask(CLAIM) == -1
        other.ask(f"die_at(memory, permits, {step})")
        told = other.ask("claims[0].release()" if released else CLAIM)
        assert (told is not None) == (step == STEPS and not released)
        other.kill()
    permits._reaped_at = 0.0
    assert [claimed(permits, a=3).full for _ in range(3)] == [-1, -1, 0]
    assert [claimed(permits, b=5).full for _ in range(5)] == [-1, -1, -1, -1, 0]
    mine.release()
    assert counts(permits, "a") == (2, 0)
    assert counts(permits, "b") == (4, 0)


def test_there_are_never_more_out_than_may_be_and_none_is_lost(
    memory: SharedMemory, permits: SharedPermits
) -> None:
    with ExitStack() as stack:
        others = [stack.enter_context(Other(memory)) for _ in range(PROCESSES)]
        for other in others:
            begun(other)
        for other in others:
            other.tell("hold_again_and_again(permits, b'a', 3, 1.0)")
        for other in others[:3]:
            other.process.kill()  # in the midst of whatever it does
        held = [(began, ended) for other in others[3:] for began, ended in other.answer()]
    changes = sorted([(began, 1) for began, _ in held] + [(ended, -1) for _, ended in held])
    out = most = 0
    for _, change in changes:
        out += change
        most = max(most, out)
    assert 1 <= most <= 3
    permits._reaped_at = 0.0
    assert [claimed(permits, a=3).full for _ in range(4)] == [-1, -1, -1, 0]


# ---- those who wait


async def test_turns_come_in_order_and_at_once_where_nobody_else_waits(permits: SharedPermits) -> None:
    first = claimed(permits, a=1)
    waiting = [claimed(permits, a=1) for _ in range(3)]
    assert [claim.queue(3) for claim in waiting] == [True, True, True]
    assert counts(permits, "a") == (1, 3)
    turns = [asyncio.ensure_future(claim.turn(60.0)) for claim in waiting]
    await asyncio.sleep(0)
    claim = first
    for number, turn in enumerate(turns):
        claim.release()
        assert await within(turn, "its turn has come")
        assert [other.done() for other in turns[number + 1 :]] == [False] * (2 - number)
        assert counts(permits, "a") == (1, 2 - number)
        claim = waiting[number]
    claim.release()
    assert counts(permits, "a") == (0, 0)


def test_a_newcomer_does_not_go_before_those_who_wait(permits: SharedPermits) -> None:
    first, second = claimed(permits, a=1), claimed(permits, a=1)
    assert second.queue(1)
    first.release()
    newcomer = claimed(permits, a=1)
    assert newcomer.full == 0
    assert not newcomer.queue(1)
    second.release()
    assert claimed(permits, a=1).full == -1


async def test_one_that_waits_has_its_turn_when_there_are_more(permits: SharedPermits) -> None:
    first, second, third = claimed(permits, a=1), claimed(permits, a=1), claimed(permits, a=1)
    assert first.full == -1
    assert second.queue(2)
    assert third.queue(2)
    turns = [asyncio.ensure_future(claim.turn(60.0)) for claim in (second, third)]
    await asyncio.sleep(0)
    second.amend(2)
    third.amend(2)
    assert await within(turns[0], "its turn has come")
    assert counts(permits, "a") == (2, 1)
    third.amend(3)
    assert await within(turns[1], "its turn has come")
    assert counts(permits, "a") == (3, 0)


async def test_one_that_waits_too_long_waits_no_longer(permits: SharedPermits) -> None:
    first, second = claimed(permits, a=1), claimed(permits, a=1)
    assert second.queue(1)
    assert await within(second.turn(0.01), "its time is up") is False
    assert counts(permits, "a") == (1, 0)
    first.release()
    assert counts(permits, "a") == (0, 0)


async def test_one_that_is_cancelled_waits_no_longer(permits: SharedPermits) -> None:
    first, second = claimed(permits, a=1), claimed(permits, a=1)
    assert second.queue(1)
    turn = asyncio.ensure_future(second.turn(60.0))
    await asyncio.sleep(0)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert counts(permits, "a") == (1, 0)
    first.release()


async def test_one_that_is_cancelled_when_its_turn_has_just_come_gives_it_back(
    permits: SharedPermits,
) -> None:
    first, second = claimed(permits, a=1), claimed(permits, a=1)
    assert second.queue(1)
    turn = asyncio.ensure_future(second.turn(60.0))
    await asyncio.sleep(0)
    first.release()
    permits._look()
    assert counts(permits, "a") == (1, 0)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    second.release()
    assert counts(permits, "a") == (0, 0)


async def test_what_another_process_gives_back_is_somebodys_turn(
    memory: SharedMemory, permits: SharedPermits
) -> None:
    with Other(memory) as other:
        begun(other)
        for _ in range(3):
            other.ask(CLAIM)
        claims = [claimed(permits, a=3), claimed(permits, a=3)]
        assert all(claim.queue(9) for claim in claims)
        turns = [asyncio.ensure_future(claim.turn(60.0)) for claim in claims]
        other.ask("claims[0].release()")
        assert await within(turns[0], "its turn has come")
        other.kill()
        assert await within(turns[1], "what was killed has left a permit")


async def test_the_queue_is_bounded_over_all_processes(memory: SharedMemory, permits: SharedPermits) -> None:
    with Other(memory) as other:
        begun(other)
        for _ in range(5):
            other.ask(CLAIM)
        assert other.ask("[claim.queue(2) for claim in claims[3:]]") == [True, True]
        late = claimed(permits, a=3)
        assert not late.queue(2)
        assert late.queue(3)
        assert counts(permits, "a") == (3, 3)
        # Another one's place is left to it: this process has nobody waiting but `late`.
        other.kill()
        permits._reaped_at = 0.0
        turn = asyncio.ensure_future(late.turn(60.0))
        assert await within(turn, "the dead do not wait")
        assert counts(permits, "a") == (1, 0)


async def test_one_that_waits_for_one_thing_may_come_to_wait_for_another(permits: SharedPermits) -> None:
    a, b = claimed(permits, a=1), claimed(permits, b=1)
    both = claimed(permits, a=1, b=1)
    assert both.queue(1)
    turn = asyncio.ensure_future(both.turn(60.0))
    await asyncio.sleep(0)
    a.release()
    await until(lambda: counts(permits, "b") == (1, 1), "it waits for the other")
    assert counts(permits, "a") == (0, 0)
    free = claimed(permits, a=1)
    assert free.full == -1  # what it does not wait for is not kept from others
    b.release()
    await until(lambda: counts(permits, "a") == (1, 1), "it waits for the first again")
    free.release()
    assert await within(turn, "it has both")
    assert (counts(permits, "a"), counts(permits, "b")) == ((1, 0), (1, 0))
    both.release()


async def test_one_that_comes_to_need_what_too_many_wait_for_waits_no_longer(permits: SharedPermits) -> None:
    a, b = claimed(permits, a=1), claimed(permits, b=1)
    both = [claimed(permits, a=1, b=1) for _ in range(3)]
    assert [claim.queue(3, 1) for claim in both] == [True, True, True]
    turns = [asyncio.ensure_future(claim.turn(60.0)) for claim in both]
    await asyncio.sleep(0)
    a.release()
    for turn in turns[1:]:
        assert not await within(turn, "it is told")
    assert [(claim.full, claim.shed) for claim in both] == [(1, False), (1, True), (1, True)]
    assert counts(permits, "a") == (0, 0)
    assert counts(permits, "b") == (1, 1)
    b.release()
    assert await within(turns[0], "it has both")
    both[0].release()
    assert (counts(permits, "a"), counts(permits, "b")) == ((0, 0), (0, 0))


async def test_what_cannot_be_given_back_is_given_back_later() -> None:
    memory = SharedMemory.create(slots=64, patience=0.01)
    permits = permits_of(memory, "a", "a")
    claim = claimed(permits, a=1)
    with Other(memory) as other:
        begun(other)
        assert other.ask("permits.zone.lock.take()") is True
        claim.release()
        assert counts(permits, "a") == (1, 0)
        passed = claimed(permits, a=1)  # it cannot be counted, and is not held up
        assert passed.full == -1
        assert passed.queue(0)
        assert await passed.turn(0.0)
        passed.release()
        other.ask("permits.zone.lock.free()")
        await until(lambda: counts(permits, "a") == (0, 0), "it has been given back")
    memory.close()


# ---- room


def test_blocks_of_seats_are_taken_as_they_are_needed(
    memory: SharedMemory, permits: SharedPermits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permit, "SEATS", 4)
    monkeypatch.setattr(permit, "BLOCKS", 3)
    permits = permits_of(memory, "b", "b")
    claims = [claimed(permits, a=100) for _ in range(12)]
    assert counts(permits, "a") == (12, 0)
    assert len({claim._held[0][1] for claim in claims}) == 12
    # One more passes, but is not counted, and that is told.
    beyond = claimed(permits, a=100)
    assert (beyond.full, counts(permits, "a")) == (-1, (12, 0))
    assert permits.zone.evictions == 1
    beyond.release()
    for claim in claims:
        claim.release()
    assert counts(permits, "a") == (0, 0)


def test_keys_that_are_in_use_make_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SharedMemory.create(slots=1)
    permits = permits_of(memory, "a", "a")
    claims = [claimed(permits, **{f"key {number}": 1}) for number in range(40)]
    assert all(claim.full == -1 for claim in claims)
    assert permits.zone.evictions == 8
    assert [claimed(permits, **{f"key {number}": 1}).full for number in range(32)] == [0] * 32
    for claim in claims:
        claim.release()
    assert permits.zone.in_use(0.0) == 0
    memory.close()


def test_what_is_given_back_after_the_end_is_nobodys(memory: SharedMemory) -> None:
    permits = permits_of(memory, "a", "a")
    claim = claimed(permits, a=1)
    permits.close()
    claim.release()


def test_one_that_is_closed_leaves_no_block_behind(memory: SharedMemory) -> None:
    with Other(memory) as other:
        begun(other)
        first = permits_of(memory, "a", "a")
        claimed(first, a=1).release()
        assert sum(map(bool, first._owned())) == 1
        first.close()
        again = permits_of(memory, "a", "a")
        assert sum(map(bool, again._owned())) == 0
