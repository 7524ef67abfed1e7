"""How much it takes to judge a value, before it is judged."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.api.work import LOOKS, Work
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
        {"anyOf": [{"type": "object", "required": [str(one)]} for one in range(300)]},
        {"items": {"enum": [one / 2 for one in range(9)]}},
        {"pattern": "[ab]*a[ab]{100}"},
        {"propertyNames": {"pattern": "[ab]*a[ab]{100}"}},
        {"patternProperties": {"[ab]*a[ab]{100}": True}},
        {"uniqueItems": True},
    ],
)
def test_of_what_may_cost_much_each_value_is_counted(schema: Any) -> None:
    work = Work({"s": schema})
    assert not work.is_bounded("s")
    assert work.is_affordable("s", {"a": [1, {"b": 2}]}) and work.is_affordable("s", [1.5, "a"])


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"items": {"enum": [one / 2 for one in range(200)]}}, [199.5] * 20_000),
        ({"items": {"enum": [[one] for one in range(200)]}}, [[199]] * 9_000),
        ({"items": {"anyOf": [{"const": one / 2} for one in range(60)]}}, [29.5] * 20_000),
        ({"contains": {"enum": [one / 2 for one in range(60)]}}, [29.5] * 20_000),
        ({"pattern": "[ab]*a[ab]{300}"}, "a" * 110_000),
        ({"items": {"pattern": "[ab]*a[ab]{300}"}}, ["a" * 100] * 1_000),
        ({"propertyNames": {"pattern": "[ab]*a[ab]{300}"}}, {"a" * 100_000: 1}),
        ({"patternProperties": {"[ab]*a[ab]{300}": True}}, {"a" * 100_000: 1}),
        ({"items": {"uniqueItems": True}}, [[one / 2 for one in range(15)]] * 1_500),
        ({"anyOf": [{"items": {"pattern": f"^{one}|b"}} for one in range(100)]}, ["a" * 100] * 1_000),
    ],
)
def test_what_costs_much_is_not_judged(schema: Any, value: Any) -> None:
    assert not Work({"s": schema}).is_affordable("s", value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"items": {"enum": [*range(2_000), None]}}, [1999, None] * 10_000),
        ({"items": {"enum": [*map(str, range(2_000)), None]}}, ["1999"] * 15_000),
        ({"properties": {"name": {"pattern": "[ab]*a[ab]{300}"}}}, {"name": "a" * 99, "text": "a" * 100_000}),
        ({"items": {"pattern": "^[a-z]{1,255}$"}}, ["a" * 200] * 500),
        ({"uniqueItems": True}, list(range(50_000))),
        (
            {"anyOf": [{"items": {"properties": {"z": {"const": one}}}} for one in range(300)]},
            [{"z": 299}] * 10_000,
        ),
        ({"anyOf": [{"items": {"type": "string", "maxLength": one}} for one in range(1_000)]}, [1] * 57_000),
        (
            {"items": {"anyOf": [{"type": "object", "required": [str(one)]} for one in range(150)]}},
            [{}] * 4_000,
        ),
    ],
)
def test_what_is_cheap_is_judged(schema: Any, value: Any) -> None:
    assert Work({"s": schema}).is_affordable("s", value)


def test_lists_upon_lists_of_alternatives_end_with_the_first_item_that_fails() -> None:
    """Of twelve alternatives with thirteen kinds of lists, 144 of these fail by the first number."""
    lists = [
        *({"type": "array", "items": {"type": "string", "maxLength": one}} for one in range(12)),
        {"type": "array", "items": {"type": "number"}},
    ]
    kinds = [{"properties": {"t": {"const": one}, "l": {"anyOf": lists}}} for one in range(12)]
    schema = json.loads(json.dumps({"properties": {"v": {"anyOf": kinds}}}))
    assert Work({"s": schema}).is_affordable("s", {"v": {"l": [1] * 57_000, "t": 11}})


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from([0.5, "a", "b"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=12,
)


def _schemas() -> st.SearchStrategy[Any]:
    plain = st.sampled_from(
        [
            {"type": "string"},
            {"const": "a"},
            {"required": ["a"]},
            {"type": ["array", "object"]},
            {"enum": [1, "b"]},
            {"const": 2.0},
        ]
    ) | st.just({"$ref": "#/$defs/s"})

    def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        some = st.lists(inner, min_size=1, max_size=4)
        return st.one_of(
            st.dictionaries(st.sampled_from(["anyOf", "allOf", "oneOf", "prefixItems"]), some, min_size=1),
            st.dictionaries(st.sampled_from(["items", "contains", "not", "if"]), inner, min_size=1),
            st.dictionaries(st.sampled_from("abx"), inner, min_size=1).map(lambda of: {"properties": of}),
            inner.map(lambda part: {"additionalProperties": part, "properties": {"a": part}}),
        )

    return st.recursive(plain, composed, max_leaves=20)


@given(_schemas(), _VALUES)
def test_a_count_takes_no_more_looks_than_it_has(schema: Any, value: Any) -> None:
    schema = json.loads(json.dumps(schema))
    work = Work({"s": schema, "x": {"properties": {"x": {"$ref": "#/$defs/s"}}}})
    work.is_bounded("s")
    is_affordable = work.is_affordable("s", value)
    assert work.looks < LOOKS or not is_affordable
    assert work.looks <= LOOKS


@given(_schemas().filter(lambda schema: "$ref" not in json.dumps(schema)), _VALUES)
def test_what_plainly_fails_the_validator_refuses(schema: Any, value: Any) -> None:
    schema = json.loads(json.dumps(schema))
    validator = jsonschema_rs.Draft202012Validator(schema)
    if Work({"s": schema}).plainly_fails("s", value):
        assert not validator.is_valid(value)


@pytest.mark.parametrize("alternatives", [10, 100, 1_000, 20_000])
def test_however_many_alternatives_the_looks_are_bounded(alternatives: int) -> None:
    parts = [{"type": "array", "items": {"enum": [one / 2, str(one)]}} for one in range(alternatives)]
    work = Work({"s": {"anyOf": parts}})
    values: list[Any] = [[0.5] * 57_000, ["a"] * 28_000, [[]] * 30_000, [{"a": 1}] * 10_000]
    for value in values:
        work.is_affordable("s", value)
        assert work.looks <= LOOKS


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
    assert work.is_affordable("Node", _document(depth))
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
    some = {"items": {"anyOf": [{"const": one} for one in range(100)]}}
    assert Work({"s": some}).is_affordable("s", [1] * 5_000)
    assert not Work({"s": some}).is_affordable("s", [1] * 10_000)


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
