"""Configurations held against descriptions."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import loads
from gateway.description.coverage import METHODS, ReadOther, compare
from gateway.description.model import Description
from gateway.registry import Registry
from tests.description.reading import openapi, operation

_REGISTRY = Registry(entry_points=lambda: ())


def described(**paths: list[str]) -> Description:
    """Of methods by path; `_` stands for `/`, `x` for a parameter."""
    made: dict[str, Any] = {}
    for name, methods in paths.items():
        path = "/".join("{x}" if part == "x" else part for part in name.split("_"))
        item: dict[str, Any] = {method.lower(): operation() for method in methods}
        if "{x}" in path:
            item["parameters"] = [{"name": "x", "in": "path", "required": True}]
        made[f"/{path}"] = item
    return openapi(made)


def found(
    description: Description, *routes: dict[str, Any], filters: Any = (), read: ReadOther | None = None
) -> list[str]:
    text = yaml.safe_dump(
        {
            "upstreams": {"u": {"endpoints": ["http://u:1"]}},
            "filters": list(filters),
            "routes": [{"name": f"r{place}", "upstream": "u", **route} for place, route in enumerate(routes)],
        },
        sort_keys=False,
    )
    loaded = loads(text, "gateway.yaml", registry=_REGISTRY, environment={}, directory=Path("/d"))
    other = read or (lambda file, base: described())
    return [str(one) for one in compare(loaded, description, Path("/d/api.yaml"), None, other)]


def messages(description: Description, *routes: dict[str, Any], **more: Any) -> list[str]:
    return [one.split(": ", 1)[1] for one in found(description, *routes, **more)]


@pytest.mark.parametrize(
    ("path", "route"), [("/a b/c", "/a%20b/c"), ("/é", "/%C3%A9"), ("/x:y", "/x:y"), ("/50%25", "/50%25")]
)
def test_a_literal_is_asked_for_with_its_escapes(path: str, route: str) -> None:
    description = openapi({path: {"get": operation()}})
    assert found(description, {"path": route, "methods": ["GET"]}) == []
    assert len(found(description, {"path": "/other", "methods": ["GET"]})) == 2


def test_what_agrees_has_no_findings() -> None:
    assert (
        found(
            described(a=["GET"], a_x=["GET", "PUT"]),
            {"path": "/a", "methods": ["GET"]},
            {"path": "/a/{id}", "methods": ["GET", "PUT"]},
        )
        == []
    )


def test_findings_have_their_place_in_the_file_that_they_are_of() -> None:
    told = found(described(a=["GET"]), {"path": "/b", "methods": ["GET"]})
    assert told == [
        "gateway.yaml:9:3: the route 'r0' takes what is not described: GET of /b",
        "api.yaml:7:5: GET /a is described, and no route takes it",
    ]


def test_methods_that_are_open_and_not_described() -> None:
    assert messages(described(a=["GET"]), {"path": "/a", "methods": ["GET", "PUT", "DELETE"]}) == [
        "the route 'r0' takes DELETE, PUT, which is not described of /a"
    ]


def test_a_route_without_methods_takes_all() -> None:
    assert messages(
        described(b=["GET"], a=["GET"]),
        {"path": "/b", "methods": ["GET"]},
        {"path": "/c"},
        {"path": "/a", "methods": ["GET"]},
    ) == ["the route 'r1' takes what is not described: every method of /c"]
    assert found(described(a=sorted(METHODS)), {"path": "/a"}) == []


def test_a_filter_of_methods_counts_where_it_always_enforces() -> None:
    only = {"methods": {"allow": ["GET"]}}
    assert found(described(a=["GET"]), {"path": "/a", "filters": [only]}) == []
    assert found(described(a=["GET"]), {"path": "/a"}, filters=[only]) == []
    for more in ({"mode": "shadow"}, {"when": {"role": "x"}}):
        entry = {"methods": {"allow": ["GET"], **more}}
        assert len(found(described(a=["GET"]), {"path": "/a", "filters": [entry]})) == 1


def test_a_method_that_a_filter_refuses_cannot_be_reached() -> None:
    assert messages(
        described(a=["GET", "PUT"]), {"path": "/a", "filters": [{"methods": {"allow": ["GET"]}}]}
    ) == ["PUT /a is described, and a filter of the route 'r0' refuses the method"]


def test_methods_that_no_route_of_the_path_takes_cannot_be_reached() -> None:
    assert messages(described(a=["GET", "PUT"]), {"path": "/a", "methods": ["GET"]}) == [
        "PUT /a is described, and the routes of the path take only GET"
    ]


def test_a_route_may_be_wider_than_what_is_described() -> None:
    assert messages(described(a_b=["GET"]), {"path": "/a/{id}", "methods": ["GET"]}) == [
        "the route 'r0' takes more paths than are described: /a/{id}"
    ]
    assert messages(described(a_b=["GET"]), {"path": "/{rest*}", "methods": ["GET"]}) == [
        "the route 'r0' takes more paths than are described: /{rest*}"
    ]


def test_a_route_that_takes_some_values_of_a_parameter_leaves_the_others_out_of_reach() -> None:
    assert messages(described(a_x=["GET"]), {"path": "/a/detail", "methods": ["GET"]}) == [
        "GET /a/{x} is described, and no route takes it"
    ]


def test_a_route_of_a_host_can_be_reached() -> None:
    assert found(described(a=["GET"]), {"path": "/a", "methods": ["GET"], "host": "*.example.com"}) == []


@pytest.mark.parametrize("place", ["filters", "route"])
def test_a_route_on_which_the_description_is_enforced_is_open_to_nothing_else(place: str) -> None:
    entry = {"api": {"description": "api.yaml"}}
    if place == "filters":
        assert found(described(a=["GET"]), {"path": "/{rest*}"}, filters=[entry]) == []
    else:
        assert found(described(a=["GET"]), {"path": "/{rest*}", "filters": [entry]}) == []


@pytest.mark.parametrize("options", [{"mode": "shadow"}, {"when": {"role": "x"}}])
def test_it_is_open_where_another_is_or_where_it_is_not_enforced(options: dict[str, Any]) -> None:
    entry = {"api": {"description": "api.yaml", **options}}
    assert len(found(described(a=["GET"]), {"path": "/{rest*}"}, filters=[entry])) == 1


def test_where_another_description_is_enforced_it_is_open_to_that_and_no_more() -> None:
    entry = {"api": {"description": "other.yaml"}}
    read = described(a=["GET", "PUT"], b_x=["GET"], c=["GET"])
    told = messages(
        described(a=["GET"], c=["GET", "POST"], d=["GET"]),
        {"path": "/{rest*}", "methods": ["GET", "POST", "PUT"]},
        filters=[entry],
        read=lambda file, base: read,
    )
    assert told == [
        "the route 'r0' takes what is not described, but in api.yaml: PUT of /a",
        "the route 'r0' takes what is not described, but in api.yaml: GET of /b/{x}",
        "POST /c is described, and `api` of the route 'r0' refuses it: api.yaml, as it is read there, has no such operation",
        "GET /d is described, and `api` of the route 'r0' refuses it: api.yaml, as it is read there, has no such operation",
    ]


def test_a_description_is_another_where_its_paths_begin_elsewhere() -> None:
    paths = {"/a": {"get": operation()}}
    asked: list[tuple[Path, str | None]] = []

    def read(file: Path, base: str | None) -> Description:
        asked.append((file, base))
        return openapi(paths, base=base)

    entry = {"api": {"description": "api.yaml", "base": "/v9"}}
    told = messages(openapi(paths), {"path": "/{rest*}"}, filters=[entry], read=read)
    assert asked == [(Path("/d/api.yaml"), "/v9")]
    assert [one.split(":")[0] for one in told] == [
        "the route 'r0' takes what is not described, but in api.yaml",
        "GET /a is described, and `api` of the route 'r0' refuses it",
    ]
    assert messages(openapi(paths, base="/v9"), {"path": "/{rest*}"}, filters=[entry], read=read) == []
