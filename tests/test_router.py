from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.target import decode, matchable
from gateway.router import Match, RouteConflict, Router, RouteSpec, TemplateError

GET, POST = frozenset({"GET"}), frozenset({"POST"})


def route(
    template: str, methods: frozenset[str] | None = None, payload: Any = None, host: str | None = None
) -> RouteSpec:
    return RouteSpec(host, template, methods, payload if payload is not None else template)


def test_finds_a_route_with_its_parameters_decoded_once() -> None:
    router = Router([route("/v2/{project_id}/images/{image_id}/metadata/{key}", GET, "item")])
    assert router.match("h", "/v2/p%201/images/7/metadata/a%252Fb", "GET") == Match(
        "item",
        {"project_id": "p 1", "image_id": "7", "key": "a%2Fb"},
        "/v2/{project_id}/images/{image_id}/metadata/{key}",
        None,
    )


def test_no_template_is_nothing_at_all() -> None:
    for router in (Router([]), Router([route("/a")])):
        for path in ("/b", "/a/", "/A", "/a\n", "", "*"):
            assert router.match("h", path, "GET") == Match(None, {}, None, None)


def test_a_template_without_the_method_names_those_it_has() -> None:
    router = Router([route("/a/{x}", POST), route("/a/{y}", frozenset({"GET", "PUT"}))])
    assert router.match("h", "/a/1", "DELETE") == Match(None, {}, "/a/{x}", ("GET", "POST", "PUT"))
    assert router.match("h", "/a/1", "PUT") == Match("/a/{y}", {"y": "1"}, "/a/{y}", None)


def test_head_is_not_implied_by_get() -> None:
    assert Router([route("/a", GET)]).match("h", "/a", "HEAD").allow == ("GET",)


def test_the_most_specific_template_wins_and_is_not_left_for_another_method() -> None:
    router = Router(
        [
            route("/{rest*}"),
            route("/v2/{rest*}"),
            route("/v2/{id}", GET),
            route("/v2/images", POST),
            route("/v2/{id}/x"),
            route("/v2/images/{y}"),
        ]
    )
    assert router.match("h", "/v2/images", "POST").payload == "/v2/images"
    assert router.match("h", "/v2/images", "GET").allow == ("POST",)
    assert router.match("h", "/v2/7", "GET").payload == "/v2/{id}"
    assert router.match("h", "/v2/images/x", "GET").payload == "/v2/images/{y}"
    assert router.match("h", "/v2/7/x", "GET").payload == "/v2/{id}/x"
    assert router.match("h", "/v2/7/y", "GET").params == {"rest": "7/y"}
    assert router.match("h", "/v2/", "GET").params == {"rest": "v2/"}
    assert router.match("h", "/", "GET").payload == "/{rest*}"


def test_a_literal_that_leads_nowhere_does_not_hide_a_parameter_that_does() -> None:
    router = Router([route("/a/b/c"), route("/{x}/b/d"), route("/{x}/{y}/{z}/e")])
    assert router.match("h", "/a/b/d", "GET") == Match("/{x}/b/d", {"x": "a"}, "/{x}/b/d", None)
    assert router.match("h", "/a/b/c/e", "GET").params == {"x": "a", "y": "b", "z": "c"}


def test_a_literal_cannot_be_evaded_by_an_escape() -> None:
    router = Router([route("/v2/images"), route("/v2/{x}"), route("/v2/%69d"), route("/v2/a%2bb")])
    assert router.match("h", "/v2/%69mages", "GET").payload == "/v2/images"
    assert router.match("h", "/v2/i%64", "GET").payload == "/v2/%69d"
    assert router.match("h", "/v2/a%2Bb", "GET").payload == "/v2/a%2bb"


def test_an_exact_host_comes_before_a_wildcard_and_that_before_none() -> None:
    router = Router(
        [
            route("/a", host=None, payload="any"),
            route("/a", host="*.example.com", payload="wild"),
            route("/a", host="*.eu.example.com", payload="wilder"),
            route("/a", host="API.example.com:8443", payload="exact"),
            route("/{rest*}", host="*.eu.example.com", payload="rest"),
        ]
    )
    assert router.match("api.EXAMPLE.com:80", "/a", "GET").payload == "exact"
    assert router.match("b.example.com", "/a", "GET").payload == "wild"
    assert router.match("b.c.example.com", "/a", "GET").payload == "wild"
    assert router.match("b.eu.example.com", "/a", "GET").payload == "wilder"
    assert router.match("b.eu.example.com", "/b", "GET").payload == "rest"
    assert router.match("example.com", "/a", "GET").payload == "any"
    assert router.match("badexample.com", "/a", "GET").payload == "any"
    assert router.match("api.example.com", "/b", "GET").template is None


def test_a_host_that_has_the_template_keeps_the_request() -> None:
    router = Router([route("/a", GET, host="api.test"), route("/a", None)])
    assert router.match("api.test", "/a", "POST").allow == ("GET",)
    assert router.match("other.test", "/a", "POST").payload == "/a"


@pytest.mark.parametrize(
    ("specs", "indexes"),
    [
        ([route("/a"), route("/b"), route("/a")], (0, 2)),
        ([route("/a/{x}", GET), route("/a/{y}", frozenset({"GET", "PUT"}))], (0, 1)),
        ([route("/a/{x*}", GET), route("/a/{y*}")], (0, 1)),
        ([route("/a%2b"), route("/a%2B")], (0, 1)),
        ([route("/%61"), route("/a")], (0, 1)),
        ([route("/a", host="H.test"), route("/a", host="h.test:80")], (0, 1)),
        ([route("/a", GET), route("/a", POST), route("/a", POST)], (1, 2)),
    ],
)
def test_two_routes_for_one_request_conflict(specs: list[RouteSpec], indexes: tuple[int, int]) -> None:
    with pytest.raises(RouteConflict) as raised:
        Router(specs)
    assert (raised.value.first, raised.value.second) == indexes


def test_other_hosts_other_methods_and_other_forms_do_not_conflict() -> None:
    Router(
        [
            route("/a/{x}", GET),
            route("/a/{x}", POST),
            route("/a/{x*}"),
            route("/a/x"),
            route("/a/{x}/"),
            route("/a/{x}", host="h"),
            route("/a/{x}", host="*.h"),
        ]
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (route("a"), "begins with"),
        (route("/{x}/{x}"), "twice"),
        (route("/a", host="a b"), "host"),
        (route("/a", host="a.*"), "host"),
        (route("/a", host="*"), "host"),
        (route("/a", host="*."), "host"),
        (route("/a", host="*.*.test"), "host"),
        (route("/a", host=""), "host"),
        (route("/a", host="é"), "host"),
    ],
)
def test_a_bad_spec_is_named_by_its_index(spec: RouteSpec, message: str) -> None:
    with pytest.raises(TemplateError, match=message) as raised:
        Router([route("/ok"), spec])
    assert raised.value.index == 1
    assert message in raised.value.message


def test_hundreds_of_routes_find_each_its_own() -> None:
    specs = [route(f"/v{n % 7}/{{a}}/r{n}/{{b}}") for n in range(400)]
    router = Router(specs)
    for n, spec in enumerate(specs):
        found = router.match("h", f"/v{n % 7}/x/r{n}/y", "GET")
        assert found.payload == spec.template
        assert found.params == {"a": "x", "b": "y"}


SEGMENT = st.sampled_from(["a", "b", "ab", "a.b", "%61", "c%2Fd", "{}", "{}"])


def _template(segments: list[str], end: str) -> str:
    """A template of the segments, in which each parameter has a name of its own."""
    named = (text.replace("{}", f"{{p{place}}}") for place, text in enumerate(segments))
    return "".join("/" + text for text in named) + end or "/"


TEMPLATE = st.builds(_template, st.lists(SEGMENT, max_size=3), st.sampled_from(["", "", "/", "/{rest*}"]))
HOST = st.sampled_from([None, "a.test", "*.test", "*.a.test"])
METHODS = st.sampled_from([None, GET, POST, GET | POST])
SPECS = st.lists(st.builds(RouteSpec, HOST, TEMPLATE, METHODS, st.just(None)), max_size=12)
PATH = st.lists(
    st.sampled_from(["a", "b", "ab", "axb", "a.b", "%61", "%2e", "c%2fd", "c%2Fd", "z", ""]), max_size=4
).map(lambda segments: "".join("/" + text for text in segments) or "/")


def oracle(specs: list[RouteSpec], host: str, path: str, method: str) -> Match:
    """The rules of routing as they are told, with no thought for speed."""

    def rank(spec: RouteSpec) -> tuple[Any, ...] | None:
        if spec.host is None:
            host_rank = (2, 0)
        elif spec.host.startswith("*"):
            if not host.endswith(spec.host[1:]):
                return None
            host_rank = (1, -len(spec.host))
        elif spec.host == host:
            host_rank = (0, 0)
        else:
            return None
        wanted, given = spec.template.split("/")[1:], path.split("/")[1:]
        ranks: list[int] = []
        for place, text in enumerate(wanted):
            if text == "{rest*}":
                if len(given) <= place or ("/".join(given[place:]) == "" and len(wanted) > 1):
                    return None
                return (host_rank, *ranks, 2)
            if place >= len(given):
                return None
            if text.startswith("{"):
                if not given[place]:
                    return None
                ranks.append(1)
            elif matchable(text).upper().replace("%2F", "%2f") != matchable(given[place]).upper().replace(
                "%2F", "%2f"
            ):
                return None
            else:
                ranks.append(0)
        return (host_rank, *ranks) if len(wanted) == len(given) else None

    ranked = [(rank(spec), spec) for spec in specs]
    matching = [(found, spec) for found, spec in ranked if found is not None]
    if not matching:
        return Match(None, {}, None, None)
    best = min(found for found, _ in matching)
    routes = [spec for found, spec in matching if found == best]
    for spec in routes:
        if spec.methods is None or method in spec.methods:
            params = {}
            given = path.split("/")[1:]
            for place, text in enumerate(spec.template.split("/")[1:]):
                if text == "{rest*}":
                    params["rest"] = decode("/".join(given[place:]))
                elif text.startswith("{"):
                    params[text[1:-1]] = decode(given[place])
            return Match(spec.payload, params, spec.template, None)
    allow = sorted({name for spec in routes for name in spec.methods or ()})
    return Match(None, {}, routes[0].template, tuple(allow))


@settings(max_examples=400, deadline=None)
@given(
    SPECS,
    st.sampled_from(["a.test", "b.test", "b.a.test", "other"]),
    st.lists(PATH, min_size=1, max_size=6),
    st.sampled_from(["GET", "POST", "PUT"]),
)
def test_agrees_with_the_rules_told_plainly(
    specs: list[RouteSpec], host: str, paths: list[str], method: str
) -> None:
    specs = [spec._replace(payload=index) for index, spec in enumerate(specs)]
    while True:
        try:
            router = Router(specs)
            break
        except RouteConflict as conflict:
            del specs[conflict.second]
    for path in paths:
        assert router.match(host, path, method) == oracle(specs, host, path, method)


def test_templates_of_the_greatest_depth_compile_and_match() -> None:
    deep = "".join(f"/{{p{place}}}" for place in range(64))
    router = Router([route(deep), route("/a" * 64), route("/a" * 63 + "/{rest*}")])
    assert router.match("h", "/a" * 64, "GET").payload == "/a" * 64
    assert router.match("h", "/a" * 65, "GET").params == {"rest": "a/a"}
    assert router.match("h", "/b" * 64, "GET").payload == deep
