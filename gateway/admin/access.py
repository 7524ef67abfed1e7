"""Who may ask the admin listener: by a token, by a certificate, or by being on this host.

Where only programs of this host can ask, a browser is one of them: what a page of another site has it ask is refused.
Its requests name that site in Origin (RFC 6454), or in Host, where the site's name has been made to stand for our address.
"""

import hmac
import ipaddress
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gateway.config.load import Loaded
from gateway.config.model import AdminListen
from gateway.config.problem import ConfigurationError, Problem, written
from gateway.listener.tls import Credentials
from gateway.tls import TlsError


class Refused(NamedTuple):
    """Why a request is not answered. A status of 401 asks for a token."""

    status: int
    message: str


OPERATOR: Final = "operator"
"""Sees and does all that the listener offers."""
VIEWER: Final = "viewer"
"""Sees what goes on, but neither users, projects and clients nor the configuration, and changes nothing."""


class Access:
    """The rules of one admin listener. `credentials` are there where it speaks TLS."""

    def __init__(self, options: AdminListen, credentials: Credentials | None = None) -> None:
        self.credentials = credentials
        self._options = options
        self._token = options.token.reveal().encode() if options.token is not None else None
        viewer = options.viewer_token
        self._viewer_token = viewer.reveal().encode() if viewer is not None else None
        # A token, a certificate and the permissions of a socket are what no page of another site has.
        self._guarded = self._token is not None or options.unix is not None or options.asks_certificate
        self._host = options.address.host if options.address is not None else ""

    def is_as(self, other: "Access | None") -> bool:
        """Whether the rules are those of `other`. With TLS they never are: what its files hold may be new."""
        return other is not None and self._options == other._options and self._options.tls is None

    def role(self, method: str, headers: Mapping[str, str], *, public: bool) -> str | Refused:
        """Who asks, or why he is not answered. `public` for pages that say no more than how the service does."""
        if method not in ("GET", "HEAD") and not _same_site(headers):
            return Refused(403, "a page of another site may not ask for this")
        if self._token is not None:
            given = _bearer(headers.get("Authorization", ""))
            if given is not None and hmac.compare_digest(given, self._token):
                return OPERATOR
            viewer = self._viewer_token
            if public or (given is not None and viewer is not None and hmac.compare_digest(given, viewer)):
                return VIEWER
            return Refused(401, "a token is needed")
        if not self._guarded and not self._is_ours(headers.get("Host", "")):
            return Refused(403, "this listener is not known by that name")
        return OPERATOR

    def _is_ours(self, host: str) -> bool:
        """Whether a Host field names us by an address, or by a name that nobody else can give us."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self._host):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _bearer(authorization: str) -> bytes | None:
    scheme, _, given = authorization.partition(" ")
    return given.strip().encode("utf-8", "replace") if scheme.lower() == "bearer" else None


def _same_site(headers: Mapping[str, str]) -> bool:
    origin = headers.get("Origin")
    if origin is None:
        return headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
    scheme, _, place = origin.partition("://")
    return scheme in ("http", "https") and place == headers.get("Host")


def load_access(loaded: Loaded) -> Access | None:
    """The rules of the admin listener, None where there is none. Raises ConfigurationError."""
    options = loaded.configuration.admin
    if options is None:
        return None
    if options.tls is None:
        return Access(options)
    try:
        return Access(options, Credentials(options.tls, loaded.directory))
    except TlsError as error:
        option = error.option if getattr(options.tls, error.option, None) is not None else "certificate"
        path = ("admin", "tls", option)
        raise ConfigurationError(
            [Problem(*loaded.marks.position(path), "tls", str(error), written(path))]
        ) from None
