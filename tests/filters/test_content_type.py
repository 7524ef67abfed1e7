"""Media types of request bodies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.content_type import ContentType
from gateway.api import Body, Fault
from gateway.api.testing import StreamBody, build, exchange, judge


def passes(allow: list[str], *values: str, body: bytes | Body = b"{}") -> bool:
    headers = [("Content-Type", value) for value in values]
    return judge(build(ContentType, {"allow": allow}), exchange("POST", headers=headers, body=body)) is None


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; profile="a;b"',
    ],
)
def test_an_allowed_type_passes_in_any_case_and_with_parameters(value: str) -> None:
    assert passes(["application/json"], value)


@pytest.mark.parametrize(
    "value",
    [
        "text/plain",
        "application/xml",
        "application/jsonp",
        "xapplication/json",
        "application",
        "",
        "application/json, text/plain",
        "application/json/x",
        "application /json",
        "application/json\x00",
        "*/*",
    ],
)
def test_answers_415_with_the_accepted_types(value: str) -> None:
    guard = build(ContentType, {"allow": ["application/json", "application/vnd.api+json"]})
    verdict = judge(guard, exchange("POST", headers={"Content-Type": value}, body=b"{}"))
    assert verdict == Fault(
        415,
        "content_type_unsupported",
        "Unsupported Content-Type.",
        rule=("allow",),
        headers=(("Accept", "application/json, application/vnd.api+json"),),
        details="Accepted here: application/json, application/vnd.api+json.",
    )


def test_a_range_passes_its_types_only() -> None:
    assert passes(["application/*"], "application/json")
    assert passes(["application/*"], "application/xml; charset=utf-8")
    assert not passes(["application/*"], "text/json")
    assert not passes(["application/*"], "applicationx/json")


def test_a_body_without_a_content_type_matches_nothing() -> None:
    assert not passes(["application/json"])
    assert not passes(["application/*"])
    assert passes(["*/*"])


def test_two_content_types_match_nothing() -> None:
    assert not passes(["application/json"], "application/json", "text/plain")
    assert not passes(["application/json"], "application/json", "application/json")


def test_a_request_without_a_body_is_not_judged() -> None:
    assert passes(["application/json"], "text/plain", body=b"")
    assert passes(["application/json"], body=b"")


def test_a_chunked_body_is_judged_before_it_is_read() -> None:
    assert not passes(["application/json"], "text/plain", body=StreamBody([b"never read"]))


@given(st.sampled_from(["application", "text", "x-y"]), st.sampled_from(["json", "xml", "vnd.a+json"]))
def test_a_type_passes_if_it_or_its_range_is_allowed(main: str, sub: str) -> None:
    allow = ["application/*", "text/xml"]
    assert passes(allow, f"{main}/{sub}") is (main == "application" or (main, sub) == ("text", "xml"))


@pytest.mark.parametrize(
    "allow",
    [
        [],
        "application/json",
        ["json"],
        ["application/json; charset=utf-8"],
        ["*/json"],
        ["app*/json"],
        ["application/*+json"],
        ["application/json\n"],
        [""],
    ],
)
def test_refuses_what_is_no_media_type(allow: object) -> None:
    with pytest.raises(ValidationError):
        build(ContentType, {"allow": allow})


@pytest.mark.parametrize(
    ("options", "body", "kept"),
    [
        ({"strip_without_body": True}, b"", False),
        ({"strip_without_body": True}, b"x", True),
        ({"strip_without_body": True}, StreamBody([]), True),
        ({"strip_without_body": True, "allow": ["text/plain"]}, b"", False),
        ({"allow": ["text/plain"]}, b"", True),
    ],
)
def test_a_type_of_no_body_may_be_taken_off(
    options: dict[str, object], body: Body | bytes, kept: bool
) -> None:
    made = exchange("POST", headers={"Content-Type": "application/json", "A": "b"}, body=body)
    assert judge(build(ContentType, options), made) is None
    assert made.request.headers.has("content-type") is kept
    assert made.request.headers.has("a")


def test_it_has_something_to_do() -> None:
    with pytest.raises(ValidationError):
        build(ContentType, {})
