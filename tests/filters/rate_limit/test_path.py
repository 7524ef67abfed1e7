"""Which paths a limit is for, and what its key takes of one."""

import pytest

from filters.rate_limit.path import PathTest, group_of, pattern_of
from gateway.api.regex import LONGEST


@pytest.mark.parametrize(
    ("path", "groups", "asked", "captured"),
    [
        ("/v2/{p}/servers/{id}", (2,), "/v2/a/servers/b", ("b",)),
        ("/v2/{p}/servers/{id}", (1, 2), "/v2/a/servers/b", ("a", "b")),
        ("/v2/{p}/servers/{id}", (), "/v2/a/servers/b", ()),
        ("/v2/{p}/servers/{id}", (1,), "/v2/a/images/b", None),
        ("/v2/{rest*}", (1,), "/v2/a/b", ("a/b",)),
        ("/v2/{rest*}", (1,), "/v2/", None),
        ("/v2/{id}.json", (1,), "/v2/a.json", ("a",)),
        # One spelling of a path is another's bucket, not a new one.
        ("/v2/{p}/servers", (1,), "/v2/%61bc/s%65rvers", ("abc",)),
        ("/v2/{p}/servers", (1,), "/v2/a%2Fb/servers", ("a/b",)),
        ("/v2/{p}/servers", (1,), "/v2/%2561/servers", ("%61",)),
        ("/v2/{p}/servers", (1,), "/v2/%C5%BE/servers", ("ž",)),
        ("regex:/v2/([^/]+)/(servers|images)(/.*)?", (1, 2, 3), "/v2/a/images", ("a", "images", None)),
        ("regex:/v2/([^/]+)/(servers|images)(/.*)?", (3,), "/v2/a/images/", ("/",)),
    ],
)
def test_captures(path: str, groups: tuple[int, ...], asked: str, captured: object) -> None:
    assert PathTest(path, groups).captured(asked) == captured


def test_groups_are_kept_apart() -> None:
    test = PathTest("regex:/([a-e]+)/([d-f]+)", (1, 2))
    assert test.captured("/abc/def") != test.captured("/abcde/f")


def test_a_long_text_is_kept_as_its_hash() -> None:
    test = PathTest("/{name}", (1,))
    first, second = test.captured("/" + "a" * 500), test.captured("/" + "a" * 499 + "b")
    assert first != second
    assert len(repr(first)) < 100


def test_a_path_that_is_too_long_for_a_regex_does_not_escape() -> None:
    path = "/" + "a" * LONGEST
    assert PathTest("regex:/b").captured(path) == ()
    assert PathTest("regex:/(b)", (1,)).captured(path) == ("too long",)
    assert PathTest("/b").captured(path) is None


@pytest.mark.parametrize("template", ["/{a}-{b}", "/{a*}/{b}", "/{a*}-{b}.json"])
def test_a_path_that_is_too_long_to_be_divided_among_parameters_does_not_escape(template: str) -> None:
    path = "/" + "-/" * LONGEST
    assert PathTest(template).captured(path) == ()
    assert PathTest(template, (2,)).captured(path) == ("too long",)
    assert PathTest(template, (1, 2)).captured("/x-y") == (("x", "y") if template == "/{a}-{b}" else None)


@pytest.mark.parametrize("template", ["/{a}", "/{a}/{b}", "/x{a}.json", "/{a}/{b*}"])
def test_a_path_that_there_is_one_way_to_divide_may_be_long(template: str) -> None:
    assert PathTest(template).captured("/" + "a" * LONGEST + "?") in (None, ())
    assert PathTest(template, (1,)).captured("/" + "a" * LONGEST + "?") != ("too long",)


def test_groups_are_found_by_name_and_number() -> None:
    pattern = pattern_of("regex:/(?P<a>x)/(y)")
    assert (group_of(pattern, "a"), group_of(pattern, "1"), group_of(pattern, "2")) == (1, 1, 2)
    assert (group_of(pattern, "b"), group_of(pattern, "0"), group_of(pattern, "3")) == (None, None, None)
    assert group_of(pattern_of("/{a}/{b}"), "b") == 2


def test_a_parameter_stands_once() -> None:
    with pytest.raises(ValueError, match="not a template"):
        pattern_of("/{a}/{a}")
