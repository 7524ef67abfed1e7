"""What can be said of Keystone's JWS tokens before Keystone is asked: that they are forged, or over. Never that they are good.

Such a token (provider `jws` of Keystone) holds a user's id and a project's, and neither roles nor whether it was revoked.
It is signed with ES256 and names no key, so each that is pinned is tried.
"""

import hashlib
from typing import Final, NamedTuple

from filters.token_auth.claims import EXPIRED, INVALID, is_time
from filters.token_auth.jws import claims_of, read_jws, verified
from filters.token_auth.key import Key, load_keys
from filters.token_auth.option import JwsOptions, KeyOptions
from filters.token_auth.provider import Refusal
from gateway.api import OptionError, Services

ALGORITHM: Final = "ES256"


class Early(NamedTuple):
    """What is said in Keystone's place: a refusal, or None of a token that it has not signed, which others may know."""

    answer: Refusal | None


class Precheck:
    """Judges by pinned keys; `fingerprint` follows what is in their files."""

    def __init__(self, options: JwsOptions, services: Services) -> None:
        self._leeway = options.leeway
        self._keys: list[Key] = []
        digest = hashlib.sha256(repr(options.leeway).encode())
        for number, source in enumerate(options.keys):
            try:
                keys, fingerprint = load_keys(KeyOptions(pem=source, algorithms=(ALGORITHM,)), services)
            except ValueError as error:
                message = str(error).removeprefix("pem: ")
                raise OptionError(("jws", "keys", number), message) from None
            self._keys += keys
            digest.update(fingerprint)
        self.fingerprint = digest.digest()

    def judge(self, token: str, now: float, *, may_be_over: bool) -> Early | None:
        """None where Keystone must be asked, as it must of a token of another form.

        `now` is the wall clock's; `may_be_over`: a service vouches for the request, and the token's end ends nothing.
        """
        if token.count(".") != 2:
            return None
        jws = read_jws(token)
        if jws is None or not verified(jws._replace(kid=None), self._keys):
            return Early(None)
        claims = claims_of(jws)
        if claims is None or not _whole(claims.get("sub"), claims.get("iat"), claims.get("exp")):
            return Early(INVALID)
        over = now >= claims["exp"] + self._leeway
        return Early(EXPIRED) if over and not may_be_over else None


def _whole(user: object, *times: object) -> bool:
    return isinstance(user, str) and user != "" and all(is_time(time) for time in times)
