"""Expressions of Java in this gateway's words: the same paths match."""

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.template import pattern
from gateway.migration.expression import (
    REGEX,
    always_groups,
    first_group_only,
    found,
    is_everything,
    paths,
    templates,
    whole,
)


@pytest.mark.parametrize("java", ["(a+)+b", "(.*)/(.*)/(.*)x", "(", "(?:a|aa)+"])
def test_what_is_none_or_could_run_for_long_is_refused(java: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|match for"):
        whole(java)


def test_what_gives_nothing_back_is_made_possessive_and_matches_the_same() -> None:
    java = r".*/servers/([-|\w]+)/?.*"
    made = whole(java)
    assert made == r"(?a).*/servers/([-|\w]+)/?.*+"
    for path in ("/v1/servers/7", "/servers/7/x/y", "/servers/", "/x"):
        assert _groups(made, path) == _groups(java, path)
    begin = perf_counter()
    re.fullmatch(made, "/servers/" * 200 + "\n", re.DOTALL)
    assert perf_counter() - begin < 5


def _groups(expression: str, path: str) -> tuple[str, ...] | None:
    match = re.fullmatch(expression, path, re.DOTALL)
    return None if match is None else match.groups()


def test_what_takes_a_slash_is_not_made_possessive() -> None:
    for java in (r"/a(.*)/([\W]+)/(.*)x", r"/a(.*)/([%-@]+)/(.*)x"):
        with pytest.raises(ValueError, match="side by side"):
            whole(java)


PATHS = st.lists(st.sampled_from(["v1", "v2", "servers", "a.b", "7", "", "x-y"]), min_size=1, max_size=4).map(
    lambda segments: "/" + "/".join(segments)
)
EXPRESSIONS = st.sampled_from(
    [
        "/v1/([^/]+)",
        "/v[12]/servers",
        "^/v1/.*",
        "/servers/?$",
        "v1|v2",
        r"(?i)/V1/(\w+)",
        r"a\.b",
        r"/a\.*",
        "[^/]+/([^/]+)/servers",
        "/v1/servers/.+",
    ]
)


@given(EXPRESSIONS, PATHS)
def test_what_is_looked_for_anywhere_is_found_in_the_same_paths(java: str, path: str) -> None:
    expected = re.search(java, path)
    got = re.fullmatch(found(java), path, re.DOTALL)
    assert (got is None) == (expected is None)
    if got is not None and expected is not None:
        assert got.groups() == expected.groups()


@pytest.mark.parametrize(
    ("java", "expected"),
    [
        ("/v1/[^/]+/public", ["/v1/{a}/public"]),
        ("^/v1/([^/]+)/.*$", ["/v1/{a}/", "/v1/{a}/{rest*}"]),
        (r"/a\.b/?", ["/a.b", "/a.b/"]),
        ("/v1(/.*)?", ["/v1", "/v1/", "/v1/{rest*}"]),
        ("/v1/.+", ["/v1/{rest*}"]),
        (".*", ["/{rest*}"]),
        ("/v1/[^/]*", [REGEX + "/v1/[^/]*"]),
        ("/v1.0/x", [REGEX + "/v1.0/x"]),
        ("/v1s?", [REGEX + "/v1s?"]),
        ("/a|/b", [REGEX + "/a|/b"]),
        (r"/\w+/x", [REGEX + r"(?a)/\w+/x"]),
    ],
)
def test_a_condition_is_templates_where_these_say_the_same(java: str, expected: list[str]) -> None:
    assert paths(java) == expected


@given(
    st.sampled_from(
        [
            r".*/servers/([-\w]+)/?x.*",
            r".*/([^/]+)/?.*/(.*)",
            r".*/([^/]*)/([^/]+)",
            r"(.*)/v\d+/(.+)",
            r".*(/[^/]+)+/x",
            r"/[^/]+/.*/[^/]+/.*",
        ]
    ),
    PATHS,
)
def test_what_matches_a_whole_path_matches_the_same(java: str, path: str) -> None:
    try:
        made = whole(java)
    except ValueError:
        return
    assert _groups(made, path) == _groups(java, path)


SEGMENTS = st.sampled_from(["v1", "[^/]+", "([^/]+)", "servers", r"a\.b", "(?<x>[^/]+)"])
TAILS = st.sampled_from(["", "/", "/?", "/.*", "/.+", "(/.*)?", "/(.*)"])


@given(st.lists(SEGMENTS, min_size=1, max_size=3, unique=True), TAILS, PATHS)
def test_templates_match_what_the_expression_does(segments: list[str], tail: str, path: str) -> None:
    java = "/" + "/".join(segments) + tail
    made = templates(java)
    assert made is not None
    matches = any(pattern(template).fullmatch(path) for template in made)
    assert matches == (re.fullmatch(whole(java), path) is not None)


def test_a_condition_on_what_is_looked_for_anywhere() -> None:
    assert paths("/v1/.*", anywhere=True) == [REGEX + ".*?/v1/.*"]
    assert paths("/.*", anywhere=True) == ["/{rest*}"]


def test_what_is_for_every_path() -> None:
    assert all(map(is_everything, (".*", "/.*", "^.*$")))
    assert not is_everything("/v1/.*")


def test_one_group_is_left_and_may_have_a_name() -> None:
    assert first_group_only(r"/(v1|v2)/([^/]+)\(x\)[(]") == r"/(v1|v2)/(?:[^/]+)\(x\)[(]"
    assert (
        first_group_only("/(?:a|b)/(?P<t>[^/]+)/(.*)", "project_id")
        == "/(?:a|b)/(?P<project_id>[^/]+)/(?:.*)"
    )
    with pytest.raises(ValueError, match="no group"):
        first_group_only("/(?:a)")


@pytest.mark.parametrize(
    ("text", "always"),
    [
        ("/a/([^/]+)", True),
        ("/a/(?:x/([^/]+)|y)", False),
        ("/a(?:/([^/]+))?", False),
        ("(?:/([^/]+))++", True),
        ("/a(?>/([^/]+))", True),
        ("/a|/b/(x)", False),
        ("/(a)|/(b)", False),
    ],
)
def test_whether_the_first_group_takes_part_in_every_match(text: str, always: bool) -> None:
    assert always_groups(text) is always
