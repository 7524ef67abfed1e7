"""Beginnings of bodies: what is kept, what is told of them, and what is not."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.json_path import parse_path
from gateway.excerpt import Bodies, Excerpt, tell
from gateway.http.fields import Fields


def excerpt(
    data: bytes, limit: int = 4096, *paths: str, kind: str = "application/json", coding: str = ""
) -> Excerpt:
    lines = [(b"Content-Type", kind.encode())]
    if coding:
        lines.append((b"Content-Encoding", coding.encode()))
    bodies = Bodies(limit, limit, [kind], [parse_path(path) for path in paths])
    made = bodies.of_request(Fields(lines))
    assert made is not None
    for start in range(0, len(data), 7):
        assert made(data[start : start + 7]) == data[start : start + 7]
    assert made(b"") == b""
    return made


def told(made: Excerpt, *secrets: str) -> dict[str, Any]:
    return dict(tell({"request": made}, secrets).fields)


def test_keeps_the_first_bytes_and_says_that_there_are_more() -> None:
    made = excerpt(b"0123456789" * 3, 12, kind="text/plain")
    assert (made.data, made.size, made.truncated) == (b"012345678901", 30, True)
    assert told(made) == {
        "gateway.bodies": True,
        "gateway.request.body": "012345678901",
        "gateway.request.body_truncated": True,
    }


def test_what_paths_lead_to_and_what_is_named_as_a_secret_is_left_out() -> None:
    body = {
        "server": {"adminPass": "pass-word-1", "name": "a", "owner": {"mail": "a@example.org"}},
        "n": [1, 2.5, None],
    }
    made = excerpt(json.dumps(body).encode(), 4096, "$.server.owner", "$.n[0]")
    fields = told(made)
    assert json.loads(fields["gateway.request.body"]) == {
        "server": {"adminPass": "[redacted]", "name": "a", "owner": "[redacted]"},
        "n": ["[redacted]", 2.5, None],
    }
    assert sorted(tell({"request": made}, ()).values) == [b"a@example.org", b"pass-word-1"]


def test_what_one_body_has_as_a_secret_is_left_out_of_the_other() -> None:
    request = excerpt(b'{"password": "correct horse"}')
    response = excerpt(b'{"echo": "it was \\"correct horse\\"", "correct horse": 1}')
    fields = tell({"request": request, "response": response}, ["a-token-of-the-request"]).fields
    assert "correct" not in str(fields)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (excerpt(b'{"a": 1'), "not_json"),
        (excerpt(b'{"a": 1}', 4), "truncated"),
        (excerpt(b"\x1f\x8b", coding="gzip"), "encoded"),
        (excerpt(b"[" * 100 + b"]" * 100), "too_deep"),
        (excerpt(b"a=b", 4096, "$.a", kind="text/plain"), "not_json"),
        (excerpt(b'{"a": "\\ud800"}'), "not_json"),
    ],
)
def test_what_cannot_be_read_is_not_told(made: Excerpt, why: str) -> None:
    fields = told(made)
    assert fields["gateway.request.body_omitted"] == why
    assert "gateway.request.body" not in fields


def test_a_form_is_told_without_its_secrets() -> None:
    made = excerpt(b"user=a&password=b+c", kind="application/x-www-form-urlencoded")
    assert told(made)["gateway.request.body"] == "user=a&password=[redacted]"


def test_only_bodies_of_the_types_that_are_asked_for_are_kept() -> None:
    bodies = Bodies(10, 0, ["text/*", "application/json"], [])
    for kind, kept in (
        ("text/html; charset=utf-8", True),
        ("application/json", True),
        ("image/png", False),
        ("", False),
    ):
        assert (bodies.of_request(Fields([(b"Content-Type", kind.encode())])) is not None) is kept
    assert bodies.of_response(Fields([(b"Content-Type", b"text/html")])) is None
    assert bodies.of_request(Fields()) is None


def test_an_empty_body_is_nothing_to_tell() -> None:
    assert told(excerpt(b"")) == {}
    assert tell({"request": None, "response": None}, ()).fields == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(document=JSON, secret=st.text(st.characters(codec="utf-8"), min_size=5, max_size=20), inside=JSON)
def test_no_text_that_is_left_out_is_anywhere_in_what_is_told(
    document: Any, secret: str, inside: Any
) -> None:
    secret = f"Q!7{secret}"  # of characters that nothing else has
    body = {
        "login": {"password": secret},
        "x": [document, secret, f"a{secret}b"],
        secret: inside,
        "deep": {"p": {"q": secret}},
    }
    made = excerpt(orjson.dumps(body), 1 << 16, "$..q")
    fields = told(made)
    assert "Q!7" not in str(fields)
    json.loads(fields["gateway.request.body"])
