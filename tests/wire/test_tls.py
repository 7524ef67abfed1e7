"""TLS with clients: what is spoken, how it ends, whose certificates are believed, and how they are renewed."""

import asyncio
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography import x509

from tests.support.authority import Authority
from tests.support.client import Client, chunked, get, post
from tests.support.deadline import settled, until, within
from tests.support.gateway import Running, proxy
from tests.support.secure import SecureClient, trusting
from tests.support.upstream import Upstream, echo

HOUR = timedelta(hours=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def secured(authority: Authority, **options: Any) -> dict[str, Any]:
    """A `listen` entry under TLS."""
    return {"address": "127.0.0.1:0", "tls": {**authority.issue().options, **options}}


def refused(gateway: Running) -> Mapping[str, int]:
    """Connections refused so far, by reason."""
    return {reason: count for reason, count in gateway.listener.refusals.counts.items() if count}


async def rejected(gateway: Running, context: ssl.SSLContext) -> bool:
    """Whether no request comes through. TLS 1.3 tells a client so only when it thinks that all is well."""
    try:
        client = await SecureClient.open(gateway.address, context)
    except (ssl.SSLError, ConnectionError):
        return True
    try:
        with suppress(ConnectionError):
            await client.send(get("/"))
        with suppress(ssl.SSLError):
            return await client.rest() == b""
        return True
    finally:
        client.close()


async def test_a_request_under_tls_is_one_of_https(authority: Authority) -> None:
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, listen=secured(authority), forwarded="both") as gateway,
    ):
        for _ in range(2):  # a section is remembered from the second request on
            client = await SecureClient.open(gateway.address, trusting(authority, alpn=("h2", "http/1.1")))
            assert client.tls is not None
            assert client.tls.selected_alpn_protocol() == "http/1.1"
            assert client.tls.version() == "TLSv1.3"
            for _ in range(3):
                assert (await client.ask(get("/a"))).status == 200
            client.close()
        records = await gateway.records(6)
    assert {request.get("X-Forwarded-Proto") for request in upstream.requests} == {"https"}
    assert {request.get("Forwarded") for request in upstream.requests} == {
        "for=127.0.0.1;host=api.test;proto=https"
    }
    for record in records:
        assert record["url.scheme"] == record["gateway.facts"]["scheme"] == "https"
        assert record["tls.protocol.version"] == "1.3"
        assert "tls.client.subject" not in record


async def test_the_same_bytes_are_of_another_scheme_at_another_door(authority: Authority) -> None:
    """What is remembered of a header section under TLS says nothing of one that came in the clear."""
    entries = ["127.0.0.1:0", secured(authority)]
    async with Upstream(echo) as upstream, proxy(upstream, listen=entries) as gateway:
        plain, under_tls = gateway.gateway.addresses
        clear = await Client.connect(plain)
        secure = await SecureClient.open(under_tls, trusting(authority))
        for _ in range(4):
            for client in (clear, secure):
                assert (await client.ask(get("/a", "X-Auth-Token: t"))).status == 200
        clear.close()
        secure.close()
        records = await gateway.records(8)
    assert [request.get("X-Forwarded-Proto") for request in upstream.requests] == ["http", "https"] * 4
    assert [record["url.scheme"] for record in records] == ["http", "https"] * 4


async def test_bodies_flow_both_ways(authority: Authority) -> None:
    body = os.urandom(300_000)
    async with Upstream(echo) as upstream, proxy(upstream, listen=secured(authority)) as gateway:
        client = await SecureClient.open(gateway.address, trusting(authority))
        assert (await client.ask(post(body))).status == 200
        head = b"POST /b HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert (await client.ask(head + chunked(body[:1000], body[1000:]))).status == 200
        client.close()
    assert [request.body for request in upstream.requests] == [body, body]


async def test_a_client_that_does_not_read_holds_its_upstream_up(authority: Authority) -> None:
    large = 32 << 20
    async with (
        Upstream() as upstream,
        proxy(upstream, listen=secured(authority)) as gateway,
    ):
        client = SecureClient((await Client.connect(gateway.address, receive_buffer=32 << 10)).sock, "client")
        await client.secure(trusting(authority))
        await client.send(get("/large"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % large)
        conversation.sock.setblocking(False)

        def push() -> int:
            with suppress(BlockingIOError):
                conversation.sent += conversation.sock.send(b"x" * 65536)
            return conversation.sent

        assert await settled(push) < large / 2
        client.close()


@pytest.mark.parametrize("who", ["client", "upstream"])
async def test_a_tunnel_under_tls_ends_as_a_whole(authority: Authority, who: str) -> None:
    routes = [{"name": "ws", "path": "/ws", "upstream": "main", "upgrade": ["websocket"]}]
    async with Upstream() as upstream, proxy(upstream, listen=secured(authority), routes=routes) as gateway:
        client = await SecureClient.open(gateway.address, trusting(authority))
        await client.send(get("/ws", "Connection: Upgrade", "Upgrade: websocket"))
        conversation = await upstream.accepted()
        await conversation.answer(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert await client.status() == 101
        await client.send(b"ping" * 50_000)
        assert await conversation.take(200_000) == b"ping" * 50_000
        await conversation.send(b"pong" * 50_000)
        assert await client.take(200_000) == b"pong" * 50_000
        if who == "client":
            client.half_close()
            await conversation.ended()
        else:
            conversation.half_close()
            await client.ended()
            assert client.ended_well
        client.close()
        record = await gateway.record()
    assert (record["http.request.body.size"], record["http.response.body.size"]) == (200_000, 200_000)
    assert record["gateway.reason"] == f"tunnel_{who}_closed"


@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
async def test_the_oldest_version_is_the_one_that_is_configured(authority: Authority, minimum: str) -> None:
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, listen=secured(authority, minimum=minimum)) as gateway,
    ):
        context = trusting(authority)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        if minimum == "1.3":
            assert await rejected(gateway, context)
            await until(lambda: refused(gateway) == {"tls_failed": 1}, "the refusal is counted")
        else:
            client = await SecureClient.open(gateway.address, context)
            assert client.tls is not None and client.tls.version() == "TLSv1.2"
            assert (await client.ask(get("/"))).status == 200
            client.close()


async def test_a_cipher_without_forward_secrecy_is_not_spoken(authority: Authority) -> None:
    context = trusting(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AES:!AESGCM:!AESCCM:AES256-GCM-SHA384")
    async with Upstream(echo) as upstream, proxy(upstream, listen=secured(authority)) as gateway:
        assert await rejected(gateway, context)
        await until(lambda: refused(gateway) == {"tls_failed": 1}, "the refusal is counted")


async def test_a_request_in_the_clear_is_not_answered(authority: Authority) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=secured(authority)) as gateway:
        with structlog.testing.capture_logs() as logs:
            client = await gateway.connect()
            await client.send(get("/"))
            assert b"HTTP/" not in await client.rest()
            await until(lambda: refused(gateway) == {"tls_failed": 1}, "the refusal is counted")
        (told,) = [line for line in logs if line["event"] == "connection_refused"]
        assert told["reason"] == "tls_failed"
        assert told["error"] == "http request"
        assert (told["peer"], told["times"]) == ("127.0.0.1", 1)
        assert str(gateway.address) == told["listen"]
    assert upstream.requests == []


async def test_a_handshake_has_its_time_and_no_more(authority: Authority) -> None:
    entry = secured(authority, handshake_timeout="50ms")
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry) as gateway:
        client = await gateway.connect()
        await client.send(b"\x16\x03\x01")
        await client.gone()
        await until(lambda: refused(gateway) == {"tls_timeout": 1}, "the refusal is counted")


async def test_a_probe_that_says_nothing_is_no_refusal(authority: Authority) -> None:
    async with Upstream(echo) as upstream, proxy(upstream, listen=secured(authority)) as gateway:
        for _ in range(3):
            (await Client.connect(gateway.address)).close()
        client = await SecureClient.open(gateway.address, trusting(authority))
        assert (await client.ask(get("/"))).status == 200
        client.close()
        assert refused(gateway) == {}


async def test_the_end_of_tls_is_a_disconnect(authority: Authority) -> None:
    """Nobody can end only one side here: the upstream is let go at once."""
    async with Upstream() as upstream, proxy(upstream, listen=secured(authority)) as gateway:
        client = await SecureClient.open(gateway.address, trusting(authority))
        await client.send(get("/slow"))
        conversation = await upstream.accepted()
        await conversation.request()
        client.half_close()
        await conversation.gone()
        record = await gateway.record()
        client.close()
    assert (record["gateway.decision"], record["gateway.reason"]) == ("abort", "client_disconnected")


async def test_an_early_answer_is_read_though_the_body_never_ends(authority: Authority) -> None:
    async with (
        Upstream(echo) as upstream,
        proxy(
            upstream,
            listen=secured(authority),
            limits={"body": 1000},
            timeouts={"linger": "100ms"},
        ) as gateway,
    ):
        client = await SecureClient.open(gateway.address, trusting(authority))
        await client.send(
            b"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 500000\r\n\r\n" + bytes(200_000)
        )
        await client.send(bytes(100_000))
        answer = await client.answer("POST")
        assert (answer.status, answer.closes, answer.whole) == (413, True, True)
        await client.ended()
        client.close()
    assert upstream.requests == []


async def test_a_body_that_breaks_off_does_not_end_well(authority: Authority) -> None:
    """To a body without a length, the end of TLS would mean that it is whole."""
    async with Upstream() as upstream, proxy(upstream, listen=secured(authority)) as gateway:
        client = await SecureClient.open(gateway.address, trusting(authority))
        await client.send(get("/part").replace(b"HTTP/1.1", b"HTTP/1.0"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        assert (await client.head()).get("content-length") == "10"
        conversation.close()
        await client.rest()
        assert not client.ended_well
        client.close()


async def test_a_drain_ends_what_has_not_come_to_http(authority: Authority) -> None:
    async with Upstream() as upstream, proxy(upstream, listen=secured(authority)) as gateway:
        half = await gateway.connect()
        await half.send(b"\x16\x03\x01")
        idle = await SecureClient.open(gateway.address, trusting(authority))
        busy = await SecureClient.open(gateway.address, trusting(authority))
        await busy.send(get("/slow"))
        conversation = await upstream.accepted()
        open_ones = gateway.listener._connections
        await until(lambda: sum(each.transport is not None for each in open_ones) == 2, "both are at HTTP")
        stopping = asyncio.ensure_future(gateway.gateway.stop(5.0))
        await half.gone()
        await idle.ended()
        assert idle.ended_well
        idle.close()
        await conversation.answer()
        assert (await busy.answer()).closes
        busy.close()
        assert await within(stopping, "the drain ends")


async def test_a_connection_counts_from_its_handshake_on(authority: Authority) -> None:
    """One that is too many gets none, and one whose handshake fails leaves its place to others."""
    limits = {"connections_per_client": 1}
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, listen=secured(authority), limits=limits) as gateway,
    ):
        half = await gateway.connect()
        await half.send(b"\x16\x03\x01")
        await until(lambda: gateway.listener.connection_count == 1, "the handshake is counted")
        other = await gateway.connect()
        await other.ended()
        assert refused(gateway) == {"too_many_of_client": 1}
        half.reset()
        await until(lambda: gateway.listener.connection_count == 0, "its place is free")
        client = await SecureClient.open(gateway.address, trusting(authority))
        await client.send(get("/a"))
        assert (await client.answer()).status == 200
        assert gateway.listener.connection_count == 1
        client.close()
        await until(lambda: gateway.listener.connection_count == 0, "its place is free again")


# ---- certificates of clients


async def test_a_client_is_known_by_its_certificate(authority: Authority) -> None:
    own = authority.issue(
        "compute-1",
        subject=[(x509.oid.NameOID.ORGANIZATION_NAME, "Example, Inc.")],
        others=[
            x509.DNSName("compute-1.example"),
            x509.UniformResourceIdentifier("spiffe://example/compute"),
            x509.RFC822Name("ops@example.test"),
        ],
    )
    filters = [{"token_auth": {"providers": [{"mtls": {"roles": ["service"]}}]}}]
    entry = secured(authority, client_ca=str(authority.file))
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry, filters=filters) as gateway:
        client = await SecureClient.open(gateway.address, trusting(authority, own))
        for _ in range(3):
            assert (await client.ask(get("/a", "X-Auth-Token: nobody's", "X-User-Id: root"))).status == 200
        client.close()
        records = await gateway.records(3)
    for request in upstream.requests:
        assert request.all("X-User-Id") == ["compute-1"]
        assert request.all("X-Roles") == ["service"]
        assert request.all("X-Auth-Token") == []
    for record in records:
        assert record["user.id"] == "compute-1"
        assert record["tls.client.subject"] == "CN=compute-1,O=Example\\, Inc."
        assert len(record["tls.client.hash.sha256"]) == 64
        facts = record["gateway.facts"]["certificate"]
        assert facts["dns"] == ["compute-1.example"]
        assert facts["uri"] == ["spiffe://example/compute"]
        assert facts["email"] == ["ops@example.test"]
        assert facts["fingerprint"] == record["tls.client.hash.sha256"].lower()
    assert [record["gateway.filters"][0]["reason"] for record in records] == ["certificate_accepted"] * 3


async def test_two_clients_at_one_address_are_two(authority: Authority) -> None:
    """Sections that came before are those of one client, and say nothing of another with the same bytes."""
    filters: list[Any] = [{"token_auth": {"providers": [{"mtls": {}}]}}]
    entry = secured(authority, client_ca=str(authority.file))
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry, filters=filters) as gateway:
        clients = [
            await SecureClient.open(gateway.address, trusting(authority, authority.issue(name)))
            for name in ("one", "two")
        ]
        for _ in range(4):
            for client in clients:
                assert (await client.ask(get("/a"))).status == 200
        for client in clients:
            client.close()
        records = await gateway.records(8)
    assert [request.get("X-User-Id") for request in upstream.requests] == ["one", "two"] * 4
    assert [record["tls.client.subject"] for record in records] == ["CN=one", "CN=two"] * 4
    assert [record["gateway.facts"]["certificate"]["common_name"] for record in records] == ["one", "two"] * 4


@pytest.mark.parametrize("whose", ["nobody", "another"])
async def test_a_certificate_that_is_required_is_that_of_a_believed_authority(
    authority: Authority, tmp_path: Path, whose: str
) -> None:
    own = Authority(tmp_path, "Another").issue("intruder") if whose == "another" else None
    entry = secured(authority, client_ca=str(authority.file))
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry) as gateway:
        assert await rejected(gateway, trusting(authority, own))
        await until(lambda: refused(gateway) == {"tls_failed": 1}, "the refusal is counted")
    assert upstream.requests == []


async def test_an_optional_certificate_leaves_the_next_provider_to_judge(authority: Authority) -> None:
    tokens = {"static": {"tokens": [{"token": "good-token-1", "user_id": "u1"}]}}
    filters: list[Any] = [{"token_auth": {"providers": [{"mtls": {}}, tokens]}}]
    entry = secured(authority, client_ca=str(authority.file), client_certificate="optional")
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry, filters=filters) as gateway:
        without = await SecureClient.open(gateway.address, trusting(authority))
        known = await SecureClient.open(gateway.address, trusting(authority, authority.issue("known")))
        assert (await without.ask(get("/a"))).status == 401
        assert (await without.ask(get("/b", "X-Auth-Token: good-token-1"))).status == 200
        assert (await known.ask(get("/c"))).status == 200
        without.close()
        known.close()
    assert [request.get("X-User-Id") for request in upstream.requests] == ["u1", "known"]


# ---- renewal


async def test_a_renewed_certificate_serves_new_connections_only(authority: Authority) -> None:
    entry = secured(authority, reload="10ms")
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry) as gateway:
        (acceptor,) = gateway.listener.acceptors
        credentials = acceptor.credentials
        assert credentials is not None
        before = await SecureClient.open(gateway.address, trusting(authority))
        with structlog.testing.capture_logs() as logs:
            authority.issue(life=(-HOUR, 9 * HOUR))
            await until(lambda: credentials.renewals >= 1, "the new certificate is in use")
        assert "certificate_renewed" in {line["event"] for line in logs}
        after = await SecureClient.open(gateway.address, trusting(authority))
        ends = [client.tls.getpeercert()["notAfter"] for client in (before, after) if client.tls]  # type: ignore[index]
        assert ends[0] != ends[1]
        for client in (before, after):
            assert (await client.ask(get("/"))).status == 200
            client.close()
        assert credentials.failures == 0


async def test_a_bad_certificate_changes_nothing_and_is_told(authority: Authority) -> None:
    entry = secured(authority, reload="10ms")
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, listen=entry, admin="127.0.0.1:0") as gateway,
    ):
        (acceptor,) = gateway.listener.acceptors
        credentials = acceptor.credentials
        assert credentials is not None
        with structlog.testing.capture_logs() as logs:
            Path(credentials.tls.certificate).write_text("-----BEGIN CERTIFICATE-----\nno\n")
            await until(lambda: credentials.failures == 1, "the failure is counted")
        (told,) = [line for line in logs if line["event"] == "certificate_unusable"]
        assert told["option"] == "certificate"
        assert "no certificate in PEM form" in told["error"]
        client = await SecureClient.open(gateway.address, trusting(authority))
        assert (await client.ask(get("/"))).status == 200
        client.close()
        page = gateway.gateway.metrics.render().decode()
        place = gateway.address
        assert f'gateway_certificate_renewals_total{{listen="{place}",result="failed"}} 1.0' in page
        assert f'gateway_certificate_expiry_timestamp_seconds{{listen="{place}"}}' in page
        authority.issue()
        await until(lambda: credentials.renewals == 1, "a good one is taken into use again")


async def test_a_pair_that_is_replaced_file_by_file_is_no_failure(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = secured(authority, reload=0)
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry) as gateway:
        (acceptor,) = gateway.listener.acceptors
        credentials = acceptor.credentials
        assert credentials is not None
        key = Path(credentials.tls.key or "")
        old = key.read_bytes()
        authority.issue()
        new = key.read_bytes()
        key.write_bytes(old)  # as if the key had not been replaced yet
        assert credentials.changed
        with structlog.testing.capture_logs() as logs:
            await credentials.renew()
            assert credentials.changed
            key.write_bytes(new)
            await credentials.renew()
        assert (credentials.renewals, credentials.failures) == (1, 0)
        assert [line["event"] for line in logs] == ["certificate_renewed"]
        assert not credentials.changed


async def test_whom_to_believe_is_renewed_too(authority: Authority, tmp_path: Path) -> None:
    """An authority that is believed no more is not believed on a connection that comes after."""
    another = Authority(tmp_path, "Another")
    believed = tmp_path / "believed.pem"
    believed.write_bytes(authority.file.read_bytes())
    entry = secured(authority, client_ca=str(believed), reload="10ms")
    own = authority.issue("own")
    async with Upstream(echo) as upstream, proxy(upstream, listen=entry) as gateway:
        (acceptor,) = gateway.listener.acceptors
        credentials = acceptor.credentials
        assert credentials is not None
        first = await SecureClient.open(gateway.address, trusting(authority, own))
        assert (await first.ask(get("/"))).status == 200
        first.close()
        believed.write_bytes(another.file.read_bytes())
        await until(lambda: credentials.renewals == 1, "the new authority is in use")
        assert await rejected(gateway, trusting(authority, own))
        await until(lambda: refused(gateway) == {"tls_failed": 1}, "the refusal is counted")
