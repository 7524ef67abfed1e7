"""What is other than expected."""

from typing import Any

import pytest

from gateway.trial.case import Expected
from gateway.trial.expectation import fits, mismatches
from gateway.trial.given import Answer
from tests.trial.test_trial import KEYSTONE
from tests.trial.tried import given, outcome

REQUEST = given(
    "POST",
    body=b'{"metadata": {"a": "b", "n": 1}}',
    answer=Answer(
        201, (("X-One", "1"), ("X-Two", "a"), ("X-Two", "b")), b'{"id": "i-7", "list": [1, {"x": true}]}'
    ),
)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"status": 201, "decision": "forward", "reason": "passed", "route": "any", "filter": None}, []),
        ({"status": 200, "route": "other"}, ["status", "route"]),
        ({"headers": {"x-one": "1", "X-Two": ["a", "b"], "X-Three": None}}, []),
        (
            {"headers": {"X-One": None, "X-Two": "a", "X-Three": "c"}},
            ["headers.X-One", "headers.X-Two", "headers.X-Three"],
        ),
        ({"headers": {"X-One": "/[0-9]/"}}, []),
        ({"body": {"id": "/i-.*/"}}, []),
        ({"body": {"id": "i-7", "list": [1, {"x": True}]}}, []),
        ({"body": {"id": "i-8", "more": 1}}, ["body.id", "body.more"]),
        ({"body": {"list": [1]}}, ["body.list"]),
        ({"body": {"list": [1, {"x": 1}]}}, ["body.list[1].x"]),
        ({"body": "text"}, ["body"]),
        ({"body": None}, ["body"]),
        ({"forwarded": False}, ["forwarded"]),
        ({"forwarded": {"request": "POST /a", "body": {"metadata": {"a": "b"}}}}, []),
        (
            {"forwarded": {"request": "GET /a", "headers": {"X-Own": "1"}}},
            ["forwarded.request", "forwarded.headers.X-Own"],
        ),
    ],
)
async def test_mismatches(expected: dict[str, Any], found: list[str]) -> None:
    told = mismatches(Expected.model_validate(expected), await outcome(REQUEST))
    assert [mismatch.what for mismatch in told] == found


async def test_the_rule_that_decided() -> None:
    refused = await outcome(given("POST", body=b"12345"), filters=[{"body_size": {"max": 4}}])
    assert mismatches(Expected(rule="max", filter="body_size"), refused) == []
    assert [one.got for one in mismatches(Expected(rule="min"), refused)] == ["max"]


async def test_a_request_that_was_not_forwarded() -> None:
    refused = await outcome(given("DELETE"), filters=[{"methods": {"allow": ["GET"]}}])
    assert mismatches(Expected.model_validate({"forwarded": False}), refused) == []
    (told,) = mismatches(Expected.model_validate({"forwarded": {"request": "DELETE /a"}}), refused)
    assert told.got == "nothing: refuse method_not_allowed"


async def test_why_nothing_is_known_is_said_first() -> None:
    undecided = await outcome(given(headers=(("X-Auth-Token", "t"),)), filters=[KEYSTONE])
    first, *rest = mismatches(Expected(status=200), undecided)
    assert first.got.startswith("undecidable: token_auth asks the network") and [
        one.what for one in rest
    ] == ["status"]
    assert mismatches(Expected(decision="undecidable"), undecided) == []


async def test_an_answer_that_nobody_knows() -> None:
    (told,) = mismatches(Expected(headers={"A": "b"}), await outcome(given(answer=None)))
    assert "given.upstream" in told.got


def test_a_pattern_stands_between_slashes_and_has_to_fit_all_of_it() -> None:
    assert fits("/a+/", "aaa") and not fits("/a+/", "aab")
    assert fits("/", "/") and fits("a/b", "a/b")
