"""Values written as YAML, and read again."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import read
from gateway.migration.writing import Noted, Reference, comment, plain, variables, written

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="{"), max_size=12
) | st.sampled_from(
    ["no", "null", "1", "1.5", "0x1f", "5/minute", "a: b", "- x", "$x", "$$", "${A}", "'\"\\", "", " "]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS.filter(bool), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, min_size=1))
def test_what_is_written_is_read_as_it_was(value: dict[str, Any]) -> None:
    document = read(written(value), "a.yaml", {})
    assert document.problems == []
    assert document.value == value


@given(VALUES, st.text(max_size=20), st.lists(VALUES, max_size=3))
def test_comments_change_nothing(value: Any, said: str, items: list[Any]) -> None:
    noted = {
        "a": Noted({"b": Noted(value, (said,)), "c": [Noted(item, (said, said)) for item in items]}, (said,))
    }
    document = read(written(noted), "a.yaml", {})
    assert document.problems == []
    assert document.value == plain(noted, {}) == {"a": {"b": value, "c": items}}


def test_a_comment_stands_above_what_it_speaks_of() -> None:
    value = {
        "filters": [
            Noted({"x": Noted({"k": [1, 2]}, ("of x",)), "y": {"a": {"b": 1}, "c": 2}}, ("first",)),
            "z",
        ]
    }
    assert written(value) == (
        "filters:\n  # first\n  # of x\n  - x: { k: [1, 2] }\n    y:\n      a: { b: 1 }\n      c: 2\n  - z\n"
    )


def test_a_comment_is_one_line() -> None:
    assert comment("a\nb\u2028c\x1b[0m") == "# a\\nb\\u2028c\\x1b[0m"


def test_a_reference_is_filled_in_when_it_is_read() -> None:
    value = {"a": Reference("PASSWORD", "change-me"), "b": Reference("B", prefix="$ $$")}
    text = written(value)
    assert text == 'a: "${PASSWORD:-change-me}"\n\nb: "$ $$$$${B}"\n'
    environment = {"PASSWORD": "p", "B": "b"}
    assert read(text, "a.yaml", environment).value == plain(value, environment) == {"a": "p", "b": "$ $$b"}


def test_a_variable_of_repose_is_one_of_ours() -> None:
    value = {"url": "http://{$ HOST $}:{$PORT$}"}
    assert written(value) == 'url: "http://${HOST}:${PORT}"\n'
    assert plain(value, {"HOST": "h", "PORT": "1"}) == {"url": "http://h:1"}


def test_variables_are_found_wherever_values_are_written() -> None:
    value = {"a": [Noted({"b": "{$ B $}{$A$}"}, ("{$ COMMENT $}",))], "{$ KEY $}": Reference("R", "{$ D $}")}
    assert list(variables(value)) == ["B", "A"]
