"""Reads request logs: the file that is written now and the ones rotated away, compressed or not.

Lines come as bytes and are parsed only when they are wanted. A line that is no record (cut off by a full disk,
written by something else) is passed over and counted, never an error.
"""

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Literal

import orjson

Fields = dict[str, Any]

IDS = ("gateway.request_id", "gateway.upstream.request_id", "gateway.global_request_id")
"""The fields by which a record is found."""

Form = Literal["none", "gzip", "zstd"]
"""How a file is compressed."""

_FORMS: dict[str, Form] = {".gz": "gzip", ".zst": "zstd"}
COMPRESSED = tuple(_FORMS)

_BLOCK = 1 << 16
_BUFFER = 1 << 20
"""Bytes that are read of a plain file at a time: a tenth of what reading a log takes goes into reads that are small."""


class MissingExtra(Exception):  # noqa: N818 - it names what is wrong
    """What reads this is not installed."""

    def __init__(self) -> None:
        super().__init__("needs more than is installed: pip install 'weir-gateway[logs]'")


class Skipped:
    """How many lines were passed over, and which files could not be read to their end."""

    def __init__(self) -> None:
        self.lines = 0
        self.files: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.lines or self.files)

    def __str__(self) -> str:
        parts = []
        if self.lines:
            parts.append(f"{self.lines} line{'' if self.lines == 1 else 's'} skipped that are no records")
        parts.extend(f"{file} could not be read to its end" for file in self.files)
        return "; ".join(parts)


def files(path: Path, *, twice: bool = False) -> list[Path]:
    """The log's files that exist, newest first: PATH, PATH.1, PATH.2.gz, PATH.3.zst ...

    One that is there compressed too, because it is being replaced, is listed `twice` only on request.
    """
    pattern = re.compile(re.escape(path.name) + r"\.([1-9]\d*)(\.gz|\.zst)?")
    rotated = sorted(
        (int(match[1]), other.name, other)
        for other in path.parent.iterdir()
        if (match := pattern.fullmatch(other.name))
    )
    newest = [path] if path.exists() else []
    found = newest + [other for _, _, other in rotated]
    if not twice:
        packed = [other for other in found if other.suffix in COMPRESSED]
        for plain in {other.with_suffix("") for other in packed} & set(found):
            if any(_as_old(plain, other) for other in packed if other.with_suffix("") == plain):
                found.remove(plain)
    return found


def form_of(file: Path) -> Form:
    """As its name says."""
    return _FORMS.get(file.suffix, "none")


def _as_old(one: Path, other: Path) -> bool:
    with suppress(FileNotFoundError):
        return one.stat().st_mtime_ns == other.stat().st_mtime_ns
    return False


def _present(file: Path) -> Path:
    """The file, which may have been compressed since it was listed."""
    if not file.exists():
        for suffix in COMPRESSED:
            if (packed := file.with_name(file.name + suffix)).exists():
                return packed
    return file


def parse(line: bytes) -> Fields | None:
    """The fields of a line about a request or a plan; None for any other line."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or fields.get("kind") not in ("request", "plan"):
        return None
    return fields


def find(path: Path, request_id: str, skipped: Skipped) -> list[Fields]:
    """The records that carry the id, as the gateway's, the upstream's or the global one; newest file first.

    A gateway's own id names one record, and the search ends there.
    """
    wanted = orjson.dumps(request_id)
    found: list[Fields] = []
    for file in files(path):
        for line in _lines(file, skipped):
            line = line.rstrip(b"\n")
            if wanted not in line:
                if not (line.startswith(b"{") and line.endswith(b"}")):
                    skipped.lines += 1
                continue
            fields = parse(line)
            if fields is None:
                skipped.lines += 1
            elif fields["kind"] == "request" and any(fields.get(name) == request_id for name in IDS):
                if fields.get("gateway.request_id") == request_id:
                    return [fields]
                found.append(fields)
    return found


def last(
    path: Path,
    count: int,
    skipped: Skipped,
    *,
    until: int | None = None,
    wanted: Callable[[Fields], bool] = lambda fields: True,
) -> list[Fields]:
    """The last `count` records about requests that are wanted, oldest first; of PATH itself no more than `until` bytes."""
    found: list[Fields] = []
    for file in files(path):
        for line in _backwards(file, skipped, until if file == path else None):
            if len(found) >= count:
                return found[::-1]
            fields = parse(line)
            if fields is None:
                skipped.lines += 1
            elif fields["kind"] == "request" and wanted(fields):
                found.append(fields)
    return found[::-1]


class Follower:
    """Follows a log from its present end, across rotation. Raises OSError when the file cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: BinaryIO = path.open("rb")
        self.position = self._stream.seek(0, os.SEEK_END)
        """Where the following begins, in bytes."""

    def records(self, skipped: Skipped, wait: Callable[[], None]) -> Iterator[Fields]:
        """The records about requests as they are appended, for ever; calls `wait` between two looks.

        Rotation loses nothing: a file that was moved is read to its end, then each that came after it.
        """
        while True:
            following = self._following()
            yield from _records(_whole_lines(self._stream), skipped)
            wait()
            if following is not None:
                # Another worker may have written to the moved file until it noticed.
                yield from _records(_whole_lines(self._stream), skipped)
                self._stream.close()
                self._stream = following

    def close(self) -> None:
        self._stream.close()

    def _following(self) -> BinaryIO | None:
        """The file that came after the one being read; None while that is the one at the path."""
        while True:
            place = self._place()
            if place == 0:
                return None
            after = self._path if place in (None, 1) else _rotated(self._path, place - 1)
            try:
                stream = after.open("rb")
            except FileNotFoundError:  # in the middle of a rotation
                return None
            if self._place() == place:
                return stream
            stream.close()

    def _place(self) -> int | None:
        """The number that the file being read has now: 0 at the path itself, None when it is gone."""
        ours = os.fstat(self._stream.fileno())
        number = 0
        while True:
            try:
                state = os.stat(self._path if number == 0 else _rotated(self._path, number))
            except FileNotFoundError:
                if number:
                    return None
            else:
                if (state.st_dev, state.st_ino) == (ours.st_dev, ours.st_ino):
                    return number
            number += 1


def _rotated(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _records(lines: Iterator[bytes], skipped: Skipped) -> Iterator[Fields]:
    for line in lines:
        fields = parse(line)
        if fields is None:
            skipped.lines += 1
        elif fields["kind"] == "request":
            yield fields


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines up to the end as it is now; what is not yet a whole line is left for the next time."""
    if os.fstat(stream.fileno()).st_size < stream.tell():
        stream.seek(0)  # somebody has cut the file instead of moving it
    while line := stream.readline():
        if not line.endswith(b"\n"):
            stream.seek(-len(line), os.SEEK_CUR)
            return
        if line != b"\n":
            yield line


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """The content of a file, plain or compressed. Raises OSError, and MissingExtra."""
    if file.suffix == ".gz":
        with gzip.open(file) as stream:
            yield stream  # type: ignore[misc] # it reads as one
    elif file.suffix == ".zst":
        try:
            import zstandard
        except ImportError:
            raise MissingExtra from None
        try:
            # What zstandard opens has no lines.
            with zstandard.open(file) as content, BufferedReader(content) as stream:
                yield stream
        except zstandard.ZstdError as error:
            raise EOFError(str(error)) from None
    else:
        with file.open("rb", buffering=_BUFFER) as stream:
            yield stream


def _lines(file: Path, skipped: Skipped) -> Iterator[bytes]:
    """The lines of a file, plain or compressed, but for blank ones."""
    try:
        with opened(_present(file)) as stream:
            for line in stream:
                if line != b"\n":
                    yield line
    except FileNotFoundError:
        return  # rotated away between the listing and now: it is read under its next name, or gone
    except (EOFError, gzip.BadGzipFile, zlib.error):
        skipped.files.append(str(file))


def _backwards(file: Path, skipped: Skipped, until: int | None) -> Iterator[bytes]:
    """The lines of a file, last first, reading no more of it than is asked for."""
    if _present(file).suffix in COMPRESSED:
        yield from reversed(list(_lines(file, skipped)))
        return
    try:
        stream = file.open("rb")
    except FileNotFoundError:
        return
    with stream:
        position = stream.seek(0, os.SEEK_END)
        if until is not None:
            position = min(position, until)
        tail = b""
        while position:
            size = min(_BLOCK, position)
            position -= size
            stream.seek(position)
            first, *whole = (stream.read(size) + tail).split(b"\n")
            for line in reversed(whole):
                if line:
                    yield line
            tail = first
        if tail:
            yield tail
