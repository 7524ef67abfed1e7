"""An OpenStack Identity service of a few lines, which answers as the real one does."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.api import HttpAnswer, HttpError
from gateway.api.testing import HttpRequest

NOW = 1_700_000_000.0
URL = "http://identity.test/v3"
ACCOUNT = {"user": "gateway", "password": "gateway-pw", "project_name": "service"}
OPTIONS: dict[str, Any] = {"url": URL, "account": ACCOUNT}

CATALOG = [
    {
        "type": "compute",
        "name": "nova",
        "endpoints": [
            {"region": "One", "interface": "public", "url": "http://a/v2.1", "id": "1"},
            {"region": "One", "interface": "internal", "url": "http://b/v2.1", "id": "2"},
            {"region": "Two", "interface": "admin", "url": "http://c/v2.1", "id": "3"},
        ],
    }
]


def written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def document(user: str = "u1", *roles: str, expires: float = NOW + 3600, **more: Any) -> dict[str, Any]:
    """The token of a user in a project, with `more` over it; None takes a key away."""
    domain = {"id": "default", "name": "Default"}
    made: dict[str, Any] = {
        "methods": ["password"],
        "user": {"domain": domain, "id": user, "name": f"name-{user}", "password_expires_at": None},
        "audit_ids": ["oQcF"],
        "expires_at": written(expires),
        "issued_at": written(NOW),
        "project": {"domain": domain, "id": "p1", "name": "web"},
        "is_domain": False,
        "roles": [{"id": f"id-{role}", "name": role} for role in roles],
        "catalog": CATALOG,
        **more,
    }
    return {key: value for key, value in made.items() if value is not None}


class IdentityService:
    """Knows `tokens`; issues tokens of its own to whoever has the right password, each good for an hour."""

    def __init__(self, tokens: Mapping[str, dict[str, Any]] = {}) -> None:
        self.tokens = dict(tokens)
        self.now = NOW
        self.own: set[str] = set()
        self.issued = 0
        self.life = 3600.0
        self.asked: list[str] = []
        """The tokens that it was asked for."""
        self.instead: HttpAnswer | HttpError | None = None
        """What it answers to questions for tokens, in place of the truth."""
        self.down: HttpError | None = None
        self.accepts = "gateway-pw"
        self.events: list[dict[str, Any]] = []
        """What it tells of tokens that it has revoked."""
        self.groups: dict[str, list[str]] = {}
        """Names of the groups of users; the ids have id- before them."""
        self.groups_instead: HttpAnswer | HttpError | None = None
        self.own_may_list_groups = False

    def __call__(self, request: HttpRequest) -> HttpAnswer | HttpError:
        if self.down is not None:
            return self.down
        path, _, query = request.url.removeprefix(URL).partition("?")
        if path == "/OS-REVOKE/events":
            assert query.startswith("since=")
            told = json.dumps({"events": self.events}).encode()
            return HttpAnswer(200, {}, told) if request.headers["x-auth-token"] in self.own else error(401)
        if path.startswith("/users/"):
            return self._groups_of(path.split("/")[2], request.headers["x-auth-token"])
        assert path == "/auth/tokens"
        if request.method == "POST":
            return self._issue(json.loads(request.body)["auth"])
        assert request.method == "GET", "HEAD is refused to the role service"
        return self._validate(request.headers, query.split("&"))

    def _issue(self, auth: dict[str, Any]) -> HttpAnswer:
        identity = auth["identity"]
        if identity["methods"] == ["password"]:
            given = identity["password"]["user"]["password"]
        else:
            assert "scope" not in auth, "an application credential has its project with it"
            given = identity["application_credential"]["secret"]
        if given != self.accepts:
            return error(401)
        self.issued += 1
        token = f"own-{self.issued}"
        self.own.add(token)
        body = {"token": document("gateway", "service", expires=self.now + self.life)}
        return HttpAnswer(201, {"x-subject-token": token}, json.dumps(body).encode())

    def _validate(self, headers: Mapping[str, str], query: list[str]) -> HttpAnswer | HttpError:
        subject = headers["x-subject-token"]
        self.asked.append(subject)
        if self.instead is not None:
            return self.instead
        if headers["x-auth-token"] not in self.own:
            return error(401)
        found = self.tokens.get(subject)
        expired = found is not None and datetime.fromisoformat(found["expires_at"]).timestamp() <= self.now
        if found is None or (expired and "allow_expired=1" not in query):
            return error(404, f"Could not find token: {subject}.")
        rules = found.get("application_credential", {}).get("access_rules")
        if rules is not None and headers.get("openstack-identity-access-rules") != "1":
            return error(404)
        told = {key: value for key, value in found.items() if key != "catalog" or "nocatalog" not in query}
        return HttpAnswer(200, {"x-subject-token": subject}, json.dumps({"token": told}).encode())

    def _groups_of(self, user: str, asking: str) -> HttpAnswer | HttpError:
        if self.groups_instead is not None:
            return self.groups_instead
        if asking in self.own:
            if not self.own_may_list_groups:
                return error(403)
        else:
            found = self.tokens.get(asking)
            ended = found is None or datetime.fromisoformat(found["expires_at"]).timestamp() <= self.now
            if found is None or ended or "access_rules" in found.get("application_credential", {}):
                return error(401)
            if found["user"]["id"] != user:
                return error(403)
        told = [{"id": f"id-{one}", "name": one} for one in self.groups.get(user, ())]
        return HttpAnswer(200, {}, json.dumps({"groups": told, "links": {"next": None}}).encode())


def error(status: int, message: str = "No.") -> HttpAnswer:
    body = {"error": {"code": status, "message": message, "title": "Title"}}
    return HttpAnswer(status, {"content-type": "application/json"}, json.dumps(body).encode())
