import json
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo import render
from gateway.demo.render import NAMESPACE, Form
from tests.demo.test_rule import KEYS, VALUES

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ([], Form.JSON),
        ([""], Form.JSON),
        (["*/*"], Form.JSON),
        (["application/*"], Form.JSON),
        (["application/json"], Form.JSON),
        (["application/xml"], Form.XML),
        (["Application/XML ; charset=utf-8"], Form.XML),
        (["application/vnd.openstack.compute+xml"], Form.XML),
        (["application/vnd.openstack.compute+json"], Form.JSON),
        (["application/xml, application/json"], Form.JSON),
        (["application/json;q=0.5, application/xml;q=0.7"], Form.XML),
        (["application/json;q=0.5", "application/xml"], Form.XML),
        (["application/xml;q=0"], Form.JSON),
        (["application/xml;q=0, */*;q=0.1"], Form.JSON),
        (["application/json;q=0, */*;q=0.1"], Form.JSON),  # the vendor's JSON is still wanted
        (["application/json;q=0, application/vnd.openstack.compute+json;q=0, */*"], Form.XML),
        (["application/xml;q=nan"], Form.JSON),
        (["application/xml;q=-1"], Form.JSON),
        (["text/html"], Form.JSON),
        ([BROWSER], Form.XML),
    ],
)
def test_negotiates_json_unless_xml_is_wanted_more(accept: list[str], form: Form) -> None:
    assert render.negotiated(accept) is form


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_negotiation_survives_any_accept(accept: list[str]) -> None:
    assert render.negotiated(accept) in Form


def test_json_has_default_separators_and_ascii_escapes() -> None:
    assert render.metadata({"a": "žluť", "b": "2"}, Form.JSON) == (
        b'{"metadata": {"a": "\\u017elu\\u0165", "b": "2"}}'
    )
    assert render.metadata({}, Form.JSON) == b'{"metadata": {}}'
    assert render.meta("label", "Replaced", Form.JSON) == b'{"meta": {"label": "Replaced"}}'


def test_xml_is_the_documented_form() -> None:
    assert render.metadata({"kernel_id": "False", "Label": "UpdatedImage"}, Form.XML) == (
        b"<?xml version='1.0' encoding='UTF-8'?>\n"
        b'<metadata xmlns="http://docs.openstack.org/compute/api/v1.1">\n'
        b'  <meta key="kernel_id">False</meta>\n'
        b'  <meta key="Label">UpdatedImage</meta>\n'
        b"</metadata>\n"
    )
    assert render.meta("auto_disk_config", "False", Form.XML) == (
        b"<?xml version='1.0' encoding='UTF-8'?>\n"
        b'<meta xmlns="http://docs.openstack.org/compute/api/v1.1" key="auto_disk_config">False</meta>\n'
    )
    assert render.metadata({}, Form.XML) == (
        b"<?xml version='1.0' encoding='UTF-8'?>\n"
        b'<metadata xmlns="http://docs.openstack.org/compute/api/v1.1"/>\n'
    )


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "badRequest"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "itemNotFound"),
        (409, "conflictingRequest"),
        (413, "overLimit"),
        (415, "badMediaType"),
        (500, "computeFault"),
        (503, "serviceUnavailable"),
    ],
)
def test_a_fault_has_the_name_of_its_status(status: int, name: str) -> None:
    assert render.fault(status, "m", None, Form.JSON) == (
        f'{{"{name}": {{"code": {status}, "message": "m"}}}}'.encode()
    )
    assert render.fault(status, "m", None, Form.XML) == (
        f'<{name} code="{status}" xmlns="{NAMESPACE}"><message>m</message></{name}>'.encode()
    )


def test_only_over_limit_repeats_the_wait_in_the_body() -> None:
    assert render.fault(413, "m", 0, Form.JSON) == (
        b'{"overLimit": {"code": 413, "message": "m", "retryAfter": "0"}}'
    )
    assert b"<message>m</message><retryAfter>0</retryAfter></overLimit>" in render.fault(
        413, "m", 0, Form.XML
    )
    assert b"etryAfter" not in render.fault(503, "m", 30, Form.JSON)
    assert b"etryAfter" not in render.fault(503, "m", 30, Form.XML)


def test_xml_escapes_markup_and_drops_what_xml_cannot_say() -> None:
    assert b"<message>&lt;a&gt; &amp; &quot;b&quot; c</message>" in render.fault(
        400, '<a> & "b"\0\x0b\ufffe c\ud800', None, Form.XML
    )


def _sayable(text: str) -> str:
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", text)


@given(st.dictionaries(KEYS, VALUES, max_size=20))
def test_both_forms_carry_the_same_items(items: dict[str, str]) -> None:
    assert json.loads(render.metadata(items, Form.JSON)) == {"metadata": items}
    root = ET.fromstring(render.metadata(items, Form.XML))
    assert root.tag == f"{{{NAMESPACE}}}metadata"
    read = {child.attrib["key"]: child.text or "" for child in root}
    assert read == {key: _sayable(value) for key, value in items.items()}
    assert list(read) == list(items)


@given(KEYS, VALUES)
def test_both_forms_carry_the_same_item(key: str, value: str) -> None:
    assert json.loads(render.meta(key, value, Form.JSON)) == {"meta": {key: value}}
    root = ET.fromstring(render.meta(key, value, Form.XML))
    assert (root.tag, root.attrib["key"], root.text or "") == (f"{{{NAMESPACE}}}meta", key, _sayable(value))


@given(st.text(st.characters()))
def test_a_fault_is_well_formed_whatever_its_message(message: str) -> None:
    assert json.loads(render.fault(400, message, None, Form.JSON))["badRequest"]["code"] == 400
    assert ET.fromstring(render.fault(400, message, None, Form.XML)).attrib == {"code": "400"}
