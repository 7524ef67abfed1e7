"""The provider `jwt`: signed tokens (RFC 7519, RFC 7515, hardened by RFC 8725), verified here.

Its keys are at hand, or fetched from the issuer: then a token that no known key is for has them fetched anew, and where
there are none to be had, nobody is refused for it, or let in.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import ClassVar

from filters.token_auth.claims import INVALID, ClaimReader, addressed, timely
from filters.token_auth.issuer import Issuer
from filters.token_auth.jws import Jws, claims_of, read_jws, verified
from filters.token_auth.key import Key, load_keys
from filters.token_auth.key_set import KeySet, Reader
from filters.token_auth.option import JwtOptions
from filters.token_auth.provider import Answer, Grant, LocalProvider, Unavailable
from gateway.api import Exchange, Services


class _Judge:
    """What a token says whose signature is good: issuer, audience and times, and the caller in its claims."""

    def __init__(self, config: JwtOptions, services: Services, kind: str) -> None:
        self._issuer = config.issuer or config.issuer_url
        self._audience = frozenset(config.audience)
        self._leeway = config.leeway
        self._reader = ClaimReader(config.claims, services, kind, self._issuer)

    def answer(self, jws: Jws, now: float) -> Answer:
        claims = claims_of(jws)
        if claims is None:
            return INVALID
        if not addressed(claims, self._issuer, self._audience):
            return None  # another provider may be the one it is for
        return timely(claims, now, self._leeway) or self._reader.principal(claims, float(claims["exp"]))

    def may_be_ours(self, jws: Jws) -> bool:
        """Whether it says, signed or not, that it is from our issuer and for us."""
        claims = claims_of(jws)
        return claims is not None and addressed(claims, self._issuer, self._audience)


class Jwt(LocalProvider):
    """Verifies with keys that are at hand."""

    kind: ClassVar[str] = "jwt"

    def __init__(self, config: JwtOptions, services: Services) -> None:
        self._keys: list[Key] = []
        digest = hashlib.sha256(repr(config.model_copy(update={"keys": ()})).encode())
        for place, options in enumerate(config.keys or ()):
            try:
                keys, fingerprint = load_keys(options, services)
            except ValueError as error:
                raise ValueError(f"keys[{place}].{error}") from None
            self._keys += keys
            digest.update(fingerprint)
        self.fingerprint = digest.digest()
        self._judge = _Judge(config, services, self.kind)

    def look_up(self, token: str, exchange: Exchange) -> Answer:
        jws = read_jws(token)
        if jws is None or not verified(jws, self._keys):
            return None
        return self._judge.answer(jws, exchange.clock.wall)


class FetchedJwt:
    """Verifies with keys that the issuer publishes.

    `changed` is called when they are others, with True where one that was trusted is so no more: what has been remembered
    of tokens is to be forgotten, which `fingerprint` does not tell, since it is of the configuration alone.
    """

    kind: ClassVar[str] = "jwt"
    needs_token: ClassVar[bool] = True
    pure: ClassVar[bool] = False
    judges_expired: ClassVar[bool] = False
    header: bytes = b""
    forwards: bool = False
    left_alone: ClassVar[bool] = False

    def __init__(self, config: JwtOptions, services: Services, changed: Callable[[bool], None]) -> None:
        self.fingerprint = hashlib.sha256(repr(config).encode()).digest()
        self._services = services
        self._algorithms = frozenset(config.algorithms or ())
        self._judge = _Judge(config, services, self.kind)
        self._reader = Reader(Issuer(config, services), services, changed)
        name = f"keys {self.fingerprint.hex()}"
        self._keys = services.state(name, lambda: KeySet(config.fetch))

    def proof(self, value: bytes) -> str | None:
        return None

    async def start(self) -> None:
        """Begins to fetch, and does not wait for it: a gateway is ready while its issuer is down."""
        self._keys.attach(self._reader)

    async def close(self) -> None:
        self._keys.detach(self._reader)

    def look_up_service(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        return self.look_up(token, exchange)

    def look_up_expired(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        raise NotImplementedError  # judges_expired is False

    def restored(self, grant: Grant) -> Grant:
        return grant

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        jws = read_jws(token)
        if jws is None or jws.algorithm not in self._algorithms:
            return None
        now = self._services.now().monotonic
        keys = self._keys.trusted(now)
        if verified(jws, keys):
            return self._judge.answer(jws, exchange.clock.wall)
        if _names_one(jws, keys) or not self._judge.may_be_ours(jws):
            return None
        if not self._keys.may_ask(now):
            return self._unknown(now)
        return self._with_new_keys(jws, exchange)

    async def _with_new_keys(self, jws: Jws, exchange: Exchange) -> Answer:
        await self._keys.seek(self._reader)
        now = self._services.now().monotonic
        keys = self._keys.trusted(now)
        if verified(jws, keys):
            return self._judge.answer(jws, exchange.clock.wall)
        return None if _names_one(jws, keys) else self._unknown(now)

    def _unknown(self, now: float) -> Answer:
        """Of a token that no known key is for: a no where the issuer has said so, and nothing where it could not."""
        if self._keys.failing or not self._keys.trusted(now):
            return Unavailable(self._keys.wait(now))
        return None


def _names_one(jws: Jws, keys: tuple[Key, ...]) -> bool:
    """Whether one of `keys` is the very one that the token names; then no other could have signed it."""
    return jws.kid is not None and any(key.kid == jws.kid and jws.algorithm in key.algorithms for key in keys)
