"""Media types in options."""

import pytest
from pydantic import TypeAdapter

from filters._media import MediaRange, MediaType, is_among


@pytest.mark.parametrize("text", ["application/json", "text/plain; charset=utf-8"])
def test_a_media_type_may_have_parameters(text: str) -> None:
    assert TypeAdapter(MediaType).validate_python(text) == text


@pytest.mark.parametrize("text", ["", "json", "text/*", "*/*", "a/b\n", "text/plain; charset"])
def test_what_is_no_media_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        TypeAdapter(MediaType).validate_python(text)


@pytest.mark.parametrize("text", ["*/*", "text/*", "Application/JSON"])
def test_a_range_is_held_in_lower_case(text: str) -> None:
    assert TypeAdapter(MediaRange).validate_python(text) == text.lower()


@pytest.mark.parametrize("text", ["*", "*/json", "text/p*", "te*/plain", "text/plain; charset=utf-8"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        TypeAdapter(MediaRange).validate_python(text)


@pytest.mark.parametrize(
    ("value", "ranges", "among"),
    [
        ("text/plain", {"text/plain"}, True),
        ("Text/Plain; charset=utf-8", {"text/plain"}, True),
        ("text/plain", {"text/*"}, True),
        ("text/plain", {"*/*"}, True),
        ("text/plain", {"text/html", "image/*"}, False),
        ("nonsense", {"*/*"}, False),
        ("text/*", {"text/plain"}, False),
    ],
)
def test_is_among(value: str, ranges: set[str], among: bool) -> None:
    assert is_among(value, ranges) is among
