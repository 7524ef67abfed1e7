"""So many requests are under way at once over all workers; permits come back from clients that go and workers that die."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.config.model import Address
from tests.cli.process import START
from tests.supervisor.test_never_down import Service, running, written
from tests.support.client import Client, get
from tests.support.deadline import until, within
from tests.support.upstream import OK, Conversation, Upstream

WORKERS = 3

pytestmark = pytest.mark.timeout(180)


def limited(directory: Path, url: str, **limit: object) -> Path:
    limits = [{"key": ["client_ip"], **limit}]
    return written(directory, url, filters=[{"concurrency": {"limits": limits}}])


class Callers:
    """Requests that are under way at an upstream which does not answer, and those that were refused."""

    def __init__(self, stack: AsyncExitStack, place: Address, upstream: Upstream) -> None:
        self._stack = stack
        self._place = place
        self._upstream = upstream
        self.passed: list[Client] = []
        self.refused = 0

    async def call(self) -> None:
        client = await self._stack.enter_async_context(await Client.connect(self._place))
        await client.send(get("/"))
        answered = asyncio.ensure_future(client.status())
        arrived = asyncio.ensure_future(self._upstream.accepted())
        await within(
            asyncio.wait((answered, arrived), return_when=asyncio.FIRST_COMPLETED), "it is decided", START
        )
        if answered.done():
            assert answered.result() == 429
            self.refused += 1
        else:
            self.passed.append(client)
        for task in (answered, arrived):
            task.cancel()
        await asyncio.gather(answered, arrived, return_exceptions=True)


async def spread(service: Service) -> int:
    """How many workers have carried requests."""
    return sum(worker["requests"] + worker["active"] > 0 for worker in await service.workers())


async def test_permits_come_back_from_clients_that_go_and_workers_that_are_killed(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        path = limited(tmp_path, upstream.url, max=4)
        async with running(path, tmp_path, WORKERS) as service, AsyncExitStack() as stack:
            callers = Callers(stack, service.address, upstream)
            for _ in range(20):
                await callers.call()
            assert (len(callers.passed), callers.refused) == (4, 16)
            assert await spread(service) > 1

            callers.passed.pop().reset()
            callers.passed.pop().reset()
            async with asyncio.timeout(START):
                while len(callers.passed) < 4:
                    await callers.call()
            callers.refused = 0
            for _ in range(5):
                await callers.call()
            assert callers.refused == 5

            for worker in await service.workers():
                os.kill(worker["pid"], signal.SIGKILL)
            await until(
                lambda: service.process.stderr.count('"worker_started"') == WORKERS, "they are back", START
            )
            callers.passed.clear()
            callers.refused = 0
            for _ in range(8):
                await callers.call()
            assert (len(callers.passed), callers.refused) == (4, 4)
            for client in callers.passed:
                client.close()


async def test_those_who_wait_are_carried_one_after_another_by_whichever_worker(tmp_path: Path) -> None:
    under_way = most = 0

    async def script(conversation: Conversation) -> None:
        nonlocal under_way, most
        while await conversation.next_request() is not None:
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            await conversation.send(OK)

    async with Upstream(script) as upstream:
        path = limited(tmp_path, upstream.url, max=1, queue={"max": 100, "timeout": "60s"})
        async with running(path, tmp_path, WORKERS) as service:

            async def ask() -> int:
                async with await Client.connect(service.address) as client:
                    return (await client.ask(get("/"))).status

            assert await asyncio.gather(*(ask() for _ in range(30))) == [200] * 30
            assert most == 1
            assert await spread(service) > 1


async def test_a_reload_s_greater_max_lets_those_in_who_wait_in_every_worker(tmp_path: Path) -> None:
    queue = {"max": 100, "timeout": "60s"}
    async with Upstream() as upstream:
        path = limited(tmp_path, upstream.url, name="all", max=1, queue=queue)
        async with running(path, tmp_path, WORKERS) as service, AsyncExitStack() as stack:
            for _ in range(12):
                client = await stack.enter_async_context(await Client.connect(service.address))
                await client.send(get("/"))
            await within(upstream.accepted(), "one is under way", START)
            async with asyncio.timeout(START):
                while sum(worker["active"] for worker in await service.workers()) < 12:
                    await asyncio.sleep(0)
            limited(tmp_path, upstream.url, name="all", max=12, queue=queue)
            assert (await service.asked("/reload", "POST"))["applied"]
            for _ in range(11):
                await within(upstream.accepted(), "there is room for all", START)
