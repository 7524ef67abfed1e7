"""Limits of several gateways in a real Redis: one limit for all, and what happens while it is dead, frozen, or cut off."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.api import StoreOptions
from gateway.store import RedisStore
from tests.support.client import get
from tests.support.deadline import DEADLINE, until
from tests.support.fault_proxy import FaultProxy
from tests.support.gateway import Running, proxy
from tests.support.redis import Redis, redis
from tests.support.upstream import Upstream, echo


def filters(url: str, rate: str = "20/hour", **options: Any) -> list[dict[str, Any]]:
    store = {"url": url, "timeout": "200ms", **options.pop("store", {})}
    limits = [{"name": "all", "rate": rate, "key": ["client_ip"]}]
    return [{"rate_limit": {"limits": limits, "store": store, **options}}]


async def asked(gateway: Running, number: int) -> list[int]:
    client = await gateway.connect()
    return [(await client.ask(get("/"))).status for _ in range(number)]


@asynccontextmanager
async def pair(server: Redis, **options: Any) -> AsyncIterator[tuple[Running, Running]]:
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, filters=filters(server.url, **options)) as first,
        proxy(upstream, filters=filters(server.url, **options)) as second,
    ):
        yield first, second


async def test_two_gateways_admit_together_what_one_would(tmp_path: Path) -> None:
    async with redis(tmp_path) as server, pair(server, rate="50/hour", store={"timeout": "5s"}) as gateways:
        answers = await asyncio.gather(*(asked(gateway, 8) for gateway in gateways for _ in range(5)))
        statuses = [status for each in answers for status in each]
        assert (statuses.count(200), statuses.count(413)) == (50, 30)


async def test_with_shares_drawn_ahead_they_admit_no_more(tmp_path: Path) -> None:
    async with (
        redis(tmp_path) as server,
        pair(server, rate="200/hour", store={"lease": {"share": 8}, "timeout": "5s"}) as gateways,
    ):
        answers = await asyncio.gather(*(asked(gateway, 40) for gateway in gateways for _ in range(4)))
        passed = sum(each.count(200) for each in answers)
        assert 200 - 2 * 8 <= passed <= 200


@pytest.mark.parametrize(("on_error", "status"), [("local", 200), ("allow", 200), ("deny", 503)])
async def test_a_store_that_dies_or_freezes_holds_no_request_up(
    tmp_path: Path, on_error: str, status: int
) -> None:
    async with redis(tmp_path) as server, pair(server, on_store_error=on_error) as (first, second):
        assert await asked(first, 2) == [200, 200]
        server.signal(signal.SIGSTOP)
        assert await asked(first, 2) == [status, status]
        server.signal(signal.SIGCONT)
        await server.stop()
        assert await asked(second, 2) == [status, status]
        await server.start()
        assert await by_the_store(first)


def steps(gateway: Running) -> list[dict[str, Any]]:
    """What the filter has said of each exchange."""
    return [record["gateway.filters"][0] for record in gateway.gateway.records]


async def by_the_store(gateway: Running) -> bool:
    """Asks until the store decides again."""
    async with asyncio.timeout(DEADLINE):
        while True:
            await asked(gateway, 1)
            await until(lambda: bool(steps(gateway)), "there is a record")
            if steps(gateway)[-1].get("facts", {}).get("store"):
                return True


async def test_a_gateway_that_is_cut_off_counts_for_itself_and_comes_back(tmp_path: Path) -> None:
    async with (
        redis(tmp_path) as server,
        FaultProxy(server.port) as between,
        Upstream(echo) as upstream,
        proxy(upstream, filters=filters(server.url, "6/hour")) as near,
        proxy(upstream, filters=filters(f"redis://127.0.0.1:{between.port}", "6/hour")) as far,
    ):
        assert await asked(far, 2) == [200, 200]
        await between.set("hang")
        assert await asked(far, 7) == [200] * 6 + [413]  # what it has counted itself
        # What both have, as far as the store was told; it may have heard what far has given up to wait for.
        assert (await asked(near, 5)).count(200) in (3, 4)
        await far.records(9)
        reasons = [step["reason"] for step in steps(far)[2:]]
        assert reasons == ["rate_counted_locally"] * 6 + ["rate_limited"]
        await between.set("pass")
        assert await by_the_store(far)
        assert await asked(far, 1) == [413]


@pytest.mark.parametrize(("on_error", "ready"), [("local", 200), ("deny", 503)])
async def test_a_gateway_whose_store_is_away_is_ready_where_it_can_do_without(
    tmp_path: Path, on_error: str, ready: int
) -> None:
    async with (
        redis(tmp_path) as server,
        Upstream(echo) as upstream,
        proxy(upstream, filters=filters(server.url, on_store_error=on_error), admin="127.0.0.1:0") as gateway,
    ):
        await shows(gateway, "[+] rate_limit:store: ok", 200)
        await server.stop()
        await shows(gateway, "[-] rate_limit:store: failed", ready)
        await server.start()
        await shows(gateway, "[+] rate_limit:store: ok", 200)


@pytest.mark.parametrize(("on_error", "status", "ready"), [("local", 200, 200), ("deny", 503, 503)])
async def test_a_store_that_is_full_is_as_good_as_away(
    tmp_path: Path, on_error: str, status: int, ready: int
) -> None:
    async with (
        redis(tmp_path) as server,
        Upstream(echo) as upstream,
        proxy(upstream, filters=filters(server.url, on_store_error=on_error), admin="127.0.0.1:0") as gateway,
    ):
        operator = RedisStore(StoreOptions(url=server.url), None)
        assert await asked(gateway, 1) == [200]
        await operator.command("CONFIG", "SET", "maxmemory", "1")
        assert await asked(gateway, 1) == [status]
        await shows(gateway, "[-] rate_limit:store: failed", ready)
        await operator.command("CONFIG", "SET", "maxmemory", "0")
        await shows(gateway, "[+] rate_limit:store: ok", 200)
        assert await asked(gateway, 1) == [200]
        operator.close()


async def shows(gateway: Running, line: str, status: int) -> None:
    """Nobody asks the gateway for anything meanwhile: it finds out by itself."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(DEADLINE):
        while True:
            async with session.get(f"http://{gateway.gateway.admin_address}/readyz?verbose") as response:
                text = await response.text()
                if line in text and response.status == status:
                    return
            await asyncio.sleep(0.02)
