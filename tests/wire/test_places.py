"""Where the gateway listens: Unix sockets, IPv6, both families, several at once."""

import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.config.model import Address, UnixAddress
from tests.support.client import Client, get, post
from tests.support.gateway import proxy
from tests.support.upstream import Upstream, echo


def ipv6(address: str = "::1") -> bool:
    """Whether the machine has this address."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0][4])
    except OSError:
        return False
    return True


def link_local() -> str | None:
    """An address of this machine that needs its zone."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return None
    for number, _, _, scope, _, name in map(str.split, lines):
        if scope == "20":
            raw = bytes.fromhex(number)
            address = f"{socket.inet_ntop(socket.AF_INET6, raw)}%{name}"
            return address if ipv6(address) else None
    return None


needs_ipv6 = pytest.mark.skipif(not ipv6(), reason="the machine has no IPv6")


async def test_a_request_through_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "weir.sock"
    filters = [{"rate_limit": {"limits": [{"name": "all", "rate": "3/hour", "key": ["client_ip"]}]}}]
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, listen=f"unix:{path}", forwarded="both", filters=filters) as gateway,
    ):
        assert gateway.gateway.addresses == [UnixAddress(str(path))]
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with await Client.connect(UnixAddress(str(path))) as client:
            for _ in range(3):
                assert (await client.ask(get("/a"))).status == 200
            # All who come this way are one client to a limit.
            assert (await client.ask(get("/a"))).status == 413
        records = await gateway.records(4)
    assert not path.exists()
    for request in upstream.requests:
        assert request.all("X-Forwarded-For") == ["unknown"]
        assert request.get("Forwarded") == "for=unknown;host=api.test;proto=http"
    for record in records:
        assert record["client.address"] == record["network.peer.address"] == "unix"
        assert record["network.peer.port"] == 0


async def test_a_proxy_in_front_may_use_a_unix_socket(tmp_path: Path) -> None:
    listen = {"unix": str(tmp_path / "weir.sock"), "mode": "0600"}
    filters = [{"ip_allow": {"allow": ["203.0.113.0/24", "unix"]}}]
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, listen=listen, trusted_proxies=["unix"], filters=filters) as gateway,
    ):
        assert stat.S_IMODE((tmp_path / "weir.sock").stat().st_mode) == 0o600
        async with await Client.connect(UnixAddress(listen["unix"])) as client:
            told = ("X-Forwarded-For: 198.51.100.9, 203.0.113.8", "X-Forwarded-Proto: https")
            assert (await client.ask(get("/a", *told))).status == 200
            assert (await client.ask(get("/b", "X-Forwarded-For: 198.51.100.9"))).status == 403
            assert (await client.ask(get("/c"))).status == 200
        records = await gateway.records(3)
    assert [record["client.address"] for record in records] == ["203.0.113.8", "198.51.100.9", "unix"]
    first, last = upstream.requests
    # A hop without an address is left out: the upstream counts those that have one.
    assert first.get("X-Forwarded-For") == "198.51.100.9, 203.0.113.8"
    assert first.get("X-Forwarded-Proto") == "https"
    assert last.get("X-Forwarded-For") == "unknown"


async def test_an_early_answer_and_a_broken_answer_through_a_unix_socket(tmp_path: Path) -> None:
    place = UnixAddress(str(tmp_path / "weir.sock"))
    async with Upstream() as upstream, proxy(upstream, listen=str(place), limits={"body": 10}) as gateway:
        async with await Client.connect(place) as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))
            assert (await client.answer("POST")).status == 413
        async with await Client.connect(place) as client:
            await client.send(post(b"tiny"))
            conversation = await upstream.accepted()
            await conversation.request()
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            conversation.close()
            assert not (await client.answer("POST")).whole
        await gateway.records(2)


@needs_ipv6
@pytest.mark.parametrize("both", [False, True])
async def test_an_ipv6_address_serves_both_families_when_it_is_told_to(both: bool) -> None:
    listen = {"address": "[::]:0", "ipv6_only": False} if both else "[::]:0"
    async with Upstream(echo) as upstream, proxy(upstream, listen=listen, forwarded="both") as gateway:
        port = gateway.address.port
        async with await Client.connect(Address("::1", port)) as client:
            assert (await client.ask(get("/a"))).status == 200
        if both:
            async with await Client.connect(Address("127.0.0.1", port)) as client:
                assert (await client.ask(get("/b"))).status == 200
        else:
            with pytest.raises(ConnectionRefusedError):
                await Client.connect(Address("127.0.0.1", port))
        records = await gateway.records(1 + both)
    # An IPv4 client is that one, also where its socket writes it as IPv6.
    assert [record["network.peer.address"] for record in records] == ["::1", "127.0.0.1"][: 1 + both]
    assert upstream.requests[0].get("Forwarded") == 'for="[::1]";host=api.test;proto=http'


@pytest.mark.skipif(link_local() is None, reason="the machine has no link-local address")
async def test_an_address_with_a_zone() -> None:
    address = link_local()
    assert address is not None
    async with Upstream(echo) as upstream, proxy(upstream, listen=f"[{address}]:0") as gateway:
        port = gateway.address.port
        assert str(gateway.address) == f"[{address}]:{port}"
        family, kind, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind)
        sock.connect(where)
        async with Client(sock, "client") as client:
            assert (await client.ask(get("/a"))).status == 200
        record = await gateway.record()
    # The zone is this machine's own affair.
    assert record["network.peer.address"] == address.partition("%")[0]
    assert upstream.requests[0].get("X-Forwarded-For") == address.partition("%")[0]


@needs_ipv6
async def test_several_places_are_one_gateway(tmp_path: Path) -> None:
    listen: list[Any] = ["127.0.0.1:0", "[::1]:0", {"unix": str(tmp_path / "weir.sock")}]
    async with Upstream(echo) as upstream, proxy(upstream, listen=listen) as gateway:
        for number, place in enumerate(gateway.gateway.addresses):
            async with await Client.connect(place) as client:
                for _ in range(3):
                    assert (await client.ask(get(f"/{number}"))).status == 200
        records = await gateway.records(9)
    peers = [record["network.peer.address"] for record in records]
    assert peers == ["127.0.0.1"] * 3 + ["::1"] * 3 + ["unix"] * 3
