"""A timer: for what a filter does from time to time, beside all exchanges."""

import asyncio
from collections.abc import Callable


class Timer:
    """Calls back once, in the event loop, when its time has come; set anew, the former time is void."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float, callback: Callable[[], object]) -> None:
        """Calls `callback` in `seconds`. Needs a running event loop."""
        self.cancel()
        self._handle = asyncio.get_running_loop().call_later(seconds, self._due, callback)

    def cancel(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.cancel()

    @property
    def is_set(self) -> bool:
        return self._handle is not None

    def _due(self, callback: Callable[[], object]) -> None:
        self._handle = None
        callback()
