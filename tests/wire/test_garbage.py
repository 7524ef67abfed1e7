"""An exchange that is over leaves nothing behind that only a collection of garbage would find."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.api import Exchange
from gateway.chain import Run
from gateway.listener.connection import Connection
from gateway.upstream.connection import UpstreamConnection
from tests.support.certificates import authority, server_context
from tests.support.client import chunked, get, post
from tests.support.deadline import until
from tests.support.gateway import proxy
from tests.support.upstream import OK, Conversation, Upstream, closed_port, echo

STREAMED = post(chunked(b'{"a": 1}'), "Content-Type: application/json").replace(
    b"Content-Length: 18", b"Transfer-Encoding: chunked"
)
ID = "70a599e0-31e7-49b7-b260-868f441e862b"

FILTERS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "passed": [
        {"methods": {"allow": ["GET", "POST"]}},
        {"body_size": {"max": 1000}},
        {"headers": {"response": {"remove": ["Server"]}}},
    ],
    "refused": [{"methods": {"allow": ["PUT"]}}],
    "shadow": [{"methods": {"mode": "shadow", "allow": ["PUT"]}}],
    "shadow of bodies": [{"body_size": {"mode": "shadow", "max": 3}}, {"json_body": {"mode": "shadow"}}],
    "shadow of answers": [{"headers": {"mode": "shadow", "response": {"remove": ["Server"]}}}],
    "changed": [
        {"compression": {"response": {"min_size": 1}}},
        {"messages": {"messages": [{"status": [200], "bodies": {"text/plain": "x"}, "overwrite": True}]}},
        {
            "json_patch": {
                "request": [{"op": "add", "path": "/b", "value": 1}],
                "response": [{"op": "add", "path": "/b", "value": 1}],
            }
        },
        {"rewrite": {"add_prefix": "/a"}},
    ],
    "delegated": [
        {"json_body": {"mode": "shadow", "delegate": 0.5}},
        {"methods": {"mode": "shadow", "delegate": 0.5, "allow": ["PUT"]}},
    ],
    "limited": [{"rate_limit": {"limits": [{"name": "few", "rate": "3/hour", "key": ["client_ip"]}]}}],
}


@contextmanager
def garbage() -> Iterator[list[str]]:
    """The types of the gateway's objects that are garbage at the end of the block."""
    found: list[str] = []
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += [
            type(item).__name__
            for item in gc.garbage
            if isinstance(item, (Exchange, Run, Connection, UpstreamConnection))
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
async def test_an_exchange_that_is_over_leaves_no_circles(filters: list[dict[str, Any]]) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        with garbage() as found:
            for _ in range(3):
                await client.ask(get(f"/v2/images/{ID}", "Accept-Encoding: gzip"))
                await client.ask(post(b'{"a": 1}', "Content-Type: application/json"))
                await client.ask(STREAMED)
            await gateway.records(9)
        assert found == []


async def closes(conversation: Conversation) -> None:
    if await conversation.next_request() is not None:
        await conversation.send(OK)


async def test_a_connection_that_has_ended_is_gone_when_its_time_would_have_been_up() -> None:
    def there() -> list[object]:
        return [item for item in gc.get_objects() if isinstance(item, (Connection, UpstreamConnection))]

    former = there()  # held, so that nothing new takes their ids

    def left() -> list[object]:
        known = set(map(id, former))
        return [item for item in there() if id(item) not in known]

    async with (
        Upstream(closes) as upstream,
        proxy(upstream, timeouts={"idle": "100ms"}) as gateway,
    ):
        with garbage() as found:
            for request in (get(f"/v2/images/{ID}"), post(b"x" * 1000), STREAMED):
                client = await gateway.connect()
                await client.ask(request)
                client.close()
            client = await gateway.connect()
            await client.send(post(b"x" * 100_000)[:-1])
            await until(lambda: len(upstream.conversations) == 4, "the beginning of a body has been sent on")
            client.reset()
            await gateway.records(4)
            await until(lambda: not left(), "no connection is left")
        assert found == []


async def test_connections_that_never_came_to_be_leave_no_circles(tmp_path: Path) -> None:
    """With an upstream that refuses, and with one whose certificate is not trusted."""
    stranger = server_context(authority().sign("127.0.0.1"), tmp_path)
    async with Upstream(context=stranger) as untrusted:
        for endpoint in (f"http://127.0.0.1:{closed_port()}", untrusted.url):
            async with proxy([endpoint]) as gateway:
                client = await gateway.connect()
                with garbage() as found:
                    for _ in range(3):
                        assert (await client.ask(get("/a"))).status >= 502
                    await gateway.records(3)
                assert found == []
