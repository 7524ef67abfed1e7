"""Which client connections are let in: limits on how many there are at once, in all and of one client.

One that is beyond a limit is ended as it comes, and not answered: an answer would take a handshake and a request to be
read first, and the limits are there for those who open connections to have us hold what we read of them.
"""

from typing import Final

from gateway.config.model import Limits

TOO_MANY: Final = "too_many"
TOO_MANY_OF_CLIENT: Final = "too_many_of_client"


class Admission:
    """Counts connections, in all and by client."""

    def __init__(self) -> None:
        self._total = 0
        self._clients: dict[str, int] = {}

    def enter(self, client: str | None, limits: Limits) -> str:
        """Why another connection of this client is not let in, or "": it is counted then, until it leaves.

        `client` is None for a peer that counts in all only: a trusted proxy, or a Unix socket.
        """
        if limits.connections is not None and self._total >= limits.connections:
            return TOO_MANY
        if client is not None:
            own = self._clients.get(client, 0)
            if limits.connections_per_client is not None and own >= limits.connections_per_client:
                return TOO_MANY_OF_CLIENT
            self._clients[client] = own + 1
        self._total += 1
        return ""

    def leave(self, client: str | None) -> None:
        """A connection that was let in has ended."""
        self._total -= 1
        if client is not None:
            left = self._clients[client] - 1
            if left:
                self._clients[client] = left
            else:
                del self._clients[client]
