"""The PROXY protocol in front of HTTP and TLS: believed from those it is expected of, and required of them."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.config.model import UnixAddress
from gateway.listener import acceptor as acceptor_module
from tests.support.authority import Authority
from tests.support.client import Client, get
from tests.support.deadline import until
from tests.support.gateway import Running, proxy
from tests.support.secure import SecureClient, trusting
from tests.support.upstream import Upstream, echo

V1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 443\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11"
    + struct.pack("!H", 12 + 7)
    + bytes([192, 0, 2, 7, 10, 0, 0, 1])
    + struct.pack("!HH", 51234, 443)
    + b"\x04\0\x04noop"
)
V6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0"


def entry(trusted: str = "127.0.0.0/8", timeout: str = "5s", **more: Any) -> dict[str, Any]:
    return {
        "address": "127.0.0.1:0",
        "proxy_protocol": {"trusted": [trusted], "timeout": timeout},
        **more,
    }


def refused(gateway: Running) -> Mapping[str, int]:
    return {reason: count for reason, count in gateway.listener.refusals.counts.items() if count}


@pytest.mark.parametrize("prefix", [V1, V2], ids=["version 1", "version 2"])
async def test_the_client_is_whom_the_balancer_names(prefix: bytes) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry(), forwarded="both") as gateway:
        client = await gateway.connect()
        await client.send(prefix + get("/a"))
        assert (await client.answer()).status == 200
        for _ in range(3):
            assert (await client.ask(get("/a"))).status == 200
        records = await gateway.records(4)
    for request in upstream.requests:
        assert request.all("X-Forwarded-For") == ["192.0.2.7"]
        assert request.get("Forwarded") == "for=192.0.2.7;host=api.test;proto=http"
    for record in records:
        assert record["client.address"] == record["network.peer.address"] == "192.0.2.7"
        assert record["network.peer.port"] == 51234
        assert record["gateway.facts"]["peer"] == "192.0.2.7"
        assert record["gateway.proxy.address"] == "127.0.0.1"


async def test_connections_are_counted_by_whom_the_balancer_names() -> None:
    limits = {"connections_per_client": 1}
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry(), limits=limits) as gateway:
        for prefix in (V1, V6):
            client = await gateway.connect()
            await client.send(prefix + get("/a"))
            assert (await client.answer()).status == 200
        for prefix in (V2, V6):
            client = await gateway.connect()
            await client.send(prefix)
            await client.rest()
        assert refused(gateway) == {"too_many_of_client": 2}
        assert gateway.listener.connection_count == 2
        await gateway.records(2)


@pytest.mark.parametrize("prefix", [V1, V2, LOCAL], ids=["version 1", "version 2", "local"])
async def test_a_prefix_may_come_byte_by_byte(prefix: bytes) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry()) as gateway:
        client = await gateway.connect()
        await client.send_split(prefix + get("/a"))
        assert (await client.answer()).status == 200
        record = await gateway.record()
    assert record["client.address"] == ("127.0.0.1" if prefix == LOCAL else "192.0.2.7")
    assert ("gateway.proxy.address" in record) == (prefix != LOCAL)


@pytest.mark.parametrize("at", [1, 11, 13, 16, len(V2) - 1, len(V2), len(V2) + 1])
async def test_a_prefix_ends_to_the_byte_wherever_its_segments_do(at: int) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry()) as gateway:
        client = await gateway.connect()
        await client.send_split(V2 + get("/a") + get("/b"), at)
        assert [(await client.answer("GET")).status for _ in range(2)] == [200, 200]
    assert [request.target for request in upstream.requests] == [b"/a", b"/b"]


async def test_clients_of_one_balancer_are_told_apart() -> None:
    """Sections that came before are those of one client, however much alike the connections are."""
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry()) as gateway:
        clients = []
        for prefix in (V1, V6, LOCAL):
            client = await gateway.connect()
            await client.send(prefix)
            clients.append(client)
        for _ in range(4):
            for client in clients:
                assert (await client.ask(get("/a"))).status == 200
        records = await gateway.records(12)
    named = ["192.0.2.7", "2001:db8::7", "127.0.0.1"]
    assert [request.get("X-Forwarded-For") for request in upstream.requests] == named * 4
    assert [record["client.address"] for record in records] == named * 4


async def test_what_a_trusted_proxy_says_builds_on_the_prefix() -> None:
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, listen=entry(), trusted_proxies=["192.0.2.0/24"]) as gateway,
    ):
        client = await gateway.connect()
        await client.send(V1)
        assert (await client.ask(get("/", "X-Forwarded-For: 198.51.100.9"))).status == 200
        record = await gateway.record()
    assert upstream.requests[0].get("X-Forwarded-For") == "198.51.100.9, 192.0.2.7"
    assert record["client.address"] == "198.51.100.9"


async def test_tls_begins_behind_the_prefix(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("behind-a-balancer")
    tls = {**authority.issue().options, "client_ca": str(authority.file)}
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry(tls=tls)) as gateway:
        for prefix in (V1, V2):
            client = await SecureClient.open(gateway.address, trusting(authority, own), prefix)
            assert (await client.ask(get("/a"))).status == 200
            client.close()
        records = await gateway.records(2)
        # Inside of TLS it is a request like any other, with a method that nobody knows.
        client = await SecureClient.open(gateway.address, trusting(authority, own), LOCAL)
        assert (await client.ask(V1 + get("/a"), "GET")).status == 501
        client.close()
    for record in records:
        assert record["client.address"] == "192.0.2.7"
        assert record["url.scheme"] == "https"
        assert record["tls.client.subject"] == "CN=behind-a-balancer"
        assert record["gateway.proxy.address"] == "127.0.0.1"


@pytest.mark.parametrize(
    "sent", [get("/"), b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n" + get("/"), b"\x16\x03\x01\x02\0", b"G"]
)
async def test_without_the_prefix_the_connection_is_closed(sent: bytes) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry()) as gateway:
        client = await gateway.connect()
        await client.send(sent)
        await client.gone()
        await until(lambda: refused(gateway) == {"proxy_malformed": 1}, "the refusal is counted")
        assert gateway.listener.connection_count == 0
    assert upstream.requests == []


async def test_a_stranger_is_not_believed_and_not_served() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry("10.0.0.0/8")) as gateway:
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                client = await gateway.connect()
                await client.gone()
            await until(lambda: refused(gateway) == {"proxy_untrusted": 3}, "the refusals are counted")
        (told,) = [line for line in logs if line["event"] == "connection_refused"]
        assert (told["reason"], told["peer"]) == ("proxy_untrusted", "127.0.0.1")
        page = gateway.gateway.metrics.render().decode()
        assert 'gateway_connections_refused_total{reason="proxy_untrusted"} 3.0' in page
    assert upstream.requests == []


@pytest.mark.parametrize("sent", [b"", V1[:-1], V2[:20]])
async def test_a_prefix_has_its_time_and_no_more(sent: bytes) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry(timeout="60ms")) as gateway:
        client = await gateway.connect()
        await client.send(sent)
        await client.gone()
        await until(lambda: refused(gateway) == {"proxy_timeout": 1}, "the refusal is counted")


async def test_a_probe_that_goes_away_is_no_refusal() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry()) as gateway:
        for sent in (b"", V1[:9], LOCAL):
            probe = await gateway.connect()
            await probe.send(sent)
            probe.half_close()
            await probe.gone()
        assert refused(gateway) == {}
        (acceptor,) = gateway.listener.acceptors
        assert not acceptor._arrivals


async def test_a_drain_does_not_wait_for_a_prefix() -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry()) as gateway:
        client = await gateway.connect()
        await client.send(V1[:9])
        (acceptor,) = gateway.listener.acceptors
        await until(lambda: bool(acceptor._arrivals), "the connection is accepted")
        assert await gateway.gateway.stop(5.0)
        await client.gone()


async def test_a_unix_socket_may_be_the_balancers(tmp_path: Path) -> None:
    listen = {"unix": str(tmp_path / "weir.sock"), "proxy_protocol": {"trusted": ["unix"]}}
    async with Upstream(echo) as upstream, proxy(upstream, listen=listen) as gateway:
        async with await Client.connect(UnixAddress(listen["unix"])) as client:  # type: ignore[arg-type]
            await client.send(V6)
            assert (await client.ask(get("/"))).status == 200
        record = await gateway.record()
    assert (record["client.address"], record["gateway.proxy.address"]) == ("2001:db8::7", "unix")


async def test_running_out_of_descriptors_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor_module, "ACCEPT_AGAIN", 0.01)
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry()) as gateway:
        (acceptor,) = gateway.listener.acceptors
        with structlog.testing.capture_logs() as logs:
            acceptor._accept_later(OSError(24, "Too many open files"))
            client = await gateway.connect()
            await client.send(V1 + get("/"))
            assert (await client.answer()).status == 200
        assert [line["error"] for line in logs if line["event"] == "accept_failed"] == ["Too many open files"]
