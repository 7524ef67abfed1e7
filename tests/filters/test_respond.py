"""Answers without an upstream."""

from typing import Any

import pytest
from pydantic import ValidationError

from filters.respond import Respond
from gateway.api import Response
from gateway.api.testing import build, exchange, judge
from tests.trial.tried import given as request
from tests.trial.tried import outcome


def answer(options: dict[str, Any], headers: list[tuple[str, str]] | None = None) -> Response:
    verdict = judge(build(Respond, options), exchange(headers=headers or []))
    assert isinstance(verdict, Response)
    return verdict


def test_without_options_it_is_an_empty_200() -> None:
    response = answer({}, [("A", "b")])
    assert (response.status, list(response.headers), response.body.complete) == (200, [], b"")
    assert (response.reason, response.rule) == ("answered", ("status",))


def test_answers_as_it_is_told() -> None:
    response = answer({"status": 418, "headers": {"X-Kind": "tea"}, "body": "é"})
    assert response.status == 418
    assert list(response.headers) == [(b"X-Kind", b"tea"), (b"Content-Type", b"text/plain; charset=utf-8")]
    assert response.body.complete == "é".encode()


def test_echoes_the_fields_that_are_named_and_no_credentials() -> None:
    headers = [
        *(("x-a", "1"), ("X-A", "2"), ("X-B", "3"), ("Authorization", "s"), ("X-Auth-Token", "t")),
        *(
            ("Cookie", "c"),
            ("Content-Length", "0"),
            ("Content-Type", "a/b"),
            ("Host", "h"),
            ("Connection", "close"),
        ),
    ]
    assert list(answer({"echo": ["X-A", "Authorization"]}, headers).headers) == [
        (b"x-a", b"1"),
        (b"X-A", b"2"),
    ]
    assert list(answer({"echo": ["*"]}, headers).headers) == [(b"x-a", b"1"), (b"X-A", b"2"), (b"X-B", b"3")]
    given = answer({"echo": ["*"], "headers": {"X-A": "ours"}}, headers)
    assert list(given.headers) == [(b"X-A", b"ours"), (b"X-B", b"3")]


@pytest.mark.parametrize(
    "options",
    [
        {"status": 199},
        {"status": 600},
        {"headers": {"Host": "a"}},
        {"headers": {"A": "b\n"}},
        {"content_type": "x"},
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        build(Respond, options)


async def test_the_upstream_is_not_asked_where_the_condition_holds() -> None:
    filters = [{"respond": {"when": {"path": "/mock"}, "body": "mine"}}]
    found = await outcome(request(target="/mock"), filters=filters)
    assert (found.status, found.forwarded, found.filter) == (200, None, "respond")
    assert found.answer is not None
    assert found.answer.body == b"mine"
    assert (await outcome(request(target="/other"), filters=filters)).forwarded is not None
