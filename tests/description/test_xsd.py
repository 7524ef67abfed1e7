"""Simple types of XML Schema."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.problem import Position, Problem
from gateway.description.xml import Element, Name, read_xml
from gateway.description.xsd import XSD, Types, anchored

HERE = Element(Name("", "x"), {}, {"xsd": XSD, "t": "urn:t"}, Position("f", 1, 1))


def types(inside: str) -> tuple[Types, list[Problem]]:
    problems: list[Problem] = []
    made = Types(problems)
    text = f'<s:schema xmlns:s="{XSD}" xmlns:t="urn:t" targetNamespace="urn:t">{inside}</s:schema>'
    made.add(read_xml(text.encode(), "t.xsd"))
    return made, problems


def simple(inside: str) -> Any:
    made, problems = types(f'<s:simpleType name="T">{inside}</s:simpleType>')
    found = made.named("t:T", HERE)
    assert problems == []
    return found


def wrong(inside: str) -> str:
    made, problems = types(f'<s:simpleType name="T">{inside}</s:simpleType>')
    made.named("t:T", HERE)
    (told,) = problems
    return str(told)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("string", ["", "x"], [1]),
        ("int", [0, -(2**31)], [2**31, 1.5, "x"]),
        ("unsignedByte", [0, 255], [-1, 256]),
        ("positiveInteger", [1], [0]),
        ("decimal", [1, 1.5], ["x"]),
        ("boolean", ["true", "0"], ["yes", "TRUE"]),
        (
            "date",
            [
                *("2030-01-31", "2030-01-31Z", "2030-01-31+02:00", "2024-02-29", "2000-02-29", "0004-02-29"),
                *("2400-02-29", "12000-02-29", "-0004-02-29", "2023-02-28", "2023-04-30", "2023-12-31-14:00"),
                *("12020-01-01", "0001-01-01", "123456789012-12-31"),
            ],
            [
                *("2030-13-01", "x2030-01-31", "2020-02-30", "2023-02-29", "1900-02-29", "2100-02-29"),
                *(
                    "2023-04-31",
                    "2023-00-10",
                    "2023-01-00",
                    "2023-01-32",
                    "2023-01-01+14:01",
                    "2023-01-01+99:00",
                    *(
                        "02020-01-01",
                        "02020-02-29",
                        "00000-01-01",
                        "012000-02-29",
                        "202-01-01",
                        "12001-02-29",
                    ),
                ),
            ],
        ),
        ("token", ["", "a b"], [1]),
        ("language", ["en", "de-CH-1996", "i-klingon"], ["", "e_n", "en-", "toolonglang", "1en", "en us"]),
        ("NMTOKEN", ["a", "1.2-3", ":x", "\xe9\xb7", "\U00010000"], ["", "a b", "a/b", "\xd7", "a,b"]),
        ("Name", ["a:b", "_x", ":", "\xe9t\xe9"], ["", "1a", "-a", ".a", "a b", "\xb7a"]),
        ("NCName", ["a", "_1.-", "\u4e00"], ["", "a:b", ":a", "1a", "-a", "a b", "\u037e"]),
        ("ID", ["a1"], ["a:b", "1"]),
        ("IDREF", ["a1"], ["a:b", "1"]),
        ("QName", ["a", "a:b"], ["", "a:", ":b", "a:b:c", "1:b"]),
        ("double", [1, 1.5, "INF", "-INF", "+INF", "NaN"], ["inf", "nan", "Infinity", "x", True]),
        (
            "duration",
            ["P1Y2M3DT4H5M6.7S", "-P1D", "PT1S", "P1MT1M"],
            ["P", "PT", "P1DT", "1D", "P1S", "PT1D"],
        ),
        (
            "base64Binary",
            ["", "YWI=", "YQ==", "YWJj", "Y W J j"],
            ["Y", "YW", "YWI", "====", "YWJj=", "Y$=="],
        ),
        (
            "dateTime",
            ["2030-01-31T00:00:00", "2030-01-31T23:59:59.5Z"],
            ["2030-01-31", "2030-01-31T25:00:00"],
        ),
        ("hexBinary", ["", "0aFF"], ["0", "0g"]),
        (
            "gYear",
            ["2030", "0001", "-0044", "12030", "2030Z", "2030+02:00"],
            ["", "30", "203", "02030", "+2030", "2030-01", "2030+15:00", "2030z", 2030],
        ),
        (
            "gYearMonth",
            ["2030-01", "-0044-12", "2030-12Z"],
            ["2030", "2030-13", "2030-00", "2030-1", "02030-01"],
        ),
        ("gMonth", ["--01", "--12", "--12-14:00"], ["01", "--13", "--00", "--1", "-01", "--01--"]),
        (
            "gMonthDay",
            ["--01-31", "--02-29", "--04-30Z"],
            ["--02-30", "--04-31", "--13-01", "--01-32", "--1-1"],
        ),
        ("gDay", ["---01", "---31", "---15+01:00"], ["---00", "---32", "---1", "--01", "01"]),
    ],
)
def test_built_in_types_take_what_they_should(name: str, good: list[Any], bad: list[Any]) -> None:
    schema = Types([]).named(f"xsd:{name}", HERE)
    assert all(jsonschema_rs.is_valid(schema, value) for value in good)
    assert not any(jsonschema_rs.is_valid(schema, value) for value in bad)


def test_restrictions_are_joined_with_their_base() -> None:
    assert simple(
        '<s:restriction base="s:int"><s:maxInclusive value="9"/><s:minExclusive value="1.5"/></s:restriction>'
    ) == {
        "allOf": [
            {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
            {"maximum": 9, "exclusiveMinimum": 1.5},
        ]
    }
    assert simple('<s:restriction base="s:string"><s:length value="3"/></s:restriction>') == {
        "type": "string",
        "minLength": 3,
        "maxLength": 3,
    }


def test_patterns_side_by_side_are_alternatives_and_of_the_whole() -> None:
    schema = simple(
        '<s:restriction base="s:string"><s:pattern value="a|b"/><s:pattern value="c+"/></s:restriction>'
    )
    taken = [
        text for text in ("a", "b", "ccc", "ab", "xa", "a\n", "") if jsonschema_rs.is_valid(schema, text)
    ]
    assert taken == ["a", "b", "ccc"]


def test_enumerations_are_of_the_kind_of_their_base() -> None:
    values = '<s:enumeration value="1"/><s:enumeration value="2"/>'
    assert simple(f'<s:restriction base="s:int">{values}</s:restriction>')["enum"] == [1, 2]
    assert simple(f'<s:restriction base="s:string">{values}</s:restriction>')["enum"] == ["1", "2"]


def test_a_union_is_any_of_its_members() -> None:
    schema = simple(
        '<s:union memberTypes="s:int"><s:simpleType><s:restriction base="s:string"><s:enumeration value="all"/>'
        "</s:restriction></s:simpleType></s:union>"
    )
    assert [jsonschema_rs.is_valid(schema, value) for value in (5, "all", "x")] == [True, True, False]


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ('<s:list itemType="s:int"/>', "a type that is a list"),
        ("", "a restriction or a union"),
        ('<s:restriction base="s:nothing"/>', "'nothing' of XML Schema is not known"),
        ('<s:restriction base="t:nothing"/>', "no simple type 'nothing'"),
        ('<s:restriction base="q:x"/>', "prefix"),
        (
            '<s:restriction base="s:string"><s:totalDigits value="3"/></s:restriction>',
            "'totalDigits' is not supported",
        ),
        ('<s:restriction base="s:string"><s:maxLength value="x"/></s:restriction>', "maxLength"),
        ('<s:restriction base="s:int"><s:maxInclusive value="NaN"/></s:restriction>', "maxInclusive"),
        (
            r'<s:restriction base="s:string"><s:pattern value="\i\c*"/></s:restriction>',
            r"\i is not supported",
        ),
        (
            '<s:restriction base="s:string"><s:pattern value="[a-z-[x]]"/></s:restriction>',
            "a class without another",
        ),
        ('<s:restriction base="s:string"><s:pattern value="[a"/></s:restriction>', "ends too early"),
    ],
)
def test_what_is_not_understood_is_told_with_its_place(inside: str, message: str) -> None:
    assert message in wrong(inside)


def test_types_that_are_made_of_themselves_end() -> None:
    made, _ = types('<s:simpleType name="T"><s:restriction base="t:T"/></s:simpleType>')
    assert made.named("t:T", HERE) is True


def test_types_that_are_made_of_many_are_refused() -> None:
    inside = "".join(
        f'<s:simpleType name="T{n}"><s:restriction base="t:T{n + 1}"/></s:simpleType>' for n in range(2000)
    )
    made, problems = types(inside)
    made.named("t:T0", HERE)
    assert "made of one another" in str(problems[0])


@given(st.text(alphabet="ab^$", max_size=6), st.text(alphabet="ab^$\n", max_size=6))
def test_a_pattern_of_plain_characters_takes_itself_alone(text: str, other: str) -> None:
    """In XML Schema `^` and `$` are characters like others, and a pattern is always of the whole."""
    schema = {"pattern": f"^(?:{anchored(text)})$"}
    assert jsonschema_rs.is_valid(schema, other) == (other == text)
    assert jsonschema_rs.is_valid(schema, text)


def test_doubles_that_are_no_numbers_are_within_no_bounds_but_on_their_side() -> None:
    def texts(facets: str) -> list[str]:
        schema = simple(f'<s:restriction base="s:double">{facets}</s:restriction>')
        valid = jsonschema_rs.Draft202012Validator(schema).is_valid
        return [text for text in ("INF", "+INF", "-INF", "NaN") if valid(text)]

    assert texts('<s:minInclusive value="0"/>') == ["INF", "+INF"]
    assert texts('<s:maxExclusive value="0"/>') == ["-INF"]
    assert texts('<s:minExclusive value="0"/><s:maxInclusive value="9"/>') == []
    assert texts('<s:enumeration value="1.5"/>') == []


def test_a_pattern_of_numbers_is_told_as_not_looked_at() -> None:
    made, problems = types(
        '<s:simpleType name="T"><s:restriction base="s:int"><s:pattern value="[0-9]{4}"/></s:restriction></s:simpleType>'
    )
    assert made.named("t:T", HERE)["type"] == "integer"
    assert (problems, [one.message for one in made.unchecked]) == (
        [],
        ["the pattern of a number is not looked at: numbers are judged by their value"],
    )


@pytest.mark.parametrize(
    ("inside", "space"),
    [
        ('<s:restriction base="s:string"/>', "preserve"),
        ('<s:restriction base="s:normalizedString"/>', "replace"),
        ('<s:restriction base="s:token"/>', "collapse"),
        ('<s:restriction base="s:int"><s:minInclusive value="0"/></s:restriction>', "collapse"),
        ('<s:restriction base="s:string"><s:whiteSpace value="collapse"/></s:restriction>', "collapse"),
        ('<s:restriction base="t:T"/>', "preserve"),
        ('<s:union memberTypes="s:int s:date"/>', "collapse"),
        ('<s:union memberTypes="s:int s:string"/>', "preserve"),
        ("<s:restriction><s:simpleType/></s:restriction>", "preserve"),
    ],
)
def test_white_space_is_as_the_type_has_it(inside: str, space: str) -> None:
    made, _ = types(f'<s:simpleType name="T">{inside}</s:simpleType>')
    assert made.space("t:T", HERE) == space


def test_white_space_of_what_is_built_in() -> None:
    made, _ = types("")
    names = ("xsd:string", "xsd:token", "xsd:int", "xsd:boolean", "xsd:date", "t:none", "no:prefix")
    assert [made.space(name, HERE) for name in names] == [
        "preserve",
        *(4 * ["collapse"]),
        "preserve",
        "preserve",
    ]


def _unchecked(inside: str) -> tuple[Types, list[str]]:
    made, problems = types(inside)
    made.named("t:T", HERE)
    made.space("t:T", HERE)
    assert problems == []
    return made, [str(one) for one in made.unchecked]


def _type(inside: str, name: str = "T") -> str:
    return f'<s:simpleType name="{name}">{inside}</s:simpleType>'


_TOKEN = (
    '<s:simpleType><s:restriction base="s:token"><s:enumeration value="a b"/></s:restriction></s:simpleType>'
)
_STRING = _TOKEN.replace("s:token", "s:string")


@pytest.mark.parametrize(
    ("inside", "space"),
    [
        ('<s:union memberTypes="s:int s:double"/>', "collapse"),
        ('<s:union memberTypes="s:int s:boolean"/>', "collapse"),
        (f'<s:union memberTypes="s:int s:boolean">{_TOKEN}</s:union>', "collapse"),
        (f'<s:union memberTypes="s:int">{_STRING}</s:union>', "preserve"),
        (f'<s:union><s:simpleType><s:union memberTypes="s:int">{_TOKEN}</s:union></s:simpleType></s:union>', "collapse"),
        ('<s:union memberTypes="s:string s:boolean"/>', "preserve"),
        ('<s:union memberTypes="s:normalizedString s:int"/>', "replace"),
        (f'<s:restriction>{_TOKEN}<s:maxLength value="3"/></s:restriction>', "collapse"),
        (f'<s:restriction>{_STRING}<s:whiteSpace value="replace"/></s:restriction>', "replace"),
    ],
)  # fmt: skip
def test_white_space_of_a_union_is_that_of_its_members(inside: str, space: str) -> None:
    made, told = _unchecked(_type(inside))
    assert made.space("t:T", HERE) == space
    assert told == []


@pytest.mark.parametrize(
    "inside",
    [
        f'<s:union memberTypes="s:boolean">{_STRING}</s:union>',
        f"<s:union>{_TOKEN}{_STRING}</s:union>",
        f'<s:restriction><s:simpleType><s:union memberTypes="s:date">{_STRING}</s:union></s:simpleType></s:restriction>',
    ],
)
def test_of_a_union_whose_members_differ_in_white_space_it_is_told(inside: str) -> None:
    made, told = _unchecked(_type(inside))
    assert made.space("t:T", HERE) == "preserve"
    assert "whose members differ in it, is not looked at" in told[0]


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ('<s:restriction base="s:gYear"><s:minInclusive value="2000"/></s:restriction>', "the bound of what is no number"),
        ('<s:restriction base="s:date"><s:maxExclusive value="2030-01-01"/></s:restriction>', "the bound of what is no number"),
        ('<s:restriction base="s:date"><s:enumeration value="2030-01-01"/></s:restriction>', "values of date are compared by how"),
        ('<s:restriction base="s:base64Binary"><s:length value="3"/></s:restriction>', "the length of what is no text"),
        ('<s:restriction base="s:int"><s:pattern value="[0-9]"/></s:restriction>', "the pattern of a number"),
        ('<s:restriction base="t:U"><s:pattern value="[0-9]|all"/></s:restriction>', "the pattern of a number"),
        ('<s:restriction base="t:I"><s:pattern value="[0-9]"/></s:restriction>', "the pattern of a number"),
    ],
)  # fmt: skip
def test_a_facet_that_is_not_judged_is_told(inside: str, message: str) -> None:
    union = _type(f'<s:union memberTypes="s:int">{_STRING}</s:union>', "U")
    twice = _type('<s:restriction base="t:J"><s:maxInclusive value="5"/></s:restriction>', "I") + _type(
        '<s:restriction base="s:int"><s:maxInclusive value="9"/></s:restriction>', "J"
    )
    _, told = _unchecked(_type(inside) + union + twice)
    assert len(told) == 1
    assert message in told[0]


def test_a_length_of_octets_is_two_characters_each() -> None:
    schema = simple('<s:restriction base="s:hexBinary"><s:length value="2"/></s:restriction>')
    taken = [text for text in ("0a", "0aff", "0aff00") if jsonschema_rs.is_valid(schema, text)]
    assert taken == ["0aff"]


def test_values_of_a_type_that_is_restricted_twice_are_numbers_still() -> None:
    made, problems = types(
        _type('<s:restriction base="t:J"><s:maxInclusive value="9"/></s:restriction>', "I")
        + _type('<s:restriction base="s:int"><s:maxInclusive value="99"/></s:restriction>', "J")
        + _type('<s:restriction base="t:I"><s:enumeration value=" 05 "/></s:restriction>')
    )
    assert jsonschema_rs.is_valid(made.named("t:T", HERE), 5)
    assert problems == []


def test_large_bounds_are_exact() -> None:
    schema = simple(f'<s:restriction base="s:long"><s:maxInclusive value="{2**63 - 2}"/></s:restriction>')
    assert [jsonschema_rs.is_valid(schema, 2**63 - less) for less in (2, 1)] == [True, False]


@pytest.mark.parametrize(
    ("name", "text", "equal"),
    [
        ("xsd:boolean", "1", ["1", "true"]),
        ("xsd:boolean", " false ", ["false", "0"]),
        ("xsd:string", "1", ["1"]),
        ("xsd:string", " a ", [" a "]),
        ("xsd:token", " a  b ", ["a b"]),
        ("xsd:int", "+05", [5]),
        ("xsd:decimal", "5.0", [5]),
        ("xsd:double", "INF", ["INF", "+INF"]),
        ("xsd:int", "x", ["x"]),
    ],
)
def test_values_are_told_apart_as_their_type_does(name: str, text: str, equal: list[Any]) -> None:
    assert Types([]).values([text], name, HERE) == equal
