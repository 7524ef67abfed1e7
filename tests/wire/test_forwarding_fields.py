"""What fields cross to the upstream and back: all, as they came, but for those that RFC 9110 names."""

import re
from typing import Any

import pytest

from tests.support.client import get, post
from tests.support.expect import REQUEST_ID, marked
from tests.support.gateway import PSEUDONYM, proxy
from tests.support.upstream import Upstream, answers, echo

OURS = [
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "api.test"),
    ("Via", f"1.1 {PSEUDONYM}"),
]


def reply(*lines: str, status: str = "200 OK", body: bytes = b"ok", version: str = "1.1") -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"HTTP/{version} {status}\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


async def test_nothing_is_added_but_what_the_gateway_says_of_itself() -> None:
    """A naive proxy's client library adds Accept-Encoding, User-Agent, Accept and Content-Type."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 200
        assert (await client.ask(post(b"hello"))).status == 200
        first, second = upstream.requests
        request_id = first.get("x-openstack-request-id")
        assert request_id is not None and REQUEST_ID.fullmatch(request_id)
        assert first.head.lines == [("Host", "api.test"), *OURS, ("X-Openstack-Request-Id", request_id)]
        assert second.head.lines[:2] == [("Host", "api.test"), ("Content-Length", "5")]
        assert not {"accept-encoding", "user-agent", "accept", "content-type"} & {*first.names, *second.names}


async def test_fields_keep_their_order_case_and_repetition() -> None:
    """P8, P9, P19, P21."""
    lines = [
        ("X-Foo", "1"),
        ("accept", "a/b"),
        ("x-fOO", "2"),
        ("Cookie", "a=b"),
        ("X-Foo", "1"),
        ("Authorization", "Basic  YTpi"),
        ("Accept", "c/d, e/f"),
        ("If-Match", '"x", "y"'),
        ("If-Modified-Since", "yesterday"),
        ("cookie", "c=d"),
        ("X-Empty", ""),
        ("Cache-Control", "no-transform"),
        ("~!#$%&'*+-.^_`|", "token"),
    ]
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", *[f"{name}: {value}" for name, value in lines]))).status == 200
        assert upstream.requests[0].head.lines[1 : 1 + len(lines)] == lines


async def test_the_request_line_is_ours_whatever_the_version_of_the_client() -> None:
    """P4; and Via names the version of the message as received, P1."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"GET /a HTTP/1.0\r\nHost: api.test\r\n\r\n")
        assert (await client.answer()).status == 200
        (request,) = upstream.requests  # whose parser takes HTTP/1.1 only
        assert request.all("via") == [f"1.0 {PSEUDONYM}"]


async def test_via_members_are_kept_in_front_of_ours() -> None:
    """P1, P2, P3."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", "Via: 1.0 fred, 1.1 p.example (x)", "via: 2 other"))).status == 200
        members = [m.strip() for value in upstream.requests[0].all("via") for m in value.split(",")]
        assert members == ["1.0 fred", "1.1 p.example (x)", "2 other", f"1.1 {PSEUDONYM}"]


async def test_via_of_the_answer_names_the_version_that_the_upstream_spoke() -> None:
    for version in ("1.0", "1.1"):
        async with (
            Upstream(answers(reply("Via: 1.1 origin", version=version))) as upstream,
            proxy(upstream) as gateway,
        ):
            client = await gateway.connect()
            answer = await client.ask(get("/a"))
            assert answer.head.first == b"HTTP/1.1 200 OK\r\n"
            members = [m.strip() for value in answer.all("via") for m in value.split(",")]
            assert members == ["1.1 origin", f"{version} {PSEUDONYM}"]


HOP = [
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "TE: trailers",
    "Upgrade: foo",
    "Proxy-Authorization: Basic YTpi",
    "Proxy-Authenticate: Basic",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
    "Trailer: X-Sum",
]


async def test_hop_by_hop_fields_of_a_request_never_cross() -> None:
    """P7: even when Connection does not name them."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", *HOP, "X-Foo: a"))).status == 200
        (request,) = upstream.requests
        assert request.get("x-foo") == "a"
        assert not {line.split(":")[0].lower() for line in HOP} & set(request.names)


FOLDED = [
    *("X_Forwarded_For", "X_Forwarded-For", "x-forwarded_for", "X_Forwarded_Host", "X_Forwarded_Proto"),
    *("X_Forwarded_Port", "X_Forwarded_Prefix", "X_Forwarded_By", "X_Real_IP", "X-Real_IP"),
    *("X_Openstack_Request_Id", "X-Openstack-Request_Id", "X_Trace_Me"),
]


@pytest.mark.parametrize(
    "options", [{}, {"forwarded": "both"}, {"forwarded": "off"}, {"trusted_proxies": ["127.0.0.0/8"]}]
)
async def test_what_the_gateway_says_itself_crosses_in_no_spelling(options: dict[str, Any]) -> None:
    """To an upstream behind WSGI, `X_Forwarded_For` is an X-Forwarded-For."""
    trace = {"header": "X-Trace-Me", "allow": {"roles": ["admin"]}}
    async with Upstream(echo) as upstream, proxy(upstream, trace=trace, **options) as gateway:
        client = await gateway.connect()
        for _ in range(3):  # the third is known by then
            lines = [f"{name}: forged" for name in FOLDED]
            assert (await client.ask(get("/a", *lines, "X_Foo: a", "X-Foo_Bar: b"))).status == 200
        for body in (b"", b"hello"):
            assert (await client.ask(post(body, *lines, "X_Foo: a", "X-Foo_Bar: b"))).status == 200
        for request in upstream.requests:
            assert (request.get("x_foo"), request.get("x-foo_bar")) == ("a", "b")
            assert not {name.lower() for name in FOLDED} & set(request.names)
            assert not [value for name, value in request.head.lines if value == "forged"]
        assert len(upstream.requests) == 5


@pytest.mark.parametrize(
    "connection",
    [
        ["Connection: X-Foo"],
        ["Connection: keep-alive, x-foo"],
        ["Connection:\tX-FOO ,, keep-alive"],
        ["Connection: keep-alive", "connection: X-Foo"],
    ],
)
async def test_fields_that_connection_names_stop_here_in_a_request(connection: list[str]) -> None:
    """P5."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", *connection, "X-Foo: a", "x-foo: b", "X-Bar: c"))).status == 200
        assert "x-foo" not in upstream.requests[0].names
        assert "connection" not in upstream.requests[0].names
        assert upstream.requests[0].get("x-bar") == "c"


async def test_hop_by_hop_fields_of_an_answer_never_cross() -> None:
    """P6, P7."""
    lines = [*HOP, "Connection: X-Foo, keep-alive", "X-Foo: a", "X-Bar: b"]
    async with Upstream(answers(reply(*lines))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        names = {name.lower() for name, _ in answer.head.lines}
        assert not {line.split(":")[0].lower() for line in HOP} & names
        assert not {"x-foo", "connection"} & names
        assert answer.get("x-bar") == "b"


async def test_connection_cannot_take_away_what_a_message_stands_on() -> None:
    """What frames the message, who sends it and what the gateway sets itself are not for the client to remove."""
    named = "Host, Content-Length, X-Auth-Token, Authorization, Via, X-Forwarded-For, X-Openstack-Request-Id"
    lines = [f"Connection: {named}", "X-Auth-Token: t", "Authorization: a", "Via: 1.1 other"]
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(post(b"hello", *lines))).json() == {"bytes": 5}
        (request,) = upstream.requests
        assert request.get("host") == "api.test"
        assert request.get("x-auth-token") == "t"
        assert request.get("authorization") == "a"
        assert request.all("via") == ["1.1 other", f"1.1 {PSEUDONYM}"]
        assert request.get("x-forwarded-for") == "127.0.0.1"
        assert request.get("x-openstack-request-id")


async def test_connection_cannot_take_away_the_identity_that_a_filter_sets() -> None:
    token = {
        "token": "good",
        "user": "u",
        "user_id": "u-1",
        "project_id": "p",
        "project_name": "p",
        "roles": ["r"],
    }
    filters = [{"token_auth": {"providers": [{"static": {"tokens": [token]}}]}}]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        lines = ["X-Auth-Token: good", "Connection: X-User-Id, X-Roles", "X-User-Id: evil", "X_User_Id: evil"]
        assert (await client.ask(get("/a", *lines))).status == 200
        (request,) = upstream.requests
        assert request.get("x-user-id") == "u-1"
        assert request.get("x-roles") == "r"
        assert "x_user_id" not in request.names


async def test_an_upstream_cannot_take_away_our_fields_by_naming_them() -> None:
    lines = ["Connection: Date, Via, X-Compute-Request-Id, Content-Length", "X-Foo: a"]
    async with Upstream(answers(reply(*lines))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        marked(answer)
        assert answer.body == b"ok"


# ---- Host


@pytest.mark.parametrize(
    ("host", "seen"), [("keep", "api.test"), ("upstream", None), ("img.test", "img.test")]
)
async def test_host_is_kept_or_rewritten_by_configuration(host: str, seen: str | None) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, upstream_options={"host": host}) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", "X-Foo: a"))).status == 200
        (request,) = upstream.requests
        assert request.head.lines[0] == ("Host", seen or upstream.authority)
        assert request.get("x-forwarded-host") == "api.test"


async def test_a_client_of_http_1_0_without_host_is_served() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(b"GET /a HTTP/1.0\r\n\r\n")).status == 200
        assert upstream.requests[0].get("host") == upstream.authority


# ---- X-Forwarded-* and Forwarded

FORGED = [
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.test",
    "X-Forwarded-Port: 1",
    "X-Real-IP: 192.0.2.7",
    "Forwarded: for=192.0.2.7",
]


async def test_what_a_client_says_of_itself_is_not_passed_on() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", *FORGED))).status == 200
        (request,) = upstream.requests
        assert request.get("x-forwarded-for") == "127.0.0.1"
        assert request.get("x-forwarded-proto") == "http"
        assert request.get("x-forwarded-host") == "api.test"
        assert not {"x-forwarded-port", "x-real-ip", "forwarded"} & set(request.names)
        assert (await gateway.record())["client.address"] == "127.0.0.1"


async def test_our_element_of_forwarded_tells_our_own_hop() -> None:
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, trusted_proxies=["127.0.0.0/8"], forwarded="both") as gateway,
    ):
        client = await gateway.connect()
        for _ in range(3):  # also where the section is known by heart
            assert (await client.ask(get("/a", *FORGED))).status == 200
        for request in upstream.requests:
            assert request.get("forwarded") == "for=192.0.2.7, for=127.0.0.1;host=api.test;proto=http"
            assert request.get("x-forwarded-proto") == "https"


async def test_what_a_trusted_proxy_says_is_passed_on_with_its_own_address() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, trusted_proxies=["127.0.0.0/8"]) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", *FORGED))).status == 200
        (request,) = upstream.requests
        assert request.get("x-forwarded-for") == "192.0.2.7, 127.0.0.1"
        assert request.get("x-forwarded-proto") == "https"
        assert request.get("x-forwarded-host") == "evil.test"
        record = await gateway.record()
        assert record["client.address"] == "192.0.2.7"
        assert record["network.peer.address"] == "127.0.0.1"


async def test_forwarded_is_written_instead_when_configured() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, forwarded="rfc7239") as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", *FORGED))).status == 200
        (request,) = upstream.requests
        assert request.get("forwarded") == "for=127.0.0.1;host=api.test;proto=http"
        assert not [name for name in request.names if name.startswith("x-forwarded")]


async def test_nothing_is_told_of_the_client_when_forwarding_is_off() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, forwarded="off") as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", *FORGED))).status == 200
        names = upstream.requests[0].names
        assert not [name for name in names if "forwarded" in name or name == "x-real-ip"]


# ---- request ids

GLOBAL_ID = "req-0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


async def test_one_id_is_sent_upstream_and_answered() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        sent = upstream.requests[0].get("x-openstack-request-id")
        assert marked(answer) == sent == answer.get("x-openstack-request-id")
        assert (await gateway.record())["gateway.request_id"] == sent
        assert "x-compute-request-id" not in upstream.requests[0].names


async def test_a_valid_global_id_is_passed_on_and_recorded_and_never_echoed() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", f"X-Openstack-Request-Id: {GLOBAL_ID}"))
        assert upstream.requests[0].get("x-openstack-request-id") == GLOBAL_ID
        assert marked(answer) != GLOBAL_ID
        assert answer.get("x-openstack-request-id") != GLOBAL_ID
        record = await gateway.record()
        assert record["gateway.global_request_id"] == GLOBAL_ID
        assert record["gateway.request_id"] == marked(answer)


async def test_a_global_id_is_recorded_of_a_request_that_is_refused_too() -> None:
    filters = [{"methods": {"allow": ["POST"]}}]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a", f"X-Openstack-Request-Id: {GLOBAL_ID}"))).status == 405
        assert (await gateway.record())["gateway.global_request_id"] == GLOBAL_ID


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Openstack-Request-Id: forged"],
        [f"X-Openstack-Request-Id: {GLOBAL_ID}x"],
        [f"X-Openstack-Request-Id: {GLOBAL_ID.upper()}"],
        [f"X-Openstack-Request-Id: {GLOBAL_ID}", f"X-Openstack-Request-Id: {GLOBAL_ID}"],
        [f"X-Compute-Request-Id: {GLOBAL_ID}"],
    ],
)
async def test_an_id_that_is_not_a_global_one_has_no_effect(lines: list[str]) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", *lines))
        assert upstream.requests[0].get("x-openstack-request-id") == marked(answer)
        assert "gateway.global_request_id" not in await gateway.record()


async def test_the_upstreams_own_id_is_kept_and_both_ids_are_recorded() -> None:
    own = "req-11111111-2222-4333-8444-555555555555"
    async with (
        Upstream(answers(reply(f"x-compute-request-id: {own}"))) as upstream,
        proxy(upstream) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert marked(answer) == own == answer.get("x-openstack-request-id")
        record = await gateway.record()
        assert record["gateway.upstream.request_id"] == own
        assert record["gateway.request_id"] == upstream.requests[0].get("x-openstack-request-id") != own


async def test_repeated_ids_and_dates_of_an_upstream_are_collapsed_to_one() -> None:
    """P24: Date is one, whatever the upstream sends."""
    first, second = "req-11111111-2222-4333-8444-555555555555", "req-21111111-2222-4333-8444-555555555555"
    lines = [f"X-Compute-Request-Id: {first}", f"X-Compute-Request-Id: {second}"]
    dates = ["Date: Tue, 24 Nov 2026 05:00:00 GMT", "date: Tue, 24 Nov 2026 06:00:00 GMT"]
    async with Upstream(answers(reply(*lines, *dates))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert marked(answer) == first
        assert answer.all("date") == ["Tue, 24 Nov 2026 05:00:00 GMT"]


async def test_a_missing_date_is_added_and_a_server_is_neither_added_nor_changed() -> None:
    """P24."""
    async with Upstream(answers(reply(), reply("Server: origin/1"))) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        marked(answer)
        assert answer.all("server") == []
        assert (await client.ask(get("/a"))).get("server") == "origin/1"


# ---- answers of an upstream


async def test_an_answers_fields_keep_their_order_case_and_repetition() -> None:
    """P9, P17, P18, P20: duplicate lines do not collapse; Allow, WWW-Authenticate and Vary pass unmodified."""
    lines = [
        ("Set-Cookie", "a=b; Path=/"),
        ("x-foo", "1"),
        ("SET-COOKIE", "c=d"),
        ("X-Foo", "2"),
        ("Allow", "GET, HEAD"),
        ("WWW-Authenticate", 'Keystone uri="http://a"'),
        ("WWW-Authenticate", "Basic realm=b"),
        ("Vary", "Accept"),
        ("Content-Type", "a/b"),
        ("X-Empty", ""),
        ("X-Bytes", "\xe4\xff"),
        ("Content-Encoding", "gzip"),
        ("ETag", '"x"'),
    ]
    data = reply(*[f"{name}: {value}" for name, value in lines], status="401 No")
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.phrase, answer.body) == (401, "No", b"ok"), "P12"
        assert answer.head.lines[: len(lines)] == lines


# ---- Max-Forwards


async def test_options_with_max_forwards_zero_is_answered_here() -> None:
    """P25."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a", "Max-Forwards: 0", method="OPTIONS"))
        assert answer.status == 200
        marked(answer)
        assert upstream.conversations == []
        assert (await gateway.record())["gateway.reason"] == "max_forwards_reached"


async def test_max_forwards_of_options_counts_down_and_is_never_generated() -> None:
    """P25."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        for value in ("5", "1", "007"):
            assert (await client.ask(get("/a", f"Max-Forwards: {value}", method="OPTIONS"))).status == 200
        assert (await client.ask(get("/a", method="OPTIONS"))).status == 200
        assert (await client.ask(get("/a", "Max-Forwards: 0"))).status == 200
        values = [request.get("max-forwards") for request in upstream.requests]
        assert values == ["4", "0", "6", None, "0"], "the field of other methods is left alone"


def test_the_pseudonym_of_these_tests_is_a_token() -> None:
    assert re.fullmatch(r"[a-z-]+", PSEUDONYM)


async def test_an_upstream_cannot_take_the_request_ids_away_by_connection() -> None:
    fields = b"X-Compute-Request-Id: req-a\r\nX-Openstack-Request-Id: req-a\r\n"
    connection = b"Connection: X-Compute-Request-Id, X-Openstack-Request-Id\r\n"
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields + connection + b"\r\n"
    async with Upstream(answers(data)) as upstream, proxy(upstream) as gateway:
        answer = await (await gateway.connect()).ask(get("/a"))
        assert answer.all("x-compute-request-id") == ["req-a"]
        assert answer.all("x-openstack-request-id") == ["req-a"]
