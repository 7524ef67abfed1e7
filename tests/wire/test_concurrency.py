"""`concurrency` and `priority` on the wire: who waits, who goes first, who is refused, and that every place comes back."""

import asyncio
from typing import Any

import pytest

from tests.support.client import Client, get
from tests.support.deadline import until
from tests.support.gateway import Running, proxy
from tests.support.upstream import OK, Conversation, Upstream, echo

TOKENS = [
    {"token": f"token-{name}-0123456789", "user": name, "user_id": name, "project_id": "p", "roles": [name]}
    for name in ("admin", "member", "batch")
]
FILTERS = [{"token_auth": {"providers": [{"static": {"tokens": TOKENS}}]}}]
PRIORITY = [{"name": "operators", "roles": ["admin"]}, {"name": "rest", "roles": ["member"]}]


def routes(**options: Any) -> list[dict[str, Any]]:
    return [{"name": "any", "path": "/{rest*}", "upstream": "main", **options}]


async def asks(gateway: Running, target: str, user: str | None = None) -> Client:
    client = await gateway.connect()
    await client.send(get(target, *([f"X-Auth-Token: token-{user}-0123456789"] if user else [])))
    return client


def waiting(gateway: Running) -> int:
    return sum(limiter.waiting for limiter in gateway.gateway.plan.limiters)


async def in_progress(upstream: Upstream) -> Conversation:
    conversation = await upstream.accepted()
    await conversation.request()
    return conversation


@pytest.mark.parametrize("scope", ["route", "upstream"])
async def test_one_too_many_is_refused_and_the_record_says_for_whose_limit(scope: str) -> None:
    limit = {"concurrency": {"limit": 1, "queue_timeout": "3s"}}
    options: dict[str, Any] = {"routes": routes(**limit)} if scope == "route" else {"upstream_options": limit}
    async with Upstream() as upstream, proxy(upstream, **options) as gateway:
        first = await asks(gateway, "/first")
        conversation = await in_progress(upstream)
        second = await asks(gateway, "/second")
        answer = await second.answer()
        assert (answer.status, answer.get("retry-after"), answer.closes) == (503, "3", False)
        record = await gateway.record()
        assert (record["gateway.decision"], record["gateway.reason"]) == (
            "refuse",
            f"{scope}_concurrency_exceeded",
        )
        assert "gateway.upstream.attempts" not in record
        await conversation.send(OK)
        assert (await first.answer()).status == 200
        await second.send(get("/third"))
        await conversation.answer()
        assert (await second.answer()).status == 200
        (limiter,) = gateway.gateway.plan.limiters
        await until(lambda: limiter.active == 0, "all places are free")
        metrics = gateway.gateway.metrics.render().decode()
        name = "any" if scope == "route" else "main"
        assert (
            f'gateway_concurrency_refused_total{{cause="queue_full",name="{name}",scope="{scope}"}} 1.0'
            in metrics
        )


async def test_those_who_wait_go_in_the_order_of_their_classes() -> None:
    limit = {"concurrency": {"limit": 1, "queue": 5, "queue_timeout": "30s"}}
    async with (
        Upstream() as upstream,
        proxy(upstream, upstream_options=limit, filters=FILTERS, priority=PRIORITY) as gateway,
    ):
        first = await asks(gateway, "/first", "member")
        conversation = await in_progress(upstream)
        clients = []
        for number, user in enumerate(("batch", "member", "admin", "member")):
            clients.append(await asks(gateway, f"/{user}-{number}", user))
            await until(lambda number=number: waiting(gateway) == number + 1, "it waits")  # type: ignore[misc]
        await conversation.send(OK)
        order = []
        for _ in clients:
            order.append((await conversation.request()).target.decode())
            await conversation.send(OK)
        assert order == ["/admin-2", "/member-1", "/member-3", "/batch-0"]
        for client in (first, *clients):
            assert (await client.answer()).status == 200
        waits = {record["url.path"]: record.get("gateway.queue_ms", 0) for record in await gateway.records(5)}
        assert waits.pop("/first") == 0
        assert 0 < waits["/admin-2"] < waits["/batch-0"]


async def test_a_request_of_a_higher_class_takes_the_place_of_one_of_the_lowest() -> None:
    limit = {"concurrency": {"limit": 1, "queue": 1, "queue_timeout": "30s"}}
    async with (
        Upstream() as upstream,
        proxy(upstream, upstream_options=limit, filters=FILTERS, priority=PRIORITY) as gateway,
    ):
        first = await asks(gateway, "/first", "member")
        conversation = await in_progress(upstream)
        low = await asks(gateway, "/low", "batch")
        await until(lambda: waiting(gateway) == 1, "it waits")
        high = await asks(gateway, "/high", "admin")
        answer = await low.answer()
        assert (answer.status, answer.get("retry-after")) == (503, "30")
        await conversation.send(OK)
        assert (await conversation.answer()).target == b"/high"
        assert [(await one.answer()).status for one in (first, high)] == [200, 200]


async def test_who_waits_too_long_is_refused_and_who_leaves_is_forgotten() -> None:
    limit = {"concurrency": {"limit": 1, "queue": 2, "queue_timeout": "100ms"}}
    async with Upstream() as upstream, proxy(upstream, routes=routes(**limit)) as gateway:
        first = await asks(gateway, "/first")
        conversation = await in_progress(upstream)
        second = await asks(gateway, "/second")
        assert (await second.answer()).status == 503
        third = await asks(gateway, "/third")
        await until(lambda: waiting(gateway) == 1, "it waits")
        third.reset()
        await until(lambda: waiting(gateway) == 0, "it waits no longer")
        await conversation.send(OK)
        assert (await first.answer()).status == 200
        reasons = [record["gateway.reason"] for record in await gateway.records(3)]
        assert sorted(reasons) == ["client_disconnected", "passed", "route_concurrency_exceeded"]
        (limiter,) = gateway.gateway.plan.limiters
        assert (limiter.active, limiter.waiting) == (0, 0)


async def test_the_limits_of_route_and_upstream_hold_together_and_all_places_come_back() -> None:
    async with (
        Upstream(echo) as upstream,
        proxy(
            upstream,
            upstream_options={"concurrency": {"limit": 3, "queue": 20, "queue_timeout": "30s"}},
            routes=routes(concurrency={"limit": 5, "queue": 20, "queue_timeout": "30s"}),
        ) as gateway,
    ):
        clients = [await gateway.connect() for _ in range(20)]
        for _ in range(5):
            found = await asyncio.gather(*(client.ask(get("/a")) for client in clients))
            assert {answer.status for answer in found} == {200}
        assert len(upstream.conversations) <= 3
        assert [(one.active, one.waiting) for one in gateway.gateway.plan.limiters] == [(0, 0), (0, 0)]


async def test_a_body_that_arrives_while_its_request_waits_is_not_lost() -> None:
    limit = {"concurrency": {"limit": 1, "queue": 2, "queue_timeout": "30s"}}
    async with Upstream() as upstream, proxy(upstream, routes=routes(**limit)) as gateway:
        first = await asks(gateway, "/first")
        conversation = await in_progress(upstream)
        second = await gateway.connect()
        await second.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        await until(lambda: waiting(gateway) == 1, "it waits")
        await second.send(b"world")
        await conversation.send(OK)
        assert (await first.answer()).status == 200
        assert (await conversation.answer()).body == b"helloworld"
        assert (await second.answer()).status == 200


async def test_an_adaptive_limit_measures_the_upstream() -> None:
    options = {"concurrency": {"adaptive": {"start": 4, "interval": "100ms"}, "queue": 50}}
    async with Upstream(echo) as upstream, proxy(upstream, upstream_options=options) as gateway:
        (limiter,) = gateway.gateway.plan.limiters
        assert limiter.gradient is not None
        clients = [await gateway.connect() for _ in range(12)]
        while limiter.gradient.usual is None:
            found = await asyncio.gather(*(client.ask(get("/a")) for client in clients))
            assert {answer.status for answer in found} == {200}
        assert 0 < limiter.gradient.usual < 5
        assert limiter.active == 0
