"""What schemas refer to, and how many they are."""

from typing import Any

import pytest

from filters.api.reach import reached, reaching, referred, size


def _ref(key: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{key}"}


SCHEMAS: dict[str, Any] = {
    "a": {"properties": {"b": _ref("b"), "again": {"items": _ref("b")}}},
    "b": {"anyOf": [_ref("c"), {"type": "null"}]},
    "c": {"items": _ref("b")},
    "d": {"not": _ref("a")},
    "e": True,
}


def test_each_that_is_referred_to_is_named_once() -> None:
    assert referred(SCHEMAS["a"], SCHEMAS) == ["b"]
    assert referred({"allOf": [_ref("unknown"), _ref("e")]}, SCHEMAS) == ["e"]


def test_rings_are_followed_once() -> None:
    assert reached(["a"], SCHEMAS) == ["a", "b", "c"]
    assert reached(["e", "c"], SCHEMAS) == ["e", "c", "b"]
    assert reaching(["c"], SCHEMAS) == {"a", "b", "c", "d"}
    assert reaching(["e"], SCHEMAS) == {"e"}


@pytest.mark.parametrize(
    ("schema", "count"),
    [
        (True, 1),
        ({"type": "string", "const": {"items": {}}}, 1),
        (_ref("a"), 1),
        ({"properties": {"items": {}, "b": {"items": True}}, "additionalProperties": False}, 5),
        ({"oneOf": [{"if": {}, "then": True}, False], "required": ["a"]}, 5),
        ({"enum": list(range(320)), "patternProperties": {"^x": {"enum": ["a"]}}}, 22),
    ],
)
def test_a_schema_is_as_many_as_stand_in_it(schema: Any, count: int) -> None:
    assert size(schema) == count
