"""A gateway that stops: what is in progress ends in order, nothing new begins."""

import asyncio

from tests.support.client import Client, get, post
from tests.support.deadline import until, within
from tests.support.gateway import Running, proxy
from tests.support.upstream import OK, Upstream, echo

SHORT = {"body": "150ms", "header": "150ms", "linger": "150ms"}


def drain(gateway: Running, timeout: float = 5.0) -> "asyncio.Task[bool]":
    return asyncio.ensure_future(gateway.gateway.stop(timeout))


async def draining(gateway: Running) -> None:
    await until(lambda: gateway.listener.draining, "the gateway drains")


async def test_idle_connections_are_closed_at_once() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        fresh, used = await gateway.connect(), await gateway.connect()
        assert (await used.ask(get("/a"))).status == 200
        await until(lambda: gateway.listener.connection_count == 2, "both are connected")
        stopping = drain(gateway)
        await fresh.ended()
        await used.ended()
        assert await within(stopping, "the drain ends")


async def test_an_upload_in_progress_is_finished_and_answered() -> None:
    """aiohttp's own server drops the rest of the upload and never answers."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        conversation = await upstream.accepted()
        await conversation.request_head()
        stopping = drain(gateway)
        await draining(gateway)
        await client.send(b"world")
        assert await conversation.take(10) == b"helloworld"
        assert not stopping.done()
        await conversation.send(OK)
        answer = await client.answer("PUT")
        assert (answer.status, answer.body, answer.closes) == (200, b"ok", True)
        await client.ended()
        assert await within(stopping, "the drain ends")
        assert (await gateway.record())["gateway.decision"] == "forward"


async def test_an_answer_in_progress_is_finished() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        assert b" 200 " in (await client.head()).first
        stopping = drain(gateway)
        await draining(gateway)
        await conversation.send(b"world")
        assert await client.take(10) == b"helloworld"
        await client.ended()
        assert await within(stopping, "the drain ends")


async def test_a_head_that_has_begun_is_waited_for_and_answered() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"GET /a HTTP/1.1\r\nHo")
        await until(lambda: any(c._in_head for c in gateway.listener._connections), "the head has begun")
        stopping = drain(gateway)
        await draining(gateway)
        await client.send(b"st: a\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.closes) == (200, True)
        await client.ended()
        assert await within(stopping, "the drain ends")


async def test_pipelined_requests_behind_the_one_in_progress_end_with_it() -> None:
    """The answer in progress says close, so the client knows that the next were not served."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a") + get("/b"))
        conversation = await upstream.accepted()
        await conversation.request()
        stopping = drain(gateway)
        await draining(gateway)
        await conversation.send(OK)
        assert (await client.answer()).closes
        await client.ended()
        assert await within(stopping, "the drain ends")
        await gateway.records(1)


async def test_no_connection_is_accepted_any_more() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        stopping = drain(gateway)
        await draining(gateway)
        try:
            late = await Client.connect(gateway.address)
        except ConnectionRefusedError:
            pass
        else:
            await late.rest()
            late.close()
        await conversation.send(OK)
        assert (await client.answer()).status == 200
        assert await within(stopping, "the drain ends")


async def test_what_does_not_end_in_time_is_cut_off_and_said() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(post(b"hello"))
        conversation = await upstream.accepted()
        await conversation.request()
        assert await within(drain(gateway, 0.1), "the drain ends") is False
        await client.rest()
        await conversation.gone()
        assert (await gateway.record())["gateway.decision"] == "abort"


async def test_pooled_connections_are_closed_in_the_end() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.answer()
        assert (await client.answer()).status == 200
        assert await within(drain(gateway), "the drain ends")
        await conversation.gone()


async def test_timeouts_hold_while_draining() -> None:
    """A client that does nothing cannot hold a drain up for longer than its own clock."""
    async with Upstream() as upstream, proxy(upstream, timeouts=SHORT) as gateway:
        slow, slower = await gateway.connect(), await gateway.connect()
        await slow.send(b"GET /a HTTP/1.1\r\nHo")
        await slower.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        await (await upstream.accepted()).request_head()
        await until(lambda: any(c._in_head for c in gateway.listener._connections), "the head has begun")
        stopping = drain(gateway, 5.0)
        assert (await slow.answer()).status == 408
        assert (await slower.answer("PUT")).status == 408
        slower.close()
        assert await within(stopping, "the drain ends")
