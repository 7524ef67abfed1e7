"""RFC 9110: what binds a gateway and no other test shows. rule.py has the whole list."""

import pytest

from tests.support.client import chunked, get, post
from tests.support.expect import marked
from tests.support.gateway import PSEUDONYM, proxy
from tests.support.message import read_request_body
from tests.support.upstream import OK, Upstream, answers, echo


def reply(*lines: str, status: str = "200 OK", body: bytes = b"ok") -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


TOKEN = {"token": "good", "user": "u", "user_id": "u", "project_id": "p", "project_name": "p", "roles": ["r"]}
AUTH = [{"token_auth": {"providers": [{"static": {"tokens": [TOKEN]}}]}}]


async def test_3_3_each_request_of_a_connection_is_judged_by_itself() -> None:
    """What one request has shown says nothing of the next: another client may share the connection."""
    async with Upstream(echo) as upstream, proxy(upstream, filters=AUTH) as gateway:
        client = await gateway.connect()
        for _ in range(3):
            assert (await client.ask(get("/a", "X-Auth-Token: good"))).status == 200
            assert (await client.ask(get("/a"))).status == 401
            assert (await client.ask(get("/a", "X-Auth-Token: bad"))).status == 401


async def test_5_3_nothing_is_applied_before_the_whole_header_section_is_here() -> None:
    """A field that comes late may change what the request means."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send_split(get("/a", "X-Foo: a")[:-2])
        other = await gateway.connect()
        await other.send(get("/other"))
        conversation = await upstream.accepted()
        assert (await conversation.answer()).target == b"/other"
        assert (await other.answer()).status == 200
        assert len(upstream.conversations) == 1, "nothing of the head has gone on"
        await client.send(b"X-Late: b\r\n\r\n")
        assert (await conversation.answer()).get("x-late") == "b"


@pytest.mark.parametrize("connection", [", ,X-Foo,,", ",x-foo", "\t, X-FOO ,\t", "keep-alive,,,,,,,,x-foo"])
async def test_5_6_1_empty_members_of_a_list_are_ignored(connection: str) -> None:
    async with (
        Upstream(answers(reply(f"Connection: {connection}", "X-Foo: a"))) as upstream,
        proxy(upstream) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a", f"Connection: {connection}", "X-Foo: a"))
        assert answer.get("x-foo") is None and not answer.closes
        assert upstream.requests[0].get("x-foo") is None


async def test_5_5_white_space_around_a_value_is_not_of_it() -> None:
    """It is excluded before the value is looked at, in fields that the gateway reads."""
    async with Upstream(echo) as upstream, proxy(upstream, filters=AUTH) as gateway:
        client = await gateway.connect()
        lines = ["X-Auth-Token: \tgood \t", "Connection: \tX-Foo \t", "X-Foo: a"]
        assert (await client.ask(get("/a", *lines))).status == 200
        assert upstream.requests[0].get("x-foo") is None
        head = (
            b"POST /a HTTP/1.1\r\nHost: \tapi.test \t\r\nX-Auth-Token: good\r\nContent-Length: \t5 \t\r\n\r\n"
        )
        assert (await client.ask(head + b"hello")).json() == {"bytes": 5}


async def test_6_6_1_the_gateways_own_answers_have_a_date() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        marked(await client.ask(get("/a/../b")))
        client = await gateway.connect()
        await client.send(b"\x00\r\n\r\n")
        marked(await client.answer())


@pytest.mark.parametrize("line", ["Connection: close", "Connection: keep-alive, close"])
async def test_7_6_1_a_field_of_the_name_of_an_option_stops_here(line: str) -> None:
    """Also one that has the name of `close`."""
    async with (
        Upstream(answers(reply(line, "Close: a", "X-Foo: b"))) as upstream,
        proxy(upstream) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a", line, "Close: a", "X-Foo: b"))
        assert (answer.get("close"), answer.get("x-foo")) == (None, "b")
        assert (upstream.requests[0].get("close"), upstream.requests[0].get("x-foo")) == (None, "b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0000000000", None),
        ("00000000000000000000", None),
        ("00000000002", "1"),
        ("999999999", "999999998"),
        ("9999999999", "999999999"),
        ("9" * 5000, "999999999"),
        # What is no number is no limit, and travels as it came.
        ("\xb2", "\xb2"),
        ("-1", "-1"),
        ("1.5", "1.5"),
        ("", ""),
    ],
)
async def test_7_6_2_a_number_of_hops_is_counted_down_however_it_is_written(
    value: str, expected: str | None
) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", f"Max-Forwards: {value}", method="OPTIONS"))
        assert answer.status == 200
        seen = [request.get("max-forwards") for request in upstream.requests]
        assert seen == ([] if expected is None else [expected])


async def test_7_6_3_members_of_one_protocol_are_not_combined() -> None:
    """RFC 9110 allows it for one organisation's own; what is not understood is left as it is."""
    async with (
        Upstream(answers(reply("Via: 1.0 a, 1.1 b", "Via: 1.1 c"))) as upstream,
        proxy(upstream) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a", "Via: 1.0 x, 1.1 y", "Via: 1.1 z"))
        assert upstream.requests[0].all("via") == ["1.0 x, 1.1 y", "1.1 z", f"1.1 {PSEUDONYM}"]
        assert answer.all("via") == ["1.0 a, 1.1 b", "1.1 c", f"1.1 {PSEUDONYM}"]


async def test_7_7_content_that_must_not_be_transformed_is_not() -> None:
    body = b'{"a":  1}\n\x00\xff'
    lines = ["Cache-Control: no-transform", "Content-Type: application/json", "Content-Digest: sha-256=:x:"]
    async with Upstream(answers(reply(*lines, body=body))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(post(body, *lines))
        assert answer.body == body
        assert [answer.get(line.partition(":")[0]) for line in lines] == [
            line.partition(": ")[2] for line in lines
        ]
        assert upstream.requests[0].body == body


async def test_8_what_describes_content_travels_as_it_came() -> None:
    lines = [
        *("Content-Type: text/plain;charset=x", "Content-Encoding: gzip, br", "Content-Language: de, en"),
        *("Content-Location: /b", 'ETag: W/"a"', "Last-Modified: yesterday", "Content-MD5: x"),
    ]
    async with Upstream(answers(reply(*lines))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(post(b"hello", *lines))
        told = [f"{name}: {value}" for name, value in answer.head.lines]
        assert told[: len(lines)] == lines
        told = [f"{name}: {value}" for name, value in upstream.requests[0].head.lines]
        assert told[1 : 1 + len(lines)] == lines


@pytest.mark.parametrize(
    "data",
    [
        b"HEAD /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"HEAD /a HTTP/1.1\r\nHost: a\r\nX-Foo : a\r\n\r\n",
        b"HEAD /a HTTP/1.1\r\n\r\n",
        b"HEAD /a HTTP/1.2\r\nHost: a\r\n\r\n",
        b"HEAD /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD /a HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 17_000 + b"\r\n\r\n",
        b"HEAD /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
        b"HEAD /a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD /a HTTP/1.1\r\nHost: a\r\nX-",
    ],
    ids=[
        *(
            "two lengths",
            "space before the colon",
            "no host",
            "version",
            "two spaces",
            "long target",
            "large",
        ),
        *("malformed chunk", "dot segment", "never whole"),
    ],
)
async def test_9_3_2_head_is_refused_without_content_whatever_is_wrong_with_it(data: bytes) -> None:
    async with Upstream() as upstream, proxy(upstream, timeouts={"header": "200ms"}) as gateway:
        client = await gateway.connect()
        await client.send(data)
        answer = await client.answer("HEAD")
        assert answer.status in (400, 408, 414, 431, 505)
        length = answer.get("content-length")
        assert length is not None and int(length) > 0
        await client.ended()


async def test_9_3_7_the_gateways_own_answer_to_options_has_its_length() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", "Max-Forwards: 0", method="OPTIONS"))
        assert (answer.status, answer.get("content-length"), answer.body) == (200, "0", b"")
        assert not answer.closes


async def test_10_1_1_an_expectation_without_content_goes_no_further() -> None:
    """A client, and the gateway is one, has none for a request without content."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for request in (get("/a", "Expect: 100-continue"), post(b"", "Expect: 100-continue")):
            assert (await client.ask(request)).status == 200
        assert [request.get("expect") for request in upstream.requests] == [None, None]


@pytest.mark.parametrize("value", ["100-continue", "200-ok"])
async def test_10_1_1_an_expectation_in_http_1_0_is_ignored(value: str) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        head = f"PUT /a HTTP/1.0\r\nHost: a\r\nExpect: {value}\r\nContent-Length: 5\r\n\r\n"
        await client.send(head.encode())
        await client.send(b"hello")
        assert (await client.answer("PUT")).json() == {"bytes": 5}
        assert upstream.requests[0].get("expect") is None


async def test_10_1_1_a_100_is_followed_by_a_final_status() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(
            b"PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        conversation = await upstream.accepted()
        parts = await conversation.request_head()
        await conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await client.status() == 100
        await client.send(chunked(b"hello"))
        received = await read_request_body(conversation, parts.method, parts.target, parts.head)
        assert received.body == b"hello"
        conversation.close()
        assert (await client.answer("PUT")).status == 502, "also where the upstream has none"


async def test_10_1_4_te_is_not_passed_on() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for lines in (["TE: gzip;q=0.5", "Connection: TE"], ["TE: chunked"], []):
            assert (await client.ask(get("/a", *lines))).status == 200
        assert all("te" not in request.names for request in upstream.requests)


async def test_10_2_context_of_a_response_travels_as_it_came() -> None:
    lines = ["Allow: GET,  PUT , x", "Location: /b", "Retry-After: soon", "Server: x/1", "Vary: *"]
    async with Upstream(answers(reply(*lines, status="405 No"))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert answer.status == 405
        assert [f"{name}: {value}" for name, value in answer.head.lines[: len(lines)]] == lines


async def test_11_6_credentials_and_challenges_are_not_changed() -> None:
    challenges = [
        'WWW-Authenticate: Basic realm="a,  b"',
        "www-authenticate: Newauth x=1, y",
        "Authentication-Info: a",
    ]
    credentials = ["Authorization: Basic  YTpi", "authorization: Other \x27a\x27"]
    async with Upstream(answers(reply(*challenges, status="401 No"))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", *credentials))
        assert answer.status == 401
        assert [f"{name}: {value}" for name, value in answer.head.lines[:3]] == challenges
        assert [f"{name}: {value}" for name, value in upstream.requests[0].head.lines[1:3]] == credentials


@pytest.mark.parametrize("status", ["407 No", "421 Misdirected"])
async def test_11_7_1_and_15_5_20_what_is_not_ours_to_make_is_passed_on(status: str) -> None:
    """The gateway makes no 407 and no 421; one of the upstream's is its own word."""
    async with Upstream(answers(reply(status=status))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == int(status[:3])
        assert (await client.ask(get("/a", host="elsewhere.test"))).status == int(status[:3])


async def test_12_5_5_no_vary_is_made_of_an_asterisk() -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for accept in ("application/json", "application/xml", "*/*"):
            client = await gateway.connect()
            answer = await client.ask(get("/a/../b", f"Accept: {accept}"))
            assert "*" not in ",".join(answer.all("vary"))


async def test_13_2_1_preconditions_are_left_to_the_origin() -> None:
    """They would all fail here, were they looked at."""
    lines = [
        *('If-Match: "b"', 'If-None-Match: *, "a"', "If-Modified-Since: Tue, 24 Nov 2099 00:00:00 GMT"),
        *("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT", 'If-Range: "x"'),
    ]
    async with Upstream(answers(reply('ETag: "a"'))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for method in ("GET", "PUT", "DELETE"):
            assert (await client.ask(get("/a", *lines, method=method))).status == 200
        for request in upstream.requests:
            assert [f"{name}: {value}" for name, value in request.head.lines[1:6]] == lines


async def test_14_ranges_are_left_to_the_origin() -> None:
    body = b"--x\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n--x--\r\n"
    lines = [
        "Content-Type: multipart/byteranges; boundary=x",
        "Content-Range: lines 1-2/9",
        "Accept-Ranges: lines",
    ]
    asked = ["Range: lines=1-2, 5-", "If-Range: Tue, 24 Nov 2026 00:00:00 GMT"]
    async with (
        Upstream(answers(reply(*lines, status="206 Partial Content", body=body))) as upstream,
        proxy(upstream) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a", *asked))
        assert (answer.status, answer.body) == (206, body)
        assert [f"{name}: {value}" for name, value in answer.head.lines[:3]] == lines
        assert [f"{name}: {value}" for name, value in upstream.requests[0].head.lines[1:3]] == asked


async def test_15_2_every_interim_response_before_the_final_one_is_read() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 a\r\n\r\nHTTP/1.1 199 Odd\r\nX-Foo: a\r\n\r\n" + OK
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            await client.send(get("/a"))
            assert [await client.status(), await client.status()] == [102, 199]
            assert (await client.answer()).body == b"ok"
        assert len(upstream.conversations) == 1


async def test_15_3_6_a_205_keeps_its_empty_content() -> None:
    async with Upstream(answers(reply(status="205 Reset", body=b""))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.get("content-length"), answer.body) == (205, "0", b"")


async def test_15_5_2_a_401_of_the_gateway_has_a_challenge() -> None:
    async with Upstream() as upstream, proxy(upstream, filters=AUTH) as gateway:
        client = await gateway.connect()
        for request in (get("/a"), get("/a", "X-Auth-Token: bad"), get("/a", method="HEAD")):
            answer = await client.ask(request)
            assert answer.status == 401
            assert answer.get("www-authenticate")


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:5000/v3"])
async def test_15_5_2_a_decision_that_was_delayed_has_the_challenge_of_who_delayed_it(
    url: str | None,
) -> None:
    delaying = {"token_auth": {**AUTH[0]["token_auth"], "delay_auth_decision": True, "auth_url": url}}
    table = {"rbac": {"rows": [{"path": "/a", "roles": "member"}]}}
    async with Upstream() as upstream, proxy(upstream, filters=[delaying, table]) as gateway:
        answer = await (await gateway.connect()).ask(get("/a"))
        assert answer.status == 401
        assert answer.get("www-authenticate") == ("Keystone" if url is None else f'Keystone uri="{url}"')
