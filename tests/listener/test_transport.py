"""A connection that must not seem to end in order ends with a reset."""

import asyncio
import socket

from gateway.listener.transport import reset, unread
from tests.support.deadline import until, within
from tests.support.sockets import Wire
from tests.support.transport import FakeTransport


async def test_the_other_side_sees_a_reset() -> None:
    ours, theirs = _pair()
    wire = Wire(theirs, "other side")
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        reset(transport)
        await within(wire.gone(), "the end is seen")
        assert wire.was_reset
    finally:
        wire.close()


def test_a_transport_without_a_socket_is_aborted() -> None:
    transport = FakeTransport()
    reset(transport)
    assert transport.aborted


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection: those of a socketpair know no reset."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        one = socket.create_connection(listening.getsockname(), timeout=5)
        other, _ = listening.accept()
        return one, other


async def test_what_the_loop_has_not_read_yet_is_seen() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        assert not unread(transport)
        theirs.send(b"x")
        assert unread(transport)
        transport.abort()
        await until(lambda: ours.fileno() < 0, "it is closed")
        assert not unread(transport)
