"""The table of what is sent again, the pauses, and the course of one request."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.traffic import Retries
from gateway.upstream.retry import IDEMPOTENT, Course, Retry
from gateway.wheel import FAR

ALL = ["connect_failure", "reset", "timeout", 503]
BUDGET = {"percent": 100, "min_concurrent": 1000, "min_per_second": 1000}


def rules(random: float = 0.5, **options: Any) -> Retry:
    return Retry(Retries.model_validate({"budget": BUDGET, **options}), lambda: random)


def asked(**changes: Any) -> Mapping[str, Any]:
    return {"attempts": 1, "nothing_sent": False, "repeatable": True, "body_kept": True, **changes}


@pytest.mark.parametrize(
    ("on", "kind", "wanted"),
    [
        (ALL, "connect_failure", True),
        (ALL, "refused", True),
        (ALL, "reset", True),
        (ALL, "timeout", True),
        (ALL, "status", True),
        (["refused"], "refused", True),
        (["refused"], "connect_failure", False),
        (["connect_failure"], "refused", True),
        (["connect_failure"], "reset", False),
        (["reset"], "timeout", False),
        (["reset"], "refused", False),
    ],
)
def test_what_is_listed_is_tried_again(on: list[Any], kind: str, wanted: bool) -> None:
    assert rules(on=on).wants(kind, **asked()) is wanted


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"repeatable": False}, False),
        ({"repeatable": False, "nothing_sent": True}, True),
        ({"body_kept": False}, False),
        ({"body_kept": False, "nothing_sent": True}, False),
        ({"attempts": 2}, True),
        ({"attempts": 3}, False),
    ],
)
def test_a_request_goes_again_where_it_changes_nothing(changes: Mapping[str, Any], wanted: bool) -> None:
    assert rules(on=ALL, attempts=3).wants("reset", **asked(**changes)) is wanted


def test_only_methods_that_may_be_repeated_are_idempotent() -> None:
    assert {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"} == IDEMPOTENT


@given(
    number=st.integers(1, 10),
    random=st.floats(0, 0.999),
    base=st.floats(0, 2),
    most=st.floats(0, 5),
    retry_after=st.none() | st.floats(0, 100),
    left=st.floats(-1, 50),
)
def test_a_pause_is_within_its_bounds_and_within_what_is_left(
    number: int, random: float, base: float, most: float, retry_after: float | None, left: float
) -> None:
    pause = rules(random, backoff={"base": base, "max": most}).pause(number, retry_after, left)
    if pause is None:
        assert max(retry_after or 0.0, min(most, base * 2 ** (number - 1))) >= left
    else:
        assert pause < left
        assert pause >= (retry_after or 0.0)
        assert pause <= max(retry_after or 0.0, min(most, base * 2 ** (number - 1)))


def test_a_retry_after_is_waited_for_where_there_is_the_time() -> None:
    assert rules().pause(1, 3.0, 5.0) == 3.0
    assert rules().pause(1, 7.0, 5.0) is None
    assert rules().pause(1, 0.0, 5.0) == 0.0125


def test_the_budget_counts_what_it_allows_and_what_it_does_not() -> None:
    retry = rules(budget={"percent": 0, "min_concurrent": 1, "min_per_second": 1})
    assert [retry.take(0.0, retried=False), retry.take(0.0, retried=False)] == [True, False]
    assert (retry.made, retry.over_budget) == (1, 1)


def test_a_course_counts_its_attempts_and_leaves_the_budget_once() -> None:
    retry = rules(on=ALL, attempts=3, per_try_timeout="2s")
    course = Course(retry, repeatable=True, now=100.0, total=50.0)
    assert course.try_until == 102.0
    assert course.again("reset", 101.0, nothing_sent=False) == 0.0125
    assert course.try_until == pytest.approx(103.0125)
    assert course.again("timeout", 104.0, nothing_sent=False) == 0.025
    assert course.again("reset", 105.0, nothing_sent=False) is None
    assert (retry.budget.active, retry.budget.retrying) == (1, 1)
    course.over()
    course.over()
    assert (retry.budget.active, retry.budget.retrying) == (0, 0)


def test_a_body_is_kept_up_to_its_limit() -> None:
    course = Course(rules(buffer=10), repeatable=True, now=0.0, total=50.0)
    course.keep(b"12345")
    course.keep(b"67890")
    assert course.kept == [b"12345", b"67890"]
    course.keep(b"1")
    assert course.kept is None
    assert course.again("reset", 0.0, nothing_sent=False) is None
    course.keep(b"1")
    assert course.kept is None, "what is gone stays gone"


def test_nothing_is_sent_again_once_an_answer_is_passed_on_or_the_time_is_up() -> None:
    course = Course(rules(), repeatable=True, now=0.0, total=50.0)
    assert course.again("reset", 50.0, nothing_sent=False) is None
    course.settled = True
    assert course.again("reset", 0.0, nothing_sent=False) is None


def test_the_clock_of_an_attempt_begins_again_when_a_body_that_came_bit_by_bit_is_sent() -> None:
    course = Course(rules(on=["timeout"], per_try_timeout="2s"), repeatable=True, now=0.0, total=50.0)
    course.sent(30.0)
    assert course.try_until == 32.0
    plain = Course(rules(), repeatable=True, now=0.0, total=50.0)
    plain.sent(30.0)
    assert plain.try_until == FAR


def test_only_listed_statuses_are_given_up() -> None:
    course = Course(rules(on=[503, 429]), repeatable=True, now=0.0, total=50.0)
    assert [course.wants_other_than(status) for status in (200, 429, 500, 503)] == [False, True, False, True]
