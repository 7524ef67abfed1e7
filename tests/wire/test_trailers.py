"""Trailer fields of answers: to clients that ask for them, behind the body, and nowhere else (RFC 9110 section 6.5)."""

import pytest

from tests.support.client import get
from tests.support.gateway import proxy, test_filters
from tests.support.upstream import OK, Upstream, answers, answers_and_closes

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
TRAILED = HEAD + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nServer-Timing: a;dur=1\r\n\r\n"
WANTED = ("TE: trailers", "Connection: TE")


SENT = [("X-Sum", "1"), ("Server-Timing", "a;dur=1")]


@pytest.mark.parametrize("lines", [WANTED, ("TE: gzip, Trailers", "Connection: te, keep-alive")])
async def test_a_client_that_says_te_gets_the_trailers(lines: tuple[str, ...]) -> None:
    """RFC 9110 sections 6.5.1 and 10.1.4: the answer, and what is asked of the upstream for it."""
    async with Upstream(answers(TRAILED)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(get("/a", *lines))
            assert (answer.status, answer.body, answer.whole) == (200, b"hello", True)
            assert answer.trailers == SENT
            assert answer.get("trailer") == "X-Sum"
            assert not answer.all("x-sum"), "never merged into the header section"
        assert len(upstream.conversations) == 1
        for request in upstream.requests:
            assert (request.get("te"), request.get("connection")) == ("trailers", "TE")


async def test_te_without_its_connection_option_asks_the_upstream_for_nothing() -> None:
    """P7: it may come from the far side of a hop that does not know it. What comes all the same is passed on."""
    async with Upstream(answers(TRAILED)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", "TE: trailers"))
        assert (answer.body, answer.trailers) == (b"hello", SENT)
        assert upstream.requests[0].all("te") == upstream.requests[0].all("connection") == []


@pytest.mark.parametrize(
    "lines", [(), ("TE: gzip", "Connection: TE"), ("TE: trailers;q=0", "Connection: TE")]
)
async def test_a_client_that_does_not_gets_none_and_the_upstream_is_not_asked(lines: tuple[str, ...]) -> None:
    async with Upstream(answers(TRAILED)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", *lines))
        assert (answer.body, answer.whole, answer.trailers) == (b"hello", True, [])
        assert answer.all("trailer") == [] and answer.all("x-sum") == []
        assert upstream.requests[0].all("te") == upstream.requests[0].all("connection") == []


async def test_a_client_of_http_1_0_gets_none() -> None:
    async with Upstream(answers(TRAILED)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(b"GET /a HTTP/1.0\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
        assert (answer.body, answer.all("trailer")) == (b"hello", [])
        assert upstream.requests[0].all("te") == []


async def test_an_answer_without_chunks_has_no_trailers() -> None:
    data = OK.replace(b"\r\n\r\n", b"\r\nTrailer: X-Sum\r\n\r\n")
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", *WANTED))
        assert (answer.get("content-length"), answer.body, answer.all("trailer")) == ("2", b"ok", [])


async def test_an_answer_to_head_asks_for_none() -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", *WANTED, method="HEAD"))
        assert (answer.status, answer.all("trailer")) == (200, [])
        assert upstream.requests[0].all("te") == []


async def test_a_body_that_ends_with_its_connection_has_none() -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\nhello"
    async with Upstream(answers_and_closes(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", *WANTED))
        assert (answer.body, answer.whole, answer.trailers) == (b"hello", True, [])


async def test_trailers_may_come_late_and_in_pieces() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a", *WANTED))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(HEAD + b"5\r\nhello\r\n")
        assert b" 200 " in (await client.head()).first
        assert await client.take(10) == b"5\r\nhello\r\n"
        await conversation.send_split(b"0\r\nX-Sum: 1\r\nX-Two: 2 \r\n\r\n")
        assert await client.take_until(b"\r\n\r\n") == b"0\r\nX-Sum: 1\r\nX-Two: 2\r\n\r\n"


FORBIDDEN = (
    b"Transfer-Encoding: chunked\r\nTrailer: X\r\nConnection: close\r\nHost: evil.test\r\nSet-Cookie: a=b\r\n"
    b"WWW-Authenticate: Basic\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nCache-Control: no-store\r\n"
    b"Date: x\r\nVia: 1.1 evil\r\nX-Openstack-Request-Id: r\r\nUpgrade: h2c\r\nX-Hop: a\r\n"
)


async def test_fields_that_must_not_be_trailers_are_dropped() -> None:
    """RFC 9110 section 6.5.1; and those that the head's Connection names."""
    data = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\n\r\n"
        b"5\r\nhello\r\n0\r\n" + FORBIDDEN + b"X-Sum: 1\r\n\r\n"
    )
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(get("/a", *WANTED))
            assert (answer.body, answer.whole, answer.closes) == (b"hello", True, False)
            assert answer.trailers == [("X-Sum", "1")]


async def test_a_trailer_field_that_connection_names_stays_here() -> None:
    data = TRAILED.replace(b"Trailer: X-Sum", b"Trailer: X-Sum\r\nConnection: trailer")
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", *WANTED))
        assert (answer.all("trailer"), answer.trailers[0]) == ([], ("X-Sum", "1"))


BROKEN: dict[str, bytes] = {
    "a space before the colon": b"X-Sum : 1\r\n\r\n",
    "no colon": b"X-Sum\r\n\r\n",
    "folded": b"X-Sum: 1\r\n 2\r\n\r\n",
    "a control": b"X-Sum: \x01\r\n\r\n",
    "NUL": b"X-Sum: a\x00b\r\n\r\n",
    "a bare CR": b"X-Sum: a\rb\r\n\r\n",
    "a bare LF": b"X-Sum: a\nX: b\r\n\r\n",
    "a length": b"Content-Length: 5\r\n\r\n",
    "too large": b"X-Sum: " + b"a" * 20_000 + b"\r\n\r\n",
    "too many": b"X: y\r\n" * 600 + b"\r\n",
}


@pytest.mark.parametrize("lines", [WANTED, ()], ids=["wanted", "not wanted"])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_body_whose_trailers_are_broken_never_ends(name: str, lines: tuple[str, ...]) -> None:
    """The client sees an aborted message, and nothing of the section."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a", *lines))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(HEAD + b"5\r\nhello\r\n")
        await client.head()
        await conversation.send(b"0\r\n" + BROKEN[name])
        assert await client.rest() in (b"5\r\nhello\r\n", b"")
        assert client.was_reset
        record = await gateway.record()
        assert (record["gateway.decision"], record["gateway.reason"]) == (
            "abort",
            "upstream_response_invalid",
        )
        await conversation.gone()


async def test_a_trailer_that_never_ends_is_cut() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a", *WANTED))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(HEAD + b"5\r\nhello\r\n0\r\nX-Sum: ")
        with pytest.raises(ConnectionError):
            await conversation.send(b"a" * 65_536_000)
        assert (await gateway.record())["gateway.reason"] == "upstream_response_invalid"


async def test_fields_of_a_message_that_nobody_asked_for_are_no_trailers() -> None:
    """P42."""
    data = TRAILED + b"HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 0\r\n\r\n"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", *WANTED))
        assert ("X-Evil", "1") not in answer.trailers and len(answer.trailers) == 2
        assert (await client.ask(get("/a", *WANTED))).whole
        assert len(upstream.conversations) == 2


@pytest.mark.parametrize(
    ("filter", "body", "trailers"),
    [
        ("upper", b"HHEELLLLOO", []),
        ("collect_answer", b"hello", SENT),
    ],
)
async def test_trailers_of_a_body_that_a_filter_has_changed_are_dropped(
    filter: str, body: bytes, trailers: list[tuple[str, str]]
) -> None:
    """They speak of the body that was: a sum of it, a signature. Reading it changes nothing."""
    registry = test_filters(filter)
    async with (
        Upstream(answers(TRAILED)) as upstream,
        proxy(upstream, registry=registry, filters=[{f"test.{filter}": {}}]) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a", *WANTED))
        assert (answer.body, answer.trailers) == (body, trailers)
        assert answer.all("trailer") == (["X-Sum"] if trailers else [])


async def test_nothing_of_one_exchange_is_left_for_the_next() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with Upstream(answers(TRAILED, chunked)) as upstream, proxy(upstream) as gateway:
        first, second = await gateway.connect(), await gateway.connect()
        assert len((await first.ask(get("/a", *WANTED))).trailers) == 2
        assert (await second.ask(get("/b", *WANTED))).trailers == []
        assert len(upstream.conversations) == 1


@pytest.mark.parametrize("coding", [b"gzip", b"chunked, gzip"])
async def test_a_coding_among_the_trailers_does_not_fail_the_next_exchange(coding: bytes) -> None:
    """Whatever a parser makes of that trailer, the next client's answer is not to suffer for it."""
    poisoned = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
        b"Transfer-Encoding: %b\r\n\r\n" % coding
    )
    async with Upstream(answers(poisoned, TRAILED)) as upstream, proxy(upstream) as gateway:
        first, second = await gateway.connect(), await gateway.connect()
        assert (await first.ask(get("/a"))).body == b"hello"
        answer = await second.ask(get("/b"))
        assert (answer.status, answer.body) == (200, b"hello")
