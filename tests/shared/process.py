"""Processes that use one shared memory, each told what to do on a socket.

Each line is an expression over the names below; what it gives is answered in a line of JSON. One process, run as
`python -m tests.shared.process SOCKET`, has imported all that and forks for each that a test asks for, which takes a tenth
of what a start does.
"""

import atexit
import functools
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gateway.api.table import Cell, TableBusy
from gateway.shared.memory import SharedMemory
from gateway.shared.permit import SharedPermits
from gateway.shared.shelf import SharedShelf
from gateway.shared.table import SharedTable

ROOT: Final = Path(__file__).parent.parent.parent
PATIENCE: Final = 60.0
"""Seconds for a lock: where others use the machine, a holder may be without a core for long."""


class _Nursery:
    """The process that forks the others."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.shared.process", str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()

    def fork(self, memory: SharedMemory, patience: float) -> "tuple[_Process, socket.socket]":
        """A process that has the memory, and the socket on which it listens."""
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = [*memory.descriptors, theirs.fileno()]
            socket.send_fds(self._socket, [str(patience).encode()], descriptors)
            number = self._socket.recv(64)
        assert number, "the process that forks has ended"
        return _Process(int(number)), ours


@functools.cache
def _nursery() -> _Nursery:
    return _Nursery()


class _Process:
    """One that is no child of ours: known by a descriptor, so that nothing else is meant when it is gone."""

    def __init__(self, number: int) -> None:
        self._descriptor = os.pidfd_open(number)

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self) -> None:
        select.select([self._descriptor], [], [])

    def close(self) -> None:
        os.close(self._descriptor)


class Other:
    """Another process with the same shared memory."""

    def __init__(self, memory: SharedMemory, patience: float = PATIENCE) -> None:
        self.process, self._socket = _nursery().fork(memory, patience)
        self._stream = self._socket.makefile("rw")

    def tell(self, expression: str) -> None:
        """Has it begin; `answer` waits for what comes of it."""
        self._stream.write(expression + "\n")
        self._stream.flush()

    def answer(self) -> Any:
        """None from one that has ended."""
        try:
            line = self._stream.readline()
        except ConnectionResetError:  # killed with a line before it that it had not read
            line = ""
        return json.loads(line) if line else None

    def ask(self, expression: str) -> Any:
        self.tell(expression)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> "Other":
        return self

    def __exit__(self, *failure: object) -> None:
        self.kill()
        with suppress(OSError):
            self._stream.close()
        self._socket.close()
        self.process.close()


def table_of(memory: SharedMemory, name: str, definition: str) -> SharedTable:
    zone = memory.claim(name, definition)
    return SharedTable(zone, memory.owner)


def permits_of(memory: SharedMemory, name: str, definition: str) -> SharedPermits:
    return SharedPermits(memory.claim(name, definition), memory)


def shelf_of(memory: SharedMemory, name: str, definition: str) -> SharedShelf:
    return SharedShelf(memory.claim(name, definition))


def lay(shelf: SharedShelf, letter: bytes, seconds: float) -> int:
    """Puts values of one letter each under keys that others have too, again and again; how many."""
    count = 0
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        count += 1
        shelf.put(
            b"%d" % (count % 7), letter * (count % 97), tags=(letter,), made=now, until=now + 60, now=now
        )
    return count


def hold_again_and_again(
    permits: SharedPermits, key: bytes, most: int, seconds: float
) -> list[tuple[float, float]]:
    """Claims and releases: from when to when it has had a permit."""
    told: list[tuple[float, float]] = []
    demands = [(permits.place(key), most)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        claim = permits.claim(demands)
        if claim.full < 0:
            began = time.monotonic()
            for _ in range(len(told) % 5 * 20):
                pass
            told.append((began, time.monotonic()))
            claim.release()
        else:
            os.sched_yield()
    return told


# ---- a reference model: two algorithms, in as few words as possible


def gcra(cell: Cell | None, now: float, interval: float, burst: int) -> Cell | None:
    """The cell after one request more, None where it does not fit."""
    back = (cell[0] if cell is not None else now) + interval
    return (back, 0.0, 0.0) if back - now <= interval * burst + 1e-9 else None


def window(cell: Cell | None, now: float, seconds: float, most: int) -> Cell | None:
    if cell is None:
        return now + seconds, 1.0, 0.0
    return (cell[0], cell[1] + 1, 0.0) if cell[1] < most else None


Rule = tuple[str, bytes, float, int]
"""Which algorithm, whose key, and its two numbers."""


def decide(
    table: SharedTable, rules: Sequence[Rule], now: float, counter: bytes = b"decided"
) -> tuple[bool, int]:
    """Whether a request passes all rules, and the number of the decision, which is kept with the cells."""
    places = [table.place(key) for _, key, _, _ in rules]
    told: list[tuple[bool, int]] = []

    def change(cells: Sequence[Cell | None]) -> Sequence[Cell]:
        after, passed = decided(rules, cells[1:], now)
        counts = cells[0] or (float("inf"), 0.0, 0.0)
        told.append((passed, int(counts[1])))
        return [(counts[0], counts[1] + 1, counts[2] + passed), *after]

    table.update([table.place(counter), *places], now, change)
    return told[0]


def decided(rules: Sequence[Rule], cells: Sequence[Cell | None], now: float) -> tuple[list[Cell], bool]:
    """The cells after a request, and whether it passes."""
    after = [
        (gcra if kind == "gcra" else window)(cell, now, first, second)
        for (kind, _, first, second), cell in zip(rules, cells, strict=True)
    ]
    passed = all(cell is not None for cell in after)
    return [
        new if passed and new is not None else cell or (0.0, 0.0, 0.0)
        for new, cell in zip(after, cells, strict=True)
    ], passed


# ---- one that is killed in the midst of a change


class _Dying:
    """Counts writes, and has the process killed at one of them: before it, in the midst of it, or after it."""

    def __init__(self, at: int) -> None:
        self.left = at

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class _Memory(mmap.mmap):
    """A zone in which the process dies at a write."""

    dying: _Dying

    def __setitem__(self, part: Any, data: Any) -> None:
        self.dying.step()
        half = len(data) // 2 + 3
        super().__setitem__(slice(part.start, part.start + half), data[:half])
        self.dying.step()
        super().__setitem__(part, data)


class _Words:
    def __init__(self, words: Any, dying: _Dying) -> None:
        self._words = words
        self._dying = dying

    def __getitem__(self, at: int) -> Any:
        return self._words[at]

    def __setitem__(self, at: int, value: int) -> None:
        self._dying.step()
        self._words[at] = value
        self._dying.step()


def die_at(memory: SharedMemory, table: SharedTable | SharedPermits | SharedShelf, step: int) -> None:
    """From now on the process is killed at the write of this number."""
    dying = _Dying(step)
    zone: Any = table.zone
    # Where it is in the file is the shared memory's affair; the process has mapped it there already.
    (line,) = [
        line
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "weir-zones" in line and int(line.split()[2], 16)
    ]
    zone.memory = _Memory(memory.descriptors[0], len(zone.memory), offset=int(line.split()[2], 16))
    zone.memory.dying = dying
    zone.words = _Words(zone.words, dying)


def hammer(
    table: SharedTable, rules: Sequence[Rule], seconds: float, times: int
) -> list[tuple[int, float, bool]]:
    """Decides again and again, in real time: number, instant, and whether it has passed."""
    told: list[tuple[int, float, bool]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(told) < times:
        now = time.monotonic()
        passed, number = decide(table, rules, now)
        told.append((number, now, passed))
    return told


def many(table: SharedTable, rules: Sequence[Rule], now: float, times: int) -> int:
    """Decides so many times at one instant: how many have passed."""
    return sum(decide(table, rules, now)[0] for _ in range(times))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        while True:
            patience, descriptors, _, _ = socket.recv_fds(asked, 64, 3)
            if not patience:
                return
            number = os.fork()
            if not number:
                asked.close()
                _obey(descriptors, float(patience))
                os._exit(0)
            for descriptor in descriptors:
                os.close(descriptor)
            asked.send(str(number).encode())


def _obey(descriptors: Sequence[int], patience: float) -> None:
    cells, locks, told = descriptors
    memory = SharedMemory((cells, locks), patience=patience)
    names = {**globals(), "memory": memory}
    with socket.socket(fileno=told) as listening, listening.makefile("rw") as stream:
        for line in stream:
            try:
                answer = eval(line, names)
            except TableBusy:
                answer = "busy"
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


if __name__ == "__main__":
    main()
