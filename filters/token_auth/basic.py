"""The provider `basic`: a user's name and password (RFC 7617), for which Keystone gives a token (POST /v3/auth/tokens).

The upstream is given that token, and never the password. Keystone's 401 is a no; whatever else is not a token is trouble,
and nobody is refused for it, or let in. Wrong passwords are counted by user and address (`attempts`).
"""

import hashlib
import json
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Awaitable
from typing import Any, ClassVar, Final, NamedTuple
from unicodedata import combining, normalize

from filters.token_auth.attempt import Attempts
from filters.token_auth.option import BasicOptions
from filters.token_auth.provider import Answer, Grant, Refusal, Unavailable
from filters.token_auth.remote import Memory, RemoteProvider, Trouble, tellable
from filters.token_auth.service_token import issued
from filters.token_auth.token_document import read_document
from gateway.api import Exchange, HttpOptions, Services
from gateway.http.address import network

MAX_CREDENTIALS: Final = 4096
"""Bytes of the encoded name and password; Keystone refuses longer passwords, which would look like a failure."""

_INVALID = Refusal("credentials_invalid")
_SCHEME: Final = b"basic"


class Credentials(NamedTuple):
    """Whose password it is; `domain` is a name, None for the one that the options say."""

    domain: str | None
    user: str
    password: str


class Basic(RemoteProvider[str]):
    """Asks once for a name and password, however many requests carry them."""

    kind: ClassVar[str] = "basic"
    needs_token: ClassVar[bool] = False

    def __init__(self, config: BasicOptions, services: Services) -> None:
        self.header = b"authorization"
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
        memory: Memory[str] = services.state(name, lambda: Memory(config.breaker))
        super().__init__(services, config.url, memory)
        attempts = config.attempts
        self._attempts = Attempts(services.table(name), attempts.failures, attempts.period)
        self._path = "/auth/tokens" if config.include_catalog else "/auth/tokens?nocatalog"

    def proof(self, value: bytes) -> str | None:
        """The credentials, still encoded; those of other schemes are for the upstream."""
        scheme, _, rest = value.partition(b" ")
        return rest.strip(b" \t").decode("latin-1") if scheme.lower() == _SCHEME else None

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        credentials = decoded(token)
        if credentials is None:
            return _INVALID
        if token in self._memory.flight:
            return self._question(token, lambda: self._judge(credentials, ("", "")), len(token), token)
        key = (network(exchange.client), self._counted(credentials))
        wait = self._attempts.begin(key, self._services.now().monotonic)
        if wait:
            return Refusal("attempts_exceeded", lasting=False, retry_after=wait)
        answer = self._question(token, lambda: self._judge(credentials, key), len(token), token)
        if isinstance(answer, Unavailable):
            self._attempts.undo(key, self._services.now().monotonic)
        return answer

    def _counted(self, credentials: Credentials) -> str:
        """Whose attempts they are, by a name that has one spelling: databases of Keystone's take several for the same."""
        config = self._config
        # The first domain has the id "default", and the name Default.
        domain = credentials.domain or config.user_domain_name or config.user_domain_id
        return f"{_folded(domain)}/{_folded(credentials.user)}"

    async def _judge(self, credentials: Credentials, key: tuple[str, str]) -> Answer:
        try:
            answer = await self._asked(credentials)
        except BaseException:
            self._attempts.undo(key, self._services.now().monotonic)
            raise
        if isinstance(answer, Grant):
            self._attempts.succeeded(key, self._services.now().monotonic)
        return answer

    async def _asked(self, credentials: Credentials) -> Answer:
        answer = await self._client.request(
            "POST",
            self._path,
            headers=(("Content-Type", "application/json"), ("Accept", "application/json")),
            body=self._body(credentials),
        )
        if answer.status == 401:
            return _INVALID
        if answer.status != 201:
            raise self._refused(answer)
        token, _ = issued(answer)
        try:
            document = read_document(answer.body, service_type=None, provider=self.kind)
        except ValueError as error:
            raise Trouble(f"it gave an answer that cannot be read: {error}") from None
        catalog = document.catalog if self._config.include_catalog else None
        return Grant(tellable(document.principal), catalog, document.rules, token=token)

    def _body(self, credentials: Credentials) -> bytes:
        config = self._config
        domain = _domain(config.user_domain_id, credentials.domain or config.user_domain_name)
        user = {"name": credentials.user, "domain": domain, "password": credentials.password}
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
        if config.project_id is not None:
            auth["scope"] = {"project": {"id": config.project_id}}
        elif config.project_name is not None:
            domain = _domain(config.project_domain_id, config.project_domain_name)
            auth["scope"] = {"project": {"name": config.project_name, "domain": domain}}
        return json.dumps({"auth": auth}).encode()


def decoded(text: str) -> Credentials | None:
    """`user:password` or `domain/user:password` in base64 (RFC 7617 section 2); None where it is not that."""
    if len(text) > MAX_CREDENTIALS:
        return None
    try:
        raw = b64decode(text, validate=True)
        plain = raw.decode("utf-8")
    except (Error, ValueError):
        return None
    if b64encode(raw).decode("ascii") != text:
        return None  # in another spelling they would go on when they are revoked by their hash
    name, colon, password = plain.partition(":")
    if not colon or any(ord(letter) < 32 or ord(letter) == 127 for letter in plain):
        return None
    domain, slash, user = name.partition("/")
    if not slash:
        domain, user = "", name
    if not user or (slash and not domain):
        return None
    return Credentials(domain or None, user, password)


def _folded(text: str) -> str:
    """Without regard to case, marks, and white space around it, as MySQL compares by default."""
    letters = (letter for letter in normalize("NFKD", text.casefold()) if not combining(letter))
    return "".join(letters).strip()


def _domain(id: str, name: str | None) -> dict[str, str]:
    return {"id": id} if name is None else {"name": name}
