"""What the record says of an exchange: who decided, by which rule, why; also where nothing else could."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.api.reason import REASONS
from gateway.config.problem import ConfigurationError
from tests.support.client import get, post
from tests.support.deadline import until
from tests.support.expect import REQUEST_ID, marked
from tests.support.gateway import configuration, proxy, running, test_filters
from tests.support.upstream import OK, Upstream, echo


async def test_a_forwarded_exchange() -> None:
    filters = [{"methods": {"allow": ["POST"]}}, {"body_size": {"max": 100}}]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        lines = ["User-Agent: test/1", "Content-Type: text/plain", "Cookie: session=very-secret"]
        answer = await client.ask(post(b"hello", *lines, target="/a/b?c=d"))
        record = await gateway.record()
        expected: dict[str, Any] = {
            "gateway.request_id": marked(answer),
            "gateway.decision": "forward",
            "gateway.reason": "passed",
            "http.request.method": "POST",
            "url.path": "/a/b",
            "url.query": "c=d",
            "url.scheme": "http",
            "server.address": "api.test",
            "network.protocol.name": "http",
            "network.protocol.version": "1.1",
            "http.response.status_code": 200,
            "http.request.body.size": 5,
            "http.response.body.size": len(answer.body),
            "http.route": "/{rest*}",
            "gateway.route": "any",
            "client.address": "127.0.0.1",
            "network.peer.address": "127.0.0.1",
            "user_agent.original": "test/1",
            "gateway.upstream.name": "main",
            "gateway.upstream.address": upstream.authority,
            "gateway.worker": 0,
            "gateway.sequence": 1,
            "gateway.revision": gateway.gateway.plan.revision,
            "record_version": 2,
            "kind": "request",
        }
        assert {name: record.get(name) for name in expected} == expected
        assert [(step["name"], step["verdict"]) for step in record["gateway.filters"]] == [
            ("methods", "pass"),
            ("body_size", "pass"),
        ]
        facts = record["gateway.facts"]
        assert (facts["content_type"], facts["content_length"]) == ("text/plain", 5)
        (attempt,) = record["gateway.upstream.attempts"]
        assert attempt["status"] == 200
        assert 0 < attempt["connect_ms"] <= attempt["first_byte_ms"] <= attempt["total_ms"]
        assert attempt["first_byte_ms"] + attempt["body_ms"] == pytest.approx(attempt["total_ms"], abs=0.002)
        assert "gateway.queue_ms" not in record
        assert attempt["total_ms"] <= record["gateway.duration_ms"]
        assert "very-secret" not in str(record)


async def test_others_that_are_under_way_at_its_end_are_told_of() -> None:
    async with Upstream() as upstream, proxy(upstream, filters=[{"methods": {"allow": ["GET"]}}]) as gateway:
        slow = await gateway.connect()
        await slow.send(get("/slow"))
        conversation = await upstream.accepted()
        await conversation.request()
        second = await gateway.connect()
        assert (await second.ask(post(b"", target="/quick"))).status == 405
        (quick,) = await gateway.records(1)
        began = (
            quick["gateway.facts"]["clock"]
            + (quick["gateway.duration_ms"] - quick["gateway.under_way_ms"]) / 1000
        )
        await conversation.send(OK)
        assert (await slow.answer()).status == 200
        _, told = await gateway.records(2)
        assert told["url.path"] == "/slow"
        assert began == pytest.approx(told["gateway.facts"]["clock"], abs=0.01)
        assert "gateway.under_way_ms" not in told


async def test_a_refusal_names_the_filter_its_rule_and_the_line_of_the_file() -> None:
    text = """\
listen: 127.0.0.1:0
admin: null
log: {path: null}
upstreams: {main: {endpoints: ["${UPSTREAM}"]}}
filters:
  - methods:
      name: only-get
      allow: [GET]
routes:
  - {name: any, path: "/{rest*}", upstream: main}
"""
    async with Upstream(echo) as upstream, running(text, environment={"UPSTREAM": upstream.url}) as gateway:
        client = await gateway.connect()
        answer = await client.ask(post(b"hello"))
        assert answer.status == 405
        record = await gateway.record()
        assert (record["gateway.decision"], record["gateway.reason"]) == ("refuse", "method_not_allowed")
        assert record["gateway.filter"] == "only-get"
        assert record["gateway.source"].startswith("gateway.yaml:8:")
        (step,) = record["gateway.filters"]
        assert (step["verdict"], step["status"], step["rule"]) == ("refuse", 405, "allow")
        assert record["error.type"] == "method_not_allowed"


REFUSED: dict[str, tuple[bytes, int, str, str]] = {
    "noise": (b"\x00\x01\r\n\r\n", 400, "malformed_request", ""),
    "no host": (b"GET /a HTTP/1.1\r\n\r\n", 400, "host_invalid", ""),
    "bad host": (get("/a", host="a,b"), 400, "host_invalid", "/a"),
    "target": (get("/a/../b?c"), 400, "target_ambiguous", "/a/../b"),
    "framing": (get("/a", "Content-Length: 5", "Transfer-Encoding: chunked"), 400, "framing_invalid", ""),
    "version": (b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version_unsupported", ""),
    "trace": (get("/a", method="TRACE"), 501, "method_unsupported", "/a"),
    "expectation": (get("/a", "Expect: more"), 417, "expectation_unknown", "/a"),
    "fields": (get("/a", "X: " + "a" * 20_000), 431, "headers_too_large", ""),
    "target length": (get("/" + "a" * 9000), 414, "target_too_long", ""),
}


@pytest.mark.parametrize(("data", "status", "reason", "path"), REFUSED.values(), ids=REFUSED)
async def test_a_head_that_is_refused_before_the_chain_has_a_record(
    data: bytes, status: int, reason: str, path: str
) -> None:
    async with Upstream() as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        answer = await client.ask(data, "GET")
        assert answer.status == status
        record = await gateway.record()
        assert record["gateway.reason"] == reason and reason in REASONS
        assert record["gateway.decision"] == "refuse"
        assert record["http.response.status_code"] == status
        assert record["gateway.request_id"] == marked(answer)
        assert record["error.type"] == reason
        assert record["gateway.filters"] == []
        assert "gateway.filter" not in record
        if path:
            assert record["url.path"] == path
        assert record["http.response.body.size"] == len(answer.body)


async def test_ids_are_never_given_twice() -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        seen = {marked(await client.ask(get("/a"))) for _ in range(50)}
        assert len(seen) == 50
        assert {record["gateway.request_id"] for record in await gateway.records(50)} == seen


@pytest.mark.parametrize(
    "secret", ["X-Auth-Token: s3cret-token", "Authorization: Bearer s3cret-token", "Cookie: a=s3cret-token"]
)
async def test_no_secret_is_in_a_record_even_where_the_head_is_refused(secret: str) -> None:
    async with Upstream(echo) as upstream, proxy(upstream) as gateway:
        for target in ("/a?token=s3cret-token", "/s3cret-token", "/a/../s3cret-token"):
            client = await gateway.connect()
            await client.ask(get(target, secret))
        assert "s3cret-token" not in str(await gateway.records(3))


async def test_the_size_of_a_request_body_is_counted_as_it_travelled() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, registry=test_filters("upper")) as gateway:
        client = await gateway.connect()
        head = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await client.ask(head + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")).status == 200
        assert (await gateway.record())["http.request.body.size"] == 11


async def test_an_early_408_has_an_id_and_a_record() -> None:
    async with Upstream() as upstream, proxy(upstream, timeouts={"header": "100ms"}) as gateway:
        client = await gateway.connect()
        await client.send(b"GET /a HTTP/1.1\r\nX-Auth-Token: s3cret")
        answer = await client.answer()
        assert answer.status == 408
        record = await gateway.record()
        assert REQUEST_ID.fullmatch(record["gateway.request_id"])
        assert "s3cret" not in str(record)


async def test_what_the_configuration_calls_secret_is_in_no_record() -> None:
    routes = [{"name": "user", "path": "/users/{user_id}", "upstream": "main"}]
    redact = {"headers": ["X-Note"], "query": ["mail"], "params": ["user_.*"]}
    async with (
        Upstream(echo) as upstream,
        proxy(
            upstream, routes=routes, log={"redact": redact}, filters=[{"methods": {"allow": ["GET"]}}]
        ) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(2):
            await client.ask(
                get("/users/s3cret-user?mail=s3cret-mail", "X-Note: s3cret-note", "User-Agent: s3cret-note")
            )
        client = await gateway.connect()
        await client.ask(get("/users/s3cret-user", method="PUT"))
        client = await gateway.connect()
        await client.ask(get("/users/s3cret-user/"))
        records = await gateway.records(4)
        assert "s3cret" not in str(records[:3])
        assert [record["url.path"] for record in records] == [
            *["/users/[redacted]"] * 3,
            "/users/s3cret-user/",
        ]


async def test_records_that_are_left_out_leave_no_gap_and_are_counted_all_the_same() -> None:
    async with (
        Upstream(echo) as upstream,
        proxy(
            upstream,
            log={"sample": {"passed": "0%", "slow": "1h"}},
            filters=[{"methods": {"allow": ["GET"]}}],
        ) as gateway,
    ):
        client = await gateway.connect()
        for method in ("GET", "PUT", "GET", "PUT"):
            await client.ask(get("/a", method=method))
        records = await gateway.records(2)
        assert [(told["http.response.status_code"], told["gateway.sequence"]) for told in records] == [
            (405, 1),
            (405, 2),
        ]
        metrics = gateway.gateway.metrics
        await until(lambda: metrics.requests == 4, "all are counted")
        assert "gateway_log_left_out_total 2.0" in metrics.render().decode()


async def test_copies_of_the_log_have_the_same_records_and_no_secrets_either(tmp_path: Path) -> None:
    copies = [
        {"path": str(tmp_path / "access.log"), "format": "combined"},
        {"path": str(tmp_path / "ecs.log"), "format": "ecs"},
        {"path": str(tmp_path / "own.log"), "format": "%g %{X-Auth-Token}i %{X-Note}i"},
    ]
    async with Upstream(echo) as upstream, proxy(upstream, log={"copies": copies}) as gateway:
        client = await gateway.connect()
        lines = [
            "X-Auth-Token: s3cret-token",
            "X-Note: a s3cret-token",
            "Referer: http://r.test/?token=s3cret-two",
        ]
        request_id = marked(await client.ask(get("/a?token=s3cret-three&b=c", *lines)))
        await gateway.record()
    combined, ecs, own = ((tmp_path / name).read_text() for name in ("access.log", "ecs.log", "own.log"))
    assert '"GET /a?token=[redacted]&b=c HTTP/1.1" 200' in combined
    assert '"http://r.test/?token=[redacted]" "-"' in combined
    assert json.loads(ecs)["http.request.referrer"] == "http://r.test/?token=[redacted]"
    assert own == f"{request_id} [redacted] a\\x20[redacted]\n"
    assert "s3cret" not in combined + ecs + own


def test_a_copy_that_cannot_be_written_is_told_with_its_place(tmp_path: Path) -> None:
    text = configuration(
        "http://127.0.0.1:1", log={"copies": [{"path": f"{tmp_path}/no/a.log", "format": "ecs"}]}
    )

    async def start() -> None:
        async with running(text):
            pass

    with pytest.raises(
        ConfigurationError, match=r"log\.copies\[0\]\.path: the request log .*/no/a\.log cannot be written"
    ):
        asyncio.run(start())
