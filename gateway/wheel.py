"""One timer for many deadlines.

A connection moves its deadline several times in an exchange, and nearly never reaches one. So a deadline is
a plain attribute: storing it costs nothing, and the wheel looks at an item only when the slot comes up in
which it was last filed; an item whose deadline has moved on by then is filed again.
"""

import asyncio
from typing import Protocol

FAR = float("inf")


class Timed(Protocol):
    """What the wheel turns.

    deadline  on the loop's clock, FAR for none
    filed     the wheel's own: when it will look at the item next; `file` does nothing for a later deadline
    """

    deadline: float
    filed: float

    def on_deadline(self, now: float) -> None:
        """Called once `deadline` has passed; sets a later one, or FAR, or ends the item."""


class Wheel:
    """Turns every `resolution` seconds while anything is filed."""

    __slots__ = ("_closed", "_handle", "_loop", "_resolution", "_slots")

    def __init__(self, loop: asyncio.AbstractEventLoop, resolution: float = 0.05) -> None:
        self._loop = loop
        self._resolution = resolution
        self._slots: dict[int, list[Timed]] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._closed = False

    def file(self, item: Timed) -> None:
        """Sees to it that the item is looked at when its deadline passes; call after moving it earlier."""
        if item.deadline == FAR or self._closed:
            return
        slot = int(item.deadline / self._resolution) + 1
        at = slot * self._resolution
        if at >= item.filed:
            return
        item.filed = at
        self._slots.setdefault(slot, []).append(item)
        if self._handle is None:
            self._handle = self._loop.call_later(self._resolution, self._turn)

    def _turn(self) -> None:
        # The handle stays while items are filed again: a second timer would never end.
        now = self._loop.time()
        current = int(now / self._resolution)
        for slot in sorted(slot for slot in self._slots if slot <= current):
            at = slot * self._resolution
            for item in self._slots.pop(slot):
                if item.filed != at:
                    continue  # filed again, in an earlier slot
                item.filed = FAR
                if item.deadline <= now:
                    try:
                        item.on_deadline(now)
                    except Exception as error:  # noqa: BLE001 - the other items of the slot have their deadlines too
                        item.deadline = FAR
                        self._loop.call_exception_handler(
                            {"message": "a deadline failed", "exception": error}
                        )
                self.file(item)
        self._handle = None
        if self._slots and not self._closed:
            self._handle = self._loop.call_later(self._resolution, self._turn)

    def close(self) -> None:
        self._closed = True
        self._slots.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
