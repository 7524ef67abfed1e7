"""The buckets of a plan's filters, see `gateway.api.bucket`: gathered, put together over processes, and told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gateway.api.bucket import Bucket, BucketHolder, Selection, Unreadable
from gateway.api.verdict import Rule
from gateway.plan import Plan


class Found(NamedTuple):
    """A bucket, with the entry that it is of: its name, and where its limit stands, `file:line:column`."""

    filter: str
    mode: str
    source: str
    bucket: Bucket


class Buckets(NamedTuple):
    """What there is to say of them, of which entries it could not be said, and why, and what there may be besides; `meant` says
    whether there is such a limit at all."""

    found: Sequence[Found] = ()
    failures: Sequence[str] = ()
    unseen: Sequence[str] = ()
    meant: bool = False


async def buckets_of(plan: Plan, selection: Selection, count: int) -> Buckets:
    """The fullest of each entry, at most `count` of each; empty ones only where the selection is of somebody."""
    return await _gathered(
        plan, selection, lambda holder: holder.buckets(selection), count, empty=selection.somebody
    )


async def reset_of(plan: Plan, selection: Selection) -> Buckets:
    """Empties them; as they were, empty ones only where the selection is of somebody."""
    return await _gathered(plan, selection, lambda holder: holder.reset(selection), empty=selection.somebody)


async def _gathered(
    plan: Plan,
    selection: Selection,
    ask: Callable[[BucketHolder], AsyncIterator[Sequence[Bucket]]],
    count: int | None = None,
    *,
    empty: bool = False,
) -> Buckets:
    found: list[Found] = []
    failures: list[str] = []
    unseen: list[str] = []
    meant = False
    for entry in plan.entries:
        holder = entry.filter
        if not isinstance(holder, BucketHolder) or selection.filter not in (None, entry.name):
            continue
        if not holder.meant(selection):
            continue
        meant = True
        buckets: list[Bucket] = []
        more = holder.unseen(selection)
        if more is not None:
            unseen.append(f"{entry.name}: {more}")
        try:
            async for batch in ask(holder):
                buckets += [bucket for bucket in batch if empty or bucket.use > 0]
                if count is not None and len(buckets) > 2 * count:
                    buckets = sorted(buckets, key=_fullness)[:count]
                await asyncio.sleep(0)  # exchanges have their turn
        except Unreadable as error:
            failures.append(f"{entry.name}: {error}")
        buckets = sorted(buckets, key=_fullness)[:count]
        found += [Found(entry.name, entry.mode, entry.source(bucket.rule), bucket) for bucket in buckets]
    return Buckets(found, failures, unseen, meant)


def together(told: Iterable[Buckets], count: int | None = None) -> Buckets:
    """What several processes say, as one: the fullest first, at most `count` of them.

    All of them see the same counts, at moments that differ a little. Consumers each has counted for itself, and has heard of from
    the others, those that have ended included, with some delay: so the most that any says of one is what he has used.
    """
    every: dict[tuple[str, str, tuple[Rule, str]], list[Found]] = {}
    failures: list[str] = []
    unseen: list[str] = []
    meant = False
    for buckets in told:
        meant |= buckets.meant
        failures += buckets.failures
        unseen += buckets.unseen
        for found in buckets.found:
            every.setdefault((found.filter, found.mode, found.bucket.identity), []).append(found)
    found_once = sorted(map(_one_of, every.values()), key=lambda found: _fullness(found.bucket))
    return Buckets(found_once[:count], list(dict.fromkeys(failures)), list(dict.fromkeys(unseen)), meant)


def _fullness(bucket: Bucket) -> tuple[float, float, str, str]:
    return -bucket.use, -bucket.wait, bucket.limit, bucket.key_hash


def _one_of(several: Sequence[Found]) -> Found:
    fullest = min(several, key=lambda found: _fullness(found.bucket))
    consumers: Counter[str] = Counter()
    for found in several:
        consumers |= Counter(dict(found.bucket.consumers))
    return fullest._replace(bucket=fullest.bucket._replace(consumers=tuple(consumers.most_common())))


def told(found: Found, now: float) -> dict[str, Any]:
    """As the admin listener has it; `now` is in seconds since the epoch. Of who is blocked no time is told."""
    bucket = found.bucket
    blocked = not bucket.value
    return {
        "filter": found.filter,
        "mode": found.mode,
        "limit": bucket.limit,
        "source": found.source,
        "key": bucket.key,
        "key_hash": bucket.key_hash,
        "algorithm": bucket.algorithm,
        "value": bucket.value,
        "unit": bucket.unit,
        "capacity": bucket.capacity,
        "remaining": bucket.remaining,
        "use": round(bucket.use, 4),
        "wait": None if blocked else round(bucket.wait, 3),
        "next_available": None if blocked else _instant(now + bucket.wait),
        "reset": None if blocked else round(bucket.reset, 3),
        "override": bucket.override,
        "exceptions": bucket.exceptions,
        "consumers": [{"id": who, "count": count} for who, count in bucket.consumers],
    }


def _instant(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
