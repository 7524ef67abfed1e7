"""Sidecars: for each log file that is closed, a Parquet file with the columns by which its records are searched.

They lie in a directory beside the log, `requests.log.sidecars`, and are named by what is in the log file, so that one that
is renamed or compressed keeps its own. They hold nothing that the log does not, and may be removed at any time.
"""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from gateway.inspect.reader import COMPRESSED, DAMAGED, MissingExtra, files, form_of, opened
from gateway.inspect.sql import literals, selected

VERSION: Final = 3
"""Of the columns; sidecars of another are made anew."""
QUIET: Final = 5.0
"""Seconds for which nobody has written to a file that is taken to be closed: workers may not have seen yet that it was moved."""
_HEAD: Final = 1 << 16
_MEMORY: Final = "512MB"
_GROUP: Final = 65_536
"""Records of a row group: what is read at the least, where times or values rule out the rest."""


def directory(path: Path) -> Path:
    """Where the sidecars of the log at `path` are."""
    return path.with_name(f"{path.name}.sidecars")


def sidecar_of(path: Path, file: Path) -> Path | None:
    """The sidecar that is, or is to be, of one of the log's files; None where the file cannot be read. It need not exist."""
    try:
        with opened(file) as stream:
            head = stream.read(_HEAD)
        size = file.stat().st_size if file.suffix not in COMPRESSED else _size(file)
    except (OSError, *DAMAGED, MissingExtra):
        return None
    name = blake2b(head, digest_size=12).hexdigest()
    found = directory(path) / f"{name}-{size}.v{VERSION}.parquet"
    if size or found.exists():
        return found
    # It was made before the file was compressed, whatever its size was then.
    earlier = sorted(directory(path).glob(f"{name}-*.v{VERSION}.parquet"))
    return earlier[0] if earlier else found


def _size(file: Path) -> int:
    """Bytes of what a file holds that was compressed in one piece; 0 where it does not tell. Raises OSError."""
    if file.suffix == ".gz":
        with file.open("rb") as stream:
            stream.seek(-4, os.SEEK_END)
            return int.from_bytes(stream.read(4), "little")
    import zstandard

    with file.open("rb") as stream, suppress(zstandard.ZstdError):
        return max(0, zstandard.frame_content_size(stream.read(18)))
    return 0


def missing(path: Path, now: float) -> list[Path]:
    """The log's closed files that have no sidecar, oldest first; `now` is in seconds since the epoch."""
    found = []
    for file in files(path):
        if file == path:
            continue
        with suppress(OSError):
            if file.stat().st_mtime + QUIET > now:
                continue
        sidecar = sidecar_of(path, file)
        if sidecar is not None and not sidecar.exists():
            found.append(file)
    return found[::-1]


def make(path: Path, file: Path) -> Path:
    """Makes the sidecar of one of the log's files. Raises OSError, FileNotFoundError where it is renamed meanwhile, and
    MissingExtra."""
    try:
        import duckdb
    except ImportError:
        raise MissingExtra from None
    target = sidecar_of(path, file)
    if target is None:
        raise OSError(f"{file} cannot be read")
    target.parent.mkdir(exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        # Held open, so that what is read is what the name is of, also when the file is renamed meanwhile.
        with file.open("rb") as held, duckdb.connect() as connection:
            state = os.fstat(held.fileno())
            if sidecar_of(path, file) != target or not os.path.samestat(state, file.stat()):
                raise FileNotFoundError(2, "is another file by now", str(file))
            connection.execute(
                f"SET memory_limit = '{_MEMORY}'; SET threads = 1; SET temp_directory = '';"
                "SET enable_progress_bar = false"
            )
            records = selected([f"/proc/self/fd/{held.fileno()}"], form_of(file))
            connection.execute(
                f"COPY ({records}) TO {literals([str(partial)])} "
                f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP})"
            )
        os.chmod(partial, state.st_mode & 0o777)
        os.replace(partial, target)
    except duckdb.Error as error:
        raise OSError(str(error)) from None
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
    return target


def sweep(path: Path, now: float) -> None:
    """Removes sidecars whose log file is gone, and what an interrupted one has left."""
    known = {sidecar_of(path, file) for file in files(path)}
    with suppress(FileNotFoundError):
        for other in directory(path).iterdir():
            old = other.stat().st_mtime + 600 < now
            if (other.suffix == ".parquet" and other not in known) or (other.suffix == ".partial" and old):
                other.unlink(missing_ok=True)


def make_all(path: Path, now: float) -> Sequence[Path]:
    """Makes all that are missing, one at a time, and removes those that are too many. Raises OSError."""
    made: list[Path] = []
    for file in missing(path, now):
        with suppress(FileNotFoundError):  # rotated away meanwhile
            made.append(make(path, file))
    sweep(path, now)
    return made


def main() -> None:
    """`python -m gateway.inspect.sidecar LOG`: as `make_all`, with the lowest priority."""
    os.nice(19)
    make_all(Path(sys.argv[1]), time.time())


if __name__ == "__main__":
    main()
