"""Where an issuer's keys are fetched from: a JSON Web Key Set (RFC 7517), found by OpenID Connect Discovery where need be."""

import hashlib
from typing import Any, Final
from urllib.parse import urlsplit

from filters.token_auth.key import Key, json_document, read_published
from filters.token_auth.option import JwtOptions, service_url
from filters.token_auth.remote import Trouble
from gateway.api import HttpAnswer, HttpClient, HttpOptions, OptionError, Services

MAX_BODY: Final = 256 << 10
"""Bytes of an answer; the largest key sets in use have a tenth of it."""
MAX_URL: Final = 2048
"""Characters of a URL that an issuer names."""

_WELL_KNOWN = "/.well-known/openid-configuration"
_ACCEPT = (("Accept", "application/json"),)


class Issuer:
    """Asks for keys. What it says of them is its own: nothing of a token has a part in where they come from.

    url  where the first question goes, for the application log
    """

    def __init__(self, config: JwtOptions, services: Services) -> None:
        self._algorithms = frozenset(config.algorithms or ())
        self._services = services
        self._config = config
        self._name = config.issuer or config.issuer_url
        self._elsewhere: dict[str, HttpClient] = {}
        if config.issuer_url is not None:
            self.url = config.issuer_url.rstrip("/") + _WELL_KNOWN
            # Its keys may be on another host than it is, and only in the clear where it is so itself.
            schemes = ("https",) if config.issuer_url.startswith("https:") else ("http", "https")
            self._elsewhere = {scheme: self._client(f"{scheme}:") for scheme in schemes}
        else:
            assert config.jwks_url is not None
            self.url = config.jwks_url
        parts = urlsplit(self.url)
        server = f"{parts.scheme}://{parts.netloc}"
        self._path = self.url[len(server) :] or "/"
        self._first = self._client(server)

    def _client(self, url: str) -> HttpClient:
        config = self._config
        tls = config.fetch.tls if url.startswith("https:") else None
        name = hashlib.sha256(repr((url, config)).encode()).hexdigest()
        # One set is fetched at a time, but two plans may be in force at once.
        options = HttpOptions(
            url, tls, timeout=config.fetch.timeout, concurrency=2, queue=2, max_body=MAX_BODY
        )
        try:
            return self._services.http(f"keys {name}", options)
        except OptionError as error:
            raise OptionError(("fetch", *error.rule), *error.messages) from None

    async def keys(self) -> tuple[list[Key], list[str]]:
        """The keys that fit, at least one, and why others are left out. Raises Trouble, and what the client raises."""
        if self._elsewhere:
            document = _document(await self._first.request("GET", self._path, headers=_ACCEPT))
            scheme, path = self._place_of_keys(document)
            answer = await self._elsewhere[scheme].request("GET", path, headers=_ACCEPT)
        else:
            answer = await self._first.request("GET", self._path, headers=_ACCEPT)
        _check(answer)
        try:
            return read_published(answer.body, self._algorithms)
        except ValueError as error:
            raise Trouble(f"it published keys that cannot be used: {error}") from None

    def _place_of_keys(self, document: dict[str, Any]) -> tuple[str, str]:
        """Scheme, and host with path, of the `jwks_uri` (OpenID Connect Discovery 1.0 section 4.3)."""
        if document.get("issuer") != self._name:
            raise Trouble(f"its configuration is that of another issuer than {self._name}")
        url = document.get("jwks_uri")
        if not isinstance(url, str) or len(url) > MAX_URL:
            raise Trouble("its configuration has no jwks_uri")
        try:
            scheme, _, path = service_url(url).partition(":")
        except ValueError:
            raise Trouble("its jwks_uri is not the URL of a server") from None
        if scheme not in self._elsewhere:
            raise Trouble("its jwks_uri is not https")
        return scheme, path


def _document(answer: HttpAnswer) -> dict[str, Any]:
    _check(answer)
    try:
        return json_document(answer.body)
    except ValueError as error:
        raise Trouble(f"its configuration cannot be read: {error}") from None


def _check(answer: HttpAnswer) -> None:
    if answer.status != 200:
        raise Trouble(f"it answered {answer.status}")
