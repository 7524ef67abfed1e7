"""The provider `keystone_v2`: asks an Identity service, v2.0 as Rackspace has it, whose a token is (GET /tokens/ID).

Its 404 is a no, where it comes as JSON, and so is such a 401 where a token asks for itself. What speaks of the gateway's own
token, or does not come, is trouble and never the client's: nobody is refused for it, or let in. The token is part of the path,
so that no path is ever told.
"""

import hashlib
import json
from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from filters.token_auth.option import KeystoneV2Options, V2AccountOptions
from filters.token_auth.provider import Answer, Grant, Refusal
from filters.token_auth.remote import Memory, RemoteProvider, Trouble, segment, tellable
from filters.token_auth.service_token import OwnToken
from filters.token_auth.tenant import TenantRules, in_tenant
from filters.token_auth.token_document import (
    bounded,
    instant,
    list_of,
    mapping_of,
    optional_mapping,
    text_of,
)
from gateway.api import Exchange, HttpAnswer, HttpOptions, Principal, Services

if TYPE_CHECKING:
    from filters.token_auth.shared_cache import SharedCache

MAX_TOKEN: Final = 4096
"""Bytes, as it stands in the path; the service's tokens have some dozens, and servers take no target that is much longer."""

_EXPIRED = Refusal("token_expired")


class V2Memory(Memory[str]):
    """What outlives a reload: the gateway's own token too."""

    def __init__(self, options: KeystoneV2Options) -> None:
        super().__init__(options.breaker)
        self.own = OwnToken()

    def close(self) -> None:
        super().close()
        self.own.close()


class KeystoneV2(RemoteProvider[str]):
    """Asks for each token once, and for its user's groups; both are remembered together."""

    kind: ClassVar[str] = "keystone_v2"

    def __init__(
        self, config: KeystoneV2Options, services: Services, shared: "SharedCache | None" = None
    ) -> None:
        self._config = config
        self.fingerprint = hashlib.sha256(f"{self.kind} {config!r}".encode()).digest()
        name = f"{self.kind} {self.fingerprint.hex()}"
        self._client = services.http(
            name,
            HttpOptions(
                config.url,
                config.tls,
                timeout=config.timeout,
                concurrency=config.concurrency,
                queue=config.concurrency * 16,
            ),
        )
        memory = services.state(name, lambda: V2Memory(config))
        super().__init__(services, config.url, memory, shared)
        self._own = memory.own
        self._tenants = TenantRules(config.tenant) if config.tenant is not None else None
        self._query = f"?belongsTo={quote(config.belongs_to, safe='')}" if config.belongs_to else ""

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        if len(token) > MAX_TOKEN or not token.isprintable():
            return None
        named = segment(token)
        if named is None or len(named) > MAX_TOKEN:
            return None
        size = len(named) if self._config.account is not None else len(named) + len(token)
        return self._question(token, lambda: self._judge(token, named), size, token)

    def restored(self, grant: Grant) -> Grant:
        return replace(grant, tenants=self._tenants)

    async def _judge(self, token: str, named: str) -> Answer:
        answer = await self._asked(f"/tokens/{named}{self._query}", token)
        if self._unknown(answer, *(() if self._config.account is not None else (401,))):
            return None
        if answer.status not in (200, 203):
            raise self._refused(answer)
        try:
            principal = tellable(_read(answer.body, token, frozenset(self._config.ignored_roles)))
        except ValueError as error:
            raise Trouble(f"it gave an answer that cannot be read: {error}") from None
        assert principal.expires_at is not None
        if principal.expires_at <= self._services.now().wall:
            return _EXPIRED
        groups = await self._groups(principal, token) if self._config.groups else ()
        return Grant(replace(principal, groups=groups), tenants=self._tenants)

    async def _groups(self, principal: Principal, token: str) -> tuple[str, ...]:
        assert principal.user_id is not None
        user = segment(principal.user_id)
        if user is None:
            raise Trouble("it gave an id of a user that fits in no path", counts=False)
        answer = await self._asked(f"/users/{user}/RAX-KSGRP", token)
        if self._unknown(answer):
            return ()
        if answer.status not in (200, 203):
            raise self._refused(answer)
        try:
            return bounded(
                tuple(
                    text_of(mapping_of(group, "group"), "id")
                    for group in list_of(_object(answer.body), "RAX-KSGRP:groups")
                )
            )
        except ValueError as error:
            # It may be this user's groups that are too many: nothing is wrong with the service then.
            raise Trouble(f"it gave groups that cannot be read: {error}", counts=False) from None

    async def _asked(self, path: str, token: str) -> HttpAnswer:
        """The answer that speaks of the client's token, or of its user."""
        account = self._config.account
        if account is None:
            return await self._ask(path, token)
        mine = await self._own.held(lambda: self._issued(account), self._services)
        answer = await self._ask(path, mine)
        if answer.status in (401, 403):
            mine = await self._own.another(lambda: self._issued(account), self._services, mine)
            answer = await self._ask(path, mine)
        if answer.status == 401:
            raise Trouble("it does not accept the gateway's own token")
        if answer.status == 403:
            raise Trouble("the gateway's own account may not ask for tokens (403)")
        return answer

    async def _ask(self, path: str, mine: str) -> HttpAnswer:
        return await self._client.request(
            "GET", path, headers=(("X-Auth-Token", mine), ("Accept", "application/json"))
        )

    async def _issued(self, account: V2AccountOptions) -> tuple[str, float]:
        answer = await self._client.request(
            "POST",
            "/tokens",
            headers=(("Content-Type", "application/json"), ("Accept", "application/json")),
            body=credentials(account),
        )
        if answer.status in (401, 403):
            raise Trouble(f"it refuses the gateway's own credentials ({answer.status})")
        if answer.status not in (200, 203):
            raise self._refused(answer)
        try:
            token = mapping_of(_access(answer.body).get("token"), "token")
            value, expires = text_of(token, "id"), instant(token.get("expires"))
        except ValueError:
            raise Trouble("it issued a token that cannot be read") from None
        if not value.isascii() or not value.isprintable():
            raise Trouble("it issued a token that cannot be read")
        return value, expires


def credentials(account: V2AccountOptions) -> bytes:
    """The body of a request for a token."""
    if account.api_key is not None:
        key = {"username": account.user, "apiKey": account.api_key.reveal()}
        return json.dumps({"auth": {"RAX-KSKEY:apiKeyCredentials": key}}).encode()
    assert account.password is not None
    password = {"username": account.user, "password": account.password.reveal()}
    return json.dumps({"auth": {"passwordCredentials": password}}).encode()


def _read(body: bytes, asked: str, ignored: frozenset[str]) -> Principal:
    """The caller in the token's default tenant, or in the first where there is a role. Raises ValueError without values."""
    access = _access(body)
    token, user = mapping_of(access.get("token"), "token"), mapping_of(access.get("user"), "user")
    if token.get("id", asked) != asked:
        raise ValueError("it is of another token")
    tenant = optional_mapping(token, "tenant")
    actor = optional_mapping(access, "RAX-AUTH:impersonator")
    assignments = tuple(
        (text_of(role, "name"), text_of(role, "tenantId", None) or None)
        for role in (mapping_of(role, "role") for role in list_of(user, "roles"))
        if role.get("name") not in ignored
    )
    default = text_of(tenant, "id", None) or None
    principal = Principal(
        user_id=text_of(user, "id"),
        user_name=text_of(user, "name", None),
        user_domain_id=text_of(user, "RAX-AUTH:domainId", None),
        project_name=text_of(tenant, "name", None),
        expires_at=instant(token.get("expires")),
        provider=KeystoneV2.kind,
        assignments=assignments,
        default_project_id=default,
        default_region=text_of(user, "RAX-AUTH:defaultRegion", None),
        contact_id=text_of(user, "RAX-AUTH:contactId", None),
        authenticated_by=tuple(map(_word, list_of(token, "RAX-AUTH:authenticatedBy"))),
        impersonator_id=text_of(actor, "id", None),
        impersonator_name=text_of(actor, "name", None),
        impersonator_roles=tuple(
            text_of(mapping_of(role, "role"), "name") for role in list_of(actor, "roles")
        ),
    )
    first = next((held_in for _, held_in in assignments if held_in is not None), None)
    return in_tenant(principal, default if default is not None else first)


def _object(body: bytes) -> dict[str, Any]:
    try:
        return mapping_of(json.loads(body), "document")
    except (ValueError, RecursionError):
        raise ValueError("document") from None


def _access(body: bytes) -> dict[str, Any]:
    return mapping_of(_object(body).get("access"), "access")


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("RAX-AUTH:authenticatedBy")
    return value
