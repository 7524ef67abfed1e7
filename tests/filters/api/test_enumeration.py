"""Enumerations whose values are told apart by type."""

import json
from typing import Any

import pytest

from filters.api.enumeration import FEW, by_type
from tests.filters.api.judging import JSON, body, described, refused
from tests.filters.api.test_schema import schemas

_MANY = list(range(FEW + 1))


@pytest.mark.parametrize(
    "values",
    [
        _MANY,
        [*_MANY, None],
        [*map(str, _MANY), None],
        [1, "a", None, True, 0.5],
        [*_MANY[:FEW], "a"],
        [[one] for one in _MANY],
    ],
)
def test_what_is_few_or_found_at_once_stays(values: list[Any]) -> None:
    assert by_type({"enum": values}) == {"enum": values}


def test_texts_integers_and_others_are_alternatives_wherever_they_stand() -> None:
    mixed = {"type": ["integer", "string"], "enum": [*_MANY, "a", None, True]}
    made = by_type({"properties": {"enum": mixed}, "items": [mixed], "const": mixed, "allOf": [True]})
    kinds = [{"enum": ["a"]}, {"enum": _MANY}, {"enum": [None, True]}]
    told = {"type": ["integer", "string"], "allOf": [{"anyOf": kinds}]}
    assert made == {"properties": {"enum": told}, "items": [told], "const": mixed, "allOf": [True]}
    assert by_type({"enum": [*_MANY, "a"], "allOf": [{}]})["allOf"][0] == {}


@pytest.mark.parametrize("value", [0, 16, 16.0, 17, "a", "0", None, True, False, 1.5, [1], {}])
def test_the_verdict_is_the_same(value: Any) -> None:
    values = [*_MANY[2:], "a", None, True, [1], 0]
    fits = any(type(value) is type(one) and value == one for one in values) or value == 16.0
    assert schemas(s={"enum": values}).validator("s").is_valid(value) == fits


def test_a_long_list_of_them_is_judged() -> None:
    schema = {"type": "array", "items": {"enum": [*range(1000, 1200), "auto"]}}
    made = described({"/a": {"post": {"requestBody": body(schema)}}})
    assert refused(made, "POST", "/a", json.dumps([1199] * 18_000).encode(), JSON) == (0, "")
    assert refused(made, "POST", "/a", json.dumps([1199, 7]).encode(), JSON) == (400, "schema_mismatch")
