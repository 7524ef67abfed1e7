"""Waiting for a condition, never for a time: everything here ends at a deadline with a sentence that says what was awaited."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 10.0
"""Seconds that a step of a conversation may take on a busy machine; none of them should need a tenth of it."""

_POLL = 0.002
_RARELY = 0.02
"""Seconds between two looks at what takes its time: a process that starts needs the processor more than we do."""


async def within(awaited: Awaitable[T], what: str, seconds: float = DEADLINE) -> T:
    """What `awaited` gives, or a failure that says `what` did not happen."""
    try:
        async with asyncio.timeout(seconds):
            return await awaited
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


async def until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Returns once `condition` holds, noticed by a twentieth of the time that it took, or 20 ms, later at most."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        waited = loop.time() - began
        assert waited < seconds, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(min(max(_POLL, waited / 20), _RARELY))


async def settled(measure: Callable[[], int], *, for_seconds: float = 0.2, seconds: float = DEADLINE) -> int:
    """The value of `measure` once it has stood still for a while: for what must come to rest under backpressure.

    A machine that stalls can only end the wait early, which makes a bound easier to keep, never harder.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    value, since = measure(), loop.time()
    while loop.time() - since < for_seconds:
        assert loop.time() < end, f"did not come to rest within {seconds:g} s"
        await asyncio.sleep(_POLL)
        now = measure()
        if now != value:
            value, since = now, loop.time()
    return value
