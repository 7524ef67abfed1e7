"""The provider `jwt`: signed tokens (RFC 7519, RFC 7515, hardened by RFC 8725) verified with keys at hand.

What a token says of keys (`jku`, `x5u`, `jwk`, `x5c`) is never followed. Whoever sent a token chooses every
byte of it, so parsing is strict and each doubt is a no.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from filters._identity import identity_fields
from filters.token_auth.key import Key, from_base64url, load_keys, without_duplicates
from filters.token_auth.option import JwtOptions
from filters.token_auth.provider import Answer, LocalProvider, Refusal
from gateway.api import Exchange, Principal, Services

_INVALID = Refusal("token_invalid")
_EXPIRED = Refusal("token_expired")
_NOT_YET = Refusal("token_invalid", lasting=False)
_FAR = 2.0**53  # beyond it a double does not tell one second from the next
_MISSING: Any = object()


class Jwt(LocalProvider):
    """Verifies signature, issuer, audience and times, and reads the caller from the claims."""

    kind: ClassVar[str] = "jwt"

    def __init__(self, config: JwtOptions, services: Services) -> None:
        self._config = config
        self._services = services
        self._keys: list[Key] = []
        digest = hashlib.sha256(repr(config.model_copy(update={"keys": ()})).encode())
        for place, options in enumerate(config.keys):
            try:
                keys, fingerprint = load_keys(options, services)
            except ValueError as error:
                raise ValueError(f"keys[{place}].{error}") from None
            self._keys += keys
            digest.update(fingerprint)
        self.fingerprint = digest.digest()
        self._audience = frozenset(config.audience)
        self._texts: list[tuple[str, Callable[[Mapping[str, Any]], Any]]] = [
            (field, _claim(name))
            for field, name in (
                ("user_id", config.claims.user_id),
                ("user_name", config.claims.user),
                ("user_domain_id", config.claims.user_domain_id),
                ("user_domain_name", config.claims.user_domain_name),
                ("project_id", config.claims.project_id),
                ("project_name", config.claims.project_name),
                ("project_domain_id", config.claims.project_domain_id),
                ("project_domain_name", config.claims.project_domain_name),
            )
            if name is not None
        ]
        self._roles = _claim(config.claims.roles) if config.claims.roles is not None else None

    def look_up(self, token: str, exchange: Exchange) -> Answer:
        parts = token.encode("ascii").split(b".")
        if len(parts) != 3:
            return None
        try:
            header = _object(parts[0])
            signature = from_base64url(parts[2])
        except ValueError:
            return None
        if not self._signed(header, parts[0] + b"." + parts[1], signature):
            return None
        try:
            claims = _object(parts[1])
        except ValueError:
            return _INVALID
        if not self._addressed(claims):
            return None
        return self._timely(claims, exchange.clock.wall) or self._principal(claims)

    def _signed(self, header: Mapping[str, Any], signed: bytes, signature: bytes) -> bool:
        algorithm, kid = header.get("alg"), header.get("kid", _MISSING)
        if not isinstance(algorithm, str) or not signature or not signature.strip(b"\0"):
            return False
        # RFC 7515 section 4.1.11: an extension that is not understood and marked critical ends it. There is none
        # that we understand; b64 (RFC 7797) would change what was signed.
        if "crit" in header or "b64" in header or not (kid is _MISSING or isinstance(kid, str)):
            return False
        keys = [key for key in self._keys if algorithm in key.algorithms]
        if kid is not _MISSING:
            # A key without a kid (PEM has none) may be the one meant, but only where none has that very kid.
            keys = [key for key in keys if key.kid == kid] or [key for key in keys if key.kid is None]
        return any(key.verifies(algorithm, signed, signature) for key in keys)

    def _addressed(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token is from our issuer and for us; another provider may be the one it is for."""
        if self._config.issuer is not None and claims.get("iss") != self._config.issuer:
            return False
        audience = claims.get("aud", _MISSING)
        if audience is _MISSING:
            return not self._audience
        if isinstance(audience, str):
            audience = [audience]
        return (
            isinstance(audience, list)
            and all(isinstance(name, str) for name in audience)
            and not self._audience.isdisjoint(audience)
        )

    def _timely(self, claims: Mapping[str, Any], now: float) -> Refusal | None:
        leeway = self._config.leeway
        expires: Any = claims.get("exp")
        if not _is_time(expires):
            return _INVALID
        for name in ("nbf", "iat"):
            begins = claims.get(name, now)
            if not _is_time(begins):
                return _INVALID
            if begins > now + leeway:
                return _NOT_YET
        return _EXPIRED if now >= expires + leeway else None

    def _principal(self, claims: Mapping[str, Any]) -> Answer:
        told: dict[str, Any] = {}
        for field, claim in self._texts:
            value = claim(claims)
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)
            if value is not None and not _is_text(value):
                return self._unfit(field)
            told[field] = value or None
        if told["user_id"] is None:
            return self._unfit("user_id")
        roles = self._roles(claims) if self._roles is not None else None
        if isinstance(roles, str):
            roles = roles.split(" ")  # not at a tab or a no-break space, which could make two roles of one
        if roles is not None and not (isinstance(roles, list) and all(map(_is_text, roles))):
            return self._unfit("roles")
        principal = Principal(
            **told,
            roles=tuple(role for role in roles or () if role),
            expires_at=float(claims["exp"]),
            provider=self.kind,
        )
        try:
            identity_fields(principal)
        except ValueError as error:
            return self._unfit(str(error))
        return principal

    def _unfit(self, what: str) -> Refusal:
        """The issuer signs what we cannot use: its operator or ours should know."""
        self._services.warn(
            "token_claims_unusable", provider=self.kind, issuer=self._config.issuer, field=what
        )
        return _INVALID


def _object(segment: bytes) -> dict[str, Any]:
    """The JSON object of a segment: UTF-8, no name twice, no NaN or Infinity. Raises ValueError."""
    try:
        members = json.loads(
            from_base64url(segment).decode("utf-8"),
            object_pairs_hook=without_duplicates,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(members, dict):
        raise ValueError("not an object")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _is_text(value: Any) -> bool:
    """Whether a claim means the same here and upstream: outer white space is lost in a header field."""
    return isinstance(value, str) and value == value.strip()


def _is_time(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and -_FAR < value < _FAR
        and math.isfinite(value)
    )


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
