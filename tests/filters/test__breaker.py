"""When a service is left alone, and when one credential alone is."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from filters._breaker import MOST, Breaker

PAUSE = 10.0


def fail(breaker: Breaker, *whose: str, now: float = 0.0) -> None:
    for who in whose:
        breaker.failed(now, who, now)


def test_opens_after_failures_of_different_credentials_in_a_row_only() -> None:
    breaker = Breaker(3, PAUSE)
    for number in range(5):
        fail(breaker, f"a{number}", f"b{number}")
        breaker.succeeded(0.0, "good")
    assert not breaker.open and breaker.admits(0.0, "new")
    fail(breaker, "x", "y", "x", "y", now=1.0)
    assert not breaker.open, "one counts once"
    fail(breaker, "z", now=1.0)
    assert breaker.open
    assert not breaker.admits(10.9, "new")


def test_at_least_two_are_needed_however_few_failures_are_borne() -> None:
    breaker = Breaker(1, PAUSE)
    fail(breaker, "bad")
    assert not breaker.admits(0.0, "bad") and breaker.admits(0.0, "new")
    fail(breaker, "other")
    assert not breaker.admits(0.0, "new")


def test_who_fails_again_and_again_is_left_alone_by_himself() -> None:
    breaker = Breaker(3, PAUSE)
    fail(breaker, "bad", "bad")
    assert breaker.admits(0.0, "bad")
    fail(breaker, "bad")
    assert [breaker.admits(now, "bad") for now in (0.0, 9.9, 10.0, 10.1, 19.9, 20.0)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert [breaker.remaining(20.0, who) for who in ("bad", "good")] == [10, 1]
    breaker.succeeded(20.5, "good")
    assert not breaker.admits(20.6, "bad"), "others' success is not his"
    breaker.succeeded(30.0, "bad")
    assert breaker.admits(30.0, "bad") and breaker.admits(30.0, "bad")


def test_who_was_failing_when_another_succeeded_counts_no_more_until_he_succeeds() -> None:
    breaker = Breaker(2, PAUSE)
    for now in (0.0, 1.0, 2.0):
        fail(breaker, "a", "b", now=now)
        assert breaker.open == (now == 0.0)
        breaker.succeeded(now, "good")
    breaker.succeeded(3.0, "a")
    breaker.succeeded(3.0, "b")
    fail(breaker, "a", "b", now=4.0)
    assert breaker.open


def test_a_failure_counts_only_where_nothing_has_succeeded_since_it_was_asked() -> None:
    breaker = Breaker(2, PAUSE)
    breaker.succeeded(1.0, "good")
    for number in range(20):
        breaker.failed(2.0, f"slow{number}", 0.5)
        breaker.unreached(2.0, 0.5)
    assert not breaker.open
    breaker.failed(3.0, "a", 1.5)
    breaker.failed(3.0, "b", 1.5)
    assert breaker.open


def test_what_no_credential_can_bring_about_counts_whoever_asks() -> None:
    breaker = Breaker(3, PAUSE)
    breaker.unreached(0.0, 0.0)
    fail(breaker, "a")
    assert not breaker.open
    breaker.unreached(0.0, 0.0)
    assert breaker.open and not breaker.admits(0.0, "new")
    breaker.succeeded(10.0, "new")
    assert not breaker.open
    alone = Breaker(1, PAUSE)
    alone.unreached(0.0, 0.0)
    assert alone.open


def test_lets_one_out_in_each_pause_and_closes_with_its_success() -> None:
    breaker = Breaker(2, PAUSE)
    fail(breaker, "a", "b")
    assert [breaker.admits(now, f"new{now}") for now in (9.9, 10.0, 10.1, 19.9, 20.0, 20.1)] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    breaker.succeeded(20.1, "new")
    assert breaker.admits(20.2, "a")


def test_those_that_have_failed_leave_the_turn_to_others_first_of_all_the_last_of_them() -> None:
    breaker = Breaker(4, PAUSE)
    fail(breaker, "known")
    breaker.succeeded(0.0, "good")
    fail(breaker, "a", "b", "c", "d")
    turns = {"a": 12.5, "b": 15.0, "c": 17.5, "d": 20.0, "known": 20.0}
    for who, turn in turns.items():
        assert not breaker.admits(turn - 0.1, who)
        assert breaker.remaining(10.0, who) == round(turn - 9.99)
    assert breaker.admits(12.5, "a")
    fail(breaker, "a", now=12.5)
    assert not breaker.admits(24.9, "a")
    assert breaker.admits(25.0, "b")


def test_a_question_that_says_nothing_of_the_service_takes_no_turn() -> None:
    breaker = Breaker(2, PAUSE)
    fail(breaker, "a", "b", "bad", "bad")
    breaker.said_nothing(1.0, "large")
    assert breaker.open
    for now in (10.0, 10.1, 10.2):
        assert breaker.admits(now, "large")
        breaker.said_nothing(now, "large")
    assert breaker.admits(10.3, "new") and not breaker.admits(10.4, "new")
    breaker.succeeded(10.4, "new")
    assert breaker.admits(10.5, "bad") and not breaker.admits(10.6, "bad")
    breaker.said_nothing(10.6, "bad")
    assert breaker.admits(10.6, "bad")


def test_says_how_long_it_will_be() -> None:
    breaker = Breaker(2, PAUSE)
    assert breaker.remaining(0.0, "new") == 1
    fail(breaker, "a", "b")
    assert [breaker.remaining(now, "new") for now in (0.0, 0.1, 9.5, 12.0)] == [10, 10, 1, 1]


def test_of_those_that_have_failed_so_many_are_remembered() -> None:
    breaker = Breaker(2, PAUSE)
    fail(breaker, "bad", "bad")
    fail(breaker, *map(str, range(MOST)))
    breaker.succeeded(0.0, "good")
    assert breaker.admits(0.0, "bad") and breaker.admits(0.0, "bad")
    many = Breaker(MOST + 2, PAUSE)
    fail(many, *map(str, range(MOST + 2)))
    assert many.open


EIGHTHS = st.lists(st.tuples(st.integers(0, 240), st.integers(0, 5)), max_size=60)
"""How long it is until somebody asks, in eighths of a second so that sums are exact, and who it is."""


@given(EIGHTHS, st.integers(1, 4))
def test_a_service_that_fails_always_is_soon_asked_once_a_pause(
    steps: list[tuple[int, int]], limit: int
) -> None:
    breaker = Breaker(limit, PAUSE)
    now = 0.0
    asked: dict[int, list[float]] = {}
    while_open: list[float] = []
    for wait, who in steps:
        now += wait / 8
        left_alone = breaker.open
        if breaker.admits(now, who):
            asked.setdefault(who, []).append(now)
            if left_alone:
                while_open.append(now)
            breaker.failed(now, who, now)
        assert breaker.open == (len(asked) >= max(2, limit)), "so many different ones, and no fewer"
    for times in asked.values():
        later = times[limit - 1 :]
        assert all(second - first >= PAUSE for first, second in pairwise(later))
    assert all(second - first >= PAUSE for first, second in pairwise(while_open))


@given(EIGHTHS, st.integers(1, 4), st.sets(st.integers(0, 5)))
def test_those_for_whom_alone_a_service_fails_keep_others_out_once_and_for_a_pause_at_most(
    steps: list[tuple[int, int]], limit: int, bad: set[int]
) -> None:
    breaker = Breaker(limit, PAUSE)
    now = failed = 0.0
    kept_out: set[int] = set()  # bad ones that have failed by the time that somebody good was kept out
    known: set[int] = set()
    for wait, who in steps:
        now += wait / 8
        if not breaker.admits(now, who):
            if who not in bad:
                assert len(known) >= max(2, limit) and now < failed + PAUSE
                kept_out |= known
        elif who in bad:
            breaker.failed(now, who, now)
            failed = now
            known.add(who)
        else:
            breaker.succeeded(now, who)
            if kept_out:
                # From now on nobody needs them: only those could keep others out that have not failed yet.
                for each in kept_out:
                    breaker.failed(now, each, now)
                assert breaker.admits(now, who)
                kept_out.clear()


@given(EIGHTHS, st.integers(1, 4), st.integers(0, 5))
def test_whoever_goes_on_asking_is_asked_about_within_two_pauses(
    steps: list[tuple[int, int]], limit: int, who: int
) -> None:
    breaker = Breaker(limit, PAUSE)
    now = 0.0
    for wait, each in steps:
        now += wait / 8
        if breaker.admits(now, each):
            breaker.failed(now, each, now)
    assert breaker.admits(now + 2 * PAUSE, who)
    breaker.succeeded(now + 2 * PAUSE, who)
    assert breaker.admits(now + 2 * PAUSE, "anybody new")
