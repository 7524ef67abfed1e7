"""Single flight: those who ask the same at the same time are answered by one question.

The question belongs to nobody who waits for it: it goes on when they go away, and others may join as long as it is out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Questions that are out, by key. Nothing is remembered of one that is over."""

    def __init__(self) -> None:
        self._out: dict[K, asyncio.Task[V]] = {}
        self._former: set[asyncio.Task[V]] = set()

    def __contains__(self, key: K) -> bool:
        return key in self._out

    def __len__(self) -> int:
        return len(self._out)

    def join(self, key: K, ask: Callable[[], Coroutine[Any, Any, V]]) -> Awaitable[V]:
        """The answer to the question that is out for `key`; `ask` begins it where there is none.

        Needs a running event loop. What `ask` raises is raised for all who wait.
        """
        task = self._out.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(ask(), name="single flight")
            self._out[key] = task
            task.add_done_callback(lambda task: self._over(key, task))
        return asyncio.shield(task)

    def _over(self, key: K, task: asyncio.Task[V]) -> None:
        self._former.discard(task)
        if self._out.get(key) is task:
            del self._out[key]

    def part(self) -> None:
        """Lets nobody else join what is out: whoever asks from now on begins anew."""
        self._former.update(self._out.values())
        self._out.clear()

    def close(self) -> None:
        """Ends what is out; nobody waits for it any more."""
        for task in (*self._out.values(), *self._former):
            task.cancel()


class Pending(Generic[V]):
    """Answers that are waited for only so long, or not at all; who wants one is told of it all the same, once it comes.

    Of one that raises nobody is told.
    """

    def __init__(self) -> None:
        self._out: set[asyncio.Future[V]] = set()

    def __len__(self) -> int:
        return len(self._out)

    async def within(self, seconds: float, pending: Awaitable[V], told: Callable[[V], object]) -> V:
        """The answer, where it comes in this time; else TimeoutError, and `told` gets it later."""
        out = asyncio.ensure_future(pending)
        await asyncio.wait((out,), timeout=seconds)
        if out.done():
            return out.result()
        self.tell(out, told)
        raise TimeoutError

    def tell(self, pending: Awaitable[V], told: Callable[[V], object]) -> None:
        """Has `told` called with the answer. Needs a running event loop."""
        out = asyncio.ensure_future(pending)
        self._out.add(out)
        out.add_done_callback(lambda out: self._over(out, told))

    def _over(self, out: asyncio.Future[V], told: Callable[[V], object]) -> None:
        self._out.discard(out)
        if not out.cancelled() and out.exception() is None:
            told(out.result())
