"""The adaptive limit: where it goes, and where it stays."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.traffic import Adaptive
from gateway.upstream.gradient import FEWEST, Gradient


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(
    gradient: Gradient, clock: Clock, seconds: float, intervals: int, *, active: int | None = None
) -> None:
    for _ in range(intervals):
        clock.now += 1.0
        for _ in range(FEWEST + 1):
            gradient.sample(seconds, gradient.limit if active is None else active)


def made(**options: float) -> tuple[Gradient, Clock]:
    clock = Clock()
    return Gradient(Adaptive.model_validate(options), clock), clock


def test_rises_while_answers_begin_as_soon_as_usual() -> None:
    gradient, clock = made()
    run(gradient, clock, 0.01, 30)
    assert gradient.limit > 35
    run(gradient, clock, 0.01, 3000)
    assert gradient.limit == 1000


def test_falls_when_they_take_longer_than_the_tolerance_and_comes_back() -> None:
    gradient, clock = made()
    run(gradient, clock, 0.01, 100)
    before = gradient.limit
    run(gradient, clock, 0.1, 10)
    assert gradient.limit < before / 2
    low = gradient.limit
    run(gradient, clock, 0.01, 30)
    assert gradient.limit > low


def test_does_not_mind_what_is_within_the_tolerance() -> None:
    gradient, clock = made(tolerance=2)
    run(gradient, clock, 0.01, 10)
    before = gradient.limit
    run(gradient, clock, 0.019, 1)
    assert gradient.limit >= before


def test_a_limit_that_is_not_made_use_of_stays() -> None:
    gradient, clock = made(start=50)
    run(gradient, clock, 0.01, 100, active=3)
    assert gradient.limit == 50


def test_a_few_samples_say_nothing() -> None:
    gradient, clock = made()
    for _ in range(FEWEST - 1):
        clock.now += 10
        gradient.sample(0.01, 20)
    assert gradient.usual is None
    gradient.sample(0.01, 20)
    assert gradient.usual == 0.01


def test_a_slower_upstream_becomes_the_rule_after_a_while() -> None:
    gradient, clock = made()
    run(gradient, clock, 0.01, 10)
    run(gradient, clock, 0.1, 400)
    assert gradient.usual is not None and gradient.usual > 0.09
    assert gradient.limit > 20


@given(
    bounds=st.tuples(st.integers(1, 50), st.integers(0, 50), st.integers(0, 500)),
    samples=st.lists(st.tuples(st.floats(0, 100), st.integers(0, 1000), st.floats(0, 3)), max_size=300),
)
def test_stays_within_its_bounds(
    bounds: tuple[int, int, int], samples: list[tuple[float, int, float]]
) -> None:
    least, more, most = bounds
    gradient, clock = made(min=least, start=least + more, max=least + more + most)
    for seconds, active, pause in samples:
        clock.now += pause
        gradient.sample(seconds, active)
        assert least <= gradient.limit <= least + more + most
