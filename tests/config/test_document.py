"""YAML text to values and places."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import document
from gateway.config.document import MAX_DEPTH, MAX_VALUES, decode, read, resolve
from gateway.config.problem import ConfigurationError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("y", "y"),
        ("tRue", "tRue"),
        ("12", 12),
        ("-0", 0),
        ("+7", 7),
        ("017", 17),
        ("0o17", 15),
        ("0xfF", 255),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1e", "1e"),
        (".", "."),
        ("-.inf", -math.inf),
        ("inf", "inf"),
        ("nan", "nan"),
        ("2030-01-31", "2030-01-31"),
        ("=", "="),
        ("٣", "٣"),
    ],
)
def test_resolves_by_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    resolved = resolve(text)
    assert (type(resolved), resolved) == (type(value), value)


def test_a_number_of_endless_digits_stays_text() -> None:
    assert resolve("9" * 5000) == "9" * 5000
    assert math.isnan(resolve(".nan"))


def test_marks_keys_and_items_in_characters() -> None:
    read_ = read("ž: [1, {ř: 2}]\nb:\n  - x\n", "f.yaml", {})
    places = {
        path: read_.marks.position(path)[1:] for path in [("ž",), ("ž", 0), ("ž", 1), ("ž", 1, "ř"), ("b", 0)]
    }
    assert places == {
        ("ž",): (1, 1),
        ("ž", 0): (1, 5),
        ("ž", 1): (1, 8),
        ("ž", 1, "ř"): (1, 9),
        ("b", 0): (3, 5),
    }


def test_a_path_that_is_not_written_has_the_place_of_its_parent() -> None:
    marks = read("\na: {b: 1}\n", "f.yaml", {}).marks
    assert str(marks.position(("a", "b", "c", 3))) == "f.yaml:2:5"
    assert str(marks.position(("z",))) == "f.yaml:2:1"


def test_quoted_text_is_never_resolved() -> None:
    assert read("""a: "1"\nb: 'true'\nc: |\n  5\nd: "${N}"\ne: ${N}\n""", "f", {"N": "7"}).value == {
        "a": "1",
        "b": "true",
        "c": "5\n",
        "d": "7",
        "e": 7,
    }


def test_what_a_variable_holds_is_not_read_as_yaml_or_as_another_variable() -> None:
    assert read("a: ${X}\nb: x${X}\n", "f", {"X": "[${Y}]"}).value == {"a": "[${Y}]", "b": "x[${Y}]"}


def test_two_bad_values_are_two_problems_and_the_rest_is_read() -> None:
    found = read("a: ${A}\nb: 1\nb: 2\nc: 3\n", "f", {})
    assert [(problem.line, problem.code) for problem in sorted(found.problems)] == [
        (1, "variable_unset"),
        (3, "duplicate_key"),
    ]
    assert found.value == {"a": None, "b": 1, "c": 3}
    assert found.broken == {("a",)}


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"a: \xff", (1, 4), "not UTF-8: byte 0xff"),
        ("a: ž\nž".encode() + b"\xc3", (2, 2), "not UTF-8: byte 0xc3"),
        (b"a" * (document.MAX_BYTES + 1), (0, 0), "the file is larger than 4 MiB"),
    ],
)
def test_refuses_bytes_that_are_no_text(data: bytes, place: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode(data, "f")
    [problem] = caught.value.problems
    assert (problem[1:3], problem.message) == (place, message)


def test_takes_a_byte_order_mark() -> None:
    assert read(decode(b"\xef\xbb\xbfa: 1", "f"), "f", {}).value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb: x\0y", (2, 5), "the text holds a NUL character"),
        ("a: \x1b[0m", (1, 4), "the text holds the character U+001B, which YAML does not allow"),
        ("a: \ud800", (1, 4), "the text holds the character U+D800, which YAML does not allow"),
    ],
)
def test_refuses_characters_that_yaml_does_not_allow(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(text, "f", {})
    [problem] = caught.value.problems
    assert (problem[1:3], problem.message) == (place, message)


def test_aliases_cannot_grow_without_bound() -> None:
    merged = "a0: &a0 {k: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 60)}]}}\n" for n in range(1, 9)
    )
    with pytest.raises(ConfigurationError, match=f"more than {MAX_VALUES} values"):
        read(merged, "f", {})


def test_aliases_cannot_nest_without_bound() -> None:
    chain = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 3000))
    with pytest.raises(ConfigurationError, match=f"nested more than {MAX_DEPTH} deep"):
        read(chain, "f", {})
    chain = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000))
    with pytest.raises(ConfigurationError, match=f"nested more than {MAX_DEPTH} deep"):
        read(chain, "f", {})


def test_brackets_without_end_are_refused_at_once() -> None:
    for text in ("[" * 100_000, "- " * 100_000, "? " * 50_000, "{a: " * 50_000):
        with pytest.raises(ConfigurationError):
            read(text, "f", {})


_TEXT = st.text(
    st.characters(exclude_categories=("C", "Z"), include_characters=" \n\t\0", exclude_characters="$"),
    max_size=50,
)
_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
)


@given(
    st.dictionaries(
        _TEXT,
        st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner), max_leaves=20),
        min_size=1,
    ),
    st.sampled_from([None, 2]),
)
def test_reads_json_as_json_does(value: dict[str, object], indent: int | None) -> None:
    found = read(json.dumps(value, indent=indent, ensure_ascii=False), "f", {})
    assert (found.value, found.problems) == (value, [])
