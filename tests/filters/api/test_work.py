"""How much it takes to judge a value, before it is judged."""

import json
from typing import Any

import jsonschema_rs
import pytest

from filters.api.work import FEW, STEPS, Work
from gateway.description.discriminator import divide
from tests.filters.api.judging import JSON, body, described, of_query, refused, verdict


def doubled(levels: int, first: str = "A") -> dict[str, Any]:
    """Schemas each of which has two alternatives that look into the same member."""
    made: dict[str, Any] = {}
    for level in range(levels):
        following = {"$ref": f"#/$defs/{first}{level + 1}"}
        made[f"{first}{level}"] = {"type": "object", "properties": {"x": {"anyOf": [following, following]}}}
    return {**made, f"{first}{levels}": {"type": "string"}}


def nested(levels: int, leaf: Any = 1) -> Any:
    for _ in range(levels):
        leaf = {"x": leaf}
    return leaf


def test_alternatives_upon_alternatives_are_counted_and_not_tried() -> None:
    work = Work(doubled(30))
    assert not work.is_bounded("A0") and work.is_bounded("A29")
    assert work.is_affordable("A0", nested(10))
    assert not work.is_affordable("A0", nested(24))
    assert not work.is_affordable("A0", nested(30))


@pytest.mark.parametrize("levels", [1, 3, 8])
def test_what_is_counted_is_what_there_is(levels: int) -> None:
    """Each failure that is told is of a schema that was tried."""
    schemas = doubled(levels)
    validator = jsonschema_rs.Draft202012Validator({"$ref": "#/$defs/A0", "$defs": schemas})
    (error,) = validator.iter_errors(nested(levels))
    tried = 1
    branches = [error]
    for one in branches:  # which grows meanwhile
        inner = [failure for branch in getattr(one.kind, "context", None) or () for failure in branch]
        branches += inner
        tried += len(inner)
    assert tried >= 2**levels
    work = Work(schemas)
    assert work.is_bounded("A0") == (levels < 6)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        True,
        {"properties": {name: {"type": "string"} for name in map(str, range(500))}},
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/s"}}]},
        {"properties": {"a": {"$ref": "#/$defs/s"}, "b": {"$ref": "#/$defs/s"}}},
        {"oneOf": [{"properties": {name: {"$ref": "#/$defs/s"}}} for name in "ab"]},
        {"allOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"$ref": "#/$defs/s"}}}]},
        {"prefixItems": [{"$ref": "#/$defs/s"}, {"$ref": "#/$defs/s"}]},
    ],
)
def test_of_most_schemas_nobody_counts(schema: Any) -> None:
    assert Work({"s": schema}).is_bounded("s")


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"properties": {"a": {"$ref": "#/$defs/s"}}}] * 2},
        {"patternProperties": {"^a": {"$ref": "#/$defs/s"}, "b$": {"$ref": "#/$defs/s"}}},
        {"items": {"$ref": "#/$defs/s"}, "contains": {"$ref": "#/$defs/s"}},
        {"properties": {"a": {"$ref": "#/$defs/s"}}, "if": {"properties": {"a": {"$ref": "#/$defs/s"}}}},
        {"properties": {"a": {"$ref": "#/$defs/s"}}, "unevaluatedProperties": {"$ref": "#/$defs/s"}},
        {"enum": [1], "anyOf": [{"const": one} for one in range(FEW)]},
    ],
)
def test_of_what_may_multiply_each_value_is_counted(schema: Any) -> None:
    work = Work({"s": schema})
    assert not work.is_bounded("s")
    assert work.is_affordable("s", {"a": [1, {"b": 2}]})


def test_of_alternatives_that_exclude_one_another_one_counts() -> None:
    inner = {"properties": {"x": {"$ref": "#/$defs/s"}}}
    work = Work({"s": divide("kind", [(["a"], inner), (["b"], inner)])})
    assert work.is_bounded("s")
    chain = {f"A{level}": divide("kind", _both(level)) for level in range(30)}
    work = Work({**chain, "A30": True})
    assert not work.is_bounded("A0")
    told: Any = 1
    for _ in range(30):
        told = {"kind": "a", "x": told}
    assert work.is_affordable("A0", told)
    for _ in range(30):
        told = {"kind": "b", "x": told}
    assert not work.is_affordable("A0", told)


def _both(level: int) -> list[tuple[list[str], Any]]:
    following = {"$ref": f"#/$defs/A{level + 1}"}
    twice = {"properties": {"x": {"anyOf": [following, following]}}}
    return [(["a"], {"properties": {"x": following}}), (["b"], twice)]


def test_what_recurs_by_itself_is_done_once_for_each_value() -> None:
    schema = {"anyOf": [{"type": "object", "properties": {"x": {"$ref": "#/$defs/s"}}}] * 2}
    assert Work({"s": schema}).is_affordable("s", nested(127))


def _tree(kinds: int) -> dict[str, Any]:
    """Nodes of so many kinds, told apart by a constant, each with nodes inside."""
    names = [f"kind{number}" for number in range(kinds)]
    made: dict[str, Any] = {"Node": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in [*names, "text"]]}}
    for name in names:
        content = {"type": "array", "items": {"$ref": "#/$defs/Node"}}
        properties = {"type": {"const": name}, "content": content}
        made[name] = {"type": "object", "required": ["type", "content"], "properties": properties}
    text = {"type": {"const": "text"}, "text": {"type": "string"}}
    made["text"] = {"type": "object", "required": ["type", "text"], "properties": text}
    return made


def _document(depth: int) -> Any:
    made: Any = {"type": "text", "text": "hello"}
    for level in range(depth):
        made = {"content": [made, made], "type": f"kind{level % 10}"}
    return json.loads(json.dumps(made))  # each part a value of its own


@pytest.mark.parametrize("depth", [1, 5, 10])
def test_what_recurs_by_way_of_others_is_done_once_too(depth: int) -> None:
    schemas = _tree(10)
    work = Work(schemas)
    assert not work.is_bounded("Node")
    assert work.is_affordable("Node", _document(depth))
    spread = work.spread("Node")
    assert spread is not None and spread[-1] < 500
    validator = jsonschema_rs.Draft202012Validator({"$ref": "#/$defs/Node", "$defs": schemas})
    assert validator.is_valid(_document(depth)), "which takes what is counted, and no 11 times more by level"


def test_between_what_recurs_alternatives_multiply() -> None:
    """In a long way round, each schema is followed twice before it comes back to the first."""
    ring = {**doubled(30), "A30": {"$ref": "#/$defs/A0"}}
    assert Work(ring).is_affordable("A0", nested(10))
    assert not Work(ring).is_affordable("A0", nested(24))
    assert not Work(ring).is_affordable("A0", nested(60))


@pytest.mark.parametrize(
    "stop",
    [
        {"type": "array"},
        {"required": ["tag"]},
        {"properties": {"tag": {"const": "b"}}},
        {"properties": {"tag": {"enum": ["b", "c"]}}},
        {"properties": {"tag": {"type": "integer"}}},
    ],
)
def test_an_alternative_that_fails_at_once_ends_there(stop: dict[str, Any]) -> None:
    made: dict[str, Any] = {"A30": True}
    for level in range(30):
        following = {"x": {"$ref": f"#/$defs/A{level + 1}"}}
        other = {**stop, "properties": {**following, **stop.get("properties", {})}}
        made[f"A{level}"] = {"anyOf": [{"properties": following}, other]}
    value: Any = 1
    late: Any = 1
    for _ in range(30):
        value = {"tag": "a", "x": value} if "properties" in stop else {"x": value}
        late = {"x": late, "tag": "a"} if "properties" in stop else {"x": late, "tag": "b"}
    assert Work(made).is_affordable("A0", value)
    # The members of an object are taken in its order.
    assert Work(made).is_affordable("A0", late) == (stop == {"type": "array"})


@pytest.mark.parametrize("kinds", [10, 50])
def test_of_a_large_value_of_what_does_not_multiply_nobody_counts_each_part(kinds: int) -> None:
    document = {"type": "kind0", "content": [{"type": "text", "text": str(one)} for one in range(3500)]}
    assert Work(_tree(kinds)).is_affordable("Node", document)


def test_a_large_value_takes_as_much_as_it_is_large() -> None:
    some = {"items": {"anyOf": [{"const": one} for one in range(FEW)]}}
    assert Work({"s": some}).is_affordable("s", ["x"] * (STEPS // FEW // 2))
    assert not Work({"s": some}).is_affordable("s", ["x"] * (STEPS // FEW + 1))


def _references(schemas: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(schemas).replace("#/$defs/", "#/components/schemas/")))


def test_a_body_that_takes_too_much_is_refused() -> None:
    first = {"$ref": "#/components/schemas/A0"}
    made = described(
        {"/a": {"post": {"requestBody": body(first)}}}, components={"schemas": _references(doubled(30))}
    )
    raw = json.dumps(nested(24)).encode()
    assert refused(made, "POST", "/a", raw, JSON) == (400, "body_too_complex")
    assert refused(made, "POST", "/a", json.dumps(nested(6, {})).encode(), JSON) == (0, "")
    assert refused(made, "POST", "/a", json.dumps({"x": 1}).encode(), JSON) == (400, "schema_mismatch")


def test_so_is_a_parameter() -> None:
    parameter = {
        **of_query("q"),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/A0"}}},
    }
    del parameter["schema"]
    made = described(
        {"/a": {"get": {"parameters": [parameter]}}}, components={"schemas": _references(doubled(30))}
    )
    assert refused(made, "GET", f"/a?q={json.dumps(nested(24)).replace(' ', '')}") == (
        400,
        "parameter_invalid",
    )
    assert verdict(made, "GET", '/a?q={"x":{}}') is None
