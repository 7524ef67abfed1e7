"""A record by the names of the Elastic Common Schema, version 8: one JSON object a line.

What that schema has no name for is under `gateway`, as in the record; what filters have to say in detail is not told.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = "8.17.0"

_NAMES: Final[Mapping[str, str]] = {
    "timestamp": "@timestamp",
    "client.address": "client.address",
    "error.type": "error.type",
    "gateway.decision": "event.action",
    "gateway.reason": "event.reason",
    "gateway.request_id": "http.request.id",
    "gateway.sequence": "event.sequence",
    "http.request.body.size": "http.request.body.bytes",
    "http.response.body.size": "http.response.body.bytes",
    "http.response.status_code": "http.response.status_code",
    "network.peer.address": "source.address",
    "network.peer.port": "source.port",
    "network.protocol.name": "network.protocol",
    "network.protocol.version": "http.version",
    "server.address": "url.domain",
    "server.port": "url.port",
    "span_id": "span.id",
    "tls.client.hash.sha256": "tls.client.hash.sha256",
    "tls.client.subject": "tls.client.subject",
    "tls.protocol.version": "tls.version",
    "trace_id": "trace.id",
    "url.path": "url.path",
    "url.query": "url.query",
    "url.scheme": "url.scheme",
    "user.id": "user.id",
    "user.name": "user.name",
    "user.roles": "user.roles",
    "user_agent.original": "user_agent.original",
}
_DETAILS: Final = frozenset({"gateway.facts", "gateway.filters", "gateway.upstream.attempts"})
_FAILED: Final = 400
"""From this status on the outcome is a failure."""


def document(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The record with these fields, by ECS."""
    told: dict[str, Any] = {}
    for key, value in fields.items():
        name = _NAMES.get(key)
        if name is not None:
            told[name] = value
        elif key.startswith("gateway.") and key not in _DETAILS:
            told[key] = value
    method = fields.get("http.request.method_original") or fields.get("http.request.method")
    status = fields.get("http.response.status_code")
    facts = fields.get("gateway.facts")
    headers = facts.get("headers", {}) if isinstance(facts, dict) else {}
    told["http.request.method"] = method
    told["ecs.version"] = VERSION
    told["event.kind"] = "event"
    told["event.category"] = ["web"]
    told["event.type"] = ["access", "denied" if fields.get("gateway.decision") == "refuse" else "allowed"]
    told["event.dataset"] = "weir.request"
    told["event.outcome"] = "success" if isinstance(status, int) and status < _FAILED else "failure"
    told["event.duration"] = round(float(fields.get("gateway.duration_ms") or 0) * 1_000_000)
    told["service.type"] = "weir"
    told["message"] = f"{method} {fields.get('url.path')} {status if status is not None else '-'}"
    for name in ("client", "source"):
        address = told.get(f"{name}.address")
        if _is_ip(address):
            told[f"{name}.ip"] = address
    if "tls.version" in told:
        told["tls.version_protocol"] = "tls"
    if isinstance(facts, dict) and "target" in facts:
        told["url.original"] = facts["target"]
    if isinstance(facts, dict) and "content_type" in facts:
        told["http.request.mime_type"] = facts["content_type"]
    if isinstance(headers.get("referer"), str):
        told["http.request.referrer"] = headers["referer"]
    return told


def _is_ip(text: object) -> bool:
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return True
