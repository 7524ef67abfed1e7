"""One worker, started and ended by a supervisor."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.config.load import Loaded, loads
from gateway.listener.opening import open_place
from gateway.registry import Registry
from gateway.shared.memory import SharedMemory
from gateway.supervisor import message
from gateway.supervisor.child import CLEAN, Child, WorkerError, WorkerGone
from tests.support.client import Client, get
from tests.support.deadline import within
from tests.support.gateway import configuration

START = 30.0


def loaded() -> Loaded:
    return loads(configuration("http://127.0.0.1:1"), "gateway.yaml", registry=Registry())


@asynccontextmanager
async def begun() -> AsyncIterator[Child]:
    memory = SharedMemory.create()
    child = Child(message.Begin(0, 7, console=False), memory)
    try:
        await child.begin()
        yield child
    finally:
        child.kill()
        await within(child.ended(), "the process ends", START)
        memory.close()


async def test_carries_exchanges_once_a_configuration_is_in_force_and_ends_when_it_is_told_to() -> None:
    (listen,) = loaded().configuration.listen
    opening = await open_place(listen, loaded().directory, shared=True)
    async with begun() as child:
        assert (await child.ask(message.Prepare(loaded()), START)).error is None
        assert not child.ready
        assert await child.commit([(1, opening)]) == message.Committed()
        assert child.ready
        async with await Client.connect(opening.place) as client:
            assert (await client.ask(get("/"))).status == 503
        status = await child.told("status")
        assert (status["pid"], status["requests"]) == (child.pid, 1)
        assert status["memory_bytes"] > 10 << 20
        # Once more: what it has already is not sent again.
        await child.ask(message.Prepare(loaded()), START)
        await child.commit([(1, opening)])
        assert (await child.ask(message.Drain(5.0))).value is True
        assert await within(child.ended(), "it has ended", START) == CLEAN
        opening.close()


async def test_says_what_it_cannot_build() -> None:
    text = configuration("http://127.0.0.1:1", log={"path": "/absent/requests.log"})
    broken = loads(text, "gateway.yaml", registry=Registry())
    async with begun() as child:
        answer = await child.ask(message.Prepare(broken), START)
        assert [problem.key for problem in answer.problems] == ["log.path"]


async def test_one_that_has_ended_says_why() -> None:
    async with begun() as child:
        await child.told("pulse", START)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(WorkerGone, match="killed by SIGKILL"):
            await child.told("status", START)
        assert await child.ended() == "killed by SIGKILL"
        with pytest.raises(WorkerGone, match="killed by SIGKILL"):
            await child.told("status")


async def test_one_that_nobody_waits_for_any_more_while_it_begins_is_heard_to_end() -> None:
    memory = SharedMemory.create()
    child = Child(message.Begin(0, 7, console=False), memory)
    beginning = asyncio.ensure_future(child.begin())
    await asyncio.sleep(0)
    beginning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beginning
    child.kill()
    assert await within(child.ended(), "the process ends", START) == "killed by SIGKILL"
    memory.close()


async def test_one_that_does_not_answer_is_told_from_one_that_fails() -> None:
    async with begun() as child:
        await child.told("pulse", START)
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(WorkerGone, match=r"no answer within 0\.05 s"):
            await child.told("pulse", 0.05)
        os.kill(child.pid, signal.SIGCONT)
        with pytest.raises(WorkerError, match="KeyError in the worker"):
            await child.told("nonsense", START)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
async def test_signals_of_a_terminal_are_not_its_own(number: int) -> None:
    async with begun() as child:
        os.kill(child.pid, number)  # at once: it may not even have begun
        await child.told("pulse", START)
        os.kill(child.pid, number)
        assert await child.told("pulse", START) is True
