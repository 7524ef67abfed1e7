"""Records that are in a log twice."""

from pathlib import Path
from typing import Any

import pytest

from gateway.backtest.double import Suspect, doubled, suspects
from gateway.backtest.gap import Stretch
from gateway.backtest.source import parts_of
from tests.backtest.logged import Asked, logged, text_of, written


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([(1, 40, 0, 40), (41, 60, 41, 60)], []),
        ([(1, 40, 0, 40), (21, 60, 21, 60)], [21]),
        ([(21, 60, 21, 60), (1, 40, 0, 40)], [21]),
        ([(1, 40, 0, 40), (17, 17, 17, 17)], [17]),
        ([(1, 40, 0, 40), (40, 41, 39, 41)], [40]),
        ([(1, 40, 0, 40), (1, 9, 41, 50)], []),  # another process
        ([(1, 40, 0, 42), (1, 9, 41, 50)], [1]),  # another, or not
    ],
)
def test_which_are_suspected(runs: list[tuple[int, int, float, float]], found: list[int]) -> None:
    assert sorted(each.number for each in suspects(0, [Stretch(*run, 0.0, 0.0) for run in runs])) == found


async def test_those_are_doubled_that_are_one_record(tmp_path: Path) -> None:
    plan, *lines = await logged(text_of(), [Asked(at) for at in range(5)])
    other: dict[str, Any] = {**lines[2], "gateway.request_id": "req-other"}
    suspect = Suspect(0, 3, lines[2]["gateway.facts"]["clock"])
    for more, found in (([lines[2]], suspect), ([lines[1]], None), ([other], None)):
        files = [written([plan, *lines], tmp_path / "log"), written(more, tmp_path / "more")]
        assert doubled(parts_of(files)[0], {suspect}) == found
