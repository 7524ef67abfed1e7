"""Which of the endpoints that may take a request gets it.

A balancer is asked with the members that may, of which some may be missing from one time to the next, and goes by their
`share`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import log
from typing import Final

from gateway.upstream.member import Member

Random = Callable[[], float]
"""Gives a number from 0 to below 1."""

_BITS: Final = 52
"""Of a hash: so many, and a half behind them, are exact in a float."""


class Balancer(ABC):
    """Picks members of one group."""

    @abstractmethod
    def pick(self, members: Sequence[Member], key: bytes | None) -> Member:
        """One of `members`, which are not empty; `key` is what the request is known by."""


class RoundRobin(Balancer):
    """In turn: of n times the weights' sum each gets n times its weight, evenly spread, as nginx does it."""

    def pick(self, members: Sequence[Member], key: bytes | None) -> Member:
        best = members[0]
        total = 0.0
        for member in members:
            total += member.share
            member.turn += member.share
            if member.turn > best.turn:
                best = member
        best.turn -= total
        return best


class LeastRequest(Balancer):
    """Of two that are drawn by weight, the one with fewer requests in progress for its weight (power of two choices).

    Where nothing is in progress the draw decides, and shares go by weight.
    """

    def __init__(self, random: Random) -> None:
        self._random = random

    def pick(self, members: Sequence[Member], key: bytes | None) -> Member:
        if len(members) == 1:
            return members[0]
        one = self._draw(members, None)
        other = self._draw(members, one)
        return other if other.active * one.share < one.active * other.share else one

    def _draw(self, members: Sequence[Member], besides: Member | None) -> Member:
        total = 0.0
        for member in members:
            if member is not besides:
                total += member.share
        point = self._random() * total
        drawn = besides
        for member in members:
            if member is not besides:
                drawn = member
                point -= member.share
                if point < 0:
                    break
        assert drawn is not None
        return drawn


class ConsistentHash(Balancer):
    """The one that scores highest for the key (weighted rendezvous hashing): all gateways agree, and where one endpoint
    goes only its keys move, to all others by their weights. Without a key: in turn.
    """

    def __init__(self) -> None:
        self._turn = RoundRobin()

    def pick(self, members: Sequence[Member], key: bytes | None) -> Member:
        if key is None:
            return self._turn.pick(members, None)
        best = members[0]
        highest = -1.0
        for member in members:
            hashed = member.hash.copy()
            hashed.update(key)
            number = int.from_bytes(hashed.digest(), "big") >> (64 - _BITS)
            score = member.share / -log((number + 0.5) / (1 << _BITS))
            if score > highest:
                best, highest = member, score
        return best


def balancer(kind: str, random: Random) -> Balancer:
    """A new balancer of the kind that an upstream's `balance` names."""
    if kind == "least_request":
        return LeastRequest(random)
    return ConsistentHash() if kind == "consistent_hash" else RoundRobin()
