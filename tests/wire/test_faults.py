"""Three upstreams behind a proxy that fails in every way: what holds whatever they do.

A request that is not idempotent reaches an upstream once at the most; every request is answered once, or its connection
ends; what is answered has been done; retries stay within their budget; and whoever comes back is used again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.client import Client, get, post
from tests.support.fault_proxy import MODES, FaultProxy
from tests.support.gateway import Running, proxy
from tests.support.upstream import Upstream, echo

ATTEMPTS = 3
OPTIONS: dict[str, Any] = {
    "timeouts": {"connect": "500ms", "first_byte": "300ms", "idle": "300ms", "total": "1s"},
    "retries": {
        "attempts": ATTEMPTS,
        "on": ["connect_failure", "reset", "timeout", 503],
        "per_try_timeout": "150ms",
        "backoff": {"base": "1ms", "max": "2ms"},
        "budget": {"percent": 50, "min_concurrent": 3, "min_per_second": 2},
    },
}


class Scene:
    def __init__(self, gateway: Running, upstreams: Sequence[Upstream], faults: Sequence[FaultProxy]) -> None:
        self.gateway = gateway
        self.upstreams = upstreams
        self.faults = faults
        self.answered: dict[str, int] = {}

    async def ask(self, client: Client, method: str, number: int) -> bool:
        """Asks for something that nobody else has asked for; whether the connection is fit for another request."""
        target = f"/{method}-{number}"
        request = post(b"a" * 500, target=target) if method == "POST" else get(target)
        await client.send(request)
        try:
            answer = await client.answer(method)
        except AssertionError:
            # Nothing whole came: then nothing more may come, and the record says that the exchange was broken off.
            assert client.eof
            self.answered[target] = 0
            return False
        self.answered[target] = answer.status
        assert not client.buffer, "one answer, and no byte more"
        return answer.whole and not answer.closes

    def seen(self) -> Counter[str]:
        """How often each target has reached an upstream."""
        return Counter(
            request.target.decode() for upstream in self.upstreams for request in upstream.requests
        )


@asynccontextmanager
async def scene(**more: Any) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        upstreams = [await stack.enter_async_context(Upstream(echo)) for _ in range(3)]
        faults = [await stack.enter_async_context(FaultProxy(one.port)) for one in upstreams]
        gateway = await stack.enter_async_context(
            proxy([one.url for one in faults], upstream_options={**OPTIONS, **more})
        )
        yield Scene(gateway, upstreams, faults)


Step = tuple[Sequence[str], Sequence[str]]


async def play(steps: Sequence[Step]) -> None:
    async with scene() as here:
        number = 0
        clients: list[Client | None] = [None] * 4
        for modes, methods in steps:
            for fault, mode in zip(here.faults, modes, strict=True):
                await fault.set(mode)

            async def go(place: int, method: str, own: int) -> None:
                client = clients[place] or await here.gateway.connect()
                clients[place] = client if await here.ask(client, method, own) else None

            await asyncio.gather(*(go(place, method, number + place) for place, method in enumerate(methods)))
            number += len(methods)
        records = await here.gateway.records(number)
        check(here, records)
        # Nothing is broken for good.
        for fault in here.faults:
            await fault.set("pass")
        client = await here.gateway.connect()
        assert (await client.ask(post(b"hello", target="/after"))).status in (200, 502), "a stale connection"
        assert (await client.ask(get("/again"))).status == 200


def check(here: Scene, records: Sequence[Any]) -> None:
    seen = here.seen()
    for target, status in here.answered.items():
        if target.startswith("/POST"):
            assert seen[target] <= 1, f"{target} was done {seen[target]} times"
        else:
            assert seen[target] <= ATTEMPTS + 1
        if status == 200:
            assert seen[target] >= 1, f"{target} was answered, and nobody has done it"
        assert status in (0, 200, 502, 503, 504)
    assert len({record["url.path"] for record in records}) == len(records) == len(here.answered)
    for record in records:
        assert record.get("http.response.status_code", 0) == here.answered[record["url.path"]] or (
            record["gateway.decision"] == "abort"
        )
    retry = here.gateway.pools["main"].retry
    assert retry is not None
    assert (retry.budget.active, retry.budget.retrying) == (0, 0)


modes = st.lists(st.sampled_from(MODES), min_size=3, max_size=3)
methods = st.lists(st.sampled_from(["GET", "POST"]), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(modes, methods), min_size=1, max_size=4))
def test_whatever_upstreams_do_nothing_is_done_twice_and_everything_is_answered_once(
    steps: Sequence[Step],
) -> None:
    uvloop.run(play(steps))


async def test_each_way_to_fail_is_told_from_the_others() -> None:
    """Without another endpoint, and without another attempt."""
    told: dict[str, tuple[int, str]] = {}
    for mode in MODES:
        if mode in ("pass", "slow", "flap"):
            continue
        async with Upstream(echo) as upstream, FaultProxy(upstream.port) as fault:
            timeouts = {"timeouts": {"first_byte": "200ms"}}
            async with proxy([fault.url], upstream_options=timeouts) as gateway:
                await fault.set(mode)
                client = await gateway.connect()
                answer = await client.ask(post(b"hello"))
                record = await gateway.record()
                told[mode] = (answer.status, record["gateway.reason"])
                (attempt,) = record["gateway.upstream.attempts"]
                assert attempt["error"] == record["gateway.reason"]
                assert attempt["address"] == f"127.0.0.1:{fault.port}" and attempt["total_ms"] >= 0
    # The reset may come while the connection is made, or when it has been.
    assert told.pop("reset") in ((503, "upstream_connect_failed"), (502, "upstream_closed"))
    assert told == {
        "refuse": (503, "upstream_connect_failed"),
        "hang": (504, "upstream_first_byte_timeout"),
        "reset_after_request": (502, "upstream_closed"),
        "truncate": (502, "upstream_closed"),
        "garbage": (502, "upstream_response_invalid"),
        "half_close": (502, "upstream_closed"),
    }


async def test_one_endpoint_that_fails_is_noticed_by_nobody_who_may_be_retried() -> None:
    for mode in ("refuse", "reset", "reset_after_request", "half_close", "flap", "hang"):
        async with scene(retries={**OPTIONS["retries"], "budget": {"percent": 100}}) as here:
            await here.faults[0].set(mode)
            client = await here.gateway.connect()
            for number in range(9):
                assert await here.ask(client, "GET", number), mode
            assert set(here.answered.values()) == {200}, mode


async def test_an_ejected_endpoint_comes_back() -> None:
    ejection = {"failures": 2, "time": "100ms", "max_time": "100ms"}
    async with scene(ejection=ejection) as here:
        await here.faults[0].set("refuse")
        client = await here.gateway.connect()
        number = 0
        pool = here.gateway.pools["main"]
        while not pool.selection.members[0].ejected:
            assert await here.ask(client, "GET", number)
            number += 1
            assert number < 50
        await here.faults[0].set("pass")
        before = len(here.upstreams[0].requests)
        while len(here.upstreams[0].requests) == before:
            assert await here.ask(client, "GET", number)
            number += 1
            await asyncio.sleep(0.002)
            assert number < 2000
        assert set(here.answered.values()) == {200}
