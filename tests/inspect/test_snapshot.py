"""A snapshot of a log: what is in it stays in it, whatever becomes of its files."""

import gzip
import os
import time
from pathlib import Path

import pytest

from gateway.inspect import compression, sidecar
from gateway.inspect.reader import files
from gateway.inspect.snapshot import Snapshot
from tests.inspect.lines import line, write

LATER = time.time() + 3600


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with two files that are closed."""
    path = tmp_path / "requests.log"
    for number in range(3):
        write(path.with_name(f"requests.log.{number}") if number else path, [line(number)], odd=False)
    return path


def ids(held: Snapshot) -> list[str]:
    """The first lines of its files."""
    found = []
    for path, form in held.held:
        content = Path(path).read_bytes()
        found.append(
            (gzip.decompress(content) if form == "gzip" else content).split(b'"req-')[1][:8].decode()
        )
    return found


def rotate(path: Path) -> None:
    for number, file in reversed(list(enumerate(files(path)))):
        file.rename(path.with_name(f"{path.name}.{number + 1}"))
    write(path, [line(9)], odd=False)


def test_what_is_renamed_compressed_or_removed_is_read_all_the_same(log: Path) -> None:
    with Snapshot(log) as held:
        compression.compress_all(log, "gzip", LATER)
        rotate(log)
        log.with_name("requests.log.3").unlink()
        assert ids(held) == ["00000000", "00000001", "00000002"]
        assert [form for _, form in held.held] == ["none"] * 3
        paths = [path for path, _ in held.held]
    assert not any(os.path.exists(path) for path in paths)


def test_it_has_the_sidecars_and_how_the_others_are_compressed(log: Path) -> None:
    sidecar.make(log, log.with_name("requests.log.1"))
    compression.compress(log, log.with_name("requests.log.2"), "gzip")
    with Snapshot(log) as held:
        assert [form for _, form in held.held] == ["none", None, "gzip"]


def test_old_files_are_left_out(log: Path) -> None:
    os.utime(log.with_name("requests.log.2"), (1, 1))
    with Snapshot(log, since=2) as held:
        assert ids(held) == ["00000000", "00000001"]


def test_a_rotation_between_two_files_is_noticed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, looks = sidecar.sidecar_of, 0

    def rotates_once(path: Path, file: Path) -> Path | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            rotate(log)
        return real(path, file)

    monkeypatch.setattr("gateway.inspect.snapshot.sidecar_of", rotates_once)
    with Snapshot(log) as held:
        assert ids(held) == ["00000009", "00000000", "00000001", "00000002"]


def test_a_log_that_never_rests_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rotates(path: Path, file: Path) -> None:
        files(log)[-1].unlink()
        rotate(log)

    monkeypatch.setattr("gateway.inspect.snapshot.sidecar_of", rotates)
    opened = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError, match="again and again"):
        Snapshot(log)
    assert len(os.listdir("/proc/self/fd")) == opened
