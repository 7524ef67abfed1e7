"""A timer calls back once, and only for the time that it was last set to."""

import asyncio

from gateway.api import Timer
from tests.support.deadline import until


async def test_it_calls_back_once_for_the_last_time_that_it_was_set_to() -> None:
    timer, called = Timer(), list[str]()
    assert not timer.is_set
    timer.set(3600, lambda: called.append("former"))
    timer.set(0.001, lambda: called.append("last"))
    assert timer.is_set
    await until(lambda: bool(called), "the timer calls back")
    assert called == ["last"]
    assert not timer.is_set


async def test_cancelled_it_does_not_call_back() -> None:
    timer, called = Timer(), list[str]()
    timer.set(0, lambda: called.append("x"))
    timer.cancel()
    timer.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert called == []


async def test_it_may_be_set_by_what_it_calls() -> None:
    timer, called = Timer(), list[int]()

    def again() -> None:
        called.append(len(called))
        if len(called) < 3:
            timer.set(0, again)

    timer.set(0, again)
    await until(lambda: len(called) == 3, "the timer goes on")
    assert not timer.is_set
