"""The gateway's own token, by which it asks Keystone for others' (POST /v3/auth/tokens)."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from filters.token_auth.option import AccountOptions, KeystoneOptions
from filters.token_auth.remote import Trouble
from filters.token_auth.token_document import instant
from gateway.api import HttpAnswer, HttpClient, Services, SingleFlight

EARLY: Final = 60.0
"""Seconds before its end at which a token is renewed; a fifth of its life where it is shorter than five times that."""


Issue: TypeAlias = Callable[[], Coroutine[Any, Any, tuple[str, float]]]


class OwnToken:
    """The token in use. It is got when it is first needed, and by one request however many need it.

    `issue` gets a new one, and the second of its end; it may raise Trouble, and what the client raises.
    """

    def __init__(self) -> None:
        self._value: str | None = None
        self._renew_at = 0.0
        self._expires = 0.0
        self._flight: SingleFlight[str, str] = SingleFlight()

    def close(self) -> None:
        self._flight.close()

    async def held(self, issue: Issue, services: Services) -> str:
        """One that is valid as far as it is known. Raises what `issue` raises."""
        value = self._value
        if value is not None and services.now().wall < self._renew_at:
            return value
        return await self._flight.join("", lambda: self._renewed(issue, services))

    async def another(self, issue: Issue, services: Services, bad: str) -> str:
        """Another than `bad`, which the service has refused."""
        if self._value == bad:
            self._value = None
        return await self.held(issue, services)

    async def _renewed(self, issue: Issue, services: Services) -> str:
        try:
            value, expires = await issue()
        except Exception:
            if self._value is not None and services.now().wall < self._expires:
                return self._value  # it was to be renewed early, and that has time
            raise
        now = services.now().wall
        self._value = value
        self._expires = expires
        self._renew_at = expires - min(EARLY, (expires - now) / 5)
        return value


class ServiceToken(OwnToken):
    """Keystone's, v3."""

    async def get(self, client: HttpClient, options: KeystoneOptions, services: Services) -> str:
        """One that is valid as far as it is known. Raises Trouble, and what the client raises."""
        return await self.held(lambda: _ask(client, options), services)

    async def other(self, client: HttpClient, options: KeystoneOptions, services: Services, bad: str) -> str:
        """Another than `bad`, which Keystone has refused."""
        return await self.another(lambda: _ask(client, options), services, bad)


async def _ask(client: HttpClient, options: KeystoneOptions) -> tuple[str, float]:
    answer = await client.request(
        "POST",
        "/auth/tokens?nocatalog",
        headers=(("Content-Type", "application/json"), ("Accept", "application/json")),
        body=credentials(options),
    )
    if answer.status in (401, 403):
        raise Trouble(f"it refuses the gateway's own credentials ({answer.status})")
    return issued(answer)


def credentials(options: KeystoneOptions) -> bytes:
    """The body of a request for a token."""
    application = options.application_credential
    if application is not None:
        secret = {"id": application.id, "secret": application.secret.reveal()}
        identity: dict[str, Any] = {"methods": ["application_credential"], "application_credential": secret}
        return json.dumps({"auth": {"identity": identity}}).encode()  # it has its project with it
    account = options.account
    assert account is not None
    user = _named(account.user_id, account.user, _user_domain(account))
    user["password"] = account.password.reveal()
    identity = {"methods": ["password"], "password": {"user": user}}
    if account.scope == "none":
        return json.dumps({"auth": {"identity": identity}}).encode()
    project = _named(account.project_id, account.project_name, _project_domain(account))
    return json.dumps({"auth": {"identity": identity, "scope": {"project": project}}}).encode()


def _named(id: str | None, name: str | None, domain: dict[str, str]) -> dict[str, Any]:
    return {"id": id} if id is not None else {"name": name, "domain": domain}


def _user_domain(account: AccountOptions) -> dict[str, str]:
    if account.user_domain_name is not None:
        return {"name": account.user_domain_name}
    return {"id": account.user_domain_id}


def _project_domain(account: AccountOptions) -> dict[str, str]:
    if account.project_domain_name is not None:
        return {"name": account.project_domain_name}
    return {"id": account.project_domain_id}


def issued(answer: HttpAnswer) -> tuple[str, float]:
    """The token that Keystone has issued, and the second of its end. Raises Trouble where it has not."""
    if answer.status != 201:
        raise Trouble(f"it answered {answer.status} to a request for a token")
    value = answer.headers.get("x-subject-token", "")
    try:
        expires = instant(json.loads(answer.body)["token"]["expires_at"])
    except (ValueError, TypeError, LookupError, RecursionError):
        raise Trouble("it issued a token that cannot be read") from None
    if not value or not value.isascii() or not value.isprintable():
        raise Trouble("it issued a token that cannot be read")
    return value, expires
