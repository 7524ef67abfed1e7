"""Why a route does not take a request."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.load import loads
from gateway.registry import Registry
from gateway.router import Router, RouteSpec
from gateway.trial.routing import considered
from tests.support.gateway import configuration

ROUTES: list[dict[str, Any]] = [
    {"name": "list", "path": "/v2/{p}/images", "methods": ["GET"], "upstream": "main"},
    {"name": "one", "path": "/v2/{p}/images/{i}", "upstream": "main"},
    {"name": "special", "path": "/v2/{p}/images/special", "upstream": "main"},
    {"name": "rest", "path": "/files/{rest*}", "upstream": "main"},
    {
        "name": "there",
        "path": "/v2/{p}/images",
        "host": "*.example.com",
        "methods": ["GET"],
        "upstream": "main",
    },
]
LOADED = loads(configuration("http://a:1", routes=ROUTES), "gateway.yaml", registry=Registry())


@pytest.mark.parametrize(
    ("taken", "method", "host", "path", "name", "because"),
    [
        ("list", "GET", "a", "/v2/p/images", "one", "its path goes on behind /v2/p/images"),
        ("one", "GET", "a", "/v2/p/images/7", "list", "its path ends before this one does"),
        ("special", "GET", "a", "/v2/p/images/special", "one", "special says more of the path"),
        (None, "GET", "a", "/v2/p/flavors", "list", "its path has 'images' where this has 'flavors'"),
        (None, "POST", "a", "/v2/p/images", "list", "it is for GET"),
        ("list", "GET", "a", "/v2/p/images", "there", "it is for the host *.example.com"),
        ("there", "GET", "x.example.com:80", "/v2/p/images", "list", "there says more of the path"),
        (None, "GET", "a", "/files", "rest", "its path goes on behind /files"),
    ],
)
def test_why_not(taken: str | None, method: str, host: str, path: str, name: str, because: str) -> None:
    told = {route.name: route.because for route in considered(LOADED, taken, method, host, path)}
    assert told[name] == because


def test_the_one_that_takes_it_comes_first_and_each_has_its_place() -> None:
    told = considered(LOADED, "one", "GET", "a", "/v2/p/images/7")
    assert [route.name for route in told] == ["one", "list", "special", "rest", "there"]
    assert told[0].because == "" and told[0].source.startswith("gateway.yaml:")


_SEGMENTS = st.sampled_from(["v2", "images", "special", "files", "a", "%61", "i%6Dages"])


@settings(max_examples=200)
@given(st.lists(_SEGMENTS, min_size=1, max_size=5), st.sampled_from(["GET", "POST"]))
def test_a_path_differs_from_the_templates_that_the_router_says_it_does(
    parts: list[str], method: str
) -> None:
    path = "/" + "/".join(parts)
    for route in LOADED.configuration.routes:
        alone = Router([RouteSpec(None, route.path, None, route.name)])
        (told,) = [
            one for one in considered(LOADED, None, method, "x.example.com", path) if one.name == route.name
        ]
        fits = alone.match("x.example.com", path, method).payload is not None
        assert fits == told.because.startswith(("another template", "it is for GET"))
