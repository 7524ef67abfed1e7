"""What operators see of the buckets, and that they can empty them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit import RateLimit
from gateway.api import Bucket, Exchange, Fault, Principal, Selection, StoreError, Unreadable
from gateway.api.testing import FakeTable, FrozenServices, build, exchange
from tests.filters.rate_limit.direct import Direct
from tests.filters.rate_limit.test_in_common import Machine


async def every(batches: AsyncIterator[Sequence[Bucket]]) -> list[Bucket]:
    return [bucket async for batch in batches for bucket in batch]


class Limiter:
    """The filter with its services' clock."""

    def __init__(
        self, *limits: dict[str, Any], services: FrozenServices | None = None, **options: Any
    ) -> None:
        self.services = services if services is not None else FrozenServices()
        self.filter = build(RateLimit, {"limits": list(limits), **options}, self.services)

    def ask(self, project: str | None = "p1", user: str | None = None, **more: Any) -> bool:
        """Whether the request passes."""
        principal = Principal(project_id=project, user_id=user)
        verdict = self.filter.on_request(self.made(principal=principal, **more))
        assert verdict is None or isinstance(verdict, Fault)
        return verdict is None

    def made(self, **more: Any) -> Exchange:
        method, target = more.pop("method", "GET"), more.pop("target", "/")
        return exchange(method, target, clock=self.services.now(), **more)

    async def seen(self, **selection: Any) -> list[Bucket]:
        return await every(self.filter.buckets(Selection(**selection)))


async def test_a_bucket_says_how_full_it_is_when_more_passes_and_by_whose_policy() -> None:
    limiter = Limiter({"name": "writes", "rate": "10/minute", "burst": 5, "key": ["project_id"]})
    assert [limiter.ask(user=user) for user in ("u1", "u2", "u2", "u2", "u2", "u1")] == [*[True] * 5, False]
    (bucket,) = await limiter.seen()
    assert (bucket.limit, bucket.rule, bucket.key) == ("writes", ("limits", 0), {"project_id": "p1"})
    assert (bucket.algorithm, bucket.value, bucket.unit, bucket.capacity) == ("gcra", 10, "MINUTE", 5)
    assert (bucket.remaining, bucket.use) == (0, 1.0)
    assert bucket.wait == pytest.approx(6.0)
    assert bucket.consumers == (("u2", 4), ("u1", 1))
    assert bucket.override is None
    limiter.services.advance(6.5)
    (bucket,) = await limiter.seen()
    assert (bucket.remaining, bucket.wait) == (1, 0.0)
    assert bucket.use == pytest.approx(0.8)


async def test_the_hash_is_that_of_the_record() -> None:
    limiter = Limiter({"rate": "10/minute", "key": ["project_id"]})
    made = limiter.made(principal=Principal(project_id="p1"))
    assert limiter.filter.on_request(made) is None
    note: Any = made.trail[-1]
    ((_, recorded, _, _),) = note.facts["cells"]
    assert [bucket.key_hash for bucket in await limiter.seen()] == [recorded]
    assert len(await limiter.seen(key_hash=recorded)) == 1
    assert not await limiter.seen(key_hash="0" * 32)


async def test_a_few_are_given_at_a_time() -> None:
    limiter = Limiter({"rate": "10/minute", "key": ["project_id"]})
    for number in range(1000):
        limiter.ask(f"p{number}")
    for selection, count in ((Selection(), 1000), (Selection(parts={"project_id": "p7"}), 1)):
        batches = [len(batch) async for batch in limiter.filter.buckets(selection)]
        assert max(batches) <= 64
        assert len(batches) >= 1000 / 64
        assert sum(batches) == count


async def test_they_are_chosen_by_limit_and_by_parts_of_their_key() -> None:
    limiter = Limiter(
        {"name": "a", "rate": "10/minute", "key": ["project_id", "user_id"]},
        {"name": "b", "rate": "10/minute", "key": ["project_id"]},
        {"name": "c", "rate": "10/minute", "key": ["global"]},
    )
    for project, user in (("p1", "u1"), ("p1", "u2"), ("p2", "u1")):
        limiter.ask(project, user)
    assert len(await limiter.seen()) == 6
    assert {bucket.limit for bucket in await limiter.seen(limit="b")} == {"b"}
    assert sorted(
        (bucket.limit, *bucket.key.values()) for bucket in await limiter.seen(parts={"project_id": "p1"})
    ) == [("a", "p1", "u1"), ("a", "p1", "u2"), ("b", "p1")]
    assert [bucket.limit for bucket in await limiter.seen(parts={"project_id": "p2", "user_id": "u1"})] == [
        "a"
    ]


async def test_a_key_that_is_told_whole_is_shown_though_nobody_has_come() -> None:
    services = FrozenServices()
    former = Limiter({"rate": "10/minute", "key": ["project_id"]}, services=services)
    former.ask("p1")
    table = services.table("limits")
    # Another process: it shares the table, and has seen no request.
    other = FrozenServices()
    other.state("table limits", lambda: table)
    fresh = Limiter({"rate": "10/minute", "key": ["project_id"]}, services=other)
    assert not await fresh.seen()
    (bucket,) = await fresh.seen(parts={"project_id": "p1"})
    assert bucket.remaining == 9
    (bucket,) = await fresh.seen(parts={"project_id": "p2"})
    assert (bucket.remaining, bucket.use) == (10, 0.0)


async def test_an_override_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "overrides.yaml").write_text(yaml.safe_dump({"p2": {"writes": "100/minute"}}))
    limiter = Limiter(
        {"name": "writes", "rate": "10/minute", "key": ["project_id"]},
        services=FrozenServices(directory=tmp_path),
        overrides={"file": "overrides.yaml"},
    )
    assert limiter.ask("p2")
    (bucket,) = await limiter.seen()
    assert (bucket.value, bucket.remaining) == (100, 99)
    assert bucket.override is not None
    assert bucket.override.startswith("overrides.yaml:")


async def test_who_has_terms_of_his_own_is_said_beside_the_bucket_of_all_others(tmp_path: Path) -> None:
    (tmp_path / "overrides.yaml").write_text(yaml.safe_dump({"p2": {"mine": "100/minute"}, "p3": "blocked"}))
    limiter = Limiter(
        {"name": "mine", "rate": "10/minute", "key": ["user_id"]},
        {"name": "ours", "rate": "10/minute", "key": ["project_id"]},
        services=FrozenServices(directory=tmp_path),
        overrides={"file": "overrides.yaml"},
    )
    assert limiter.ask("p1", "u1")
    assert limiter.ask("p2", "u1")
    assert [(one.limit, one.key, one.value, one.exceptions) for one in await limiter.seen()] == [
        ("mine", {"user_id": "u1"}, 10, 2),
        ("ours", {"project_id": "p1"}, 10, 0),
        ("mine", {"project_id": "p2", "user_id": "u1"}, 100, 0),
        ("ours", {"project_id": "p2"}, 10, 0),
    ]


async def test_limits_of_groups_that_share_a_name_are_told_apart() -> None:
    limit = {"name": "w", "rate": "9/day", "key": ["user_id"]}
    limiter = Limiter(
        {"name": "all", "rate": "99/day"},
        groups=[
            {"name": "first", "for": {"projects": ["p1"]}, "limits": [limit]},
            {"name": "others", "limits": [limit, {"name": "x", "rate": "9/day"}]},
        ],
    )
    assert limiter.ask("p1", "u1")
    assert limiter.ask("p2", "u2")
    told = {"all", "first.w", "others.w", "x"}
    assert set(limiter.filter.limits) == {bucket.limit for bucket in await limiter.seen()} == told
    assert [bucket.limit for bucket in await limiter.seen(limit="others.w")] == ["others.w"]
    emptied = await every(limiter.filter.reset(Selection(limit="w")))
    assert [(bucket.limit, bucket.remaining) for bucket in emptied] == [("first.w", 8), ("others.w", 8)]


@pytest.mark.parametrize("named", [True, False])
async def test_who_has_filled_a_bucket_is_known_on_where_its_limit_is_called_otherwise(named: bool) -> None:
    limit = {**({"name": "w"} if named else {}), "rate": "3/hour", "key": ["project_id"]}
    before = {"groups": [{"name": "a", "limits": [limit]}]}
    after: dict[str, Any] = {
        "groups": [
            {"name": "b", "for": {"users": ["x"]}, "limits": [{**limit, "rate": "9/hour"}]},
            {"name": "a", "limits": [limit]},
        ]
    }
    services = FrozenServices()
    limiter = Limiter(services=services, **before)
    assert [limiter.ask(user="u1") for _ in range(4)] == [True, True, True, False]
    again = Limiter(services=services, **after)
    assert not again.ask(user="u1")
    (bucket,) = await again.seen()
    assert bucket.limit == ("a.w" if named else "groups[1].limits[0]")
    assert bucket.consumers == (("u1", 3),)


async def test_who_has_filled_a_bucket_is_known_on_where_its_limit_comes_back() -> None:
    services = FrozenServices()
    limit = {"name": "w", "rate": "30/hour", "key": ["project_id"], "algorithm": "fixed_window"}
    limiter = Limiter(limit, services=services)
    assert all(limiter.ask(user=user) for user in ("u1", "u1", "u2"))
    await limiter.filter.close()
    for name in [name for name in services._state if name.startswith("consumers ")]:
        del services._state[name]  # no configuration that is in force has it
    assert Limiter({**limit, "rate": "50/hour"}, services=services).ask(user="u3")
    back = Limiter(limit, services=services)
    (bucket,) = await back.seen(limit="w")
    assert (bucket.remaining, bucket.consumers) == (27, (("u1", 2), ("u2", 1)))
    assert back.ask(user="u2")
    assert back.ask(user="u2")
    (bucket,) = await back.seen(limit="w")
    assert bucket.consumers == (("u2", 3), ("u1", 2))


async def test_the_bucket_of_all_is_told_as_that() -> None:
    limiter = Limiter({"name": "all", "rate": "10/minute", "key": ["global"]})
    assert limiter.ask()
    (bucket,) = await limiter.seen(limit="all")
    assert (bucket.key, bucket.remaining) == ({"global": True}, 9)
    await every(limiter.filter.reset(Selection(limit="all")))
    assert [bucket.remaining for bucket in await limiter.seen(limit="all")] == [10]


async def test_what_is_captured_of_a_path_and_a_header_is_told_with_care() -> None:
    limiter = Limiter(
        {"name": "path", "rate": "9/day", "key": ["captures"], "path": "/v2/{project}/servers"},
        {"name": "header", "rate": "9/day", "key": ["header:X-Secret"]},
    )
    assert limiter.ask(target="/v2/abc/servers", headers={"X-Secret": "geheim"})
    found = {bucket.limit: bucket for bucket in await limiter.seen()}
    assert found["path"].key == {"captures": ("abc",)}
    assert found["header"].key == {}
    assert "geheim" not in repr(found)


@pytest.mark.parametrize("algorithm", ["gcra", "fixed_window", "sliding_window", "calendar_window"])
async def test_an_emptied_bucket_lets_its_requests_pass_again(algorithm: str) -> None:
    limiter = Limiter(
        {"name": "a", "rate": "2/day", "algorithm": algorithm, "key": ["project_id"]},
        {"name": "b", "rate": "9/day", "key": ["global"]},
    )
    assert [limiter.ask(), limiter.ask(), limiter.ask(), limiter.ask("p2")] == [True, True, False, True]
    emptied = await every(limiter.filter.reset(Selection(limit="a", parts={"project_id": "p1"})))
    assert [(bucket.limit, bucket.remaining) for bucket in emptied] == [("a", 0)]
    assert [limiter.ask(), limiter.ask(), limiter.ask()] == [True, True, False]
    # Nothing but that one was emptied.
    left = {bucket.key.get("project_id"): bucket.remaining for bucket in await limiter.seen(limit="a")}
    assert left == {"p1": 0, "p2": 1}
    (bucket,) = await limiter.seen(limit="b")
    assert bucket.remaining == 4


async def test_nobody_is_told_as_a_consumer_of_what_was_emptied() -> None:
    limiter = Limiter({"rate": "9/day", "key": ["project_id"]})
    limiter.ask(user="u1")
    await every(limiter.filter.reset(Selection(parts={"project_id": "p1"})))
    limiter.ask(user="u2")
    (bucket,) = await limiter.seen()
    assert bucket.consumers == (("u2", 1),)


@given(st.lists(st.tuples(st.sampled_from(["p1", "p2", "p3"]), st.floats(0, 40)), max_size=40))
def test_what_is_told_is_what_becomes_of_the_next_request(steps: list[tuple[str, float]]) -> None:
    limiter = Limiter({"rate": "3/minute", "key": ["project_id"]})
    for project, pause in steps:
        limiter.services.advance(pause)
        (bucket,) = asyncio.run(limiter.seen(parts={"project_id": project}))
        passes = limiter.ask(project)
        assert passes == (bucket.remaining > 0) == (bucket.wait == 0.0)


async def test_the_time_until_more_passes_is_that_of_its_cost() -> None:
    limiter = Limiter({"rate": "10/minute", "key": ["project_id"], "cost": 3})
    assert [limiter.ask() for _ in range(4)] == [True, True, True, False]
    (bucket,) = await limiter.seen()
    assert bucket.remaining == 1
    assert bucket.wait == pytest.approx(12.0)
    limiter.services.advance(bucket.wait)
    assert limiter.ask()


async def test_the_time_until_more_passes_is_that_of_the_method_of_the_key() -> None:
    limiter = Limiter(
        {"rate": "10/minute", "key": ["project_id", "method"], "cost": {"methods": {"POST": 10, "GET": 0}}}
    )
    assert limiter.ask(method="POST")
    assert limiter.ask(method="PUT")
    waits = {bucket.key["method"]: bucket.wait for bucket in await limiter.seen()}
    assert waits == {"POST": pytest.approx(60.0), "PUT": 0.0}


async def test_of_what_is_counted_by_keys_that_nobody_knows_any_more_it_is_said_that_it_may_be_missing() -> (
    None
):
    limit = {"name": "each", "rate": "9/hour", "key": ["project_id", "method"]}
    former = Limiter(limit)
    assert all(former.ask(project) for project in ("p1", "p2"))
    of_limit, of_project = Selection(limit="each"), Selection(parts={"project_id": "p1"})
    assert former.filter.unseen(of_limit) is None
    # Another process: it shares the table, but for the notes of the keys, for which there was no room.
    services = FrozenServices()
    services.state("table limits", lambda: former.services.table("limits"))
    after = Limiter(limit, services=services)
    for selection in (of_limit, of_project):
        assert "were killed" in str(after.filter.unseen(selection))
    assert after.filter.unseen(Selection(parts={"project_id": "p1", "method": "GET"})) is None
    (emptied,) = await every(after.filter.reset(Selection(parts={"project_id": "p1", "method": "GET"})))
    assert emptied.remaining == 8
    services.advance(3600)
    assert after.filter.unseen(of_limit) is None, "nothing of it counts any more"


# ---- in a store that machines share


async def test_buckets_in_the_store_are_those_of_all_machines(direct: Direct) -> None:
    first, second = Machine(direct), Machine(direct)
    assert await first.statuses(2) == [None, None]
    assert await second.statuses(2) == [None, 413]
    for machine in (first, second):
        (bucket,) = await every(machine.filter.buckets(Selection()))
        assert (bucket.limit, bucket.key, bucket.remaining) == ("all", {"project_id": "p1"}, 0)
        assert bucket.wait == pytest.approx(1200, abs=60)
    assert len(await every(second.filter.reset(Selection(parts={"project_id": "p1"})))) == 1
    assert await first.statuses(1) == [None]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("key", ["project_id", "user_id"])
async def test_what_was_counted_before_somebody_was_blocked_is_emptied_too(
    direct: Direct, tmp_path: Path, shared: bool, key: str
) -> None:
    limits = [{"name": "all", "rate": "3/hour", "key": [key]}]
    more: dict[str, Any] = {} if shared else {"store": None}
    (tmp_path / "own.yaml").write_text("{}\n")
    machine = Machine(direct, tmp_path, limits=limits, overrides={"file": "own.yaml"}, **more)

    def overrides(terms: str) -> None:
        (tmp_path / "own.yaml").write_text(f"p1: {terms}\n")
        machine.reload()

    for terms in ("{ all: 2/hour }", "{ all: 2/day }"):
        overrides(terms)
        assert await machine.statuses(3) == [None, None, 413]
        overrides("blocked")
        assert await machine.statuses(1) == [413]
        (bucket,) = await every(machine.filter.reset(Selection(parts={"project_id": "p1"})))
        assert bucket.value == 0
        overrides(terms)
        assert await machine.statuses(3) == [None, None, 413]


async def test_of_a_store_it_is_said_that_other_machines_may_have_counted_more(direct: Direct) -> None:
    machine = Machine(direct)
    unseen = machine.filter.unseen(Selection(limit="all"))
    assert unseen is not None and "other machines" in unseen and "named whole" in unseen
    assert machine.filter.unseen(Selection(parts={"project_id": "p1"})) is None
    assert Limiter({"rate": "3/hour"}).filter.unseen(Selection()) is None


async def test_who_comes_from_an_address_is_not_all_known_by_it(direct: Direct) -> None:
    limits = [
        {"name": "both", "rate": "3/hour", "key": ["user_id", "client_ip"]},
        {"name": "each", "rate": "3/hour", "key": ["user_id"]},
        {"name": "how", "rate": "3/hour", "key": ["client_ip", "method"]},
    ]
    machine = Machine(direct, limits=limits)
    address = {"client_ip": "192.0.2.1"}
    assert "other machines" in str(machine.filter.unseen(Selection(limit="both", parts=address)))
    assert machine.filter.unseen(Selection(limit="both", parts={"user_id": "u1", **address})) is None
    assert machine.filter.unseen(Selection(limit="each", parts=address)) is None
    assert "other machines" in str(machine.filter.unseen(Selection(parts=address)))
    assert machine.filter.unseen(Selection(parts={"user_id": "u1", **address})) is None, (
        "and none of the others"
    )
    assert machine.filter.unseen(Selection(parts={"method": "GET", **address})) is None
    assert "with GET" in str(machine.filter.unseen(Selection(parts={"method": "get", **address})))


async def test_what_this_machine_s_workers_have_counted_in_a_store_is_known_to_those_that_come_after(
    direct: Direct,
) -> None:
    machine = Machine(direct)
    await machine.statuses(3)
    machine.filter._keys.start(machine.now)
    await machine.filter.close()
    after = Machine(direct)
    tables = [cast(FakeTable, each.table("limits")) for each in (machine, after)]
    tables[1].left.update(tables[0].left)
    assert await every(after.filter.buckets(Selection(limit="all"))) != []
    assert await every(Machine(direct).filter.buckets(Selection(limit="all"))) == []


async def test_a_store_that_is_away_is_told() -> None:
    class Gone:
        async def command(self, *parts: Any) -> Any:
            raise StoreError("timeout")

    machine = Machine(Gone())  # type: ignore[arg-type] # of which nothing else is asked
    assert await machine.statuses(1) == [None]
    with pytest.raises(Unreadable, match="the store: timeout"):
        await every(machine.filter.buckets(Selection()))
    with pytest.raises(Unreadable, match="the store: timeout"):
        await every(machine.filter.reset(Selection(limit="all")))


async def until_away(batches: AsyncIterator[Sequence[Bucket]]) -> tuple[list[Bucket], str]:
    """What is told before it is said that the store is away."""
    found: list[Bucket] = []
    try:
        async for batch in batches:
            found += batch
    except Unreadable as error:
        return found, str(error)
    raise AssertionError("the store is there")


@pytest.mark.parametrize("algorithm", ["gcra", "fixed_window"])
async def test_while_the_store_is_away_what_counts_meanwhile_is_shown_and_emptied(
    direct: Direct, algorithm: str
) -> None:
    limits = [{"name": "all", "rate": "3/day", "key": ["project_id"], "algorithm": algorithm}]
    machine = Machine(direct, limits=limits)
    assert await machine.statuses(1) == [None]
    machine.cut_off = StoreError("connect")
    assert await machine.statuses(4) == [None, None, None, 413]
    (bucket,), said = await until_away(machine.filter.buckets(Selection()))
    assert (bucket.remaining, bucket.wait > 0) == (0, True)
    assert said == "the store: connect; what this machine counts by itself meanwhile is shown"
    (bucket,), said = await until_away(machine.filter.reset(Selection(parts={"project_id": "p1"})))
    assert bucket.remaining == 0
    assert said.endswith("what this machine counts by itself meanwhile is emptied, and nothing in the store")
    assert await machine.statuses(4) == [None, None, None, 413]
    machine.cut_off = None
    (bucket,) = await every(machine.filter.buckets(Selection()))
    assert bucket.remaining == 2


@pytest.mark.parametrize("on_error", ["deny", "allow"])
async def test_while_the_store_is_away_and_nothing_else_counts_nothing_is_shown(
    direct: Direct, on_error: str
) -> None:
    machine = Machine(direct, on_store_error=on_error)
    assert await machine.statuses(1) == [None]
    machine.cut_off = StoreError("connect")
    for batches in (machine.filter.buckets(Selection()), machine.filter.reset(Selection(limit="all"))):
        assert await until_away(batches) == ([], "the store: connect")


@pytest.mark.parametrize(("on_error", "counts"), [("deny", True), ("allow", False), ("local", False)])
async def test_a_store_that_is_away_counts_where_nobody_passes_without_it(
    direct: Direct, on_error: str, counts: bool
) -> None:
    machine = Machine(direct, on_store_error=on_error)
    assert machine.filter.checks() == (("store", True, counts),)
    machine.cut_off = StoreError("connect")
    assert machine.filter.checks() == (("store", False, counts),)
    assert Limiter({"rate": "9/day"}).filter.checks() == ()
