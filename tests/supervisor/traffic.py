"""Requests at a constant rate, each known by its own path, and an upstream that writes down what has reached it.

What the client saw and what the upstream saw are two accounts of one thing: they are compared when it is over.
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple, Self

from gateway.config.model import Address
from gateway.task import spawn

BODY: Final = b"x" * 2048
PATIENCE: Final = 20.0
"""Seconds that a client waits for an answer."""


class Outcome(NamedTuple):
    """One request as the client saw it.

    number   of the request; its path is /NUMBER
    failure  None where a whole 200 came
    at       when it was over, by the wall clock
    before   X-Compute-Request-Id of the answer before it on the same connection
    """

    number: int
    method: str
    failure: str | None
    at: float
    before: str | None


class Witness:
    """An upstream that answers 200 to everything, `delay` seconds later."""

    def __init__(self, delay: float = 0.0) -> None:
        self.seen: Counter[str] = Counter()
        """How often each path has come, whole."""
        self._delay = delay
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = spawn(self._serve(reader, writer), name="witness")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, _, fields = head.decode().partition("\r\n")
                length = _length(fields)
                body = await reader.readexactly(length)
                assert body == BODY[:length]
                self.seen[line.split(" ")[1]] += 1
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway has closed the connection
        finally:
            await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def _length(fields: str) -> int:
    for line in fields.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.before: str | None = None


class Traffic:
    """A client that sends `rate` requests a second, GET and POST, on connections kept alive and on new ones."""

    def __init__(self, address: Address, rate: float) -> None:
        self._address = address
        self._rate = rate
        self._free: list[_Connection] = []
        self._running: set[asyncio.Task[None]] = set()
        self._ticking: asyncio.Task[None] | None = None
        self.outcomes: list[Outcome] = []

    async def __aenter__(self) -> Self:
        self._ticking = spawn(self._tick(), name="traffic")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        await self.rest()
        for connection in self._free:
            await _closed(connection.writer)

    def stop(self) -> None:
        """Begins nothing new."""
        assert self._ticking is not None
        self._ticking.cancel()

    async def rest(self) -> None:
        """Waits for what is under way."""
        if self._running:
            await asyncio.wait(self._running)

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.failure is not None]

    async def _tick(self) -> None:
        number = 0
        began = time.monotonic()
        while True:
            number += 1
            task = spawn(self._ask(number), name=f"request {number}")
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))

    async def _ask(self, number: int) -> None:
        method = "POST" if number % 2 else "GET"
        connection: _Connection | None = None
        failure: str | None = None
        before: str | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                connection = await self._connection(fresh=number % 5 == 0)
                before = connection.before
                failure = await self._exchange(connection, method, number)
        except TimeoutError:
            failure = "timeout"
        except (OSError, asyncio.IncompleteReadError) as error:
            failure = repr(error)
        self.outcomes.append(Outcome(number, method, failure, time.time(), before))
        if failure is not None and connection is not None:
            await _closed(connection.writer)

    async def _connection(self, *, fresh: bool) -> _Connection:
        while self._free and not fresh:
            connection = self._free.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            await _closed(connection.writer)  # the other end has closed it, and we know in time
        return _Connection(*await asyncio.open_connection(self._address.host, self._address.port))

    async def _exchange(self, connection: _Connection, method: str, number: int) -> str | None:
        body = BODY if method == "POST" else b""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        connection.writer.write(f"{method} /{number} HTTP/1.1\r\nHost: a\r\n{length}\r\n".encode() + body)
        await connection.writer.drain()
        head = (await connection.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        await connection.reader.readexactly(_length(head.partition("\r\n")[2]))
        lines = head.lower().split("\r\n")
        if " 200 " not in lines[0]:
            return lines[0]
        for line in lines:
            if line.startswith("x-compute-request-id:"):
                connection.before = line.partition(":")[2].strip()
        if "connection: close" in lines:
            await _closed(connection.writer)
        else:
            self._free.append(connection)
        return None

    def differences(self, witness: Witness) -> list[str]:
        """Where the two accounts do not agree: an answer without its request, or a request that came twice."""
        wrong: list[str] = []
        for outcome in self.outcomes:
            times = witness.seen[f"/{outcome.number}"]
            if times > 1:
                wrong.append(f"{outcome.method} {outcome.number} came {times} times")
            if outcome.failure is None and times != 1:
                wrong.append(f"{outcome.method} {outcome.number} was answered and came {times} times")
        return wrong
