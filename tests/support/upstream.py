"""An upstream that does exactly what a test says: raw connections, taken one by one or answered by a script."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from tests.support.deadline import within
from tests.support.message import Received, read_request_body, read_request_head
from tests.support.sockets import Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class Conversation(Wire):
    """One connection that the gateway made."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        super().__init__(sock, f"upstream's connection {number}")
        self.number = number
        self.requests: list[Received] = []

    async def request(self) -> Received:
        """The next request, body and all; fails where the connection ends instead."""
        received = await self.next_request()
        assert received is not None, "the gateway closed the connection instead of sending a request"
        return received

    async def next_request(self) -> Received | None:
        """The next request, or None where the gateway closes the connection."""
        parts = await read_request_head(self)
        if parts is None:
            return None
        received = await read_request_body(self, *parts)
        self.requests.append(received)
        return received

    async def request_head(self) -> Received:
        """The next request without its body, which is left to be read."""
        parts = await within(read_request_head(self), "a request reaches the upstream")
        assert parts is not None, "the gateway closed the connection instead of sending a request"
        return Received(*parts, b"", False)

    async def answer(self, data: bytes = OK) -> Received:
        """Reads a request and answers it with `data`."""
        received = await self.request()
        await self.send(data)
        return received


Script = Callable[[Conversation], Awaitable[None]]


class Upstream:
    """Listens on a port of its own. Without a script, each connection waits to be taken by `accepted`."""

    def __init__(self, script: Script | None = None, *, receive_buffer: int | None = None) -> None:
        self._script = script
        self._receive_buffer = receive_buffer
        self._sock: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._waiting: asyncio.Queue[Conversation] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self.conversations: list[Conversation] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._sock = sock = socket.socket()
        sock.setblocking(False)
        if self._receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        sock.bind(("127.0.0.1", 0))
        sock.listen(128)
        self.port = sock.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept(sock))
        return self

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(sock)
            conversation = Conversation(accepted, len(self.conversations))
            self.conversations.append(conversation)
            if self._script is None:
                self._waiting.put_nowait(conversation)
            else:
                self._tasks.append(asyncio.create_task(self._run(self._script, conversation)))

    async def _run(self, script: Script, conversation: Conversation) -> None:
        try:
            await script(conversation)
        finally:
            conversation.close()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop_listening()
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for conversation in self.conversations:
            conversation.close()
        if kind is None:
            for outcome in outcomes:
                # A script that the gateway has cut off in the middle has done its part.
                if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
                    raise outcome

    async def stop_listening(self) -> None:
        """From now on connections are refused; those that stand stay."""
        task, self._accepting = self._accepting, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    @property
    def requests(self) -> list[Received]:
        """All requests, in the order of the connections."""
        return [request for conversation in self.conversations for request in conversation.requests]

    async def accepted(self) -> Conversation:
        """The next connection that the gateway makes."""
        return await within(self._waiting.get(), "the gateway connects to the upstream")


def answers(*data: bytes) -> Script:
    """A script: each request of a connection gets the next of `data`, the last one again and again."""

    async def script(conversation: Conversation) -> None:
        number = 0
        while await conversation.next_request() is not None:
            await conversation.send(data[min(number, len(data) - 1)])
            number += 1

    return script


def answers_and_closes(data: bytes) -> Script:
    """A script: one request, one answer, then FIN."""

    async def script(conversation: Conversation) -> None:
        if await conversation.next_request() is not None:
            await conversation.send(data)
            conversation.half_close()
            await conversation.rest()

    return script


async def echo(conversation: Conversation) -> None:
    """A script: 200 with the request's body as JSON text, on a connection that is kept."""
    while (request := await conversation.next_request()) is not None:
        body = b'{"bytes": %d}' % len(request.body)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        await conversation.send(head if request.method == "HEAD" else head + body)


def closed_port() -> int:
    """A port of this host on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
