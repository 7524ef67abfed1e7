"""Shares drawn ahead: no call for most requests, and no more too much than is promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit.algorithm import Algorithm, CalendarWindow, Closed, FixedWindow, Gcra
from filters.rate_limit.lease import Leases
from filters.rate_limit.store import Charge, MemoryStore

TIME = 2.0


class Central:
    """The common store: what the script does, in this process."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.calls = 0

    def draw(
        self, charges: tuple[Charge, ...], shares: tuple[int, ...], now: float
    ) -> tuple[int, ...] | None:
        self.calls += 1
        _, _, cells, _ = self.store.decide([(*charge[:3], 0) for charge in charges], now)
        more = [
            max(cost, min(share, algorithm.remaining(cell, now)))
            for (_, algorithm, _, cost), cell, share in zip(
                charges, cells, shares or (0,) * len(charges), strict=True
            )
        ]
        wanted = [(*charge[:3], cost) for charge, cost in zip(charges, more, strict=True)]
        return tuple(more) if self.store.decide(wanted, now)[1] < 0 else None


class Node:
    def __init__(self, central: Central, share: int) -> None:
        self.central, self.leases = central, Leases(share, TIME)
        self.ahead = 0

    def passes(self, now: float, *charges: Charge) -> bool:
        wanted = self.leases.spend(charges, now)
        if wanted is None:
            self.draw_ahead(now, charges)
            return True
        granted = self.central.draw(wanted.charges, wanted.shares, now)
        if granted is None:
            self.leases.fail(wanted)
            return False
        self.leases.keep(wanted, granted, now)
        return True

    def draw_ahead(self, now: float, charges: tuple[Charge, ...]) -> None:
        """At once, where a real one has it done beside the request."""
        wanted = self.leases.ahead(charges, now)
        if wanted is not None:
            assert wanted.shares
            assert self.leases.ahead(charges, now) is None
            granted = self.central.draw(wanted.charges, wanted.shares, now)
            if granted is None:
                self.leases.fail(wanted)
            else:
                self.leases.keep(wanted, granted, now)
                self.ahead += 1


def test_a_busy_key_asks_for_a_part_of_its_requests_only() -> None:
    central = Central()
    node = Node(central, 16)
    limit = Gcra(1000, 1.0, 1000)
    assert all(node.passes(number / 1000, (0, limit, "a", 1)) for number in range(1000))
    assert central.calls < 200
    assert central.calls - node.ahead < 10  # the others are waited for by nobody


def test_a_slow_key_loses_nothing() -> None:
    """As many pass as the limit lets through, though each comes alone."""
    node = Node(Central(), 16)
    limit = FixedWindow(10, 600.0)
    assert [node.passes(number * 50.0, (0, limit, "a", 1)) for number in range(12)] == [True] * 10 + [
        False
    ] * 2


def test_what_is_not_spent_in_time_is_lost_and_less_is_drawn_next() -> None:
    central = Central()
    node = Node(central, 8)
    limit = FixedWindow(1000, 3600.0)
    for number in range(20):
        assert node.passes(number / 100, (0, limit, "a", 1))
    size = node.leases._leases[0, "a"].size
    assert size == 8
    for number in range(1, 6):
        assert node.passes(number * TIME * 1.5, (0, limit, "a", 1))
    assert node.leases._leases[0, "a"].size < size


def test_all_or_none_is_paid() -> None:
    node = Node(Central(), 4)
    wide, narrow = Gcra(100, 1.0, 100), FixedWindow(2, 60.0)
    both: tuple[Charge, Charge] = ((0, wide, "a", 1), (1, narrow, "a", 1))
    assert [node.passes(0.0, *both) for _ in range(4)] == [True, True, False, False]
    assert node.passes(0.0, (0, wide, "a", 1))


def test_a_look_is_free() -> None:
    central = Central()
    assert Node(central, 4).passes(0.0, (0, Gcra(1, 1.0, 1), "a", 0))
    assert central.calls == 0


def test_what_was_drawn_by_other_terms_is_not_spent() -> None:
    node = Node(Central(), 64)
    limit = Gcra(1000, 1.0, 1000)
    assert all(node.passes(0.0, (0, limit, "a", 1)) for _ in range(100))
    left = node.leases._leases[0, "a"].left
    assert left > 20
    assert node.passes(0.0, (0, Gcra(1000, 1.0, 1000), "a", 1))
    assert node.leases._leases[0, "a"].left == left - 1
    assert not node.passes(0.0, (0, Closed(60.0), "a", 1))
    assert not node.leases._leases[0, "a"].left


def test_what_is_granted_by_terms_that_hold_no_more_is_not_kept() -> None:
    central = Central()
    leases = Leases(64, TIME)
    limit = Gcra(1000, 1.0, 1000)
    wanted = leases.spend([(0, limit, "a", 1)], 0.0)
    assert wanted is not None
    assert leases.spend([(0, Closed(60.0), "a", 1)], 0.0) is not None
    leases.keep(wanted, (20,), 0.0)
    again = leases.spend([(0, Closed(60.0), "a", 1)], 0.0)
    assert again is not None and again.shares  # and nobody waits for that draw
    assert central.draw(again.charges, again.shares, 0.0) is None


def test_in_one_window_of_the_calendar_the_terms_are_the_same() -> None:
    node = Node(Central(), 64)
    for number in range(100):
        end = 5000.0 + number / 1e9  # as each request has worked it out
        assert node.passes(0.0, (0, CalendarWindow(1000, 7, end), "a", 1))
    assert node.leases._leases[0, "a"].left > 20
    node.passes(0.0, (0, CalendarWindow(1000, 8, 9000.0), "a", 1))
    assert node.leases._leases[0, "a"].left <= 1


def test_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filters.rate_limit.lease._KEYS_MAX", 3)
    node = Node(Central(), 4)
    for key in range(10):
        node.passes(0.0, (0, Gcra(9, 1.0, 9), key, 1))
    assert len(node.leases._leases) == 3


_GAPS = st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.1, 0.5, TIME]) | st.floats(0, 5)


@given(
    st.tuples(st.integers(1, 20), st.sampled_from([1.0, 10.0]), st.integers(1, 30)),
    st.integers(1, 4),
    st.integers(1, 12),
    st.lists(st.tuples(_GAPS, st.integers(0, 3), st.integers(1, 2)), max_size=150),
)
def test_in_any_span_no_more_pass_than_is_promised(
    rate: tuple[int, float, int], nodes: int, share: int, stream: list[tuple[float, int, int]]
) -> None:
    value, unit, burst = rate
    central = Central()
    limit: Algorithm = Gcra(value, unit, burst)
    fleet = [Node(central, share) for _ in range(nodes)]
    passed: list[tuple[float, int]] = []
    now = 0.0
    for gap, number, cost in stream:
        now += gap
        if fleet[number % nodes].passes(now, (0, limit, "a", cost)):
            passed.append((now, cost))
    for first, (begin, _) in enumerate(passed):
        total = 0
        for end, cost in passed[first:]:
            total += cost
            beyond = min(nodes * share, TIME * value / unit)
            assert total <= burst + (end - begin) * value / unit + beyond + 1e-3


@given(
    st.integers(1, 12),
    st.integers(1, 3),
    st.lists(st.tuples(_GAPS, st.integers(0, 2), st.sampled_from("uvw")), max_size=150),
)
def test_a_limit_that_several_share_is_not_passed_by_more_either(
    share: int, nodes: int, stream: list[tuple[float, int, str]]
) -> None:
    central = Central()
    own, common = Gcra(10, 1.0, 10), Gcra(15, 1.0, 20)
    fleet = [Node(central, share) for _ in range(nodes)]
    passed: list[float] = []
    now = 0.0
    for gap, number, user in stream:
        now += gap
        if fleet[number % nodes].passes(now, (0, own, user, 1), (1, common, "all", 1)):
            passed.append(now)
    for first, begin in enumerate(passed):
        for count, end in enumerate(passed[first:], 1):
            assert count <= 20 + (end - begin) * 15 + min(nodes * share, TIME * 15) + 1e-3


@pytest.mark.parametrize("users", [5, 50])
def test_many_who_share_a_limit_have_all_of_it(users: int) -> None:
    """What is drawn for one of them is drawn for him alone, and lost to nobody."""
    central = Central()
    node = Node(central, 16)
    own, common = Gcra(10**6, 60.0, 10**6), FixedWindow(2000, 3600.0)
    passed = [
        node.passes(number / 100, (0, own, number % users, 1), (1, common, "all", 1))
        for number in range(3000)
    ]
    assert sum(passed) == 2000
    assert all(passed[:1900])
    assert central.calls < 1000 + 2000
