"""pydantic's errors in plain words."""

import ipaddress
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.api import Secret
from gateway.api.message import did_you_mean, failures, kind_of, shown


class Colour(Enum):
    RED = "red"


class Cat(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


def messages(annotation: Any, value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        return [(failure.path, failure.message) for failure in failures(error.errors(), value, (), {})]
    raise AssertionError("valid")


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (str, 1, "expected text"),
        (int, "x", "expected a whole number"),
        (int, 1.5, "expected a whole number"),
        (float, "x", "expected a number"),
        (bool, 7, "expected true or false"),
        (list[int], 7, "expected a list"),
        (tuple[int, ...], {}, "expected a list"),
        (set[int], 7, "expected a list"),
        (dict[str, int], [], "expected a mapping"),
        (Cat, [], "expected a mapping"),
        (Literal["a"], "b", "expected 'a'"),
        (Literal["a", "b"], "c", "expected one of 'a' or 'b'"),
        (Literal[413, 429], 400, "expected one of 413 or 429"),
        (Colour, "blue", "expected 'red'"),
        (Secret, 5, "expected text"),
        (Secret | None, 5, "expected text"),
        (str | int, [], "expected text or a whole number"),
        (ipaddress.IPv4Address, "x", "expected an IPv4 address"),
        (
            ipaddress.IPv4Network | ipaddress.IPv6Network,
            "x",
            "expected a network such as 10.0.0.0/8 or a network such as fd00::/8",
        ),
        (datetime, "x", "expected a date and time such as 2030-01-31T12:00:00Z"),
        (Annotated[int, Field(gt=1)], 1, "must be more than 1"),
        (Annotated[float, Field(le=1.5)], 2, "must be at most 1.5"),
        (Annotated[float, Field(lt=2.0)], 2, "must be less than 2"),
        (Annotated[int, Field(multiple_of=2)], 1, "must be a multiple of 2"),
        (Annotated[list[int], Field(min_length=2)], [1], "must have at least 2 items"),
        (Annotated[list[int], Field(max_length=1)], [1, 2], "must have at most 1 items"),
        (Annotated[str, Field(max_length=1)], "ab", "must be at most 1 characters long"),
        (Annotated[str, Field(min_length=3)], "ab", "must have at least 3 characters"),
        (Annotated[str, Field(pattern="^a$")], "ab", "expected text that matches ^a$"),
        (Annotated[float, Field(allow_inf_nan=False)], float("inf"), "must be a finite number"),
    ],
)
def test_says_it_in_plain_words(annotation: Any, value: Any, message: str) -> None:
    assert messages(annotation, value) == [((), message)]


def test_a_missing_key_is_told_where_it_is_missing() -> None:
    assert messages(list[Cat], [{"kind": "cat"}]) == [((0,), "missing required key 'lives'")]


def test_a_list_whose_items_failed_is_not_said_to_be_empty() -> None:
    found = messages(Annotated[tuple[int, ...], Field(min_length=1)], ["x", "y"])
    assert found == [((0,), "expected a whole number"), ((1,), "expected a whole number")]


def test_names_the_kind_that_was_given() -> None:
    animal = Annotated[Cat | Dog, Field(discriminator="kind")]
    assert messages(animal, {"kind": "cow"}) == [((), "kind: expected one of 'cat', 'dog'")]
    assert messages(animal, {}) == [((), "missing required key 'kind'")]
    assert messages(list[animal], [{"kind": "cat", "lives": "x"}]) == [
        ((0, "lives"), "expected a whole number")
    ]


def test_of_several_alternatives_the_one_that_was_meant_speaks() -> None:
    either = dict[str, str | Cat | list[int]]
    assert messages(either, {"a": {"kind": "cat"}}) == [(("a",), "missing required key 'lives'")]
    assert messages(either, {"a": [1, "x"]}) == [(("a", 1), "expected a whole number")]
    assert messages(either, {"a": 5}) == [(("a",), "expected text or a mapping or a list")]


def test_a_bad_key_is_told_at_the_key() -> None:
    keyed = dict[Annotated[str, Field(max_length=1)], int]
    assert messages(keyed, {"ab": 1}) == [(("ab",), "must be at most 1 characters long")]


def test_shows_values_as_yaml_would_and_long_ones_in_part() -> None:
    values: tuple[Any, ...] = ("ten", True, 1.5, None, [1], {})
    assert [shown(value) for value in values] == [
        "'ten'",
        "true",
        "1.5",
        "nothing",
        "a list",
        "a mapping",
    ]
    assert len(shown("x" * 1000)) < 70
    assert shown(10**100) == "a number"


def test_names_kinds_without_the_value() -> None:
    assert [kind_of(value) for value in ("hunter2", False, 5)] == ["text", "true or false", "a number"]


def test_names_a_near_word_and_no_far_one() -> None:
    assert did_you_mean("limt", ["limits", "limit", "burst"]) == " (did you mean 'limit'?)"
    assert did_you_mean("zzz", ["limits", "burst"]) == ""
