"""What an operation takes."""

import json
from typing import Any

import pytest

from filters.api.operation import CONTENT, PARAMETERS, ROLES, SCHEMA, WELL_FORMED, depth
from gateway.api import Fault
from tests.filters.api.judging import described, refused, verdict, written


@pytest.mark.parametrize(
    ("reason", "stage"),
    [
        ("content_type_unsupported", CONTENT),
        ("role_missing", ROLES),
        ("parameter_missing", PARAMETERS),
        ("json_invalid", WELL_FORMED),
        ("schema_mismatch", SCHEMA),
    ],
)
def test_refusals_have_their_order(reason: str, stage: int) -> None:
    assert depth(Fault(400, reason, "")) == stage
    assert CONTENT < ROLES < PARAMETERS < WELL_FORMED < SCHEMA


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/json", 0),
        ("Application/JSON; charset=utf-8", 0),
        ("application/x", 0),
        ("image/png", 415),
        ("nonsense", 415),
        ("text/plain", 415),
    ],
)
def test_the_most_particular_range_takes_a_body(kind: str, expected: int) -> None:
    content = {"application/json": {"schema": {"type": "array"}}, "application/*": {}}
    api = described({"/a": {"put": {"requestBody": {"content": content}}}})
    assert refused(api, "PUT", "/a", b"[]", {"Content-Type": kind})[0] == expected
    assert refused(api, "PUT", "/a", b"{}", {"Content-Type": "application/json"})[0] == 400
    assert refused(api, "PUT", "/a", b"{}", {"Content-Type": "application/x"})[0] == 0


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; version=2; version=3",
        "text/plain; a=1; A=1",
    ],
)
@pytest.mark.parametrize(
    "content",
    [
        {"*/*": {}, "application/json": {}, "application/json; version=2": {"schema": {"type": "boolean"}}},
        {"application/*": {}, "text/plain": {}},
        {"*/*": {"schema": {}}},
    ],
)
def test_a_parameter_of_a_media_type_that_stands_twice_is_none(kind: str, content: dict[str, object]) -> None:
    api = described({"/a": {"put": {"requestBody": {"content": content}}}})
    assert refused(api, "PUT", "/a", b"true", {"Content-Type": kind}) == (415, "content_type_unsupported")
    assert refused(api, "PUT", "/a", b"true", {"Content-Type": kind.rpartition(";")[0]}) == (0, "")


def test_however_many_media_types_come_each_is_judged_as_if_it_were_the_first() -> None:
    api = described({"/a": {"put": {"requestBody": {"content": {"application/json": {"schema": NODE}}}}}})
    kinds = [(f"application/json; n={number}", 0) for number in range(20)]
    kinds += [(f"text/x{number}", 415) for number in range(20)]
    kinds += [("application/json; x=" + "y" * 200, 0), ("application/json; charset=latin1", 415)]
    for kind, expected in [*kinds, *kinds[::-1]]:
        assert refused(api, "PUT", "/a", b"{}", {"Content-Type": kind})[0] == expected


def test_a_coding_counts_beside_a_media_type_that_came_without_one() -> None:
    api = described({"/a": {"put": {"requestBody": {"content": {"application/json": {}}}}}})
    for coding, expected in (
        ({}, (0, "")),
        ({"Content-Encoding": "gzip"}, (415, "content_encoding_unsupported")),
        ({"Content-Encoding": "Identity"}, (0, "")),
    ):
        assert refused(api, "PUT", "/a", b"{}", {"Content-Type": "application/json", **coding}) == expected
    latin = {"Content-Type": "application/json; charset=latin1", "Content-Encoding": "identity"}
    assert refused(api, "PUT", "/a", b"{}", latin) == (415, "content_type_unsupported")


NODE = {"type": "object"}
VERSIONED = {
    "application/json": {"schema": NODE},
    "application/json; version=2": {"schema": {"type": "integer"}},
    "application/json; Version=2; kind=b": {"schema": {"type": "null"}},
}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("application/json; charset=utf-8", b"{}"),
        ("application/json; version=1", b"{}"),
        ("application/json; version=2", b"5"),
        ('Application/JSON;VERSION="2";charset=utf-8', b"5"),
        ("application/json; kind=a; version=2", b"5"),
        ("application/json; kind=b; version=2", b"null"),
        ("application/json; version=2; version=1", None),
        ("application/json; version=2; version=2", None),
    ],
)
def test_of_media_types_that_differ_by_parameters_the_most_particular_takes_a_body(
    order: int, kind: str, body: bytes | None
) -> None:
    content = dict(list(VERSIONED.items())[::order])
    paths = {"/a": {"put": {"requestBody": {"content": content}}}}
    api = written(json.dumps({"openapi": "3.1.0", "paths": paths}), "api.json")
    for other in (b"{}", b"5", b"null"):
        expected = 415 if body is None else 0 if other == body else 400
        assert refused(api, "PUT", "/a", other, {"Content-Type": kind})[0] == expected


def test_parameters_that_are_described_are_asked_for_and_named() -> None:
    content: dict[str, Any] = {"application/json; version=2": {}, "text/*": {}, 'image/png;x="a b"': {}}
    api = described({"/a": {"put": {"requestBody": {"content": content}}}})
    assert refused(api, "PUT", "/a", b"{}", {"Content-Type": "application/json; version=2"})[0] == 0
    assert refused(api, "PUT", "/a", b"x", {"Content-Type": "text/x; y=z"})[0] == 0
    found = verdict(api, "PUT", "/a", b"{}", {"Content-Type": "application/json"})
    assert isinstance(found, Fault) and found.status == 415
    assert found.headers == (("Accept", 'application/json; version=2, image/png; x="a b", text/*'),)


@pytest.mark.parametrize("described_as", ["application/json", "application/json; charset=utf-8"])
def test_a_charset_alone_does_not_set_a_body_apart(described_as: str) -> None:
    api = described({"/a": {"put": {"requestBody": {"content": {described_as: {"schema": NODE}}}}}})
    for kind in ("application/json", "application/json;charset=UTF-8"):
        assert refused(api, "PUT", "/a", b"{}", {"Content-Type": kind})[0] == 0
        assert refused(api, "PUT", "/a", b"5", {"Content-Type": kind})[0] == 400


def test_of_two_that_differ_by_their_charset_alone_each_takes_its_own() -> None:
    content = {"application/json; charset=utf-8": {"schema": NODE}, "application/json": {"schema": {}}}
    api = described({"/a": {"put": {"requestBody": {"content": content}}}})
    assert refused(api, "PUT", "/a", b"5", {"Content-Type": "application/json; charset=utf-8"})[0] == 400
    assert refused(api, "PUT", "/a", b"5", {"Content-Type": "application/json"})[0] == 0


def test_what_has_no_media_type_is_taken_where_everything_is() -> None:
    api = described({"/a": {"put": {"requestBody": {"content": {"*/*": {}}}}}})
    assert refused(api, "PUT", "/a", b"x") == (0, "")
    other = described({"/a": {"put": {"requestBody": {"content": {"application/json": {}}}}}})
    assert refused(other, "PUT", "/a", b"{}") == (415, "content_type_unsupported")


def test_the_root_of_xml_must_be_the_one() -> None:
    text = (
        '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:t="urn:t"><resources base="/"><resource path="a">'
        '<method name="PUT"><request><representation mediaType="application/xml" element="t:b"/></request></method>'
        "</resource></resources></application>"
    )
    api = written(text, "a.wadl")
    xml = {"Content-Type": "application/xml"}
    assert refused(api, "PUT", "/a", b'<b xmlns="urn:t"/>', xml) == (0, "")
    assert refused(api, "PUT", "/a", b"<b/>", xml) == (400, "schema_mismatch")


def test_of_representations_with_one_media_type_any_will_do() -> None:
    representations = "".join(
        f'<representation mediaType="application/xml" element="t:{name}"/>' for name in ("b", "c")
    )
    text = (
        '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:t="urn:t"><resources base="/"><resource path="a">'
        f'<method name="PUT"><request>{representations}<representation mediaType="text/plain"/></request></method>'
        "</resource></resources></application>"
    )
    api = written(text, "a.wadl")
    for body, kind, expected in (
        (b'<b xmlns="urn:t"/>', "application/xml", 0),
        (b'<c xmlns="urn:t"/>', "application/xml", 0),
        (b'<d xmlns="urn:t"/>', "application/xml", 400),
        (b"x", "text/plain", 0),
        (b"x", "text/html", 415),
    ):
        assert refused(api, "PUT", "/a", body, {"Content-Type": kind})[0] == expected
