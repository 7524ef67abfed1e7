"""An upstream that keeps every byte it gets, per connection, and reads them by the reference."""

import asyncio
import socket
from types import TracebackType
from typing import Final, NamedTuple, Self, cast

from tests.smuggling.reference import Incomplete, Malformed, Message, read

MARK: Final = b"X-Seen"
"""The field of an answer that names the request it answers: its number in the order of their heads."""
BODY: Final = b"ok"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Entry(NamedTuple):
    """A request as it reached the upstream.

    number    counts heads, over all connections
    whole     False where the connection ended inside the body
    tunnel    what came behind it, where the recorder has switched protocols; it still grows
    """

    number: int
    message: Message
    whole: bool
    tunnel: bytearray | None = None


class Stray(NamedTuple):
    """Bytes that are no request: where they came behind which request, and why they are none."""

    behind: Message | None
    data: bytes
    reason: str


def answer(number: int, method: bytes) -> bytes:
    """The one answer there is; that to HEAD has the length and not the body."""
    head = b"HTTP/1.1 200 OK\r\n%b: %d\r\nContent-Length: %d\r\n\r\n" % (MARK, number, len(BODY))
    return head if method == b"HEAD" else head + BODY


def switch(number: int, protocol: bytes) -> bytes:
    """The answer to a request that offers another protocol."""
    return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n%b: %d\r\n\r\n" % (
        protocol,
        MARK,
        number,
    )


class Recorder:
    """Listens on a port of its own.

    entries   requests that are over, whole or not, in the order of their ends
    strays    what came and is no request

    `eager` answers at the end of a head and reads the body afterwards; `switches` takes every upgrade that is offered.
    """

    def __init__(self, *, eager: bool = False, switches: bool = False) -> None:
        self.eager = eager
        self.switches = switches
        self.entries: list[Entry] = []
        self.strays: list[Stray] = []
        self.connections: set[Recording] = set()
        self.heads = 0
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        self._server = await loop.create_server(lambda: Recording(self), sock=sock)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await self._server.wait_closed()

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    def forget(self) -> None:
        """Drops what is over; what is still under way stays."""
        self.entries.clear()
        self.strays.clear()


class Recording(asyncio.Protocol):
    """One connection that the gateway made. `data` is all that came on it since the last request ended."""

    transport: asyncio.Transport

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last: Message | None = None
        self._number: int | None = None  # of the request that has begun and is not whole
        self._answered = False
        self._tunnel: bytearray | None = None
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._recorder.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel += data
            return
        self.data += data
        recorder = self._recorder
        while self.data:
            found = read(self.data)
            begun = found if isinstance(found, Message) else found.begun if found is not None else None
            if begun is not None and self._number is None:
                self._number = recorder.heads
                recorder.heads += 1
                self._answered = False
                if not isinstance(found, Message):
                    self._early(begun)
            if isinstance(found, Message):
                self._whole(found)
                continue
            if isinstance(found, Malformed):
                recorder.strays.append(Stray(self._last, self.data, found.reason))
                self.data = b""
                self.transport.abort()
            return

    def _early(self, begun: Message) -> None:
        """What is sent before the body is here."""
        assert self._number is not None
        if self._recorder.eager:
            self._answered = True
            self.transport.write(answer(self._number, begun.method))
        elif begun.all(b"expect"):
            self.transport.write(_CONTINUE)

    def _whole(self, message: Message) -> None:
        recorder = self._recorder
        assert self._number is not None
        if message.begin:
            # The gateway sends no empty lines; a client's may not be seen here.
            recorder.strays.append(Stray(self._last, self.data[: message.begin], "empty lines"))
        offered = message.all(b"upgrade")
        if recorder.switches and offered:
            self._tunnel = bytearray(self.data[message.end :])
            recorder.entries.append(Entry(self._number, message, True, self._tunnel))
            self.transport.write(switch(self._number, offered[0]))
            self.data = b""
            return
        recorder.entries.append(Entry(self._number, message, True))
        if not self._answered:
            self.transport.write(answer(self._number, message.method))
        self.data = self.data[message.end :]
        self._last = message
        self._number = None

    def connection_lost(self, exc: Exception | None) -> None:
        recorder = self._recorder
        recorder.connections.discard(self)
        if not self.data:
            return
        found = read(self.data)
        if isinstance(found, Incomplete) and found.begun is not None:
            assert self._number is not None
            recorder.entries.append(Entry(self._number, found.begun, False))
        else:
            recorder.strays.append(Stray(self._last, self.data, "the end of the connection inside a head"))
