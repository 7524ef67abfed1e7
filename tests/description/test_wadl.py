"""WADL, with Repose's extensions."""

import pytest

from gateway.description.model import Operation, Resource
from gateway.description.source import UNCHECKED_ROLE, UNCHECKED_XML
from gateway.description.wadl import plain
from tests.description.reading import files, problems, wadl

XSD = (
    '<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t"><s:simpleType name="T">'
    '<s:restriction base="s:string"><s:pattern value="[a-f]+"/></s:restriction></s:simpleType></s:schema>'
)


def resources(inside: str, base: str = "http://x/v1") -> list[Resource]:
    return list(wadl(f'<resources base="{base}">{inside}</resources>').resources)


def method(inside: str, attributes: str = "", elsewhere: str = "") -> Operation:
    text = f'<resources base="/"><resource path="a"><method name="PUT" id="m" {attributes}>{inside}</method></resource></resources>'
    return wadl(elsewhere + text).resources[0].operations[0]


def test_resources_are_nested_and_begin_at_the_base() -> None:
    found = resources(
        '<resource path="a/{b}"><param name="b" style="template"/><method name="GET"/>'
        '<resource path="c"><method name="PUT"/><method name="POST"/></resource><resource/></resource>'
    )
    assert [(one.path, one.methods) for one in found] == [
        ("/v1/a/{b}", ("GET",)),
        ("/v1/a/{b}/c", ("POST", "PUT")),
    ]
    assert [one.name for one in found[1].parameters] == ["b"]


def test_methods_types_parameters_and_representations_are_found_by_their_ids() -> None:
    text = (
        '<resources base="/"><resource path="a" type="#t"><method href="#get"/></resource></resources>'
        '<resource_type id="t"><param href="#q"/><method name="DELETE"/><resource path="b"><method href="#put"/></resource></resource_type>'
        '<param id="q" name="q" style="query" required="true"/><method id="get" name="GET"/>'
        '<method id="put" name="PUT"><request><representation href="#r"/></request></method>'
        '<representation id="r" mediaType="application/json"/>'
    )
    a, b = wadl(text).resources
    assert {one.method: [field.name for field in one.parameters] for one in a.operations} == {
        "GET": ["q"],
        "DELETE": ["q"],
    }
    assert (b.path, b.operations[0].media[0].range, b.operations[0].body_required) == (
        "/a/b",
        "application/json",
        True,
    )


def test_types_come_from_grammars_in_line_and_beside() -> None:
    text = '<resources base="/"><resource path="{x}"><param name="x" style="template" type="t:T"/><method name="GET"/></resource></resources>'
    inline = wadl(f"<grammars>{XSD}</grammars>{text}")
    beside = wadl(f'<grammars><include href="types.xsd"/></grammars>{text}', types__xsd=XSD)
    assert (
        list(inline.schemas.values())
        == list(beside.schemas.values())
        == [{"type": "string", "pattern": "^(?:(?:[a-f]+))$"}]
    )


def test_options_and_a_fixed_value_are_all_there_is() -> None:
    request = '<request><param name="q" style="query"><option value="a"/><option value="b"/></param><param name="X-A" style="header" fixed="c"/></request>'
    description = wadl(
        f'<resources base="/"><resource path="a"><method name="GET">{request}</method></resource></resources>'
    )
    assert sorted(schema["enum"] for schema in description.schemas.values()) == [["a", "b"], ["c"]]


def test_what_repeats_is_a_list() -> None:
    one, other = method(
        '<request><param name="q" style="query" repeating="true" type="xsd:int"/>'
        '<param name="X-A" style="header" repeating="true"/></request>'
    ).parameters
    assert (one.form, one.separator, set(one.item.types)) == ("list", None, {"integer"})
    assert (other.form, other.separator) == ("list", ",")


def test_roles_come_down_from_resources_and_all_are_nobody_in_particular() -> None:
    found = resources(
        '<resource path="a" rax:roles="Admin"><method name="GET" rax:roles="reader"/><method name="PUT" rax:roles="#all"/>'
        '<resource path="b"><method name="GET"/></resource></resource>'
    )
    assert [one.roles for of in found for one in of.operations] == [
        (frozenset(("admin",)), frozenset(("reader",))),
        None,
        (frozenset(("admin",)),),
    ]


def test_a_no_break_space_is_a_space_within_a_role_and_parts_none() -> None:
    found = resources(
        '<resource path="a"><method name="GET" rax:roles="member&#xA0;admin"/>'
        '<method name="PUT" rax:roles=" a&#9;b&#10;c&#xA0;d/{t}\u2003e "/></resource>'
    )
    assert [one.roles for of in found for one in of.operations] == [
        (frozenset(("member admin",)),),
        (frozenset(("a",)), frozenset(("b",)), frozenset(("c d",))),
    ]


def test_a_plain_parameter_has_a_status_and_a_message_of_its_own() -> None:
    operation = method(
        '<request><representation mediaType="application/json"><param name="m" style="plain" required="true" '
        'path="$body?m instance of map(*)" rax:message="m must be an object" rax:code="422"/></representation></request>'
    )
    (check,) = operation.media[0].checks
    assert (check.status, check.message) == (422, "m must be an object")


def test_a_json_grammar_is_for_every_body_of_json_after_what_is_more_particular() -> None:
    description = wadl(
        '<grammars><include href="s.json"/></grammars><resources base="/"><resource path="a"><method name="PUT"><request>'
        '<representation mediaType="application/json"><param name="m" style="plain" required="true" path="$body?m"/></representation>'
        '<representation mediaType="text/plain"/></request></method></resource></resources>',
        s__json='{"type": "object", "properties": {"a": {"$ref": "#"}}}',
    )
    json, text = description.resources[0].operations[0].media
    assert [description.schemas[check.schema].get("required") for check in json.checks] == [["m"], None]
    assert description.schemas[json.checks[1].schema]["properties"]["a"] == {
        "$ref": f"#/$defs/{json.checks[1].schema}"
    }
    assert text.checks == ()


def test_xml_has_a_root() -> None:
    operation = method('<request><representation mediaType="application/xml" element="t:server"/></request>')
    assert (operation.media[0].form, operation.media[0].root) == ("xml", "{urn:t}server")


def test_an_answer_has_a_media_type_once_and_any_root_where_there_are_several() -> None:
    one, other, third = (
        f'<representation mediaType="{kind}" element="t:{name}"/>'
        for kind, name in (("application/xml", "a"), ("application/xml", "b"), ("application/x+xml", "c"))
    )
    (answer,) = method(f"<response>{one}{other}{third}</response>").answers
    assert [(media.range, media.root) for media in answer.media] == [
        ("application/xml", None),
        ("application/x+xml", "{urn:t}c"),
    ]
    (answer,) = method(f"<response>{one}{one}</response>").answers
    assert [media.root for media in answer.media] == ["{urn:t}a"]


def test_answers_are_told_by_each_of_their_statuses() -> None:
    operation = method(
        '<response status="200 203"><representation mediaType="application/json"/></response><response/>'
    )
    assert [(one.status, len(one.media)) for one in operation.answers] == [
        ("200", 1),
        ("203", 1),
        ("default", 0),
    ]


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("$body?a", {"type": "object", "required": ["a"], "properties": {"a": {}}}),
        (
            "$_?a?b instance of xs:string",
            {
                "type": "object",
                "required": ["a"],
                "properties": {
                    "a": {"type": "object", "required": ["b"], "properties": {"b": {"type": "string"}}}
                },
            },
        ),
        ("/csapi:server/@name", None),
        ("$body?a = 'x'", None),
        ("$body?a instance of element()", None),
        ("$body?a or $body?b", None),
    ],
)
def test_an_expression_is_a_schema_where_it_is_simple(text: str, schema: object) -> None:
    assert plain(text) == schema


def test_expressions_with_and_must_all_hold() -> None:
    assert plain("$body?a and $body?b instance of array(*)") == {
        "allOf": [plain("$body?a"), plain("$body?b instance of array(*)")]
    }


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ('<request><representation mediaType="application/xml"><param name="n" style="plain" required="true" path="/a/@b"/></representation></request>', "'/a/@b' is not looked at"),
        ('<request><param name="m" style="matrix"/></request>', "parameters of style 'matrix'"),
        ('<request><param name="m" style="query" rax:device="true"/></request>', "rax:device is not looked at"),
        ('<request><param name="m" style="header" rax:isTenant="true"/></request>', "rax:isTenant is not looked at"),
        ('<request><param name="m" style="header" rax:captureHeader="X"/></request>', "rax:captureHeader is not looked at"),
        ('<request><param name="m" style="plain" required="true" path="/a"/></request>', "of style 'plain' is looked at in a representation"),
        ('<request rax:roles="a"/>', "rax:roles is not looked at"),
        ('<request><rax:captureHeader name="X" path="1"/></request>', "rax:captureHeader is not looked at"),
        ('<rax:strange/>', "rax:strange is not looked at"),
        ('<request><representation mediaType="application/x-www-form-urlencoded"><param name="f" style="query" required="true"/></representation></request>', "what a body has of parameters is not looked at: 'f'"),
        ('<request><representation mediaType="a/b"><param name="f" style="query" type="xsd:int"/></representation></request>', "not looked at: 'f'"),
        ('<request><representation mediaType="application/json"><param name="m" style="plain" rax:device="1"/></representation></request>', "rax:device is not looked at"),
        ('<request><representation mediaType="application/json"><rax:assert test="1"/></representation></request>', "rax:assert"),
    ],
)  # fmt: skip
def test_what_nobody_looks_at_is_told_with_its_place(inside: str, message: str) -> None:
    text = (
        f'<resources base="/"><resource path="a"><method name="PUT">{inside}</method></resource></resources>'
    )
    (told,) = wadl(text).unchecked
    assert message in str(told)
    assert str(told).startswith("api.wadl:1:")


def test_extensions_of_resources_and_of_what_they_are_of_are_told() -> None:
    text = (
        '<resources base="/" rax:roles="a"><resource path="a" type="#t" rax:metadata="m" rax:invisible="true" rax:id="x">'
        '<param name="p" style="query" rax:message="m"/><method href="#m" rax:device="x"/></resource></resources>'
        '<resource_type id="t" rax:useMetadata="m"/><method id="m" name="GET" rax:original-wadl="x"/>'
    )
    told = [problem.message.partition(" ")[0] for problem in wadl(text).unchecked]
    assert told == ["rax:roles", "rax:metadata", "rax:useMetadata", "rax:device"]


def test_what_asks_nothing_of_a_form_is_not_told() -> None:
    assert (
        wadl(
            '<resources base="/"><resource path="a"><method name="PUT"><request><representation mediaType="a/b">'
            '<param name="f" style="query"/><param name="g" style="query" type="xsd:string"/>'
            "</representation></request></method></resource></resources>"
        ).unchecked
        == ()
    )


def test_any_match_asks_for_one_that_fits() -> None:
    (one,) = method(
        '<request><param name="X-A" style="header" repeating="true" fixed="x" rax:anyMatch="true"/></request>'
    ).parameters
    description = wadl(
        '<resources base="/"><resource path="a"><method name="PUT"><request>'
        '<param name="X-A" style="header" repeating="true" fixed="x" rax:anyMatch="true"/></request></method></resource></resources>'
    )
    assert {"type": "array", "contains": {"enum": ["x"]}} in description.schemas.values()
    assert (one.form, description.unchecked) == ("list", ())


def test_a_pattern_of_numbers_is_told() -> None:
    grammar = XSD.replace('"s:string"', '"s:int"').replace("[a-f]+", "[0-9]{4}")
    text = '<resources base="/"><resource path="{x}"><param name="x" style="template" type="t:T"/><method name="GET"/></resource></resources>'
    (told,) = wadl(f"<grammars>{grammar}</grammars>{text}").unchecked
    assert "the pattern of a number" in told.message


def test_roles_of_one_tenant_are_told_as_not_looked_at() -> None:
    (told,) = wadl(
        '<resources base="/"><resource path="a" rax:roles="admin/{t}"><method name="GET"/></resource></resources>'
    ).unchecked
    assert "of one tenant" in str(told)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<resources><resource path="{a}"><method name="GET"/></resource></resources>', "nothing is said of the parameter 'a'"),
        ('<resources><resource path="{a"><method name="GET"/></resource></resources>', "is no template"),
        ('<resources><resource path="a"><method href="#no"/></resource></resources>', "no method with the id 'no'"),
        ('<resources><resource path="a"><method href="other.wadl#m"/></resource></resources>', "only references within"),
        ('<resources><resource path="a"><method href="http://x/#m"/></resource></resources>', "only references within"),
        ('<grammars><include href="http://192.0.2.1/a.xsd"/></grammars>', "only files beside"),
        ('<grammars><include href="../../etc/passwd"/></grammars>', "only files beside"),
        ('<grammars><include href="/etc/passwd"/></grammars>', "only files beside"),
        ('<grammars><include href="no.xsd"/></grammars>', "no.xsd: cannot be read"),
        ('<resources><resource path="a"><param name="q" style="query" type="t:No"/><method name="GET"/></resource></resources>', "no simple type 'No'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(text: str, message: str) -> None:
    told = problems(lambda: wadl(text))
    assert any(message in one for one in told), told


def test_types_that_hold_themselves_are_bounded() -> None:
    text = '<resources base="/"><resource path="a" type="#t"/></resources><resource_type id="t"><resource path="b" type="#t"/></resource_type>'
    assert any("nested more than 64 deep" in one for one in problems(lambda: wadl(text)))


def test_types_that_multiply_are_bounded() -> None:
    text = (
        '<resources base="/"><resource path="a" type="#t"/></resources>'
        '<resource_type id="t"><resource path="b" type="#t #t #t"/><resource path="c" type="#t"/></resource_type>'
    )
    assert any("more than 10000 resources" in one for one in problems(lambda: wadl(text)))


def test_schemas_that_include_one_another_are_read_once() -> None:
    text = '<grammars><include href="a.xsd"/></grammars>'
    loop = '<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema"><s:include schemaLocation="{}"/></s:schema>'
    assert wadl(text, a__xsd=loop.format("b.xsd"), b__xsd=loop.format("a.xsd")).resources == ()


def test_another_root_is_no_wadl() -> None:
    from gateway.description.read import read_description

    assert "`application`" in problems(lambda: read_description("a", files(a="<a/>")))[0]


def test_a_role_of_one_tenant_is_asked_of_the_callers_own() -> None:
    described = wadl(
        '<resources base="http://h/"><resource path="a"><method name="GET" rax:roles="Admin/{tid} member"/></resource></resources>'
    )
    (resource,) = described.resources
    assert resource.operations[0].roles == (frozenset({"admin"}), frozenset({"member"}))
    assert [problem.code for problem in described.unchecked] == [UNCHECKED_ROLE]


@pytest.mark.parametrize(
    ("element", "media", "told"),
    [
        ('<s:element name="a"/>', "application/xml", [UNCHECKED_XML]),
        ('<s:element name="a"/>', "application/json", []),
        ('<s:simpleType name="a"><s:restriction base="s:string"/></s:simpleType>', "application/xml", []),
    ],
)
def test_what_an_xml_schema_asks_of_bodies_is_told(element: str, media: str, told: list[str]) -> None:
    described = wadl(
        f'<grammars><s:schema xmlns:s="http://www.w3.org/2001/XMLSchema">{element}</s:schema></grammars>'
        '<resources base="http://h/"><resource path="a"><method name="POST">'
        f'<request><representation mediaType="{media}"/></request></method></resource></resources>'
    )
    assert [problem.code for problem in described.unchecked] == told
