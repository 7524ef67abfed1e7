"""The one module that knows every part: puts plans in force, one after another, and drains."""

import asyncio
import gc
import os
import resource
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from gateway.api.bucket import Selection
from gateway.api.exchange import Exchange
from gateway.api.revocation import Revocation
from gateway.buckets import Buckets, buckets_of, reset_of
from gateway.config.load import Loaded, digest
from gateway.config.model import Log as LogOptions
from gateway.config.problem import ConfigurationError, Problem, written
from gateway.listener.acceptor import Binding
from gateway.listener.generation import Generation
from gateway.listener.listener import Listener
from gateway.listener.opening import Opening
from gateway.listener.tls import Credentials, load_credentials
from gateway.log_copy import LogCopy
from gateway.log_export import LogExporters
from gateway.metrics import Metrics
from gateway.plan import Plan, build_plan
from gateway.record import Record
from gateway.registry import Registry
from gateway.request_log import RequestLog, Taker
from gateway.sampling import Sampling
from gateway.secret_hash import hash_key
from gateway.serializer import Serializer
from gateway.shared.measure import observe_counts
from gateway.shared.memory import SharedMemory
from gateway.state import StateStore, followed, lost, resumed
from gateway.store import RedisStore
from gateway.task import spawn
from gateway.tracing import Tracers
from gateway.upstream.http_client import SessionClient
from gateway.upstream.measure import observe_pools
from gateway.upstream.pool import Pool
from gateway.upstream.resolver import Resolver
from gateway.upstream.tls import contents
from gateway.upstream.traffic import observe_traffic

GC_THRESHOLD: Final = 100_000
"""Allocations between two collections: an exchange makes no cycles, so the collector rarely has work."""

FIRST_CHECKS: Final = 5.0
"""Seconds in which endpoints may be found well, or not, before a plan is put in force that sends them requests. One that
hangs would take its share of them along, after a reload as after the end of a worker that knew of it."""


_LOOK: Final = 60.0
"""Seconds between two looks at whether marks are wanted in the request log."""


class StartError(Exception):
    """The gateway cannot start; the message says why, in a sentence."""


class Prepared(NamedTuple):
    """A configuration that has been built beside the one in force, and may take its place.

    credentials  of each `listen` entry, None where it speaks plain HTTP
    log          the request log, where it is another than the one in use
    holder       for whom the state store keeps the pools
    taker        of the lines of records, beside the log
    anew         names of entries whose state is lost, because their definition or their name is another; or of parts of them
    back         names of parts that go on as they were when they were last defined so
    """

    loaded: Loaded
    generation: Generation
    credentials: Sequence[Credentials | None]
    log: RequestLog | None
    holder: object
    taker: Taker | None = None
    anew: tuple[str, ...] = ()
    back: tuple[str, ...] = ()

    @property
    def plan(self) -> Plan:
        return self.generation.plan


class Gateway:
    """A process that carries exchanges: listener, upstream pools, request log and metrics.

    worker     number of this process in records
    over       numbers of those in whose place it is, which have ended
    beside     numbers of those that begin when it does
    memory     what it shares with other processes; its own by default
    on_record  is given the fields of every record, in the log writer's thread
    """

    def __init__(
        self,
        registry: Registry,
        *,
        worker: int = 0,
        over: Sequence[int] = (),
        beside: Sequence[int] = (),
        memory: SharedMemory | None = None,
        on_record: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        self._memory = memory if memory is not None else SharedMemory.create()
        self._owns_memory = memory is None
        self._registry = registry
        self._worker = worker
        self._over = over
        self._beside = beside
        self._on_record = on_record
        self._log = structlog.get_logger("gateway")
        self._state = StateStore()
        self._resolver: Resolver | None = None
        self.metrics = Metrics()
        self._in_force: Prepared | None = None
        self._left_behind: set[str] = set()  # keys of state, see `gateway.state.followed`
        self._ended = False
        self._listener: Listener | None = None
        self._request_log: RequestLog | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._tracers = Tracers(self._state, worker)
        self._log_exporters = LogExporters(self._state, worker)
        self._marking: asyncio.Task[None] | None = None
        self._started_at = time.time()

    # ---- one configuration after another

    @property
    def in_force(self) -> Prepared:
        """For after the first commit."""
        assert self._in_force is not None
        return self._in_force

    @property
    def plan(self) -> Plan:
        return self.in_force.plan

    @property
    def listener(self) -> Listener:
        assert self._listener is not None
        return self._listener

    @property
    def request_log(self) -> RequestLog:
        assert self._request_log is not None
        return self._request_log

    async def prepare(self, loaded: Loaded) -> Prepared:
        """Builds what `loaded` asks for, beside what is in force. Raises ConfigurationError, and then nothing is left of it."""
        configuration = loaded.configuration
        key = hash_key(configuration, self._memory)
        # In a thread: files may be slow, and there may be a thousand routes, while exchanges go on.
        credentials = await asyncio.to_thread(load_credentials, loaded)
        plan = await asyncio.to_thread(
            build_plan,
            loaded,
            self._registry,
            state=self._state,
            hash_key=key,
            network=SessionClient,
            stores=RedisStore,
            memory=self._memory,
        )
        holder = object()
        try:
            await plan.start()
            log = self._other_log(loaded, key)
        except BaseException:
            await plan.close()
            raise
        if self._resolver is None:
            self._resolver = Resolver()
        pools = {name: self._pool(holder, plan, name) for name in configuration.upstreams}
        self._tracers.attach(plan, holder)
        taker = self._log_exporters.attach(plan, holder)
        anew: Sequence[str] = ()
        back: Sequence[str] = ()
        if self._in_force is not None:
            before, after = (self._state.held(each.holder) for each in (self._in_force.plan, plan))
            anew, back = lost(before, after), resumed(before, after, self._left_behind)
        generation = Generation(plan, pools)
        prepared = Prepared(loaded, generation, credentials, log, holder, taker, tuple(anew), tuple(back))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_CHECKS):
                    for pool in pools.values():
                        await pool.known()
        except BaseException:
            await self.discard(prepared)
            raise
        return prepared

    def _other_log(self, loaded: Loaded, key: bytes) -> RequestLog | None:
        """The request log, started, where the one in use would not do. Raises ConfigurationError."""
        options = loaded.configuration.log
        if self._in_force is not None and self._in_force.loaded.configuration.log == options:
            return None
        log = RequestLog(
            options.path,
            serializer=Serializer(key, self._worker, self._memory.created_at),
            max_size=options.max_size,
            max_files=options.max_files,
            max_age=options.max_age,
            queue=options.queue,
            sampling=self._sampling(options),
            copies=[
                LogCopy(copy.path, copy.format, copy.max_size, copy.max_files) for copy in options.copies
            ],
            roll=self._memory.roll,
        )
        if self._on_record is not None:
            log.subscribe(self._on_record)
        try:
            log.start()
        except OSError as error:
            cause = (error.strerror or str(error)).lower()
            path: tuple[str | int, ...] = ("log", "path")
            for place, copy in enumerate(options.copies):
                if copy.path == error.filename:
                    path = ("log", "copies", place, "path")
            message = f"the request log {error.filename or options.path} cannot be written: {cause}"
            raise ConfigurationError(
                [Problem(*loaded.marks.position(path), "log_unusable", message, written(path))]
            ) from error
        return log

    def _sampling(self, options: LogOptions) -> Sampling | None:
        sample = options.sample
        if sample.passed >= 1:
            return None
        key = options.hash_key.reveal().encode() if options.hash_key is not None else b""
        return Sampling(sample.passed, sample.slow, key)

    def _pool(self, holder: object, plan: Plan, name: str) -> Pool:
        """The pool of an upstream: that in use, where nothing has changed, not even in the files that it names."""
        upstream = plan.configuration.upstreams[name]
        context = plan.contexts.get(name)
        key = f"pool/{name}/{digest(upstream)}"
        if context is not None:
            key += f"/{contents(upstream, plan.loaded.directory, plan.loaded.tls_files)}"
        resolver = self._resolver
        return self._state.hold(holder, key, lambda: Pool(name, upstream, context=context, resolver=resolver))

    async def commit(self, prepared: Prepared, openings: Sequence[Opening]) -> None:
        """Puts what was prepared in force, in one step; exchanges in progress end with what they began with.

        `openings` are of the `listen` entries. Raises OSError when they cannot be accepted from, and then nothing has
        changed.
        """
        bindings = _bindings(prepared, openings)
        former = self._in_force
        if self._listener is None or former is None:
            self._memory.roll.enter(self._worker)
            self._in_force, self._request_log = prepared, prepared.log
            self._listener = Listener(prepared.generation, publish=self._publish, report_bug=self._report_bug)
            await self._listener.accept_from(bindings)
            self._observe(self._listener)
            self._settle_memory()
        else:
            await self._listener.accept_from(bindings)
            before, after = (self._state.held(each.plan.holder) for each in (former, prepared))
            self._left_behind = followed(self._left_behind, before, after)
            self._in_force = prepared
            self._listener.put_in_force(prepared.generation)
            if prepared.log is not None:
                self._change_log(prepared.log)
            self.metrics.forget_flows()
            former.generation.retire(lambda: self._close_later(self._close(former)))
        prepared.plan.put_in_force()
        self.request_log.forward(prepared.taker)
        described = {
            **prepared.plan.describe(),
            "since": self._memory.created_at,
            **({"over": self._over} if self._over else {}),
        }
        self.request_log.announce(
            prepared.plan.revision,
            described,
            beside=self._beside if former is None else (),
            under_way=self._under_way(),
        )
        if self._marking is None:
            self._marking = spawn(self._mark(), name="marks")

    async def accept_from(self, openings: Sequence[Opening]) -> None:
        """Accepts from these openings of the `listen` entries, with what is in force. Raises OSError as `commit` does."""
        await self.listener.accept_from(_bindings(self.in_force, openings))

    async def _mark(self) -> None:
        """Has the request log say, time and again, that nothing is missing of it."""
        while True:
            every = self.in_force.loaded.configuration.log.marks
            await asyncio.sleep(every or _LOOK)
            if every:
                self.request_log.mark(self._under_way())

    def _under_way(self) -> float:
        """For how many seconds the oldest exchange has been under way, 0 for none."""
        oldest = next(iter(self.listener.under_way.values()), None)
        return 0.0 if oldest is None else time.monotonic() - oldest

    def _change_log(self, log: RequestLog) -> None:
        former = self.request_log
        log.follow(former)
        self._request_log = log
        self._close_later(asyncio.to_thread(former.close))

    async def discard(self, prepared: Prepared) -> None:
        """Ends what was prepared and is not to be put in force."""
        if prepared.log is not None:
            await asyncio.to_thread(prepared.log.close)
        await self._close(prepared)

    async def _close(self, prepared: Prepared) -> None:
        await prepared.plan.close()
        self._state.release(prepared.holder)
        gc.collect()  # a plan is full of cycles, and exchanges make none: the collector would not come for long

    def _close_later(self, closing: Coroutine[Any, Any, None]) -> None:
        task = spawn(closing, name="end of a generation")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    # ---- what there is to say of it

    def status(self) -> dict[str, Any]:
        """What the process does and what it takes."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        told: dict[str, Any] = {
            "pid": os.getpid(),
            "started_at": self._started_at,
            "memory_bytes": _resident(),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
            "requests": self.metrics.requests,
        }
        if self._listener is not None:
            told["revision"] = self.plan.revision
            told["active"] = self._listener.active_count
            told["connections"] = self._listener.connection_count
        return told

    def upstream_states(self) -> dict[str, Any]:
        """What there is to say of each upstream, by name."""
        return {name: pool.status() for name, pool in self.listener.generation.pools.items()}

    # ---- the end

    def revoke(self, revocation: Revocation) -> int:
        """Forgets what has been remembered of those who fit; how many entries those were."""
        return self._state.revoke(revocation)

    async def owed(self) -> list[str]:
        """Why others, with whom something is shared, have not been told of what was revoked; waits until it is known."""
        return await self._state.owed()

    def reopen_log(self) -> None:
        """Has the request log's file opened anew at once: somebody has moved it."""
        self.request_log.reopen()

    def recent(self, after: int) -> tuple[list[bytes], int]:
        """The request log's lines since `after`, and the next `after`."""
        return self.request_log.recent(after)

    async def buckets(self, selection: Selection, count: int) -> Buckets:
        """The fullest buckets of each entry that fit, at most `count`, as far as this process knows their keys."""
        return Buckets() if self._ended else await buckets_of(self.plan, selection, count)

    async def reset_buckets(self, selection: Selection) -> Buckets:
        """Empties those that fit; as they were."""
        return Buckets() if self._ended else await reset_of(self.plan, selection)

    @property
    def draining(self) -> bool:
        return self._listener is not None and self._listener.draining

    def announce_end(self) -> None:
        """From now on every answer ends its connection; new ones are still accepted."""
        if self._listener is not None:
            self._listener.draining = True

    def stop_accepting(self) -> None:
        if self._listener is not None:
            self._listener.draining = True
            self._listener.stop_accepting()

    async def stop(self, timeout: float) -> bool:
        """Drains for `timeout` seconds at most and closes everything; True when no exchange had to be cut off."""
        self._memory.leave()
        clean = True
        if self._listener is not None:
            clean = await self._listener.drain(timeout)
        if self._marking is not None:
            self._marking.cancel()
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)
        # Its last lines go to their collector too, which is let go of with the plan.
        if self._request_log is not None:
            await asyncio.to_thread(self._request_log.close, over=True)
        self._memory.roll.leave()
        if self._in_force is not None and not self._ended:
            # It stays there to be told of: whoever asks meanwhile is answered.
            self._ended = True
            await self._close(self._in_force)
        await asyncio.to_thread(self._tracers.join)
        await asyncio.to_thread(self._log_exporters.join)
        if self._owns_memory:
            self._memory.close()
        return clean

    # ---- what exchanges leave behind

    def _publish(self, record: Record) -> None:
        self.metrics.observe(record)
        log = self._request_log
        if log is not None:
            log.put(record)
        if record.trace is not None:
            record.trace.export(record)

    def _report_bug(self, where: str, exchange: Exchange, error: BaseException) -> None:
        self._log.error("bug", where=where, request_id=exchange.request_id, exc_info=error)

    def _observe(self, listener: Listener) -> None:
        metrics = self.metrics
        metrics.gauge("gateway_connections", "Client connections open.", lambda: listener.connection_count)
        metrics.gauge("http_server_active_requests", "Exchanges in progress.", lambda: listener.active_count)
        metrics.gauge("gateway_tunnels", "Tunnels open.", lambda: listener.tunnels)
        observe_pools(metrics, self._pools)
        observe_traffic(metrics, self._pools, lambda: self.plan.limiters, lambda: self.plan.mirrors)
        observe_counts(metrics, self._memory)
        refusals = listener.refusals
        metrics.counters(
            "gateway_connections_refused",
            "Connections closed before they could ask anything.",
            ("reason",),
            lambda: [((reason,), count) for reason, count in refusals.counts.items()],
        )
        metrics.counters(
            "gateway_certificate_renewals",
            "Changed certificate files, by whether they were taken into use (ok) or no good (failed).",
            ("listen", "result"),
            lambda: [
                ((str(place), result), count)
                for place, own in listener.secured
                for result, count in (("ok", own.renewals), ("failed", own.failures))
            ],
        )
        metrics.gauges(
            "gateway_certificate_expiry_timestamp_seconds",
            "When the certificate in use ends.",
            ("listen",),
            lambda: [((str(place),), own.expires_at) for place, own in listener.secured],
        )
        metrics.counter(
            "gateway_log_dropped", "Records that were not written.", lambda: self.request_log.dropped
        )
        metrics.counter(
            "gateway_log_copies_dropped",
            "Lines of log.copies that were not written.",
            lambda: sum(copy.dropped for copy in self.request_log.copies),
        )
        metrics.counter(
            "gateway_log_left_out", "Records that log.sample left out.", lambda: self.request_log.left_out
        )
        metrics.gauge("gateway_log_queue", "Records that wait to be written.", lambda: self.request_log.depth)
        metrics.counter(
            "gateway_log_write_errors",
            "Attempts to write to the request log that failed.",
            lambda: self.request_log.write_errors,
        )
        exporters = self._log_exporters
        metrics.counter(
            "gateway_log_exported", "Records that the collector took.", lambda: exporters.exported
        )
        metrics.counter(
            "gateway_log_export_dropped", "Records that no collector has.", lambda: exporters.dropped
        )
        tracers = self._tracers
        metrics.counter("gateway_spans_exported", "Spans that the collector took.", lambda: tracers.exported)
        metrics.counter("gateway_spans_dropped", "Spans that no collector has.", lambda: tracers.dropped)
        metrics.info(
            "gateway_config_revision", "The configuration in force.", lambda: {"revision": self.plan.revision}
        )
        metrics.gauge("gateway_start_time_seconds", "When the gateway started.", lambda: self._started_at)

    def _pools(self) -> Iterable[Pool]:
        """Those in force."""
        return self.in_force.generation.pools.values()

    def _settle_memory(self) -> None:
        """What is loaded now lives as long as the process: the collector need not look at it again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 50, 100)


def _bindings(prepared: Prepared, openings: Sequence[Opening]) -> list[Binding]:
    listens = prepared.loaded.configuration.listen
    return [
        Binding(listen, opening, credentials)
        for listen, opening, credentials in zip(listens, openings, prepared.credentials, strict=True)
    ]


def _resident() -> int:
    """Bytes of memory; the most that it has been, where the system does not say what it is."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
