"""Answers of an upstream: forwarded as they are when they are certain, 502 or an aborted connection when not."""

import gzip
from contextlib import suppress

import pytest

from tests.support.client import get
from tests.support.expect import marked
from tests.support.gateway import proxy
from tests.support.upstream import OK, Conversation, Upstream, answers, answers_and_closes


@pytest.mark.parametrize(
    "status", [200, 201, 203, 206, 299, 301, 404, 418, 421, 499, 500, 503, 599, 799, 999]
)
async def test_every_status_is_forwarded_with_its_phrase(status: int) -> None:
    """P23, P49: also one that nobody knows."""
    data = b"HTTP/1.1 %d Odd Phrase\r\nContent-Length: 2\r\n\r\nok" % status
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.phrase, answer.body) == (status, "Odd Phrase", b"ok")
        marked(answer)
        assert (await gateway.record())["http.response.status_code"] == status


async def test_a_status_line_without_a_phrase_is_forwarded() -> None:
    async with (
        Upstream(answers(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok")) as upstream,
        proxy(upstream) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.body) == (200, b"ok")


async def test_head_keeps_the_length_that_the_upstream_gives_and_has_no_body() -> None:
    """P43. The body may yet come: the upstream's connection is for no other request."""
    data = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 870\r\n\r\n"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(3):
            answer = await client.ask(get("/a", method="HEAD"))
            assert (answer.status, answer.get("content-length"), answer.closes) == (200, "870", False)
        assert [request.method for request in upstream.requests] == ["HEAD"] * 3
        assert len(upstream.conversations) == 3


async def test_head_of_a_chunked_answer_has_no_body() -> None:
    """P43."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(get("/a", method="HEAD"))
            assert (answer.status, answer.closes) == (200, False)
        assert len(upstream.conversations) == 2


@pytest.mark.parametrize("lines", [b"", b"Content-Type: application/json\r\n", b"Content-Length: 0\r\n"])
async def test_204_has_neither_body_nor_length(lines: bytes) -> None:
    """P37, P43."""
    data = b"HTTP/1.1 204 No Content\r\n%b\r\n" % lines
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(get("/a", method="DELETE"))
            assert (answer.status, answer.closes) == (204, False)
            assert not answer.all("content-length") and not answer.all("transfer-encoding")
        assert len(upstream.conversations) == 1


async def test_304_keeps_its_length_and_has_no_body() -> None:
    """P43."""
    data = b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 870\r\n\r\n'
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(get("/a", 'If-None-Match: "a"'))
            assert (answer.status, answer.get("content-length"), answer.get("etag")) == (304, "870", '"a"')
        assert len(upstream.conversations) == 2


@pytest.mark.parametrize(
    ("method", "head"),
    [("HEAD", b"HTTP/1.1 200 OK\r\n"), ("GET", b"HTTP/1.1 304 Not Modified\r\n")],
)
async def test_a_body_that_comes_late_and_unasked_is_nobody_elses_answer(method: str, head: bytes) -> None:
    """Of HEAD and 304; RFC 9112 section 6.3 gives it no place."""
    stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"

    async def script(conversation: Conversation) -> None:
        while True:
            received = await conversation.next_request()
            if received is None:
                return
            if received.target == b"/first":
                await conversation.send(head + b"Content-Length: %d\r\n\r\n" % len(stray))
            else:
                if conversation.number == 0:
                    await conversation.send(stray)
                await conversation.send(OK)

    async with Upstream(script) as upstream, proxy(upstream) as gateway:
        first, second = await gateway.connect(), await gateway.connect()
        await first.ask(get("/first", method=method))
        assert (await second.ask(get("/second"))).body == b"ok"


async def test_an_empty_answer_keeps_its_length_of_zero() -> None:
    async with (
        Upstream(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as upstream,
        proxy(upstream) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.get("content-length"), answer.body, answer.closes) == ("0", b"", False)


async def test_a_chunked_answer_stays_chunked() -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(get("/a"))
            assert (answer.get("transfer-encoding"), answer.body, answer.whole) == ("chunked", b"hello", True)
        assert len(upstream.conversations) == 1


async def test_trailers_of_an_answer_are_not_merged_into_its_fields() -> None:
    """P26."""
    data = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\n\r\n"
    )
    async with Upstream(answers(data, OK)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.body, answer.whole) == (b"hello", True)
        assert not answer.all("x-sum") and not answer.all("set-cookie") and not answer.all("trailer")
        answer = await client.ask(get("/a"))
        assert answer.body == b"ok"
        assert not answer.all("x-sum") and not answer.all("set-cookie")


async def test_an_answer_that_ends_with_its_connection_is_chunked_to_the_client() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nhello"
    async with Upstream(answers_and_closes(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for number in (1, 2):
            answer = await client.ask(get("/a"))
            assert (answer.body, answer.whole, answer.closes) == (b"hello", True, False)
            assert len(upstream.conversations) == number


async def test_http_1_0_of_an_upstream_is_spoken_as_http_1_1() -> None:
    data = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    async with Upstream(answers_and_closes(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.head.first, answer.body) == (b"HTTP/1.1 200 OK\r\n", b"hello")
        assert not answer.closes


async def test_a_connection_that_the_upstream_closes_is_not_used_again() -> None:
    data = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for number in (1, 2):
            assert (await client.ask(get("/a"))).closes is False
            assert len(upstream.conversations) == number


async def test_no_content_is_transformed() -> None:
    """P12: compressed bytes pass as they are."""
    body = gzip.compress(b"hello" * 100)
    data = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", "Accept-Encoding: br"))
        assert (answer.body, answer.get("content-encoding")) == (body, "gzip")
        assert upstream.requests[0].get("accept-encoding") == "br"


# ---- 1xx


async def test_interim_responses_reach_a_client_of_http_1_1() -> None:
    """P22, P37."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-Foo\r\nX-Foo: b\r\n\r\n"
        )
        head = await client.head()
        assert head.first == b"HTTP/1.1 103 Early Hints\r\n"
        assert head.get("link") == "</a>"
        assert head.get("x-foo") is None and head.get("transfer-encoding") is None
        await conversation.send(b"HTTP/1.1 102 Processing\r\n\r\n" + OK)
        assert await client.status() == 102
        assert (await client.answer()).body == b"ok"


async def test_interim_responses_do_not_reach_a_client_of_http_1_0() -> None:
    """P22: RFC 9110 section 15.2."""
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(b"GET /a HTTP/1.0\r\n\r\n")
        assert (answer.status, answer.body) == (200, b"ok")


async def test_a_100_that_nobody_waits_for_is_dropped() -> None:
    async with (
        Upstream(answers(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as upstream,
        proxy(upstream) as gateway,
    ):
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 200


async def test_101_without_a_tunnel_is_502() -> None:
    """101 passes with no tunnel behind it in a naive proxy; here it answers an Upgrade that was never sent."""
    data = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", "Connection: Upgrade", "Upgrade: websocket"))
        assert (answer.status, answer.fault) == (502, "computeFault")
        assert (await gateway.record())["gateway.reason"] == "upstream_response_invalid"


async def test_interim_responses_without_end_are_502() -> None:
    async with (
        Upstream(answers(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)) as upstream,
        proxy(upstream) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        while (head := await client.head()).first == b"HTTP/1.1 103 Early Hints\r\n":
            pass
        assert b" 502 " in head.first


# ---- a hostile upstream

HOSTILE: dict[str, bytes] = {
    "noise": b"\x00\x01\x02\x03\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok",
    "a status of two digits": b"HTTP/1.1 99 No\r\nContent-Length: 2\r\n\r\nok",
    "a status of four digits": b"HTTP/1.1 2000 No\r\nContent-Length: 2\r\n\r\nok",
    "status 000": b"HTTP/1.1 000 No\r\nContent-Length: 2\r\n\r\nok",
    "http/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "http/0.9": b"hello",
    "P34: two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "two equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "P14: a list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!",
    "a signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "a length in words": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "an empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
    "a length beyond 64 bits": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok",
    "P31: a length and a coding": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two coding lines": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding in http/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding in a 204": b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "P10: NUL in a value": b"HTTP/1.1 200 OK\r\nX-Foo: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "P10: CR in a value": b"HTTP/1.1 200 OK\r\nX-Foo: a\rb\r\nContent-Length: 2\r\n\r\nok",
    "a control in a value": b"HTTP/1.1 200 OK\r\nX-Foo: a\x01b\r\nContent-Length: 2\r\n\r\nok",
    "a control in the phrase": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok",
    "P29: a space before the colon": b"HTTP/1.1 200 OK\r\nX-Foo : a\r\nContent-Length: 2\r\n\r\nok",
    "P30: obs-fold": b"HTTP/1.1 200 OK\r\nX-Foo: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "a name with a space": b"HTTP/1.1 200 OK\r\nX Foo: a\r\nContent-Length: 2\r\n\r\nok",
    "no colon": b"HTTP/1.1 200 OK\r\nX-Foo\r\nContent-Length: 2\r\n\r\nok",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 600 + b"Content-Length: 2\r\n\r\nok",
    "a head without end": b"HTTP/1.1 200 OK\r\nX-Foo: " + b"a" * 300_000,
    "a 1xx with a length": b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nhello" + OK,
    "a request": get("/a"),
    "P36: a chunk of more than 64 bits": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"
    ),
    "nothing": b"",
    "half a status line": b"HTTP/1.1 20",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


_DELIVERIES = [
    pytest.param(name, split, id=f"{name} {'byte by byte' if split else 'at once'}")
    for name, data in HOSTILE.items()
    for split in ([False, True] if len(data) < 1000 else [False])
]


@pytest.mark.parametrize(("name", "split"), _DELIVERIES)
async def test_an_answer_that_is_not_certain_is_502(name: str, split: bool) -> None:
    """Garbage, duplicate or bad Content-Length give 500 in a naive proxy; and the connection is never used again."""
    data = HOSTILE[name]
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        with suppress(ConnectionError):  # refused in the middle of it
            if split:
                await conversation.send_split(data)
            else:
                await conversation.send(data)
        if name in ("nothing", "half a status line", "half a head"):
            conversation.half_close()
        answer = await client.answer()
        if answer.status == 200:
            assert "chunk" in name, answer
            assert not answer.whole
            assert split, "the fault was there before the head of the answer left"
            return
        assert answer.status == 502, answer
        assert answer.fault == "computeFault"
        assert upstream.authority not in answer.body.decode() and "127.0.0.1" not in answer.body.decode()
        marked(answer)
        assert not answer.closes, "the client has done nothing wrong"
        (record,) = await gateway.records(1)
        assert record["gateway.decision"] == "fail"
        assert record["gateway.reason"] in ("upstream_response_invalid", "upstream_closed")
        (attempt,) = record["gateway.upstream.attempts"]
        assert attempt["error"] == record["gateway.reason"]
        await conversation.gone()
        # The next request goes over another connection, and is answered.
        await client.send(get("/b"))
        await (await upstream.accepted()).answer()
        assert (await client.answer()).body == b"ok"


ABORTED: dict[str, tuple[bytes, bytes]] = {
    "P35: a length that is not reached": (b"Content-Length: 10\r\n\r\nhello", b""),
    "P35: a chunk that is not whole": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo", b""),
    "P35: chunks without the last": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b""),
    "P35: a last chunk without its end": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", b""),
    "a malformed chunk": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"zz\r\nhello"),
    "P36: a chunk of more than 64 bits": (
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"FFFFFFFFFFFFFFFFF\r\nhello",
    ),
    "too much in a chunk": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"2\r\nabc\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("name", ABORTED)
async def test_an_answer_that_breaks_off_is_never_a_whole_one_for_the_client(name: str, how: str) -> None:
    begin, rest = ABORTED[name]
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\n" + begin)
        head = await client.head()
        assert b" 200 " in head.first
        # What was sent is to arrive before it breaks off.
        assert (await client.take_until(b"hello")).endswith(b"hello")
        if rest:
            await conversation.send(rest)
        elif how == "fin":
            conversation.half_close()
        else:
            conversation.reset()
        left = await client.rest()
        if head.get("content-length"):
            assert left == b""
        else:
            assert not left.endswith(b"0\r\n\r\n")
        record = await gateway.record()
        assert record["gateway.decision"] == "abort"
        assert record["gateway.reason"] in ("upstream_closed", "upstream_response_invalid")
        if rest or how == "fin":
            await conversation.gone()


async def test_an_answer_that_breaks_off_is_a_reset_for_a_client_that_reads_until_the_end() -> None:
    """P35: to a client of HTTP/1.0 the end of the connection is the end of the body, so it must not end in order."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"GET /a HTTP/1.0\r\n\r\n")
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        head = await client.head()
        assert head.get("transfer-encoding") is None and head.get("content-length") is None
        assert await client.take(5) == b"hello"
        conversation.half_close()
        await client.rest()
        assert client.was_reset, "the client takes half an answer for a whole one"


async def test_a_whole_answer_to_a_client_of_http_1_0_ends_in_order() -> None:
    """P37."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(b"GET /a HTTP/1.0\r\n\r\n")
        assert (answer.body, answer.whole, answer.closes) == (b"hello", True, True)
        assert not answer.all("transfer-encoding")


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!", b"x", b"HTTP/1.1 1"])
@pytest.mark.parametrize("late", [False, True], ids=["with the answer", "behind the answer"])
async def test_bytes_behind_an_answer_are_never_used_as_another(extra: bytes, late: bool) -> None:
    """P42."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(OK if late else OK + extra)
        assert (await client.answer()).body == b"ok"
        if late:
            await conversation.send(extra)
        await conversation.gone()
        await client.send(get("/b"))
        second = await upstream.accepted()
        await second.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal")
        assert (await client.answer()).body == b"real"


async def test_a_body_behind_an_answer_to_head_is_never_used_as_another_answer() -> None:
    """P42."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a", method="HEAD"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        )
        assert (await client.answer("HEAD")).get("content-length") == "38"
        await conversation.gone()
        await client.send(get("/b"))
        await (await upstream.accepted()).answer()
        assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
async def test_an_answer_is_read_in_one_segment_or_in_many(split: bool) -> None:
    data = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-Foo: a\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    )
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        if split:
            await conversation.send_split(data)
        else:
            await conversation.send(data)
        assert await client.status() == 103
        answer = await client.answer()
        assert (answer.body, answer.get("x-foo"), answer.whole) == (b"hello world", "a", True)
        await client.send(get("/b"))
        await conversation.answer()
        assert (await client.answer()).body == b"ok"


async def test_the_upstreams_large_head_passes() -> None:
    """Nova's catalog is a field of tens of kilobytes."""
    value = b"a" * 100_000
    data = b"HTTP/1.1 200 OK\r\nX-Catalog: %b\r\nContent-Length: 2\r\n\r\nok" % value
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert answer.get("x-catalog") == value.decode()


async def test_a_second_answer_in_the_same_segment_changes_nothing_of_the_first() -> None:
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok" + second)
        answer = await client.answer()
        assert (answer.phrase, answer.body) == ("Fine", b"ok")
        await conversation.gone()


async def test_an_interim_answer_may_say_close() -> None:
    """RFC 9112 section 9.6: the connection ends behind the final response, which is still to come."""
    data = (
        b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            await client.send(get("/a"))
            assert await client.status() == 103
            answer = await client.answer()
            assert (answer.body, answer.closes) == (b"ok", False)
        assert len(upstream.conversations) == 2
