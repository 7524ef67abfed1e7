"""A trail is read out as the steps that it stands for."""

from gateway.api import Note
from gateway.record import METHODS, Step, steps
from tests.support.records import Entry, step

FIRST, SECOND, THIRD = Entry("first"), Entry("second"), Entry("third")
GUARDS = (FIRST, SECOND, THIRD)
WHY = Note("rate_counted", ("limits",), {"cost": 1})


def told(trail: list[object]) -> list[tuple[str, str, int, tuple[Note, ...] | None]]:
    return [(one.entry.name, one.verdict, round(one.seconds), one.note) for one in steps(GUARDS, trail)]


def test_an_instant_is_the_pass_of_the_next_guard() -> None:
    assert told([100.0, 110.0, 130.0, 160.0]) == [
        ("first", "pass", 10, None),
        ("second", "pass", 20, None),
        ("third", "pass", 30, None),
    ]


def test_notes_belong_to_the_pass_behind_them() -> None:
    assert told([100.0, 110.0, WHY, WHY, 130.0]) == [
        ("first", "pass", 10, None),
        ("second", "pass", 20, (WHY, WHY)),
    ]


def test_a_step_takes_the_place_of_its_guard_and_time_begins_anew_behind_it() -> None:
    skipped: Step = step(SECOND, "skip", "condition_false", seconds=0.0)
    assert told([100.0, 110.0, skipped, 500.0, 507.0]) == [
        ("first", "pass", 10, None),
        ("second", "skip", 0, None),
        ("third", "pass", 7, None),
    ]


def test_a_step_of_an_entry_that_is_no_guard_takes_no_place() -> None:
    answers_only: Step = step(Entry("answers"), "skip", "condition_false", seconds=0.0)
    assert [name for name, *_ in told([100.0, answers_only, 120.0, 130.0])] == ["answers", "first"]


def test_a_late_refusal_of_a_guard_that_passed_takes_no_other_place() -> None:
    late: Step = step(FIRST, "refuse", "body_too_large", seconds=0.0, status=413)
    assert [(name, verdict) for name, verdict, *_ in told([100.0, 110.0, 120.0, late])] == [
        ("first", "pass"),
        ("second", "pass"),
        ("first", "refuse"),
    ]


def test_a_guard_that_is_passed_over_has_no_step() -> None:
    assert [(name, spent) for name, _, spent, _ in told([100.0, None, 130.0])] == [("second", 30)]


def test_an_exchange_that_met_no_chain_has_no_steps() -> None:
    assert told([]) == []


def test_methods_with_a_name_of_their_own_are_the_known_ones() -> None:
    assert {"GET", "PATCH", "TRACE"} <= METHODS
    assert "PROPFIND" not in METHODS
