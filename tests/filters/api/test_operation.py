"""What an operation takes."""

import pytest

from filters.api.operation import CONTENT, PARAMETERS, ROLES, SCHEMA, WELL_FORMED, depth, media_for
from gateway.api import Fault
from tests.filters.api.judging import described, refused


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


def test_what_has_no_media_type_is_taken_where_everything_is() -> None:
    assert media_for({}, None) is None
    api = described({"/a": {"put": {"requestBody": {"content": {"*/*": {}}}}}})
    assert refused(api, "PUT", "/a", b"x") == (0, "")
    other = described({"/a": {"put": {"requestBody": {"content": {"application/json": {}}}}}})
    assert refused(other, "PUT", "/a", b"{}") == (415, "content_type_unsupported")


def test_the_root_of_xml_must_be_the_one() -> None:
    from tests.filters.api.judging import written

    text = (
        '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:t="urn:t"><resources base="/"><resource path="a">'
        '<method name="PUT"><request><representation mediaType="application/xml" element="t:b"/></request></method>'
        "</resource></resources></application>"
    )
    api = written(text, "a.wadl")
    xml = {"Content-Type": "application/xml"}
    assert refused(api, "PUT", "/a", b'<b xmlns="urn:t"/>', xml) == (0, "")
    assert refused(api, "PUT", "/a", b"<b/>", xml) == (400, "schema_mismatch")
