"""Which files an XML document names that are read with it."""

import codecs

import pytest

from gateway.description.include import included

WADL = b"""<?xml version="1.0"?>
<w:application xmlns:w="http://wadl.dev.java.net/2009/02">
<w:grammars><w:include href="one.xsd"/><w:include
   href = 'below/two&amp;.json'><w:doc/></w:include></w:grammars>
<w:resources base="http://x/"><w:resource type="#kind"><w:method href="#list"/></w:resource></w:resources>
</w:application>"""


def test_grammars_are_found_and_references_are_not() -> None:
    assert included("d/api.wadl", WADL, "d/api.wadl") == ("d/one.xsd", "d/below/two&.json")
    for mark, form in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF8, "utf-8")):
        assert included("a", mark + WADL.decode().encode(form), "a") == ("one.xsd", "below/two&.json")


def test_a_schema_names_others_beside_itself() -> None:
    text = b'<xs:schema><xs:include schemaLocation="x.xsd"/><import namespace="n" schemaLocation="../y.xsd"/></xs:schema>'
    assert included("d/below/s.xsd", text, "d/api.wadl") == ("d/below/x.xsd", "d/below/../y.xsd")
    assert included("d/s.xsd", text, "d/api.wadl") == ("d/x.xsd",)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.xsd", "http://x/y.xsd", "", "."])
def test_what_is_elsewhere_is_none(name: str) -> None:
    assert included("d/a.wadl", f'<a><include href="{name}"/></a>'.encode(), "d/a.wadl") == ()


def test_what_is_no_xml_names_none() -> None:
    assert included("a", b'openapi: 3.0.3 # <include href="b"/>', "a") == ()
    assert included("a", b"\xff\xfe\x00", "a") == ()
