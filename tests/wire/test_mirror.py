"""`mirror`: what a copy is, that nobody waits for it, and that there are never too many."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.upstream.mirror import Mirror
from tests.support.client import chunked, get, post
from tests.support.deadline import until
from tests.support.gateway import Running, proxy, test_filters
from tests.support.upstream import Conversation, Upstream, answers, echo


@asynccontextmanager
async def mirrored(first: Upstream, second: Upstream | str, **options: Any) -> AsyncIterator[Running]:
    url = second if isinstance(second, str) else second.url
    mirror = {"upstream": "second", **options.pop("mirror", {})}
    async with proxy(
        first, upstream_options={"mirror": mirror}, upstreams={"second": {"endpoints": [url]}}, **options
    ) as gateway:
        yield gateway


def mirror_of(gateway: Running) -> Mirror:
    (mirror,) = gateway.gateway.plan.mirrors
    return mirror


def chunks(*data: bytes) -> bytes:
    return b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(*data)


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/a?b=c", "X-Foo: a", "Connection: x-bar", "X-Bar: b"),
        post(b"hello" * 100),
        post(b"", method="DELETE"),
        chunks(b"hello", b" world"),
    ],
    ids=["get", "post", "delete", "chunked"],
)
async def test_a_copy_is_what_the_upstream_got_and_says_that_it_is_one(request_bytes: bytes) -> None:
    async with Upstream(echo) as first, Upstream(echo) as second, mirrored(first, second) as gateway:
        client = await gateway.connect()
        assert (await client.ask(request_bytes)).status == 200
        await until(lambda: mirror_of(gateway).results["2xx"] == 1, "the copy is answered")
        (original,), (copy,) = first.requests, second.requests
        assert copy.get("x-weir-mirror") == "true"
        mark = ("X-Weir-Mirror", "true")
        assert [line for line in copy.head.lines if line != mark] == original.head.lines
        assert (copy.method, copy.target, copy.body) == (original.method, original.target, original.body)


async def test_a_copy_is_made_of_what_filters_have_made_of_the_request() -> None:
    filters = [{"headers": {"request": {"set": {"X-Added": "yes"}, "remove": ["X-Foo"]}}}]
    async with (
        Upstream(echo) as first,
        Upstream(echo) as second,
        mirrored(first, second, filters=filters) as gateway,
    ):
        client = await gateway.connect()
        assert (await client.ask(get("/a", "X-Foo: a"))).status == 200
        await until(lambda: mirror_of(gateway).results["2xx"] == 1, "the copy is answered")
        (copy,) = second.requests
        assert (copy.get("x-added"), copy.get("x-foo")) == ("yes", None)


async def test_what_is_refused_by_a_filter_is_not_copied() -> None:
    registry = test_filters("forbid")
    async with (
        Upstream(echo) as first,
        Upstream(echo) as second,
        mirrored(first, second, registry=registry, filters=[{"test.forbid": {}}]) as gateway,
    ):
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 403
        assert (mirror_of(gateway).sent, len(second.conversations)) == (0, 0)


async def hangs(conversation: Conversation) -> None:
    """Takes connections, and reads nothing."""
    await asyncio.Event().wait()


async def test_a_mirror_that_hangs_slows_nobody_and_holds_a_bounded_number_of_copies() -> None:
    options = {"max_in_flight": 5, "max_body": "16KiB", "timeout": "60s"}
    async with (
        Upstream(echo) as first,
        Upstream(hangs) as second,
        mirrored(first, second, mirror=options) as gateway,
    ):
        mirror = mirror_of(gateway)
        clients = [await gateway.connect() for _ in range(4)]
        for number in range(25):
            request = post(b"a" * 10_000) if number % 2 else get("/a")
            found = await asyncio.gather(*(client.ask(request) for client in clients))
            assert {answer.status for answer in found} == {200}
            assert mirror.in_flight <= 5
        durations = [record["gateway.duration_ms"] for record in await gateway.records(100)]
        assert max(durations) < 2000, "far from the minute that the mirror may take"
        assert (mirror.sent, mirror.dropped["in_flight"], mirror.in_flight) == (5, 95, 5)
        assert len(second.conversations) <= 5
        metrics = gateway.gateway.metrics.render().decode()
        assert 'gateway_mirror_dropped_total{cause="in_flight",name="main",scope="upstream"} 95.0' in metrics
        assert 'gateway_mirror_sent_total{name="main",scope="upstream"} 5.0' in metrics
        assert 'gateway_mirror_in_flight{name="main",scope="upstream"} 5.0' in metrics


async def test_a_copy_that_takes_too_long_is_given_up() -> None:
    async with (
        Upstream(echo) as first,
        Upstream(hangs) as second,
        mirrored(first, second, mirror={"timeout": "50ms"}) as gateway,
    ):
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 200
        await until(lambda: mirror_of(gateway).results["timeout"] == 1, "it is given up")
        assert mirror_of(gateway).in_flight == 0
        await second.conversations[0].gone()


async def test_a_body_beyond_the_limit_is_not_copied_and_holds_nothing() -> None:
    async with (
        Upstream(echo) as first,
        Upstream(echo) as second,
        mirrored(first, second, mirror={"max_body": "1KiB"}) as gateway,
    ):
        client = await gateway.connect()
        for request in (post(b"a" * 2000), chunks(b"a" * 1000, b"b" * 1000)):
            assert (await client.ask(request)).status == 200
        mirror = mirror_of(gateway)
        assert (mirror.dropped["body_too_large"], mirror.in_flight, mirror.sent) == (2, 0, 0)


async def test_a_request_that_never_ends_is_not_copied() -> None:
    async with Upstream() as first, Upstream(echo) as second, mirrored(first, second) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nhello")
        await (await first.accepted()).request_head()
        client.reset()
        await gateway.record()
        mirror = mirror_of(gateway)
        assert (mirror.dropped["incomplete"], mirror.in_flight, mirror.sent) == (1, 0, 0)


async def test_a_mirror_that_refuses_is_counted_and_nothing_else() -> None:
    async with Upstream(echo) as first, Upstream() as second:
        await second.stop_listening()
        async with mirrored(first, second) as gateway:
            client = await gateway.connect()
            assert (await client.ask(get("/a"))).status == 200
            await until(lambda: mirror_of(gateway).results["failed"] == 1, "the copy has failed")
            assert len((await gateway.record())["gateway.upstream.attempts"]) == 1


async def test_answers_of_a_mirror_are_counted_by_their_class_and_its_connections_kept() -> None:
    no = b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"
    async with (
        Upstream(echo) as first,
        Upstream(answers(no)) as second,
        mirrored(first, second) as gateway,
    ):
        client = await gateway.connect()
        for number in range(3):
            assert (await client.ask(get("/a"))).status == 200
            await until(lambda n=number: mirror_of(gateway).results["5xx"] == n + 1, "it is answered")  # type: ignore[misc]
        assert len(second.conversations) == 1


async def test_a_share_of_nothing_copies_nothing_and_a_routes_own_mirror_comes_first() -> None:
    routes = [
        {"name": "a", "path": "/a", "upstream": "main", "mirror": {"upstream": "second", "percent": 0}},
        {"name": "b", "path": "/b", "upstream": "main"},
    ]
    async with (
        Upstream(echo) as first,
        Upstream(echo) as second,
        mirrored(first, second, routes=routes) as gateway,
    ):
        client = await gateway.connect()
        for target in ("/a", "/b"):
            assert (await client.ask(get(target))).status == 200
        by_name = {mirror.name: mirror for mirror in gateway.gateway.plan.mirrors}
        assert {name: mirror.sent for name, mirror in by_name.items()} == {"a": 0, "main": 1}
