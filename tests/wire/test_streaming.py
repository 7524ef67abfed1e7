"""Bodies flow both ways as they come, each side held back by the other; 100-continue in all its cases."""

import asyncio
import hashlib
from typing import Any

import pytest

from gateway.listener import handler as handler_module
from tests.support.client import Client, chunked, get
from tests.support.deadline import settled, until, within
from tests.support.gateway import Running, proxy, test_filters
from tests.support.message import read_answer_body, read_request_body
from tests.support.sockets import HELD, LARGE, MIB, Wire
from tests.support.upstream import OK, Conversation, Upstream, answers, echo

PIECE = bytes(range(256)) * 256  # 64 KiB


async def _send_large(wire: Wire, size: int = LARGE) -> None:
    for _ in range(size // len(PIECE)):
        await wire.send(PIECE, seconds=30)


async def _read_large(wire: Wire, size: int = LARGE) -> str:
    digest, left = hashlib.sha256(), size
    while left:
        if not wire.buffer:
            assert await wire.fill(30), f"{left} bytes are missing"
        taken = bytes(wire.buffer[:left])
        del wire.buffer[: len(taken)]
        digest.update(taken)
        left -= len(taken)
    return digest.hexdigest()


def _expected(size: int = LARGE) -> str:
    return hashlib.sha256(PIECE * (size // len(PIECE))).hexdigest()


async def test_a_stalled_upstream_holds_the_client_back_and_memory_stays_bounded() -> None:
    """64 MiB are offered, nobody reads them, and all arrive once somebody does."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE)
        sending = asyncio.ensure_future(_send_large(client))
        conversation = await upstream.accepted()
        await conversation.request_head()
        sent = await settled(lambda: client.sent)
        assert sent < HELD, f"{sent} bytes were taken from the client for an upstream that takes none"
        assert _buffered(gateway) < 2 * MIB
        assert await _read_large(conversation) == _expected()
        await within(sending, "everything is sent")
        await conversation.send(OK)
        assert (await client.answer("PUT")).body == b"ok"
        assert (await gateway.record())["http.request.body.size"] == LARGE


async def test_a_stalled_client_holds_the_upstream_back_and_memory_stays_bounded() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
        sending = asyncio.ensure_future(_send_large(conversation))
        head = await client.head()
        assert head.get("content-length") == str(LARGE)
        sent = await settled(lambda: conversation.sent)
        assert sent < HELD, f"{sent} bytes were taken from the upstream for a client that takes none"
        assert _buffered(gateway) < 2 * MIB
        assert await _read_large(client) == _expected()
        await within(sending, "everything is sent")
        assert (await gateway.record())["http.response.body.size"] == LARGE


async def test_a_slow_client_gets_a_chunked_answer_whole() -> None:
    size = 8 * MIB
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect(receive_buffer=4096)
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

        async def send() -> None:
            for _ in range(size // len(PIECE)):
                await conversation.send(chunked(PIECE, end=False), seconds=30)
            await conversation.send(b"0\r\n\r\n")

        sending = asyncio.ensure_future(send())
        answer = await within(_whole_answer(client), "the answer arrives", 30)
        assert answer == _expected(size)
        await within(sending, "everything is sent")


async def test_bodies_flow_both_ways_at_the_same_time() -> None:
    size = 8 * MIB

    async def mirror(conversation: Conversation) -> None:
        await conversation.request_head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            if not conversation.buffer:
                await conversation.fill()
            data = bytes(conversation.buffer)
            conversation.buffer.clear()
            left -= len(data)
            await conversation.send(data)

    async with Upstream(mirror) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        sending = asyncio.ensure_future(_send_large(client, size))
        assert b" 200 " in (await client.head()).first
        assert await _read_large(client, size) == _expected(size)
        await within(sending, "everything is sent")


async def test_the_body_is_held_back_while_the_upstream_connection_is_being_made() -> None:
    """A backlog that is full takes no connection: the client's upload waits, the memory does not grow."""
    import socket

    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with proxy([url], upstream_options={"timeouts": {"connect": "1s"}}) as gateway:
            client = await gateway.connect()
            await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LARGE)
            sending = asyncio.ensure_future(_send_large(client))
            sent = await settled(lambda: client.sent)
            assert sent < HELD
            assert _buffered(gateway) < 2 * MIB
            answer = await client.answer("PUT")
            assert (answer.status, answer.closes) == (504, True)
            assert (await gateway.record())["gateway.reason"] == "upstream_connect_timeout"
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    ("size", "rounds"), [(2000, 300), (60_000, 30)], ids=["small answers", "larger answers"]
)
async def test_a_client_that_pipelines_and_never_reads_is_not_read_from_either(
    size: int, rounds: int
) -> None:
    """Otherwise each answer would wait in our memory."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect(receive_buffer=4096)
        request = get("/a", "X-Filler: " + "a" * 1000) * 100

        async def flood() -> None:
            for _ in range(rounds):
                await client.send(request, seconds=60)

        flooding = asyncio.ensure_future(flood())
        served = upstream.conversations
        await settled(lambda: client.sent + sum(len(c.requests) for c in served), seconds=30)
        assert _buffered(gateway) < 2 * MIB
        assert client.sent < HELD, "a client that takes no answer is read from"
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)


# ---- early answers


async def test_an_upstream_that_answers_early_and_closes_is_heard() -> None:
    """Many servers refuse an upload in that way: 413, and a reset for the bytes that they never read."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 100_000)
        conversation = await upstream.accepted()
        await conversation.request_head()
        await conversation.send(b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        conversation.close()
        answer = await client.answer("PUT")
        assert (answer.status, answer.body, answer.closes) == (413, b"no", True)


@pytest.mark.parametrize("coding", ["length", "chunked"])
async def test_an_answer_that_comes_before_the_end_of_the_upload_reaches_the_client(coding: str) -> None:
    """The body is sent while the answer is awaited."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        field = "Content-Length: 1000000" if coding == "length" else "Transfer-Encoding: chunked"
        await client.send(f"PUT /a HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n".encode())
        await client.send(b"a" * 10 if coding == "length" else chunked(b"a" * 10, end=False))
        conversation = await upstream.accepted()
        await conversation.request_head()
        await conversation.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        answer = await client.answer("PUT")
        assert (answer.status, answer.body, answer.closes) == (403, b"no", True)
        # What is left of the upload is read and dropped; the upstream is cut off, never given a whole request.
        await conversation.gone()
        if coding == "length":
            await client.send(b"a" * 500_000)
        client.half_close()
        await client.ended()
        record = await gateway.record()
        assert (record["gateway.decision"], record["http.response.status_code"]) == ("forward", 403)
        assert gateway.pools["main"].idle_count == 0


async def test_an_early_answer_with_a_body_in_pieces_flows_while_the_upload_goes_on() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        conversation = await upstream.accepted()
        parts = await conversation.request_head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12")
        head = await client.head()
        assert await client.take(2) == b"12"
        await client.send(b"world")
        received = await read_request_body(conversation, parts.method, parts.target, parts.head)
        assert received.body == b"helloworld"
        await conversation.send(b"34")
        assert await client.take(2) == b"34"
        assert head.get("connection") == "close"
        await client.ended()


# ---- 100-continue


def expecting(*lines: str, version: str = "1.1", length: int = 5) -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return (
        f"PUT /a HTTP/{version}\r\nHost: a\r\nExpect: 100-continue\r\n{fields}Content-Length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("status", [401, 405, 413, 404])
async def test_an_expectation_is_refused_at_once_where_the_head_decides(status: int) -> None:
    """P16: no 100, no body read, and no lingering for a body that was never begun."""
    options: dict[int, dict[str, Any]] = {
        405: {"filters": [{"methods": {"allow": ["GET"]}}]},
        413: {"filters": [{"body_size": {"max": 2}}]},
        401: {"filters": [{"token_auth": {"providers": [{"static": {"tokens": []}}]}}]},
        404: {"routes": [{"name": "b", "path": "/b", "upstream": "main"}]},
    }
    async with (
        Upstream() as upstream,
        proxy(upstream, timeouts={"linger": "60s"}, **options[status]) as gateway,
    ):
        client = await gateway.connect()
        await client.send(expecting())
        answer = await client.answer("PUT")
        assert (answer.status, answer.closes) == (status, True)
        await until(lambda: gateway.listener.connection_count == 0, "the connection ends without lingering")
        await client.ended()
        assert upstream.conversations == []


async def test_an_expectation_is_forwarded_and_the_upstreams_100_relayed() -> None:
    """P16, P22."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(expecting())
        conversation = await upstream.accepted()
        parts = await conversation.request_head()
        assert parts.get("expect") == "100-continue"
        assert client.buffer == b""
        await conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await client.status() == 100
        await client.send(b"hello")
        received = await read_request_body(conversation, parts.method, parts.target, parts.head)
        assert received.body == b"hello"
        await conversation.send(OK)
        answer = await client.answer("PUT")
        assert (answer.status, answer.closes) == (200, False)
        # The connection is fit for more, on both sides.
        await client.send(get("/b"))
        await conversation.answer()
        assert (await client.answer()).status == 200


async def test_an_upstream_refuses_the_expectation_and_the_body_is_never_sent() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(expecting())
        conversation = await upstream.accepted()
        await conversation.request_head()
        await conversation.send(b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno")
        answer = await client.answer("PUT")
        assert (answer.status, answer.closes) == (417, True)
        await client.ended()
        await conversation.gone()


async def test_after_a_while_without_a_100_the_client_is_told_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The upstream may not know expectations: after a second the body is sent all the same."""
    assert handler_module.CONTINUE_AFTER == 1.0
    monkeypatch.setattr(handler_module, "CONTINUE_AFTER", 0.1)
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(expecting())
        conversation = await upstream.accepted()
        parts = await conversation.request_head()
        assert await client.status() == 100
        await client.send(b"hello")
        received = await read_request_body(conversation, parts.method, parts.target, parts.head)
        assert received.body == b"hello"
        # The upstream's own 100 comes late, and is not relayed a second time.
        await conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        assert (await client.answer("PUT")).status == 200


async def test_a_client_that_does_not_wait_for_the_100_is_served_all_the_same() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(expecting())
        conversation = await upstream.accepted()
        parts = await conversation.request_head()
        await client.send(b"hello")
        received = await read_request_body(conversation, parts.method, parts.target, parts.head)
        assert received.body == b"hello"
        await conversation.send(OK)
        head = await client.head()
        if b" 100 " in head.first:
            head = await client.head()
        assert b" 200 " in head.first


@pytest.mark.parametrize("early", [False, True], ids=["with the answer", "before the body"])
@pytest.mark.parametrize("status", [200, 413])
async def test_a_connection_is_kept_only_where_the_100_came(status: int, early: bool) -> None:
    """Whoever answers without it may not have read the body, and take it for a request."""
    final = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok" % status
    async with Upstream() as upstream, proxy(upstream) as gateway:
        pool = gateway.pools["main"]
        conversations: list[Conversation] = []
        for continued in (True, False):
            client = await gateway.connect()
            await client.send(expecting())
            if continued:
                conversations.append(await upstream.accepted())
            (conversation,) = conversations
            parts = await conversation.request_head()
            if continued and early:
                await conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            await client.send(b"hello")
            received = await read_request_body(conversation, parts.method, parts.target, parts.head)
            assert received.body == b"hello"
            interim = b"HTTP/1.1 100 Continue\r\n\r\n" if continued and not early else b""
            await conversation.send(interim + final)
            while b" %d " % status not in (await client.head()).first:
                pass
            if continued:
                await until(lambda: pool.idle_count == 1, "the connection is kept")
            else:
                await conversation.gone()
                assert pool.idle_count == 0


async def test_an_expectation_whose_body_is_here_already_needs_no_100() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(expecting() + b"hello")
        assert (answer.status, answer.json()) == (200, {"bytes": 5})
        assert "expect" not in upstream.requests[0].names


async def test_a_filter_that_reads_the_body_answers_the_expectation_itself() -> None:
    filters: list[dict[str, Any]] = [{"test.collect": {}}]
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, registry=test_filters("collect"), filters=filters) as gateway,
    ):
        client = await gateway.connect()
        await client.send(expecting())
        assert await client.status() == 100
        assert upstream.conversations == []
        await client.send(b"hello")
        answer = await client.answer("PUT")
        assert (answer.status, answer.json()) == (200, {"bytes": 5})
        (request,) = upstream.requests
        assert request.get("x-collected") == "5"
        assert "expect" not in request.names
        assert request.get("content-length") == "5"


async def test_a_client_of_http_1_0_never_gets_a_100() -> None:
    async with Upstream(echo) as upstream:
        registry = test_filters("collect")
        for filters in _WITH_AND_WITHOUT:
            async with proxy(upstream, registry=registry, filters=filters) as gateway:
                client = await gateway.connect()
                await client.send(expecting(version="1.0"))
                await client.send(b"hello")
                assert (await client.answer("PUT")).json() == {"bytes": 5}
                assert "expect" not in upstream.requests[-1].names


async def test_another_interim_response_reaches_a_client_that_waits_for_100() -> None:
    """P22."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(expecting())
        conversation = await upstream.accepted()
        parts = await conversation.request_head()
        await conversation.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        assert await client.status() == 103
        await conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await client.status() == 100
        await client.send(b"hello")
        await read_request_body(conversation, parts.method, parts.target, parts.head)
        await conversation.send(OK)
        assert (await client.answer("PUT")).status == 200


# ---- filters and bodies


async def test_a_collected_body_of_any_framing_is_sent_with_its_length() -> None:
    registry = test_filters("collect")
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, registry=registry, filters=[{"test.collect": {"limit": 200_000}}]) as gateway,
    ):
        client = await gateway.connect()
        head = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        for size in (0, 5, 100_000):
            await client.send_split(
                head + chunked(*([b"a" * size] if size else [])), 20, len(head), len(head) + 4
            )
            answer = await client.answer("POST")
            assert (answer.json(), answer.closes) == ({"bytes": size}, False)
            request = upstream.requests[-1]
            assert request.get("transfer-encoding") is None
            assert request.get("content-length") in ((str(size),) if size else ("0", None))


async def test_a_collected_body_over_its_limit_is_413() -> None:
    registry = test_filters("collect")
    async with (
        Upstream() as upstream,
        proxy(upstream, registry=registry, filters=[{"test.collect": {"limit": 10}}]) as gateway,
    ):
        client = await gateway.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        await client.send(b"a" * 11)
        answer = await client.answer("POST")
        assert (answer.status, answer.closes) == (413, True)
        await client.send(b"a" * 989)
        await client.rest()
        assert not client.was_reset
        record = await gateway.record()
        assert (record["gateway.reason"], record["gateway.filter"]) == ("body_too_large", "test.collect")
        assert upstream.conversations == []


@pytest.mark.parametrize("split", [False, True])
async def test_a_filter_may_change_both_bodies_and_their_length(split: bool) -> None:
    """P13: no length is forwarded that the body no longer has."""
    async with (
        Upstream() as upstream,
        proxy(upstream, registry=test_filters("upper"), filters=[{"test.upper": {}}]) as gateway,
    ):
        client = await gateway.connect()
        for number in range(2):
            head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
            await client.send(head if split else head + b"hello")
            conversation = await upstream.accepted() if number == 0 else upstream.conversations[0]
            parts = await conversation.request_head()
            if split:
                await client.send(b"hello")
            received = await read_request_body(conversation, parts.method, parts.target, parts.head)
            assert received.body == b"HHEELLLLOO"
            await conversation.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + (b"" if split else b"abc")
            )
            answer_head = await client.head()
            if split:
                await conversation.send(b"abc")
            answer = await read_answer_body(client, answer_head, "POST")
            assert (answer.body, answer.whole, answer.closes) == (b"AABBCC", True, False)


async def test_head_has_no_length_where_a_filter_would_change_it() -> None:
    """P13."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    async with (
        Upstream(answers(data)) as upstream,
        proxy(upstream, registry=test_filters("upper"), filters=[{"test.upper": {}}]) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a", method="HEAD"))
        assert (answer.status, answer.get("content-length"), answer.closes) == (200, None, False)


async def test_a_filter_may_read_the_whole_answer() -> None:
    registry = test_filters("collect_answer")
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hello", b"world")
    async with (
        Upstream() as upstream,
        proxy(upstream, registry=registry, filters=[{"test.collect_answer": {}}]) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(2):
            await client.send(get("/a"))
            conversation = upstream.conversations[0] if upstream.conversations else await upstream.accepted()
            await conversation.request()
            await conversation.send_split(data, 20, 50, 60, len(data) - 3)
            answer = await client.answer()
            assert (answer.body, answer.get("x-collected"), answer.closes) == (b"helloworld", "10", False)


async def test_an_answer_that_is_too_large_to_be_examined_is_502() -> None:
    registry = test_filters("collect_answer")
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"a" * 2000
    async with (
        Upstream(answers(data)) as upstream,
        proxy(upstream, registry=registry, filters=[{"test.collect_answer": {}}]) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.closes) == (502, False)
        record = await gateway.record()
        assert (record["gateway.reason"], record["gateway.filter"]) == (
            "response_too_large",
            "test.collect_answer",
        )


@pytest.mark.parametrize(("after", "seen"), [(0, False), (5, True)])
async def test_a_refusal_in_the_answers_body_is_502_or_aborts(after: int, seen: bool) -> None:
    registry = test_filters("refuse_in_answer")
    filters = [{"test.refuse_in_answer": {"after": after}}]
    async with Upstream() as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        if seen:
            assert b" 200 " in (await client.head()).first
            assert await client.take(5) == b"hello"
            await conversation.send(b"world")
            await client.ended()
        else:
            assert (await client.answer()).status == 502
        await conversation.gone()
        assert (await gateway.record())["gateway.reason"] == "response_too_large"


_WITH_AND_WITHOUT: list[list[dict[str, Any]]] = [[], [{"test.collect": {}}]]

# ---- measures


async def _whole_answer(client: Client) -> str:
    answer = await client.answer()
    assert answer.whole
    return hashlib.sha256(answer.body).hexdigest()


def _buffered(gateway: Running) -> int:
    """Bytes that the gateway itself holds for its connections."""
    held = 0
    for connection in gateway.listener._connections:
        if connection.transport is not None:
            held += connection.transport.get_write_buffer_size()
        handler = connection.handler
        if handler is None:
            continue
        held += getattr(handler.payload, "_size", 0) + sum(map(len, handler._prefix or ()))
        leg = handler._leg
        if leg is not None and leg.connection is not None:
            held += leg.connection.transport.get_write_buffer_size()
            held += sum(map(len, leg.connection._chunks))
    return held
