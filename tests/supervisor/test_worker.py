"""What a worker answers to what it is asked, here without a process of its own."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway import plan
from gateway.app import Gateway
from gateway.config.load import Loaded, loads
from gateway.listener.opening import Opening, open_place
from gateway.registry import Registry
from gateway.supervisor import message
from gateway.supervisor.worker import Worker
from tests.support.client import Client, get
from tests.support.deadline import within
from tests.support.gateway import configuration


@pytest.fixture
def handover() -> Any:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
async def worker(handover: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    monkeypatch.setattr(Gateway, "_settle_memory", lambda self: None)
    made = Worker(message.Begin(0, 3, console=False), handover[1])
    yield made
    await made.answer(message.Drain(0.0))


def loaded(**options: Any) -> Loaded:
    return loads(configuration("http://127.0.0.1:1", **options), "gateway.yaml", registry=Registry())


async def opened() -> Opening:
    (listen,) = loaded().configuration.listen
    return await open_place(listen, loaded().directory, shared=True)


async def put_in_force(worker: Worker, handover: Any, number: int, opening: Opening, **options: Any) -> Any:
    assert (await worker.answer(message.Prepare(loaded(**options)))).error is None
    for sock in opening.sockets:
        socket.send_fds(handover[0], [b"\0"], [sock.fileno()])
    handed = message.Handed(number, opening.place, len(opening.sockets))
    return await worker.answer(message.Commit((handed,)))


async def test_what_is_prepared_changes_nothing_until_it_is_committed(worker: Worker, handover: Any) -> None:
    opening = await opened()
    assert (await put_in_force(worker, handover, 1, opening)).error is None
    before = worker.gateway.plan
    assert (await worker.answer(message.Prepare(loaded(drain_timeout="9s")))).error is None
    assert worker.gateway.plan is before
    assert (await worker.answer(message.Abandon())).error is None
    assert worker.gateway.plan is before
    opening.close()


async def test_sockets_that_it_has_are_accepted_from_until_they_are_no_longer_named(
    worker: Worker, handover: Any
) -> None:
    first, second = await opened(), await opened()
    await put_in_force(worker, handover, 1, first)
    await put_in_force(worker, handover, 2, second, drain_timeout="9s")
    async with await Client.connect(second.place) as client:
        assert (await client.ask(get("/"))).status == 503
    first.close()  # the supervisor's: nobody has it now
    with pytest.raises(ConnectionRefusedError):
        await Client.connect(first.place)
    second.close()


async def test_a_drain_ends_what_it_accepts_from(worker: Worker, handover: Any) -> None:
    opening = await opened()
    await put_in_force(worker, handover, 1, opening)
    assert (await worker.answer(message.Announce())).error is None
    async with await Client.connect(opening.place) as client:
        answer = await client.ask(get("/"))
        assert answer.closes
    assert (await worker.answer(message.Drain(5.0))).value is True
    opening.close()
    with pytest.raises(ConnectionRefusedError):
        await Client.connect(opening.place)


async def test_a_commit_without_sockets_is_an_error_and_no_end(worker: Worker, handover: Any) -> None:
    opening = await opened()
    await worker.answer(message.Prepare(loaded()))
    handover[1].setblocking(False)
    answer = await worker.answer(message.Commit((message.Handed(1, opening.place, 1),)))
    assert answer.error is not None
    assert await worker.answer(message.Tell("pulse")) == message.Answer(True)
    opening.close()


async def test_exchanges_go_on_while_a_configuration_is_built(
    worker: Worker, handover: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file that is long in coming; what comes of it when it has come is wanted by nobody any more."""
    opening = await opened()
    await put_in_force(worker, handover, 1, opening)
    before = worker.gateway.plan
    slow = tmp_path / "tokens.yaml"
    slow.write_text("- { token: some-token, user: u, roles: [member] }\n")
    comes = threading.Event()

    def read(path: Path) -> bytes:
        assert comes.wait(60)
        return path.read_bytes()

    monkeypatch.setattr(plan, "read_regular", read)
    filters = [{"token_auth": {"providers": [{"static": {"file": str(slow)}}]}}]
    building = asyncio.ensure_future(worker.answer(message.Prepare(loaded(filters=filters))))
    async with await Client.connect(opening.place) as client:
        assert (await client.ask(get("/"))).status == 503
    assert not building.done()
    assert (await worker.answer(message.Abandon())).error is None
    comes.set()
    answer = await within(building, "it is built")
    assert answer.error == "another configuration has come meanwhile"
    assert worker.gateway.plan is before
    opening.close()
