"""The provider `keystone` of token_auth before a real Keystone: every kind of token, and Keystone's bad days."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.api import Revocation
from tests.openstack.configuration import Tokens
from tests.openstack.install import ADMIN
from tests.openstack.keystone import Keystone
from tests.openstack.service import START, fresh
from tests.support.client import get
from tests.support.deadline import until, within
from tests.support.gateway import Running, proxy
from tests.support.message import Answer
from tests.support.upstream import Upstream, echo

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh("keystone", tmp_path_factory.mktemp("openstack"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keystone(place: Path) -> AsyncIterator[Keystone]:
    made = Keystone(place)
    try:
        await made.start()
        await made.populate()
        yield made
    finally:
        await made.kill()


def filters(
    keystone: Keystone, provider: dict[str, Any] | None = None, **options: Any
) -> list[dict[str, Any]]:
    """A filter that asks `keystone`, with `provider` over what is usual of the provider's options."""
    asked = {
        "url": keystone.url,
        "account": {"user": "gateway", "password": "gateway-password", "project_name": "service"},
        "service_type": "compute",
        "timeout": "30s",
        **(provider or {}),
    }
    return [{"token_auth": {"providers": [{"keystone": asked}], **options}}]


async def ask(
    gateway: Running, token: str, *lines: str, target: str = "/v2.1/servers", method: str = "GET"
) -> Answer:
    client = await gateway.connect()
    await client.send(get(target, f"X-Auth-Token: {token}", *lines, method=method))
    return await within(client.answer(method), "the gateway answers", START)


async def demo(keystone: Keystone) -> str:
    return await keystone.token("demo", "demo-password", "demo")


async def test_a_valid_token_and_all_that_is_told_of_it(keystone: Keystone) -> None:
    token = await demo(keystone)
    options = filters(keystone, {"include_catalog": True})
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        for _ in range(2):
            assert (await ask(gateway, token)).status == 200
        for request in upstream.requests:
            told = {name: request.get(name) for name in ("x-user-name", "x-project-name", "x-user-domain-id")}
            assert told == {
                "x-user-name": "demo",
                "x-project-name": "demo",
                "x-user-domain-id": "default",
            }
            # Of member follows reader.
            assert set((request.get("x-roles") or "").split(",")) == {"member", "reader"}
            assert request.get("x-identity-status") == "Confirmed"
            assert request.get("x-auth-token") == token


async def test_an_unscoped_token_is_good_and_has_no_project(keystone: Keystone) -> None:
    token = await keystone.token("demo", "demo-password")
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters(keystone)) as gateway:
        assert (await ask(gateway, token)).status == 200
        (request,) = upstream.requests
        assert (request.get("x-user-name"), request.get("x-project-id")) == ("demo", None)


async def test_what_is_no_token_or_none_any_more_is_401(keystone: Keystone) -> None:
    revoked, other = await demo(keystone), await demo(keystone)
    await keystone.revoke(revoked)
    tampered = other[:60] + ("A" if other[60] != "A" else "B") + other[61:]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters(keystone)) as gateway:
        for token in ("garbage", tampered, revoked, "x" * 2000, other + "x", "a.b.c"):
            answer = await ask(gateway, token)
            assert answer.status == 401, token
            assert answer.get("www-authenticate") == "Keystone"
            assert token.encode() not in answer.body
        assert (await ask(gateway, other)).status == 200
        assert len(upstream.requests) == 1


async def test_a_token_that_is_revoked_is_refused_once_it_is_asked_about_again(keystone: Keystone) -> None:
    token = await demo(keystone)
    options = filters(keystone, cache={"ttl": "0s", "negative_ttl": "0s"})
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        assert (await ask(gateway, token)).status == 200
        await keystone.revoke(token)
        assert (await ask(gateway, token)).status == 401


class Somebody:
    """A user with the role member in a project of his own, and a token there."""

    user: str
    project: str
    role: str
    token: str
    credential = ""

    def __init__(self, keystone: Keystone, admin: str) -> None:
        self._keystone = keystone
        self._admin = admin

    @classmethod
    async def new(cls, keystone: Keystone, name: str) -> "Somebody":
        admin = await keystone.token("admin", ADMIN, "admin")
        one = cls(keystone, admin)
        project = await keystone.made("/projects", admin, project={"name": name, "domain_id": "default"})
        user = {"name": name, "password": "first-password", "domain_id": "default"}
        one.project, one.user = project["id"], (await keystone.made("/users", admin, user=user))["id"]
        _, _, answer = await keystone.ask("GET", "/roles?name=member", admin)
        one.role = f"/projects/{one.project}/users/{one.user}/roles/{answer['roles'][0]['id']}"
        await one.done("PUT", one.role)
        one.token = await keystone.token(name, "first-password", name)
        return one

    async def by_credential(self) -> None:
        """Has a token by an application credential from now on."""
        path = f"/users/{self.user}/application_credentials"
        made = await self._keystone.made(path, self.token, application_credential={"name": "one"})
        self.credential = f"{path}/{made['id']}"
        self.token = await self._keystone.token_of_credential(made["id"], made["secret"])

    async def done(self, method: str, path: str, **body: Any) -> None:
        """What the administrator does in Keystone."""
        status, _, answer = await self._keystone.ask(method, path, self._admin, **body)
        assert status in (200, 201, 204), answer

    async def revoked(self) -> None:
        await self._keystone.revoke(self.token)

    async def password_changed(self) -> None:
        given = {"original_password": "first-password", "password": "second-password"}
        status, _, answer = await self._keystone.ask(
            "POST", f"/users/{self.user}/password", self.token, user=given
        )
        assert status == 204, answer

    async def known(self) -> bool:
        """Whether Keystone takes the token."""
        status, _, _ = await self._keystone.ask(
            "GET", "/auth/tokens", self._admin, headers={"X-Subject-Token": self.token}
        )
        return status == 200


def polls(keystone: Keystone) -> int:
    """How often Keystone was asked what it has revoked."""
    return sum(one.path == "/v3/OS-REVOKE/events" for one in keystone.requests)


POLLING = {"revocation_events": "1s"}


async def remembered(gateway: Running, keystone: Keystone, token: str) -> None:
    """Asks until the gateway goes by what it remembers, which is nothing that it asked for while events came in."""
    asked = -1
    while asked != validations(keystone):
        asked = validations(keystone)
        assert (await ask(gateway, token)).status == 200


@pytest.mark.parametrize(
    ("name", "deed"),
    [
        ("token-revoked", Somebody.revoked),
        ("password-changed", Somebody.password_changed),
        ("password-reset", lambda one: one.done("PATCH", f"/users/{one.user}", user={"password": "reset"})),
        ("user-disabled", lambda one: one.done("PATCH", f"/users/{one.user}", user={"enabled": False})),
        ("user-deleted", lambda one: one.done("DELETE", f"/users/{one.user}")),
        ("project-deleted", lambda one: one.done("DELETE", f"/projects/{one.project}")),
    ],
)
async def test_what_keystone_tells_of_is_refused_once_it_was_asked(
    keystone: Keystone, name: str, deed: Callable[[Somebody], Awaitable[None]]
) -> None:
    one, calm = await Somebody.new(keystone, name), await demo(keystone)
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters(keystone, POLLING)) as gateway:
        for token in (calm, one.token):
            await within(remembered(gateway, keystone, token), "tokens are remembered", START)
        await deed(one)
        before, asked = polls(keystone), validations(keystone)
        while (status := (await ask(gateway, one.token)).status) == 200:
            # One question may have been under way when it was done.
            assert polls(keystone) <= before + 2, "it was asked, and the token goes on"
            await asyncio.sleep(0.02)
        assert status == 401
        assert validations(keystone) == asked + 1
        assert (await ask(gateway, calm)).status == 200


@pytest.mark.parametrize(
    ("name", "deed"),
    [
        (
            "project-disabled",
            lambda one: one.done("PATCH", f"/projects/{one.project}", project={"enabled": False}),
        ),
        ("role-taken-away", lambda one: one.done("DELETE", one.role)),
        ("credential-deleted", lambda one: one.done("DELETE", one.credential)),
    ],
)
async def test_what_keystone_does_not_tell_of_goes_on_until_the_gateway_is_told(
    keystone: Keystone, name: str, deed: Callable[[Somebody], Awaitable[None]]
) -> None:
    one = await Somebody.new(keystone, name)
    if name == "credential-deleted":
        await one.by_credential()
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters(keystone, POLLING)) as gateway:
        await within(remembered(gateway, keystone, one.token), "the token is remembered", START)
        await deed(one)
        assert not await one.known()
        before = polls(keystone)
        await until(lambda: polls(keystone) >= before + 2, "it was asked what is revoked", START)
        assert (await ask(gateway, one.token)).status == 200
        await gateway.gateway.revoke_all(Revocation(user_id=one.user))
        assert (await ask(gateway, one.token)).status == 401


async def test_an_expired_token_passes_beside_a_service_only(keystone: Keystone, place: Path) -> None:
    short = Keystone(place, Tokens(expiration=4))
    try:
        await short.start()
        token = await demo(short)
        status, _, answer = await short.ask("GET", "/auth/tokens", token, headers={"X-Subject-Token": token})
        assert status == 200
        ends = datetime.fromisoformat(answer["token"]["expires_at"])
    finally:
        await short.kill()
    nova = await keystone.token("nova", "nova-password", "service")
    user = await demo(keystone)
    options = filters(keystone, service_tokens={"roles": ["service"]})
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        await until(lambda: datetime.now(UTC) > ends, "the token has expired", START)
        assert (await ask(gateway, token)).status == 401
        for _ in range(2):
            assert (await ask(gateway, token, f"X-Service-Token: {nova}")).status == 200
        request = upstream.requests[-1]
        assert (request.get("x-user-name"), request.get("x-service-user-name")) == ("demo", "nova")
        assert (await ask(gateway, token)).status == 401
        for service in ("garbage", user, token):
            assert (await ask(gateway, user, f"X-Service-Token: {service}")).status == 401
        assert (await ask(gateway, user)).status == 200


async def test_a_token_of_another_project_is_no_token_for_this_one(keystone: Keystone) -> None:
    token, other = await demo(keystone), await keystone.token("other", "other-password", "other")
    mine = await keystone.project_id(token)
    row = {"path": "/v2.1/{project_id}/{rest*}", "roles": ["member", "reader"]}
    options = [*filters(keystone), {"rbac": {"project_param": "project_id", "rows": [row]}}]
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        target = f"/v2.1/{mine}/servers"
        assert (await ask(gateway, other, target=target)).status == 403
        unscoped = await keystone.token("demo", "demo-password")
        assert (await ask(gateway, unscoped, target=target)).status == 403
        assert (await ask(gateway, token, target=target)).status == 200
        assert len(upstream.requests) == 1


def validations(keystone: Keystone) -> int:
    """How often Keystone was asked of a token."""
    return sum((one.method, one.path) == ("GET", "/v3/auth/tokens") for one in keystone.requests)


async def test_signed_tokens_are_refused_before_keystone_is_asked_where_it_has_not_signed_them(
    place: Path,
) -> None:
    keys = place / "jws-keys"
    signing = Keystone(place, Tokens("jws"))
    short = Keystone(place, Tokens("jws", expiration=4))
    try:
        await signing.start()
        await short.start()
        over, good, revoked = await demo(short), await demo(signing), await demo(signing)
        _, _, answer = await short.ask("GET", "/auth/tokens", over, headers={"X-Subject-Token": over})
        ends = datetime.fromisoformat(answer["token"]["expires_at"])
        nova = await signing.token("nova", "nova-password", "service")
        await signing.revoke(revoked)
        head, claims, signature = good.split(".")
        forged = jwt.encode(
            jwt.decode(good, options={"verify_signature": False}), other_key(), "ES256", {"typ": "JWT"}
        )
        options = filters(
            signing,
            {"jws": {"keys": [str(keys / "public" / "public.pem")], "leeway": "0s"}},
            service_tokens={"roles": ["service"]},
        )
        async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
            await until(lambda: datetime.now(UTC) > ends, "the token has expired", START)
            assert (await ask(gateway, good)).status == 200
            request = upstream.requests[-1]
            assert (request.get("x-user-name"), request.get("x-project-name")) == ("demo", "demo")
            assert (await ask(gateway, revoked)).status == 401, "which its signature does not say"
            before = validations(signing)
            swapped = claims[:-4] + claims[-5:-3] + claims[-2:]
            tampered = f"{head}.{swapped}.{signature}"
            unsigned = b64encode(b'{"alg": "none"}').decode().rstrip("=") + f".{claims}."
            for token in (forged, tampered, unsigned, f"{head}.{claims}.", over, f"{good}A", "a.b.c"):
                answered = await ask(gateway, token)
                assert (answered.status, answered.get("www-authenticate")) == (401, "Keystone"), token
                assert token.encode() not in answered.body
            assert validations(signing) == before
            assert (await ask(gateway, over, f"X-Service-Token: {nova}")).status == 200
            assert (await ask(gateway, good, f"X-Service-Token: {forged}")).status == 401
            assert len(upstream.requests) == 2
    finally:
        await signing.kill()
        await short.kill()


def other_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


async def test_an_application_credential_does_what_its_access_rules_allow(keystone: Keystone) -> None:
    token = await demo(keystone)
    credential = await keystone.made(
        f"/users/{await keystone.user_id(token)}/application_credentials",
        token,
        application_credential={
            "name": "limited",
            "access_rules": [
                {"path": "/v2.1/servers/*", "method": "GET", "service": "compute"},
                {"path": "/v2/images", "method": "GET", "service": "image"},
            ],
        },
    )
    limited = await keystone.token_of_credential(credential["id"], credential["secret"])
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters(keystone)) as gateway:
        for target, status in (
            ("/v2.1/servers/s1", 200),
            ("/v2.1/servers/s1/action", 401),
            ("/v2X1/servers/s1", 401),
            ("/v2/images", 401),
            ("/v2.1/servers/s2?all_tenants=1", 200),
        ):
            assert (await ask(gateway, limited, target=target)).status == status, target
        assert (await ask(gateway, limited, target="/v2.1/servers/s1", method="DELETE")).status == 401
        assert (await ask(gateway, token, target="/v2/images")).status == 200


async def test_the_groups_of_a_user_are_asked_for_by_the_user(keystone: Keystone) -> None:
    admin = await keystone.token("admin", ADMIN, "admin")
    token, other = await demo(keystone), await keystone.token("other", "other-password", "other")
    user = await keystone.user_id(token)
    gold = await keystone.made("/groups", admin, group={"name": "gold", "domain_id": "default"})
    status, _, answer = await keystone.ask("PUT", f"/groups/{gold['id']}/users/{user}", admin)
    assert status == 204, answer
    own = await keystone.token("gateway", "gateway-password", "service")
    assert (await keystone.ask("GET", f"/users/{user}/groups", own))[0] == 403, "a service cannot ask for it"

    path = f"/users/{user}/application_credentials"
    whole = await keystone.made(path, token, application_credential={"name": "groups"})
    rules = [{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]
    narrow = await keystone.made(
        path, token, application_credential={"name": "groups and rules", "access_rules": rules}
    )
    unscoped = await keystone.token("demo", "demo-password")
    by_credential = await keystone.token_of_credential(whole["id"], whole["secret"])
    limited = await keystone.token_of_credential(narrow["id"], narrow["secret"])

    assert (await keystone.ask("GET", f"/users/{user}/groups", limited))[0] == 401, "nor can this one"
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, filters=filters(keystone, headers="repose")) as gateway,
    ):
        for given in (token, unscoped, by_credential, token):
            assert (await ask(gateway, given)).status == 200
            assert upstream.requests[-1].get("x-pp-groups") == "gold;q=1.0"
        assert (await ask(gateway, other)).status == 200
        assert upstream.requests[-1].get("x-pp-groups") is None
        assert (await ask(gateway, limited)).status == 503
    account = {"user": "nova", "password": "nova-password", "project_name": "service"}
    options = filters(keystone, {"account": account, "groups": "ids"}, headers="repose")
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        for given in (limited, token):
            assert (await ask(gateway, given)).status == 200
            assert upstream.requests[-1].get("x-pp-groups") == f"{gold['id']};q=1.0"

    limit = {"rate": "1/hour", "key": ["user_id"]}
    group = {"name": "gold", "for": {"groups": ["gold"]}, "limits": [limit]}
    options = [*filters(keystone, {"groups": "names"}), {"rate_limit": {"groups": [group]}}]
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        assert [(await ask(gateway, token)).status for _ in range(2)] == [200, 413]
        assert [(await ask(gateway, other)).status for _ in range(2)] == [200, 200]


async def test_the_gateway_may_have_an_application_credential_itself(keystone: Keystone) -> None:
    own = await keystone.token("gateway", "gateway-password", "service")
    credential = await keystone.made(
        f"/users/{await keystone.user_id(own)}/application_credentials",
        own,
        application_credential={"name": "gateway"},
    )
    given = {"id": credential["id"], "secret": credential["secret"]}
    options = filters(keystone, {"account": None, "application_credential": given})
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        assert (await ask(gateway, await demo(keystone))).status == 200


async def test_a_name_and_a_password_become_a_token(keystone: Keystone) -> None:
    basic = {"url": keystone.url, "project_name": "demo", "timeout": "30s"}
    options: list[dict[str, Any]] = [{"token_auth": {"providers": [{"basic": basic}]}}]
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        for given, status in (
            ("demo:demo-password", 200),
            ("Default/demo:demo-password", 200),
            ("demo:no", 401),
        ):
            client = await gateway.connect()
            line = f"Authorization: Basic {b64encode(given.encode()).decode()}"
            await client.send(get("/v2.1/servers", line))
            assert (await within(client.answer(), "the gateway answers", START)).status == status
        first, second = upstream.requests
        for request in (first, second):
            assert request.get("authorization") is None
            assert request.get("x-project-name") == "demo"
            token = request.get("x-auth-token") or ""
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters(keystone)) as gateway:
        assert (await ask(gateway, token)).status == 200, "it is a token as any other"


async def test_an_account_without_the_role_is_our_trouble(keystone: Keystone) -> None:
    account = {"user": "demo", "password": "demo-password", "project_name": "demo"}
    token = await keystone.token("nova", "nova-password", "service")
    for changed in (account, {**account, "password": "wrong"}):
        options = filters(keystone, {"account": changed})
        async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
            answer = await ask(gateway, token)
            assert (answer.status, answer.get("www-authenticate")) == (503, None)
            assert int(answer.get("retry-after") or 0) >= 1


async def test_keystone_is_killed_and_comes_back_while_requests_run(keystone: Keystone) -> None:
    warm = await demo(keystone)
    cold = [await demo(keystone) for _ in range(3)]
    breaker = {"failures": 2, "pause": "200ms"}
    options = filters(keystone, {"breaker": breaker})
    async with Upstream(echo) as upstream, proxy(upstream, filters=options) as gateway:
        assert (await ask(gateway, warm)).status == 200
        statuses: list[int] = []
        over = asyncio.Event()

        async def known() -> None:
            client = await gateway.connect()
            while not over.is_set():
                await client.send(get("/v2.1/servers", f"X-Auth-Token: {warm}"))
                statuses.append((await client.answer()).status)

        async def returns() -> None:
            while (await ask(gateway, cold[0])).status != 200:
                await asyncio.sleep(0.05)

        running = [asyncio.ensure_future(known()) for _ in range(4)]
        await keystone.kill()
        answers = [await ask(gateway, token) for token in cold]
        assert [answer.status for answer in answers] == [503] * 3
        before = len(statuses)
        await until(lambda: len(statuses) > before + 100, "known callers go on")
        await keystone.start()
        await within(returns(), "Keystone is asked again", START)
        over.set()
        await asyncio.gather(*running)
        assert set(statuses) == {200}
        assert {(await ask(gateway, token)).status for token in cold} == {200}
