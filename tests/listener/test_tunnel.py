"""A tunnel without sockets: what each side brings, holds and ends. By sockets: tests/wire/test_tunnel.py."""

from typing import Any, cast

import pytest

from gateway.api.reason import REASONS
from gateway.listener.tunnel import CLIENT_CLOSED, UPSTREAM_CLOSED, Side, Tunnel
from tests.support.transport import FakeTransport


class Loop:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now


class Before:
    """The protocol that a transport has had before the tunnel."""

    def __init__(self) -> None:
        self.lost: list[Exception | None] = []

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.append(error)


class Pipe:
    """A tunnel between two transports."""

    def __init__(self, *, half_close: bool = True, upstream_source: Any = None) -> None:
        self.loop = Loop()
        self.client, self.upstream = FakeTransport(), FakeTransport()
        self.before = (Before(), Before())
        if not half_close:
            self.client.can_write_eof = lambda: False  # type: ignore[method-assign] # as TLS has it
        self.over: list[tuple[str, bool]] = []
        self.tunnel = Tunnel(
            cast(Any, self.loop),
            self.before[0],
            self.client,
            self.before[1],
            self.upstream,
            idle=10.0,
            on_over=lambda reason, in_order: self.over.append((reason, in_order)),
            upstream_source=upstream_source,
        )

    def open(
        self,
        from_client: bytes = b"",
        from_upstream: bytes = b"",
        *,
        blocked: bool = False,
        ended: bool = False,
    ) -> tuple[Side, Side]:
        self.tunnel.open(
            b"HEAD",
            from_client=from_client,
            from_upstream=from_upstream,
            client_blocked=blocked,
            client_ended=ended,
        )
        client, upstream = self.client.protocol, self.upstream.protocol
        assert isinstance(client, Side) and isinstance(upstream, Side)
        return client, upstream


def test_bytes_go_to_the_other_side_and_are_counted() -> None:
    pipe = Pipe()
    client, upstream = pipe.open(b"early", b"first")
    client.data_received(b"one")
    upstream.data_received(b"two!")
    assert (bytes(pipe.client.written), bytes(pipe.upstream.written)) == (b"HEADfirsttwo!", b"earlyone")
    assert (pipe.tunnel.bytes_in, pipe.tunnel.bytes_out) == (8, 9)
    assert pipe.over == []


def test_a_side_that_takes_nothing_holds_the_other() -> None:
    pipe = Pipe()
    client, upstream = pipe.open()
    client.pause_writing()
    assert (pipe.client.paused, pipe.upstream.paused) == (False, True)
    upstream.pause_writing()
    assert (pipe.client.paused, pipe.upstream.paused) == (True, True)
    client.resume_writing()
    assert (pipe.client.paused, pipe.upstream.paused) == (True, False)
    upstream.resume_writing()
    assert (pipe.client.paused, pipe.upstream.paused) == (False, False)


def test_a_client_that_takes_nothing_from_the_beginning_holds_the_upstream() -> None:
    pipe = Pipe()
    client, _ = pipe.open(blocked=True)
    assert pipe.upstream.paused
    client.pause_writing()  # the transport may tell it again
    client.resume_writing()
    assert not pipe.upstream.paused


@pytest.mark.parametrize("first", [0, 1], ids=["client", "upstream"])
def test_the_end_of_one_side_is_passed_on_and_the_other_may_still_answer(first: int) -> None:
    pipe = Pipe()
    sides, transports = pipe.open(), (pipe.client, pipe.upstream)
    assert sides[first].eof_received(), "its transport stays open for what is still to come"
    assert (transports[1 - first].eof, transports[first].eof) == (True, False)
    sides[1 - first].data_received(b"answer")
    assert transports[first].written.endswith(b"answer")
    assert pipe.over == []
    assert not sides[1 - first].eof_received()
    assert pipe.over == [((CLIENT_CLOSED, UPSTREAM_CLOSED)[first], True)]
    assert (pipe.client.protocol, pipe.upstream.protocol) == pipe.before


def test_a_client_that_had_sent_all_before_is_at_its_end() -> None:
    pipe = Pipe()
    _, upstream = pipe.open(b"early", ended=True)
    assert (bytes(pipe.upstream.written), pipe.upstream.eof) == (b"early", True)
    upstream.eof_received()
    assert pipe.over == [(CLIENT_CLOSED, True)]


def test_without_half_close_the_end_of_one_direction_is_the_end_of_both() -> None:
    """TLS."""
    pipe = Pipe(half_close=False)
    _, upstream = pipe.open()
    assert not upstream.eof_received()
    assert pipe.over == [(UPSTREAM_CLOSED, True)]
    pipe = Pipe(half_close=False)
    client, _ = pipe.open()
    assert not client.eof_received(), "its transport closes"
    assert pipe.upstream.eof and pipe.over == []
    client.connection_lost(None)
    assert pipe.over == [(CLIENT_CLOSED, True)]
    assert pipe.before[0].lost == [None]


@pytest.mark.parametrize("which", [0, 1], ids=["client", "upstream"])
def test_a_side_that_breaks_ends_the_tunnel_out_of_order(which: int) -> None:
    pipe = Pipe()
    sides = pipe.open()
    error = ConnectionResetError()
    sides[which].connection_lost(error)
    assert pipe.over == [((CLIENT_CLOSED, UPSTREAM_CLOSED)[which], False)]
    assert pipe.before[which].lost == [error], "who had the transport before hears of its end"
    assert pipe.before[1 - which].lost == []


def test_a_connection_that_is_gone_without_an_end_of_what_it_sends_ends_the_tunnel_out_of_order() -> None:
    """Under TLS it ended without a close_notify."""
    pipe = Pipe()
    _, upstream = pipe.open()
    upstream.connection_lost(None)
    assert pipe.over == [(UPSTREAM_CLOSED, False)]


def test_what_is_held_of_an_upstream_over_tls_is_its_socket() -> None:
    socket = FakeTransport()
    pipe = Pipe(upstream_source=socket)
    client, _ = pipe.open()
    client.pause_writing()
    assert (socket.paused, pipe.upstream.paused) == (True, False)
    client.resume_writing()
    assert not socket.paused


def test_a_tunnel_ends_once() -> None:
    pipe = Pipe()
    client, upstream = pipe.open()
    pipe.tunnel.end("gateway_stopped", in_order=False)
    pipe.tunnel.end("tunnel_idle_timeout", in_order=False)
    client.connection_lost(None)
    upstream.connection_lost(ConnectionResetError())
    assert not client.eof_received()
    client.pause_writing()
    client.resume_writing()
    assert pipe.over == [("gateway_stopped", False)]


def test_what_moves_either_way_keeps_the_tunnel_from_being_idle() -> None:
    pipe = Pipe()
    client, upstream = pipe.open()
    assert pipe.tunnel.idle_at == 110.0
    pipe.loop.now = 104.0
    client.data_received(b"a")
    assert pipe.tunnel.idle_at == 114.0
    pipe.loop.now = 105.0
    upstream.data_received(b"a")
    assert pipe.tunnel.idle_at == 115.0
    pipe.loop.now = 106.0
    client.pause_writing()
    assert pipe.tunnel.idle_at == 115.0, "a side that takes nothing is no movement"
    client.resume_writing()
    assert pipe.tunnel.idle_at == 116.0


def test_a_side_that_has_ended_or_closes_is_neither_held_nor_read_on() -> None:
    pipe = Pipe()
    client, upstream = pipe.open()
    client.eof_received()
    upstream.pause_writing()
    upstream.resume_writing()
    assert not pipe.client.paused
    pipe.upstream.closing = True
    client.pause_writing()
    assert not pipe.upstream.paused


def test_every_way_to_end_has_a_reason() -> None:
    assert {CLIENT_CLOSED, UPSTREAM_CLOSED, "tunnel_idle_timeout", "gateway_stopped"} <= set(REASONS)


def test_nothing_of_a_tunnel_that_is_over_holds_on_to_the_rest() -> None:
    """No circles, or each tunnel would wait for the collector."""
    import gc
    import weakref

    pipe = Pipe()
    pipe.open()
    pipe.tunnel.end("gateway_stopped", in_order=False)
    known = weakref.ref(pipe.before[0])
    gc.disable()
    try:
        del pipe
        assert known() is None
    finally:
        gc.enable()
