"""Leaves a service alone that fails again and again: then one question is let out for each pause.

Theory of operation. A service may be well and fail for one credential: a token that it answers 500, a request that it hangs
on. Whoever has such a one may send it at will, and must keep nobody else out. So failures count by credential:

- One that has failed `failures` times in a row is left alone by itself: a question of it is let out for each pause.
- The service is left alone where so many *different* ones (two at least) have failed with no success in between. One
  counts once, and counts only where nothing has succeeded since it was asked about: who waits for an answer while others get
  theirs says nothing of the service. Of one that was failing already when another succeeded it is known that it fails by
  itself: until it succeeds it counts no more.
- What no credential can bring about (nobody listens) counts each time, whoever asks.
- The question that is let out goes to a credential that has not failed. Those that have wait up to a pause longer, what failed
  last the longest: where nobody else comes they get their turn, and where somebody else does none of them takes his.

Any success has the service asked by all again. What this cannot tell from a service that is unwell: many credentials, each
another, that all begin to fail with nobody succeeding in between.
"""

from collections import OrderedDict
from collections.abc import Hashable
from math import ceil, inf
from typing import Final, NamedTuple

ORDINARY: Final = 2048
"""Bytes of a client's in a question that every server takes. Of more, uWSGI closes the connection (4096 bytes for all fields
by default), and a proxy before it answers 502: that says nothing of how the service is."""
MOST: Final = 1024
"""Credentials that are remembered for having failed; those that failed least recently are forgotten first."""


class _Failing(NamedTuple):
    """How often a credential has failed in a row, and the instant before which it is not asked about."""

    times: int
    until: float


class Breaker:
    """Credentials are told apart by what stands for them here, such as keyed hashes; instants are monotonic seconds, and so
    is `pause`.

    What a client's own token may have brought about for its size or form alone counts for nothing, and takes no turn of those
    that are let out (`said_nothing`).
    """

    def __init__(self, failures: int, pause: float) -> None:
        self._limit = failures
        self._different = max(2, failures)
        self._pause = pause
        self._until = 0.0
        self._succeeded = -inf
        self._unreached = 0
        self._failing: OrderedDict[Hashable, _Failing] = OrderedDict()
        self._against: OrderedDict[Hashable, None] = OrderedDict()  # of the failing, those that count

    @property
    def open(self) -> bool:
        """Whether the service is left alone, whoever asks."""
        return self._unreached >= self._limit or self._unreached + len(self._against) >= self._different

    def admits(self, now: float, who: Hashable) -> bool:
        """Whether the service may be asked about `who`; where it, or the service, is left alone True is said once in a pause."""
        failing = self._failing.get(who)
        if now < self._due(failing, who):
            return False
        if failing is not None and failing.times >= self._limit:
            self._failing[who] = failing._replace(until=now + self._pause)
        if self.open:
            self._until = now + self._pause
        return True

    def succeeded(self, now: float, who: Hashable) -> None:
        self._succeeded = now
        self._unreached = 0
        self._against.clear()
        self._failing.pop(who, None)

    def failed(self, now: float, who: Hashable, asked: float, *, alone: bool = True) -> None:
        """A question about `who` has come to nothing that was asked at the instant `asked`; `alone`: `who` may be left alone."""
        known = self._failing.pop(who, None)
        times = (known.times if known is not None else 0) + int(alone)
        self._failing[who] = _Failing(times, now + self._pause if times >= self._limit else now)
        counts = who in self._against or (known is None and asked >= self._succeeded)
        if counts:
            self._against[who] = None
            self._against.move_to_end(who)
        if len(self._failing) > max(MOST, self._different):
            forgotten, _ = self._failing.popitem(last=False)
            self._against.pop(forgotten, None)
        if counts:
            self._hold(now)

    def unreached(self, now: float, asked: float) -> None:
        """A question has come to nothing, whatever it was about."""
        if asked >= self._succeeded:
            self._unreached += 1
            self._hold(now)

    def said_nothing(self, now: float, who: Hashable) -> None:
        """A question came to nothing that says nothing of the service: the next may be asked at once."""
        self._until = min(self._until, now)
        failing = self._failing.get(who)
        if failing is not None:
            self._failing[who] = failing._replace(until=min(failing.until, now))

    def remaining(self, now: float, who: Hashable) -> int:
        """Whole seconds until it may be worth to ask again, at least one."""
        return max(1, ceil(self._due(self._failing.get(who), who) - now))

    def _hold(self, now: float) -> None:
        if self.open:
            self._until = now + self._pause

    def _due(self, failing: _Failing | None, who: Hashable) -> float:
        """The instant from which the service may be asked about `who`."""
        alone = failing.until if failing is not None else 0.0
        return max(alone, self._until + self._later(who)) if self.open else alone

    def _later(self, who: Hashable) -> float:
        """Seconds that `who` leaves the question to others that is let out."""
        if who not in self._failing:
            return 0.0
        if who not in self._against:
            return self._pause
        place = next(place for place, each in enumerate(self._against, 1) if each == who)
        return self._pause * place / len(self._against)
