"""Upstreams that are spoken to over TLS: who is believed, what is told of the others, and bodies of any size."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.upstream import pool as pool_module
from tests.support.certificates import Authority, authority, server_context, written
from tests.support.client import Client, get
from tests.support.deadline import settled, within
from tests.support.gateway import Running, proxy
from tests.support.sockets import HELD, LARGE, MIB
from tests.support.upstream import (
    OK,
    Conversation,
    SecureConversation,
    Upstream,
    answers,
    closed_port,
)

LOOPBACK = authority().sign("127.0.0.1", "api.test")
PIECE = bytes(range(256)) * 1024
WHOLE = PIECE * (LARGE // len(PIECE))


def trusting(directory: Path, **more: Any) -> dict[str, Any]:
    """Options of an upstream whose authority is ours."""
    written(directory, ca=authority().certificate)
    return {"tls": {"ca": str(directory / "ca.pem"), **more}}


def attempt(record: Mapping[str, Any]) -> Mapping[str, Any]:
    (made,) = record["gateway.upstream.attempts"]
    assert isinstance(made, dict)
    return made


async def taken(upstream: Upstream) -> SecureConversation:
    conversation = await upstream.accepted()
    assert isinstance(conversation, SecureConversation)
    return conversation


# ---- an exchange


async def test_exchanges_go_over_one_connection_that_speaks_http_1_1(tmp_path: Path) -> None:
    context = server_context(LOOPBACK, tmp_path)
    async with (
        Upstream(context=context) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await taken(upstream)
        assert conversation.sock.selected_alpn_protocol() == "http/1.1"  # type: ignore[attr-defined]
        request = await conversation.answer()
        assert (request.target, request.head.get("host")) == (b"/a", "api.test")
        assert (await client.answer()).body == b"ok"
        assert (await asyncio.gather(client.ask(get("/b")), conversation.answer()))[0].body == b"ok"
        records = await gateway.records(2)
        assert [attempt(record)["reused"] for record in records] == [False, True]
        assert attempt(records[0])["address"] == upstream.authority
        assert "peer" not in attempt(records[0]), "it is in the address"


async def test_the_hosts_own_field_has_no_port_where_it_is_the_schemes(tmp_path: Path) -> None:
    options = {**trusting(tmp_path), "host": "upstream"}
    context = server_context(LOOPBACK, tmp_path)
    async with Upstream(answers(OK), context=context) as upstream:
        async with proxy(upstream, upstream_options=options) as gateway:
            await (await gateway.connect()).ask(get("/a"))
        assert upstream.requests[0].head.get("host") == upstream.authority


async def test_a_name_is_asked_for_and_the_record_names_the_address(tmp_path: Path) -> None:
    context = server_context(authority().sign("localhost"), tmp_path)
    asked: list[str | None] = []
    context.sni_callback = lambda sock, name, own: asked.append(name)
    async with Upstream(answers(OK), context=context) as upstream:
        url = f"https://localhost:{upstream.port}"
        async with proxy([url], upstream_options=trusting(tmp_path)) as gateway:
            assert (await (await gateway.connect()).ask(get("/a"))).status == 200
            record = await gateway.record()
            assert attempt(record)["address"] == f"localhost:{upstream.port}"
            assert attempt(record)["peer"] == "127.0.0.1"
    assert asked == ["localhost"]


async def test_another_name_is_asked_for_where_the_options_say_so(tmp_path: Path) -> None:
    context = server_context(authority().sign("other.test"), tmp_path)
    asked: list[str | None] = []
    context.sni_callback = lambda sock, name, own: asked.append(name)
    options = trusting(tmp_path, server_name="other.test")
    async with (
        Upstream(answers(OK), context=context) as upstream,
        proxy(upstream, upstream_options=options) as gateway,
    ):
        assert (await (await gateway.connect()).ask(get("/a"))).status == 200
    assert asked == ["other.test"]


async def test_the_upstreams_own_certificate_may_be_what_is_trusted(tmp_path: Path) -> None:
    """Nobody vouches for it but the operator."""
    stranger = Authority("Stranger").sign("127.0.0.1")
    written(tmp_path, pinned=stranger.certificate)
    options = {"tls": {"ca": str(tmp_path / "pinned.pem")}}
    async with (
        Upstream(answers(OK), context=server_context(stranger, tmp_path)) as upstream,
        proxy(upstream, upstream_options=options) as gateway,
    ):
        assert (await (await gateway.connect()).ask(get("/a"))).status == 200


async def test_a_client_certificate_is_presented(tmp_path: Path) -> None:
    ours = authority().sign("gateway.test")
    written(tmp_path, certificate=ours.certificate, key=ours.key)
    options = trusting(tmp_path, certificate=str(tmp_path / "certificate.pem"), key=str(tmp_path / "key.pem"))
    context = server_context(LOOPBACK, tmp_path, clients=authority().certificate)
    async with (
        Upstream(context=context) as upstream,
        proxy(upstream, upstream_options=options) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await taken(upstream)
        presented = conversation.sock.getpeercert()  # type: ignore[attr-defined]
        assert presented["subject"] == ((("commonName", "gateway.test"),),)
        await conversation.answer()
        assert (await client.answer()).status == 200


# ---- no exchange


async def refused(gateway: Running, status: int, reason: str) -> Mapping[str, Any]:
    """The one attempt of a request that is answered with a fault, which tells the client nothing."""
    client = await gateway.connect()
    answer = await client.ask(get("/a"))
    assert answer.status == status
    assert (answer.get("retry-after") is not None) == (status == 503)
    record = await gateway.record()
    assert (record["gateway.reason"], record["gateway.decision"]) == (reason, "fail")
    made = attempt(record)
    assert made["error"] == reason
    told = answer.body.decode()
    assert made["detail"] not in told and "certificate" not in told and "127.0.0.1" not in told
    return made


UNVERIFIED = {
    "authority": (Authority().sign("127.0.0.1"), {}, "unable to get local issuer certificate"),
    "address": (
        authority().sign("192.0.2.1", "api.test"),
        {},
        "IP address mismatch, certificate is not valid for '127.0.0.1'",
    ),
    "name": (
        LOOPBACK,
        {"server_name": "other.test"},
        "Hostname mismatch, certificate is not valid for 'other.test'",
    ),
    "expired": (authority().sign("127.0.0.1", expired=True), {}, "certificate has expired"),
}


@pytest.mark.parametrize("case", UNVERIFIED)
async def test_a_certificate_that_proves_nothing_is_502_and_nothing_is_sent(
    case: str, tmp_path: Path
) -> None:
    identity, options, detail = UNVERIFIED[case]
    async with (
        Upstream(context=server_context(identity, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path, **options)) as gateway,
    ):
        made = await refused(gateway, 502, "upstream_tls_unverified")
        assert made["detail"] == detail
        assert upstream.requests == []


async def test_without_a_word_of_ours_the_systems_authorities_are_asked(tmp_path: Path) -> None:
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream) as gateway,
    ):
        await refused(gateway, 502, "upstream_tls_unverified")


async def test_an_old_version_is_502(tmp_path: Path) -> None:
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path, old=True)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        made = await refused(gateway, 502, "upstream_tls_failed")
        assert "version" in made["detail"]


async def test_the_oldest_version_is_an_option(tmp_path: Path) -> None:
    context = server_context(LOOPBACK, tmp_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with Upstream(answers(OK), context=context) as upstream:
        async with proxy(upstream, upstream_options=trusting(tmp_path, minimum="1.3")) as gateway:
            await refused(gateway, 502, "upstream_tls_failed")
        async with proxy(upstream, upstream_options=trusting(tmp_path, minimum="1.2")) as gateway:
            assert (await (await gateway.connect()).ask(get("/a"))).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_upstream_that_wants_a_certificate_of_ours_and_gets_none_is_502(
    version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """TLS 1.3 has the server say so when the handshake is over for us, and the request is on its way."""
    context = server_context(LOOPBACK, tmp_path, clients=authority().certificate)
    context.minimum_version = context.maximum_version = version
    async with (
        Upstream(context=context) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        made = await refused(gateway, 502, "upstream_tls_failed")
        assert "alert" in made["detail"]
        assert len(upstream.refusals) == 1


async def test_a_server_that_does_not_speak_tls_is_502(tmp_path: Path) -> None:
    async def misunderstand(conversation: Conversation) -> None:
        await conversation.fill()
        await conversation.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await conversation.rest()

    async with Upstream(misunderstand) as upstream:
        url = upstream.url.replace("http:", "https:")
        async with proxy([url], upstream_options=trusting(tmp_path)) as gateway:
            made = await refused(gateway, 502, "upstream_tls_failed")
            assert made["detail"] == "wrong version number"


async def test_a_server_that_closes_in_the_handshake_is_502(tmp_path: Path) -> None:
    async def close(conversation: Conversation) -> None:
        await conversation.fill()

    async with Upstream(close) as upstream:
        url = upstream.url.replace("http:", "https:")
        async with proxy([url], upstream_options=trusting(tmp_path)) as gateway:
            made = await refused(gateway, 502, "upstream_tls_failed")
            assert made["detail"] == "the connection was closed during the handshake"


async def test_a_server_that_resets_every_connection_is_a_failure_each_time(tmp_path: Path) -> None:
    """However far the handshake has come by then, if it has begun."""

    async def reset(conversation: Conversation) -> None:
        conversation.reset()

    async with Upstream(reset) as upstream:
        url = upstream.url.replace("http:", "https:")
        async with proxy([url], upstream_options=trusting(tmp_path)) as gateway:
            client = await gateway.connect()
            for _ in range(20):
                assert (await client.ask(get("/a"))).status in (502, 503)
            errors = {attempt(record)["error"] for record in await gateway.records(20)}
            assert errors <= {"upstream_tls_failed", "upstream_connect_failed"}


async def test_a_handshake_that_does_not_end_is_504(tmp_path: Path) -> None:
    options = {**trusting(tmp_path), "timeouts": {"connect": "100ms"}}
    async with Upstream() as upstream:
        url = upstream.url.replace("http:", "https:")
        async with proxy([url], upstream_options=options) as gateway:
            made = await refused(gateway, 504, "upstream_tls_timeout")
            assert made["detail"] == "the handshake does not come to its end"
            await (await upstream.accepted()).gone()


async def test_a_client_that_goes_away_ends_the_handshake(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        url = upstream.url.replace("http:", "https:")
        async with proxy([url], upstream_options=trusting(tmp_path)) as gateway:
            client = await gateway.connect()
            await client.send(get("/a"))
            conversation = await upstream.accepted()
            assert await conversation.fill()
            client.reset()
            await conversation.gone()
            assert attempt(await gateway.record())["error"] == "client_disconnected"


async def test_another_endpoint_takes_the_place_of_one_that_is_not_trusted(tmp_path: Path) -> None:
    stranger = server_context(Authority().sign("127.0.0.1"), tmp_path)
    async with (
        Upstream(context=stranger) as false,
        Upstream(answers(OK), context=server_context(LOOPBACK, tmp_path)) as true,
        proxy(
            [false.url, true.url, f"https://127.0.0.1:{closed_port()}"], upstream_options=trusting(tmp_path)
        ) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(3):
            assert (await client.ask(get("/a"))).status == 200
        assert false.requests == []


# ---- ends


@pytest.mark.parametrize("closing", ["notify", "fin", "reset"])
async def test_only_a_close_notify_ends_an_answer_without_a_length(closing: str, tmp_path: Path) -> None:
    """RFC 9112 section 9.8: anybody can end the connection below."""
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await taken(upstream)
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        if closing == "notify":
            await conversation.goodbye()
        elif closing == "fin":
            conversation.close()
        else:
            await client.head()
            conversation.reset()
        if closing == "reset":
            assert not (await client.rest()).endswith(b"0\r\n\r\n")
        else:
            answer = await client.answer()
            assert answer.whole == (closing == "notify")
            assert answer.body == b"hello"
        record = await gateway.record()
        if closing == "notify":
            assert (record["gateway.decision"], record["gateway.reason"]) == ("forward", "passed")
        else:
            assert (record["gateway.decision"], record["gateway.reason"]) == ("abort", "upstream_closed")
            assert attempt(record)["detail"] == "the answer ended without a close_notify"


async def test_an_answer_that_is_whole_needs_no_close_notify(tmp_path: Path) -> None:
    data = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"

    async def script(conversation: Conversation) -> None:
        await conversation.answer(data)

    async with (
        Upstream(script, context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(3):
            answer = await client.ask(get("/a"))
            assert (answer.body, answer.whole) == (b"hello", True)


async def test_a_connection_that_the_upstream_has_ended_is_not_used_again(tmp_path: Path) -> None:
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        client = await gateway.connect()
        first, conversation = await asyncio.gather(client.ask(get("/a")), _answered(upstream))
        assert first.status == 200
        await conversation.goodbye()
        # A POST is never sent twice: it has to go over a new connection at once.
        second, other = await asyncio.gather(
            client.ask(get("/b", "Content-Length: 0", method="POST")), _answered(upstream)
        )
        assert second.status == 200
        assert other is not conversation


async def _answered(upstream: Upstream) -> SecureConversation:
    conversation = await taken(upstream)
    await conversation.answer()
    return conversation


async def test_an_unused_connection_is_ended_with_a_close_notify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "SWEEP", 0.01)
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options={**trusting(tmp_path), "keepalive": 0}) as gateway,
    ):
        client = await gateway.connect()
        _, conversation = await asyncio.gather(client.ask(get("/a")), _answered(upstream))
        await conversation.ended()
        assert not conversation.ragged
        assert gateway.pools["main"].idle_count == 0
        assert gateway.pools["main"].endpoints[0].connections == set()


# ---- bodies


async def test_bodies_of_any_size_go_both_ways_at_once(tmp_path: Path) -> None:
    size = 8 * MIB

    async def mirror(conversation: Conversation) -> None:
        await conversation.request_head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            data = await conversation.take(min(left, 50_000))
            left -= len(data)
            await conversation.send(data)

    async with (
        Upstream(mirror, context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        sending = asyncio.ensure_future(client.send(PIECE * (size // len(PIECE)), seconds=30))
        await client.head()
        assert await within(client.take(size), "the body comes back", 30) == PIECE * (size // len(PIECE))
        await within(sending, "everything is sent")


async def test_a_stalled_upstream_holds_the_client_back(tmp_path: Path) -> None:
    size = len(WHOLE)
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        sending = asyncio.ensure_future(client.send(WHOLE, seconds=30))
        conversation = await taken(upstream)
        await conversation.request_head()
        assert await settled(lambda: client.sent) < HELD
        (connection,) = gateway.pools["main"].endpoints[0].connections
        assert connection.writing_paused
        assert connection.transport.get_write_buffer_size() < MIB
        body = await within(conversation.take(size), "the body arrives", 30)
        assert body == WHOLE
        await within(sending, "everything is sent")
        await conversation.send(OK)
        assert (await client.answer("PUT")).status == 200


async def test_a_stalled_client_holds_the_upstream_back_and_gets_all_of_it_in_the_end(
    tmp_path: Path,
) -> None:
    """Also what TLS holds when the upstream has long closed the connection."""
    size = len(WHOLE)
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await taken(upstream)
        await conversation.request()

        async def send() -> None:
            await conversation.send(head + WHOLE, seconds=30)
            conversation.close()

        sending = asyncio.ensure_future(send())
        await client.head()
        assert await settled(lambda: conversation.sent) < HELD
        body = await within(client.take(size), "the body arrives", 30)
        assert body == WHOLE
        await within(sending, "everything is sent")
        assert (await gateway.record())["gateway.reason"] == "passed"


async def test_an_upstream_that_answers_early_and_closes_is_heard(tmp_path: Path) -> None:
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path)) as gateway,
    ):
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 100_000)
        conversation = await taken(upstream)
        await conversation.request_head()
        await conversation.take(100_000)
        await conversation.send(b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        conversation.close()
        answer = await client.answer("PUT")
        assert (answer.status, answer.body, answer.closes) == (413, b"no", True)


# ---- tunnels

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
UPGRADES = [{"name": "ws", "path": "/ws", "upstream": "main", "upgrade": ["websocket"]}]


async def tunnel(
    gateway: Running, upstream: Upstream, *, receive_buffer: int | None = None
) -> tuple[Client, SecureConversation]:
    client = await gateway.connect(receive_buffer=receive_buffer)
    await client.send(get("/ws", "Connection: Upgrade", "Upgrade: websocket"))
    conversation = await taken(upstream)
    await conversation.answer(SWITCH)
    assert await client.status() == 101
    return client, conversation


@pytest.mark.parametrize("closing", ["notify", "fin"])
async def test_a_tunnel_ends_in_order_with_a_close_notify_and_is_reset_without(
    closing: str, tmp_path: Path
) -> None:
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path), routes=UPGRADES) as gateway,
    ):
        client, conversation = await tunnel(gateway, upstream)
        await client.send(b"hello")
        assert await conversation.take(5) == b"hello"
        await conversation.send(b"world")
        assert await client.take(5) == b"world"
        if closing == "notify":
            await conversation.goodbye()
        else:
            conversation.close()
        await client.ended()
        assert client.was_reset == (closing == "fin")
        record = await gateway.record()
        assert record["gateway.reason"] == "tunnel_upstream_closed"
        assert record["gateway.decision"] == ("forward" if closing == "notify" else "abort")


async def test_a_client_that_ends_a_tunnel_ends_it_with_a_close_notify(tmp_path: Path) -> None:
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path), routes=UPGRADES) as gateway,
    ):
        client, conversation = await tunnel(gateway, upstream)
        await client.send(b"hello")
        client.half_close()
        assert await conversation.rest() == b"hello"
        assert (conversation.ragged, conversation.was_reset) == (False, False)
        await client.ended()
        assert (await gateway.record())["gateway.reason"] == "tunnel_client_closed"


async def test_a_stalled_client_of_a_tunnel_gets_all_that_the_upstream_sent_before_it_went(
    tmp_path: Path,
) -> None:
    size = len(WHOLE)
    async with (
        Upstream(context=server_context(LOOPBACK, tmp_path)) as upstream,
        proxy(upstream, upstream_options=trusting(tmp_path), routes=UPGRADES) as gateway,
    ):
        client, conversation = await tunnel(gateway, upstream, receive_buffer=4096)

        async def send() -> None:
            await conversation.send(WHOLE, seconds=30)
            await conversation.goodbye()

        sending = asyncio.ensure_future(send())
        assert await settled(lambda: conversation.sent) < HELD
        assert await within(client.take(size), "everything arrives", 30) == WHOLE
        await within(sending, "everything is sent")
        await client.ended()
