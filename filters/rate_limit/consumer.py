"""Who has filled a bucket that several share: for each bucket the few who used it most.

Counts are those of this process. A bucket's are dropped when it was empty, and halved when the greatest has come to
several times what the bucket holds, so that they tell of the recent past. Whoever is not among the few takes the
place of the least, and its count: nobody who used a bucket much is missed, and nobody's count is too small (the
algorithm "space-saving" of Metwally, Agrawal and El Abbadi, 2005).
"""

from collections.abc import Hashable
from typing import Final

FEW: Final = 8
_BUCKETS: Final = 4096
_FILLINGS: Final = 4


class Consumers:
    """The consumers of one limit's buckets, bounded: beyond that many buckets the one that is oldest is forgotten."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[Hashable, dict[str, int]] = {}

    def count(self, key: Hashable, who: str, cost: int, capacity: int, fresh: bool) -> None:
        """Somebody has taken `cost` from a bucket that holds `capacity`; `fresh` says that nothing was taken before."""
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _BUCKETS:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[key] = {}
        elif fresh:
            bucket.clear()
        counted = bucket.get(who)
        if counted is None:
            counted = 0
            if len(bucket) >= FEW:
                least = min(bucket, key=bucket.__getitem__)
                counted = bucket.pop(least)
        counted += cost
        bucket[who] = counted
        if counted > _FILLINGS * capacity:
            for name in bucket:
                bucket[name] = (bucket[name] + 1) >> 1

    def top(self, key: Hashable) -> tuple[tuple[str, int], ...]:
        """Who has used the bucket, the greatest first, each with about how much."""
        bucket = self._buckets.get(key)
        if bucket is None:
            return ()
        return tuple(sorted(bucket.items(), key=lambda entry: (-entry[1], entry[0])))

    def forget(self, key: Hashable) -> None:
        """The bucket has been emptied."""
        self._buckets.pop(key, None)

    def __len__(self) -> int:
        return len(self._buckets)
