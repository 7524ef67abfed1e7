"""Requests against the description of their API."""

import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.api import Api
from gateway.api import Fault, OptionError, Principal, Response, facts_of
from gateway.api.fact import BODY, METHOD, PRINCIPAL, header
from gateway.api.filter import facts_read
from gateway.api.testing import FrozenServices, StreamBody, build, exchange, judge, judge_response
from tests.filters.api.judging import JSON, body, described, of_path, of_query, refused, verdict, written

EXAMPLES = Path(__file__).parents[3] / "config" / "examples" / "api"
UUID = "70a599e0-31e7-49b7-b260-868f441e862b"
METADATA = f"/v2/8f0e/images/{UUID}/metadata"
MEMBER = Principal(user_id="u", roles=("Member",))


@pytest.fixture(scope="module", params=["image-metadata.openapi.yaml", "image-metadata.wadl"])
def api(request: pytest.FixtureRequest) -> Api:
    return build(
        Api, {"description": request.param, "undeclared_query": "refuse"}, FrozenServices(directory=EXAMPLES)
    )


def test_one_order_of_refusals(api: Api) -> None:
    """Each request is wrong in all that comes after, and is answered by the first of it."""
    bad = b'{"metadata": {"a": 1}'
    cases: list[tuple[str, str, dict[str, str], bytes, Principal | None, int, str]] = [
        ("PATCH", "/v2/8f0e/images/7/metadata", {}, bad, None, 404, "path_parameter_invalid"),
        ("PATCH", f"{METADATA}?x=1", {}, bad, None, 405, "method_not_allowed"),
        (
            "POST",
            f"{METADATA}?x=1",
            {"Content-Type": "text/plain"},
            bad,
            None,
            415,
            "content_type_unsupported",
        ),
        ("POST", f"{METADATA}?x=1", JSON, bad, None, 401, "principal_missing"),
        ("POST", f"{METADATA}?x=1", JSON, bad, Principal(roles=("reader",)), 403, "role_missing"),
        ("POST", f"{METADATA}?x=1", JSON, bad, MEMBER, 400, "query_undeclared"),
        ("POST", METADATA, JSON, bad, MEMBER, 400, "json_invalid"),
        ("POST", METADATA, JSON, bad + b"}", MEMBER, 400, "schema_mismatch"),
        ("POST", METADATA, JSON, b'{"metadata": {"a": "1"}}', MEMBER, 0, ""),
    ]
    for method, target, headers, raw, principal, *expected in cases:
        assert [*refused(api, method, target, raw, headers, principal=principal)] == expected
        assert [
            *refused(api, method, target, StreamBody([raw[:5], raw[5:]]), headers, principal=principal)
        ] == expected


def test_the_place_that_does_not_fit_is_told_as_a_pointer(api: Api) -> None:
    found = verdict(api, "POST", METADATA, b'{"metadata": {"a": "b", "c:d": 5}}', JSON, MEMBER)
    assert found == Fault(
        400,
        "schema_mismatch",
        "The request body does not fit its schema.",
        rule=("description",),
        details='At /metadata/c:d: the value is not of type "string".',
        facts={"pointer": "/metadata/c:d"},
    )


def test_405_has_the_methods_of_the_path(api: Api) -> None:
    found = verdict(api, "DELETE", METADATA)
    assert isinstance(found, Fault)
    assert found.headers == (("Allow", "GET, POST, PUT"),)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v2", f"{METADATA}/", f"{METADATA}/a/b", f"/v2//images/{UUID}/metadata", f"/v2/8f0e/Images/{UUID}/metadata", "*"),
        *(f"{METADATA}/a%2Fb", f"{METADATA}/a%5Cb", f"{METADATA}/a%00", f"{METADATA}/.", f"{METADATA}/%2e%2E", f"{METADATA}/.."),
    ],
)  # fmt: skip
def test_other_paths_are_404(api: Api, path: str) -> None:
    assert refused(api, "GET", path, principal=MEMBER) == (404, "path_not_described")


def test_segments_are_compared_decoded(api: Api) -> None:
    assert refused(api, "GET", METADATA.replace("images", "im%61ges"), principal=MEMBER) == (0, "")
    assert refused(api, "GET", f"{METADATA}/a%20b", principal=MEMBER) == (0, "")
    assert refused(api, "GET", f"{METADATA}/a%2Ab", principal=MEMBER) == (404, "path_parameter_invalid")


def test_a_parameter_of_the_path_may_be_400_in_its_own_words() -> None:
    made = described(
        {"/{n}": {"parameters": [of_path("n", type="integer")], "get": {}}}, options={"path_status": 400}
    )
    assert verdict(made, "GET", "/x") == Fault(
        400,
        "path_parameter_invalid",
        "The path parameter n is not as it has to be.",
        rule=("path_status",),
        facts={"parameter": "n"},
    )
    assert refused(made, "GET", "/12") == (0, "")


def test_a_number_that_is_no_float_does_not_fit() -> None:
    made = described({"/a": {"post": {"requestBody": body({"type": "number", "format": "float"})}}})
    for text in (b"1e38", b"-3.4028235e38", b"3.40282346638528859812e+38", b"1e-60"):
        assert refused(made, "POST", "/a", text, JSON) == (0, "")
    for text in (b"1e39", b"-3.4028236e38"):
        assert refused(made, "POST", "/a", text, JSON) == (400, "schema_mismatch")


def test_a_description_may_be_in_an_earlier_dialect() -> None:
    paths = {
        "/a": {"post": {"requestBody": body({"dependencies": {"a": ["b"]}, "items": [{"type": "null"}]})}}
    }
    for number in ("draft-04", "draft-06", "draft-07"):
        made = described(paths, jsonSchemaDialect=f"http://json-schema.org/{number}/schema#")
        assert refused(made, "POST", "/a", b'{"a": 1, "b": 1}', JSON) == (0, "")
        assert refused(made, "POST", "/a", b'{"a": 1}', JSON) == (400, "schema_mismatch")
        assert refused(made, "POST", "/a", b"[1]", JSON) == (400, "schema_mismatch")
    with pytest.raises(OptionError, match="only draft-04, draft-06"):
        described(paths, jsonSchemaDialect="http://json-schema.org/draft-03/schema#")


def test_a_grammar_may_be_in_an_earlier_dialect() -> None:
    text = (
        '<application xmlns="http://wadl.dev.java.net/2009/02"><grammars><include href="s.json"/></grammars>'
        '<resources base="/"><resource path="a"><method name="PUT"><request><representation mediaType="application/json"/>'
        "</request></method></resource></resources></application>"
    )
    grammar = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "id": "http://x/s.json",
        "properties": {"n": {"minimum": 1, "exclusiveMinimum": True}},
    }
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "s.json").write_text(json.dumps(grammar))
        (Path(directory) / "a.wadl").write_text(text)
        made = build(Api, {"description": "a.wadl"}, FrozenServices(directory=Path(directory)))
    assert refused(made, "PUT", "/a", b'{"n": 2}', JSON) == (0, "")
    assert refused(made, "PUT", "/a", b'{"n": 1}', JSON) == (400, "schema_mismatch")


def test_the_more_specific_path_counts_alone() -> None:
    made = described(
        {
            "/a/{x}": {"parameters": [of_path("x")], "get": {}, "delete": {}},
            "/a/detail": {"get": {}},
        }
    )
    assert refused(made, "DELETE", "/a/detail") == (405, "method_not_allowed")
    assert refused(made, "DELETE", "/a/other") == (0, "")


def test_paths_of_one_shape_are_one_path() -> None:
    made = described(
        {
            "/a/{x}": {"parameters": [of_path("x")], "get": {}},
            "/a/{y}": {"parameters": [of_path("y")], "post": {}},
            "/a/me": {"get": {}},
        }
    )
    assert [refused(made, method, "/a/1") for method in ("GET", "POST")] == [(0, ""), (0, "")]
    found = verdict(made, "DELETE", "/a/1")
    assert isinstance(found, Fault)
    assert (found.status, found.headers) == (405, (("Allow", "GET, POST"),))
    assert refused(made, "POST", "/a/me") == (405, "method_not_allowed")


def test_of_several_operations_of_paths_of_one_shape_one_must_fit() -> None:
    numbers = {"requestBody": {"content": {"application/json": {"schema": {"type": "integer"}}}}}
    texts = {"requestBody": {"content": {"application/json": {"schema": {"type": "string"}}}}}
    made = described(
        {
            "/a/{x}": {"parameters": [of_path("x", type="integer")], "put": numbers},
            "/a/{y}": {"parameters": [of_path("y")], "put": texts},
        }
    )
    asked = [("/a/1", b"1"), ("/a/1", b'"t"'), ("/a/b", b'"t"'), ("/a/b", b"1"), ("/a/1", b"null")]
    assert [refused(made, "PUT", path, body, JSON)[0] for path, body in asked] == [0, 0, 0, 400, 400]


def test_among_paths_of_one_shape_those_count_whose_parameters_fit() -> None:
    text = (
        '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:x="http://www.w3.org/2001/XMLSchema"><resources base="/">'
        '<resource path="{n}"><param name="n" style="template" type="x:int"/><method name="GET"/></resource>'
        '<resource path="{s}"><param name="s" style="template"/><method name="PUT"/></resource></resources></application>'
    )
    made = written(text, "a.wadl")
    assert [refused(made, "PUT", path) for path in ("/5", "/x")] == [(0, ""), (0, "")]
    assert [refused(made, "GET", path)[0] for path in ("/5", "/x")] == [0, 405]
    found = [verdict(made, "DELETE", path) for path in ("/5", "/x")]
    assert [one.headers for one in found if isinstance(one, Fault)] == [
        (("Allow", "GET, PUT"),),
        (("Allow", "PUT"),),
    ]


def test_of_several_operations_one_must_fit_and_the_deepest_refusal_is_answered() -> None:
    one, other = (
        f'<method name="POST"><request><representation mediaType="{kind}"><param name="p" style="plain" required="true" '
        f'path="$body?{name} instance of map(*)" rax:message="{name} must be an object"/></representation></request></method>'
        for kind, name in (("application/json", "reboot"), ("application/json", "resize"))
    )
    third = '<method name="POST"><request><representation mediaType="text/plain"/></request></method>'
    text = (
        '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:rax="http://docs.rackspace.com/api"><resources base="/">'
        f'<resource path="action">{third}{one}{other}</resource></resources></application>'
    )
    made = written(text, "a.wadl")
    assert refused(made, "POST", "/action", b'{"resize": {}}', JSON) == (0, "")
    assert refused(made, "POST", "/action", b"x", {"Content-Type": "text/plain"}) == (0, "")
    found = verdict(made, "POST", "/action", b'{"stop": {}}', JSON)
    assert isinstance(found, Fault)
    assert (found.reason, found.message) == ("schema_mismatch", "reboot must be an object")
    assert refused(made, "POST", "/action", b"{", JSON) == (400, "json_invalid")
    found = verdict(made, "POST", "/action", b"{", {"Content-Type": "a/b"})
    assert isinstance(found, Fault)
    assert (found.status, found.reason) == (415, "content_type_unsupported")
    assert found.headers == (("Accept", "text/plain, application/json"),)


def test_a_body_is_bounded_in_size_and_depth() -> None:
    made = described({"/a": {"put": {"requestBody": body({})}}}, options={"max_size": 20, "max_depth": 3})
    assert refused(made, "PUT", "/a", b"[" * 21, JSON) == (413, "body_too_large")
    assert refused(made, "PUT", "/a", StreamBody([b"[" * 11, b"]" * 11]), JSON) == (413, "body_too_large")
    assert refused(made, "PUT", "/a", b"[[[[]]]]", JSON) == (400, "json_too_deep")
    assert refused(made, "PUT", "/a", b"[[[]]]", JSON) == (0, "")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a": 1, "a": 2}', "json_duplicate_key"),
        (b'{"a": 1, "\\u0061": 2}', "json_duplicate_key"),
        (b"\xef\xbb\xbf{}", "json_invalid"),
        (b'"\xff"', "json_invalid"),
        (b"NaN", "json_invalid"),
        (b"1e999", "json_invalid"),
        (b"{} {}", "json_invalid"),
    ],
)
def test_json_that_two_readers_could_take_for_two_things_is_refused(raw: bytes, reason: str) -> None:
    made = described({"/a": {"put": {"requestBody": body({})}}})
    assert refused(made, "PUT", "/a", raw, JSON) == (400, reason)


def test_bodies_that_cannot_be_looked_into_are_415() -> None:
    made = described({"/a": {"put": {"requestBody": body({})}}})
    found = verdict(made, "PUT", "/a", b"{}", {**JSON, "Content-Encoding": "gzip"})
    assert isinstance(found, Fault)
    assert (found.status, found.headers) == (415, (("Accept-Encoding", "identity"),))
    assert refused(made, "PUT", "/a", b"{}", {"Content-Type": "application/json; charset=utf-16"})[0] == 415
    assert refused(made, "PUT", "/a", b"{}", {"Content-Type": 'application/json; charset="UTF-8"'}) == (0, "")
    assert refused(made, "PUT", "/a", b"{}", {**JSON, "Content-Encoding": "identity"}) == (0, "")


def test_xml_is_well_formed_and_has_no_document_type() -> None:
    made = described(
        {"/a": {"put": {"requestBody": {"content": {"application/xml": {}}}}}}, options={"max_depth": 2}
    )
    xml = {"Content-Type": "application/xml"}
    assert refused(made, "PUT", "/a", b"<a><b/></a>", xml) == (0, "")
    assert refused(made, "PUT", "/a", b"<a><b></a>", xml) == (400, "xml_invalid")
    assert refused(made, "PUT", "/a", b"<!DOCTYPE a><a/>", xml) == (400, "xml_invalid")
    assert refused(made, "PUT", "/a", b"<a><b><c/></b></a>", xml) == (400, "json_too_deep")


def test_a_body_may_be_required_left_out_or_not_there_at_all() -> None:
    paths = {
        "/a": {
            "put": {"requestBody": body({})},
            "post": {"requestBody": body({}, required=False)},
            "delete": {},
        }
    }
    made = described(paths)
    assert refused(made, "PUT", "/a") == (400, "body_missing")
    assert refused(made, "PUT", "/a", StreamBody([]), JSON) == (400, "body_missing")
    assert refused(made, "POST", "/a") == (0, "")
    assert refused(made, "POST", "/a", StreamBody([]), JSON) == (0, "")
    assert refused(made, "DELETE", "/a", b"x") == (0, "")
    strict = described(paths, options={"undeclared_body": "refuse"})
    assert refused(strict, "DELETE", "/a", b"x") == (400, "body_undeclared")
    assert refused(strict, "DELETE", "/a") == (0, "")


def test_roles_of_one_requirement_are_all_needed_and_of_several_any() -> None:
    made = described(
        {"/a": {"get": {"security": [{"s": ["a", "B"]}, {"s": ["root"]}]}, "put": {"security": [{"s": []}]}}},
        components={"securitySchemes": {"s": {"type": "oauth2"}}},
    )
    for roles, expected in ((("A", "b"), 0), (("a",), 403), (("Root",), 0), ((), 403)):
        assert refused(made, "GET", "/a", principal=Principal(roles=roles))[0] == expected
    assert refused(made, "PUT", "/a", principal=Principal()) == (0, "")
    assert refused(made, "PUT", "/a") == (401, "principal_missing")


def test_a_401_has_a_challenge_and_roles_can_be_left_to_others() -> None:
    paths: dict[str, Any] = {"/a": {"get": {"security": [{"s": ["a"]}]}}}
    components: dict[str, Any] = {"securitySchemes": {"s": {"type": "oauth2"}}}
    found = verdict(described(paths, components=components, options={"challenge": "Bearer"}), "GET", "/a")
    assert isinstance(found, Fault)
    assert found.headers == (("WWW-Authenticate", "Bearer"),)
    assert refused(described(paths, components=components, options={"roles": "ignore"}), "GET", "/a") == (
        0,
        "",
    )


def test_what_is_not_looked_at_stops_the_start_unless_it_is_allowed() -> None:
    paths = {"/a": {"get": {"parameters": [{"name": "c", "in": "cookie"}]}}}
    with pytest.raises(
        OptionError, match=r"api\.yaml:\d+:\d+: .*cookies are not looked at.*`unchecked: allow`"
    ):
        described(paths)
    services = FrozenServices()
    written(
        '{"openapi": "3.1.0", "paths": {"/a": {"get": {"parameters": [{"name": "c", "in": "cookie"}]}}}}',
        "a",
        {"unchecked": "allow"},
        services,
    )
    assert [event for event, _ in services.warnings] == ["description_not_checked"]


def test_a_description_that_cannot_be_read_is_told_with_its_place() -> None:
    with pytest.raises(OptionError) as caught:
        described({"/a": {"get": {"parameters": [{"$ref": "http://192.0.2.1/x"}]}}, "b": {"get": {}}})
    assert caught.value.rule == ("description",)
    assert len(caught.value.messages) == 2
    assert all(message.startswith("api.yaml:") for message in caught.value.messages)


def test_a_description_that_is_not_there_is_told() -> None:
    with pytest.raises(OptionError, match="cannot be read"):
        build(Api, {"description": "nothing.yaml"}, FrozenServices(directory=EXAMPLES))


def test_reads_what_the_description_has_it_read() -> None:
    plain = described({"/a": {"get": {}}})
    assert BODY not in facts_read(plain)
    more = described(
        {"/a": {"put": {"requestBody": body({}), "parameters": [{"name": "X-A", "in": "header"}]}}}
    )
    assert {BODY, header("x-a"), header("content-type")} <= facts_read(more)
    assert PRINCIPAL not in facts_read(more)
    assert METHOD in facts_of(Api, more.config)


def test_the_description_is_watched_as_the_configuration_is() -> None:
    assert Api.Config.model_validate({"description": "a.yaml"}).files() == ("a.yaml",)


ANSWERS = {
    "/a": {
        "get": {
            "responses": {
                "200": {"content": {"application/json": {"schema": {"required": ["r"], "properties": {"r": {"type": "string", "readOnly": True}}}}}},
                "4XX": {"content": {"application/json": {}}},
                "204": {},
            }
        }
    }
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "kind", "raw", "reason"),
    [
        (200, "application/json", b'{"r": "x"}', None),
        (200, "application/json", b'{"r": 1}', "answer_mismatch"),
        (200, "application/json", b"{}", "answer_mismatch"),
        (200, "application/json", b"{", "answer_mismatch"),
        (200, "text/html", b"<p>", "answer_not_described"),
        (200, "application/json", b"", None),
        (204, "", b"", None),
        (404, "application/json", b"[]", None),
        (500, "application/json", b"[]", "answer_not_described"),
    ],
)
def test_answers_are_held_against_the_description(
    status: int, kind: str, raw: bytes, reason: str | None
) -> None:
    made = described(ANSWERS, options={"validate_responses": {"percent": 100}})
    asked = exchange("GET", "/a")
    asked.response = Response(status, [("Content-Type", kind)] if kind else [], raw)
    found = judge_response(made, asked)
    assert (found.reason if isinstance(found, Fault) else found) == reason


def test_only_a_share_of_the_answers_is_looked_at() -> None:
    made = described(ANSWERS, options={"validate_responses": {"percent": 25}})
    found = 0
    for _ in range(2000):
        asked = exchange("GET", "/a", response=Response(500))
        found += made.on_response(asked) is not None
    assert 400 < found < 600


def test_answers_are_for_shadow_alone_and_cost_nothing_otherwise() -> None:
    plain = described(ANSWERS)
    assert (plain.statuses, plain.shadow_only) == (frozenset(), ())
    assert described(ANSWERS, options={"validate_responses": {}}).shadow_only == (("validate_responses",),)


def test_large_answers_are_let_alone() -> None:
    made = described(ANSWERS, options={"validate_responses": {"percent": 100, "max_size": 4}})
    for answer in (b'{"r":   1}', StreamBody([b'{"r":', b"   1}"])):
        asked = exchange("GET", "/a", response=Response(200, [("Content-Type", "application/json")], answer))
        assert judge_response(made, asked) is None


@given(st.sampled_from(["GET", "PUT", "DELETE", "get"]), st.text(alphabet="/a%2eE.b{}\\?", max_size=12))
def test_no_path_is_beyond_it(method: str, path: str) -> None:
    """Whatever the path, it is answered; and one that passes is `/` and one segment that is the parameter's."""
    found = judge(_ONE, exchange(method, "/" + path.replace("?", "")))
    if found is None:
        assert method == "GET"
        assert "/" not in path.replace("?", "")


_ONE = described(
    {
        "/{x}": {
            "parameters": [of_path("x", type="string", pattern="^[a-z.%]+$")],
            "get": {"parameters": [of_query("q")]},
        }
    }
)


_BODIES = described(
    {
        "/a": {
            "put": {
                "requestBody": {
                    "content": {"application/json": {"schema": {"type": "object"}}, "text/xml": {}}
                }
            }
        }
    }
)


@given(
    st.binary(max_size=40) | st.text(alphabet='{}[]":,<>/!a1&;', max_size=40).map(str.encode),
    st.sampled_from(["application/json", "text/xml", "text/xml; charset=utf-16", "APPLICATION/JSON", ""]),
)
def test_no_body_is_beyond_it(raw: bytes, kind: str) -> None:
    """Whatever the bytes, they are judged; and JSON that passes is what Python takes for an object too."""
    status, reason = refused(_BODIES, "PUT", "/a", raw, {"Content-Type": kind})
    assert status in (0, 400, 415)
    if status == 0 and raw and "json" in kind.lower():
        assert isinstance(json.loads(raw), dict)
    assert (status == 0) == (reason == "")


_PET: dict[str, Any] = {
    "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
    "discriminator": {"propertyName": "petType"},
}
_DOG = {"type": "object", "properties": {"packSize": {"type": "integer"}}, "required": ["petType"]}


def _pets(pet: Any, **options: Any) -> Api:
    schemas = {"Pet": pet, "Dog": _DOG, "Cat": {"type": "object"}}
    paths = {"/pets": {"post": {"requestBody": body({"$ref": "#/components/schemas/Pet"})}}}
    return described(paths, options=options, components={"schemas": schemas})


@pytest.mark.parametrize(
    ("document", "details"),
    [
        ('{"petType": "Dog", "packSize": "x"}', 'At /packSize: the value is not of type "integer".'),
        ('{"petType": "Bird"}', 'At /petType: the value is not one of "Cat" or "Dog".'),
        ('{"packSize": 5}', 'At the root: "petType" is a required property.'),
    ],
)
@pytest.mark.parametrize("rest", ["", ', "rest": [' + ",".join("0" * 300) + "]"])
def test_what_the_alternative_of_a_discriminator_refuses_is_told_of_it(
    document: str, details: str, rest: str
) -> None:
    raw = f"{document[:-1]}{rest}}}".encode()
    found = verdict(_pets(_PET), "POST", "/pets", raw, JSON)
    assert isinstance(found, Fault)
    assert (found.status, found.reason, found.details) == (400, "schema_mismatch", details)


def test_a_discriminator_that_cannot_be_judged_by_stops_the_start_unless_it_is_allowed() -> None:
    inline = {**_PET, "oneOf": [{"type": "object"}, *_PET["oneOf"]]}
    with pytest.raises(OptionError, match="the discriminator 'petType' is not looked at"):
        _pets(inline)
    assert refused(_pets(inline, unchecked="allow"), "POST", "/pets", b"5", JSON)[0] == 400


def test_what_only_answers_have_may_be_sent() -> None:
    schema = {
        "type": "object",
        "properties": {"id": {"type": "string", "readOnly": True}},
        "required": ["id"],
    }
    api = described({"/a": {"post": {"requestBody": body(schema)}}})
    assert refused(api, "POST", "/a", b"{}", JSON) == (0, "")
    assert refused(api, "POST", "/a", b'{"id": "x"}', JSON) == (0, "")
    assert refused(api, "POST", "/a", b'{"id": 5}', JSON) == (400, "schema_mismatch")


def test_a_description_of_hundreds_of_operations_with_schemas_of_their_own_is_loaded() -> None:
    def resource(number: int) -> dict[str, Any]:
        members = {f"m{place}": {"type": ["string", "null"], "maxLength": 255} for place in range(30)}
        schema = {"type": "object", "properties": {"server": {"type": "object", "properties": members}}}
        used = {"items": {"anyOf": [{"$ref": f"#/components/schemas/S{number}"}, {"type": "null"}]}}
        answers = {"200": {"description": "", "content": body(used)["content"]}}
        paths[f"/servers/{{id}}/a{number}"] = {
            "parameters": [of_path("id", format="uuid")],
            "get": {"parameters": [of_query("limit", type="integer", minimum=0)], "responses": answers},
            "post": {"requestBody": body(used), "responses": answers},
        }
        return schema

    paths: dict[str, Any] = {}
    components = {"schemas": {f"S{number}": resource(number) for number in range(300)}}
    api = described(paths, components=components)
    target = f"/servers/{UUID}/a299"
    assert refused(api, "POST", target, b'[{"server": {"m7": "x"}}, null]', JSON) == (0, "")
    wrong = verdict(api, "POST", target, b'[{"server": {"m7": 5}}]', JSON)
    assert isinstance(wrong, Fault)
    assert wrong.facts == {"pointer": "/0/server/m7"}


def test_schemas_that_all_refer_to_one_another_are_loaded_or_refused_with_their_number() -> None:
    def refers(number: int) -> dict[str, Any]:
        steps = range(1, 16)
        return {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                **{f"p{step}": {"$ref": f"#/components/schemas/S{(number * step) % 60}"} for step in steps},
            },
        }

    components = {"schemas": {f"S{number}": refers(number) for number in range(60)}}
    paths = {
        f"/o{number}": {"post": {"requestBody": body({"$ref": f"#/components/schemas/S{number}"})}}
        for number in range(50)
    }
    api = described(paths, components=components)
    assert refused(api, "POST", "/o7", b'{"p3": {"p2": {"name": "x"}}}', JSON) == (0, "")
    assert refused(api, "POST", "/o7", b'{"p3": {"p2": {"name": 5}}}', JSON) == (400, "schema_mismatch")
    with (
        mock.patch("filters.api.schema.MAX_COMPILED", 1000),
        pytest.raises(OptionError, match=r"api\.yaml: it takes \d{4} compiled .* more than 1000 are not"),
    ):
        described(paths, components=components)
