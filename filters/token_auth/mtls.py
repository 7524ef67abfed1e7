"""The provider `mtls`: who has proven by a certificate who they are, when they connected.

The listener has verified the certificate (`listen[].tls.client_ca`); here its name becomes a principal.
"""

import hashlib
import re
from collections.abc import Callable
from typing import ClassVar, Final

from filters.token_auth.option import MtlsOptions
from filters.token_auth.provider import Answer, LocalProvider, Refusal
from gateway.api import Certificate, Exchange, Principal, Services

_NAMES: Final[dict[str, Callable[[Certificate], tuple[str, ...]]]] = {
    "subject": lambda certificate: (certificate.subject,),
    "subject_cn": lambda certificate: (certificate.common_name or "",),
    "san_dns": lambda certificate: certificate.dns,
    "san_email": lambda certificate: certificate.email,
    "san_uri": lambda certificate: certificate.uri,
}


class Mtls(LocalProvider):
    """Where a certificate has several names of the kind, the first that is allowed is the caller's."""

    kind: ClassVar[str] = "mtls"
    needs_token: ClassVar[bool] = False

    def __init__(self, config: MtlsOptions, services: Services) -> None:
        self._config = config
        self._names = _NAMES[config.user]
        self._allowed = None if config.allow is None else _matcher(config.allow)
        self.fingerprint = hashlib.sha256(repr(config).encode()).digest()

    def look_up(self, token: str, exchange: Exchange) -> Answer:
        certificate = exchange.certificate
        name = self._name(certificate) if certificate is not None else None
        if certificate is None or name is None:
            return None
        if certificate.expires_at <= exchange.clock.wall:
            return Refusal("certificate_expired")
        config = self._config
        return Principal(
            user_id=name,
            user_name=name,
            project_id=config.project_id,
            project_name=config.project_name,
            roles=config.roles,
            expires_at=certificate.expires_at,
            provider=self.kind,
        )

    def _name(self, certificate: Certificate) -> str | None:
        for name in self._names(certificate):
            if name and (self._allowed is None or self._allowed.fullmatch(name)):
                return name
        return None


def _matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for patterns in which `*` stands for any characters."""
    return re.compile("|".join(map(_expression, patterns)))


def _expression(pattern: str) -> str:
    """Each text between two asterisks where it comes first, and nowhere else, so that a name is read once for a pattern."""
    first, *others = map(re.escape, pattern.split("*"))
    if not others:
        return first
    *between, last = others
    return f"{first}{''.join(f'(?>.*?{text})' for text in between)}.*{last}"
