"""When a request is sent a second time: only where nobody can notice. And which endpoint is asked."""

import pytest

from tests.support.client import chunked, get, post
from tests.support.deadline import until
from tests.support.gateway import Running, proxy, test_filters
from tests.support.upstream import OK, Conversation, Upstream, closed_port, echo


async def stale(gateway: Running, upstream: Upstream) -> Conversation:
    """Leaves one pooled connection, whose other end will answer nothing more."""
    client = await gateway.connect()
    await client.send(get("/first"))
    conversation = await upstream.accepted()
    await conversation.answer()
    assert (await client.answer()).status == 200
    await until(lambda: gateway.pools["main"].idle_count == 1, "the connection is pooled")
    return conversation


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_an_idempotent_request_on_a_stale_connection_is_sent_once_more(method: str) -> None:
    """The upstream closes just when the request is on its way."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        client = await gateway.connect()
        await client.send(post(b"hello", method=method) if method == "PUT" else get("/", method=method))
        await old.request()
        old.reset()
        new = await upstream.accepted()
        request = await new.request()
        assert (request.method, request.body) == (method, b"hello" if method == "PUT" else b"")
        await new.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert (await client.answer(method)).status == 200
        record = (await gateway.records(2))[1]
        first, second = record["gateway.upstream.attempts"]
        assert (first["reused"], first["error"]) == (True, "upstream_closed")
        assert (second["reused"], second["status"], "error" in second) == (False, 200, False)
        assert record["gateway.reason"] == "passed"


async def test_a_retried_request_is_the_same_to_the_byte() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        client = await gateway.connect()
        await client.send(get("/a?b=c", "X-Foo: a", "x-foo: b"))
        first = await old.request()
        old.half_close()
        new = await upstream.accepted()
        second = await new.request()
        assert first == second
        await new.send(OK)
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_post_is_never_sent_twice(method: str) -> None:
    """P15: the upstream may have done it already."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        client = await gateway.connect()
        await client.send(post(b"hello", method=method))
        await old.request()
        old.reset()
        answer = await client.answer()
        assert (answer.status, answer.closes) == (502, False)
        record = (await gateway.records(2))[1]
        assert (record["gateway.decision"], record["gateway.reason"]) == ("fail", "upstream_closed")
        assert len(record["gateway.upstream.attempts"]) == 1
        assert len(upstream.conversations) == 1


async def test_a_get_is_sent_twice_at_the_most() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        client = await gateway.connect()
        await client.send(get("/a"))
        await old.request()
        old.reset()
        new = await upstream.accepted()
        await new.request()
        new.reset()
        assert (await client.answer()).status == 502
        assert len(upstream.conversations) == 2
        assert len((await gateway.records(2))[1]["gateway.upstream.attempts"]) == 2


async def test_a_get_on_a_new_connection_is_not_sent_again() -> None:
    """Such an upstream has seen the request, and broke on it."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        conversation.reset()
        assert (await client.answer()).status == 502
        assert len(upstream.conversations) == 1


async def test_a_get_is_not_sent_again_once_a_byte_of_an_answer_has_come() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        client = await gateway.connect()
        await client.send(get("/a"))
        await old.request()
        await old.send(b"HTTP/1.1 2")
        old.half_close()
        assert (await client.answer()).status == 502
        assert len(upstream.conversations) == 1


async def test_a_streamed_body_that_has_begun_is_not_sent_again() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.send(chunked(b"hello", end=False))
        await old.request_head()
        assert await old.take(10) == b"5\r\nhello\r\n"
        old.reset()
        answer = await client.answer("PUT")
        assert (answer.status, answer.closes) == (502, True)
        assert len(upstream.conversations) == 1


async def test_a_streamed_body_that_has_not_begun_goes_to_the_second_connection() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        await old.request_head()
        old.reset()
        new = await upstream.accepted()
        await client.send(b"hello")
        request = await new.answer()
        assert request.body == b"hello"
        assert (await client.answer("PUT")).status == 200


async def test_a_pooled_connection_that_the_upstream_has_closed_is_not_used() -> None:
    """Nothing is sent into it: a POST after it is safe."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        old.half_close()
        await old.gone()
        client = await gateway.connect()
        await client.send(post(b"hello"))
        new = await upstream.accepted()
        await new.answer()
        assert (await client.answer()).status == 200


async def test_a_pooled_connection_that_speaks_unasked_is_not_used() -> None:
    """P42."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        await old.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!")
        await old.gone()
        client = await gateway.connect()
        await client.send(get("/a"))
        new = await upstream.accepted()
        await new.answer()
        assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize("request_bytes", [get("/a"), post(b"hello")], ids=["GET", "POST"])
@pytest.mark.parametrize(
    "stray", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!", b""], ids=["bytes", "end"]
)
async def test_what_lies_unread_on_a_pooled_connection_is_no_answer(
    request_bytes: bytes, stray: bytes
) -> None:
    """P42: it came while the loop was busy, and behind the request, which the loop reads first."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/first"))
        old = await upstream.accepted()
        await old.answer()
        assert (await client.answer()).status == 200
        assert client.sock.send(request_bytes) == len(request_bytes)
        if stray:
            assert old.sock.send(stray) == len(stray)
        else:
            old.half_close()
        new = await upstream.accepted()
        await new.answer()
        assert (await client.answer()).body == b"ok"
        assert await old.next_request() is None


async def test_a_pooled_connection_is_given_up_after_its_time() -> None:
    async with Upstream() as upstream, proxy(upstream, upstream_options={"keepalive": "100ms"}) as gateway:
        old = await stale(gateway, upstream)
        await old.gone()
        assert gateway.pools["main"].idle_count == 0


async def test_no_more_connections_are_kept_than_configured() -> None:
    async with Upstream() as upstream, proxy(upstream, upstream_options={"max_idle": 1}) as gateway:
        clients = [await gateway.connect() for _ in range(3)]
        conversations = []
        for client in clients:
            await client.send(get("/a"))
            conversations.append(await upstream.accepted())
        for conversation, client in zip(conversations, clients, strict=True):
            await conversation.answer()
            assert (await client.answer()).status == 200
        assert gateway.pools["main"].idle_count == 1
        for conversation in conversations[1:]:
            await conversation.gone()


# ---- endpoints


async def test_a_refused_connection_is_503_with_retry_after() -> None:
    async with proxy([f"http://127.0.0.1:{closed_port()}"]) as gateway:
        client = await gateway.connect()
        for request in (get("/a"), post(b"hello")):
            answer = await client.ask(request)
            assert (answer.status, answer.fault, answer.closes) == (503, "serviceUnavailable", False)
            assert int(answer.get("retry-after") or 0) > 0
            assert "127.0.0.1" not in answer.body.decode()
        record = (await gateway.records(2))[1]
        assert (record["gateway.decision"], record["gateway.reason"]) == ("fail", "upstream_connect_failed")
        assert record["gateway.upstream.attempts"][0]["error"] == "upstream_connect_failed"


@pytest.mark.parametrize("request_bytes", [get("/a"), post(b"hello")], ids=["get", "post"])
async def test_the_next_endpoint_is_tried_when_a_connection_is_refused(request_bytes: bytes) -> None:
    """Nothing has been sent, so even a POST may go elsewhere."""
    async with (
        Upstream(echo) as upstream,
        proxy([f"http://127.0.0.1:{closed_port()}", upstream.url]) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(4):
            assert (await client.ask(request_bytes)).status == 200
        attempts = [len(r["gateway.upstream.attempts"]) for r in await gateway.records(4)]
        assert max(attempts) == 2
        assert len(upstream.requests) == 4


async def test_endpoints_are_asked_in_turn() -> None:
    async with Upstream(echo) as one, Upstream(echo) as two, proxy([one.url, two.url]) as gateway:
        client = await gateway.connect()
        for _ in range(6):
            assert (await client.ask(get("/a"))).status == 200
        assert (len(one.requests), len(two.requests)) == (3, 3)


async def test_a_chunked_request_whose_end_has_been_sent_is_not_sent_again_without_it() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        old = await stale(gateway, upstream)
        client = await gateway.connect()
        await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await old.request_head()
        await client.send(b"0\r\n\r\n")
        assert await old.take(5) == b"0\r\n\r\n"
        old.reset()
        assert (await client.answer("PUT")).status == 502
        assert len(upstream.conversations) == 1


async def test_a_large_body_that_a_filter_has_collected_is_sent_once_more() -> None:
    body = b"a" * 300_000
    registry = test_filters("collect")
    async with Upstream() as upstream:
        options = {"limit": 1_000_000}
        async with proxy(upstream, registry=registry, filters=[{"test.collect": options}]) as gateway:
            old = await stale(gateway, upstream)
            client = await gateway.connect()
            await client.send(post(body, method="PUT"))
            assert (await old.request()).body == body
            old.reset()
            new = await upstream.accepted()
            assert (await new.request()).body == body
            await new.send(OK)
            assert (await client.answer("PUT")).status == 200
