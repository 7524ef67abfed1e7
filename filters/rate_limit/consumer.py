"""Who has filled a bucket that several share: for each bucket the few who used it most.

Each worker counts its own requests. A bucket's counts are dropped when it was empty, and halved when the greatest has come to
several times what the bucket holds, so that they tell of the recent past. Whoever is not among the few takes the
place of the least, and its count: nobody who used a bucket much is missed, and nobody's count is too small (the
algorithm "space-saving" of Metwally, Agrawal and El Abbadi, 2005).

Of buckets that were used, workers leave notes for each other, beside the cells in the table that they share: so a refusal
tells of all of them, as they were `TELL` seconds ago at the latest, or a little more where so many buckets were used that
a worker does not get round to them; and operators are told of workers that have ended since, too. What a worker has counted before a bucket was empty the last time is left out.
"""

from collections import Counter, deque
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

import orjson

from filters._key import places
from gateway.api import NOTE, Table, TableBusy, Timer

FEW: Final = 8
_BUCKETS: Final = 4096
_WAITING: Final = 4096
_FILLINGS: Final = 4
TELL: Final = 0.5
"""Seconds between the notes of a worker."""
AGAIN: Final = 0.02
"""The same where there are more than it writes at once."""
AT_ONCE: Final = 64
"""Notes that are written at once, in some microseconds each, while requests wait."""


class _Bucket:
    """What a worker has counted of one bucket: `began` is when it was empty the last time, `last` when it was used; `waits`
    says that the others have not heard of it."""

    __slots__ = ("began", "counts", "last", "waits")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.began = 0.0
        self.last = 0.0
        self.waits = False

    def top(self) -> tuple[tuple[str, int], ...]:
        return _ranked(self.counts)


class _Note(NamedTuple):
    """What another worker says of a bucket."""

    began: float
    last: float
    counts: Sequence[tuple[str, int]]


class Board:
    """What workers tell each other of the buckets of one entry, by the notes of a table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._places = places(table.place)
        self._changed: deque[tuple[int, Hashable, _Bucket]] = deque()
        self._timer = Timer()

    def start(self) -> None:
        """Tells from now on, until it is closed."""
        if not self._timer.is_set:
            self._timer.set(TELL, self.tell)

    def close(self) -> None:
        self._timer.cancel()

    def flush(self) -> None:
        """Tells all that has changed at once, for this process may end; what cannot be told now waits."""
        while waiting := len(self._changed):
            self.tell()
            if len(self._changed) >= waiting:
                break

    def changed(self, limit: int, key: Hashable, bucket: _Bucket) -> None:
        """Has it told in its turn. Where too many wait already it is told when it is used again."""
        if len(self._changed) < _WAITING:
            bucket.waits = True
            self._changed.append((limit, key, bucket))

    def tell(self) -> None:
        """Leaves notes of what has changed, as many as are written at once."""
        changed = self._changed
        some = [changed.popleft() for _ in range(min(AT_ONCE, len(changed)))]
        if some:
            notes = [(self._places[limit, key], _note(bucket)) for limit, key, bucket in some]
            try:
                self._table.leave(notes, max(bucket.last for _, _, bucket in some))
            except TableBusy:
                changed.extendleft(reversed(some))
            else:
                for _, _, bucket in some:
                    bucket.waits = False
        self._timer.set(AGAIN if changed else TELL, self.tell)

    def told(self, limit: int, key: Hashable) -> list[_Note]:
        """What the others say of a bucket."""
        return [_Note(*orjson.loads(text)) for text in self._table.notes(self._places[limit, key])]

    def told_before(self, limit: int, key: Hashable) -> _Note | None:
        """What this worker has said of a bucket, that it may have forgotten: its limit was away, or others were used since."""
        text = self._table.own_note(self._places[limit, key])
        return None if text is None else _Note(*orjson.loads(text))


class Consumers:
    """The consumers of one limit's buckets, bounded: beyond that many buckets the one that is oldest is forgotten."""

    __slots__ = ("_board", "_buckets", "_limit")

    def __init__(self, limit: int, board: Board) -> None:
        self._limit = limit
        self._board = board
        self._buckets: dict[Hashable, _Bucket] = {}

    def count(self, key: Hashable, who: str, cost: int, capacity: int, fresh: bool, now: float) -> None:
        """Somebody has taken `cost` from a bucket that holds `capacity`; `fresh` says that nothing was taken before.

        `now` is on the machine's monotonic clock, which workers have in common.
        """
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._new(key)
        counts = bucket.counts
        if fresh:
            counts.clear()
            bucket.began = now
        bucket.last = now
        counted = counts.get(who)
        if counted is None:
            counted = 0
            if len(counts) >= FEW:
                least = min(counts, key=counts.__getitem__)
                counted = counts.pop(least)
        counted += cost
        counts[who] = counted
        if counted > _FILLINGS * capacity:
            for name in counts:
                counts[name] = (counts[name] + 1) >> 1
        if not bucket.waits:
            self._board.changed(self._limit, key, bucket)

    def _new(self, key: Hashable) -> _Bucket:
        if len(self._buckets) >= _BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        bucket = self._buckets[key] = _Bucket()
        before = self._board.told_before(self._limit, key)
        if before is not None:
            bucket.counts = dict(before.counts)
            bucket.began, bucket.last = before.began, before.last
        return bucket

    def own(self, key: Hashable) -> tuple[tuple[str, int], ...]:
        """Who has used the bucket in this process, the greatest first, each with about how much."""
        bucket = self._buckets.get(key)
        return () if bucket is None else bucket.top()

    def top(self, key: Hashable) -> tuple[tuple[str, int], ...]:
        """The same of all processes."""
        notes = self._board.told(self._limit, key)
        bucket = self._buckets.get(key)
        own = (
            self._board.told_before(self._limit, key)
            if bucket is None
            else _Note(bucket.began, bucket.last, bucket.top())
        )
        if own is not None:
            notes.append(own)
        if not notes:
            return ()
        began = max(note.began for note in notes)
        sums: Counter[str] = Counter()
        for note in notes:
            if note.last >= began:
                sums.update(dict(note.counts))
        return _ranked(sums)[:FEW]

    def forget(self, key: Hashable, now: float) -> None:
        """The bucket has been emptied."""
        bucket = self._buckets.get(key) or self._new(key)
        bucket.counts.clear()
        bucket.began = bucket.last = now
        if not bucket.waits:
            self._board.changed(self._limit, key, bucket)

    def __len__(self) -> int:
        return len(self._buckets)


def _ranked(counts: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _note(bucket: _Bucket) -> bytes:
    """As long as one may be: where names are long, of fewer consumers. One that is no text at all is left out."""
    told: list[tuple[str, int]] = []
    text = orjson.dumps((bucket.began, bucket.last, told))
    for entry in bucket.top():
        try:
            more = orjson.dumps((bucket.began, bucket.last, (*told, entry)))
        except TypeError:  # half of a surrogate pair
            continue
        if len(more) <= NOTE:
            text = more
            told.append(entry)
    return text
