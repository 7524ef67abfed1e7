"""The provider `introspection`: asks an OAuth 2.0 authorization server whose a token is (RFC 7662).

Only its `active: false` is a no. Whatever else comes in place of an answer, or does not come, is its trouble; nobody is
refused for it, or let in.
"""

import base64
import hashlib
import json
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote_plus, urlencode, urlsplit

from filters.token_auth.claims import EXPIRED, NOT_YET, ClaimReader, addressed, is_time
from filters.token_auth.option import IntrospectionOptions
from filters.token_auth.provider import Answer
from filters.token_auth.remote import Memory, RemoteProvider, Trouble
from filters.token_auth.spelling import issued_so
from gateway.api import Exchange, HttpAnswer, HttpOptions, Services

if TYPE_CHECKING:
    from filters.token_auth.shared_cache import SharedCache


class Introspection(RemoteProvider[str]):
    """Asks for each token once, however many requests carry it; what it learns is remembered by the filter."""

    kind: ClassVar[str] = "introspection"

    def __init__(
        self, config: IntrospectionOptions, services: Services, shared: "SharedCache | None" = None
    ) -> None:
        self._config = config
        self.fingerprint = hashlib.sha256(repr(config).encode()).digest()
        name = f"introspection {self.fingerprint.hex()}"
        memory: Memory[str] = services.state(name, lambda: Memory(config.breaker))
        super().__init__(services, config.url, memory, shared)
        parts = urlsplit(config.url)
        server = f"{parts.scheme}://{parts.netloc}"
        self._path = config.url[len(server) :] or "/"
        self._client = services.http(
            name,
            HttpOptions(
                server,
                config.tls,
                timeout=config.timeout,
                concurrency=config.concurrency,
                queue=config.concurrency * 16,
            ),
        )
        self._headers = (
            ("Authorization", _authorization(config)),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
        )
        self._audience = frozenset(config.audience)
        self._reader = ClaimReader(config.claims, services, self.kind, config.issuer, _garbled)

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        if not issued_so(token):
            return None
        return self._question(token, lambda: self._judge(token), len(token), token)

    async def _judge(self, token: str) -> Answer:
        body = urlencode({"token": token, "token_type_hint": "access_token"}).encode("ascii")
        return self._read(await self._client.request("POST", self._path, headers=self._headers, body=body))

    def _read(self, answer: HttpAnswer) -> Answer:
        if answer.status in (401, 403):
            raise Trouble(f"it does not accept the gateway's own credentials ({answer.status})")
        if answer.status != 200:
            raise self._refused(answer)
        told = _members(answer.body)
        if told.get("active") is not True:
            if told.get("active") is not False:
                raise Trouble("it gave an answer that cannot be read: active")
            return None
        return self._accepted(told)

    def _accepted(self, told: Mapping[str, Any]) -> Answer:
        config, now = self._config, self._services.now().wall
        expires, begins = _time(told, "exp"), _time(told, "nbf")
        if not addressed(told, config.issuer, self._audience):
            return None  # another provider may be the one it is for
        if expires is not None and now >= expires + config.leeway:
            return EXPIRED
        if begins is not None and begins > now + config.leeway:
            return NOT_YET
        if config.clients and told.get(config.claims.user_id) is None and told.get("sub") is None:
            told = {**told, config.claims.user_id: told.get("client_id")}
        return self._reader.principal(told, expires)


def _garbled(field: str) -> Trouble:
    """What the server itself says must be fit to be told. It may be this caller alone: nothing is wrong with it then."""
    return Trouble(f"it gave a character that cannot travel in {field}", counts=False)


def _authorization(config: IntrospectionOptions) -> str:
    if config.bearer is not None:
        return f"Bearer {config.bearer.reveal()}"
    assert config.client_id is not None
    assert config.client_secret is not None
    # RFC 6749 section 2.3.1: encoded as a form is, before they are made one text.
    pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret.reveal())}"
    return "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")


def _members(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Trouble("it gave an answer that cannot be read: not a JSON object")
    return told


def _time(told: Mapping[str, Any], name: str) -> float | None:
    value = told.get(name)
    if value is None:
        return None
    if not is_time(value):
        raise Trouble(f"it gave an answer that cannot be read: {name}")
    return float(value)
