"""Counts wrong passwords, so that nobody can try them out at speed."""

from math import ceil

from cachetools import LRUCache


class Attempts:
    """Of each key, so many may fail in a period; instants are monotonic seconds, and so is the period.

    An attempt counts from its beginning, so that many at once are no way round; one that comes to nothing is undone.
    """

    def __init__(self, failures: int, period: float, size: int) -> None:
        self._limit = failures
        self._period = period
        self._counted: LRUCache[tuple[str, str], tuple[int, float]] = LRUCache(size)

    def begin(self, key: tuple[str, str], now: float) -> int:
        """Counts an attempt, and 0; or the whole seconds until another may begin."""
        count, until = self._counted.get(key, (0, 0.0))
        if now >= until:
            count, until = 0, now + self._period
        if count >= self._limit:
            return max(1, ceil(until - now))
        self._counted[key] = (count + 1, until)
        return 0

    def undo(self, key: tuple[str, str]) -> None:
        """The attempt says nothing: nobody could judge it."""
        count, until = self._counted.get(key, (0, 0.0))
        if count:
            self._counted[key] = (count - 1, until)

    def succeeded(self, key: tuple[str, str]) -> None:
        """The attempt was right: those before it were a slip."""
        self._counted.pop(key, None)
