"""Large bodies through a proxy of which one end does not read: first not at all, then slowly, then on to the end.

Both ends are here, the client and the upstream, so that either can be the one that stalls.
"""

import socket
import socketserver
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Final

from tests.bench.head import Head, parse

_PIECE: Final = 1 << 16
_PATIENCE: Final = 60.0


class StallError(Exception):
    """A body did not arrive whole; the message says what did."""


@dataclass(frozen=True, slots=True)
class Halt:
    """How an end reads: nothing for `still` seconds, then a piece after each `pause` for `slow` seconds, then all."""

    still: float = 3.0
    slow: float = 2.0
    pause: float = 0.01


NO_HALT: Final = Halt(0.0, 0.0, 0.0)


@dataclass(slots=True)
class Transfer:
    """One body on its way.

    sent  bytes that the sending end got rid of
    held  the same, at the end of the time in which nothing was read: what proxy and kernel had taken in
    """

    size: int
    halt: Halt = NO_HALT
    sent: int = 0
    held: int = 0

    def send(self, connection: socket.socket) -> None:
        """Sends the whole body."""
        piece = memoryview(bytes(_PIECE))
        while self.sent < self.size:
            self.sent += connection.send(piece[: self.size - self.sent])

    def receive(
        self,
        connection: socket.socket,
        begun: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Reads the body, of which `begun` bytes came with the head. Raises StallError when it ends early."""
        sleep(self.halt.still)
        self.held = self.sent
        slow_until = clock() + self.halt.slow
        received = begun
        while received < self.size:
            if clock() < slow_until:
                sleep(self.halt.pause)
            data = connection.recv(_PIECE)
            if not data:
                raise StallError(f"{received} of {self.size} bytes arrived")
            received += len(data)
        if received > self.size:
            raise StallError(f"{received} bytes arrived, {self.size} were sent")


def _read_head(connection: socket.socket) -> tuple[Head, int] | None:
    """A head and how many bytes of the body came with it; None when the other end closed instead."""
    data = b""
    while (head := parse(data)) is None:
        more = connection.recv(_PIECE)
        if not more:
            return None
        data += more
    return head, len(data) - head.size


@dataclass(slots=True)
class Upstream:
    """A service that answers GET with the body of the transfer at hand and takes that of a PUT."""

    transfer: Transfer = field(default_factory=lambda: Transfer(0))
    port: int = 0

    @contextmanager
    def serving(self) -> Iterator["Upstream"]:
        """Accepts connections on a free port of loopback, each in a thread, until the block ends."""
        upstream = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    upstream._serve(self.request)
                except (OSError, StallError):
                    return  # the client sees it: its own transfer ends early

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        with Listener(("127.0.0.1", 0), Handler) as listener:
            self.port = listener.server_address[1]
            thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                listener.shutdown()
                thread.join()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        while (read := _read_head(connection)) is not None:
            head, begun = read
            transfer = self.transfer
            if head.first.startswith(b"GET "):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % transfer.size)
                transfer.send(connection)
            else:
                transfer.receive(connection, begun)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def down(port: int, path: str, token: str, transfer: Transfer) -> None:
    """GET: the client is the end that may stall. Raises StallError or OSError."""
    with _connected(port) as connection:
        connection.sendall(_request("GET", path, token))
        head, begun = _answered(connection)
        if head.length != transfer.size:
            raise StallError(f"{head.length} bytes were announced, {transfer.size} are meant")
        transfer.receive(connection, begun)


def up(port: int, path: str, token: str, transfer: Transfer) -> None:
    """PUT: the upstream is the end that may stall. Raises StallError or OSError."""
    with _connected(port) as connection:
        connection.sendall(_request("PUT", path, token, f"Content-Length: {transfer.size}\r\n"))
        transfer.send(connection)
        _answered(connection)


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), _PATIENCE)


def _request(method: str, path: str, token: str, more: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Auth-Token: {token}\r\n{more}\r\n".encode(
        "ascii"
    )


def _answered(connection: socket.socket) -> tuple[Head, int]:
    read = _read_head(connection)
    if read is None:
        raise StallError("closed without an answer")
    if read[0].status != 200:
        raise StallError(f"answered {read[0].first.decode('latin-1')}")
    return read
