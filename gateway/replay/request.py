"""From a record to a request that can be sent again."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods by which nothing is changed (RFC 9110 section 9.2.1)."""
_OURS: Final = frozenset(
    ("host", "content-length", "connection", "transfer-encoding", "expect", "te", "upgrade")
)
"""Header fields that belong to a connection, or that the client who sends again makes anew."""


class Request(NamedTuple):
    """A request as it was recorded.

    at       seconds since the epoch
    headers  those that the record holds; none that is secret
    project, user  ids, by which a token is chosen; empty where they are not known
    status   of the answer then; 0 where there was none
    answer   its body, where the record holds all of it
    """

    request_id: str
    at: float
    method: str
    target: str
    host: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    project: str
    user: str
    status: int
    answer: bytes | None


class Unsendable(Exception):  # noqa: N818 - it says what keeps a request from being sent
    """Why a recorded request cannot be sent again."""


def request_of(fields: Mapping[str, Any], *, unsafe: bool) -> Request:
    """The request of a record; `unsafe` allows methods that change something. Raises Unsendable."""
    facts = fields.get("gateway.facts")
    if not isinstance(facts, Mapping):
        raise Unsendable("its facts are not recorded")
    method = str(facts.get("method", ""))
    if method not in SAFE and not unsafe:
        raise Unsendable("its method may change something")
    if facts.get("redacted"):
        raise Unsendable("a part of its target is not recorded")
    target = facts.get("target")
    if not isinstance(target, str) or not target.startswith("/"):
        raise Unsendable("its target is no path")
    body = b""
    if fields.get("http.request.body.size") or facts.get("content_length"):
        told = fields.get("gateway.request.body")
        if not isinstance(told, str) or fields.get("gateway.request.body_truncated"):
            raise Unsendable("its body is not recorded")
        body = told.encode("utf-8", "surrogateescape")
    answer = fields.get("gateway.response.body")
    whole = isinstance(answer, str) and not fields.get("gateway.response.body_truncated")
    status = fields.get("http.response.status_code")
    clock = facts.get("clock")
    return Request(
        request_id=str(fields.get("gateway.request_id", "")),
        at=float(clock) if isinstance(clock, (int, float)) else 0.0,
        method=method,
        target=target,
        host=str(facts.get("host", "")),
        headers=_headers(facts),
        body=body,
        project=str(fields.get("gateway.project.id", "")),
        user=str(fields.get("user.id", "")),
        status=status if isinstance(status, int) else 0,
        answer=str(answer).encode("utf-8", "surrogateescape") if whole else None,
    )


def _headers(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    told = facts.get("headers")
    lines: list[tuple[str, str]] = []
    for name, values in told.items() if isinstance(told, Mapping) else ():
        if name not in _OURS:
            told_values = values if isinstance(values, list) else (values,)
            # Of a secret there is only a hash.
            lines += [(name, value) for value in told_values if isinstance(value, str)]
    content_type = facts.get("content_type")
    if isinstance(content_type, str) and not any(name == "content-type" for name, _ in lines):
        lines.append(("content-type", content_type))
    return tuple(lines)
