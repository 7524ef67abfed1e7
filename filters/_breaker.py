"""Leaves an identity service alone that fails again and again: then one question is let out for each pause."""

from math import ceil
from typing import Final

ORDINARY: Final = 2048
"""Bytes of a client's in a question that every server takes. Of more, uWSGI closes the connection (4096 bytes for all fields
by default), and a proxy before it answers 502: that says nothing of how the service is."""


class Breaker:
    """Open after `failures` in a row; instants are monotonic seconds, and so is `pause`.

    What a client's own token may have brought about counts for nothing, and takes no turn of those that are let out: who
    brings it about again and again keeps nobody out of a service that is well.
    """

    def __init__(self, failures: int, pause: float) -> None:
        self._limit = failures
        self._pause = pause
        self._failed = 0
        self._until = 0.0

    @property
    def open(self) -> bool:
        return self._failed >= self._limit

    def admits(self, now: float) -> bool:
        """Whether the service may be asked; while it is open, True is said once in a pause."""
        if not self.open:
            return True
        if now < self._until:
            return False
        self._until = now + self._pause
        return True

    def succeeded(self) -> None:
        self._failed = 0

    def failed(self, now: float) -> None:
        self._failed += 1
        if self.open:
            self._until = now + self._pause

    def said_nothing(self, now: float) -> None:
        """A question came to nothing that says nothing of the service: the next may be asked at once."""
        self._until = min(self._until, now)

    def remaining(self, now: float) -> int:
        """Whole seconds until it may be worth to ask again, at least one."""
        return max(1, ceil(self._until - now)) if self.open else 1
