"""The downstream side as a whole: sockets, connections, the generation that new exchanges take, and drain."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from gateway.chain import Reporter
from gateway.config.model import Place
from gateway.http.address import UNIX, network
from gateway.http.request_id import RequestIds
from gateway.listener.acceptor import Acceptor, Binding, Refusals
from gateway.listener.admission import Admission
from gateway.listener.connection import Connection
from gateway.listener.generation import Generation
from gateway.listener.parser import require_parser
from gateway.listener.tls import Credentials
from gateway.record import Record
from gateway.wheel import Wheel

IDLE_GRACE: Final = 1.0
"""Seconds that a client which is kept alive has for a last request when the gateway drains.

It may be sending one just now, on a connection that is closed already: a client cannot know whether such a request was
received, and must not repeat a POST (RFC 9112 section 9.3.1)."""


class Listener:
    """Accepts connections and hands each exchange the generation in force.

    generation  in force
    acceptors   one for each `listen` entry
    publish     takes the record of every exchange
    report_bug  takes the exceptions of filters, renderers and deferred callbacks
    """

    def __init__(
        self,
        generation: Generation,
        *,
        publish: Callable[[Record], None],
        report_bug: Reporter,
    ) -> None:
        require_parser()
        self.loop = asyncio.get_running_loop()
        self.publish = publish
        self.report_bug = report_bug
        self.request_ids = RequestIds()
        self.wheel = Wheel(self.loop)
        self.refusals = Refusals(self.loop)
        self.acceptors: list[Acceptor] = []
        self._retired: list[Acceptor] = []  # that still see connections through
        self.draining = False
        """Whether every answer ends its connection."""
        self.under_way: OrderedDict[object, float] = OrderedDict()
        """The exchanges that have begun and have not ended, the oldest first, with the monotonic instants at which they began."""
        self.tunnels = 0
        """Tunnels that are open."""
        self._admission = Admission()
        self._connections: dict[Connection, str | None] = {}  # and by which client each is counted
        self._empty: asyncio.Event = asyncio.Event()
        self._empty.set()
        self._take(generation)

    def _take(self, generation: Generation) -> None:
        configuration = generation.plan.configuration
        self.generation = generation
        self.plan = generation.plan
        self.sections = generation.sections
        self.limits = configuration.limits
        self.idle_timeout = configuration.timeouts.idle

    def put_in_force(self, generation: Generation) -> Generation:
        """Every exchange that begins from now on takes this generation; gives the former."""
        former = self.generation
        self._take(generation)
        return former

    async def accept_from(self, bindings: Sequence[Binding]) -> None:
        """Accepts from these, and from nothing else any more.

        What is the same but for its credentials goes on with others. Raises OSError, and then all is as it was.
        """
        former = list(self.acceptors)
        acceptors: list[Acceptor] = []
        begun: list[Acceptor] = []
        try:
            for binding in bindings:
                same = [acceptor for acceptor in former if acceptor.binding[:2] == binding[:2]]
                if same:
                    former.remove(same[0])
                    acceptors.append(same[0])
                else:
                    begun.append(Acceptor(self, binding))
                    acceptors.append(begun[-1])
                    await begun[-1].start()
        except BaseException:
            for acceptor in begun:
                acceptor.close()
            raise
        for acceptor, binding in zip(acceptors, bindings, strict=True):
            acceptor.credentials = binding.credentials
        for acceptor in former:
            acceptor.retire()
        self._retired = [acceptor for acceptor in (*self._retired, *former) if acceptor.busy]
        self.acceptors = acceptors

    def opened(self, connection: Connection, address: str, place: Place | None = None) -> bool:
        """Counts a connection that has come from `address`, once; False where it is one too many, and has to be ended."""
        if connection in self._connections:
            return True
        counts = address not in ("", UNIX) and address not in self.plan.trusted
        client = network(address) if counts else None
        reason = self._admission.enter(client, self.limits)
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
    def secured(self) -> list[tuple[Place, Credentials]]:
        """Where TLS is spoken, and with what."""
        return [
            (acceptor.place, acceptor.credentials)
            for acceptor in self.acceptors
            if acceptor.credentials is not None
        ]

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    @property
    def active_count(self) -> int:
        """Exchanges in progress."""
        return sum(1 for connection in self._connections if connection.handler is not None)

    def stop_accepting(self) -> None:
        """Accepts nothing more, and ends connections that have not come to HTTP yet."""
        for acceptor in (*self.acceptors, *self._retired):
            acceptor.close()
        self._retired = [acceptor for acceptor in (*self.acceptors, *self._retired) if acceptor.busy]
        self.acceptors.clear()

    async def drain(self, timeout: float) -> bool:
        """Ends gracefully: no new connections, idle ones closed soon, exchanges in progress left to end.

        True when everything ended within `timeout` seconds; what did not is cut off.
        """
        self.draining = True
        self.stop_accepting()
        self.idle_timeout = grace = min(IDLE_GRACE, timeout / 2)
        for connection in list(self._connections):
            connection.drain(grace)
        try:
            async with asyncio.timeout(timeout):
                for acceptor in self._retired:
                    await acceptor.rest()
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.cut()
            await asyncio.sleep(0)
            return False
        finally:
            self.wheel.close()
        return True
