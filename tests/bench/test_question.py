"""Questions: every tool that is there gives the same answer."""

import shutil
from pathlib import Path

import pytest

from tests.bench import logfile
from tests.bench.question import LINES, TOOLS, WEIR, AnswerError, Asked, Question, counts, forgotten, shown

ALL = Question("all", "records by reason")
SOME = Question("some", "the same, of one project", logfile.project(0))


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "requests.log"
    logfile.write(path, 0, 1500)
    return path


@pytest.mark.parametrize("question", [ALL, SOME], ids=lambda question: question.name)
def test_all_tools_say_the_same(log: Path, question: Question) -> None:
    told = {}
    for tool in TOOLS:
        if tool in ("jq", "awk") and shutil.which(tool) is None:
            continue
        asked = Asked(tool, question, 1500)
        told[tool] = asked.ask(log)
        assert len(asked.seconds) == len(asked.cpu) == 1
        assert 0 <= asked.foreign <= 1
    assert all(found == told[WEIR] for found in told.values())
    total = sum(told[LINES].values())
    assert total == 1500 if question is ALL else 0 < total < 150


def test_a_tool_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(AnswerError, match="duckdb"):
        Asked("duckdb", ALL, 1).ask(tmp_path / "none.log")


def test_what_a_part_takes_is_multiplied() -> None:
    asked = Asked("jq", ALL, 100, seconds=[1.0, 3.0, 2.0])
    assert asked.of(1000) == 20.0


def test_counts_are_read_as_each_prints_them() -> None:
    assert counts("awk", "12 passed\n3 rate_limited\n") == {"passed": 12, "rate_limited": 3}
    assert counts("jq", "   12 passed\n") == {"passed": 12}
    assert counts(WEIR, '[{"reason": "passed", "requests": 12}]') == {"passed": 12}


def test_commands_are_shown_as_people_type_them() -> None:
    assert shown(WEIR, ALL) == "weir logs top --by reason"
    assert shown("awk", SOME).startswith("LC_ALL=C grep -F ")


def test_files_are_forgotten_and_stay(log: Path) -> None:
    before = log.read_bytes()
    forgotten([log])
    assert log.read_bytes() == before
