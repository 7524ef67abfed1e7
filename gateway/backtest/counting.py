"""Counts recorded exchanges again, in the order of time.

What a cell holds is not known at the beginning of a log, nor behind a gap in it: only that it is somewhere between nothing and
all. So each cell has a low and a high end, and a request is decided where both decide alike; where they do not it is
undecidable, until the two have met because the bucket must have been empty or full. Limits that are ordered (see
`gateway.api.meter`) narrow from both ends; of others it is only known that nothing is left when nothing has been charged for
as long as a charge counts.

A record tells what a cell held when it was decided. Where the limit is the one that it was, and nothing has been decided
otherwise since, that is what it holds: then the order of lines, several workers and missing records do not matter.
"""

from collections.abc import Hashable, Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from gateway.api.meter import Meter, Spec
from gateway.api.table import Cell
from gateway.backtest.flight import Flights
from gateway.backtest.judge import UNTOLD, Draw
from gateway.backtest.sealed import Spelling
from gateway.backtest.tariff import Placed
from gateway.plan import Plan

_ALL: Final = 1_000_000_000
"""More than any bucket holds."""
_PRUNED: Final = 1 << 18
"""Cells beyond which those are looked for that hold nothing any more."""
_BY_KEY: Final = 1
"""The bit of cells that are known by their keys; others stand for hashes."""
_CLOSE: Final = 1e-3
"""Seconds by which two cells may differ that hold the same."""


class Decided(NamedTuple):
    """passed is None where that is not known; `by` is the tariff of the charge that refuses, the one with the longest wait."""

    passed: bool | None
    by: Placed | None


_PASSED: Final = Decided(True, None)
_UNKNOWN: Final = Decided(None, None)


class _Bucket:
    """What is known of one cell.

    low, high  the least and the most that it may hold; None is nothing
    vague      nothing is known of it, and its ends mean nothing
    strays     it has been charged otherwise than it was recorded to be
    strayed    instant of the last time
    last       instant of the last charge, or of when nothing was known
    epoch      of the last look, see `Ledger.lose`
    turn       of its account, at the last look; `skips` and `drops` too
    told       bits of what it is known by
    """

    __slots__ = (
        "age",
        "drops",
        "epoch",
        "high",
        "last",
        "low",
        "meter",
        "skips",
        "strayed",
        "strays",
        "told",
        "turn",
        "vague",
    )

    def __init__(self, meter: Meter, last: float, epoch: int) -> None:
        self.age = 0.0
        self.meter = meter
        self.low: Cell | None = None
        self.high: Cell | None = meter.owe(None, last, _ALL)
        self.vague = not meter.ordered
        self.strays = False
        self.strayed = last
        self.last = last
        self.epoch = epoch
        self.turn = self.skips = self.drops = self.told = 0

    def stray(self, now: float) -> None:
        """It is charged otherwise than it was recorded to be."""
        self.strays = True
        if now > self.strayed:
            self.strayed = now

    def forget(self, now: float) -> None:
        """More may have been charged meanwhile."""
        self.last = now = max(self.last, now)
        self.high = self.meter.owe(None, now, _ALL)
        self.vague = not self.meter.ordered

    def doubt(self, now: float, cost: int) -> None:
        """A charge may have been made, and may have been refused."""
        meter = self.meter
        self.last = max(self.last, now)
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


class _Hashes:
    """The cells of one limit by the hashes of their keys that one key of hashes makes.

    bit      that stands for it
    strayed  hashes that no cell was known by when it was charged otherwise than recorded
    skips    the number of the last time that one was charged so, see `_Account`, and `skipped`, the instant
    """

    __slots__ = ("bit", "buckets", "skipped", "skips", "strayed")

    def __init__(self, bit: int) -> None:
        self.bit = bit
        self.buckets: dict[str, _Bucket] = {}
        self.strayed: set[str] = set()
        self.skips = 0
        self.skipped = float("-inf")


class _Account:
    """The cells of one limit, by their keys and by the hashes of these.

    drops     how often cells have been dropped then that are kept now
    told      bits of what all cells are known by that have been charged since `turned`
    sealed    whether a key may be known by hashes alone, so that a cell has another name by each key of them
    skips     how often a cell has been charged otherwise than recorded of which nobody knows all names
    spelling  how the keys are spelled that were charged last
    turn      how often it has become unknown which cell is whose, and `turned`, when it has last
    strays    whether any cell has ever been charged otherwise than it was recorded to be
    """

    __slots__ = (
        "buckets",
        "by_hash",
        "drops",
        "sealed",
        "skips",
        "spelling",
        "strays",
        "told",
        "turn",
        "turned",
    )

    def __init__(self, drops: int) -> None:
        self.buckets: dict[Hashable, _Bucket] = {}
        self.drops = drops
        self.told = -1
        self.by_hash: dict[str, _Hashes] = {}
        self.sealed = False
        self.skips = 0
        self.spelling: Spelling = ()
        self.turn = 0
        self.turned = float("-inf")
        self.strays = drops > 0

    def spell(self, spelling: Spelling, now: float) -> None:
        """Keys are spelled so from now on. Where the same may have been spelled otherwise, nobody knows whose cells there are."""
        before = self.spelling
        if spelling == before:
            return
        self.sealed = self.sealed or any(spelling)
        known = tuple(was if part is None else part for was, part in zip_longest(before, spelling))
        if any(was not in (None, part) for was, part in zip(before, known, strict=False)):
            self.lose(now)
        self.spelling = known

    def lose(self, now: float) -> None:
        """Any cell may have been charged until now."""
        self.turn += 1
        self.turned = max(self.turned, now)

    def hashes(self, hashed_by: str) -> _Hashes:
        """By the key of hashes that this tells apart; empty is one that no cell is known by."""
        known = self.by_hash.get(hashed_by)
        if known is None:
            known = self.by_hash[hashed_by] = _Hashes(_BY_KEY << 1 + len(self.by_hash))
        return known

    def call(self, bucket: _Bucket, hashes: _Hashes, hashed: str, now: float) -> None:
        """The cell is known by this hash from now on."""
        bucket.told |= hashes.bit
        other = hashes.buckets.get(hashed)
        hashes.buckets[hashed] = bucket
        if other is not None:  # which was taken for another while its key was not known
            bucket.forget(other.last)
            bucket.stray(now)
        elif hashed in hashes.strayed:
            hashes.strayed.discard(hashed)
            bucket.stray(now)

    def skip(self, hashed_by: str, hashed: str, instant: float) -> None:
        """A cell is not charged that was then, by the hash of its key. Of cells that are not known by hashes of the same key each
        may be the one."""
        self.strays = True
        hashes = self.hashes(hashed_by)
        bucket = hashes.buckets.get(hashed)
        if bucket is not None:
            bucket.stray(instant)
            if not self.sealed:
                return
        else:
            hashes.strayed.add(hashed)
        self.skips += 1
        hashes.skips = self.skips
        hashes.skipped = max(hashes.skipped, instant)

    def meet(self, told: int, now: float) -> None:
        """A cell is charged that is known by these. Where the others are known by none of them it may be any of those."""
        if self.told & told:
            self.told &= told
        else:
            self.lose(now)
            self.told = told

    def look(self, bucket: _Bucket, now: float) -> None:
        """Whether the cell may be one that has not been charged as it was recorded to be since somebody has looked at it."""
        for hashes in self.by_hash.values():
            if (
                hashes.skips > bucket.skips
                and not hashes.bit & bucket.told
                and now - hashes.skipped < bucket.age
            ):
                bucket.stray(hashes.skipped)
        bucket.skips = self.skips


class Scale:
    """A tariff, with the arithmetic and the cells that belong to it."""

    __slots__ = ("account", "age", "meter", "tariff")

    def __init__(self, tariff: Placed, meter: Meter, account: _Account) -> None:
        self.tariff = tariff
        self.age = tariff.age
        self.meter = meter
        self.account = account


class Ledger:
    """The cells of all limits of a plan.

    flights  what is under way otherwise than it was
    began    the first instant of the log, on the axis of the limits
    fresh    whether nothing had been counted before it
    """

    def __init__(self, plan: Plan, began: float, *, fresh: bool = False) -> None:
        self.flights = Flights(plan)
        self._fresh = fresh
        self._filters = [entry.filter for entry in plan.entries]
        self._meters: dict[tuple[int, Spec], Meter] = {}
        self._accounts: dict[tuple[int, str], _Account] = {}
        self._opened = 0
        self._room = _PRUNED
        self._began = began
        self._drops: dict[int, int] = {}
        self._epoch = self._strays = 0
        self._lost = began
        self._strayed = float("-inf")

    def scales(self, tariffs: Sequence[Placed]) -> list[Scale]:
        """The scales for these tariffs, by the numbers that counts name them by."""
        return [
            Scale(tariff, self._meter(tariff.place, tariff.spec), self._account(tariff.place, tariff.limit))
            for tariff in tariffs
        ]

    def lose(self, now: float, *, strays: bool = False) -> None:
        """Each cell may hold more than is known, by exchanges up to this instant that are not in the log.

        `strays`: by such as were not charged then, so that records no longer say what cells hold.
        """
        self._epoch += 1
        self._lost = max(self._lost, now)
        if strays:
            self._strays = self._epoch
            self._strayed = max(self._strayed, now)

    def _stray_epoch(self, age: float) -> int:
        """The epoch of the last such loss, 0 for none, for cells that charges are in for so long: what was charged that long before the
        log began is in none of them."""
        return self._strays if self._began - self._strayed < age else 0

    def drop(self, places: Sequence[int]) -> None:
        """What these entries had counted was dropped then, and is not now: what records say of cells is without it."""
        for place in places:
            self._drops[place] = self._drops.get(place, 0) + 1
        for (place, _), account in self._accounts.items():
            if place in places:
                account.drops = self._drops[place]
                account.strays = True

    def decide(
        self,
        now: float,
        passed: bool | None,
        draws: list[Draw],
        scales: list[Scale],
        *,
        reached: bool,
        hashed_by: str,
    ) -> Decided:
        """Whether the charges fit, and makes them if they do.

        passed     as it was recorded; None where it was not
        reached    false where the request may not come so far
        hashed_by  what tells the key of the hashes apart; empty where that is not known
        """
        buckets: list[_Bucket] = []
        cells: list[Cell | None] = []
        certain = passed is not None and reached
        longest, by, all_fit = 0.0, -1, True
        for number, key, cost, hashed, tells, held, _, spelling in draws:
            bucket = self._bucket(scales[number], key, hashed, now, spelling, hashed_by)
            if held == UNTOLD:
                bucket.vague = True
                if not tells or bucket.strays:
                    certain = False
            elif not tells or not _told(bucket, held, now):
                certain = False
            buckets.append(bucket)
            if bucket.vague:
                all_fit = False
                cells.append(None)
                continue
            meter = bucket.meter
            wait, cell = meter.charge(bucket.low, now, cost)
            cells.append(cell)
            if wait > longest:
                longest, by = wait, number
            if bucket.high is not bucket.low and meter.charge(bucket.high, now, cost)[0] > 0:
                all_fit = False
        verdict: bool | None
        if certain:
            verdict = passed
            if by < 0:
                by = draws[0][0]
        elif by >= 0:
            verdict = False
        else:
            verdict = True if all_fit else None
        if not reached:
            for place, bucket in enumerate(buckets):
                bucket.forget(now)
                bucket.stray(now)
                scales[draws[place][0]].account.strays = True
            return _UNKNOWN
        if verdict:
            for place, draw in enumerate(draws):
                bucket = buckets[place]
                if not bucket.vague:
                    exact = bucket.high is bucket.low
                    cell_after = cells[place]
                    high = None if exact else _raised(bucket, now, draw[2])
                    bucket.low = cell_after
                    bucket.high = cell_after if exact else high
                bucket.last = max(bucket.last, now)
                if draw[6]:
                    bucket.high = bucket.meter.owe(None, now, _ALL)
                    bucket.vague = bucket.vague or not bucket.meter.ordered
        elif verdict is None:
            for place, draw in enumerate(draws):
                buckets[place].doubt(now, draw[2])
        if verdict is None or verdict != (passed is True):
            for place, bucket in enumerate(buckets):
                bucket.stray(now)
                scales[draws[place][0]].account.strays = True
        elif verdict:
            for place, draw in enumerate(draws):
                if not draw[4]:  # then another limit was charged, or none
                    buckets[place].stray(now)
                    scales[draw[0]].account.strays = True
        if verdict:
            return _PASSED
        return _UNKNOWN if verdict is None else Decided(False, scales[by].tariff)

    def stray(self, now: float, draws: list[Draw], scales: list[Scale], *, hashed_by: str) -> None:
        """What was charged then is not charged now: the request does not come so far."""
        for number, key, _, hashed, _, _, _, spelling in draws:
            scale = scales[number]
            bucket = self._bucket(scale, key, hashed, now, spelling, hashed_by)
            bucket.stray(now)
            scale.account.strays = True

    def skip(self, place: int, hashes: dict[str, str], *, hashed_by: str, instant: float) -> None:
        """What was charged then is not charged now: limits of an entry, hashes of the keys, and what tells apart by what they were
        hashed; empty where that is not known."""
        for limit, hashed in hashes.items():
            self._account(place, limit).skip(hashed_by, hashed, instant)

    def _bucket(
        self,
        scale: Scale,
        key: Hashable,
        hashed: str | None,
        now: float,
        spelling: Spelling | None,
        hashed_by: str,
    ) -> _Bucket:
        account = scale.account
        if key is None:
            account.lose(now)
            anybody = _Bucket(scale.meter, now, self._epoch)
            anybody.age, anybody.turn = scale.age, account.turn
            anybody.strays = account.strays or self._stray_epoch(scale.age) > 0
            return anybody
        if spelling:
            account.spell(spelling, now)
        hashes = account.hashes(hashed_by) if hashed is not None and hashed_by else None
        told = _BY_KEY
        if spelling is None:
            key, told = (None, hashed_by, key), 0
            account.sealed = True
        bucket = account.buckets.get(key) if told else None
        if bucket is None and hashes is not None and hashed is not None:
            bucket = hashes.buckets.get(hashed)  # of some exchanges the key is not known but by its hash
            if bucket is not None:
                account.buckets[key] = bucket
        if bucket is None:
            if self._opened >= self._room:
                self._prune(now)
            bucket = account.buckets[key] = _Bucket(scale.meter, self._began, 0)
            self._opened += 1
            if self._fresh:
                bucket.empty()
        if hashes is not None and hashed is not None and not hashes.bit & bucket.told:
            account.call(bucket, hashes, hashed, now)
        told = bucket.told = bucket.told | told
        if told != account.told:
            account.meet(told, now)
        bucket.meter, bucket.age = scale.meter, scale.age
        if bucket.skips != account.skips:
            account.look(bucket, now)
        if bucket.drops != account.drops:
            bucket.drops = account.drops
            bucket.strays = True
        if bucket.epoch != self._epoch:
            bucket.strays = bucket.strays or bucket.epoch < self._stray_epoch(scale.age)
            bucket.epoch = self._epoch
            bucket.forget(self._lost)
        if bucket.turn != account.turn:
            bucket.strays = bucket.strays or account.strays or self._stray_epoch(scale.age) > 0
            bucket.turn = account.turn
            bucket.forget(account.turned)
        if now - bucket.last >= scale.age:
            bucket.empty()
        return bucket

    def _account(self, place: int, limit: str) -> _Account:
        account = self._accounts.get((place, limit))
        if account is None:
            account = self._accounts[place, limit] = _Account(self._drops.get(place, 0))
        return account

    def _meter(self, place: int, spec: Spec) -> Meter:
        meter = self._meters.get((place, spec))
        if meter is None:
            if len(self._meters) > 4096:
                self._meters.clear()
            meter = self._meters[place, spec] = self._filters[place].meter(spec)
        return meter

    def _prune(self, now: float) -> None:
        """Drops the cells that hold nothing, and of which records say nothing else: what has been charged otherwise than recorded is
        not in what they say either by then."""
        kept = 0
        for account in self._accounts.values():
            for key, bucket in list(account.buckets.items()):
                if now - max(bucket.last, bucket.strayed, self._lost) >= bucket.age:
                    del account.buckets[key]
            left = set(map(id, account.buckets.values()))
            for hashes in account.by_hash.values():
                hashes.buckets = {
                    hashed: bucket for hashed, bucket in hashes.buckets.items() if id(bucket) in left
                }
            kept += len(account.buckets)
        self._opened = kept
        self._room = max(_PRUNED, 2 * kept)


def _told(bucket: _Bucket, held: Sequence[float] | None, now: float) -> bool:
    """Whether what the record says that the cell held is to be believed; then that is what it holds."""
    cell: Cell | None = None if held is None else (now + held[0], held[1], held[2])
    if cell is not None and cell[1] and bucket.meter.ordered:
        cell = bucket.meter.owe(cell, now, 0)  # counted by other terms, it may be: as these have it
    if bucket.strays:
        if bucket.vague or bucket.low != bucket.high or not _alike(bucket.low, cell, now):
            return False
        bucket.strays = False
    bucket.know(cell)
    return True


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
