"""Who has filled a bucket."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit.consumer import FEW, Consumers


def test_the_greatest_come_first() -> None:
    consumers = Consumers()
    for who, cost in (("a", 1), ("b", 5), ("a", 1), ("c", 2)):
        consumers.count("k", who, cost, 100, fresh=False)
    consumers.count("other", "d", 9, 100, fresh=True)
    assert consumers.top("k") == (("b", 5), ("a", 2), ("c", 2))
    assert consumers.top("unknown") == ()


def test_an_empty_bucket_has_no_consumers() -> None:
    consumers = Consumers()
    consumers.count("k", "a", 3, 10, fresh=True)
    consumers.count("k", "b", 1, 10, fresh=True)
    assert consumers.top("k") == (("b", 1),)


def test_the_past_fades() -> None:
    consumers = Consumers()
    for _ in range(1000):
        consumers.count("k", "before", 1, 10, fresh=False)
    for _ in range(60):
        consumers.count("k", "now", 1, 10, fresh=False)
    assert consumers.top("k")[0][0] == "now"


def test_buckets_are_bounded() -> None:
    consumers = Consumers()
    for number in range(10_000):
        consumers.count(number, "a", 1, 10, fresh=True)
    assert len(consumers) <= 4096
    assert consumers.top(9999) == (("a", 1),)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=200))
def test_who_has_used_much_is_among_the_few(uses: list[tuple[int, int]]) -> None:
    """Space-saving: no count is too small, and none by more than its share of all is missed."""
    consumers = Consumers()
    exact: Counter[str] = Counter()
    for number, cost in uses:
        exact[str(number)] += cost
        consumers.count("k", str(number), cost, 1_000_000, fresh=False)
    told = dict(consumers.top("k"))
    assert len(told) <= FEW
    assert sum(told.values()) == exact.total()
    for who, count in told.items():
        assert exact[who] <= count
    for who, count in exact.items():
        if count > exact.total() / FEW:
            assert who in told
