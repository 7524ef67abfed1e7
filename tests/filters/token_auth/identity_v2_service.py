"""An Identity service, v2.0, of a few lines, which answers as Rackspace documents it."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from gateway.api import HttpAnswer, HttpError
from gateway.api.testing import HttpRequest
from tests.filters.token_auth.identity_service import NOW, error, written

URL = "https://identity.test/v2.0"
ACCOUNT = {"user": "gateway", "password": "gateway-pw"}


def role(name: str, tenant: str | None = None) -> dict[str, Any]:
    return {"id": f"id-{name}", "name": name, **({} if tenant is None else {"tenantId": tenant})}


def access(token: str, *roles: dict[str, Any], expires: float = NOW + 3600, **more: Any) -> dict[str, Any]:
    """What the service says of the token of a user, with `more` over what it says of the user."""
    return {
        "token": {
            "id": token,
            "expires": written(expires),
            "tenant": {"id": "t1", "name": "web"},
            "RAX-AUTH:authenticatedBy": ["APIKEY"],
        },
        "user": {
            "id": "u1",
            "name": "anne",
            "roles": list(roles),
            "RAX-AUTH:defaultRegion": "ORD",
            "RAX-AUTH:domainId": "d1",
            **more,
        },
    }


class IdentityV2Service:
    """Knows `tokens`; issues tokens of its own to whoever has the right password or key."""

    def __init__(self, tokens: Mapping[str, dict[str, Any]] = {}) -> None:
        self.tokens = dict(tokens)
        self.groups: dict[str, list[str]] = {"u1": ["gold", "beta"]}
        self.own: set[str] = set()
        self.accepts = "gateway-pw"
        self.instead: dict[str, HttpAnswer | HttpError] = {}
        """What it answers to tokens, users or logins in place of the truth."""

    def __call__(self, request: HttpRequest) -> HttpAnswer | HttpError:
        path, _, query = request.url.removeprefix(URL).partition("?")
        _, kind, *rest = path.split("/")
        if request.method == "POST":
            return self.instead.get("login") or self._issue(json.loads(request.body)["auth"])
        if kind in self.instead:
            return self.instead[kind]
        asking = request.headers["x-auth-token"]
        if asking not in self.own and asking not in self.tokens:
            return error(401)
        if kind == "users":
            assert rest[1] == "RAX-KSGRP"
            named = self.groups.get(rest[0])
            if named is None:
                return error(404)
            told = {"RAX-KSGRP:groups": [{"id": one, "name": f"name-{one}"} for one in named]}
            return HttpAnswer(200, {}, json.dumps(told).encode())
        (subject,) = map(unquote, rest)
        known = self.tokens.get(subject)
        if known is None or (query and known["token"]["tenant"]["id"] != query.removeprefix("belongsTo=")):
            return error(404, f"no token {subject}")
        return HttpAnswer(200, {}, json.dumps({"access": known}).encode())

    def _issue(self, auth: dict[str, Any]) -> HttpAnswer:
        if "passwordCredentials" in auth:
            given = auth["passwordCredentials"]["password"]
        else:
            given = auth["RAX-KSKEY:apiKeyCredentials"]["apiKey"]
        if given != self.accepts:
            return error(401)
        token = f"own-{len(self.own)}"
        self.own.add(token)
        return HttpAnswer(200, {}, json.dumps({"access": access(token)}).encode())
