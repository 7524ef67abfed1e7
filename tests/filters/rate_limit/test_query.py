"""Names of parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit.query import folded_name, query_names


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (None, set()),
        ("", set()),
        ("a=1&b", {"a", "b"}),
        ("Changes-Since=2020", {"changes-since"}),
        ("chang%65s-since=1", {"changes-since"}),
        ("a+b=1&c%20d=2", {"a b", "c d"}),
        ("a=1&&=x", {"a", ""}),
        ("x=changes-since", {"x"}),
        ("%C5%BD=1", {"ž"}),
        ("\xc5\xbd=1", {"ž"}),
        ("%FF=1", {"\ufffd"}),
        ("a;b=1", {"a;b"}),
        ("%zz=1", {"%zz"}),
    ],
)
def test_names(query: str | None, names: set[str]) -> None:
    assert query_names(query) == names


def test_an_options_name_may_be_encoded_too() -> None:
    assert folded_name("Changes%2DSince") == "changes-since"


@given(st.text(st.characters(max_codepoint=255)))
def test_any_query_has_names(query: str) -> None:
    query_names(query)
