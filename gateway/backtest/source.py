"""Where the records of a back-test come from: files, in parts that several processes read side by side."""

import mmap
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

from gateway.backtest.line import UNREADABLE, read
from gateway.backtest.recorded import UNKNOWN_PAST, Past, Recorded, cells_of, past_of
from gateway.inspect.reader import COMPRESSED, DAMAGED, opened, present

PART: Final = 64 << 20
"""Bytes of a plain file that are read in one go."""
_PLAN: Final = b'"kind":"plan"'
_CELLS: Final = b'"instant":'
_NEAR: Final = 120
"""Bytes of a line in which its kind is told, for one of a configuration to be known before it is come to."""
_BLOCK: Final = 1 << 20
_LOOKED_AT: Final = 20_000
_COUNTED: Final = ("rate_counted", "rate_limited")


class Part(NamedTuple):
    """A part of a file: from byte `start` on, before `end`; None is to the end. Lines belong to the part that they begin in.

    offset  seconds from the axis of the limits to the wall clock, as the file's records have it
    common  whether that axis is that of a store which gateways share
    """

    file: Path
    start: int
    end: int | None
    offset: float
    common: bool = False


class Heard:
    """What a part says beside its records.

    begun    since when the gateway's limits have counted, each with when the log first told of that
    damaged  files that could not be read to their end
    """

    def __init__(self) -> None:
        self.begun: dict[float, float] = {}
        self.damaged: list[str] = []

    def learn(self, past: Past) -> None:
        """A configuration is in force from then on."""
        self.begun[past.since] = min(past.at, self.begun.get(past.since, past.at))


def parts_of(files: Sequence[Path]) -> tuple[list[Part], dict[str, Past]]:
    """The parts of the files, and all configurations that they describe by their revisions. Raises OSError."""
    parts: list[Part] = []
    pasts: dict[str, Past] = {}
    for file in files:
        try:
            parts += _parts(present(file), pasts)
        except FileNotFoundError:  # it has been compressed just now
            parts += _parts(present(file), pasts)
    return parts, pasts


def _parts(file: Path, pasts: dict[str, Past]) -> Iterator[Part]:
    axis = _axis(file)
    if file.suffix in COMPRESSED:
        yield Part(file, 0, None, *axis)
        return
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if not size:
            return
        with mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as content:
            begin = 0
            while begin < size:
                end = content.find(b"\n", begin)
                if end < 0:
                    end = size
                if _PLAN in content[begin : begin + _NEAR]:  # twice as fast as looking for it everywhere
                    _learn(content[begin:end], pasts)
                begin = end + 1
    for start in range(0, size, PART):
        yield Part(file, start, min(start + PART, size), *axis)


def _learn(line: bytes, pasts: dict[str, Past]) -> None:
    try:
        fields = orjson.loads(line)
    except ValueError:
        return
    if isinstance(fields, dict) and fields.get("kind") == "plan":
        past, revision = past_of(fields), str(fields.get("gateway.revision"))
        if revision not in pasts or past.at < pasts[revision].at:
            pasts[revision] = past


def _axis(file: Path) -> tuple[float, bool]:
    """The offset, and whether it is that of a store, by the first of the records that tells an instant; 0 where none of the
    first ones does."""
    with opened(file) as stream, suppress(*DAMAGED):
        for number, line in enumerate(stream):
            if number > _LOOKED_AT:
                break
            if _CELLS not in line:
                continue
            try:
                record = read(line)
            except UNREADABLE:
                continue
            for step in record.filters:
                try:
                    instant, _ = cells_of(step.facts)
                except (TypeError, ValueError):  # damaged
                    continue
                if record.facts is not None and instant is not None and step.reason in _COUNTED:
                    return record.facts.clock - instant, _by_store(line, step.name)
    return 0.0, False


def _by_store(line: bytes, name: str) -> bool:
    """Whether a store has decided for the entry."""
    steps = orjson.loads(line)["gateway.filters"]
    return any(step["name"] == name and (step.get("facts") or {}).get("store") is True for step in steps)


def records(
    part: Part,
    pasts: dict[str, Past],
    heard: Heard,
    wanted: Callable[[Mapping[str, Any]], bool] | None = None,
) -> Iterator[Recorded | None]:
    """The records of a part, None for a line that is none; learns the configurations that the file describes. Of a file that is
    not whole, the records that are there.

    wanted  of which records is to be told, by their fields; None for all
    """
    try:
        yield from _records(part, pasts, heard, wanted)
    except DAMAGED:
        heard.damaged.append(str(part.file))


def _records(
    part: Part, pasts: dict[str, Past], heard: Heard, wanted: Callable[[Mapping[str, Any]], bool] | None
) -> Iterator[Recorded | None]:
    with opened(part.file) as stream:
        place = part.start
        if place:
            _skip(stream, place - 1)
            place += len(stream.readline()) - 1
        for line in stream:
            if part.end is not None:
                if place >= part.end:
                    return
                place += len(line)
            try:
                record = read(line)
                if record.kind == "request":
                    past = pasts.get(record.revision, UNKNOWN_PAST)
                    told = wanted is None or wanted(orjson.loads(line))
                    yield Recorded(record, past, told=told)
                elif record.kind == "plan":
                    past = past_of(orjson.loads(line))
                    heard.learn(past)
                    pasts.setdefault(record.revision, past)
            except (*UNREADABLE, ValueError):
                yield None


def _skip(stream: BinaryIO, size: int) -> None:
    """Goes on by so many bytes from the beginning, also in what has been compressed since its parts were told."""
    if stream.seekable():
        stream.seek(size)
        return
    while size:
        passed = len(stream.read(min(size, _BLOCK)))
        if not passed:
            return
        size -= passed
