"""Counts recorded exchanges again, in the order of time.

What a cell holds is not known at the beginning of a log, nor behind a gap in it: only that it is somewhere between nothing and
all. So each cell has a low and a high end, and a request is decided where both decide alike; where they do not it is
undecidable, until the two have met because the bucket must have been empty or full. Limits that are ordered (see
`gateway.api.meter`) narrow from both ends; of others it is only known that nothing is left when nothing has been charged for
as long as a charge counts.

A record tells what a cell held when it was decided. Where the limit is the one that it was, and nothing has been decided
otherwise since, that is what it holds: then the order of lines, several workers and missing records do not matter.
"""

from collections.abc import Hashable, Iterable
from typing import Final, NamedTuple

from gateway.api.meter import Charge, Meter, Spec
from gateway.api.table import Cell
from gateway.backtest.judge import Count, Skip
from gateway.plan import Plan

_ALL: Final = 1_000_000_000
"""More than any bucket holds."""
_PRUNED: Final = 1 << 18
"""Cells beyond which those are looked for that hold nothing any more."""
_CLOSE: Final = 1e-3
"""Seconds by which two cells may differ that hold the same."""


class Decided(NamedTuple):
    """passed is None where that is not known; `by` is the charge that refuses, the one with the longest wait."""

    passed: bool | None
    by: Charge | None


class _Bucket:
    """What is known of one cell.

    low, high  the least and the most that it may hold; None is nothing
    vague      nothing is known of it, and its ends mean nothing
    strays     it has been charged otherwise than it was recorded to be
    last       instant of the last charge, or of when nothing was known
    epoch      of the last look, see `Ledger.lose`
    """

    __slots__ = ("age", "epoch", "high", "last", "low", "meter", "strays", "vague")

    def __init__(self, meter: Meter, last: float, epoch: int) -> None:
        self.age = 0.0
        self.meter = meter
        self.low: Cell | None = None
        self.high: Cell | None = meter.owe(None, last, _ALL)
        self.vague = not meter.ordered
        self.strays = False
        self.last = last
        self.epoch = epoch

    def forget(self, now: float) -> None:
        """More may have been charged meanwhile."""
        self.high = self.meter.owe(None, now, _ALL)
        self.vague = not self.meter.ordered
        self.last = now

    def doubt(self, now: float, cost: int) -> None:
        """A charge may have been made, and may have been refused."""
        meter = self.meter
        self.last = now
        if self.vague or not meter.ordered:
            self.vague = True
            return
        # If it was made there was room for it, and now there is a charge more; if not, there was less room than it takes.
        brink = meter.brink(now, cost)
        wait, charged = meter.charge(self.low, now, cost)
        self.low = brink if wait or charged > brink else charged
        full = meter.charge(brink, now, cost)[1]
        self.high = full if self.high is None or full > self.high else self.high

    def empty(self) -> None:
        self.low = self.high = None
        self.vague = False

    def know(self, cell: Cell | None) -> None:
        self.low = self.high = cell
        self.vague = False


class Ledger:
    """The cells of all limits of a plan.

    began  the first instant of the log, on the axis of the limits
    fresh  whether nothing had been counted before it
    """

    def __init__(self, plan: Plan, began: float, *, fresh: bool = False) -> None:
        self._fresh = fresh
        self._filters = [entry.filter for entry in plan.entries]
        self._meters: dict[tuple[int, Spec], Meter] = {}
        self._buckets: dict[tuple[int, str, Hashable], _Bucket] = {}
        self._by_hash: dict[tuple[int, str, str], tuple[int, str, Hashable]] = {}
        self._strayed: set[tuple[int, str, str]] = set()
        self._began = began
        self._epoch = self._strays = 0
        self._lost = began

    def lose(self, now: float, *, strays: bool = False) -> None:
        """Each cell may hold more than is known, by exchanges up to this instant that are not in the log.

        `strays`: by such as were not charged then, so that records no longer say what cells hold.
        """
        self._epoch += 1
        self._lost = now
        if strays:
            self._strays = self._epoch

    def decide(self, count: Count, *, reached: bool) -> Decided:
        """Whether the charges fit, and makes them if they do; `reached` is false where the request may not come so far."""
        now = count.instant
        buckets: list[_Bucket] = []
        certain = count.passed is not None and reached
        for charge in count.charges:
            bucket = self._bucket(count, charge, now)
            if not self._told(bucket, count, charge, now):
                certain = False
            buckets.append(bucket)
        decided = self._decided(count, buckets, now, certain)
        if not reached:
            for bucket in buckets:
                bucket.forget(now)
                bucket.strays = True
            return Decided(None, None)
        if decided.passed:
            for bucket, charge in zip(buckets, count.charges, strict=True):
                if not bucket.vague:
                    bucket.low = bucket.meter.charge(bucket.low, now, charge.cost)[1]
                    bucket.high = _raised(bucket, now, charge.cost)
                bucket.last = now
                if charge.limit in count.late:
                    bucket.high = bucket.meter.owe(None, now, _ALL)
                    bucket.vague = bucket.vague or not bucket.meter.ordered
        elif decided.passed is None:
            for bucket, charge in zip(buckets, count.charges, strict=True):
                bucket.doubt(now, charge.cost)
        if decided.passed is None or decided.passed != (count.passed is True):
            for bucket in buckets:
                bucket.strays = True
        return decided

    def stray(self, count: Count) -> None:
        """What was charged then is not charged now: the request does not come so far."""
        if count.passed:
            for charge in count.charges:
                self._bucket(count, charge, count.instant).strays = True

    def skip(self, skip: Skip) -> None:
        """What was charged then is not charged now."""
        for limit, hashed in skip.hashes.items():
            key = self._by_hash.get((skip.place, limit, hashed))
            if key is not None and key in self._buckets:
                self._buckets[key].strays = True
            else:
                self._strayed.add((skip.place, limit, hashed))

    def _decided(self, count: Count, buckets: Iterable[_Bucket], now: float, certain: bool) -> Decided:
        """Whether all charges fit; `certain`: all cells are as they were recorded, and so is the verdict."""
        longest, by, all_fit = 0.0, None, True
        for bucket, charge in zip(buckets, count.charges, strict=True):
            if bucket.vague:
                all_fit = False
                continue
            wait, _ = bucket.meter.charge(bucket.low, now, charge.cost)
            if wait > longest:
                longest, by = wait, charge
            if bucket.high is not bucket.low and bucket.meter.charge(bucket.high, now, charge.cost)[0] > 0:
                all_fit = False
        if certain:
            return Decided(count.passed, None if count.passed else by or count.charges[0])
        if by is not None:
            return Decided(False, by)
        return Decided(True if all_fit else None, None)

    def _bucket(self, count: Count, charge: Charge, now: float) -> _Bucket:
        key = (count.place, charge.limit, charge.key)
        bucket = self._buckets.get(key)
        meter = self._meter(count.place, charge.spec)
        hashed = count.hashes.get(charge.limit)
        if bucket is None:
            if len(self._buckets) >= _PRUNED:
                self._prune(now)
            bucket = self._buckets[key] = _Bucket(meter, self._began, 0)
            if self._fresh:
                bucket.empty()
            if hashed is not None:
                whose = (count.place, charge.limit, hashed)
                self._by_hash[whose] = key
                if whose in self._strayed:
                    self._strayed.discard(whose)
                    bucket.strays = True
        bucket.meter, bucket.age = meter, charge.age
        if bucket.epoch != self._epoch:
            bucket.strays = bucket.strays or bucket.epoch < self._strays
            bucket.epoch = self._epoch
            bucket.forget(self._lost)
        if now - bucket.last >= charge.age:
            bucket.empty()
        return bucket

    def _told(self, bucket: _Bucket, count: Count, charge: Charge, now: float) -> bool:
        """Whether the record says what the cell held, and it is to be believed; then that is what it holds."""
        if charge.limit not in count.before:
            return False
        told = count.before[charge.limit]
        cell: Cell | None = None if told is None else (now + told[0], told[1], told[2])
        if bucket.strays:
            if bucket.vague or bucket.low != bucket.high or not _alike(bucket.low, cell, now):
                return False
            bucket.strays = False
        bucket.know(cell)
        return True

    def _meter(self, place: int, spec: Spec) -> Meter:
        meter = self._meters.get((place, spec))
        if meter is None:
            if len(self._meters) > 4096:
                self._meters.clear()
            meter = self._meters[place, spec] = self._filters[place].meter(spec)
        return meter

    def _prune(self, now: float) -> None:
        """Drops the cells that hold nothing, and are as they were recorded."""
        for key, bucket in list(self._buckets.items()):
            if now - bucket.last >= bucket.age and now - self._lost >= bucket.age:
                del self._buckets[key]
        self._by_hash = {whose: key for whose, key in self._by_hash.items() if key in self._buckets}


def _raised(bucket: _Bucket, now: float, cost: int) -> Cell:
    """The high end after a charge that the cell itself has room for."""
    wait, cell = bucket.meter.charge(bucket.high, now, cost)
    return bucket.meter.owe(None, now, _ALL) if wait else cell


def _alike(one: Cell | None, other: Cell | None, now: float) -> bool:
    """Whether two cells hold the same."""
    left = 0.0 if one is None else max(0.0, one[0] - now)
    right = 0.0 if other is None else max(0.0, other[0] - now)
    if abs(left - right) > _CLOSE:
        return False
    return not left or (one is not None and other is not None and one[1:] == other[1:])
