"""Which connection a request gets, and which are kept."""

import asyncio

import pytest

from gateway.config.model import Upstream as Options
from gateway.upstream import connection as upstream
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.pool import Pool
from tests.support.transport import FakeTransport
from tests.support.upstream import Upstream, closed_port

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Owner(upstream.Owner):
    def on_progress(self) -> None: ...
    def on_writable(self) -> None: ...


def pool(*endpoints: str, **options: object) -> Pool:
    return Pool("main", Options.model_validate({"endpoints": endpoints or ("http://a.test:1",), **options}))


def served() -> tuple[UpstreamConnection, FakeTransport]:
    """A connection whose exchange is over."""
    connection, transport = UpstreamConnection(), FakeTransport()
    connection.connection_made(transport)
    connection.begin(Owner(), b"", no_body=False)
    connection.data_received(ANSWER)
    assert connection.complete
    return connection, transport


async def test_the_freshest_connection_is_taken_first() -> None:
    made = pool()
    endpoint = made.next_endpoint()
    first, second = served()[0], served()[0]
    made.give_back(endpoint, first)
    made.give_back(endpoint, second)
    assert made.idle_count == 2
    assert made.take(endpoint) is second
    assert made.take(endpoint) is first
    assert made.take(endpoint) is None
    made.close()


async def test_a_connection_that_has_ended_meanwhile_is_passed_over() -> None:
    made = pool()
    endpoint = made.next_endpoint()
    good, (closed, _), (closing, transport) = served()[0], served(), served()
    for connection in (good, closed, closing):
        made.give_back(endpoint, connection)
    closed.connection_lost(None)
    transport.closing = True
    assert made.take(endpoint) is good
    assert made.take(endpoint) is None
    made.close()


async def test_what_is_not_fit_for_another_request_is_not_kept() -> None:
    made = pool()
    endpoint = made.next_endpoint()
    connection, transport = served()
    connection.keep_alive = False
    made.give_back(endpoint, connection)
    assert (made.idle_count, transport.aborted) == (0, True)
    made.close()


async def test_beyond_the_limit_a_connection_is_ended() -> None:
    made = pool(max_idle=1)
    endpoint = made.next_endpoint()
    (first, kept), (second, ended) = served(), served()
    made.give_back(endpoint, first)
    made.give_back(endpoint, second)
    assert (made.idle_count, kept.closing, ended.closing) == (1, False, True)
    made.close()
    assert kept.closing


async def test_a_closed_pool_keeps_nothing() -> None:
    made = pool()
    endpoint = made.next_endpoint()
    made.close()
    connection, transport = served()
    made.give_back(endpoint, connection)
    assert (made.idle_count, transport.closing) == (0, True)


async def test_endpoints_come_in_turn_and_each_has_its_own_connections() -> None:
    made = pool("http://a.test:1", "http://b.test:2")
    turns = [made.next_endpoint().address for _ in range(4)]
    assert turns[:2] == turns[2:] and set(turns) == {"a.test:1", "b.test:2"}
    one, two = made.next_endpoint(), made.next_endpoint()
    made.give_back(one, served()[0])
    assert made.take(two) is None
    assert made.take(one) is not None
    made.close()


async def test_a_connection_is_made_or_the_failure_raised() -> None:
    async with Upstream() as upstream:
        made = pool(upstream.url)
        connection = await made.connect(made.next_endpoint())
        assert not connection.closed
        connection.abort()
        await (await upstream.accepted()).gone()
        made.close()
    refusing = pool(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(ConnectionRefusedError):
        await refusing.connect(refusing.next_endpoint())
    refusing.close()


async def test_a_connection_that_takes_too_long_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pool(timeouts={"connect": "10ms"})

    async def never(*arguments: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    with pytest.raises(TimeoutError):
        await made.connect(made.next_endpoint())
    made.close()
