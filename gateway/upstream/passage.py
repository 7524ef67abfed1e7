"""A request on its way past the limits of its route and its upstream: it passes, waits for its turn, or is kept out."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

from gateway.api.exchange import Exchange
from gateway.api.verdict import Fault
from gateway.record import Attempt
from gateway.upstream.concurrency import Limiter, Waiter
from gateway.upstream.priority import Ranking


class Gate:
    """What the requests of one route have to pass: limiters in their order, and who goes first."""

    __slots__ = ("limiters", "ranking")

    def __init__(self, limiters: Sequence[Limiter], ranking: Ranking) -> None:
        self.limiters = tuple(limiters)
        self.ranking = ranking


class Passage(Waiter):
    """One exchange at a gate. `enter` is called once, and `leave` at the end, whatever happened.

    passed  it has a place with every limiter
    waited  seconds that it had to wait, all limiters together; None where it did not
    """

    waited: float | None = None
    _waits_since: float | None = None

    def __init__(
        self,
        gate: Gate,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
        on_passed: Callable[[], None],
        on_refused: Callable[[Fault], None],
    ) -> None:
        """One of the two is called once where the exchange has to wait, out of the loop; never after `leave`."""
        self._gate = gate
        self._exchange = exchange
        self._loop = loop
        self._on_passed = on_passed
        self._on_refused = on_refused
        self._taken = 0  # limiters that have given a place
        self._queued_at: Limiter | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turn: asyncio.Handle | None = None
        self.passed = False

    def enter(self) -> Fault | None:
        """The fault of a request that is kept out; None for one that has `passed`, or waits."""
        limiters = self._gate.limiters
        while self._taken < len(limiters):
            limiter = limiters[self._taken]
            if not limiter.enter():
                self.rank = self._gate.ranking.of(self._exchange)
                if not limiter.wait(self):
                    self.leave(None)
                    return limiter.fault
                self._queued_at = limiter
                if self._waits_since is None:
                    self._waits_since = monotonic()
                self._timer = self._loop.call_later(limiter.queue_timeout, self._is_late)
                return None
            self._taken += 1
        self.passed = True
        self._end_wait()
        return None

    def _end_wait(self) -> None:
        if self._waits_since is not None and self.waited is None:
            self.waited = monotonic() - self._waits_since

    def leave(self, seconds: float | None) -> None:
        """Gives up all places; the upstream's answer began after `seconds`, None where that says nothing."""
        self._stop_waiting()
        self._end_wait()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._queued_at is not None:
            limiter, self._queued_at = self._queued_at, None
            limiter.give_up(self, late=False)
        while self._taken:
            self._taken -= 1
            self._gate.limiters[self._taken].leave(seconds)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_turn(self) -> None:
        self._stop_waiting()
        self._queued_at = None
        self._taken += 1
        # Another exchange is in the midst of its end.
        self._turn = self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._turn = None
        fault = self.enter()
        if fault is not None:
            self._on_refused(fault)
        elif self.passed:
            self._on_passed()

    def on_displaced(self) -> None:
        limiter, self._queued_at = self._queued_at, None
        assert limiter is not None
        self._stop_waiting()
        self._turn = self._loop.call_soon(self._refuse, limiter.fault)

    def _is_late(self) -> None:
        limiter, self._queued_at = self._queued_at, None
        assert limiter is not None
        self._timer = None
        limiter.give_up(self, late=True)
        self._refuse(limiter.fault)

    def _refuse(self, fault: Fault) -> None:
        self._turn = None
        self.leave(None)
        self._on_refused(fault)


def latency(attempts: Sequence[Attempt]) -> float | None:
    """Seconds that the upstream took to begin its answer, or in which it did not; None where nothing is known of that."""
    if not attempts:
        return None
    last = attempts[-1]
    if last.first_byte is not None:
        return last.first_byte
    if last.error is not None and last.error.endswith("_timeout"):
        return last.total
    return None
