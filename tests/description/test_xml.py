"""XML that cannot do harm."""

import pytest

from gateway.config.problem import ConfigurationError
from gateway.description.xml import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    Name,
    TooDeep,
    read_xml,
    role_names,
    root_of,
    words,
)

LAUGHS = b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><a>&y;</a>'
FILE = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
PARAMETER = b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://192.0.2.1/"> %x;]><a/>'
EXTERNAL = b'<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><a/>'


def wrong(data: bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_xml(data, "f.xml")
    return str(caught.value)


def test_elements_have_names_places_and_prefixes() -> None:
    root = read_xml(b'<a xmlns="urn:a" xmlns:b="urn:b"\n>te<c b:x="1" y="b:z"/>xt</a>', "f.xml")
    assert (root.name, root.text) == (Name("urn:a", "a"), "text")
    (child,) = root.named("urn:a", "c")
    assert (child.get("x", "urn:b"), child.get("y"), child.get("x")) == ("1", "b:z", None)
    assert child.resolve("b:z") == Name("urn:b", "z")
    assert child.resolve("z") == Name("urn:a", "z")
    assert child.resolve("q:z") is None
    assert str(child.position) == "f.xml:2:4"


@pytest.mark.parametrize("data", [LAUGHS, FILE, PARAMETER, EXTERNAL])
def test_a_document_type_is_refused_before_it_can_say_anything(data: bytes) -> None:
    assert wrong(data).startswith("f.xml:1:")
    assert "document type" in wrong(data)
    with pytest.raises(ValueError, match="document type"):
        root_of(data, 10)


@pytest.mark.parametrize(
    "data",
    [b"", b"<a>", b"<a></b>", b"<a/><b/>", b"<a x='1' x='2'/>", b"<p:a/>", b"<a>&undefined;</a>", b"\xff\xfe\x00", b"<a>\x00</a>",
     b"<?xml version='1.0' encoding='no-such'?><a/>"],
)  # fmt: skip
def test_what_is_not_well_formed_is_told(data: bytes) -> None:
    assert wrong(data)
    with pytest.raises(ValueError):
        root_of(data, 10)


def test_depth_and_number_are_bounded() -> None:
    assert f"more than {MAX_DEPTH} deep" in wrong(b"<a>" * 70 + b"</a>" * 70)
    assert f"more than {MAX_ELEMENTS} elements" in wrong(b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>")


def test_the_root_of_a_body_is_named_with_its_namespace() -> None:
    assert root_of(b'<p:a xmlns:p="urn:a"><b/></p:a>', 2) == "{urn:a}a"
    assert root_of(b"<a/>", 1) == "{}a"


def test_a_body_may_nest_so_deep_and_no_deeper() -> None:
    assert root_of(b"<a><b/></a>", 2) == "{}a"
    with pytest.raises(TooDeep):
        root_of(b"<a><b><c/></b></a>", 2)
    with pytest.raises(TooDeep):
        root_of(b"<a>" * 1_000_000, 32)


def test_words_are_parted_by_white_space_of_xml_and_no_other() -> None:
    text = " a\tb\r\nc\xa0d\u2003e\x0bf "
    assert words(text) == ["a", "b", "c\xa0d\u2003e\x0bf"]
    assert role_names(text) == ["a", "b", "c d\u2003e\x0bf"]
    assert words("") == words(" \n") == []
