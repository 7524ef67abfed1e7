"""Records as a table: what is found, in which files, and that nothing else can be reached through it."""

import gzip
import os
from datetime import datetime
from pathlib import Path

import pytest

from gateway.inspect import compression, sidecar
from gateway.inspect.database import Database, Failed
from gateway.inspect.field import BY_NAME
from gateway.inspect.grammar import parse
from gateway.inspect.period import Period
from tests.inspect.lines import RECORDS, line, write


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "requests.log"
    write(path, RECORDS)
    return path


def ids(database: Database, text: str = "") -> list[str]:
    found = database.records(parse(text), columns=[BY_NAME["request_id"]])
    return [str(row[0])[:12] for row in found.rows]


def test_records_come_newest_first_from_all_files_of_the_log(log: Path) -> None:
    with gzip.open(log.with_name("requests.log.1.gz"), "wt") as old:
        old.write(log.read_text())
    write(log, [line(9, wall=1_800_000_000.0)])
    database = Database(log)
    found = ids(database)
    assert found[0] == "req-00000009"
    assert len(found) == 1 + len(RECORDS)
    database.close()


def test_a_period_begins_with_its_first_instant_and_ends_before_its_last(log: Path) -> None:
    begin, end = datetime(2023, 11, 14, 22, 14, 20), datetime(2023, 11, 14, 23, 13, 20, 500_000)
    database = Database(log, Period(begin, end))
    assert ids(database) == ["req-00000002"]
    database.close()


def test_a_file_that_was_written_to_before_the_period_is_not_read(log: Path) -> None:
    old = log.with_name("requests.log.1")
    old.write_text(log.read_text())
    os.utime(old, (1_700_000_000, 1_700_000_000))
    since = datetime(2023, 11, 14, 22, 13, 21)
    database = Database(log, Period(since=since))
    assert database.files == 1
    database.close()


def test_a_log_of_no_records_is_empty(tmp_path: Path) -> None:
    database = Database(tmp_path / "requests.log")
    assert ids(database) == []
    assert list(database.stats().rows) == []
    database.close()


def test_sidecars_say_what_the_lines_say(log: Path) -> None:
    old = log.with_name("requests.log.1")
    log.rename(old)
    log.touch()
    plain = Database(log)
    expected = [list(plain.records().rows), list(plain.top(BY_NAME["route"]).rows), list(plain.stats().rows)]
    plain.close()
    made = sidecar.make(log, old)
    old.write_bytes(old.read_bytes()[:0] + old.read_bytes())  # untouched: the sidecar is of it
    quick = Database(log)
    assert [
        list(quick.records().rows),
        list(quick.top(BY_NAME["route"]).rows),
        list(quick.stats().rows),
    ] == expected
    quick.close()
    assert made.exists()


def test_a_query_goes_on_while_its_files_are_compressed_and_rotated(log: Path) -> None:
    one = log.with_name("requests.log.1")
    write(one, [line(7)])
    database = Database(log)
    compression.compress(log, one, "gzip")
    log.with_name("requests.log.1.gz").rename(log.with_name("requests.log.2.gz"))
    log.rename(one)
    write(log, [line(8)])
    assert sorted(ids(database)) == sorted([*(f"req-{number:08}" for number in range(1, 6)), "req-00000007"])
    assert [row[1] for row in database.top(BY_NAME["method"]).rows] == [5, 1]
    database.close()


def test_top_counts_values_and_each_of_several(log: Path) -> None:
    database = Database(log)
    top = database.top(BY_NAME["status"], limit=2)
    assert list(top.names)[:6] == ["status", "requests", "ok", "4xx", "5xx", "refused"]
    assert [row[:2] for row in top.rows] == [(200, 3), (405, 1)]
    assert {row[0]: row[1] for row in database.top(BY_NAME["roles"]).rows} == {"member": 2, "reader": 2}
    assert [row[:2] for row in database.top(BY_NAME["method"], parse("status = 405")).rows] == [("GET", 1)]
    database.close()


def test_stats_are_of_all_of_each_route_and_of_each_filter(log: Path) -> None:
    database = Database(log)
    stats = database.stats()
    rows = {row[:2]: dict(zip(stats.names, row, strict=True)) for row in stats.rows}
    assert rows["(all)", "(all)"]["requests"] == len(RECORDS)
    assert rows["images", "(all)"]["4xx"] == 1
    assert rows["images", "methods"]["refused"] == 1
    assert rows["(none)", "(none)"]["requests"] == 1
    span = 3600.25
    assert rows["(all)", "(all)"]["per second"] == pytest.approx(len(RECORDS) / span, abs=0.01)
    database.close()


def test_what_is_exported_are_the_records_that_were_asked_for(log: Path, tmp_path: Path) -> None:
    import duckdb

    target = tmp_path / "elsewhere" / "out.parquet"
    target.parent.mkdir()
    database = Database(log, target=target)
    assert database.export(parse("status = 405"), target) == 1
    database.close()
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT status, reason FROM read_parquet(?)", [str(target)]).fetchall()
    assert rows == [(405, "method_not_allowed")]


def test_a_select_of_an_operators_own(log: Path) -> None:
    database = Database(log)
    found = database.sql("SELECT route, count(*) AS n FROM records GROUP BY route ORDER BY n DESC")
    assert (list(found.names), list(found.rows)) == (["route", "n"], [("images", 4), (None, 1)])
    database.close()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/*')",
        "COPY records TO 'requests.log'",
        "DROP VIEW records",
        "SET enable_external_access = true",
        "SELECT 1; SELECT 2",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "SELECT getenv('HOME')",
        "CREATE TABLE t AS SELECT 1",
        "SELEKT",
        "",
    ],
)
def test_nothing_else_is_read_or_written_by_it(log: Path, text: str) -> None:
    before = log.read_bytes()
    database = Database(log)
    with pytest.raises(Failed):
        list(database.sql(text).rows)
    assert len(ids(database)) == len(RECORDS)
    database.close()
    assert log.read_bytes() == before


def test_it_is_told_how_far_a_question_has_come(log: Path) -> None:
    told: list[float] = []
    database = Database(log, progress=told.append)
    text = "SELECT max(hash(a.range, b.range)) FROM range(3000) a, range(30000) b"
    assert len(list(database.sql(text).rows)) == 1
    assert all(0 <= percent <= 100 for percent in told)
    database.close()
