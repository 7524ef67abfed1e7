"""A concurrency limit that follows the upstream's latency: the gradient of Netflix's concurrency-limits (Gradient2).

Every interval the median of the seconds that answers took to begin is held against what is usual. While it is within the
tolerance, the limit grows by about its square root, the requests that may queue inside the upstream; beyond, it shrinks in
proportion, by half at the most, smoothed. What is usual follows a faster upstream within some ten intervals, and a slower
one within some hundred, so that an overload is not soon taken for the rule. A limit that is not made use of says nothing,
and does not grow.
"""

from collections.abc import Callable
from math import sqrt
from typing import Final

from gateway.config.traffic import Adaptive

FEWEST: Final = 10
"""Samples that an interval needs; with fewer it goes on."""
MOST: Final = 1000
"""Samples of an interval that are kept; those beyond say nothing new."""
SMOOTHING: Final = 0.2
FASTER: Final = 0.1
SLOWER: Final = 0.01


class Gradient:
    """`limit` is a whole number between the bounds of the options. `clock` gives seconds."""

    __slots__ = (
        "_busiest",
        "_clock",
        "_ends",
        "_estimate",
        "_interval",
        "_max",
        "_min",
        "_samples",
        "_tolerance",
        "limit",
        "usual",
    )

    def __init__(self, options: Adaptive, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._min = options.min
        self._max = options.max
        self._tolerance = options.tolerance
        self._interval = options.interval
        self._estimate = float(options.start)
        self._samples: list[float] = []
        self._busiest = 0
        self._ends = clock() + options.interval
        self.limit = options.start
        self.usual: float | None = None
        """Seconds that answers usually take to begin; None before there is a first measurement."""

    def sample(self, seconds: float, active: int) -> None:
        """An answer began after `seconds`; `active` requests were under way, this one included."""
        if active > self._busiest:
            self._busiest = active
        if len(self._samples) < MOST:
            self._samples.append(seconds)
        now = self._clock()
        if now >= self._ends and len(self._samples) >= FEWEST:
            self._settle(now)

    def _settle(self, now: float) -> None:
        samples = sorted(self._samples)
        median = max(samples[len(samples) // 2], 1e-6)
        used = self._busiest * 2 >= self.limit
        self._samples = []
        self._busiest = 0
        self._ends = now + self._interval
        usual = self.usual
        if usual is None:
            usual = median
        else:
            usual += (median - usual) * (FASTER if median < usual else SLOWER)
        self.usual = usual
        gradient = max(0.5, min(1.0, self._tolerance * usual / median))
        estimate = self._estimate
        wanted = estimate * gradient + sqrt(estimate)
        if wanted > estimate and not used:
            return
        estimate += (wanted - estimate) * SMOOTHING
        self._estimate = max(float(self._min), min(float(self._max), estimate))
        self.limit = int(self._estimate)
