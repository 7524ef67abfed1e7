"""Gateways that share what they know of tokens, before a real Redis that goes away and comes back."""

import signal
import socket
from pathlib import Path
from typing import Any

from gateway.api import Revocation
from gateway.config.load import loads
from gateway.registry import Registry
from tests.support.deadline import until
from tests.support.gateway import configuration, proxy, running
from tests.support.redis import Redis, redis
from tests.support.upstream import Upstream, echo
from tests.wire.test_keystone import Keystone, ask, hang

SECRETS = ("gAAAAABm", "name-u1", "member", "Default")


def shared(keystone: Keystone, server: Redis) -> list[dict[str, Any]]:
    options = {"url": server.url, "key": "0123456789abcdef0123456789abcdef", "timeout": "100ms"}
    return keystone.filters(cache={"shared": options})


async def test_one_gateway_asks_and_the_other_knows_while_keystone_hangs(tmp_path: Path) -> None:
    keystone = Keystone()
    async with redis(tmp_path) as server, keystone.listening(), Upstream(echo) as upstream:
        filters = shared(keystone, server)
        async with proxy(upstream, filters=filters) as first, proxy(upstream, filters=filters) as second:
            assert (await ask(first)).status == 200
            await until(lambda: kept(server), "the token is told")
            keystone.trouble = hang
            assert (await ask(second)).status == 200
            assert upstream.requests[1].get("x-user-id") == "u1"
            record = (await second.records(1))[0]
            assert record["user.id"] == "u1"
            assert keystone.service.asked == ["gAAAAABm-user-token"]

            first.gateway.revoke(Revocation(user_id="u1"))
            keystone.trouble = None
            keystone.service.tokens.clear()
            assert (await ask(first)).status == 401
            second.gateway.revoke(Revocation(user_id="u1"))
            assert (await ask(second)).status == 401
        dumped = dump(server)
        assert not [secret for secret in SECRETS if secret.encode() in dumped]


async def test_a_store_that_is_frozen_or_gone_fails_no_request(tmp_path: Path) -> None:
    keystone = Keystone("second", "third")
    async with (
        redis(tmp_path) as server,
        keystone.listening(),
        Upstream(echo) as upstream,
        proxy(upstream, filters=shared(keystone, server)) as gateway,
    ):
        server.signal(signal.SIGSTOP)
        assert (await ask(gateway)).status == 200
        server.signal(signal.SIGCONT)
        await server.stop()
        assert (await ask(gateway, "second")).status == 200
        await server.start()
        assert (await ask(gateway, "third")).status == 200


async def test_the_store_is_used_after_a_reload_with_the_same_definition(tmp_path: Path) -> None:
    keystone = Keystone()
    async with redis(tmp_path) as server, keystone.listening(), Upstream(echo) as upstream:
        text = configuration(upstream.url, filters=shared(keystone, server))
        async with running(text) as gateway:
            again = loads(text + "\nfaults: problem\n", "gateway.yaml", registry=Registry())
            assert await gateway.gateway.change(again) == ()
            holders = gateway.gateway._state._holders
            await until(lambda: all(len(each) == 1 for each in holders.values()), "the old plan is closed")
            assert (await ask(gateway)).status == 200
            await until(lambda: kept(server), "the token is told")


def talk(server: Redis, *words: bytes) -> bytes:
    """What the server says to one command."""
    with socket.create_connection(("127.0.0.1", server.port), 5.0) as sock:
        sock.sendall(
            b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)])
        )
        sock.settimeout(5.0)
        return sock.recv(1 << 20)


def kept(server: Redis) -> bool:
    return b"$" in talk(server, b"KEYS", b"weir:token:*")


def dump(server: Redis) -> bytes:
    """All names and values."""
    names = [line for line in talk(server, b"KEYS", b"*").split(b"\r\n") if line.startswith(b"weir:")]
    assert names
    return b"".join([*names, *(talk(server, b"GET", name) for name in names)])
