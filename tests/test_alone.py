"""A gateway that is given other configurations while it runs: what goes on, what changes, what ends."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.config.load import Loaded, loads
from gateway.config.model import Address
from gateway.config.problem import ConfigurationError
from gateway.registry import Registry
from tests.support.authority import Authority
from tests.support.client import Client, get, post
from tests.support.deadline import until, within
from tests.support.gateway import Running, configuration, running, test_filters
from tests.support.upstream import OK, Upstream, echo

ELSEWHERE = [{"name": "only", "path": "/only", "upstream": "main"}]
LIMIT = {"rate_limit": {"limits": [{"name": "all", "rate": "2/hour", "burst": 2, "key": ["client_ip"]}]}}


def read(text: str, registry: Registry | None = None) -> Loaded:
    return loads(text, "gateway.yaml", registry=registry or Registry())


async def statuses(gateway: Running, count: int = 1) -> list[int]:
    async with await Client.connect(gateway.address) as client:
        return [(await client.ask(get("/a"))).status for _ in range(count)]


async def test_an_exchange_ends_with_what_it_began_with_and_the_next_has_the_new() -> None:
    async with Upstream() as upstream, running(configuration(upstream.url)) as gateway:
        client = await gateway.connect()
        await client.send(post(b"x" * 10)[:-5])
        conversation = await upstream.accepted()
        await conversation.request_head()
        former = gateway.gateway.plan
        await gateway.gateway.change(read(configuration(upstream.url, routes=ELSEWHERE)))
        assert gateway.gateway.plan is not former
        await client.send(b"x" * 5)
        assert await conversation.take(10) == b"x" * 10
        await conversation.send(OK)
        assert (await client.answer("POST")).status == 200
        assert (await client.ask(get("/a"))).status == 404  # the same connection
        first, second = await gateway.records(2)
        assert first["gateway.revision"] == former.revision
        assert second["gateway.revision"] == gateway.gateway.plan.revision


async def test_filters_are_closed_after_their_last_exchange() -> None:
    registry = test_filters("lasts")
    text = configuration("http://127.0.0.1:1", filters=[{"test.lasts": {}}])
    async with running(text, registry=registry) as gateway:
        client = await gateway.connect()
        lasts: Any = gateway.gateway.plan.entries[0].filter
        await client.send(get("/a"))
        await until(lambda: gateway.listener.active_count == 1, "the exchange waits")
        await gateway.gateway.change(read(configuration("http://127.0.0.1:1")))
        assert not lasts.closed
        lasts.go()
        assert (await client.answer()).status == 503
        await until(lambda: lasts.closed, "the filter is closed")


async def test_what_filters_remember_survives_where_their_definition_is_the_same() -> None:
    async with (
        Upstream(echo) as upstream,
        running(configuration(upstream.url, filters=[LIMIT])) as gateway,
    ):
        assert await statuses(gateway, 2) == [200, 200]
        # Another filter before it, another timeout: the limit is the same.
        text = configuration(upstream.url, filters=[{"ip_allow": {"allow": ["127.0.0.0/8"]}}, LIMIT])
        assert await gateway.gateway.change(read(text)) == ()
        assert await statuses(gateway) == [413]
        renamed = {"rate_limit": {**LIMIT["rate_limit"], "name": "other"}}
        assert await gateway.gateway.change(read(configuration(upstream.url, filters=[renamed]))) == (
            "rate_limit",
        )
        assert await statuses(gateway) == [200]


async def test_connections_to_an_upstream_survive_where_its_definition_is_the_same() -> None:
    async with Upstream(echo) as upstream, running(configuration(upstream.url)) as gateway:
        assert await statuses(gateway) == [200]
        pool = gateway.pools["main"]
        await until(lambda: pool.idle_count == 1, "the connection is kept")
        await gateway.gateway.change(read(configuration(upstream.url, drain_timeout="9s")))
        assert gateway.pools["main"] is pool
        assert pool.idle_count == 1
        await gateway.gateway.change(read(configuration(upstream.url, upstream={"keepalive": "9s"})))
        assert gateway.pools["main"] is not pool
        await until(lambda: pool.idle_count == 0, "the former connections are closed")
        assert await statuses(gateway) == [200]


async def test_an_upstream_with_tls_keeps_its_pool_until_its_files_are_others(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "Other Authority")
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(authority.file.read_bytes())
    text = configuration("https://127.0.0.1:1", upstream={"tls": {"ca": str(trusted)}})
    async with running(text) as gateway:
        pool = gateway.pools["main"]
        await gateway.gateway.change(read(text))
        assert gateway.pools["main"] is pool
        trusted.write_bytes(other.file.read_bytes())
        await gateway.gateway.change(read(text))
        assert gateway.pools["main"] is not pool


async def test_a_configuration_that_cannot_be_built_changes_nothing(tmp_path: Path) -> None:
    async with Upstream(echo) as upstream, running(configuration(upstream.url)) as gateway:
        plan, generation = gateway.gateway.plan, gateway.listener.generation
        broken = configuration(upstream.url, log={"path": str(tmp_path / "absent" / "requests.log")})
        with pytest.raises(ConfigurationError, match="cannot be written"):
            await gateway.gateway.change(read(broken))
        taken = configuration(upstream.url, listen=["127.0.0.1:0", "192.0.2.1:1"])
        with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:1"):
            await gateway.gateway.change(read(taken))
        assert (gateway.gateway.plan, gateway.listener.generation) == (plan, generation)
        assert await statuses(gateway) == [200]


async def test_a_filter_that_does_not_start_changes_nothing() -> None:
    registry = test_filters("no_start")
    async with Upstream(echo) as upstream, running(configuration(upstream.url)) as gateway:
        text = configuration(upstream.url, filters=[{"test.no_start": {}}])
        gateway.gateway._registry = registry
        with pytest.raises(ConfigurationError) as caught:
            await gateway.gateway.change(read(text, registry))
        (problem,) = caught.value.problems
        assert problem.message == "cannot be started: no route to the identity service"
        assert problem.line == text[: text.index("test.no_start")].count("\n") + 1
        assert await statuses(gateway) == [200]


async def test_places_come_and_go_and_stay(tmp_path: Path) -> None:
    unix = str(tmp_path / "weir.sock")
    text = configuration("http://127.0.0.1:1", listen=["127.0.0.1:0", f"unix:{unix}"])
    async with running(text) as gateway:
        stays, goes = gateway.gateway.addresses
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 503
        other = configuration("http://127.0.0.1:1", listen=["127.0.0.1:0", {"address": "[::1]:0"}])
        await gateway.gateway.change(read(other))
        assert gateway.gateway.addresses[0] == stays
        comes = gateway.gateway.addresses[1]
        assert isinstance(comes, Address)
        assert (await client.ask(get("/a"))).status == 503  # the same connection
        async with await Client.connect(comes) as fresh:
            assert (await fresh.ask(get("/a"))).status == 503
        with pytest.raises(FileNotFoundError):
            await Client.connect(goes)


async def test_the_request_log_goes_on_in_another_file(tmp_path: Path) -> None:
    paths = [tmp_path / "one.log", tmp_path / "two.log"]
    texts = [configuration("http://127.0.0.1:1", log={"path": str(path)}) for path in paths]
    async with running(texts[0]) as gateway:
        assert await statuses(gateway) == [503]
        await gateway.gateway.change(read(texts[1]))
        assert await statuses(gateway) == [503]
        first, second = await gateway.records(2)
        assert (first["gateway.sequence"], second["gateway.sequence"]) == (1, 2)
    for path, record, kinds in zip(
        paths, (first, second), (["plan", "request"], ["plan", "request", "end"]), strict=True
    ):
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        assert [line["kind"] for line in lines] == kinds, "it goes on in the other, and ends there"
        assert lines[1] == record


async def test_many_reloads_under_load_lose_nothing() -> None:
    """Small: the processes have their own test."""
    async with Upstream(echo) as upstream, running(configuration(upstream.url)) as gateway:
        over, counted = False, 0

        async def ask() -> list[int]:
            nonlocal counted
            seen: list[int] = []
            async with await Client.connect(gateway.address) as client:
                while not over:
                    seen.append((await client.ask(post(b"x" * 10))).status)
                    counted += 1
            return seen

        clients = [asyncio.create_task(ask()) for _ in range(3)]
        for number in range(20):
            await gateway.gateway.change(read(configuration(upstream.url, drain_timeout=f"{number + 5}s")))
            before = counted
            await until(lambda: counted > before, "exchanges go on")  # noqa: B023 - it is waited for here
        over = True
        seen = await within(asyncio.gather(*clients), "the clients end")
        assert {status for own in seen for status in own} == {200}
        assert gateway.listener.generation.active == 0
