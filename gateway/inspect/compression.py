"""Compresses log files that are closed, while a running gateway may rename them at any time.

A gateway that rotates holds a lock on the file at the log's path meanwhile, see `gateway.request_log`. Reading and
compressing take none; only the step that puts the compressed file in the place of the other takes the same lock.
"""

import fcntl
import gzip
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Final, Literal

from gateway.inspect.reader import COMPRESSED, MissingExtra, files
from gateway.inspect.sidecar import QUIET

Method = Literal["zstd", "gzip"]

SUFFIX: Final[dict[Method, str]] = {"zstd": ".zst", "gzip": ".gz"}
_PARTIAL: Final = ".partial"
_ABANDONED: Final = 3600.0  # seconds after which what is partial is nobody's work any more
_BLOCK: Final = 1 << 20


def compress_all(path: Path, method: Method, now: float) -> Sequence[Path]:
    """Compresses the closed files of the log at `path`, oldest first; those that it has made. `now` is in seconds since the
    epoch. Raises OSError and MissingExtra."""
    sweep(path, now)
    made: list[Path] = []
    for file in files(path)[::-1]:
        with suppress(FileNotFoundError):  # rotated away meanwhile: the next time
            if file == path or file.suffix in COMPRESSED or file.stat().st_mtime + QUIET > now:
                continue
            compressed = compress(path, file, method)
            if compressed is not None:
                made.append(compressed)
    return made


def compress(path: Path, file: Path, method: Method) -> Path | None:
    """Puts a compressed file, with the same owner, mode and time, in the place of one of the log's files.

    Its name; None where the file has gone or changed meanwhile. Raises OSError and MissingExtra.
    """
    partial = file.with_name(f"{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        with file.open("rb") as source:
            state = os.fstat(source.fileno())
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
                _pack(source, target, method, state.st_size)
                target.flush()
                os.fsync(target.fileno())
                with suppress(PermissionError):
                    os.fchown(target.fileno(), state.st_uid, state.st_gid)
                os.fchmod(target.fileno(), state.st_mode & 0o7777)
            os.utime(partial, ns=(state.st_atime_ns, state.st_mtime_ns))
            with _no_rotation(path):
                return _put(partial, path, os.fstat(source.fileno()), state, SUFFIX[method])
    finally:
        partial.unlink(missing_ok=True)


def _pack(source: BinaryIO, target: IO[bytes], method: Method, size: int) -> None:
    if method == "gzip":
        with gzip.GzipFile("", "wb", 6, target) as packed:
            shutil.copyfileobj(source, packed, _BLOCK)
        return
    try:
        import zstandard
    except ImportError:
        raise MissingExtra from None
    # With the size in its head, a reader knows it without reading.
    zstandard.ZstdCompressor(level=3, write_checksum=True).copy_stream(source, target, size=size)


@contextmanager
def _no_rotation(path: Path) -> Iterator[None]:
    """Holds off rotations of the log at `path`. Raises FileNotFoundError where nothing is there: whoever writes next makes it,
    and may rotate."""
    while True:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            there, ours = os.stat(path), os.fstat(held.fileno())
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                yield
                return


def _put(partial: Path, path: Path, state: os.stat_result, read: os.stat_result, suffix: str) -> Path | None:
    """Gives `partial` its name, which is that of the source now, and removes the source."""
    if (state.st_size, state.st_mtime_ns) != (read.st_size, read.st_mtime_ns):
        return None  # somebody has written to it
    for file in files(path):
        with suppress(FileNotFoundError):
            found = file.stat()
            if file != path and (found.st_dev, found.st_ino) == (read.st_dev, read.st_ino):
                compressed = file.with_name(file.name + suffix)
                if compressed.exists():
                    return None  # somebody else's
                os.replace(partial, compressed)
                file.unlink()
                return compressed
    return None


def sweep(path: Path, now: float) -> None:
    """Removes what a compression that was interrupted has left: parts, and files that are there compressed too."""
    for other in path.parent.glob(f"{_escaped(path.name)}.*{_PARTIAL}"):
        with suppress(FileNotFoundError):
            if other.name[len(path.name) + 1 : -len(_PARTIAL)].isdigit() and (
                other.stat().st_ctime + _ABANDONED < now
            ):
                other.unlink()
    with suppress(FileNotFoundError), _no_rotation(path):
        for file in files(path, twice=True):
            for suffix in SUFFIX.values():
                with suppress(FileNotFoundError):
                    # Whole files alone get this name, and their time is that of the source.
                    if file.with_name(file.name + suffix).stat().st_mtime_ns == file.stat().st_mtime_ns:
                        file.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
