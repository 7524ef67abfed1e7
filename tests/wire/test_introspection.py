"""An authorization server on the wire: one that answers, and one that hangs, breaks off, answers nonsense, and comes back."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.support.client import get
from tests.support.deadline import until
from tests.support.gateway import Running, proxy
from tests.support.message import Answer
from tests.support.upstream import Conversation, Upstream, echo

TOKEN = "2YotnFZFEjr1zCsicMWpAA"

Trouble = Callable[[Conversation], Awaitable[None]]


class Server:
    """Knows one token; `trouble` is what becomes of a question, in place of an answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: Trouble | None = None
        self.gate: asyncio.Event | None = None

    async def script(self, conversation: Conversation) -> None:
        while (received := await conversation.next_request()) is not None:
            assert (received.method, received.target) == ("POST", b"/introspect?a=b")
            assert (received.get("authorization") or "").startswith("Basic ")
            (token,) = parse_qs(received.body.decode("ascii"))["token"]
            self.asked.append(token)
            if self.gate is not None:
                await self.gate.wait()
            if self.trouble is not None:
                await self.trouble(conversation)
                return
            told: dict[str, Any] = {"active": False}
            if token == TOKEN or token.startswith("cold"):
                told = {"active": True, "sub": "u1", "scope": "member reader", "exp": int(time.time()) + 600}
            await conversation.send(written(json.dumps(told).encode()))


def written(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def filters(server: Upstream, **options: Any) -> list[dict[str, Any]]:
    introspection = {
        "url": server.url + "/introspect?a=b",
        "client_id": "weir",
        "client_secret": "secret-secret",
        "claims": {"roles": "scope"},
        **options,
    }
    return [{"token_auth": {"providers": [{"introspection": introspection}]}}]


async def ask(gateway: Running, token: str = TOKEN) -> Answer:
    client = await gateway.connect()
    return await client.ask(get("/", f"X-Auth-Token: {token}"))


def says(body: bytes, status: str = "200 OK") -> Trouble:
    async def trouble(conversation: Conversation) -> None:
        await conversation.send(written(body, status))

    return trouble


async def hang(conversation: Conversation) -> None:
    await conversation.rest()


async def huge(conversation: Conversation) -> None:
    await conversation.send(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (3 << 20))


async def breaks_off(conversation: Conversation) -> None:
    await conversation.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"active": false}')


async def test_a_token_is_judged_by_the_server_and_the_upstream_hears_of_it() -> None:
    server = Server()
    async with (
        Upstream(server.script) as listening,
        Upstream(echo) as upstream,
        proxy(upstream, filters=filters(listening)) as gateway,
    ):
        assert (await ask(gateway)).status == 200
        assert upstream.requests[0].get("x-user-id") == "u1"
        assert upstream.requests[0].get("x-roles") == "member,reader"
        refused = await ask(gateway, "garbage-garbage")
        assert refused.status == 401
        assert b"garbage-garbage" not in refused.body
        passed, no = await gateway.records(2)
        assert passed["user.id"] == "u1"
        assert no["gateway.reason"] == "token_invalid"


BAD_DAYS: dict[str, tuple[Trouble, str]] = {
    "hang": (hang, "timeout"),
    "huge": (huge, "too_large"),
    "breaks off": (breaks_off, "broken"),
    "500": (says(b'{"active": false}', "500 Oops"), "500"),
    "401": (says(b'{"active": false}', "401 Unauthorized"), "own credentials"),
    "garbage": (says(b"<html>"), "cannot be read"),
}


@pytest.mark.parametrize(("trouble", "word"), BAD_DAYS.values(), ids=BAD_DAYS)
async def test_a_bad_day_is_503_for_cold_tokens_while_warm_ones_go_on(
    trouble: Trouble, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server()
    async with (
        Upstream(server.script) as listening,
        Upstream(echo) as upstream,
        proxy(
            upstream, filters=filters(listening, timeout="300ms" if word == "timeout" else "5s")
        ) as gateway,
    ):
        assert (await ask(gateway)).status == 200
        server.trouble = trouble
        cold = asyncio.ensure_future(ask(gateway, "cold-cold"))
        for _ in range(5):
            assert (await ask(gateway)).status == 200
        answer = await cold
        assert answer.status == 503
        assert int(answer.get("retry-after") or 0) >= 1
        assert str(listening.port).encode() not in answer.body
        server.trouble = None
        assert (await ask(gateway, "cold-cold")).status == 200
    said = capsys.readouterr()
    log = said.out + said.err
    assert word in log
    assert "cold-cold" not in log
    assert "secret-secret" not in log


async def test_fifty_cold_requests_with_one_token_are_one_question() -> None:
    server = Server()
    server.gate = asyncio.Event()
    async with (
        Upstream(server.script) as listening,
        Upstream(echo) as upstream,
        proxy(upstream, filters=filters(listening)) as gateway,
    ):
        asking = [asyncio.ensure_future(ask(gateway)) for _ in range(50)]
        await until(lambda: gateway.listener.active_count == 50, "all requests have come")
        server.gate.set()
        assert {answer.status for answer in await asyncio.gather(*asking)} == {200}
        assert server.asked == [TOKEN]
