"""One timer for many deadlines, on a clock that the test moves."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from gateway.wheel import FAR, Wheel


class Clock:
    """The part of an event loop that a wheel uses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Handle]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], Any]) -> "Handle":
        handle = Handle(callback)
        self.timers.append((self.now + delay, handle))
        return handle

    @property
    def waiting(self) -> int:
        return sum(not handle.cancelled for _, handle in self.timers)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted((timer for timer in self.timers if timer[0] <= end), key=lambda timer: timer[0]):
            at, handle = due[0]
            self.timers.remove(due[0])
            self.now = max(self.now, at)
            if not handle.cancelled:
                handle.callback()
        self.now = end


class Handle:
    def __init__(self, callback: Callable[[], Any]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Item:
    def __init__(self, deadline: float = FAR, then: Callable[["Item"], None] | None = None) -> None:
        self.deadline = deadline
        self.filed = FAR
        self.calls: list[float] = []
        self._then = then

    def on_deadline(self, now: float) -> None:
        assert now >= self.deadline, "called before its time"
        self.calls.append(now)
        self.deadline = FAR
        if self._then is not None:
            self._then(self)


def wheel(clock: Clock) -> Wheel:
    return Wheel(cast(asyncio.AbstractEventLoop, clock), 0.05)


def test_an_item_is_called_once_and_soon_after_its_deadline() -> None:
    clock = Clock()
    item = Item(100.2)
    turning = wheel(clock)
    turning.file(item)
    clock.advance(0.19)
    assert item.calls == []
    clock.advance(0.12)
    assert len(item.calls) == 1
    assert 100.2 <= item.calls[0] <= 100.31
    clock.advance(10)
    assert len(item.calls) == 1


def test_a_deadline_that_has_moved_on_is_not_called_early() -> None:
    clock = Clock()
    item = Item(100.2)
    turning = wheel(clock)
    turning.file(item)
    item.deadline = 101.0  # only stored
    clock.advance(0.9)
    assert item.calls == []
    clock.advance(0.3)
    assert len(item.calls) == 1


def test_a_deadline_that_is_moved_earlier_and_filed_is_called_in_time() -> None:
    clock = Clock()
    item = Item(105.0)
    turning = wheel(clock)
    turning.file(item)
    item.deadline = 100.3
    turning.file(item)
    clock.advance(0.5)
    assert len(item.calls) == 1
    clock.advance(10)
    assert len(item.calls) == 1, "the slot of the first filing is stale"


def test_an_item_may_set_its_next_deadline_when_it_is_called() -> None:
    clock = Clock()

    def again(item: Item) -> None:
        item.deadline = clock.now + 0.2

    item = Item(100.1, again)
    turning = wheel(clock)
    turning.file(item)
    clock.advance(1.0)
    assert 3 <= len(item.calls) <= 5


def test_an_item_without_a_deadline_is_never_filed() -> None:
    clock = Clock()
    wheel(clock).file(Item())
    assert clock.waiting == 0


def test_the_wheel_rests_while_nothing_is_filed() -> None:
    clock = Clock()
    turning = wheel(clock)
    item = Item(100.1)
    turning.file(item)
    assert clock.waiting == 1
    clock.advance(1)
    assert clock.waiting == 0
    item.deadline = clock.now + 0.1
    turning.file(item)
    assert clock.waiting == 1


def test_a_closed_wheel_calls_nobody() -> None:
    clock = Clock()
    turning = wheel(clock)
    item = Item(100.1)
    turning.file(item)
    turning.close()
    turning.file(item)
    clock.advance(1)
    assert (item.calls, clock.waiting) == ([], 0)


def test_a_deadline_in_the_past_is_called_at_the_next_turn() -> None:
    clock = Clock()
    item = Item(50.0)
    wheel(clock).file(item)
    clock.advance(0.11)
    assert len(item.calls) == 1


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40))
def test_every_item_is_called_within_two_turns_of_its_deadline(delays: list[float]) -> None:
    clock = Clock()
    turning = wheel(clock)
    items = [Item(clock.now + delay) for delay in delays]
    deadlines = [item.deadline for item in items]
    for item in items:
        turning.file(item)
    clock.advance(4)
    for item, deadline in zip(items, deadlines, strict=True):
        assert len(item.calls) == 1
        assert deadline <= item.calls[0] <= deadline + 0.1 + 1e-6


def test_there_is_one_timer_however_often_items_are_filed_again() -> None:
    """Each timer more would turn the wheel once more in each interval, and be joined by others."""
    clock = Clock()
    wheel = Wheel(cast(asyncio.AbstractEventLoop, clock))
    busy, idle = Item(clock.now + 0.1), Item(clock.now + 3600)
    wheel.file(busy)
    wheel.file(idle)
    for _ in range(100):
        busy.deadline = clock.now + 0.1
        clock.advance(0.06)
        assert clock.waiting == 1
    wheel.close()
    assert clock.waiting == 0
