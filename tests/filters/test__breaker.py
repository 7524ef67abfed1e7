"""When an identity service is left alone."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from filters._breaker import Breaker


def test_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker(3, 10.0)
    for _ in range(5):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded()
    assert breaker.admits(0.0)
    for _ in range(3):
        breaker.failed(1.0)
    assert breaker.open
    assert not breaker.admits(10.9)


def test_lets_one_out_in_each_pause_and_closes_with_its_success() -> None:
    breaker = Breaker(1, 10.0)
    breaker.failed(0.0)
    assert [breaker.admits(now) for now in (9.9, 10.0, 10.1, 19.9, 20.0, 20.1)] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    breaker.succeeded()
    assert breaker.admits(20.2)


def test_a_question_that_says_nothing_of_the_service_takes_no_turn() -> None:
    breaker = Breaker(1, 10.0)
    breaker.failed(0.0)
    breaker.said_nothing(1.0)
    assert breaker.open
    for now in (10.0, 10.1, 10.2):
        assert breaker.admits(now)
        breaker.said_nothing(now)
    assert breaker.admits(10.3) and not breaker.admits(10.4)


def test_says_how_long_it_will_be() -> None:
    breaker = Breaker(1, 10.0)
    assert breaker.remaining(0.0) == 1
    breaker.failed(0.0)
    assert [breaker.remaining(now) for now in (0.0, 0.1, 9.5, 12.0)] == [10, 10, 1, 1]


@given(st.lists(st.integers(0, 240), max_size=40), st.integers(1, 4))
def test_a_service_that_fails_always_is_asked_a_few_times_and_then_once_a_pause(
    eighths: list[int], limit: int
) -> None:
    breaker = Breaker(limit, 10.0)
    now, asked = 0.0, []
    for wait in eighths:
        now += wait / 8  # of a second: sums of them are exact
        if breaker.admits(now):
            asked.append(now)
            breaker.failed(now)
    later = asked[limit - 1 :]
    assert all(second - first >= 10.0 for first, second in pairwise(later))
