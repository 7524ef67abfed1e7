"""Time passes when it is told to."""

import asyncio
from collections.abc import Callable

import pytest

from tests.fuzz.still import StillLoop


def test_timers_run_in_their_order_when_their_time_has_come() -> None:
    loop, ran = StillLoop(), list[str]()

    def say(what: str) -> Callable[[], None]:
        return lambda: ran.append(what)

    loop.call_later(3, say("later"))
    loop.call_later(1, say("first"))
    loop.call_later(2, say("never")).cancel()
    loop.call_later(9, say("last"))
    loop.jump(0.5)
    assert ran == []
    loop.jump(5)
    assert ran == ["first", "later"]
    assert loop.time() == 1005.5


def test_what_a_callback_raises_is_kept() -> None:
    loop = StillLoop()
    loop.call_later(0, lambda: 1 / 0)
    loop.jump(1)
    (problem,) = loop.problems
    assert "ZeroDivisionError" in problem


async def test_it_runs_inside_another_loop() -> None:
    loop = StillLoop()
    with loop.running():
        assert asyncio.get_running_loop() is loop  # type: ignore[comparison-overlap]
    assert asyncio.get_running_loop() is not loop  # type: ignore[comparison-overlap]


def test_nothing_is_started() -> None:
    async def waits() -> None:
        raise AssertionError

    with pytest.raises(AssertionError, match="connecting: a task is started"):
        StillLoop().create_task(waits(), name="connecting")
