"""Further files of the request log: all records, in their own form, and no trouble of theirs is anybody else's."""

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from gateway import log_copy
from gateway.log_copy import LogCopy
from gateway.request_log import RequestLog
from gateway.serializer import Serializer
from tests.support.records import record

FIELDS: dict[str, Any] = orjson.loads(Serializer(b"k" * 32, 0).line(record(), 1))


def copy(path: Path, text: str = "%s %M", max_size: int = 0, max_files: int = 3) -> LogCopy:
    made = LogCopy(str(path), text, max_size, max_files)
    made.open()
    return made


def test_each_form_has_a_line_for_each_record(tmp_path: Path) -> None:
    for text in ("combined", "ecs", "%s %M"):
        path = tmp_path / text[:3].strip()
        made = copy(path, text)
        made.write([FIELDS, FIELDS])
        made.close()
        lines = path.read_bytes().splitlines()
        assert len(lines) == 2
        if text == "ecs":
            assert orjson.loads(lines[0])["event.dataset"] == "weir.request"
    assert (tmp_path / "%s").read_text() == "200 passed\n200 passed\n"
    assert path.stat().st_mode & 0o007 == 0


def test_ecs_holds_nothing_that_a_reader_of_lines_could_take_for_an_end(tmp_path: Path) -> None:
    made = copy(tmp_path / "ecs", "ecs")
    made.write([{**FIELDS, "user.name": "a\u2028b\x7f\x85"}])
    made.close()
    assert (tmp_path / "ecs").read_text().splitlines() == [(tmp_path / "ecs").read_text()[:-1]]
    assert (tmp_path / "ecs").read_bytes().isascii()


def test_a_copy_is_rotated_by_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    made = copy(path, max_size=200, max_files=2)
    made.write([FIELDS] * 100)
    made.close()
    assert {found.name for found in tmp_path.iterdir()} == {"access.log", "access.log.1", "access.log.2"}
    assert all(found.stat().st_size <= 200 for found in tmp_path.iterdir())


def test_what_cannot_be_written_waits_and_then_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_copy, "MOST", 10)
    directory = tmp_path / "logs"
    directory.mkdir()
    made = copy(directory / "access.log")
    (directory / "access.log").unlink()
    directory.rename(tmp_path / "elsewhere")
    with capture_logs() as told:
        for _ in range(4):
            made.write([FIELDS] * 4)
        assert made.dropped == 8
        directory.mkdir()
        made.write([FIELDS])
        made.close()
    assert len((directory / "access.log").read_text().splitlines()) == 9
    assert [entry["event"] for entry in told] == ["log_copy_failing", "log_copy_recovered"]


def test_a_record_that_cannot_be_told_is_dropped_alone(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    made = copy(path, "%t")
    with capture_logs():
        made.write([{**FIELDS, "timestamp": "x"}, FIELDS])
    made.close()
    assert (made.dropped, len(path.read_text().splitlines())) == (1, 1)


def test_a_log_writes_its_copies_also_where_it_has_no_file_of_its_own(tmp_path: Path) -> None:
    for path in (None, str(tmp_path / "requests.log")):
        access = tmp_path / "access.log"
        log = RequestLog(
            path,
            serializer=Serializer(b"k", 0),
            max_size=0,
            max_files=1,
            queue=100,
            copies=[LogCopy(str(access), "%s", 0, 1)],
        )
        log.start()
        for _ in range(50):
            log.put(record())
        log.close()
        assert access.read_text() == "200\n" * 50
        access.unlink()


def test_a_copy_that_cannot_be_opened_keeps_the_log_from_starting(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    log = RequestLog(
        str(tmp_path / "requests.log"),
        serializer=Serializer(b"k", 0),
        max_size=0,
        max_files=1,
        queue=100,
        copies=[LogCopy(str(tmp_path / "missing" / "access.log"), "%s", 0, 1)],
    )
    with pytest.raises(FileNotFoundError):
        log.start()
    assert len(os.listdir("/proc/self/fd")) == before
