"""XML of somebody else: what is read, with which lines, and what is refused."""

import os
from pathlib import Path

import pytest

from gateway.description.xml import MAX_DEPTH, MAX_ELEMENTS
from gateway.migration.source import (
    MAX_BYTES,
    Element,
    Installation,
    Place,
    SourceError,
    parse,
)

HERE = Place("a.cfg.xml", 1)
SAMPLE = """<?xml version="1.0"?>
<!-- a comment -->
<n:root xmlns:n="http://example.com/n" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
        xsi:schemaLocation="x y" on=" true " half="0.5">
  <n:item id="a">one <![CDATA[<two>]]></n:item>
  <other/>
</n:root>
"""


def read(text: str, root: str = "", **environment: str) -> Element:
    return parse(text.encode(), "a.cfg.xml", environment, root)


def refused(text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(SourceError) as raised:
        parse(data, "a.cfg.xml", {})
    return f"{raised.value.place}: {raised.value}"


def test_elements_have_names_values_and_lines_without_namespaces() -> None:
    root = read(SAMPLE, "root")
    assert (root.name, root.place, root.flag("on"), root.number("half")) == (
        "root",
        Place("a.cfg.xml", 3),
        True,
        0.5,
    )
    item = root.first("item")
    assert item is not None
    assert (item.place.line, item.get("id"), item.content()) == (5, "a", "one <two>")


def test_what_nobody_has_asked_for_is_known() -> None:
    root = read('<a x="1" y="2">text<b z="3"/><c><d/></c></a>')
    assert root.get("x") == "1"
    assert root.first("c") is not None
    assert [what for _, what in root.unread()] == [
        "the attribute y of a",
        "the text of a",
        "the element b of a",
        "the element d of c",
    ]
    root.forget()
    assert list(root.unread()) == []


def test_a_wrong_value_is_told_with_its_line() -> None:
    root = read('<a>\n<b on="maybe" size="many" half="0.5" big="1e300"/></a>').first("b")
    assert root is not None
    for wrong, message in (
        (lambda: root.flag("on"), "on of b is true or false, not 'maybe'"),
        (lambda: root.number("size"), "size of b is a number, not 'many'"),
        (lambda: root.whole("half"), "half of b is a whole number"),
        (lambda: root.number("big"), "big of b is too large: '1e300'"),
        (lambda: root.required("name"), "b needs the attribute name"),
    ):
        with pytest.raises(SourceError) as raised:
            wrong()
        assert (str(raised.value), raised.value.place.line) == (message, 2)


def test_variables_of_the_environment_are_filled_in_where_a_value_must_be_known() -> None:
    root = read('<a size="{$ SIZE $}"/>', SIZE="12")
    assert (root.whole("size"), root.get("size")) == (12, "{$ SIZE $}")
    with pytest.raises(SourceError, match="the environment variable SIZE is not set"):
        read('<a size="{$ SIZE $}"/>').whole("size")


def test_comments_of_templates_are_left_out_and_lines_stay() -> None:
    root = read("<a>{! not\n<this> !}\n<b/></a>")
    (b,) = root.all("b")
    assert (root.content(), b.place.line) == ("", 3)
    assert refused("<a>\n{% if X %}<b/>{% endif %}</a>").startswith("a.cfg.xml:2: a block of a template")


BOMB = """<?xml version="1.0"?>
<!DOCTYPE bomb [
  <!ENTITY a "aaaaaaaaaa">
  <!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
]>
<bomb>&b;</bomb>
"""


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><a/>',
        "<!DOCTYPE a><a/>",
        '<!DOCTYPE a [<!ATTLIST a b CDATA "c">]><a/>',
    ],
)
def test_document_types_and_entities_are_refused(text: str) -> None:
    line = 2 if text is BOMB else 1
    expected = f"a.cfg.xml:{line}: a document type is not accepted: it could define entities"
    assert refused(text) == expected


def test_size_depth_and_number_are_bounded(tmp_path: Path) -> None:
    deep = "<a>\n" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1)
    assert refused(deep) == f"a.cfg.xml:{MAX_DEPTH + 1}: nested more than {MAX_DEPTH} deep"
    assert refused("<a>" + "<b/>" * MAX_ELEMENTS + "</a>").endswith(f"more than {MAX_ELEMENTS} elements")
    (tmp_path / "a.cfg.xml").write_bytes(b"<a>" + b" " * MAX_BYTES + b"</a>")
    with pytest.raises(SourceError, match="the file cannot be read: it is larger than 4 MiB"):
        Installation(tmp_path, {}).read("a.cfg.xml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.cfg.xml:1: not XML: no element found"),
        ("<a>\n<b></a>", "a.cfg.xml:2: not XML: mismatched tag"),
        ("<a>&undefined;</a>", "a.cfg.xml:1: not XML: undefined entity"),
        ("<a b='1' b='2'/>", "a.cfg.xml:1: not XML: duplicate attribute"),
        (b"<a>\n\xff</a>", "a.cfg.xml:2: not XML: not well-formed (invalid token)"),
        (
            b"<?xml version='1.0' encoding='no-such'?><a/>",
            "a.cfg.xml:1: not XML: unknown encoding: no-such",
        ),
        ("not xml", "a.cfg.xml:1: not XML: syntax error"),
    ],
)
def test_what_is_no_xml_is_told_with_its_line(text: str | bytes, message: str) -> None:
    assert refused(text) == message


def test_another_root_than_the_one_expected() -> None:
    with pytest.raises(SourceError, match="expected the element container, got a"):
        read("<a/>", "container")


def test_only_files_of_the_directory_are_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "etc").mkdir()
    files = Installation(tmp_path / "etc", {})
    here = Place("a.cfg.xml", 7)
    for name in ("../secret", str(tmp_path / "secret"), "x/../../secret"):
        with pytest.raises(SourceError) as raised:
            files.text(name, here)
        assert raised.value.place == here
    assert files.read("missing.cfg.xml") is None


def test_a_text_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"one\ntwo \xff")
    with pytest.raises(SourceError) as raised:
        Installation(tmp_path, {}).text("rows", Place("a", 1))
    assert (str(raised.value), raised.value.place) == ("the file is not UTF-8", Place("rows", 2))


def test_files_that_nobody_has_read_are_known(tmp_path: Path) -> None:
    for name in ("b.cfg.xml", "a.cfg.xml", "notes.txt"):
        (tmp_path / name).write_text("<a/>")
    files = Installation(tmp_path, {})
    files.read("b.cfg.xml")
    assert files.unopened() == ["a.cfg.xml"]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.xml")
    with pytest.raises(SourceError, match="it is no regular file"):
        Installation(tmp_path, {}).read("pipe.xml")


def test_what_a_file_names_stands_beside_it_also_where_links_lead(tmp_path: Path) -> None:
    inside = tmp_path / "etc"
    inside.mkdir()
    (tmp_path / "outside.xsd").write_text("<x/>")
    (inside / "b.xsd").write_text("<y/>")
    (inside / "a.xsd").symlink_to(tmp_path / "outside.xsd")
    (inside / "c.xsd").symlink_to("b.xsd")
    installation = Installation(inside, {})
    with pytest.raises(OSError, match="leads out of the directory"):
        installation.content("a.xsd", HERE, beside="api.wadl")
    assert installation.content("c.xsd", HERE, beside="api.wadl") == b"<y/>"


def test_words_are_parted_by_white_space_of_xml(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<a b=' one\u00a0word  two\n three '/>")
    root = Installation(tmp_path, {}).read("a.xml")
    assert root is not None
    assert root.words("b") == ["one\u00a0word", "two", "three"]
    assert root.words("c") == []
