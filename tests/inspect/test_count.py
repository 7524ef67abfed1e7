"""Counts: a record stands for as many as its share says, and one without a share for itself."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.inspect.count import WIDTH
from gateway.inspect.database import Database, Result
from gateway.inspect.field import BY_NAME
from gateway.inspect.grammar import parse
from tests.inspect.lines import line, write

LINE = line(1)
Row = Mapping[str, Any]

records = st.builds(
    lambda status, duration, reason, route, second, decision: {
        **LINE,
        "http.response.status_code": status,
        "gateway.duration_ms": duration,
        "gateway.reason": reason,
        "gateway.route": route,
        "gateway.decision": decision,
        "timestamp": f"2023-11-14T22:13:{second:02}.000Z",
    },
    st.sampled_from((200, 202, 404, 413, 500, None)),
    st.one_of(st.none(), st.just(0), st.floats(0.001, 100_000).map(lambda ms: round(ms, 3))),
    st.sampled_from(("passed", "rate_limited")),
    st.sampled_from(("images", None)),
    st.integers(0, 59),
    st.sampled_from(("forward", "refuse")),
)
logs = st.lists(records, max_size=20)


def answers(lines: Sequence[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """Top by reason, stats and series of a log with these records."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "requests.log"
        write(path, lines, odd=False)
        database = Database(path)
        try:
            return (
                told(database.top(BY_NAME["reason"])),
                told(database.stats()),
                told(database.series(7)),
            )
        finally:
            database.close()


def told(result: Result) -> list[Row]:
    return [dict(zip(result.names, row, strict=True)) for row in result.rows]


laws = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])


@laws
@given(logs)
def test_a_share_of_all_is_as_none(lines: list[Row]) -> None:
    assert answers([{**fields, "gateway.sample": 1.0} for fields in lines]) == answers(lines)


@laws
@given(logs, st.integers(2, 12))
def test_a_record_that_stands_for_several_counts_as_several_do(lines: list[Row], each: int) -> None:
    several = [fields for fields in lines for _ in range(each)]
    assert answers([{**fields, "gateway.sample": 1 / each} for fields in lines]) == answers(several)


@laws
@given(logs)
def test_without_shares_it_counts_records_and_tells_their_quantiles(lines: list[Row]) -> None:
    top, stats, series = answers(lines)
    if not lines:
        assert top == stats == series == []
        return
    (everything,) = [row for row in stats if (row["route"], row["filter"]) == ("(all)", "(all)")]
    statuses = [fields["http.response.status_code"] or 0 for fields in lines]
    assert everything["requests"] == len(lines) == sum(row["requests"] for row in top)
    assert len(lines) == sum(row["requests"] for row in series)
    assert everything["ok"] == sum(1 for status in statuses if 0 < status < 400)
    assert everything["4xx"] == sum(1 for status in statuses if 400 <= status < 500)
    assert everything["5xx"] == sum(1 for status in statuses if status >= 500)
    assert everything["refused"] == sum(1 for fields in lines if fields["gateway.decision"] == "refuse")
    durations = sorted(
        fields["gateway.duration_ms"] for fields in lines if fields["gateway.duration_ms"] is not None
    )
    for name, part in (("p50", 50), ("p90", 90), ("p99", 99)):
        if not durations:
            assert everything[name] is None
            continue
        exact = durations[-(-part * len(durations) // 100) - 1]
        assert exact - 0.005 <= everything[name] <= exact * WIDTH + 0.006


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two slow requests, refused, each of which stands for itself, and three quick ones that stand for ten each."""
    path = tmp_path / "requests.log"
    quick = {"gateway.sample": 0.1, "gateway.duration_ms": 2.5, "timestamp": "2023-11-14T22:13:30.250Z"}
    slow = {"gateway.reason": "rate_limited", "gateway.decision": "refuse", "gateway.duration_ms": 800.0}
    made = [line(number) | quick for number in range(3)]
    made += [line(number) | slow | {"http.response.status_code": 413} for number in range(3, 5)]
    write(path, made)
    return path


def test_counts_rates_and_quantiles_weigh_and_rows_do_not(log: Path) -> None:
    database = Database(log)
    top = [row[:7] for row in database.top(BY_NAME["reason"]).rows]
    assert top == [("passed", 30, 30, 0, 0, 0, 2.5), ("rate_limited", 2, 0, 2, 0, 2, 800.0)]
    assert [row[1] for row in database.top(BY_NAME["roles"], parse("reason = passed")).rows] == []
    (everything, *_) = database.stats().rows
    assert everything == ("(all)", "(all)", 32, 30, 2, 0, 2, 2.5, 2.5, 800.0, 3.2)
    assert [row[1] for row in database.series(60).rows] == [32]
    assert len(list(database.records().rows)) == 5
    assert len(list(database.records(parse("sample < 0.5")).rows)) == 3
    database.close()


@pytest.mark.parametrize("share", [0, -1, 7, "half", None, True])
def test_a_share_that_is_none_weighs_nothing_more(tmp_path: Path, share: object) -> None:
    path = tmp_path / "requests.log"
    path.write_text(json.dumps(LINE | {"gateway.sample": share}) + "\n")
    database = Database(path)
    assert [row[1] for row in database.top(BY_NAME["reason"]).rows] == [1]
    database.close()
