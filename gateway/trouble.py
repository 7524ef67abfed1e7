"""Something that goes wrong, and is told at most once a minute, however often it does."""

from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

EVERY: Final = 60.0
"""Seconds between two lines that say that it goes wrong."""


class Warn(Protocol):
    """Writes a line of the application log."""

    def __call__(self, event: str, /, **facts: object) -> None: ...


class Trouble:
    """Tells of one kind of trouble: when it begins, each minute while it lasts, and when it is over.

    Each line tells the `times` that it has gone wrong since the line before.

    failing, recovered  names of the events
    clock               tells seconds that never go back
    """

    def __init__(
        self, failing: str, recovered: str, warn: Warn, clock: Callable[[], float] = monotonic
    ) -> None:
        self._failing = failing
        self._recovered = recovered
        self._warn = warn
        self._clock = clock
        self._next: float | None = None
        self._times = 0
        self._told = False

    def begins(self, **facts: object) -> None:
        """It has gone wrong, once more."""
        self._times += 1
        now = self._clock()
        if self._next is not None and now < self._next:
            return
        self._next = now + EVERY
        self._tell(self._failing, **facts)
        self._told = True

    def ends(self, **facts: object) -> None:
        """It has gone well. That is told of what was told to go wrong."""
        if self._told:
            self._told = False
            self._tell(self._recovered, **facts)

    def _tell(self, event: str, **facts: object) -> None:
        times, self._times = self._times, 0
        self._warn(event, times=times, **facts)
