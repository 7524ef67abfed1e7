"""The count of wrong passwords."""

from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth.attempt import Attempts
from gateway.api import Table
from gateway.api.testing import FrozenServices

ANNE, BOB = ("192.0.2.1", "/anne"), ("192.0.2.1", "/bob")


def table() -> Table:
    return FrozenServices().table("attempts")


def test_so_many_may_fail_and_then_the_period_is_waited_for() -> None:
    attempts = Attempts(table(), 3, 60.0)
    assert [attempts.begin(ANNE, at) for at in (0.0, 1.0, 2.0)] == [0, 0, 0]
    assert [attempts.begin(ANNE, at) for at in (2.0, 59.5)] == [58, 1]
    assert attempts.begin(BOB, 3.0) == 0
    assert attempts.begin(ANNE, 60.0) == 0


def test_one_that_was_right_clears_and_one_that_nobody_judged_does_not_count() -> None:
    attempts = Attempts(table(), 2, 60.0)
    for _ in range(5):
        assert attempts.begin(ANNE, 0.0) == 0
        attempts.undo(ANNE, 0.0)
    attempts.undo(BOB, 0.0)
    assert [attempts.begin(ANNE, 0.0) for _ in range(3)] == [0, 0, 60]
    attempts.succeeded(ANNE, 0.0)
    assert attempts.begin(ANNE, 0.0) == 0


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_never_more_than_the_limit_in_a_period(gaps: list[float]) -> None:
    attempts, at, begun = Attempts(table(), 3, 10.0), 0.0, []
    for gap in gaps:
        at += gap
        if attempts.begin(ANNE, at) == 0:
            begun.append(at)
    for first in begun:
        assert sum(first <= one < first + 10.0 for one in begun) <= 6  # two windows may meet
    assert begun


def test_all_who_share_the_table_count_together() -> None:
    shared = table()
    one, other = Attempts(shared, 2, 60.0), Attempts(shared, 2, 60.0)
    assert [one.begin(ANNE, 0.0), other.begin(ANNE, 0.0), one.begin(ANNE, 0.0)] == [0, 0, 60]
    other.undo(ANNE, 0.0)
    assert one.begin(ANNE, 0.0) == 0


def test_while_nobody_can_count_nobody_may_try() -> None:
    services = FrozenServices()
    attempts = Attempts(services.table("attempts"), 2, 60.0)
    services.table_busy = True
    assert attempts.begin(ANNE, 0.0) == 1
    attempts.undo(ANNE, 0.0)
    attempts.succeeded(ANNE, 0.0)
