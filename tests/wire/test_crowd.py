"""Slow and greedy clients: many connections that want little, and one that wants many."""

import asyncio
import socket
from contextlib import suppress

import pytest

from gateway.config.model import Address
from gateway.listener.connection import REQUEST, TURN
from gateway.record import Record
from tests.support.client import Client, get, post
from tests.support.deadline import settled, until, within
from tests.support.gateway import Running, proxy
from tests.support.upstream import OK, Conversation, Upstream, echo

CROWD = 200


async def from_address(gateway: Running, address: str) -> Client:
    """A connection from another address of this host."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind((address, 0))
    await within(
        asyncio.get_running_loop().sock_connect(sock, tuple(gateway.address)), "a connection from there"
    )
    client = Client(sock, "client")
    gateway._clients.append(client)
    return client


async def trickle(client: Client, data: bytes) -> None:
    """Sends `data` again and again, a byte at a time, until the other side has had enough."""
    with suppress(ConnectionError):
        while not client.eof:
            for byte in data:
                await client.send(bytes([byte]))
                await asyncio.sleep(0.02)


SLOW = {
    "a head that trickles": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-Slow: a\r\n", 408, "header_timeout"),
    "a head that stops": (b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow", b"", 408, "header_timeout"),
    "a request line that stops": (b"G", b"", 408, "header_timeout"),
    "a body that stops": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab",
        b"",
        408,
        "body_timeout",
    ),
    "a chunk that stops": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab",
        b"",
        408,
        "body_timeout",
    ),
    "an extension that trickles": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2;x=",
        b"y",
        408,
        "body_timeout",
    ),
    "trailers that trickle": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n",
        b"X-Slow: a\r\n",
        408,
        "body_timeout",
    ),
    "nothing at all": (b"", b"", None, None),
    "empty lines": (b"\r\n\r\n", b"", None, None),
}


@pytest.mark.parametrize("name", SLOW)
async def test_a_crowd_of_slow_clients_is_cut_to_the_last_one(name: str) -> None:
    """And whoever comes meanwhile is served."""
    begin, more, status, reason = SLOW[name]
    # A crowd takes its time to come: only one that says nothing is to be cut for being idle.
    timeouts = {"header": "300ms", "body": "300ms", "idle": "300ms" if status is None else "60s"}
    async with Upstream(echo) as upstream, proxy(upstream, timeouts=timeouts) as gateway:
        size = CROWD if reason == "header_timeout" else 40
        crowd = [await gateway.connect() for _ in range(size)]
        trickling = []
        for client in crowd:
            if begin:
                await client.send(begin)
            if more:
                trickling.append(asyncio.ensure_future(trickle(client, more)))
        async with await Client.connect(gateway.address) as other:
            assert (await other.ask(get("/other"))).status == 200
        for client in crowd:
            data = await client.rest(10)
            assert status is None or data.startswith(b"HTTP/1.1 %d " % status), data[:80]
            assert status is not None or data == b""
        await until(lambda: gateway.listener.connection_count == 0, "all are cut")
        for task in trickling:
            task.cancel()
        await asyncio.gather(*trickling, return_exceptions=True)
        records = await gateway.records(1 + (size if status is not None else 0))
        assert sum(record["gateway.reason"] == reason for record in records) == (size if reason else 0)


# ---- connections at once


async def refused_at_once(client: Client) -> None:
    """The connection is reset before an answer, whatever the client sends."""
    with suppress(ConnectionError):
        await client.send(get("/refused"))
    assert await client.rest() == b""
    assert client.was_reset


async def served(client: Client) -> None:
    assert (await client.ask(get("/served"))).status == 200


async def test_one_client_has_no_more_connections_than_allowed() -> None:
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, limits={"connections_per_client": 2}) as gateway,
    ):
        first, second = await gateway.connect(), await gateway.connect()
        await served(first)
        await served(second)
        await refused_at_once(await gateway.connect())
        await refused_at_once(await gateway.connect())
        await served(await from_address(gateway, "127.0.0.9"))
        await served(first)
        second.close()
        await until(lambda: gateway.listener.connection_count == 2, "a place is free")
        await served(await gateway.connect())
        metrics = gateway.gateway.metrics.render().decode()
        assert 'gateway_connections_refused_total{reason="too_many_of_client"} 2.0' in metrics
        assert 'gateway_connections_refused_total{reason="too_many"} 0.0' in metrics
        assert {record["url.path"] for record in await gateway.records(5)} == {"/served"}, (
            "no record of others"
        )


async def test_all_clients_have_no_more_connections_than_allowed() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, limits={"connections": 2}) as gateway:
        await served(await gateway.connect())
        await served(await from_address(gateway, "127.0.0.9"))
        await refused_at_once(await from_address(gateway, "127.0.0.8"))
        assert gateway.listener.connection_count == 2
        assert gateway.listener.refusals.counts["too_many"] == 1


async def test_a_trusted_proxy_speaks_for_many_clients() -> None:
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, limits={"connections_per_client": 1}, trusted_proxies=["127.0.0.9/32"]) as gateway,
    ):
        for _ in range(3):
            await served(await from_address(gateway, "127.0.0.9"))
        await served(await gateway.connect())
        await refused_at_once(await gateway.connect())


async def test_a_network_of_ipv6_is_one_client() -> None:
    async with Upstream(echo) as upstream:
        try:
            async with proxy(upstream, listen="[::1]:0", limits={"connections_per_client": 1}) as gateway:
                assert isinstance(gateway.address, Address)
                await served(await gateway.connect())
                await refused_at_once(await gateway.connect())
                assert list(gateway.listener._admission._clients) == ["::/64"]
        except OSError:
            pytest.skip("this host has no IPv6")


async def test_a_drain_ends_though_connections_are_refused_meanwhile() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, limits={"connections": 1}) as gateway:
        await served(await gateway.connect())
        await refused_at_once(await gateway.connect())
        assert await within(gateway.gateway.stop(5.0), "the drain ends")


# ---- pipelining


@pytest.mark.parametrize("depth", [1, 3])
async def test_no_more_pipelined_requests_wait_than_allowed(depth: int) -> None:
    """The rest is not parsed, and in the end not read."""
    async with Upstream() as upstream, proxy(upstream, limits={"pipeline": depth}) as gateway:
        client = await gateway.connect()
        flood = b"".join(
            get(f"/{n}", "X-Filler: " + "a" * 4000) if n % 3 else post(b"a" * 4000, target=f"/{n}")
            for n in range(4000)
        )
        flooding = asyncio.ensure_future(client.send(flood, seconds=60))
        conversation = await upstream.accepted()
        first = await conversation.request()
        assert first.target == b"/0"
        await settled(lambda: client.sent, seconds=30)
        (connection,) = gateway.listener._connections
        assert 0 < len(connection._queue) <= depth
        assert len(connection._unread) <= 512 * 1024
        assert client.sent < len(flood), "a client that has too much in line is not read from"
        assert len(upstream.conversations) == 1, "one request of a connection is served at a time"
        # What waits is not lost: each answer lets one in.
        for n in range(1, 30):
            await conversation.send(OK)
            assert (await client.answer()).status == 200
            assert (await conversation.request()).target == b"/%d" % n
            assert len(connection._queue) <= depth
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)


@pytest.mark.parametrize("apart", [False, True])
async def test_empty_lines_are_no_way_to_stay(apart: bool) -> None:
    """They are no beginning of a request, and neither is half of one."""
    timeouts = {"idle": "300ms", "header": "150ms"}
    async with Upstream() as upstream, proxy(upstream, timeouts=timeouts) as gateway:
        client = await gateway.connect()

        async def stay() -> None:
            with suppress(ConnectionError):
                while not client.eof:
                    await (client.send_split(b"\r\n", 1) if apart else client.send(b"\r\n"))
                    await asyncio.sleep(0.02)

        staying = asyncio.ensure_future(stay())
        await client.ended()
        await staying
        await gateway.records(0)


async def test_a_client_that_pipelines_without_end_gets_its_turn_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between two turns of the event loop nobody else is served, and no timeout fires."""
    served, most = 0, 0
    loop = asyncio.get_running_loop()
    handle = loop.call_soon(lambda: None)

    async with Upstream() as upstream, proxy(upstream) as gateway:
        publish = gateway.listener.publish

        def count(record: Record) -> None:
            nonlocal served
            served += 1
            publish(record)

        def turn() -> None:
            nonlocal served, most, handle
            most, served = max(most, served), 0
            handle = loop.call_soon(turn)

        monkeypatch.setattr(gateway.listener, "publish", count)
        handle = loop.call_soon(turn)
        client = await gateway.connect()
        asked = 4000
        ours = b"OPTIONS /a HTTP/1.1\r\nHost: api.test\r\nMax-Forwards: 0\r\n\r\n"
        await client.send(ours * asked)
        try:
            for _ in range(asked):
                assert (await client.answer()).status == 200
        finally:
            handle.cancel()
        assert most <= 2 * TURN // REQUEST, f"{most} requests of one client in one turn"


@pytest.mark.parametrize("half_closes", [False, True])
async def test_the_last_of_many_requests_ends_the_connection_in_a_later_turn(half_closes: bool) -> None:
    """By its own word, or because nothing more can come."""
    ours = b"OPTIONS /a HTTP/1.1\r\nHost: api.test\r\nMax-Forwards: 0\r\n"
    many = (ours + b"\r\n") * (3 * TURN // REQUEST)
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(many if half_closes else many + ours + b"Connection: close\r\n\r\n")
        if half_closes:
            client.half_close()
        asked = 3 * TURN // REQUEST + (not half_closes)
        for _ in range(asked):
            assert (await client.answer()).status == 200
        await client.ended()
        assert not client.was_reset
        await gateway.records(asked)


async def test_tiny_chunks_cross_the_gateway_both_ways_while_others_are_served() -> None:
    tiny = b"2\r\nab\r\n" * 50_000

    async def script(conversation: Conversation) -> None:
        received = await conversation.request()
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert received.body == b"ab" * 50_000 or received.method == "GET"
        await conversation.send(head + tiny + b"0\r\n\r\n", seconds=30)

    async with Upstream(script) as upstream, proxy(upstream) as gateway:
        client, other = await gateway.connect(), await gateway.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        sending = asyncio.ensure_future(client.send(tiny + b"0\r\n\r\n", seconds=30))
        assert (await other.ask(get("/b"))).body == b"ab" * 50_000
        await within(sending, "the body is sent")
        assert (await client.answer("POST")).body == b"ab" * 50_000
        await gateway.records(2)
