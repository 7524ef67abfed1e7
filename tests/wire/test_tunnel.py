"""Tunnels: what a route lets through an Upgrade, and what becomes of the bytes (RFC 9110 sections 7.8 and 15.2.2)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.client import Client, get, post
from tests.support.deadline import settled, until, within
from tests.support.expect import marked
from tests.support.filters import HoldAnswer, Seen
from tests.support.gateway import Running, proxy, test_filters
from tests.support.message import Answer, Head, status_of
from tests.support.sockets import HELD, LARGE
from tests.support.upstream import OK, Conversation, Upstream, answers

SHORT = "150ms"
ASK = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def route(*protocols: str, **options: Any) -> list[Mapping[str, Any]]:
    return [
        {"name": "ws", "path": "/ws", "upstream": "main", "upgrade": list(protocols), **options},
        {"name": "any", "path": "/{rest*}", "upstream": "main"},
    ]


@asynccontextmanager
async def tunnels(upstream: Upstream, **options: Any) -> AsyncIterator[Running]:
    async with proxy(upstream, routes=options.pop("routes", route("websocket")), **options) as gateway:
        yield gateway


async def opened(
    gateway: Running, upstream: Upstream, *, receive_buffer: int | None = None
) -> tuple[Client, Conversation, Head]:
    """A client and an upstream with a tunnel between them."""
    client = await gateway.connect(receive_buffer=receive_buffer)
    await client.send(get("/ws", *ASK))
    conversation = await upstream.accepted()
    await conversation.request()
    await conversation.send(SWITCH)
    head = await client.head()
    assert status_of(head) == (101, "Switching Protocols")
    return client, conversation, head


async def over(gateway: Running, reason: str, decision: str, sizes: tuple[int, int]) -> Mapping[str, Any]:
    """The only record is that of a tunnel, and it says how the tunnel ended and what it carried."""
    record = await gateway.record()
    assert record["http.response.status_code"] == 101
    assert (record["gateway.reason"], record["gateway.decision"]) == (reason, decision)
    assert (record["http.request.body.size"], record["http.response.body.size"]) == sizes
    assert gateway.listener.tunnels == 0
    await until(lambda: gateway.listener.connection_count == 0, "the client's connection is closed")
    return record


# ---- the handshake


async def test_an_upgrade_that_the_route_allows_becomes_a_tunnel() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client, conversation, head = await opened(gateway, upstream)
        (request,) = conversation.requests
        assert (request.get("connection"), request.get("upgrade")) == ("Upgrade", "websocket")
        assert request.get("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ=="
        assert (head.get("connection"), head.get("upgrade")) == ("Upgrade", "websocket")
        assert head.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert head.get("content-length") is None and head.get("transfer-encoding") is None
        request_id = marked(Answer(101, "", head, b"", True, []))
        assert gateway.listener.tunnels == 1
        assert b"gateway_tunnels 1.0" in gateway.gateway.metrics.render()
        await client.send(b"hello")
        assert await conversation.take(5) == b"hello"
        await conversation.send(b"world!")
        assert await client.take(6) == b"world!"
        await gateway.records(0)
        client.half_close()
        await conversation.ended()
        conversation.half_close()
        await client.ended()
        record = await over(gateway, "tunnel_client_closed", "forward", (5, 6))
        assert record["gateway.request_id"] == request_id
        (attempt,) = record["gateway.upstream.attempts"]
        assert (attempt["status"], attempt.get("error")) == (101, None)
        assert gateway.pools["main"].idle_count == 0


async def test_only_the_protocols_that_the_route_allows_are_offered() -> None:
    async with Upstream() as upstream, tunnels(upstream, routes=route("websocket", "x/1")) as gateway:
        client = await gateway.connect()
        await client.send(
            get(
                "/ws",
                "Connection: keep-alive, Upgrade, HTTP2-Settings",
                "HTTP2-Settings: AAMAAABkAAQAAP__",
                "Upgrade: h2c, X/1",
                "Upgrade: foo, WebSocket",
            )
        )
        request = await (await upstream.accepted()).request()
        assert (request.get("connection"), request.get("upgrade")) == ("Upgrade", "X/1, WebSocket")
        assert request.all("http2-settings") == []


async def test_a_connection_that_is_kept_may_become_a_tunnel() -> None:
    """Both of them: the client's and the upstream's."""
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.answer()
        assert (await client.answer()).body == b"ok"
        await client.send(get("/ws", *ASK))
        await conversation.answer(SWITCH)
        assert await client.status() == 101
        await client.send(b"hello")
        assert await conversation.take(5) == b"hello"
        assert len(upstream.conversations) == 1
        client.close()
        await conversation.ended()
        conversation.close()
        first, second = await gateway.records(2)
        assert (first["gateway.reason"], second["gateway.reason"]) == ("passed", "tunnel_client_closed")
        assert gateway.pools["main"].idle_count == 0


async def test_interim_answers_come_before_the_tunnel() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/ws", *ASK))
        await (await upstream.accepted()).answer(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SWITCH + b"hi"
        )
        assert await client.status() == 103
        assert await client.status() == 101
        assert await client.take(2) == b"hi"


ORDINARY: dict[str, bytes] = {
    "a route that does not": get("/other", *ASK),
    "another protocol": get("/ws", "Connection: Upgrade", "Upgrade: foo"),
    "h2c": get("/ws", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA"),
    "no Connection": get("/ws", "Upgrade: websocket"),
    "close": get("/ws", "Connection: Upgrade, close", "Upgrade: websocket"),
    "another method": post(b"", *ASK, target="/ws"),
    "HEAD": get("/ws", *ASK, method="HEAD"),
    "a body": post(b"hello", *ASK, target="/ws", method="GET"),
    "an empty chunked body": (
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "HTTP/1.0": b"GET /ws HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("name", ORDINARY)
async def test_an_upgrade_that_is_not_allowed_is_dropped(name: str) -> None:
    data = ORDINARY[name]
    async with Upstream(answers(OK)) as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(data)
        assert answer.status == 200
        (request,) = upstream.requests
        assert request.all("upgrade") == request.all("connection") == request.all("http2-settings") == []
        assert (await gateway.record())["gateway.reason"] == "passed"


@pytest.mark.parametrize("name", ORDINARY)
async def test_a_101_to_what_offers_nothing_is_502(name: str) -> None:
    method = ORDINARY[name].split()[0].decode()
    async with Upstream(answers(SWITCH + b"hello")) as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(ORDINARY[name], method)
        assert answer.status == 502
        assert (await gateway.record())["gateway.reason"] == "upstream_response_invalid"


WRONG: dict[str, bytes] = {
    "another protocol": SWITCH.replace(b"websocket", b"h2c"),
    "one more protocol": SWITCH.replace(b"Upgrade: websocket", b"Upgrade: websocket, h2c"),
    "no protocol": SWITCH.replace(b"Upgrade: websocket\r\n", b""),
    "no Connection": SWITCH.replace(b"Connection: Upgrade\r\n", b""),
    "HTTP/1.0": SWITCH.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a length": SWITCH.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"),
    "a coding": SWITCH.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "a control": SWITCH.replace(b"Sec-WebSocket-Accept: s", b"Sec-WebSocket-Accept: \x01"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_101_that_takes_something_else_is_502(name: str) -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/ws", *ASK) + b"early")
        conversation = await upstream.accepted()
        await conversation.answer(WRONG[name] + b"hello")
        answer = await client.answer()
        assert (answer.status, answer.closes) == (502, True)
        marked(answer)
        record = await gateway.record()
        assert (record["gateway.reason"], record["gateway.decision"]) == ("upstream_response_invalid", "fail")
        assert await conversation.rest() == b"", "nothing of what the client had to say to the other protocol"
        await conversation.gone()


@pytest.mark.parametrize("status", [200, 204, 403, 426])
async def test_any_other_answer_is_an_ordinary_one(status: int) -> None:
    """And what the client sent behind its request is nobody's."""
    data = OK.replace(b"200 OK", b"%d X" % status) if status != 204 else b"HTTP/1.1 204 X\r\n\r\n"
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/ws", *ASK) + get("/smuggled"))
        conversation = await upstream.accepted()
        await conversation.answer(data)
        answer = await client.answer()
        assert (answer.status, answer.body, answer.closes) == (status, b"" if status == 204 else b"ok", True)
        assert answer.all("upgrade") == []
        await client.send(get("/more"))
        client.half_close()
        await client.ended()
        assert (await gateway.record())["gateway.reason"] == "passed"
        # The upstream's connection is an ordinary one as well, and nothing is offered on it any more.
        other = await gateway.connect()
        await other.send(get("/b"))
        await conversation.answer(SWITCH)
        assert [request.target for request in conversation.requests] == [b"/ws", b"/b"]
        assert (await other.answer()).status == 502


# ---- filters


async def test_a_filter_refuses_before_anything_is_offered() -> None:
    routes = route("websocket", filters=[{"methods": {"allow": ["POST"]}}])
    async with Upstream(answers(SWITCH)) as upstream, tunnels(upstream, routes=routes) as gateway:
        client = await gateway.connect()
        await client.send(get("/ws", *ASK) + b"early" * 1000)
        answer = await client.answer()
        assert (answer.status, answer.get("allow"), answer.closes) == (405, "POST", True)
        await client.send(b"more")
        client.half_close()
        await client.ended()
        assert not client.was_reset, "a client that speaks on still sees why it is refused"
        assert upstream.conversations == []
        assert (await gateway.record())["gateway.reason"] == "method_not_allowed"


async def test_a_caller_without_a_token_gets_no_tunnel() -> None:
    tokens = [{"token": "t-1", "user": "u", "user_id": "i", "project_id": "p"}]
    filters = [{"token_auth": {"providers": [{"static": {"tokens": tokens}}]}}]
    async with Upstream() as upstream, tunnels(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/ws", *ASK))
        assert (answer.status, answer.closes) == (401, True)
        other = await gateway.connect()
        await other.send(get("/ws", *ASK, "X-Auth-Token: t-1"))
        await (await upstream.accepted()).answer(SWITCH)
        assert await other.status() == 101


async def test_filters_see_the_101_and_the_end_of_the_tunnel() -> None:
    Seen.events.clear()
    registry = test_filters("seen")
    async with (
        Upstream() as upstream,
        tunnels(upstream, registry=registry, filters=[{"test.seen": {}}]) as gateway,
    ):
        client, conversation, head = await opened(gateway, upstream)
        assert head.get("x-seen") == "yes"
        assert Seen.events == ["request GET", "response 101"], "what it deferred waits for the end"
        client.half_close()
        conversation.half_close()
        await client.ended()
        await gateway.record()
        assert Seen.events == ["request GET", "response 101", "over"]


async def test_a_filter_that_refuses_the_answer_refuses_the_tunnel() -> None:
    registry = test_filters("raise_on_response")
    async with (
        Upstream() as upstream,
        tunnels(upstream, registry=registry, filters=[{"test.raise_on_response": {}}]) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/ws", *ASK))
        conversation = await upstream.accepted()
        await conversation.answer(SWITCH + b"hello")
        answer = await client.answer()
        assert (answer.status, answer.closes) == (500, True)
        await conversation.gone()
        (bug,) = gateway.bugs
        assert bug.endswith(".on_response")
        assert (await gateway.record())["gateway.reason"] == "filter_failed"


async def test_both_sides_may_speak_while_a_filter_looks_at_the_101() -> None:
    """What they say waits, and is bounded."""
    HoldAnswer.events.clear()
    HoldAnswer.gate = asyncio.Event()
    registry = test_filters("hold_answer")
    async with (
        Upstream() as upstream,
        tunnels(upstream, registry=registry, filters=[{"test.hold_answer": {}}]) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/ws", *ASK))
        conversation = await upstream.accepted()
        await conversation.answer(SWITCH)
        await until(lambda: HoldAnswer.events == ["waits"], "the filter waits")
        size = 20_000_000
        pushing = [
            asyncio.ensure_future(wire.send(b"a" * size, seconds=30)) for wire in (client, conversation)
        ]
        for wire in (client, conversation):
            assert await settled(lambda wire=wire: wire.sent) < size  # type: ignore[misc]
        HoldAnswer.gate.set()
        assert await client.status() == 101

        async def read(wire: Client | Conversation) -> int:
            return len(await wire.take(size))

        assert set(await asyncio.gather(read(client), read(conversation))) == {size}
        await asyncio.gather(*pushing)


# ---- bytes that come early


@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
async def test_bytes_behind_either_head_are_the_tunnels(split: bool) -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        said = get("/ws", *ASK) + b"\x81\x85early GET / HTTP/1.1\r\n\r\n"
        await (client.send_split(said) if split else client.send(said))
        conversation = await upstream.accepted()
        await conversation.request()
        answered = SWITCH + b"\x81\x02hiHTTP/1.1 200 OK\r\n\r\n"
        await (conversation.send_split(answered) if split else conversation.send(answered))
        assert await client.status() == 101
        early, behind = said.partition(b"\r\n\r\n")[2], answered.partition(b"\r\n\r\n")[2]
        assert await client.take(len(behind)) == behind
        assert await conversation.take(len(early)) == early
        client.half_close()
        await conversation.ended()
        conversation.half_close()
        await client.ended()
        await over(gateway, "tunnel_client_closed", "forward", (len(early), len(behind)))


async def test_what_a_client_sends_before_it_is_answered_is_bounded() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/ws", *ASK))
        conversation = await upstream.accepted()
        await conversation.request()
        sending = asyncio.ensure_future(client.send(b"a" * LARGE, seconds=30))
        assert await settled(lambda: client.sent) < HELD
        connection = next(iter(gateway.listener._connections))
        assert len(connection._early or b"") < 512 * 1024
        await conversation.send(SWITCH)
        assert await client.status() == 101
        assert len(await conversation.take(LARGE)) == LARGE
        await sending


async def test_a_client_that_sends_too_early_and_is_refused_still_reads_why() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/ws", *ASK) + b"a" * 200_000)
        conversation = await upstream.accepted()
        await conversation.answer(OK.replace(b"200 OK", b"403 No"))
        answer = await client.answer()
        assert (answer.status, answer.body) == (403, b"ok")
        client.half_close()
        await client.ended()
        assert not client.was_reset


async def test_a_request_pipelined_before_an_upgrade_is_answered_first() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a") + get("/ws", *ASK) + b"early")
        conversation = await upstream.accepted()
        await conversation.answer()
        assert (await client.answer()).body == b"ok"
        await conversation.answer(SWITCH)
        assert await client.status() == 101
        assert await conversation.take(5) == b"early"


# ---- flow control


@pytest.mark.parametrize("stalled", ["client", "upstream"])
async def test_a_side_that_does_not_read_holds_the_other(stalled: str) -> None:
    async with Upstream(receive_buffer=4096) as upstream, tunnels(upstream) as gateway:
        client, conversation, _ = await opened(gateway, upstream, receive_buffer=4096)
        sender, reader = (conversation, client) if stalled == "client" else (client, conversation)
        before = sender.sent
        sending = asyncio.ensure_future(sender.send(b"a" * LARGE, seconds=50))
        assert await settled(lambda: sender.sent - before) < HELD
        (connection,) = gateway.listener._connections
        handler = connection.handler
        assert handler is not None and handler._tunnel is not None
        for side in (handler._tunnel._client, handler._tunnel._upstream):
            assert side.transport.get_write_buffer_size() < 512 * 1024
        # The other direction goes on.
        await reader.send(b"other way")
        assert await sender.take(9) == b"other way"
        reading = LARGE
        while reading:
            reading -= len(await reader.take(min(reading, 1 << 20)))
        await sending
        client.half_close()
        conversation.half_close()
        await client.ended()
        sizes = (9, LARGE) if stalled == "client" else (LARGE, 9)
        record = await gateway.record()
        assert (record["http.request.body.size"], record["http.response.body.size"]) == sizes


async def test_a_client_that_has_not_read_its_last_answer_holds_the_tunnel_from_the_beginning() -> None:
    size = 30_000_000
    large = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect(receive_buffer=4096)
        await client.send(get("/a") + get("/ws", *ASK))
        conversation = await upstream.accepted()

        async def answer() -> None:
            await conversation.request()
            await conversation.send(large, seconds=30)
            await conversation.request()
            await conversation.send(SWITCH + b"b" * size, seconds=30)

        answering = asyncio.ensure_future(answer())
        assert len((await client.answer()).body) == size
        assert await client.status() == 101
        assert await client.take(size) == b"b" * size
        await answering


# ---- ends


async def test_each_side_may_end_and_still_be_answered() -> None:
    for first in ("client", "upstream"):
        async with Upstream() as upstream, tunnels(upstream) as gateway:
            client, conversation, _ = await opened(gateway, upstream)
            one, other = (client, conversation) if first == "client" else (conversation, client)
            await one.send(b"last words")
            one.half_close()
            assert await other.rest() == b"last words"
            await other.send(b"a" * 3_000_000)
            assert len(await one.take(3_000_000)) == 3_000_000
            other.half_close()
            await one.ended()
            assert not one.was_reset
            sizes = (10, 3_000_000) if first == "client" else (3_000_000, 10)
            await over(gateway, f"tunnel_{first}_closed", "forward", sizes)


@pytest.mark.parametrize("which", ["client", "upstream"])
async def test_a_reset_is_passed_on_as_a_reset(which: str) -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client, conversation, _ = await opened(gateway, upstream)
        one, other = (client, conversation) if which == "client" else (conversation, client)
        one.reset()
        await other.ended()
        assert other.was_reset
        record = await over(gateway, f"tunnel_{which}_closed", "abort", (0, 0))
        (attempt,) = record["gateway.upstream.attempts"]
        assert attempt["error"] == f"tunnel_{which}_closed"


async def test_what_was_sent_before_the_end_arrives_although_the_reader_is_slow() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client, conversation, _ = await opened(gateway, upstream, receive_buffer=4096)
        size = 3_000_000
        sending = asyncio.ensure_future(conversation.send(b"a" * size, seconds=30))
        client.half_close()
        await conversation.ended()
        await settled(lambda: conversation.sent)
        reading = asyncio.ensure_future(client.rest(30))
        await sending
        conversation.close()
        assert len(await reading) == size
        assert not client.was_reset


async def test_an_idle_tunnel_is_cut() -> None:
    async with Upstream() as upstream, tunnels(upstream, timeouts={"tunnel": SHORT}) as gateway:
        client, conversation, _ = await opened(gateway, upstream)
        await client.ended()
        await conversation.ended()
        assert client.was_reset and conversation.was_reset
        record = await over(gateway, "tunnel_idle_timeout", "abort", (0, 0))
        assert record["gateway.duration_ms"] >= 140


@pytest.mark.parametrize("speaker", ["client", "upstream"])
async def test_a_tunnel_in_which_something_moves_stays(speaker: str) -> None:
    """Longer than it may be idle, and longer than an exchange may take in all."""
    options = {"timeouts": {"total": SHORT, "idle": SHORT, "first_byte": SHORT}}
    timeouts = {"tunnel": "400ms", "body": SHORT, "idle": SHORT, "header": SHORT}
    async with (
        Upstream() as upstream,
        tunnels(upstream, upstream_options=options, timeouts=timeouts) as gateway,
    ):
        client, conversation, _ = await opened(gateway, upstream)
        one, other = (client, conversation) if speaker == "client" else (conversation, client)
        for _ in range(40):
            await one.send(b"a")
            await asyncio.sleep(0.02)  # 0.8 s in all
        assert await other.take(40) == b"a" * 40
        assert gateway.listener.tunnels == 1
        await client.ended()
        record = await gateway.record()
        assert record["gateway.reason"] == "tunnel_idle_timeout"


async def test_a_tunnel_whose_reader_has_stalled_is_idle_in_the_end() -> None:
    async with Upstream() as upstream, tunnels(upstream, timeouts={"tunnel": SHORT}) as gateway:
        _, conversation, _ = await opened(gateway, upstream, receive_buffer=4096)
        with pytest.raises(ConnectionError):
            await conversation.send(b"a" * 100_000_000)
        assert (await gateway.record())["gateway.reason"] == "tunnel_idle_timeout"


async def test_a_tunnel_ends_with_the_time_to_drain() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client, conversation, _ = await opened(gateway, upstream)
        stopping = asyncio.ensure_future(gateway.gateway.stop(0.3))
        await until(lambda: gateway.listener.draining, "the gateway drains")
        await client.send(b"hello")
        assert await conversation.take(5) == b"hello"
        assert not stopping.done()
        await client.ended()
        await conversation.ended()
        assert client.was_reset and conversation.was_reset
        assert not await within(stopping, "the drain ends"), "something was cut off"
        await over(gateway, "gateway_stopped", "abort", (5, 0))


async def test_a_tunnel_that_ends_by_itself_lets_the_drain_end() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client, conversation, _ = await opened(gateway, upstream)
        stopping = asyncio.ensure_future(gateway.gateway.stop(5.0))
        await until(lambda: gateway.listener.draining, "the gateway drains")
        conversation.half_close()
        client.half_close()
        assert await within(stopping, "the drain ends")


async def test_an_upstream_that_goes_while_a_filter_looks_at_its_101_is_502() -> None:
    HoldAnswer.events.clear()
    HoldAnswer.gate = asyncio.Event()
    registry = test_filters("hold_answer")
    async with (
        Upstream() as upstream,
        tunnels(upstream, registry=registry, filters=[{"test.hold_answer": {}}]) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/ws", *ASK))
        conversation = await upstream.accepted()
        await conversation.answer(SWITCH)
        await until(lambda: HoldAnswer.events == ["waits"], "the filter waits")
        conversation.close()
        assert (await client.answer()).status == 502
        assert (await gateway.record())["gateway.reason"] == "upstream_closed"


async def test_a_client_that_goes_while_the_upstream_is_awaited_ends_the_attempt() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/ws", *ASK))
        conversation = await upstream.accepted()
        await conversation.request()
        client.reset()
        await conversation.ended()
        assert (await gateway.record())["gateway.reason"] == "client_disconnected"


async def test_a_client_that_half_closes_before_the_101_has_its_end_passed_on() -> None:
    async with Upstream() as upstream, tunnels(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/ws", *ASK) + b"early")
        client.half_close()
        conversation = await upstream.accepted()
        await conversation.request()
        await until(lambda: any(c.ended for c in gateway.listener._connections), "the end has been seen")
        await conversation.send(SWITCH + b"hello")
        assert await conversation.rest() == b"early"
        assert await client.status() == 101
        conversation.half_close()
        assert await client.rest() == b"hello"
        await over(gateway, "tunnel_client_closed", "forward", (5, 5))
