"""The page of the study: what was found, beside what it must be, and what makes it unfit for publishing."""

from tests.bench.inspection import QUESTIONS
from tests.bench.inspection_page import page, panels, text
from tests.bench.question import MUST, Asked, Study


def study(seconds: float, foreign: float = 0.0) -> Study:
    machine = {"cpu": "a processor", "cores": "2", "kernel": "Linux", "load": "0.10 0.10 0.10"}
    made = Study("python -m tests.bench.inspection", "today", machine, {"jq": "jq-1.6"}, 3, records=1000)
    made.closed, made.part, made.plain, made.packed, made.sidecars = 800, 100, 2_000_000, 300_000, 90_000
    made.made, made.compressed = [(2.0, 1.0)] * 4, [(1.0, 0.5)] * 4
    for question in QUESTIONS:
        own = Asked("weir", question, 1000, 2.0, [seconds] * 3, [1.0] * 3, foreign)
        made.asked += [own, Asked("jq", question, 100, 9.0, [4.0, 5.0, 6.0], [4.0] * 3)]
    return made


def test_what_the_others_take_for_a_part_is_multiplied() -> None:
    made = study(1.0)
    assert "| records by reason | jq, sort, uniq | 100 | 5.00 [4.00..6.00] | 9.00 | 4.00 | 50.0 |" in page(
        made, "x.svg"
    )
    first, _ = panels(made)
    assert first.title == "Records by reason"
    assert [(bar.label, bar.value, bar.low, bar.high, bar.own) for bar in first.bars] == [
        ("weir", 1.0, 1.0, 1.0, True),
        ("jq", 50.0, 40.0, 60.0, False),
    ]


def test_the_bound_is_told_as_held_or_missed() -> None:
    assert "1.00 s; must be no more than 5 s: held" in page(study(1.0), "x.svg")
    late = study(MUST + 1)
    assert "6.00 s; must be no more than 5 s: MISSED" in text(late)
    assert not late.held


def test_a_busy_machine_makes_a_page_that_is_not_for_publishing() -> None:
    assert "Not for publishing" not in page(study(1.0), "x.svg")
    assert "> - **Not for publishing**: others used up to 40% of the machine." in page(
        study(1.0, 0.4), "x.svg"
    )
    assert "Not for publishing: others used up to 40% of the machine." in text(study(1.0, 0.4))


def test_upkeep_is_told_for_a_million_records() -> None:
    assert "| sidecars of 800 records | 8 s, 4 s of CPU; 10000.0 s and 5000.0 s for a million |" in page(
        study(1.0), "x.svg"
    )
