"""What is under way at entries that limit that, otherwise than it was when the log was written.

Records say what such an entry said, and how many were under way at its first limit. That is so still where no exchange is under way
that was not then, or the other way round: where fewer are, who was refused might pass, and where more are, who passed might be
refused. How long an exchange would have been under way that was refused then nobody knows, but that timeouts end it.
"""

from collections import deque
from typing import Final

from gateway.plan import Plan

_MOST: Final = 4096
"""Exchanges that are counted one by one; of more it is only known that there may be any number."""
_HELD: Final = 60.0
"""Seconds for which filters may hold an exchange, beside its upstream."""


class Flight:
    """What may be under way at one entry, on the axis of the limits.

    longest  seconds for which an exchange may be under way
    """

    __slots__ = ("_crowded", "_fewer", "_longest", "_more")

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._fewer = self._crowded = float("-inf")
        self._more: deque[float] = deque()

    def lack(self, until: float) -> None:
        """One that was under way until then may not be."""
        if until > self._fewer:
            self._fewer = until

    def add(self, now: float) -> None:
        """One may be under way from now on that was not."""
        if len(self._more) >= _MOST:
            self.crowd(now)
        else:
            self._more.append(now + self._longest)

    def crowd(self, now: float) -> None:
        """Any number may be that were not."""
        self._more.clear()
        self._crowded = max(self._crowded, now + self._longest)

    def fewer(self, now: float) -> bool:
        """Whether there may be fewer than there were."""
        return now <= self._fewer

    def more(self, now: float) -> float:
        """By how many there may be more than there were."""
        if now <= self._crowded:
            return float("inf")
        more = self._more
        while more and more[0] < now:
            more.popleft()
        return len(more)


class Flights:
    """What may be under way at the entries of a plan, by their places. `used` is whether anything has been said of any."""

    def __init__(self, plan: Plan) -> None:
        totals = [upstream.timeouts.total for upstream in plan.configuration.upstreams.values()]
        self._longest = float("inf") if plan.upgrades else max(totals, default=0.0) + _HELD
        self._of: dict[int, Flight] = {}
        self._doubtful: float | None = None
        self.used = False

    def at(self, place: int) -> Flight:
        flight = self._of.get(place)
        if flight is None:
            self.used = True
            flight = self._of[place] = Flight(self._longest)
            if self._doubtful is not None:
                flight.lack(self._doubtful)
                flight.crowd(self._doubtful)
        return flight

    def doubt(self, until: float) -> None:
        """Up to this instant any number may have been under way that were not, or the other way round."""
        self._doubtful = until if self._doubtful is None else max(self._doubtful, until)
        for flight in self._of.values():
            flight.lack(self._doubtful)
            flight.crowd(self._doubtful)
