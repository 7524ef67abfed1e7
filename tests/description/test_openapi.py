"""OpenAPI 3.0 and 3.1."""

from typing import Any

import pytest

from gateway.description.model import Parameter
from tests.description.reading import openapi, operation, problems


def parameter(given: dict[str, Any], path: str = "/a", **more: Any) -> Parameter:
    description = openapi({path: {"get": operation(parameters=[given])}}, **more)
    (resource,) = description.resources
    (one,) = (*resource.parameters, *resource.operations[0].parameters)
    return one


def of_query(**more: Any) -> dict[str, Any]:
    return {"name": "q", "in": "query", **more}


@pytest.mark.parametrize(("version", "language"), [("3.0.3", "OpenAPI 3.0"), ("3.1.1", "OpenAPI 3.1")])
def test_both_versions_are_read(version: str, language: str) -> None:
    description = openapi(
        {"/a/{b}": {"get": operation(parameters=[{"name": "b", "in": "path", "required": True}])}},
        version=version,
    )
    assert description.language == language
    assert [resource.path for resource in description.resources] == ["/a/{b}"]


@pytest.mark.parametrize("version", ["2.0", "3.2.0", "4", ""])
def test_no_other_version_is(version: str) -> None:
    (told,) = problems(lambda: openapi(version=version))
    assert "expected a description in OpenAPI 3.0 or 3.1" in told


def test_paths_begin_where_servers_say_and_the_nearest_word_counts() -> None:
    description = openapi(
        {
            "/a": {"get": operation(), "put": operation(servers=[{"url": "https://x/put/"}])},
            "/b": {"servers": [{"url": "/b1"}, {"url": "b2"}], "get": operation()},
        },
        servers=[
            {
                "url": "https://{host}/{v}",
                "variables": {"host": {"default": "h"}, "v": {"default": "v1", "enum": ["v1", "v2"]}},
            }
        ],
    )
    assert sorted((resource.path, *resource.methods) for resource in description.resources) == [
        *(("/b1/b", "GET"), ("/b2/b", "GET")),
        *(("/put/a", "PUT"), ("/v1/a", "GET"), ("/v2/a", "GET")),
    ]
    assert description.server == "https://{host}/{v}"


def test_another_base_stands_in_their_place() -> None:
    paths = {"/a": {"get": operation()}}
    servers = [{"url": "/v1"}]
    assert openapi(paths, servers=servers, base="/x/").resources[0].path == "/x/a"
    assert openapi(paths, servers=servers, base="").resources[0].path == "/a"


def test_parameters_of_the_path_are_the_paths_where_all_operations_agree() -> None:
    text, number = (
        {"name": "b", "in": "path", "required": True, "schema": {"type": kind}}
        for kind in ("string", "integer")
    )
    (same,) = openapi(
        {"/{b}": {"get": operation(parameters=[text]), "put": operation(parameters=[text])}}
    ).resources
    assert [one.name for one in same.parameters] == ["b"]
    assert all(not one.parameters for one in same.operations)
    (other,) = openapi(
        {"/{b}": {"get": operation(parameters=[text]), "put": operation(parameters=[number])}}
    ).resources
    assert other.parameters == ()
    assert {one.method: one.parameters[0].types for one in other.operations} == {
        "GET": {"string"},
        "PUT": {"integer"},
    }


def test_an_operation_has_its_own_word_on_a_parameter_of_the_path_item() -> None:
    (resource,) = openapi(
        {
            "/a": {
                "parameters": [of_query(required=True)],
                "get": operation(parameters=[of_query()]),
                "put": operation(),
            }
        }
    ).resources
    assert {one.method: one.parameters[0].required for one in resource.operations} == {
        "GET": False,
        "PUT": True,
    }


@pytest.mark.parametrize(
    ("more", "form", "separator"),
    [
        ({"schema": {"type": "string"}}, "text", None),
        ({"schema": {"type": "array"}}, "list", None),
        ({"schema": {"type": "array"}, "explode": False}, "list", ","),
        ({"schema": {"type": "array"}, "style": "pipeDelimited", "explode": False}, "list", "|"),
        ({"schema": {"type": "array"}, "style": "spaceDelimited", "explode": False}, "list", " "),
        ({"schema": {"type": "object"}, "style": "deepObject"}, "object", None),
        ({"content": {"application/json": {"schema": {"type": "object"}}}}, "json", None),
    ],
)
def test_styles_say_how_a_value_is_written(more: dict[str, Any], form: str, separator: str | None) -> None:
    one = parameter(of_query(**more))
    assert (one.form, one.separator) == (form, separator)
    assert one.schema is not None


def test_types_of_items_and_members_are_known_through_references() -> None:
    components = {
        "schemas": {
            "L": {"type": "array", "items": {"type": "integer"}},
            "O": {"type": "object", "properties": {"n": {"type": "number"}}},
        }
    }
    a_list = parameter(of_query(schema={"$ref": "#/components/schemas/L"}), components=components)
    assert (a_list.form, set(a_list.item.types)) == ("list", {"integer"})
    an_object = parameter(
        of_query(schema={"$ref": "#/components/schemas/O"}, style="deepObject"), components=components
    )
    assert {name: part.types for name, part in an_object.members.items()} == {"n": {"number", "integer"}}


@pytest.mark.parametrize("name", ["Accept", "content-type", "Authorization"])
def test_header_fields_that_are_said_elsewhere_are_no_parameters(name: str) -> None:
    (resource,) = openapi({"/a": {"get": operation(parameters=[{"name": name, "in": "header"}])}}).resources
    assert resource.operations[0].parameters == ()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"parameters": [{"name": "c", "in": "cookie"}]}, "cookies are not looked at"),
        ({"parameters": [of_query(schema={"type": "object"})]}, "as `deepObject` alone"),
        ({"parameters": [of_query(schema={"type": ["object", "null"]})]}, "as `deepObject` alone"),
        (
            {"parameters": [of_query(schema={"oneOf": [{"type": "string"}, {"type": "object"}]})]},
            "as `deepObject` alone",
        ),
        (
            {
                "parameters": [
                    of_query(
                        schema={"type": "object", "properties": {"l": {"type": "array"}}}, style="deepObject"
                    )
                ]
            },
            "the member 'l' is a list or an object itself",
        ),
        ({"parameters": [of_query(schema={"type": "string"}, style="deepObject")]}, "style 'deepObject'"),
        (
            {"parameters": [{"name": "X-A", "in": "header", "schema": {}, "style": "pipeDelimited"}]},
            "style 'pipeDelimited'",
        ),
        ({"parameters": [of_query(content={"text/csv": {}})]}, "only JSON is looked at"),
        (
            {"requestBody": {"content": {"multipart/form-data": {"schema": {"type": "object"}}}}},
            "only the media type is looked at, not its schema",
        ),
        ({"requestBody": {"content": {"application/xml": {"schema": {"type": "object"}}}}}, "not its schema"),
        ({"requestBody": {"content": {"text/plain": {"schema": {"format": "uuid"}}}}}, "not its schema"),
    ],
)
def test_what_nobody_looks_at_is_told(more: dict[str, Any], message: str) -> None:
    (told,) = openapi({"/a": {"get": operation(**more)}}).unchecked
    assert message in str(told)
    assert str(told).startswith("api.yaml:")


def test_a_schema_that_asks_nothing_of_bytes_is_looked_at() -> None:
    content = {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "text/plain": {},
    }
    assert openapi({"/a": {"put": operation(requestBody={"content": content})}}).unchecked == ()


def test_bodies_have_media_types_schemas_and_may_be_required() -> None:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/S"}}, "image/*": {}}
    components = {
        "schemas": {"S": {"type": "object"}},
        "requestBodies": {"B": {"required": True, "content": content}},
    }
    description = openapi(
        {"/a": {"put": operation(requestBody={"$ref": "#/components/requestBodies/B"})}},
        components=components,
    )
    (one,) = description.resources[0].operations
    assert one.body_required
    assert [(media.range, media.form, len(media.checks)) for media in one.media] == [
        ("application/json", "json", 1),
        ("image/*", "other", 0),
    ]


def test_scopes_and_roles_are_asked_for_all_of_one_requirement_any_of_several() -> None:
    components = {"securitySchemes": {"a": {"type": "http"}, "b": {"type": "oauth2"}}}
    description = openapi(
        {
            "/a": {
                "get": operation(),
                "put": operation(security=[{"a": ["Admin"], "b": ["write"]}, {"a": ["root"]}]),
                "post": operation(security=[]),
                "delete": operation(security=[{"a": ["admin"]}, {}]),
            }
        },
        components=components,
        security=[{"a": []}],
    )
    roles = {one.method: one.roles for one in description.resources[0].operations}
    assert roles == {
        "GET": (frozenset(),),
        "PUT": (frozenset(("admin", "write")), frozenset(("root",))),
        "POST": None,
        "DELETE": None,
    }


def test_answers_are_told_by_status() -> None:
    (resource,) = openapi(
        {
            "/a": {
                "get": {
                    "responses": {
                        "200": {"content": {"application/json": {"schema": {}}}},
                        "4XX": {},
                        "default": {},
                    }
                }
            }
        }
    ).resources
    assert [(answer.status, len(answer.media)) for answer in resource.operations[0].answers] == [
        ("200", 1),
        ("4XX", 0),
        ("default", 0),
    ]


@pytest.mark.parametrize(
    ("paths", "more", "message"),
    [
        ({"a": {"get": operation()}}, {}, "/paths/a: a path begins with '/'"),
        ({"/{a": {"get": operation()}}, {}, "is no template"),
        ({"/{a}{b}": {"get": operation()}}, {}, "nothing between them"),
        ({"/{a}": {"get": operation()}}, {}, "nothing is said of the parameter 'a'"),
        (
            {"/{a}/{a}": {"get": operation(parameters=[{"name": "a", "in": "path", "required": True}])}},
            {},
            "stands twice in the path",
        ),
        (
            {"/{a}": {"get": operation(parameters=[{"name": "a", "in": "path"}])}},
            {},
            "must be `required: true`",
        ),
        ({"/a": {"get": operation(parameters=[{"name": "a", "in": "body"}])}}, {}, "is `in` path, query"),
        ({"/a": {"get": operation(parameters=[of_query(), of_query()])}}, {}, "given twice"),
        ({"/a": {"get": operation(parameters=[{"$ref": "other.yaml#/p"}])}}, {}, "only references within"),
        ({"/a": {"$ref": "#/paths/~1a"}}, {}, "references lead from one to the next"),
        ({"/a": {"get": operation(security=[{"x": []}])}}, {}, "there is no security scheme 'x'"),
        ({"/a": {"get": {"responses": {"20": {}}}}}, {}, "'20' is no status"),
        ({"/a": {"put": operation(requestBody={"content": {"json": {}}})}}, {}, "'json' is no media type"),
        (
            {"/a": {"put": operation(requestBody={"content": {"a/b; x=1; y=2": {}, "A/B;y=2;X=1": {}}})}},
            {},
            "the media type 'a/b; x=1; y=2' is given twice",
        ),
        (
            {"/a": {"put": operation(requestBody={"content": {"a/b": {}, "A/B": {}}})}},
            {},
            "the media type 'a/b' is given twice",
        ),
        (
            {"/a": {"put": operation(requestBody={"content": {"a/c": {}, "a/b; x=1; x=2": {}}})}},
            {},
            "is no media type",
        ),
        ({"/a": {"get": operation()}}, {"servers": [{"url": "/{v}"}]}, "the variable 'v' has no default"),
        (
            {"/a": {"get": operation()}},
            {
                "servers": [
                    {"url": "/{v}", "variables": {"v": {"default": "0", "enum": list(map(str, range(99)))}}}
                ]
            },
            "more than 64 servers",
        ),
        ({"/a": {"get": 5}}, {}, "expected a mapping"),
        ({"/a": 5}, {}, "expected a mapping"),
        ({"/a": {"get": operation(parameters={"a": 1})}}, {}, "expected a list"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    paths: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    told = problems(lambda: openapi(paths, **more))
    assert any(message in one for one in told), told
    assert all(one.startswith("api.yaml:") for one in told)


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert (
        len(
            problems(
                lambda: openapi({"a": {"get": operation()}, "/b": {"get": 5}, "/{c}": {"get": operation()}})
            )
        )
        == 3
    )


def test_operations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.description.openapi.MAX_OPERATIONS", 3)
    paths = {f"/{n}": {"get": operation()} for n in range(9)}
    (told,) = problems(lambda: openapi(paths))
    assert "there are more than 3 operations" in told
