"""A short soak, and that the accounts at its end would show what is wrong."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.soak.__main__ import main
from tests.soak.load import Load
from tests.soak.soak import MOST_GROWTH, Sample, account, grown, recorded


@pytest.mark.slow
def test_a_short_soak_shows_nothing_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--minutes", "0.2", "--rate", "60", "--seed", "7"])
    said = capsys.readouterr().out
    assert status == 0, said
    assert "nothing twice, nothing lost" in said


def load() -> Load:
    return Load(1, 1, clients=1, rate=1.0)


def test_what_was_done_twice_or_never_is_found() -> None:
    made = load()
    made.once, made.whole = {1, 2}, {2, 3}
    assert account(made, Counter({1: 1, 2: 1, 3: 4})) == []
    assert account(made, Counter({1: 2, 2: 1, 3: 1})) == ["1 requests were done twice: [1]"]
    assert account(made, Counter({1: 1, 2: 1})) == ["1 requests were answered, and never done: [3]"]


def test_a_record_that_is_missing_or_repeated_is_found(tmp_path: Path) -> None:
    made = load()
    made._number = 3
    made.unsent = {2}
    log = tmp_path / "log"
    log.write_text("".join(json.dumps({"url.path": f"/{number}/200/0"}) + "\n" for number in (1, 1)))
    assert recorded(made, log) == [
        "1 requests have no record: [3]",
        "1 requests have more than one record: [1]",
    ]


def test_memory_that_grows_is_found() -> None:
    flat = [Sample(0, 1), Sample(100 << 20, 1), Sample(100 << 20, 1), Sample(101 << 20, 1)]
    assert grown(flat) == []
    assert grown([*flat, Sample((101 << 20) + MOST_GROWTH, 1)]) != []
