"""A circuit breaker: where too many requests fail, none are sent for a while, and then a few to see.

closed -- too many of the last requests have failed --> open
open -- its time is up --> half open
half open -- each of a few probes has succeeded --> closed, or one has failed --> open
"""

from typing import Final

from gateway.config.model import Breaker as Options

CLOSED: Final = 0
HALF_OPEN: Final = 1
OPEN: Final = 2
STATES: Final = ("closed", "half_open", "open")

_SLOTS: Final = 10
"""Parts of the window, of which the oldest is forgotten when a new one begins."""


class Breaker:
    """One breaker; instants are in seconds, on a clock that does not go back.

    state  as it was last looked at: `look` brings it up to date
    until  when an open one lets probes out
    """

    __slots__ = (
        "_epoch",
        "_failed",
        "_good",
        "_newest",
        "_options",
        "_out",
        "_slot_seconds",
        "_succeeded",
        "state",
        "until",
    )

    def __init__(self, options: Options) -> None:
        self._options = options
        self._slot_seconds = options.window / _SLOTS
        self.state = CLOSED
        self.until = 0.0
        # Counts up whenever what is in progress stops to matter: results that come late are of another state.
        self._epoch = 0
        self._out = 0  # probes that are out, or have succeeded
        self._succeeded = 0
        self._newest = 0
        self._good = [0] * _SLOTS
        self._failed = [0] * _SLOTS

    def look(self, now: float) -> int:
        """The state at `now`."""
        if self.state == OPEN and now >= self.until:
            self.state = HALF_OPEN
            self._let_out(now)
        elif self.state == HALF_OPEN and now >= self.until:
            self._let_out(now)  # the probes that are out hang: nobody waits for them
        return self.state

    def admits(self, now: float) -> bool:
        """Whether a request may be sent."""
        if self.state == CLOSED:
            return True
        return self.look(now) == HALF_OPEN and self._out < self._options.probes

    def begun(self) -> int:
        """A request that was admitted is sent; what it gives is for `over`."""
        if self.state == HALF_OPEN:
            self._out += 1
        return self._epoch

    def over(self, epoch: int, ok: bool | None, now: float) -> None:
        """A request is over; `ok` None where that says nothing of the upstream."""
        if epoch != self._epoch:
            return
        if self.state == HALF_OPEN:
            if ok is None:
                self._out -= 1
            elif not ok:
                self._open(now)
            else:
                self._succeeded += 1
                if self._succeeded >= self._options.probes:
                    self._close()
        elif self.state == CLOSED and ok is not None:
            self._count(ok, now)

    def remaining(self, now: float) -> float:
        """Seconds until it may let a request through."""
        return max(0.0, self.until - now) if self.state != CLOSED else 0.0

    def _count(self, ok: bool, now: float) -> None:
        slot = int(now / self._slot_seconds)
        gone = slot - self._newest
        if gone > 0:
            for step in range(min(gone, _SLOTS)):
                place = (slot - step) % _SLOTS
                self._good[place] = self._failed[place] = 0
            self._newest = slot
        if ok:
            self._good[slot % _SLOTS] += 1
            return
        self._failed[slot % _SLOTS] += 1
        failed = sum(self._failed)
        total = failed + sum(self._good)
        if total >= self._options.requests and failed * 100 >= self._options.percent * total:
            self._open(now)

    def _open(self, now: float) -> None:
        self.state = OPEN
        self.until = now + self._options.open
        self._epoch += 1

    def _let_out(self, now: float) -> None:
        self._epoch += 1
        self._out = self._succeeded = 0
        self.until = now + self._options.open

    def _close(self) -> None:
        self.state = CLOSED
        self._epoch += 1
        self._good = [0] * _SLOTS
        self._failed = [0] * _SLOTS
