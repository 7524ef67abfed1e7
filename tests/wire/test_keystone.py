"""Keystone on the wire: one that answers, and one that hangs, refuses, breaks off, answers nonsense, and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from gateway.api import HttpAnswer
from gateway.api.testing import HttpRequest
from gateway.config.load import loads
from gateway.registry import Registry
from tests.filters.token_auth.identity_service import URL, IdentityService, document, error
from tests.support.client import get
from tests.support.deadline import until, within
from tests.support.gateway import Running, configuration, proxy, running
from tests.support.message import Answer
from tests.support.upstream import Conversation, Upstream, echo

TOKEN = "gAAAAABm-user-token"

Trouble = Callable[[Conversation], Awaitable[None]]


class Keystone:
    """The service of a few lines behind a socket; `trouble` is what becomes of a question, in place of an answer."""

    def __init__(self, *tokens: str) -> None:
        self.service = IdentityService({token: document("u1", "member") for token in (TOKEN, *tokens)})
        self.service.now = time.time()
        for token in self.service.tokens:
            self.service.tokens[token] = document("u1", "member", expires=self.service.now + 3600)
        self.trouble: Trouble | None = None
        self.gate: asyncio.Event | None = None
        self.port = 0

    async def script(self, conversation: Conversation) -> None:
        while (received := await conversation.next_request()) is not None:
            target = received.target.decode("ascii")
            assert target.startswith("/v3/auth/tokens")
            names = {name.lower(): value for name, value in received.head.lines}
            answer = self.service(
                HttpRequest(received.method, URL + target.removeprefix("/v3"), names, received.body)
            )
            if received.method == "GET":
                if self.gate is not None:
                    await self.gate.wait()
                if self.trouble is not None:
                    await self.trouble(conversation)
                    return
            assert isinstance(answer, HttpAnswer)
            await conversation.send(written(answer))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Upstream]:
        """On the port that it had before, if it had one."""
        async with Upstream(self.script, port=self.port) as server:
            self.port = server.port
            yield server

    def filters(self, **options: Any) -> list[dict[str, Any]]:
        keystone = {
            "url": f"http://127.0.0.1:{self.port}/v3",
            "account": {"user": "gateway", "password": "gateway-pw", "project_name": "service"},
            **options.pop("keystone", {}),
        }
        return [{"token_auth": {"providers": [{"keystone": keystone}], **options}}]


def written(answer: HttpAnswer) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    return (
        f"HTTP/1.1 {answer.status} Word\r\n{lines}Content-Length: {len(answer.body)}\r\n\r\n".encode()
        + answer.body
    )


async def ask(gateway: Running, token: str = TOKEN, target: str = "/") -> Answer:
    client = await gateway.connect()
    return await client.ask(get(target, f"X-Auth-Token: {token}"))


def answered(answer: HttpAnswer) -> Trouble:
    async def trouble(conversation: Conversation) -> None:
        await conversation.send(written(answer))

    return trouble


async def hang(conversation: Conversation) -> None:
    await conversation.rest()


async def drip(conversation: Conversation) -> None:
    """A byte now and then, so that nothing but the time of the whole question ends it."""
    await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not conversation.eof:
        await conversation.send(b" ")
        await asyncio.sleep(0.01)


async def huge(conversation: Conversation) -> None:
    await conversation.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (3 << 20))


async def breaks_off(conversation: Conversation) -> None:
    await conversation.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"token": {')


async def reset(conversation: Conversation) -> None:
    conversation.reset()


async def other_protocol(conversation: Conversation) -> None:
    await conversation.send(b"SSH-2.0-OpenSSH_9.6\r\n")


async def test_a_token_is_judged_by_keystone_and_the_upstream_hears_of_it() -> None:
    keystone = Keystone()
    async with (
        keystone.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=keystone.filters()) as gateway,
    ):
        assert (await ask(gateway)).status == 200
        assert upstream.requests[0].get("x-user-id") == "u1"
        assert upstream.requests[0].get("x-roles") == "member"
        bad = await ask(gateway, "garbage-garbage")
        assert bad.status == 401
        assert bad.get("www-authenticate") == "Keystone"
        assert b"garbage-garbage" not in bad.body
        passed, refused = await gateway.records(2)
        assert passed["user.id"] == "u1"
        assert refused["gateway.reason"] == "token_invalid"


async def test_fifty_cold_requests_with_one_token_are_one_question() -> None:
    keystone = Keystone()
    keystone.gate = asyncio.Event()
    async with (
        keystone.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=keystone.filters()) as gateway,
    ):
        asking = [asyncio.ensure_future(ask(gateway, target=f"/{number}")) for number in range(50)]
        await until(lambda: len(keystone.service.asked) == 1, "Keystone is asked")
        await until(lambda: gateway.listener.active_count == 50, "all requests have come")
        keystone.gate.set()
        assert {answer.status for answer in await asyncio.gather(*asking)} == {200}
        assert keystone.service.asked == [TOKEN]
        assert keystone.service.issued == 1


@pytest.mark.parametrize(
    ("trouble", "word"),
    [
        (hang, "timeout"),
        (drip, "timeout"),
        (huge, "too_large"),
        (breaks_off, "broken"),
        (reset, "broken"),
        (other_protocol, "broken"),
        (answered(error(500)), "500"),
        (answered(error(401)), "own token"),
        (answered(error(403)), "role service"),
        (answered(HttpAnswer(200, {}, b"<html>")), "cannot be read"),
        (answered(HttpAnswer(302, {"Location": "http://127.0.0.1:1/"}, b"")), "302"),
    ],
    ids=[
        "hang",
        "drip",
        "huge",
        "breaks_off",
        "reset",
        "other_protocol",
        "500",
        "401",
        "403",
        "garbage",
        "302",
    ],
)
async def test_a_bad_day_is_503_for_cold_tokens_while_warm_ones_go_on(
    trouble: Trouble, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keystone = Keystone("cold")
    options = {"timeout": "300ms" if word == "timeout" else "5s"}
    async with (
        keystone.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=keystone.filters(keystone=options)) as gateway,
    ):
        assert (await ask(gateway)).status == 200
        keystone.trouble = trouble
        cold = asyncio.ensure_future(ask(gateway, "cold"))
        for _ in range(5):
            assert (await ask(gateway)).status == 200
        answer = await cold
        assert answer.status == 503
        assert int(answer.get("retry-after") or 0) >= 1
        assert answer.get("www-authenticate") is None
        assert str(keystone.port).encode() not in answer.body
        records = await gateway.records(7)
        (refused,) = [record for record in records if record["http.response.status_code"] == 503]
        assert refused["gateway.reason"] == "provider_unavailable"
        # A failure says nothing of the token.
        keystone.trouble = None
        assert (await ask(gateway, "cold")).status == 200
    logged = capsys.readouterr()
    assert "cold" not in logged.out + logged.err


async def test_keystone_goes_away_and_comes_back_under_way() -> None:
    tokens = [f"token-{number}" for number in range(20)]
    keystone = Keystone(*tokens)
    breaker = {"failures": 2, "pause": "100ms"}
    async with Upstream(echo) as upstream:
        async with keystone.listening():
            options = keystone.filters(keystone={"breaker": breaker})
            opened = proxy(upstream, filters=options)
            gateway = await opened.__aenter__()
            assert (await ask(gateway)).status == 200
        try:
            # Nobody listens: connections are refused.
            statuses = [(await ask(gateway, token)).status for token in tokens]
            assert statuses == [503] * 20
            assert (await ask(gateway)).status == 200
            async with keystone.listening():

                async def good() -> bool:
                    return (await ask(gateway, tokens[0])).status == 200

                async def returns() -> None:
                    while not await good():
                        await asyncio.sleep(0.01)

                await within(returns(), "Keystone is asked again")
                assert {(await ask(gateway, token)).status for token in tokens} == {200}
        finally:
            await opened.__aexit__(None, None, None)


async def test_past_its_time_a_token_stands_in_while_keystone_hangs() -> None:
    keystone = Keystone()
    options: dict[str, Any] = {
        "cache": {"ttl": "10ms", "jitter": 0, "stale_if_error": "1h"},
        "keystone": {"timeout": "200ms", "breaker": {"failures": 1, "pause": "1m"}},
    }
    async with (
        keystone.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=keystone.filters(**options)) as gateway,
    ):
        assert (await ask(gateway)).status == 200
        keystone.trouble = hang
        end = time.monotonic() + 0.02
        await until(lambda: time.monotonic() > end, "the token is past its time")
        assert (await ask(gateway)).status == 200
        for _ in range(5):  # the breaker is open: nobody waits any more
            assert (await ask(gateway)).status == 200
        assert len(keystone.service.asked) == 2
        assert (await ask(gateway, "cold")).status == 503
        record = (await gateway.records(8))[1]
        assert "'stale': True" in repr(record)


async def test_questions_at_once_are_bounded() -> None:
    tokens = [f"token-{number}" for number in range(30)]
    keystone = Keystone(*tokens)
    async with (
        keystone.listening() as server,
        Upstream(echo) as upstream,
        proxy(upstream, filters=keystone.filters(keystone={"concurrency": 3})) as gateway,
    ):
        assert (await ask(gateway)).status == 200
        keystone.gate = asyncio.Event()
        asking = [asyncio.ensure_future(ask(gateway, token)) for token in tokens]
        await until(lambda: len(keystone.service.asked) == 4, "three questions are out")
        await until(lambda: gateway.listener.active_count == 30, "all requests have come")
        assert len(keystone.service.asked) == 4
        keystone.gate.set()
        assert {answer.status for answer in await asyncio.gather(*asking)} == {200}
        assert len(server.conversations) <= 4


async def test_a_client_that_leaves_does_not_end_the_question() -> None:
    keystone = Keystone()
    async with (
        keystone.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=keystone.filters()) as gateway,
    ):
        keystone.gate = asyncio.Event()
        leaves = await gateway.connect()
        await leaves.send(get("/", f"X-Auth-Token: {TOKEN}"))
        await until(lambda: len(keystone.service.asked) == 1, "Keystone is asked")
        stays = asyncio.ensure_future(ask(gateway))
        await until(lambda: gateway.listener.active_count == 2, "the second request has come")
        leaves.reset()
        await until(lambda: gateway.listener.active_count == 1, "the first client has left")
        keystone.gate.set()
        assert (await stays).status == 200
        assert keystone.service.asked == [TOKEN]


async def test_what_is_known_outlives_a_reload_and_the_old_connections_do_not_outlive_their_plan() -> None:
    keystone = Keystone("another")
    async with keystone.listening() as server, Upstream(echo) as upstream:
        text = configuration(upstream.url, filters=keystone.filters())
        async with running(text) as gateway:
            assert (await ask(gateway)).status == 200
            again = loads(text + "\nfaults: problem\n", "gateway.yaml", registry=Registry())
            assert await gateway.gateway.change(again) == ()
            assert (await ask(gateway)).status == 200
            assert keystone.service.asked == [TOKEN]
            assert (await ask(gateway, "another")).status == 200
            assert keystone.service.asked == [TOKEN, "another"]
            other = configuration(upstream.url, filters=keystone.filters(cache={"ttl": "60s"}))
            await gateway.gateway.change(loads(other, "gateway.yaml", registry=Registry()))
            for conversation in list(server.conversations):
                await within(conversation.gone(), "the client of the old plan is closed")
            assert (await ask(gateway)).status == 200
            assert keystone.service.asked == [TOKEN, "another", TOKEN]


async def test_a_question_that_is_out_survives_the_plan_that_asked_it() -> None:
    keystone = Keystone()
    async with keystone.listening(), Upstream(echo) as upstream:
        text = configuration(upstream.url, filters=keystone.filters())
        async with running(text) as gateway:
            keystone.gate = asyncio.Event()
            asking = asyncio.ensure_future(ask(gateway))
            await until(lambda: len(keystone.service.asked) == 1, "Keystone is asked")
            other = configuration(upstream.url)
            await gateway.gateway.change(loads(other, "gateway.yaml", registry=Registry()))
            keystone.gate.set()
            assert (await asking).status == 200


async def test_a_service_vouches_for_a_request() -> None:
    keystone = Keystone()
    now = keystone.service.now
    keystone.service.tokens |= {
        "old-old-old": document("u2", "member", expires=now - 60),
        "service-service": document("nova", "service", expires=now + 3600),
    }
    async with keystone.listening(), Upstream(echo) as upstream:
        async with proxy(upstream, filters=keystone.filters(service_tokens={})) as gateway:
            client = await gateway.connect()
            vouched = await client.ask(
                get("/", "X-Auth-Token: old-old-old", "X-Service-Token: service-service")
            )
            assert vouched.status == 200
            assert upstream.requests[-1].get("x-service-user-id") == "nova"
            assert (await client.ask(get("/", "X-Auth-Token: old-old-old"))).status == 401
        async with proxy(upstream, filters=keystone.filters()) as gateway:
            client = await gateway.connect()
            answer = await client.ask(get("/", f"X-Auth-Token: {TOKEN}", "X-Service-Token: service-service"))
            assert answer.status == 200
            assert upstream.requests[-1].get("x-service-token") is None


async def test_one_entry_judges_services_and_another_does_not() -> None:
    keystone = Keystone()
    now = keystone.service.now
    keystone.service.tokens |= {
        "old-old-old": document("u2", "member", expires=now - 60),
        "service-service": document("nova", "service", expires=now + 3600),
    }
    lines = ("X-Auth-Token: old-old-old", "X-Service-Token: service-service")
    async with keystone.listening(), Upstream(echo) as upstream:
        filters = [
            *keystone.filters(name="one", when={"path": "/one"}, service_tokens={}),
            *keystone.filters(name="two", when={"path": "/two"}),
        ]
        async with proxy(upstream, filters=filters) as gateway:
            client = await gateway.connect()
            assert (await client.ask(get("/one", *lines))).status == 200
            assert upstream.requests[-1].get("x-service-user-id") == "nova"
            assert (await client.ask(get("/two", *lines))).status == 401
            assert (await client.ask(get("/two", f"X-Auth-Token: {TOKEN}", lines[1]))).status == 200
            assert upstream.requests[-1].get("x-service-token") is None


@pytest.mark.parametrize("options", [{}, {"service_tokens": {}}])
async def test_a_service_token_that_nobody_judges_crosses_on_no_route(options: dict[str, Any]) -> None:
    keystone = Keystone()
    expires = keystone.service.now + 3600
    keystone.service.tokens["service-service"] = document("nova", "service", expires=expires)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(keystone.listening())
        upstream = await stack.enter_async_context(Upstream(echo))
        judged = keystone.filters(**options)
        sometimes = keystone.filters(name="sometimes", when={"method": "PUT"}, **options)
        routes = [
            {"name": "judged", "path": "/judged", "upstream": "main", "filters": judged},
            {"name": "skipped", "path": "/skipped", "upstream": "main", "filters": sometimes},
            {"name": "open", "path": "/open", "upstream": "main"},
        ]
        gateway = await stack.enter_async_context(proxy(upstream, routes=routes))
        client = await gateway.connect()
        token = f"X-Auth-Token: {TOKEN}"
        for name in ("X-Service-Token", "x_service_token"):
            for path in ("/open", "/skipped"):
                assert (await client.ask(get(path, token, f"{name}: garbage"))).status == 200
                request = upstream.requests[-1]
                assert request.get(name.lower()) is None
                assert request.get("x-auth-token") == TOKEN, "which is the upstream's to judge"
        told = "service-service" if options else None
        for path, method in (("/judged", "GET"), ("/skipped", "PUT")):
            given = get(path, token, "X-Service-Token: service-service", method=method)
            assert (await client.ask(given)).status == 200
            assert upstream.requests[-1].get("x-service-token") == told


async def test_a_service_token_crosses_on_no_other_route_than_where_it_is_judged_however_often_it_comes() -> (
    None
):
    keystone = Keystone()
    expires = keystone.service.now + 3600
    keystone.service.tokens["service-service"] = document("nova", "service", expires=expires)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(keystone.listening())
        upstream = await stack.enter_async_context(Upstream(echo))
        routes = [
            {
                "name": "judged",
                "path": "/judged",
                "upstream": "main",
                "filters": keystone.filters(service_tokens={}),
            },
            {"name": "open", "path": "/open", "upstream": "main"},
        ]
        gateway = await stack.enter_async_context(proxy(upstream, routes=routes))
        lines = (f"X-Auth-Token: {TOKEN}", "X-Service-Token: service-service")
        for first, second in (("/judged", "/open"), ("/open", "/judged")):
            client = await gateway.connect()
            for path in (first, first, first, second, second, first):
                assert (await client.ask(get(path, *lines))).status == 200
                told = "service-service" if path == "/judged" else None
                assert upstream.requests[-1].get("x-service-token") == told


async def test_a_service_token_that_the_operator_sets_arrives_where_nobody_judges_the_client_s() -> None:
    keystone = Keystone()
    sets = {"headers": {"request": {"set": {"X-Service-Token": "operator's"}}}}
    adds = {"headers": {"request": {"add": {"X-Service-Token": "operator's"}}}}

    def vouching(**options: Any) -> list[dict[str, Any]]:
        return keystone.filters(service_tokens={}, **options)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(keystone.listening())
        upstream = await stack.enter_async_context(Upstream(echo))
        chains = {
            "before": [sets, *vouching(when={"method": "PUT"})],
            "behind": [*vouching(when={"method": "PUT"}), sets],
            "added": [*vouching(when={"method": "PUT"}), adds],
            "shadow": [*vouching(mode="shadow"), adds],
            "off": [*vouching(mode="off"), sets],
            "none": [adds],
        }
        routes = [
            {"name": name, "path": f"/{name}", "upstream": "main", "filters": rename(filters, name)}
            for name, filters in chains.items()
        ]
        gateway = await stack.enter_async_context(proxy(upstream, routes=routes))
        client = await gateway.connect()
        for name in chains:
            for lines in ([], ["X-Service-Token: garbage"], ["x-service-token: a", "X-Service-Token: b"]):
                assert (await client.ask(get(f"/{name}", *lines))).status == 200
                assert upstream.requests[-1].all("x-service-token") == ["operator's"], (name, lines)


def rename(filters: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The same entries with names of their own."""
    return [
        {kind: {**options, "name": f"{name}-{place}"} for kind, options in entry.items()}
        for place, entry in enumerate(filters)
    ]


@pytest.mark.parametrize("shadow", [False, True])
async def test_without_a_token_auth_in_force_a_service_token_passes(shadow: bool) -> None:
    keystone = Keystone()
    async with (
        keystone.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=keystone.filters(mode="shadow") if shadow else []) as gateway,
    ):
        client = await gateway.connect()
        assert (await client.ask(get("/", f"X-Auth-Token: {TOKEN}", "X-Service-Token: any"))).status == 200
        assert upstream.requests[-1].get("x-service-token") == "any"


async def test_in_shadow_nothing_waits_for_keystone() -> None:
    keystone = Keystone()
    async with (
        keystone.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=keystone.filters(mode="shadow")) as gateway,
    ):
        keystone.gate = asyncio.Event()
        assert (await ask(gateway, "garbage-garbage")).status == 200
        keystone.gate.set()
