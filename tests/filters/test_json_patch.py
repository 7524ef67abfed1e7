"""JSON in bodies patched, both ways."""

import gzip
import json
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from filters.json_patch import JSONPatch
from gateway.api import Body, Exchange, Fault, Response, Verdict
from gateway.api.testing import StreamBody, build, exchange, judge, judge_response
from gateway.trial.given import Answer
from tests.trial.tried import given as request
from tests.trial.tried import outcome

zipped = partial(gzip.compress, mtime=0)  # names of tests are to be the same each time

DROP = [{"op": "remove", "path": "/secret"}]
JSON = "application/json; charset=utf-8"


def sent(
    body: Body | bytes, operations: Any = DROP, kind: str = JSON, **options: Any
) -> tuple[Exchange, Verdict]:
    made = exchange("POST", headers={"Content-Type": kind, "Digest": "x"}, body=body)
    return made, judge(build(JSONPatch, {"request": operations, **options}), made)


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_patched_for_all_that_follows(stream: bool) -> None:
    raw = b'{"b": 12345678901234567890123, "secret": 1, "a": "\xc3\xa9", "c": 1.50}'
    made, verdict = sent(StreamBody([raw[:9], raw[9:]]) if stream else raw)
    assert verdict is None
    after = b'{"b":12345678901234567890123,"a":"\xc3\xa9","c":1.5}'
    assert (made.request.body.complete, made.request.body.length) == (after, len(after))
    assert [name for name, _ in made.request.headers] == [b"Content-Type"]


@pytest.mark.parametrize("kind", ["text/plain", "application/jsonp", "", "application/json, text/plain"])
def test_what_says_that_it_is_something_else_is_not_read(kind: str) -> None:
    body = StreamBody([b'{"secret": 1}'])
    assert sent(body, kind=kind)[1] is None
    assert body.complete is None


def test_kinds_of_json_are_json() -> None:
    made, _ = sent(b'{"secret": 1}', kind="application/vnd.openstack.compute+json")
    assert made.request.body.complete == b"{}"


def test_an_empty_body_is_left_alone() -> None:
    made, verdict = sent(b"")
    assert verdict is None
    assert made.request.body.complete == b""


@pytest.mark.parametrize(
    ("body", "status", "reason", "rule"),
    [
        (b'{"a": 1}', 400, "patch_failed", ("request", 0)),
        (b"[1]", 400, "patch_failed", ("request", 0)),
        (b"{", 400, "json_invalid", ("request",)),
        (b'{"secret": NaN}', 400, "json_invalid", ("request",)),
        (b'{"a": 1e999, "secret": 1}', 400, "json_invalid", ("request",)),
        (b'{"secret": "\\ud800", "a": "\\ud800"}', 400, "json_invalid", ("request",)),
        (b"\xff", 400, "json_invalid", ("request",)),
        (b"[" * 100_000, 400, "json_invalid", ("request",)),
        (b"1" * 10_000, 400, "json_invalid", ("request",)),
        (b"x" * ((1 << 20) + 1), 413, "body_too_large", ("max_size",)),
    ],
)
def test_what_cannot_be_patched_is_refused(
    body: bytes, status: int, reason: str, rule: tuple[str | int, ...]
) -> None:
    for form in (body, StreamBody([body])):
        _, verdict = sent(form)
        assert isinstance(verdict, Fault)
        assert (verdict.status, verdict.reason, verdict.rule) == (status, reason, rule)


def answered(
    body: Body | bytes, headers: dict[str, str] | None = None, status: int = 200, method: str = "GET"
) -> tuple[Exchange, Verdict]:
    lines = {"Content-Type": JSON, "ETag": '"1"', **(headers or {})}
    made = exchange(method, response=Response(status, list(lines.items()), body))
    return made, judge_response(build(JSONPatch, {"response": DROP, "max_size": 100}), made)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("coding", ["gzip", None])
def test_an_answer_is_patched_also_where_it_was_coded(stream: bool, coding: str | None) -> None:
    raw = b'{"secret": 1, "a": 2}'
    data = zipped(raw) if coding else raw
    made, verdict = answered(
        StreamBody([data[:5], data[5:]]) if stream else data, {"Content-Encoding": coding} if coding else {}
    )
    assert verdict is None
    assert made.response is not None
    assert made.response.body.complete == b'{"a":2}'
    assert not made.response.headers.has("content-encoding")
    assert made.response.headers.get("etag") == 'W/"1"'


@pytest.mark.parametrize(
    ("body", "headers", "rule"),
    [
        (b'{"a": 1}', {}, ("response", 0)),
        (b"secret", {}, ("response",)),
        (b"x" * 101, {}, ("max_size",)),
        (zipped(b'{"secret": "%b"}' % (b"x" * 1000)), {"Content-Encoding": "gzip"}, ("max_size",)),
        (b'{"secret": 1}', {"Content-Encoding": "br"}, ("response",)),
        (b'{"secret": 1}', {"Content-Encoding": "gzip"}, ("response",)),
    ],
)
def test_an_answer_that_cannot_be_patched_is_not_sent(
    body: bytes, headers: dict[str, str], rule: tuple[str | int, ...]
) -> None:
    for form in (body, StreamBody([body])):
        _, verdict = answered(form, headers)
        assert isinstance(verdict, Fault)
        assert (verdict.status, verdict.reason, verdict.rule) == (502, "patch_failed", rule)
        assert "secret" not in f"{verdict.message} {verdict.details}"


@pytest.mark.parametrize(
    ("body", "headers", "method"),
    [(b"", {}, "GET"), (b"", {}, "HEAD"), (b"plain", {"Content-Type": "text/plain"}, "GET")],
)
def test_answers_without_json_are_left_alone(body: bytes, headers: dict[str, str], method: str) -> None:
    made, verdict = answered(body, headers, method=method)
    assert verdict is None
    assert made.response is not None
    assert made.response.body.complete == body
    assert made.response.headers.get("etag") == '"1"'


def test_only_good_answers_are_looked_at() -> None:
    both = build(JSONPatch, {"response": DROP})
    assert both.statuses == frozenset(range(200, 300))
    assert build(JSONPatch, {"request": DROP}).statuses == frozenset()


@pytest.mark.parametrize(
    ("accept", "after"),
    [
        ("gzip, br", "gzip"),
        ("br", "identity"),
        ("gzip;q=0", "identity"),
        ("*", "identity"),
        (None, "identity"),
    ],
)
def test_the_upstream_is_asked_for_what_can_be_read(accept: str | None, after: str) -> None:
    made = exchange(headers={} if accept is None else {"Accept-Encoding": accept})
    assert judge(build(JSONPatch, {"response": DROP}), made) is None
    assert made.request.headers.all("accept-encoding") == [after]


def test_it_has_something_to_do() -> None:
    with pytest.raises(ValidationError):
        build(JSONPatch, {})


async def test_both_ways_through_a_gateway() -> None:
    add = [{"op": "add", "path": "/via", "value": {"gateway": ["weir"]}}]
    answer = Answer(200, (("Content-Type", "application/json"),), b'{"id": 1}')
    found = await outcome(
        request("POST", headers=(("Content-Type", "application/json"),), body=b"{}", answer=answer),
        filters=[{"json_patch": {"request": add, "response": add}}, {"json_body": {}}],
    )
    assert found.forwarded is not None
    assert json.loads(found.forwarded.body) == {"via": {"gateway": ["weir"]}}
    assert dict(found.forwarded.headers)["Content-Length"] == str(len(found.forwarded.body))
    assert found.answer is not None
    assert json.loads(found.answer.body) == {"id": 1, "via": {"gateway": ["weir"]}}
    assert dict(found.answer.headers)["Content-Length"] == str(len(found.answer.body))
