"""A TCP proxy that does to an upstream's connections what networks and failing servers do; its mode can be changed at any time."""

import asyncio
import random
import socket
import struct
from types import TracebackType
from typing import Final, Self

MODES: Final = (
    "pass",
    "refuse",
    "hang",
    "reset",
    "reset_after_request",
    "slow",
    "truncate",
    "garbage",
    "half_close",
    "flap",
)
"""
pass                 everything goes through
refuse               nobody listens
hang                 connections are accepted, and nothing is read or said
reset                connections are reset as soon as they are accepted
reset_after_request  what comes goes through, and the connection is reset before the first byte of an answer
slow                 answers come in small pieces with pauses
truncate             the connection ends, in order, in the middle of an answer
garbage              what comes back is no HTTP
half_close           the upstream ends its side as soon as there is a request, which it never sees
flap                 every other connection is reset, the rest goes through
"""

GARBAGE: Final = b"\x16\x03\x01\x00\x05HTTQ/9 200 fine\r\n\r\n"
_PIECE: Final = 16 * 1024


class FaultProxy:
    """Stands on a port of its own in front of the one of an upstream.

    mode       one of MODES; what is in progress follows at once, where it still can
    accepted   connections that were accepted
    open       connections that stand
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1", seed: int = 0) -> None:
        self._target = (host, port)
        self._mode = "pass"
        self._random = random.Random(seed)
        self._holder: socket.socket | None = None
        self._listening: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.port = 0
        self.accepted = 0

    async def __aenter__(self) -> Self:
        # Keeps the port while nobody listens: such a socket refuses connections.
        self._holder = _bound(0)
        self.port = self._holder.getsockname()[1]
        self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop_listening()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._holder is not None
        self._holder.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def mode(self) -> str:
        return self._mode

    @property
    def open(self) -> int:
        return len(self._tasks)

    async def set(self, mode: str) -> None:
        """From now on, and for what is in progress too, as far as it goes."""
        assert mode in MODES
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode == "refuse":
            await self._stop_listening()
            for task in list(self._tasks):
                task.cancel()
        elif self._accepting is None:
            self._listen()

    def _listen(self) -> None:
        self._listening = sock = _bound(self.port)
        sock.listen(256)
        self._accepting = asyncio.create_task(self._accept(sock))

    async def _stop_listening(self) -> None:
        task, self._accepting = self._accepting, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(sock)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            task = asyncio.create_task(self._serve(client, self.accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket, number: int) -> None:
        try:
            mode = self._mode
            if mode == "reset" or (mode == "flap" and number % 2):
                _reset(client)
                return
            while self._mode == "hang":
                await self._changed.wait()
            await self._relay(client)
        except OSError:
            pass  # one of the two is gone, and so are we
        finally:
            client.close()

    async def _relay(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        upstream = socket.socket()
        upstream.setblocking(False)
        try:
            await loop.sock_connect(upstream, self._target)
            inward = asyncio.create_task(self._inward(client, upstream))
            outward = asyncio.create_task(self._outward(upstream, client))
            try:
                await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
            finally:
                inward.cancel()
                outward.cancel()
                await asyncio.gather(inward, outward, return_exceptions=True)
        finally:
            upstream.close()

    async def _inward(self, client: socket.socket, upstream: socket.socket) -> None:
        """From the gateway to the upstream."""
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(client, _PIECE):
            while self._mode == "hang":
                await self._changed.wait()
            mode = self._mode
            if mode == "half_close":
                client.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(client, _PIECE):
                    pass
                return
            if mode == "garbage":
                await loop.sock_sendall(client, GARBAGE)
                return
            if mode == "reset":
                _reset(client)
                return
            await loop.sock_sendall(upstream, data)

    async def _outward(self, upstream: socket.socket, client: socket.socket) -> None:
        """From the upstream to the gateway."""
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(upstream, _PIECE):
            while self._mode == "hang":
                await self._changed.wait()
            mode = self._mode
            if mode in ("reset", "reset_after_request"):
                _reset(client)
                return
            if mode == "truncate":
                await loop.sock_sendall(client, data[: len(data) * 2 // 3])
                return
            if mode == "slow":
                for place in range(0, len(data), 64):
                    await loop.sock_sendall(client, data[place : place + 64])
                    await asyncio.sleep(0.002 * self._random.random())
                continue
            await loop.sock_sendall(client, data)


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def _reset(sock: socket.socket) -> None:
    """Its end will be a reset. It is not closed here: another task may wait for it, by its number."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
