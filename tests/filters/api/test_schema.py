"""Schemas, compiled."""

from typing import Any
from unittest import mock

import jsonschema_rs
import pytest

from filters.api.reach import size
from filters.api.schema import Schemas, failure
from gateway.api import OptionError
from gateway.config.problem import Position
from gateway.description.model import Description


def schemas(**made: Any) -> Schemas:
    places = {key: Position("a.yaml", 7, 3) for key in made}
    return Schemas(Description("a.yaml", "OpenAPI 3.1", "", "", (), made, places))


def told(schema: Any, value: Any) -> tuple[str, str]:
    return told_by(schemas(s=schema), "s", value)


def told_by(made: Schemas, key: str, value: Any) -> tuple[str, str]:
    found = failure(made.validator(key), value)
    return found.pointer, found.why


def test_schemas_refer_to_one_another() -> None:
    made = schemas(a={"items": {"$ref": "#/$defs/b"}}, b={"type": "string"})
    assert made.validator("a").is_valid(["x"])
    assert not made.validator("a").is_valid([1])
    assert made.validator("a") is made.validator("a")


@pytest.mark.parametrize(
    ("format", "good", "bad"),
    [("uuid", "70a599e0-31e7-49b7-b260-868f441e862b", "x"), ("date-time", "2030-01-31T00:00:00Z", "today"), ("ipv4", "192.0.2.1", "1")],
)  # fmt: skip
def test_formats_count(format: str, good: str, bad: str) -> None:
    validator = schemas(s={"format": format}).validator("s")
    assert (validator.is_valid(good), validator.is_valid(bad)) == (True, False)


def test_the_deepest_of_several_failures_is_told() -> None:
    schema = {
        "required": ["z"],
        "properties": {"a": {"properties": {"b/c": {"type": "string"}}}, "d": {"type": "null"}},
    }
    assert told(schema, {"a": {"b/c": 5}, "d": 1}) == ("/a/b~1c", 'the value is not of type "string"')


def test_of_alternatives_the_one_that_went_furthest_is_told() -> None:
    schema = {
        "anyOf": [
            {"type": "string"},
            {"oneOf": [{"properties": {"a": {"items": {"type": "null"}}}}, {"type": "null"}]},
        ]
    }
    assert told(schema, {"a": [None, 5]}) == ("/a/1", 'the value is not of type "null"')


_AGAIN = {"$ref": "#/$defs/s"}
_OBJECT = {"type": "object", "properties": {"a": _AGAIN}}
_LISTS = {"type": "object", "properties": {"a": {"items": _AGAIN}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [_OBJECT, _OBJECT, {"type": "integer"}]},
        {"oneOf": [_OBJECT, {**_OBJECT, "required": ["b"]}, {"type": "integer"}]},
        {"anyOf": [{"properties": {"a": _AGAIN}, "required": [name]} for name in "bc"]},
        {"type": ["object", "integer"], "allOf": [_OBJECT, _OBJECT]},
        {
            "type": ["object", "integer"],
            "properties": {"a": _AGAIN},
            "patternProperties": {"^a": _AGAIN},
        },
        {"type": ["object", "integer"], "properties": {"a": _AGAIN}, "if": True, "then": _OBJECT},
        {"type": ["object", "integer"], "properties": {"a": _AGAIN}, "dependentSchemas": {"a": _OBJECT}},
    ],
)
@pytest.mark.parametrize("depth", [4, 31, 127])
def test_a_schema_that_recurs_under_alternatives_is_told_of_with_bounded_work(
    schema: Any, depth: int
) -> None:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    validator = schemas(s=schema).validator("s")
    assert not validator.is_valid(value)
    assert _visits(validator.all.iter_errors(value)) <= 1000
    assert failure(validator, value).why


def _visits(errors: Any) -> int:
    """Failures that were found, those of alternatives included."""
    return sum(
        1 + sum(_visits(branch) for branch in getattr(error.kind, "context", None) or ()) for error in errors
    )


def test_of_alternatives_that_recur_the_outer_ones_are_looked_into() -> None:
    schema = {"oneOf": [_LISTS, {"type": "integer"}]}
    assert told(schema, {"a": [1, {"a": [2, "x"]}]})[0] == "/a/1/a/1"
    deep: Any = "x"
    for _ in range(30):
        deep = {"a": [deep]}
    pointer, why = told(schema, deep)
    assert pointer.startswith("/a/0/a/0")
    assert why == "the value does not fit"


def test_values_are_not_told() -> None:
    assert "secret" not in told({"enum": ["a"]}, "secret")[1]
    assert "secret" not in told({"maxLength": 3}, "secret")[1]


def test_a_pointer_has_an_end() -> None:
    assert told({"additionalProperties": {"type": "null"}}, {"k" * 5000: 1})[0] == "/" + "k" * 999 + "..."


def test_many_failures_are_not_all_looked_at() -> None:
    assert told({"items": {"type": "null"}}, [1] * 100_000) == ("/0", 'the value is not of type "null"')


def test_of_a_large_value_all_failures_are_never_told() -> None:
    schema = {"anyOf": [{"items": {"anyOf": [{"type": "null"}, {"type": "string"}]}}, {"type": "string"}]}
    validator = schemas(s=schema).validator("s")
    watched = validator._replace(all=None)
    assert failure(watched, [1] * 300) == ((), "the value does not fit")
    with pytest.raises(jsonschema_rs.ValidationError) as caught:
        validator.first.validate([1] * 300)
    assert _visits([caught.value]) == 1


@pytest.mark.parametrize(
    "schema", [{"type": "strng"}, {"pattern": "("}, {"minLength": "x"}, {"required": "a"}]
)
def test_a_schema_that_is_none_is_told_with_its_place(schema: Any) -> None:
    with pytest.raises(OptionError, match=r"a\.yaml:7:3: the schema cannot be used") as caught:
        schemas(s=schema).validator("s")
    assert caught.value.rule == ("description",)


@pytest.mark.parametrize(
    "pattern", [r"^\p{L}{1,255}$", r"^[\p{L}\p{N} _-]{1,255}$", r"^[ -~\u00e9]{0,16383}$"]
)
def test_names_of_any_script_may_be_long(pattern: str) -> None:
    validator = schemas(s={"pattern": pattern}).validator("s")
    assert validator.is_valid("é" * 255) and not validator.is_valid("\x01")


def test_a_pattern_that_is_too_large_when_it_is_compiled_is_told() -> None:
    with pytest.raises(OptionError, match="takes more than 16 MiB when it is compiled"):
        schemas(s={"pattern": r"^\p{L}{1,1024}$"}).validator("s")


def test_a_pattern_that_looks_ahead_is_matched_with_its_steps_counted() -> None:
    made = schemas(a={"pattern": "^(?=a)ab$"}, b={"pattern": r"^(?=a)(a+)+\1$"})
    assert made.validator("a").is_valid("ab")
    assert not made.validator("b").is_valid("a" * 5000 + "b")


def test_a_pattern_that_could_run_for_long_does_not() -> None:
    assert not schemas(s={"pattern": "^(a+)+$"}).validator("s").is_valid("a" * 100_000 + "b")


def test_nothing_is_fetched() -> None:
    with pytest.raises(ValueError, match="nothing is fetched"):
        schemas(s={"$ref": "http://192.0.2.1/schema.json"}).validator("s")


def test_without_the_extra_it_says_what_to_install() -> None:
    with (
        mock.patch("filters.api.schema.find_spec", return_value=None),
        pytest.raises(OptionError, match=r"\[openapi\]"),
    ):
        schemas()


def _tagged(name: str, **more: Any) -> dict[str, Any]:
    return {"properties": {"kind": {"const": name}, f"of_{name}": {"type": "integer"}}, **more}


@pytest.mark.parametrize("word", ["oneOf", "anyOf"])
@pytest.mark.parametrize("more", [{}, {"type": "object", "required": ["kind"]}])
@pytest.mark.parametrize("rest", [[], [0] * 300])
def test_of_alternatives_with_a_constant_the_one_that_has_that_of_the_value_is_told(
    word: str, more: Any, rest: Any
) -> None:
    schema = {word: [_tagged("a", **more), _tagged("b", **more)]}
    value = {"kind": "b", "of_a": "x", "of_b": "x", "rest": rest}
    assert told(schema, value) == ("/of_b", 'the value is not of type "integer"')
    assert told(schema, {**value, "kind": "c"}) == ("/kind", 'the value is not one of "a" or "b"')


def test_alternatives_with_constants_are_told_of_however_deep_they_nest() -> None:
    inner = {"properties": {"kind": {"const": "list"}, "items": {"items": {"$ref": "#/$defs/s"}}}}
    schema = {"oneOf": [inner, _tagged("b"), _tagged("c"), _tagged("d")]}
    value: Any = {"kind": "b", "of_b": "x"}
    for _ in range(20):
        value = {"kind": "list", "items": [value]}
    assert told(schema, value) == ("/items/0" * 20 + "/of_b", 'the value is not of type "integer"')


def _mutual(count: int, width: int, **more: Any) -> dict[str, Any]:
    """Schemas each of which leads to all others."""

    def one(number: int) -> dict[str, Any]:
        led = {f"p{step}": {"$ref": f"#/$defs/s{(number + step) % count}"} for step in range(1, width + 1)}
        return {"type": "object", "properties": {**led, "name": {"type": "string"}}, **more}

    return {f"s{number}": one(number) for number in range(count)}


def test_schemas_that_refer_to_one_another_are_compiled_once_however_many_are_asked_for() -> None:
    made = _mutual(60, 12)
    parts = sum(map(size, made.values()))
    description = Description("a.yaml", "OpenAPI 3.1", "", "", (), made, {})
    few, every = Schemas(description, ["s7"]), Schemas(description)
    assert few.compiled <= every.compiled <= 3 * parts
    assert told_by(few, "s7", {"p1": {"p2": {"name": 5}}}) == (
        "/p1/p2/name",
        'the value is not of type "string"',
    )
    assert few.validator("s7").is_valid({"p1": {"p2": {"name": "x"}}})


def test_what_nobody_asks_for_is_not_compiled() -> None:
    made = {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"type": "string"}, "c": {"type": "strng"}}
    description = Description("a.yaml", "OpenAPI 3.1", "", "", (), made, {})
    assert Schemas(description, ["a"]).compiled == 3
    assert Schemas(description, []).compiled == 0


def test_more_than_can_be_compiled_is_told_with_its_number() -> None:
    made = _mutual(20, 4)
    count = schemas(**made).compiled
    with mock.patch("filters.api.schema.MAX_COMPILED", count):
        assert schemas(**made).validator("s0").is_valid({})
    with (
        mock.patch("filters.api.schema.MAX_COMPILED", count - 1),
        mock.patch.object(jsonschema_rs, "Draft202012Validator", side_effect=AssertionError),
        pytest.raises(OptionError, match=rf"a\.yaml: .* {count} compiled .* {count - 1} are not") as caught,
    ):
        schemas(**made)
    assert caught.value.rule == ("description",)


def test_patterns_that_go_back_are_beside_those_that_do_not() -> None:
    made = schemas(
        plain={"type": "string", "pattern": "^(a+)+$"},
        back={"pattern": "^(?=a)ab$"},
        user={"items": {"$ref": "#/$defs/back"}},
        other={"items": {"$ref": "#/$defs/plain"}},
    )
    assert [made.validator(key).texts is not None for key in ("plain", "back", "user", "other")] == [
        False,
        True,
        True,
        False,
    ]
    assert made.compiled == 6
    assert made.validator("user").is_valid(["ab"]) and not made.validator("user").is_valid(["b"])
    assert not made.validator("other").is_valid(["a" * 100_000 + "b"])


@pytest.mark.parametrize("wrong", [0, 3, 7])
@pytest.mark.parametrize("pattern", ["x", "^(?=x)"])
def test_of_many_the_one_that_is_none_is_told(wrong: int, pattern: str) -> None:
    made: dict[str, Any] = {f"s{number}": {"maxLength": number, "pattern": pattern} for number in range(8)}
    made[f"s{wrong}"]["type"] = "strng"
    places = {key: Position("a.yaml", number, 3) for number, key in enumerate(made, 10)}
    with pytest.raises(OptionError, match=rf"a\.yaml:{10 + wrong}:3: the schema cannot be used"):
        Schemas(Description("a.yaml", "OpenAPI 3.1", "", "", (), made, places))
