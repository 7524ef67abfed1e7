"""The client that filters ask services by, against servers that behave and others that do not."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.api import HttpError, HttpOptions, TlsOptions
from gateway.upstream.http_client import SessionClient
from gateway.upstream.tls import verified_context
from tests.support.certificates import Authority
from tests.support.deadline import until, within
from tests.support.upstream import OK, Conversation, Script, Upstream, answers, closed_port


def client(server: Upstream, context: ssl.SSLContext | None = None, **options: Any) -> SessionClient:
    made = HttpOptions(server.url + "/v3/", **options)
    return SessionClient(made, context)


async def ended(server: Upstream, asker: SessionClient) -> None:
    """Closes the client, and sees that it leaves no connection behind."""
    asker.close()
    for conversation in server.conversations:
        await within(conversation.rest(), "the client closes its connections")


async def failure(server: Upstream, **options: Any) -> HttpError:
    asker = client(server, **options)
    with pytest.raises(HttpError) as caught:
        await within(asker.request("GET", "/x"), "the request fails")
    asker.close()
    return caught.value


async def test_asks_and_is_answered() -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 3\r\n\r\nabc"
    async with Upstream(answers(answer)) as server:
        asker = client(server)
        for _ in range(2):
            found = await asker.request("POST", "/auth?nocatalog", headers=[("X-T", "t")], body=b"{}")
            assert (found.status, found.headers["x-a"], found.body) == (404, "1", b"abc")
        (conversation,) = server.conversations
        asked = conversation.requests[0]
        assert (asked.method, asked.target, asked.body) == ("POST", b"/v3/auth?nocatalog", b"{}")
        assert asked.get("x-t") == "t"
        assert asked.get("accept-encoding") == "identity"
        assert (asked.get("user-agent") or "").startswith("Weir/")
        await ended(server, asker)


async def test_follows_no_redirect_keeps_no_cookie_and_takes_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    answer = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with Upstream(answers(answer)) as server:
        asker = client(server)
        for _ in range(2):
            assert (await asker.request("GET", "/x")).status == 302
        assert [(asked.target, asked.get("cookie")) for asked in server.requests] == [(b"/v3/x", None)] * 2
        await ended(server, asker)


async def test_what_is_sent_compressed_is_handed_over_as_it_is() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    async with Upstream(answers(answer)) as server:
        asker = client(server)
        assert (await asker.request("GET", "/x")).body == b"abc"
        await ended(server, asker)


async def test_of_a_scheme_alone_the_path_names_the_host() -> None:
    async with Upstream(answers(OK)) as one, Upstream(answers(OK)) as other:
        asker = SessionClient(HttpOptions("http:"), None)
        for server in (one, other):
            assert (await asker.request("GET", server.url.removeprefix("http:") + "/keys?a=b")).status == 200
            assert [asked.target for asked in server.requests] == [b"/keys?a=b"]
            assert server.requests[0].get("host") == server.url.removeprefix("http://")
        asker.close()
        for server in (one, other):
            for conversation in server.conversations:
                await within(conversation.rest(), "the client closes its connections")


async def silent(conversation: Conversation) -> None:
    await conversation.next_request()
    await conversation.rest()


async def half(conversation: Conversation) -> None:
    await conversation.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await conversation.rest()


async def cut(conversation: Conversation) -> None:
    await conversation.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")


async def hangs_up(conversation: Conversation) -> None:
    await conversation.next_request()


HUGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000
LONG_HEAD = b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n"
LONG_REASON = b"HTTP/1.1 200 " + b"a" * 100_000 + b"\r\n\r\n"
MANY_FIELDS = b"HTTP/1.1 401 No\r\n" + b"Set-Cookie: a=b\r\n" * 200 + b"Content-Length: 0\r\n\r\n"
NUL = b"HTTP/1.1 302 Found\r\nLocation: /?to=\0\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (silent, "timeout"),
        (half, "timeout"),
        (cut, "broken"),
        (hangs_up, "broken"),
        (answers(b"SSH-2.0-OpenSSH\r\n\r\n"), "garbled"),
        (answers(NUL), "garbled"),
        (answers(LONG_HEAD), "too_large"),
        (answers(LONG_REASON), "too_large"),
        (answers(MANY_FIELDS), "too_large"),
        (answers(HUGE), "too_large"),
        (answers(ENDLESS), "too_large"),
    ],
)
async def test_a_service_that_does_not_behave(script: Script, reason: str) -> None:
    async with Upstream(script) as server:
        error = await failure(server, timeout=0.2 if reason == "timeout" else 5.0, max_body=1000)
        assert error.reason == reason
        assert "SSH" not in str(error)


@pytest.mark.parametrize(
    ("script", "status"), [(silent, None), (hangs_up, None), (half, 200), (cut, 200), (answers(HUGE), 200)]
)
async def test_of_an_answer_that_fails_in_its_body_the_head_is_told(
    script: Script, status: int | None
) -> None:
    async with Upstream(script) as server:
        answer = (await failure(server, timeout=0.2, max_body=1000)).answer
        assert (answer.status if answer is not None else None) == status
        assert answer is None or (answer.headers["content-length"], answer.body) in (
            ("10", b""),
            ("2000", b""),
        )


async def test_an_answer_may_quote_the_longest_target_and_the_longest_field() -> None:
    quoted = b"%2F" * (16 << 10)
    answer = b"HTTP/1.1 302 Found\r\nLocation: /?to=" + quoted + b"\r\nContent-Length: 0\r\n\r\n"
    async with Upstream(answers(answer)) as server:
        asker = client(server)
        assert (await asker.request("GET", "/x")).headers["location"] == "/?to=" + quoted.decode()
        await ended(server, asker)


async def test_nobody_listens() -> None:
    async with Upstream() as server:
        await server.stop_listening()
        assert str(await failure(server)) == "connect: connection refused"


async def test_requests_at_once_and_those_that_wait_are_bounded() -> None:
    async with Upstream() as server:
        asker = client(server, concurrency=1, queue=1)
        first = asyncio.ensure_future(asker.request("GET", "/1"))
        conversation = await server.accepted()
        await conversation.request()
        second = asyncio.ensure_future(asker.request("GET", "/2"))
        await asyncio.sleep(0)
        with pytest.raises(HttpError, match=r"^busy$"):
            await asker.request("GET", "/3")
        await conversation.send(OK)
        assert (await within(first, "the first is answered")).status == 200
        await conversation.answer(OK)
        assert (await within(second, "the second is answered")).status == 200
        assert [asked.target for asked in conversation.requests] == [b"/v3/1", b"/v3/2"]
        await ended(server, asker)


async def test_who_waits_in_vain_for_a_turn_is_told_so_and_waiting_takes_nothing_from_the_answers_time() -> (
    None
):
    async with Upstream() as server:
        asker = client(server, concurrency=1, queue=2, timeout=0.5)
        first = asyncio.ensure_future(asker.request("GET", "/1"))
        conversation = await server.accepted()
        await conversation.request()
        second = asyncio.ensure_future(asker.request("GET", "/2"))
        await asyncio.sleep(0.3)
        await conversation.send(OK)
        assert (await within(first, "the first is answered")).status == 200
        await conversation.request()
        third = asyncio.ensure_future(asker.request("GET", "/3", timeout=0.1))
        with pytest.raises(HttpError, match=r"^busy$"):
            await third
        await asyncio.sleep(0.25)
        await conversation.send(OK)
        assert (await within(second, "the second is answered")).status == 200
        await ended(server, asker)


async def test_closed_it_answers_what_is_out_and_takes_no_more() -> None:
    async with Upstream() as server:
        asker = client(server)
        asking = asyncio.ensure_future(asker.request("GET", "/x"))
        conversation = await server.accepted()
        await conversation.request()
        asker.close()
        with pytest.raises(HttpError, match=r"^closed$"):
            await asker.request("GET", "/y")
        await conversation.send(OK)
        assert (await within(asking, "the request is answered")).body == b"ok"
        await within(conversation.rest(), "the connection is closed after it")


async def test_one_that_was_never_used_has_nothing_to_close() -> None:
    async with Upstream() as server:
        client(server).close()
        assert server.conversations == []


async def test_a_service_by_tls_is_verified(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    identity = authority.sign("127.0.0.1")
    (tmp_path / "server.pem").write_bytes(identity.certificate + identity.key)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(tmp_path / "server.pem")
    async with Upstream(answers(OK), context=own) as server:
        asker = client(server, verified_context(TlsOptions(ca="ca.pem"), tmp_path))
        assert (await asker.request("GET", "/x")).status == 200
        stranger = client(server, verified_context(TlsOptions(), tmp_path))
        with pytest.raises(HttpError) as caught:
            await stranger.request("GET", "/x")
        assert caught.value.reason == "tls"
        stranger.close()
        asker.close()
        await until(lambda: asker._session is None, "the session is closed")
