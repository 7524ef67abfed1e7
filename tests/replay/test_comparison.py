"""Answers held against each other."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.json_path import parse_path
from gateway.replay.comparison import MOST, Answer, differences


def _answer(body: Any = None, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers, None if body is None else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (_answer({"a": 1}), _answer({"a": 1}), []),
        (_answer(status=200), _answer(status=404), [("status", "200", "404")]),
        (_answer(date="1", via="a"), _answer(date="2", via="b"), []),
        (_answer(server="a"), _answer(etag="b"), [("etag", "", "b"), ("server", "a", "")]),
        (
            _answer({"a": 1, "b": 2}),
            _answer({"b": 3, "c": 4}),
            [("$.a", "1", "none"), ("$.b", "2", "3"), ("$.c", "none", "4")],
        ),
        (_answer([1, {"x": True}]), _answer([1, {"x": 1}]), [("$[1].x", "true", "1")]),
        (_answer([1]), _answer([1, 2]), [("$", "[1]", "[1, 2]")]),
        (Answer(200, {}, b"a"), Answer(200, {}, b"bc"), [("body", "1 bytes", "2 other bytes")]),
        (Answer(200, None, None), _answer({"a": 1}, server="x"), []),
    ],
)
def test_what_is_other(before: Answer, after: Answer, found: list[tuple[str, str, str]]) -> None:
    assert [tuple(difference) for difference in differences(before, after)] == found


def test_json_is_compared_by_what_it_says() -> None:
    assert differences(Answer(200, {}, b'{"a": 1, "b": 2}'), Answer(200, {}, b'{"b":2,"a":1}')) == []


def test_what_may_differ_does_not_count() -> None:
    before = _answer({"servers": [{"id": 1, "updated": "x"}], "links": 1})
    after = _answer({"servers": [{"id": 1, "updated": "y"}], "links": 2})
    paths = [parse_path("$.servers[*].updated"), parse_path("$..links")]
    assert differences(before, after, paths=paths) == []


def test_differences_are_bounded() -> None:
    before, after = _answer(list(range(100))), _answer(list(range(1, 101)))
    assert len(differences(before, after)) == MOST


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON, _JSON)
def test_there_is_a_difference_where_there_is_one(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (differences(_answer([one]), _answer([other])) == []) == same
