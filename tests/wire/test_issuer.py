"""An issuer on the wire: keys that are fetched, that change while requests run, and an issuer that has a bad day."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import loads
from gateway.registry import Registry
from tests.filters.token_auth.signing import ec_key, jwk, rsa_key, sign
from tests.support.certificates import Authority
from tests.support.client import get
from tests.support.deadline import until, within
from tests.support.gateway import Running, configuration, proxy, running
from tests.support.message import Answer
from tests.support.upstream import Conversation, Upstream, echo

Trouble = Callable[[Conversation], Awaitable[None]]


class Issuer:
    """An OpenID provider behind a socket; `trouble` is what becomes of a question, in place of an answer."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.context = context
        self.keys = [jwk(ec_key(), kid="one")]
        self.fetched = 0
        self.trouble: Trouble | None = None
        self.gate: asyncio.Event | None = None
        self.port = 0

    @property
    def url(self) -> str:
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/realm"

    async def script(self, conversation: Conversation) -> None:
        while (received := await conversation.next_request()) is not None:
            if received.target == b"/realm/.well-known/openid-configuration":
                document: Any = {"issuer": self.url, "jwks_uri": self.url + "/keys?a=b"}
            else:
                assert received.target == b"/realm/keys?a=b"
                self.fetched += 1
                if self.gate is not None:
                    await self.gate.wait()
                if self.trouble is not None:
                    await self.trouble(conversation)
                    return
                document = {"keys": self.keys}
            await conversation.send(answered(json.dumps(document).encode()))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Upstream]:
        """On the port that it had before, if it had one."""
        async with Upstream(self.script, port=self.port, context=self.context) as server:
            self.port = server.port
            yield server

    def filters(self, *others: dict[str, Any], cache: Any = None, **fetch: Any) -> list[dict[str, Any]]:
        jwt = {"issuer_url": self.url, "algorithms": ["ES256", "RS256"], "fetch": fetch}
        return [{"token_auth": {"providers": [{"jwt": jwt}, *others], "cache": cache or {}}}]

    def token(self, kid: str = "one", key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        claims = {"sub": "u1", "iss": self.url, "exp": int(time.time()) + 600, **claims}
        return sign(claims, key, algorithm, {"kid": kid})


def answered(body: bytes, status: str = "200 OK", *lines: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(body)}"))
    return head.encode() + b"\r\n" + body


async def ask(gateway: Running, token: str) -> Answer:
    client = await gateway.connect()
    return await client.ask(get("/", f"X-Auth-Token: {token}"))


def says(body: bytes, status: str = "200 OK", *lines: str) -> Trouble:
    async def trouble(conversation: Conversation) -> None:
        await conversation.send(answered(body, status, *lines))

    return trouble


async def hang(conversation: Conversation) -> None:
    await conversation.rest()


async def drip(conversation: Conversation) -> None:
    await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not conversation.eof:
        await conversation.send(b" ")
        await asyncio.sleep(0.01)


async def huge(conversation: Conversation) -> None:
    await conversation.send(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (1 << 20))


async def reset(conversation: Conversation) -> None:
    conversation.reset()


async def test_tokens_are_verified_with_keys_that_were_fetched_before_the_first_came() -> None:
    issuer = Issuer()
    async with (
        issuer.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=issuer.filters()) as gateway,
    ):
        await until(lambda: issuer.fetched == 1, "keys are fetched")
        assert {(await ask(gateway, issuer.token(jti=str(number)))).status for number in range(5)} == {200}
        assert upstream.requests[0].get("x-user-id") == "u1"
        bad = await ask(gateway, issuer.token(key=rsa_key(), algorithm="RS256"))
        assert bad.status == 401
        assert issuer.fetched == 1


BAD_DAYS: dict[str, tuple[Trouble, str]] = {
    "hang": (hang, "timeout"),
    "drip": (drip, "timeout"),
    "huge": (huge, "too_large"),
    "reset": (reset, "broken"),
    "500": (says(b"", "500 Oops"), "500"),
    "garbage": (says(b"<html>secret-of-theirs"), "cannot be used"),
    "no keys": (says(b'{"keys": []}'), "no key in the set"),
    "redirect": (says(b"", "302 Found", "Location: http://127.0.0.1:1/"), "302"),
    "compressed": (says(b"\x1f\x8b", "200 OK", "Content-Encoding: gzip"), "cannot be used"),
}


@pytest.mark.parametrize(("trouble", "word"), BAD_DAYS.values(), ids=BAD_DAYS)
async def test_a_gateway_starts_on_the_issuers_bad_day_and_goes_on_when_it_is_over(
    trouble: Trouble, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer = Issuer()
    issuer.trouble = trouble
    fetch = {"timeout": "300ms" if word == "timeout" else "5s", "cooldown": "100ms"}
    known = {"static": {"tokens": [{"token": "opaque", "user_id": "u2"}]}}
    async with (
        issuer.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=issuer.filters(known, **fetch)) as gateway,
    ):
        answer = await ask(gateway, issuer.token())
        assert answer.status == 503
        assert int(answer.get("retry-after") or 0) >= 1
        assert str(issuer.port).encode() not in answer.body
        assert (await ask(gateway, "opaque")).status == 200
        assert (await ask(gateway, "unknown")).status == 401
        issuer.trouble = None

        async def served() -> bool:
            return (await ask(gateway, issuer.token())).status == 200

        for _ in range(200):
            if await within(served(), "an answer"):
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError("the gateway does not recover")
    said = capsys.readouterr()
    log = said.out + said.err
    assert word in log
    assert "keys_unavailable" in log
    assert "secret-of-theirs" not in log


async def test_nobody_listens_and_then_somebody_does() -> None:
    issuer = Issuer()
    async with issuer.listening():
        pass
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, filters=issuer.filters(cooldown="100ms")) as gateway,
    ):
        assert (await ask(gateway, issuer.token())).status == 503
        async with issuer.listening():
            await until(lambda: issuer.fetched > 0, "the gateway fetches by itself")
            assert (await ask(gateway, issuer.token())).status == 200


async def test_fifty_cold_requests_wait_for_one_fetch() -> None:
    issuer = Issuer()
    issuer.gate = asyncio.Event()
    async with (
        issuer.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=issuer.filters()) as gateway,
    ):
        asking = [asyncio.ensure_future(ask(gateway, issuer.token(jti=str(number)))) for number in range(50)]
        await until(lambda: gateway.listener.active_count == 50, "all requests have come")
        issuer.gate.set()
        assert {answer.status for answer in await asyncio.gather(*asking)} == {200}
        assert issuer.fetched == 1


async def test_a_key_takes_anothers_place_while_requests_run() -> None:
    issuer = Issuer()
    async with (
        issuer.listening(),
        Upstream(echo) as upstream,
        proxy(
            upstream, filters=issuer.filters(period="1s", cooldown="100ms", stale_for="1h", timeout="5s")
        ) as gateway,
    ):
        old = issuer.token()
        statuses: list[int] = []
        stop = asyncio.Event()

        async def client(number: int) -> None:
            count = 0
            while not stop.is_set():
                count += 1
                if len(issuer.keys) == 1:
                    given = issuer.token(jti=f"{number}-{count}")
                else:
                    given = issuer.token("two", rsa_key(), "RS256", jti=f"{number}-{count}")
                statuses.append((await ask(gateway, given)).status)
                await asyncio.sleep(0.005)

        clients = [asyncio.ensure_future(client(number)) for number in range(4)]
        await until(lambda: len(statuses) > 40, "requests run")
        assert (await ask(gateway, old)).status == 200
        # As issuers do it: first the new key is published beside the old, then it signs.
        issuer.keys = [*issuer.keys, jwk(rsa_key(), kid="two")]
        before = len(statuses)
        await until(lambda: len(statuses) > before + 40, "requests run on")
        assert (await ask(gateway, old)).status == 200
        stop.set()
        await asyncio.gather(*clients)
        assert set(statuses) <= {200, 401}
        refused = [number for number, status in enumerate(statuses) if status != 200]
        # A token of the new key within the cooldown of the last fetch is all that may have been refused.
        assert len(refused) < len(statuses) / 4
        assert statuses[-8:] == [200] * 8
        # Then the old key goes, by the clock alone, and with it what was remembered of its tokens.
        issuer.keys = [jwk(rsa_key(), kid="two")]

        async def refuses() -> bool:
            return (await ask(gateway, old)).status == 401

        for _ in range(300):
            if await refuses():
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError("a token is remembered under a key that is gone")


async def test_keys_outlive_a_reload_and_are_fetched_for_another_definition() -> None:
    issuer = Issuer()
    async with issuer.listening(), Upstream(echo) as upstream:
        text = configuration(upstream.url, filters=issuer.filters())
        async with running(text) as gateway:
            assert (await ask(gateway, issuer.token())).status == 200
            again = loads(text + "\nfaults: problem\n", "gateway.yaml", registry=Registry())
            await gateway.gateway.change(again)
            assert (await ask(gateway, issuer.token(jti="x"))).status == 200
            assert issuer.fetched == 1
            issuer.trouble = reset
            other = configuration(upstream.url, filters=issuer.filters(timeout="9s"))
            await gateway.gateway.change(loads(other, "gateway.yaml", registry=Registry()))
            assert (await ask(gateway, issuer.token())).status == 503
            assert issuer.fetched > 1, "another definition has keys of its own, and asks for them"


async def test_a_fetch_that_is_out_ends_with_the_gateway() -> None:
    issuer, left = Issuer(), asyncio.Event()

    async def waits(conversation: Conversation) -> None:
        await conversation.rest()
        left.set()

    issuer.trouble = waits
    async with issuer.listening(), Upstream(echo) as upstream:
        async with proxy(upstream, filters=issuer.filters(timeout="60s")):
            await until(lambda: issuer.fetched == 1, "keys are asked for")
        await within(left.wait(), "nobody waits for them any more")


async def test_an_issuer_that_speaks_tls_is_verified_at_both_its_urls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    identity = authority.sign("127.0.0.1")
    (tmp_path / "server.pem").write_bytes(identity.certificate + identity.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    issuer = Issuer(context)
    async with issuer.listening(), Upstream(echo) as upstream:
        ours = issuer.filters(tls={"ca": str(tmp_path / "ca.pem")})
        async with proxy(upstream, filters=ours) as gateway:
            assert (await ask(gateway, issuer.token())).status == 200
        async with proxy(upstream, filters=issuer.filters()) as gateway:
            assert (await ask(gateway, issuer.token())).status == 503
    assert issuer.fetched == 1
    said = capsys.readouterr()
    assert "tls" in said.out + said.err
