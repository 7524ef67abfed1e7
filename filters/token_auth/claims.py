"""Claims of a token (RFC 7519 section 4): its times, whom it is for, and whose it is."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from filters._identity import identity_fields, travels
from filters.token_auth.option import ClaimOptions
from filters.token_auth.provider import Refusal
from gateway.api import Principal, Services

INVALID: Final = Refusal("token_invalid")
EXPIRED: Final = Refusal("token_expired")
NOT_YET: Final = Refusal("token_invalid", lasting=False)

_FAR = 2.0**53  # beyond it a double does not tell one second from the next
_MISSING: Any = object()


def addressed(claims: Mapping[str, Any], issuer: str | None, audience: frozenset[str]) -> bool:
    """Whether a token is from `issuer` and for one of `audience`; without an audience, for nobody in particular."""
    if issuer is not None and claims.get("iss") != issuer:
        return False
    names = claims.get("aud", _MISSING)
    if names is _MISSING:
        return not audience
    if isinstance(names, str):
        names = [names]
    return (
        isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and not audience.isdisjoint(names)
    )


def timely(
    claims: Mapping[str, Any], now: float, leeway: float, *, begins: Iterable[str] = ("nbf", "iat")
) -> Refusal | None:
    """Why a token is not good at `now`, None where it is. It must have an exp; `begins` are claims that it may have."""
    expires: Any = claims.get("exp")
    if not is_time(expires):
        return INVALID
    for name in begins:
        begin = claims.get(name, now)
        if not is_time(begin):
            return INVALID
        if begin > now + leeway:
            return NOT_YET
    return EXPIRED if now >= expires + leeway else None


def is_time(value: Any) -> bool:
    """Whether `value` is a number of seconds that can be compared with a clock."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and -_FAR < value < _FAR
        and math.isfinite(value)
    )


class ClaimReader:
    """Finds a caller in claims. `kind` and `issuer` are for the application log, where it finds none.

    garbled  makes the error that is raised for text that no header field can hold, of its field; without it such a claim
             is unfit as others are
    """

    def __init__(
        self,
        options: ClaimOptions,
        services: Services,
        kind: str,
        issuer: str | None,
        garbled: Callable[[str], Exception] | None = None,
    ) -> None:
        self._services = services
        self._kind = kind
        self._issuer = issuer
        self._garbled = garbled
        self._texts: list[tuple[str, Callable[[Mapping[str, Any]], Any]]] = [
            (field, _claim(name))
            for field, name in (
                ("user_id", options.user_id),
                ("user_name", options.user),
                ("user_domain_id", options.user_domain_id),
                ("user_domain_name", options.user_domain_name),
                ("project_id", options.project_id),
                ("project_name", options.project_name),
                ("project_domain_id", options.project_domain_id),
                ("project_domain_name", options.project_domain_name),
            )
            if name is not None
        ]
        self._roles = _claim(options.roles) if options.roles is not None else None

    def principal(self, claims: Mapping[str, Any], expires_at: float | None) -> Principal | Refusal:
        """The caller; a Refusal, and a warning, where a claim cannot be used."""
        told: dict[str, Any] = {}
        for field, claim in self._texts:
            value = claim(claims)
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
            self._check(field, value)
            if value is not None and not _is_text(value):
                return self._unfit(field)
            told[field] = value or None
        if told["user_id"] is None:
            return self._unfit("user_id")
        roles = self._roles(claims) if self._roles is not None else None
        if isinstance(roles, str):
            roles = roles.split(" ")  # not at a tab or a no-break space, which could make two roles of one
        for role in roles if isinstance(roles, list) else ():
            self._check("roles", role)
        if roles is not None and not (isinstance(roles, list) and all(map(_is_text, roles))):
            return self._unfit("roles")
        principal = Principal(
            **told,
            roles=tuple(role for role in roles or () if role),
            expires_at=expires_at,
            provider=self._kind,
        )
        try:
            identity_fields(principal)
        except ValueError as error:
            return self._unfit(str(error))
        return principal

    def _check(self, field: str, value: Any) -> None:
        if self._garbled is not None and isinstance(value, str) and not travels(value):
            raise self._garbled(field)

    def _unfit(self, what: str) -> Refusal:
        """The issuer says what we cannot use: its operator or ours should know."""
        self._services.warn("token_claims_unusable", provider=self._kind, issuer=self._issuer, field=what)
        return INVALID


def _is_text(value: Any) -> bool:
    """Whether a claim means the same here and upstream: outer white space is lost in a header field."""
    return isinstance(value, str) and value == value.strip()


def _claim(name: str) -> Callable[[Mapping[str, Any]], Any]:
    """What finds the claim: by its whole name, since names are often URLs, then along the dots."""
    path = name.split(".")

    def find(claims: Mapping[str, Any]) -> Any:
        if name in claims:
            return claims[name]
        value: Any = claims
        for part in path:
            if not isinstance(value, dict) or part not in value:
                return None
            value = value[part]
        return value

    return find
