"""The same verdict for every request as other implementations give, and as models do that keep every request.

The others are the libraries `limits` and `throttled-py` with a clock that the test moves. Windows are 64 seconds and
instants whole eighths of one, so that all sums are exact and two implementations can differ only in what they mean.
"""

import threading
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import limits.storage.memory
import pytest
import throttled.utils
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.storage.memory import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter
from throttled import RateLimiterRegistry
from throttled.rate_limiter import per_duration
from throttled.store import MemoryStore as ThrottledStore

from filters.rate_limit.algorithm import Algorithm, CalendarWindow, FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.store import MemoryStore

UNIT = 64
VALUES = st.sampled_from([1, 2, 4, 8, 16])
COSTS = st.sampled_from([1, 1, 1, 2, 3])
# Eighths of a second until the next request: often none, often what one request or the whole window takes.
GAPS = st.sampled_from([0, 0, 0, 1, 8, 32, 64, 128, 512, 511, 513, 1024]) | st.integers(0, 1200)
STREAMS = st.lists(st.tuples(GAPS, st.sampled_from("ab"), COSTS), max_size=80)

Stream = list[tuple[int, str, int]]


class Clock:
    now = 64.0

    def time(self) -> float:
        return self.now

    monotonic = time


class NoTimer(threading.Timer):
    """Does not start: a thread beside the test would sweep when it likes."""

    def start(self) -> None:
        return


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits.storage.memory, "time", clock)
        patch.setattr(
            limits.storage.memory, "threading", SimpleNamespace(Timer=NoTimer, RLock=threading.RLock)
        )
        patch.setattr(throttled.utils, "time", clock)
        yield clock


class Subject:
    """The limiter, one algorithm of it."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        self._store = MemoryStore()

    def passes(self, key: str, cost: int, now: float) -> bool:
        return self._store.decide([(0, self._algorithm, key, cost)], now)[1] < 0


def moves(clock: Clock, stream: Stream, value: int) -> Iterator[tuple[str, int]]:
    """Moves the clock through a stream; a cost that could never pass is left out."""
    clock.now = 64.0 * UNIT
    for gap, key, cost in stream:
        clock.now += gap / 8
        if cost <= value:
            yield key, cost


@given(VALUES, STREAMS)
def test_fixed_windows_are_those_of_limits(clock: Clock, value: int, stream: Stream) -> None:
    subject = Subject(FixedWindow(value, UNIT))
    oracle, item = FixedWindowRateLimiter(MemoryStorage()), RateLimitItemPerSecond(value, UNIT)
    for key, cost in moves(clock, stream, value):
        expected = oracle.test(item, key, cost=cost)  # which does not count what it refuses
        if expected:
            oracle.hit(item, key, cost=cost)
        assert subject.passes(key, cost, clock.now) == expected


@given(VALUES, STREAMS)
def test_sliding_windows_are_those_of_limits(clock: Clock, value: int, stream: Stream) -> None:
    subject = Subject(SlidingWindow(value, UNIT))
    oracle, item = SlidingWindowCounterRateLimiter(MemoryStorage()), RateLimitItemPerSecond(value, UNIT)
    for key, cost in moves(clock, stream, value):
        assert subject.passes(key, cost, clock.now) == oracle.hit(item, key, cost=cost)


def _throttled(kind: str, value: int, burst: int) -> Any:
    quota = per_duration(timedelta(seconds=UNIT), value, burst=burst)
    return RateLimiterRegistry.get(kind)(quota, ThrottledStore())


@given(VALUES, STREAMS)
def test_sliding_windows_are_those_of_throttled(clock: Clock, value: int, stream: Stream) -> None:
    subject, oracle = Subject(SlidingWindow(value, UNIT)), _throttled("sliding_window", value, value)
    seen: set[tuple[str, int]] = set()
    for key, cost in moves(clock, stream, value):
        passed = subject.passes(key, cost, clock.now)
        assert passed != oracle.limit(key, cost).limited
        window = (key, int(clock.now // UNIT))
        if not passed and window not in seen:
            return  # its first request in a window is counted there even when it is refused
        seen.add(window)


@given(VALUES, st.sampled_from([1, 3, 8, 20]), STREAMS)
def test_gcra_is_that_of_throttled(clock: Clock, value: int, burst: int, stream: Stream) -> None:
    subject, oracle = Subject(Gcra(value, UNIT, burst)), _throttled("gcra", value, burst)
    for key, cost in moves(clock, stream, burst):
        assert subject.passes(key, cost, clock.now) != oracle.limit(key, cost).limited


class Model:
    """Limits by their definitions, from a list of all that has passed: (instant, cost)."""

    def __init__(self, kind: str, value: int, burst: int) -> None:
        self.kind, self.value, self.burst = kind, value, burst
        self.passed: list[tuple[float, int]] = []

    def fits(self, cost: int, now: float) -> bool:
        if self.kind == "gcra":  # a bucket that leaks: how full it is follows from what went in, and when
            level, at = 0.0, 0.0
            for instant, taken in self.passed:
                level, at = max(0.0, level - (instant - at) * self.value / UNIT) + taken, instant
            return max(0.0, level - (now - at) * self.value / UNIT) + cost <= self.burst
        if self.kind == "fixed_window":  # each opens with the first request after the last one
            opened, used = -float(UNIT), 0.0
            for instant, taken in self.passed:
                opened, used = (instant, taken) if instant >= opened + UNIT else (opened, used + taken)
            return (used if now < opened + UNIT else 0) + cost <= self.value
        window = now // UNIT  # those of the calendar and the sliding ones stand side by side
        of = [sum(cost for instant, cost in self.passed if instant // UNIT == window - ago) for ago in (0, 1)]
        share = int(of[1] * (1 - (now % UNIT) / UNIT)) if self.kind == "sliding_window" else 0
        return of[0] + share + cost <= self.value


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["gcra", "fixed_window", "sliding_window", "calendar_window"]),
            VALUES,
            st.sampled_from([1, 3, 8, 20]),
        ),
        min_size=1,
        max_size=4,
    ),
    STREAMS,
)
def test_several_limits_agree_with_their_definitions(
    kinds: list[tuple[str, int, int]], stream: Stream
) -> None:
    """Together: a request passes where every limit has room, and only then any of them counts it."""
    store, now = MemoryStore(), 64.0 * UNIT
    models: dict[tuple[int, str], Model] = {}

    def algorithm(kind: str, value: int, burst: int) -> Algorithm:
        if kind == "gcra":
            return Gcra(value, UNIT, burst)
        if kind == "calendar_window":
            return CalendarWindow(value, int(now // UNIT), (now // UNIT + 1) * UNIT)
        return (FixedWindow if kind == "fixed_window" else SlidingWindow)(value, UNIT)

    for gap, key, cost in stream:
        now += gap / 8
        mine = [models.setdefault((number, key), Model(*kind)) for number, kind in enumerate(kinds)]
        # On every second limit the request weighs nothing more than one.
        costs = [cost if number % 2 == 0 else 1 for number in range(len(kinds))]
        fits = [model.fits(cost, now) for model, cost in zip(mine, costs, strict=True)]
        charges = [(number, algorithm(*kind), key, costs[number]) for number, kind in enumerate(kinds)]
        wait, refused, _, _ = store.decide(charges, now)
        assert (refused < 0) == all(fits)
        if refused >= 0:
            assert not fits[refused] and wait > 0
            continue
        for model, cost in zip(mine, costs, strict=True):
            model.passed.append((now, cost))
