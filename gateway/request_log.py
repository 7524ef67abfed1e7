"""The request log's writer: takes records at once, appends their lines in whole batches from a thread of its own."""

import fcntl
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import orjson

from gateway.record import Record
from gateway.sampling import Sampling
from gateway.serializer import Serializer
from gateway.shared.roll import Roll
from gateway.trouble import Trouble

Listener: TypeAlias = Callable[[Mapping[str, Any]], None]
Taker: TypeAlias = Callable[[bytes], None]

STANDARD_OUTPUT: Final = "-"

_INTERVAL = 0.1  # seconds that a batch is given to fill; a record is in the file twice that later at most
_FULL = 128  # lines that are written before that: they are still in the processor's cache, and their memory is used again
_SLICE = 32  # records whose lines are made together
_BATCH = 256 * 1024  # bytes per write, or a quarter of a file that is smaller than that
_SHOWN = 512  # of the last lines, for who watches
_WATCHED = 10.0  # seconds after which nobody watches any more who has not asked again
_LOOK = 60.0  # seconds between two looks at the age of a file that nobody writes to
_HEAD = 4 << 20  # bytes in which the first record of a file is looked for
_CLOSE = 2.0  # seconds that close() waits for a reader of standard output that has stopped reading


class LogFile:
    """A file of whole lines, appended to and rotated by size and age: PATH, then PATH.1 (newest) to PATH.N.

    Several processes may append to one file: a line is never torn by another's, and a file that somebody else
    has moved away is opened anew. Raises OSError; what could not be written is kept and goes first next time.

    max_size   bytes after which the file is rotated, 0 for never
    max_files  how many rotated files are kept
    max_age    seconds after its first record after which it is rotated, None for never
    clock      tells the time of day
    """

    def __init__(
        self,
        path: str,
        max_size: int,
        max_files: int,
        max_age: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._max_age = max_age
        self._clock = clock
        self._rest = b""
        self._began: float | None = None
        self.preamble = b""
        """Lines that every new file begins with."""
        self.stuck: OSError | None = None
        """Why the file could not be rotated; it is written to beyond its time then."""
        self._standard = path == STANDARD_OUTPUT
        self._fd = 1 if self._standard else self._open()

    @property
    def pending(self) -> int:
        """Lines that wait for the file to be written again."""
        return self._rest.count(b"\n")

    def append(self, lines: bytes) -> None:
        self._rest += lines
        self.flush()

    def flush(self) -> None:
        if not self._rest:
            return
        if not self._standard:
            self._turn(len(self._rest))
            if os.fstat(self._fd).st_size == 0 and not self._rest.startswith(self.preamble):
                self._rest = self.preamble + self._rest
        data, written = self._rest, 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError:
            self._rest = data[written:]
            if not self._standard:
                # The disk filled up inside a line. Others may append after the torn piece: end it, and say
                # the whole line again.
                start = data.rfind(b"\n", 0, written) + 1
                if start < written:
                    self._rest = b"\n" + data[start:]
            raise
        self._rest = b""

    def turn(self) -> None:
        """Rotates the file if it is old enough, though nothing is to be written."""
        if not self._standard:
            self._turn(0)

    def reopen(self) -> None:
        """Lets go of the file and opens what is at the path now, which is made if nothing is."""
        if not self._standard:
            self._reopen()

    def close(self) -> None:
        if not self._standard and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        self._began = None
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _turn(self, size: int) -> None:
        """Sees to it that the file is the one at the path, that `size` more bytes fit, and that it is not too old."""
        if not self._current():
            self._reopen()
        if not self._due(size):
            self.stuck = None
            return
        # One process rotates, the others find the file moved. A failure must not keep them waiting.
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                if self._current():
                    self._shift()
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        except OSError as error:
            self.stuck = error
            if not self._current():
                raise
            return  # a log that is too large is better than none
        self._reopen()
        self.stuck = None

    def _due(self, size: int) -> bool:
        """Whether the file is to be rotated before `size` more bytes are written to it."""
        if not self._max_size and self._max_age is None:
            return False
        state = os.fstat(self._fd)
        if not stat.S_ISREG(state.st_mode) or state.st_size <= len(self.preamble):
            return False  # nothing is in it but what a new file would begin with too
        if self._max_size and state.st_size + size > self._max_size:
            return True
        return self._max_age is not None and self._age() >= self._max_age

    def _age(self) -> float:
        """Seconds since the first record in the file, which somebody else may have written."""
        if self._began is None:
            found = _first(self._path)
            self._began = self._clock() if found is None else found
        return self._clock() - self._began

    def _current(self) -> bool:
        try:
            there, ours = os.stat(self._path), os.fstat(self._fd)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _reopen(self) -> None:
        fd = self._open()
        os.close(self._fd)
        self._fd = fd

    def _shift(self) -> None:
        if not self._max_files:
            os.unlink(self._path)
            return
        # Up to the first gap only: a rotation that failed here has left one, and is not to cost more files when it
        # is tried again.
        numbers = range(1, self._max_files + 1)
        end = next((number for number in numbers if not any(map(os.path.lexists, self._named(number)))), None)
        if end is None:
            end = self._max_files
            for name in self._named(end):
                with suppress(FileNotFoundError):
                    os.unlink(name)
        for number in range(end - 1, 0, -1):
            for name, following in zip(self._named(number), self._named(number + 1), strict=True):
                with suppress(FileNotFoundError):
                    os.replace(name, following)
        os.replace(self._path, f"{self._path}.1")

    def _named(self, number: int) -> tuple[str, ...]:
        """What the rotated file of that number may be called: it may have been compressed."""
        return tuple(f"{self._path}.{number}{suffix}" for suffix in ("", ".gz", ".zst"))


def _first(path: str) -> float | None:
    """When the first exchange in a log file began, in seconds since the epoch; None where no record tells. Raises OSError."""
    with open(path, "rb") as file:
        while file.tell() < _HEAD and (line := file.readline(_HEAD)):
            # A plan's line is repeated in every file, and older than that.
            with suppress(ValueError, KeyError, TypeError):
                fields = orjson.loads(line)
                if fields["kind"] == "request":
                    return datetime.fromisoformat(fields["timestamp"]).timestamp()
    return None


class _Plan(NamedTuple):
    revision: str
    description: Mapping[str, object]
    wall: float
    generation: int | None
    under_way: float
    begins: bool
    workers: Sequence[int] | None


class _Mark(NamedTuple):
    sequence: int
    wall: float
    last: float | None
    under_way: float
    workers: Sequence[int] | None
    generation: int | None


class _Remark(NamedTuple):
    """A line that is no record. Of one that describes a configuration `again` is how every new file begins with it from now on; None
    of others."""

    text: bytes
    again: bytes | None


class Copy(Protocol):
    """A further file with a line for each record; all but `open` raises nothing."""

    dropped: int

    def open(self) -> None: ...
    def write(self, records: Sequence[Mapping[str, Any]]) -> None: ...
    def close(self) -> None: ...


class RequestLog:
    """The request log of one worker: takes records at once, writes them in a thread of its own.

    Lines are made a slice at a time by whoever put the last record of the slice, after its exchange is over;
    the thread makes only what is left when it writes. A thread that made them all would have the interpreter
    for milliseconds at a time, and cost more than the lines.

    path       of the file; "-" is standard output, None writes nothing
    max_size   bytes after which the file is rotated, 0 for never
    max_files  how many rotated files are kept
    max_age    seconds after its first record after which the file is rotated, None for never
    queue      how many records may wait; one more is dropped and counted
    on_drop    called in the writer's thread with the number of records dropped since the last call
    clock      tells the time of day, `steady` seconds that never go back
    sampling   says which records are left out; None for none
    copies     further files that have all records, in other forms
    roll       of the workers, this one included; None where it is alone and nobody keeps one

    Sequence numbers are given out at `put` to those that are not left out, so that a dropped record leaves a gap. A disk that is
    full or a directory that cannot be written is warned of, once a minute at most, and tried again; requests never wait for it.
    """

    def __init__(
        self,
        path: str | None,
        *,
        serializer: Serializer,
        max_size: int,
        max_files: int,
        queue: int,
        max_age: float | None = None,
        on_drop: Callable[[int], None] | None = None,
        sampling: Sampling | None = None,
        copies: Sequence[Copy] = (),
        roll: Roll | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._serializer = serializer
        self._max_size = max_size
        self._max_files = max_files
        self._max_age = max_age
        self._limit = queue
        self._on_drop = on_drop
        self._sampling = sampling
        self._clock = clock
        self._roll = roll
        self._batch = max(1, min(_BATCH, max_size // 4)) if max_size else _BATCH
        self._queue: deque[tuple[int, Record] | _Plan | _Mark] = deque()
        self._made: deque[bytes | _Remark] = deque()
        self._making = threading.Lock()
        self._sequence = 0
        self._last: Record | None = None
        self.copies = tuple(copies)
        self._off = path is None and not copies
        self._awake = self._hurried = False
        self._wake = threading.Event()
        self._due = threading.Event()
        self._stop = False
        self._writer: threading.Thread | None = None
        self._file: LogFile | None = None
        self._listeners: tuple[Listener, ...] = ()
        self._taker: Taker | None = None
        self._shown: deque[bytes] | None = None
        self._shown_count = 0
        self._asked_at = 0.0
        self._announced = ""
        self._generation: int | None = None
        self._begins = True
        self._marked = 0
        self._told = 0
        self._failing = self._moved = self._over = False
        self._trouble = Trouble("request_log_failing", "request_log_recovered", _warn, steady)
        self._stuck = Trouble("request_log_not_rotated", "request_log_rotated", _warn, steady)
        self.dropped = 0
        """Records that were not written."""
        self.left_out = 0
        """Records that `sampling` left out."""
        self.write_errors = 0
        """Attempts to write that failed."""

    @property
    def depth(self) -> int:
        """Records that wait to be written."""
        return len(self._queue) + len(self._made)

    def start(self) -> None:
        """Opens the files and starts the writer. Raises OSError when one cannot be opened."""
        if self._path is not None:
            self._file = LogFile(self._path, self._max_size, self._max_files, self._max_age, self._clock)
        try:
            for copy in self.copies:
                copy.open()
        except OSError:
            self._close_files()
            raise
        self._writer = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._writer.start()

    def put(self, record: Record) -> None:
        """Hands over a record. Never waits, never raises."""
        if self._off:
            return
        if self._sampling is not None and self._sampling.leaves_out(record):
            self.left_out += 1
            return
        self._sequence = sequence = self._sequence + 1
        self._last = record
        queue = self._queue
        if len(queue) + len(self._made) >= self._limit:
            self.dropped += 1
        else:
            queue.append((sequence, record))
            if len(queue) >= _SLICE and self._making.acquire(blocking=False):
                try:
                    self._make()
                finally:
                    self._making.release()
                if len(self._made) >= _FULL and not self._hurried:
                    self._hurried = True
                    self._due.set()
        if not self._awake:
            self._awake = True
            self._wake.set()

    def follow(self, former: "RequestLog") -> None:
        """Counts on from where `former` has come to, whose place it takes."""
        self._sequence, self._last, self._begins = former._sequence, former._last, False
        self._marked, self._generation = former._marked, former._generation
        self.dropped = self._told = former.dropped
        self.left_out = former.left_out
        self.write_errors = former.write_errors

    def announce(
        self,
        revision: str,
        description: Mapping[str, object],
        *,
        beside: Sequence[int] = (),
        under_way: float = 0.0,
    ) -> None:
        """Writes the line that describes a configuration, whenever another comes into force; every new file repeats the last. `beside`
        are workers that are to be at work soon, and are told of with those that are; `under_way` as in `mark`."""
        if self._roll is not None:
            self._generation = self._roll.generation(revision)  # also where no line tells of it
        if self._path is None or revision == self._announced:
            return
        self._announced = revision
        wall, workers = self._clock(), self._at_work()
        if workers is not None:
            workers = sorted({*workers, *beside})
        self._queue.append(
            _Plan(revision, description, wall, self._generation, under_way, self._begins, workers)
        )
        self._begins = False
        self._awake = True
        self._wake.set()

    def mark(self, under_way: float) -> None:
        """Writes a line that says that up to now nothing is missing, where any worker has recorded something since the last one.

        under_way  seconds for which the oldest exchange of the worker has been under way, 0 for none
        """
        roll = self._roll
        if self._path is None or roll is None or roll.noted <= self._marked:
            return
        self._marked = time.monotonic_ns()
        self._queue.append(
            _Mark(
                self._sequence,
                self._clock(),
                self._ended(),
                under_way,
                roll.numbers(),
                self._generation,
            )
        )
        self._awake = True
        self._wake.set()

    def _ended(self) -> float | None:
        """When the exchange of the last record was over."""
        last = self._last
        return None if last is None else last.exchange.clock.wall + last.duration

    def _at_work(self) -> list[int] | None:
        return None if self._roll is None else self._roll.numbers()

    def subscribe(self, listener: Listener) -> None:
        """Calls `listener` with the fields of every record from now on, in the writer's thread."""
        self._listeners = (*self._listeners, listener)
        self._switch()

    def forward(self, taker: Taker | None) -> None:
        """Hands the line of every record from now on to `taker`, in the writer's thread; None hands it to nobody.

        `taker` never waits and never raises.
        """
        self._taker = taker
        self._switch()

    def _switch(self) -> None:
        """Takes records where anybody wants them."""
        wanted = self._listeners or self.copies or self._taker is not None or self._shown is not None
        self._off = self._path is None and not wanted

    def reopen(self) -> None:
        """Has the writer open the file anew at once: somebody has moved it."""
        self._moved = True
        self._awake = True
        self._wake.set()

    def recent(self, after: int) -> tuple[list[bytes], int]:
        """The lines that have come since this was asked before and answered with `after`, the last 512 of them at most; and the
        next `after`.

        None of them the first time: the log is watched from then on, for as long as this is asked every few seconds.
        """
        self._asked_at = self._clock()
        shown = self._shown
        if shown is None:
            self._shown = deque(maxlen=_SHOWN)
            self._off = False
            return [], self._shown_count
        count, lines = self._shown_count, list(shown)
        new = min(max(0, count - after), len(lines))
        return lines[len(lines) - new :], count

    def close(self, *, over: bool = False) -> None:
        """Writes what waits and stops. Records put from now on are counted as dropped.

        over  whether the worker has come to its end, which is said in its last line then
        """
        thread, self._writer = self._writer, None
        if thread is None:
            return
        self._over = over
        self._limit = 0
        self._stop = True
        self._due.set()
        self._wake.set()
        thread.join(_CLOSE)  # longer only if standard output is a pipe that nobody reads any more

    def _make(self) -> None:
        """Makes the lines of what has been put; for whoever holds the lock."""
        queue, made, line, plan = self._queue, self._made, self._serializer.line, self._serializer.plan
        while queue:
            item = queue.popleft()
            if isinstance(item, _Plan):
                described = item.revision, item.description, item.wall, item.generation, item.under_way
                text = plan(*described, begins=item.begins, workers=item.workers)
                made.append(_Remark(text, plan(*described)))
            elif isinstance(item, _Mark):
                made.append(_Remark(self._serializer.mark(*item), None))
            else:
                made.append(line(item[1], item[0]))

    # ---- in the writer's thread

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait(self._patience())
            self._due.wait(_INTERVAL)
            self._wake.clear()
            self._due.clear()
            stopping = self._stop
            self._awake = False
            self._see_to_file()
            self._drain()
            self._hurried = self._failing  # what cannot be written is not tried more often for being much
            self._tell_drops()
        lost = self.depth
        if self._file is not None:
            lost += self._file.pending
        self.dropped += lost
        if self._over and not lost:
            said = self._sequence, self._clock(), self._ended(), self._at_work(), self._generation
            self._written(self._serializer.end(*said))
        self._close_files()
        self._tell_drops()

    def _patience(self) -> float | None:
        """Seconds that the writer waits where nothing comes."""
        if self._failing:
            return _INTERVAL
        return None if self._max_age is None else min(_LOOK, self._max_age / 2)

    def _see_to_file(self) -> None:
        """What the file may need though nothing is written to it."""
        file, moved = self._file, self._moved
        self._moved = False
        if file is None:
            return
        if moved:
            self._moved = not self._attempt(file.reopen) or self._moved
        elif self._max_age is not None and not self.depth:
            self._attempt(file.turn)

    def _close_files(self) -> None:
        if self._file is not None:
            self._file.close()
        for copy in self.copies:
            copy.close()

    def _drain(self) -> None:
        if self._file is not None and self._file.pending and not self._written(b""):
            return
        made = self._made
        with self._making:
            self._make()  # what has not become a slice since the last time
        while made:
            lines: list[bytes] = []
            remark: _Remark | None = None
            room = self._batch
            while made and room > 0 and remark is None:
                line = made.popleft()
                if isinstance(line, _Remark):
                    remark = line
                else:
                    lines.append(line)
                    room -= len(line)
            written = self._written(b"".join(lines))
            if lines and written and self._roll is not None:
                self._roll.note()
            if remark is not None:
                written = self._written(remark.text)
                if self._file is not None and remark.again is not None:
                    self._file.preamble = remark.again
            if (taker := self._taker) is not None:
                for line in lines:
                    taker(line)
            if self._listeners or self.copies:
                self._tell([orjson.loads(line) for line in lines])
            if self._shown is not None:
                self._show(lines)
            if not written:
                return

    def _written(self, lines: bytes) -> bool:
        file = self._file
        return file is None or self._attempt(lambda: file.append(lines))

    def _attempt(self, act: Callable[[], None]) -> bool:
        """Whether `act`, something that is done to the file, has been done."""
        file = self._file
        assert file is not None
        try:
            act()
        except OSError as error:
            self.write_errors += 1
            self._failing = True
            self._trouble.begins(path=self._path, error=error.strerror, **self._counts())
            return False
        self._failing = False
        self._trouble.ends(path=self._path, **self._counts())
        if file.stuck is not None:
            self._stuck.begins(path=self._path, error=file.stuck.strerror)
        else:
            self._stuck.ends(path=self._path)
        return True

    def _counts(self) -> Mapping[str, int]:
        return {"write_errors": self.write_errors, "dropped": self.dropped}

    def _tell(self, records: Sequence[Mapping[str, Any]]) -> None:
        for copy in self.copies:
            copy.write(records)
        for fields in records:
            for listener in self._listeners:
                try:
                    listener(fields)
                except Exception as error:  # noqa: BLE001 - a view that fails must not stop the log
                    self._listeners = tuple(other for other in self._listeners if other is not listener)
                    _warn("request_log_listener_failed", error=repr(error))

    def _show(self, lines: Sequence[bytes]) -> None:
        if self._clock() - self._asked_at > _WATCHED:
            self._shown = None
            self._switch()
        else:
            assert self._shown is not None
            self._shown.extend(lines)
            self._shown_count += len(lines)

    def _tell_drops(self) -> None:
        new = self.dropped - self._told
        if new and self._on_drop is not None:
            self._told += new
            self._on_drop(new)


def _warn(event: str, /, **facts: object) -> None:
    import structlog

    structlog.get_logger("gateway.record").warning(event, **facts)
