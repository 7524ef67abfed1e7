"""Paths into JSON: what they lead to, and what is no path."""

from typing import Any

import pytest

from gateway.api.json_path import depth, parse_path, places, walk

DOCUMENT: dict[str, Any] = {
    "auth": {"identity": {"password": {"user": {"name": "alice", "password": "p-1"}}}},
    "servers": [{"name": "a", "pass word": 1}, {"name": "b"}, 7],
    "token": {"token": "t"},
}


def values(text: str) -> list[Any]:
    return [place.container[place.key] for place in places([DOCUMENT], parse_path(text))]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [DOCUMENT]),
        ("$.auth.identity.password.user.password", ["p-1"]),
        ("$.servers[1].name", ["b"]),
        ("$.servers[*].name", ["a", "b"]),
        ("$['servers'][0]['pass word']", [1]),
        ("$..name", ["alice", "a", "b"]),
        ("$..token", [{"token": "t"}, "t"]),
        ("$.token[*]", ["t"]),
        ("$.auth..password", [DOCUMENT["auth"]["identity"]["password"], "p-1"]),
        ("$.servers[9]", []),
        ("$.servers.name", []),
        ("$.auth[0]", []),
        ("$.missing.name", []),
    ],
)
def test_leads_to(path: str, found: list[Any]) -> None:
    assert sorted(map(str, values(path))) == sorted(map(str, found))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("auth", "begins with '\\$'"),
        ("", "begins with '\\$'"),
        ("$.", "at character 2 of"),
        ("$.a[", "at character 4 of"),
        ("$.a[-1]", "at character 4 of"),
        ("$.a.*", "at character 4 of"),
        ("$..*", "at character 2 of"),
        ("$.a[?(@.b)]", "at character 4 of"),
        ('$["a"]', "at character 2 of"),
        ("$.a b", "at character 4 of"),
    ],
)
def test_says_where_a_path_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_path(text)


def test_a_deep_document_is_walked_and_measured_all_the_same() -> None:
    deep: Any = "end"
    for _ in range(5000):
        deep = [deep]
    assert depth(deep) == 5000
    assert len(walk(deep)) == 5000
    assert (depth("a"), depth([]), depth({"a": [1]})) == (0, 0, 2)


def test_values_that_lie_in_one_another_are_found_once_each() -> None:
    document: dict[str, Any] = {"a": 0}
    for _ in range(300):
        document = {"a": document}
    assert len(places([document], parse_path("$..a"))) == 301
    assert len(places([document], parse_path("$..a..a..a..a"))) == 298
    lists = [[{"a": 1}], {"a": [{"a": 2}]}]
    found = places([lists], parse_path("$[*]..a"))
    assert [place.container[place.key] for place in found] == [1, [{"a": 2}], 2]
