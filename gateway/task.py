"""Tasks that nobody loses: kept until they end, and loud when they fail."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, TypeVar

T = TypeVar("T")

_tasks: set["asyncio.Task[Any]"] = set()


def spawn(coroutine: Coroutine[Any, Any, T], *, name: str) -> "asyncio.Task[T]":
    """Starts a task and holds it; an exception that nobody awaits goes to the loop's exception handler."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _tasks.add(task)
    task.add_done_callback(_ended)
    return task


def discard(awaitable: object) -> None:
    """Ends a coroutine that nobody has begun to await and nobody will; it would complain of that when it goes.

    For what a task was to await that is cancelled before its first step. Anything else is left alone.
    """
    if isinstance(awaitable, CoroutineType) and getcoroutinestate(awaitable) == CORO_CREATED:
        awaitable.close()


def _ended(task: "asyncio.Task[Any]") -> None:
    _tasks.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler(
            {"message": f"task {task.get_name()!r} failed", "exception": error, "task": task}
        )


async def end_process(process: asyncio.subprocess.Process) -> None:
    """Ends a process that has not ended by itself, and closes its pipes."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    transport: Any = process._transport  # type: ignore[attr-defined] # nothing public closes the pipes of one that was given up
    transport.close()
    await asyncio.sleep(0)  # in which they are
