"""The request target reaches the upstream byte for byte, or is refused; it is never rewritten (RFC 9110 section 7.7)."""

import pytest

from tests.support.client import get
from tests.support.expect import refused
from tests.support.gateway import proxy
from tests.support.upstream import Upstream, echo

LENIENT = [{"name": "any", "path": "/{rest*}", "upstream": "main", "target": "lenient"}]

PLAIN = [
    "/",
    "/a",
    "/a?",
    "/a??",
    "/a?b=%20&c=d+e;f",
    "/%7Euser/%41",
    "/a;b=c;d",
    "/a:b@c!$&'()*+,=",
    "/a?b=/../c",
    "/a?http://evil/",
    '/a?"<>{}|\\^`',
    "/%c3%a4/%C3%A4",
    "/...",
    "/..a/.b",
    "/a/",
    "/a?b=%2f%2e%2E",
]
ODD = [
    "/a%2Fb/%2e%2e/x",
    "/a%2fb",
    "/a/../b",
    "/a/./b",
    "/..",
    "/a/%2E%2e",
    "/a//b",
    "//a",
    "/a%zz",
    "/a%",
    "/a?b=%zz",
    "/a%5Cb",
    "/a\\b",
    "/a%00b",
    "/a/..;x/b",
    '/a"b',
    "/a|b",
]


@pytest.mark.parametrize("target", PLAIN)
async def test_a_target_reaches_the_upstream_byte_for_byte(target: str) -> None:
    """P11: a naive proxy normalises such a target, or drops an empty query."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get(target))).status == 200
        assert upstream.requests[0].target == target.encode("latin-1")
        record = await gateway.record()
        assert record["url.path"] + ("?" + record["url.query"] if "url.query" in record else "")


@pytest.mark.parametrize("target", ODD)
async def test_a_target_with_two_readings_is_refused(target: str) -> None:
    """P11: policy may reject; a bypass of the filters by `..` or `%2F` is not to be had."""
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(get(target))
        await refused(gateway, client, 400, "target_ambiguous")
        assert upstream.conversations == []


@pytest.mark.parametrize("target", [*PLAIN, *ODD])
async def test_a_lenient_route_forwards_it_byte_for_byte(target: str) -> None:
    """P11."""
    async with Upstream(echo) as upstream, proxy(upstream, routes=LENIENT) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get(target))).status == 200
        assert upstream.requests[0].target == target.encode("latin-1")


@pytest.mark.parametrize("target", ["/\xe4", "/\xc3\xa4", "/a?\xe4", "/a\x7fb", "/a\x01b", "/a?\x01"])
async def test_a_target_with_bytes_beyond_ascii_or_control_is_400_for_every_route(target: str) -> None:
    async with Upstream() as upstream, proxy(upstream, routes=LENIENT) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get(target))).status == 400
        await client.ended()
        record = await gateway.record()
        assert record["gateway.reason"] in ("malformed_request", "target_ambiguous")
        assert upstream.conversations == []


ABSOLUTE = {
    "http://api.test/a?b": ("api.test", b"/a?b"),
    "http://api.test:8080/a": ("api.test:8080", b"/a"),
    "HTTP://api.test/a%2e?": ("api.test", b"/a%2e?"),
    "https://api.test/a": ("api.test", b"/a"),
    "http://api.test": ("api.test", b"/"),
    "http://api.test?b": ("api.test", b"/?b"),
    "http://[::1]:80/a": ("[::1]:80", b"/a"),
}


@pytest.mark.parametrize(("target", "expected"), ABSOLUTE.items())
async def test_an_absolute_form_target_is_accepted_and_its_authority_replaces_host(
    target: str, expected: tuple[str, bytes]
) -> None:
    """P28: an absolute-form target gives 500 in a naive proxy."""
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get(target, host="other.test"))
        assert answer.status == 200, answer.body
        (request,) = upstream.requests
        assert (request.get("host"), request.target) == expected


async def test_an_absolute_form_target_is_routed_by_its_authority() -> None:
    routes = [{"name": "one", "path": "/{rest*}", "host": "api.test", "upstream": "main"}]
    async with Upstream(echo) as upstream, proxy(upstream, routes=routes) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("http://api.test/a", host="other.test"))).status == 200
        assert (await client.ask(get("http://other.test/a", host="api.test"))).status == 404
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "target",
    [
        "http://user@api.test/",
        "http://user:password@api.test/",
        "http:///a",
        "http://api.test/a#b",
        "ftp://api.test/a",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "a",
        "a/b",
        "?a",
        "/a#b",
        "api.test:80",
        "*",
        "http://a,b/",
        "http://a b/",
        "http://[::1/",
    ],
)
async def test_a_target_of_no_known_form_is_400(target: str) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, routes=LENIENT) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get(target))
        # The asterisk is a target of OPTIONS, and has no route here.
        assert answer.status in ((400, 404) if target == "*" else (400,)), answer.body
        assert upstream.conversations == []


async def test_no_route_is_404_and_the_connection_stays() -> None:
    routes = [{"name": "one", "path": "/one", "methods": ["GET", "PUT"], "upstream": "main"}]
    async with Upstream(echo) as upstream, proxy(upstream, routes=routes) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/two"))
        assert (answer.status, answer.fault, answer.closes) == (404, "itemNotFound", False)
        answer = await client.ask(get("/one/"))
        assert answer.status == 404
        answer = await client.ask(get("/one", method="DELETE"))
        assert (answer.status, answer.get("allow")) == (405, "GET, PUT")
        assert (await client.ask(get("/one"))).status == 200
        reasons = [record["gateway.reason"] for record in await gateway.records(4)]
        assert reasons == ["route_not_found", "route_not_found", "method_not_routed", "passed"]


async def test_without_a_token_nobody_learns_which_routes_there_are() -> None:
    token = {
        "token": "good",
        "user": "u",
        "user_id": "u",
        "project_id": "p",
        "project_name": "p",
        "roles": ["r"],
    }
    filters = [{"token_auth": {"providers": [{"static": {"tokens": [token]}}]}}]
    routes = [{"name": "one", "path": "/one", "methods": ["GET"], "upstream": "main"}]
    async with Upstream(echo) as upstream, proxy(upstream, routes=routes, filters=filters) as gateway:
        client = await gateway.connect()
        for request in (get("/one"), get("/two"), get("/one", method="DELETE")):
            assert (await client.ask(request)).status == 401
        assert (await client.ask(get("/two", "X-Auth-Token: good"))).status == 404
        assert (await client.ask(get("/one", "X-Auth-Token: good", method="DELETE"))).status == 405


async def test_options_with_an_asterisk_is_a_request_for_no_path() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("*", method="OPTIONS"))
        assert answer.status == 404
        assert not answer.closes
