"""Shares of limits that this process has drawn ahead from a common store, to be spent without asking it.

What is drawn has been charged, so that all together never draw more than a limit lets through. It is spent later, though:
in any span of T seconds, processes that are N admit at most what the limit admits in T, and beyond that the least of
N times `share` and what comes back to the limit in `time`. What is not spent in `time` is lost; so a key begins with what
it asks for, and is given twice as much each time that it comes back early, and half as much where some was lost. A key of
which more than half is spent is drawn for beside its requests, so that those of a busy one wait for no store. Of several
limits only those are drawn for of which not enough is left: the others are charged what the request costs, and nothing ahead.
What was drawn by other terms than those that hold now, of a project that a reload has blocked, say, is not spent.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple, TypeAlias

from filters.rate_limit.algorithm import Algorithm
from filters.rate_limit.store import Charge

_KEYS_MAX: Final = 16_384
_DRAWING: Final = 5.0
"""Seconds after which nobody is drawing any more: whoever was has been cancelled before it began."""

Key: TypeAlias = tuple[int, Hashable]


class _Lease:
    """What is left until an instant of the monotonic clock, what has been drawn after it, how much is drawn at once,
    until when somebody is drawing, whose draw that is, and how all of it is counted."""

    __slots__ = ("algorithm", "drawing", "later", "later_until", "left", "size", "until", "whose")

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.left = self.later = 0
        self.until = self.later_until = 0.0
        self.size = 1
        self.drawing = 0.0
        self.whose: Key | None = None

    def count_by(self, algorithm: Algorithm) -> None:
        """Lets go of what was drawn where that was counted in another way."""
        if not self.algorithm.same(algorithm):
            self.left = self.later = 0
            self.size = 1
        self.algorithm = algorithm

    def settle(self, cost: int, now: float) -> int:
        """Lets go of what is past its time, and takes up what was drawn later where it is needed. Gives what was lost."""
        lost = 0
        if now >= self.until:
            lost, self.left = self.left, 0
        if self.left < cost and self.later:
            if now >= self.later_until:
                lost += self.later
            elif self.left:  # together, for as long as the older is good for
                self.left += self.later
            else:
                self.left, self.until = self.later, self.later_until
            self.later = 0
        return lost


class Wanted(NamedTuple):
    """What is to be asked of the store: these charges, and shares.

    shares  for each charge how much, 0 where enough is left; empty where somebody is drawing already
    whose   what his draw is known by, or this one
    """

    charges: tuple[Charge, ...]
    shares: tuple[int, ...]
    whose: Key


class Leases:
    """Of one set of limits; the least used are forgotten, and what is left of theirs is lost.

    What is wanted with shares is to be followed by `keep` or `fail`: until then nobody else draws for their keys.
    """

    def __init__(self, share: int, time: float) -> None:
        self._share = share
        self._time = time
        self._leases: OrderedDict[Key, _Lease] = OrderedDict()

    def spend(self, charges: Sequence[Charge], now: float) -> Wanted | None:
        """Pays all of the charges, or none: then the store is to be asked for what this says."""
        leases = self._leases
        paying: list[tuple[_Lease, int]] = []
        lacking: dict[int, int] = {}
        number = 0
        for limit, algorithm, key, cost in charges:
            if cost:
                lease = leases.get((limit, key))
                if lease is not None and lease.algorithm is not algorithm:
                    lease.count_by(algorithm)
                if lease is None:
                    lacking[number] = min(cost, self._share)
                elif (lease.left < cost or now >= lease.until) and not self._holds(lease, cost, now):
                    lacking[number] = min(cost * lease.size, self._share)
                else:
                    paying.append((lease, cost))
            number += 1  # noqa: SIM113 - enumerate() would make a pair for every charge
        if lacking:
            return self._drawn(charges, [lacking.get(number, 0) for number in range(len(charges))], now)
        for lease, cost in paying:
            lease.left -= cost
        return None

    def _holds(self, lease: _Lease, cost: int, now: float) -> bool:
        """Whether enough is left, once what is past its time is gone; where not, how much is drawn is worked out anew."""
        idle = now >= max(lease.until, lease.later_until) + self._time
        lost = lease.settle(cost, now)
        if lost:
            lease.size = max(1, lease.size // 2)
        if lease.left >= cost:
            return True
        if not lost and now >= lease.drawing:
            lease.size = 1 if idle else min(self._share, lease.size * 2)
        return False

    def ahead(self, charges: Sequence[Charge], now: float) -> Wanted | None:
        """What is to be drawn now for the next requests, where little is left."""
        short: list[Charge] = []
        shares: list[int] = []
        for limit, algorithm, key, cost in charges:
            lease = self._leases.get((limit, key)) if cost else None
            if (
                lease is not None
                and lease.algorithm is algorithm
                and not lease.later
                and now >= lease.drawing
                and lease.left * 2 <= lease.size
            ):
                lease.size = min(self._share, lease.size * 2)
                if lease.size > lease.left:
                    short.append((limit, algorithm, key, 0))
                    shares.append(lease.size - lease.left)
        if not short:
            return None
        return self._drawn(short, shares, now)

    def keep(self, wanted: Wanted, granted: Sequence[int], now: float) -> None:
        """Takes what the store has granted since it was asked at `now`, less the charges themselves, which are paid by it."""
        if not wanted.shares:
            return
        for (limit, algorithm, key, cost), share, more in zip(
            wanted.charges, wanted.shares, granted, strict=True
        ):
            lease = self._leases.get((limit, key)) if share else None
            if lease is None:
                continue
            lease.drawing = 0.0
            if not lease.algorithm.same(algorithm):
                continue
            lease.settle(1, now)
            lease.later, lease.later_until = (
                max(0, min(more - cost, self._share - lease.left)),
                now + self._time,
            )
            lease.settle(1, now)

    def fail(self, wanted: Wanted) -> None:
        """Nothing was granted."""
        if wanted.shares:
            for (limit, _, key, _), share in zip(wanted.charges, wanted.shares, strict=True):
                lease = self._leases.get((limit, key)) if share else None
                if lease is not None:
                    lease.drawing = 0.0

    def _drawn(self, charges: Sequence[Charge], shares: Sequence[int], now: float) -> Wanted:
        """The charges with the shares, which are drawn from now on; without, where somebody draws for one of these keys."""
        leases = self._leases
        found: list[_Lease] = []
        whose: Key | None = None
        for (limit, algorithm, key, _), share in zip(charges, shares, strict=True):
            if not share:
                if (limit, key) in leases:
                    leases.move_to_end((limit, key))
                continue
            whose = whose or (limit, key)
            lease = leases.get((limit, key))
            if lease is None:
                lease = leases[limit, key] = _Lease(algorithm)
                if len(leases) > _KEYS_MAX:
                    leases.popitem(last=False)
            else:
                leases.move_to_end((limit, key))
            if now < lease.drawing:
                return Wanted(tuple(charges), (), lease.whose or (limit, key))
            found.append(lease)
        assert whose is not None
        for lease in found:
            lease.drawing, lease.whose = now + _DRAWING, whose
        return Wanted(tuple(charges), tuple(shares), whose)
