"""The product as it is shipped: config/gateway.yaml in force, and behind it the bundled metadata API.

Nothing of the file is changed but the four addresses that a test must have for itself, line for line, so that
a position in a record is a position in the shipped file. A variant says which text of the file it replaces.
"""

import importlib.metadata
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest import mock
from urllib.parse import unquote

from gateway.demo.metadata_api import serve
from gateway.demo.sample import MEMBER_TOKEN, SAMPLE_IMAGE, SAMPLE_PROJECT
from gateway.registry import GROUP, Registry
from tests.contract.description import Told, both
from tests.support.client import Client
from tests.support.gateway import Running, running
from tests.support.message import Answer

SHIPPED = Path(__file__).parents[2] / "config" / "gateway.yaml"

IMAGE = f"/v2/{SAMPLE_PROJECT}/images/{SAMPLE_IMAGE}"
METADATA = f"{IMAGE}/metadata"
LABEL = f"{METADATA}/label"

NOW = 1_700_000_000.0
NOW_DATE = "Tue, 14 Nov 2023 22:13:20 GMT"

SHORTEST_SECRET = 8
"""A shorter value is no credential, and could stand anywhere by chance."""

_SECRET_LINE = re.compile(r"(?i)[^:]*(?:token|authorization|cookie)[^:]*:(.*)")


class Clock:
    """The time of the gateway, which moves when it is told to."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def advance(self, seconds: float) -> None:
        self._elapsed += seconds

    def wall(self) -> float:
        return NOW + self._elapsed

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed


def registry() -> Registry:
    """The built-in filters, and one that raises."""
    broken = importlib.metadata.EntryPoint("contract.broken", "tests.contract.broken:Broken", GROUP)
    return Registry(entry_points=lambda: [broken])


def configured(upstream: str, log: Path, edits: Mapping[str, str]) -> str:
    """The shipped file with other addresses, and with each key of `edits` replaced by its value."""
    text = SHIPPED.read_text()
    own = {
        "\nlisten: ${WEIR_LISTEN:-127.0.0.1:8080} ": "\nlisten: 127.0.0.1:0 ",
        "\nadmin: ${WEIR_ADMIN:-127.0.0.1:9901}\n": "\nadmin: 127.0.0.1:0\n",
        'endpoints: ["http://127.0.0.1:8774"]': f'endpoints: ["{upstream}"]',
        '  path: "-" ': f"  path: {json.dumps(str(log))} ",
    }
    for old, new in {**own, **edits}.items():
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {SHIPPED.name}"
        text = text.replace(old, new)
    return text


class Deployment:
    """A gateway, its upstream, and everything that was asked of it."""

    def __init__(self, gateway: Running, text: str, log: Path, clock: Clock) -> None:
        self.gateway = gateway
        self.clock = clock
        self.log = log
        self._lines = text.split("\n")
        self._asked = 0
        self._sent: list[bytes] = []
        self.secrets: set[str] = set()
        """Every credential that a request of the test has carried."""

    async def connect(self) -> Client:
        """A connection for a test that talks by itself; it counts what it asked by `counted`."""
        return await self.gateway.connect()

    def counted(self, data: bytes) -> None:
        """One more record is to come, and what is secret in `data` may not be in it."""
        self._asked += 1
        self._sent.append(data)
        head, _, _ = data.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n")[1:]:
            for text in (line.decode("latin-1"), line.decode("utf-8", "replace")):
                found = _SECRET_LINE.fullmatch(text)
                if found is not None:
                    values = {found[1].strip(), *re.split(r"[\s;=]+", found[1].strip())}
                    self.secrets.update(value for value in values if len(value) >= SHORTEST_SECRET)

    def compared(self) -> list[tuple[Told, Told]]:
        """The verdicts of the two descriptions of the API on each request, which are the same."""
        found = [verdicts for data in self._sent if (verdicts := both(data)) is not None]
        for by_openapi, by_wadl in found:
            assert by_openapi == by_wadl
        return found

    async def send(self, data: bytes) -> Answer:
        """Sends one whole request on a connection of its own, and reads its answer."""
        self.counted(data)
        async with await Client.connect(self.gateway.address) as client:
            answer = await client.ask(data)
        assert answer.whole
        return answer

    async def ask(
        self,
        method: str,
        target: str = METADATA,
        body: bytes | None = None,
        *lines: str,
        token: str | None = MEMBER_TOKEN,
        content_type: str | None = "application/json",
    ) -> Answer:
        return await self.send(request(method, target, body, *lines, token=token, content_type=content_type))

    async def write(
        self, body: object, method: str = "POST", target: str = METADATA, **options: Any
    ) -> Answer:
        """Sends `body` as JSON."""
        return await self.ask(method, target, json.dumps(body).encode(), **options)

    async def record(self, answer: Answer) -> Mapping[str, Any]:
        """The one record of an answer, found by the id that the client got; one record stands for each request."""
        shown = answer.get("x-compute-request-id")
        assert shown is not None
        (found,) = [record for record in await self.gateway.records(self._asked) if shown in ids(record)]
        return found

    async def decided(
        self, answer: Answer, reason: str, filter: str | None = None, source: str | None = None
    ) -> Mapping[str, Any]:
        """The record of an answer that says who decided: `source` is the text at the position that it names."""
        record = await self.record(answer)
        assert record["gateway.reason"] == reason
        assert record["http.response.status_code"] == answer.status
        assert record.get("gateway.filter") == filter
        if source is None:
            assert "gateway.source" not in record
        else:
            file, line, column = record["gateway.source"].split(":")
            assert file == SHIPPED.name
            assert self._lines[int(line) - 1][int(column) - 1 :].startswith(source), record["gateway.source"]
        return record


def ids(record: Mapping[str, Any]) -> tuple[Any, Any]:
    return record["gateway.request_id"], record.get("gateway.upstream.request_id")


def request(
    method: str,
    target: str = METADATA,
    body: bytes | None = None,
    *lines: str,
    token: str | None = MEMBER_TOKEN,
    content_type: str | None = "application/json",
) -> bytes:
    """The bytes of a request; without a body it has neither Content-Type nor Content-Length."""
    fields = ["Host: api.test", *lines]
    if token is not None:
        fields.append(f"X-Auth-Token: {token}")
    if body is not None:
        if content_type is not None:
            fields.append(f"Content-Type: {content_type}")
        fields.append(f"Content-Length: {len(body)}")
    head = "".join(f"{line}\r\n" for line in (f"{method} {target} HTTP/1.1", *fields))
    return head.encode("latin-1") + b"\r\n" + (body or b"")


class Deploy(Protocol):
    """Makes a deployment.

    edits     text of the shipped file and what stands there instead
    upstream  the URL of an upstream in place of the metadata API
    quota     items that an image of the metadata API may have
    """

    def __call__(
        self, edits: Mapping[str, str] = ..., *, upstream: str | None = None, quota: int = 128
    ) -> AbstractAsyncContextManager[Deployment]: ...


def deploying(directory: Path, database: bytes) -> Deploy:
    """Makes deployments whose files are in `directory`; each has its own copy of `database`."""
    number = 0

    @asynccontextmanager
    async def deploy(
        edits: Mapping[str, str] | None = None, *, upstream: str | None = None, quota: int = 128
    ) -> AsyncIterator[Deployment]:
        nonlocal number
        number += 1
        clock, log = Clock(), directory / f"requests-{number}.log"
        async with AsyncExitStack() as stack:
            if upstream is None:
                images = directory / f"images-{number}.sqlite"
                images.write_bytes(database)
                service = await serve(images, quota=quota)
                stack.push_async_callback(service.close)
                upstream = service.url
            for name, now in (
                ("gateway.listener.connection.time", clock.wall),
                ("gateway.listener.connection.monotonic", clock.monotonic),
                ("gateway.listener.handler.time", clock.wall),
            ):
                stack.enter_context(mock.patch(name, now))
            text = configured(upstream, log, edits or {})
            async with running(
                text, registry=registry(), directory=SHIPPED.parent, environment={}
            ) as gateway:
                made = Deployment(gateway, text, log, clock)
                yield made
                records = await gateway.records(made._asked)
        # The gateway has stopped: the log is whole.
        told = log.read_text()
        assert told.count('"kind":"request"') == made._asked
        assert leaked(made.secrets, told) == []
        assert leaked(made.secrets, "\n".join(map(json.dumps, records))) == []
        made.compared()

    return deploy


def leaked(secrets: set[str], text: str) -> list[str]:
    """The secrets that stand in the lines of a log: as they are, escaped as JSON, or percent-encoded."""
    words = [word for line in text.splitlines() if line.startswith("{") for word in _texts(json.loads(line))]
    plain = "\0".join(words)
    forms = (text, plain, unquote(plain))
    return sorted(secret for secret in secrets if any(secret in form for form in forms))


def _texts(value: Any) -> Iterator[str]:
    """All text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
