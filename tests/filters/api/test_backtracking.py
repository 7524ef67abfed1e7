"""Texts that are held against patterns which look ahead or back."""

import json
from typing import Any

import pytest

from filters.api.backtracking import (
    ANYWHERE,
    FROM_START,
    LONGEST,
    LONGEST_FROM_START,
    Texts,
    begins_at_start,
    guarded,
)
from filters.api.schema import failure
from tests.filters.api.judging import JSON, body, described, refused
from tests.filters.api.test_schema import schemas

ADDRESS = r"(?!admin)\w+@example\.com$"
LONG = "a text is too long for its pattern, which looks ahead or back"


@pytest.mark.parametrize(
    ("pattern", "from_start"),
    [
        (ADDRESS, False),
        (r"^(?:(?!<script).)*$", True),
        (r"^(?=.*[A-Z])(?=.*\d).{8,}$", True),
        (r"^(?!.*\.\.)[a-z.]+$", True),
        (r"^[|(](?<!x)\|[^]|]$", True),
        (r"^(a|b)(?!c)", True),
        (r"^a|(?!c)b", False),
        (r"^(?:(?!.*z)a)*b$", False),
        (r"^(?!(a|b)+)c(?=[^)]d*)", False),
        (r"(?!^a)b", False),
    ],
)
def test_what_is_tried_once_is_told_from_what_is_tried_at_each_place(pattern: str, from_start: bool) -> None:
    assert begins_at_start(pattern) == from_start
    name = FROM_START if from_start else ANYWHERE
    asked = {"if": {"format": name}, "then": {"pattern": pattern}, "else": False}
    assert guarded({"pattern": pattern}, lambda _: False) == {"allOf": [asked]}


def test_nothing_else_is_changed() -> None:
    schema = {
        "properties": {"pattern": {"pattern": "a"}, "x": True},
        "enum": [{"pattern": "(?=a)"}],
        "anyOf": [{"pattern": "b"}, False],
        "patternProperties": {"^a": {}},
    }
    assert guarded(schema, lambda pattern: "(?" not in pattern) == schema


def test_texts_are_added_up_until_the_next_value() -> None:
    texts = Texts()
    takes = texts.formats[ANYWHERE]
    assert takes("a" * LONGEST) and not texts.is_over
    assert not all([takes("a" * LONGEST), takes("a" * LONGEST)])
    assert texts.is_over and not takes("a")
    texts.begin()
    assert takes("a" * LONGEST) and not texts.is_over
    assert not takes("a" * (LONGEST + 1)) and texts.is_over


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": ADDRESS}, "a" * (LONGEST + 1)),
        ({"pattern": ADDRESS}, "a" * LONGEST + "@example.com"),
        ({"not": {"pattern": ADDRESS}}, "a" * (LONGEST + 1)),
        ({"anyOf": [{"pattern": ADDRESS}, {"type": "string"}]}, "a" * 100_000),
        ({"items": {"not": {"pattern": ADDRESS}}}, ["a" * (LONGEST // 2)] * 60),
        ({"pattern": "^(?!x)a+$"}, "a" * (LONGEST_FROM_START + 1)),
        ({"patternProperties": {ADDRESS: False}}, {"a" * (LONGEST + 1): 1}),
    ],
)
def test_a_text_that_is_too_long_is_refused_wherever_its_pattern_stands(schema: Any, value: Any) -> None:
    validator = schemas(s=schema).validator("s")
    assert not validator.is_valid(value)
    assert failure(validator, value).why == LONG


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": ADDRESS}, "a" * 2000 + "@example.com"),
        ({"pattern": "^(?:(?!<script).)*$"}, "a" * 9000),
        ({"pattern": "^(?!x)a+$"}, "a" * LONGEST_FROM_START),
        ({"properties": {"name": {"pattern": ADDRESS}}}, {"data": "a" * 100_000, "name": "a@example.com"}),
        ({"items": {"pattern": ADDRESS}}, ["a" * 50 + "@example.com"] * 1500),
        ({"items": {"pattern": ADDRESS}}, [1, None]),
        ({"patternProperties": {"^(?!x)": {"type": "integer"}}, "additionalProperties": False}, {"a": 1}),
    ],
)
def test_others_are_judged(schema: Any, value: Any) -> None:
    assert schemas(s=schema).validator("s").is_valid(value)


def test_one_value_says_nothing_of_the_next() -> None:
    validator = schemas(s={"pattern": ADDRESS}).validator("s")
    assert not validator.is_valid("a" * 100_000)
    assert validator.is_valid("a@example.com")
    assert failure(validator, "a").why.startswith("the value does not match")


def test_what_takes_too_many_steps_back_is_told_so() -> None:
    validator = schemas(s={"pattern": r"^(?=a)(a|aa)+\1$"}).validator("s")
    assert not validator.is_valid("a" * 3000 + "b")
    assert failure(validator, "a" * 3000 + "b").why == "a text takes too many steps for its pattern"


def test_so_is_a_body() -> None:
    made = described({"/a": {"post": {"requestBody": body({"type": "string", "pattern": ADDRESS})}}})
    assert refused(made, "POST", "/a", json.dumps("a" * 100_000).encode(), JSON) == (400, "schema_mismatch")
    assert refused(made, "POST", "/a", b'"a@example.com"', JSON) == (0, "")
