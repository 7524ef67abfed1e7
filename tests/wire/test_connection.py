"""The life of a client's connection: kept, pipelined, half closed, reset, lingering."""

import asyncio

import pytest

from tests.support.client import chunked, get, post
from tests.support.deadline import until
from tests.support.expect import marked
from tests.support.filters import Hold
from tests.support.gateway import Running, proxy, test_filters
from tests.support.message import read_answer_body, read_head
from tests.support.upstream import OK, Upstream, answers, echo

ONLY_GET = [{"methods": {"allow": ["GET"]}}]


async def test_a_connection_is_kept_and_so_is_the_upstreams() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for number in range(5):
            answer = await client.ask(post(b"a" * number))
            assert (answer.json(), answer.closes) == ({"bytes": number}, False)
        assert len(upstream.conversations) == 1
        records = await gateway.records(5)
        assert [r["gateway.upstream.attempts"][0]["reused"] for r in records] == [
            False,
            True,
            True,
            True,
            True,
        ]
        assert [r["gateway.sequence"] for r in records] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close", "foo,close"])
async def test_connection_close_of_the_client_is_obeyed_and_said(value: str) -> None:
    """P41: later pipelined requests are ignored."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a", f"Connection: {value}") + get("/b"))
        answer = await client.answer()
        assert (answer.status, answer.closes) == (200, True)
        await client.ended()
        assert [request.target for request in upstream.requests] == [b"/a"]


@pytest.mark.parametrize("line", ["", "Connection: keep-alive\r\n"])
async def test_no_persistent_connection_with_a_client_of_http_1_0(line: str) -> None:
    """P45."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(f"GET /a HTTP/1.0\r\nHost: a\r\n{line}\r\n".encode() + get("/b"))
        answer = await client.answer()
        assert (answer.status, answer.closes) == (200, True)
        await client.ended()
        assert len(upstream.requests) == 1


async def test_pipelined_answers_leave_in_the_order_of_their_requests() -> None:
    """P44: the slow first one is not overtaken."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"".join([get("/1"), post(b"two", target="/2"), get("/3")]))
        conversation = await upstream.accepted()
        for number in (1, 2, 3):
            request = await conversation.request()
            assert request.target == b"/%d" % number
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
            assert (await client.answer()).body == b"%d" % number


async def test_more_pipelined_requests_than_may_wait_are_all_answered() -> None:
    """Beyond the limit the client is not read from; nothing is lost."""
    async with Upstream(echo) as upstream, proxy(upstream, limits={"pipeline": 2}) as gateway:
        client = await gateway.connect()
        data = b"".join(post(b"a" * n, target=f"/{n}") if n % 2 else get(f"/{n}") for n in range(50))
        await client.send(data)
        for number in range(50):
            assert (await client.answer()).json() == {"bytes": number if number % 2 else 0}
        assert [request.target for request in upstream.requests] == [b"/%d" % n for n in range(50)]


async def test_pipelined_requests_byte_by_byte() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        body = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"ab", b"c")
        await client.send_split(get("/a") + body + post(b"hello", target="/b"))
        assert [(await client.answer()).json()["bytes"] for _ in range(3)] == [0, 3, 5]
        assert [request.target for request in upstream.requests] == [b"/a", b"/c", b"/b"]


async def test_a_malformed_request_behind_a_good_one_is_answered_in_its_turn() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a") + b"\x00\x01garbage\r\n\r\n" + get("/never"))
        conversation = await upstream.accepted()
        await conversation.answer()
        assert (await client.answer()).status == 200
        answer = await client.answer()
        assert (answer.status, answer.closes) == (400, True)
        marked(answer)
        await client.ended()
        reasons = [record["gateway.reason"] for record in await gateway.records(2)]
        assert reasons == ["passed", "malformed_request"]


async def test_a_refusal_without_an_unread_body_keeps_the_connection() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, filters=ONLY_GET) as gateway:
        client = await gateway.connect()
        for request in (get("/a", method="DELETE"), post(b"hello"), post(b"")):
            answer = await client.ask(request)
            assert (answer.status, answer.closes) == (405, False)
        assert (await client.ask(get("/a"))).status == 200
        assert len(upstream.requests) == 1


# ---- half-close


async def test_a_half_closed_client_gets_its_answer() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(post(b"hello"))
        client.half_close()
        conversation = await upstream.accepted()
        await conversation.request()
        await until(lambda: _sees_eof(gateway), "the gateway sees the end of the client's stream")
        await conversation.send(OK)
        assert (await client.answer()).body == b"ok"
        await client.ended()
        assert (await gateway.record())["gateway.decision"] == "forward"


async def test_a_half_closed_client_gets_the_answers_to_all_that_it_has_sent() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a") + get("/b") + get("/c"))
        client.half_close()
        for _ in range(3):
            assert (await client.answer()).status == 200
        await client.ended()
        assert len(upstream.requests) == 3


async def test_a_half_closed_client_gets_a_long_answer_whole() -> None:
    body = b"a" * 3_000_000
    data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        client.half_close()
        answer = await client.answer()
        assert (len(answer.body), answer.whole) == (len(body), True)


ONE_END = {"address": "127.0.0.1:0", "half_close": False}
"""A listener where the end of a client's side is the end of the client."""


@pytest.mark.parametrize("request_", [get("/a"), post(b"hello")], ids=["GET", "POST"])
async def test_without_half_close_the_end_of_a_clients_side_ends_its_request(request_: bytes) -> None:
    async with Upstream() as upstream, proxy(upstream, listen=ONE_END) as gateway:
        client = await gateway.connect()
        await client.send(request_)
        conversation = await upstream.accepted()
        await conversation.request()
        client.half_close()
        await conversation.gone()
        await client.ended()
        record = await gateway.record()
        assert (record["gateway.decision"], record["gateway.reason"]) == ("abort", "client_disconnected")
        assert "http.response.status_code" not in record


async def test_without_half_close_nothing_else_is_different() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=ONE_END, filters=ONLY_GET) as gateway:
        client = await gateway.connect()
        for target in ("/a", "/b"):
            assert (await client.ask(get(target))).status == 200
        client.half_close()
        await client.ended()
        # An answer before the body: the end of ours comes first, as ever.
        refused = await gateway.connect()
        await refused.send(b"POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        assert (await refused.answer("POST")).status == 405
        await refused.ended()
        refused.half_close()
        await gateway.records(3)


@pytest.mark.parametrize("half_close", [True, False])
async def test_a_permit_of_a_client_that_closes_comes_back_as_its_listener_says(half_close: bool) -> None:
    listen = {**ONE_END, "half_close": half_close}
    filters = [{"concurrency": {"limits": [{"key": ["global"], "max": 1}]}}]
    async with Upstream() as upstream, proxy(upstream, listen=listen, filters=filters) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        client.close()  # FIN, no RST: nothing is unread
        other = await gateway.connect()
        if half_close:
            await until(lambda: _sees_eof(gateway), "the gateway sees the end of the client's stream")
            assert (await other.ask(get("/b"))).status == 429
            await conversation.send(OK)
        await until(lambda: gateway.listener.active_count == 0, "its request is over")
        await other.send(get("/c"))
        again = conversation if half_close else await upstream.accepted()
        assert (await again.request()).target == b"/c"
        await again.send(OK)
        assert (await other.answer()).status == 200


async def test_eof_on_an_idle_connection_closes_it_without_a_record() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        for sent in (b"", b"GET / HT", b"\r\n"):
            client = await gateway.connect()
            await client.send(sent)
            client.half_close()
            await client.ended()
        await gateway.records(0)


async def test_eof_in_the_middle_of_a_body_cuts_the_upstream_off_at_once() -> None:
    """The upstream never takes the part for the whole."""
    for head in ("Content-Length: 10", "Transfer-Encoding: chunked"):
        async with Upstream() as upstream, proxy(upstream) as gateway:
            client = await gateway.connect()
            await client.send(f"POST /a HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode())
            await client.send(b"5\r\nhello\r\n" if "chunked" in head else b"hello")
            conversation = await upstream.accepted()
            await conversation.request_head()
            client.half_close()
            received = await conversation.rest()
            assert b"hello" in received or received == b""
            assert not received.endswith(b"0\r\n\r\n")
            await conversation.gone()
            await client.rest()
            record = await gateway.record()
            assert (record["gateway.decision"], record["gateway.reason"]) == ("abort", "client_disconnected")
            assert "http.response.status_code" not in record


# ---- a client that goes away


@pytest.mark.parametrize("when", ["before the answer", "in the answer", "in the body"])
async def test_an_abort_by_the_client_reaches_the_upstream_at_once(when: str) -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        if when == "in the body":
            await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
            conversation = await upstream.accepted()
            await conversation.request_head()
        else:
            await client.send(get("/a"))
            conversation = await upstream.accepted()
            await conversation.request()
        if when == "in the answer":
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            await client.head()
        client.reset()
        await conversation.gone()
        record = await gateway.record()
        assert (record["gateway.decision"], record["gateway.reason"]) == ("abort", "client_disconnected")
        await until(lambda: gateway.listener.connection_count == 0, "the connection is forgotten")
        assert gateway.pools["main"].idle_count == 0


async def test_an_abort_by_the_client_ends_the_connecting_to_the_upstream() -> None:
    """Nothing is sent for a client that has gone before the upstream took the connection."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        await until(lambda: gateway.listener.active_count == 1, "the exchange has begun")
        client.reset()
        record = await gateway.record()
        assert record["gateway.reason"] == "client_disconnected"
        for conversation in upstream.conversations:
            await conversation.gone()


async def test_an_abort_by_the_client_cancels_a_filter_that_waits() -> None:
    Hold.events.clear()
    Hold.gate = asyncio.Event()
    async with (
        Upstream() as upstream,
        proxy(upstream, registry=test_filters("hold"), filters=[{"test.hold": {}}]) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        await until(lambda: Hold.events == ["waits"], "the filter waits")
        client.reset()
        record = await gateway.record()
        await until(lambda: "cancelled" in Hold.events, "the filter is cancelled")
        assert record["gateway.reason"] == "client_disconnected"
        assert sorted(Hold.events) == ["cancelled", "over", "waits"]
        assert upstream.conversations == []


async def test_requests_pipelined_behind_one_whose_client_has_gone_are_not_sent() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a") + post(b"pay", target="/b"))
        conversation = await upstream.accepted()
        await conversation.request()
        client.reset()
        await conversation.gone()
        assert len(await gateway.records(1)) == 1
        assert len(upstream.conversations) == 1


# ---- an answer before the body is read


def upload(size: int, *lines: str) -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"PUT /a HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {size}\r\n\r\n".encode()


@pytest.mark.parametrize(("status", "size"), [(405, 500_000), (413, 500_000), (401, 500_000)])
async def test_an_early_refusal_is_readable_for_a_client_that_is_still_uploading(
    status: int, size: int
) -> None:
    """P40: a naive server closes, and the reset overtakes the answer."""
    filters = {
        405: ONLY_GET,
        413: [{"body_size": {"max": 1000}}],
        401: [{"token_auth": {"providers": [{"static": {"tokens": []}}]}}],
    }[status]
    async with Upstream() as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        await client.send(upload(size) + b"a" * 1000)
        answer = await client.answer("PUT")
        assert (answer.status, answer.closes) == (status, True)
        for _ in range(size // 1000 - 1):
            await client.send(b"a" * 1000)
        await client.rest()
        assert not client.was_reset
        client.close()
        await until(lambda: gateway.listener.connection_count == 0, "the connection ends with the client's")
        assert upstream.conversations == []


async def test_lingering_ends_after_its_time() -> None:
    async with (
        Upstream() as upstream,
        proxy(upstream, filters=ONLY_GET, timeouts={"linger": "150ms"}) as gateway,
    ):
        client = await gateway.connect()
        await client.send(upload(500_000))
        assert (await client.answer("PUT")).status == 405
        await until(lambda: gateway.listener.connection_count == 0, "the connection is cut")


async def test_lingering_ends_after_a_mebibyte() -> None:
    async with (
        Upstream() as upstream,
        proxy(upstream, filters=ONLY_GET, timeouts={"linger": "60s"}) as gateway,
    ):
        client = await gateway.connect()
        await client.send(upload(50_000_000))
        assert (await client.answer("PUT")).status == 405
        with pytest.raises(ConnectionError):
            await client.send(b"a" * 50_000_000)
        assert client.sent < 16_000_000
        await until(lambda: gateway.listener.connection_count == 0, "the connection is cut")


async def test_bytes_that_come_while_lingering_are_never_a_request() -> None:
    async with Upstream() as upstream, proxy(upstream, filters=ONLY_GET) as gateway:
        client = await gateway.connect()
        await client.send(upload(10) + b"a")
        assert (await client.answer("PUT")).status == 405
        await client.send(b"a" * 9 + get("/smuggled"))
        client.half_close()
        await client.ended()
        assert upstream.conversations == []
        await gateway.records(1)


async def test_a_chunked_body_over_the_limit_is_413_on_its_way() -> None:
    """The upstream's part is cut off, the client can read the answer."""
    filters = [{"body_size": {"max": 1000}}]
    async with Upstream() as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.send(chunked(b"a" * 600, end=False))
        conversation = await upstream.accepted()
        await conversation.request_head()
        await client.send(chunked(b"a" * 600, end=False))
        answer = await client.answer("POST")
        assert (answer.status, answer.fault, answer.closes) == (413, "overLimit", True)
        assert answer.get("retry-after") is None
        received = await conversation.rest()
        assert b"0\r\n\r\n" not in received
        await conversation.gone()
        record = await gateway.record()
        assert (record["gateway.reason"], record["gateway.decision"]) == ("body_too_large", "refuse")
        assert record["gateway.filter"] == "body_size"
        await client.send(chunked(b"a" * 600))
        client.half_close()
        await client.ended()


async def test_many_connections_at_once_each_get_their_own_answer() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        clients = [await gateway.connect() for _ in range(40)]
        for _ in range(3):
            for number, client in enumerate(clients):
                await client.send(post(b"a" * number))
            for number, client in enumerate(clients):
                assert (await client.answer()).json() == {"bytes": number}
        assert len(upstream.conversations) <= 40


async def test_an_answer_in_pieces_reaches_the_client_in_pieces() -> None:
    """Nothing is held back until the end: server-sent events work."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        head = await read_head(client)
        assert head is not None and head.get("transfer-encoding") == "chunked"
        for number in range(5):
            await conversation.send(b"data: %d\n\n" % number)
            assert await client.take_until(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % number
        conversation.half_close()
        answer = await read_answer_body(client, head)
        assert (answer.body, answer.whole) == (b"", True)


def _sees_eof(gateway: Running) -> bool:
    return any(connection._eof for connection in gateway.listener._connections)
