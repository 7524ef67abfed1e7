"""The downstream side as a whole: sockets, connections, the plan that new exchanges take, and drain."""

import asyncio
import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway.chain import Reporter
from gateway.config.model import Address
from gateway.http.request_id import RequestIds
from gateway.listener.connection import Connection
from gateway.listener.parser import require_parser
from gateway.listener.section import Sections
from gateway.plan import Plan
from gateway.record import Record
from gateway.upstream.pool import Pool
from gateway.wheel import Wheel

BACKLOG: Final = 2048


class Listener:
    """Accepts connections and hands each exchange the plan in force.

    publish     takes the record of every exchange
    report_bug  takes the exceptions of filters, renderers and deferred callbacks
    """

    def __init__(
        self,
        plan: Plan,
        pools: Mapping[str, Pool],
        *,
        publish: Callable[[Record], None],
        report_bug: Reporter,
    ) -> None:
        require_parser()
        self.loop = asyncio.get_running_loop()
        self.plan = plan
        self.pools = pools
        self.publish = publish
        self.report_bug = report_bug
        self.request_ids = RequestIds()
        self.wheel = Wheel(self.loop)
        self.sections = Sections()
        self.idle_timeout = plan.configuration.timeouts.idle
        self.draining = False
        self.tunnels = 0
        """Tunnels that are open."""
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._empty: asyncio.Event = asyncio.Event()
        self._empty.set()

    async def start(self, addresses: Sequence[Address]) -> list[Address]:
        """Listens; the addresses that were bound. Raises OSError, and then listens nowhere."""
        bound: list[Address] = []
        try:
            for address in addresses:
                server = await self.loop.create_server(
                    self._connection, address.host, address.port, backlog=BACKLOG
                )
                self._servers.append(server)
                bare: Any = server  # whose sockets are a tuple, or uvloop's list
                port = bare.sockets[0].getsockname()[1]
                bound.append(Address(address.host, port))
        except OSError as error:
            self.stop_accepting()
            raise OSError(error.errno, f"cannot listen on {address}: {why(error)}") from error
        return bound

    def _connection(self) -> Any:
        return Connection(self)

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._empty.clear()

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    @property
    def active_count(self) -> int:
        """Exchanges in progress."""
        return sum(1 for connection in self._connections if connection.handler is not None)

    def stop_accepting(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def drain(self, timeout: float) -> bool:
        """Ends gracefully: no new connections, idle ones closed, exchanges in progress left to end.

        True when everything ended within `timeout` seconds; what did not is cut off.
        """
        self.draining = True
        self.stop_accepting()
        for connection in list(self._connections):
            connection.drain()
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.cut()
            await asyncio.sleep(0)
            return False
        finally:
            self.wheel.close()
        return True


def why(error: OSError) -> str:
    """Why an address could not be bound, in a few words."""
    if error.errno == errno.EADDRINUSE:
        return "the address is in use"
    if error.errno == errno.EACCES:
        return "permission denied"
    if error.errno == errno.EADDRNOTAVAIL:
        return "the address is not one of this host"
    return error.strerror or str(error)
