"""What it costs to hold a value against the words of one schema."""

from typing import Any

import pytest

from filters.api.price import compared, price_of, size, unlike


@pytest.mark.parametrize(
    ("cheap", "dear", "kind"),
    [
        ([1, 2, 3], [1, 2, "a"], int),
        (["a", "b", "c"], [1, 2, 3.5], int),
        ([1, 2, None], [1, 2, True], int),
        (["a", "b", None], ["a", "b", []], str),
        ([1, 2, "a"], [0.5, 1.5, "a"], int),
        ([1, 2, "a"], [1, 2, "a"], float),
        ([{}] * 9, [{"a": {"b": 1}}] * 9, dict),
    ],
)
def test_of_values_one_is_found_in_at_once_or_compared_one_by_one(
    cheap: list[Any], dear: list[Any], kind: type
) -> None:
    assert compared(cheap * 20, kind) <= compared(dear * 20, kind)
    assert compared(dear * 20, kind) > 100


def test_many_texts_cost_no_more_than_few() -> None:
    assert compared(["a"] * 1000, str) == compared(["a"] * 10, str)
    assert compared([1] * 1000, int) == compared([1] * 10, int)
    assert compared([0.5] * 1000, int) == 100 * compared([0.5] * 10, int)


def test_a_pattern_costs_by_the_character() -> None:
    assert price_of({"pattern": "^a+$"}, str).char < 20 < price_of({"pattern": "a{300}"}, str).char
    assert price_of({"pattern": "a{300}"}, int).char == 0
    assert price_of({"patternProperties": {"a{300}": True}}, dict).name > 20
    assert price_of({"pattern": "(?=a)"}, str).base > 1000


@pytest.mark.parametrize("word", ["minLength", "maxLength"])
def test_words_of_texts_cost_nothing_of_numbers(word: str) -> None:
    assert price_of({word: 1}, str).base > price_of({}, str).base
    assert price_of({word: 1}, int) == price_of({}, int)


def test_lists_cost_what_is_in_them() -> None:
    assert price_of({"uniqueItems": True}, list).unlike
    assert not price_of({"uniqueItems": False}, list).unlike
    assert unlike([0.5] * 20) > unlike([1] * 20)
    assert unlike([0.5] * 15) > unlike([0.5] * 16)
    assert unlike([{"a": [1, 2]}] * 20) == 4 * unlike([1] * 20)
    assert size({"a": [1, 2]}) == 4
