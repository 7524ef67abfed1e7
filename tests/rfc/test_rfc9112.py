"""RFC 9112: what binds a gateway and no other test shows. rule.py has the whole list."""

import pytest

from tests.support.client import chunked, get, post
from tests.support.gateway import proxy
from tests.support.upstream import OK, Upstream, answers, echo


async def test_2_2_nothing_follows_a_request_that_the_gateway_sends() -> None:
    """No empty line before or behind it: the upstream would take that for the beginning of the next."""
    requests = [get("/a"), b"\r\n" + post(b"hello", target="/b"), b"\r\n\r\n" + get("/c", method="HEAD")]
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        conversation = None
        for request in requests:
            await client.send(request)
            conversation = conversation or await upstream.accepted()
            await conversation.request()
            assert conversation.buffer == b""
            await conversation.send(OK[: OK.index(b"ok")] if b"HEAD" in request else OK)
            await client.answer("HEAD" if b"HEAD" in request else "GET")
            assert conversation.buffer == b""


async def test_2_3_every_message_is_of_the_gateways_own_version() -> None:
    """Towards both sides, whatever each of them speaks."""
    for client_version in ("1.0", "1.1"):
        for upstream_version in ("1.0", "1.1"):
            data = OK.replace(b"HTTP/1.1", b"HTTP/" + upstream_version.encode())
            async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
                client = await gateway.connect()
                await client.send(f"GET /a HTTP/{client_version}\r\nHost: a\r\n\r\n".encode())
                assert (await client.head()).first == b"HTTP/1.1 200 OK\r\n"
                assert len(upstream.requests) == 1, "whose reader takes HTTP/1.1 only"


async def test_3_a_request_line_of_8000_octets_is_taken() -> None:
    target = "/" + "a" * (8000 - len("GET / HTTP/1.1"))
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get(target))).status == 200
        assert upstream.requests[0].target == target.encode()


@pytest.mark.parametrize("host", ["keep", "upstream", "img.test"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_3_2_every_request_that_the_gateway_sends_has_one_host(host: str, version: str) -> None:
    lines = "" if version == "1.0" else "Host: api.test\r\n"
    async with Upstream(echo) as upstream, proxy(upstream, upstream_options={"host": host}) as gateway:
        for target in ("/a", "http://other.test/a"):
            client = await gateway.connect()
            data = f"GET {target} HTTP/{version}\r\n{lines}\r\n".encode()
            assert (await client.ask(data)).status == 200
        assert [len(request.all("host")) for request in upstream.requests] == [1, 1]
        assert all(request.get("host") for request in upstream.requests)


@pytest.mark.parametrize("target", ["*", "http://api.test"])
async def test_3_2_4_options_of_the_server_as_a_whole_is_none_of_a_path(target: str) -> None:
    """There is no route for it, and it is never taken for `/`."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get(target, method="OPTIONS"))).status == 404
        assert upstream.conversations == []


async def test_4_the_space_before_an_absent_phrase_is_sent() -> None:
    data = b"HTTP/1.1 299\r\nContent-Length: 2\r\n\r\nok"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        assert (await client.head()).first == b"HTTP/1.1 299 \r\n"


@pytest.mark.parametrize("phrase", ["404 Not Found", "Content-Length: 99", "\xe9\t", "HTTP/1.1 500"])
async def test_4_a_phrase_says_nothing(phrase: str) -> None:
    data = f"HTTP/1.1 200 {phrase}\r\nContent-Length: 2\r\n\r\nok".encode("latin-1")
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.body) == (200, b"ok")


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(b"hello"),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"hel", b"lo"),
        post(b""),
        get("/"),
        get("/", method="DELETE"),
    ],
    ids=["length", "chunked", "empty", "none", "delete"],
)
async def test_6_2_a_message_that_the_gateway_sends_is_framed_once(request_bytes: bytes) -> None:
    """A length or chunks, never both; and a request without a body has neither."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(request_bytes)
        assert (answer.get("transfer-encoding"), answer.get("content-length")) == ("chunked", None)
        (request,) = upstream.requests
        framing = [len(request.all("transfer-encoding")), len(request.all("content-length"))]
        assert sum(framing) == (1 if request_bytes.startswith(b"POST") else 0)


async def test_6_3_a_response_to_what_was_not_asked_is_not_waited_for() -> None:
    """A response to HEAD, 204 and 304 end with their heads, whatever their fields say."""
    for method, status in (("HEAD", "200 OK"), ("GET", "204 No"), ("GET", "304 No"), ("HEAD", "404 No")):
        data = f"HTTP/1.1 {status}\r\nContent-Length: 99\r\n\r\n".encode()
        async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
            client = await gateway.connect()
            for _ in range(2):
                assert (await client.ask(get("/a", method=method))).status == int(status[:3])
            # What they announce may come all the same, and is no answer to another request.
            assert len(upstream.conversations) == 2


@pytest.mark.parametrize(
    "extra", [b"\r\n", b"0", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_6_3_data_behind_a_response_is_of_no_other(method: str, extra: bytes) -> None:
    """The connection is not used again, so that the rest of it is never read."""
    data = OK[: OK.index(b"ok")] if method == "HEAD" else OK
    async with Upstream(answers(data + extra)) as upstream, proxy(upstream) as gateway:
        for number in (1, 2, 3):
            client = await gateway.connect()
            answer = await client.ask(get("/a", method=method))
            assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else b"ok")
            assert len(upstream.conversations) == number


@pytest.mark.parametrize("size", ["5", "0005", "000000000000005", "5;a", '5;a="b;c"', "5;a;b=c"])
async def test_7_1_1_chunk_extensions_are_ignored_and_stop_here(size: str) -> None:
    coded = f"{size}\r\nhello\r\n0\r\n\r\n".encode()
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + coded
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + coded)
        answer = await client.answer()  # whose reader takes no extensions
        assert (answer.body, answer.whole) == (b"hello", True)
        assert upstream.requests[0].body == b"hello"


async def test_7_1_1_white_space_in_a_chunk_extension_is_refused() -> None:
    """The text would have it removed; parsers differ on it, and one that differs sees another body."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        head = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"5 ; a=b\r\nhello\r\n0\r\n\r\n")
        answer = await client.answer("POST")
        assert (answer.status, answer.closes) == (400, True)
        assert upstream.requests == []


async def test_9_3_one_request_at_a_time_is_sent_to_an_upstream() -> None:
    """Requests are not pipelined: behind one that fails none would be lost."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/1") + get("/2"))
        conversation = await upstream.accepted()
        assert (await conversation.request()).target == b"/1"
        other = await gateway.connect()
        await other.send(get("/3"))
        second = await upstream.accepted()
        assert (await second.request()).target == b"/3"
        assert conversation.buffer == b""
        await conversation.send(OK)
        assert (await conversation.request()).target == b"/2"


@pytest.mark.parametrize("behind", [get("/never"), b"\x00garbage\r\n\r\n", post(b"hello", target="/never")])
async def test_9_6_nothing_behind_a_request_with_close_is_processed(behind: bytes) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a", "Connection: close") + behind)
        answer = await client.answer()
        assert (answer.status, answer.closes) == (200, True)
        await client.ended()
        assert [request.target for request in upstream.requests] == [b"/a"]
        await gateway.records(1)


async def test_9_6_nothing_is_processed_behind_an_answer_that_says_close() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a/../b").replace(b"Host: api.test\r\n", b"") + get("/never"))
        answer = await client.answer()
        assert (answer.status, answer.closes) == (400, True)
        await client.ended()
        assert upstream.conversations == []
