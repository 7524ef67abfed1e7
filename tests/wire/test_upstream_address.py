"""Where an upstream is: a socket of this host, or a name whose addresses change."""

import asyncio
from pathlib import Path

import pytest

from gateway.upstream import pool as pool_module
from gateway.upstream import resolver as resolver_module
from tests.support.client import get
from tests.support.deadline import until
from tests.support.gateway import proxy
from tests.support.upstream import OK, Upstream, answers, closed_port

MIB = 1 << 20


async def test_an_exchange_goes_over_a_socket(tmp_path: Path) -> None:
    async with Upstream(answers(OK), path=tmp_path / "api.sock") as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).body == b"ok"
        assert (await client.ask(get("/b"))).body == b"ok"
        assert [request.head.get("host") for request in upstream.requests] == ["api.test", "api.test"]
        records = await gateway.records(2)
        assert [record["gateway.upstream.address"] for record in records] == [upstream.url] * 2
        assert [record["gateway.upstream.attempts"][0]["reused"] for record in records] == [False, True]
        assert len(upstream.conversations) == 1


async def test_the_own_name_of_a_socket_is_localhost(tmp_path: Path) -> None:
    async with Upstream(answers(OK), path=tmp_path / "api.sock") as upstream:
        async with proxy(upstream, upstream_options={"host": "upstream"}) as gateway:
            await (await gateway.connect()).ask(get("/a"))
        assert upstream.requests[0].head.get("host") == "localhost"


async def test_large_bodies_go_over_a_socket_both_ways(tmp_path: Path) -> None:
    size = 8 * MIB
    async with Upstream(path=tmp_path / "api.sock") as upstream, proxy(upstream) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        sending = asyncio.ensure_future(client.send(b"a" * size, seconds=30))
        conversation = await upstream.accepted()
        received = await conversation.request()
        assert received.body == b"a" * size
        await sending
        answering = asyncio.ensure_future(
            conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"b" * size)
        )
        assert (await client.answer("PUT")).body == b"b" * size
        await answering


async def test_a_socket_that_nobody_has_opened_is_503(tmp_path: Path) -> None:
    async with proxy([f"unix://{tmp_path}/none.sock"]) as gateway:
        answer = await (await gateway.connect()).ask(get("/a"))
        assert (answer.status, answer.get("retry-after")) == (503, "5")
        assert str(tmp_path) not in answer.body.decode()
        (attempt,) = (await gateway.record())["gateway.upstream.attempts"]
        assert (attempt["error"], attempt["detail"]) == (
            "upstream_connect_failed",
            "no such file or directory",
        )


class Names:
    """The system's word on names, in the test's place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses: list[str] = list(addresses)
        monkeypatch.setattr(resolver_module, "system_lookup", self._lookup)
        monkeypatch.setattr(pool_module, "SWEEP", 0.005)

    async def _lookup(self, host: str) -> list[str]:
        if not self.addresses:
            raise OSError(-2, "Name or service not known")
        return self.addresses


async def test_requests_follow_a_name_to_its_new_address(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, "127.0.0.1")
    async with (
        Upstream(answers(OK)) as old,
        Upstream(answers(OK), host="127.0.0.2", port=old.port) as new,
        proxy([f"http://api.test:{old.port}"], upstream_options={"resolve": "20ms"}) as gateway,
    ):
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 200
        names.addresses = ["127.0.0.2"]
        await until(lambda: gateway.pools["main"].idle_count == 0, "the old connection is let go")
        assert (await client.ask(get("/b"))).status == 200
        assert ([r.target for r in old.requests], [r.target for r in new.requests]) == ([b"/a"], [b"/b"])
        names.addresses = []
        await until(
            lambda: gateway.pools["main"]._resolver._names["api.test"].failure is not None,
            "the name can no longer be looked up",
        )
        assert (await client.ask(get("/c"))).status == 200
        records = await gateway.records(3)
        attempts = [record["gateway.upstream.attempts"][0] for record in records]
        assert [(made["address"], made["peer"]) for made in attempts] == [
            (f"api.test:{old.port}", address) for address in ("127.0.0.1", "127.0.0.2", "127.0.0.2")
        ]


async def test_a_name_without_an_address_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch)
    async with proxy([f"http://api.test:{closed_port()}"]) as gateway:
        answer = await (await gateway.connect()).ask(get("/a"))
        assert (answer.status, answer.get("retry-after")) == (503, "5")
        assert b"api.test" not in answer.body
        record = await gateway.record()
        assert record["gateway.reason"] == "upstream_resolve_failed"
        (attempt,) = record["gateway.upstream.attempts"]
        assert attempt["detail"] == "api.test: name or service not known"


async def test_a_request_reaches_whichever_address_of_a_name_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, "::1", "127.0.0.3", "127.0.0.1")
    async with (
        Upstream(answers(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")) as upstream,
        proxy([f"http://api.test:{upstream.port}"]) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(4):
            assert (await client.ask(get("/a"))).status == 200
        for record in await gateway.records(4):
            (attempt,) = record["gateway.upstream.attempts"]
            assert attempt["peer"] == "127.0.0.1"
