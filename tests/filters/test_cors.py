"""Cross-origin requests."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.cors import CORS
from gateway.api import Exchange, Fault, Response, Verdict
from gateway.api.testing import build, exchange, judge, judge_response
from tests.trial.tried import given as request
from tests.trial.tried import outcome

GOOD = "https://app.example.com"
REGEX = r"https://[a-z0-9-]+\.good\.example"
OPTIONS: dict[str, Any] = {"origins": [GOOD, "http://dev.example:8080"], "origin_regexes": [REGEX]}


def asked(
    origin: str | list[str] | None, method: str = "GET", host: str = "api.test", **options: Any
) -> Verdict:
    origins = [] if origin is None else [origin] if isinstance(origin, str) else origin
    made = exchange(method, host=host, headers=[("Origin", value) for value in origins])
    return judge(build(CORS, {**OPTIONS, **options}), made)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        GOOD,
        "https://APP.example.com",
        "https://app.example.com:443",
        "http://dev.example:8080",
        "https://a-1.good.example",
        "https://api.test",
        "http://api.test:80",
    ],
)
def test_allowed_origins_and_the_hosts_own_pass(origin: str | None) -> None:
    assert asked(origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "https://evil.example?https://app.example.com",
        "https://app.example.com@evil.example",
        "https://evilapp.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "http://dev.example",
        "https://a.good.example.evil.example",
        "https://evil.example/https://a.good.example",
        "https://a.good.example\n",
        "https://a.b.good.example",
        "https://agood.example",
        "https://api.test:8443",
        "https://api.test.evil.example",
        "null",
        "",
        "*",
        "app.example.com",
        [GOOD, GOOD],
        [GOOD, "https://evil.example"],
        f"{GOOD}, https://evil.example",
        "https://" + "a" * 600 + ".good.example",
    ],
)
def test_others_are_refused(origin: str | list[str]) -> None:
    verdict = asked(origin)
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule) == (403, "origin_denied", ("origins",))
    assert verdict.headers == (("Vary", "Origin"),)


@given(st.text("acdeghilmnoptx.:/@?#-", max_size=40))
def test_no_origin_that_merely_holds_a_good_one_is_allowed(text: str) -> None:
    for origin in (GOOD + text, text + GOOD):
        if origin != GOOD and origin != f"{GOOD}:443":
            assert isinstance(asked(origin, origin_regexes=[]), Fault)


def preflight(
    origin: str = GOOD, method: str = "PUT", headers: list[str] | None = None, **options: Any
) -> Verdict:
    lines = [
        ("Origin", origin),
        ("Access-Control-Request-Method", method),
        *(("Access-Control-Request-Headers", value) for value in headers or ()),
    ]
    return judge(build(CORS, {**OPTIONS, **options}), exchange("OPTIONS", headers=lines))


def told(response: Verdict) -> dict[str, str]:
    assert isinstance(response, Response)
    return {name.decode().lower(): value.decode() for name, value in response.headers}


def test_a_preflight_is_answered_here() -> None:
    answer = preflight(headers=["x-auth-token, content-type"])
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason) == (204, "preflight_answered")
    assert told(answer) == {
        "access-control-allow-origin": GOOD,
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "x-auth-token, content-type",
        "vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }


def test_a_preflight_says_what_is_configured() -> None:
    answer = told(
        preflight(
            methods=["GET", "put"],
            headers=["x-other"],
            credentials=True,
            max_age="10m",
        )
    )
    assert answer["access-control-allow-methods"] == "GET, PUT"
    assert answer["access-control-allow-credentials"] == "true"
    assert answer["access-control-max-age"] == "600"
    answer = told(
        judge(
            build(CORS, {**OPTIONS, "headers": ["X-Auth-Token"]}),
            exchange("OPTIONS", headers={"Origin": GOOD, "Access-Control-Request-Method": "GET"}),
        )
    )
    assert answer["access-control-allow-headers"] == "X-Auth-Token"


@pytest.mark.parametrize("asks", [["a b"], ["a", "b"], ["a,"], [", a"], ['"a"'], [""]])
def test_what_is_no_list_of_names_is_not_said_again(asks: list[str]) -> None:
    assert "access-control-allow-headers" not in told(preflight(headers=asks))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"origin": "https://evil.example"}, "origin_denied"),
        ({"methods": ["GET"]}, "cors_method_denied"),
        ({"method": "a b"}, "cors_method_denied"),
    ],
)
def test_a_preflight_for_what_is_not_allowed_is_refused(options: dict[str, Any], reason: str) -> None:
    verdict = preflight(**options)
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason) == (403, reason)


def test_methods_count_for_the_request_itself_too() -> None:
    assert asked(GOOD, "GET", methods=["GET"]) is None
    verdict = asked(GOOD, "DELETE", methods=["GET"])
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule) == (403, "cors_method_denied", ("methods",))
    assert asked(None, "DELETE", methods=["GET"]) is None


def test_options_without_a_method_that_is_asked_for_is_no_preflight() -> None:
    assert asked(GOOD, "OPTIONS") is None


def answered(origin: str | None, lines: list[tuple[str, str]], **options: Any) -> list[tuple[str, str]]:
    made: Exchange = exchange(
        headers={} if origin is None else {"Origin": origin}, response=Response(200, lines)
    )
    assert judge_response(build(CORS, {**OPTIONS, **options}), made) is None
    assert made.response is not None
    return [(name.decode(), value.decode()) for name, value in made.response.headers]


def test_an_answer_says_who_may_read_it_and_that_it_depends_on_that() -> None:
    assert answered(GOOD, [("A", "b")], expose=["A"], credentials=True) == [
        *(("A", "b"), ("Vary", "Origin"), ("Access-Control-Allow-Origin", GOOD)),
        *(("Access-Control-Allow-Credentials", "true"), ("Access-Control-Expose-Headers", "A")),
    ]
    assert answered(None, [("Vary", "origin")]) == [("Vary", "origin")]
    assert answered("https://api.test", []) == [("Vary", "Origin")]
    assert answered("https://evil.example", []) == [("Vary", "Origin")]


def test_what_the_upstream_says_of_its_own_is_replaced() -> None:
    theirs = [("access-control-allow-origin", "*"), ("Access-Control-Allow-Credentials", "true")]
    assert answered(GOOD, theirs) == [("Vary", "Origin"), ("Access-Control-Allow-Origin", GOOD)]
    assert answered(None, theirs) == [("Vary", "Origin")]


def test_all_fields_may_be_exposed_by_their_names() -> None:
    lines = dict(answered(GOOD, [("ETag", "x"), ("X-A", "1"), ("X-A", "2")], expose=["*"]))
    assert lines["Access-Control-Expose-Headers"] == "ETag, X-A, Vary, Access-Control-Allow-Origin"


def test_any_origin_is_an_asterisk() -> None:
    lines = answered("https://anybody.example", [], origins=["*"], origin_regexes=[])
    assert ("Access-Control-Allow-Origin", "*") in lines


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"origins": []},
        {"origins": ["https://a.example/"]},
        {"origins": ["a.example"]},
        {"origins": ["https://*.example"]},
        {"origins": ["*"], "credentials": True},
        {"origin_regexes": ["(a*)*"]},
        {"origins": [GOOD], "methods": []},
        {"origins": [GOOD], "headers": ["a b"]},
        {"origins": [GOOD], "max_age": "2d"},
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        build(CORS, options)


async def test_refusals_behind_it_can_be_read_by_the_page() -> None:
    filters = [{"cors": {"origins": [GOOD]}}, {"methods": {"allow": ["GET"]}}]
    found = await outcome(request("POST", headers=(("Origin", GOOD),)), filters=filters)
    assert found.status == 405
    assert found.answer is not None
    assert ("Access-Control-Allow-Origin", GOOD) in found.answer.headers
    asks = (("Origin", GOOD), ("Access-Control-Request-Method", "POST"))
    found = await outcome(request("OPTIONS", headers=asks), filters=filters)
    assert (found.status, found.filter, found.forwarded) == (204, "cors", None)


async def test_a_preflight_is_answered_where_a_route_has_no_options() -> None:
    routes = [{"name": "any", "path": "/{rest*}", "upstream": "main", "methods": ["GET"]}]
    asks = (("Origin", GOOD), ("Access-Control-Request-Method", "GET"))
    filters = [{"cors": {"origins": [GOOD]}}]
    found = await outcome(request("OPTIONS", headers=asks), filters=filters, routes=routes)
    assert (found.status, found.reason) == (204, "preflight_answered")
    found = await outcome(request("OPTIONS"), filters=filters, routes=routes)
    assert (found.status, found.reason) == (405, "method_not_routed")
