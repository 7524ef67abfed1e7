"""Reads request logs: the file that is written now and the ones rotated away, compressed or not.

Lines come as bytes and are parsed only when they are wanted. A line that is no record (cut off by a full disk,
written by something else) is passed over and counted, never an error.
"""

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import orjson

Fields = dict[str, Any]

IDS = ("gateway.request_id", "gateway.upstream.request_id", "gateway.global_request_id")
"""The fields by which a record is found."""

Form = Literal["none", "gzip", "zstd"]
"""How a file is compressed."""

_FORMS: dict[str, Form] = {".gz": "gzip", ".zst": "zstd"}
COMPRESSED = tuple(_FORMS)

DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error)
"""What is raised where a compressed file is not whole."""

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


def distinct(files: Iterable[Path]) -> list[Path]:
    """The files, each once, whatever it is called; and of one that is there compressed too, only that."""
    found: dict[object, Path] = {}
    for file in files:
        try:
            state = file.stat()
        except OSError:  # for whoever opens it
            found.setdefault(file, file)
        else:
            found.setdefault((state.st_dev, state.st_ino), file)
    given = set(found.values())
    return [
        file
        for file in found.values()
        if not any(packed in given and _as_old(file, packed) for packed in _packed(file))
    ]


def form_of(file: Path) -> Form:
    """As its name says."""
    return _FORMS.get(file.suffix, "none")


def _as_old(one: Path, other: Path) -> bool:
    with suppress(FileNotFoundError):
        return one.stat().st_mtime_ns == other.stat().st_mtime_ns
    return False


def present(file: Path) -> Path:
    """The file, or what it has been compressed to since it was listed."""
    if not file.exists():
        for packed in _packed(file):
            if packed.exists():
                return packed
    return file


def _packed(file: Path) -> list[Path]:
    """What a plain file is called when it is compressed."""
    return [] if file.suffix in COMPRESSED else [file.with_name(file.name + suffix) for suffix in COMPRESSED]


def parse(line: bytes) -> Fields | None:
    """The fields of a line about a request or a plan, or of what a worker says of itself; None for any other line."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or fields.get("kind") not in ("request", "plan", "mark", "end"):
        return None
    return fields


def find(path: Path, request_id: str, skipped: Skipped) -> list[Fields]:
    """The records that carry the id, as the gateway's, the upstream's or the global one; newest file first.

    A gateway's own id names one record, and the search ends there.
    """
    wanted = orjson.dumps(request_id)
    found: list[Fields] = []
    for file in files(path):
        for line in lines(file, skipped):
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
    """The content of a file, plain or compressed, also where it has been compressed since it was listed.

    Raises OSError, MissingExtra, and whoever reads DAMAGED where it is not whole.
    """
    with _stream(file) as stream:
        yield stream


def _stream(file: Path) -> BinaryIO:
    try:
        return _stream_of(file)
    except FileNotFoundError:
        for packed in _packed(file):
            with suppress(FileNotFoundError):
                return _stream_of(packed)
        raise


def _stream_of(file: Path) -> BinaryIO:
    if file.suffix == ".gz":
        return gzip.open(file)  # type: ignore[return-value] # it reads as one
    if file.suffix == ".zst":
        stream = file.open("rb")
        try:
            return BufferedReader(_Zstandard(stream), _BLOCK)
        except MissingExtra:
            stream.close()
            raise
    return file.open("rb", buffering=_BUFFER)


class _Zstandard(RawIOBase):
    """What is compressed in a file. What zstandard opens has no lines, and takes a file that was cut short for a whole one."""

    def __init__(self, source: BinaryIO) -> None:
        """Raises MissingExtra."""
        try:
            import zstandard
        except ImportError:
            raise MissingExtra from None
        self._error = zstandard.ZstdError
        self._begin = zstandard.ZstdDecompressor().decompressobj
        self._frame = self._begin()
        self._within = False  # a frame that has begun
        self._source = source
        self._behind = b""  # a frame
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._ready:
            data = self._behind or self._source.read(_BLOCK)
            if not data:
                if self._within:
                    raise EOFError("the file ends within a frame")
                return 0
            if self._frame.eof:
                self._frame = self._begin()
            try:
                self._ready = memoryview(self._frame.decompress(data))
            except self._error as error:
                raise EOFError(str(error)) from None
            self._within = not self._frame.eof
            self._behind = b"" if self._within else self._frame.unused_data
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def close(self) -> None:
        self._source.close()
        super().close()


def lines(file: Path, skipped: Skipped) -> Iterator[bytes]:
    """The lines of a file, plain or compressed, but for blank ones; of one that is not whole those that are."""
    try:
        with opened(present(file)) as stream:
            for line in stream:
                if line != b"\n":
                    yield line
    except FileNotFoundError:
        return  # rotated away between the listing and now: it is read under its next name, or gone
    except DAMAGED:
        skipped.files.append(str(file))


def _backwards(file: Path, skipped: Skipped, until: int | None) -> Iterator[bytes]:
    """The lines of a file, last first, reading no more of it than is asked for."""
    if present(file).suffix in COMPRESSED:
        yield from reversed(list(lines(file, skipped)))
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
