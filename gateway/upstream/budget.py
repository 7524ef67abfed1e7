"""The retry budget of an upstream: what keeps an outage from being multiplied.

Two shares are held at once. Of the requests that are under way only so many may be retries, which bounds what a slow
upstream is loaded with; and of the requests of the last seconds only so many may have been, which bounds what one gets
that fails at once. Both counts of the past fade in the same way, so that over any time of T seconds

    retries <= share * requests + per_second * (T + WINDOW)

whenever they come.
"""

from math import exp
from typing import Final

WINDOW: Final = 10.0
"""Seconds in which what has been fades to 1/e."""


class Budget:
    """Instants are seconds on any clock that never goes back.

    active    requests under way, those that are retried included
    retrying  those of them that are retries, or wait to be
    """

    __slots__ = ("_at", "_floor", "_least", "_requests", "_retries", "_share", "active", "retrying")

    def __init__(self, *, percent: float, min_concurrent: int, min_per_second: float) -> None:
        self._share = percent / 100
        self._least = min_concurrent
        self._floor = min_per_second * WINDOW
        self.active = 0
        self.retrying = 0
        self._requests = self._retries = 0.0  # of the last seconds
        self._at = float("-inf")

    def began(self, now: float) -> None:
        """A request is under way."""
        self.active += 1
        self._fade(now)
        self._requests += 1

    def ended(self, *, retried: bool) -> None:
        """A request is over; `retried` says that `take` has allowed a retry of it, however many."""
        self.active -= 1
        if retried:
            self.retrying -= 1

    def take(self, now: float, *, retried: bool) -> bool:
        """Whether a request may be sent again, which is counted then; `retried` says that it has been before."""
        if not retried and self.retrying >= max(self._least, int(self.active * self._share)):
            return False
        self._fade(now)
        if self._retries + 1 > self._requests * self._share + self._floor:
            return False
        self._retries += 1
        if not retried:
            self.retrying += 1
        return True

    def _fade(self, now: float) -> None:
        if now > self._at:
            factor = exp((self._at - now) / WINDOW)
            self._requests *= factor
            self._retries *= factor
            self._at = now
