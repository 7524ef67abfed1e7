"""A raw HTTP client: bytes out as they are given, responses in as they come."""

import asyncio
import socket
from types import TracebackType
from typing import Any, Self

from gateway.config.model import Place, UnixAddress
from tests.support.deadline import DEADLINE, within
from tests.support.message import Answer, Head, read_answer, read_head, status_of
from tests.support.sockets import Wire


class Client(Wire):
    """One connection to a gateway."""

    @classmethod
    async def connect(cls, address: Place, *, receive_buffer: int | None = None) -> Self:
        """`receive_buffer` sets SO_RCVBUF, for a client that is to stall early."""
        where: Any = tuple(address)
        if isinstance(address, UnixAddress):
            sock = socket.socket(socket.AF_UNIX)
            where = address.path
        else:
            sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await within(asyncio.get_running_loop().sock_connect(sock, where), f"a connection to {address}")
        except BaseException:
            sock.close()
            raise
        return cls(sock, "client")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def answer(self, method: str = "GET") -> Answer:
        """The next response; `method` is that of the request it answers."""
        return await within(read_answer(self, method), "an answer", 2 * DEADLINE)

    async def head(self) -> Head:
        """The head of the next response, interim or final."""
        head = await within(read_head(self), "the head of an answer", 2 * DEADLINE)
        assert head is not None, "the connection was closed"
        return head

    async def status(self) -> int:
        """The status of the next head, whose body is left to be read."""
        return status_of(await self.head())[0]

    async def ask(self, data: bytes, method: str | None = None) -> Answer:
        """Sends a whole request and reads its response."""
        await self.send(data)
        return await self.answer(method or data.split(b" ", 1)[0].decode("latin-1"))


def get(target: str = "/", *lines: str, method: str = "GET", host: str = "api.test") -> bytes:
    """A request without a body."""
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode("latin-1")


def post(
    body: bytes = b"", *lines: str, target: str = "/", method: str = "POST", host: str = "api.test"
) -> bytes:
    """A request with a body of known length."""
    fields = "".join(f"{line}\r\n" for line in lines)
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def chunked(*chunks: bytes, end: bool = True) -> bytes:
    """A chunked body."""
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return data + b"0\r\n\r\n" if end else data


async def refuses(place: Place) -> bool:
    """Whether nothing accepts connections at `place`; a socket that closes while we connect to it resets us."""
    try:
        (await Client.connect(place)).close()
    except (ConnectionError, FileNotFoundError):
        return True
    return False
