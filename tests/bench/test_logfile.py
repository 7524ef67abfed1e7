"""A log for the study of inspection: records as a gateway writes them, and no two alike."""

from collections import Counter
from pathlib import Path

import orjson

from tests.bench import logfile


def test_a_file_has_whole_records_in_the_order_of_time(tmp_path: Path) -> None:
    logfile.write(tmp_path / "one", 4000, 2000)
    lines = (tmp_path / "one").read_bytes().splitlines()
    records = [orjson.loads(line) for line in lines]
    assert len(records) == 2000
    assert [record["timestamp"] for record in records] == sorted(record["timestamp"] for record in records)
    assert len({record["gateway.request_id"] for record in records}) == 2000
    assert len({(record["gateway.worker"], record["gateway.sequence"]) for record in records}) == 2000
    assert not any("gateway.record_error" in record for record in records)
    assert len({record["gateway.route"] for record in records}) > 10
    assert len({record.get("gateway.project.id") for record in records}) > 300
    reasons = Counter(record["gateway.reason"] for record in records)
    assert reasons["passed"] > 1700
    assert len(reasons) > 6
    assert 2000 < sum(map(len, lines)) / len(lines) < 3000


def test_nothing_is_left_of_what_stood_for_values(tmp_path: Path) -> None:
    logfile.write(tmp_path / "one", 0, 1000)
    records = [orjson.loads(line) for line in (tmp_path / "one").read_bytes().splitlines()]
    for record in records:
        assert record["timestamp"].startswith("2026-")
        assert 0 < record["gateway.duration_ms"] < 61_000
        assert record["http.response.body.size"] < 10**9
        for attempt in record.get("gateway.upstream.attempts", ()):
            assert attempt["total_ms"] < record["gateway.duration_ms"]


def test_a_file_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        logfile.write(tmp_path / name, 700, 300)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
