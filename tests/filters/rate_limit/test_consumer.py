"""Who has filled a bucket."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit import consumer
from filters.rate_limit.consumer import AT_ONCE, FEW, Board, Consumers
from gateway.api.testing import FakeTable, FrozenServices
from gateway.shared.memory import SharedMemory
from gateway.shared.table import SharedTable
from tests.support.deadline import until


def made() -> Consumers:
    return Consumers(0, Board(FakeTable(FrozenServices())))


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    memory = SharedMemory.create(slots=1024)
    yield memory
    memory.close()


def workers(memory: SharedMemory, count: int) -> list[tuple[Board, Consumers]]:
    """Those of several workers, as far as notes can tell them apart."""
    zone = memory.claim("a", "a")
    boards = [Board(SharedTable(zone, owner)) for owner in range(1, count + 1)]
    return [(board, Consumers(0, board)) for board in boards]


def use(consumers: Consumers, who: str, count: int, now: float, *, fresh: bool = False) -> None:
    consumers.count("k", who, count, 100, fresh=fresh, now=now)


def tell(board: Board) -> None:
    with mock.patch.object(board, "_timer"):
        board.tell()


def test_the_greatest_come_first() -> None:
    consumers = made()
    for who, cost in (("a", 1), ("b", 5), ("a", 1), ("c", 2)):
        consumers.count("k", who, cost, 100, fresh=False, now=0.0)
    consumers.count("other", "d", 9, 100, fresh=True, now=0.0)
    assert consumers.top("k") == (("b", 5), ("a", 2), ("c", 2))
    assert consumers.top("unknown") == ()


def test_an_empty_bucket_has_no_consumers() -> None:
    consumers = made()
    consumers.count("k", "a", 3, 10, fresh=True, now=0.0)
    consumers.count("k", "b", 1, 10, fresh=True, now=0.0)
    assert consumers.top("k") == (("b", 1),)


def test_the_past_fades() -> None:
    consumers = made()
    for _ in range(1000):
        consumers.count("k", "before", 1, 10, fresh=False, now=0.0)
    for _ in range(60):
        consumers.count("k", "now", 1, 10, fresh=False, now=0.0)
    assert consumers.top("k")[0][0] == "now"


def test_buckets_are_bounded() -> None:
    consumers = made()
    for number in range(10_000):
        consumers.count(number, "a", 1, 10, fresh=True, now=0.0)
    assert len(consumers) <= 4096
    assert consumers.top(9999) == (("a", 1),)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=200))
def test_who_has_used_much_is_among_the_few(uses: list[tuple[int, int]]) -> None:
    """Space-saving: no count is too small, and none by more than its share of all is missed."""
    consumers = made()
    exact: Counter[str] = Counter()
    for number, cost in uses:
        exact[str(number)] += cost
        consumers.count("k", str(number), cost, 1_000_000, fresh=False, now=0.0)
    told = dict(consumers.top("k"))
    assert len(told) <= FEW
    assert sum(told.values()) == exact.total()
    for who, count in told.items():
        assert exact[who] <= count
    for who, count in exact.items():
        if count > exact.total() / FEW:
            assert who in told


# ---- of all workers


def test_what_the_others_have_told_is_added(memory: SharedMemory) -> None:
    (one, first), (other, second), (_, third) = workers(memory, 3)
    use(first, "ann", 3, 1.0, fresh=True)
    use(first, "bob", 2, 2.0)
    use(second, "ann", 2, 3.0)
    use(second, "eve", 9, 4.0)
    assert first.top("k") == (("ann", 3), ("bob", 2))
    for board in (one, other):
        tell(board)
    every = (("eve", 9), ("ann", 5), ("bob", 2))
    assert first.top("k") == second.top("k") == third.top("k") == every
    assert (first.own("k"), third.own("k")) == ((("ann", 3), ("bob", 2)), ())
    use(second, "ann", 2, 5.0)
    tell(other)
    assert first.top("k") == (("eve", 9), ("ann", 7), ("bob", 2))
    assert third.top("another") == ()


def test_who_ends_tells_first_all_that_the_others_have_not_heard(memory: SharedMemory) -> None:
    (one, first), (_, second) = workers(memory, 2)
    for number in range(3 * AT_ONCE):
        first.count(number, "ann", 2, 100, fresh=True, now=1.0)
    with mock.patch.object(one, "_timer"):
        one.flush()
    assert all(second.top(number) == (("ann", 2),) for number in range(3 * AT_ONCE))


def test_what_was_counted_before_the_bucket_was_empty_is_left_out(memory: SharedMemory) -> None:
    (one, first), (other, second) = workers(memory, 2)
    use(first, "ann", 3, 1.0, fresh=True)
    use(second, "bob", 5, 2.0)
    tell(one)
    tell(other)
    use(first, "ann", 1, 90.0, fresh=True)  # the other one has no part in this
    tell(one)
    assert first.top("k") == second.top("k") == (("ann", 1),)
    use(second, "bob", 1, 91.0)
    tell(other)
    assert dict(first.top("k"))["bob"] >= 1


def test_what_a_worker_has_told_and_forgotten_it_takes_up_again(memory: SharedMemory) -> None:
    (one, first), (other, second) = workers(memory, 2)
    use(first, "ann", 3, 1.0, fresh=True)
    use(second, "bob", 5, 2.0)
    tell(one)
    tell(other)
    again = Consumers(0, one)  # its limit was away for a while
    assert again.top("k") == (("bob", 5), ("ann", 3))
    use(again, "ann", 1, 3.0)
    tell(one)
    assert again.top("k") == second.top("k") == (("bob", 5), ("ann", 4))
    use(Consumers(0, other), "eve", 1, 90.0, fresh=True)
    tell(other)
    assert first.top("k") == (("eve", 1),), "what was empty since then is not taken up"


def test_a_bucket_that_was_emptied_has_no_consumers_in_any_worker(memory: SharedMemory) -> None:
    (one, first), (other, second) = workers(memory, 2)
    use(first, "ann", 3, 1.0)
    tell(one)
    assert second.top("k") == (("ann", 3),)
    second.forget("k", 2.0)
    tell(other)
    assert first.top("k") == second.top("k") == ()


def test_names_as_long_as_they_like_leave_room_for_the_greatest(memory: SharedMemory) -> None:
    (one, first), (_, second) = workers(memory, 2)
    use(first, "a" * 300, 9, 1.0)
    use(first, "b" * 300, 8, 1.0)
    use(first, "\ud800", 7, 1.0)
    use(first, "c" * 50, 6, 1.0)
    tell(one)
    assert second.top("k") == (("a" * 300, 9), ("c" * 50, 6))


def test_no_more_is_told_at_once_than_requests_can_wait_for_and_none_is_lost(memory: SharedMemory) -> None:
    (one, first), (_, second) = workers(memory, 2)
    for number in range(AT_ONCE + 1):
        first.count(number, "ann", 1, 10, fresh=True, now=1.0)
    tell(one)
    assert [len(second.top(number)) for number in (0, AT_ONCE - 1, AT_ONCE)] == [1, 1, 0]
    tell(one)
    assert second.top(AT_ONCE) == (("ann", 1),)


def test_a_table_that_is_busy_is_told_later() -> None:
    services = FrozenServices()
    table = FakeTable(services)
    board = Board(table)
    use(Consumers(0, board), "ann", 1, 1.0)
    services.table_busy = True
    tell(board)
    assert not table.left
    services.table_busy = False
    tell(board)
    assert len(table.left) == 1


async def test_a_board_tells_by_itself_until_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "TELL", 0.001)
    table = FakeTable(FrozenServices())
    board = Board(table)
    consumers = Consumers(0, board)
    board.start()
    board.start()
    for now in (1.0, 2.0):
        use(consumers, "ann", 1, now)
        await until(lambda: len(table.left) == 1, "it is told")
        table.left.clear()
    board.close()
    use(consumers, "ann", 1, 3.0)
    await asyncio.sleep(0.01)
    assert not table.left
