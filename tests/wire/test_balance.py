"""Which of several upstreams a request reaches, on the wire."""

from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from tests.support.client import Client, get, post
from tests.support.deadline import until
from tests.support.gateway import Running, proxy
from tests.support.upstream import Conversation, Upstream, answers, closed_port

TOKENS = {
    "token_auth": {
        "providers": [
            {
                "static": {
                    "tokens": [{"token": f"token-{n}", "user": "u", "project_id": f"p{n}"} for n in range(8)]
                }
            }
        ]
    }
}


def named(name: str, status: int = 200) -> Upstream:
    """An upstream that says which one it is."""
    return Upstream(
        answers(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(name), name.encode()))
    )


async def ask(client: Client, *lines: str, target: str = "/") -> str:
    answer = await client.ask(get(target, *lines))
    assert answer.status == 200, answer.body
    return answer.body.decode()


async def test_weights_are_obeyed() -> None:
    async with named("a") as a, named("b") as b:
        options = {"endpoints": [{"url": a.url, "weight": 3}, b.url]}
        async with proxy([], upstream_options=options) as gateway:
            client = await gateway.connect()
            assert Counter([await ask(client) for _ in range(16)]) == {"a": 12, "b": 4}


async def test_the_less_busy_one_gets_the_next_request() -> None:
    def on_their_way(count: int) -> bool:
        return len(a.conversations) + len(b.conversations) == count

    async with (
        Upstream() as a,
        Upstream() as b,
        proxy([a.url, b.url], upstream_options={"balance": "least_request"}) as gateway,
    ):
        clients = [await gateway.connect() for _ in range(6)]
        for number, client in enumerate(clients):
            await client.send(get(f"/{number}"))
            await until(partial(on_their_way, number + 1), "the request is on its way")
        assert (len(a.conversations), len(b.conversations)) == (3, 3)
        for upstream in (a, b):
            for _ in range(3):
                await (await upstream.accepted()).answer()
        for client in clients:
            assert (await client.answer()).status == 200
        members = gateway.pools["main"].selection.members
        assert [member.active for member in members] == [0, 0]


@pytest.mark.parametrize("hash", ["header:x-shard", "param:image", "project_id"])
async def test_requests_of_one_key_go_to_one_endpoint(hash: str) -> None:
    async with AsyncExitStack() as stack:
        upstreams = [await stack.enter_async_context(named(name)) for name in "abc"]
        gateway = await stack.enter_async_context(
            proxy(
                [upstream.url for upstream in upstreams],
                upstream_options={"balance": "consistent_hash", "hash": hash},
                filters=[TOKENS],
                routes=[{"name": "any", "path": "/{image}", "upstream": "main"}],
            )
        )
        client = await gateway.connect()
        found: dict[int, set[str]] = {}
        for key in range(8):
            found[key] = {
                await ask(client, f"X-Shard: s{key}", f"X-Auth-Token: token-{key}", target=f"/i{key}")
                for _ in range(3)
            }
        assert all(len(names) == 1 for names in found.values())
        assert len(set().union(*found.values())) > 1


async def test_a_project_is_on_one_side_of_the_canary() -> None:
    async with named("main") as main, named("canary") as canary:
        options = {
            "hash": "project_id",
            "canary": {"endpoints": [canary.url], "percent": 50, "sticky": True},
        }
        async with proxy(main, upstream_options=options, filters=[TOKENS]) as gateway:
            client = await gateway.connect()
            sides = [
                {await ask(client, f"X-Auth-Token: token-{number}") for _ in range(4)} for number in range(8)
            ]
            assert all(len(side) == 1 for side in sides)
            assert len(set().union(*sides)) == 2


async def test_a_tunnel_is_an_attempt_in_progress_until_it_ends() -> None:
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with Upstream() as upstream:
        routes = [{"name": "any", "path": "/{rest*}", "upstream": "main", "upgrade": ["websocket"]}]
        async with proxy(upstream, upstream_options={"ejection": {}}, routes=routes) as gateway:
            (member,) = gateway.pools["main"].selection.members
            client = await gateway.connect()
            await client.send(
                get(
                    "/",
                    "Connection: Upgrade",
                    "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                )
            )
            conversation = await upstream.accepted()
            await conversation.answer(switched)
            assert (await client.head()).first.startswith(b"HTTP/1.1 101")
            assert member.active == 1
            client.close()
            await conversation.rest()
            conversation.close()
            await until(lambda: member.active == 0, "the tunnel is over")


# ---- what fails is left out


async def test_an_endpoint_that_refuses_connections_is_ejected_and_comes_back() -> None:
    async with named("a") as a, Upstream(answers(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")) as b:
        options = {"ejection": {"failures": 2, "time": "200ms"}, "gateway_errors": [503]}
        async with proxy([a.url, b.url], upstream_options=options) as gateway:
            client = await gateway.connect()
            statuses = [(await client.ask(get())).status for _ in range(12)]
            assert statuses.count(503) == 2
            failing = gateway.pools["main"].endpoints[1]
            assert failing.member.ejections == 1
            await until(lambda: not failing.member.ejected, "its time is up")
            statuses = [(await client.ask(get())).status for _ in range(2)]
            assert 503 in statuses


async def test_a_connection_that_cannot_be_made_costs_no_client_anything_and_ejects() -> None:
    async with named("a") as a:
        dead = f"http://127.0.0.1:{closed_port()}"
        async with proxy([dead, a.url], upstream_options={"ejection": {"failures": 3}}) as gateway:
            client = await gateway.connect()
            assert [await ask(client) for _ in range(10)] == ["a"] * 10
            attempts = [len(record["gateway.upstream.attempts"]) for record in await gateway.records(10)]
            assert sorted(attempts) == [1] * 7 + [2] * 3


async def test_a_stale_connection_is_no_failure_of_its_endpoint() -> None:
    async with (
        Upstream() as upstream,
        proxy(upstream, upstream_options={"ejection": {"failures": 1}}) as gateway,
    ):
        (member,) = gateway.pools["main"].selection.members
        client = await gateway.connect()
        await client.send(get())
        old = await upstream.accepted()
        await old.answer()
        await client.answer()
        await until(lambda: gateway.pools["main"].idle_count == 1, "the connection is pooled")
        await client.send(get())
        await old.request()
        old.reset()
        await (await upstream.accepted()).answer()
        assert (await client.answer()).status == 200
        assert (member.active, member.failures) == (0, 0)


async def test_a_client_that_leaves_is_no_failure_of_its_endpoint() -> None:
    async with (
        Upstream() as upstream,
        proxy(upstream, upstream_options={"ejection": {"failures": 1}}) as gateway,
    ):
        (member,) = gateway.pools["main"].selection.members
        client = await gateway.connect()
        await client.send(get())
        await (await upstream.accepted()).request()
        assert member.active == 1
        client.reset()
        await until(lambda: member.active == 0, "the attempt is over")
        assert member.failures == 0


async def test_checks_leave_an_endpoint_out_and_take_it_back() -> None:
    healthy = True

    async def script(conversation: Conversation) -> None:
        while (request := await conversation.next_request()) is not None:
            status = 200 if healthy or request.target != b"/up" else 503
            await conversation.send(b"HTTP/1.1 %d OK\r\nContent-Length: 1\r\n\r\nb" % status)

    health = {"path": "/up", "interval": "10ms", "unhealthy": 2}
    async with (
        named("a") as a,
        Upstream(script) as b,
        proxy([a.url, b.url], upstream_options={"health": health}) as gateway,
    ):
        _, member = gateway.pools["main"].selection.members
        client = await gateway.connect()
        assert {await ask(client) for _ in range(4)} == {"a", "b"}
        healthy = False
        await until(lambda: not member.well, "the checks find it out")
        assert {await ask(client) for _ in range(4)} == {"a"}
        healthy = True
        await until(lambda: member.well, "the checks find it well")
        assert {await ask(client) for _ in range(4)} == {"a", "b"}
        assert all(record["url.path"] == "/" for record in await gateway.records(12)), (
            "checks leave no record"
        )


# ---- refusals


async def refusal(gateway: Running, client: Client, reason: str, *, after: int = 0) -> int:
    """The answer to a request that no endpoint may take, `after` others; its Retry-After."""
    answer = await client.ask(get())
    assert answer.status == 503
    assert not answer.closes
    record = (await gateway.records(after + 1))[-1]
    assert (record["gateway.reason"], record["gateway.decision"]) == (reason, "fail")
    assert record.get("gateway.upstream.attempts", []) == []
    wait = answer.get("retry-after")
    assert wait is not None
    return int(wait)


async def test_an_open_breaker_answers_at_once_and_closes_when_its_probe_succeeds() -> None:
    failing = True

    async def script(conversation: Conversation) -> None:
        while await conversation.next_request() is not None:
            await conversation.send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (502 if failing else 200))

    breaker = {"pool": {"requests": 2, "open": "1s", "probes": 1}}
    async with (
        Upstream(script) as upstream,
        proxy(upstream, upstream_options={"breaker": breaker}) as gateway,
    ):
        client = await gateway.connect()
        assert [(await client.ask(get())).status for _ in range(2)] == [502, 502]
        assert await refusal(gateway, client, "upstream_circuit_open", after=2) == 1
        assert len(upstream.requests) == 2
        failing = False
        pool = gateway.pools["main"]
        assert pool.selection.breaker is not None
        pool.selection.breaker.until = 0.0  # its time is up
        assert (await client.ask(get())).status == 200
        assert pool.status()["breaker"]["state"] == "closed"


async def test_where_no_endpoint_is_well_the_client_is_told_to_come_again() -> None:
    health = {"path": "/up", "interval": "3s"}
    async with named("a", 500) as upstream:
        options = {"health": health, "panic_percent": 0}
        async with proxy(upstream, upstream_options=options) as gateway:
            (member,) = gateway.pools["main"].selection.members
            await until(lambda: not member.well, "the first check is over")
            client = await gateway.connect()
            assert await refusal(gateway, client, "upstream_unavailable") == 3
            answer = await client.ask(post(b"hello"))
            assert (answer.status, answer.closes) == (503, False)
            assert str(upstream.port) not in answer.body.decode()


@pytest.mark.parametrize("request_bytes", [get(), post(b"hello")])
async def test_requests_wait_for_a_connection_and_one_too_many_is_refused(request_bytes: bytes) -> None:
    options: dict[str, Any] = {"max_connections": 1, "max_pending": 1, "pending_timeout": "5s"}
    async with Upstream() as upstream, proxy(upstream, upstream_options=options) as gateway:
        first, second, third = [await gateway.connect() for _ in range(3)]
        pool = gateway.pools["main"]
        await first.send(request_bytes)
        conversation = await upstream.accepted()
        await conversation.request()
        await second.send(request_bytes)
        await until(lambda: pool.pending == 1, "the second waits")
        assert await refusal(gateway, third, "upstream_pool_exhausted") == 1
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert (await first.answer()).status == 200
        await conversation.answer()
        assert (await second.answer()).status == 200
        assert len(upstream.conversations) == 1
        record = (await gateway.records(3))[-1]
        assert record["gateway.upstream.attempts"][0]["reused"] is True


async def test_a_request_that_waits_too_long_is_refused_and_one_whose_client_leaves_makes_room() -> None:
    options: dict[str, Any] = {"max_connections": 1, "pending_timeout": "50ms"}
    async with Upstream() as upstream, proxy(upstream, upstream_options=options) as gateway:
        first, second = [await gateway.connect() for _ in range(2)]
        (member,) = gateway.pools["main"].selection.members
        await first.send(get())
        await (await upstream.accepted()).request()
        answer = await second.ask(get())
        assert (answer.status, answer.get("retry-after")) == (503, "5")
        record = (await gateway.records(1))[0]
        assert record["gateway.reason"] == "upstream_pool_exhausted"
        first.reset()
        await until(lambda: member.active == 0, "the first is over")
        await second.send(get())
        await (await upstream.accepted()).answer()
        assert (await second.answer()).status == 200


async def test_the_metrics_know_the_endpoints() -> None:
    async with named("a") as a, proxy(a, upstream_options={"ejection": {}}) as gateway:
        await ask(await gateway.connect())
        text = gateway.gateway.metrics.render().decode()
        assert f'gateway_upstream_endpoint_up{{endpoint="{a.authority}",upstream="main"}} 1.0' in text
