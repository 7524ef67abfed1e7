"""Shares of limits that this process has drawn ahead from a common store, to be spent without asking it.

What is drawn has been charged, so that all together never draw more than a limit lets through. It is spent later, though:
in any span of T seconds, processes that are N admit at most what the limit admits in T, and beyond that the least of
N times `share` and what comes back to the limit in `time`. What is not spent in `time` is lost; so a key begins with what
it asks for, and is given twice as much each time that it comes back early, and half as much where some was lost. A key of
which more than half is spent is drawn for beside its requests, so that those of a busy one wait for no store.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple, TypeAlias

from filters.rate_limit.store import Charge

_KEYS_MAX: Final = 16_384
_DRAWING: Final = 5.0
"""Seconds after which nobody is drawing any more: whoever was has been cancelled before it began."""

Key: TypeAlias = tuple[int, Hashable]


class _Lease:
    """What is left until an instant of the monotonic clock, what has been drawn after it, how much is drawn at once,
    and until when somebody is drawing."""

    __slots__ = ("drawing", "later", "later_until", "left", "size", "until")

    def __init__(self) -> None:
        self.left = self.later = 0
        self.until = self.later_until = 0.0
        self.size = 1
        self.drawing = 0.0

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
    """What is to be asked of the store: these charges, and a share of this size.

    share  0 where somebody is drawing one already
    whose  the key that it is drawn for, by him or for this
    """

    charges: tuple[Charge, ...]
    share: int
    whose: Key


class Leases:
    """Of one set of limits; the least used are forgotten, and what is left of theirs is lost.

    What is wanted with a share is to be followed by `keep` or `fail`: until then nobody else draws for its keys.
    """

    def __init__(self, share: int, time: float) -> None:
        self._share = share
        self._time = time
        self._leases: OrderedDict[Key, _Lease] = OrderedDict()

    def spend(self, charges: Sequence[Charge], now: float) -> Wanted | None:
        """Pays all of the charges, or none: then the store is to be asked for what this says."""
        leases = self._leases
        paying: list[tuple[_Lease, int]] = []
        for limit, _, key, cost in charges:
            if cost:
                lease = leases.get((limit, key))
                if lease is None:
                    return self._drawn(charges, cost, now)
                if lease.left < cost or now >= lease.until:
                    idle = now >= max(lease.until, lease.later_until) + self._time
                    lost = lease.settle(cost, now)
                    if lost:
                        lease.size = max(1, lease.size // 2)
                    if lease.left < cost:
                        if not lost and now >= lease.drawing:
                            lease.size = 1 if idle else min(self._share, lease.size * 2)
                        return self._drawn(charges, min(cost * lease.size, self._share), now)
                paying.append((lease, cost))
        for lease, cost in paying:
            lease.left -= cost
        return None

    def ahead(self, charges: Sequence[Charge], now: float) -> Wanted | None:
        """What is to be drawn now for the next requests, where little is left."""
        share = 0
        for limit, _, key, cost in charges:
            lease = self._leases.get((limit, key)) if cost else None
            if (
                lease is not None
                and not lease.later
                and now >= lease.drawing
                and lease.left * 2 <= lease.size
            ):
                lease.size = min(self._share, lease.size * 2)
                share = max(share, lease.size - lease.left)
        if not share:
            return None
        wanted = self._drawn(
            [(limit, algorithm, key, 0) for limit, algorithm, key, cost in charges if cost], share, now
        )
        return wanted if wanted.share else None

    def keep(self, wanted: Wanted, granted: Sequence[int], now: float) -> None:
        """Takes what the store has granted since it was asked at `now`, less the charges themselves, which are paid by it."""
        if not wanted.share:
            return
        for (limit, _, key, cost), more in zip(wanted.charges, granted, strict=True):
            lease = self._leases.get((limit, key))
            if lease is None:
                continue
            lease.drawing = 0.0
            lease.settle(1, now)
            lease.later, lease.later_until = (
                max(0, min(more - cost, self._share - lease.left)),
                now + self._time,
            )
            lease.settle(1, now)

    def fail(self, wanted: Wanted) -> None:
        """Nothing was granted."""
        if wanted.share:
            for limit, _, key, _ in wanted.charges:
                lease = self._leases.get((limit, key))
                if lease is not None:
                    lease.drawing = 0.0

    def _drawn(self, charges: Sequence[Charge], share: int, now: float) -> Wanted:
        """The charges with the share, which is drawn from now on; without, where somebody draws for one of their keys."""
        leases = self._leases
        found: list[_Lease] = []
        for limit, _, key, _ in charges:
            lease = leases.get((limit, key))
            if lease is None:
                lease = leases[limit, key] = _Lease()
                if len(leases) > _KEYS_MAX:
                    leases.popitem(last=False)
            else:
                leases.move_to_end((limit, key))
            if now < lease.drawing:
                return Wanted(tuple(charges), 0, (limit, key))
            found.append(lease)
        for lease in found:
            lease.drawing = now + _DRAWING
        limit, _, key, _ = charges[0]
        return Wanted(tuple(charges), share, (limit, key))
