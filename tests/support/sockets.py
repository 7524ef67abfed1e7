"""A raw socket with deadlines: the common part of the client and the upstream of the tests."""

import asyncio
import socket
import struct
from itertools import pairwise
from pathlib import Path

from tests.support.deadline import DEADLINE, within

PIECE = 64 * 1024
MIB = 1 << 20


def _largest(buffer: str) -> int:
    """Bytes to which Linux lets a TCP buffer grow; 16 MiB where it does not say."""
    try:
        return int(Path("/proc/sys/net/ipv4", buffer).read_text().split()[2])
    except OSError:
        return 16 * MIB


HELD = 2 * (_largest("tcp_rmem") + _largest("tcp_wmem")) + 4 * MIB
"""What may be on its way through a gateway whose receiver stands still: the kernel's buffers of both connections, grown
to their largest, and our own buffers, which are below 1 MiB."""
LARGE = HELD + 40 * MIB
"""A body that cannot be on its way as a whole."""


class Wire:
    """One end of a TCP connection. What has been read and not used yet is in `buffer`."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock: socket.socket | None = sock
        self._name = name
        self.buffer = bytearray()
        self.sent = 0
        """Bytes that the kernel has taken."""
        self.eof = False
        """The other side has said that it sends no more."""
        self.was_reset = False
        """The connection was reset."""

    @property
    def sock(self) -> socket.socket:
        assert self._sock is not None, f"the {self._name} is closed"
        return self._sock

    async def send(self, data: bytes, *, seconds: float = DEADLINE) -> None:
        """Hands all of `data` to the kernel; a ConnectionError is the caller's to expect."""
        await within(self._send(data), f"the {self._name} can send {len(data)} bytes", seconds)

    async def _send(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        view = memoryview(data)
        while view:
            try:
                count = self.sock.send(view)
            except (BlockingIOError, InterruptedError):
                await ready(loop, self.sock, write=True)
                continue
            self.sent += count
            view = view[count:]

    async def send_split(self, data: bytes, *points: int) -> None:
        """Sends `data` in segments that end at `points`; every byte by itself where none is given.

        Between two segments the event loop turns, so that the other side, which shares it, reads them apart.
        """
        cuts = [0, *(points or range(1, len(data))), len(data)]
        for begin, end in pairwise(cuts):
            await self.send(data[begin:end])
            for _ in range(4):
                await asyncio.sleep(0)

    async def fill(self, seconds: float = DEADLINE) -> bool:
        """Reads one piece into the buffer; False at the end of the stream, by FIN or reset."""
        return await within(self._fill(), f"the {self._name} receives something", seconds)

    async def _fill(self) -> bool:
        if self.eof:
            return False
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = self.sock.recv(PIECE)
                break
            except (BlockingIOError, InterruptedError):
                await ready(loop, self.sock, write=False)
            except (ConnectionResetError, BrokenPipeError):
                self.eof = self.was_reset = True
                return False
        if not data:
            self.eof = True
            return False
        self.buffer += data
        return True

    async def take(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer where the stream ends before."""
        while len(self.buffer) < size and await self.fill():
            pass
        data = bytes(self.buffer[:size])
        del self.buffer[: len(data)]
        return data

    async def take_until(self, mark: bytes) -> bytes:
        """Bytes up to and including `mark`, or all that comes where the stream ends before."""
        start = 0
        while (at := self.buffer.find(mark, start)) < 0:
            start = max(0, len(self.buffer) - len(mark))
            if not await self.fill():
                data = bytes(self.buffer)
                self.buffer.clear()
                return data
        data = bytes(self.buffer[: at + len(mark)])
        del self.buffer[: len(data)]
        return data

    async def rest(self, seconds: float = DEADLINE) -> bytes:
        """All that comes until the other side ends the stream."""
        while await self.fill(seconds):
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    async def ended(self, seconds: float = DEADLINE) -> None:
        """Returns when the other side has ended the stream without another byte."""
        data = await self.rest(seconds)
        assert data == b"", f"the {self._name} received {data[:200]!r} before the end"

    async def gone(self, seconds: float = DEADLINE) -> None:
        """Returns when the other side has closed the whole connection: what we send is refused by a reset."""
        await self.rest(seconds)
        await within(self._probe(), f"the {self._name} finds the other side closed", seconds)

    async def _probe(self) -> None:
        while not self.was_reset:
            try:
                self.sock.send(b"\r\n")
                self.sock.recv(1)
            except BlockingIOError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                self.was_reset = True
            await asyncio.sleep(0.002)

    def half_close(self) -> None:
        """Ends our side of the stream."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection by RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


async def ready(loop: asyncio.AbstractEventLoop, sock: socket.socket, *, write: bool) -> None:
    """Returns once `sock` can be read from, or written to."""
    future: asyncio.Future[None] = loop.create_future()

    def done() -> None:
        if not future.done():
            future.set_result(None)

    if write:
        loop.add_writer(sock, done)
    else:
        loop.add_reader(sock, done)
    try:
        await future
    finally:
        if write:
            loop.remove_writer(sock)
        else:
            loop.remove_reader(sock)
