"""What one worker has learned from a service of a token, for the other workers of the gateway: a shelf that they share.

It is looked at where a worker knows nothing of a token itself, before anybody is asked. Only what a service has said of a token
that it accepts lies there, under a keyed hash, in memory that no other program has, since when it was asked; a no does not, or
who brings many that are refused would drive out those that are good.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf

from filters.token_auth.entry import EVERYBODY, MAX_ENTRY, Mark, mark_of, marks_of, read, written
from filters.token_auth.provider import Grant
from gateway.api import Revocation, Services, Shelf, hashed_by


class CommonCache:
    """Entries of all workers that trust the same; `life` is how many seconds one is good for, if need be.

    A revocation takes what fits, and what was asked for before it cannot be put there any more.
    """

    def __init__(self, shelf: Shelf, life: float, services: Services) -> None:
        self._services = services
        self._shelf = shelf
        self._life = life
        self._hashed_by = hashed_by(services.keyed_hash)
        self._last: tuple[bytes, float] = b"", -inf

    def find(self, name: bytes, since: float) -> tuple[int, Grant] | None:
        """The number of the provider that has vouched for a token after an instant, and what it has said."""
        found = self._shelf.get(name, self._services.now().monotonic, since)
        if found is None or not found.value:
            return None
        try:
            place, token, told = json.loads(found.value)
            return place, replace(read(told), token=token, asked=found.made)
        except (TypeError, ValueError, LookupError):  # of a worker of another version, during an upgrade
            return None

    def keep(self, name: bytes, place: int, grant: Grant, *token_keys: str) -> None:
        """Tells the others; but once where many requests have waited for one answer."""
        asked = grant.asked
        if asked is None or self._last == (name, asked):
            return
        self._last = name, asked
        value = json.dumps([place, grant.token, written(grant)], separators=(",", ":")).encode()
        if len(value) <= MAX_ENTRY:
            tags = [_tag(mark) for mark in marks_of(grant.principal, *token_keys) if mark != EVERYBODY]
            self._put(name, value, tags, asked)

    def drop(self, name: bytes, place: int | None = None) -> None:
        """What is there of a token that is refused now, or not known any more by the provider of this number."""
        now = self._services.now().monotonic
        if place is not None:
            found = self.find(name, -inf)
            gone = found is not None and found[0] == place
        else:
            gone = self._shelf.get(name, now) is not None
        if gone:
            self._put(name, b"", (), now)

    def _put(self, name: bytes, value: bytes, tags: Sequence[bytes], made: float) -> None:
        now = self._services.now().monotonic
        self._shelf.put(name, value, tags=tags, made=made, until=made + self._life, now=now)

    def revoke(self, revocation: Revocation) -> int:
        """How many entries were taken nobody knows: it counts as nothing."""
        mark, now = mark_of(revocation.known_by(self._hashed_by)), self._services.now().monotonic
        self._shelf.withdraw(None if mark == EVERYBODY else _tag(mark), now, now + self._life)
        return 0


def _tag(mark: Mark) -> bytes:
    return b" ".join(mark)
