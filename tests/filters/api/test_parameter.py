"""Parameters of header and query, and their texts."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.api.parameter import query_of, value_of
from gateway.api import Fault, OptionError
from tests.filters.api.judging import described, of_path, of_query, refused, verdict, written

ALL = frozenset(("string", "integer", "number", "boolean", "null"))


@pytest.mark.parametrize(
    ("text", "types", "value"),
    [
        ("5", {"integer"}, 5),
        ("-0", {"integer"}, 0),
        ("05", {"integer"}, "05"),
        ("+5", {"integer"}, "+5"),
        ("5.0", {"integer", "number"}, 5.0),
        ("1e3", {"number"}, 1000.0),
        ("٣", {"integer"}, "٣"),
        ("9" * 400, {"integer"}, "9" * 400),
        ("true", {"boolean"}, True),
        ("True", {"boolean"}, "True"),
        ("", {"null"}, None),
        ("", {"null", "string"}, ""),
        ("5", {"string"}, "5"),
    ],
)
def test_a_text_stands_for_a_value_of_its_types(text: str, types: set[str], value: object) -> None:
    found = value_of(text, frozenset(types))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int", ["7", "007", "%2B7", "-07"], ["7.0", "1e3", "2147483648", "%2B", ""]),
        ("decimal", [".5", "1.", "%2B01.50", "-3"], ["1e3", ".", "", "INF"]),
        (
            "double",
            [".5", "1.", "1e3", "1.5E-2", "INF", "-INF", "%2BINF", "NaN", "%201%20"],
            ["e3", "1e", ".", "inf", "nan", "1e999"],
        ),
        ("unsignedByte", ["%097%0D%0A", "%20%207"], ["7%207", "%C2%A07", "%0B7", "%20"]),
        ("boolean", ["%20true%20", "1"], ["tr%20ue"]),
        ("date", ["%202030-01-31%20"], ["2030-01-31%C2%A0"]),
        ("NCName", ["a", "%20a"], ["a%20b", "a:b", "1a"]),
        ("language", ["de-CH"], ["de_CH", ""]),
    ],
)
def test_numbers_of_a_wadl_are_written_as_xml_schema_has_them(
    kind: str, good: list[str], bad: list[str]
) -> None:
    made = written(
        '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:x="http://www.w3.org/2001/XMLSchema"><resources base="/">'
        f'<resource path="a"><method name="GET"><request><param name="n" style="query" type="x:{kind}"/></request></method>'
        f'</resource><resource path="b/{{n}}"><param name="n" style="template" type="x:{kind}"/><method name="GET"/></resource>'
        "</resources></application>",
        "a.wadl",
    )
    for text in good:
        assert refused(made, "GET", f"/a?n={text}") == refused(made, "GET", f"/b/{text}") == (0, ""), text
    for text in bad:
        assert refused(made, "GET", f"/a?n={text}") == (400, "parameter_invalid"), text


def test_white_space_of_a_type_is_as_it_has_it_before_a_value_is_judged() -> None:
    def made(space: str) -> Any:
        return written(
            '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:t="urn:t"><grammars>'
            '<x:schema xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t"><x:simpleType name="T">'
            f'<x:restriction base="x:string"><x:whiteSpace value="{space}"/><x:enumeration value="a b"/></x:restriction>'
            '</x:simpleType></x:schema></grammars><resources base="/"><resource path="a"><method name="GET"><request>'
            '<param name="n" style="query" type="t:T"/><param name="m" style="query" type="t:T" repeating="true"/>'
            "</request></method></resource></resources></application>",
            "a.wadl",
        )

    collapsed, replaced, preserved = map(made, ("collapse", "replace", "preserve"))
    for name in "nm":
        for text, fits in (("a%20b", "crp"), ("a%09b", "cr"), ("%20a%0A%20b%20", "c"), ("a%C2%A0b", "")):
            for filter, letter in ((collapsed, "c"), (replaced, "r"), (preserved, "p")):
                answer = refused(filter, "GET", f"/a?{name}={text}")
                assert (answer == (0, "")) == (letter in fits), (name, text, letter)


def _of_type(simple: str, param: str) -> Any:
    return written(
        '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:t="urn:t" xmlns:x="http://www.w3.org/2001/XMLSchema">'
        f'<grammars><x:schema targetNamespace="urn:t">{simple}</x:schema></grammars><resources base="/"><resource path="a">'
        f'<method name="GET"><request><param name="n" style="query" {param}/></request></method></resource></resources></application>',
        "a.wadl",
    )


@pytest.mark.parametrize(
    ("param", "good", "bad"),
    [
        ('type="x:boolean" fixed="1"', ["1", "true", "%20true%09"], ["0", "false", "TRUE", ""]),
        ('type="x:boolean" fixed="false"', ["0", "false"], ["1", "true", "x"]),
        ('type="x:string" fixed="1"', ["1"], ["true", "01", "%201"]),
        ('type="x:int" fixed="5"', ["5", "+05", "%205"], ["6", "5.0"]),
        ('type="x:decimal" fixed="5"', ["5", "5.0", "+05."], ["5.1", "5e0"]),
        ('type="x:gYear"', ["2030", "%202030Z"], ["02030", "30", "2030-01"]),
        ('type="x:date"', ["2020-01-01"], ["02020-01-01"]),
        ('type="t:U"', ["5", "%205%0A", "all"], ["%20all", "x", "5.5"]),
        ('type="t:U" repeating="true"', ["5&n=all", "%205&n=5"], ["%20all", "5&n=x"]),
        ('type="t:V"', ["%2005", "%20a%0A%20b", "1"], ["a", "5.5", "2%203"]),
    ],
)
def test_values_of_xml_schema_are_equal_however_they_are_written(
    param: str, good: list[str], bad: list[str]
) -> None:
    of_string = '<x:simpleType><x:restriction base="x:string"><x:enumeration value="all"/></x:restriction></x:simpleType>'
    of_token = '<x:simpleType><x:restriction base="x:token"><x:enumeration value="a b"/></x:restriction></x:simpleType>'
    api = _of_type(
        f'<x:simpleType name="U"><x:union memberTypes="x:int">{of_string}</x:union></x:simpleType>'
        f'<x:simpleType name="V"><x:union memberTypes="x:int x:boolean">{of_token}</x:union></x:simpleType>',
        param,
    )
    assert [text for text in good + bad if refused(api, "GET", f"/a?n={text}") == (0, "")] == good


def test_what_is_not_judged_of_a_type_stops_the_start() -> None:
    simple = '<x:simpleType name="Y"><x:restriction base="x:gYear"><x:minInclusive value="2000"/></x:restriction></x:simpleType>'
    with pytest.raises(OptionError, match="the bound of what is no number is not looked at"):
        _of_type(simple, 'type="t:Y"')


@given(st.text())
def test_every_text_stands_for_something(text: str) -> None:
    assert type(value_of(text, ALL)) in (str, int, float, bool)
    assert value_of(text, frozenset(("string",))) == text


def test_a_query_has_decoded_names_and_keeps_all_values_as_they_are_written() -> None:
    assert query_of("%61=1&b=%2541+x&a=2&c&&=d") == {
        "a": ["1", "2"],
        "b": ["%2541+x"],
        "c": [""],
        "": ["d"],
    }
    assert query_of("%C5%BE=ž".encode().decode("latin-1")) == {"ž": ["ž"]}


def test_a_value_of_a_query_is_decoded_once() -> None:
    made = described({"/a": {"get": {"parameters": [of_query("b", enum=["%41 x", "ž"])]}}})
    assert refused(made, "GET", "/a?b=%2541+x") == refused(made, "GET", "/a?b=%C5%BE") == (0, "")
    assert refused(made, "GET", "/a?b=A+x") == (400, "parameter_invalid")


def test_a_comma_that_is_encoded_is_part_of_an_item() -> None:
    one = {**of_query("p", type="array", minItems=1, items={"enum": ["a,b", "c"]}), "explode": False}
    made = described({"/a": {"get": {"parameters": [one]}}})
    assert refused(made, "GET", "/a?p=a%2Cb,c") == (0, "")
    assert refused(made, "GET", "/a?p=a,b") == (400, "parameter_invalid")
    assert "has less than 1 item" in told(verdict(made, "GET", "/a?p="))


def test_a_comma_that_is_encoded_parts_no_list_in_the_path() -> None:
    texts = {"type": "array", "items": {"type": "string", "maxLength": 3}, "maxItems": 2}
    made = described(
        {
            "/a/{p}": {"parameters": [of_path("p", **texts)], "get": {}},
            "/b/{p}": {
                "get": {"parameters": [of_path("p", type="array", items={"type": "integer"})]},
                "put": {},
            },
        }
    )
    for path in ("/a/1,2", "/a/1%2C2,3", "/a/1%2c2", "/a/%31,b%20c", "/b/1,%32"):
        assert refused(made, "GET", path) == (0, ""), path
    for path in ("/a/1%2C22", "/a/1,2,3", "/b/1%2C2", "/b/1,x"):
        assert refused(made, "GET", path) == (404, "path_parameter_invalid"), path


def told(found: object) -> str:
    assert isinstance(found, Fault)
    return f"{found.message} {found.details or ''}".strip()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (400, "parameter_missing")),
        ("?limit=5", (0, "")),
        ("?limit=0", (400, "parameter_invalid")),
        ("?limit=x", (400, "parameter_invalid")),
        ("?limit=5&limit=6", (400, "parameter_invalid")),
        ("?limit=", (400, "parameter_invalid")),
        ("?%6Cimit=5", (0, "")),
    ],
)
def test_a_parameter_of_the_query(query: str, expected: tuple[int, str]) -> None:
    api = described({"/a": {"get": {"parameters": [of_query("limit", True, type="integer", minimum=1)]}}})
    assert refused(api, "GET", f"/a{query}") == expected


def test_what_is_wrong_with_a_parameter_is_told() -> None:
    api = described({"/a": {"get": {"parameters": [of_query("limit", True, type="integer")]}}})
    assert told(verdict(api, "GET", "/a")) == "The query parameter limit is required."
    assert told(verdict(api, "GET", "/a?limit=x")) == (
        'The query parameter limit is not as it has to be. the value is not of type "integer".'
    )
    assert told(verdict(api, "GET", "/a?limit=1&limit=1")) == "The query parameter limit is given twice."


@pytest.mark.parametrize(
    ("more", "good", "bad"),
    [
        ({}, ["l=1&l=2", "l=1"], ["l=1&l=x", "l=1,2"]),
        ({"explode": False}, ["l=1,2", "l="], ["l=1,x", "l=1&l=2"]),
        ({"style": "pipeDelimited", "explode": False}, ["l=1|2", "l=1%7C2"], ["l=1,2"]),
        ({"style": "spaceDelimited", "explode": False}, ["l=1%202", "l=1+2"], ["l=1,2"]),
    ],
)
def test_lists_are_written_in_their_style(more: dict[str, Any], good: list[str], bad: list[str]) -> None:
    one = {**of_query("l", type="array", items={"type": "integer"}), **more}
    api = described({"/a": {"get": {"parameters": [one]}}})
    assert [refused(api, "GET", f"/a?{query}") for query in good] == [(0, "")] * len(good)
    assert [refused(api, "GET", f"/a?{query}") for query in bad] == [(400, "parameter_invalid")] * len(bad)


def test_an_object_has_a_parameter_for_each_member() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
    one = {**of_query("o", True, **schema), "style": "deepObject"}
    api = described({"/a": {"get": {"parameters": [one]}}}, options={"undeclared_query": "refuse"})
    assert refused(api, "GET", "/a?o[n]=1") == (0, "")
    assert refused(api, "GET", "/a?o%5Bn%5D=1") == (0, "")
    assert refused(api, "GET", "/a?o[n]=x") == (400, "parameter_invalid")
    assert refused(api, "GET", "/a?o[m]=x") == (400, "parameter_invalid")
    assert refused(api, "GET", "/a?o[n]=1&o[n]=2") == (400, "parameter_invalid")
    assert refused(api, "GET", "/a") == (400, "parameter_missing")
    assert refused(api, "GET", "/a?o[n]=1&p[n]=2") == (400, "query_undeclared")


def test_what_nests_deeper_than_an_object_of_the_query_is_not_accepted() -> None:
    parameters = [
        {**of_query("o", type="object", additionalProperties={"type": "integer"}), "style": "deepObject"},
        of_query("o[a][b]", type="integer"),
    ]
    whole = described({"/a": {"get": {"parameters": parameters[:1]}}})
    for query in ("o[a][b]=1", "o%5Ba%5D%5Bb%5D=1", "o[=1", "o[a=1", "o[a]=1&o[a]x=1"):
        assert refused(whole, "GET", f"/a?{query}") == (400, "query_undeclared")
    for query in ("o[a]=1", "other=1", "other[a][b]=1", "ox=1", ""):
        assert refused(whole, "GET", f"/a?{query}") == (0, "")
    both = described({"/a": {"get": {"parameters": parameters}}})
    assert refused(both, "GET", "/a?o[a][b]=1") == (0, "")
    assert refused(both, "GET", "/a?o[a][c]=1") == (400, "query_undeclared")


TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string", "pattern": "^[a-c]$"}}


@pytest.mark.parametrize(
    ("schema", "version"),
    [
        ({"anyOf": [TEXTS, {"type": "null"}]}, "3.1.0"),
        ({**TEXTS, "type": ["array", "null"]}, "3.1.0"),
        ({**TEXTS, "nullable": True}, "3.0.3"),
        ({"allOf": [TEXTS, {"maxItems": 2}]}, "3.0.3"),
        ({"allOf": [{"anyOf": [{"$ref": "#/components/schemas/L"}, {"type": "null"}]}]}, "3.1.0"),
    ],
)
def test_a_list_that_may_be_none_or_is_made_of_parts_is_a_list(schema: dict[str, Any], version: str) -> None:
    components = {"schemas": {"L": {"allOf": [TEXTS, {"maxItems": 2}]}}}
    parameters = [
        of_query("q", **schema),
        {**of_query("p", **schema), "explode": False},
        {"name": "X-L", "in": "header", "schema": schema},
    ]
    api = described({"/a": {"get": {"parameters": parameters}}}, version=version, components=components)
    for good in ("q=a", "q=a&q=b", "p=a", "p=a,b"):
        assert refused(api, "GET", f"/a?{good}") == (0, ""), good
    for bad in ("q=d", "q=a&q=d", "p=d", "p=a,d"):
        assert refused(api, "GET", f"/a?{bad}") == (400, "parameter_invalid"), bad
    assert refused(api, "GET", "/a", b"", {"X-L": "a, b"}) == (0, "")
    assert refused(api, "GET", "/a", b"", {"X-L": "a, d"}) == (400, "parameter_invalid")


def test_what_may_be_null_may_be_empty() -> None:
    parameters = [of_query("q", anyOf=[TEXTS, {"type": "null"}]), of_query("p", **TEXTS)]
    api = described({"/a": {"get": {"parameters": parameters}}})
    assert refused(api, "GET", "/a?q=") == (0, "")
    assert refused(api, "GET", "/a?p=") == (400, "parameter_invalid")


@pytest.mark.parametrize("word", ["oneOf", "anyOf"])
def test_of_a_list_or_a_text_several_are_the_list_and_one_is_what_fits(word: str) -> None:
    schema: dict[str, Any] = {
        word: [{"type": "integer", "minimum": 10}, {"type": "string", "const": "all"}, TEXTS]
    }
    parameters = [of_query("q", **schema), {"name": "X-L", "in": "header", "schema": schema}]
    api = described(
        {
            "/a": {"get": {"parameters": parameters}},
            "/{b}": {"parameters": [of_path("b", **schema)], "get": {}},
        }
    )
    for good in ("q=12", "q=all", "q=a", "q=a&q=b"):
        assert refused(api, "GET", f"/a?{good}") == (0, ""), good
    for bad in ("q=5", "q=al", "q=d", "q=12&q=a", "q=all&q=all"):
        assert refused(api, "GET", f"/a?{bad}") == (400, "parameter_invalid"), bad
    for text, status in (("12", 0), ("all", 0), ("a, b", 0), ("5", 400), ("a, 12", 400)):
        assert refused(api, "GET", "/a", b"", {"X-L": text})[0] == status, text
    for text, status in (("12", 0), ("all", 0), ("a,b", 0), ("5", 404), ("a,12", 404)):
        assert refused(api, "GET", f"/{text}")[0] == status, text


def test_what_is_not_said_to_be_a_list_is_none() -> None:
    api = described({"/a": {"get": {"parameters": [of_query("q", description="anything")]}}})
    assert refused(api, "GET", "/a?q=1") == (0, "")
    assert "given twice" in told(verdict(api, "GET", "/a?q=1&q=2"))


@pytest.mark.parametrize(
    "items",
    [
        {"enum": ["1", "2", "x", 3]},
        {"anyOf": [{"type": "string", "pattern": "^[12x]$"}, {"type": "integer", "minimum": 3}]},
    ],
)
def test_each_item_is_a_number_or_a_text_as_it_fits(items: dict[str, Any]) -> None:
    parameters = [
        of_query("q", type="array", items=items),
        of_query("r", allOf=[{"type": "array", "items": items}, {"maxItems": 4}]),
    ]
    api = described({"/a": {"get": {"parameters": parameters}}})
    for name in ("q", "r"):
        assert refused(api, "GET", f"/a?{name}=1&{name}=x&{name}=3") == (0, "")
        assert refused(api, "GET", f"/a?{name}=1&{name}=0") == (400, "parameter_invalid")


def test_members_of_an_object_are_of_their_types_wherever_they_are_said() -> None:
    schema: dict[str, Any] = {
        "anyOf": [
            {
                "allOf": [
                    {"type": "object", "properties": {"n": {"type": "integer"}}},
                    {"properties": {"m": {"enum": ["1", "a"]}}},
                ],
                "additionalProperties": {"type": "integer"},
            },
            {"type": "null"},
        ]
    }
    one = {**of_query("o", **schema), "style": "deepObject"}
    made = described({"/a": {"get": {"parameters": [one]}}})
    assert refused(made, "GET", "/a?o[n]=1&o[m]=1") == (
        400,
        "parameter_invalid",
    )  # m is none of the last schema's
    schema["anyOf"][0]["additionalProperties"] = True
    made = described({"/a": {"get": {"parameters": [one]}}})
    assert refused(made, "GET", "/a?o[n]=1&o[m]=1&o[x]=y") == (0, "")
    assert refused(made, "GET", "/a?o[n]=1&o[m]=2") == (400, "parameter_invalid")
    assert refused(made, "GET", "/a?o[n]=a&o[m]=1") == (400, "parameter_invalid")
    others = {**of_query("o", type="object", additionalProperties={"type": "integer"}), "style": "deepObject"}
    made = described({"/a": {"get": {"parameters": [others]}}})
    assert refused(made, "GET", "/a?o[n]=1") == (0, "")
    assert refused(made, "GET", "/a?o[n]=a") == (400, "parameter_invalid")


def test_json_in_a_parameter() -> None:
    one = {"name": "j", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}}
    api = described({"/a": {"get": {"parameters": [one]}}})
    assert refused(api, "GET", "/a?j=%7B%7D") == (0, "")
    assert refused(api, "GET", "/a?j=%7B") == (400, "parameter_invalid")
    assert refused(api, "GET", "/a?j=5") == (400, "parameter_invalid")


@pytest.mark.parametrize("schema", [{"schema": {"properties": {"a": {"type": "integer"}}}}, {}])
def test_json_in_a_parameter_is_as_strict_as_in_a_body(schema: dict[str, Any]) -> None:
    parameters = [
        {"name": "j", "in": "query", "content": {"application/json": schema}},
        {"name": "X-J", "in": "header", "content": {"application/json": schema}},
    ]
    api = described({"/a": {"get": {"parameters": parameters}}}, options={"max_depth": 3})
    for text, status in (
        ('{"a":1}', 0),
        ('{"a":"x","a":1}', 400),
        ('{"b":[[]]}', 0),
        ('{"b":[[[]]]}', 400),
        ("{", 400),
        ("NaN", 400),
    ):
        assert refused(api, "GET", f"/a?j={quote(text)}")[0] == status, text
        assert refused(api, "GET", "/a", b"", {"X-J": text})[0] == status, text


def test_a_value_may_be_of_several_types_and_of_text_that_looks_like_another() -> None:
    schema: dict[str, Any] = {
        "oneOf": [{"type": "integer", "minimum": 10}, {"type": "string", "pattern": "^[5a]$"}]
    }
    api = described({"/a": {"get": {"parameters": [of_query("q", **schema)]}}})
    assert [refused(api, "GET", f"/a?q={text}")[0] for text in ("12", "5", "a", "7", "b")] == [
        0,
        0,
        0,
        400,
        400,
    ]


def test_a_parameter_may_be_empty_where_that_is_said() -> None:
    api = described(
        {"/a": {"get": {"parameters": [{**of_query("q", type="integer"), "allowEmptyValue": True}]}}}
    )
    assert refused(api, "GET", "/a?q") == (0, "")
    assert refused(api, "GET", "/a?q=x") == (400, "parameter_invalid")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (400, "parameter_missing")),
        ({"x-count": "5"}, (0, "")),
        ({"X-Count": "x"}, (400, "parameter_invalid")),
        ({"X-Count": "5", "X-List": "a, b"}, (0, "")),
        ({"X-Count": "5", "X-List": "a, c"}, (400, "parameter_invalid")),
    ],
)
def test_header_fields(headers: dict[str, str], expected: tuple[int, str]) -> None:
    parameters = [
        {"name": "X-Count", "in": "header", "required": True, "schema": {"type": "integer"}},
        {"name": "X-List", "in": "header", "schema": {"type": "array", "items": {"enum": ["a", "b"]}}},
    ]
    assert (
        refused(described({"/a": {"get": {"parameters": parameters}}}), "GET", "/a", b"", headers) == expected
    )


def test_a_parameter_that_is_a_part_of_a_segment() -> None:
    parameters = [{"name": "n", "in": "path", "required": True, "schema": {"type": "integer"}}]
    api = described({"/v{n}.json": {"parameters": parameters, "get": {}}})
    assert refused(api, "GET", "/v12.json") == (0, "")
    assert refused(api, "GET", "/vx.json") == (404, "path_parameter_invalid")
    assert refused(api, "GET", "/v.json") == (404, "path_not_described")


def test_several_parameters_of_a_segment_fit_where_any_division_does() -> None:
    parameters = [of_path("id", type="string", format="uuid"), of_path("n", type="integer")]
    api = described({"/rev/{id}-{n}": {"parameters": parameters, "get": {}}}, options={"path_status": 400})
    assert refused(api, "GET", "/rev/12345678-1234-5678-1234-567812345678-4") == (0, "")
    found = verdict(api, "GET", "/rev/12345678-1234-5678-1234-567812345678-x")
    assert isinstance(found, Fault) and found.facts == {"parameter": "n"}
    found = verdict(api, "GET", "/rev/12345678-1234-5678-1234-56781234567-4")
    assert isinstance(found, Fault) and found.facts == {"parameter": "id"}


def test_parameters_of_one_method_alone_divide_a_segment_with_those_of_the_path() -> None:
    paths = {
        "/{a}-{b}": {
            "parameters": [of_path("a", type="string", pattern="^[x-]+$")],
            "get": {"parameters": [of_path("b", type="integer")]},
            "put": {"parameters": [of_path("b", type="string", pattern="^-1$")]},
        }
    }
    api = described(paths)
    assert refused(api, "GET", "/x--1") == refused(api, "PUT", "/x--1") == (0, "")
    assert refused(api, "GET", "/x-a") == (404, "path_parameter_invalid")
    assert refused(api, "PUT", "/x---1") == (0, "")
    assert refused(api, "PUT", "/x-1") == (404, "path_parameter_invalid")
    assert refused(api, "GET", "/a-1") == (404, "path_parameter_invalid")


def test_what_is_said_of_no_parameter_of_the_path_is_no_matter() -> None:
    api = described({"/a/{b}": {"parameters": [of_path("b", type="integer"), of_path("c")], "get": {}}})
    assert refused(api, "GET", "/a/1") == (0, "")
