"""Shares of limits that this process has drawn ahead from a common store, to be spent without asking it.

What is drawn has been charged, so that all together never draw more than a limit lets through. It is spent later, though:
in any span of T seconds, processes that are N admit at most what the limit admits in T, and beyond that the least of
N times `share` and what comes back to the limit in `time`. What is not spent in `time` is lost; so a key begins with what
it asks for, and is given twice as much each time that it comes back early, and half as much where some was lost.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple, TypeAlias

from filters.rate_limit.store import Charge

_KEYS_MAX: Final = 16_384

_Key: TypeAlias = tuple[int, Hashable]


class _Lease:
    """What is left, until when on the monotonic clock, and how much is drawn at once."""

    __slots__ = ("left", "size", "until")

    def __init__(self) -> None:
        self.left = 0
        self.until = 0.0
        self.size = 1


class Wanted(NamedTuple):
    """What is to be asked of the store: these charges, and a share of this size."""

    charges: tuple[Charge, ...]
    share: int


class Leases:
    """Of one set of limits; the least used are forgotten, and what is left of theirs is lost."""

    def __init__(self, share: int, time: float) -> None:
        self._share = share
        self._time = time
        self._leases: OrderedDict[_Key, _Lease] = OrderedDict()

    def spend(self, charges: Sequence[Charge], now: float) -> Wanted | None:
        """Pays all of the charges, or none: then the store is to be asked for what this says."""
        leases = self._leases
        paying: list[tuple[_Lease, int]] = []
        for limit, _, key, cost in charges:
            if cost:
                lease = leases.get((limit, key))
                if lease is None or lease.left < cost or now >= lease.until:
                    return Wanted(tuple(charges), self._size(charges, now))
                paying.append((lease, cost))
        for lease, cost in paying:
            lease.left -= cost
        return None

    def keep(self, charges: Sequence[Charge], granted: Sequence[int], now: float) -> None:
        """Takes what the store has granted since it was asked at `now`, less the charges themselves, which are paid by it."""
        for (limit, _, key, cost), more in zip(charges, granted, strict=True):
            if not cost:
                continue
            lease = self._leases.get((limit, key))
            if lease is None:
                lease = self._leases[limit, key] = _Lease()
                if len(self._leases) > _KEYS_MAX:
                    self._leases.popitem(last=False)
            else:
                self._leases.move_to_end((limit, key))
            lost = lease.left if now >= lease.until else 0
            lease.size = max(1, lease.size // 2) if lost else min(self._share, lease.size * 2)
            lease.left = min(lease.left + more - cost - lost, self._share)
            lease.until = now + self._time

    def _size(self, charges: Sequence[Charge], now: float) -> int:
        """One size for all: what is drawn of several limits is spent together."""
        sizes = []
        for limit, _, key, cost in charges:
            if cost:
                lease = self._leases.get((limit, key))
                idle = lease is None or now >= lease.until + self._time
                sizes.append(cost if idle or lease is None else cost * lease.size)
        return min(min(sizes, default=0), self._share)
