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
from gateway.listener.connection import REQUEST, TURN, Connection
from gateway.listener.generation import Generation
from gateway.listener.listener import Listener
from gateway.plan import build_plan
from gateway.record import Record
from gateway.wheel import FAR
from tests.support.client import chunked, get, post
from tests.support.deadline import until
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


# ---- turns

FLOOD = b"".join([get(f"/{number}") for number in range(200)])


async def turns(talk: Talk) -> int:
    """How many turns of the loop it takes until the connection rests no more."""
    count = 0
    while talk.connection._resting and count < 10_000:
        await asyncio.sleep(0)
        count += 1
    return count


async def test_a_client_that_pipelines_much_is_served_some_and_waits_for_its_next_turn() -> None:
    talk = Talk()
    talk.hear(FLOOD)
    assert len(talk.statuses) == TURN // REQUEST
    assert talk.transport.paused
    await turns(talk)
    assert talk.statuses == [299] * 200
    assert [target for _, target, *_ in talk.told] == [b"/%d" % number for number in range(200)]
    assert not talk.transport.paused
    talk.hear(get("/more"))
    assert len(talk.statuses) == 201
    talk.end()


@given(points=st.lists(st.integers(0, len(FLOOD)), max_size=8), turn_between=st.booleans())
@settings(max_examples=25)
def test_whatever_comes_while_a_client_waits_for_its_turn_is_answered_in_order(
    points: list[int], turn_between: bool
) -> None:
    async def talked_in_turns() -> Talk:
        talk = Talk()
        for segment in split(FLOOD, points):
            talk.hear(segment)
            if turn_between:
                await asyncio.sleep(0)
        await turns(talk)
        talk.end()
        return talk

    talk = asyncio.run(talked_in_turns())
    assert [target for _, target, *_ in talk.told] == [b"/%d" % number for number in range(200)]


async def test_a_client_that_has_ended_its_side_is_answered_in_all_its_turns() -> None:
    talk = Talk()
    talk.hear(FLOOD)
    assert talk.connection.eof_received() is True
    await turns(talk)
    assert talk.statuses == [299] * 200
    assert talk.transport.closing
    talk.end()


async def test_an_answer_that_closes_ends_the_waiting() -> None:
    """Also when it comes in a later turn; what is behind it is nobody's."""
    talk = Talk()
    talk.hear(FLOOD + get("/last", "Connection: close") + FLOOD)
    await turns(talk)
    assert len(talk.statuses) == 201
    assert talk.transport.closing
    talk.end()


async def test_a_gateway_that_drains_answers_one_more_of_those_that_wait() -> None:
    talk = Talk()
    talk.hear(FLOOD)
    before = len(talk.statuses)
    talk.listener.draining = True
    talk.connection.drain(0)
    assert not talk.transport.closing
    await turns(talk)
    assert len(talk.statuses) == before + 1
    assert talk.transport.closing
    assert bytes(talk.transport.written).count(b"Connection: close") == 1
    talk.end()


async def test_a_connection_that_is_lost_while_it_waits_is_at_rest() -> None:
    talk = Talk()
    talk.hear(FLOOD)
    before = len(talk.statuses)
    talk.end()
    await turns(talk)
    assert len(talk.statuses) == before


async def test_a_body_of_tiny_chunks_takes_its_turns_and_arrives_whole() -> None:
    talk = Talk({"test.collect": {}})
    tiny = b"2\r\nab\r\n" * 20_000
    talk.hear(CHUNKED + tiny + b"0\r\n\r\n" + get("/next"))
    assert talk.transport.paused
    assert talk.connection._last_payload.total_bytes <= 2 * TURN
    assert await turns(talk) >= 20_000 // TURN
    await until(lambda: len(talk.statuses) == 2, "both are answered")
    assert [(target, size) for _, target, _, size, _ in talk.told] == [(b"/c", 40_000), (b"/next", 0)]
    assert not talk.transport.paused
    talk.end()


async def test_big_chunks_are_taken_at_once() -> None:
    talk = Talk({"test.collect": {}})
    talk.hear(CHUNKED + chunked(b"a" * 1000, b"b" * 40_000, end=False) * 4)
    assert talk.connection._last_payload.total_bytes == 4 * 41_000
    assert not talk.connection._resting
    talk.end()


async def test_a_body_that_turns_out_malformed_in_a_later_turn_is_refused() -> None:
    talk = Talk({"test.collect": {}})
    talk.hear(CHUNKED + b"2\r\nab\r\n" * 2_000 + b"zz\r\n")
    assert talk.statuses == []
    await turns(talk)
    await until(lambda: talk.statuses == [400], "it is refused")
    assert [reason for _, _, reason, *_ in talk.told] == ["framing_invalid"]
    talk.end()
