"""Text of descriptions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.problem import ConfigurationError
from gateway.description.source import MAX_VALUES, is_beside, path_of, pointer, read_source


def wrong(text: str | bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_source(text if isinstance(text, bytes) else text.encode(), "a.yaml")
    return str(caught.value)


def test_yaml_and_json_give_the_same_values_and_places() -> None:
    text = '{"a": {"b": [1, true, "x"]},\n "c": "^${x}$$"}'
    found = [read_source(given.encode(), "f") for given in (text, "# YAML\n" + text)]
    assert found[0].value == found[1].value == {"a": {"b": [1, True, "x"]}, "c": "^${x}$$"}
    assert str(found[0].position(("a", "b", 1))) == "f:1:17"
    assert str(found[1].position(("a", "b", 1))) == "f:2:17"
    assert str(found[0].position(("c",))) == "f:2:2"


def test_what_is_wrong_is_told_with_its_place_and_pointer() -> None:
    source = read_source(b"a:\n  b/c: 1\n", "f")
    source.wrong(("a", "b/c"), "is wrong")
    assert list(map(str, source.problems)) == ["f:2:3: /a/b~1c: is wrong"]


def test_json_that_is_no_yaml_is_read_all_the_same() -> None:
    source = read_source(b'{\t"a": "\\ud83d\\ude00",\n\t"{\\"": [1, {}]}', "f")
    assert source.value == {"a": "\U0001f600", '{"': [1, {}]}
    assert [str(source.position(path)) for path in (("a",), ('{"', 1))] == ["f:1:3", "f:2:13"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=3), _JSON, max_size=3), st.sampled_from([None, 1]))
def test_every_value_of_json_has_its_place(value: dict[str, Any], indent: int | None) -> None:
    """What stands there is the key, or in a list the value itself."""
    text = json.dumps(value, indent=indent)
    source = read_source(text.encode(), "f")
    lines = text.split("\n")

    def check(value: Any, path: tuple[str | int, ...]) -> None:
        _, line, column = source.position(path)
        there = lines[line - 1][column - 1 :]
        last = path[-1] if path else 0
        if isinstance(last, str):
            assert there.startswith(json.dumps(last))
        else:
            assert there[0] == json.dumps(value)[0]
        for key, inner in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            check(inner, (*path, key))

    check(value, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
        ("{", "a.yaml:1:2: not JSON"),
        ('{"a": NaN}', "NaN is no number"),
        ("a: 1\na: 2\n", "a.yaml:2:1: duplicate key 'a'"),
        ('{"a": ' + 70 * "[" + 70 * "]" + "}", "nested more than 64 deep"),
        ('{"a": ' + 100_000 * "[" + 100_000 * "]" + "}", "nested more than 64 deep"),
        ("a: " + 70 * "[" + 70 * "]", "nested more than 64 deep"),
        ("a: !!python/object:os.system 1", "tag"),
        ("a: \x00", "NUL"),
        ("", "empty"),
    ],
)
def test_hostile_text_is_refused(text: str, message: str) -> None:
    assert message in wrong(text)


def test_what_aliases_grow_to_is_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert f"more than {MAX_VALUES} values" in wrong("\n".join(lines))


def test_many_values_are_refused() -> None:
    assert f"more than {MAX_VALUES} values" in wrong(json.dumps({"a": [0] * (MAX_VALUES + 1)}))


def test_text_that_is_no_utf_8_is_refused() -> None:
    assert "not UTF-8" in wrong(b"a: \xff")


@pytest.mark.parametrize("name", ["a.xsd", "b/a.xsd", "./a.xsd", "b/../a.xsd"])
def test_files_beside_and_below_are_read(name: str) -> None:
    assert is_beside(name)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../a.xsd",
        "b/../../a.xsd",
        "http://a/b.xsd",
        "file:a.xsd",
        "..\\a.xsd",
        "..",
        ".",
        "//host/a",
    ],
)
def test_no_other_files_are_read(name: str) -> None:
    assert not is_beside(name)


def test_a_pointer_escapes_what_would_part_it() -> None:
    assert pointer(("paths", "/a/{b}", 0, "~")) == "/paths/~1a~1{b}/0/~0"


def test_a_reference_is_a_pointer_percent_encoded() -> None:
    assert path_of("#/a~1b/%7Bx%7D/~01") == ("a/b", "{x}", "~1")
    assert path_of("#") == ()
    assert path_of("a#/b") is None
