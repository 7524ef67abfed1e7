"""Trace context through the gateway (W3C Trace Context), and the spans that exchanges leave behind."""

import re
from collections.abc import Mapping
from unittest import mock

import pytest

from gateway import exporter
from tests.support.client import get, post
from tests.support.deadline import until
from tests.support.gateway import Running, proxy
from tests.support.otlp import Receiver
from tests.support.upstream import Upstream, closed_port, echo

TRACE = "12345678901234567890123456789012"
SPAN = "1234567890123456"
PARENT = f"traceparent: 00-{TRACE}-{SPAN}-01"
NOWHERE = {"endpoint": "http://127.0.0.1:9"}
_LINE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans wait for a batch to fill; a test has no others to wait for."""
    monkeypatch.setattr(exporter, "INTERVAL", 0.005)


async def seen(gateway: Running, upstream: Upstream, *lines: str) -> Mapping[str, list[str]]:
    """Sends a request with these fields, and gives the trace context that reaches the upstream."""
    client = await gateway.connect()
    assert (await client.ask(get("/", *lines))).status == 200
    request = upstream.conversations[-1].requests[-1]
    return {name: request.all(name) for name in ("traceparent", "tracestate")}


def parts(context: Mapping[str, list[str]]) -> tuple[str, str, str]:
    (line,) = context["traceparent"]
    match = _LINE.fullmatch(line)
    assert match is not None, line
    return match[1], match[2], match[3]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (PARENT, "tracestate: foo=1", "tracestate: bar=2"),
        ("traceparent: no such thing", "TraceState: ,,"),
    ],
)
async def test_without_tracing_it_passes_untouched(lines: tuple[str, ...]) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        context = await seen(gateway, upstream, *lines)
        given = [line.partition(": ") for line in lines]
        for name, values in context.items():
            assert values == [value for key, _, value in given if key.lower() == name]
        record = await gateway.record()
        assert "trace_id" not in record
        assert "span_id" not in record


async def test_a_trace_begins_where_the_client_has_none() -> None:
    with Receiver() as receiver:
        async with (
            Upstream(echo) as upstream,
            proxy(upstream, tracing={"endpoint": receiver.url}) as gateway,
        ):
            context = await seen(gateway, upstream, "tracestate: foo=1")
            trace_id, span_id, flags = parts(context)
            assert (flags, context["tracestate"]) == ("01", [])
            server, (client,) = await receiver.exchange()
            assert (server.trace_id, server.parent) == (trace_id, "")
            assert (client.trace_id, client.span_id, client.parent) == (trace_id, span_id, server.span_id)
            record = await gateway.record()
            assert (record["trace_id"], record["span_id"]) == (trace_id, server.span_id)
            assert server.attributes["gateway.request_id"] == record["gateway.request_id"]
            assert server.begin <= client.begin < client.end <= server.end


async def test_a_trace_of_the_clients_goes_on() -> None:
    with Receiver() as receiver:
        async with (
            Upstream(echo) as upstream,
            proxy(upstream, tracing={"endpoint": receiver.url}) as gateway,
        ):
            context = await seen(gateway, upstream, PARENT, "TraceState: foo=1 , bar=2", "tracestate: baz=3")
            trace_id, span_id, flags = parts(context)
            assert (trace_id, flags, context["tracestate"]) == (TRACE, "01", ["foo=1,bar=2,baz=3"])
            server, (client,) = await receiver.exchange()
            assert (server.trace_id, server.parent, server.state) == (TRACE, SPAN, "foo=1,bar=2,baz=3")
            assert client.span_id == span_id


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ((PARENT, PARENT, "tracestate: foo=1"), []),
        ((f"traceparent: 00-{TRACE}-{SPAN}-01-more", "tracestate: foo=1"), []),
        ((f"trace-parent: 00-{TRACE}-{SPAN}-01",), []),
        ((PARENT, "Connection: traceparent"), []),
    ],
)
async def test_what_is_no_trace_begins_one(lines: tuple[str, ...], state: list[str]) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, tracing=NOWHERE) as gateway:
        context = await seen(gateway, upstream, *lines)
        assert parts(context)[0] != TRACE
        assert context["tracestate"] == state


async def test_a_state_that_is_none_is_dropped_alone() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, tracing=NOWHERE) as gateway:
        context = await seen(gateway, upstream, PARENT, "tracestate: foo=1,FOO=2")
        assert (parts(context)[0], context["tracestate"]) == (TRACE, [])


async def test_a_trace_that_the_client_does_not_sample_goes_on_and_is_not_exported() -> None:
    with Receiver() as receiver:
        async with (
            Upstream(echo) as upstream,
            proxy(upstream, tracing={"endpoint": receiver.url}) as gateway,
        ):
            context = await seen(gateway, upstream, f"traceparent: 00-{TRACE}-{SPAN}-00")
            trace_id, _, flags = parts(context)
            assert (trace_id, flags) == (TRACE, "00")
            await seen(gateway, upstream)
            (server,) = await receiver.server_spans(1)
            assert server.trace_id != TRACE
            assert [record["trace_id"] for record in await gateway.records(2)] == [TRACE, server.trace_id]


@pytest.mark.parametrize(
    ("trust", "proxies", "believed"),
    [
        ("trusted_proxies", ["127.0.0.0/8"], True),
        ("trusted_proxies", ["192.0.2.0/24"], False),
        ("never", ["127.0.0.0/8"], False),
    ],
)
async def test_whom_nobody_trusts_begins_no_trace(trust: str, proxies: list[str], believed: bool) -> None:
    with Receiver() as receiver:
        options = {"endpoint": receiver.url, "trust": trust}
        async with (
            Upstream(echo) as upstream,
            proxy(upstream, tracing=options, trusted_proxies=proxies) as gateway,
        ):
            context = await seen(gateway, upstream, PARENT, "tracestate: foo=1")
            assert (parts(context)[0] == TRACE) is believed
            assert context["tracestate"] == (["foo=1"] if believed else [])
            (server,) = await receiver.server_spans(1)
            assert server.links == ([] if believed else [(TRACE, SPAN)])


@pytest.mark.parametrize("lines", [(), (PARENT, "tracestate: foo=1"), ("X-Auth-Token: sesame-open-wide",)])
async def test_requests_that_come_again_have_spans_of_their_own(lines: tuple[str, ...]) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, tracing=NOWHERE) as gateway:
        client = await gateway.connect()
        told = []
        for _ in range(4):
            assert (await client.ask(get("/", *lines))).status == 200
            request = upstream.conversations[-1].requests[-1]
            assert request.all("tracestate") == (["foo=1"] if len(lines) == 2 else [])
            told.append(parts({"traceparent": request.all("traceparent")}))
        assert len({span_id for _, span_id, _ in told}) == 4
        assert len({trace_id for trace_id, _, _ in told}) == (1 if len(lines) == 2 else 4)


async def test_a_second_attempt_has_another_span_and_both_are_told() -> None:
    with Receiver() as receiver:
        async with Upstream() as upstream, proxy(upstream, tracing={"endpoint": receiver.url}) as gateway:
            client = await gateway.connect()
            await client.send(get("/first", f"traceparent: 00-{TRACE}-{SPAN}-00"))
            old = await upstream.accepted()
            await old.answer()
            await client.answer()
            await until(lambda: gateway.pools["main"].idle_count == 1, "the connection is pooled")
            await client.send(get("/second", PARENT))
            first = await old.request()
            old.reset()
            new = await upstream.accepted()
            second = await new.answer()
            assert (await client.answer()).status == 200
            ids = [parts({"traceparent": request.all("traceparent")})[:2] for request in (first, second)]
            assert ids[0] != ids[1]
            server, clients = await receiver.exchange()
            assert [(span.trace_id, span.span_id) for span in clients] == ids
            assert [span.parent for span in clients] == [server.span_id] * 2
            assert [span.attributes.get("http.request.resend_count") for span in clients] == [None, 1]
            assert clients[0].attributes["error.type"] == "upstream_closed"
            assert [span.status for span in (server, *clients)] == ["unset", "error", "unset"]
            assert clients[0].end <= clients[1].begin


async def test_an_upstream_that_is_away_is_an_error_with_its_reason() -> None:
    with Receiver() as receiver:
        dead = f"http://127.0.0.1:{closed_port()}"
        async with proxy([dead], tracing={"endpoint": receiver.url}) as gateway:
            client = await gateway.connect()
            assert (await client.ask(get("/x"))).status == 503
            server, (attempt,) = await receiver.exchange()
            assert (server.status, server.attributes["error.type"]) == ("error", "upstream_connect_failed")
            assert (attempt.status, attempt.attributes["error.type"]) == ("error", "upstream_connect_failed")
            assert (
                f"http://{attempt.attributes['server.address']}:{attempt.attributes['server.port']}" == dead
            )


async def test_filters_are_events_and_no_secret_leaves() -> None:
    token = "sesame-open-wide"
    filters = [
        {
            "token_auth": {
                "providers": [{"static": {"tokens": [{"token": token, "user_id": "u", "project_id": "p"}]}}]
            }
        },
        {"methods": {"allow": ["GET"]}},
    ]
    with Receiver() as receiver:
        async with (
            Upstream(echo) as upstream,
            proxy(upstream, filters=filters, tracing={"endpoint": receiver.url}) as gateway,
        ):
            client = await gateway.connect()
            answer = await client.ask(post(b"x", f"X-Auth-Token: {token}", target=f"/{token}?token=hunter2"))
            assert answer.status == 405
            server, clients = await receiver.exchange()
            assert clients == []
            assert (server.name, server.status) == ("POST /{rest*}", "unset")
            told = [
                (
                    event["gateway.filter.name"],
                    event["gateway.filter.verdict"],
                    event["gateway.filter.reason"],
                )
                for _, _, event in server.events
            ]
            assert [name for name, _, _ in told] == ["token_auth", "methods"]
            assert told[1] == ("methods", "refuse", "method_not_allowed")
            assert server.attributes["gateway.source"] == (await gateway.record())["gateway.source"]
            assert server.attributes["url.path"] == "/[redacted]"
            assert server.attributes["url.query"] == "token=[redacted]"
            assert not re.search(f"{token}|hunter2", str(server))


async def test_a_request_that_is_refused_at_its_head_has_a_span() -> None:
    with Receiver() as receiver:
        async with (
            Upstream(echo) as upstream,
            proxy(upstream, tracing={"endpoint": receiver.url}) as gateway,
        ):
            client = await gateway.connect()
            assert (await client.ask(get("/a//b", PARENT))).status == 400
            other = await gateway.connect()
            await other.send(b"nonsense\r\n\r\n")
            assert (await other.answer()).status == 400
            first, second = await receiver.server_spans(2)
            assert {first.trace_id, second.trace_id} > {TRACE}
            assert "http.route" not in first.attributes
            assert {span.attributes["gateway.reason"] for span in (first, second)} == {
                record["gateway.reason"] for record in await gateway.records(2)
            }


async def test_a_dead_collector_changes_nothing_for_a_client() -> None:
    with mock.patch.object(exporter, "_PAUSE", 0.01):
        dead = {"endpoint": f"http://127.0.0.1:{closed_port()}", "queue": 2}
        async with Upstream(echo) as upstream, proxy(upstream, tracing=dead) as gateway:
            client = await gateway.connect()
            for _ in range(20):
                assert (await client.ask(get("/"))).status == 200
            metrics = gateway.gateway.metrics.render().decode()
            dropped = re.search(r"^gateway_spans_dropped_total (\S+)$", metrics, re.MULTILINE)
            assert dropped is not None
            # Two exchanges at most are on their way, and two wait.
            assert float(dropped[1]) >= 2 * (20 - 2 - 2)
            assert re.search(r"^gateway_spans_exported_total 0\.0$", metrics, re.MULTILINE)
