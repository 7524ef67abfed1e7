"""How many checks have to agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Health as Options
from gateway.upstream.health import Health


def health(*, healthy: int = 2, unhealthy: int = 3) -> Health:
    return Health(Options(path="/", healthy=healthy, unhealthy=unhealthy))


@pytest.mark.parametrize("ok", [True, False])
def test_until_the_first_check_it_is_well_and_that_one_counts_alone(ok: bool) -> None:
    made = health()
    assert made.well and made.last_ok is None
    assert made.take(ok, "status 200", 12.5) is not ok
    assert made.well is ok
    told = [made.last_ok, made.last_at, made.last_detail, made.checks]
    assert told == [ok, 12.5, "status 200", 1]


def test_it_changes_sides_after_enough_results_in_a_row() -> None:
    made = health()
    changes = [made.take(ok == "+", "", 0.0) for ok in "+--+---+-++"]
    sides = "".join("x" if changed else "." for changed in changes)
    #               +--+---+-++
    assert sides == "......x...x"
    assert made.well


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(1, 4))
def test_what_it_says_is_the_last_row_that_was_long_enough(
    results: list[bool], healthy: int, unhealthy: int
) -> None:
    made = health(healthy=healthy, unhealthy=unhealthy)
    for number, ok in enumerate(results):
        before = made.well
        changed = made.take(ok, "", 0.0)
        assert changed == (made.well != before)
        needed = healthy if ok else unhealthy
        row = results[max(0, number + 1 - needed) : number + 1]
        if number == 0 or row == [ok] * needed:
            assert made.well is ok
        elif made.well is not before:
            raise AssertionError(f"changed after {results[: number + 1]}")
