from dataclasses import replace

from tests.bench import report
from tests.bench.test_result import made, samples
from tests.bench.test_sample import GOOD
from tests.bench.test_session import session, whole


def test_the_text_tells_machine_versions_and_figures() -> None:
    text = report.text(whole())
    assert "a processor, 2 cores" in text
    assert "weir 1.0" in text
    assert "25.0 [24.0..26.0]" in text
    assert "transfers/s" in text
    assert "INVALID" not in text
    assert "Not measured" not in text


def test_every_bound_is_printed_beside_its_figure() -> None:
    (line,) = (
        line for line in report.text(whole()).splitlines() if "JWT not cached" in line and "W1" in line
    )
    assert line.split()[-8:] == ["0.50", "0.48..0.52", "<=", "0.70", "<=", "0.55", "aim", "met"]


def test_latency_and_memory_have_a_table_each() -> None:
    lines = report.text(whole()).splitlines()
    assert any(line.split()[:4] == ["weir", "2000", "0.30", "1.00"] for line in lines)
    assert any(line.startswith("weir     stalled upstream") and "+3.0" in line for line in lines)
    assert any("10000 connections" in line and line.endswith("10.2") for line in lines)


def test_bounds_that_were_not_measured_are_named() -> None:
    text = report.text(session(made(samples("weir", 20.0), samples("nginx", 10.0))))
    assert "Not measured" in text
    assert "W4-up: no policy / nginx, no policy" in text
    assert "memory: memory of an idle connection" in text


def test_a_missed_bound_is_seen() -> None:
    assert "MISSED" in report.text(session(made(samples("weir", 30.0), samples("nginx", 10.0))))


def test_what_makes_a_session_invalid_or_doubtful_is_said() -> None:
    text = report.text(session(made([replace(GOOD, errors=1, steal=0.2)])))
    assert "INVALID: W1: weir, round 0: 1 errors of connection." in text
    assert "Not for publishing: the hypervisor kept up to 20% of it." in text


def test_columns_of_words_are_to_the_left() -> None:
    assert report.table(("a", "b", "c"), [("word", "w", "1"), ("w", "word", "10")], words=2) == [
        "a     b      c",
        "word  w      1",
        "w     word  10",
    ]
