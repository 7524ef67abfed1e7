"""The services behind the gateway of a soak: they keep a log of what they have done, by the number of the request."""

import asyncio
from collections import Counter
from types import TracebackType
from typing import Self


class Service:
    """Answers every whole request and counts it; a path is /NUMBER/STATUS/SIZE, and says what is answered.

    done   how often each number was done
    """

    def __init__(self, *, hangs: bool = False) -> None:
        self._hangs = hangs
        self._server: asyncio.Server | None = None
        self.done: Counter[int] = Counter()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._hangs:
                while await reader.read(65536):
                    await asyncio.sleep(1)
                return
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await self._skip_body(reader, head.lower())
                _, number, status, size = head.split(b" ", 2)[1].split(b"/")
                self.done[int(number)] += 1
                body = b"x" * int(size)
                writer.write(
                    b"HTTP/1.1 %b It\r\nContent-Length: %d\r\nX-Number: %b\r\n\r\n%b"
                    % (status, len(body), number, body)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway, or the proxy between, has ended the connection
        finally:
            writer.close()

    async def _skip_body(self, reader: asyncio.StreamReader, head: bytes) -> None:
        if b"\r\ntransfer-encoding: chunked\r\n" in head:
            while True:
                size = int(await reader.readuntil(b"\r\n"), 16)
                await reader.readexactly(size + 2)
                if not size:
                    return
        _, found, rest = head.partition(b"\r\ncontent-length: ")
        if found:
            await reader.readexactly(int(rest.partition(b"\r\n")[0]))
