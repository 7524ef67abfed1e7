import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import fromstring

from tests.bench import page
from tests.bench.test_result import made, samples
from tests.bench.test_sample import GOOD
from tests.bench.test_session import session, whole


def test_the_page_and_its_picture_are_written_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "bench.md"
    page.write(whole(), path)
    assert {each.name for each in path.parent.iterdir()} == {"bench.md", "bench.svg"}
    assert "](bench.svg)" in path.read_text()
    assert fromstring((path.parent / "bench.svg").read_text()).tag.endswith("svg")


def test_the_page_tells_how_it_was_made() -> None:
    text = page.page(whole(), "bench.svg")
    for part in (
        "a processor, 2 cores",
        "2026-11-24 12:00 UTC",
        "`python -m tests.bench`",
        "make bench-report",
    ):
        assert part in text
    assert "| weir | 1.0 |" in text
    assert "| weir | one route, no filter, no log |" in text


def test_every_bound_is_in_the_first_table() -> None:
    text = page.page(whole(), "bench.svg")
    bounds = text[text.index("## Bounds") : text.index("## Other comparisons")]
    assert bounds.count("<=") == 27
    assert (
        "| W1 | full policy / Envoy with policy, JWT not cached | 0.50 | 0.48..0.52 | <= 0.70 | <= 0.55 | aim met |"
        in bounds
    )
    assert "not measured" not in bounds


def test_a_bound_that_was_not_measured_is_not_passed_over() -> None:
    text = page.page(session(made(samples("weir", 20.0), samples("nginx", 10.0))), "bench.svg")
    assert "| W3 | no policy / Envoy, no policy | not measured |  | <= 1.00 | <= 0.70 |  |" in text
    assert "## Memory" not in text


def test_all_tables_are_tables() -> None:
    """Every row has as many columns as its head, and no row stands alone."""
    text = page.page(whole(), "bench.svg")
    columns = [re.sub(r"\\\|", "", line).count("|") for line in text.splitlines()]
    for above, below in pairwise(columns):
        assert not above or not below or above == below
    assert len(re.findall(r"\n\n(?:\|.*\|\n)(?:\|(?: -+:? \|)+\n)(?:\|.*\|\n)+\n", text)) == 15


def test_a_reader_is_warned_before_any_figure() -> None:
    text = page.page(session(made([replace(GOOD, errors=1, foreign=0.3)])), "bench.svg")
    warning = text.index("> - **Invalid**: W1: weir, round 0: 1 errors of connection.")
    doubt = text.index("> - **Not for publishing**: others used up to 30% of the core under test.")
    assert warning < doubt < text.index("## Bounds")


def test_the_picture_has_what_was_measured() -> None:
    panels = page.panels(whole())
    assert [panel.title.split(":")[0] for panel in panels] == [
        "W1",
        "W3",
        "W4-up",
        "decisions",
        "limits",
        "Latency at 2,000 requests a second",
    ]
    first, large = panels[0], panels[2]
    assert [bar.label for bar in first.bars if bar.own] == ["weir", "weir+policy"]
    assert [bar.label for bar in large.bars] == ["nginx", "weir"]
    assert large.axis == "CPU milliseconds per transfer (less is better)"
    assert [bar.value for bar in large.bars] == [2.0, 3.0]


def test_what_decides_is_in_the_picture_and_what_it_asks_beside_it_only() -> None:
    (decisions,) = (panel for panel in page.panels(whole()) if panel.title.startswith("decisions"))
    assert [(bar.label, bar.value, bar.own) for bar in decisions.bars] == [
        ("memory", 1.0, True),
        ("shared", 2.0, True),
        ("redis", 12.0, True),
        ("limits", 20.0, False),
    ]
    assert decisions.axis == "CPU microseconds per decision (less is better)"
    text = page.page(whole(), "bench.svg")
    section = text[text.index("## What limits cost") : text.index("## Subjects")]
    assert "| redis, server | 20.0 " in section
    assert "| weir+limits | 28.0 " in section
    assert "| shared | all workers of a machine, in memory that they share |" in section


def test_a_session_without_workloads_has_a_page() -> None:
    assert "not measured" in page.page(session(), "bench.svg")
