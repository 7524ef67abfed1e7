"""JSON that no two readers take for two things."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters._json import DuplicateKey, TooDeep, check_depth, loads

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def _deep(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_deep, inner), default=0)


@given(_JSON, st.booleans())
def test_a_document_is_read_where_it_nests_no_deeper(value: Any, escaped: bool) -> None:
    raw = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "replace")
    assert loads(raw, max(1, _deep(value))) == json.loads(raw)
    if _deep(value) > 1:
        with pytest.raises(TooDeep):
            loads(raw, _deep(value) - 1)


@pytest.mark.parametrize("raw", [b'{"a": 1, "a": 1}', b'[{"x": {"b": ":", "\\u0062": 1}}]'])
def test_a_key_named_twice_is_found(raw: bytes) -> None:
    with pytest.raises(DuplicateKey):
        loads(raw, 9)


@pytest.mark.parametrize("raw", [b"1e999", b"", b"{", b"NaN", b'"\\ud800"'])
def test_what_is_not_strict_or_beyond_a_double_is_no_value(raw: bytes) -> None:
    with pytest.raises(ValueError):
        loads(raw, 9)


@pytest.mark.parametrize(
    "raw",
    [b"[[[", b"[[[1", b"[" * 100_000, b'{"a": ' * 2000, b'{"a": [[[]]], "a": 1}', b'{"a": 1, "a": [[[]]]}'],
)
def test_what_nests_too_deep_is_that_whatever_else_is_wrong_with_it(raw: bytes) -> None:
    with pytest.raises(TooDeep):
        loads(raw, 2)


def test_many_containers_beside_one_another_do_not_nest() -> None:
    assert loads(b"[" + b"[],{}," * 50 + b"0]", 2)[-1] == 0


def test_brackets_in_strings_do_not_nest() -> None:
    check_depth(b'["[[[[", "\\"[[["]', 1)
