"""JSON Patch: the examples of RFC 6902 appendix A and RFC 6901 section 5, and what holds of every patch."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters._json_patch import Operation, Patch, PatchFailed, parse_pointer


def patched(document: Any, *operations: dict[str, Any]) -> Any:
    return Patch([Operation.model_validate(one) for one in operations]).apply(deepcopy(document))


@pytest.mark.parametrize(
    ("document", "operations", "after"),
    [
        (
            {"foo": "bar"},
            [{"op": "add", "path": "/baz", "value": "qux"}],
            {"baz": "qux", "foo": "bar"},
        ),
        (
            {"foo": ["bar", "baz"]},
            [{"op": "add", "path": "/foo/1", "value": "qux"}],
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        (
            {"foo": ["bar", "qux", "baz"]},
            [{"op": "remove", "path": "/foo/1"}],
            {"foo": ["bar", "baz"]},
        ),
        (
            {"baz": "qux", "foo": "bar"},
            [{"op": "replace", "path": "/baz", "value": "boo"}],
            {"baz": "boo", "foo": "bar"},
        ),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        (
            {"foo": ["all", "grass", "cows", "eat"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
            {"foo": ["all", "cows", "eat", "grass"]},
        ),
        (
            {"baz": "qux", "foo": ["a", 2, "c"]},
            [
                {"op": "test", "path": "/baz", "value": "qux"},
                {"op": "test", "path": "/foo/1", "value": 2},
            ],
            {"baz": "qux", "foo": ["a", 2, "c"]},
        ),
        (
            {"foo": "bar"},
            [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
            {"foo": "bar", "child": {"grandchild": {}}},
        ),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        (
            {"foo": ["bar"]},
            [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
            {"foo": ["bar", ["abc", "def"]]},
        ),
        ({"a": 1}, [{"op": "add", "path": "", "value": [1]}], [1]),
        ({"a": 1}, [{"op": "replace", "path": "", "value": None}], None),
        ({"a": {"b": 1}}, [{"op": "move", "from": "/a/b", "path": ""}], 1),
        ({"a": 1}, [{"op": "move", "from": "/a", "path": "/a"}], {"a": 1}),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ([1, 2], [{"op": "replace", "path": "/1", "value": 3}], [1, 3]),
        ({"": 1}, [{"op": "remove", "path": "/"}], {}),
        ({"a": 1}, [{"op": "add", "path": "/a", "value": 2}], {"a": 2}),
        ({"a": 1.0}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1.0}),
        (
            {"a": {"x": 1, "y": [2]}},
            [{"op": "test", "path": "/a", "value": {"y": [2.0], "x": 1}}],
            {"a": {"x": 1, "y": [2]}},
        ),
    ],
)
def test_applies(document: Any, operations: list[dict[str, Any]], after: Any) -> None:
    assert patched(document, *operations) == after


@pytest.mark.parametrize(
    ("document", "operation"),
    [
        ({"foo": "bar"}, {"op": "add", "path": "/baz/bat", "value": "qux"}),
        ({"baz": "qux"}, {"op": "test", "path": "/baz", "value": "bar"}),
        ({"a": 10}, {"op": "test", "path": "/a", "value": "10"}),
        ({"a": 1}, {"op": "test", "path": "/a", "value": True}),
        ({"a": False}, {"op": "test", "path": "/a", "value": 0}),
        ({"a": [1]}, {"op": "test", "path": "/a", "value": [1, 2]}),
        ({"a": {"b": 1}}, {"op": "test", "path": "/a", "value": {"c": 1}}),
        ({"a": 1}, {"op": "test", "path": "/b", "value": None}),
        ({"a": 1}, {"op": "remove", "path": "/b"}),
        ({"a": 1}, {"op": "replace", "path": "/b", "value": 2}),
        ([1], {"op": "remove", "path": "/1"}),
        ([1], {"op": "remove", "path": "/-"}),
        ([1], {"op": "replace", "path": "/-", "value": 2}),
        ([1], {"op": "add", "path": "/2", "value": 2}),
        ([1], {"op": "add", "path": "/01", "value": 2}),
        ([1], {"op": "add", "path": "/-1", "value": 2}),
        ([1], {"op": "add", "path": "/x", "value": 2}),
        ("x", {"op": "add", "path": "/0", "value": 2}),
        ({"a": 1}, {"op": "move", "from": "/b", "path": "/c"}),
        ({"a": 1}, {"op": "move", "from": "/b", "path": "/b"}),
        ({"a": 1}, {"op": "copy", "from": "/b", "path": "/c"}),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(document: Any, operation: dict[str, Any]) -> None:
    fits = {"op": "test", "path": "", "value": document}
    with pytest.raises(PatchFailed) as failed:
        patched(document, fits, operation)
    assert failed.value.place == 1


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "spam", "path": "/a"},
        {"op": "add", "path": "/a"},
        {"op": "remove", "path": "/a", "value": 1},
        {"op": "remove", "path": "/a", "from": "/b"},
        {"op": "remove", "path": ""},
        {"op": "move", "path": "/a"},
        {"op": "move", "from": "/a", "path": "/a/b"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/~2", "value": 1},
        {"op": "add", "path": "/~", "value": 1},
        {"op": "add", "path": "/a", "value": {1: 2}},
        {"op": "add", "path": "/a", "value": [float("nan")]},
        {"op": "add", "path": "/a", "value": float("inf")},
        {"op": "add", "path": "/a", "value": b"x"},
        {"path": "/a"},
    ],
)
def test_an_operation_that_is_none_is_refused(operation: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Operation.model_validate(operation)


def test_what_was_added_to_one_document_is_not_shared_with_the_next() -> None:
    add = Operation.model_validate({"op": "add", "path": "/a", "value": []})
    push = Operation.model_validate({"op": "add", "path": "/a/-", "value": 1})
    patch = Patch([add, push])
    assert patch.apply({}) == {"a": [1]}
    assert patch.apply({}) == {"a": [1]}


def test_a_copy_does_not_change_with_what_it_was_copied_from() -> None:
    copy = {"op": "copy", "from": "/a", "path": "/b"}
    assert patched({"a": [1]}, copy, {"op": "remove", "path": "/a/0"}) == {"a": [], "b": [1]}


def test_pointers() -> None:
    assert parse_pointer("") == ()
    assert parse_pointer("/") == ("",)
    assert parse_pointer("/a~1b/m~0n/~01") == ("a/b", "m~n", "~1")


trees = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text("ab~/", max_size=3), trees), st.text("ab~/", max_size=3), trees)
def test_what_was_added_is_there_and_its_removal_leaves_what_was(
    document: dict[str, Any], name: str, value: Any
) -> None:
    path = "/" + name.replace("~", "~0").replace("/", "~1")
    after = patched(document, {"op": "add", "path": path, "value": value})
    assert after == {**document, name: value}
    patched(after, {"op": "test", "path": path, "value": json.loads(json.dumps(value))})
    rest = patched(after, {"op": "remove", "path": path})
    assert rest == {key: item for key, item in document.items() if key != name}
