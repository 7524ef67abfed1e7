"""The fields of records: what each reads, and that the database has the same."""

from datetime import datetime
from pathlib import Path

from gateway.inspect.database import Database
from gateway.inspect.field import FIELDS
from tests.inspect.lines import RECORDS, write


def test_names_are_told_apart_and_are_words() -> None:
    names = [field.name for field in FIELDS]
    assert len(set(names)) == len(names)
    assert all(name.replace("_", "").isalpha() for name in names)


def test_the_database_reads_what_a_record_has(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    write(path, RECORDS)
    database = Database(path)
    rows = {row[1]: row for row in database.records().rows}
    assert len(rows) == len(RECORDS)
    for record in RECORDS:
        row = rows[record["gateway.request_id"]]
        assert list(row) == [field.value(record) for field in FIELDS]
    database.close()


def test_what_is_made_of_attempts_and_steps() -> None:
    by_name = {field.name: field for field in FIELDS}
    forwarded, refused, retried, _, shadowed = RECORDS
    assert (by_name["attempts"].value(forwarded), by_name["attempts"].value(refused)) == (1, 0)
    assert by_name["upstream_time"].value(retried) == 7.5
    assert by_name["upstream_time"].value(refused) is None
    assert by_name["shadow"].value(shadowed) == ["rate_limited"]
    assert by_name["time"].value(forwarded) == datetime(2023, 11, 14, 22, 13, 20, 250_000)
