"""Exchanges that are to be decided in their turn: kept in temporary files, sorted, and read back in the order of time.

A file has a bounded number of events. It begins with the tariffs and verdicts that its events name by their numbers; all is
written as plain tuples, which `marshal` reads and writes several times as fast as `pickle` does objects.
"""

import marshal
import os
import tempfile
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias

from gateway.backtest.judge import Count, Hold, Judge, Trace
from gateway.backtest.recorded import PASSED, Verdict
from gateway.backtest.tariff import Placed, Tariffs

HELD: Final = 50_000
"""Events that a process holds until it writes them down."""
AT_ONCE: Final = 0.001
"""Seconds within which an exchange comes to one limit after another, where nothing in between has to wait."""
_SLICE: Final = 250
_KEY: Final = itemgetter(0, 1, 2)

Packed: TypeAlias = tuple[int, Sequence[Any], Sequence[Any]]
"""A trace: the number of its end; its parts, each a plain tuple, or the number of a verdict that is undecidable; and what
filters in shadow did then and would do now, as names and numbers of verdicts."""

Event: TypeAlias = tuple[float, int, int, bool, str, str, str, str, int, Packed | None, Packed, float, bool]
"""When it comes to the first limit; the number of its record, and its worker's: of exchanges of one instant these tell an order.
Whether it is to be told of. Its request id, what was asked, route and project. Before: the number of a verdict, or a trace.
After: a trace. When its head arrived. Whether it comes to another limit a while after the first."""


class File(NamedTuple):
    """A file of events of one machine, and the keys of its first and its last."""

    name: str
    machine: int
    first: tuple[float, int, int]
    last: tuple[float, int, int]


class Named(NamedTuple):
    """What the events of a file name by number: verdicts, and the tariffs of either plan."""

    verdicts: list[Verdict]
    old: list[Placed]
    new: list[Placed]


class Spool:
    """Where events of one machine are put, in any order. The judges make their traces, for one spool at a time.

    last  when an exchange comes to a limit that comes to none later, in seconds since the epoch
    """

    def __init__(
        self, directory: str, machine: int, judge: Judge, old_judge: Judge | None, *, held: int = HELD
    ) -> None:
        self.files: list[File] = []
        self.last = float("-inf")
        self._directory = directory
        self._machine = machine
        self._judge = judge
        self._old_judge = old_judge
        self._most = held
        self._begin()

    def _begin(self) -> None:
        self._held: list[Event] = []
        self._verdicts: dict[Verdict, int] = {PASSED: 0}
        self._tariffs, self._old_tariffs = Tariffs(), Tariffs()
        self.resume()

    def resume(self) -> None:
        """The judges make traces for this one from now on."""
        self._judge.tariffs = self._tariffs
        if self._old_judge is not None:
            self._old_judge.tariffs = self._old_tariffs

    def add(
        self,
        key: tuple[float, int, int],
        told: bool,
        request_id: str,
        asked: str,
        route: str,
        project: str,
        before: Verdict,
        old: Trace | None,
        new: Trace,
    ) -> None:
        """Puts in an event; the traces must have been made since the last one was."""
        at, number, worker = key
        waits = _waits(new.parts) if old is None else [*_waits(new.parts), *_waits(old.parts)]
        first = last = 0.0
        if waits:
            first, last = (waits[0], waits[0]) if len(waits) == 1 else (min(waits), max(waits))
        if at + last > self.last:
            self.last = at + last
        self._held.append(
            (
                at + first,
                number,
                worker,
                told,
                request_id,
                asked,
                route,
                project,
                self._number(before),
                None if old is None else self._packed(old),
                self._packed(new),
                at,
                last - first > AT_ONCE,
            )
        )
        if len(self._held) >= self._most:
            self.close()

    def close(self) -> None:
        """Writes down what is held."""
        held = self._held
        if not held:
            return
        held.sort(key=_KEY)
        named = (
            [tuple(verdict) for verdict in self._verdicts],
            [tuple(tariff) for tariff in self._old_tariffs.all],
            [tuple(tariff) for tariff in self._tariffs.all],
        )
        descriptor, name = tempfile.mkstemp(dir=self._directory)
        with os.fdopen(descriptor, "wb") as stream:
            _write(stream, named)
            for start in range(0, len(held), _SLICE):
                _write(stream, held[start : start + _SLICE])
        self.files.append(File(name, self._machine, key_of(held[0]), key_of(held[-1])))
        self._begin()

    def _number(self, verdict: Verdict) -> int:
        if verdict is PASSED:
            return 0
        number = self._verdicts.get(verdict)
        if number is None:
            number = self._verdicts[verdict] = len(self._verdicts)
        return number

    def _packed(self, trace: Trace) -> Packed:
        end, shadows = trace.end, trace.shadows
        packed: list[Any] = []
        for part in trace.parts:
            if isinstance(part, Count):
                packed.append(
                    (
                        part.place,
                        part.instant,
                        part.passed,
                        part.shadow,
                        part.draws,
                        part.waited,
                        part.hashed_by,
                    )
                )
            elif isinstance(part, Hold):
                refusal = None if part.refusal is None else self._number(part.refusal)
                packed.append((*part[:-1], refusal))
            elif isinstance(part, Verdict):
                packed.append(self._number(part))
            else:
                packed.append(tuple(part))
        told = (
            [(name, self._number(before), self._number(after)) for name, before, after in shadows]
            if shadows
            else ()
        )
        return self._number(end), packed, told


def _waits(parts: Sequence[Any]) -> list[float]:
    return [part.waited for part in parts if isinstance(part, (Count, Hold))]


def key_of(event: Event) -> tuple[float, int, int]:
    return event[0], event[1], event[2]


class Reader:
    """Reads a file. `named` is what its events name by number."""

    def __init__(self, file: File) -> None:
        self.file = file
        self._stream = Path(file.name).open("rb")  # noqa: SIM115 - closed when all has been read
        verdicts, old, new = _read(self._stream)
        self.named = Named(
            [PASSED, *(Verdict(*verdict) for verdict in verdicts[1:])],
            [Placed(*tariff) for tariff in old],
            [Placed(*tariff) for tariff in new],
        )

    def slices(self) -> Iterator[list[Event]]:
        """The events, in order, some hundred at a time."""
        with self._stream:
            while events := _read(self._stream):
                yield events


def _write(stream: BinaryIO, content: Any) -> None:
    """Behind its length: `marshal` asks a file for a few bytes at a time, which takes far longer than they do."""
    packed = marshal.dumps(content)
    stream.write(len(packed).to_bytes(8, "little"))
    stream.write(packed)


def _read(stream: BinaryIO) -> Any:
    """What was written next; None at the end."""
    length = int.from_bytes(stream.read(8), "little")
    return marshal.loads(stream.read(length)) if length else None  # noqa: S302 - written by ourselves a moment ago


def lanes(files: Sequence[File]) -> list[list[File]]:
    """The files in as few rows as need be, so that in each row one begins when the one before it is over."""
    found: list[list[File]] = []
    for file in sorted(files, key=lambda file: file.first):
        for lane in found:
            if lane[-1].last <= file.first:
                lane.append(file)
                break
        else:
            found.append([file])
    return found
