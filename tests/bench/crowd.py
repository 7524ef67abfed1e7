"""Very many connections that are kept alive and idle, and whether all of them still answer."""

import resource
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from tests.bench.head import parse
from tests.bench.pace import PaceError

_SOURCES: Final = 8
"""Addresses of loopback that clients come from: one has fewer ports than some machines have clients."""

_TIMEOUT: Final = 30.0
_OTHERS: Final = 256  # files that a process has open beside the connections


def connections_allowed(wanted: int) -> int:
    """Raises the limit of open files, of this process and those that it starts, as far as needed and as it may.

    How many of the connections it then has room for.
    """
    needed = wanted + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    if hard != resource.RLIM_INFINITY and hard < needed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, needed))
        except (ValueError, OSError):  # only root may go beyond the hard limit, and only up to the kernel's
            needed = hard
        else:
            return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return min(wanted, max(0, needed - _OTHERS))


class Crowd:
    """Connections to one port, as a context; each sends the request and reads the answer when it is made."""

    def __init__(self, port: int, request: bytes, *, status: int = 200) -> None:
        self._port = port
        self._request = request
        self._status = status
        self._connections: list[socket.socket] = []

    def grow(self, number: int) -> None:
        """Opens that many. Raises OSError or PaceError."""
        for _ in range(number):
            source = f"127.0.0.{2 + len(self._connections) % _SOURCES}"
            connection = socket.create_connection(
                ("127.0.0.1", self._port), _TIMEOUT, source_address=(source, 0)
            )
            self._connections.append(connection)
            self._ask(connection)

    def alive(self) -> int:
        """How many of them answer another request."""
        return sum(self._answers(connection) for connection in self._connections)

    def _answers(self, connection: socket.socket) -> bool:
        try:
            self._ask(connection)
        except (OSError, PaceError):
            return False
        return True

    def _ask(self, connection: socket.socket) -> None:
        connection.sendall(self._request)
        data = b""
        while (answer := parse(data)) is None or len(data) < answer.whole:
            more = connection.recv(1 << 16)
            if not more:
                raise PaceError(f"closed after {len(data)} bytes")
            data += more
        if answer.status != self._status:
            raise PaceError(f"answered {answer.status}")

    def close(self) -> None:
        while self._connections:
            self._connections.pop().close()

    def __iter__(self) -> Iterator[socket.socket]:
        return iter(self._connections)

    def __len__(self) -> int:
        return len(self._connections)

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
