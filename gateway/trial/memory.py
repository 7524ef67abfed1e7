"""Connections without sockets: the client's end is played by whoever tries a configuration, and so is the upstream's."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

from gateway.trial.given import Answer
from gateway.upstream.connection import UpstreamConnection

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")
_CHUNKED: Final = re.compile(rb"(?i)\r\ntransfer-encoding:[ \t]*chunked")
_BODILESS: Final = (204, 304)


class MemoryTransport(asyncio.Transport):
    """Keeps what is written; the other end is told of each piece."""

    def __init__(self, peer: str, heard: Callable[[], None] | None = None) -> None:
        super().__init__({"peername": (peer, 0)})
        self.written = bytearray()
        self._heard = heard
        self._closing = False

    def write(self, data: Any) -> None:
        self.written += data
        if self._heard is not None:
            self._heard()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_protocol(self, protocol: Any) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


class MemoryUpstream:
    """An upstream: takes one request and, where it knows one, gives the answer.

    answer  to the next request; None for none
    taken   is called with each whole request
    """

    name = None
    """Of the host, for those who look it up: there is none."""

    def __init__(self, taken: Callable[[bytes], None]) -> None:
        self.answer: Answer | None = None
        self._taken = taken

    async def connect(self) -> UpstreamConnection:
        """A connection, for one request after the other."""
        connection = UpstreamConnection()
        loop = asyncio.get_running_loop()

        def heard() -> None:
            if not _whole(transport.written):
                return
            request = bytes(transport.written)
            transport.written.clear()
            self._taken(request)
            if self.answer is not None:
                data = answer_bytes(self.answer, to_head=request.startswith(b"HEAD "))
                loop.call_soon(connection.data_received, data)

        transport = MemoryTransport("", heard)
        connection.connection_made(transport)
        return connection


def _whole(data: bytearray) -> bool:
    """Whether a request of ours is complete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(data[:end])
    if _CHUNKED.search(head):
        return data.endswith(b"0\r\n\r\n")
    length = _LENGTH.search(head)
    return len(data) - end - 4 >= (int(length[1]) if length else 0)


def is_whole(answer: Answer, *, to_head: bool) -> bool:
    """Whether all of the body that an answer announces is there."""
    if to_head or answer.status in _BODILESS:
        return True
    fields = {name.lower(): value.strip() for name, value in answer.headers}
    if "transfer-encoding" in fields:
        return answer.body.endswith(b"\r\n\r\n")
    length = fields.get("content-length", "")
    return not (length.isascii() and length.isdigit()) or len(answer.body) >= int(length[:18])


def answer_bytes(answer: Answer, *, to_head: bool) -> bytes:
    """An answer as it is sent; `to_head` is without the body."""
    lines = [f"HTTP/1.1 {answer.status} ", *(f"{name}: {value}" for name, value in answer.headers)]
    names = {name.lower() for name, _ in answer.headers}
    bodiless = to_head or answer.status in _BODILESS
    if not bodiless and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(answer.body)}")
    head = "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n"
    return head if bodiless else head + answer.body
