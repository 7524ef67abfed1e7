"""The provider `static`: tokens that are written down, in the configuration or in a file beside it."""

import hashlib
from typing import ClassVar

from filters.token_auth.listing import read_list
from filters.token_auth.option import StaticOptions, StaticToken
from filters.token_auth.provider import Answer, LocalProvider, Refusal
from gateway.api import Exchange, OptionError, Principal, Services


class Static(LocalProvider):
    """Tokens are looked up by their SHA-256, so that a guess learns nothing from the time it takes."""

    kind: ClassVar[str] = "static"

    def __init__(self, config: StaticOptions, services: Services) -> None:
        tokens, places = (
            (config.tokens or (), None)
            if config.file is None
            else read_list(config.file, StaticToken, "tokens", services)
        )
        self._principals: dict[bytes, Principal] = {}
        for number, token in enumerate(tokens):
            digest = _digest(token)
            if digest in self._principals:
                message = "the same token as an earlier one"
                if places is None:
                    raise OptionError(("tokens", number), message)
                raise OptionError(("file",), f"{config.file}:{places[number]}: {message}")
            self._principals[digest] = _principal(token)
        self.fingerprint = hashlib.sha256(
            repr(sorted(self._principals.items(), key=lambda item: item[0])).encode()
        ).digest()

    def look_up(self, token: str, exchange: Exchange) -> Answer:
        principal = self._principals.get(hashlib.sha256(token.encode("ascii")).digest())
        if principal is None:
            return None
        if principal.expires_at is not None and principal.expires_at <= exchange.clock.wall:
            return Refusal("token_expired")
        return principal


def _digest(token: StaticToken) -> bytes:
    if token.token is not None:
        return hashlib.sha256(token.token.reveal().encode("ascii")).digest()
    assert token.token_sha256 is not None
    return bytes.fromhex(token.token_sha256.reveal())


def _principal(token: StaticToken) -> Principal:
    return Principal(
        user_id=token.user_id,
        user_name=token.user,
        project_id=token.project_id,
        project_name=token.project_name,
        roles=token.roles,
        expires_at=token.expires,
        provider=Static.kind,
    )
