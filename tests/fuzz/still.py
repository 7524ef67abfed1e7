"""An event loop that does not turn: time passes when a test says so, and nothing waits for a socket."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast


class StillLoop:
    """What protocols ask of their loop. `problems` is what it has been told of exceptions."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._now = 1000.0
        self._timers: list[asyncio.TimerHandle] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within, this is the running loop, also where another one runs."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(cast(Any, self))
        try:
            yield
        finally:
            asyncio._set_running_loop(before)

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self._now + delay, callback, args, cast(Any, self))
        self._timers.append(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._timers.remove(handle)

    def call_exception_handler(self, context: Mapping[str, Any]) -> None:
        self.problems.append(f"{context.get('message')}: {context.get('exception')!r}")

    def create_task(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> None:
        coroutine.close()
        raise AssertionError(f"{name}: a task is started where nothing has to wait")

    def jump(self, seconds: float) -> None:
        """Lets time pass, and runs what was due."""
        self._now += seconds
        due = [timer for timer in self._timers if timer.when() <= self._now]
        self._timers = [timer for timer in self._timers if timer.when() > self._now]
        for timer in sorted(due, key=asyncio.TimerHandle.when):
            timer._run()
