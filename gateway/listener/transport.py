"""What a transport does not say or do by itself: a connection that must not seem to end in order, or not yet."""

import select
import socket
import struct
from contextlib import suppress
from typing import Any, Final


def reset(transport: Any) -> None:
    """Ends the connection at once with a reset: an end in order would say that all has been sent."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOTHING_LEFT)
    transport.abort()


def unread(transport: Any) -> bool:
    """Whether something has come that the event loop has not read yet, be it the end."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


_NOTHING_LEFT: Final = struct.pack("ii", 1, 0)
