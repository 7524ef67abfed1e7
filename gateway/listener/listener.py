"""The downstream side as a whole: sockets, connections, the plan that new exchanges take, and drain."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.chain import Reporter
from gateway.config.model import Listen, Place
from gateway.http.address import UNIX, network
from gateway.http.request_id import RequestIds
from gateway.listener.acceptor import Acceptor, Refusals
from gateway.listener.admission import Admission
from gateway.listener.connection import Connection
from gateway.listener.opening import open_place
from gateway.listener.parser import require_parser
from gateway.listener.section import Sections
from gateway.listener.tls import Credentials
from gateway.plan import Plan
from gateway.record import Record
from gateway.upstream.pool import Pool
from gateway.wheel import Wheel


class Listener:
    """Accepts connections and hands each exchange the plan in force.

    acceptors   one for each `listen` entry
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
        self.refusals = Refusals(self.loop)
        self.acceptors: list[Acceptor] = []
        self.idle_timeout = plan.configuration.timeouts.idle
        self.draining = False
        self.tunnels = 0
        """Tunnels that are open."""
        self._admission = Admission()
        self._connections: dict[Connection, str | None] = {}  # and by which client each is counted
        self._empty: asyncio.Event = asyncio.Event()
        self._empty.set()

    async def start(
        self,
        listens: Sequence[Listen],
        *,
        directory: Path = Path(),
        credentials: Sequence[Credentials | None] = (),
    ) -> list[Place]:
        """Listens; the places that were taken. Raises OSError, and then listens nowhere.

        directory    what the paths of Unix sockets are relative to
        credentials  of each entry, where one speaks TLS
        """
        first = len(self.acceptors)
        try:
            for number, listen in enumerate(listens):
                opening = await open_place(listen, directory)
                own = credentials[number] if credentials else None
                self.acceptors.append(Acceptor(self, listen, opening, own))
            for acceptor in self.acceptors[first:]:
                await acceptor.start()
        except BaseException:
            self.stop_accepting()
            raise
        return [acceptor.place for acceptor in self.acceptors[first:]]

    def connection(self) -> Any:
        """A connection that the event loop has accepted."""
        return Connection(self)

    def opened(self, connection: Connection, address: str, place: Place | None = None) -> bool:
        """Counts a connection that has come from `address`, once; False where it is one too many, and has to be ended."""
        if connection in self._connections:
            return True
        counts = address not in ("", UNIX) and address not in self.plan.trusted
        client = network(address) if counts else None
        reason = self._admission.enter(client, self.plan.configuration.limits)
        if reason:
            self.refusals.add(reason, place, address)
            return False
        self._connections[connection] = client
        self._empty.clear()
        return True

    def closed(self, connection: Connection) -> None:
        if connection in self._connections:
            self._admission.leave(self._connections.pop(connection))
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
        """Closes what listens, and connections that have not come to HTTP yet."""
        for acceptor in self.acceptors:
            acceptor.close()
        self.acceptors.clear()

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
