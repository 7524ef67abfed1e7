"""A whole gateway in the process of the test, on a port of its own, whose records the test reads."""

import asyncio
import copy
import importlib.metadata
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from gateway import request_log as request_log_module
from gateway.alone import Alone
from gateway.api.exchange import Exchange
from gateway.config.load import Loaded, loads
from gateway.config.model import Address
from gateway.listener.listener import Listener
from gateway.registry import GROUP, Registry
from gateway.upstream.pool import Pool
from tests.support.client import Client
from tests.support.deadline import DEADLINE, until
from tests.support.upstream import Upstream

PSEUDONYM = "weir-test"

_BASE: dict[str, Any] = {
    "listen": "127.0.0.1:0",
    "admin": None,
    "routes": [{"name": "any", "path": "/{rest*}", "upstream": "main"}],
    "log": {"path": None},
    "via": {"pseudonym": PSEUDONYM, "comment": False},
    "drain_timeout": "5s",
    "workers": 1,
}
"""What a test does not care about. Timeouts keep their defaults: a test that waits for one sets it.

A process has one worker, whatever the machine has: each takes a second of a processor to start.
"""


class _Gateway(Alone):
    """Tells the test of bugs; leaves the collector alone, since a test process goes on after the gateway."""

    def __init__(self, loaded: Loaded, registry: Registry) -> None:
        self._records: list[Mapping[str, Any]] = []
        self._lock = threading.Lock()
        super().__init__(loaded, registry, on_record=self._heard)
        self.bugs: list[tuple[str, BaseException]] = []

    def _heard(self, fields: Mapping[str, Any]) -> None:
        with self._lock:
            self._records.append(fields)

    @property
    def records(self) -> list[Mapping[str, Any]]:
        with self._lock:
            return list(self._records)

    def _report_bug(self, where: str, exchange: Exchange, error: BaseException) -> None:
        self.bugs.append((where, error))

    def _settle_memory(self) -> None:
        pass


class Running:
    """A running gateway and what is known of it."""

    def __init__(self, gateway: _Gateway) -> None:
        self.gateway = gateway
        self._clients: list[Client] = []

    @property
    def address(self) -> Address:
        """The first address of the network that it listens at."""
        return next(place for place in self.gateway.addresses if isinstance(place, Address))

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def listener(self) -> Listener:
        return self.gateway.listener

    @property
    def pools(self) -> Mapping[str, Pool]:
        return self.listener.generation.pools

    @property
    def bugs(self) -> list[str]:
        """Where bugs were found, each as `entry.hook`; taken, so that the end of the test does not complain."""
        bugs, self.gateway.bugs = self.gateway.bugs, []
        return [where for where, _ in bugs]

    async def connect(self, *, receive_buffer: int | None = None) -> Client:
        """A client connection, closed at the end of the test."""
        client = await Client.connect(self.address, receive_buffer=receive_buffer)
        self._clients.append(client)
        return client

    async def records(self, count: int) -> list[Mapping[str, Any]]:
        """The records of all exchanges so far, which are `count`; fails when there are more or fewer."""
        await until(lambda: len(self.gateway.records) >= count, f"{count} records are written")
        records = self.gateway.records
        assert len(records) == count, [_short(record) for record in records]
        return records

    async def record(self) -> Mapping[str, Any]:
        """The record of the only exchange so far."""
        (record,) = await self.records(1)
        return record

    async def drop_clients(self) -> None:
        for client in self._clients:
            client.close()


def _short(record: Mapping[str, Any]) -> str:
    return f"{record.get('url.path')} {record.get('http.response.status_code')} {record['gateway.reason']}"


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, mappings joined key by key."""
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return result


def configuration(*endpoints: str, upstream: Mapping[str, Any] | None = None, **options: Any) -> str:
    """The YAML text of a gateway in front of one upstream, `main`, with `options` over what is usual."""
    made = merged(_BASE, {"upstreams": {"main": {"endpoints": list(endpoints), **(upstream or {})}}})
    return yaml.safe_dump(merged(made, options), sort_keys=False)


def test_filters(*names: str) -> Registry:
    """The built-in filters, and those of tests/support/filters.py as plugins named `test.NAME`."""
    points = [
        importlib.metadata.EntryPoint(
            name=f"test.{name}", value=f"tests.support.filters:{name.title().replace('_', '')}", group=GROUP
        )
        for name in names
    ]
    return Registry(entry_points=lambda: points)


test_filters.__test__ = False  # type: ignore[attr-defined] # pytest would collect it where it is imported


@asynccontextmanager
async def running(
    text: str,
    *,
    registry: Registry | None = None,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Running]:
    """A gateway with the configuration `text`. At the end nothing may have gone wrong unseen.

    A bug that was reported, an exception that only the event loop heard of, an exchange that left no trace:
    each fails the test.
    """
    loop = asyncio.get_running_loop()
    unseen: list[str] = []
    previous = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: unseen.append(_told(context)))
    registry = registry or Registry()
    loaded = loads(text, "gateway.yaml", registry=registry, directory=directory, environment=environment)
    gateway = _Gateway(loaded, registry)
    made = Running(gateway)
    try:
        # Records wait for a batch to fill; a test has no others to wait for.
        with mock.patch.object(request_log_module, "_INTERVAL", 0.005):
            await gateway.start()
            try:
                yield made
            finally:
                await made.drop_clients()
                await gateway.stop(0.0)
                listener = made.listener
                await until(
                    lambda: listener.connection_count == 0, "every client connection is closed", DEADLINE
                )
    finally:
        loop.set_exception_handler(previous)
    assert not unseen, "\n".join(unseen)
    assert not made.bugs, "bugs that the test did not expect"


def _told(context: Mapping[str, Any]) -> str:
    import traceback

    error = context.get("exception")
    trace = "".join(traceback.format_exception(error)) if error is not None else ""
    return f"{context.get('message')}\n{trace}"


@asynccontextmanager
async def proxy(
    upstream: Upstream | Sequence[str],
    *,
    upstream_options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    """A gateway in front of `upstream`, with `options` of the configuration over what is usual."""
    endpoints = [upstream.url] if isinstance(upstream, Upstream) else upstream
    text = configuration(*endpoints, upstream=upstream_options, **options)
    async with running(text, registry=registry) as made:
        yield made
