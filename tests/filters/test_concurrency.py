"""So many requests of a key are under way at once, and the next are refused, or wait."""

import asyncio
from collections.abc import Awaitable
from typing import Any, cast

import pytest
from pydantic import ValidationError

from filters.concurrency import Concurrency
from gateway.api import Exchange, Fault, Principal, Verdict
from gateway.api.testing import FakePermits, FrozenServices, build, exchange, judge
from tests.support.deadline import until, within


def made(services: FrozenServices | None = None, **options: Any) -> Concurrency:
    return build(Concurrency, options, services)


def request(client: str = "192.0.2.1", user: str | None = None, project: str | None = None) -> Exchange:
    principal = None if user is None else Principal(user_id=user, project_id=project)
    return exchange(client=client, principal=principal)


def over(exchange: Exchange) -> None:
    for callback in exchange.take_deferred():
        callback()


def test_one_more_than_may_be_under_way_is_refused_until_one_is_over() -> None:
    guard = made(limits=[{"max": 2, "key": ["client_ip"]}])
    first, second, third = request(), request(), request()
    assert judge(guard, first) is None
    assert judge(guard, second) is None
    assert judge(guard, third) == Fault(
        429,
        "concurrency_exceeded",
        "Too many requests are under way.",
        rule=("limits", 0),
        details="Only 2 request(s) can be under way at once.",
        retry_after=1,
        facts={"limit": "limits[0]", "key": {"client_ip": "192.0.2.1"}, "used": 2},
    )
    over(third)
    assert judge(guard, request("192.0.2.2")) is None
    assert judge(guard, request()) is not None
    over(first)
    assert judge(guard, request()) is None


def test_a_record_says_how_many_there_were() -> None:
    guard = made(limits=[{"max": 5, "key": ["client_ip"]}])
    judge(guard, request())
    passed = request()
    judge(guard, passed)
    (note,) = passed.notes
    assert (note.reason, note.rule, note.facts) == ("concurrency_counted", ("limits",), {"used": 2})


def test_a_request_has_a_permit_of_each_limit_or_none() -> None:
    guard = made(
        limits=[
            {"name": "project", "max": 3},
            {"name": "user", "max": 1, "key": ["user_id", "project_id"], "status": 503},
        ],
        status=429,
        retry_after="1.2s",
    )
    assert judge(guard, request(user="a", project="p")) is None
    refused = judge(guard, request(user="a", project="p"))
    assert isinstance(refused, Fault)
    assert (refused.status, refused.rule, refused.retry_after) == (503, ("limits", 1), 2)
    assert refused.facts is not None
    assert refused.facts["key"] == {"user_id": "a", "project_id": "p"}
    assert judge(guard, request(user="b", project="p")) is None
    assert judge(guard, request(user="c", project="p")) is None
    refused = judge(guard, request(user="d", project="p"))
    assert isinstance(refused, Fault)
    assert (refused.status, refused.facts and refused.facts["limit"]) == (429, "project")


def test_for_all_as_one_there_is_a_key() -> None:
    guard = made(limits=[{"max": 1, "key": ["global"]}], status=503)
    assert judge(guard, request("192.0.2.1")) is None
    refused = judge(guard, request("192.0.2.2"))
    assert isinstance(refused, Fault)
    assert refused.status == 503


async def asked(guard: Concurrency, exchange: Exchange) -> Verdict:
    verdict = guard.on_request(exchange)
    return await verdict if isinstance(verdict, Awaitable) else verdict


async def test_those_who_wait_go_on_in_order_when_others_are_over() -> None:
    services = FrozenServices()
    guard = made(services, limits=[{"max": 1, "key": ["client_ip"], "queue": {"max": 2, "timeout": "60s"}}])
    first, second, third, fourth = (request() for _ in range(4))
    assert await asked(guard, first) is None
    waiting = [asyncio.ensure_future(asked(guard, each)) for each in (second, third)]
    await asyncio.sleep(0)
    refused = await asked(guard, fourth)
    assert isinstance(refused, Fault)
    assert refused.reason == "concurrency_exceeded"
    services.advance(2.5)
    over(first)
    assert await within(waiting[0], "its turn has come") is None
    (note,) = second.notes
    assert (note.reason, note.facts) == ("concurrency_waited", {"used": 1, "waited": 2.5})
    assert not waiting[1].done()
    over(second)
    assert await within(waiting[1], "its turn has come") is None


async def test_one_that_waits_too_long_is_refused() -> None:
    guard = made(limits=[{"max": 1, "key": ["client_ip"], "queue": {"max": 2, "timeout": "10ms"}}])
    first = request()
    assert await asked(guard, first) is None
    refused = await within(asked(guard, request()), "it has waited")
    assert isinstance(refused, Fault)
    assert (refused.reason, refused.rule) == ("concurrency_timeout", ("limits", 0))
    over(first)
    assert await asked(guard, request()) is None


async def test_one_that_is_cancelled_holds_nothing() -> None:
    services = FrozenServices()
    guard = made(services, limits=[{"max": 1, "key": ["client_ip"], "queue": {"max": 2}}])
    first, second = request(), request()
    assert await asked(guard, first) is None
    waiting = asyncio.ensure_future(asked(guard, second))
    permits = cast(FakePermits, services.permits("permits"))
    await until(lambda: len(permits.waiting) == 1, "it waits")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    over(second)
    assert permits.waiting == []
    over(first)
    assert +permits.taken == {}


def test_the_same_definition_counts_on_after_a_reload() -> None:
    services = FrozenServices()
    options = {"limits": [{"max": 1, "key": ["client_ip"]}]}
    first = request()
    assert judge(made(services, **options), first) is None
    again = made(services, **options)
    assert judge(again, request()) is not None
    over(first)
    assert judge(again, request()) is None


ONE: dict[str, Any] = {"name": "one", "max": 2, "key": ["client_ip"]}
OTHER: dict[str, Any] = {"name": "other", "max": 5, "key": ["global"]}


@pytest.mark.parametrize(
    "former",
    [
        [{**ONE, "queue": {"max": 3}}],
        [{**ONE, "status": 503, "max": 7}],
        [OTHER, ONE],
        [
            {"max": 3, "key": ["client_ip"]},
            {**OTHER, "max": 9},
            {**ONE, "queue": {"max": 1, "timeout": "1s"}},
        ],
    ],
)
def test_what_is_under_way_by_a_limit_that_stays_is_counted_on(former: list[dict[str, Any]]) -> None:
    services = FrozenServices()
    first, second = request(), request()
    assert [judge(made(services, limits=former), each) for each in (first, second)] == [None, None]
    again = made(services, limits=[ONE, OTHER])
    refused = judge(again, request())
    assert isinstance(refused, Fault)
    assert refused.facts is not None
    assert (refused.facts["limit"], refused.facts["used"]) == ("one", 2)
    over(first)
    assert judge(again, request()) is None


def test_another_max_holds_for_what_is_under_way() -> None:
    services = FrozenServices()
    first, second = request(), request()
    assert [judge(made(services, limits=[ONE]), each) for each in (first, second)] == [None, None]
    less = made(services, limits=[{**ONE, "max": 1}])
    over(first)
    assert judge(less, request()) is not None
    more = made(services, limits=[{**ONE, "max": 3}])
    assert [judge(more, request()) is None for _ in range(3)] == [True, True, False]


def test_by_another_key_or_name_nothing_is_under_way_yet() -> None:
    services = FrozenServices()
    assert [judge(made(services, limits=[ONE]), request()) for _ in range(2)] == [None, None]
    assert judge(made(services, limits=[{**ONE, "key": ["user_id"]}]), request()) is None
    assert judge(made(services, limits=[{**ONE, "name": "two"}]), request()) is None


def test_two_limits_by_one_key_are_counted_apart() -> None:
    guard = made(limits=[{"max": 3, "key": ["client_ip"]}, {"max": 2, "key": ["client_ip"]}])
    assert [judge(guard, request()) is None for _ in range(3)] == [True, True, False]


async def test_those_who_wait_go_on_by_a_greater_max_once_it_is_in_force() -> None:
    services = FrozenServices()
    queue = {"max": 4, "timeout": "60s"}
    guard = made(services, limits=[{**ONE, "queue": queue}, OTHER])
    assert [await asked(guard, request()) for _ in range(2)] == [None, None]
    waiting = [asyncio.ensure_future(asked(guard, request())) for _ in range(2)]
    await asyncio.sleep(0)
    more = made(services, limits=[{**ONE, "max": 3, "queue": queue}])
    await more.start()
    await asyncio.sleep(0)
    assert not waiting[0].done()
    more.put_in_force()
    assert await within(waiting[0], "there is one more") is None
    assert not waiting[1].done()
    waiting[1].cancel()


@pytest.mark.parametrize("comes", ["before", "after"])
async def test_those_who_wait_go_on_by_a_lesser_max_once_it_is_in_force(comes: str) -> None:
    services = FrozenServices()
    queue = {"max": 4, "timeout": "60s"}
    guard = made(services, limits=[{**ONE, "queue": queue}])
    under_way = [request(), request()]
    assert [await asked(guard, each) for each in under_way] == [None, None]
    less = made(services, limits=[{**ONE, "max": 1, "queue": queue}])
    if comes == "after":
        less.put_in_force()
    waiting = asyncio.ensure_future(asked(guard, request()))
    await asyncio.sleep(0)
    if comes == "before":
        less.put_in_force()
    over(under_way[0])
    await asyncio.sleep(0)
    assert not waiting.done()
    over(under_way[1])
    assert await within(waiting, "none is under way") is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "limits"),
        ({"limits": []}, "at least 1"),
        ({"limits": [{}]}, "max"),
        ({"limits": [{"max": 0}]}, "greater than or equal to 1"),
        ({"limits": [{"max": 1, "key": []}]}, "at least 1"),
        ({"limits": [{"max": 1, "key": ["captures"]}]}, "expected project_id, user_id, client_ip"),
        ({"limits": [{"max": 1, "key": ["header:"]}]}, "or header:NAME, got 'header:'"),
        ({"limits": [{"max": 1, "queue": {}}]}, "max"),
        ({"limits": [{"max": 1, "queue": {"max": 1, "timeout": "0s"}}]}, "greater than 0"),
        ({"limits": [{"max": 1}], "status": 413}, "429 or 503"),
        ({"limits": [{"max": 1, "name": "a"}, {"max": 2, "name": "a"}]}, "two limits are named 'a'"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        made(**options)
