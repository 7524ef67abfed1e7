"""Records by the names of the Elastic Common Schema."""

from typing import Any

import orjson

from gateway.ecs import document
from gateway.record import Record
from gateway.serializer import Serializer
from tests.support.records import ALICE, Facts, attempt, record, refused


def told(made: Record) -> dict[str, Any]:
    return document(orjson.loads(Serializer(b"k" * 32, 0).line(made, 7)))


def test_a_forwarded_exchange() -> None:
    made = told(
        record(
            plan=Facts((b"referer",)),
            principal=ALICE,
            target=b"/v2/p-1/images?a=b",
            attempts=[attempt()],
            request_lines=(
                (b"User-Agent", b"test/1"),
                (b"Referer", b"http://r.test/"),
                (b"Content-Type", b"text/plain"),
            ),
        )
    )
    expected = {
        "@timestamp": "2023-11-14T22:13:20.250Z",
        "ecs.version": "8.17.0",
        "event.kind": "event",
        "event.category": ["web"],
        "event.type": ["access", "allowed"],
        "event.action": "forward",
        "event.reason": "passed",
        "event.outcome": "success",
        "event.duration": 12_500_000,
        "event.sequence": 7,
        "http.request.id": "req-70a599e0-31e7-49b7-b260-868f441e862b",
        "http.request.method": "GET",
        "http.request.mime_type": "text/plain",
        "http.request.referrer": "http://r.test/",
        "http.response.status_code": 200,
        "http.response.body.bytes": 870,
        "http.version": "1.1",
        "network.protocol": "http",
        "url.path": "/v2/p-1/images",
        "url.query": "a=b",
        "url.original": "/v2/p-1/images?a=b",
        "url.domain": "api.example",
        "url.port": 8080,
        "client.ip": "198.51.100.9",
        "source.ip": "192.0.2.7",
        "source.port": 54321,
        "user.id": "u-1",
        "user.name": "alice",
        "user.roles": ["member", "reader"],
        "user_agent.original": "test/1",
        "gateway.project.id": "p-1",
        "gateway.route": "images",
        "gateway.upstream.name": "compute",
        "gateway.revision": "abc123",
        "message": "GET /v2/p-1/images 200",
    }
    assert {name: made.get(name) for name in expected} == expected
    assert (
        not {"gateway.filters", "gateway.facts", "gateway.upstream.attempts", "kind", "timestamp"}
        & made.keys()
    )


def test_a_refusal_and_an_exchange_without_an_answer() -> None:
    refusal = told(refused())
    assert (refusal["event.type"], refusal["event.outcome"]) == (["access", "denied"], "failure")
    assert (refusal["gateway.filter"], refusal["error.type"]) == ("methods", "method_not_allowed")
    silent = told(
        record(status=0, decision="abort", reason="client_disconnected", client="unix", peer="unix")
    )
    assert (silent["event.outcome"], silent["message"]) == ("failure", "GET /v2/p-1/images -")
    assert "client.ip" not in silent and silent["client.address"] == "unix"


def test_a_method_of_any_name_is_told_as_it_is() -> None:
    assert told(record(method="BREW"))["http.request.method"] == "BREW"
