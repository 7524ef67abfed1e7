import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.listing import members, unquoted


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("a, b ,\tc", ["a", "b", "c"]),
        ('a="x,y", b', ['a="x,y"', "b"]),
        (r'a="x\",y", b', [r'a="x\",y"', "b"]),
        ('""', ['""']),
        ('a, "b', None),
        (r'a, "b\"', None),
    ],
)
def test_splits_at_commas_outside_of_quotes(value: str, expected: list[str] | None) -> None:
    assert members(value) == expected


def test_splits_at_semicolons_when_asked() -> None:
    assert members('for="[::1];x";proto=http', ";") == ['for="[::1];x"', "proto=http"]


@given(st.lists(st.text('ab,;\\" \x00', max_size=8), max_size=5))
def test_quoted_members_come_back_whole(texts: list[str]) -> None:
    quoted = ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts]
    assert members(",".join(quoted)) == quoted
    assert [unquoted(part) for part in quoted] == texts


@given(st.text('",;\\ a', max_size=30))
def test_never_raises(value: str) -> None:
    found = members(value)
    assert found is None or all(found)


def test_hostile_quotes_cost_linear_time() -> None:
    # With backtracking this would take minutes.
    assert members('"\\' * 100_000) is None


@pytest.mark.parametrize(("value", "text"), [("a", "a"), ('"', '"'), ('""', ""), (r'"a\"b\\"', 'a"b\\')])
def test_unquotes_a_quoted_string_only(value: str, text: str) -> None:
    assert unquoted(value) == text
