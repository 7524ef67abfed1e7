"""Where a request ends: one certain answer to that, or a refusal (RFC 9112 sections 6 and 7)."""

import pytest

from tests.support.client import chunked, get, post
from tests.support.expect import marked, refused
from tests.support.gateway import proxy
from tests.support.upstream import OK, Upstream, echo


def head(*lines: str, version: str = "1.1") -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"POST /a HTTP/{version}\r\nHost: a\r\n{fields}\r\n".encode("latin-1")


TE = "Transfer-Encoding: chunked"
BAD: dict[str, bytes] = {
    # P31, P34: two lengths, or none that is certain.
    "both": head(TE, "Content-Length: 5") + chunked(b"hello"),
    "both, turned": head("Content-Length: 5", TE) + chunked(b"hello"),
    "two different lengths": head("Content-Length: 5", "Content-Length: 6") + b"hello!",
    "two equal lengths": head("Content-Length: 5", "Content-Length: 5") + b"hello",
    "a list of different lengths": head("Content-Length: 5, 6") + b"hello!",
    "a list of equal lengths": head("Content-Length: 5, 5") + b"hello",
    "signed": head("Content-Length: +5") + b"hello",
    "negative": head("Content-Length: -5") + b"hello",
    "hexadecimal": head("Content-Length: 0x5") + b"hello",
    "with a space": head("Content-Length: 1 2") + b"hello",
    "a fraction": head("Content-Length: 5.0") + b"hello",
    "an underscore": head("Content-Length: 1_0") + b"0123456789",
    "empty": head("Content-Length:"),
    "beyond 64 bits": head("Content-Length: 18446744073709551621") + b"hello",
    "digits beyond ASCII": head("Content-Length: \xb2"),
    # P32, P33: a coding that is not chunked alone.
    "gzip, chunked": head("Transfer-Encoding: gzip, chunked") + chunked(b"hello"),
    "chunked, gzip": head("Transfer-Encoding: chunked, gzip") + chunked(b"hello"),
    "chunked twice": head("Transfer-Encoding: chunked, chunked") + chunked(b"hello"),
    "chunked in two lines": head(TE, TE) + chunked(b"hello"),
    "identity": head("Transfer-Encoding: identity") + b"hello",
    "gzip": head("Transfer-Encoding: gzip") + b"hello",
    "nearly chunked": head("Transfer-Encoding: xchunked") + chunked(b"hello"),
    "chunked and a comma": head("Transfer-Encoding: chunked,") + chunked(b"hello"),
    "chunked with a parameter": head("Transfer-Encoding: chunked;a=b") + chunked(b"hello"),
    "vertical tab": head("Transfer-Encoding: \x0bchunked") + chunked(b"hello"),
    "quoted": head('Transfer-Encoding: "chunked"') + chunked(b"hello"),
    "empty coding": head("Transfer-Encoding:") + chunked(b"hello"),
    "http/1.0": head(TE, version="1.0") + chunked(b"hello"),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
async def test_refuses_a_length_that_is_not_certain(data: bytes) -> None:
    """P14, P31, P32, P33, P34: 400, and the connection ends, so that what follows is never a request."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(data + get("/smuggled"))
        answer = await client.answer("POST")
        assert answer.status == 400
        assert answer.closes
        marked(answer)
        await client.ended()
        (record,) = await gateway.records(1)
        assert record["gateway.reason"] in ("framing_invalid", "malformed_request")
        assert record["gateway.decision"] == "refuse"
        assert upstream.conversations == []


@pytest.mark.parametrize(
    "lines",
    ["Content-Length: 4", "Transfer-Encoding: chunked", "Transfer-Encoding: x, chunked"],
)
async def test_a_request_that_its_client_cuts_off_behind_another_is_answered_400(lines: str) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/first") + head(lines))
        client.half_close()
        assert (await client.answer()).status == 200
        answer = await client.answer("POST")
        assert (answer.status, answer.closes) == (400, True)
        await client.ended()
        assert [request.target for request in upstream.requests] == [b"/first"]


@pytest.mark.parametrize("half_closes", [False, True], ids=["open", "half-closed"])
@pytest.mark.parametrize("body", [b"", b"\r\n\r\n", b"he", b"helo"])
@pytest.mark.parametrize("length", ["0" * 27 + "4", "0" * 18 + "5", "+4", "4, 4"])
@pytest.mark.parametrize("behind", [b"", get("/first")], ids=["alone", "behind another"])
async def test_a_length_that_is_not_certain_is_answered_whatever_has_come_of_the_body(
    length: str, body: bytes, half_closes: bool, behind: bytes
) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(behind + head(f"Content-Length: {length}") + body)
        if half_closes:
            client.half_close()
        if behind:
            assert (await client.answer()).status == 200
        answer = await client.answer("POST")
        assert (answer.status, answer.closes) == (400, True)
        if not half_closes:
            client.half_close()
        await client.ended()
        assert [request.target for request in upstream.requests] == [b"/first"] * bool(behind)


@pytest.mark.parametrize("name", ["both", "two different lengths", "gzip, chunked", "signed", "http/1.0"])
async def test_an_uncertain_length_is_named_framing_invalid(name: str) -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(BAD[name])
        await client.answer("POST")
        assert (await gateway.record())["gateway.reason"] == "framing_invalid"


BAD_CHUNKS: dict[str, bytes] = {
    "P36: a size beyond 64 bits": b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a sign": b"-5\r\nhello\r\n0\r\n\r\n",
    "a plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "not a number": b"hello\r\nhello\r\n0\r\n\r\n",
    "a space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "more data than the size": b"5\r\nhello!\r\n0\r\n\r\n",
    "no line end behind the data": b"5\r\nhello0\r\n\r\n",
    "a bare LF": b"5\nhello\r\n0\r\n\r\n",
    "a bare LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "a bare CR in the size": b"5\rX\nhello\r\n0\r\n\r\n",
    "a control in an extension": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
    "a bad trailer": b"5\r\nhello\r\n0\r\nX Y: z\r\n\r\n",
}


@pytest.mark.parametrize("split", [False, True], ids=["with the head", "behind the head"])
@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_refuses_a_chunk_that_is_malformed(body: bytes, split: bool) -> None:
    """Whatever had been sent on is never a whole request for the upstream."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(head(TE))
        if split:
            # The head has gone to the upstream by then, and its answer is awaited.
            conversation = await upstream.accepted()
            await conversation.request_head()
        await client.send(body)
        answer = await client.answer("POST")
        assert answer.status == 400
        assert answer.closes
        marked(answer)
        reason = (await gateway.record())["gateway.reason"]
        assert reason == "framing_invalid" or (not split and body.endswith(b"X Y: z\r\n\r\n"))
        if split:
            received = await conversation.rest()
            assert b"0\r\n\r\n" not in received
        await client.ended()


async def test_a_request_behind_a_malformed_chunk_is_never_served() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(head(TE) + b"5\r\nhello!\r\n0\r\n\r\n" + get("/smuggled"))
        assert (await client.answer("POST")).status == 400
        await client.ended()
        for conversation in upstream.conversations:
            assert b"smuggled" not in await conversation.rest()


GOOD: dict[str, tuple[bytes, bytes]] = {
    "length": (head("Content-Length: 5") + b"hello", b"hello"),
    "length with zeros": (head("Content-Length: 0005") + b"hello", b"hello"),
    "length zero": (head("Content-Length: 0"), b""),
    "chunked": (head(TE) + chunked(b"he", b"llo"), b"hello"),
    "chunked, empty": (head(TE) + chunked(), b""),
    "chunked in capitals": (head("Transfer-Encoding: CHUNKED") + chunked(b"hello"), b"hello"),
    "chunk sizes with zeros": (head(TE) + b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "chunk extensions": (head(TE) + b'5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n', b"hello"),
    "trailers": (
        head(TE, "Trailer: X-Sum") + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Auth-Token: t\r\n\r\n",
        b"hello",
    ),
}


@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(("data", "body"), GOOD.values(), ids=GOOD)
async def test_a_body_reaches_the_upstream_whole_and_the_next_request_is_found(
    data: bytes, body: bytes, split: bool
) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        if split:
            await client.send_split(data + get("/next"))
        else:
            await client.send(data + get("/next"))
        answer = await client.answer("POST")
        assert answer.json() == {"bytes": len(body)}
        first = upstream.requests[0]
        assert (first.body, first.whole) == (body, True)
        if answer.closes:  # a request behind trailers is not read; the client knows that it has to ask again
            assert b"\r\n0\r\nX-Sum" in data
            await client.ended()
            return
        assert (await client.answer()).status == 200
        second = upstream.requests[1]
        assert (second.method, second.target, second.body) == ("GET", b"/next", b"")
        # A parser that keeps a trailer for later gives it to the next request, which may be another person's.
        assert not {"x-sum", "x-auth-token"} & set(second.names), "P26"


async def test_trailers_are_not_merged_into_the_fields_of_the_next_request() -> None:
    """P26: a proxy in front sends requests of many people over one connection."""
    data, _ = GOOD["trailers"]
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(data)).status == 200
        assert (await client.ask(get("/next"))).status == 200
        assert not {"x-sum", "x-auth-token"} & set(upstream.requests[1].names)
        await client.send(head(TE) + b"0\r\nHost: evil\r\n\r\n")
        assert (await client.answer("POST")).status in (200, 400)
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(head(TE) + b"0\r\nX-Host: evil\r\n\r\n")).status == 200
        answer = await client.ask(b"GET / HTTP/1.1\r\n\r\n")
        assert answer.status == 400


async def test_trailers_are_not_merged_into_the_fields() -> None:
    """P26."""
    data, _ = GOOD["trailers"]
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(data)).status == 200
        (request,) = upstream.requests
        assert request.get("host") == "a"
        assert not {"x-sum", "trailer"} & set(request.names)


async def test_a_length_is_kept_and_a_chunked_body_stays_chunked() -> None:
    """P13: what the upstream is told is the length of what it gets."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(head("Content-Length: 10") + b"01234")
        conversation = await upstream.accepted()
        request = await conversation.request_head()
        assert (request.get("content-length"), request.get("transfer-encoding")) == ("10", None)
        assert await conversation.take(5) == b"01234"
        await client.send(b"56789")
        assert await conversation.take(5) == b"56789"
        await conversation.send(OK)
        assert (await client.answer("POST")).status == 200
        await client.send(head(TE) + chunked(b"hello", end=False))
        request = await conversation.request_head()
        assert (request.get("content-length"), request.get("transfer-encoding")) == (None, "chunked")
        assert await conversation.take(10) == b"5\r\nhello\r\n"
        await client.send(b"0\r\n\r\n")
        assert await conversation.take(5) == b"0\r\n\r\n"
        await conversation.send(OK)
        assert (await client.answer("POST")).status == 200


async def test_a_request_without_a_body_gets_no_length() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for method in ("GET", "DELETE", "POST"):
            assert (await client.ask(get("/a", method=method))).status == 200
        for request in upstream.requests:
            assert not {"content-length", "transfer-encoding"} & set(request.names)


async def test_a_get_may_have_a_body() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(post(b"hello", method="GET"))).json() == {"bytes": 5}
        assert upstream.requests[0].method == "GET"


async def test_a_body_beyond_the_limit_is_413_before_a_byte_of_it_is_read() -> None:
    async with Upstream() as upstream, proxy(upstream, limits={"body": 10}) as gateway:
        client = await gateway.connect()
        await client.send(head("Content-Length: 11"))
        answer = await refused(gateway, client, 413, "request_too_large", method="POST")
        assert answer.fault == "overLimit"
        assert answer.get("retry-after") is None
        assert upstream.conversations == []


async def test_a_body_of_the_limit_passes() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, limits={"body": 10}) as gateway:
        client = await gateway.connect()
        assert (await client.ask(post(b"0123456789"))).json() == {"bytes": 10}
