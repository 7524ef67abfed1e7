"""The request log: nothing waits, nothing is lost unseen."""

import errno
import gzip
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from structlog.testing import capture_logs

from gateway import request_log as request_log_module
from gateway.request_log import LogFile, RequestLog
from gateway.sampling import Sampling
from gateway.serializer import Serializer
from gateway.shared.memory import SharedMemory
from tests.support.records import WALL, record, refused

KEY = b"k" * 32


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        threading.Event().wait(0.005)


@contextmanager
def log(path: Path | str | None, **options: Any) -> Iterator[RequestLog]:
    settings = {
        "max_size": 1 << 20,
        "max_files": 3,
        "queue": 1000,
        "clock": lambda: 1_700_000_000.0,
        **options,
    }
    request_log = RequestLog(None if path is None else str(path), serializer=Serializer(KEY, 0), **settings)
    request_log.start()
    try:
        yield request_log
    finally:
        request_log.close()


def sequences(*paths: Path) -> list[int]:
    return [
        fields["gateway.sequence"]
        for path in paths
        for fields in map(orjson.loads, path.read_bytes().splitlines())
        if fields["kind"] == "request"
    ]


def test_close_writes_everything_that_was_put(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path) as request_log:
        for _ in range(500):
            request_log.put(record())
    assert sequences(path) == list(range(1, 501))
    assert (request_log.depth, request_log.dropped) == (0, 0)
    assert path.stat().st_mode & 0o007 == 0


def test_records_appear_without_closing(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path) as request_log:
        request_log.put(record())
        until(lambda: path.stat().st_size > 0)
        request_log.put(record())
        until(lambda: len(path.read_bytes().splitlines()) == 2)
    assert sequences(path) == [1, 2]


def test_many_lines_do_not_wait_for_the_time_that_few_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log_module, "_INTERVAL", 3600.0)
    path = tmp_path / "requests.log"
    with log(path) as request_log:
        for _ in range(200):
            request_log.put(record())
        until(lambda: len(path.read_bytes().splitlines()) >= 128)
        for _ in range(200):
            request_log.put(record())
        until(lambda: len(path.read_bytes().splitlines()) >= 256)
    assert sequences(path) == list(range(1, 401))


def test_a_full_queue_drops_counts_and_leaves_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    drops: list[int] = []
    held, release = threading.Event(), threading.Event()

    def hold(fields: Mapping[str, Any]) -> None:
        held.set()
        release.wait(10)

    with log(path, queue=2, on_drop=drops.append) as request_log:
        request_log.subscribe(hold)
        request_log.put(record())
        assert held.wait(10)
        for _ in range(5):
            request_log.put(record())
        assert request_log.depth == 2
        assert request_log.dropped == 3
        release.set()
        until(lambda: request_log.depth == 0)
        request_log.put(record())
    assert sequences(path) == [1, 2, 3, 7]
    assert sum(drops) == 3


def test_put_after_close_is_a_drop(tmp_path: Path) -> None:
    with log(tmp_path / "requests.log") as request_log:
        pass
    request_log.put(record())
    assert (request_log.dropped, request_log.depth) == (1, 0)
    request_log.close()


def test_rotation_loses_nothing_and_keeps_lines_whole(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path, max_size=5000, max_files=50) as request_log:
        for count in range(1, 101):
            request_log.put(record())
            if count % 10 == 0:
                until(lambda: request_log.depth == 0)
    rotated = sorted(tmp_path.glob("requests.log.*"), key=lambda file: -int(file.suffix[1:]))
    assert len(rotated) >= 5
    assert sequences(*rotated, path) == list(range(1, 101))


def test_rotation_keeps_no_more_files_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    (tmp_path / "requests.log.1.gz").write_bytes(gzip.compress(b"old"))
    file = LogFile(str(path), 10, 2)
    for number in range(5):
        file.append(b"line of file %d\n" % number)
    file.close()
    assert sorted(other.name for other in tmp_path.iterdir()) == [
        "requests.log",
        "requests.log.1",
        "requests.log.2",
    ]
    assert path.read_bytes() == b"line of file 4\n"
    assert (tmp_path / "requests.log.2").read_bytes() == b"line of file 2\n"


def test_a_rotated_file_that_was_compressed_moves_along(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    (tmp_path / "requests.log.1.gz").write_bytes(b"packed")
    file = LogFile(str(path), 10, 3)
    file.append(b"one two three\n")
    file.append(b"four five six\n")
    file.close()
    assert (tmp_path / "requests.log.2.gz").read_bytes() == b"packed"
    assert (tmp_path / "requests.log.1").read_bytes() == b"one two three\n"


def test_a_file_is_rotated_by_the_age_of_its_first_record(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    now = [1_700_000_000.0]
    preamble = b'{"kind":"plan","timestamp":"2020-01-01T00:00:00.000Z"}\n'

    def opened() -> LogFile:
        file = LogFile(str(path), 0, 3, max_age=3600, clock=lambda: now[0])
        file.preamble = preamble
        return file

    def record_at(wall: float) -> bytes:
        at = datetime.fromtimestamp(wall, UTC).isoformat().encode()
        return b'{"kind":"request","timestamp":"%b"}\n' % at

    file = opened()
    file.append(record_at(now[0]))
    now[0] += 3599
    file.append(record_at(now[0]))
    assert path.read_bytes().count(b"request") == 2
    file.close()
    file = opened()  # a process that begins later finds the age in the file
    now[0] += 1
    file.append(record_at(now[0]))
    assert (tmp_path / "requests.log.1").read_bytes().count(b"request") == 2
    assert path.read_bytes() == preamble + record_at(now[0])
    now[0] += 3600
    file.turn()
    assert path.read_bytes() == b""
    now[0] += 7200
    file.turn()
    file.close()
    assert len(list(tmp_path.iterdir())) == 3, "an empty file has no age"


def test_a_file_that_nobody_writes_to_any_more_is_rotated_for_its_age(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path, max_age=0.02, clock=lambda: 1_700_000_000.01) as request_log:
        request_log.put(record())
        until(lambda: path.stat().st_size > 0)
        request_log._clock = request_log._file._clock = lambda: 1_700_000_001.0  # type: ignore[union-attr]
        until((tmp_path / "requests.log.1").exists)
        until(lambda: path.stat().st_size == 0)


def test_what_is_no_record_does_not_keep_a_file_from_growing_old(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    now = [1000.0]
    path.write_bytes(b"no record\n[]\n{}\n")
    file = LogFile(str(path), 0, 3, max_age=10, clock=lambda: now[0])
    file.turn()
    now[0] += 10
    file.turn()
    file.close()
    assert (tmp_path / "requests.log.1").exists()


def test_a_rotation_that_fails_costs_no_line_and_no_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "requests.log"
    (tmp_path / "requests.log.1").write_bytes(b"old\n")
    replace, allowed = os.replace, threading.Event()

    def guarded(source: str, target: str) -> None:
        if source == str(path) and not allowed.is_set():
            raise PermissionError(errno.EPERM, "Operation not permitted")
        replace(source, target)

    monkeypatch.setattr(os, "replace", guarded)
    first, second = LogFile(str(path), 10, 2), LogFile(str(path), 10, 2)
    for number in range(5):
        (second if number % 2 else first).append(b"line number %d\n" % number)
    assert path.read_bytes().count(b"\n") == 5
    assert (tmp_path / "requests.log.2").read_bytes() == b"old\n"
    assert first.stuck is not None
    allowed.set()
    first.append(b"after that\n")
    assert first.stuck is None
    assert path.read_bytes() == b"after that\n"
    first.close()
    second.close()


def test_a_rotated_file_that_was_compressed_is_removed_in_its_turn(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    for number, suffix in ((1, ".zst"), (2, ".gz"), (3, ".zst")):
        (tmp_path / f"requests.log.{number}{suffix}").write_bytes(b"%d" % number)
    file = LogFile(str(path), 10, 3)
    file.append(b"one two three\n")
    file.append(b"four five six\n")
    file.close()
    assert {other.name: other.read_bytes() for other in tmp_path.iterdir()} == {
        "requests.log": b"four five six\n",
        "requests.log.1": b"one two three\n",
        "requests.log.2.zst": b"1",
        "requests.log.3.gz": b"2",
    }


def test_a_file_that_was_moved_is_opened_anew_on_request(tmp_path: Path) -> None:
    path, moved = tmp_path / "requests.log", tmp_path / "moved"
    with log(path) as request_log:
        request_log.announce("abc", {})
        request_log.put(record())
        until(lambda: sequences(path) == [1])
        path.rename(moved)
        request_log.reopen()
        until(path.exists)
        assert path.read_bytes() == b"", "nothing is in it before there is a record"
        request_log.put(record())
    assert (sequences(moved), sequences(path)) == ([1], [2])
    assert orjson.loads(path.read_bytes().splitlines()[0])["kind"] == "plan"


def test_reopening_is_tried_until_it_can_be_done(tmp_path: Path) -> None:
    path = tmp_path / "log" / "requests.log"
    path.parent.mkdir()
    with capture_logs(), log(path) as request_log:
        path.parent.rename(tmp_path / "away")
        request_log.reopen()
        until(lambda: request_log.write_errors >= 2)
        path.parent.mkdir()
        until(path.exists)


def test_reopening_is_nothing_where_there_is_no_file() -> None:
    for place in ("-", None):
        with log(place) as request_log:
            request_log.reopen()


def test_size_zero_never_rotates_and_no_files_keeps_none(tmp_path: Path) -> None:
    never = LogFile(str(tmp_path / "never"), 0, 3)
    none = LogFile(str(tmp_path / "none"), 10, 0)
    for _ in range(3):
        never.append(b"one two three\n")
        none.append(b"one two three\n")
    never.close()
    none.close()
    assert (tmp_path / "never").read_bytes() == b"one two three\n" * 3
    assert (tmp_path / "none").read_bytes() == b"one two three\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_two_processes_share_a_file_across_rotation(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    first, second = LogFile(str(path), 200, 99), LogFile(str(path), 200, 99)
    for number in range(20):
        (first if number % 2 else second).append(b"%050d\n" % number)
    first.close()
    second.close()
    lines = b"".join(file.read_bytes() for file in tmp_path.iterdir()).splitlines()
    assert sorted(map(int, lines)) == list(range(20))


def test_a_file_moved_away_by_somebody_else_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    file = LogFile(str(path), 1 << 20, 3)
    file.append(b"one\n")
    path.rename(tmp_path / "moved")
    file.append(b"two\n")
    file.close()
    assert path.read_bytes() == b"two\n"
    assert (tmp_path / "moved").read_bytes() == b"one\n"


def test_a_line_cut_by_a_full_disk_is_said_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "requests.log"
    file = LogFile(str(path), 1 << 20, 3)
    write, room = os.write, [5, 0]

    def scarce(fd: int, data: bytes) -> int:
        if not room:
            return write(fd, data)
        if size := room.pop(0):
            return write(fd, data[:size])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", scarce)
    with pytest.raises(OSError, match="No space"):
        file.append(b"one\ntwo\nthree\n")
    file.append(b"four\n")
    file.close()
    assert path.read_bytes() == b"one\nt\ntwo\nthree\nfour\n"


def test_a_disk_that_is_full_for_a_while_loses_nothing_and_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "requests.log"
    write, full = os.write, threading.Event()

    def scarce(fd: int, data: bytes) -> int:
        if full.is_set() and data.startswith((b"{", b"\n")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", scarce)
    structlog.reset_defaults()
    with capture_logs() as events, log(path) as request_log:
        full.set()
        for _ in range(3):
            request_log.put(record())
        until(lambda: request_log.write_errors >= 2)
        request_log.put(record())
        full.clear()
        until(lambda: path.stat().st_size > 0 and request_log.depth == 0)
    assert sequences(path) == [1, 2, 3, 4]
    assert request_log.dropped == 0
    assert [event["event"] for event in events] == ["request_log_failing", "request_log_recovered"]


def test_trouble_is_told_once_a_minute_while_it_lasts_and_while_it_flaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log" / "requests.log"
    path.parent.mkdir()
    now = [1000.0]
    structlog.reset_defaults()
    with capture_logs() as events, log(path, queue=2, steady=lambda: now[0]) as request_log:

        def fails() -> None:
            before = request_log.write_errors
            until(lambda: request_log.write_errors >= before + 2)

        path.parent.rename(tmp_path / "away")
        for _ in range(5):
            request_log.put(record())
        fails()
        assert [event["event"] for event in events] == ["request_log_failing"]
        now[0] += 60
        fails()
        assert [event["event"] for event in events] == ["request_log_failing"] * 2
        assert events[1]["dropped"] == request_log.dropped == 3
        assert events[1]["write_errors"] > events[0]["write_errors"]
        path.parent.mkdir()
        until(lambda: len(events) == 3)
        for _ in range(3):
            path.parent.rename(tmp_path / f"away-{request_log.write_errors}")
            request_log.put(record())
            fails()
            path.parent.mkdir()
            until(lambda: path.exists() and path.stat().st_size > 0)
        assert [event["event"] for event in events] == [
            "request_log_failing",
            "request_log_failing",
            "request_log_recovered",
        ]
    assert request_log.dropped == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_really_full_costs_what_did_not_fit_the_queue_and_no_more(small_disk: Path) -> None:
    path = small_disk / "requests.log"
    other = small_disk / "other"
    structlog.reset_defaults()
    with capture_logs() as events, log(path, queue=100) as request_log:
        request_log.put(record())
        until(lambda: sequences(path) == [1])
        with suppress(OSError), other.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)
        for _ in range(200):
            request_log.put(record())
            if request_log.write_errors:
                break
            until(lambda: request_log.depth == 0 or request_log.write_errors > 0)
        for _ in range(500):
            request_log.put(record())
        until(lambda: request_log.dropped > 0)
        dropped = request_log.dropped
        assert [(event["event"], event["error"]) for event in events] == [
            ("request_log_failing", "No space left on device")
        ]
        other.unlink()
        path.rename(tmp := small_disk / "moved")
        until(lambda: request_log.depth == 0 and events[-1]["event"] == "request_log_recovered")
    seen = [
        fields["gateway.sequence"]
        for file in (tmp, path)
        for text in file.read_bytes().splitlines()
        if (fields := _parsed(text)) is not None
    ]
    assert len(seen) == len(set(seen)) == request_log._sequence - dropped
    assert request_log.dropped == dropped


def _parsed(text: bytes) -> dict[str, Any] | None:
    """A record; None for a line that the end of the disk has torn."""
    try:
        fields: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return fields


def test_what_cannot_be_written_at_the_end_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drops: list[int] = []

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with capture_logs(), log(tmp_path / "requests.log", on_drop=drops.append) as request_log:
        monkeypatch.setattr(os, "write", full)
        for _ in range(300):
            request_log.put(record())
        request_log.close()
    assert request_log.dropped == 300
    assert sum(drops) == 300


def test_a_file_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    request_log = RequestLog(
        str(tmp_path / "absent" / "requests.log"),
        serializer=Serializer(KEY, 0),
        max_size=1,
        max_files=1,
        queue=1,
    )
    with pytest.raises(FileNotFoundError):
        request_log.start()
    request_log.close()


def test_a_log_that_is_off_takes_nothing() -> None:
    with log(None) as request_log:
        request_log.put(record())
        assert request_log.depth == 0
    assert request_log.dropped == 0


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with log("-") as request_log:
        request_log.put(refused())
    (text,) = capfdbinary.readouterr().out.splitlines()
    assert orjson.loads(text)["gateway.reason"] == "method_not_allowed"


def test_a_listener_gets_the_fields_of_each_record_even_when_the_log_is_off() -> None:
    seen: list[Mapping[str, Any]] = []
    with log(None) as request_log:
        request_log.subscribe(seen.append)
        request_log.put(refused())
        request_log.put(record(target=b"/x?token=abc"))
    assert [fields["gateway.sequence"] for fields in seen] == [1, 2]
    assert seen[0]["gateway.filter"] == "methods"
    assert seen[1]["url.query"] == "token=[redacted]"


def test_a_listener_that_raises_is_left_out_and_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    seen: list[Mapping[str, Any]] = []

    def broken(fields: Mapping[str, Any]) -> None:
        raise RuntimeError("gone")

    structlog.reset_defaults()
    with capture_logs() as events, log(path) as request_log:
        request_log.subscribe(broken)
        request_log.subscribe(seen.append)
        request_log.put(record())
        request_log.put(record())
    assert sequences(path) == [1, 2]
    assert len(seen) == 2
    assert [event["event"] for event in events] == ["request_log_listener_failed"]


def test_a_plan_is_told_once_before_its_records(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path) as request_log:
        for _ in range(2):
            request_log.announce("abc", {"filters": [{"name": "methods", "source": "gateway.yaml:12:7"}]})
            request_log.put(record())
        request_log.announce("def", {})
    kinds = [orjson.loads(text) for text in path.read_bytes().splitlines()]
    assert [fields["kind"] for fields in kinds] == ["plan", "request", "request", "plan"]
    assert kinds[0]["gateway.revision"] == "abc"
    assert kinds[0]["record_version"] == 2
    assert kinds[0]["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert kinds[0]["gateway.plan"]["filters"][0]["name"] == "methods"


def test_a_plan_that_is_in_force_again_is_told_again_and_begins_every_new_file(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path, max_size=2000, max_files=9) as request_log:
        for revision in ("abc", "def", "abc", "abc"):
            request_log.announce(revision, {})
        for _ in range(5):
            request_log.put(record())
            until(lambda: request_log.depth == 0)
    newest, *older = sorted(tmp_path.iterdir())
    told = [orjson.loads(line) for line in older[-1].read_bytes().splitlines()]
    assert [fields["gateway.revision"] for fields in told if fields["kind"] == "plan"] == [
        "abc",
        "def",
        "abc",
    ]
    for file in (newest, *older[:-1]):
        first = orjson.loads(file.read_bytes().splitlines()[0])
        assert (first["kind"], first["gateway.revision"]) == ("plan", "abc")


def test_lines_that_are_no_records_say_how_many_configurations_have_been_in_force(tmp_path: Path) -> None:
    """In any worker: one that begins with what is in force begins no other. A line that a new file repeats says what it said."""
    path = tmp_path / "requests.log"
    with closing(SharedMemory.create(slots=64)) as memory, log(path, roll=memory.roll) as request_log:
        request_log.announce("abc", {})
        request_log.announce("def", {}, under_way=0.25)
        request_log.put(record())
        until(lambda: memory.roll.noted > 0)
        request_log.mark(0.0)
        until(lambda: _kinds(path)[-1:] == ["mark"])
        with log(path, roll=memory.roll) as other:
            other.announce("def", {})
        path.rename(tmp_path / "moved.log")
        request_log.put(record())
        until(lambda: path.exists() and _kinds(path) == ["plan", "request"])
        with log(None, roll=memory.roll) as silent:
            silent.follow(request_log)
            silent.announce("without a log", {})
        with log(path, roll=memory.roll) as following:
            following.follow(silent)
            following.announce("abc", {})
            following.close(over=True)
    lines = [*map(orjson.loads, (tmp_path / "moved.log").read_bytes().splitlines())]
    lines += map(orjson.loads, path.read_bytes().splitlines())
    told = [
        (line["kind"], line["gateway.generation"], line.get("gateway.under_way_ms"))
        for line in lines
        if line["kind"] != "request"
    ]
    assert told == [
        ("plan", 1, None),
        ("plan", 2, 250.0),
        ("mark", 2, None),
        ("plan", 2, None),
        ("plan", 2, 250.0),
        ("plan", 4, None),
        ("end", 4, None),
    ]


def test_a_worker_that_ends_says_so_in_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path) as request_log:
        request_log.put(record())
        request_log.put(record())
        request_log.close(over=True)
    *records, end = map(orjson.loads, path.read_bytes().splitlines())
    assert [fields["kind"] for fields in records] == ["request", "request"]
    assert end == {
        "timestamp": "2023-11-14T22:13:20.000Z",
        "kind": "end",
        "record_version": 2,
        "gateway.worker": 0,
        "gateway.sequence": 2,
        "gateway.last": WALL + 0.0125,
    }


def test_a_log_that_another_takes_the_place_of_is_not_its_workers_end(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path) as request_log:
        request_log.put(record())
    assert [orjson.loads(line)["kind"] for line in path.read_bytes().splitlines()] == ["request"]


def test_where_records_could_not_be_written_no_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "requests.log"

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with capture_logs(), log(path) as request_log, monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        request_log.put(record())
        request_log.close(over=True)
    assert (path.read_bytes(), request_log.dropped) == (b"", 1)


def test_every_new_file_begins_with_the_plan_in_force(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path, max_size=2000, max_files=9) as request_log:
        request_log.announce("abc", {})
        for _ in range(5):
            request_log.put(record())
            until(lambda: request_log.depth == 0)
    files = list(tmp_path.iterdir())
    assert len(files) > 1
    for file in files:
        first = orjson.loads(file.read_bytes().splitlines()[0])
        assert (first["kind"], first["gateway.revision"]) == ("plan", "abc")


def test_only_the_first_line_of_a_worker_says_that_it_begins(tmp_path: Path) -> None:
    """Not what a new file repeats, what a reload tells, or a log that takes the place of another."""
    path = tmp_path / "requests.log"
    with log(path) as request_log:
        request_log.announce("abc", {})
        request_log.put(record(duration=2.0))
        until(lambda: path.exists() and sequences(path) == [1])
        path.rename(tmp_path / "moved.log")
        request_log.put(record())
        request_log.announce("def", {})
        until(lambda: path.exists() and b'"def"' in path.read_bytes())
        with log(path) as following:
            following.follow(request_log)
            following.announce("ghi", {})
            following.close(over=True)
    told = [orjson.loads(line) for line in (tmp_path / "moved.log").read_bytes().splitlines()]
    told += [orjson.loads(line) for line in path.read_bytes().splitlines()]
    plans = [(line["gateway.revision"], line["gateway.begins"]) for line in told if line["kind"] == "plan"]
    assert plans == [("abc", True), ("abc", False), ("def", False), ("ghi", False)]
    (end,) = (line for line in told if line["kind"] == "end")
    assert (end["gateway.sequence"], end["gateway.last"]) == (2, WALL + 0.0125)


def test_a_worker_without_a_record_has_no_last_one(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path) as request_log:
        request_log.close(over=True)
    end = orjson.loads(path.read_bytes())
    assert end["gateway.sequence"] == 0 and "gateway.last" not in end


def _kinds(path: Path) -> list[str]:
    return [orjson.loads(line)["kind"] for line in path.read_bytes().splitlines()]


def test_a_worker_says_that_nothing_is_missing_where_something_was_recorded_since(tmp_path: Path) -> None:
    """By whichever worker; and nothing while nobody records anything."""
    path = tmp_path / "requests.log"
    with closing(SharedMemory.create(slots=64)) as memory, log(path, roll=memory.roll) as request_log:
        memory.roll.enter(0)
        request_log.announce("abc", {})
        request_log.mark(0.0)
        request_log.put(record())
        until(lambda: memory.roll.noted > 0)
        request_log.mark(0.0)
        request_log.mark(0.0)
        until(lambda: _kinds(path) == ["plan", "request", "mark"])
        memory.roll.note()  # as another worker does
        with log(path, roll=memory.roll) as following:
            following.follow(request_log)
            following.mark(0.75)
            following.mark(0.0)
            following.close(over=True)
    *_, first, second, end = map(orjson.loads, path.read_bytes().splitlines())
    told = {
        "timestamp": "2023-11-14T22:13:20.000Z",
        "record_version": 2,
        "gateway.worker": 0,
        "gateway.sequence": 1,
        "gateway.last": WALL + 0.0125,
        "gateway.workers": [0],
        "gateway.generation": 1,
    }
    assert first == {**told, "kind": "mark"}
    assert second == {**told, "kind": "mark", "gateway.under_way_ms": 750.0}
    assert end == {**told, "kind": "end"}


def test_only_a_plan_that_is_told_anew_says_who_is_at_work(tmp_path: Path) -> None:
    """Who was, when a new file repeats it, nobody wants to know; and a file never begins with a mark."""
    path = tmp_path / "requests.log"
    with closing(SharedMemory.create(slots=64)) as memory, log(path, roll=memory.roll) as request_log:
        memory.roll.enter(5)
        request_log.announce("abc", {})
        request_log.put(record())
        until(lambda: memory.roll.noted > 0)
        request_log.mark(0.0)
        until(lambda: _kinds(path)[-1] == "mark")
        path.rename(tmp_path / "moved.log")
        request_log.put(record())
    (first, *_), (again, *_) = (
        [orjson.loads(line) for line in file.read_bytes().splitlines()]
        for file in (tmp_path / "moved.log", path)
    )
    assert first["gateway.workers"] == [5] and "gateway.workers" not in again
    assert _kinds(path) == ["plan", "request"]


def test_what_is_no_record_is_shown_and_counted_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    seen: list[object] = []
    taken: list[bytes] = []
    with closing(SharedMemory.create(slots=64)) as memory, log(path, roll=memory.roll) as request_log:
        request_log.subscribe(seen.append)
        request_log.forward(taken.append)
        request_log.recent(0)
        request_log.put(record())
        until(lambda: memory.roll.noted > 0)
        request_log.mark(0.0)
        until(lambda: _kinds(path) == ["request", "mark"])
        until(lambda: len(taken) == 1)
        assert [orjson.loads(line)["kind"] for line in request_log.recent(0)[0]] == ["request"]
    assert len(seen) == len(taken) == 1


def test_a_batch_does_not_make_a_file_much_larger_than_it_may_be(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path, max_size=20_000, max_files=20) as request_log:
        request_log.announce("a" * 64, {"entries": []})
        for _ in range(200):
            request_log.put(record())
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) > 3
    assert max(sizes) < 25_000
    assert min(sizes) > 1_000, "no file holds only the line of the plan"


def test_what_is_left_out_leaves_no_gap_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    with log(path, sampling=Sampling(0.0, 1.0)) as request_log:
        for made in (record(), refused(), record(), record(duration=2.0)):
            request_log.put(made)
    assert sequences(path) == [1, 2]
    assert (request_log.left_out, request_log.dropped) == (2, 0)


def test_what_was_left_out_is_counted_on_by_the_next_log() -> None:
    with log(None) as former, log(None) as following:
        former.left_out = 7
        following.follow(former)
    assert following.left_out == 7
