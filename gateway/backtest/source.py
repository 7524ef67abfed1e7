"""Where the records of a back-test come from: files, in parts that several processes read side by side."""

import mmap
import os
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

from gateway.backtest.generation import Generations
from gateway.backtest.line import UNREADABLE, read
from gateway.backtest.recorded import (
    UNKNOWN_PAST,
    End,
    Mark,
    Past,
    Recorded,
    at_work,
    cells_of,
    end_of,
    mark_of,
    past_of,
    since_of,
)
from gateway.inspect.reader import COMPRESSED, DAMAGED, opened, present

PART: Final = 64 << 20
"""Bytes of a plain file that are read in one go."""
_PLAN: Final = b'"kind":"plan"'
_CELLS: Final = b'"instant":'
_NEAR: Final = 120
"""Bytes of a line in which its kind is told, for one of a configuration to be known before it is come to."""
_BLOCK: Final = 1 << 20
_LOOKED_AT: Final = 20_000
_OTHERS: Final = ("plan", "mark", "end")
_COUNTED: Final = ("rate_counted", "rate_limited")


class Part(NamedTuple):
    """A part of a file: from byte `start` on, before `end`; None is to the end. Lines belong to the part that they begin in.

    offset  seconds from the axis of the limits to the wall clock, as the file's records have it; 0 where none tells
    common  whether that axis is that of a store which gateways share
    sinces  since when each gateway that the file tells of has counted, by the revision of its configuration
    """

    file: Path
    start: int
    end: int | None
    offset: float
    common: bool = False
    sinces: Mapping[str, Sequence[float]] = {}


class Heard:
    """What a part says beside its records. When a worker has come is told by its first line alone: what a file repeats, or a reload
    tells, is no sign that the worker had not counted before.

    begun    since when limits of gateways have counted, each with when the log first told of that
    came     when each worker has told of a configuration first, by what its limits are counted in and its number
    resumed  workers that have told of a configuration otherwise than in their first lines
    over     the workers that are over: when that was told at the latest
    ends     the last lines of workers
    marks    the latest of what each worker says of its records
    at_work  which workers were at work together, by what their limits are counted in: from when until when that was told
    damaged  files that could not be read to their end
    generations  what lines that are no records say of the configurations of each gateway
    """

    def __init__(self) -> None:
        self.begun: dict[float, float] = {}
        self.came: dict[tuple[float, int], float] = {}
        self.resumed: set[tuple[float, int]] = set()
        self.over: dict[tuple[float, int], float] = {}
        self.ends: list[End] = []
        self.marks: dict[tuple[float, int], Mark] = {}
        self.at_work: dict[tuple[float, frozenset[int]], tuple[float, float]] = {}
        self.damaged: list[str] = []
        self.generations: dict[float, Generations] = {}

    def learn(self, past: Past, worker: int | None) -> None:
        """A configuration is in force in the worker from then on."""
        since, at = past.since, past.at
        if past.begins:
            self.begun[since] = min(at, self.begun.get(since, at))
            if worker is not None:
                self.came[since, worker] = min(at, self.came.get((since, worker), at))
        elif worker is not None:
            self.resumed.add((since, worker))
        for number in past.over:
            self.over[since, number] = min(at, self.over.get((since, number), at))

    def take(self, kind: str, fields: Mapping[str, Any]) -> None:
        """What else a line says that is no record. Raises ValueError for one that is damaged."""
        if kind == "end":
            self.ends.append(end_of(fields))
        elif kind == "mark":
            mark = mark_of(fields)
            key = mark.since, mark.worker
            self.marks[key] = later(mark, self.marks.get(key))
        since = since_of(fields)
        if since:
            generations = self.generations.get(since)
            if generations is None:
                generations = self.generations[since] = Generations()
            generations.learn(fields)
        told = at_work(fields)
        if told is not None:
            since, at, numbers = told
            first, last = self.at_work.get((since, numbers), (at, at))
            self.at_work[since, numbers] = min(first, at), max(last, at)


def later(mark: Mark, other: Mark | None) -> Mark:
    """The one of two of a worker that was written later."""
    return mark if other is None else max(mark, other, key=lambda each: (each.sequence, each.behind))


class _Sinces:
    """Of which gateway a record is that does not say it, where a file has those of several.

    It is one that the file says to have had that configuration; of several, that which was started last before it, since one
    that is started anew has what it had.
    """

    def __init__(self, known: Mapping[str, Sequence[float]]) -> None:
        self._of = {revision: sorted(sinces) for revision, sinces in known.items()}
        self._all = sorted({since for sinces in self._of.values() for since in sinces})

    def learn(self, revision: str, since: float) -> None:
        of_revision = self._of.setdefault(revision, [])
        for sinces in (of_revision, self._all):
            if since > 0 and since not in sinces:
                insort(sinces, since)

    def of(self, revision: str, at: float) -> float:
        """0 where nobody knows."""
        sinces = self._all
        if len(sinces) > 1:
            sinces = self._of.get(revision) or sinces
        elif not sinces:
            return 0.0
        return sinces[0] if len(sinces) == 1 else sinces[max(0, bisect_right(sinces, at) - 1)]


def parts_of(files: Sequence[Path]) -> tuple[list[Part], dict[str, Past]]:
    """The parts of the files, and all configurations that they describe by their revisions. Raises OSError."""
    parts: list[Part] = []
    pasts: dict[str, Past] = {}
    for file in files:
        try:
            parts += _parts(present(file), pasts)
        except FileNotFoundError:  # it has been compressed just now
            parts += _parts(present(file), pasts)
    _note_changed_keys(pasts)
    axes = {
        since: (part.offset, part.common)
        for part in parts
        if part.offset
        for sinces in part.sinces.values()
        for since in sinces
    }
    return [part if part.offset else _placed(part, axes) for part in parts], pasts


def _note_changed_keys(pasts: dict[str, Past]) -> None:
    """Has the configurations say when a key of hashes has changed in a worker first."""
    first: dict[tuple[float, int | None], str] = {}
    changed: dict[tuple[float, int | None], float] = {}
    for past in sorted(pasts.values(), key=lambda past: past.at):
        for writer, key in past.hashed_by.items():
            if not key or first.setdefault(writer, key) != key:
                changed.setdefault(writer, past.at)
    if changed:
        for revision, past in pasts.items():
            pasts[revision] = past._replace(rehashed=changed)


def _placed(part: Part, axes: Mapping[float, tuple[float, bool]]) -> Part:
    """With the axis that other files have of the gateway that wrote it."""
    for sinces in part.sinces.values():
        for since in sinces:
            if since in axes:
                offset, common = axes[since]
                return part._replace(offset=offset, common=common)
    return part


def _parts(file: Path, pasts: dict[str, Past]) -> Iterator[Part]:
    sinces: dict[str, list[float]] = {}
    axis = _axis(file, pasts, sinces)
    if file.suffix in COMPRESSED:
        yield Part(file, 0, None, *axis, sinces)
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
                # Looking for it everywhere would take twice as long; for bytes, `in` is an error inside first.
                if content.find(_PLAN, begin, begin + _NEAR) >= 0:
                    _learn(content[begin:end], pasts, sinces)
                begin = end + 1
    for start in range(0, size, PART):
        yield Part(file, start, min(start + PART, size), *axis, sinces)


def _learn(line: bytes, pasts: dict[str, Past], sinces: dict[str, list[float]]) -> None:
    try:
        fields = orjson.loads(line)
    except ValueError:
        return
    if isinstance(fields, dict) and fields.get("kind") == "plan":
        past, revision = past_of(fields), str(fields.get("gateway.revision"))
        known = pasts.get(revision)
        if known is not None:
            told = [*known.told, *past.told]
            first, later_one = (past, known) if past.at < known.at else (known, past)
            pasts[revision] = first.with_writers_of(later_one)._replace(told=told)
        else:
            pasts[revision] = past
        if past.since > 0:
            sinces.setdefault(revision, []).append(past.since)


def _axis(file: Path, pasts: dict[str, Past], sinces: dict[str, list[float]]) -> tuple[float, bool]:
    """The offset, and whether it is that of a store, by the first of the records that tells an instant; 0 where none of the
    first ones does. Learns all configurations that a compressed file describes: no record is judged before they are known, since
    one may be of any file, and what one says later is true of records before it."""
    found: tuple[float, bool] | None = None
    is_read_once = file.suffix in COMPRESSED
    with opened(file) as stream, suppress(*DAMAGED):
        for number, line in enumerate(stream):
            if found is None:
                found = _axis_of(line) if number <= _LOOKED_AT else (0.0, False)
            if is_read_once:
                if _PLAN in line[:_NEAR]:
                    _learn(line, pasts, sinces)
            elif found is not None:
                break
    return found or (0.0, False)


def _axis_of(line: bytes) -> tuple[float, bool] | None:
    """The offset that a record tells, and whether it is that of a store; None where it tells none."""
    if _CELLS not in line:
        return None
    try:
        record = read(line)
    except UNREADABLE:
        return None
    for step in record.filters:
        try:
            instant, _ = cells_of(step.facts)
        except (TypeError, ValueError):  # damaged
            continue
        if record.facts is not None and instant is not None and step.reason in _COUNTED:
            return record.facts.clock - instant, _by_store(line, step.name)
    return None


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
    sinces = _Sinces(part.sinces)
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
                    revision = record.revision
                    past = pasts.get(revision, UNKNOWN_PAST)
                    told = wanted is None or wanted(orjson.loads(line))
                    since = record.since
                    if not since and record.facts is not None:
                        since = sinces.of(revision, record.facts.clock)
                    yield Recorded(record, past, told=told, since=since)
                elif record.kind in _OTHERS:
                    fields = orjson.loads(line)
                    heard.take(record.kind, fields)
                    if record.kind == "plan":
                        past = past_of(fields)
                        heard.learn(past, record.worker)
                        sinces.learn(record.revision, past.since)
                        pasts[record.revision] = pasts.get(record.revision, past).with_writers_of(past)
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
