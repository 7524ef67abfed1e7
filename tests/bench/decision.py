"""What a decision by four limits costs, in a process of its own that does nothing else.

    python -m tests.bench.decision shared --seconds 2
    python -m tests.bench.decision redis --store redis://127.0.0.1:6379 --server 4711

The four are of all kinds, far from full, and their cells are there already. Each decision reads the clock. Where a server
is asked, as many callers decide again and again as would have a request under way, each by cells of its own; `--server`
is the server's process, whose CPU time is told apart.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from inspect import isawaitable
from typing import Final, NamedTuple, TypeAlias

import click
import limits.aio.storage
import limits.aio.strategies
import limits.storage
import limits.strategies
from limits.aio.storage.redis.redispy import RedispyBridge

from filters.rate_limit import RateLimit
from filters.rate_limit.algorithm import FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.remote import Names, RemoteStore
from filters.rate_limit.shared import SharedStore
from filters.rate_limit.store import Charge, MemoryStore, Store
from gateway.api import Instant, Principal, StoreOptions
from gateway.api import Store as Client
from gateway.api.testing import FrozenServices, build, exchange
from gateway.loop import loop_factory
from gateway.shared.memory import SharedMemory
from gateway.shared.table import SharedTable
from gateway.store import RedisStore
from tests.bench.alone import Mark, Told, tell
from tests.bench.weir import four_limits

AT_ONCE: Final = 64
"""Decisions that are under way at once, where one has to wait for a server."""

SHARE: Final = 32
"""How much is drawn ahead at most."""

_MOST: Final = 10**9
_CALLS: Final = 1000  # between two looks at the clock
_TIMEOUT: Final = 10.0  # for a server on a busy machine

Decide: TypeAlias = Callable[[], None]
DecideLater: TypeAlias = Callable[[], Awaitable[None]]
Deciders: TypeAlias = Callable[[str], DecideLater]
"""Makes what decides for a caller."""


def _charges(caller: str) -> list[Charge]:
    kinds = (
        Gcra(_MOST, 60.0, _MOST),
        FixedWindow(_MOST, 60.0),
        SlidingWindow(_MOST, 60.0),
        Gcra(_MOST, 1.0, _MOST),
    )
    return [(number, kind, f"{caller} {number}", 1) for number, kind in enumerate(kinds)]


def _refused() -> RuntimeError:
    return RuntimeError("a limit that nobody reaches has refused")


def _by(store: Store) -> Decide:
    charges = _charges("caller")

    def decide() -> None:
        if store.decide(charges, time.monotonic())[1] >= 0:
            raise _refused()

    return decide


def _memory() -> Decide:
    return _by(MemoryStore())


def _shared() -> Decide:
    return _by(SharedStore(SharedTable(SharedMemory.create().claim("limits", "limits"))))


def _items(caller: str) -> list[tuple[limits.RateLimitItem, str]]:
    """As the charges, as far as the library's fixed windows are like them."""
    units = (limits.RateLimitItemPerMinute,) * 3 + (limits.RateLimitItemPerSecond,)
    return [(unit(_MOST), f"{caller} {number}") for number, unit in enumerate(units)]


def _library() -> Decide:
    limiter = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())
    items = _items("caller")

    def decide() -> None:
        for item, key in items:
            if not limiter.hit(item, key):
                raise _refused()

    return decide


@asynccontextmanager
async def _redis(url: str) -> AsyncIterator[Deciders]:
    client = RedisStore(StoreOptions(url=url, timeout=_TIMEOUT), None)
    store = RemoteStore(client, Names("bench", "redis"))

    def decider(caller: str) -> DecideLater:
        charges = _charges(caller)

        async def decide() -> None:
            if (await store.decide(charges)).decision[1] >= 0:
                raise _refused()

        return decide

    yield decider
    client.close()


class _Services(FrozenServices):
    """With a clock that goes, and the client of a store that is there."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def now(self) -> Instant:
        return Instant(time.time(), time.monotonic())

    def store(self, name: str, options: StoreOptions) -> Client:
        return self._client


@asynccontextmanager
async def _lease(url: str) -> AsyncIterator[Deciders]:
    """The whole filter, which alone knows when to draw. What it does beyond deciding is not subtracted."""
    client = RedisStore(StoreOptions(url=url, timeout=_TIMEOUT), None)
    services = _Services(client)
    store = {"url": url, "prefix": "lease", "lease": {"share": SHARE}}
    options = {"limits": four_limits("project_id"), "store": store, "on_store_error": "deny"}
    limit = build(RateLimit, options, services)

    def decider(caller: str) -> DecideLater:
        made = exchange(principal=Principal(user_id=caller, project_id=caller))

        async def decide() -> None:
            made.clock, made.trail = services.now(), []
            verdict = limit.on_request(made)
            if isawaitable(verdict):
                verdict = await verdict
            else:
                await asyncio.sleep(0)  # as between two requests: what is drawn ahead has its turn
            if verdict is not None:
                raise _refused()

        return decide

    yield decider
    await limit.close()
    client.close()


@asynccontextmanager
async def _library_redis(url: str) -> AsyncIterator[Deciders]:
    storage = limits.aio.storage.RedisStorage(f"async+{url}", implementation="redispy")
    limiter = limits.aio.strategies.FixedWindowRateLimiter(storage)

    def decider(caller: str) -> DecideLater:
        items = _items(caller)

        async def decide() -> None:
            for item, key in items:
                if not await limiter.hit(item, key):
                    raise _refused()

        return decide

    yield decider
    assert isinstance(storage.bridge, RedispyBridge)
    await storage.bridge.storage.aclose()


class Row(NamedTuple):
    """Who decides, `own` where it is Weir: at once, or by asking a server."""

    title: str
    own: bool
    decides: Callable[[], Decide] | None = None
    asks: Callable[[str], AbstractAsyncContextManager[Deciders]] | None = None


ROWS: Final = {
    "memory": Row("one process, in its own memory", True, _memory),
    "shared": Row("all workers of a machine, in memory that they share", True, _shared),
    "redis": Row("several machines, by one call of Redis for all four", True, asks=_redis),
    "lease": Row(
        f"the same, with up to {SHARE} drawn ahead; the whole filter `rate_limit`", True, asks=_lease
    ),
    "limits": Row("the library `limits`, in its memory, one limit after the other", False, _library),
    "limits+redis": Row(
        "the library `limits` with redis-py, one limit after the other", False, asks=_library_redis
    ),
}


def measured(name: str, seconds: float, *, store: str = "", server: int | None = None) -> Told:
    """Decides for that time. `store` is the URL of the server, for a row that asks one, and `server` its process."""
    row = ROWS[name]
    if row.decides is not None:
        return _measured(row.decides(), seconds)
    assert row.asks is not None
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_measured_at_once(row.asks(store), seconds, server))


def _measured(decide: Decide, seconds: float) -> Told:
    decide()
    began, calls = Mark.now(), 0
    end = began.wall + seconds
    while time.monotonic() < end:
        for _ in range(_CALLS):
            decide()
        calls += _CALLS
    return began.told(calls)


async def _measured_at_once(
    made: AbstractAsyncContextManager[Deciders], seconds: float, server: int | None
) -> Told:
    async with made as deciders:
        deciding = [deciders(f"caller {number}") for number in range(AT_ONCE)]
        await asyncio.gather(*(decide() for decide in deciding))  # connections are there, and cells
        began, calls = Mark.now(server), 0
        end = began.wall + seconds

        async def again(decide: DecideLater) -> None:
            nonlocal calls
            while time.monotonic() < end:
                await decide()
                calls += 1

        async with asyncio.TaskGroup() as tasks:
            for decide in deciding:
                tasks.create_task(again(decide))
        return began.told(calls)


@click.command()
@click.argument("name", type=click.Choice(list(ROWS)))
@click.option("--seconds", default=2.0, show_default=True)
@click.option("--store", default="redis://127.0.0.1:6379", show_default=True, help="Where the server is.")
@click.option("--server", type=int, help="Its process, whose CPU time is to be told.")
def main(name: str, seconds: float, store: str, server: int | None) -> None:
    """Prints how often was decided, and the seconds and CPU seconds that it took."""
    measured(name, 0.2, store=store)
    tell(measured(name, seconds, store=store, server=server))


if __name__ == "__main__":
    main()
