"""One client connection without a socket: however its segments fall, it answers the same. By sockets: tests/wire/."""

import asyncio
import gc
import re
import socket
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.load import loads
from gateway.listener.connection import Connection
from gateway.listener.generation import Generation
from gateway.listener.listener import Listener
from gateway.plan import build_plan
from gateway.record import Record
from gateway.wheel import FAR
from tests.support.client import chunked, get, post
from tests.support.filters import Hold, HoldAnswer
from tests.support.gateway import configuration, test_filters
from tests.support.transport import FakeTransport

CHUNKED = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
PIPELINED = b"".join(
    [
        get("/1"),
        post(b"hello", target="/2"),
        b"\r\n" + CHUNKED + chunked(b"ab", b"c" * 30),
        CHUNKED + b"3;x=y\r\nabc\r\n0\r\nX-Auth-Token: t\r\nX-Foo: b\r\n\r\n",
        get("/5", "Connection: close"),
        get("/never"),
    ]
)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Talk:
    """A connection of a gateway whose filter answers every request by itself."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        registry = test_filters("answers", "collect", "hold", "hold_answer")
        filters = [*entries, {"test.answers": {}}]
        text = configuration("http://127.0.0.1:1", filters=filters)
        loaded = loads(text, "gateway.yaml", registry=registry)
        self.records: list[Record] = []
        self.bugs: list[Any] = []
        self.listener = Listener(
            Generation(build_plan(loaded, registry), {}),
            publish=self.records.append,
            report_bug=lambda *bug: self.bugs.append(bug),
        )
        self.connection = Connection(self.listener)
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)

    def hear(self, *segments: bytes) -> None:
        for segment in segments:
            if self.transport.closing:
                break
            self.connection.data_received(segment)

    def end(self) -> None:
        self.listener.wheel.close()
        if self.connection.transport is not None:
            self.connection.connection_lost(None)
        assert self.bugs == []

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in _STATUS.findall(bytes(self.transport.written))]

    @property
    def told(self) -> list[tuple[str, bytes, str, int, list[bytes]]]:
        """What the records say, without what differs each time."""
        return [
            (
                r.exchange.method,
                r.exchange.target,
                r.reason,
                r.bytes_in,
                [name for name, _ in r.received.lines],
            )
            for r in self.records
        ]


def talked(*segments: bytes) -> Talk:
    async def talk() -> Talk:
        made = Talk()
        made.hear(*segments)
        made.end()
        return made

    return asyncio.run(talk())


def split(data: bytes, points: list[int]) -> list[bytes]:
    cuts = sorted({0, len(data), *(point % len(data) for point in points)})
    return [data[begin:end] for begin, end in pairwise(cuts)]


AT_ONCE = talked(PIPELINED)
"""Bodies that come with their head; a body that comes later is answered before it has come."""


def test_pipelined_requests_are_answered_in_order_until_the_last() -> None:
    assert AT_ONCE.statuses == [299] * 5
    assert [(method, target) for method, target, *_ in AT_ONCE.told] == [
        ("GET", b"/1"),
        ("POST", b"/2"),
        ("POST", b"/c"),
        ("POST", b"/c"),
        ("GET", b"/5"),
    ]
    assert AT_ONCE.transport.closing


def test_a_trailer_is_no_field_of_the_next_request() -> None:
    """P26."""
    assert AT_ONCE.told[4][4] == [b"Host", b"Connection"]


@settings(max_examples=60, deadline=None)
@given(points=st.lists(st.integers(0, 10_000), max_size=20))
def test_requests_are_the_same_however_their_segments_fall(points: list[int]) -> None:
    """As far as they go: the answer to a request whose body has not come yet ends the connection."""
    made = talked(*split(PIPELINED, points))
    assert made.statuses == [299] * len(made.statuses)
    assert 1 <= len(made.statuses) <= 5
    for got, expected in zip(made.told, AT_ONCE.told, strict=False):
        assert (got[:3], got[4]) == (expected[:3], expected[4])
    if len(made.statuses) < 5:
        assert made.transport.eof or made.transport.closing, "and says so"


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), points=st.lists(st.integers(0, 200), max_size=10))
def test_any_bytes_are_answered_or_waited_for_and_never_raise(data: bytes, points: list[int]) -> None:
    made = talked(*(split(data, points) if data else []))
    assert all(status in (299, 400, 414, 431, 501, 505) for status in made.statuses)
    assert len(made.records) == len(made.statuses)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(min_size=1, max_size=20), at=st.integers(0, len(PIPELINED)))
def test_bytes_put_into_requests_never_raise_and_every_answer_has_its_record(data: bytes, at: int) -> None:
    made = talked(PIPELINED[:at] + data + PIPELINED[at:])
    assert len(made.records) == len(made.statuses)
    assert all(status in (299, 400, 405, 413, 414, 417, 431, 501, 505) for status in made.statuses)


def test_a_connection_that_is_lost_is_forgotten() -> None:
    async def talk() -> None:
        made = Talk()
        assert made.listener.connection_count == 1
        made.hear(b"GET / HT")
        made.connection.connection_lost(ConnectionResetError())
        assert made.listener.connection_count == 0
        assert made.records == []
        made.end()

    asyncio.run(talk())


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
@pytest.mark.parametrize("name", ["hold", "hold_answer", "collect"])
def test_a_filter_that_waits_and_is_cancelled_before_its_first_step_leaves_no_trace(
    name: str, mode: str
) -> None:
    """The client goes away in the turn of the loop in which its request came: a warning would fail the test."""
    Hold.events, HoldAnswer.events = [], []

    async def talk() -> Talk:
        made = Talk({f"test.{name}": {"mode": mode}})
        made.hear(post(b"hello")[:-1])
        made.end()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return made

    made = asyncio.run(talk())
    del made.listener, made.connection
    gc.collect()
    assert Hold.events == [] and HoldAnswer.events == []
    assert len(made.records) == 1


def test_lingering_reads_a_mebibyte_and_no_more() -> None:
    async def talk() -> None:
        made = Talk()
        made.hear(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n")
        assert made.statuses == [299]
        assert (made.transport.eof, made.transport.closing, made.connection.lingering) == (True, False, True)
        for _ in range(16):
            made.hear(b"a" * 65536)
        assert not made.transport.aborted
        made.hear(b"a")
        assert made.transport.aborted
        made.end()

    asyncio.run(talk())


def test_the_deadline_is_that_of_what_is_waited_for() -> None:
    async def talk() -> None:
        made = Talk()
        connection, loop = made.connection, cast(Any, made.listener.loop)
        timeouts = made.listener.plan.configuration.timeouts
        now = loop.time()
        assert abs(connection.deadline - now - timeouts.idle) < 1
        made.hear(b"GET")
        assert abs(connection.deadline - now - timeouts.header) < 1
        made.hear(b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert abs(connection.deadline - now - timeouts.idle) < 1
        made.hear(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        assert abs(connection.deadline - now - timeouts.linger) < 1
        made.end()

    asyncio.run(talk())


async def test_a_request_that_has_come_when_the_idle_time_is_over_is_served() -> None:
    """A loop that was held up may look at its timers before it looks at its sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        talk = Talk()
        talk.transport._extra["socket"] = ours  # type: ignore[attr-defined]
        theirs.send(b"x")
        talk.connection.on_deadline(0.0)
        assert not talk.transport.closing
        assert talk.connection.deadline != FAR, "it is looked at again"
        ours.recv(1)
        talk.connection.on_deadline(0.0)
        assert talk.transport.closing
