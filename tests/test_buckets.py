"""What processes say of their buckets, as one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

from gateway.api import Bucket, Selection, Unreadable
from gateway.buckets import Buckets, Found, buckets_of, reset_of, together, told


def found(key_hash: str, remaining: int, consumers: tuple[tuple[str, int], ...] = (), **more: Any) -> Found:
    bucket = Bucket(
        "writes",
        ("limits", more.pop("limit", 0)),
        {"project_id": key_hash},
        key_hash,
        "gcra",
        10,
        "MINUTE",
        10,
        remaining,
        more.pop("wait", 0.0),
        4.5,
        None,
        consumers,
        more.pop("exceptions", 0),
    )
    return Found(more.pop("filter", "rate_limit"), more.pop("mode", "enforce"), "weir.yaml:7:5", bucket)


def test_one_bucket_is_one_whoever_tells_of_it_and_of_its_consumers_who_has_heard_most() -> None:
    one = Buckets([found("a", 4, (("u1", 3), ("u2", 1))), found("b", 9)])
    other = Buckets([found("a", 3, (("u3", 5), ("u2", 2)))])
    one = together([one, other])
    assert [(each.bucket.key_hash, each.bucket.remaining) for each in one.found] == [("a", 3), ("b", 9)]
    assert sorted(one.found[0].bucket.consumers) == [("u1", 3), ("u2", 2), ("u3", 5)]
    assert one.found[0].bucket.consumers[0] == ("u3", 5)


def test_those_of_other_limits_entries_and_modes_are_others() -> None:
    several = [
        found("a", 4),
        found("a", 4, limit=1),
        found("a", 4, filter="second"),
        found("a", 4, mode="shadow"),
    ]
    assert len(together([Buckets(several), Buckets(several)]).found) == 4


def test_of_all_the_fullest_are_told() -> None:
    parts = [Buckets([found("a", 4), found("b", 9)]), Buckets([found("c", 0, wait=6.0), found("d", 5)])]
    assert [each.bucket.key_hash for each in together(parts, 3).found] == ["c", "a", "d"]


def test_what_could_not_be_said_is_told_once() -> None:
    parts = [
        Buckets((), ["rate_limit: the store: timeout"]),
        Buckets([found("a", 4)], ["rate_limit: the store: timeout"]),
    ]
    assert together(parts).failures == ["rate_limit: the store: timeout"]


def test_it_is_told_with_the_instant_from_which_one_more_passes() -> None:
    shown = told(found("a", 0, (("u1", 3),), wait=6.25), 1_700_000_000.0)
    assert shown["next_available"] == "2023-11-14T22:13:26.250Z"
    assert (shown["wait"], shown["reset"], shown["use"]) == (6.25, 4.5, 1.0)
    assert shown["consumers"] == [{"id": "u1", "count": 3}]
    assert (shown["key"], shown["exceptions"]) == ({"project_id": "a"}, 0)
    assert told(found("a", 0, exceptions=2), 1_700_000_000.0)["exceptions"] == 2


def test_of_who_is_blocked_no_instant_is_told() -> None:
    one = found("a", 0, wait=60.0)
    shown = told(one._replace(bucket=one.bucket._replace(value=0)), 1_700_000_000.0)
    assert (shown["wait"], shown["reset"], shown["next_available"]) == (None, None, None)


# ---- gathered from the filters of a plan


class Holder:
    """A filter with these buckets, which it gives two at a time."""

    def __init__(self, *buckets: Bucket, fails: bool = False) -> None:
        self.held = list(buckets)
        self.fails = fails

    async def buckets(self, selection: Selection) -> AsyncIterator[Sequence[Bucket]]:
        for start in range(0, len(self.held), 2):
            yield self.held[start : start + 2]
        if self.fails:
            raise Unreadable("the store: timeout")

    async def reset(self, selection: Selection) -> AsyncIterator[Sequence[Bucket]]:
        async for batch in self.buckets(selection):
            yield batch
        self.held.clear()

    def meant(self, selection: Selection) -> bool:
        return selection.limit in (None, "writes")

    def unseen(self, selection: Selection) -> str | None:
        return "what others have counted" if self.fails else None


def plan(**holders: object) -> Any:
    entries = [
        SimpleNamespace(name=name, filter=holder, mode="enforce", source=lambda rule: f"weir.yaml:{rule[1]}")
        for name, holder in holders.items()
    ]
    return SimpleNamespace(entries=entries)


def held(*left: int) -> Holder:
    return Holder(*(found(f"k{number}", number).bucket for number in left))


async def test_of_each_entry_the_fullest_are_told_with_their_place() -> None:
    seen = await buckets_of(plan(a=held(9, 3, 5, 10, 1, 2), b=object(), c=held(7)), Selection(), 2)
    assert [(each.filter, each.bucket.remaining) for each in seen.found] == [("a", 1), ("a", 2), ("c", 7)]
    assert {each.source for each in seen.found} == {"weir.yaml:0"}
    assert [
        each.filter for each in (await buckets_of(plan(a=held(1), c=held(7)), Selection("c"), 2)).found
    ] == ["c"]


async def test_empty_ones_are_told_where_somebody_is_asked_for() -> None:
    for selection, count in ((Selection(), 1), (Selection(parts={"project_id": "p1"}), 2)):
        assert len((await buckets_of(plan(a=held(9, 10)), selection, 5)).found) == count


async def test_one_that_cannot_be_read_takes_none_of_the_others_along() -> None:
    broken = Holder(found("k", 4).bucket, fails=True)
    seen = await buckets_of(plan(a=broken, b=held(1)), Selection(), 5)
    assert [each.filter for each in seen.found] == ["a", "b"]
    assert seen.failures == ["a: the store: timeout"]
    assert seen.unseen == ["a: what others have counted"]


async def test_a_name_that_no_limit_has_is_told_from_one_that_has_nothing() -> None:
    for selection, meant in (
        (Selection(limit="writes"), True),
        (Selection(limit="wriets"), False),
        (Selection(filter="b"), False),
    ):
        seen = [await buckets_of(plan(a=held(10)), selection, 5) for _ in range(2)]
        assert (together(seen).meant, together(seen).found) == (meant, [])
    holder = held(3)
    assert not (await reset_of(plan(a=holder), Selection(limit="wriets"))).meant
    assert holder.held


async def test_what_was_emptied_is_told_as_it_was() -> None:
    holder = held(9, 10, 3)
    seen = await reset_of(plan(a=holder), Selection(limit="writes"))
    assert [each.bucket.remaining for each in seen.found] == [3, 9]
    assert not holder.held


async def test_exchanges_have_their_turn_between_batches() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(others())
    await buckets_of(plan(a=held(*range(100))), Selection(), 5)
    task.cancel()
    assert turns >= 50
