"""The arithmetic of limits, as those who count again use it."""

from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit import RateLimit
from filters.rate_limit.algorithm import (
    Algorithm,
    CalendarWindow,
    Closed,
    FixedWindow,
    Gcra,
    SlidingWindow,
    algorithm_of,
)
from gateway.api.testing import build, exchange

ALGORITHMS = [
    Gcra(10, 60.0, 5, 3),
    Gcra(7, 1.0, 1),
    FixedWindow(4, 60.0, 2),
    SlidingWindow(4, 60.0),
    CalendarWindow(4, 7, 500.0, 1),
    Closed(60.0),
]
STREAM = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 6.0, 61.0]), st.integers(1, 3)), max_size=20)


@given(st.sampled_from(ALGORITHMS), STREAM)
def test_an_algorithm_is_all_in_its_spec(algorithm: Algorithm, stream: list[tuple[float, int]]) -> None:
    again = algorithm_of(algorithm.spec)
    cell, now = None, 100.0
    for pause, cost in stream:
        now += pause
        told = algorithm.charge(cell, now, cost)
        assert again.charge(cell, now, cost) == told
        if not told[0]:
            cell = told[1]


@given(
    st.sampled_from([one for one in ALGORITHMS if one.ordered]), STREAM, st.floats(0, 60), st.floats(0, 60)
)
def test_of_an_ordered_one_what_began_with_less_never_has_more(
    algorithm: Algorithm, stream: list[tuple[float, int]], one: float, other: float
) -> None:
    now = 100.0
    low, high = (now + min(one, other), 0.0, 0.0), (now + max(one, other), 0.0, 0.0)
    for pause, cost in stream:
        now += pause
        least, most = algorithm.charge(low, now, cost), algorithm.charge(high, now, cost)
        assert least[0] <= most[0]
        if not most[0]:
            low, high = least[1], most[1]
            assert low <= high


@given(st.integers(1, 5), st.floats(100, 200))
def test_the_brink_is_where_a_charge_just_fits(cost: int, now: float) -> None:
    gcra = Gcra(10, 60.0, 5)
    brink = gcra.brink(now, cost)
    assert gcra.charge(brink, now, cost)[0] == 0.0
    assert gcra.charge((brink[0] + 0.01, 0.0, 0.0), now, cost)[0] > 0.0


def test_a_filter_tells_what_it_would_charge() -> None:
    limits = [
        {"name": "all", "rate": "10/minute", "key": ["client_ip"]},
        {"name": "writes", "rate": "5/minute", "key": ["route"], "methods": ["POST"], "cost": 2},
    ]
    filter = build(RateLimit, {"limits": limits, "exempt": {"paths": ["/free"]}})
    charges = filter.charges(exchange("POST", "/a"))
    assert charges is not None and [(one.tariff.limit, one.cost) for one in charges] == [
        ("all", 1),
        ("writes", 2),
    ]
    assert charges[0].tariff.age == 60.0
    assert filter.charges(exchange("GET", "/free")) == ()
    assert filter.meter(charges[0].tariff.spec).charge(None, 0.0, 1)[0] == 0.0


def test_what_does_more_than_count_does_not_tell() -> None:
    filter = build(RateLimit, {"limits": [{"rate": "10/minute"}], "endpoint": {"path": "/limits"}})
    assert filter.charges(exchange("GET", "/limits")) is None
