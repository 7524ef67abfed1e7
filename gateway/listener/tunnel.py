"""A tunnel: behind a 101, two connections whose bytes go to each other (RFC 9110 sections 7.8 and 15.2.2).

Each side is read as fast as the other one takes it. Where one side has sent all, the other is told so and may still
answer; the tunnel is over when both have. A tunnel that ends in another way is reset on both sides, so that neither
takes the end for the other's.
"""

import asyncio
from collections.abc import Callable
from typing import Any

CLIENT_CLOSED = "tunnel_client_closed"
UPSTREAM_CLOSED = "tunnel_upstream_closed"

OnOver = Callable[[str, bool], None]
"""Takes the reason code of the end, and whether it was in order. It is called once."""


class Side:
    """One end of a tunnel, what asyncio calls a protocol: what it brings goes to the other.

    received  bytes that it brought
    ended     it has sent all
    """

    __slots__ = (
        "_protocol",
        "_reading",
        "_source",
        "_tunnel",
        "ended",
        "other",
        "reason",
        "received",
        "transport",
    )

    def __init__(
        self, tunnel: "Tunnel", protocol: Any, transport: Any, reason: str, source: Any = None
    ) -> None:
        """`source` is what is held when the other side takes no more: under TLS, the transport of the socket."""
        self._source = transport if source is None else source
        self._tunnel: Tunnel | None = tunnel
        self._protocol = protocol
        self._reading = True
        self.transport = transport
        self.reason = reason
        self.received = 0
        self.ended = False
        self.other: Side | None = None

    # ---- what asyncio calls

    def data_received(self, data: bytes) -> None:
        tunnel, other = self._tunnel, self.other
        assert tunnel is not None and other is not None
        self.received += len(data)
        tunnel.moved()
        other.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        tunnel = self._tunnel
        return tunnel is not None and tunnel.on_end(self)

    def connection_lost(self, error: Exception | None) -> None:
        tunnel, protocol = self._tunnel, self._protocol
        if tunnel is not None:
            # TLS of uvloop tells nobody else of an end without a close_notify, which may be anybody's doing.
            tunnel.end(self.reason, in_order=error is None and self.ended)
        protocol.connection_lost(error)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.hold()

    def resume_writing(self) -> None:
        if self.other is not None:
            assert self._tunnel is not None
            self._tunnel.moved()
            self.other.go_on()

    # ---- for the tunnel

    def hold(self) -> None:
        """Brings nothing more for now."""
        if self._reading and not self.ended and not self.transport.is_closing():
            self._reading = False
            self._source.pause_reading()

    def go_on(self) -> None:
        if not self._reading and not self.ended and not self.transport.is_closing():
            self._reading = True
            self._source.resume_reading()

    def take(self) -> None:
        """Takes the transport over."""
        self.transport.set_protocol(self)

    def give_back(self) -> None:
        """Gives the transport back; nothing of the tunnel holds on to anything of it any more."""
        self.transport.set_protocol(self._protocol)
        self._tunnel = self.other = None


class Tunnel:
    """Carries bytes between two transports until both sides have ended, or nothing has moved for `idle` seconds.

    `client` and `upstream` are the protocols that have had the transports so far: they get them back, closing, when
    the tunnel is over, and hear of the end of the connections. `upstream_source` is the transport of the upstream's
    socket, where TLS goes over it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: Any,
        client_transport: Any,
        upstream: Any,
        upstream_transport: Any,
        *,
        idle: float,
        on_over: OnOver,
        upstream_source: Any = None,
    ) -> None:
        self._loop = loop
        self._idle = idle
        self._on_over: OnOver | None = on_over
        self._first = ""  # the reason code of the side that ended first
        self._moved_at = loop.time()
        self._client = Side(self, client, client_transport, CLIENT_CLOSED)
        self._upstream = Side(self, upstream, upstream_transport, UPSTREAM_CLOSED, upstream_source)
        self._client.other = self._upstream
        self._upstream.other = self._client

    def open(
        self,
        head: bytes,
        *,
        from_client: bytes,
        from_upstream: bytes,
        client_blocked: bool,
        client_ended: bool,
    ) -> None:
        """Sends `head` to the client, then to each side what the other has sent already, and pumps from here on.

        Whether the client takes bytes just now, and whether it has sent all, is the state that its transport is in.
        """
        client, upstream = self._client, self._upstream
        client.take()
        upstream.take()
        client.received = len(from_client)
        upstream.received = len(from_upstream)
        if client_blocked:
            client.pause_writing()
        client.transport.write(head + from_upstream)
        if from_client:
            upstream.transport.write(from_client)
        if client_ended:
            client.eof_received()

    def moved(self) -> None:
        """Something has got on."""
        self._moved_at = self._loop.time()

    @property
    def idle_at(self) -> float:
        """When the tunnel will have been idle for too long, on the loop's clock."""
        return self._moved_at + self._idle

    @property
    def bytes_in(self) -> int:
        """Bytes that the client has sent."""
        return self._client.received

    @property
    def bytes_out(self) -> int:
        """Bytes that the upstream has sent."""
        return self._upstream.received

    def on_end(self, side: Side) -> bool:
        """A side has sent all; whether its transport stays open."""
        other = side.other
        assert other is not None
        self.moved()
        self._first = self._first or side.reason
        # TLS has no half-close: the end of one direction is the end of both.
        if other.ended or not other.transport.can_write_eof():
            self.end(self._first, in_order=True)
            return False
        other.transport.write_eof()
        return bool(side.transport.can_write_eof())

    def end(self, reason: str, *, in_order: bool) -> None:
        """The tunnel is over for `reason`; in order means that what has been sent still arrives."""
        on_over, self._on_over = self._on_over, None
        if on_over is None:
            return
        client, upstream = self._client, self._upstream
        client.give_back()
        upstream.give_back()
        on_over(self._first if in_order and self._first else reason, in_order)
