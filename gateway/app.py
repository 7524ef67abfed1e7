"""The one module that knows every part: serves a plan, and drains it."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from gateway.admin.server import Admin
from gateway.api.exchange import Exchange
from gateway.config.load import Loaded
from gateway.config.model import Address, Configuration, Place
from gateway.listener.listener import Listener
from gateway.listener.opening import why
from gateway.listener.tls import load_credentials
from gateway.metrics import Metrics
from gateway.plan import Plan, build_plan, secret_key
from gateway.record import Record
from gateway.registry import Registry
from gateway.request_log import RequestLog
from gateway.serializer import Serializer
from gateway.state import StateStore
from gateway.upstream.pool import Pool
from gateway.upstream.resolver import Resolver

GC_THRESHOLD: Final = 100_000
"""Allocations between two collections: an exchange makes no cycles, so the collector rarely has work."""


class StartError(Exception):
    """The gateway cannot start; the message says why, in a sentence."""


class Gateway:
    """A running gateway: listener, upstream pools, request log, metrics and the admin listener."""

    def __init__(self, loaded: Loaded, registry: Registry, *, worker: int = 0) -> None:
        """Raises ConfigurationError for what `load_credentials` or `build_plan` refuses."""
        self._loaded = loaded
        configuration = loaded.configuration
        self._log = structlog.get_logger("gateway")
        self._state = StateStore()
        self._credentials = load_credentials(loaded)
        key = secret_key(configuration)
        self.plan: Plan = build_plan(loaded, registry, state=self._state, hash_key=key)
        self.metrics = Metrics()
        self.request_log = RequestLog(
            configuration.log.path,
            serializer=Serializer(key, worker),
            max_size=configuration.log.max_size,
            max_files=configuration.log.max_files,
            queue=configuration.log.queue,
        )
        self._pools: dict[str, Pool] = {}
        self._listener: Listener | None = None
        self._admin = Admin(metrics=self.metrics, readiness=self._readiness)
        self._started_at = time.time()
        self.addresses: list[Place] = []
        self.admin_address: Address | None = None

    async def start(self) -> None:
        """Opens everything. Raises StartError, and then nothing is left open."""
        configuration = self._loaded.configuration
        try:
            self.request_log.start()
        except OSError as error:
            cause = (error.strerror or str(error)).lower()
            raise StartError(
                f"the request log {configuration.log.path} cannot be written: {cause}"
            ) from error
        try:
            listener = await self._open(configuration)
        except OSError as error:
            await self.stop(0.0)
            raise StartError(error.strerror or str(error)) from error
        except BaseException:
            await self.stop(0.0)
            raise
        self._observe(listener)
        self.request_log.announce(self.plan.revision, self.plan.describe())
        self._settle_memory()
        self._log.info(
            "started",
            listen=self.told_addresses(),
            admin=str(self.admin_address) if self.admin_address else None,
            revision=self.plan.revision[:12],
        )

    async def _open(self, configuration: Configuration) -> Listener:
        await self.plan.start()
        resolver = Resolver()
        self._pools = {
            name: Pool(name, upstream, context=self.plan.contexts.get(name), resolver=resolver)
            for name, upstream in configuration.upstreams.items()
        }
        self._listener = listener = Listener(
            self.plan, self._pools, publish=self._publish, report_bug=self._report_bug
        )
        self.addresses = await listener.start(
            configuration.listen, directory=self._loaded.directory, credentials=self._credentials
        )
        if configuration.admin is not None:
            host, port = configuration.admin
            self.admin_address = Address(host, await self._start_admin(host, port))
        return listener

    async def _start_admin(self, host: str, port: int) -> int:
        try:
            return await self._admin.start(host, port)
        except OSError as error:
            raise OSError(
                error.errno, f"cannot listen on {Address(host, port)} (admin): {why(error)}"
            ) from error

    def told_addresses(self) -> list[str]:
        """Where the gateway listens, each with what is spoken there beside HTTP."""
        return [
            " ".join(
                [
                    str(address),
                    *(["tls"] if listen.tls is not None else []),
                    *(["proxy_protocol"] if listen.proxy_protocol is not None else []),
                ]
            )
            for address, listen in zip(self.addresses, self._loaded.configuration.listen, strict=True)
        ]

    async def stop(self, timeout: float | None = None) -> bool:
        """Drains and closes; True when no exchange had to be cut off."""
        if timeout is None:
            timeout = self._loaded.configuration.drain_timeout
        clean = True
        if self._listener is not None:
            clean = await self._listener.drain(timeout)
        for pool in self._pools.values():
            pool.close()
        await self._admin.close()
        await self.plan.close()
        self.request_log.close()
        return clean

    def _publish(self, record: Record) -> None:
        self.metrics.observe(record)
        self.request_log.put(record)

    def _report_bug(self, where: str, exchange: Exchange, error: BaseException) -> None:
        self._log.error("bug", where=where, request_id=exchange.request_id, exc_info=error)

    def _readiness(self) -> list[tuple[str, bool]]:
        listener = self._listener
        return [
            ("configuration loaded", True),
            ("accepting requests", listener is not None and not listener.draining),
        ]

    def _observe(self, listener: Listener) -> None:
        metrics, log = self.metrics, self.request_log
        metrics.gauge("gateway_connections", "Client connections open.", lambda: listener.connection_count)
        metrics.gauge("http_server_active_requests", "Exchanges in progress.", lambda: listener.active_count)
        metrics.gauge("gateway_tunnels", "Tunnels open.", lambda: listener.tunnels)
        refusals = listener.refusals
        metrics.counters(
            "gateway_connections_refused",
            "Connections closed before they could ask anything.",
            ("reason",),
            lambda: [((reason,), count) for reason, count in refusals.counts.items()],
        )
        secured = [
            (str(acceptor.place), acceptor.credentials)
            for acceptor in listener.acceptors
            if acceptor.credentials is not None
        ]
        if secured:
            metrics.counters(
                "gateway_certificate_renewals",
                "Changed certificate files, by whether they were taken into use (ok) or no good (failed).",
                ("listen", "result"),
                lambda: [
                    ((place, result), count)
                    for place, own in secured
                    for result, count in (("ok", own.renewals), ("failed", own.failures))
                ],
            )
            metrics.gauges(
                "gateway_certificate_expiry_timestamp_seconds",
                "When the certificate in use ends.",
                ("listen",),
                lambda: [((place,), own.expires_at) for place, own in secured],
            )
        metrics.counter("gateway_log_dropped", "Records that were not written.", lambda: log.dropped)
        metrics.gauge("gateway_log_queue", "Records that wait to be written.", lambda: log.depth)
        metrics.info(
            "gateway_config_revision", "The configuration in force.", lambda: {"revision": self.plan.revision}
        )
        metrics.gauge("gateway_start_time_seconds", "When the gateway started.", lambda: self._started_at)

    def _settle_memory(self) -> None:
        """What is loaded now lives as long as the process: the collector need not look at it again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 50, 100)


def serve(
    loaded: Loaded,
    registry: Registry,
    *,
    on_start: Callable[[Gateway], None] = lambda gateway: None,
    on_record: Callable[[Mapping[str, Any]], None] | None = None,
) -> bool:
    """Runs a gateway until SIGTERM or SIGINT, and drains it; a second signal cuts the drain short.

    True when every exchange ended by itself. Raises StartError or ConfigurationError.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(loaded, registry, on_start, on_record))


async def _serve(
    loaded: Loaded,
    registry: Registry,
    on_start: Callable[[Gateway], None],
    on_record: Callable[[Mapping[str, Any]], None] | None,
) -> bool:
    gateway = Gateway(loaded, registry)
    if on_record is not None:
        gateway.request_log.subscribe(on_record)
    loop = asyncio.get_running_loop()
    stopping, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    await gateway.start()
    on_start(gateway)
    await stopping.wait()
    log = structlog.get_logger("gateway")
    log.info("draining", timeout=loaded.configuration.drain_timeout)
    drained = asyncio.ensure_future(gateway.stop())
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait((drained, hurried), return_when=asyncio.FIRST_COMPLETED)
    if not drained.done():
        drained.cancel()
        await asyncio.gather(drained, return_exceptions=True)
        clean = await gateway.stop(0.0)
    else:
        clean = drained.result()
    hurried.cancel()
    log.info("stopped", pid=os.getpid(), clean=clean)
    return clean


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # a platform without it
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
