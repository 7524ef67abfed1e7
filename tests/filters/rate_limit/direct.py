"""A client of a real Redis that waits for each answer: for scripts, whatever loop the test runs in."""

import socket
from typing import Any

import hiredis

from gateway.api import StoreError
from tests.support.redis import Redis


class Direct:
    """A client that waits for each answer; what it sent is kept."""

    def __init__(self, server: Redis) -> None:
        self._sock = socket.create_connection(("127.0.0.1", server.port), 20.0)
        self._reader = hiredis.Reader(notEnoughData=...)
        self.sent: list[tuple[Any, ...]] = []

    async def command(self, *parts: Any) -> Any:
        self.sent.append(parts)
        self._sock.sendall(hiredis.pack_command(parts))
        while (answer := self._reader.gets()) is ...:
            data = self._sock.recv(1 << 16)
            assert data, "the server has gone"
            self._reader.feed(data)
        if isinstance(answer, hiredis.ReplyError):
            raise StoreError("refused", str(answer).partition(" ")[0])
        return answer

    def available(self) -> bool:
        return True

    def tell(self, *parts: Any) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._sock.close()
