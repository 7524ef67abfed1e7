"""Rows by path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rbac.table import Reading, Table, covers
from gateway.api.regex import compile_path
from gateway.http.target import matchable
from gateway.http.template import parse, pattern

TEMPLATES = [
    "/",
    "/{rest*}",
    "/a",
    "/a/",
    "/a/{x}",
    "/a/{x}/",
    "/a/{rest*}",
    "/a/b",
    "/{x}/b",
    "/{x}/{y}",
    "/{x}/{rest*}",
    "/a/{x}/b",
    "/a/b/{rest*}",
    "/{x}",
]


def found(path: str, templates: list[str] = TEMPLATES) -> list[str]:
    table = Table()
    for number, template in enumerate(templates):
        table.add_template(number, template)
    return [templates[number] for number in table.rows(Reading(path[1:].split("/"), path))]


def test_all_rows_of_a_path_are_found_in_their_order() -> None:
    assert found("/a/b") == ["/{rest*}", "/a/{x}", "/a/{rest*}", "/a/b", "/{x}/b", "/{x}/{y}", "/{x}/{rest*}"]
    assert found("/") == ["/", "/{rest*}"]
    assert found("/a/") == ["/{rest*}", "/a/"]
    assert found("/z") == ["/{rest*}", "/{x}"]


SEGMENTS = st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=1, max_size=4)


@given(SEGMENTS)
def test_a_template_has_the_paths_that_it_has_as_a_route(segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    assert found(path) == [one for one in TEMPLATES if pattern(one).fullmatch(matchable(path))]


@given(st.sampled_from(TEMPLATES), st.sampled_from(TEMPLATES), SEGMENTS)
def test_a_template_that_covers_another_has_all_its_paths(
    earlier: str, later: str, segments: list[str]
) -> None:
    path = "/" + "/".join(segments)
    if covers(parse(earlier), parse(later)) and pattern(later).fullmatch(path):
        assert pattern(earlier).fullmatch(path)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("/a/{x}", "/a/b"),
        ("/a/{x}", "/a/{y}"),
        ("/{x}/{y}", "/a/b"),
        ("/a/{rest*}", "/a/{x}/"),
        ("/a/{rest*}", "/a/{x*}"),
        ("/{rest*}", "/"),
        ("/a%3Ab", "/a:b"),
    ],
)
def test_templates_that_cover_others_are_known(earlier: str, later: str) -> None:
    assert covers(parse(earlier), parse(later))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [("/a/b", "/a/{x}"), ("/a/{rest*}", "/a"), ("/a/{rest*}", "/a/"), ("/a/{x}", "/a/{x*}"), ("/A", "/a")],
)
def test_templates_that_do_not_cover_others_are_known(earlier: str, later: str) -> None:
    assert not covers(parse(earlier), parse(later))


def test_regular_expressions_must_match_the_whole_path() -> None:
    table = Table()
    table.add_template(1, "/a")
    table.add_regex(0, compile_path("/a|/b"))
    assert table.has_regexes
    assert table.rows(Reading(["a"], "/a")) == [0, 1]
    assert table.rows(Reading(["ab"], "/ab")) == []
