"""The provider `introspection`: every answer of an authorization server, and what it means for the client."""

import asyncio
import base64
import json
from inspect import isawaitable
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.token_auth import TokenAuth
from filters.token_auth.option import IntrospectionOptions
from gateway.api import Exchange, Fault, HttpAnswer, HttpError, HttpOptions, Principal, Verdict
from gateway.api.testing import FrozenServices, HttpRequest, build, exchange, judge

NOW = 1_700_000_000.0
URL = "https://login.test/oauth/introspect?realm=cloud"
OPTIONS: dict[str, Any] = {"url": URL, "client_id": "weir", "client_secret": "secret-secret"}
TOKEN = "2YotnFZFEjr1zCsicMWpAA"
ACTIVE = {
    "active": True,
    "scope": "read write",
    "client_id": "l238j323ds-23ij4",
    "username": "jdoe",
    "sub": "Z5O3upPC88QrAjx00dis",
    "iss": "https://login.test/",
    "exp": NOW + 3600,
    "iat": NOW - 10,
}
UNAVAILABLE = "503 provider_unavailable"


class Server:
    """An authorization server of a few lines: knows `tokens`, and answers `instead` of what it knows."""

    def __init__(self, tokens: dict[str, Any]) -> None:
        self.tokens = tokens
        self.asked: list[str] = []
        self.instead: HttpAnswer | HttpError | None = None

    def __call__(self, request: HttpRequest) -> HttpAnswer | HttpError:
        assert (request.method, request.url) == ("POST", URL)
        form = parse_qs(request.body.decode("ascii"), strict_parsing=True)
        self.asked += form["token"]
        if self.instead is not None:
            return self.instead
        return answer(self.tokens.get(form["token"][0], {"active": False}))


def answer(document: Any, status: int = 200) -> HttpAnswer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return HttpAnswer(status, {"content-type": "application/json"}, body)


class Desk:
    """A filter that asks an authorization server, and the clock of both."""

    def __init__(
        self, told: Any = ACTIVE, *others: dict[str, Any], cache: Any = None, **options: Any
    ) -> None:
        self.server = Server({TOKEN: told})
        self.services = FrozenServices(wall=NOW, answer=self.server)
        providers = [{"introspection": {**OPTIONS, **options}}, *others]
        self.filter = build(TokenAuth, {"providers": providers, "cache": cache or {}}, self.services)

    def request(self, token: str) -> Exchange:
        return exchange(headers=[("X-Auth-Token", token)], clock=self.services.now())

    def judge(self, token: str = TOKEN) -> str | None:
        """The reason of a refusal with its status, None where the request passes."""
        made = self.request(token)
        verdict = judge(self.filter, made)
        self.fault = verdict if isinstance(verdict, Fault) else None
        self.principal = made.principal
        return None if self.fault is None else f"{self.fault.status} {self.fault.reason}"


def test_an_active_token_is_its_users() -> None:
    desk = Desk(claims={"roles": "scope"})
    assert desk.judge() is None
    assert desk.principal is not None
    assert (desk.principal.user_id, desk.principal.user_name) == ("Z5O3upPC88QrAjx00dis", "jdoe")
    assert (desk.principal.roles, desk.principal.expires_at) == (("read", "write"), NOW + 3600)
    assert desk.principal.provider == "introspection"
    assert desk.judge() is None
    assert desk.server.asked == [TOKEN]
    assert not desk.filter.pure


def test_a_scope_is_no_role_unless_the_options_say_so() -> None:
    desk = Desk()
    assert desk.judge() is None
    assert desk.principal is not None
    assert desk.principal.roles == ()


def test_it_is_asked_as_the_rfc_has_it() -> None:
    desk = Desk(client_id="we:ir", client_secret="pä ss/+")
    assert desk.judge("a+b/c==&token=x") == "401 token_invalid"
    (asked,) = desk.services.requests
    assert desk.server.asked == ["a+b/c==&token=x"]
    assert b"token_type_hint=access_token" in asked.body
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["accept"] == "application/json"
    scheme, _, pair = asked.headers["authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(pair) == b"we%3Air:p%C3%A4+ss%2F%2B"


def test_it_may_be_asked_with_a_bearer_token() -> None:
    desk = Desk(client_id=None, client_secret=None, bearer="own-token")
    assert desk.judge() is None
    assert desk.services.requests[0].headers["authorization"] == "Bearer own-token"


def test_only_active_false_is_a_no_and_it_is_remembered_for_seconds() -> None:
    desk = Desk({"active": False})
    assert desk.judge() == "401 token_invalid"
    assert desk.judge() == "401 token_invalid"
    assert len(desk.server.asked) == 1
    desk.services.advance(5)
    assert desk.judge() == "401 token_invalid"
    assert len(desk.server.asked) == 2


@pytest.mark.parametrize(
    "instead",
    [
        answer({}),
        answer({"active": "true"}),
        answer({"active": 1}),
        answer({"active": None}),
        answer([{"active": True}]),
        answer(b"<html>"),
        answer(b""),
        answer(b"\xff"),
        answer(b"[" * 100_000),
        answer({**ACTIVE, "exp": "soon"}),
        answer({**ACTIVE, "exp": True}),
        answer({**ACTIVE, "nbf": []}),
        answer({"active": False}, 400),
        answer({"active": False}, 401),
        answer({"active": False}, 403),
        answer({"active": False}, 404),
        answer({"active": True}, 201),
        answer({"active": True}, 302),
        answer({"active": False}, 429),
        answer({"active": False}, 500),
        HttpError("timeout"),
        HttpError("too_large"),
        HttpError("busy"),
    ],
)
def test_anything_else_is_trouble_and_says_nothing_of_the_token(instead: HttpAnswer | HttpError) -> None:
    desk = Desk()
    desk.server.instead = instead
    assert desk.judge() == UNAVAILABLE
    ((event, facts),) = desk.services.warnings
    assert (event, facts["url"]) == ("introspection_unavailable", URL)
    assert TOKEN not in repr(facts)
    assert "secret" not in repr(facts)
    desk.server.instead = None
    desk.services.advance(10)
    assert desk.judge() is None


@given(st.integers(201, 599), st.binary(max_size=40))
def test_no_answer_but_200_decides_anything(status: int, body: bytes) -> None:
    desk = Desk()
    desk.server.instead = HttpAnswer(status, {}, body)
    assert desk.judge() == UNAVAILABLE


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_no_value_of_active_but_true_lets_anybody_in(active: Any) -> None:
    desk = Desk({**ACTIVE, "active": active})
    expected = None if active is True else "401 token_invalid" if active is False else UNAVAILABLE
    assert desk.judge() == expected


def test_a_server_that_fails_is_left_alone() -> None:
    desk = Desk(breaker={"failures": 3, "pause": "20s"})
    desk.server.instead = HttpError("connect")
    for number in range(10):
        assert desk.judge(f"token-{number}") == UNAVAILABLE
    assert len(desk.server.asked) == 3
    assert desk.fault is not None
    assert desk.fault.retry_after == 20
    desk.server.instead = None
    desk.services.advance(20)
    assert desk.judge() is None


def test_what_is_known_stands_in_while_the_server_is_away() -> None:
    desk = Desk(cache={"ttl": "1m", "stale_if_error": "10m"})
    assert desk.judge() is None
    desk.server.instead = HttpError("connect")
    desk.services.advance(120)
    assert desk.judge() is None
    assert desk.judge("other") == UNAVAILABLE


async def test_fifty_who_bring_one_token_ask_once() -> None:
    desk = Desk()
    gate = asyncio.Event()

    async def slow(request: HttpRequest) -> HttpAnswer:
        desk.server.asked.append("")
        await gate.wait()
        return answer(ACTIVE)

    desk.services.answer = slow

    async def one() -> Verdict:
        verdict = desk.filter.on_request(desk.request(TOKEN))
        return await verdict if isawaitable(verdict) else verdict

    asking = [asyncio.ensure_future(one()) for _ in range(50)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*asking) == [None] * 50
    assert len(desk.server.asked) == 1


# ---- times, and whom it is for


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"exp": NOW - 9}, None),
        ({"exp": NOW - 10}, "401 token_expired"),
        ({"exp": ...}, None),
        ({"nbf": NOW + 10}, None),
        ({"nbf": NOW + 11}, "401 token_invalid"),
        ({"aud": "other"}, "401 token_invalid"),
    ],
)
def test_an_active_token_may_yet_be_of_no_use(changes: dict[str, Any], refusal: str | None) -> None:
    told = {name: value for name, value in {**ACTIVE, **changes}.items() if value is not ...}
    assert Desk(told).judge() == refusal


def test_a_token_that_has_not_begun_is_asked_about_again() -> None:
    desk = Desk({**ACTIVE, "nbf": NOW + 12})
    assert desk.judge() == "401 token_invalid"
    desk.services.advance(2)
    assert desk.judge() is None


def test_issuer_and_audience_are_those_of_the_options() -> None:
    told = {**ACTIVE, "aud": ["compute", "image"]}
    assert Desk(told, audience="image", issuer="https://login.test/").judge() is None
    assert Desk(told, audience="volume").judge() == "401 token_invalid"
    assert Desk(told, audience="image", issuer="https://other.test/").judge() == "401 token_invalid"
    assert Desk(ACTIVE, audience="image").judge() == "401 token_invalid"


def test_another_provider_is_asked_of_a_token_that_is_not_active() -> None:
    static = {"static": {"tokens": [{"token": "opaque", "user_id": "u2"}]}}
    assert Desk(ACTIVE, static).judge("opaque") is None


# ---- whose it is


def test_a_client_of_its_own_is_nobody_unless_the_options_say_so() -> None:
    told = {"active": True, "client_id": "robot", "exp": NOW + 60}
    assert Desk(told).judge() == "401 token_invalid"
    desk = Desk(told, clients=True)
    assert desk.judge() is None
    assert desk.principal == Principal(
        user_id="robot",
        expires_at=NOW + 60,
        provider="introspection",
        token_key=desk.principal.token_key if desk.principal else "",
    )
    assert Desk({"active": True}, clients=True).judge() == "401 token_invalid"


def test_a_user_is_never_taken_for_its_client() -> None:
    desk = Desk(ACTIVE, clients=True, claims={"user_id": "uid"})
    assert desk.judge() == "401 token_invalid"
    desk = Desk(ACTIVE, clients=True)
    assert desk.judge() is None
    assert desk.principal is not None
    assert desk.principal.user_id == ACTIVE["sub"]


def test_claims_are_found_as_in_signed_tokens() -> None:
    told = {**ACTIVE, "cloud": {"project": {"id": "p1"}}, "realm_access": {"roles": ["member", "reader"]}}
    desk = Desk(told, claims={"project_id": "cloud.project.id", "roles": "realm_access.roles", "user": None})
    assert desk.judge() is None
    assert desk.principal is not None
    assert (desk.principal.project_id, desk.principal.roles) == ("p1", ("member", "reader"))
    assert desk.principal.user_name is None


@pytest.mark.parametrize("changes", [{"sub": 1.5}, {"sub": " a"}, {"roles": ["a,b"]}])
def test_a_caller_that_cannot_be_told_upstream_is_refused(changes: dict[str, Any]) -> None:
    desk = Desk({**ACTIVE, **changes})
    assert desk.judge() == "401 token_invalid"
    assert desk.services.warnings[0][0] == "token_claims_unusable"


@pytest.mark.parametrize(
    "changes",
    [
        *({"sub": text} for text in ("a\r\nX-Roles: admin", "a\n", "\ud800")),
        {"username": "\x7f"},
        {"roles": ["a\0"]},
        {"roles": "a b\x01"},
    ],
)
def test_text_that_no_field_can_hold_is_the_server_s_trouble(changes: dict[str, Any]) -> None:
    desk = Desk({**ACTIVE, **changes})
    for _ in range(20):
        assert desk.judge() == UNAVAILABLE
    assert {event for event, _ in desk.services.warnings} == {"introspection_unavailable"}
    assert not any(facts["left_alone"] for _, facts in desk.services.warnings), "it may be this caller alone"
    desk.server.tokens[TOKEN] = ACTIVE
    assert desk.judge() is None, "trouble is not remembered"


# ---- how it is set up


def test_how_it_is_asked_is_bounded() -> None:
    made: list[HttpOptions] = []

    class Services(FrozenServices):
        def http(self, name: str, options: HttpOptions) -> Any:
            made.append(options)
            return super().http(name, options)

    options = {**OPTIONS, "timeout": "2s", "concurrency": 3, "tls": {"ca": "ca.pem"}}
    build(TokenAuth, {"providers": [{"introspection": options}]}, Services())
    (one,) = made
    assert (one.url, one.timeout, one.concurrency, one.queue) == ("https://login.test", 2.0, 3, 48)
    assert one.tls is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"client_id": "a"}, "go together"),
        ({"client_secret": "s", "bearer": "b"}, "go together"),
        ({}, "exactly one of client_id, bearer"),
        ({"client_id": "a", "client_secret": "s", "bearer": "b"}, "exactly one of client_id, bearer"),
        ({"bearer": "a\r\nX: y"}, "printable ASCII"),
        ({"bearer": "b", "url": "https://user:pw@login.test/"}, "without a user"),
        ({"bearer": "b", "url": "http://login.test/", "tls": {}}, "tls is for an https URL"),
        ({"bearer": "b", "timeout": 0}, "greater than or equal to 0.1"),
        ({"bearer": "b", "concurrency": 0}, "greater than or equal to 1"),
    ],
)
def test_refuses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        IntrospectionOptions.model_validate({"url": URL, **options})
