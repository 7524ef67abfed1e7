"""What gateways learn of tokens and tell each other, by a store that need not be trusted.

The name of an entry is a keyed hash, and its value is sealed (AES-256-GCM, NIST SP 800-38D) for that name alone: whoever
reads the store learns neither a token nor whose it is, and whoever writes there can make none believe him. What he can do is to
bring back what has been there before, for as long as it was good for, and to take away marks: then who is revoked may go on for
`ttl` at the gateways that were not told of it themselves. Those that were believe no mark to be gone. Nobody is refused
for what is there or is not, and a store that fails is a store that knows nothing.
"""

import hashlib
import hmac
import json
from dataclasses import replace
from math import inf
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from filters.token_auth.entry import EVERYBODY, FORM, MAX_ENTRY, mark_of, marks_of, read, written
from filters.token_auth.option import SharedCacheOptions
from filters.token_auth.provider import Grant
from filters.token_auth.spelling import twin
from gateway.api import Revocation, Services, Shelf, SingleFlight, Store, StoreError

SKEW: Final = 5.0
"""Seconds by which the clocks of gateways may differ."""
MOST: Final = 10_000
"""Marks of its own that a gateway knows; with more of them in the time for which they count, all counts as revoked."""
_DAY: Final = 86_400.0
"""Seconds that a mark is there at the least. It takes what there is by any `ttl`, and who has a shorter one must not shorten it."""
_NONCE: Final = 12
_OWED: Final = b"owed"
_MARK: Final = b"{revoked}"
"""All of a token are asked for at once, and so must be in one slot of a cluster."""


class Marks:
    """The marks of this worker's own, by their names with when they were made on the wall clock: they outlive the client of the store.

    shelf     of these alone, and the workers'
    began     whether the shelf has been looked at
    told      whether it is there that a mark is owed; and `made`, until when that was true
    unmarked  those that the store does not have yet
    own       all that count
    caches    of all plans that leave them: where files of one have changed, the client of one that drains may not reach the store
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.began = False
        self.told = False
        self.made = -inf
        self.unmarked: dict[bytes, float] = {}
        self.own: dict[bytes, float] = {}
        self.caches: list[SharedCache] = []


class SharedCache:
    """Entries of all who have the same key, providers and prefix; each is trusted for `ttl` seconds from when it was asked for.

    A revocation leaves a mark, and what was asked for before it counts no more. As long as a mark could not be left,
    nothing is taken from the store. Marks of its own a gateway knows without the store, too. Should a worker end before it
    could leave one, whoever begins after it finds on the shelf that one is owed, and leaves one that takes everybody.
    """

    def __init__(
        self, options: SharedCacheOptions, ttl: float, services: Services, store: Store, marks: Marks
    ) -> None:
        self._services = services
        self._store = store
        self._marks = marks
        key = options.key.reveal().encode()
        self._naming = hmac.digest(key, b"weir token names", "sha256")
        self._sealing = hmac.digest(key, b"weir token values", "sha256")
        self._prefix = options.prefix.encode()
        self._ttl = ttl
        self._marked = max(ttl + 2 * SKEW, _DAY)
        self._because = ""
        self._flight: SingleFlight[str, bool] = SingleFlight()
        marks.caches.append(self)

    def name(self, kind: str, fingerprint: bytes, question: str) -> bytes:
        """Where the answer to a question of a provider is kept; apart for each `ttl`, after which a mark is gone."""
        ttl = repr(self._ttl).encode()
        return self._name(b"token", FORM, ttl, kind.encode(), fingerprint, question.encode())

    async def find(self, name: bytes, token: str) -> Grant | None:
        """What is known of the token, with the time since it was asked for; None where nothing is that can be used."""
        if not self._marks.began:
            self._inherit()
        try:
            if self._marks.unmarked and not await self._flight.join("", self._mark):
                return None
            sealed = await self._store.command("GET", name)
            found = self._opened(name, sealed)
            if found is None:
                return None
            asked, grant = found
            now, expires = self._services.now().wall, grant.principal.expires_at
            if not asked - SKEW <= now < asked + self._ttl or (expires is not None and expires <= now):
                return None
            marks = [self._name(_MARK, *mark) for mark in marks_of(grant.principal, *self._token_keys(token))]
            if any(asked <= self._marks.own.get(mark, -inf) + SKEW for mark in marks):
                return None
            told = await self._store.command("MGET", *marks)
        except StoreError:
            return None
        if not isinstance(told, list) or len(told) != len(marks):
            return None
        for mark, value in zip(marks, told, strict=True):
            if value is not None and self._revoked(mark, value, asked):
                return None
        return replace(grant, age=max(0.0, now - asked))

    def keep(self, name: bytes, grant: Grant, asked: float) -> None:
        """Tells the others, who is `grant` for, since `asked` on the wall clock. What comes of it is not waited for."""
        if grant.token is not None:
            return
        expires = grant.principal.expires_at
        now = self._services.now().wall
        until = asked + self._ttl if expires is None else min(expires, asked + self._ttl)
        value = json.dumps([asked, written(grant)], separators=(",", ":")).encode()
        if until > now and len(value) <= MAX_ENTRY:
            self._store.tell("SET", name, self._sealed(name, value), "PX", _milliseconds(until - now))

    def revoke(self, revocation: Revocation) -> int:
        """Marks what fits, and more where more than one thing is given. How much that is nobody knows: it counts as nothing."""
        mark, now = self._name(_MARK, *mark_of(revocation)), self._services.now().wall
        self._marks.unmarked[mark] = now
        self._know(mark, now)
        self._flight.join("", self._mark)
        return 0

    async def owed(self) -> str | None:
        """Why others may have yet from the store what was revoked."""
        if self._marks.unmarked:
            for left in [each._flight.join("", each._mark) for each in self._marks.caches]:  # all at once
                await left
        return f"the store of cache.shared: {self._because}" if self._marks.unmarked else None

    def _know(self, mark: bytes, now: float) -> None:
        self._marks.own.pop(mark, None)
        self._marks.own[mark] = now
        if len(self._marks.own) > MOST:
            recent = {each: at for each, at in self._marks.own.items() if now < at + self._ttl + 2 * SKEW}
            self._marks.own = recent if len(recent) <= MOST else {self._name(_MARK, *EVERYBODY): now}

    def close(self) -> None:
        self._marks.caches.remove(self)
        self._flight.close()

    async def _mark(self) -> bool:
        """Whether all marks have been left."""
        while self._marks.unmarked:
            mark, instant = next(iter(self._marks.unmarked.items()))
            value = self._sealed(mark, json.dumps(instant).encode())
            try:
                await self._store.command("SET", mark, value, "PX", _milliseconds(self._marked))
            except StoreError as error:
                if mark not in self._marks.unmarked:
                    continue  # another has left it meanwhile
                self._because = str(error)
                self._tell_owed(True)
                self._services.warn("revocation_not_shared", because=self._because)
                return False
            if self._marks.unmarked.get(mark) == instant:
                del self._marks.unmarked[mark]
        if self._marks.told:
            self._tell_owed(False)
        return True

    def _inherit(self) -> None:
        """Takes over what others have not been able to tell, whoever they were."""
        self._marks.began = True
        owed = self._marks.shelf.get(_OWED, self._services.now().monotonic)
        if owed is not None and owed.value:
            self._marks.told = True
            self.revoke(Revocation())

    def _tell_owed(self, owed: bool) -> None:
        now = self._services.now().monotonic
        until = now + self._marked
        # It is true until then, whatever is voided meanwhile; and what is said later counts, also in the same instant.
        made = self._marks.made = max(until, self._marks.made + 1e-6)
        self._marks.shelf.put(_OWED, b"1" if owed else b"", tags=(), made=made, until=until, now=now)
        self._marks.told = owed

    def _revoked(self, mark: bytes, value: Any, asked: float) -> bool:
        """Whether a mark is of a time at which the question may have been out, or cannot be read."""
        instant = self._plain(mark, value)
        return not isinstance(instant, float) or asked <= instant + SKEW

    def _opened(self, name: bytes, sealed: Any) -> tuple[float, Grant] | None:
        told = self._plain(name, sealed)
        if not isinstance(told, list):
            return None
        try:
            asked, told = told
            return float(asked), read(told)
        except (TypeError, ValueError, LookupError):
            return None

    def _token_keys(self, token: str) -> list[str]:
        spellings = (token, twin(token))
        return [self._services.keyed_hash(each.encode()) for each in spellings if each is not None]

    def _name(self, kind: bytes, *parts: bytes) -> bytes:
        told = hmac.new(self._naming, kind, hashlib.sha256)
        for part in parts:
            told.update(len(part).to_bytes(4, "big") + part)
        return self._prefix + b":" + kind + b":" + told.hexdigest().encode()

    def _cipher(self, name: bytes) -> AESGCM:
        """One key for each name, so that a random nonce is good for any number of entries."""
        return AESGCM(hmac.digest(self._sealing, name, "sha256"))

    def _sealed(self, name: bytes, value: bytes) -> bytes:
        nonce = self._services.entropy(_NONCE)
        return nonce + self._cipher(name).encrypt(nonce, value, name)

    def _plain(self, name: bytes, sealed: Any) -> Any:
        """What was sealed for `name`, or None."""
        if not isinstance(sealed, bytes) or len(sealed) <= _NONCE:
            return None
        try:
            return json.loads(self._cipher(name).decrypt(sealed[:_NONCE], sealed[_NONCE:], name))
        except (InvalidTag, ValueError):
            return None


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
