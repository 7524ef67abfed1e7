"""A gateway in a process of its own, which opens its places and its admin listener itself: that of `weir demo`."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from gateway.admin.access import load_access
from gateway.admin.health import filter_checks, upstream_checks
from gateway.admin.server import Admin
from gateway.admin.service import Reload, Revoked, described, planned
from gateway.admin.source import around
from gateway.api.bucket import Selection
from gateway.api.check import Check
from gateway.api.revocation import Revocation
from gateway.app import Gateway, StartError
from gateway.buckets import Buckets, together
from gateway.config.load import Loaded
from gateway.config.model import Address, Listen, Place
from gateway.ending import ignore_signals
from gateway.listener.opening import Opening, open_admin, open_place, same_place, told
from gateway.loop import loop_factory
from gateway.registry import Registry
from gateway.secret_hash import of_key
from gateway.shared.measure import observe_usage


class Alone(Gateway):
    """A gateway that begins with `loaded`."""

    def __init__(
        self,
        loaded: Loaded,
        registry: Registry,
        *,
        on_record: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        super().__init__(registry, on_record=on_record)
        self._loaded = loaded
        self._openings: list[tuple[Listen, Opening]] = []
        self._admin = Admin(self)
        observe_usage(self.metrics, self._memory)
        self._admin_opening: Opening | None = None
        self._loaded_at = time.time()

    @property
    def addresses(self) -> list[Place]:
        """Where the gateway listens."""
        return [opening.place for _, opening in self._openings]

    @property
    def admin_place(self) -> Place | None:
        return self._admin_opening.place if self._admin_opening is not None else None

    @property
    def admin_address(self) -> Address | None:
        place = self.admin_place
        return place if isinstance(place, Address) else None

    async def start(self) -> None:
        """Opens everything. Raises ConfigurationError or StartError, and then nothing is left open."""
        configuration = self._loaded.configuration
        try:
            prepared = await self.prepare(self._loaded)
        except BaseException:
            await self.stop(0.0)
            raise
        try:
            self._openings = await self._open(self._loaded)
            if configuration.admin is not None:
                self._admin_opening = await open_admin(configuration.admin, self._loaded.directory)
                await self._admin.start(self._admin_opening.sockets, load_access(self._loaded))
            await self.commit(prepared, [opening for _, opening in self._openings])
        except BaseException as error:
            if self._in_force is None:
                await self.discard(prepared)
            await self.stop(0.0)
            if isinstance(error, OSError):
                raise StartError(error.strerror or str(error)) from error
            raise
        structlog.get_logger("gateway").info(
            "started",
            listen=[told(opening.place, listen) for listen, opening in self._openings],
            admin=str(self.admin_place) if self.admin_place is not None else None,
            revision=self.plan.revision[:12],
        )

    async def _open(self, loaded: Loaded) -> list[tuple[Listen, Opening]]:
        """What is to listen, and is not open yet, opened. Raises OSError, and then nothing of it is open."""
        openings: list[tuple[Listen, Opening]] = []
        known = {same_place(listen): opening for listen, opening in self._openings}
        new: list[Opening] = []
        try:
            for listen in loaded.configuration.listen:
                opening = known.pop(same_place(listen), None)
                if opening is None:
                    opening = await open_place(listen, loaded.directory)
                    new.append(opening)
                openings.append((listen, opening))
        except BaseException:
            for opening in new:
                opening.close()
            raise
        return openings

    async def change(self, loaded: Loaded) -> Sequence[str]:
        """Puts `loaded` in force in the place of what is: the names of entries whose state is lost.

        Raises ConfigurationError, or OSError for a place that cannot be listened at; nothing has changed then.
        """
        prepared = await self.prepare(loaded)
        try:
            openings = await self._open(loaded)
            await self.commit(prepared, [opening for _, opening in openings])
        except BaseException:
            await self.discard(prepared)
            raise
        former, self._openings, self._loaded = self._openings, openings, loaded
        for _, opening in former:
            if all(opening is not kept for _, kept in openings):
                opening.close()
        return prepared.anew

    async def stop(self, timeout: float | None = None) -> bool:
        """Drains and closes; True when no exchange had to be cut off."""
        if timeout is None:
            timeout = self._loaded.configuration.drain_timeout
        self.stop_accepting()
        for _, opening in self._openings:
            opening.close()
        clean = await super().stop(timeout)
        await self._admin.close()
        if self._admin_opening is not None:
            self._admin_opening.close()
        return clean

    # ---- for the admin listener

    async def readiness(self) -> list[Check]:
        started = self._listener is not None
        return [
            Check("configuration", started),
            Check("accepting", started and not self.draining),
            *upstream_checks(await self.upstreams() if started else {}),
            *filter_checks([self.plan.checks()] if started else []),
        ]

    async def families(self) -> list[Any]:
        return self.metrics.families()

    def loaded(self) -> Loaded:
        return self._loaded

    def config(self) -> dict[str, Any]:
        return described(self._loaded, self._loaded_at, None)

    def planned(self) -> dict[str, Any]:
        return planned(self._loaded)

    def source(self, line: int) -> list[dict[str, Any]]:
        return around(self._loaded, line)

    def log_path(self) -> str | None:
        return self._loaded.configuration.log.path

    async def workers(self) -> list[dict[str, Any]]:
        return [{"slot": 0, "worker": 0, "ready": True, "restarts": 0, **self.status()}]

    async def upstreams(self) -> dict[str, Any]:
        return {name: {"0": state} for name, state in self.upstream_states().items()}

    async def revoke_all(self, revocation: Revocation) -> Revoked:
        return Revoked(self.revoke(of_key(revocation, self.plan.hash_key)), tuple(await self.owed()))

    async def recent_lines(self, after: Mapping[int, int]) -> tuple[list[bytes], Mapping[int, int]]:
        lines, next_after = self.recent(after.get(0, 0))
        return lines, {0: next_after}

    async def fullest_buckets(self, selection: Selection, count: int) -> Buckets:
        return together([await self.buckets(selection, count)], count)

    async def empty_buckets(self, selection: Selection) -> Buckets:
        return together([await self.reset_buckets(selection)])

    async def reload(self) -> Reload:
        """Such a gateway has no file that could have changed."""
        return Reload(self.plan.revision, False, "this gateway cannot reload: start it with `weir run`")


def serve(
    loaded: Loaded,
    registry: Registry,
    *,
    on_start: Callable[[Alone], None] = lambda gateway: None,
    on_record: Callable[[Mapping[str, Any]], None] | None = None,
) -> bool:
    """Runs a gateway until SIGTERM or SIGINT, and drains it; a second signal cuts the drain short. SIGUSR1 has the request log
    opened anew.

    True when every exchange ended by itself. Raises StartError or ConfigurationError.
    """

    async def run() -> bool:
        try:
            return await _serve(loaded, registry, on_start, on_record)
        finally:
            ignore_signals((signal.SIGTERM, signal.SIGINT, signal.SIGUSR1))

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(run())


async def _serve(
    loaded: Loaded,
    registry: Registry,
    on_start: Callable[[Alone], None],
    on_record: Callable[[Mapping[str, Any]], None] | None,
) -> bool:
    gateway = Alone(loaded, registry, on_record=on_record)
    loop = asyncio.get_running_loop()
    stopping, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    await gateway.start()
    loop.add_signal_handler(signal.SIGUSR1, gateway.reopen_log)
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
