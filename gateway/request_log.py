"""The request log's writer: takes records at once, appends their lines in whole batches from a thread of its own."""

import fcntl
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import orjson

from gateway.record import Record
from gateway.sampling import Sampling
from gateway.serializer import Serializer

Listener: TypeAlias = Callable[[Mapping[str, Any]], None]

STANDARD_OUTPUT: Final = "-"

_INTERVAL = 0.1  # seconds that a batch is given to fill; a record is in the file twice that later at most
_SLICE = 32  # records whose lines are made together
_BATCH = 256 * 1024  # bytes per write, or a quarter of a file that is smaller than that
_SHOWN = 512  # of the last lines, for who watches
_WATCHED = 10.0  # seconds after which nobody watches any more who has not asked again
_CLOSE = 2.0  # seconds that close() waits for a reader of standard output that has stopped reading


class LogFile:
    """A file of whole lines, appended to and rotated by size: PATH, then PATH.1 (newest) to PATH.N.

    Several processes may append to one file: a line is never torn by another's, and a file that somebody else
    has moved away is opened anew. Raises OSError; what could not be written is kept and goes first next time.
    """

    def __init__(self, path: str, max_size: int, max_files: int) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._rest = b""
        self.preamble = b""
        """Lines that every new file begins with."""
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

    def close(self) -> None:
        if not self._standard and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self.preamble and os.fstat(fd).st_size == 0:
            self._rest = self.preamble + self._rest
        return fd

    def _turn(self, size: int) -> None:
        """Sees to it that the file is the one at the path, and that `size` more bytes fit."""
        if not self._current():
            self._reopen()
        if not self._max_size:
            return
        state = os.fstat(self._fd)
        if not stat.S_ISREG(state.st_mode) or state.st_size + size <= self._max_size:
            return
        if state.st_size <= len(self.preamble):
            return  # nothing is in it but what a new file would begin with too
        # One process rotates, the others find the file moved. The lock goes with the descriptor.
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        if self._current():
            self._shift()
        self._reopen()

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
        for suffix in ("", ".gz"):  # an operator may have compressed what was rotated
            with suppress(FileNotFoundError):
                os.unlink(f"{self._path}.{self._max_files}{suffix}")
            for number in range(self._max_files - 1, 0, -1):
                with suppress(FileNotFoundError):
                    os.replace(f"{self._path}.{number}{suffix}", f"{self._path}.{number + 1}{suffix}")
        if self._max_files:
            os.replace(self._path, f"{self._path}.1")
        else:
            os.unlink(self._path)


class _Plan(NamedTuple):
    revision: str
    description: Mapping[str, object]
    wall: float


class _PlanLine(NamedTuple):
    """A line that every new file begins with from now on."""

    text: bytes


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
    queue      how many records may wait; one more is dropped and counted
    on_drop    called in the writer's thread with the number of records dropped since the last call
    sampling   says which records are left out; None for none
    copies     further files that have all records, in other forms

    Sequence numbers are given out at `put`, so that a dropped record leaves a gap, to those that are not left out. A disk that is full or a
    directory that cannot be written is warned of once and tried again; requests never wait for it.
    """

    def __init__(
        self,
        path: str | None,
        *,
        serializer: Serializer,
        max_size: int,
        max_files: int,
        queue: int,
        on_drop: Callable[[int], None] | None = None,
        sampling: Sampling | None = None,
        copies: Sequence[Copy] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._serializer = serializer
        self._max_size = max_size
        self._max_files = max_files
        self._limit = queue
        self._on_drop = on_drop
        self._sampling = sampling
        self._clock = clock
        self._batch = max(1, min(_BATCH, max_size // 4)) if max_size else _BATCH
        self._queue: deque[tuple[int, Record] | _Plan] = deque()
        self._made: deque[bytes | _PlanLine] = deque()
        self._making = threading.Lock()
        self._sequence = 0
        self.copies = tuple(copies)
        self._off = path is None and not copies
        self._awake = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._writer: threading.Thread | None = None
        self._file: LogFile | None = None
        self._listeners: tuple[Listener, ...] = ()
        self._shown: deque[bytes] | None = None
        self._shown_count = 0
        self._asked_at = 0.0
        self._announced: set[str] = set()
        self._told = 0
        self._failing = False
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
            self._file = LogFile(self._path, self._max_size, self._max_files)
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
        if not self._awake:
            self._awake = True
            self._wake.set()

    def follow(self, former: "RequestLog") -> None:
        """Counts on from where `former` has come to, whose place it takes."""
        self._sequence = former._sequence
        self.dropped = self._told = former.dropped
        self.left_out = former.left_out
        self.write_errors = former.write_errors

    def announce(self, revision: str, description: Mapping[str, object]) -> None:
        """Writes the line that describes a configuration, once per revision; every new file repeats the last."""
        if self._path is None or revision in self._announced:
            return
        self._announced.add(revision)
        self._queue.append(_Plan(revision, description, self._clock()))
        self._awake = True
        self._wake.set()

    def subscribe(self, listener: Listener) -> None:
        """Calls `listener` with the fields of every record from now on, in the writer's thread."""
        self._listeners = (*self._listeners, listener)
        self._off = False

    def recent(self, after: int) -> tuple[list[bytes], int]:
        """The lines that have come since this was asked before and answered with `after`, the last 512 of them at most; and the
        next `after`.

        None before the first time. The log is watched from then on, for as long as this is asked every few seconds.
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

    def close(self) -> None:
        """Writes what waits and stops. Records put from now on are counted as dropped."""
        thread, self._writer = self._writer, None
        if thread is None:
            return
        self._limit = 0
        self._stop.set()
        self._wake.set()
        thread.join(_CLOSE)  # longer only if standard output is a pipe that nobody reads any more

    def _make(self) -> None:
        """Makes the lines of what has been put; for whoever holds the lock."""
        queue, made, line = self._queue, self._made, self._serializer.line
        while queue:
            item = queue.popleft()
            if isinstance(item, _Plan):
                made.append(_PlanLine(self._serializer.plan(*item)))
            else:
                made.append(line(item[1], item[0]))

    # ---- in the writer's thread

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait(_INTERVAL if self._failing else None)
            self._stop.wait(_INTERVAL)
            stopping = self._stop.is_set()
            self._wake.clear()
            self._awake = False
            self._drain()
            self._tell_drops()
        self.dropped += self.depth
        if self._file is not None:
            self.dropped += self._file.pending
        self._close_files()
        self._tell_drops()

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
            plan: bytes | None = None
            room = self._batch
            while made and room > 0 and plan is None:
                line = made.popleft()
                if isinstance(line, _PlanLine):
                    plan = line.text
                else:
                    lines.append(line)
                    room -= len(line)
            written = self._written(b"".join(lines))
            if plan is not None:
                written = self._written(plan)
                if self._file is not None:
                    self._file.preamble = plan
            if self._listeners or self.copies:
                self._tell([orjson.loads(line) for line in lines])
            if self._shown is not None:
                self._show(lines)
            if not written:
                return

    def _written(self, lines: bytes) -> bool:
        if self._file is None:
            return True
        try:
            self._file.append(lines)
        except OSError as error:
            self.write_errors += 1
            if not self._failing:
                _warn("request_log_failing", path=self._path, error=error.strerror)
            self._failing = True
            return False
        if self._failing:
            _warn("request_log_recovered", path=self._path, write_errors=self.write_errors)
            self._failing = False
        return True

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
            self._off = self._path is None and not self._listeners and not self.copies
        else:
            assert self._shown is not None
            self._shown.extend(lines)
            self._shown_count += len(lines)

    def _tell_drops(self) -> None:
        new = self.dropped - self._told
        if new and self._on_drop is not None:
            self._told += new
            self._on_drop(new)


def _warn(event: str, **facts: object) -> None:
    import structlog

    structlog.get_logger("gateway.record").warning(event, **facts)
