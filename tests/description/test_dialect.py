"""Earlier dialects of JSON Schema, read as 2020-12."""

from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.description.dialect import DRAFT_2020_12, Said, dialect_of, spelled
from gateway.description.schema import Schemas
from gateway.description.source import read_source

URIS = {
    "http://json-schema.org/draft-04/schema#": jsonschema_rs.Draft4Validator,
    "http://json-schema.org/draft-06/schema#": jsonschema_rs.Draft6Validator,
    "http://json-schema.org/draft-07/schema#": jsonschema_rs.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    "https://json-schema.org/draft/2020-12/schema": jsonschema_rs.Draft202012Validator,
}
NAMES = st.sampled_from(["a", "b", "c"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.sampled_from([0, 1, 2, 1.5, "", "a", "ab", True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
LEAVES: st.SearchStrategy[Any] = st.sampled_from(
    [
        {},
        *({"type": kind} for kind in ("string", "integer", "object", "array", "null")),
        *(
            {"minLength": 2},
            {"minimum": 1},
            {"enum": [1, "a"]},
            {"const": 1},
            {"required": ["a"]},
            {"not": {}},
        ),
        {"$ref": "#/definitions/d", "type": "string"},
    ]
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("items", "additionalItems", "contains", "if", "then", "else", "not"), inner),
            **dict.fromkeys(("propertyNames", "additionalProperties"), inner),
            "allOf": some,
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "dependencies": st.dictionaries(NAMES, inner | st.just(["b"]), max_size=2),
            "dependentRequired": st.just({"a": ["c"]}),
            "minContains": st.sampled_from([0, 2]),
        },
    )


def listed(schema: Any) -> Any:
    """The same with lists of schemas for items."""
    if not isinstance(schema, dict):
        return schema
    made = {key: listed(value) for key, value in schema.items()}
    if isinstance(made.get("items"), dict):
        made["items"] = [made["items"]]
    return made


SCHEMAS: st.SearchStrategy[Any] = st.recursive(LEAVES, objects, max_leaves=6)


def judged(schema: Any) -> Any:
    """Whether values fit what is made of the schema, which is a whole document."""
    source = read_source(yaml.safe_dump(schema).encode(), "s.json")
    schemas = Schemas(source, old=False, plain=True)
    key = schemas.add(())
    schemas.finish()
    assert not source.problems
    document = {"$ref": f"#/$defs/{key}", "$defs": schemas.made}
    return jsonschema_rs.Draft202012Validator(document, validate_formats=True).is_valid


@pytest.mark.parametrize("uri", URIS)
@given(schema=SCHEMAS, lists=st.booleans(), values=st.lists(VALUES, min_size=1, max_size=4))
def test_what_fits_in_its_own_dialect_fits_and_nothing_else(
    uri: str, schema: Any, lists: bool, values: list[Any]
) -> None:
    """Beside the library's own validators of each dialect."""
    own = listed(schema) if lists and "2020-12" not in uri else schema
    document = {**own, "$schema": uri, "definitions": {"d": {"enum": [1, "ab", {}]}}}
    theirs, ours = URIS[uri](document).is_valid, judged(document)
    for value in values:
        assert ours(value) == theirs(value), (document, value)


@pytest.mark.parametrize(
    ("number", "schema", "fits", "misfits"),
    [
        (
            4,
            {"minimum": 1, "exclusiveMinimum": True, "maximum": 3, "exclusiveMaximum": False},
            [2, 3],
            [1, 4],
        ),
        (4, {"id": "http://x/s", "properties": {"id": {"type": "integer"}}}, [{"id": 1}], [{"id": "a"}]),
        (4, {"items": [{"type": "string"}], "additionalItems": False}, [[], ["a"]], [[1], ["a", "b"]]),
        (6, {"$id": "http://x/s", "exclusiveMinimum": 1}, [2], [1]),
        (
            7,
            {"dependencies": {"a": ["b"], "c": {"required": ["d"]}}},
            [{"a": 1, "b": 1}, {}],
            [{"a": 1}, {"c": 1}],
        ),
        (7, {"items": []}, [[1]], []),
    ],
)
def test_words_of_an_earlier_dialect_count(
    number: int, schema: dict[str, Any], fits: list[Any], misfits: list[Any]
) -> None:
    judge = judged({"$schema": f"http://json-schema.org/draft-0{number}/schema#", **schema})
    assert all(map(judge, fits)) and not any(map(judge, misfits))


def test_dependencies_count_in_every_dialect() -> None:
    judge = judged({"dependencies": {"a": ["b"]}})
    assert judge({"a": 1, "b": 1}) and not judge({"a": 1})


@pytest.mark.parametrize(
    ("schema", "fits", "misfits"),
    [
        (
            {"dependencies": {"x": ["z"]}, "dependentRequired": {"a": ["q"]}},
            [{"x": 1, "z": 1}, {"a": 1, "q": 1}],
            [{"x": 1}, {"a": 1}],
        ),
        (
            {"dependencies": {"x": {"required": ["z"]}}, "dependentSchemas": {"a": {"required": ["q"]}}},
            [{"x": 1, "z": 1}, {"a": 1, "q": 1}],
            [{"x": 1}, {"a": 1}],
        ),
        (
            {"dependencies": {"a": ["b", "c"]}, "dependentRequired": {"a": ["c", "d"]}},
            [{"a": 1, "b": 1, "c": 1, "d": 1}],
            [{"a": 1, "b": 1, "c": 1}, {"a": 1, "c": 1, "d": 1}],
        ),
        (
            {"dependencies": {"a": {"required": ["b"]}}, "dependentSchemas": {"a": {"required": ["c"]}}},
            [{"a": 1, "b": 1, "c": 1}],
            [{"a": 1, "b": 1}, {"a": 1, "c": 1}],
        ),
    ],
)
def test_dependencies_count_beside_what_they_are_called_now(
    schema: dict[str, Any], fits: list[Any], misfits: list[Any]
) -> None:
    judge = judged(schema)
    assert all(map(judge, fits)) and not any(map(judge, misfits))


def test_a_dialect_is_known_by_its_address() -> None:
    assert dialect_of("https://spec.openapis.org/oas/3.1/dialect/base") is DRAFT_2020_12
    assert dialect_of("https://json-schema.org/draft/2020-12/schema#") is DRAFT_2020_12
    for strange in ("http://json-schema.org/draft-03/schema#", "http://json-schema.org/schema#", "", 7, None):
        assert dialect_of(strange) is None


def test_what_is_spelled_otherwise_keeps_its_place() -> None:
    draft = dialect_of("http://json-schema.org/draft-07/schema")
    assert draft is not None
    assert spelled({"items": [True], "additionalItems": False, "dependentRequired": 1}, draft) == {
        "prefixItems": Said([True], ("items",)),
        "items": Said(False, ("additionalItems",)),
    }
