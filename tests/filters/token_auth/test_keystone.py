"""The provider `keystone`: every answer of the identity service, and what it means for the client."""

import asyncio
import json
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import filters.token_auth as token_auth
from filters.token_auth import TokenAuth
from filters.token_auth.revocation_event import OVERLAP
from filters.token_auth.spelling import twin
from gateway.api import Exchange, Fault, HttpAnswer, HttpError, Instant, Revocation
from gateway.api.fact import METHOD, TARGET, header
from gateway.api.testing import FrozenServices, HttpRequest, build, exchange, judge
from tests.filters.token_auth.identity_service import ACCOUNT, NOW, OPTIONS, IdentityService, document, error
from tests.filters.token_auth.signing import sign
from tests.support.deadline import until

TOKEN = "gAAAAABm-user-token"
MEMBER = document("u1", "reader", "member")


class Desk:
    """A filter that asks an identity service, and the clock of both."""

    def __init__(self, tokens: dict[str, dict[str, Any]] | None = None, **options: Any) -> None:
        keystone = {**OPTIONS, **options.pop("keystone", {})}
        self.service = IdentityService({TOKEN: MEMBER} if tokens is None else tokens)
        self.services = FrozenServices(wall=NOW, answer=self.service)
        self.options = {"providers": [{"keystone": keystone}], **options}
        self.filter = build(TokenAuth, self.options, self.services)

    def pass_time(self, seconds: float) -> None:
        self.services.advance(seconds)
        self.service.now += seconds

    def request(
        self,
        token: str | None = TOKEN,
        *headers: tuple[str, str],
        method: str = "GET",
        target: str = "/v2.1/x",
    ) -> Exchange:
        given = [] if token is None else [("X-Auth-Token", token)]
        return exchange(method, target, headers=[*given, *headers], clock=self.services.now())

    def judge(self, made: Exchange | None = None) -> int | None:
        """The status of a refusal, None where the request passes."""
        verdict = judge(self.filter, made if made is not None else self.request())
        assert verdict is None or isinstance(verdict, Fault)
        self.fault = verdict
        return None if verdict is None else verdict.status

    @property
    def refusal(self) -> Fault:
        assert self.fault is not None
        return self.fault


def fields(made: Exchange) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in made.request.headers}


# ---- a good token


def test_a_good_token_tells_the_upstream_all_that_keystone_says() -> None:
    desk = Desk()
    made = desk.request()
    assert desk.judge(made) is None
    assert fields(made) == {
        "X-Auth-Token": TOKEN,
        "X-Identity-Status": "Confirmed",
        "X-User-Id": "u1",
        "X-User-Name": "name-u1",
        "X-User-Domain-Id": "default",
        "X-User-Domain-Name": "Default",
        "X-Project-Id": "p1",
        "X-Project-Name": "web",
        "X-Project-Domain-Id": "default",
        "X-Project-Domain-Name": "Default",
        "X-Roles": "reader,member",
        "X-Is-Admin-Project": "True",
        "X-User": "name-u1",
        "X-Role": "reader,member",
        "X-Tenant-Id": "p1",
        "X-Tenant-Name": "web",
        "X-Tenant": "web",
    }
    assert made.principal is not None
    assert (made.principal.provider, made.principal.expires_at) == ("keystone", NOW + 3600)


def test_it_is_asked_as_keystone_wants_to_be_asked() -> None:
    desk = Desk()
    assert desk.judge() is None
    login, question = desk.services.requests
    assert (login.method, login.url) == ("POST", "http://identity.test/v3/auth/tokens?nocatalog")
    assert json.loads(login.body) == {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {
                    "user": {"name": "gateway", "domain": {"id": "default"}, "password": "gateway-pw"}
                },
            },
            "scope": {"project": {"name": "service", "domain": {"id": "default"}}},
        }
    }
    assert (question.method, question.url) == ("GET", "http://identity.test/v3/auth/tokens?nocatalog")
    assert question.headers == {
        "x-auth-token": "own-1",
        "x-subject-token": TOKEN,
        "openstack-identity-access-rules": "1",
        "accept": "application/json",
    }


def test_an_unscoped_token_is_good_and_has_no_project() -> None:
    desk = Desk({TOKEN: document("u1", project=None, roles=None, catalog=None)})
    made = desk.request()
    assert desk.judge(made) is None
    assert not {"X-Project-Id", "X-Roles", "X-Tenant-Id"} & fields(made).keys()


def test_tokens_of_a_domain_and_of_the_system() -> None:
    domain = {"id": "d1", "name": "Cloud"}
    desk = Desk(
        {
            "domain": document("u1", "admin", project=None, domain=domain, is_admin_project=False),
            "system": document("u1", "admin", project=None, system={"all": True}),
        }
    )
    made = desk.request("domain")
    assert desk.judge(made) is None
    told = fields(made)
    assert (told["X-Domain-Id"], told["X-Domain-Name"]) == ("d1", "Cloud")
    assert told["X-Is-Admin-Project"] == "False"
    made = desk.request("system")
    assert desk.judge(made) is None
    assert fields(made)["OpenStack-System-Scope"] == "all"


def test_the_catalog_is_handed_on_where_it_is_asked_for() -> None:
    desk = Desk(keystone={"include_catalog": True})
    made = desk.request()
    assert desk.judge(made) is None
    assert desk.services.requests[1].url == "http://identity.test/v3/auth/tokens"
    assert json.loads(fields(made)["X-Service-Catalog"]) == [
        {
            "type": "compute",
            "name": "nova",
            "endpoints": [
                {"region": "One", "publicURL": "http://a/v2.1", "internalURL": "http://b/v2.1"},
                {"region": "Two", "adminURL": "http://c/v2.1"},
            ],
        }
    ]
    desk = Desk()
    assert desk.judge(made := desk.request()) is None
    assert "X-Service-Catalog" not in fields(made)


def test_a_catalog_that_no_field_can_hold_is_left_out_with_a_word() -> None:
    service = {"type": "t", "name": "n" * 40_000, "endpoints": []}
    desk = Desk({TOKEN: document("u1", catalog=[service])}, keystone={"include_catalog": True})
    made = desk.request()
    assert desk.judge(made) is None
    assert "X-Service-Catalog" not in fields(made)
    assert [event for event, _ in desk.services.warnings] == ["catalog_left_out"]


# ---- the answer map


@pytest.mark.parametrize("token", ["garbage", TOKEN + "x", "revoked", "x" * 3000])
def test_its_404_is_the_clients_401(token: str) -> None:
    desk = Desk()
    assert desk.judge(desk.request(token)) == 401
    assert (desk.refusal.reason, desk.refusal.rule) == ("token_invalid", ("providers",))
    assert token not in repr(desk.services.warnings)


@pytest.mark.parametrize("token", ["x" * 5000, "a\x01b", "a\tb"])
def test_what_can_be_no_token_of_keystone_is_not_asked_for(token: str) -> None:
    desk = Desk()
    assert desk.judge(desk.request(token)) == 401
    assert desk.services.requests == []


def test_a_token_that_has_expired_by_our_clock_is_refused() -> None:
    desk = Desk({TOKEN: document(expires=NOW + 5)})
    desk.services.advance(5)  # Keystone's clock is behind
    assert desk.judge() == 401
    assert (desk.refusal.reason, desk.refusal.rule) == ("token_expired", ("providers", 0))


@pytest.mark.parametrize(
    "answer",
    [
        *(error(status) for status in (300, 301, 400, 401, 403, 405, 410, 413, 429, 500, 502, 503)),
        HttpAnswer(204, {}, b""),
        HttpAnswer(201, {}, json.dumps({"token": MEMBER}).encode()),
        HttpAnswer(200, {}, b""),
        HttpAnswer(200, {}, b"<html>login here</html>"),
        HttpAnswer(200, {}, b"\xff\xfe"),
        HttpAnswer(200, {}, b"[" * 100_000),
        HttpAnswer(200, {}, b"[]"),
        HttpAnswer(200, {}, b'{"token": null}'),
        HttpAnswer(200, {}, b'{"token": {}}'),
        HttpAnswer(200, {}, json.dumps({"token": {**MEMBER, "user": {"name": "n"}}}).encode()),
        HttpAnswer(200, {}, json.dumps({"token": {**MEMBER, "user": {"id": ["u"]}}}).encode()),
        HttpAnswer(200, {}, json.dumps({"token": {**MEMBER, "expires_at": "soon"}}).encode()),
        HttpAnswer(200, {}, json.dumps({"token": {**MEMBER, "expires_at": "2033-01-01T00:00:00"}}).encode()),
        HttpAnswer(200, {}, json.dumps({"token": {**MEMBER, "expires_at": None}}).encode()),
        HttpAnswer(200, {}, json.dumps({"token": {**MEMBER, "roles": ["admin"]}}).encode()),
        HttpAnswer(200, {}, json.dumps({"token": {**MEMBER, "roles": {"a": "b"}}}).encode()),
        HttpAnswer(200, {}, json.dumps({"token": {**MEMBER, "project": "p1"}}).encode()),
        HttpAnswer(200, {}, json.dumps({"token": {**MEMBER, "application_credential": 1}}).encode()),
        HttpAnswer(200, {"x-subject-token": "another"}, json.dumps({"token": MEMBER}).encode()),
        *(HttpError(reason) for reason in ("connect", "tls", "timeout", "too_large", "broken", "busy")),
    ],
    ids=lambda answer: str(answer)[:60],
)
def test_whatever_else_it_says_is_no_answer_and_remembered_by_nobody(answer: HttpAnswer | HttpError) -> None:
    desk = Desk()
    desk.service.instead = answer
    assert desk.judge() == 503
    fault = desk.refusal
    assert (fault.reason, fault.rule) == ("provider_unavailable", ("providers", 0))
    assert fault.retry_after is not None and fault.retry_after >= 1
    assert fault.headers == ()  # no challenge: the client's token may be as good as any
    assert "identity.test" not in fault.message
    desk.service.instead = None
    assert desk.judge() is None
    assert TOKEN not in repr(desk.services.warnings) and "gateway-pw" not in repr(desk.services.warnings)


def test_the_time_that_it_asks_for_is_passed_on() -> None:
    desk = Desk()
    desk.service.instead = HttpAnswer(429, {"retry-after": "17"}, b"")
    assert desk.judge() == 503
    assert desk.refusal.retry_after == 17
    desk.service.instead = HttpAnswer(503, {"retry-after": "999999999"}, b"")
    assert desk.judge() == 503
    assert desk.refusal.retry_after == 300


# ---- the gateway's own token


def test_its_own_token_is_used_again() -> None:
    desk = Desk({TOKEN: MEMBER, "other": document("u2")})
    assert desk.judge() is None
    assert desk.judge(desk.request("other")) is None
    assert desk.service.issued == 1


def test_its_own_token_is_renewed_before_it_ends() -> None:
    desk = Desk({str(number): document(expires=NOW + 9e6) for number in range(4)})
    assert desk.judge(desk.request("0")) is None
    desk.pass_time(3600 - 61)
    assert desk.judge(desk.request("1")) is None
    assert desk.service.issued == 1
    desk.pass_time(2)
    assert desk.judge(desk.request("2")) is None
    assert desk.service.issued == 2


def test_while_it_cannot_be_renewed_early_the_old_one_is_used() -> None:
    desk = Desk({str(number): document(expires=NOW + 9e6) for number in range(4)})
    assert desk.judge(desk.request("0")) is None
    desk.service.accepts = "another"
    desk.pass_time(3600 - 30)
    assert desk.judge(desk.request("1")) is None
    desk.pass_time(30)
    assert desk.judge(desk.request("2")) == 503


def test_a_short_life_is_renewed_in_its_last_fifth() -> None:
    desk = Desk({str(number): document(expires=NOW + 9e6) for number in range(4)})
    desk.service.life = 10.0
    for number, (wait, issued) in enumerate([(0, 1), (7.9, 1), (0.2, 2)]):
        desk.pass_time(wait)
        assert desk.judge(desk.request(str(number))) is None
        assert desk.service.issued == issued


@pytest.mark.parametrize("status", [401, 403])
def test_an_own_token_that_is_refused_is_renewed_once(status: int) -> None:
    desk = Desk({TOKEN: MEMBER, "other": document("u2")})
    assert desk.judge() is None
    desk.service.own.clear()  # revoked
    assert desk.judge(desk.request("other")) is None
    assert desk.service.issued == 2
    desk.service.instead = error(status)
    before = len(desk.service.asked)
    assert desk.judge(desk.request("third")) == 503
    assert len(desk.service.asked) - before == 2
    assert desk.service.issued == 3


def test_an_account_that_may_not_validate_is_said_aloud() -> None:
    desk = Desk()
    desk.service.instead = error(403)
    assert desk.judge() == 503
    ((event, facts),) = desk.services.warnings
    assert event == "keystone_unavailable"
    assert "role service" in facts["because"]


def test_a_wrong_password_is_our_trouble() -> None:
    desk = Desk(keystone={"account": {**ACCOUNT, "password": "wrong"}})
    assert desk.judge() == 503
    assert "credentials" in desk.services.warnings[0][1]["because"]
    assert "wrong" not in repr(desk.services.warnings)


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(200, {"x-subject-token": "own"}, b"{}"),
        HttpAnswer(201, {}, json.dumps({"token": MEMBER}).encode()),
        HttpAnswer(201, {"x-subject-token": "o\r\nwn"}, json.dumps({"token": MEMBER}).encode()),
        HttpAnswer(201, {"x-subject-token": "own"}, b"{}"),
        HttpAnswer(201, {"x-subject-token": "own"}, b"nothing"),
        error(500),
    ],
)
def test_a_login_that_is_answered_oddly_is_our_trouble(answer: HttpAnswer) -> None:
    desk = Desk()
    desk.services.answer = lambda request: answer
    assert desk.judge() == 503


def test_an_application_credential_of_its_own() -> None:
    credential = {"id": "abc", "secret": "gateway-pw"}
    desk = Desk(keystone={"account": None, "application_credential": credential})
    assert desk.judge() is None
    assert json.loads(desk.services.requests[0].body)["auth"]["identity"] == {
        "methods": ["application_credential"],
        "application_credential": credential,
    }


@pytest.mark.parametrize(
    ("account", "user", "project"),
    [
        (
            {"user_id": "u9", "project_id": "p9"},
            {"id": "u9", "password": "pw"},
            {"id": "p9"},
        ),
        (
            {"user": "g", "user_domain_name": "A", "project_name": "s", "project_domain_name": "B"},
            {"name": "g", "domain": {"name": "A"}, "password": "pw"},
            {"name": "s", "domain": {"name": "B"}},
        ),
        (
            {"user": "g", "user_domain_id": "a", "project_name": "s", "project_domain_id": "b"},
            {"name": "g", "domain": {"id": "a"}, "password": "pw"},
            {"name": "s", "domain": {"id": "b"}},
        ),
    ],
)
def test_an_account_is_named_in_every_way(account: Any, user: Any, project: Any) -> None:
    desk = Desk(keystone={"account": {**account, "password": "pw"}})
    desk.service.accepts = "pw"
    assert desk.judge() is None
    asked = json.loads(desk.services.requests[0].body)["auth"]
    assert asked["identity"]["password"]["user"] == user
    assert asked["scope"]["project"] == project


# ---- together


async def all_at_once(desk: Desk, *tokens: str) -> list[Any]:
    async def one(token: str) -> Any:
        verdict = desk.filter.on_request(desk.request(token))
        return await verdict if isawaitable(verdict) else verdict

    return await asyncio.gather(*map(one, tokens))


async def test_fifty_cold_requests_with_one_token_ask_once() -> None:
    desk = Desk()
    assert await all_at_once(desk, *[TOKEN] * 50) == [None] * 50
    assert [asked.method for asked in desk.services.requests] == ["POST", "GET"]


async def test_fifty_tokens_are_asked_for_with_one_login() -> None:
    tokens = [f"t{number}" for number in range(50)]
    desk = Desk({token: document() for token in tokens})
    assert await all_at_once(desk, *tokens) == [None] * 50
    assert desk.service.issued == 1
    assert sorted(desk.service.asked) == sorted(tokens)


async def test_one_renewal_for_all_whose_question_was_refused() -> None:
    tokens = [f"t{number}" for number in range(20)]
    desk = Desk({token: document() for token in (*tokens, TOKEN)})
    assert await all_at_once(desk, TOKEN) == [None]
    desk.service.own.clear()
    assert await all_at_once(desk, *tokens) == [None] * 20
    assert desk.service.issued == 2


async def test_a_client_that_goes_away_takes_the_answer_from_nobody() -> None:
    desk = Desk()
    go = asyncio.Event()

    async def slow(answer: HttpAnswer) -> HttpAnswer:
        await go.wait()
        return answer

    def answer(request: Any) -> Any:
        found = desk.service(request)
        return slow(found) if isinstance(found, HttpAnswer) else found

    desk.services.answer = answer
    first = asyncio.ensure_future(all_at_once(desk, TOKEN))
    second = asyncio.ensure_future(all_at_once(desk, TOKEN))
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert await second == [None]
    assert len(desk.service.asked) == 1


async def test_what_was_asked_before_a_revocation_answers_nobody_after_it() -> None:
    """Whoever asked it is let in, as Keystone said then; whoever comes later is asked for anew."""
    desk = Desk()
    go = asyncio.Event()

    async def slow(answer: HttpAnswer) -> HttpAnswer:
        await go.wait()
        return answer

    def answer(request: Any) -> Any:
        found = desk.service(request)
        return slow(found) if isinstance(found, HttpAnswer) and request.method == "GET" else found

    desk.services.answer = answer
    early = asyncio.ensure_future(all_at_once(desk, TOKEN))
    await until(lambda: desk.service.asked == [TOKEN], "it is asked")
    desk.services.revoke(Revocation(user_id="u1"))
    del desk.service.tokens[TOKEN]
    late = asyncio.ensure_future(all_at_once(desk, TOKEN))
    await until(lambda: desk.service.asked == [TOKEN, TOKEN], "it is asked again")
    go.set()
    assert await early == [None]
    (refused,) = await late
    assert refused.status == 401
    (refused,) = await all_at_once(desk, TOKEN)
    assert refused.status == 401, "what the early one learned is not remembered"


@pytest.mark.parametrize("whom", [{"user_id": "u1"}, {"project_id": "p1"}, {"token_key": "its"}])
def test_who_is_revoked_is_asked_for_anew(whom: dict[str, str]) -> None:
    desk = Desk()
    assert desk.judge() is None
    if "token_key" in whom:
        whom = {"token_key": desk.services.keyed_hash(TOKEN.encode())}
    assert desk.services.revoke(Revocation(user_id="another")) == 0
    assert desk.judge() is None
    assert len(desk.service.asked) == 1
    assert desk.services.revoke(Revocation(**whom)) == 1
    del desk.service.tokens[TOKEN]
    assert desk.judge() == 401


@pytest.mark.parametrize("more", ["=", "==", "===", "!", "  x"])
def test_a_token_in_another_spelling_than_keystones_is_not_asked_about(more: str) -> None:
    token = "gAAAAABm" + "x-_0" * 30
    desk = Desk({token: MEMBER, token + more: MEMBER})
    assert desk.judge(desk.request(token)) is None
    assert desk.judge(desk.request(token + more)) == 401
    assert desk.refusal.reason == "token_invalid"
    assert desk.service.asked == [token]


@pytest.mark.parametrize("revoked", [0, 1])
def test_who_revokes_a_signed_token_by_its_hash_revokes_both_its_spellings(revoked: int) -> None:
    token = sign({"sub": "u1"})
    other = twin(token)
    assert other is not None
    tokens = {each: document("u1", "member", "service") for each in (token, other)}
    desk = Desk(tokens, service_tokens={})
    for each in tokens:
        assert desk.judge(desk.request(each)) is None
        assert desk.judge(desk.request(TOKEN, ("X-Service-Token", each))) == 401
    token_key = desk.services.keyed_hash((token, other)[revoked].encode())
    assert desk.services.revoke(Revocation(token_key=token_key)) == 4
    desk.service.tokens.clear()
    for each in tokens:
        assert desk.judge(desk.request(each)) == 401


# ---- bad days


def test_what_is_remembered_goes_on_while_it_is_away() -> None:
    desk = Desk(cache={"jitter": 0})
    assert desk.judge() is None
    desk.service.down = HttpError("connect")
    desk.pass_time(299)
    assert desk.judge() is None
    assert desk.judge(desk.request("cold")) == 503
    desk.pass_time(1)
    assert desk.judge() == 503


def test_past_its_time_a_token_stands_in_as_long_as_is_allowed() -> None:
    desk = Desk(cache={"jitter": 0, "ttl": "300s", "stale_if_error": "600s"})
    assert desk.judge() is None
    desk.service.down = HttpError("timeout")
    desk.pass_time(899)
    made = desk.request()
    assert desk.judge(made) is None
    assert made.principal is not None and made.principal.user_id == "u1"
    assert made.notes[0].facts == {"provider": "keystone", "cached": True, "stale": True}
    desk.pass_time(1)
    assert desk.judge() == 503


def test_what_stands_in_is_never_a_token_that_has_ended() -> None:
    desk = Desk({TOKEN: document(expires=NOW + 400)}, cache={"jitter": 0, "stale_if_error": "1h"})
    assert desk.judge() is None
    desk.service.down = HttpError("timeout")
    desk.pass_time(399)
    assert desk.judge() is None
    desk.pass_time(1)
    assert desk.judge() == 503


def test_a_no_ends_what_could_stand_in() -> None:
    desk = Desk(cache={"jitter": 0, "stale_if_error": "1h", "negative_ttl": "5s"})
    assert desk.judge() is None
    desk.pass_time(301)
    del desk.service.tokens[TOKEN]
    assert desk.judge() == 401
    desk.service.down = HttpError("connect")
    desk.pass_time(6)
    assert desk.judge() == 503


def test_once_it_is_back_it_is_asked_and_its_word_counts() -> None:
    desk = Desk(cache={"jitter": 0, "stale_if_error": "1h"})
    assert desk.judge() is None
    desk.service.down = HttpError("connect")
    desk.pass_time(301)
    assert desk.judge() is None
    desk.service.down = None
    made = desk.request()
    assert desk.judge(made) is None
    assert made.notes[0].facts["cached"] is False


def test_a_service_that_fails_again_and_again_is_left_alone() -> None:
    desk = Desk(keystone={"breaker": {"failures": 3, "pause": "10s"}})
    desk.service.down = HttpError("timeout")
    for number in range(3):
        assert desk.judge(desk.request(f"t{number}")) == 503
    asked = len(desk.services.requests)
    for number in range(20):
        assert desk.judge(desk.request(f"u{number}")) == 503
        assert desk.refusal.retry_after == 10
    assert len(desk.services.requests) == asked
    desk.pass_time(7.5)
    assert desk.judge() == 503
    assert desk.refusal.retry_after == 3
    desk.pass_time(2.5)
    desk.service.down = None
    assert desk.judge() is None


def test_a_clients_own_faults_do_not_keep_others_out() -> None:
    desk = Desk(keystone={"breaker": {"failures": 2, "pause": "10s"}})
    for answer in (error(400), error(404), error(413), HttpError("busy")):
        desk.service.instead = answer
        for number in range(5):
            desk.judge(desk.request(f"{answer}{number}"[:40]))
    desk.service.instead = None
    assert desk.judge() is None


def test_an_answer_that_is_too_large_keeps_nobody_else_out() -> None:
    desk = Desk(keystone={"breaker": {"failures": 1}})
    desk.service.instead = HttpError(
        "too_large"
    )  # whoever has a credential with many rules can have one made
    assert desk.judge(desk.request("large")) == 503
    desk.service.instead = None
    assert desk.judge() is None


async def test_what_stands_in_does_not_wait_for_a_service_that_is_left_alone() -> None:
    desk = Desk(
        keystone={"breaker": {"failures": 1, "pause": "10s"}}, cache={"jitter": 0, "stale_if_error": "1h"}
    )
    verdict = desk.filter.on_request(desk.request())
    assert (await verdict if isawaitable(verdict) else verdict) is None
    desk.service.down = HttpError("timeout")
    desk.pass_time(301)
    verdict = desk.filter.on_request(desk.request())
    assert isawaitable(verdict)
    assert await verdict is None
    desk.pass_time(11)
    assert desk.filter.on_request(desk.request()) is None  # it is asked, and not waited for
    desk.service.down = None
    desk.pass_time(11)
    made = desk.request()
    assert desk.filter.on_request(made) is None
    assert made.notes[0].facts["stale"] is True
    await until(lambda: desk.service.asked == [TOKEN, TOKEN], "Keystone has been asked")
    await until(lambda: not desk.filter._pending, "what it says is remembered")
    made = desk.request()
    assert desk.filter.on_request(made) is None
    assert made.notes[0].facts == {"provider": "keystone", "cached": True}


async def test_what_stands_in_waits_once_for_a_service_that_does_not_answer_in_time() -> None:
    desk = Desk(cache={"jitter": 0, "stale_if_error": "1h"})
    verdict = desk.filter.on_request(desk.request())
    assert (await verdict if isawaitable(verdict) else verdict) is None
    desk.service.down = HttpError("timeout")
    desk.pass_time(301)
    verdict = desk.filter.on_request(desk.request())
    assert isawaitable(verdict)
    assert await verdict is None
    desk.service.down = None
    made = desk.request()
    assert desk.filter.on_request(made) is None  # it is asked, and not waited for
    assert made.notes[0].facts["stale"] is True
    await until(lambda: desk.service.asked == [TOKEN, TOKEN], "Keystone has been asked")
    await until(lambda: not desk.filter._pending, "what it says is remembered")
    made = desk.request()
    assert desk.filter.on_request(made) is None
    assert made.notes[0].facts == {"provider": "keystone", "cached": True}


class Slow:
    """A desk whose Keystone takes questions of users' tokens, and answers once `gate` is set."""

    def __init__(self, **options: Any) -> None:
        self.desk = Desk(cache={"jitter": 0, "stale_if_error": "1h"}, **options)
        self.gate = asyncio.Event()
        self.gate.set()
        self.desk.services.answer = self.answer

    def answer(self, request: HttpRequest) -> Any:
        async def slow() -> HttpAnswer:
            await self.gate.wait()
            answer = self.desk.service(request)
            assert isinstance(answer, HttpAnswer)
            return answer

        return slow() if request.method == "GET" else self.desk.service(request)

    async def status(self, *headers: tuple[str, str]) -> tuple[int | None, Any]:
        """Of a refusal, None where the request passes; and whether by what stands in."""
        made = self.desk.request(TOKEN, *headers)
        verdict = self.desk.filter.on_request(made)
        verdict = await verdict if isawaitable(verdict) else verdict
        assert verdict is None or isinstance(verdict, Fault)
        return None if verdict is None else verdict.status, made.notes and made.notes[0].facts.get("stale")


@pytest.mark.parametrize("good", [True, False])
async def test_what_stands_in_does_not_wait_long_for_a_service_that_hangs_and_gives_way_to_its_answer(
    good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_auth, "_PATIENCE", 0.01)
    slow = Slow()
    assert await slow.status() == (None, None)
    slow.desk.pass_time(301)
    slow.gate.clear()
    for _ in range(3):
        assert await slow.status() == (None, True)
    assert len(slow.desk.services.requests) == 3, "one question is out"
    if not good:
        del slow.desk.service.tokens[TOKEN]
    slow.gate.set()
    await until(lambda: not slow.desk.filter._pending, "its answer is remembered")
    assert await slow.status() == ((None, None) if good else (401, []))


async def test_a_revocation_meanwhile_counts_more_than_what_was_asked_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(token_auth, "_PATIENCE", 0.01)
    slow = Slow()
    await slow.status()
    slow.desk.pass_time(301)
    slow.gate.clear()
    assert await slow.status() == (None, True)
    slow.desk.services.revoke(Revocation(user_id="u1"))
    slow.gate.set()
    await until(lambda: not slow.desk.filter._pending, "its answer has come")
    del slow.desk.service.tokens[TOKEN]
    assert (await slow.status())[0] == 401


@pytest.mark.parametrize("good", [True, False])
async def test_a_service_that_vouches_does_not_wait_long_either(
    good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_auth, "_PATIENCE", 0.01)
    slow = Slow(service_tokens={})
    slow.desk.service.tokens["vouching"] = document("nova", "service")
    header = ("X-Service-Token", "vouching")
    assert (await slow.status(header))[0] is None
    slow.desk.pass_time(301)
    slow.gate.clear()
    assert (await slow.status(header))[0] is None
    if not good:
        del slow.desk.service.tokens["vouching"]
    slow.gate.set()
    await until(lambda: not slow.desk.filter._pending, "the answers are remembered")
    asked = len(slow.desk.service.asked)
    assert (await slow.status(header))[0] == (None if good else 401)
    assert len(slow.desk.service.asked) == asked + (0 if good else 1)


async def test_who_is_not_known_waits_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_auth, "_PATIENCE", 0.0)
    slow = Slow()
    slow.gate.clear()
    waiting = asyncio.ensure_future(slow.status())
    await until(lambda: len(slow.desk.services.requests) == 2, "Keystone is asked")
    await asyncio.sleep(0)
    assert not waiting.done()
    slow.gate.set()
    assert await waiting == (None, None)


def test_a_delayed_decision_passes_a_request_that_nobody_can_judge() -> None:
    desk = Desk(delay_auth_decision=True)
    desk.service.down = HttpError("connect")
    made = desk.request()
    assert desk.judge(made) is None
    assert made.request.headers.get("X-Identity-Status") == "Invalid"


def test_a_reload_with_the_same_definition_goes_on_with_what_is_known() -> None:
    desk = Desk()
    assert desk.judge() is None
    desk.filter = build(TokenAuth, desk.options, desk.services)
    assert desk.judge() is None
    assert desk.judge(desk.request("other")) == 401
    assert desk.service.issued == 1
    assert desk.service.asked == [TOKEN, "other"]


def test_its_verdict_needs_the_network_and_reads_what_access_rules_ask_for() -> None:
    desk = Desk(service_tokens={})
    assert desk.filter.pure is False
    assert {METHOD, TARGET, header("x-service-token")} <= desk.filter.config.reads()
    static = {"static": {"tokens": [{"token": "t", "user_id": "u"}]}}
    assert build(TokenAuth, {"providers": [static]}).pure is True


def test_what_is_remembered_needs_no_coroutine() -> None:
    desk = Desk()
    assert desk.judge() is None
    assert desk.filter.on_request(desk.request()) is None


def test_the_next_provider_is_asked_where_keystone_knows_nothing() -> None:
    static = {"static": {"tokens": [{"token": "static", "user_id": "probe"}]}}
    service = IdentityService()
    services = FrozenServices(wall=NOW, answer=service)
    filter = build(TokenAuth, {"providers": [{"keystone": OPTIONS}, static]}, services)
    assert judge(filter, exchange(headers={"X-Auth-Token": "static"})) is None
    service.down = HttpError("connect")
    assert judge(filter, exchange(headers={"X-Auth-Token": "static"})) is None


# ---- access rules


RESTRICTED = document(
    "u1",
    "member",
    application_credential={
        "id": "c1",
        "restricted": True,
        "access_rules": [
            {"id": "r1", "service": "compute", "method": "GET", "path": "/v2.1/servers/{id}"},
            {"id": "r2", "service": "image", "method": "GET", "path": "/v2/images"},
        ],
    },
)


def test_a_token_with_access_rules_does_what_they_allow() -> None:
    desk = Desk({TOKEN: RESTRICTED}, keystone={"service_type": "compute"})
    for cached in (False, True):
        made = desk.request(target="/v2.1/servers/s1?detail")
        assert desk.judge(made) is None
        assert made.notes[0].facts["cached"] is cached
        for method, target in (
            ("GET", "/v2.1/servers/s1/action"),
            ("GET", "/v2X1/servers/s1"),
            ("DELETE", "/v2.1/servers/s1"),
            ("GET", "/v2/images"),
        ):
            made = desk.request(method=method, target=target)
            assert desk.judge(made) == 401
            assert (desk.refusal.reason, desk.refusal.rule) == ("token_restricted", ("providers", 0))
            assert made.principal is None
    assert desk.service.asked == [TOKEN]


def test_access_rules_are_of_the_path_behind_what_the_gateway_has_it_under() -> None:
    desk = Desk(
        {TOKEN: RESTRICTED}, keystone={"service_type": "compute", "strip_prefixes": ["/compute", "/nova"]}
    )
    for target in ("/compute/v2.1/servers/s1", "/nova/v2.1/servers/s1", "/v2.1/servers/s1"):
        assert desk.judge(desk.request(target=target)) is None
    assert desk.judge(desk.request(target="/image/v2.1/servers/s1")) == 401


def test_without_a_service_type_such_a_token_does_nothing_and_that_is_said() -> None:
    desk = Desk({TOKEN: RESTRICTED})
    assert desk.judge(desk.request(target="/v2.1/servers/s1")) == 401
    assert desk.refusal.reason == "token_restricted"
    assert [event for event, _ in desk.services.warnings] == ["access_rules_unjudged"]


@pytest.mark.parametrize(("rules", "status"), [(None, None), ([], 401)])
def test_no_access_rules_are_not_an_empty_list_of_them(rules: Any, status: int | None) -> None:
    credential = {"id": "c1", **({} if rules is None else {"access_rules": rules})}
    desk = Desk({TOKEN: document(application_credential=credential)}, keystone={"service_type": "compute"})
    assert desk.judge() == status


# ---- a service vouches

SERVICE = "service-token"
VOUCHED = {
    TOKEN: MEMBER,
    "old": document("u2", "member", expires=NOW - 60),
    SERVICE: document("nova", "service", "admin"),
    "plain": document("u3", "member"),
}


def vouching(tokens: dict[str, dict[str, Any]] = VOUCHED, **options: Any) -> Desk:
    return Desk(tokens, service_tokens={"roles": ["service"]}, **options)


def test_a_service_is_told_of_beside_the_user() -> None:
    desk = vouching()
    for _ in range(2):
        made = desk.request(TOKEN, ("X-Service-Token", SERVICE))
        assert desk.judge(made) is None
        told = fields(made)
        assert (told["X-User-Id"], told["X-Identity-Status"]) == ("u1", "Confirmed")
        assert told["X-Service-Identity-Status"] == "Confirmed"
        assert (told["X-Service-User-Id"], told["X-Service-Roles"]) == ("nova", "service,admin")
        assert told["X-Service-Token"] == SERVICE
    assert desk.service.asked == [SERVICE, TOKEN]


def test_an_expired_token_passes_beside_a_service_only() -> None:
    desk = vouching()
    for _ in range(2):
        assert desk.judge(desk.request("old", ("X-Service-Token", SERVICE))) is None
        assert desk.judge(desk.request("old")) == 401
    assert desk.service.asked == [SERVICE, "old", "old"]
    desk.pass_time(400)
    assert desk.judge(desk.request("old")) == 401


def test_beside_a_service_a_token_of_another_provider_ends_when_it_ends() -> None:
    desk = vouching()
    tokens = [{"token": "short", "user_id": "u5", "expires": NOW + 20}]
    desk.options["providers"].append({"static": {"tokens": tokens}})
    desk.filter = build(TokenAuth, desk.options, desk.services)
    assert desk.judge(desk.request("short", ("X-Service-Token", SERVICE))) is None
    desk.pass_time(20)
    assert desk.judge(desk.request("short", ("X-Service-Token", SERVICE))) == 401


@pytest.mark.parametrize("service", ["plain", "old", "garbage", "x" * 9000, "t\xe9ken"])
def test_a_bad_service_token_refuses_the_request_however_good_the_users_is(service: str) -> None:
    desk = vouching()
    for _ in range(2):
        made = desk.request(TOKEN, ("X-Service-Token", service))
        assert desk.judge(made) == 401
        assert desk.refusal.reason == "service_token_invalid"
    assert desk.judge() is None
    assert desk.service.asked.count(service) <= 1


def test_a_service_that_is_revoked_vouches_for_nobody() -> None:
    desk = vouching(dict(VOUCHED))
    assert desk.judge(desk.request(TOKEN, ("X-Service-Token", SERVICE))) is None
    assert desk.services.revoke(Revocation(token_key=desk.services.keyed_hash(SERVICE.encode()))) == 1
    del desk.service.tokens[SERVICE]
    assert desk.judge(desk.request(TOKEN, ("X-Service-Token", SERVICE))) == 401


def test_two_service_tokens_are_too_many() -> None:
    desk = vouching()
    made = desk.request(TOKEN, ("X-Service-Token", SERVICE), ("X-Service-Token", SERVICE))
    assert desk.judge(made) == 401


def test_a_service_without_a_user_is_refused() -> None:
    desk = vouching()
    assert desk.judge(desk.request(None, ("X-Service-Token", SERVICE))) == 401
    assert desk.refusal.reason == "token_missing"
    assert desk.judge(desk.request("a\xe9", ("X-Service-Token", SERVICE))) == 401


def test_an_empty_service_token_is_none() -> None:
    desk = vouching()
    made = desk.request(TOKEN, ("X-Service-Token", " "))
    assert desk.judge(made) is None
    assert "X-Service-Token" not in fields(made)
    assert desk.judge(desk.request("old", ("X-Service-Token", ""))) == 401


def test_a_service_that_cannot_be_judged_is_503() -> None:
    desk = vouching()
    assert desk.judge() is None
    desk.service.down = HttpError("timeout")
    assert desk.judge(desk.request(TOKEN, ("X-Service-Token", SERVICE))) == 503
    desk.service.down = None
    assert desk.judge(desk.request(TOKEN, ("X-Service-Token", SERVICE))) is None


def test_a_service_may_stand_in_too() -> None:
    desk = vouching(cache={"jitter": 0, "stale_if_error": "1h"})
    assert desk.judge(desk.request("old", ("X-Service-Token", SERVICE))) is None
    desk.service.down = HttpError("timeout")
    desk.pass_time(1000)
    made = desk.request("old", ("X-Service-Token", SERVICE))
    assert desk.judge(made) is None
    assert fields(made)["X-Service-User-Id"] == "nova"


def test_a_delayed_decision_marks_a_service_that_is_none() -> None:
    desk = vouching(delay_auth_decision=True)
    made = desk.request(TOKEN, ("X-Service-Token", "garbage"))
    assert desk.judge(made) is None
    told = fields(made)
    assert (told["X-Identity-Status"], told["X-Service-Identity-Status"]) == ("Invalid", "Invalid")
    assert "X-Service-Token" not in told


def marked(desk: Desk, made: Exchange) -> bool:
    """Whether a request goes on with nobody vouching for it, and says so."""
    assert desk.judge(made) is None
    told = fields(made)
    assert (told["X-Identity-Status"], made.principal) == ("Invalid", None)
    return told["X-Service-Identity-Status"] == "Invalid" and "X-Service-Token" not in told


def test_a_delayed_decision_passes_no_service_token_that_nobody_can_judge() -> None:
    desk = vouching(delay_auth_decision=True)
    desk.service.down = HttpError("timeout")
    for _ in range(2):
        assert marked(desk, desk.request(TOKEN, ("X-Service-Token", SERVICE)))
    desk.service.down = None
    made = desk.request(TOKEN, ("X-Service-Token", SERVICE))
    assert desk.judge(made) is None
    assert fields(made)["X-Service-Token"] == SERVICE, "once it is judged it goes on"


def test_a_delayed_decision_passes_no_service_token_beyond_its_access_rules() -> None:
    desk = vouching(delay_auth_decision=True, keystone={"service_type": "compute"})
    rules = [{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]
    restricted = {"id": "c", "access_rules": rules}
    desk.service.tokens[SERVICE] = document("nova", "service", application_credential=restricted)
    for _ in range(2):
        assert marked(desk, desk.request(TOKEN, ("X-Service-Token", SERVICE), target="/v2.1/images"))
    made = desk.request(TOKEN, ("X-Service-Token", SERVICE), target="/v2.1/servers")
    assert desk.judge(made) is None
    assert fields(made)["X-Service-User-Id"] == "nova"


def test_tokens_may_stay_here() -> None:
    desk = vouching(forward_token=False)
    for _ in range(2):
        made = desk.request(TOKEN, ("X-Service-Token", SERVICE))
        assert desk.judge(made) is None
        assert not {"X-Auth-Token", "X-Service-Token"} & fields(made).keys()


@pytest.mark.parametrize("name", ["X-Service-Token", "x_service_token", "X-Service_Token"])
def test_an_unasked_service_token_never_crosses(name: str) -> None:
    desk = Desk()
    made = desk.request(TOKEN, (name, SERVICE))
    assert desk.judge(made) is None
    assert SERVICE not in fields(made).values()


@pytest.mark.parametrize(("options", "judges"), [({}, False), ({"service_tokens": {}}, True)])
def test_every_spelling_of_a_service_token_is_taken_from_requests_that_nobody_judges(
    options: dict[str, Any], judges: bool
) -> None:
    desk = Desk(**options)
    names = {b"x-service-token", b"x_service_token", b"x-service_token", b"x_service-token"}
    assert names <= desk.filter.owns
    assert desk.filter.judges == ({b"x-service-token"} if judges else set())


def test_a_token_may_come_in_the_field_of_services() -> None:
    desk = Desk(header="X-Service-Token")
    assert b"x-service-token" in desk.filter.judges - desk.filter.owns
    made = desk.request(None, ("X-Service-Token", TOKEN))
    assert desk.judge(made) is None
    assert fields(made)["X-Service-Token"] == TOKEN


def test_with_services_other_spellings_are_stripped_all_the_same() -> None:
    desk = vouching()
    made = desk.request("old", ("x_service_token", SERVICE))
    assert desk.judge(made) == 401
    assert "x_service_token" not in fields(made)


# ---- groups


GOLD = ["gold", "beta, second"]


def grouped(tokens: dict[str, dict[str, Any]] | None = None, **options: Any) -> Desk:
    desk = Desk(tokens, **{"keystone": {"groups": "names"}, **options})
    desk.service.groups = {"u1": GOLD, "u2": ["silver"]}
    return desk


@pytest.mark.parametrize(
    ("headers", "option", "groups"),
    [
        ("repose", {}, tuple(GOLD)),
        ("repose", {"groups": None}, tuple(GOLD)),
        ("repose", {"groups": "ids"}, ("id-gold", "id-beta, second")),
        ("repose", {"groups": "none"}, ()),
        ("keystonemiddleware", {}, ()),
        ("keystonemiddleware", {"groups": "names"}, tuple(GOLD)),
        ("none", {"groups": "ids"}, ("id-gold", "id-beta, second")),
    ],
)
def test_groups_are_told_as_the_options_say(
    headers: str, option: dict[str, Any], groups: tuple[str, ...]
) -> None:
    desk = grouped(keystone=option, headers=headers)
    for _ in range(2):
        made = desk.request()
        assert desk.judge(made) is None
        assert made.principal is not None and made.principal.groups == groups
        told = ",".join(f"{one.replace(',', '%2C')};q=1.0" for one in groups) if headers == "repose" else None
        assert fields(made).get("X-PP-Groups") == (told or None)
    asked = [one.url.removeprefix("http://identity.test/v3") for one in desk.services.requests]
    questions = ["/auth/tokens?nocatalog", "/auth/tokens?nocatalog", "/users/u1/groups"]
    assert asked == questions[: 3 if groups else 2], "they are remembered with the token"


def test_a_users_groups_are_asked_for_by_the_user_himself() -> None:
    desk = grouped()
    assert desk.judge() is None
    question = desk.services.requests[-1]
    assert question.headers == {"x-auth-token": TOKEN, "accept": "application/json"}


@pytest.mark.parametrize("user", ["a/b", "u?1#", "a..b", "...", "\u00fc"])
def test_the_id_of_a_user_stays_one_segment_of_the_path(user: str) -> None:
    desk = grouped({TOKEN: document(user)})
    desk.judge()
    path = desk.services.requests[-1].url.removeprefix("http://identity.test/v3/users/")
    assert path.endswith("/groups") and not set("/?#") & set(path.removesuffix("/groups"))


@pytest.mark.parametrize("user", [".", "..", "a/../b", "..\\u2", "x/..;"])
def test_the_id_of_a_user_that_leaves_its_segment_is_asked_nothing_of(user: str) -> None:
    desk = grouped({TOKEN: document(user), "other": document("u2")})
    for _ in range(20):
        assert desk.judge() == 503
    assert not [one for one in desk.services.requests if "/users/" in one.url]
    assert desk.judge(desk.request("other")) is None, "nothing is wrong with the service"


@pytest.mark.parametrize(
    "answer",
    [
        *(error(status) for status in (204, 302, 400, 401, 403, 404, 413, 429, 500, 503)),
        HttpAnswer(200, {}, b"<html>"),
        HttpAnswer(200, {}, b"[" * 100_000),
        HttpAnswer(200, {}, b"{}"),
        HttpAnswer(200, {}, b'{"groups": {}}'),
        HttpAnswer(200, {}, b'{"groups": [{"id": "g"}]}'),
        HttpAnswer(200, {}, b'{"groups": [{"name": ""}]}'),
        HttpAnswer(200, {}, b'{"groups": [{"name": 1}]}'),
        HttpAnswer(200, {}, b'{"groups": [], "truncated": true}'),
        HttpAnswer(
            200, {}, b'{"groups": [], "links": {"next": "http://identity.test/v3/users/u1/groups?page=2"}}'
        ),
        HttpAnswer(200, {}, json.dumps({"groups": [{"name": "n" * 300}] * 100}).encode()),
        *(HttpError(reason) for reason in ("connect", "timeout", "too_large", "busy")),
    ],
    ids=lambda answer: str(answer)[:60],
)
def test_without_the_groups_nobody_is_let_in_and_nobody_is_refused(answer: HttpAnswer | HttpError) -> None:
    desk = grouped()
    desk.service.groups_instead = answer
    assert desk.judge() == 503
    assert desk.refusal.reason == "provider_unavailable" and desk.refusal.headers == ()
    assert [event for event, _ in desk.services.warnings] == ["keystone_unavailable"]
    assert TOKEN not in f"{desk.services.warnings} {desk.refusal}"
    desk.service.groups_instead = None
    desk.pass_time(0.1)
    made = desk.request()
    assert desk.judge(made) is None, "trouble is not remembered"
    assert made.principal is not None and made.principal.groups == tuple(GOLD)


def renamed(**user: Any) -> dict[str, Any]:
    told = document("u1", "member")
    return {**told, "user": {**told["user"], **user}}


@pytest.mark.parametrize("headers", ["repose", "keystonemiddleware", "none"])
@pytest.mark.parametrize("text", ["a\r\nX-Roles: admin", "\0", "\x7f", "\ud800"])
@pytest.mark.parametrize("what", ["group", "role", "user", "id", "domain", "project"])
def test_a_name_that_no_field_can_hold_is_trouble_and_remembered_by_nobody(
    what: str, text: str, headers: str
) -> None:
    tokens = {
        "group": MEMBER,
        "role": document("u1", f"r{text}"),
        "user": renamed(name=text),
        "id": renamed(id=text),
        "domain": renamed(domain={"id": "d", "name": text}),
        "project": {**MEMBER, "project": {"id": "p1", "name": text, "domain": {"id": "d", "name": "D"}}},
    }
    desk = grouped({TOKEN: tokens[what], "other": document("u2")}, headers=headers)
    if what == "group":
        desk.service.groups["u1"] = ["gold", text]
    for _ in range(20):
        assert desk.judge() == 503
    assert desk.refusal.retry_after is not None and desk.refusal.retry_after >= 1
    assert text not in f"{desk.services.warnings} {desk.refusal}"
    assert desk.judge(desk.request("other")) is None, "nothing is wrong with the service"
    desk.service.tokens[TOKEN] = MEMBER
    desk.service.groups["u1"] = ["gold"]
    assert desk.judge() is None, "trouble is not remembered"


def test_a_service_whose_name_no_field_can_hold_is_not_refused() -> None:
    tokens = {**VOUCHED, SERVICE: {**VOUCHED[SERVICE], "user": {"id": "s1", "name": "a\0"}}}
    desk = Desk(tokens, service_tokens={"roles": ["service"]})
    assert desk.judge(desk.request("old", ("X-Service-Token", SERVICE))) == 503
    desk.service.tokens[SERVICE] = VOUCHED[SERVICE]
    assert desk.judge(desk.request("old", ("X-Service-Token", SERVICE))) is None


def test_groups_that_a_client_cannot_ask_for_are_asked_for_by_the_gateway() -> None:
    tokens = {**VOUCHED, "restricted": RESTRICTED}
    desk = grouped(
        tokens, keystone={"groups": "names", "service_type": "compute"}, service_tokens={"roles": ["service"]}
    )

    def requests() -> list[Exchange]:
        target = "/v2.1/servers/s1"
        vouched = desk.request("old", ("X-Service-Token", SERVICE))
        return [vouched, desk.request("restricted", target=target)]

    for made in requests():
        assert desk.judge(made) == 503
        assert "own account" in desk.services.warnings[-1][1]["because"]
    assert desk.service.issued == 1, "the account lacks a role, and not a token"
    desk.service.own_may_list_groups = True
    for made, groups in zip(requests(), (("silver",), tuple(GOLD)), strict=True):
        assert desk.judge(made) is None
        assert made.principal is not None and made.principal.groups == groups
    assert desk.judge() is None, "and nobody else has noticed"


def test_one_users_many_groups_keep_nobody_else_out() -> None:
    desk = grouped({TOKEN: document("u1"), "other": document("u2")})
    desk.service.groups["u1"] = ["n" * 300] * 100
    for _ in range(20):
        assert desk.judge() == 503
    made = desk.request("other")
    assert desk.judge(made) is None
    assert made.principal is not None and made.principal.groups == ("silver",)


def test_a_service_is_not_asked_for_groups() -> None:
    desk = grouped(VOUCHED, service_tokens={"roles": ["service"]})
    desk.service.own_may_list_groups = True
    assert desk.judge(desk.request("old", ("X-Service-Token", SERVICE))) is None
    asked = [one.url.rpartition("/users/")[2] for one in desk.services.requests if "/users/" in one.url]
    assert asked == ["u2/groups"]


async def test_fifty_cold_requests_ask_once_for_the_groups() -> None:
    desk = grouped()
    assert await all_at_once(desk, *[TOKEN] * 50) == [None] * 50
    assert len(desk.services.requests) == 3


def test_other_groups_are_told_once_the_user_is_revoked() -> None:
    desk = grouped()
    assert desk.judge() is None
    desk.service.groups = {}
    desk.services.revoke(Revocation(user_id="u1"))
    made = desk.request()
    assert desk.judge(made) is None
    assert made.principal is not None and made.principal.groups == ()


# ---- laws of what is remembered


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "revoke", "restore", "down", "up"]),
            st.sampled_from(["a", "b"]),
            st.floats(0, 400),
        ),
        max_size=25,
    ),
    st.sampled_from([0, 200]),
)
def test_what_is_remembered_is_true_or_was_not_long_ago(
    steps: list[tuple[str, str, float]], stale: int
) -> None:
    """No token passes that has been bad for longer than `ttl` and `stale_if_error`, none that has ended, none that never
    was; and one that has been good for longer than `negative_ttl`, with the service up, always does."""
    good = {"a": document("a", expires=NOW + 2000), "b": document("b", expires=NOW + 1000)}
    desk = Desk(
        {"a": good["a"]},
        keystone={"breaker": {"failures": 1000}},
        cache={"ttl": 100, "negative_ttl": 5, "stale_if_error": stale},
    )
    since = {"a": NOW, "b": float("-inf")}  # of its last change
    last_good = {"a": NOW, "b": float("-inf")}
    for step, token, wait in steps:
        desk.pass_time(wait)
        now = desk.service.now
        if step == "down":
            desk.service.down = HttpError("connect")
        elif step == "up":
            desk.service.down = None
        elif step == "revoke" and token in desk.service.tokens:
            del desk.service.tokens[token]
            last_good[token], since[token] = now, now
        elif step == "restore" and token not in desk.service.tokens:
            desk.service.tokens[token] = good[token]
            since[token] = now
        elif step == "ask":
            status = desk.judge(desk.request(token))
            ended = now >= NOW + (2000 if token == "a" else 1000)
            known = token in desk.service.tokens
            if status is None:
                assert not ended
                assert known or now <= last_good[token] + 100 + stale
            elif known and not ended and desk.service.down is None:
                assert status == 401 and now < since[token] + 5


async def test_what_keystone_has_revoked_is_asked_for_anew() -> None:
    token = {**MEMBER, "audit_ids": ["a1"]}
    desk = Desk({TOKEN: token, "second": document("u2")}, keystone={"revocation_events": "30s"})
    await desk.filter.start()
    try:
        for each in (TOKEN, "second"):
            verdict = desk.filter.on_request(desk.request(each))
            assert (await verdict if isawaitable(verdict) else verdict) is None
        del desk.service.tokens[TOKEN], desk.service.tokens["second"]
        desk.service.events = [{"audit_id": "a1", "issued_before": "2026-11-29T14:00:00.000000Z"}]
        await desk.filter.close()
        await desk.filter.start()  # as a reload does: it asks at once
        await until(lambda: len(desk.filter._cache.accepted) == 1, "the token is forgotten")
        verdict = desk.filter.on_request(desk.request(TOKEN))
        refused = await verdict if isawaitable(verdict) else verdict
        assert isinstance(refused, Fault)
        assert refused.status == 401
        assert desk.filter.on_request(desk.request("second")) is None
    finally:
        await desk.filter.close()


async def test_all_plans_that_ask_a_keystone_hear_of_what_it_has_revoked() -> None:
    desk = Desk({TOKEN: {**MEMBER, "audit_ids": ["a1"]}}, keystone={"revocation_events": "30s"})
    other = {"static": {"tokens": [{"token": "other", "user_id": "u9"}]}}
    newer = build(TokenAuth, {"providers": [*desk.options["providers"], other]}, desk.services)
    assert newer._cache is not desk.filter._cache
    filters = desk.filter, newer
    for each in filters:
        await each.start()
    try:
        for each in filters:
            verdict = each.on_request(desk.request())
            assert (await verdict if isawaitable(verdict) else verdict) is None
        del desk.service.tokens[TOKEN]
        desk.service.events = [{"audit_id": "a1", "issued_before": "2026-11-29T14:00:00.000000Z"}]
        await newer._providers[0]._events.read()  # type: ignore[attr-defined]
        assert [len(each._cache.accepted) for each in filters] == [0, 0]
        assert desk.services.voided == 2  # what a configuration would find that no worker has at the moment
    finally:
        for each in filters:
            await each.close()


async def test_what_is_revoked_while_a_plan_is_made_it_does_not_go_on_with() -> None:
    desk = Desk({TOKEN: {**MEMBER, "audit_ids": ["a1"]}}, keystone={"revocation_events": "30s"})
    other = {"static": {"tokens": [{"token": "other", "user_id": "u9"}]}}
    newer = build(TokenAuth, {"providers": [*desk.options["providers"], other]}, desk.services)
    verdict = newer.on_request(desk.request())  # as what lies on its shelf would be known to it
    assert (await verdict if isawaitable(verdict) else verdict) is None
    await desk.filter.start()
    try:
        desk.service.events = [{"audit_id": "a1", "issued_before": "2026-11-29T14:00:00.000000Z"}]
        await desk.filter._providers[0]._events.read()  # type: ignore[attr-defined]
        assert len(newer._cache.accepted) == 1
        await newer.start()
        assert len(newer._cache.accepted) == 0
    finally:
        for each in (desk.filter, newer):
            await each.close()


@pytest.mark.parametrize(
    ("cache", "back"),
    [
        ({"ttl": "5m", "stale_if_error": "1h"}, 3900),
        ({"ttl": "5m", "stale_if_error": "1h", "shared": {"url": "redis://s.test", "key": "k" * 32}}, 3900),
        (
            {
                "ttl": "5m",
                "stale_if_error": "1h",
                "common": False,
                "shared": {"url": "redis://s.test", "key": "k" * 32},
            },
            300,
        ),
        ({"ttl": "5m", "common": False}, 0),
    ],
)
async def test_what_keystone_has_revoked_is_asked_for_as_far_back_as_a_token_may_be_known(
    cache: dict[str, Any], back: int
) -> None:
    desk = Desk(keystone={"revocation_events": "30s"}, cache=cache)
    await desk.filter.start()

    def asked() -> list[str]:
        urls = [request.url for request in desk.services.requests]
        return [url.rpartition("since=")[2] for url in urls if "/OS-REVOKE/events" in url]

    try:
        await until(lambda: bool(asked()), "it has asked")
        since = datetime.strptime(asked()[0], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
        assert since == pytest.approx(NOW - back - OVERLAP)
    finally:
        await desk.filter.close()


def test_tokens_that_came_together_do_not_end_together() -> None:
    tokens = [f"t{number}" for number in range(40)]
    desk = Desk({token: document() for token in tokens}, cache={"ttl": 100, "jitter": 20})
    for token in tokens:
        assert desk.judge(desk.request(token)) is None
    now = desk.services.now().monotonic
    ends = [accepted.until - now for _, accepted in desk.filter._cache.accepted.items()]
    assert all(80 <= end <= 100 for end in ends)
    assert len({round(end) for end in ends}) > 5


def test_the_clock_of_an_exchange_is_its_own() -> None:
    desk = Desk({TOKEN: document(expires=NOW + 100)})
    made = exchange(headers={"X-Auth-Token": TOKEN}, clock=Instant(NOW + 99, 1099.0))
    assert desk.judge(made) is None
    assert desk.judge(exchange(headers={"X-Auth-Token": TOKEN}, clock=Instant(NOW + 101, 1101.0))) is None
