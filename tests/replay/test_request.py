"""Requests out of records."""

from typing import Any

import pytest

from gateway.replay.request import Unsendable, request_of

FIELDS: dict[str, Any] = {
    "gateway.request_id": "req-1",
    "gateway.project.id": "p",
    "user.id": "u",
    "http.response.status_code": 200,
    "http.request.body.size": 5,
    "gateway.request.body": "hello",
    "gateway.response.body": "{}",
    "gateway.facts": {
        "method": "GET",
        "target": "/a?b=1",
        "host": "api.test",
        "clock": 9.5,
        "headers": {"accept": ["a", "b"], "x-auth-token": {"hash": "h"}, "content-length": "5"},
        "content_type": "text/plain",
    },
}


def _with(facts: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    made = {**FIELDS, **{name.replace("__", "."): value for name, value in fields.items()}}
    return {**made, "gateway.facts": {**FIELDS["gateway.facts"], **(facts or {})}}


def test_what_is_recorded_is_sent_and_no_secret() -> None:
    request = request_of(FIELDS, unsafe=False)
    assert request.headers == (("accept", "a"), ("accept", "b"), ("content-type", "text/plain"))
    assert (request.method, request.target, request.host, request.at) == ("GET", "/a?b=1", "api.test", 9.5)
    assert (request.body, request.answer, request.status) == (b"hello", b"{}", 200)
    assert (request.project, request.user) == ("p", "u")


def test_an_answer_that_is_not_whole_is_none() -> None:
    assert request_of(_with(gateway__response__body_truncated=True), unsafe=False).answer is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (_with({"method": "POST"}), "may change something"),
        (_with({"redacted": True}), "target is not recorded"),
        (_with({"target": "*"}), "no path"),
        (_with(gateway__request__body=None), "body is not recorded"),
        (_with(gateway__request__body_truncated=True), "body is not recorded"),
        ({}, "facts are not recorded"),
    ],
)
def test_what_cannot_be_sent(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(Unsendable, match=why):
        request_of(fields, unsafe=False)


def test_what_may_change_something_is_sent_where_that_is_wanted() -> None:
    assert request_of(_with({"method": "POST"}), unsafe=True).method == "POST"
