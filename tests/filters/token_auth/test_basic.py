"""The provider `basic`: a name and a password, for which Keystone gives a token."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth import TokenAuth
from filters.token_auth.basic import Credentials, decoded
from gateway.api import Exchange, Fault, HttpAnswer, HttpError
from gateway.api.fact import CLIENT, header
from gateway.api.testing import FrozenServices, HttpRequest, build, exchange, judge
from tests.filters.token_auth.identity_service import NOW, URL, document, error

PASSWORD = "s3cret:with colon"
STATIC = {"static": {"tokens": [{"token": "bob-token", "user_id": "bob"}]}}


def encoded(name: str = "anne", password: str = PASSWORD) -> str:
    return b64encode(f"{name}:{password}".encode()).decode()


class Keystone:
    """Gives a token to anne."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.instead: HttpAnswer | HttpError | None = None
        self.expires = NOW + 3600
        self.role = "member"

    def __call__(self, request: HttpRequest) -> HttpAnswer | HttpError:
        assert (request.method, request.url.partition("?")[0]) == ("POST", f"{URL}/auth/tokens")
        auth = json.loads(request.body)["auth"]
        self.asked.append(auth)
        if self.instead is not None:
            return self.instead
        user = auth["identity"]["password"]["user"]
        if (user["name"], user["password"]) != ("anne", PASSWORD):
            return error(401)
        body = {"token": document("u1", self.role, expires=self.expires)}
        token = f"issued-{len(self.asked)}"
        return HttpAnswer(201, {"x-subject-token": token}, json.dumps(body).encode())


class Desk:
    def __init__(
        self, *others: dict[str, Any], basic: Mapping[str, Any] = MappingProxyType({}), **options: Any
    ) -> None:
        self.keystone = Keystone()
        self.services = FrozenServices(wall=NOW, answer=self.keystone)
        providers = [{"basic": {"url": URL, **basic}}, *others]
        self.filter = build(TokenAuth, {"providers": providers, **options}, self.services)

    def request(
        self, authorization: str | None = None, *more: tuple[str, str], client: str = "192.0.2.1"
    ) -> Exchange:
        value = f"Basic {encoded()}" if authorization is None else authorization
        headers = [("Authorization", value), *more]
        return exchange(headers=headers, clock=self.services.now(), client=client)

    def judge(self, made: Exchange | None = None) -> Fault | None:
        verdict = judge(self.filter, made if made is not None else self.request())
        assert verdict is None or isinstance(verdict, Fault)
        return verdict

    def reason(self, made: Exchange | None = None) -> str | None:
        verdict = self.judge(made)
        return None if verdict is None else verdict.reason


def test_the_upstream_is_given_a_token_and_never_the_password() -> None:
    desk = Desk()
    for cached in (False, True):
        made = desk.request()
        assert desk.judge(made) is None
        assert made.request.headers.all("X-Auth-Token") == ["issued-1"]
        assert not made.request.headers.has("Authorization")
        assert made.request.headers.get("X-User-Id") == "u1"
        assert made.principal is not None and made.principal.provider == "basic"
        (note,) = made.notes
        assert (note.reason, note.facts["cached"]) == ("password_accepted", cached)
    assert desk.keystone.asked == [
        {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "anne", "domain": {"id": "default"}, "password": PASSWORD}},
            }
        }
    ]


def test_the_token_may_stay_here_as_well() -> None:
    made = (desk := Desk(forward_token=False)).request()
    assert desk.judge(made) is None
    assert not made.request.headers.has("X-Auth-Token") and not made.request.headers.has("Authorization")


@pytest.mark.parametrize(
    ("basic", "name", "domain", "scope"),
    [
        ({}, "sales/anne", {"name": "sales"}, None),
        ({"user_domain_name": "corp"}, "anne", {"name": "corp"}, None),
        ({"user_domain_id": "d1", "project_id": "p1"}, "anne", {"id": "d1"}, {"project": {"id": "p1"}}),
        (
            {"project_name": "web"},
            "anne",
            {"id": "default"},
            {"project": {"name": "web", "domain": {"id": "default"}}},
        ),
    ],
)
def test_domain_and_project(
    basic: dict[str, Any], name: str, domain: dict[str, str], scope: dict[str, Any] | None
) -> None:
    desk = Desk(basic=basic)
    assert desk.judge(desk.request(f"basic  {encoded(name)}")) is None
    (auth,) = desk.keystone.asked
    assert auth["identity"]["password"]["user"]["domain"] == domain
    assert auth.get("scope") == scope


def test_a_wrong_password_is_refused_and_remembered_for_seconds() -> None:
    desk = Desk(basic={"realm": "the cloud"})
    for _ in range(3):
        verdict = desk.judge(desk.request(f"Basic {encoded(password='wrong')}"))
        assert verdict is not None
        assert (verdict.status, verdict.reason) == (401, "credentials_invalid")
        assert verdict.headers == (("WWW-Authenticate", 'Basic realm="the cloud", charset="UTF-8"'),)
    assert len(desk.keystone.asked) == 1
    assert desk.judge() is None, "the right one is another entry"
    desk.services.advance(6)
    desk.judge(desk.request(f"Basic {encoded(password='wrong')}"))
    assert len(desk.keystone.asked) == 3


def test_wrong_passwords_are_bounded_by_user_and_address() -> None:
    desk = Desk(basic={"attempts": {"failures": 3, "period": "60s"}})

    def wrong(number: int, **more: Any) -> Exchange:
        return desk.request(f"Basic {encoded(password=f'wrong-{number}')}", **more)

    assert [desk.reason(wrong(number)) for number in range(3)] == ["credentials_invalid"] * 3
    verdict = desk.judge(wrong(4))
    assert verdict is not None
    assert (verdict.status, verdict.reason, verdict.retry_after) == (429, "attempts_exceeded", 60)
    assert desk.reason() == "attempts_exceeded", "the right one can be tried no sooner"
    assert len(desk.keystone.asked) == 3
    assert desk.reason(wrong(5, client="192.0.2.9")) == "credentials_invalid"
    assert desk.reason(desk.request(client="192.0.2.9")) is None
    assert desk.reason() is None, "what is remembered is not tried"
    desk.services.advance(61)
    assert desk.reason(wrong(6)) == "credentials_invalid"


@pytest.mark.parametrize(
    ("basic", "names", "count"),
    [
        ({}, ["eve", " Eve", "eve ", "EVE", "\u00e9v\u00e8", "Default/eve", "default /eve"], 1),
        ({"user_domain_name": "Corp"}, ["eve", "corp/eve"], 1),
        ({}, ["eve", "eva", "sales/eve"], 3),
    ],
)
def test_attempts_are_counted_by_user_however_the_name_is_spelled(
    basic: dict[str, Any], names: list[str], count: int
) -> None:
    desk = Desk(basic={"attempts": {"failures": 1}, **basic})
    reasons = [desk.reason(desk.request(f"Basic {encoded(name, 'wrong')}")) for name in names]
    assert reasons == ["credentials_invalid"] * count + ["attempts_exceeded"] * (len(names) - count)
    users = [asked["identity"]["password"]["user"]["name"] for asked in desk.keystone.asked]
    assert users == [name.partition("/")[2] or name for name in names[:count]], "asked about as it came"


def test_addresses_of_one_ipv6_network_are_one() -> None:
    desk = Desk(basic={"attempts": {"failures": 2, "period": "60s"}})
    reasons = [
        desk.reason(desk.request(f"Basic {encoded(password=str(number))}", client=f"2001:db8::{number}"))
        for number in range(1, 4)
    ]
    assert reasons == ["credentials_invalid", "credentials_invalid", "attempts_exceeded"]
    assert desk.reason(desk.request(client="2001:db8:0:1::1")) is None


@pytest.mark.parametrize(
    "answer",
    [
        error(403),
        error(404),
        error(500),
        HttpAnswer(429, {"retry-after": "9"}, b""),
        HttpAnswer(200, {}, b"{}"),
        HttpAnswer(201, {}, b"{}"),
        HttpAnswer(201, {"x-subject-token": "t"}, b'{"token": {}}'),
        HttpError("timeout"),
    ],
)
def test_trouble_is_nobody_s_fault_and_no_attempt(answer: HttpAnswer | HttpError) -> None:
    desk = Desk(basic={"attempts": {"failures": 1}, "breaker": {"failures": 100}})
    desk.keystone.instead = answer
    for _ in range(3):
        verdict = desk.judge()
        assert verdict is not None and (verdict.status, verdict.reason) == (503, "provider_unavailable")
        assert PASSWORD not in f"{desk.services.warnings} {verdict}"
    desk.keystone.instead = None
    assert desk.judge() is None


def test_a_token_that_is_over_is_got_anew() -> None:
    desk = Desk(cache={"ttl": "1h"})
    assert desk.judge() is None
    desk.services.advance(3600)
    desk.keystone.expires += 7200
    made = desk.request()
    assert desk.judge(made) is None
    assert made.request.headers.all("X-Auth-Token") == ["issued-2"]


@pytest.mark.parametrize(
    "value",
    [
        *("Basic", "Basic ", "Basic =", "Basic YQ", "Basic " + encoded("", "x"), "Basic " + encoded("/anne")),
        *("Basic " + b64encode(b"anne").decode(), "Basic " + b64encode(b"\xff:\xff").decode()),
        *("Basic " + b64encode(b"a\n:b").decode(), "Basic " + "A" * 8000, "Basic a b", "BASIC \xe9"),
    ],
)
def test_what_is_no_name_and_password_is_refused_unasked(value: str) -> None:
    desk = Desk()
    assert desk.reason(desk.request(value)) == "credentials_invalid"
    assert desk.keystone.asked == []


def test_two_authorizations_are_too_many() -> None:
    desk = Desk()
    for other in (f"Basic {encoded()}", "Bearer x"):
        assert desk.reason(desk.request(None, ("authorization", other))) == "token_ambiguous"
    assert desk.keystone.asked == []


def test_other_schemes_are_for_the_upstream() -> None:
    desk = Desk(STATIC)
    made = desk.request("Bearer x", ("X-Auth-Token", "bob-token"))
    assert desk.judge(made) is None
    assert made.request.headers.get("Authorization") == "Bearer x"
    assert made.request.headers.get("X-Auth-Token") == "bob-token"
    assert desk.reason(desk.request("Bearer x")) == "token_missing"


def test_a_token_beside_a_password_stays_here() -> None:
    desk = Desk(STATIC)
    made = desk.request(None, ("X-Auth-Token", "bob-token"))
    assert desk.judge(made) is None
    assert made.request.headers.all("X-Auth-Token") == ["issued-1"]
    assert made.principal is not None and made.principal.user_id == "u1"


def test_a_password_is_no_token_and_a_token_no_password() -> None:
    desk = Desk(STATIC)
    assert desk.judge() is None
    assert (
        desk.reason(exchange(headers=[("X-Auth-Token", encoded())], clock=desk.services.now()))
        == "token_invalid"
    )
    assert len(desk.keystone.asked) == 1


def test_where_the_decision_is_delayed_the_password_stays_here() -> None:
    desk = Desk(delay_auth_decision=True)
    made = desk.request(f"Basic {encoded(password='wrong')}")
    assert desk.judge(made) is None
    assert not made.request.headers.has("Authorization")
    assert made.request.headers.get("X-Identity-Status") == "Invalid"


async def test_many_at_once_are_one_question_and_one_attempt() -> None:
    desk = Desk(basic={"attempts": {"failures": 2}})

    async def asked(made: Exchange) -> Any:
        verdict = desk.filter.on_request(made)
        return await verdict if isinstance(verdict, Awaitable) else verdict

    wrong = f"Basic {encoded(password='wrong')}"
    verdicts = await asyncio.gather(*(asked(desk.request(wrong)) for _ in range(20)))
    assert {verdict.reason for verdict in verdicts} == {"credentials_invalid"}
    assert len(desk.keystone.asked) == 1
    assert await asked(desk.request()) is None


def test_every_way_to_prove_oneself_is_told() -> None:
    desk = Desk(STATIC, auth_url="http://auth.test/v3")
    verdict = desk.judge(desk.request(""))
    assert verdict is not None
    assert [value for _, value in verdict.headers] == [
        'Basic realm="weir", charset="UTF-8"',
        'Keystone uri="http://auth.test/v3"',
    ]
    assert {header("Authorization"), CLIENT} <= desk.filter.config.reads()


@given(st.text(), st.text())
def test_names_and_passwords_arrive_as_they_are_or_not_at_all(name: str, password: str) -> None:
    try:
        text = encoded(name, password)
    except UnicodeEncodeError:
        return
    read = decoded(text)
    if read is None:
        return
    whole = read.user if read.domain is None else f"{read.domain}/{read.user}"
    assert f"{whole}:{read.password}" == f"{name}:{password}"
    assert ":" not in whole


def test_the_first_slash_parts_domain_and_user() -> None:
    assert decoded(encoded("corp/a/b", "")) == Credentials("corp", "a/b", "")
    assert decoded(encoded("@é", "ü")) == Credentials(None, "@é", "ü")


def test_a_name_that_no_field_can_hold_is_trouble_and_no_wrong_password() -> None:
    desk = Desk(basic={"attempts": {"failures": 1}})
    desk.keystone.role = "a\0"
    for _ in range(5):
        assert desk.reason() == "provider_unavailable"
    desk.keystone.role = "member"
    assert desk.reason() is None
