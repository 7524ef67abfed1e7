"""Schemas by which a failure is told with bounded work, and which take no value that the first ones refuse."""

from typing import Any
from unittest import mock

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.api.explain import ONE, WAYS, Explaining
from filters.api.reach import size

FLAT: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}
NESTED: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"args": {"type": "array", "items": {"$ref": "#/$defs/nested"}}},
            "required": ["args"],
        },
        {
            "type": "object",
            "properties": {
                "args": {"type": "array", "items": {"$ref": "#/$defs/nested"}},
                "op": {"type": "string"},
            },
        },
        {"type": "integer"},
    ]
}
TAGGED: dict[str, Any] = {
    "type": "object",
    "required": ["op"],
    "properties": {"op": {"enum": ["a", "b"]}, "args": {"items": {"$ref": "#/$defs/strict"}}},
}
LOOSE: dict[str, Any] = {"properties": {"op": {"const": ""}, "args": {"items": {"$ref": "#/$defs/loose"}}}}
SCHEMAS = {
    "flat": FLAT,
    "nested": NESTED,
    "tagged": TAGGED,
    "loose_one": LOOSE,
    "strict": {"oneOf": [{"$ref": "#/$defs/tagged"}, {**TAGGED, "properties": {"op": {"const": ""}}}]},
    "loose": {"oneOf": [{"$ref": "#/$defs/tagged"}, {"$ref": "#/$defs/loose_one"}]},
    "any": {"anyOf": [LOOSE, {"properties": {"op": {"enum": ["a", "b"]}}, "required": ["args"]}]},
}

VALUES = st.recursive(
    st.integers() | st.text(max_size=2) | st.none(),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "args": st.lists(inner, max_size=3),
            "op": st.sampled_from(["", "a", "b", "c"]) | st.integers(),
        },
    ),
    max_leaves=12,
)


def fits(explaining: Explaining, key: str, value: Any) -> bool:
    schema = {"$ref": f"#/$defs/{key}", "$defs": {**SCHEMAS, **explaining.made}}
    return jsonschema_rs.validator_for(schema).is_valid(value)


def test_what_has_few_ways_stands_for_itself() -> None:
    explaining = Explaining({"flat": FLAT})
    assert explaining.key("flat", WAYS) == "flat"


@pytest.mark.parametrize("ways", [WAYS, ONE])
@pytest.mark.parametrize("key", ["strict", "loose", "any"])
def test_alternatives_that_a_constant_tells_apart_have_another_in_their_place(ways: int, key: str) -> None:
    explaining = Explaining(SCHEMAS)
    assert explaining.key(key, ways) != key


@pytest.mark.parametrize("names", [["a"], [1], [], None])
def test_alternatives_whose_constants_are_alike_or_no_texts_stand_for_themselves(names: Any) -> None:
    parts = [{"properties": {"op": {"enum": of}}} for of in (["a"], names)]
    assert Explaining({"s": {"anyOf": parts}}).key("s", WAYS) == "s"


@pytest.mark.parametrize("ways", [WAYS, ONE])
def test_what_nests_has_another_in_its_place(ways: int) -> None:
    explaining = Explaining(SCHEMAS)
    name = explaining.key("nested", ways)
    assert name != "nested" and name in explaining.made


@pytest.mark.parametrize("ways", [WAYS, ONE])
@given(value=VALUES)
def test_what_stands_beside_a_schema_takes_what_it_takes(ways: int, value: Any) -> None:
    explaining = Explaining(SCHEMAS)
    for key in SCHEMAS:
        assert fits(explaining, explaining.key(key, ways), value) == fits(explaining, key, value)


def test_what_is_judged_by_the_alternative_that_it_names_fits_as_by_all() -> None:
    def one(name: str, **more: Any) -> dict[str, Any]:
        properties = {"tag": {"const": name}, "x": {"$ref": "#/$defs/T"}}
        return {"type": "object", "required": ["tag"], "properties": properties, **more}

    for word in ("oneOf", "anyOf"):
        alternatives = [one("a"), one("b", minProperties=2), {**one("c"), "additionalProperties": False}]
        schemas: dict[str, Any] = {
            "T": {word: alternatives, "unevaluatedProperties": False},
            "N": {"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}, {word: [one("a"), {"type": "string"}]}]},
        }
        explaining = Explaining(schemas)
        judged = {key: explaining.judged(schema) for key, schema in schemas.items()}
        assert judged != schemas
        inner: list[Any] = [1, "a", None, {}, {"tag": "a"}, {"tag": "b"}, {"tag": "d"}, {"tag": 1}, {"x": {}}]
        values = inner + [
            {"tag": tag, "x": one, **more} for tag in "abc" for one in inner for more in ({}, {"y": 1})
        ]
        for key in schemas:
            by_all, by_one = (
                jsonschema_rs.Draft202012Validator({"$ref": f"#/$defs/{key}", "$defs": of})
                for of in (schemas, judged)
            )
            assert [by_one.is_valid(value) for value in values] == [
                by_all.is_valid(value) for value in values
            ]
            assert any(map(by_all.is_valid, values))


def test_of_what_has_too_many_ways_a_bounded_part_is_made_and_it_takes_the_same() -> None:
    count = 20
    null = {"type": "null"}
    schemas: dict[str, Any] = {
        f"s{number}": {
            "type": "object",
            "properties": {
                f"p{step}": {"anyOf": [{"$ref": f"#/$defs/s{(number + step) % count}"}, *[null] * (step % 7)]}
                for step in range(1, 12)
            },
        }
        for number in range(count)
    }
    own = sum(map(size, schemas.values()))
    with mock.patch("filters.api.explain._PARTS", 10 * own):
        whole = sum(map(size, Explaining(schemas).made.values()))
    with mock.patch("filters.api.explain._PARTS", own):
        explaining = Explaining(schemas)
    made = sum(map(size, explaining.made.values()))
    assert made < 4 * own < whole
    values: list[Any] = [{"p1": {"p2": None, "p3": {"p1": 5}}}, {"p6": {"p5": {"p4": {}}}}, {"p7": None}]
    for value in values:
        taken = [
            jsonschema_rs.validator_for(
                {"$ref": f"#/$defs/{key}", "$defs": {**schemas, **explaining.made}}
            ).is_valid(value)
            for key in ("s0", explaining.key("s0", WAYS), explaining.key("s0", ONE))
        ]
        assert len(set(taken)) == 1
