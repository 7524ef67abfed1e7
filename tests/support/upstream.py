"""An upstream that does exactly what a test says: raw connections, taken one by one or answered by a script."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.deadline import within
from tests.support.message import Received, read_request_body, read_request_head
from tests.support.sockets import PIECE, Wire, ready

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


class SecureConversation(Conversation):
    """One over TLS."""

    def __init__(self, sock: ssl.SSLSocket, number: int) -> None:
        super().__init__(sock, number)
        self._tls = sock
        self.ragged = False
        """The gateway has closed the connection without a close_notify."""

    async def handshake(self) -> None:
        """Raises SSLError where the gateway does not agree, or we do not."""
        await within(self._until_done(self._tls.do_handshake), "the handshake is over")

    async def goodbye(self) -> None:
        """Sends a close_notify, and waits for the gateway's."""
        await within(self._until_done(self._tls.unwrap), "both sides have sent a close_notify")

    async def _until_done(self, step: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                step()
                return
            except ssl.SSLWantReadError:
                await ready(loop, self._tls, write=False)
            except ssl.SSLWantWriteError:
                await ready(loop, self._tls, write=True)

    async def _send(self, data: bytes) -> None:
        view = memoryview(data)

        def step() -> None:
            count = self._tls.send(view)
            self.sent += count

        while view:
            before = self.sent
            await self._until_done(step)
            view = view[self.sent - before :]

    async def _fill(self) -> bool:
        received = b""

        def step() -> None:
            nonlocal received
            received = self._tls.recv(PIECE)

        if not self.eof:
            try:
                await self._until_done(step)
            except ssl.SSLEOFError:
                self.ragged = True
            except ConnectionError:
                self.was_reset = True
        self.buffer += received
        self.eof = self.eof or not received
        return bool(received)


Script = Callable[[Conversation], Awaitable[None]]


class Upstream:
    """Listens on a port of its own. Without a script, each connection waits to be taken by `accepted`.

    context  speaks TLS
    path     listens on a socket there, and not on a port
    host     listens on this address
    port     listens on this port, which the test has from another upstream
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        receive_buffer: int | None = None,
        context: ssl.SSLContext | None = None,
        path: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._script = script
        self._receive_buffer = receive_buffer
        self._context = context
        self._path = path
        self._host = host
        self.refusals: list[ssl.SSLError | OSError] = []
        """Why handshakes have failed."""
        self._sock: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._waiting: asyncio.Queue[Conversation] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self.conversations: list[Conversation] = []
        self.port = port

    async def __aenter__(self) -> Self:
        family = socket.AF_UNIX if self._path else socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._sock = sock = socket.socket(family)
        sock.setblocking(False)
        if self._receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        if self._path is not None:
            sock.bind(str(self._path))
        else:
            # For the next who listens on this port, beside connections that are in TIME_WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, self.port))
            self.port = sock.getsockname()[1]
        sock.listen(128)
        self._accepting = asyncio.create_task(self._accept(sock))
        return self

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(sock)
            number = len(self.conversations)
            if self._context is None:
                conversation = Conversation(accepted, number)
                self.conversations.append(conversation)
                self._begin(conversation)
            else:
                secured = self._context.wrap_socket(
                    accepted, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
                )
                secure = SecureConversation(secured, number)
                self.conversations.append(secure)
                self._tasks.append(asyncio.create_task(self._secured(secure)))

    async def _secured(self, conversation: SecureConversation) -> None:
        try:
            await conversation.handshake()
        except OSError as error:
            self.refusals.append(error)
            conversation.close()
        else:
            self._begin(conversation)

    def _begin(self, conversation: Conversation) -> None:
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
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    @property
    def url(self) -> str:
        if self._path is not None:
            return f"unix://{self._path}"
        return f"{'http' if self._context is None else 'https'}://{self.authority}"

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
