"""Compression: what is closed becomes small, under the name that it has by then, and nothing is lost or told twice."""

import fcntl
import gzip
import os
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest

from gateway.inspect import compression, reader, sidecar
from gateway.inspect.compression import Method
from gateway.request_log import LogFile
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


def content(file: Path) -> bytes:
    with reader.opened(file) as stream:
        return stream.read()


@pytest.mark.parametrize(("method", "suffix"), [("zstd", ".zst"), ("gzip", ".gz")])
def test_what_is_closed_is_compressed_with_its_mode_and_time(log: Path, method: Method, suffix: str) -> None:
    one = log.with_name("requests.log.1")
    one.chmod(0o604)
    os.utime(one, ns=(1, 1_234_567_890_123_456_789))
    lines = one.read_bytes()
    made = compression.compress_all(log, method, LATER)
    assert [file.name for file in made] == [f"requests.log.2{suffix}", f"requests.log.1{suffix}"]
    state = made[1].stat()
    assert (state.st_mode & 0o777, state.st_mtime_ns) == (0o604, 1_234_567_890_123_456_789)
    assert content(made[1]) == lines
    assert [file.name for file in reader.files(log)] == ["requests.log", made[1].name, made[0].name]
    assert compression.compress_all(log, method, LATER) == []
    assert sorted(other.name for other in log.parent.iterdir()) == [
        "requests.log",
        made[1].name,
        made[0].name,
    ]


def test_what_somebody_may_still_write_to_is_left_alone(log: Path) -> None:
    assert compression.compress_all(log, "gzip", time.time()) == []


def test_a_sidecar_is_found_whatever_its_file_was_when_it_was_made(log: Path) -> None:
    """Also where all files begin with the same long line, as those of a large configuration do."""
    plan = b'{"kind":"plan","gateway.plan":"' + b"x" * 200_000 + b'"}\n'
    for number in (1, 2):
        file = log.with_name(f"requests.log.{number}")
        file.write_bytes(plan + file.read_bytes())
    before = {number: sidecar.sidecar_of(log, log.with_name(f"requests.log.{number}")) for number in (1, 2)}
    made = sidecar.make_all(log, LATER)
    assert set(made) == set(before.values())
    assert len(made) == 2
    compression.compress(log, log.with_name("requests.log.1"), "zstd")
    compression.compress(log, log.with_name("requests.log.2"), "gzip")
    assert sidecar.sidecar_of(log, log.with_name("requests.log.1.zst")) == before[1]
    assert sidecar.sidecar_of(log, log.with_name("requests.log.2.gz")) == before[2]
    assert sidecar.missing(log, LATER) == []


def test_one_that_is_renamed_meanwhile_gets_the_name_that_it_has_by_then(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = compression._pack

    def rotated(source: BinaryIO, target: BinaryIO, method: Method, size: int) -> None:
        pack(source, target, method, size)
        file = LogFile(str(log), 1, 9)
        file.append(b"next\n")
        file.close()

    monkeypatch.setattr(compression, "_pack", rotated)
    two = log.with_name("requests.log.2").read_bytes()
    assert compression.compress(log, log.with_name("requests.log.2"), "gzip") == log.with_name(
        "requests.log.3.gz"
    )
    assert content(log.with_name("requests.log.3.gz")) == two
    assert [file.name for file in reader.files(log)] == [
        "requests.log",
        "requests.log.1",
        "requests.log.2",
        "requests.log.3.gz",
    ]


@pytest.mark.parametrize("gone", [True, False])
def test_one_that_has_gone_or_grown_meanwhile_is_let_be(
    log: Path, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    pack, two = compression._pack, log.with_name("requests.log.2")

    def changed(source: BinaryIO, target: BinaryIO, method: Method, size: int) -> None:
        pack(source, target, method, size)
        if gone:
            two.unlink()
        else:
            with two.open("ab") as file:
                file.write(b"late\n")

    monkeypatch.setattr(compression, "_pack", changed)
    assert compression.compress(log, two, "gzip") is None
    assert two.exists() is not gone
    assert len(list(log.parent.iterdir())) == (2 if gone else 3)


def test_a_rotation_is_waited_for_and_waits(log: Path) -> None:
    done = threading.Event()
    with log.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        def compresses() -> None:
            compression.compress(log, log.with_name("requests.log.2"), "gzip")
            done.set()

        thread = threading.Thread(target=compresses)
        thread.start()
        assert not done.wait(0.2)
        assert log.with_name("requests.log.2").exists()
    assert done.wait(10)
    thread.join()
    assert log.with_name("requests.log.2.gz").exists()


def test_rotations_and_compressions_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "requests.log"
    file = LogFile(str(path), 200, 1000)
    stop = threading.Event()

    def compresses() -> None:
        while not stop.is_set():
            compression.compress_all(path, "gzip", LATER)

    thread = threading.Thread(target=compresses)
    thread.start()
    try:
        for number in range(600):
            file.append(b"%099d\n" % number)
    finally:
        stop.set()
        thread.join()
        file.close()
    compression.compress_all(path, "gzip", LATER)
    lines = [int(line) for file in reader.files(path)[::-1] for line in content(file).splitlines()]
    assert lines == list(range(600))


def test_what_an_interrupted_one_has_left_is_finished(log: Path) -> None:
    one, packed = log.with_name("requests.log.1"), log.with_name("requests.log.1.gz")
    packed.write_bytes(gzip.compress(one.read_bytes()))
    os.utime(packed, ns=(1, one.stat().st_mtime_ns))
    part = log.with_name("requests.log.17.partial")
    part.touch()
    assert one not in reader.files(log)
    compression.sweep(log, LATER)
    assert not one.exists()
    assert part.exists(), "it may be somebody's work"
    compression.sweep(log, LATER + 7200)
    assert not part.exists()


def test_a_compressed_file_of_somebody_else_is_not_overwritten(log: Path) -> None:
    other = log.with_name("requests.log.1.gz")
    other.write_bytes(gzip.compress(b"other\n"))
    assert compression.compress(log, log.with_name("requests.log.1"), "gzip") is None
    assert content(other) == b"other\n"
    assert log.with_name("requests.log.1").exists()


def test_a_full_disk_leaves_all_as_it_was(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = {other.name for other in log.parent.iterdir()}
    with pytest.raises(OSError, match="No space"):
        compression.compress_all(log, "zstd", LATER)
    assert {other.name for other in log.parent.iterdir()} == before


def test_while_the_log_is_being_moved_nothing_is_done(log: Path) -> None:
    log.unlink()
    assert compression.compress_all(log, "gzip", LATER) == []
