import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.target import matchable
from gateway.http.template import Segment, meet, parse, pattern


def test_parses_literals_and_parameters() -> None:
    assert parse("/v2/{project_id}/%69mages/{rest*}") == (
        Segment("v2", "", False),
        Segment(None, "project_id", False),
        Segment("images", "", False),
        Segment(None, "rest", True),
    )
    assert parse("/") == (Segment("", "", False),)
    assert parse("/a/") == (Segment("a", "", False), Segment("", "", False))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "begins with"),
        ("v2", "begins with"),
        ("/a//b", "empty segments"),
        ("//", "empty segments"),
        ("/a/../b", "dot segments"),
        ("/%2e%2E", "dot segments"),
        ("/a b", "cannot hold"),
        ("/a?b", "cannot hold"),
        ("/é", "cannot hold"),
        ("/%zz", "cannot hold"),
        ("/a\n", "cannot hold"),
        ("/{a}/{a}", "occurs twice"),
        ("/{a*}/b", "nothing can follow"),
        ("/{a*}/", "nothing can follow"),
        ("/{A}", "whole segment"),
        ("/{1a}", "whole segment"),
        ("/{}", "whole segment"),
        ("/{*}", "whole segment"),
        ("/v{a}", "whole segment"),
        ("/{a}.json", "whole segment"),
        ("/{a", "whole segment"),
        ("/{a}\n", "whole segment"),
        ("/a" * 65, "at most 64"),
    ],
)
def test_refuses_a_bad_template_with_a_sentence(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(template)


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        ("/", "/", {}),
        ("/a.b", "/a.b", {}),
        ("/a/{x}", "/a/b%2Fc", {"x": "b%2Fc"}),
        ("/a/{x}/", "/a/b/", {"x": "b"}),
        ("/a/{rest*}", "/a/b/c/", {"rest": "b/c/"}),
        ("/{rest*}", "/", {"rest": ""}),
        ("/{rest*}", "/a/b", {"rest": "a/b"}),
        ("/a%2bb", "/a%2Bb", {}),
        ("/a%2Bb", "/a%2bb", {}),
    ],
)
def test_the_pattern_matches_and_names_parameters(template: str, path: str, params: dict[str, str]) -> None:
    match = pattern(template).fullmatch(path)
    assert match is not None
    assert match.groupdict() == params


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/", ""),
        ("/a.b", "/axb"),
        ("/a", "/a/"),
        ("/a", "/a\n"),
        ("/a", "/A"),
        ("/a/{x}", "/a/"),
        ("/a/{x}", "/a/b/c"),
        ("/a/{rest*}", "/a/"),
        ("/a/{rest*}", "/a"),
    ],
)
def test_the_pattern_matches_nothing_else(template: str, path: str) -> None:
    assert pattern(template).fullmatch(path) is None


def test_a_template_of_the_greatest_depth_compiles_and_matches() -> None:
    template = "".join(f"/{{p{place}}}" for place in range(64))
    assert pattern(template).fullmatch(matchable("/x" * 64)) is not None


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("/a", "/a", True),
        ("/a", "/b", False),
        ("/a", "/a/", False),
        ("/a/{x}", "/a/", False),
        ("/a/{x}", "/{y}/b", True),
        ("/a/{x}/c", "/{y}/b/d", False),
        ("/a/b/c", "/a/{rest*}", True),
        ("/a", "/a/{rest*}", False),
        ("/{rest*}", "/", True),
        ("/a%2fb", "/a%2Fb", True),
    ],
)
def test_two_templates_meet_where_a_path_is_of_both(one: str, other: str, found: bool) -> None:
    assert meet(one, other) is meet(other, one) is found


_TEMPLATES = st.lists(st.sampled_from(["a", "b", "{x}"]), max_size=3).flatmap(
    lambda parts: st.sampled_from(["", "/", "/{rest*}"]).map(
        lambda end: (
            "/".join(["", *(f"{{p{n}}}" if part == "{x}" else part for n, part in enumerate(parts))]) + end
            or "/"
        )
    )
)


@given(_TEMPLATES, _TEMPLATES, st.from_regex(r"(/[ab]){1,4}/?", fullmatch=True))
def test_templates_that_match_the_same_path_meet(one: str, other: str, path: str) -> None:
    if pattern(one).fullmatch(path) and pattern(other).fullmatch(path):
        assert meet(one, other)
