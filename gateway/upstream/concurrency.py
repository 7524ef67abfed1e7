"""How many requests are under way at once: a limit with a short queue, from which the highest class goes first.

Nothing here waits: who has to is told when the turn has come, or never comes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import ceil
from typing import Final

from gateway.api.verdict import Fault
from gateway.config.traffic import Concurrency
from gateway.upstream.gradient import Gradient

FULL: Final = "queue_full"
DISPLACED: Final = "displaced"
TIMEOUT: Final = "queue_timeout"
CAUSES: Final = (FULL, DISPLACED, TIMEOUT)
"""Why a request was refused: there was no place in the queue; its place went to one of a higher class; it waited too long."""


class Waiter(ABC):
    """One that waits. `rank` is that of its class, 0 for the highest."""

    rank: int = 0

    @abstractmethod
    def on_turn(self) -> None:
        """A place is taken for it. Called in the midst of another's `leave`."""

    @abstractmethod
    def on_displaced(self) -> None:
        """It waits no longer, in vain. Called in the midst of another's `wait`."""


_REASONS: Final = {"route": "route_concurrency_exceeded", "upstream": "upstream_concurrency_exceeded"}


class Limiter:
    """The requests of one route, or to one upstream.

    scope, name    "route" or "upstream", and which
    queue_timeout  seconds that one may wait; whoever waits sees to that
    fault          what a refused request is answered
    active         requests that have a place
    waiting        requests that wait for one
    refused        by cause
    """

    __slots__ = (
        "_fixed",
        "_queue",
        "active",
        "fault",
        "gradient",
        "name",
        "queue_timeout",
        "refused",
        "scope",
        "size",
        "waiting",
    )

    def __init__(self, scope: str, name: str, options: Concurrency, clock: Callable[[], float]) -> None:
        """`clock` gives seconds, and never goes back."""
        self.scope = scope
        self.name = name
        self._fixed = options.limit or 0
        adaptive = options.adaptive
        self.gradient: Gradient | None = Gradient(adaptive, clock) if adaptive is not None else None
        self.size = options.queue
        self.queue_timeout = options.queue_timeout
        self.fault = Fault(
            503,
            _REASONS[scope],
            "The service has too much to do at the moment.",
            retry_after=max(1, ceil(options.queue_timeout)),
        )
        self.active = 0
        self.waiting = 0
        self.refused: dict[str, int] = dict.fromkeys(CAUSES, 0)
        # By rank, and in the order in which they came.
        self._queue: dict[int, dict[Waiter, None]] = {}

    @property
    def limit(self) -> int:
        """How many may be under way at the moment."""
        gradient = self.gradient
        return self._fixed if gradient is None else gradient.limit

    def enter(self) -> bool:
        """Takes a place, where one is free and nobody waits for it."""
        if self.waiting or self.active >= self.limit:
            return False
        self.active += 1
        return True

    def wait(self, waiter: Waiter) -> bool:
        """Queues `waiter`; False where it is refused because the queue is full of others that go before it.

        A newcomer of a higher class takes the place of the youngest of the lowest.
        """
        if self.waiting >= self.size:
            lowest = max(self._queue) if self._queue else waiter.rank
            if lowest <= waiter.rank:
                self.refused[FULL] += 1
                return False
            youngest = next(reversed(self._queue[lowest]))
            self._remove(youngest)
            self.refused[DISPLACED] += 1
            youngest.on_displaced()
        self._queue.setdefault(waiter.rank, {})[waiter] = None
        self.waiting += 1
        return True

    def give_up(self, waiter: Waiter, *, late: bool) -> None:
        """`waiter`, which is in the queue, waits no longer: because its time is up (`late`), or it is not wanted any more."""
        self._remove(waiter)
        if late:
            self.refused[TIMEOUT] += 1

    def leave(self, seconds: float | None = None) -> None:
        """One that had a place is done; its answer began after `seconds`, None where that says nothing."""
        if seconds is not None and self.gradient is not None:
            self.gradient.sample(seconds, self.active)
        self.active -= 1
        while self.waiting and self.active < self.limit:
            first = next(iter(self._queue[min(self._queue)]))
            self._remove(first)
            self.active += 1
            first.on_turn()

    def _remove(self, waiter: Waiter) -> None:
        same = self._queue[waiter.rank]
        del same[waiter]
        if not same:
            del self._queue[waiter.rank]
        self.waiting -= 1
