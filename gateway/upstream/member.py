"""An endpoint as balancing sees it: its weight, what it does now, and how it stands."""

from hashlib import blake2b
from typing import Any, Final

from gateway.upstream.breaker import Breaker
from gateway.upstream.health import Health

NEVER: Final = float("-inf")


class Member:
    """One endpoint of a pool; instants are on the pool's clock, in seconds.

    index          its place among the pool's endpoints
    active         attempts in progress
    share          its part of the requests at the moment, by weight and slow start
    turn           the balancer's own
    failures       attempts in a row that have failed
    ejected        whether it is left out because of them, until `ejected_until`
    ejections      how often it has been
    ejected_row    the same, since it last stood for long
    returned_at    when it came back, from ejection or by its checks
    health         what its checks say, where there are any
    """

    __slots__ = (
        "active",
        "address",
        "breaker",
        "canary",
        "ejected",
        "ejected_row",
        "ejected_until",
        "ejections",
        "failures",
        "hash",
        "health",
        "index",
        "returned_at",
        "share",
        "turn",
        "weight",
    )

    def __init__(self, index: int, address: str, weight: int, *, canary: bool = False) -> None:
        self.index = index
        self.address = address
        self.weight = float(weight)
        self.canary = canary
        self.active = 0
        self.share = float(weight)
        self.turn = 0.0
        self.failures = 0
        self.ejected = False
        self.ejected_until = NEVER
        self.ejections = 0
        self.ejected_row = 0
        self.returned_at = NEVER
        self.health: Health | None = None
        self.breaker: Breaker | None = None
        self.hash: Any = blake2b(address.encode("utf-8", "surrogateescape") + b"\0", digest_size=8)

    @property
    def well(self) -> bool:
        """Whether checks and ejection leave it in."""
        return not self.ejected and (self.health is None or self.health.well)
