"""How a connection ends when it must not seem to end in order."""

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


_NOTHING_LEFT: Final = struct.pack("ii", 1, 0)
