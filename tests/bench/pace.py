"""An open load: requests leave at a fixed rate, whether or not those before them have been answered.

    python -m tests.bench.pace --port 8080 --rate 1000 --seconds 3 < request

A closed load asks again when it has its answer. A proxy that halts for a second is then asked nothing in that second,
and one slow answer stands for the thousand that would have been slow (coordinated omission). Here every request has
an instant at which it is due, and its latency counts from that instant, also when it had to wait for a connection.

The loop waits with select(2), which counts in microseconds; an event loop's timers count in milliseconds, which is
more than most answers take.
"""

import ctypes
import gc
import json
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from tests.bench.head import parse

_ROOT: Final = Path(__file__).parents[2]
_GRACE: Final = 10.0  # seconds after the last request in which answers are waited for
_MARGIN: Final = 30.0
_AHEAD: Final = 0.05  # seconds before the first request is due
_PR_SET_TIMERSLACK: Final = 29
_RECEIVE: Final = 1 << 16


class PaceError(Exception):
    """The load did not run to its end; the message says why."""


class Pace(NamedTuple):
    """What the load saw, its warm-up left out.

    rate        answers a second
    worst_ms    the longest latency
    lag_p99_ms  how late requests left for which a connection was free: the load's own fault, and part of the latency
    errors      requests without an answer
    unexpected  answers with another status than the one that was to come
    """

    answered: int
    rate: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    lag_p99_ms: float
    errors: int
    unexpected: int


class Book:
    """When requests are due, and how long each took: the arithmetic of the load, without a clock of its own."""

    def __init__(self, *, begin: float, rate: int, count: int, skip: int) -> None:
        """`count` requests from `begin` on, of which the first `skip` are not counted."""
        self._begin = begin
        self._rate = rate
        self._count = count
        self._skip = skip
        self._next = 0
        self._last_answer = begin
        self._latencies: list[float] = []
        self._lags: list[float] = []
        self.finished = 0
        self.errors = 0
        self.unexpected = 0

    def instant(self, number: int) -> float:
        return self._begin + number / self._rate

    @property
    def next_due(self) -> float | None:
        return self.instant(self._next) if self._next < self._count else None

    @property
    def end(self) -> float:
        """When the last request has been due for as long as the others take their turn."""
        return self.instant(self._count)

    @property
    def done(self) -> bool:
        return self.finished == self._count

    def due(self, now: float) -> int | None:
        """The number of the next request, if its instant has come."""
        number = self._next
        if number == self._count or self.instant(number) > now:
            return None
        self._next += 1
        return number

    def left_at_once(self, number: int, now: float) -> None:
        """It found a free connection: what it is late by is the load's own doing."""
        if number >= self._skip:
            self._lags.append(now - self.instant(number))

    def answered(self, number: int, now: float, *, expected: bool) -> None:
        self.finished += 1
        if number < self._skip:
            return
        self._latencies.append(now - self.instant(number))
        self._last_answer = now
        self.unexpected += not expected

    def failed(self) -> None:
        self.finished += 1
        self.errors += 1

    def pace(self) -> Pace:
        """Raises PaceError when nothing was answered."""
        if not self._latencies:
            raise PaceError("no request was answered")
        span = max(self._last_answer, self.end) - self.instant(self._skip)
        return Pace(
            answered=len(self._latencies),
            rate=len(self._latencies) / span,
            p50_ms=percentile(self._latencies, 50) * 1e3,
            p99_ms=percentile(self._latencies, 99) * 1e3,
            worst_ms=max(self._latencies) * 1e3,
            lag_p99_ms=percentile(self._lags, 99) * 1e3 if self._lags else 0.0,
            errors=self.errors + self._count - self.finished,
            unexpected=self.unexpected,
        )


def percentile(values: Sequence[float], percent: int) -> float:
    """The least value that is not below `percent` of all."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


class _Client:
    """One connection; `number` is the request that it waits for, -1 for none."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.number = -1
        self._data = bytearray()

    def send(self, request: bytes, number: int) -> None:
        self.number = number
        if self.socket.send(request) != len(request):
            raise PaceError("the request does not fit into an idle connection")

    def receive(self) -> int | None:
        """The status of an answer that is complete now. Raises OSError or PaceError."""
        data = self.socket.recv(_RECEIVE)
        if not data:
            raise ConnectionResetError("closed")
        self._data += data
        answer = parse(self._data)
        if answer is None:
            return None
        if answer.length is None:
            raise PaceError("an answer without a length")
        if len(self._data) < answer.whole:
            return None
        if len(self._data) > answer.whole or self.number < 0:
            raise PaceError("bytes beyond the answer")
        self._data.clear()
        return answer.status


class _Load:
    def __init__(self, port: int, request: bytes, book: Book, connections: int, status: int) -> None:
        self._port = port
        self._request = request
        self._book = book
        self._status = status
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._free: deque[_Client] = deque()
        self._waiting: deque[int] = deque()
        for _ in range(connections):
            self._connect()

    def _connect(self) -> None:
        client = _Client(self._port)
        descriptor = client.socket.fileno()
        self._clients[descriptor] = client
        self._poll.register(descriptor, select.EPOLLIN)
        self._free.append(client)

    def run(self) -> None:
        book = self._book
        deadline = book.end + _GRACE
        while not book.done:
            now = time.monotonic()
            while (number := book.due(now)) is not None:
                self._waiting.append(number)
            self._send(at_once=True)
            now = time.monotonic()
            if now > deadline:
                break
            until = book.next_due
            select.select([self._poll], [], [], max(0.0, (deadline if until is None else until) - now))
            for descriptor, _ in self._poll.poll(0):
                self._receive(self._clients[descriptor])
            self._send(at_once=False)

    def _send(self, *, at_once: bool) -> None:
        """Those that are due, as far as connections are free."""
        while self._waiting and self._free:
            client, number = self._free.popleft(), self._waiting.popleft()
            if at_once:
                self._book.left_at_once(number, time.monotonic())
            try:
                client.send(self._request, number)
            except OSError:
                self._lose(client)

    def _receive(self, client: _Client) -> None:
        try:
            status = client.receive()
        except BlockingIOError:
            return
        except (OSError, PaceError):
            self._lose(client)
            return
        if status is not None:
            self._book.answered(client.number, time.monotonic(), expected=status == self._status)
            client.number = -1
            self._free.append(client)

    def _lose(self, client: _Client) -> None:
        """A request on it is lost with it; a connection that is closed while nobody waits is an error as well."""
        if client.number >= 0:
            self._book.failed()
        else:
            self._book.errors += 1
            self._free.remove(client)
        descriptor = client.socket.fileno()
        self._poll.unregister(descriptor)
        del self._clients[descriptor]
        client.socket.close()
        self._connect()

    def close(self) -> None:
        for client in self._clients.values():
            client.socket.close()
        self._poll.close()


def drive(
    port: int, request: bytes, *, rate: int, seconds: float, warm_up: float, connections: int, status: int
) -> Pace:
    """Sends `rate` requests a second. Raises PaceError or OSError."""
    skip = int(rate * warm_up)
    count = skip + int(rate * seconds)
    book = Book(begin=time.monotonic() + _AHEAD, rate=rate, count=count, skip=skip)
    load = _Load(port, request, book, connections, status)
    try:
        load.run()
    finally:
        load.close()
    return book.pace()


def run(
    prefix: Sequence[str],
    port: int,
    request: bytes,
    *,
    rate: int,
    seconds: int,
    warm_up: int = 1,
    connections: int,
    status: int = 200,
) -> Pace:
    """`drive` in a process of its own, which `prefix` pins to a core. Raises PaceError."""
    options = {
        "port": port,
        "rate": rate,
        "seconds": seconds,
        "warm-up": warm_up,
        "connections": connections,
        "status": status,
    }
    command = [*prefix, sys.executable, "-m", "tests.bench.pace"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    try:
        done = subprocess.run(
            command,
            input=request,
            capture_output=True,
            timeout=seconds + warm_up + _GRACE + _MARGIN,
            check=False,
            cwd=_ROOT,
        )
    except subprocess.TimeoutExpired:
        raise PaceError("the load did not end") from None
    if done.returncode != 0:
        raise PaceError(f"the load ended with status {done.returncode}: {done.stderr.decode()[-500:]}")
    return Pace(**json.loads(done.stdout))


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--rate", type=click.IntRange(1), required=True)
@click.option("--seconds", type=click.IntRange(1), required=True)
@click.option("--warm-up", type=click.IntRange(0), default=1, show_default=True)
@click.option("--connections", type=click.IntRange(1, 900), default=64, show_default=True)
@click.option("--status", type=int, default=200, show_default=True)
def main(port: int, rate: int, seconds: int, warm_up: int, connections: int, status: int) -> None:
    """Send the request on standard input, RATE times a second; JSON on standard output."""
    request = sys.stdin.buffer.read()
    # A sleep may end 50 us late unless the kernel is told that it may not; a collection would be late by more.
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.freeze()
    gc.disable()
    try:
        pace = drive(
            port,
            request,
            rate=rate,
            seconds=seconds,
            warm_up=warm_up,
            connections=connections,
            status=status,
        )
    except (PaceError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(pace._asdict()))


if __name__ == "__main__":
    main()
