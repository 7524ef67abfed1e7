"""Bodies by status and media type."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from filters.messages import Messages
from gateway.api import Body, Response
from gateway.api.testing import StreamBody, build, exchange, judge_response
from gateway.trial.given import Answer
from tests.trial.tried import given as request
from tests.trial.tried import outcome

BOTH = {"application/json": '{"s": %{status}}', "text/plain; charset=utf-8": "%{status} %{phrase}"}


def answered(
    messages: list[dict[str, Any]],
    status: int = 503,
    body: Body | bytes = b"",
    headers: dict[str, str] | None = None,
    accept: str | None = None,
    phrase: bytes = b"",
) -> Response:
    made = exchange(
        headers={} if accept is None else {"Accept": accept},
        response=Response(status, list((headers or {}).items()), body, phrase=phrase),
    )
    filter = build(Messages, {"messages": messages})
    if filter.statuses is None or status in filter.statuses:
        assert judge_response(filter, made) is None
    assert made.response is not None
    return made.response


def text_of(response: Response) -> str:
    body = response.body
    if isinstance(body, StreamBody):
        return body.pump().decode()
    data = body.complete or b""
    return ((body.through(data) if data else b"") + body.through(b"")).decode()


@pytest.mark.parametrize(
    ("accept", "kind", "text"),
    [
        (None, "application/json", '{"s": 503}'),
        ("*/*", "application/json", '{"s": 503}'),
        ("text/plain", "text/plain; charset=utf-8", "503 Service Unavailable"),
        ("text/*, application/json;q=0.5", "text/plain; charset=utf-8", "503 Service Unavailable"),
        ("image/png", "application/json", '{"s": 503}'),
        ("application/json;q=0, */*", "text/plain; charset=utf-8", "503 Service Unavailable"),
    ],
)
def test_an_empty_body_is_filled_by_the_type_that_is_liked_best(
    accept: str | None, kind: str, text: str
) -> None:
    response = answered([{"status": [503], "bodies": BOTH}], accept=accept)
    assert response.headers.get("content-type") == kind
    assert response.headers.all("vary") == ["Accept"]
    assert text_of(response) == text


def test_a_body_that_is_there_stays_unless_it_is_overwritten() -> None:
    message = {"status": ["500-599"], "bodies": {"text/plain": "ours"}}
    headers = {"Content-Type": "text/html", "ETag": '"1"', "Content-Encoding": "gzip", "Content-Length": "6"}
    for body in (b"theirs", StreamBody([b"the", b"irs"])):
        kept = answered([message], body=body, headers=headers)
        assert (text_of(kept), kept.headers.get("content-type")) == ("theirs", "text/html")
        replaced = answered([{**message, "overwrite": True}], body=body, headers=headers)
        assert text_of(replaced) == "ours"
        assert list(replaced.headers) == [(b"Content-Type", b"text/plain")]


def test_the_first_message_with_the_status_counts() -> None:
    messages: list[dict[str, Any]] = [
        {"status": [404, "500-502"], "bodies": {"text/plain": "first"}},
        {"status": ["500-599"], "bodies": {"text/plain": "second"}},
    ]
    assert [text_of(answered(messages, status)) for status in (404, 502, 503, 400)] == [
        *("first", "first", "second", ""),
    ]


def test_only_its_statuses_are_looked_at() -> None:
    messages = build(Messages, {"messages": [{"status": ["203-205", 304], "bodies": {"text/plain": "x"}}]})
    assert messages.statuses == frozenset({203})


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("application/json", 'a \\"b\\" <c>&'),
        ("application/problem+json", 'a \\"b\\" <c>&'),
        ("application/xml", "a &quot;b&quot; &lt;c&gt;&amp;"),
        ("text/html", "a &quot;b&quot; &lt;c&gt;&amp;"),
        ("text/plain", 'a "b" <c>&'),
    ],
)
def test_values_are_escaped_as_the_type_asks_for(kind: str, text: str) -> None:
    message = {"status": [503], "bodies": {kind: "%{phrase}"}}
    assert text_of(answered([message], phrase=b'a "b" <c>&')) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("60", "60 2023-11-14T22:14:20Z"),
        ("Tue, 14 Nov 2023 22:14:20 GMT", "60 2023-11-14T22:14:20Z"),
        ("soon", " "),
        ("99999999999999999", " "),
        (None, " "),
    ],
)
def test_says_when_to_try_again(value: str | None, text: str) -> None:
    message = {"status": [413], "bodies": {"text/plain": "%{retry_after} %{retry_at}"}}
    headers = {} if value is None else {"Retry-After": value}
    assert text_of(answered([message], 413, headers=headers)) == text


@pytest.mark.parametrize(
    "message",
    [
        {"status": [], "bodies": BOTH},
        {"status": [99], "bodies": BOTH},
        {"status": ["5xx"], "bodies": BOTH},
        {"status": ["503-500"], "bodies": BOTH},
        {"status": [503], "bodies": {}},
        {"status": [503], "bodies": {"text/*": "x"}},
        {"status": [503], "bodies": {"text/plain": "%{token}"}},
        {"status": [True], "bodies": BOTH},
    ],
)
def test_options_that_do_not_fit_are_refused(message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build(Messages, {"messages": [message]})


async def test_answers_of_the_gateway_itself_too() -> None:
    body = '{"error": {"code": %{status}, "id": "%{request_id}"}}'
    message = {"status": [405, 502], "bodies": {"application/json": body}, "overwrite": True}
    filters = [{"messages": {"messages": [message]}}, {"methods": {"allow": ["GET"]}}]
    found = await outcome(request("POST"), filters=filters)
    assert found.answer is not None
    said = json.loads(found.answer.body)["error"]
    assert (found.status, said["code"], said["id"]) == (405, 405, found.record["gateway.request_id"])
    assert dict(found.answer.headers)["Content-Length"] == str(len(found.answer.body))
    theirs = Answer(502, (("Content-Type", "text/html"),), b"<html>")
    found = await outcome(request(answer=theirs), filters=filters)
    assert found.answer is not None
    assert json.loads(found.answer.body)["error"]["code"] == 502
