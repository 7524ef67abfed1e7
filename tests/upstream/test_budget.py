"""The retry budget: its two shares, and the law that bounds what an outage costs."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.budget import WINDOW, Budget


def test_a_share_of_the_requests_under_way_may_be_retries() -> None:
    budget = Budget(percent=20, min_concurrent=0, min_per_second=1000)
    for _ in range(10):
        budget.began(0.0)
    assert [budget.take(0.0, retried=False) for _ in range(4)] == [True, True, False, False]
    budget.ended(retried=True)
    assert (budget.active, budget.retrying) == (9, 1)
    assert not budget.take(0.0, retried=False), "a fifth of nine is one"


def test_some_may_be_under_way_whatever_the_share() -> None:
    budget = Budget(percent=0, min_concurrent=3, min_per_second=1000)
    budget.began(0.0)
    assert [budget.take(0.0, retried=False) for _ in range(4)] == [True, True, True, False]


def test_a_request_that_is_retried_again_is_under_way_once() -> None:
    budget = Budget(percent=0, min_concurrent=1, min_per_second=1000)
    budget.began(0.0)
    assert budget.take(0.0, retried=False)
    assert budget.take(0.0, retried=True)
    budget.ended(retried=True)
    assert (budget.active, budget.retrying) == (0, 0)


def test_what_fails_at_once_is_bounded_by_the_requests_of_the_last_seconds() -> None:
    budget = Budget(percent=10, min_concurrent=10, min_per_second=0)
    made = 0
    for _ in range(1000):
        budget.began(0.0)
        made += (retried := budget.take(0.0, retried=False))
        budget.ended(retried=retried)
    assert 95 <= made <= 100


def test_what_has_been_fades() -> None:
    budget = Budget(percent=0, min_concurrent=10, min_per_second=0.2)
    assert budget.take(0.0, retried=False)
    assert budget.take(0.0, retried=False)
    assert not budget.take(0.0, retried=False)
    assert budget.take(5 * WINDOW, retried=False)


@given(
    percent=st.floats(0, 100),
    floor=st.floats(0, 5),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), max_size=60),
)
def test_retries_never_exceed_what_the_requests_and_the_time_allow(
    percent: float, floor: float, steps: list[tuple[float, int]]
) -> None:
    """In a full outage: every attempt fails at once, and every request asks for as many retries as it can get."""
    budget = Budget(percent=percent, min_concurrent=1000, min_per_second=floor)
    now, requests, retries = 0.0, 0, 0
    for pause, count in steps:
        now += pause
        for _ in range(count):
            requests += 1
            budget.began(now)
            retried = False
            while budget.take(now, retried=retried):
                retried = True
                retries += 1
                assert retries <= 10_000
            budget.ended(retried=retried)
        assert retries <= requests * percent / 100 + floor * (now + WINDOW) + 1e-6
    assert (budget.active, budget.retrying) == (0, 0)
