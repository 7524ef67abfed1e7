"""An OpenID provider of a few lines: what it publishes, and tokens that it signs."""

import json
from typing import Any

from gateway.api import HttpAnswer, HttpError
from gateway.api.testing import HttpRequest
from tests.filters.token_auth.signing import ec_key, jwk, sign

NOW = 1_700_000_000
URL = "https://login.test/realm"
KEYS_URL = "https://keys.test:8443/set?of=realm"
CLAIMS = {"sub": "u1", "exp": NOW + 3600, "iss": URL, "project_id": "p1", "roles": ["member"]}
BY_URL: dict[str, Any] = {"jwks_url": KEYS_URL, "algorithms": ["ES256", "RS256"]}
BY_ISSUER: dict[str, Any] = {"issuer_url": URL, "algorithms": ["ES256", "RS256"]}


def token(kid: str | None = "one", key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
    header = {} if kid is None else {"kid": kid}
    return sign({**CLAIMS, **claims}, key, algorithm, header)


class IssuerService:
    """Publishes `keys`; what it is `instead` told to say comes in place of a key set."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = list(keys) or [jwk(ec_key(), kid="one")]
        self.configuration: Any = {"issuer": URL, "jwks_uri": KEYS_URL}
        self.instead: HttpAnswer | HttpError | None = None
        self.asked: list[str] = []

    @property
    def fetched(self) -> int:
        """How often the keys were asked for."""
        return self.asked.count(KEYS_URL)

    def __call__(self, request: HttpRequest) -> HttpAnswer | HttpError:
        assert (request.method, request.body) == ("GET", b"")
        self.asked.append(request.url)
        if request.url == URL + "/.well-known/openid-configuration":
            return answer(self.configuration)
        if request.url != KEYS_URL:
            return HttpAnswer(404, {}, b"")
        return self.instead if self.instead is not None else answer({"keys": self.keys})


def answer(document: Any) -> HttpAnswer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return HttpAnswer(200, {"content-type": "application/json"}, body)
