"""Copies, by a script: their bounds, and that each is counted once. What is sent is shown by sockets: tests/wire/test_mirror.py."""

from typing import Any

import pytest

from gateway.config.traffic import Mirror as Options
from gateway.upstream.dialer import ConnectError
from gateway.upstream.mirror import DROPS, RESULTS, Copy, Mirror
from tests.support.deadline import until
from tests.upstream.test_leg import OK, ScriptedPool, written


def mirror(**options: Any) -> Mirror:
    return Mirror("route", "images", Options.model_validate({"upstream": "b", **options}))


def begun(made: Mirror, pool: ScriptedPool, *, chunked: bool = False) -> Copy:
    copy = made.copy(pool, b"PUT / HTTP/1.1\r\n", b"X: y\r\n\r\n", host=None, method="PUT", chunked=chunked)
    assert copy is not None
    return copy


@pytest.mark.parametrize(("percent", "taken"), [(0, 0), (0.5, 50), (10, 1000), (100, 10_000)])
def test_takes_its_share_of_the_requests(percent: float, taken: int) -> None:
    made = mirror(percent=percent)
    assert sum(made.takes(f"req-{number:08x}") for number in range(10_000)) == taken


@pytest.mark.parametrize(
    ("chunked", "body"), [(False, b"helloworld"), (True, b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")]
)
async def test_is_sent_when_it_is_whole(chunked: bool, body: bytes) -> None:
    pool = ScriptedPool()
    connection = pool.pooled()
    made = mirror()
    copy = begun(made, pool, chunked=chunked)
    copy.add(b"hello")
    copy.add(b"world")
    assert (written(connection), made.in_flight, made.sent) == (b"", 1, 0)
    copy.end()
    assert written(connection) == b"PUT / HTTP/1.1\r\nX-Weir-Mirror: true\r\nX: y\r\n\r\n" + body
    connection.data_received(OK)
    assert (made.in_flight, made.sent, made.results["2xx"], pool.idle_count) == (0, 1, 1, 1)
    pool.close()


async def test_there_are_never_more_than_the_limit() -> None:
    pool = ScriptedPool()
    made = mirror(max_in_flight=2)
    copies = [begun(made, pool) for _ in range(2)]
    assert made.copy(pool, b"", b"", host=None, method="GET", chunked=False) is None
    assert made.dropped["in_flight"] == 1
    copies[0].drop("incomplete")
    assert begun(made, pool).collects
    pool.close()


async def test_a_body_that_grows_too_large_lets_go_of_the_copy() -> None:
    pool = ScriptedPool()
    made = mirror(max_body=8)
    copy = begun(made, pool)
    for _ in range(3):
        copy.add(b"hello")
    copy.end()
    assert (made.dropped["body_too_large"], made.sent, made.in_flight) == (1, 0, 0)
    pool.close()


@pytest.mark.parametrize(
    ("reason", "result"), [("upstream_connect_failed", "failed"), ("upstream_connect_timeout", "timeout")]
)
async def test_a_copy_without_an_answer_is_counted_by_why(reason: str, result: str) -> None:
    pool = ScriptedPool(ConnectError(reason, "no"))
    made = mirror()
    begun(made, pool).end()
    await until(lambda: made.results[result] == 1, "it has failed")
    assert made.in_flight == 0
    pool.close()


async def test_a_long_answer_is_read_and_dropped() -> None:
    pool = ScriptedPool()
    connection = pool.pooled()
    made = mirror()
    begun(made, pool).end()
    connection.data_received(b"HTTP/1.1 404 No\r\nContent-Length: 20000\r\n\r\n")
    for _ in range(20):
        connection.data_received(b"a" * 1000)
        assert connection.take() == b"", "nobody keeps it"
    assert (made.results["4xx"], made.in_flight) == (1, 0)
    pool.close()


async def test_at_the_end_all_copies_are_cut_off() -> None:
    pool = ScriptedPool()
    connection = pool.pooled()
    made = mirror()
    begun(made, pool).end()
    begun(made, pool)
    made.close()
    assert (made.in_flight, made.results["failed"], made.dropped["incomplete"]) == (0, 1, 1)
    assert connection.transport.is_closing()
    pool.close()


def test_all_that_can_become_of_a_request_is_counted_from_the_start() -> None:
    made = mirror()
    assert (set(made.dropped), set(made.results)) == (set(DROPS), set(RESULTS))
