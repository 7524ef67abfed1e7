"""The states of a circuit breaker and what leads from one to another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Breaker as Options
from gateway.upstream.breaker import CLOSED, HALF_OPEN, OPEN, Breaker


def breaker(**options: float) -> Breaker:
    return Breaker(Options.model_validate({"requests": 4, "window": 10, "open": 5, "probes": 2, **options}))


def done(made: Breaker, results: str, now: float) -> None:
    """Requests one after the other: `+` succeeds, `-` fails, `?` says nothing."""
    for result in results:
        assert made.admits(now)
        made.over(made.begun(), {"+": True, "-": False, "?": None}[result], now)


def test_it_opens_when_the_share_of_failures_is_reached() -> None:
    made = breaker()
    done(made, "++-", 0.0)
    assert made.state == CLOSED
    done(made, "-", 1.0)
    assert made.state == OPEN
    assert not made.admits(5.9)
    assert made.remaining(2.0) == 4.0


def test_it_stays_closed_below_the_share_and_below_the_number_of_requests() -> None:
    made = breaker()
    done(made, "---", 0.0)
    assert made.state == CLOSED
    done(made, "++++", 0.0)
    assert made.state == CLOSED
    assert made.remaining(0.0) == 0.0


def test_what_is_further_back_than_the_window_is_forgotten() -> None:
    made = breaker()
    done(made, "---", 0.0)
    done(made, "+", 10.0)
    assert made.state == CLOSED
    done(made, "--", 11.0)
    assert made.state == CLOSED
    done(made, "-", 11.0)
    assert made.state == OPEN


def test_requests_that_say_nothing_do_not_count() -> None:
    made = breaker()
    done(made, "---????", 0.0)
    assert made.state == CLOSED


def test_after_its_time_a_few_probes_are_sent_and_close_it_when_all_succeed() -> None:
    made = breaker()
    done(made, "----", 0.0)
    assert made.admits(5.0)
    one = made.begun()
    assert made.admits(5.0)
    other = made.begun()
    assert made.look(5.0) == HALF_OPEN and not made.admits(5.0)
    made.over(one, True, 5.1)
    assert not made.admits(5.1), "two are all that are sent"
    made.over(other, True, 5.2)
    assert made.state == CLOSED
    done(made, "---", 5.3)
    assert made.state == CLOSED, "what was before is forgotten"


def test_a_probe_that_fails_opens_it_again() -> None:
    made = breaker()
    done(made, "----", 0.0)
    done(made, "+-", 5.0)
    assert made.state == OPEN and made.until == 10.0


def test_a_probe_that_says_nothing_makes_room_for_another() -> None:
    made = breaker(probes=1)
    done(made, "----", 0.0)
    done(made, "??+", 5.0)
    assert made.state == CLOSED


def test_probes_that_hang_are_not_waited_for() -> None:
    made = breaker(probes=1)
    done(made, "----", 0.0)
    assert made.admits(5.0)
    hanging = made.begun()
    assert not made.admits(9.9)
    done(made, "+", 10.0)
    assert made.state == CLOSED
    made.over(hanging, False, 11.0)
    done(made, "---", 11.0)
    assert made.state == CLOSED, "its result is of another time"


@pytest.mark.parametrize("ok", [True, False])
def test_requests_from_before_it_opened_are_no_probes(ok: bool) -> None:
    made = breaker(probes=1)
    late = [made.begun() for _ in range(5)]
    done(made, "----", 0.0)
    assert made.look(5.0) == HALF_OPEN
    for epoch in late:
        made.over(epoch, ok, 5.0)
    assert made.state == HALF_OPEN
    assert made.admits(5.0)


_STEPS = st.lists(st.tuples(st.sampled_from(["begin", "good", "bad", "none"]), st.floats(0, 4)), max_size=120)


@given(_STEPS)
def test_open_lets_none_through_half_open_no_more_than_its_probes_and_it_always_lets_one_again(
    steps: list[tuple[str, float]],
) -> None:
    made = breaker()
    now = 0.0
    running: list[int] = []
    probes = 0
    for what, seconds in steps:
        now += seconds
        state, epoch = made.look(now), made._epoch
        if what == "begin":
            admitted = made.admits(now)
            assert admitted or state != CLOSED
            assert not (admitted and state == OPEN)
            if admitted:
                running.append(made.begun())
        elif running:
            made.over(running.pop(0), {"good": True, "bad": False, "none": None}[what], now)
        probes = sum(1 for number in running if number == made._epoch)
        assert made.state != HALF_OPEN or probes <= 2
        # The ways that there are.
        ways = {CLOSED: (CLOSED, OPEN), HALF_OPEN: (HALF_OPEN, CLOSED, OPEN), OPEN: (OPEN,)}
        assert made.state in ways[state]
        assert made.state == state or made._epoch > epoch
    assert made.admits(now + 5.0)
