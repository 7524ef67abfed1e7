"""From the parts of a head to an Exchange, or to the Problem that refuses it. The same by real bytes: tests/wire/."""

from typing import Any, NamedTuple

import pytest

from gateway.api.body import Body
from gateway.api.exchange import Exchange, Instant
from gateway.config.load import loads
from gateway.http.fields import Fields
from gateway.http.framing import Problem
from gateway.listener.head import Opened, open_exchange
from gateway.plan import Plan, PlannedRoute, build_plan
from gateway.record import Peer
from gateway.registry import Registry
from tests.support.gateway import PSEUDONYM, configuration

CLOCK = Instant(1_700_000_000.0, 1000.0)
Lines = list[tuple[bytes, bytes]]
HOST: Lines = [(b"Host", b"api.test")]


class Accepted(NamedTuple):
    """What `open_exchange` gives, by name."""

    exchange: Exchange
    planned: PlannedRoute | None
    allow: tuple[str, ...] | None
    trusted: bool
    expects: bool


def plan(**options: Any) -> Plan:
    loaded = loads(configuration("http://127.0.0.1:1", **options), "gateway.yaml", registry=Registry())
    return build_plan(loaded, Registry())


PLAN = plan()


def opened(
    method: str = "GET",
    target: bytes = b"/a?b",
    lines: Lines = HOST,
    *,
    version: tuple[int, int] = (1, 1),
    body: Body | None = None,
    peer: str = "192.0.2.1",
    of: Plan = PLAN,
) -> Opened | Problem:
    return open_exchange(
        of,
        Peer(peer, 4711, "http"),
        method,
        target,
        version,
        Fields(tuple(lines)),
        body or Body(),
        "req-1",
        CLOCK,
    )


def accepted(*arguments: Any, **named: Any) -> Accepted:
    outcome = opened(*arguments, **named)
    assert not isinstance(outcome, Problem), outcome
    return Accepted(*outcome)


def refusal(*arguments: Any, **named: Any) -> tuple[int, str]:
    outcome = opened(*arguments, **named)
    assert isinstance(outcome, Problem)
    return outcome.status, outcome.reason


def test_an_exchange_has_the_parts_of_the_head() -> None:
    exchange = accepted("PUT", b"/a%20b?c=d", [*HOST, (b"X-Foo", b"a")]).exchange
    assert (exchange.method, exchange.target, exchange.path, exchange.query) == (
        "PUT",
        b"/a%20b?c=d",
        "/a%20b",
        "c=d",
    )
    assert (exchange.host, exchange.scheme, exchange.http_version) == ("api.test", "http", "1.1")
    assert (exchange.peer, exchange.client, exchange.request_id, exchange.clock) == (
        "192.0.2.1",
        "192.0.2.1",
        "req-1",
        CLOCK,
    )
    assert exchange.params == {"rest": "a b"}
    assert exchange.route is not None and exchange.route.name == "any"
    assert list(exchange.request.headers) == [*HOST, (b"X-Foo", b"a")]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"version": (2, 0)}, (505, "version_unsupported")),
        ({"version": (0, 9)}, (505, "version_unsupported")),
        ({"method": "CONNECT"}, (501, "method_unsupported")),
        ({"method": "TRACE"}, (501, "method_unsupported")),
        ({"target": b"/a/../b"}, (400, "target_ambiguous")),
        ({"target": b"a"}, (400, "target_ambiguous")),
        ({"lines": []}, (400, "host_invalid")),
        ({"lines": [(b"Host", b"")]}, (400, "host_invalid")),
        ({"lines": [*HOST, *HOST]}, (400, "host_invalid")),
        ({"lines": [(b"Host", b"a/b")]}, (400, "host_invalid")),
        ({"target": b"http://a,b/"}, (400, "host_invalid")),
        ({"lines": [*HOST, (b"Content-Length", b"+5")]}, (400, "framing_invalid")),
        ({"lines": [*HOST, (b"Transfer-Encoding", b"gzip, chunked")]}, (400, "framing_invalid")),
        ({"lines": [*HOST, (b"Transfer-Encoding", b"chunked")], "version": (1, 0)}, (400, "framing_invalid")),
        ({"lines": [*HOST, (b"Expect", b"200-ok")]}, (417, "expectation_unknown")),
        (
            {"lines": [*HOST, (b"Expect", b"100-continue"), (b"Expect", b"100-continue")]},
            (417, "expectation_unknown"),
        ),
        ({"lines": [*HOST, (b"Via", f"1.1 {PSEUDONYM}, 1.1 {PSEUDONYM}".encode())]}, (508, "loop_detected")),
    ],
)
def test_refuses_what_leaves_room_for_two_readings(named: dict[str, Any], expected: tuple[int, str]) -> None:
    assert refusal(**named) == expected


def test_http_1_0_needs_no_host_and_expects_nothing() -> None:
    outcome = accepted(lines=[(b"Expect", b"100-continue")], version=(1, 0))
    assert (outcome.exchange.host, outcome.exchange.http_version, outcome.expects) == ("", "1.0", False)
    assert accepted(lines=[*HOST, (b"Expect", b"100-Continue")]).expects


def test_the_authority_of_an_absolute_target_replaces_host() -> None:
    exchange = accepted(
        target=b"http://other.test:81/a?", lines=[(b"hOST", b"api.test"), (b"X", b"y")]
    ).exchange
    assert (exchange.host, exchange.target, exchange.query) == ("other.test:81", b"/a?", "")
    assert exchange.request.headers.all("host") == ["other.test:81"]


def test_no_route_and_no_method_are_not_refusals_yet() -> None:
    """The global filters judge first."""
    routes = [{"name": "one", "path": "/one", "methods": ["PUT", "GET"], "upstream": "main"}]
    of = plan(routes=routes)
    nowhere = accepted(target=b"/two", of=of)
    assert (nowhere.planned, nowhere.allow, nowhere.exchange.route) == (None, None, None)
    forbidden = accepted("DELETE", b"/one", of=of)
    assert (forbidden.planned, forbidden.allow) == (None, ("GET", "PUT"))


def test_an_ambiguous_target_is_refused_where_no_lenient_route_takes_it() -> None:
    routes = [{"name": "one", "path": "/one/{rest*}", "upstream": "main", "target": "lenient"}]
    of = plan(routes=routes)
    assert accepted(target=b"/one/../x", of=of).exchange.target == b"/one/../x"
    assert refusal(target=b"/two/../x", of=of) == (400, "target_ambiguous")


def test_a_length_beyond_the_limit_is_413() -> None:
    of = plan(limits={"body": 10})
    assert accepted(body=Body(None, 10), of=of)
    assert refusal(body=Body(None, 11), of=of) == (413, "request_too_large")
    assert accepted(body=Body(None, None), of=of)


def test_what_connection_names_is_gone_before_a_filter_sees_it() -> None:
    lines = [
        *HOST,
        (b"Connection", b"X-User-Id, Host, Authorization"),
        (b"x-user-id", b"evil"),
        (b"Authorization", b"a"),
    ]
    fields = accepted(lines=lines).exchange.request.headers
    assert not fields.has("x-user-id")
    assert (fields.get("host"), fields.get("authorization")) == ("api.test", "a")


def test_a_trusted_proxy_names_the_client() -> None:
    of = plan(trusted_proxies=["192.0.2.0/24"])
    lines = [*HOST, (b"X-Forwarded-For", b"198.51.100.7"), (b"X-Forwarded-Proto", b"https")]
    outcome = accepted(lines=lines, of=of)
    assert (outcome.trusted, outcome.exchange.client, outcome.exchange.scheme) == (
        True,
        "198.51.100.7",
        "https",
    )
    outcome = accepted(lines=lines, of=of, peer="203.0.113.1")
    assert (outcome.trusted, outcome.exchange.client, outcome.exchange.scheme) == (
        False,
        "203.0.113.1",
        "http",
    )
