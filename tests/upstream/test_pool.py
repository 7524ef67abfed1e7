"""Which connection a request gets, and which are kept."""

import asyncio
import json
import socket
import time
from typing import cast

import pytest
from structlog.testing import capture_logs

from gateway.config.model import Upstream as Options
from gateway.upstream import connection as upstream
from gateway.upstream import pool as pool_module
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.dialer import ConnectError
from gateway.upstream.pool import Endpoint, Pool
from gateway.upstream.resolver import Resolver
from gateway.upstream.selection import Refusal
from tests.support.deadline import settled, until, within
from tests.support.transport import FakeTransport
from tests.support.upstream import Upstream, answers, closed_port

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Owner(upstream.Owner):
    def on_progress(self) -> None: ...
    def on_writable(self) -> None: ...


def pool(*endpoints: str, resolver: Resolver | None = None, **options: object) -> Pool:
    made = Options.model_validate({"endpoints": endpoints or ("http://192.0.2.1:1",), **options})
    return Pool("main", made, resolver=resolver)


def chosen(made: Pool) -> Endpoint:
    endpoint = made.choose()
    assert isinstance(endpoint, Endpoint)
    return endpoint


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
    endpoint = chosen(made)
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
    endpoint = chosen(made)
    good, (closed, _), (closing, transport) = served()[0], served(), served()
    for connection in (good, closed, closing):
        made.give_back(endpoint, connection)
    closed.connection_lost(None)
    transport.closing = True
    assert made.take(endpoint) is good
    assert made.take(endpoint) is None
    made.close()


async def on_a_socket() -> tuple[UpstreamConnection, socket.socket]:
    """A connection whose exchange is over, and its other end."""
    ours, theirs = socket.socketpair()
    connection = UpstreamConnection()
    protocol = cast(asyncio.Protocol, connection)
    await asyncio.get_running_loop().create_connection(lambda: protocol, sock=ours)
    connection.begin(Owner(), b"", no_body=False)
    connection.data_received(ANSWER)
    return connection, theirs


@pytest.mark.parametrize("stray", [ANSWER, b""], ids=["bytes", "end"])
async def test_a_connection_with_something_unread_is_ended_and_another_taken(stray: bytes) -> None:
    made = pool()
    endpoint = chosen(made)
    (good, one), (spoiled, other) = await on_a_socket(), await on_a_socket()
    with one, other:
        made.give_back(endpoint, good)
        made.give_back(endpoint, spoiled)
        if stray:
            other.send(stray)
        else:
            other.shutdown(socket.SHUT_WR)
        assert made.take(endpoint) is good
        assert spoiled.transport.is_closing() and made.idle_count == 0
        made.give_back(endpoint, good)
        assert made.take(endpoint) is good  # which is looked at again
        good.abort()


async def test_whoever_waits_gets_no_connection_with_something_unread() -> None:
    async with Upstream() as upstream:
        made = pool(upstream.url, max_connections=1)
        endpoint = chosen(made)
        connection = await made.connect(endpoint)
        conversation = await upstream.accepted()
        waiting = asyncio.ensure_future(made.connect(endpoint))
        await until(lambda: made.pending == 1, "somebody waits")
        connection.begin(Owner(), b"", no_body=False)
        connection.data_received(ANSWER)
        assert conversation.sock.send(ANSWER) == len(ANSWER)
        made.give_back(endpoint, connection)
        other = await within(waiting, "a connection is made")
        assert other is not connection and connection.closed
        other.abort()


async def test_what_is_not_fit_for_another_request_is_not_kept() -> None:
    made = pool()
    endpoint = chosen(made)
    connection, transport = served()
    connection.keep_alive = False
    made.give_back(endpoint, connection)
    assert (made.idle_count, transport.aborted) == (0, True)
    made.close()


async def test_beyond_the_limit_a_connection_is_ended() -> None:
    made = pool(max_idle=1)
    endpoint = chosen(made)
    (first, kept), (second, ended) = served(), served()
    made.give_back(endpoint, first)
    made.give_back(endpoint, second)
    assert (made.idle_count, kept.closing, ended.closing) == (1, False, True)
    made.close()
    assert kept.closing


async def test_a_closed_pool_keeps_nothing() -> None:
    made = pool()
    endpoint = chosen(made)
    made.close()
    connection, transport = served()
    made.give_back(endpoint, connection)
    assert (made.idle_count, transport.closing) == (0, True)


async def test_endpoints_come_in_turn_and_each_has_its_own_connections() -> None:
    made = pool("http://192.0.2.1:1", "unix:///run/b.sock")
    turns = [chosen(made).address for _ in range(4)]
    assert turns[:2] == turns[2:] and set(turns) == {"192.0.2.1:1", "unix:///run/b.sock"}
    one, two = chosen(made), chosen(made)
    made.give_back(one, served()[0])
    assert made.take(two) is None
    assert made.take(one) is not None
    made.close()


async def test_a_connection_is_made_or_the_failure_raised() -> None:
    async with Upstream() as upstream:
        made = pool(upstream.url)
        endpoint = chosen(made)
        connection = await made.connect(endpoint)
        assert not connection.closed
        assert endpoint.connections == {connection}
        connection.abort()
        await (await upstream.accepted()).gone()
        await until(lambda: endpoint.connections == set(), "the connection is forgotten")
        made.close()
    refusing = pool(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(ConnectError, match="connection refused"):
        await refusing.connect(chosen(refusing))
    assert refusing.endpoints[0].connections == set()
    refusing.close()


async def test_a_connection_whose_other_side_said_that_it_ends_is_passed_over() -> None:
    """Under TLS its transport stands a moment longer."""
    made = pool()
    endpoint = chosen(made)
    connection, _ = served()
    made.give_back(endpoint, connection)
    connection.eof_received()
    assert made.take(endpoint) is None
    made.close()


async def test_connections_that_idle_too_long_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SWEEP", 0.001)
    made = pool(keepalive=0)
    connection, transport = served()
    made.give_back(chosen(made), connection)
    await until(lambda: transport.closing, "the connection is ended")
    assert made.idle_count == 0
    made.close()


class Names:
    """What a name stands for, which the test changes."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.lookups = 0

    async def lookup(self, host: str) -> list[str]:
        self.lookups += 1
        return self.addresses


async def test_no_request_goes_to_an_address_that_the_name_no_longer_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Idle connections end, those in use serve out their exchange, and new ones go to the new address."""
    monkeypatch.setattr(pool_module, "SWEEP", 0.001)
    names = Names("127.0.0.1")
    async with Upstream() as old, Upstream(host="127.0.0.2", port=old.port) as new:
        made = pool(f"http://api.test:{old.port}", resolver=Resolver(names.lookup), resolve="10ms")
        endpoint = chosen(made)
        idle, used, kept = [await made.connect(endpoint) for _ in range(3)]
        for connection in (idle, used, kept):
            connection.begin(Owner(), b"GET / HTTP/1.1\r\n\r\n", no_body=False)
            await (await old.accepted()).answer(ANSWER)
        await until(lambda: idle.complete and used.complete, "the answers are there")
        made.give_back(endpoint, idle)
        names.addresses = ["127.0.0.2"]
        await until(lambda: idle.closed, "the idle connection is ended")
        assert not used.closed
        made.give_back(endpoint, used)
        assert made.idle_count == 0
        await until(lambda: used.closed, "the connection in use is ended after its exchange")
        fresh = await made.connect(endpoint)
        await new.accepted()
        assert fresh.remote == "127.0.0.2"
        names.addresses = ["127.0.0.1", "127.0.0.2"]
        seen = names.lookups
        await until(lambda: names.lookups > seen + 1, "the name is looked up again")
        assert not fresh.closed
        kept.abort()
        fresh.abort()
        made.close()


async def test_a_name_is_looked_up_again_only_while_there_are_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "SWEEP", 0.001)
    names = Names("127.0.0.1")
    async with Upstream() as upstream:
        made = pool(f"http://api.test:{upstream.port}", resolver=Resolver(names.lookup), resolve=0)
        connection = await made.connect(chosen(made))
        await until(lambda: names.lookups > 2, "the name is looked up again and again")
        connection.abort()
        await until(lambda: made._sweep is None, "nothing is left to look after")
        made.close()


# ---- `max_connections`


async def test_no_more_connections_are_made_than_allowed_and_the_next_request_gets_one_that_is_free() -> None:
    async with Upstream(answers(ANSWER)) as upstream:
        made = pool(upstream.url, max_connections=1)
        endpoint = chosen(made)
        first = await made.connect(endpoint)
        second = asyncio.ensure_future(made.connect(endpoint))
        await until(lambda: made.pending == 1, "the second waits")
        first.begin(Owner(), b"GET / HTTP/1.1\r\n\r\n", no_body=False)
        await until(lambda: first.complete, "the answer is there")
        made.give_back(endpoint, first)
        assert await within(second, "the second has a connection") is first
        assert (made.pending, made.idle_count, len(upstream.conversations)) == (0, 0, 1)
        first.abort()
        made.close()


async def test_where_a_connection_ends_the_next_request_may_make_one() -> None:
    async with Upstream() as upstream:
        made = pool(upstream.url, max_connections=1)
        endpoint = chosen(made)
        first = await made.connect(endpoint)
        others = [asyncio.ensure_future(made.connect(endpoint)) for _ in range(2)]
        await until(lambda: made.pending == 2, "two wait")
        first.abort()
        second = await within(others[0], "the first of them has a connection")
        assert second is not first and not second.closed
        assert not others[1].done() and made.pending == 1
        second.abort()
        third = await within(others[1], "the other has one")
        assert endpoint.connections == {third} and endpoint.connecting == 0
        third.abort()
        made.close()


async def test_a_request_waits_for_a_while_and_no_longer() -> None:
    async with Upstream() as upstream:
        made = pool(upstream.url, max_connections=1, pending_timeout="10ms")
        endpoint = chosen(made)
        first = await made.connect(endpoint)
        with pytest.raises(ConnectError, match="no connection has become free") as caught:
            await made.connect(endpoint)
        assert caught.value.reason == "upstream_pool_exhausted"
        assert made.pending == 0
        first.abort()
        second = await made.connect(endpoint)
        second.abort()
        made.close()


async def test_a_connection_that_cannot_be_made_leaves_its_place() -> None:
    made = pool(f"http://127.0.0.1:{closed_port()}", max_connections=1)
    endpoint = chosen(made)
    outcomes = await within(
        asyncio.gather(*(made.connect(endpoint) for _ in range(3)), return_exceptions=True), "all are refused"
    )
    assert [str(outcome) for outcome in outcomes] == ["connection refused"] * 3
    assert endpoint.connecting == 0 and not endpoint.waiting
    made.close()


@pytest.mark.parametrize("free", [True, False])
async def test_what_was_given_to_a_request_that_has_gone_is_for_the_next(free: bool) -> None:
    """It was cancelled just when its turn had come."""
    made = pool(f"http://127.0.0.1:{closed_port()}", max_connections=1)
    endpoint = chosen(made)
    connection, _ = served()
    connection.home = endpoint
    endpoint.connections.add(connection)
    gone, next_one = [asyncio.ensure_future(made.connect(endpoint)) for _ in range(2)]
    await until(lambda: made.pending == 2, "both wait")
    if free:
        made.give_back(endpoint, connection)
    else:
        connection.connection_lost(None)
    assert made.pending == 1
    gone.cancel()
    if free:
        assert await within(next_one, "the next has it") is connection
    else:
        with pytest.raises(ConnectError, match="connection refused"):
            await within(next_one, "the next tries to make one")
    assert endpoint.connecting == 0 and not endpoint.waiting
    await asyncio.gather(gone, return_exceptions=True)
    made.close()


async def test_a_connection_that_was_handed_over_and_has_ended_meanwhile_is_none() -> None:
    async with Upstream() as upstream:
        made = pool(upstream.url, max_connections=1)
        endpoint = chosen(made)
        connection, transport = served()
        connection.home = endpoint
        endpoint.connections.add(connection)
        waiting = asyncio.ensure_future(made.connect(endpoint))
        await until(lambda: made.pending == 1, "it waits")
        made.give_back(endpoint, connection)
        transport.closing = True
        connection.connection_lost(None)
        fresh = await within(waiting, "another is made")
        assert fresh is not connection and endpoint.connections == {fresh}
        fresh.abort()
        made.close()


# ---- what attempts leave behind


async def test_a_pool_of_one_endpoint_without_options_chooses_and_counts_nothing() -> None:
    made = pool()
    assert made.only is made.endpoints[0] is chosen(made)
    assert not made.counts and made.key_of is None
    made.close()


async def test_an_ejected_endpoint_comes_back_without_a_request() -> None:
    made = pool("http://192.0.2.1:1", "http://192.0.2.2:1", ejection={"failures": 1, "time": "10ms"})
    with capture_logs() as logs:
        endpoint = chosen(made)
        made.over(made.begun(endpoint), "upstream_connect_failed")
        assert chosen(made) is not endpoint and chosen(made) is not endpoint
        status = made.status()["endpoints"][endpoint.member.index]
        assert (status["state"], status["ejections"]) == ("ejected", 1)
        assert status["ejected_until"] == pytest.approx(time.time() + 0.01, abs=1)
        await until(lambda: not endpoint.member.ejected, "it is back")
    assert [(line["event"], line["log_level"], line["endpoint"]) for line in logs] == [
        ("endpoint_ejected", "warning", endpoint.address),
        ("endpoint_back", "info", endpoint.address),
    ]
    assert {line["upstream"] for line in logs} == {"main"}
    made.close()


async def test_a_closed_pool_leaves_no_timer_behind() -> None:
    made = pool("http://192.0.2.1:1", "http://192.0.2.2:1", ejection={"failures": 1})
    ticket = made.begun(chosen(made))
    made.over(made.begun(chosen(made)), "upstream_connect_failed")
    assert made._return is not None
    made.close()
    assert made._return is None
    made.over(ticket, "upstream_connect_failed")
    assert made._return is None


async def test_the_status_of_a_pool_is_plain_json() -> None:
    made = pool(
        "http://192.0.2.1:1",
        "http://192.0.2.2:1",
        ejection={},
        breaker={"endpoint": {"requests": 1}, "pool": None},
        max_connections=2,
    )
    endpoint = chosen(made)
    made.over(made.begun(endpoint), "upstream_connect_failed")
    made.begun(chosen(made))
    made.give_back(endpoint, served()[0])
    status = json.loads(json.dumps(made.status()))
    assert (status["name"], status["panic"], status["pending"]) == ("main", False, 0)
    assert status["breaker"] == {"state": "closed", "until": None}
    failed, other = status["endpoints"] if endpoint.member.index == 0 else status["endpoints"][::-1]
    assert (failed["state"], failed["failures"], failed["idle"]) == ("up", 1, 1)
    assert failed["breaker"]["state"] == "open"
    assert (other["active"], other["check"]) == (1, None)
    made.close()


async def test_checks_begin_at_once_and_end_with_the_pool() -> None:
    async with Upstream(answers(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")) as upstream:
        made = pool(upstream.url, health={"path": "/up", "interval": "10ms"}, panic_percent=0)
        assert made.only is None
        assert isinstance(made.choose(), Endpoint)
        await until(lambda: isinstance(made.choose(), Refusal), "the endpoint is out")
        check = made.status()["endpoints"][0]["check"]
        assert (check["ok"], check["found"]) == (False, "status 500")
        assert made.endpoints[0].connections == set(), "those of checks are their own"
        await until(lambda: len(upstream.conversations) > 2, "it is checked again and again")
        made.close()
        await settled(lambda: len(upstream.conversations), for_seconds=0.1)
        assert {request.target for request in upstream.requests} == {b"/up"}


async def test_an_endpoint_out_of_reach_is_left_alone_by_others_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where none can be reached, each request makes about one attempt, and not one at every endpoint."""
    made = pool(*(f"http://127.0.0.1:{closed_port()}" for _ in range(3)))
    one, two, three = made.endpoints
    for endpoint in (one, two):
        with pytest.raises(ConnectError):
            await made.connect(endpoint)
    assert made.another(None, [one]) is three
    assert made.another(None, [three]) is None
    with pytest.raises(ConnectError):
        await made.connect(three)
    monkeypatch.setattr(pool_module, "OUT_OF_REACH", 0.0)
    assert made.another(None, [three]) in (one, two), "the moment is over"
    made.close()


async def test_an_endpoint_that_is_reached_again_is_one_to_go_to() -> None:
    async with Upstream() as upstream:
        made = pool(f"http://127.0.0.1:{closed_port()}", upstream.url)
        away, back = made.endpoints
        back.missed_at = away.missed_at = asyncio.get_running_loop().time()
        assert made.another(None, [away]) is None
        (await made.connect(back)).abort()
        assert made.another(None, [away]) is back
        made.close()


async def test_an_outage_is_not_multiplied_by_the_number_of_endpoints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "OUT_OF_REACH", float("inf"))
    made = pool(*(f"http://127.0.0.1:{closed_port()}" for _ in range(4)))
    attempts = 0
    for _ in range(100):
        tried: list[Endpoint] = []
        endpoint: Endpoint | None = chosen(made)
        while endpoint is not None:
            tried.append(endpoint)
            with pytest.raises(ConnectError):
                await made.connect(endpoint)
            endpoint = made.another(None, tried)
        attempts += len(tried)
    assert attempts == 100 + 3, "the first request finds out"
    made.close()
