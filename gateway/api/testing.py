"""Builders for the tests of a filter: an exchange from a few words, services with clocks that stand still.

filter = build(Methods, {"allow": ["GET"]})
assert judge(filter, exchange("DELETE", "/v2/images")).status == 405
"""

import asyncio
import hashlib
import hmac
import inspect
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from gateway.api.body import Body, too_large
from gateway.api.certificate import Certificate
from gateway.api.exchange import Exchange, Instant, Request, Route
from gateway.api.fact import (
    BODY,
    CERTIFICATE,
    CLIENT,
    CLOCK,
    HOST,
    LENGTH,
    METHOD,
    PARAMS,
    PEER,
    PRINCIPAL,
    ROUTE,
    SCHEME,
    TARGET,
    Fact,
    header,
)
from gateway.api.file import hold_beside, read_regular
from gateway.api.filter import Filter, facts_read
from gateway.api.network import HttpAnswer, HttpClient, HttpError, HttpOptions
from gateway.api.permit import Demand, Permits
from gateway.api.principal import Principal
from gateway.api.revocation import Revocable, Revocation
from gateway.api.shelf import TAGS, Shelf, Shelved
from gateway.api.store import Store, StoreError, StoreOptions
from gateway.api.table import Cell, Change, Place, Table, TableBusy
from gateway.api.verdict import Response, Verdict
from gateway.http.fields import Fields

T = TypeVar("T")
F = TypeVar("F", bound=Filter[Any])
Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class HttpRequest(NamedTuple):
    """What a filter has asked a service for. `url` is whole; names of `headers` are lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


Answering: TypeAlias = Callable[[HttpRequest], HttpAnswer | HttpError | Awaitable[HttpAnswer]]
"""A service in a test: what it answers to a request, or how it fails; an awaitable where it takes its time."""


class FakeClient:
    """A client without a network: `answer` plays the service, `requests` are kept by who made it."""

    def __init__(self, options: HttpOptions, answer: Answering, requests: list[HttpRequest]) -> None:
        self.options = options
        self._answer = answer
        self._requests = requests

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        timeout: float | None = None,
    ) -> HttpAnswer:
        fields = {name.lower(): value for name, value in headers}
        asked = HttpRequest(method, self.options.url.rstrip("/") + path, fields, body)
        self._requests.append(asked)
        answer = self._answer(asked)
        if isinstance(answer, HttpError):
            raise answer
        return answer if isinstance(answer, HttpAnswer) else await answer


def _nobody(request: HttpRequest) -> HttpError:
    return HttpError("connect", "nobody plays the service in this test")


class FrozenServices:
    """Services whose clock moves only by `advance`, whose entropy is seeded, whose warnings are kept.

    answer  plays every service that a filter asks; `requests` are what it was asked
    """

    def __init__(
        self,
        *,
        wall: float = 1_700_000_000.0,
        directory: Path | None = None,
        answer: Answering = _nobody,
    ) -> None:
        self.answer = answer
        self.requests: list[HttpRequest] = []
        self.stored: dict[bytes, tuple[bytes, float]] = {}
        """What is in every store, and until when."""
        self.table_busy = False
        """Whether every table raises TableBusy."""
        self.shelves: dict[str, FakeShelf] = {}
        """By name; a test of several processes gives them the same ones."""
        self.store_down: StoreError | None = None
        self.voided = 0
        self._now = Instant(wall, 1000.0)
        self._random = random.Random(0)  # noqa: S311 - a test's entropy is to be the same each time
        self._state: dict[str, Any] = {}
        self._directory = directory or Path()
        self.warnings: list[tuple[str, dict[str, Any]]] = []

    @property
    def identity(self) -> str:
        return "test/enforce"

    def now(self) -> Instant:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now = Instant(self._now.wall + seconds, self._now.monotonic + seconds)

    def entropy(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def keyed_hash(self, data: bytes) -> str:
        return hmac.new(b"test", data, hashlib.sha256).hexdigest()[:32]

    def state(self, name: str, factory: Callable[[], T]) -> T:
        whose = name.partition(" of ")[0]
        if whose not in self._state:
            self._state[whose] = factory()
        return cast(T, self._state[whose])

    def revoke(self, revocation: Revocation) -> int:
        """What the gateway does with all state when somebody is revoked."""
        return sum(held.revoke(revocation) for held in self._state.values() if isinstance(held, Revocable))

    def read_file(self, path: str, *, beside: str | None = None) -> bytes:
        file = self._directory / path
        if beside is not None:
            hold_beside(file, self._directory / beside)
        return read_regular(file)

    def http(self, name: str, options: HttpOptions) -> HttpClient:
        return self.state(f"http {name}", lambda: FakeClient(options, self._play, self.requests))

    def store(self, name: str, options: StoreOptions) -> Store:
        return self.state(f"store {name}", lambda: FakeStore(self))

    def table(self, name: str) -> Table:
        return self.state(f"table {name}", lambda: FakeTable(self))

    def permits(self, name: str) -> Permits:
        return self.state(f"permits {name}", FakePermits)

    def shelf(self, name: str, *, of_any: bool = False) -> Shelf:
        return self.shelves.setdefault(name, FakeShelf())

    def void_unattended(self) -> None:
        self.voided += 1

    def _play(self, request: HttpRequest) -> HttpAnswer | HttpError | Awaitable[HttpAnswer]:
        return self.answer(request)  # as it is now: a test may change it

    def warn(self, event: str, **facts: Any) -> None:
        self.warnings.append((event, facts))


class FakeStore:
    """A client of the services' `stored`, which knows GET, MGET, SET with PX, and DEL; `store_down` is what it raises."""

    def __init__(self, services: FrozenServices) -> None:
        self._services = services

    async def command(self, *parts: bytes | str | int) -> Any:
        return self._done(*parts)

    def available(self) -> bool:
        return self._services.store_down is None

    def tell(self, *parts: bytes | str | int) -> None:
        with suppress(StoreError):
            self._done(*parts)

    def _done(self, *parts: bytes | str | int) -> Any:
        services = self._services
        if services.store_down is not None:
            raise services.store_down
        now = services.now().wall
        name, *rest = parts
        keys = [part if isinstance(part, bytes) else str(part).encode() for part in rest]
        if name == "SET":
            key, value, px, milliseconds = keys
            assert px == b"PX", "what is shared has an end"
            services.stored[key] = (value, now + int(milliseconds) / 1000)
            return b"OK"
        if name == "DEL":
            return sum(services.stored.pop(key, None) is not None for key in keys)
        found = [services.stored.get(key) for key in keys]
        values = [entry[0] if entry is not None and now < entry[1] else None for entry in found]
        assert name in ("GET", "MGET")
        return values if name == "MGET" else values[0]


class FakeTable:
    """A table that is never full: `cells` by key. Of another process there is what stands in `others`, its notes by key; `left`
    are those of this one."""

    def __init__(self, services: FrozenServices) -> None:
        self.cells: dict[bytes, Cell] = {}
        self.left: dict[bytes, bytes] = {}
        self.others: dict[bytes, list[bytes]] = {}
        self._services = services

    def place(self, key: bytes) -> Place:
        return 0, key

    def update(
        self,
        places: Sequence[Place],
        now: float,
        change: Change,
    ) -> None:
        if self._services.table_busy:
            raise TableBusy
        cells = [self.cells.get(key) for _, key in places]
        after = change([cell if cell is not None and cell[0] > now else None for cell in cells])
        if after is not None:
            for (_, key), cell in zip(places, after, strict=True):
                if cell is not None:
                    self.cells[key] = cell

    def leave(self, notes: Sequence[tuple[Place, bytes]], now: float) -> None:
        if self._services.table_busy:
            raise TableBusy
        self.left.update((key, text) for (_, key), text in notes)

    def every_note(self) -> list[bytes]:
        return [*self.left.values(), *(text for texts in self.others.values() for text in texts)]

    def notes(self, place: Place) -> list[bytes]:
        return self.others.get(place[1], [])

    def own_note(self, place: Place) -> bytes | None:
        return self.left.get(place[1])

    def in_use(self, now: float) -> int:
        return sum(expires > now for expires, _, _ in self.cells.values())


class FakeShelf:
    """A shelf that is never full: `values` by key, each with its end and its tags; `busy` is when nothing is to be had."""

    def __init__(self) -> None:
        self.values: dict[bytes, tuple[Shelved, float, frozenset[bytes]]] = {}
        self.withdrawn: dict[bytes | None, float] = {}
        self.busy = False

    def get(self, key: bytes, now: float, since: float = -inf) -> Shelved | None:
        found, until, tags = self.values.get(key, (Shelved(-inf, b""), -inf, frozenset()))
        if self.busy or not now < until or found.made <= since:
            return None
        void = max(self.withdrawn.get(tag, -inf) for tag in (None, *tags))
        return found if found.made > void else None

    def put(
        self, key: bytes, value: bytes, *, tags: Sequence[bytes], made: float, until: float, now: float
    ) -> None:
        before = self.values.get(key)
        if self.busy or len(tags) > TAGS or until <= now or (before is not None and before[0].made >= made):
            return
        self.values[key] = Shelved(made, value), until, frozenset(tags)

    def withdraw(self, tag: bytes | None, now: float, until: float) -> None:
        self.withdrawn[tag] = now


class FakePermits:
    """Permits that nobody else has: `taken` by key."""

    def __init__(self) -> None:
        self.taken: Counter[bytes] = Counter()
        self.waiting: list[FakeClaim] = []

    def place(self, key: bytes) -> Place:
        return 0, key

    def claim(self, demands: Sequence[Demand]) -> "FakeClaim":
        claim = FakeClaim(self, demands)
        claim.take()
        return claim

    def look(self) -> None:
        """Whether it is anybody's turn."""
        for claim in list(self.waiting):
            claim.take()
            if claim.full < 0:
                self.waiting.remove(claim)


class FakeClaim:
    """One of them, or its place in their queue."""

    def __init__(self, permits: FakePermits, demands: Sequence[Demand]) -> None:
        self._permits = permits
        self._demands = demands
        self._has = False
        self._passed = asyncio.Event()
        self.shed = False
        self.full = -1
        self.used = 0

    def take(self) -> None:
        taken = self._permits.taken
        full = [number for number, ((_, key), most) in enumerate(self._demands) if taken[key] >= most]
        self.full = full[0] if full else -1
        if not full:
            taken.update(key for (_, key), _ in self._demands)
            self._has = True
            self._passed.set()
        self.used = taken[self._demands[max(0, self.full)][0][1]]

    def queue(self, *most: int) -> bool:
        if len(self._permits.waiting) >= (most[self.full] if len(most) > 1 else most[0]):
            return False
        self._permits.waiting.append(self)
        return True

    async def turn(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await self._passed.wait()
        except TimeoutError:
            self.release()
            return False
        return True

    def amend(self, *most: int) -> None:
        self._demands = [(place, each) for (place, _), each in zip(self._demands, most, strict=True)]
        self._permits.look()

    def release(self) -> None:
        permits = self._permits
        if self in permits.waiting:
            permits.waiting.remove(self)
        if self._has:
            self._has = False
            permits.taken.subtract(key for (_, key), _ in self._demands)
            permits.look()


class StreamBody(Body):
    """A body that still arrives: `chunks` come when it is collected or pumped."""

    __slots__ = ("chunks",)

    def __init__(self, chunks: Iterable[bytes], length: int | None = None) -> None:
        super().__init__(None, length)
        self.chunks = list(chunks)

    async def _collected(self, limit: int) -> bytes:
        if self.complete is None:
            whole = b"".join(self.chunks)
            if len(whole) > limit:
                raise too_large(limit)
            self.complete = whole
        return self.complete

    def pump(self) -> bytes:
        """All chunks through the wrappers, then the end; what a receiver would see. May raise Refused."""
        return b"".join([*(self.through(chunk) for chunk in self.chunks), self.through(b"")])


def build(filter_class: type[F], options: Mapping[str, Any] | None = None, services: Any = None) -> F:
    """A filter with these options, validated as the configuration would be."""
    config = filter_class.Config.model_validate(dict(options or {}))
    return filter_class(config, services or FrozenServices())


def exchange(
    method: str = "GET",
    target: str = "/",
    *,
    headers: Headers = (),
    body: bytes | Body = b"",
    params: Mapping[str, str] | None = None,
    principal: Principal | None = None,
    certificate: Certificate | None = None,
    route: Route | None = Route("test", "/{path}", "upstream"),
    scheme: str = "http",
    host: str = "api.test",
    peer: str = "192.0.2.1",
    client: str | None = None,
    clock: Instant = Instant(1_700_000_000.0, 1000.0),
    response: Response | None = None,
) -> Exchange:
    """An exchange from a few words; everything else is plain."""
    path, mark, query = target.partition("?")
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    made = Exchange(
        method=method,
        target=target.encode("latin-1"),
        path=path,
        query=query if mark else None,
        scheme=scheme,
        host=host,
        peer=peer,
        client=client or peer,
        http_version="1.1",
        request_id="req-00000000-0000-4000-8000-000000000000",
        clock=clock,
        request=Request(
            Fields((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs),
            body if isinstance(body, Body) else Body(body),
        ),
        route=route,
        params=params,
    )
    made.principal = principal
    made.certificate = certificate
    made.response = response
    return made


def judge(filter: Filter[Any], exchange: Exchange) -> Verdict:
    """The verdict of `on_request`, awaited where it must be; reading an undeclared fact raises."""
    return _settled(lambda: filter.on_request(guarded(exchange, facts_read(filter))))


def judge_response(filter: Filter[Any], exchange: Exchange) -> Verdict:
    """The verdict of `on_response`."""
    return _settled(lambda: filter.on_response(exchange))


def _settled(hook: Callable[[], Verdict | Awaitable[Verdict]]) -> Verdict:
    """Runs a hook where it runs in a gateway: in an event loop, which it may need before it awaits anything."""

    async def run() -> Verdict:
        verdict = hook()
        return await verdict if inspect.isawaitable(verdict) else verdict

    return asyncio.run(run())


class UndeclaredFact(AssertionError):  # noqa: N818 - it names what is wrong
    """A hook read a fact that its filter does not declare."""


_ATTRIBUTES: dict[str, Fact] = {
    "method": METHOD,
    "target": TARGET,
    "outgoing": TARGET,
    "path": TARGET,
    "query": TARGET,
    "params": PARAMS,
    "scheme": SCHEME,
    "host": HOST,
    "peer": PEER,
    "client": CLIENT,
    "clock": CLOCK,
    "route": ROUTE,
    "principal": PRINCIPAL,
    "certificate": CERTIFICATE,
}


class _GuardedFields(Fields):
    __slots__ = ("_facts", "_inner")

    def __init__(self, inner: Fields, facts: frozenset[Fact]) -> None:
        super().__init__(())
        self._inner = inner
        self._facts = facts

    def _check(self, name: str | bytes) -> None:
        text = name if isinstance(name, str) else name.decode("latin-1")
        if header(text) not in self._facts and header("*") not in self._facts:
            raise UndeclaredFact(f"header {text!r} is read but not declared")

    def get(self, name: str | bytes, default: str | None = None) -> str | None:
        self._check(name)
        return self._inner.get(name, default)

    def all(self, name: str | bytes) -> list[str]:
        self._check(name)
        return self._inner.all(name)

    def has(self, name: str | bytes) -> bool:
        self._check(name)
        return self._inner.has(name)

    def index(self) -> dict[bytes, bytes | list[bytes]]:
        return self._inner.index()

    def set(self, name: str | bytes, value: str | bytes) -> None:
        self._inner.set(name, value)

    def add(self, name: str | bytes, value: str | bytes) -> None:
        self._inner.add(name, value)

    def remove(self, name: str | bytes) -> None:
        self._inner.remove(name)

    def replace(self, lines: Iterable[tuple[bytes, bytes]]) -> None:
        self._inner.replace(lines)

    @property
    def raw(self) -> "list[tuple[bytes, bytes]] | tuple[tuple[bytes, bytes], ...]":
        return self._inner.raw

    def __iter__(self) -> Any:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)


class _GuardedRequest(Request):
    __slots__ = ("_facts", "_inner")

    def __init__(self, inner: Request, facts: frozenset[Fact]) -> None:
        self._inner = inner
        self._facts = facts
        self.headers = _GuardedFields(inner.headers, facts)

    @property
    def body(self) -> Body:  # type: ignore[override] # checked at every read
        if BODY not in self._facts and LENGTH not in self._facts:
            raise UndeclaredFact("the body is read but not declared")
        return self._inner.body


class _Guarded:
    """An exchange that raises when an undeclared fact is read; edits go through."""

    def __init__(self, inner: Exchange, facts: frozenset[Fact]) -> None:
        object.__setattr__(self, "_inner", inner)
        object.__setattr__(self, "_facts", facts)
        object.__setattr__(self, "request", _GuardedRequest(inner.request, facts))

    def __getattr__(self, name: str) -> Any:
        fact = _ATTRIBUTES.get(name)
        if fact is not None and fact not in self._facts:
            raise UndeclaredFact(f"exchange.{name} is read but not declared")
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._inner, name, value)


def guarded(exchange: Exchange, facts: frozenset[Fact]) -> Exchange:
    """`exchange`, raising UndeclaredFact where a fact beyond `facts` is read."""
    return cast(Exchange, _Guarded(exchange, facts))
