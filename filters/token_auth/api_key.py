"""The provider `api_key`: keys of machines, in a header field of their own, known by their SHA-256."""

import hashlib
from typing import ClassVar

from filters.token_auth.listing import read_list
from filters.token_auth.option import ApiKey, ApiKeyOptions
from filters.token_auth.provider import Answer, LocalProvider, Refusal
from gateway.api import Exchange, OptionError, Principal, Services


class ApiKeys(LocalProvider):
    """Keys are looked up by their hash, so that a guess learns nothing from the time it takes."""

    kind: ClassVar[str] = "api_key"
    needs_token: ClassVar[bool] = False

    def __init__(self, config: ApiKeyOptions, services: Services) -> None:
        self.header = config.header.lower().encode("ascii")
        self.forwards = config.forward
        keys, places = read_list(config.file, ApiKey, "keys", services)
        self._principals: dict[bytes, Principal] = {}
        for key, place in zip(keys, places, strict=True):
            digest = bytes.fromhex(key.key_sha256.reveal())
            if digest in self._principals:
                raise OptionError(("file",), f"{config.file}:{place}: the same key as an earlier one")
            self._principals[digest] = _principal(key)
        known = repr((self.header, sorted(self._principals.items(), key=lambda item: item[0])))
        self.fingerprint = hashlib.sha256(known.encode()).digest()

    def proof(self, value: bytes) -> str | None:
        return value.decode("latin-1") or None

    def look_up(self, token: str, exchange: Exchange) -> Answer:
        principal = self._principals.get(hashlib.sha256(token.encode("latin-1")).digest())
        if principal is None:
            return None
        if principal.expires_at is not None and principal.expires_at <= exchange.clock.wall:
            return Refusal("key_expired")
        return principal


def _principal(key: ApiKey) -> Principal:
    return Principal(
        user_id=key.user_id,
        user_name=key.user,
        project_id=key.project_id,
        project_name=key.project_name,
        roles=key.roles,
        expires_at=key.expires,
        provider=ApiKeys.kind,
    )
