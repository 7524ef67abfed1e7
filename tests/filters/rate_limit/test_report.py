"""The documents of limits, by the page of the compute API and by Repose's."""

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit.report import RateLine, absolute_of, as_json, as_xml

NAMESPACE = "{http://docs.openstack.org/common/api/v1.0}"
LINES = [
    RateLine("*", ".*", "POST", 120, 120, "MINUTE", 1_354_036_938.0),
    RateLine("*servers", "^/servers", "POST", 24, 0, "HOUR", 1_354_036_940.0),
    RateLine("*", ".*", "PUT", 120, 119, "MINUTE", 1_354_036_938.0),
]


def test_json_is_that_of_the_page() -> None:
    assert json.loads(as_json(LINES, {"maxImageMeta": 128})) == {
        "limits": {
            "rate": [
                {
                    "uri": "*",
                    "regex": ".*",
                    "limit": [
                        {
                            "verb": verb,
                            "value": 120,
                            "remaining": remaining,
                            "unit": "MINUTE",
                            "next-available": "2012-11-27T17:22:18Z",
                        }
                        for verb, remaining in (("POST", 120), ("PUT", 119))
                    ],
                },
                {
                    "uri": "*servers",
                    "regex": "^/servers",
                    "limit": [
                        {
                            "verb": "POST",
                            "value": 24,
                            "remaining": 0,
                            "unit": "HOUR",
                            "next-available": "2012-11-27T17:22:20Z",
                        }
                    ],
                },
            ],
            "absolute": {"maxImageMeta": 128},
        }
    }


def test_xml_is_that_of_the_page() -> None:
    root = ET.fromstring(as_xml(LINES[:1], {"maxImageMeta": 128, "odd": None, "nested": {"a": 1}}))
    assert root.tag == f"{NAMESPACE}limits"
    assert [(each.tag.removeprefix(NAMESPACE), dict(each.attrib)) for each in root.iter()] == [
        ("limits", {}),
        ("rates", {}),
        ("rate", {"uri": "*", "regex": ".*"}),
        (
            "limit",
            {
                "verb": "POST",
                "value": "120",
                "remaining": "120",
                "unit": "MINUTE",
                "next-available": "2012-11-27T17:22:18Z",
            },
        ),
        ("absolute", {}),
        ("limit", {"name": "maxImageMeta", "value": "128"}),
    ]


def test_without_limits_there_is_an_empty_document() -> None:
    assert json.loads(as_json([], {})) == {"limits": {"rate": [], "absolute": {}}}
    assert [each.tag.removeprefix(NAMESPACE) for each in ET.fromstring(as_xml([], {}))] == ["absolute"]


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text() | st.integers()))
def test_whatever_stands_in_it_it_is_well_formed(uri: str, regex: str, absolute: dict[str, Any]) -> None:
    root = ET.fromstring(as_xml([LINES[0]._replace(uri=uri, regex=regex)], absolute))
    assert len(root.findall(f"{NAMESPACE}absolute/{NAMESPACE}limit")) == len(absolute)
    json.loads(as_json([LINES[0]._replace(uri=uri, regex=regex)], absolute))


@pytest.mark.parametrize(
    ("body", "absolute"),
    [
        ('{"limits": {"rate": [], "absolute": {"maxImageMeta": 128}}}', {"maxImageMeta": 128}),
        ('{"limits": {"absolute": {"values": {"a": 1}}}}', {"a": 1}),
        ('{"limits": {}}', {}),
    ],
)
def test_absolute_limits_are_taken_as_they_stand(body: str, absolute: dict[str, Any]) -> None:
    assert absolute_of(body.encode()) == absolute


@pytest.mark.parametrize(
    "body", ["", "[]", "null", '{"limits": 1}', '{"limits": {"absolute": []}}', "[" * 99999, "{}", "<a/>"]
)
def test_what_holds_no_limits_is_an_error(body: str) -> None:
    with pytest.raises(ValueError, match="not a document of limits"):
        absolute_of(body.encode())
