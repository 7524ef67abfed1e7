"""Segments that hold several parameters, and the ways to divide a text among them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.description.model import Segment
from gateway.description.split import MAX_STEPS, Form

THREE: Segment = ("", "a", "-", "b", "-", "c", ".json")


def divisions(segment: Segment, text: str) -> Iterator[tuple[str, ...]]:
    """All ways to divide a text among the parameters of a segment."""
    literal, rest = segment[0], segment[2:]
    if not text.startswith(literal):
        return
    text = text[len(literal) :]
    if not rest:
        if not text:
            yield ()
        return
    for length in range(1, len(text) + 1):
        for others in divisions(rest, text[length:]):
            yield (text[:length], *others)


@pytest.mark.parametrize(
    ("segment", "text", "takes"),
    [
        (("v", "n", ".", "x", ""), "v1.2.json", True),
        (("a.", "x", ""), "abx", False),
        (("", "x", ".b"), ".b", False),
        (("", "x", ".b"), "a\n.b", True),
        (("ab", "x", "ba"), "aba", False),
        (("", "x", "-", "y", ""), "a-", False),
        (("", "x", "-", "y", ""), "--", False),
        (("", "x", "-", "y", ""), "---", True),
    ],
)
def test_a_segment_in_part_has_its_texts_where_they_stand(segment: Segment, text: str, takes: bool) -> None:
    assert Form(segment).takes(text) is takes


_LITERALS = st.text("a-", max_size=2)
_INNER = st.text("a-", min_size=1, max_size=2)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    inner = draw(st.lists(_INNER, max_size=2))
    texts = [draw(_LITERALS), *inner, draw(_LITERALS)]
    made = [texts[0]]
    for number, text in enumerate(texts[1:]):
        made += [f"p{number}", text]
    return tuple(made)


_FITS: dict[str, Callable[[str], bool] | None] = {
    "any": None,
    "digits": str.isdecimal,
    "even": lambda text: len(text) % 2 == 0,
    "letters": str.isalpha,
    "never": lambda text: False,
}


@given(
    segments(), st.text("a-1", max_size=9), st.lists(st.sampled_from(sorted(_FITS)), min_size=3, max_size=3)
)
def test_finds_a_division_wherever_there_is_one(segment: Segment, text: str, kinds: list[str]) -> None:
    form, ways = Form(segment), list(divisions(segment, text))
    assert form.takes(text) is bool(ways)
    if not ways:
        return
    fits = [_FITS[kind] for kind in kinds[: len(segment) // 2]]

    def fit(way: tuple[str, ...], many: int) -> bool:
        return all(fits[place] is None or fits[place](way[place]) for place in range(many))  # type: ignore[misc]

    if any(fit(way, len(fits)) for way in ways):
        assert form.misfit(text, fits) is None
    else:
        number = form.misfit(text, fits)
        assert number is not None and not any(fit(way, number + 1) for way in ways if number == len(fits) - 1)


class Counted(str):
    """A text that counts the characters that are gone through in search of another."""

    gone = 0

    def find(self, *arguments: Any) -> int:
        found = super().find(*arguments)
        start, end = arguments[1], arguments[2]
        Counted.gone += (found if found >= 0 else end) - start + 1
        return found


@pytest.mark.parametrize("end", ["x", ".json"])
def test_whether_a_text_has_the_form_takes_one_way_through_it(end: str) -> None:
    for size in (100, 1000, 8000):
        Counted.gone = 0
        assert Form(THREE).takes(Counted("-" * size + end)) is (end == ".json")
        assert Counted.gone <= size


@pytest.mark.parametrize("kinds", [("never",) * 3, ("any", "any", "never"), ("any", "even", "never")])
def test_how_much_is_held_against_parameters_has_a_bound_however_long_the_text(
    kinds: tuple[str, ...],
) -> None:
    characters = 0

    def counting(fit: Callable[[str], bool] | None) -> Callable[[str], bool] | None:
        if fit is None:
            return None

        def fits(text: str) -> bool:
            nonlocal characters
            characters += len(text)
            return fit(text)

        return fits

    fits = [counting(_FITS[kind]) for kind in kinds]
    for size in (100, 1000, 8000):
        characters = 0
        assert Form(THREE).misfit("-" * size + ".json", fits) is not None
        assert characters <= MAX_STEPS


def test_parameters_that_may_be_anything_are_not_counted() -> None:
    assert Form(THREE).misfit("-" * 8000 + ".json", [None, None, None]) is None


def test_the_parameter_is_told_with_which_no_division_goes_on() -> None:
    assert Form(THREE).misfit("a-b-c.json", [None, str.isdecimal, None]) == 1
    assert Form(THREE).misfit("a-b-c.json", [None, None, str.isdecimal]) == 2
    assert Form(THREE).misfit("a-b-1-c.json", [None, str.isdecimal, None]) is None
