"""Heads of requests: what is not HTTP/1.1 beyond doubt is refused, what is reaches the upstream."""

from contextlib import suppress

import pytest

from tests.support.client import get
from tests.support.expect import marked, refused
from tests.support.gateway import proxy
from tests.support.upstream import Upstream, echo

Bad = tuple[bytes, int, str]

BAD: dict[str, Bad] = {
    "noise": (b"\x00\x01\x02\x03\r\n\r\n", 400, "malformed_request"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", 400, "malformed_request"),
    "no target": (b"GET HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
    "two spaces": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
    "http2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed_request"),
    "http/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
    "http/9.9": (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
    "http/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
    "http/0.9 by name": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
    "rtsp": (b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
    "rtsp method": (b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
    "ice": (b"SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
    "another protocol": (b"GET / FTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
    "lower-case version": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400, "malformed_request"),
    # RFC 9112 section 2.2: line ends.
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "malformed_request"),
    "bare LF after a field": (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400, "malformed_request"),
    "bare CR in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400, "malformed_request"),
    "NUL in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400, "malformed_request"),
    "control in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400, "malformed_request"),
    "white space line": (b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", 400, "malformed_request"),
    "field before fields": (b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", 400, "malformed_request"),
    # RFC 9112 section 5.
    "space before colon": (b"GET / HTTP/1.1\r\nHost: a\r\nX-Foo : b\r\n\r\n", 400, "malformed_request"),
    "obs-fold": (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, "malformed_request"),
    "no colon": (b"GET / HTTP/1.1\r\nHost: a\r\nX-Foo\r\n\r\n", 400, "malformed_request"),
    "empty name": (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400, "malformed_request"),
    "name with a space": (b"GET / HTTP/1.1\r\nHost: a\r\nX Foo: b\r\n\r\n", 400, "malformed_request"),
    "name beyond ASCII": (b"GET / HTTP/1.1\r\nHost: a\r\nX-\xc3\xbc: b\r\n\r\n", 400, "malformed_request"),
    # RFC 9112 section 3.2.
    "no host": (b"GET / HTTP/1.1\r\nX: b\r\n\r\n", 400, "host_invalid"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host_invalid"),
    "two hosts apart": (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n", 400, "host_invalid"),
    "empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host_invalid"),
    # RFC 9110 section 9.1.
    "unknown method": (b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_unknown"),
    "lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_unknown"),
    "method of a known beginning": (b"GETX / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_unknown"),
    "long method": (b"M" * 300 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_unknown"),
    "connect": (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501, "method_unsupported"),
    "trace": (b"TRACE / HTTP/1.1\r\nHost: a\r\nX-Auth-Token: t\r\n\r\n", 501, "method_unsupported"),
    # RFC 9110 section 10.1.1.
    "unknown expectation": (
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n",
        417,
        "expectation_unknown",
    ),
}
for _host in (
    "a/b",
    "a@b",
    "a,b",
    "a b",
    "[::1",
    "a:99999",
    "a:b",
    "a\\b",
    "a?b",
    "a#b",
    "\xe4",
    "a, a",
    "<a>",
):
    BAD[f"host {_host}"] = (
        f"GET / HTTP/1.1\r\nHost: {_host}\r\n\r\n".encode("latin-1"),
        400,
        "host_invalid",
    )


@pytest.mark.parametrize(("data", "status", "reason"), BAD.values(), ids=BAD)
async def test_refuses_a_head_that_is_not_http_1_1(data: bytes, status: int, reason: str) -> None:
    """P10, P27, P29, P30, P38, P39, P50; the request never reaches an upstream."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(data)
        method = data.split(b" ")[0].decode("latin-1")
        answer = await refused(gateway, client, status, reason)
        assert answer.body, method
        assert upstream.conversations == []


@pytest.mark.parametrize(
    "name", ["noise", "rtsp", "bare CR in a value", "obs-fold", "two hosts", "unknown method", "host a,b"]
)
async def test_refuses_the_same_head_when_it_comes_byte_by_byte(name: str) -> None:
    data, status, reason = BAD[name]
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        with suppress(ConnectionError):  # refused in the middle of it
            await client.send_split(data)
        await refused(gateway, client, status, reason)


async def test_http_0_9_is_not_served() -> None:
    """A request line without a version is no request of ours."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"GET /\r\n\r\n")
        answer = await client.answer()
        assert answer.status in (400, 505)
        marked(answer)
        await client.ended()
        assert upstream.conversations == []


async def test_an_unknown_method_is_recorded_as_other() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"FETCH /a HTTP/1.1\r\nHost: a\r\n\r\n")
        await refused(gateway, client, 501, "method_unknown")
        assert (await gateway.record())["http.request.method"] == "_OTHER"


@pytest.mark.parametrize("method", ["GET", "PATCH", "PROPFIND", "PURGE", "REPORT", "M-SEARCH", "QUERY"])
async def test_every_method_that_the_parser_knows_is_forwarded(method: str) -> None:
    """P49."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", method=method))
        assert answer.status == 200
        assert upstream.requests[0].method == method


@pytest.mark.parametrize("method", ["PATCH", "PROPFIND", "PURGE"])
async def test_a_method_that_a_filter_forbids_is_405_with_allow_and_not_400(method: str) -> None:
    """P48: unknown methods answer 400 where 405 with Allow is right."""
    filters = [{"methods": {"allow": ["POST", "GET"]}}]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", method=method))
        assert answer.status == 405
        assert answer.get("allow") == "GET, POST"
        assert not answer.closes
        assert upstream.conversations == []


@pytest.mark.parametrize(
    "host",
    [
        "a",
        "api.test:8080",
        "[::1]",
        "[2001:db8::1]:80",
        "127.0.0.1:0",
        "a_b.c",
        "a-b.",
        "xn--nxa.test:",
        "A.B",
    ],
)
async def test_a_valid_host_reaches_the_upstream_as_it_came(host: str) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", host=host))).status == 200
        assert upstream.requests[0].get("host") == host


HEADS: dict[str, bytes] = {
    "plain": get("/a?b=c", "X-Foo: bar"),
    "absolute form": b"GET http://api.test/a?b=c HTTP/1.1\r\nHost: other\r\nX-Foo: bar\r\n\r\n",
    "empty lines before": b"\r\n\r\n" + get("/a?b=c", "X-Foo: bar"),
    "odd white space": b"GET /a?b=c HTTP/1.1\r\nHost: \t api.test \t \r\nX-Foo:bar\r\n\r\n",
    "no white space": b"GET /a?b=c HTTP/1.1\r\nHost:api.test\r\nX-Foo:bar\r\n\r\n",
}


@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("data", HEADS.values(), ids=HEADS)
async def test_reads_a_head_in_one_segment_or_in_many(data: bytes, split: bool) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        if split:
            await client.send_split(data)
        else:
            await client.send(data)
        answer = await client.answer()
        assert answer.status == 200, answer.body
        (request,) = upstream.requests
        assert (request.target, request.get("host"), request.get("x-foo")) == (b"/a?b=c", "api.test", "bar")
        # The parser is where it should be: another request on the same connection is read as well.
        assert (await client.ask(get("/second"))).status == 200
        assert upstream.requests[1].target == b"/second"


async def test_a_target_of_the_longest_length_passes_and_a_longer_one_is_414() -> None:
    """P39."""
    limits = {"target_length": 1000}
    async with Upstream(echo) as upstream, proxy(upstream, limits=limits) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/" + "a" * 999))).status == 200
        assert len(upstream.requests[0].target) == 1000
    async with Upstream(echo) as upstream, proxy(upstream, limits=limits) as gateway:
        client = await gateway.connect()
        await client.send(get("/" + "a" * 1000))
        await refused(gateway, client, 414, "target_too_long")


@pytest.mark.parametrize("split", [False, True], ids=["at once", "in pieces"])
async def test_a_target_that_never_ends_is_414_as_soon_as_it_is_too_long(split: bool) -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        data = b"GET /" + b"a" * 20_000
        if split:
            with suppress(ConnectionError):  # refused in the middle of it
                await client.send_split(data, *range(1000, 20_000, 1000))
        else:
            await client.send(data)
        await refused(gateway, client, 414, "target_too_long")


async def test_a_field_that_is_too_long_is_431() -> None:
    limits = {"field_size": 1000}
    async with Upstream(echo) as upstream, proxy(upstream, limits=limits) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/", f"X-Foo: {'a' * 990}"))).status == 200
    async with Upstream() as upstream, proxy(upstream, limits=limits) as gateway:
        client = await gateway.connect()
        await client.send(get("/", f"X-Foo: {'a' * 1001}"))
        await refused(gateway, client, 431, "headers_too_large")
    async with Upstream() as upstream, proxy(upstream, limits=limits) as gateway:
        client = await gateway.connect()
        await client.send(get("/", f"X-{'a' * 1000}: b"))
        await refused(gateway, client, 431, "headers_too_large")


async def test_more_fields_than_allowed_is_431() -> None:
    limits = {"header_count": 10}
    async with Upstream(echo) as upstream, proxy(upstream, limits=limits) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/", *[f"X-{n}: a" for n in range(9)]))).status == 200
    async with Upstream() as upstream, proxy(upstream, limits=limits) as gateway:
        client = await gateway.connect()
        await client.send(get("/", *[f"X-{n}: a" for n in range(10)]))
        await refused(gateway, client, 431, "headers_too_large")


@pytest.mark.parametrize("split", [False, True], ids=["at once", "in pieces"])
async def test_fields_that_are_too_large_together_are_431(split: bool) -> None:
    limits = {"header_size": 4000, "header_count": 1000}
    data = get("/", *[f"X-{n}: {'a' * 90}" for n in range(50)])
    async with Upstream() as upstream, proxy(upstream, limits=limits) as gateway:
        client = await gateway.connect()
        if split:
            await client.send_split(data, *range(100, len(data), 100))
        else:
            await client.send(data)
        await refused(gateway, client, 431, "headers_too_large")


async def test_a_head_that_never_ends_is_431_before_it_fills_the_memory() -> None:
    limits = {"header_size": 4000, "header_count": 10_000}
    async with Upstream() as upstream, proxy(upstream, limits=limits) as gateway:
        client = await gateway.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        with suppress(ConnectionError):
            for number in range(3000):
                await client.send(b"X-%d: aaaaaaaa\r\n" % number)
        await refused(gateway, client, 431, "headers_too_large")


@pytest.mark.parametrize("what", ["target", "fields", "noise"])
async def test_a_refusal_can_be_read_by_a_client_that_is_still_sending(what: str) -> None:
    """The connection is not reset under the answer: what the client still sends is read and dropped for a while."""
    begin = {
        "target": b"GET /" + b"a" * 9000,
        "fields": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 17000,
        "noise": b"((((",
    }
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(begin[what])
        head = await client.head()
        assert b" 4" in head.first or b" 5" in head.first
        for _ in range(20):
            await client.send(b"a" * 10_000)
        await client.rest()
        assert not client.was_reset


@pytest.mark.parametrize("field", ["X-Auth-Token", "Authorization"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b"caf\xc3\xa9", b"\x80", b"a\tb"])
async def test_a_non_ascii_byte_in_a_credential_is_no_500(field: str, value: bytes) -> None:
    """P19: such a byte travels as it came, and with a filter that judges it the answer is 401."""
    data = b"GET / HTTP/1.1\r\nHost: a\r\n%b: %b\r\n\r\n" % (field.encode(), value)
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(data)).status == 200
        assert upstream.requests[0].get(field) == value.decode("latin-1")
    token = {
        "token": "good",
        "user": "u",
        "user_id": "u",
        "project_id": "p",
        "project_name": "p",
        "roles": ["r"],
    }
    filters = [{"token_auth": {"providers": [{"static": {"tokens": [token]}}]}}]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        answer = await client.ask(data)
        assert answer.status == 401
        assert answer.get("www-authenticate"), "P47"
        assert upstream.conversations == []


async def test_bytes_beyond_ascii_in_any_value_travel_as_they_came() -> None:
    """P8."""
    value = bytes(byte for byte in range(0x21, 0x100) if byte != 0x7F)
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-Foo: %b\r\n\r\n" % value)).status == 200
        assert upstream.requests[0].get("x-foo") == value.decode("latin-1")


async def test_a_refusal_speaks_the_format_that_the_client_asks_for() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a/../b", "Accept: application/xml"))
        answer = await refused(gateway, client, 400, "target_ambiguous")
        assert answer.get("content-type") == "application/xml; charset=UTF-8"
        assert answer.body.startswith(b"<")


async def test_a_refusal_of_a_head_request_has_no_body() -> None:
    """P43."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get("/a/../b", method="HEAD"))
        answer = await refused(gateway, client, 400, "target_ambiguous", method="HEAD")
        length = answer.get("content-length")
        assert length is not None and int(length) > 0


async def test_an_upgrade_that_is_not_taken_is_an_ordinary_request() -> None:
    """P7: Upgrade and HTTP2-Settings stop here, and what follows is not swallowed."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        for upgrade in ("websocket", "h2c"):
            client = await gateway.connect()
            lines = (f"Upgrade: {upgrade}", "HTTP2-Settings: AAMAAABkAAQAAP__")
            answer = await client.ask(get("/a", "Connection: Upgrade, HTTP2-Settings", *lines))
            assert answer.status == 200
            names = upstream.requests[-1].names
            assert not {"upgrade", "http2-settings", "connection", "sec-websocket-key"} & set(names)


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
async def test_a_body_beside_an_upgrade_that_is_not_taken_is_forwarded_whole(upgrade: str) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        head = f"POST /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\nContent-Length: 10\r\n\r\n"
        await client.send(head.encode() + b"01234")
        await client.send(b"56789")
        assert (await client.answer()).status == 200
        assert upstream.requests[0].body == b"0123456789"


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
async def test_a_request_behind_an_upgrade_is_answered_or_the_connection_says_close(upgrade: str) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        first = get("/a", "Connection: Upgrade", f"Upgrade: {upgrade}")
        await client.send(first + get("/b"))
        answer = await client.answer()
        assert answer.status == 200
        if answer.closes:
            await client.ended()
        else:
            assert (await client.answer()).status == 200


@pytest.mark.parametrize("line", [b"GET  / HTTP/1.1", b"GET /  HTTP/1.1"])
async def test_a_request_line_has_one_space_at_each_place(line: bytes) -> None:
    """RFC 9112 section 3: who reads more leniently than the next finds another target."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(line + b"\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == 400
        assert upstream.conversations == []
