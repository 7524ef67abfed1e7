"""What `token_auth` remembers of tokens: those accepted, and apart from them those refused, both bounded, in number and size.

A token is never a key here: a keyed digest stands for it. Deadlines are compared with the exchange's clock
at every hit, so that an entry is never used after its time, whenever it is dropped.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, Generic, NamedTuple, TypeVar

from filters.token_auth.access_rule import AccessRules
from filters.token_auth.tenant import TenantRules
from gateway.api import Note, Principal, Revocation
from gateway.http.fields import Fields

SHARE: Final = 16 << 10
"""Bytes that an accepted token may have to it and count as one; with more it counts as several."""
TENANTS: Final = 16
"""Of one token, that are remembered."""


class TenantScope:
    """A token that is good for several tenants, and what was made of it for those that have been named last."""

    def __init__(self, rules: TenantRules, catalog: str | None) -> None:
        self.rules = rules
        self.catalog = catalog
        self.known: dict[str, tuple[Principal, Fields]] = {}

    def remember(self, tenant: str, made: tuple[Principal, Fields]) -> None:
        if len(self.known) >= TENANTS:
            del self.known[next(iter(self.known))]
        self.known[tenant] = made


class Accepted(NamedTuple):
    """A token that a provider vouches for, with all that a request needs of it built beforehand.

    until    monotonic instant after which a provider is asked again
    expires  wall-clock second at which the token ends; infinite for never
    forward  whether the upstream sees the token
    rules    the only requests that it may be used for, or how their tenant narrows it; None for all, as it is
    twin_key  keyed hash of the token in its other spelling; None where it has no other
    """

    until: float
    expires: float
    principal: Principal
    fields: Fields
    note: Note
    forward: bool
    rules: "AccessRules | TenantScope | None" = None
    twin_key: str | None = None

    @property
    def size(self) -> int:
        """Bytes that there are to it, about: what of it has no bound of its own."""
        size = len(repr(self.principal)) + sum(len(name) + len(value) for name, value in self.fields)
        if isinstance(self.rules, TenantScope):
            return size * (1 + TENANTS)
        return size if self.rules is None else size + self.rules.size


class Refused(NamedTuple):
    """A token that was refused for good, until a monotonic instant."""

    until: float
    reason: str
    place: int | None


V = TypeVar("V")


class Recent(Generic[V]):
    """What was decided of digests, `maxsize` in all: those that were asked for least recently are forgotten first.

    A hit costs a tenth of what it costs in a cache of `cachetools`, whose methods are interpreted.

    size_of  how much each counts for, at most all; None for one each
    """

    def __init__(self, maxsize: int, size_of: Callable[[V], int] | None = None) -> None:
        self.maxsize = maxsize
        self._size_of = size_of
        self._size = 0
        self._kept: OrderedDict[bytes, tuple[V, int]] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return kept[0]

    def put(self, key: bytes, value: V) -> None:
        size = 1 if self._size_of is None else min(self.maxsize, self._size_of(value))
        self.drop(key)
        if self.maxsize <= 0:
            return
        while self._size + size > self.maxsize:
            _, (_, gone) = self._kept.popitem(last=False)
            self._size -= gone
        self._kept[key] = value, size
        self._size += size

    def drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= kept[1]

    def clear(self) -> None:
        self._kept.clear()
        self._size = 0

    def items(self) -> list[tuple[bytes, V]]:
        """All of it, what was asked for least recently first; that is not asking."""
        return [(key, value) for key, (value, _) in self._kept.items()]

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept)


class TokenCache:
    """Digests of tokens to what was decided; the least used are forgotten first. Accepted ones count by their size.

    kind   tells those of one kind from those of another, where both are kept together
    epoch  changes with all that is to be forgotten: what was asked for before may not be remembered after it
    """

    def __init__(
        self, key: bytes, size: int, negative_size: int, kind: str = "", hashed_by: str = ""
    ) -> None:
        """`hashed_by` tells the key apart by which revocations name tokens."""
        self.kind = kind
        self._hashed_by = hashed_by
        self._hash = hashlib.blake2b(key=key, digest_size=16)
        self.accepted: Recent[Accepted] = Recent(size, lambda accepted: 1 + accepted.size // SHARE)
        self.refused: Recent[Refused] = Recent(negative_size)
        self.epoch = 0

    def digest(self, token: bytes) -> bytes:
        keyed = self._hash.copy()  # a third cheaper than taking up the key each time
        keyed.update(token)
        return keyed.digest()

    def revoke(self, revocation: Revocation) -> int:
        """Forgets those who fit, and how many they were; of a token that was refused there is nothing to revoke."""
        self.epoch += 1
        revocation = revocation.known_by(self._hashed_by)
        fitting = [key for key, accepted in self.accepted.items() if _fits(revocation, accepted)]
        for key in fitting:
            self.accepted.drop(key)
        return len(fitting)

    def forget(self, place: int) -> None:
        """Forgets all that the provider of this number has vouched for."""
        self.epoch += 1
        for key in [key for key, accepted in self.accepted.items() if accepted.note.rule[1] == place]:
            self.accepted.drop(key)


def _fits(revocation: Revocation, accepted: Accepted) -> bool:
    principal = accepted.principal
    if revocation.token_key is not None and revocation.token_key == accepted.twin_key:
        principal = replace(principal, token_key=revocation.token_key)
    return revocation.fits(principal)
