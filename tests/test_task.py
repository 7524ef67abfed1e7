"""Spawned tasks are kept, and their failures are heard."""

import asyncio
import gc
from typing import Any

from gateway.task import discard, spawn


async def test_a_task_that_nobody_holds_runs_to_its_end() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        done.set()

    spawn(work(), name="work")
    gc.collect()
    async with asyncio.timeout(5):
        await done.wait()


async def test_a_failure_reaches_the_loops_handler_with_the_tasks_name() -> None:
    heard: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.set_result(context))

    async def fail() -> None:
        raise ValueError("broken")

    spawn(fail(), name="work")
    async with asyncio.timeout(5):
        context = await heard
    assert "'work'" in context["message"]
    assert isinstance(context["exception"], ValueError)


async def test_a_cancelled_task_is_no_failure() -> None:
    heard: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
    task = spawn(asyncio.Event().wait(), name="work")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert heard == []


async def test_what_nobody_awaits_is_ended_and_what_is_awaited_is_not() -> None:
    """A warning would fail the test."""
    ended = list[str]()

    async def work(name: str) -> str:
        await asyncio.sleep(0)
        ended.append(name)
        return name

    discard(work("never"))
    gc.collect()
    begun = spawn(work("begun"), name="begun")
    await asyncio.sleep(0)
    coroutine = begun.get_coro()
    discard(coroutine)
    assert await begun == "begun"
    discard(coroutine)
    discard(begun)
    discard(None)
    assert ended == ["begun"]
