"""Schemas of descriptions."""

import re
from typing import Any
from unittest import mock

import pytest
import yaml

from gateway.description.model import ALL_TYPES, Part
from gateway.description.schema import MAX_WIDTH, Schemas, types_of
from gateway.description.source import Source, read_source


def made(document: Any, *, old: bool = False, side: Any = "request") -> tuple[dict[str, Any], Source]:
    """The schemas that come of the one at `s`."""
    source = read_source(yaml.safe_dump(document).encode(), "f")
    schemas = Schemas(source, old=old)
    schemas.add(("s",), side)
    schemas.finish()
    return schemas.made, source


def wrong(document: Any, **more: Any) -> list[str]:
    return list(map(str, made(document, **more)[1].problems))


def test_references_become_those_of_what_is_made_once_each() -> None:
    document = {
        "s": {"properties": {"a": {"$ref": "#/c/x"}, "b": {"$ref": "#/c/x"}}},
        "c": {"x": {"type": "array", "items": {"$ref": "#/s"}}},
    }
    assert made(document)[0] == {
        "0": {"properties": {"a": {"$ref": "#/$defs/1"}, "b": {"$ref": "#/$defs/1"}}},
        "1": {"type": "array", "items": {"$ref": "#/$defs/0"}},
    }


def test_a_reference_leads_into_a_schema_and_through_lists() -> None:
    document = {"s": {"$ref": "#/c/0/properties/a~1b"}, "c": [{"properties": {"a/b": {"type": "null"}}}]}
    assert made(document)[0] == {"0": {"type": "null"}}


def test_what_openapi_3_0_says_otherwise_is_translated() -> None:
    document = {
        "s": {
            "type": "integer",
            "nullable": True,
            "minimum": 1,
            "exclusiveMinimum": True,
            "maximum": 5,
            "exclusiveMaximum": False,
            "example": 3,
            "x-more": 1,
        }
    }
    assert made(document, old=True)[0]["0"] == {
        "type": ["integer", "null"],
        "exclusiveMinimum": 1,
        "maximum": 5,
    }


def test_in_3_0_nothing_beside_a_reference_counts_and_in_3_1_it_does() -> None:
    document = {"s": {"items": {"$ref": "#/c", "maxLength": 3}}, "c": {"type": "string"}}
    assert made(document, old=True)[0]["0"] == {"items": {"$ref": "#/$defs/1"}}
    assert made(document)[0]["0"] == {"items": {"$ref": "#/$defs/1", "maxLength": 3}}


def test_what_does_nothing_but_refer_is_what_it_refers_to() -> None:
    assert made({"s": {"$ref": "#/b"}, "b": {"$ref": "#/c"}, "c": {"type": "null"}})[0] == {
        "0": {"type": "null"}
    }
    beside = {"s": {"$ref": "#/c", "maxLength": 3}, "c": {"type": "string"}}
    assert made(beside, old=True)[0] == {"0": {"type": "string"}}
    assert made(beside)[0]["0"] == {"$ref": "#/$defs/1", "maxLength": 3}


@pytest.mark.parametrize(("side", "required"), [("request", ["b", "c"]), ("answer", ["a", "c"])])
def test_what_the_other_side_has_is_not_required(side: str, required: list[str]) -> None:
    document = {
        "s": {
            "required": ["a", "b", "c"],
            "properties": {"a": {"$ref": "#/c"}, "b": {"writeOnly": True}, "c": {}},
        },
        "c": {"readOnly": True},
    }
    assert made(document, side=side)[0]["0"]["required"] == required


_READ_ONLY = {"properties": {"id": {"readOnly": True}}}


@pytest.mark.parametrize(
    "document",
    [
        {"s": {"allOf": [_READ_ONLY, {"required": ["id", "name"]}]}},
        {"s": {"allOf": [{"$ref": "#/base"}, {"required": ["id", "name"]}]}, "base": _READ_ONLY},
        {"s": {"allOf": [{"$ref": "#/base"}, _READ_ONLY]}, "base": {"required": ["id", "name"]}},
        {"s": {"allOf": [{"allOf": [{"required": ["id", "name"]}]}, {"allOf": [{"$ref": "#/base"}]}]}, "base": _READ_ONLY},
        {"s": {"required": ["id", "name"], "allOf": [_READ_ONLY]}},
        {"s": {**_READ_ONLY, "allOf": [{"required": ["id", "name"]}]}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("old", [False, True])
def test_what_one_side_alone_has_is_not_required_by_another_part(document: dict[str, Any], old: bool) -> None:
    assert _all_required(made(document, old=old)[0]) == ["name"]
    assert _all_required(made(document, old=old, side="answer")[0]) == ["id", "name"]


def test_a_part_that_is_used_elsewhere_still_requires_all() -> None:
    document = {
        "s": {"properties": {"x": {"allOf": [{"$ref": "#/base"}, _READ_ONLY]}, "y": {"$ref": "#/base"}}},
        "base": {"required": ["id", "name"]},
    }
    found = made(document)[0]
    of_y = found[found["0"]["properties"]["y"]["$ref"].removeprefix("#/$defs/")]
    assert of_y == {"required": ["id", "name"]}
    assert sorted(map(str, _lists_of_required(found))) == ["['id', 'name']", "['name']"]


def _lists_of_required(schema: Any) -> list[list[str]]:
    if isinstance(schema, list):
        return [found for part in schema for found in _lists_of_required(part)]
    if not isinstance(schema, dict):
        return []
    own = [schema["required"]] if "required" in schema else []
    return own + [
        found for word, part in schema.items() if word != "required" for found in _lists_of_required(part)
    ]


def _all_required(schema: Any) -> list[str]:
    (found,) = _lists_of_required(schema)
    return found


def test_the_format_byte_is_base64_beside_what_else_is_said() -> None:
    schema = {"type": "string", "format": "byte", "pattern": "^a", "allOf": [{"maxLength": 8}]}
    found = made({"s": schema}, old=True)[0]["0"]
    assert found["pattern"] == "^a"
    assert found["allOf"][0] == {"maxLength": 8}
    fits = re.compile(found["allOf"][1]["pattern"]).search
    assert [text for text in ("", "YWJj", "YWI=", "YQ==", "+/+/") if not fits(text)] == []
    assert [text for text in ("Y", "YQ", "YWI", "YQ=", "=", "Y-_=", "YW Jj", "YQ===") if fits(text)] == []


def test_formats_of_integers_are_bounds() -> None:
    assert made({"s": {"type": "integer", "format": "int32", "minimum": 0}})[0]["0"] == {
        "type": "integer",
        "format": "int32",
        "minimum": 0,
        "maximum": 2**31 - 1,
    }


@pytest.mark.parametrize(
    "reference",
    ["http://example.com/a.json", "other.yaml#/a", "file:///etc/passwd", "#anchor", 5, "//host/a"],
)
def test_no_reference_leaves_the_document(reference: Any) -> None:
    (told,) = wrong({"s": {"items": {"$ref": reference}}})
    assert told.startswith("f:")
    assert "/s/items/$ref: only references within the document are followed" in told


def test_a_reference_to_nothing_is_told() -> None:
    assert "refers to nothing" in wrong({"s": {"$ref": "#/c/x"}})[0]


@pytest.mark.parametrize("word", ["$id", "$anchor", "$dynamicRef", "$recursiveRef"])
def test_nothing_may_move_what_references_refer_to(word: str) -> None:
    assert f"/s/{word}: {word} is not supported" in wrong({"s": {word: "x"}})[0]


def test_a_float_has_its_range() -> None:
    found = made({"s": {"type": ["number", "null"], "format": "float", "maximum": 5}})[0]["0"]
    assert (found["minimum"], found["maximum"]) == (-3.4028235677973362e38, 5)
    assert "maximum" not in made({"s": {"type": "string", "format": "float"}})[0]["0"]
    assert "maximum" not in made({"s": {"type": "number", "format": "double"}})[0]["0"]


def test_what_is_to_be_a_multiple_is_bounded() -> None:
    (schema,) = made({"s": {"multipleOf": 0.01, "minimum": 0}})[0].values()
    assert schema == {"multipleOf": 0.01, "minimum": 0, "maximum": 1e30}


def test_a_dialect_that_nobody_knows_is_refused() -> None:
    draft = {"$schema": "http://json-schema.org/draft-03/schema#"}
    known = (
        "of the dialects of JSON Schema only draft-04, draft-06, draft-07, 2019-09 and 2020-12 are supported"
    )
    assert known in wrong({"s": draft})[0]
    assert known in wrong({"s": {"$ref": "#/c/d"}, "c": {"d": True, **draft}})[0]
    tuples = {"$schema": "https://json-schema.org/draft/2019-09/schema", "unevaluatedItems": False}
    assert "unevaluatedItems is not supported in 2019-09" in wrong({"s": tuples})[0]


def test_a_schema_is_of_the_dialect_that_the_one_around_it_names() -> None:
    draft = {"$schema": "http://json-schema.org/draft-07/schema#", "d": {"e": {"items": [{"type": "null"}]}}}
    document = {"s": {"allOf": [{"$ref": "#/c/d/e"}]}, "c": draft}
    assert made(document)[0]["1"] == {"prefixItems": [{"type": "null"}]}
    alone = {"s": {"$ref": "#/c", "type": "null", "$schema": draft["$schema"]}, "c": {"type": "string"}}
    assert made(alone)[0] == {"0": {"type": "string"}}


def test_the_address_of_a_schema_that_is_the_document_moves_nothing() -> None:
    source = read_source(b"$id: http://x/s\nproperties: {a: {$ref: '#/$defs/b'}}\n$defs: {b: {$id: c}}", "f")
    schemas = Schemas(source, old=False, plain=True)
    schemas.add(())
    assert [str(one) for one in source.problems] == [
        "f:3:13: /$defs/b/$id: $id is not supported: a reference is to a place, as #/a/b"
    ]


def test_a_schema_that_is_not_of_openapi_requires_what_it_says() -> None:
    text = "required: [a]\nproperties: {a: {readOnly: true}}"
    schemas = Schemas(read_source(text.encode(), "f"), old=False, plain=True)
    assert schemas.made[schemas.add(())]["required"] == ["a"]


@pytest.mark.parametrize(
    "document",
    [
        {"s": {"$ref": "#/s"}},
        {"s": {"allOf": [{"$ref": "#/c"}]}, "c": {"not": {"anyOf": [{"$ref": "#/s"}]}}},
        {"s": {"if": {"$ref": "#/s"}}},
        {"s": {"dependentSchemas": {"a": {"$ref": "#/s"}}}},
    ],
)
def test_a_schema_that_is_itself_is_refused(document: Any) -> None:
    (told,) = wrong(document)
    assert "is itself by way of what it refers to" in told


def test_a_schema_whose_parts_are_of_its_kind_is_none_of_these() -> None:
    assert wrong({"s": {"properties": {"a": {"$ref": "#/s"}}, "items": {"anyOf": [{"$ref": "#/s"}]}}}) == []


def test_alternatives_that_multiply_are_refused() -> None:
    document: dict[str, Any] = {f"c{n}": {"anyOf": [{"$ref": f"#/c{n + 1}"}] * 4} for n in range(20)}
    document |= {"s": {"$ref": "#/c0"}, "c20": {}}
    assert any(f"more than {MAX_WIDTH} schemas for one value" in told for told in wrong(document))


def test_more_schemas_than_there_may_be_are_refused_at_the_first_that_is_too_many() -> None:
    document: dict[str, Any] = {"s": {"anyOf": [True] * 9}}
    with mock.patch("gateway.description.schema.MAX_SCHEMAS", 10):
        assert wrong(document) == []
    with mock.patch("gateway.description.schema.MAX_SCHEMAS", 9):
        (told,) = wrong(document)
    assert "/s/anyOf/8: there are more than 9 schemas" in told


def test_a_long_chain_of_references_is_refused() -> None:
    document: dict[str, Any] = {f"c{n}": {"$ref": f"#/c{n + 1}"} for n in range(5000)}
    document |= {"s": {"$ref": "#/c0"}, "c5000": {}}
    assert any("refer to one another" in told for told in wrong(document))


@pytest.mark.parametrize("schema", [5, "x", {"allOf": {"a": 1}}, {"properties": ["a"]}, {"items": 5}])
def test_what_is_no_schema_is_told(schema: Any) -> None:
    assert "expected" in wrong({"s": schema})[0]


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        (True, ALL_TYPES),
        ({}, ALL_TYPES),
        ({"type": "integer"}, {"integer"}),
        ({"type": ["number", "null"]}, {"number", "integer", "null"}),
        ({"$ref": "#/$defs/a"}, {"string"}),
        ({"allOf": [{"type": ["string", "null"]}, {"$ref": "#/$defs/a"}]}, {"string"}),
        ({"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/a"}]}, {"boolean", "string"}),
        ({"$ref": "#/$defs/loop"}, ALL_TYPES),
    ],
)
def test_types_are_told_as_far_as_is_easy(schema: Any, types: set[str]) -> None:
    assert types_of(schema, {"a": {"type": "string"}, "loop": {"$ref": "#/$defs/loop"}}) == types


def of_parameter(schema: Any, **more: Any) -> tuple[Schemas, str]:
    schemas = Schemas(read_source(yaml.safe_dump({"s": schema, **more}).encode(), "f"), old=False)
    return schemas, schemas.add(("s",))


def test_what_is_in_a_value_is_told_through_all_that_it_is_made_of() -> None:
    schema = {
        "anyOf": [
            {"allOf": [{"$ref": "#/l"}, {"items": {"maximum": 5}}]},
            {
                "type": "object",
                "properties": {"a": {"type": "boolean"}},
                "additionalProperties": {"type": "null"},
            },
        ]
    }
    schemas, key = of_parameter(schema, l={"type": "array", "items": {"type": "integer"}})
    assert schemas.told(key) == {"array", "object"}
    assert schemas.items(key) == Part(frozenset(("integer",)))
    members, others = schemas.members(key)
    assert (members, others) == ({"a": Part(frozenset(("boolean",)))}, Part(frozenset(("null",))))


def test_of_what_may_be_text_and_a_number_the_schema_is_kept() -> None:
    schemas, key = of_parameter(
        {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}}
    )
    item = schemas.items(key)
    assert item.types == {"integer", "string"} and item.schema is not None
    assert schemas.made[item.schema] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert schemas.places[item.schema] == schemas.places[key]


def test_looking_for_what_is_in_a_value_has_an_end() -> None:
    chain = {f"s{depth}": {"allOf": [{"$ref": f"#/s{depth + 1}"}] * 2} for depth in range(60)}
    names = {"type": "object", "properties": {f"n{place}": {"type": "integer"} for place in range(500)}}
    schemas, key = of_parameter({"$ref": "#/s0", "properties": names["properties"]}, **chain, s60=names)
    members, _ = schemas.members(key)
    assert len(members) == 500
    assert schemas.items(key).types == ALL_TYPES
