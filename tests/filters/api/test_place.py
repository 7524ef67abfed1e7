"""At how many places of a pattern a text can be at once."""

import pytest

from filters.api.place import places


@pytest.mark.parametrize(
    ("pattern", "most"),
    [
        ("", 1),
        ("^[a-z]{1,255}$", 1),
        ("^[^]/]+$", 1),
        (r"^[\]a]$", 1),
        ("^[a-zA-Z][a-zA-Z0-9._-]{0,62}$", 2),
        ("^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$", 5),
        ("abc", 3),
        ("a{3}", 3),
        ("^ab|a", 3),
        (r"\p{Lu}\x{61}\d", 3),
        ("[ab]*a[ab]{300}$", 302),
        ("^[ab]*a[ab]{300}$", 302),
        ("(a|b)*a(a|b){1000}c", 2004),
        ("^.*a.{0,200}b.{0,200}c$", 404),
        ("(a{1000}){1000}(a{1000}){1000}", 1 << 20),
        ("(" * 50 + "a+" + ")*" * 50, 1),
        ("(" * 5000 + "a" + ")" * 5000, 1 << 20),
        ("(a", 1),
        ("^(?!admin)a", 0),
        (r"(a)\1", 0),
        (r"\\1(?:a)", 3),
    ],
)
def test_places_are_told_from_what_may_have_begun_where(pattern: str, most: int) -> None:
    assert places(pattern) == most
