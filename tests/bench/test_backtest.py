"""The log that back-tests are timed with, and what they find in it."""

from pathlib import Path

import orjson
import pytest

from tests.bench import backtest


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "requests.log"
    backtest.write(path, 1500)
    return path


def test_a_log_has_so_many_records_that_six_filters_have_judged(log: Path) -> None:
    plan, *records = map(orjson.loads, log.read_bytes().splitlines())
    assert plan["kind"] == "plan"
    assert [record["gateway.sequence"] for record in records] == list(range(1, 1501))
    assert {record["gateway.reason"] for record in records} == {
        "passed",
        "rate_limited",
        "method_not_allowed",
    }
    steps = next(record["gateway.filters"] for record in records if record["gateway.decision"] == "forward")
    assert [step["type"] for step in steps] == [
        *("token_auth", "rate_limit", "methods", "uuid", "body_size", "content_type")
    ]
    assert len(steps[1]["facts"]["cells"]) == 2


@pytest.mark.parametrize("name", backtest.ROWS)
def test_it_is_judged_and_timed(name: str, log: Path) -> None:
    told = backtest.measured(name, log, 0)
    assert (told.calls, told.server) == (1500, None)
    assert told.cpu > 0
