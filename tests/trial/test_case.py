"""What tests of configurations may say."""

import pytest
from pydantic import ValidationError

from gateway.api.principal import Principal
from gateway.trial.case import NOON, Circumstances, Suite, Test, given_of, merged
from gateway.trial.given import Answer, Identity


def _said(**options: object) -> Circumstances:
    return Circumstances.model_validate({"request": "GET /a", **options})


def test_a_request_in_words() -> None:
    given = given_of(
        _said(
            headers={"X-Own": ["1", "2"]},
            body={"a": 1},
            identity={"user": "u"},
            clock="2026-01-31T12:00:00+02:00",
            counters={"few": 3},
            upstream={"status": 201, "body": "text"},
            https=True,
        ),
        2.5,
    )
    assert (given.method, given.target, given.scheme) == ("GET", "/a", "https")
    assert given.headers == (("X-Own", "1"), ("X-Own", "2"), ("Content-Type", "application/json"))
    assert given.body == b'{"a": 1}'
    assert given.identity == Identity(Principal(user_id="u"))
    assert given.wall == 1_769_853_602.5
    assert given.answer == Answer(201, (), b"text")


def test_what_is_not_said_is_plain() -> None:
    given = given_of(_said(), 0)
    assert (given.wall, given.answer, given.identity, given.body) == (NOON, None, None, b"")
    assert given_of(_said(identity="nobody"), 0).identity == Identity(None)
    assert given_of(_said(identity="user=u,roles=a,b"), 0).identity == Identity(
        Principal(user_id="u", roles=("a", "b"))
    )


def test_the_later_word_counts_and_header_fields_and_counters_one_by_one() -> None:
    told = merged(
        _said(headers={"A": "1", "B": "1"}, counters={"x": 1}, identity={"user": "u"}),
        Circumstances.model_validate({"headers": {"B": "2"}, "counters": {"y": 2}, "identity": None}),
    )
    assert (told.headers, told.counters, told.identity) == ({"A": "1", "B": "2"}, {"x": 1, "y": 2}, None)
    assert told.request == "GET /a"


def test_a_request_is_needed() -> None:
    with pytest.raises(ValueError, match="request is missing"):
        given_of(Circumstances(), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"given": {"request": "GET"}}, "expected METHOD TARGET"),
        ({"given": {"identity": {"usr": "a"}}}, "a caller has no 'usr'"),
        ({"given": {"identity": "someone"}}, "expected NAME=VALUE, got 'someone'"),
        ({"given": {"identity": ["u"]}}, "expected a mapping"),
        ({"given": {"clock": "noon"}}, "expected a time"),
        ({}, "expects nothing cannot fail"),
        ({"expect": {}}, "expects nothing cannot fail"),
        ({"steps": [{}]}, "expects nothing cannot fail"),
        ({"steps": [{"expect": {"status": 200}}], "expect": {"status": 200}}, "stands in the steps"),
    ],
)
def test_what_a_test_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Test.model_validate({"name": "a", **options})


def test_names_of_tests_are_their_own() -> None:
    test = {"name": "a", "expect": {"status": 200}}
    with pytest.raises(ValidationError, match="two tests are named 'a'"):
        Suite.model_validate({"tests": [test, test]})
