"""Which requests go to the canary: a share of them, by lot or by what they are known by."""

from hashlib import blake2b

from gateway.config.model import Canary as Options
from gateway.upstream.balance import Random


class Canary:
    """Casts the requests of one upstream.

    A sticky one gives each key a place from 0 to 100, the same in every gateway: those below the percentage are its own,
    and where that grows they stay.
    """

    def __init__(self, options: Options, random: Random) -> None:
        self._percent = options.percent
        self._sticky = options.sticky
        self._random = random

    def takes(self, key: bytes | None) -> bool:
        """Whether a request that is known by `key`, None for nothing, is the canary's."""
        if self._sticky and key is not None:
            # Not the hash by which the endpoint is chosen: the keys of one side have to be spread over its endpoints.
            digest = blake2b(key, digest_size=8, person=b"canary").digest()
            place = int.from_bytes(digest, "big") / 2**64
        else:
            place = self._random()
        return place * 100 < self._percent
