"""Tries a configuration: sends it a request and sees what becomes of it, without a port and without a network.

What runs is the gateway itself, from the parser of the client's bytes to the bytes that the upstream gets; sockets, the
clock and whoever filters would ask are played. So what is told of a request here is what would happen to it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
import structlog

from gateway.api.exchange import Exchange, Instant
from gateway.api.message import did_you_mean
from gateway.config.load import Loaded
from gateway.listener.connection import Connection
from gateway.listener.generation import Generation
from gateway.listener.listener import Listener
from gateway.plan import Network, Plan, Stores, build_plan
from gateway.record import Record
from gateway.registry import Registry
from gateway.secret_hash import secret_key
from gateway.serializer import Serializer
from gateway.state import StateStore
from gateway.store import RedisStore
from gateway.trial.given import Given
from gateway.trial.memory import MemoryTransport, MemoryUpstream, is_whole
from gateway.trial.outcome import Judged, Message, Outcome, message_of
from gateway.trial.routing import considered
from gateway.trial.silence import silent
from gateway.trial.witness import Sight, Witness
from gateway.upstream.http_client import SessionClient
from gateway.upstream.pool import Pool

PATIENCE: Final = 30.0
"""Seconds that a request may take before it is given up."""


_TOLD: Final = 20
"""Names of limits, where one is not known."""
_PAUSE: Final = 0.001
"""Seconds between two looks at a request that waits for somebody else."""
_TURNS: Final = 50
"""Of the loop, in which a request that waits for more of itself does nothing else."""


class TrialError(Exception):
    """The request has come to no end."""


class NoSuchLimit(ValueError):  # noqa: N818 - it names what is wrong
    """Something is said to have been counted by a limit that there is not."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        told = ", ".join(map(repr, names[:_TOLD])) + (", ..." if len(names) > _TOLD else "")
        near = did_you_mean(name, names)
        super().__init__(
            f"no limit is named {name!r}{near}: {f'there are {told}' if told else 'there is none'}"
        )


class Trial:
    """A configuration to be tried, with one request at a time. What filters count goes on from one to the next.

    live  whether filters ask who they would ask in earnest. The upstreams of routes are never asked
    """

    def __init__(self, loaded: Loaded, registry: Registry, *, live: bool = False) -> None:
        """Raises ConfigurationError for a configuration that cannot be put in force."""
        self.loaded = loaded
        self._registry = registry
        self._live = live
        self._wall = 0.0
        self._witness = Witness()
        self._serializer = Serializer(secret_key(loaded.configuration), 0)
        self._listener: Listener | None = None
        self._published: asyncio.Future[Record] | None = None
        self._connection: Connection | None = None
        self._forwarded: bytes | None = None
        self._upstream = MemoryUpstream(self._on_forwarded)
        self.plan = self._built()

    def _built(self) -> Plan:
        network: Network = SessionClient if self._live else silent
        stores: Stores | None = RedisStore if self._live else None
        return build_plan(
            self.loaded,
            self._registry,
            state=StateStore(),
            network=network,
            stores=stores,
            clock=self._now,
            attend=self._witness.attend,
        )

    def _now(self) -> Instant:
        return Instant(self._wall, self._wall)

    async def start(self) -> None:
        """Makes ready for requests."""
        if self._live:
            await self.plan.start()
        pools = {}
        for name, upstream in self.loaded.configuration.upstreams.items():
            unwatched = upstream.model_copy(update={"health": None})
            pools[name] = Pool(name, unwatched, reach=self._upstream)
        self._listener = Listener(
            Generation(self.plan, pools), publish=self._on_record, report_bug=self._on_bug
        )

    async def renew(self) -> None:
        """Forgets all that requests have left behind: what was counted, and who did not answer."""
        await self.close()
        self.plan = self._built()
        await self.start()

    async def close(self) -> None:
        """For after the last request."""
        if self._listener is not None:
            self._listener.wheel.close()
            for pool in self._listener.generation.pools.values():
                pool.close()
        await self.plan.close()

    async def run(self, given: Given) -> Outcome:
        """What becomes of a request. Raises TrialError for one that comes to no end, ValueError for one that is none, and
        NoSuchLimit."""
        listener = self._listener
        assert listener is not None
        for name in given.counts:
            if name not in self.limits:
                raise NoSuchLimit(name, self.limits)
        if given.answer is not None and not is_whole(given.answer, to_head=given.method == "HEAD"):
            raise TrialError(
                "the upstream's answer is not whole: more of its body is announced than there is"
            )
        self._wall = given.wall
        self._witness.begin(given)
        self._forwarded = None
        self._upstream.answer = given.answer
        self._published = asyncio.get_running_loop().create_future()
        transport = MemoryTransport(given.peer)
        self._connection = connection = Connection(listener)
        connection.connection_made(transport)
        if given.scheme == "https" or given.certificate is not None:
            connection.peer = connection.peer._replace(scheme="https", certificate=given.certificate)
        try:
            async with asyncio.timeout(PATIENCE):
                connection.data_received(given.message())
                await self._until_unfinished(connection)
                record = await self._published
                await asyncio.sleep(0)
        except TimeoutError:
            raise TrialError("the request has come to no end") from None
        finally:
            connection.connection_lost(None)
            self._published = None
        return self._outcome(record, bytes(transport.written))

    async def _until_unfinished(self, connection: Connection) -> None:
        """Returns when the request has its record, or needs no more of itself. Raises TrialError for one that is not whole and
        waits for what never comes."""
        waiting = 0
        while waiting < _TURNS:
            handler = connection.handler
            assert self._published is not None
            if self._published.done() or handler is None or not handler.receiving:
                return
            waiting = waiting + 1 if handler.starving else 0
            await asyncio.sleep(0 if handler.starving else _PAUSE)
        raise TrialError("the request is not whole: more of its body is announced than there is")

    def _on_record(self, record: Record) -> None:
        if self._published is not None and not self._published.done():
            self._published.set_result(record)

    def _on_bug(self, where: str, exchange: Exchange, error: BaseException) -> None:
        structlog.get_logger("gateway").error("bug", where=where, exc_info=error)

    def _on_forwarded(self, request: bytes) -> None:
        if self._forwarded is not None:
            return  # a copy for a mirror
        self._forwarded = request
        if self._upstream.answer is None:
            # What the upstream would say is not known, and so the way of the request ends here.
            connection = self._connection
            assert connection is not None
            asyncio.get_running_loop().call_soon(connection.cut)

    def _outcome(self, record: Record, written: bytes) -> Outcome:
        fields: dict[str, Any] = orjson.loads(self._serializer.line(record, 0))
        steps = [
            self._judged(step.entry.index, told)
            for step, told in zip(record.steps, fields["gateway.filters"], strict=True)
        ]
        told_of = {(step.entry.index, step.phase) for step in record.steps}
        for (index, phase), sight in self._witness.seen.items():
            if (index, phase) not in told_of:
                entry = self.plan.entries[index]
                told = {
                    "name": entry.name,
                    "type": entry.type,
                    "mode": entry.mode,
                    "phase": phase,
                    "verdict": "pass",
                    "source": entry.source(()),
                }
                steps.append(Judged(told, sight.undecided, sight.changes, sight.supposed))
        undecided = {
            str(step.told["name"]): step.undecided
            for step in steps
            if step.undecided and step.told["mode"] == "enforce"
        }
        exchange = record.exchange
        forwarded: Message | None = message_of(self._forwarded) if self._forwarded is not None else None
        answer: Message | None = None
        if self._forwarded is not None and self._upstream.answer is None:
            fields["gateway.decision"], fields["gateway.reason"] = "forward", "passed"
        elif written and not undecided:
            answer = message_of(written)
        route = exchange.route.name if exchange.route is not None else None
        return Outcome(
            fields,
            considered(self.loaded, route, exchange.method, exchange.host, exchange.path),
            dict(exchange.params),
            steps,
            forwarded,
            answer,
            undecided,
        )

    def _judged(self, index: int, told: Mapping[str, Any]) -> Judged:
        sight = self._witness.seen.get((index, told["phase"]), Sight())
        return Judged(told, sight.undecided, sight.changes, sight.supposed)

    @property
    def limits(self) -> frozenset[str]:
        """The names of all limits."""
        return frozenset(name for entry in self.plan.entries for name in entry.filter.limits)
