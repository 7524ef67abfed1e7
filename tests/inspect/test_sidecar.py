"""Sidecars: made of what is closed, found again whatever the file is called then, and gone with it."""

import gzip
import os
import time
from pathlib import Path

import duckdb
import pytest
import zstandard

from gateway.inspect import sidecar
from gateway.inspect.database import Database
from gateway.inspect.field import BY_NAME
from tests.inspect.lines import RECORDS, line, write

LATER = time.time() + 3600


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with two files that are closed."""
    path = tmp_path / "requests.log"
    write(path, RECORDS)
    write(path.with_name("requests.log.1"), [line(11)])
    write(path.with_name("requests.log.2"), [line(12), line(13)])
    return path


def test_what_is_closed_has_one_and_what_is_open_has_none(log: Path) -> None:
    missing = [file.name for file in sidecar.missing(log, LATER)]
    assert missing == ["requests.log.2", "requests.log.1"]
    made = sidecar.make_all(log, LATER)
    assert len(made) == 2
    assert sidecar.missing(log, LATER) == []
    assert sidecar.make_all(log, LATER) == []


def test_what_somebody_may_still_write_to_is_left_alone(log: Path) -> None:
    assert sidecar.missing(log, time.time()) == []


def test_a_file_keeps_its_own_when_it_is_renamed_or_compressed(log: Path) -> None:
    made = sidecar.make_all(log, LATER)
    one, two = log.with_name("requests.log.1"), log.with_name("requests.log.2")
    with gzip.open(log.with_name("requests.log.3.gz"), "wb") as packed:
        packed.write(two.read_bytes())
    two.unlink()
    log.with_name("requests.log.2.zst").write_bytes(zstandard.compress(one.read_bytes()))
    one.unlink()
    assert sidecar.missing(log, LATER) == []
    assert sidecar.make_all(log, LATER) == []
    assert all(file.exists() for file in made)
    database = Database(log)
    assert len(list(database.records().rows)) == len(RECORDS) + 3
    database.close()


def test_one_that_has_grown_since_is_made_anew(log: Path) -> None:
    sidecar.make_all(log, LATER)
    write(log.with_name("requests.log.1"), [line(11), line(14)])
    database = Database(log)
    assert len(list(database.records().rows)) == len(RECORDS) + 4
    database.close()
    assert [file.name for file in sidecar.missing(log, LATER)] == ["requests.log.1"]
    sidecar.make_all(log, LATER)
    assert len(list(sidecar.directory(log).iterdir())) == 2


def test_it_is_gone_when_its_file_is(log: Path) -> None:
    sidecar.make_all(log, LATER)
    stale = sidecar.directory(log) / "x.1.partial"
    stale.touch()
    log.with_name("requests.log.2").unlink()
    sidecar.make_all(log, LATER)
    assert len(list(sidecar.directory(log).iterdir())) == 1


def test_nobody_may_read_it_who_may_not_read_the_log(log: Path) -> None:
    one = log.with_name("requests.log.1")
    one.chmod(0o600)
    made = sidecar.make(log, one)
    assert made.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_none_is_told(log: Path) -> None:
    with pytest.raises(OSError, match="cannot be read"):
        sidecar.make(log, log.with_name("requests.log.9"))
    broken = log.with_name("requests.log.3.gz")
    broken.write_bytes(b"no gzip")
    assert sidecar.sidecar_of(log, broken) is None
    assert broken not in sidecar.missing(log, LATER)
    for suffix, content in ((".gz", b""), (".gz", b"\x1f\x8b"), (".zst", b""), (".zst", b"no zstd")):
        odd = log.with_name(f"requests.log.4{suffix}")
        odd.write_bytes(content)
        found = sidecar.sidecar_of(log, odd)
        assert found is None or not found.exists()
        odd.unlink()


def test_one_of_another_version_is_not_read_and_is_made_anew(log: Path) -> None:
    made = sidecar.make(log, log.with_name("requests.log.1"))
    with duckdb.connect() as connection:
        old = made.with_name(made.name.replace(f".v{sidecar.VERSION}.", f".v{sidecar.VERSION - 1}."))
        connection.execute(f"COPY (SELECT * EXCLUDE (sample) FROM '{made}') TO '{old}' (FORMAT parquet)")
    made.unlink()
    database = Database(log)
    assert sum(row[1] for row in database.top(BY_NAME["method"]).rows) == len(RECORDS) + 3
    assert len(list(database.records().rows)) == len(RECORDS) + 3
    database.close()
    assert [file.name for file in sidecar.missing(log, LATER)] == ["requests.log.2", "requests.log.1"]
    sidecar.make_all(log, LATER)
    assert made.exists() and not old.exists()


def test_a_file_that_is_renamed_meanwhile_gets_none(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, real = log.with_name("requests.log.1"), log.with_name("requests.log.2"), sidecar.sidecar_of

    def renames(path: Path, file: Path) -> Path | None:
        found = real(path, file)
        one.replace(two)
        return found

    monkeypatch.setattr(sidecar, "sidecar_of", renames)
    with pytest.raises(FileNotFoundError):
        sidecar.make(log, one)
    assert list(sidecar.directory(log).iterdir()) == []


def test_one_that_is_interrupted_leaves_nothing_that_looks_whole(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        sidecar.make(log, log.with_name("requests.log.1"))
    assert list(sidecar.directory(log).iterdir()) == []
