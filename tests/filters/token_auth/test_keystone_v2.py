"""The provider `keystone_v2`: every answer of the identity service, and what it means for the client."""

import json
import re
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.token_auth import TokenAuth
from gateway.api import Exchange, Fault, HttpAnswer, HttpError, Revocation
from gateway.api.testing import FrozenServices, build, exchange, judge
from tests.filters.token_auth.identity_service import NOW, error
from tests.filters.token_auth.identity_v2_service import ACCOUNT, URL, IdentityV2Service, access, role

TOKEN = "7ffd4bd2-v2-token"
ROLES = (role("admin"), role("member", "t1"), role("reader", "nast:t2"), role("identity:tenant-access"))
BY_PATH = {"regex": "/v1/([^/]+)/.*", "strip_prefixes": ["nast:"]}


class Desk:
    """A filter that asks the service, and the clock of both."""

    def __init__(self, v2: dict[str, Any] | None = None, **options: Any) -> None:
        self.service = IdentityV2Service({TOKEN: access(TOKEN, *ROLES)})
        self.services = FrozenServices(wall=NOW, answer=self.service)
        given = {"url": URL, "account": ACCOUNT, **(v2 or {})}
        self.options = {"providers": [{"keystone_v2": given}], **options}
        self.filter = build(TokenAuth, self.options, self.services)

    def request(self, token: str = TOKEN, target: str = "/v1/t1/x", **params: str) -> Exchange:
        headers = [("X-Auth-Token", token)]
        return exchange("GET", target, headers=headers, params=params, clock=self.services.now())

    def judge(self, made: Exchange | None = None) -> Fault | None:
        verdict = judge(self.filter, made if made is not None else self.request())
        assert verdict is None or isinstance(verdict, Fault)
        return verdict

    def status(self, made: Exchange | None = None) -> int | None:
        verdict = self.judge(made)
        return None if verdict is None else verdict.status

    @property
    def asked(self) -> list[str]:
        return [f"{one.method} {one.url.removeprefix(URL)}" for one in self.services.requests]


def test_the_upstream_hears_what_the_service_says() -> None:
    desk = Desk(headers="repose")
    made = desk.request()
    assert desk.status(made) is None
    read = {name.decode(): value.decode() for name, value in made.request.headers}
    assert json.loads(b64decode(read.pop("X-Map-Roles"))) == {
        "t1": ["member"],
        "repose/domain/roles": ["admin"],
        "nast:t2": ["reader"],
    }
    assert read == {
        "X-Auth-Token": TOKEN,
        "X-Identity-Status": "Confirmed",
        "X-Authorization": "Proxy t1",
        "X-PP-User": "anne;q=1.0",
        "X-PP-Groups": "gold;q=1.0,beta;q=1.0",
        "X-User-Id": "u1",
        "X-User-Name": "anne",
        "X-Roles": "admin,member",
        "X-Tenant-Id": "t1",
        "X-Tenant-Name": "web",
        "X-Project-Id": "t1",
        "X-Project-Name": "web",
        "X-Domain-Id": "d1",
        "X-Default-Region": "ORD",
        "X-Authenticated-By": "APIKEY",
        "X-Token-Expires": "Tue, 14 Nov 2023 23:13:20 GMT",
    }


def test_it_is_asked_once_for_a_token_and_its_groups() -> None:
    desk = Desk()
    assert [desk.status(), desk.status()] == [None, None]
    assert desk.asked == ["POST /tokens", f"GET /tokens/{TOKEN}", "GET /users/u1/RAX-KSGRP"]
    login, question, _ = desk.services.requests
    assert json.loads(login.body) == {
        "auth": {"passwordCredentials": {"username": "gateway", "password": "gateway-pw"}}
    }
    assert question.headers == {"x-auth-token": "own-0", "accept": "application/json"}


def test_an_api_key_is_as_good_as_a_password() -> None:
    desk = Desk({"account": {"user": "gateway", "api_key": "gateway-pw"}, "groups": False})
    assert desk.status() is None
    assert json.loads(desk.services.requests[0].body) == {
        "auth": {"RAX-KSKEY:apiKeyCredentials": {"username": "gateway", "apiKey": "gateway-pw"}}
    }
    assert len(desk.asked) == 2


def test_a_token_may_ask_for_itself() -> None:
    desk = Desk({"account": None})
    assert desk.status() is None
    assert {request.headers["x-auth-token"] for request in desk.services.requests} == {TOKEN}
    unknown = desk.judge(desk.request("unknown"))
    assert unknown is not None and (unknown.status, unknown.reason) == (401, "token_invalid")
    elsewhere = HttpAnswer(401, {"content-type": "text/html"}, b"<html>")
    for status, answer in ((401, elsewhere), *((status, error(status)) for status in (403, 413, 429, 500))):
        desk.service.instead["tokens"] = answer
        assert desk.status(desk.request(f"t-{status}")) == 503


@pytest.mark.parametrize("kind", ["tokens", "users"])
def test_a_404_of_somebody_else_is_told_of_and_remembered_by_nobody(kind: str) -> None:
    desk = Desk()
    desk.service.instead[kind] = HttpAnswer(404, {"content-type": "text/html"}, b"<html>")
    assert [desk.status(), desk.status()] == [503, 503]
    (event, facts), *_ = desk.services.warnings
    assert event == "keystone_v2_unavailable" and "answered 404" in facts["because"]
    assert not facts["left_alone"]


def test_a_token_must_belong_to_the_tenant_that_is_asked_for() -> None:
    assert Desk({"belongs_to": "t1"}).status() is None
    desk = Desk({"belongs_to": "t9"})
    assert desk.status() == 401
    assert desk.asked[-1] == f"GET /tokens/{TOKEN}?belongsTo=t9"


@example("..")
@example("../users/u1")
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_token_stays_one_segment_of_the_path(token: str) -> None:
    desk = Desk({"groups": False})
    if re.search(r"(?:^|[/\\;])\.{1,2}(?:$|[/\\;])", token):
        assert desk.status(desk.request(token)) == 401
        assert desk.asked == []
        return
    desk.service.tokens = {token: access(token)}
    assert desk.status(desk.request(token)) is None


def test_nobody_is_asked_about_a_token_that_is_too_long_as_it_stands_in_the_path() -> None:
    desk = Desk({"groups": False})
    assert desk.status(desk.request("!" * 2000)) == 401
    assert desk.asked == []


@pytest.mark.parametrize(
    ("kind", "answer", "status"),
    [
        ("tokens", error(404), 401),
        ("tokens", HttpAnswer(404, {"content-type": "text/html"}, b"<html>"), 503),
        ("tokens", HttpAnswer(404, {}, b'{"itemNotFound": {}}'), 503),
        ("tokens", error(400), 503),
        ("tokens", error(401), 503),
        ("tokens", error(403), 503),
        ("tokens", error(405), 503),
        ("tokens", HttpAnswer(413, {"retry-after": "7"}, b""), 503),
        ("tokens", HttpAnswer(429, {"retry-after": "7"}, b""), 503),
        ("tokens", error(500), 503),
        ("tokens", HttpAnswer(302, {"location": "http://evil.test"}, b""), 503),
        ("tokens", HttpAnswer(200, {}, b"<html>"), 503),
        ("tokens", HttpAnswer(200, {}, b'{"access": {}}'), 503),
        ("tokens", HttpAnswer(200, {}, json.dumps({"access": access("another")}).encode()), 503),
        ("tokens", HttpError("timeout"), 503),
        ("tokens", HttpError("connect"), 503),
        ("users", error(404), None),
        ("users", HttpAnswer(404, {"content-type": "text/html"}, b"<html>"), 503),
        ("users", error(403), 503),
        ("users", error(500), 503),
        ("users", HttpAnswer(200, {}, b"[]"), 503),
        ("users", HttpAnswer(200, {}, b'{"RAX-KSGRP:groups": [{}]}'), 503),
        (
            "users",
            HttpAnswer(200, {}, json.dumps({"RAX-KSGRP:groups": [{"id": "g" * 300}] * 100}).encode()),
            503,
        ),
        ("users", HttpError("broken"), 503),
        ("login", error(401), 503),
        ("login", error(500), 503),
        ("login", HttpAnswer(200, {}, b"{}"), 503),
    ],
)
def test_only_a_definite_no_is_the_client_s(
    kind: str, answer: HttpAnswer | HttpError, status: int | None
) -> None:
    desk = Desk()
    desk.service.instead[kind] = answer
    verdict = desk.judge()
    assert (verdict.status if verdict is not None else None) == status
    if verdict is not None and status == 503:
        assert verdict.retry_after is not None and verdict.retry_after >= 1
        if isinstance(answer, HttpAnswer) and answer.headers.get("retry-after"):
            assert verdict.retry_after == 7
        assert TOKEN not in f"{desk.services.warnings} {verdict}"
        desk.service.instead.clear()
        desk.services.advance(0.1)
        assert desk.status() is None, "trouble is not remembered"


@pytest.mark.parametrize(
    "more",
    [
        *(
            {name: "a\r\nX-Roles: admin"}
            for name in ("id", "name", "RAX-AUTH:domainId", "RAX-AUTH:contactId")
        ),
        {"roles": [role("a\0")]},
        {"roles": [role("a", "t\0")]},
        {"groups": ["gold", "a\x01"]},
        {"id": "."},
        {"id": ".."},
        {"id": "u2/../u1"},
    ],
    ids=repr,
)
def test_what_cannot_be_told_or_asked_about_is_the_service_s_trouble(more: dict[str, Any]) -> None:
    desk = Desk(headers="repose")
    desk.service.groups["u1"] = more.pop("groups", ["gold"])
    desk.service.tokens = {TOKEN: access(TOKEN, **more), "other": access("other", id="u2")}
    for _ in range(20):
        verdict = desk.judge()
        assert verdict is not None and verdict.status == 503 and (verdict.retry_after or 0) >= 1
    assert not [path for path in desk.asked if "/users/" in path and "/u1/" not in path]
    assert desk.status(desk.request("other")) is None, "nothing is wrong with the service"
    desk.service.tokens[TOKEN] = access(TOKEN)
    desk.service.groups["u1"] = ["gold"]
    assert desk.status() is None, "trouble is not remembered"


def test_the_gateway_s_own_token_is_renewed_once() -> None:
    desk = Desk({"groups": False})
    assert desk.status() is None
    desk.service.own.clear()
    desk.service.tokens["other"] = access("other")
    assert desk.status(desk.request("other")) is None
    assert desk.asked[2:] == ["GET /tokens/other", "POST /tokens", "GET /tokens/other"]


def test_a_token_that_is_over_is_refused_whatever_the_service_says() -> None:
    desk = Desk()
    desk.service.tokens[TOKEN] = access(TOKEN, expires=NOW)
    verdict = desk.judge()
    assert verdict is not None and (verdict.status, verdict.reason) == (401, "token_expired")


# ---- tenants


def told(desk: Desk, made: Exchange) -> tuple[str | None, list[str]]:
    assert desk.status(made) is None
    assert made.principal is not None
    assert made.request.headers.get("X-Project-Id") == made.principal.project_id
    return made.principal.project_id, (made.request.headers.get("X-Roles") or "").split(",")


def test_roles_of_a_tenant_count_in_it_alone() -> None:
    desk = Desk({"tenant": BY_PATH})
    for _ in range(2):
        assert told(desk, desk.request()) == ("t1", ["admin", "member"])
        assert told(desk, desk.request(target="/v1/t2/x")) == ("nast:t2", ["admin", "reader"])
        assert told(desk, desk.request(target="/v1/nast:t2/x")) == ("nast:t2", ["admin", "reader"])
        assert told(desk, desk.request(target="/v1/nast%3At2/x")) == ("nast:t2", ["admin", "reader"])
    assert len(desk.asked) == 3


@pytest.mark.parametrize(
    "target", ["/v1/t3/x", "/v1/t/x", "/v1/t11/x", "/v1/T1/x", "/v2/t1/x", "/v1/t1", "/"]
)
def test_a_tenant_of_somebody_else_is_forbidden(target: str) -> None:
    desk = Desk({"tenant": BY_PATH})
    verdict = desk.judge(desk.request(target=target))
    assert verdict is not None
    assert (verdict.status, verdict.reason, verdict.headers) == (403, "tenant_forbidden", ())


def test_where_the_decision_is_delayed_a_foreign_tenant_is_marked() -> None:
    desk = Desk({"tenant": BY_PATH}, delay_auth_decision=True, headers="repose")
    made = desk.request(target="/v1/t3/x")
    assert desk.status(made) is None
    assert made.principal is None
    assert made.request.headers.get("X-Identity-Status") == "Indeterminate"
    assert (made.request.headers.get("X-Delegated") or "").startswith("status_code=403`")


def test_a_parameter_may_name_the_tenant() -> None:
    desk = Desk({"tenant": {"param": "tenant"}})
    assert desk.filter.params == {"tenant": ("providers", 0, "keystone_v2", "tenant", "param")}
    assert desk.status(desk.request(tenant="t1")) is None
    assert desk.status(desk.request(tenant="t3")) == 403


def test_some_roles_may_name_any_tenant() -> None:
    desk = Desk({"tenant": {**BY_PATH, "bypass_roles": ["admin"]}})
    assert told(desk, desk.request(target="/v1/t3/x")) == ("t1", ["admin"])
    held_elsewhere = Desk({"tenant": {**BY_PATH, "bypass_roles": ["reader"]}})
    assert held_elsewhere.status(held_elsewhere.request(target="/v1/t3/x")) == 403


def test_without_rules_a_request_is_for_the_default_tenant_or_the_first_with_a_role() -> None:
    desk = Desk()
    assert told(desk, desk.request(target="/v1/t3/x")) == ("t1", ["admin", "member"])
    del desk.service.tokens[TOKEN]["token"]["tenant"]
    desk.services.advance(1000)
    assert told(desk, desk.request()) == ("t1", ["admin", "member"])


def test_tenants_are_told_with_their_qualities() -> None:
    desk = Desk({"tenant": BY_PATH}, headers="repose", repose={"all_tenants": True, "tenant_quality": {}})
    made = desk.request(target="/v1/t2/x")
    assert desk.status(made) is None
    assert made.request.headers.get("X-Tenant-Id") == "nast:t2;q=0.9,t1;q=0.7"
    assert made.request.headers.get("X-Authorization") == "Proxy nast:t2"


def test_a_project_that_is_revoked_takes_all_tokens_along_that_are_good_for_it() -> None:
    desk = Desk({"tenant": BY_PATH})
    assert desk.status() is None
    assert desk.services.revoke(Revocation(project_id="nast:t2")) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://a/v3"}, "v2.0 API"),
        ({"tls": {}, "url": "http://a/v2.0"}, "https URL"),
        ({"account": {"user": "a"}}, "exactly one of password, api_key"),
        ({"tenant": {}}, "exactly one of param, regex"),
        ({"tenant": {"regex": "/v1/.*"}}, "expected one group"),
        ({"tenant": {"regex": "/v1/("}}, "not a regular expression"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Desk(options)
