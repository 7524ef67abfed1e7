"""The gateway as a whole: it starts or says why not, tells whether it is ready, and drains."""

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog

from gateway.app import StartError
from gateway.config.model import Address
from gateway.config.problem import ConfigurationError
from tests.cli.process import Process, weir
from tests.support.authority import Authority
from tests.support.client import Client, get, post, refuses
from tests.support.deadline import DEADLINE, until, within
from tests.support.gateway import Running, configuration, running
from tests.support.upstream import OK, Conversation, Upstream, closed_port, echo

NOWHERE = "http://127.0.0.1:9"


def opened() -> tuple[int, list[str]]:
    """What this process holds open: descriptors, and the threads of request logs."""
    threads = [thread.name for thread in threading.enumerate() if thread.name == "request-log"]
    return len(os.listdir("/proc/self/fd")), threads


async def asked(address: Address | None, page: str) -> tuple[int, str]:
    """Status and text of a page of the admin listener."""
    assert address is not None
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{page}") as response:
        return response.status, await response.text()


# ---- start


async def test_listens_where_it_says() -> None:
    async with running(configuration(NOWHERE, admin="127.0.0.1:0")) as gateway:
        assert gateway.gateway.admin_address is not None
        ports = [gateway.address.port, gateway.gateway.admin_address.port]
        assert 0 not in ports
        assert [await refuses(Address("127.0.0.1", port)) for port in ports] == [False, False]
        client = await gateway.connect()
        assert (await client.ask(get("/"))).status == 503


async def test_a_port_in_use_stops_the_start_and_leaves_nothing_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        before = opened()
        for options in (
            {"listen": address},
            {"listen": ["127.0.0.1:0", address]},
            {"admin": address},
        ):
            text = configuration(NOWHERE, log={"path": str(tmp_path / "requests.log")}, **options)
            with pytest.raises(StartError) as caught:
                async with running(text):
                    pass
            admin = " (admin)" if "admin" in options else ""
            assert str(caught.value) == f"cannot listen on {address}{admin}: the address is in use"
            assert opened() == before


async def test_a_start_that_failed_gives_back_the_port_that_it_had(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = closed_port()
        text = configuration(NOWHERE, listen=f"127.0.0.1:{free}", admin=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(StartError):
            async with running(text):
                pass
    assert await refuses(Address("127.0.0.1", free))


@pytest.mark.parametrize("path", ["absent/requests.log", "."])
async def test_a_log_that_cannot_be_written_stops_the_start(tmp_path: Path, path: str) -> None:
    before = opened()
    text = configuration(NOWHERE, log={"path": str(tmp_path / path)})
    with pytest.raises(
        ConfigurationError, match=r"gateway.yaml:\d+:\d+: log.path: the request log .*cannot be written"
    ):
        async with running(text):
            pass
    assert opened() == before


async def test_a_stop_closes_everything(tmp_path: Path) -> None:
    before = opened()
    text = configuration(NOWHERE, admin="127.0.0.1:0", log={"path": str(tmp_path / "requests.log")})
    async with running(text) as gateway:
        ports = [gateway.address.port, gateway.gateway.admin_address.port]  # type: ignore[union-attr]
        assert await gateway.gateway.stop()
        assert [await refuses(Address("127.0.0.1", port)) for port in ports] == [True, True]
        assert opened() == before
        assert await gateway.gateway.stop()  # once more is harmless


# ---- readiness and drain


@asynccontextmanager
async def uploading(gateway: Running) -> AsyncIterator[Client]:
    """A client in the middle of an upload."""
    client = await gateway.connect()
    await client.send(post(b"x" * 10)[:-5])
    await until(lambda: gateway.listener.active_count == 1, "the exchange is in progress")
    yield client


async def test_is_ready_until_it_drains_and_live_until_it_ends() -> None:
    async with (
        Upstream(echo) as upstream,
        running(configuration(upstream.url, admin="127.0.0.1:0")) as gateway,
    ):
        admin = gateway.gateway.admin_address
        assert await asked(admin, "/readyz") == (200, "ok\n")
        async with uploading(gateway) as client:
            stopping = asyncio.create_task(gateway.gateway.stop())
            await until(lambda: gateway.listener.draining, "the gateway drains")
            assert await asked(admin, "/readyz") == (503, "not ready: accepting\n")
            assert await asked(admin, "/livez") == (200, "ok\n")
            assert not stopping.done()
            await client.send(b"x" * 5)
            assert (await client.answer("POST")).body == b'{"bytes": 10}'
            assert await within(stopping, "the drain ends with the exchange")


async def test_a_drain_refuses_new_connections_and_ends_idle_ones_and_answers_the_rest() -> None:
    async with Upstream(echo) as upstream, running(configuration(upstream.url)) as gateway:
        idle = await gateway.connect()
        assert (await idle.ask(get("/"))).status == 200
        async with uploading(gateway) as client:
            stopping = asyncio.create_task(gateway.gateway.stop())
            assert not await idle.fill()
            assert await refuses(gateway.address)
            await client.send(b"x" * 5)
            answer = await client.answer("POST")
            assert (answer.status, answer.body) == (200, b'{"bytes": 10}')
            assert answer.get("Connection") == "close"
            assert not await client.fill()
            assert await within(stopping, "the drain ends with the exchange")


async def test_an_exchange_that_outlasts_the_drain_is_cut_off_and_recorded() -> None:
    async with (
        Upstream(echo) as upstream,
        running(configuration(upstream.url)) as gateway,
        uploading(gateway) as client,
    ):
        assert not await gateway.gateway.stop(0.05)
        assert not await client.fill()
        record = await gateway.record()
        assert (record["gateway.decision"], record["gateway.reason"]) == ("abort", "gateway_stopped")


# ---- signals


@asynccontextmanager
async def draining(directory: Path) -> AsyncIterator[tuple[Process, Client, Conversation]]:
    """`weir run` as a process that was sent SIGTERM in the middle of an upload, the first half of which is forwarded."""
    async with Upstream() as upstream:
        path = directory / "gateway.yaml"
        options: dict[str, Any] = {"admin": "127.0.0.1:0", "drain_timeout": "60s", "log": {"path": "-"}}
        path.write_text(configuration(upstream.url, **options))
        async with weir("run", path, directory=directory) as process:
            place = Address("127.0.0.1", (await process.listens()).port)
            async with await Client.connect(place) as client:
                await client.send(post(b"x" * 10)[:-5])
                conversation = await upstream.accepted()
                await conversation.request_head()
                assert await conversation.take(5) == b"x" * 5
                process.signal(signal.SIGTERM)
                await process.prints('"draining"', to="stderr")
                async with asyncio.timeout(DEADLINE):
                    while not await refuses(place):  # the log tells it before it is done
                        pass
                yield process, client, conversation


def outcome(process: Process) -> tuple[bool, list[tuple[int | None, str, str]]]:
    """Whether the drain was clean, and for each record its status, None where nothing was sent, decision and reason."""
    told = json.loads(process.stderr.splitlines()[-1])
    assert told["event"] == "stopped"
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    return told["clean"], [
        (line.get("http.response.status_code"), line["gateway.decision"], line["gateway.reason"])
        for line in lines
        if "gateway.request_id" in line
    ]


async def test_sigterm_lets_an_upload_end_and_leaves_with_status_0(tmp_path: Path) -> None:
    async with draining(tmp_path) as (process, client, conversation):
        assert process.popen.poll() is None
        await client.send(b"x" * 5)
        assert await conversation.take(5) == b"x" * 5
        await conversation.send(OK)
        answer = await client.answer("POST")
        assert (answer.status, answer.body, answer.get("Connection")) == (200, b"ok", "close")
        assert await process.ends() == 0
    assert outcome(process) == (True, [(200, "forward", "passed")])


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_cuts_the_drain_short(tmp_path: Path, second: signal.Signals) -> None:
    async with draining(tmp_path) as (process, client, conversation):
        process.signal(second)
        assert await process.ends() == 0
        assert not await client.fill()
        assert not await conversation.fill()
    assert outcome(process) == (False, [(None, "abort", "gateway_stopped")])


# ---- several places


async def test_every_place_is_told_with_what_is_spoken_there(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = authority.issue(life=(timedelta(hours=-2), timedelta(hours=-1))).options
    listen: list[Any] = [
        "127.0.0.1:0",
        {"unix": "weir.sock"},
        {"address": "127.0.0.1:0", "tls": tls, "proxy_protocol": {"trusted": ["unix"]}},
    ]
    with structlog.testing.capture_logs() as logs:
        async with running(configuration(NOWHERE, listen=listen), directory=tmp_path) as gateway:
            first, second, third = gateway.gateway.addresses
            told = [str(first), f"unix:{tmp_path}/weir.sock", f"{third} tls proxy_protocol"]
            assert str(second) == told[1]
            async with await Client.connect(second) as client:
                assert (await client.ask(get("/"))).status == 503
    assert [line["listen"] for line in logs if line["event"] == "started"] == [told]
    assert [line["event"] for line in logs].count("certificate_expired") == 1
    assert not (tmp_path / "weir.sock").exists()


async def test_a_certificate_that_is_no_good_stops_the_start(tmp_path: Path) -> None:
    before = opened()
    listen = ["127.0.0.1:0", {"address": "127.0.0.1:0", "tls": {"certificate": "no.pem"}}]
    with pytest.raises(
        ConfigurationError, match=r"listen\[1\]\.tls\.certificate: the file 'no\.pem' cannot be read"
    ):
        async with running(configuration(NOWHERE, listen=listen), directory=tmp_path):
            pass
    assert opened() == before
