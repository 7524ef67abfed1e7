"""Routes made from a description."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.load import Loaded, loads
from gateway.config.problem import ConfigurationError
from gateway.description.draft import draft
from gateway.description.model import Description
from gateway.description.read import read_description
from gateway.plan import build_plan
from gateway.registry import Registry
from tests.description.reading import files, openapi, operation, wadl

_REGISTRY = Registry(entry_points=lambda: ())


def loaded(text: str, directory: Path | None = None) -> Loaded:
    return loads(text, "gateway.yaml", registry=_REGISTRY, environment={}, directory=directory)


def routes(description: Description, **options: Any) -> list[tuple[str, str, list[str]]]:
    configuration = loaded(draft(description, file="api.yaml", **options)).configuration
    return [(route.name, route.path, list(route.methods or ())) for route in configuration.routes]


def parameters(*names: str, **schema: Any) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def test_each_path_is_a_route_with_its_methods() -> None:
    described = openapi(
        {
            "/": {"get": operation()},
            "/images": {"get": operation(), "post": operation()},
            "/images/{imageId}": {"parameters": parameters("imageId"), "delete": operation()},
        },
        servers=[{"url": "https://api.example.com:8443/v2"}],
    )
    assert routes(described) == [
        ("v2", "/v2/", ["GET"]),
        ("v2-images", "/v2/images", ["GET", "POST"]),
        ("v2-images-image-id", "/v2/images/{image_id}", ["DELETE"]),
    ]
    (upstream,) = loaded(draft(described, file="a")).configuration.upstreams.values()
    assert str(upstream.endpoints[0].url) == "https://api.example.com:8443"


def test_paths_of_one_shape_are_one_route() -> None:
    described = openapi(
        {
            "/a/{x}": {"parameters": parameters("x"), "get": operation()},
            "/a/{y}": {"parameters": parameters("y"), "put": operation()},
            "/a/v{z}": {"parameters": parameters("z"), "post": operation()},
        }
    )
    assert routes(described) == [("a-x", "/a/{x}", ["GET", "POST", "PUT"])]


def test_by_hand_a_uuid_is_one_in_every_operation() -> None:
    pattern = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
    lower = pattern.replace("A-F", "")
    described = openapi(
        {
            "/a/{x}/{y}": {
                "get": operation(
                    parameters=[*parameters("x", format="uuid"), *parameters("y", pattern=lower)]
                ),
                "put": operation(parameters=[*parameters("x"), *parameters("y", pattern=pattern)]),
            }
        }
    )
    (route,) = loaded(draft(described, file="a", by_hand=True)).configuration.routes
    assert [
        entry.options.model_dump(exclude_unset=True) for entry in route.filters if entry.type == "uuid"
    ] == [{"params": ("y",), "lenient": True}]


def test_by_hand_it_says_whom_operations_are_for() -> None:
    described = wadl(
        '<resources base="http://h/"><resource path="a"><method name="GET" rax:roles="b a&#10;c&#xA0;d"/>'
        '<method name="PUT" rax:roles="a"/><method name="DELETE"/></resource></resources>'
    )
    text = draft(described, file="a", by_hand=True)
    assert [line for line in text.splitlines() if "is for" in line] == [
        "  #   Nobody asks for who is calling: it is for the roles a or b or c d.",
        "  #   Nobody asks for who is calling: it is for the role a.",
    ]
    assert len(loaded(text).configuration.routes) == 1
    assert "is for" not in draft(described, file="a")
    anybody = openapi(
        {"/a": {"get": operation(security=[{"k": []}, {"k": ["r", "q"]}])}},
        components={"securitySchemes": {"k": {"type": "http", "scheme": "bearer"}}},
    )
    assert "it is for whoever is known." in draft(anybody, file="a", by_hand=True)


def test_by_hand_it_tells_other_filters_what_the_description_says() -> None:
    content: dict[str, Any] = {"application/json": {}, "image/*": {}}
    described = openapi(
        {
            "/a/{x}/{y}/{z}": {
                "parameters": [
                    *parameters("x", format="uuid"),
                    *parameters(
                        "y", pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
                    ),
                    *parameters("z", type="string"),
                ],
                "put": operation(requestBody={"content": content}),
            }
        }
    )
    (route,) = loaded(draft(described, file="a", by_hand=True)).configuration.routes
    told = [(entry.type, entry.options.model_dump(exclude_defaults=True)) for entry in route.filters]
    assert told == [
        ("methods", {"allow": ("PUT",)}),
        ("uuid", {"params": ("y",)}),
        ("uuid", {"params": ("x",), "lenient": True}),
        ("content_type", {"allow": ("application/json", "image/*")}),
        ("body_size", {}),
    ]


def test_what_cannot_be_a_route_and_what_nobody_looks_at_are_told() -> None:
    described = openapi(
        {
            "/a//b": {"get": operation()},
            "/c": {"get": operation(parameters=[{"name": "k", "in": "cookie"}])},
        }
    )
    text = draft(described, file="a")
    assert "# Not a route: /a//b: a path template has no empty segments" in text
    assert "# Not checked: api.yaml:" in text
    assert "unchecked: allow" not in text, "which nobody has said"
    assert "unchecked: allow" in draft(described, file="a", allow_unchecked=True)
    assert [path for _, path, _ in routes(described)] == ["/c"]


def test_a_wadl_makes_routes_too() -> None:
    described = wadl(
        '<resources base="http://h:1/v1"><resource path="a/{B}"><param name="B" style="template"/><method name="GET"/></resource></resources>'
    )
    assert routes(described) == [("v1-a-b", "/v1/a/{b}", ["GET"])]


def test_without_a_path_there_is_nothing_to_write() -> None:
    with pytest.raises(ValueError, match="no path that can be a route"):
        routes(openapi({}))


@pytest.mark.parametrize(
    "server",
    ["ftp://x", "http://{host}/", "/v2", "http://a b/", "http://x:0", "http://u:p@x/", "http://[::1/"],
)
def test_a_server_that_is_no_endpoint_is_left_to_be_filled_in(server: str) -> None:
    described = openapi({"/a": {"get": operation()}})
    described = dataclasses.replace(described, server=server)
    assert 'endpoints: ["http://127.0.0.1:8774"]' in draft(described, file="a")


_LITERAL = st.text(min_size=1, max_size=6).filter(lambda text: not set(text) & set("/{}%"))
_NAMES = st.text(min_size=1, max_size=6).filter(lambda text: not set(text) & set("/{}%"))


@given(
    st.lists(st.lists(st.tuples(st.booleans(), _LITERAL), min_size=1, max_size=3), max_size=4),
    st.text(max_size=20),
)
def test_whatever_is_described_the_draft_can_be_put_in_force(
    given_paths: list[list[tuple[bool, str]]], words: str
) -> None:
    paths: dict[str, Any] = {}
    for segments in given_paths:
        names = list(dict.fromkeys(name for is_parameter, name in segments if is_parameter))
        if len(names) != sum(is_parameter for is_parameter, _ in segments):
            continue
        path = "/" + "/".join(f"{{{name}}}" if is_parameter else name for is_parameter, name in segments)
        paths[path] = {
            "get": operation(operationId=words, summary=words, parameters=parameters(*names, format="uuid"))
        }
    text = json.dumps({"openapi": "3.1.0", "info": {"title": words}, "paths": paths})
    try:
        described = read_description("api.json", files(api__json=text))
        text = draft(described, file="api.json", by_hand=True)
    except (ConfigurationError, ValueError):
        return
    made = loaded(text)
    assert build_plan(made, _REGISTRY).revision == made.revision
    other = loaded(draft(described, file=words or "a", upstream="x"))
    assert other.configuration.filters[0].options.model_dump()["description"] == (words or "a")
