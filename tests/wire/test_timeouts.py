"""Nobody waits for ever: each clock of the client's side and of the upstream's, and what its end says."""

import asyncio
import socket
from contextlib import suppress

import pytest

from tests.support.client import chunked, get, post
from tests.support.deadline import until
from tests.support.expect import marked, refused
from tests.support.filters import Hold, HoldAnswer
from tests.support.gateway import proxy, test_filters
from tests.support.upstream import OK, Conversation, Upstream, echo

SHORT = "150ms"
"""Long enough for a busy machine to do what comes before it, short enough to be waited for."""

# ---- the client


@pytest.mark.parametrize("sent", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-Foo: "])
async def test_a_slow_head_is_408(sent: bytes) -> None:
    async with Upstream() as upstream, proxy(upstream, timeouts={"header": SHORT}) as gateway:
        client = await gateway.connect()
        await client.send(sent)
        await refused(gateway, client, 408, "header_timeout")


async def test_a_head_that_trickles_is_cut_all_the_same() -> None:
    """The clock runs from the first byte, and no byte starts it anew."""
    async with Upstream() as upstream, proxy(upstream, timeouts={"header": SHORT}) as gateway:
        client = await gateway.connect()
        await client.send(b"GET / HTTP/1.1\r\n")

        async def trickle() -> None:
            while True:
                await client.send(b"X: y\r\n")
                await asyncio.sleep(0.01)

        trickling = asyncio.ensure_future(trickle())
        answer = await client.answer()
        assert (answer.status, answer.closes) == (408, True)
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)
        assert (await gateway.record())["gateway.reason"] == "header_timeout"


async def test_the_head_clock_starts_anew_for_the_next_request() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, timeouts={"header": SHORT}) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 200
        await client.send(b"GET / HTTP/1.1\r\n")
        answer = await client.answer()
        assert (answer.status, answer.closes) == (408, True)
        assert [r["gateway.reason"] for r in await gateway.records(2)] == ["passed", "header_timeout"]


async def test_the_head_clock_does_not_run_while_the_request_before_is_served() -> None:
    """What a client pipelines waits for its turn, not for our clock."""
    async with Upstream() as upstream, proxy(upstream, timeouts={"header": SHORT}) as gateway:
        client = await gateway.connect()
        await client.send(get("/a") + b"GET /b HTTP/1.1\r\n")
        conversation = await upstream.accepted()
        await conversation.request()
        slow = await gateway.connect()
        await slow.send(b"G")
        assert (await slow.answer()).status == 408  # a clock of the same length has run out by now
        await conversation.send(OK)
        assert (await client.answer()).status == 200
        await client.send(b"Host: a\r\n\r\n")
        await conversation.answer()
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("pipelined", [False, True])
async def test_an_idle_connection_is_closed_without_a_word_or_a_record(pipelined: bool) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, timeouts={"idle": SHORT}) as gateway:
        client = await gateway.connect()
        if pipelined:
            assert (await client.ask(get("/a"))).status == 200
        await client.ended()
        assert not client.was_reset
        await gateway.records(1 if pipelined else 0)


@pytest.mark.parametrize("collected", [False, True], ids=["streamed", "collected"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
async def test_a_slow_body_is_408_and_the_upstream_is_cut_off(coding: str, collected: bool) -> None:
    filters: list[dict[str, object]] = [{"test.collect": {}}] if collected else []
    registry = test_filters("collect")
    async with (
        Upstream() as upstream,
        proxy(upstream, timeouts={"body": SHORT}, registry=registry, filters=filters) as gateway,
    ):
        client = await gateway.connect()
        field = "Content-Length: 10" if coding == "length" else "Transfer-Encoding: chunked"
        await client.send(f"POST /a HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n".encode())
        await client.send(b"hello" if coding == "length" else chunked(b"hello", end=False))
        answer = await client.answer("POST")
        assert (answer.status, answer.closes) == (408, True)
        marked(answer)
        record = await gateway.record()
        assert (record["gateway.reason"], record["gateway.decision"]) == ("body_timeout", "refuse")
        client.half_close()
        await client.ended()
        for conversation in upstream.conversations:
            await conversation.request_head()
            assert b"0\r\n\r\n" not in await conversation.rest()
            await conversation.gone()
        assert len(upstream.conversations) == (0 if collected else 1)


async def test_a_body_that_trickles_goes_on_as_long_as_it_moves() -> None:
    """The clock of a body runs between two pieces."""
    async with Upstream(echo) as upstream, proxy(upstream, timeouts={"body": "300ms"}) as gateway:
        client = await gateway.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n")
        for _ in range(40):
            await client.send(b"a")
            await asyncio.sleep(0.02)  # 0.8 s in all
        assert (await client.answer("POST")).json() == {"bytes": 40}


async def test_a_client_that_stops_reading_is_cut_and_so_is_its_upstream() -> None:
    async with Upstream() as upstream, proxy(upstream, timeouts={"body": SHORT}) as gateway:
        client = await gateway.connect(receive_buffer=4096)
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            await conversation.send(b"a" * 100_000_000)
        record = await gateway.record()
        assert (record["gateway.decision"], record["gateway.reason"]) == ("abort", "client_stalled")
        await until(lambda: gateway.listener.connection_count == 0, "the connection is cut")


async def test_a_client_that_does_not_read_a_large_answer_of_ours_does_not_stay_for_ever() -> None:
    """Also behind the exchange: what is still to be written when it is over."""
    body = b"a" * 30_000_000
    data = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def script(conversation: Conversation) -> None:
        await conversation.request()
        with suppress(ConnectionError):
            await conversation.send(data, seconds=30)

    async with (
        Upstream(script) as upstream,
        proxy(upstream, timeouts={"body": SHORT, "idle": SHORT}) as gateway,
    ):
        client = await gateway.connect(receive_buffer=4096)
        await client.send(get("/a", "Connection: close"))
        await until(lambda: gateway.listener.connection_count == 1, "the connection is made")
        await until(lambda: gateway.listener.connection_count == 0, "the connection is cut")
        assert not (await client.answer()).whole


# ---- the upstream


async def _trickle(conversation: Conversation) -> None:
    """A byte now and then, for longer than any clock here runs."""
    for _ in range(500):
        await conversation.send(b"a")
        await asyncio.sleep(0.01)


async def test_a_connection_that_is_not_made_in_time_is_504() -> None:
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
        async with proxy([url], upstream_options={"timeouts": {"connect": SHORT}}) as gateway:
            client = await gateway.connect()
            answer = await client.ask(get("/a"))
            assert (answer.status, answer.fault, answer.closes) == (504, "computeFault", False)
            record = await gateway.record()
            assert (record["gateway.decision"], record["gateway.reason"]) == (
                "fail",
                "upstream_connect_timeout",
            )
            (attempt,) = record["gateway.upstream.attempts"]
            assert attempt["error"] == "upstream_connect_timeout"
            assert "connect_ms" not in attempt
            assert attempt["total_ms"] >= 100
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nX-Foo:"], ids=["nothing", "half a head"])
async def test_an_upstream_that_does_not_begin_to_answer_is_504(sent: bytes) -> None:
    async with (
        Upstream() as upstream,
        proxy(upstream, upstream_options={"timeouts": {"first_byte": SHORT}}) as gateway,
    ):
        client = await gateway.connect()
        await client.send(post(b"hello"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(sent)
        answer = await client.answer()
        assert (answer.status, answer.closes) == (504, False)
        assert (await gateway.record())["gateway.reason"] == "upstream_first_byte_timeout"
        await conversation.gone()


async def test_the_first_byte_clock_starts_when_the_request_has_been_sent() -> None:
    async with (
        Upstream() as upstream,
        proxy(upstream, upstream_options={"timeouts": {"first_byte": SHORT}}) as gateway,
    ):
        client = await gateway.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        conversation = await upstream.accepted()
        await conversation.request_head()
        other = await gateway.connect()
        await other.send(get("/b"))
        assert (await other.answer()).status == 504  # the same clock has run out for it
        await client.send(b"world")
        assert await conversation.take(10) == b"helloworld"
        await conversation.send(OK)
        assert (await client.answer("POST")).status == 200


@pytest.mark.parametrize("coding", ["length", "chunked", "until the end"])
async def test_a_stall_in_the_middle_of_an_answer_aborts_the_connection(coding: str) -> None:
    """In a naive proxy the client is left hanging."""
    framing = {
        "length": b"Content-Length: 10\r\n\r\nhello",
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "until the end": b"\r\nhello",
    }[coding]
    async with (
        Upstream() as upstream,
        proxy(upstream, upstream_options={"timeouts": {"idle": SHORT}}) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\n" + framing)
        answer = await client.answer()
        assert (answer.status, answer.whole) == (200, False)
        record = await gateway.record()
        assert (record["gateway.decision"], record["gateway.reason"]) == (
            "abort",
            "upstream_idle_timeout",
        )
        assert record["http.response.status_code"] == 200
        await conversation.gone()


async def test_an_answer_that_trickles_for_too_long_in_all_is_cut() -> None:
    async with (
        Upstream() as upstream,
        proxy(upstream, upstream_options={"timeouts": {"total": "300ms"}}) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            await _trickle(conversation)
        assert not (await client.answer()).whole
        assert (await gateway.record())["gateway.reason"] == "upstream_total_timeout"


async def test_the_total_time_before_the_head_is_504() -> None:
    async with (
        Upstream() as upstream,
        proxy(upstream, upstream_options={"timeouts": {"total": SHORT}}) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        answer = await client.answer()
        assert (answer.status, answer.closes) == (504, False)
        assert (await gateway.record())["gateway.reason"] == "upstream_total_timeout"
        await conversation.gone()


async def test_an_upstream_that_stops_reading_an_upload_is_504() -> None:
    """No first byte is awaited yet, and the client does what it can."""
    async with (
        Upstream(receive_buffer=4096) as upstream,
        proxy(upstream, upstream_options={"timeouts": {"idle": SHORT}}) as gateway,
    ):
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")

        async def upload() -> None:
            for _ in range(1500):
                await client.send(b"a" * 65536, seconds=30)

        uploading = asyncio.ensure_future(upload())
        answer = await client.answer("PUT")
        assert (answer.status, answer.closes) == (504, True)
        uploading.cancel()
        await asyncio.gather(uploading, return_exceptions=True)
        assert (await gateway.record())["gateway.reason"] == "upstream_idle_timeout"


async def test_a_slow_client_is_not_the_upstreams_fault() -> None:
    """While the client does not read, the upstream's idle clock stands still."""
    timeouts = {"timeouts": {"idle": SHORT}}
    async with Upstream() as upstream, proxy(upstream, upstream_options=timeouts) as gateway:
        client = await gateway.connect(receive_buffer=4096)
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        size = 20_000_000
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)

        async def send() -> None:
            await conversation.send(b"a" * size, seconds=30)

        sending = asyncio.ensure_future(send())
        # Another exchange shows that longer than the idle time has passed.
        other = await gateway.connect()
        await other.send(get("/b"))
        second = await upstream.accepted()
        await second.request()
        await second.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        assert not (await other.answer()).whole
        answer = await client.answer()
        assert (len(answer.body), answer.whole) == (size, True)
        await sending


# ---- filters that wait


async def test_the_total_clock_does_not_run_for_a_filter_that_waits_inward() -> None:
    Hold.events.clear()
    Hold.gate = asyncio.Event()
    registry = test_filters("hold")
    async with Upstream(echo) as upstream:
        options = {"timeouts": {"total": SHORT}}
        async with proxy(
            upstream, upstream_options=options, registry=registry, filters=[{"test.hold": {}}]
        ) as gateway:
            client = await gateway.connect()
            await client.send(get("/a"))
            await until(lambda: Hold.events == ["waits"], "the filter waits")
            Hold.gate.set()
            assert (await client.answer()).status == 200


async def test_the_end_of_time_while_a_filter_looks_at_the_answer_is_504() -> None:
    HoldAnswer.events.clear()
    HoldAnswer.gate = asyncio.Event()
    registry = test_filters("hold_answer")
    async with Upstream() as upstream:
        options = {"timeouts": {"total": SHORT}}
        async with proxy(
            upstream, upstream_options=options, registry=registry, filters=[{"test.hold_answer": {}}]
        ) as gateway:
            client = await gateway.connect()
            await client.send(get("/a"))
            conversation = await upstream.accepted()
            await conversation.request()
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            answer = await client.answer()
            assert answer.status == 504
            assert (await gateway.record())["gateway.reason"] == "upstream_total_timeout"
            await conversation.gone()


async def test_a_body_that_trickles_under_a_collecting_filter_is_cut_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.listener.handler.COLLECT_FACTOR", 0.01)
    registry = test_filters("collect")
    filters = [{"test.collect": {"limit": 100}}]
    async with Upstream() as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        assert (await client.answer("POST")).status == 408
        assert (await gateway.record())["gateway.reason"] == "body_timeout"


async def test_a_client_that_uploads_slowly_is_not_the_upstreams_fault() -> None:
    """RFC 9110 sections 15.5.9 and 15.6.5: it is the client whose request has not come."""
    timeouts = {"timeouts": {"total": SHORT}}
    async with Upstream() as upstream, proxy(upstream, upstream_options=timeouts) as gateway:
        client = await gateway.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10\r\n\r\nab")
        await upstream.accepted()
        answer = await client.answer("POST")
        assert (answer.status, answer.closes) == (408, True)
        record = await gateway.record()
        assert (record["gateway.reason"], record["gateway.decision"]) == ("body_timeout", "refuse")
