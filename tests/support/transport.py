"""A transport that only remembers: for protocols that are tested without a socket."""

import asyncio
from typing import Any


class FakeTransport(asyncio.Transport):
    """What is written, and what was asked for. Closing is told to nobody: a test calls `connection_lost` itself."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711)})
        self.written = bytearray()
        self.paused = False
        self.closing = False
        self.aborted = False
        self.eof = False
        self.buffered = 0

    def write(self, data: Any) -> None:
        assert not self.aborted, "a write into an aborted connection"
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        assert not self.paused, "paused twice"
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused, "resumed twice"
        self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True
