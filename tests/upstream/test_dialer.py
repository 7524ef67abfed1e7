"""How a connection is made: which addresses are tried, when the next one, and what is said where none answers."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.config.model import parse_endpoint
from gateway.upstream import dialer as dialer_module
from gateway.upstream.connection import Owner, UpstreamConnection
from gateway.upstream.dialer import ConnectError, Dialer
from gateway.upstream.resolver import Resolver, system_lookup
from tests.support.certificates import Authority, authority, server_context
from tests.support.deadline import settled, until, within
from tests.support.transport import FakeTransport
from tests.support.upstream import Conversation, SecureConversation, Upstream, closed_port


def resolver(*addresses: str, failure: OSError | None = None) -> Resolver:
    async def lookup(host: str) -> list[str]:
        if failure is not None:
            raise failure
        return list(addresses)

    return Resolver(lookup)


def dialer(
    url: str,
    *addresses: str,
    timeout: float = 5.0,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
    names: Resolver | None = None,
) -> Dialer:
    return Dialer(
        parse_endpoint(url),
        names or resolver(*addresses),
        timeout=timeout,
        max_age=30.0,
        context=context,
        server_name=server_name,
    )


async def failure(made: Dialer) -> tuple[str, str]:
    with pytest.raises(ConnectError) as raised:
        await within(made.connect(), "there is an end")
    assert str(raised.value) == raised.value.detail
    return raised.value.reason, raised.value.detail


class Network:
    """What happens to each address that is connected to: a connection at once, or after an event, an OSError, or
    nothing, for None.

    `silent` are those that are being waited for, `made` the transports of connections.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, **outcomes: OSError | asyncio.Event | bool | None
    ) -> None:
        self._outcomes = outcomes
        self.tried: list[str] = []
        self.silent: list[str] = []
        self.made: dict[str, FakeTransport] = {}
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", self._connect)
        monkeypatch.setattr(dialer_module, "STAGGER", 0.01)

    async def _connect(
        self, factory: Callable[[], UpstreamConnection], host: str, port: int
    ) -> tuple[FakeTransport, UpstreamConnection]:
        self.tried.append(host)
        outcome = self._outcomes[host[-1]]
        await asyncio.sleep(0)
        if outcome is None:
            self.silent.append(host)
            try:
                await asyncio.Event().wait()
            finally:
                self.silent.remove(host)
        if isinstance(outcome, OSError):
            raise outcome
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        connection = factory()
        transport = self.made[host] = FakeTransport()
        connection.connection_made(transport)
        return transport, connection


A, B, C = "192.0.2.10a", "192.0.2.10b", "192.0.2.10c"


async def test_an_address_is_connected_to_as_it_is() -> None:
    async with Upstream() as upstream:
        made = dialer(upstream.url)
        assert made.name is None
        connection = await made.connect()
        await upstream.accepted()
        assert connection.remote is None
        connection.abort()


async def test_localhost_is_a_name_as_any_other() -> None:
    host = (await system_lookup("localhost"))[0]
    async with Upstream(host=host) as upstream:
        made = dialer(f"http://localhost:{upstream.port}", names=Resolver())
        connection = await made.connect()
        await upstream.accepted()
        assert connection.remote == host
        connection.abort()


async def test_localhost_is_reached_on_the_one_address_that_it_listens_on() -> None:
    async with Upstream() as upstream:
        connection = await dialer(f"http://localhost:{upstream.port}", "::1", "127.0.0.1").connect()
        assert connection.remote == "127.0.0.1"
        connection.abort()


async def test_each_connection_begins_at_another_address() -> None:
    async with Upstream() as one, Upstream(host="127.0.0.2", port=one.port):
        made = dialer(f"http://api.test:{one.port}", "127.0.0.1", "127.0.0.2")
        connections = [await made.connect() for _ in range(4)]
        assert [connection.remote for connection in connections] == ["127.0.0.1", "127.0.0.2"] * 2
        for connection in connections:
            connection.abort()


async def test_the_next_address_is_tried_as_soon_as_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, a=ConnectionRefusedError(111, "x"), b=OSError(101, "y"), c=True)
    monkeypatch.setattr(dialer_module, "STAGGER", 60.0)
    connection = await dialer("http://api.test", A, B, C).connect()
    assert network.tried == [A, B, C]
    assert connection.remote == C


async def test_the_next_address_is_tried_beside_one_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, a=None, b=True, c=True)
    connection = await dialer("http://api.test", A, B, C).connect()
    assert network.tried == [A, B]
    assert connection.remote == B
    await until(lambda: network.silent == [], "nobody waits for the silent one any more")


async def test_of_two_that_answer_at_once_one_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    both = asyncio.Event()
    network = Network(monkeypatch, a=both, b=both)
    connecting = asyncio.ensure_future(dialer("http://api.test", A, B).connect())
    await until(lambda: network.tried == [A, B], "both are being connected to")
    both.set()
    connection = await connecting
    await until(
        lambda: sorted(transport.aborted for transport in network.made.values()) == [False, True],
        "the other connection is ended",
    )
    assert connection.remote is not None and not network.made[connection.remote].aborted


async def test_all_that_was_tried_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Network(monkeypatch, a=ConnectionRefusedError(111, "x"), b=TimeoutError(110, "y"))
    assert await failure(dialer("http://api.test", A, B)) == (
        "upstream_connect_timeout",
        f"{A}: connection refused; {B}: connection timed out",
    )
    assert await failure(dialer("http://api.test", B, A)) == (
        "upstream_connect_failed",
        f"{B}: connection timed out; {A}: connection refused",
    )


async def test_a_refusal_says_what_the_system_says() -> None:
    assert await failure(dialer(f"http://127.0.0.1:{closed_port()}")) == (
        "upstream_connect_failed",
        "connection refused",
    )


async def test_silence_ends_with_the_time_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, a=None, b=None)
    assert await failure(dialer("http://api.test", A, B, timeout=0.05)) == (
        "upstream_connect_timeout",
        f"no answer from {A}, {B}",
    )
    await until(lambda: network.silent == [], "nobody waits any more")


async def test_who_gives_up_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, a=None, b=None)
    connecting = asyncio.ensure_future(dialer("http://api.test", A, B).connect())
    await until(lambda: network.silent == [A, B], "both are waited for")
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    await until(lambda: network.silent == [], "nobody waits any more")


async def test_a_name_without_an_address_is_a_reason_of_its_own() -> None:
    names = resolver(failure=OSError(-2, "Name or service not known"))
    assert await failure(dialer("http://api.test", names=names)) == (
        "upstream_resolve_failed",
        "api.test: name or service not known",
    )


async def test_a_lookup_takes_of_the_time_for_connecting() -> None:
    async def never(host: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    assert await failure(dialer("http://api.test", names=Resolver(never), timeout=0.01)) == (
        "upstream_connect_timeout",
        "api.test: no answer to the lookup",
    )


async def test_a_connection_that_ends_before_it_can_be_used_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(
        factory: Callable[[], UpstreamConnection], host: str, port: int
    ) -> tuple[FakeTransport, UpstreamConnection]:
        connection, transport = factory(), FakeTransport()
        connection.connection_made(transport)
        connection.connection_lost(ConnectionResetError())
        transport.closing = True
        return transport, connection

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
    assert await failure(dialer("http://192.0.2.1")) == (
        "upstream_connect_failed",
        "the connection was closed at once",
    )
    assert await failure(dialer("https://192.0.2.1", context=client_context())) == (
        "upstream_tls_failed",
        "the connection was closed during the handshake",
    )


# ---- sockets of this host


async def test_a_socket_is_connected_to(tmp_path: Path) -> None:
    async with Upstream(path=tmp_path / "api.sock") as upstream:
        made = dialer(upstream.url)
        assert made.name is None
        connection = await made.connect()
        await upstream.accepted()
        connection.abort()


async def test_a_socket_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    assert await failure(dialer(f"unix://{tmp_path}/api.sock")) == (
        "upstream_connect_failed",
        "no such file or directory",
    )
    (tmp_path / "api.sock").touch()
    assert await failure(dialer(f"unix://{tmp_path}/api.sock")) == (
        "upstream_connect_failed",
        "connection refused",
    )


# ---- TLS


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority().certificate.decode())
    return context


async def test_an_address_that_is_not_trusted_gives_way_to_the_next(tmp_path: Path) -> None:
    stranger = server_context(Authority().sign("api.test"), tmp_path)
    true = server_context(authority().sign("api.test"), tmp_path)
    async with (
        Upstream(context=stranger) as one,
        Upstream(context=true, host="127.0.0.2", port=one.port),
    ):
        addresses = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
        made = dialer(f"https://api.test:{one.port}", *addresses, context=client_context())
        connection = await made.connect()
        assert connection.remote == "127.0.0.2"
        connection.abort()
        await until(lambda: len(one.refusals) == 1, "the stranger is refused")


async def test_the_server_that_answers_wrongly_is_the_one_that_is_told_of(tmp_path: Path) -> None:
    context = server_context(authority().sign("other.test"), tmp_path)
    async with Upstream(context=context) as upstream:
        made = dialer(f"https://api.test:{upstream.port}", "127.0.0.1", "127.0.0.3", context=client_context())
        assert await failure(made) == (
            "upstream_tls_unverified",
            "127.0.0.1: Hostname mismatch, certificate is not valid for 'api.test'; "
            "127.0.0.3: connection refused",
        )


async def test_a_dot_at_the_end_of_a_name_is_no_part_of_it(tmp_path: Path) -> None:
    context = server_context(authority().sign("api.test"), tmp_path)
    async with Upstream(context=context) as upstream:
        made = dialer(f"https://api.test.:{upstream.port}", "127.0.0.1", context=client_context())
        (await made.connect()).abort()


class Reader(Owner):
    """Reads an answer as far as it is let."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self.body = b""

    def on_progress(self) -> None:
        self.body += self._connection.take()

    def on_writable(self) -> None: ...


Ending = Callable[[SecureConversation], Awaitable[None]]


async def _notify(conversation: SecureConversation) -> None:
    await conversation.goodbye()


async def _fin(conversation: SecureConversation) -> None:
    conversation.close()


ENDS: Mapping[str, tuple[Ending, Any]] = {
    "notify": (_notify, (True, None, None)),
    "fin": (_fin, (False, "upstream_closed", "the answer ended without a close_notify")),
}


@pytest.mark.parametrize("end", ENDS)
async def test_only_a_close_notify_ends_an_answer(end: str, tmp_path: Path) -> None:
    """RFC 9112 section 9.8. The event loops tell of the two in ways of their own."""
    ending, outcome = ENDS[end]

    async def script(conversation: Conversation) -> None:
        assert isinstance(conversation, SecureConversation)
        await conversation.answer(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await ending(conversation)

    context = server_context(authority().sign("127.0.0.1"), tmp_path)
    async with Upstream(script, context=context) as upstream:
        connection = await dialer(upstream.url, context=client_context()).connect()
        reader = Reader(connection)
        connection.begin(reader, b"GET / HTTP/1.1\r\n\r\n", no_body=False)
        await until(lambda: connection.closed, "the connection ends")
        assert (connection.complete, connection.error, connection.detail) == outcome
        assert reader.body + connection.take() == b"hello"


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("size", [1000, 100_000, 1_000_000])
async def test_nothing_is_lost_of_an_answer_whose_end_comes_while_nobody_reads(
    size: int, end: str, tmp_path: Path
) -> None:
    """The upstream is done, and gone, before the rest of its answer is looked at."""
    ending, _ = ENDS[end]

    async def script(conversation: Conversation) -> None:
        assert isinstance(conversation, SecureConversation)
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        await conversation.fill()
        await conversation.send(b"a" * size)
        await ending(conversation)

    context = server_context(authority().sign("127.0.0.1"), tmp_path)
    async with Upstream(script, context=context) as upstream:
        connection = await dialer(upstream.url, context=client_context()).connect()
        reader = Reader(connection)
        connection.begin(reader, b"GET / HTTP/1.1\r\n\r\n", no_body=False)
        await until(lambda: connection.head_done, "the head arrives")
        connection.pause()
        connection.write(b"go on")
        served = upstream.conversations[0]
        await settled(lambda: served.sent)
        connection.resume()
        await until(lambda: connection.complete or connection.error is not None, "the answer ends")
        assert (connection.error, len(reader.body)) == (None, size)
        connection.abort()


async def test_refused_is_what_nobody_listens_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for made in (dialer(f"http://127.0.0.1:{closed_port()}"), dialer(f"unix://{tmp_path}/none.sock")):
        with pytest.raises(ConnectError) as raised:
            await within(made.connect(), "there is an end")
        assert raised.value.refused
    Network(monkeypatch, a=ConnectionRefusedError(111, "x"), b=TimeoutError(110, "y"), c=OSError(101, "z"))
    for addresses in ((A, B), (C,)):
        with pytest.raises(ConnectError) as raised:
            await within(dialer("http://api.test", *addresses).connect(), "there is an end")
        assert not raised.value.refused, "one of them may be there"
