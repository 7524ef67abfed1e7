"""The attempts of one request, by a script: when a second is made, what each is told."""

import asyncio
import ssl
from typing import Any, cast

import pytest

from gateway.config.model import Upstream as Options
from gateway.config.traffic import Retries
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.dialer import ConnectError
from gateway.upstream.leg import Leg, LegOwner
from gateway.upstream.pool import Endpoint, Pool
from gateway.upstream.retry import IDEMPOTENT, Retry
from tests.support.deadline import until
from tests.support.transport import FakeTransport

REFUSED = ConnectError("upstream_connect_failed", "connection refused")
LATE = ConnectError("upstream_connect_timeout", "no answer")
UNVERIFIED = ConnectError("upstream_tls_unverified", "certificate has expired")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Owner(LegOwner):
    def __init__(self) -> None:
        self.events: list[str] = []

    def on_leg_ready(self) -> None:
        self.events.append("ready")

    def on_leg_progress(self) -> None:
        self.events.append("progress")

    def on_leg_writable(self) -> None:
        self.events.append("writable")

    def on_leg_failure(self, reason: str) -> None:
        self.events.append(reason)


class ScriptedPool(Pool):
    """Makes connections without sockets: each of `outcomes` is one attempt to connect."""

    def __init__(self, *outcomes: BaseException | None, endpoints: int = 1) -> None:
        addresses = [f"http://{name}.test:1" for name in "abc"[:endpoints]]
        super().__init__("main", Options.model_validate({"endpoints": addresses}))
        self._outcomes = list(outcomes)
        self.remote: str | None = None
        self.made: list[UpstreamConnection] = []

    async def connect(self, endpoint: Endpoint) -> UpstreamConnection:
        outcome = self._outcomes.pop(0)
        await asyncio.sleep(0)
        if outcome is not None:
            raise outcome
        return self.new()

    def new(self) -> UpstreamConnection:
        connection = UpstreamConnection()
        connection.connection_made(FakeTransport())
        connection.remote = self.remote
        self.made.append(connection)
        return connection

    def pooled(self) -> UpstreamConnection:
        """Leaves one connection that has served before."""
        connection = self.new()
        connection.begin(cast(Any, _Nobody()), b"", no_body=False)
        connection.data_received(OK)
        cast(FakeTransport, connection.transport).written.clear()
        self.give_back(self.endpoints[0], connection)
        return connection


class _Nobody:
    def on_progress(self) -> None: ...
    def on_writable(self) -> None: ...


def begun(
    pool: Pool, *, method: str = "GET", whole: bool = True, chunked: bool = False, host: bytes | None = None
) -> tuple[Leg, Owner]:
    owner = Owner()
    leg = Leg(pool, owner, asyncio.get_running_loop())
    line = f"{method} / HTTP/1.1\r\n".encode()
    leg.start(line, b"X: y\r\n\r\n", host=host, method=method, whole=whole, chunked=chunked)
    return leg, owner


def written(connection: UpstreamConnection | None) -> bytes:
    assert connection is not None
    return bytes(cast(FakeTransport, connection.transport).written)


async def ready(owner: Owner) -> None:
    await until(lambda: bool(owner.events), "the leg tells its owner something")


async def test_a_request_goes_over_a_new_connection_and_back_to_the_pool() -> None:
    pool = ScriptedPool(None)
    leg, owner = begun(pool)
    await ready(owner)
    assert owner.events == ["ready"]
    assert written(leg.connection) == b"GET / HTTP/1.1\r\nX: y\r\n\r\n"
    pool.made[0].data_received(OK)
    assert owner.events == ["ready", "progress"]
    leg.done()
    assert pool.idle_count == 1
    (attempt,) = leg.attempts
    assert (attempt.upstream, attempt.address, attempt.reused, attempt.status) == (
        "main",
        "a.test:1",
        False,
        200,
    )
    assert attempt.error is None and attempt.connect is not None and attempt.first_byte is not None
    pool.close()


async def test_an_attempt_names_the_address_that_a_name_stood_for_and_what_more_is_known_of_an_error() -> (
    None
):
    pool = ScriptedPool(None)
    pool.remote = "192.0.2.1"
    leg, owner = begun(pool, method="POST")
    await ready(owner)
    error = ssl.SSLError(1, "x")
    error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    pool.made[0].connection_lost(error)
    assert owner.events == ["ready", "upstream_tls_failed"]
    (attempt,) = leg.attempts
    assert (attempt.error, attempt.peer, attempt.detail) == (
        "upstream_tls_failed",
        "192.0.2.1",
        "tlsv13 alert certificate required",
    )
    pool.close()


async def test_a_pooled_connection_is_used_at_once() -> None:
    pool = ScriptedPool()
    connection = pool.pooled()
    leg, owner = begun(pool)
    assert leg.connection is connection
    assert owner.events == []
    assert written(connection) == b"GET / HTTP/1.1\r\nX: y\r\n\r\n"
    leg.abort("client_disconnected")
    assert cast(FakeTransport, connection.transport).aborted
    assert (leg.attempts[0].reused, leg.attempts[0].connect) == (True, None)
    pool.close()


@pytest.mark.parametrize(
    ("host", "line"), [(None, b""), (b"", b"Host: a.test:1\r\n"), (b"b", b"Host: b\r\n")]
)
async def test_host_is_left_alone_or_the_endpoints_or_the_one_given(host: bytes | None, line: bytes) -> None:
    pool = ScriptedPool()
    connection = pool.pooled()
    leg, _ = begun(pool, host=host)
    assert written(connection) == b"GET / HTTP/1.1\r\n" + line + b"X: y\r\n\r\n"
    leg.abort("client_disconnected")
    pool.close()


@pytest.mark.parametrize("method", sorted(IDEMPOTENT))
async def test_a_stale_connection_is_replaced_once_for_an_idempotent_method(method: str) -> None:
    pool = ScriptedPool(None)
    stale = pool.pooled()
    leg, owner = begun(pool, method=method)
    stale.connection_lost(ConnectionResetError())
    await ready(owner)
    assert owner.events == ["ready"]
    assert written(leg.connection) == written(stale)
    leg.connection.connection_lost(None) if leg.connection else None
    assert owner.events == ["ready", "upstream_closed"]
    assert [(attempt.reused, attempt.error) for attempt in leg.attempts] == [
        (True, "upstream_closed"),
        (False, "upstream_closed"),
    ]
    pool.close()


@pytest.mark.parametrize("method", ["POST", "PATCH", "PROPPATCH"])
async def test_a_stale_connection_is_a_failure_for_any_other_method(method: str) -> None:
    """P15."""
    pool = ScriptedPool(None)
    stale = pool.pooled()
    _, owner = begun(pool, method=method)
    stale.connection_lost(None)
    assert owner.events == ["upstream_closed"]
    pool.close()


async def test_nothing_is_repeated_after_a_byte_of_an_answer_or_of_a_streamed_body() -> None:
    pool = ScriptedPool(None, None)
    first = pool.pooled()
    _, owner = begun(pool)
    first.data_received(b"HTTP/1.1 ")
    first.connection_lost(None)
    assert owner.events == ["progress", "upstream_closed"]
    second = pool.pooled()
    leg, owner = begun(pool, method="PUT", whole=False, chunked=True)
    leg.write(b"hello")
    second.connection_lost(None)
    assert owner.events == ["upstream_closed"]
    pool.close()


async def test_the_next_endpoint_is_tried_when_no_connection_can_be_made() -> None:
    pool = ScriptedPool(REFUSED, LATE, None, endpoints=3)
    leg, owner = begun(pool, method="POST")
    await ready(owner)
    assert owner.events == ["ready"]
    assert [(attempt.error, attempt.detail) for attempt in leg.attempts] == [
        ("upstream_connect_failed", "connection refused"),
        ("upstream_connect_timeout", "no answer"),
    ]
    assert len({attempt.address for attempt in leg.attempts}) == 2
    leg.abort("client_disconnected")
    pool.close()


@pytest.mark.parametrize(("first", "last"), [(REFUSED, LATE), (LATE, REFUSED), (REFUSED, UNVERIFIED)])
async def test_when_no_endpoint_can_be_reached_the_last_reason_is_told(
    first: ConnectError, last: ConnectError
) -> None:
    pool = ScriptedPool(first, last, endpoints=2)
    leg, owner = begun(pool)
    await ready(owner)
    assert owner.events == [last.reason]
    assert len(leg.attempts) == 2
    pool.close()


async def test_a_body_is_framed_as_it_was_announced() -> None:
    pool = ScriptedPool()
    for chunked, expected in ((True, b"5\r\nhello\r\n0\r\n\r\n"), (False, b"hello")):
        connection = pool.pooled()
        leg, _ = begun(pool, method="POST", whole=False, chunked=chunked)
        assert not leg.sent
        leg.write(b"hello")
        leg.end()
        assert leg.sent
        assert written(connection).endswith(b"\r\n\r\n" + expected)
        connection.data_received(OK)
        leg.done()
        assert pool.take(pool.endpoints[0]) is connection
    pool.close()


async def test_a_connection_whose_request_was_not_sent_whole_is_not_used_again() -> None:
    pool = ScriptedPool()
    connection = pool.pooled()
    leg, _ = begun(pool, method="POST", whole=False, chunked=True)
    leg.write(b"hello")
    connection.data_received(OK)
    leg.done()
    assert pool.idle_count == 0
    assert cast(FakeTransport, connection.transport).aborted
    pool.close()


async def test_an_abort_while_connecting_leaves_nothing_behind() -> None:
    pool = ScriptedPool(None)
    leg, owner = begun(pool)
    leg.abort("client_disconnected")
    for _ in range(5):
        await asyncio.sleep(0)
    assert (owner.events, pool.made) == ([], [])
    (attempt,) = leg.attempts
    assert attempt.error == "client_disconnected"
    pool.close()


async def test_the_socket_holds_the_body_back() -> None:
    pool = ScriptedPool()
    connection = pool.pooled()
    leg, owner = begun(pool, method="POST", whole=False)
    assert leg.writable
    connection.pause_writing()
    assert not leg.writable
    connection.resume_writing()
    assert (leg.writable, owner.events) == (True, ["writable"])
    leg.abort("client_disconnected")
    pool.close()


async def test_a_connection_that_became_a_tunnel_is_let_go_when_the_tunnel_is_over() -> None:
    pool = ScriptedPool()
    connection = pool.pooled()
    leg = Leg(pool, Owner(), asyncio.get_running_loop())
    leg.offered = frozenset((b"websocket",))
    leg.start(b"GET / HTTP/1.1\r\n", b"\r\n", host=None, method="GET", whole=True, chunked=False)
    connection.data_received(b"HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert leg.let_go("tunnel_idle_timeout") is connection
    assert (leg.connection, pool.idle_count) == (None, 0)
    (attempt,) = leg.attempts
    assert (attempt.status, attempt.error) == (101, "tunnel_idle_timeout")
    assert not cast(FakeTransport, connection.transport).closing, "whoever has it now ends it"
    pool.close()


async def test_a_second_attempt_offers_what_the_first_did() -> None:
    pool = ScriptedPool(None)
    stale = pool.pooled()
    owner = Owner()
    leg = Leg(pool, owner, asyncio.get_running_loop())
    leg.offered = frozenset((b"websocket",))
    leg.start(b"GET / HTTP/1.1\r\n", b"\r\n", host=None, method="GET", whole=True, chunked=False)
    stale.connection_lost(None)
    await ready(owner)
    assert leg.connection is not stale and leg.connection is not None
    assert leg.connection.offered == {b"websocket"}
    leg.abort("client_disconnected")
    pool.close()


def ruled(pool: ScriptedPool, **options: Any) -> Retry:
    """Gives the pool rules; pauses are of no length."""
    rules = Retry(Retries.model_validate(options), lambda: 0.0)
    pool.retry = rules
    return rules


async def test_by_the_rules_a_refused_connection_is_tried_again_at_another_endpoint() -> None:
    pool = ScriptedPool(ConnectError("upstream_connect_failed", "refused", refused=True), None, endpoints=2)
    rules = ruled(pool, on=["refused"])
    leg, owner = begun(pool, method="POST")
    await ready(owner)
    assert owner.events == ["ready"]
    assert len({leg.attempts[0].address, leg._endpoint.address}) == 2
    assert (rules.budget.active, rules.budget.retrying, rules.made) == (1, 1, 1)
    pool.made[0].data_received(OK)
    leg.done()
    assert [attempt.error for attempt in leg.attempts] == ["upstream_connect_failed", None]
    assert (rules.budget.active, rules.budget.retrying) == (0, 0)
    pool.close()


async def test_by_the_rules_what_is_not_listed_ends_the_request() -> None:
    pool = ScriptedPool(LATE, endpoints=2)
    rules = ruled(pool, on=["refused"])
    leg, owner = begun(pool)
    await ready(owner)
    assert (owner.events, len(leg.attempts), rules.budget.active) == (["upstream_connect_timeout"], 1, 0)
    pool.close()


async def test_a_leg_that_goes_once_is_left_alone_by_the_rules() -> None:
    pool = ScriptedPool()
    rules = ruled(pool, on=[503])
    connection = pool.pooled()
    owner = Owner()
    leg = Leg(pool, owner, asyncio.get_running_loop())
    leg.once = True
    leg.start(b"GET / HTTP/1.1\r\n", b"\r\n", host=None, method="GET", whole=True, chunked=False)
    connection.data_received(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    assert (owner.events, rules.made, rules.budget.active) == (["progress"], 0, 0)
    leg.abort("client_disconnected")
    pool.close()


async def test_an_abort_in_a_pause_is_no_attempt() -> None:
    pool = ScriptedPool()
    rules = ruled(pool, on=[503])
    connection = pool.pooled()
    leg, owner = begun(pool)
    connection.data_received(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    assert (owner.events, leg.connection, pool.idle_count) == ([], None, 1)
    leg.abort("client_disconnected")
    assert [attempt.error for attempt in leg.attempts] == ["upstream_status_retried"]
    assert (rules.budget.active, rules.budget.retrying) == (0, 0)
    pool.close()


async def test_an_attempt_has_until_its_own_time_is_up_and_so_has_the_next() -> None:
    pool = ScriptedPool(None)
    ruled(pool, on=["timeout"], per_try_timeout="3s")
    connection = pool.pooled()
    now = asyncio.get_running_loop().time()
    leg, owner = begun(pool)
    at, reason = leg.deadline()
    assert reason == "upstream_try_timeout" and 3.0 <= at - now < 5.0
    leg.expire(reason)
    assert cast(FakeTransport, connection.transport).aborted
    assert leg.deadline()[0] >= at, "the clock runs while the next connection is made"
    await ready(owner)
    pool.made[-1].data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert leg.deadline()[1] == "upstream_idle_timeout", "the head is here"
    leg.abort("client_disconnected")
    pool.close()
