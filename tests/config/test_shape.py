"""A model and raw values side by side."""

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, Field, RootModel, field_validator

from gateway.api import Duration, Options, Secret
from gateway.config.shape import survey


class Inner(Options):
    secret: Secret | None = None
    number: int = 0


class Names(RootModel[dict[str, Inner]]):
    pass


class Outer(Options):
    one: Inner | None = None
    many: tuple[Inner, ...] = ()
    pair: tuple[str, int] = ("", 0)
    names: Names | None = None
    table: Mapping[str, list[Secret]] = {}
    either: Inner | str | None = None
    wait: Duration = 1.0
    not_: bool = Field(default=False, alias="not")
    share: float = 0.0
    count: int | bool = 0
    free: Annotated[int, BeforeValidator(int)] = 0
    own: int = 0
    listed: Annotated[tuple[Inner, ...], BeforeValidator(lambda value: [value])] = ()

    @field_validator("own", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return len(value) if isinstance(value, str) else value


def test_finds_secrets_wherever_they_are_nested() -> None:
    value = {
        "one": {"secret": "a"},
        "many": [{}, {"secret": "b"}],
        "names": {"x": {"secret": "c"}},
        "table": {"y": ["d", "e"]},
        "either": {"secret": "f"},
    }
    assert survey(Outer, value, ("base",)).secrets == {
        ("base", "one", "secret"),
        ("base", "many", 1, "secret"),
        ("base", "names", "x", "secret"),
        ("base", "table", "y", 0),
        ("base", "table", "y", 1),
        ("base", "either", "secret"),
    }


def test_one_that_stands_for_a_list_is_looked_into() -> None:
    found = survey(Outer, {"listed": {"secret": "a", "number": "1"}, "many": {"secret": "b"}})
    assert found.secrets == {("listed", "secret")}
    assert found.keys[("listed",)] == {"secret", "number"}
    assert found.mistyped == {("listed", "number"): "a whole number"}


def test_knows_the_keys_of_every_mapping() -> None:
    keys = survey(Outer, {"one": {}, "many": [{"typo": 1}]}).keys
    assert keys[("one",)] == keys[("many", 0)] == {"secret", "number"}
    assert "not" in keys[()]
    assert "not_" not in keys[()]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"not": "no"}, {("not",): "true or false"}),
        ({"not": 1}, {("not",): "true or false"}),
        ({"share": "1"}, {("share",): "a number"}),
        ({"share": True}, {("share",): "a number"}),
        ({"share": 1}, {}),
        ({"pair": ["a", "1"]}, {("pair", 1): "a whole number"}),
        ({"pair": ["a", 1, "more"]}, {}),
        ({"many": [{"number": "1"}]}, {("many", 0, "number"): "a whole number"}),
        ({"names": {"x": {"number": None}}}, {("names", "x", "number"): "a whole number"}),
        ({"one": None}, {}),
        ({"count": "x"}, {("count",): "a whole number or true or false"}),
        ({"count": True}, {}),
        ({"wait": "5s", "free": "5", "own": "five"}, {}),
        ("not a mapping", {}),
    ],
)
def test_says_where_text_stands_for_a_number_or_a_switch(value: Any, expected: dict[Any, str]) -> None:
    assert survey(Outer, value).mistyped == expected


def test_a_model_of_a_stranger_is_walked_too() -> None:
    class Plain(BaseModel):
        inner: "dict[str, Annotated[Inner, Field(description='x')]]" = {}

    assert survey(Plain, {"inner": {"a": {"secret": "s"}}}).secrets == {("inner", "a", "secret")}
