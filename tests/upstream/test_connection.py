"""Answers of an upstream, fed to the connection without a socket. The hostile ones are in tests/wire/test_response.py."""

import asyncio
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream import connection as upstream
from gateway.upstream.connection import (
    LINES,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_INTERIM,
    MAX_TRAILERS,
    Home,
    UpstreamConnection,
)
from tests.support.deadline import until
from tests.support.transport import FakeTransport

PLAIN = b"HTTP/1.1 200 OK\r\nX-Foo: a\r\nx-foo: b\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 Made It\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + PLAIN
CLOSING = b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\nX-Foo: a\r\n\r\n"
HEAD_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 870\r\n\r\n"


class Owner(upstream.Owner):
    def __init__(self) -> None:
        self.progress = 0
        self.writable = 0

    def on_progress(self) -> None:
        self.progress += 1

    def on_writable(self) -> None:
        self.writable += 1


class Outcome(NamedTuple):
    status: int
    phrase: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes
    interim: list[int]
    complete: bool
    error: str | None
    reusable: bool


def opened(*, no_body: bool = False) -> tuple[UpstreamConnection, FakeTransport, Owner]:
    connection, transport, owner = UpstreamConnection(), FakeTransport(), Owner()
    connection.connection_made(transport)
    connection.begin(owner, b"GET / HTTP/1.1\r\n\r\n", no_body=no_body)
    return connection, transport, owner


def fed(*segments: bytes, no_body: bool = False, eof: bool = False) -> Outcome:
    connection, _, _ = opened(no_body=no_body)
    body = b""
    for segment in segments:
        connection.data_received(segment)
        body += connection.take()
        if connection.error is not None:
            break
    if eof:
        connection.eof_received()
    return Outcome(
        connection.status,
        connection.phrase,
        list(connection.fields),
        body,
        [interim.status for interim in connection.interim],
        connection.complete,
        connection.error,
        connection.release(),
    )


def split(data: bytes, points: list[int]) -> list[bytes]:
    cuts = sorted({0, len(data), *(point % len(data) for point in points)})
    return [data[begin:end] for begin, end in pairwise(cuts)]


@pytest.mark.parametrize(
    ("data", "no_body"),
    [
        *((PLAIN, False), (CHUNKED, False), (INTERIM, False), (EMPTY, False), (HEAD_ANSWER, True)),
        (CLOSING + PLAIN, False),
        (CLOSING + CLOSING + CHUNKED, False),
    ],
    ids=["length", "chunked", "interim", "204", "head", "interim close", "interim closes"],
)
@given(points=st.lists(st.integers(0, 1000), max_size=30))
def test_an_answer_reads_the_same_however_its_segments_fall(
    data: bytes, no_body: bool, points: list[int]
) -> None:
    at_once = fed(data, no_body=no_body)
    assert (at_once.complete, at_once.error) == (True, None)
    assert at_once.reusable is (b"close" not in data and not no_body)
    assert fed(*split(data, points), no_body=no_body) == at_once
    assert fed(*(data[at : at + 1] for at in range(len(data))), no_body=no_body) == at_once


@given(data=st.binary(max_size=300), points=st.lists(st.integers(0, 300), max_size=10))
def test_any_bytes_end_in_an_answer_or_an_error_and_never_in_an_exception(
    data: bytes, points: list[int]
) -> None:
    outcome = fed(*(split(data, points) if data else []), eof=True)
    assert outcome.complete or outcome.error in ("upstream_closed", "upstream_response_invalid")
    assert not outcome.reusable


@given(data=st.binary(max_size=100), at=st.integers(0, len(CHUNKED)))
def test_an_answer_with_bytes_put_into_it_is_never_fit_for_another_by_chance(data: bytes, at: int) -> None:
    """Where it still is, the bytes were part of one whole message."""
    outcome = fed(CHUNKED[:at] + data + CHUNKED[at:])
    if outcome.reusable:
        assert outcome.complete and outcome.error is None


def test_the_parts_of_an_answer_are_as_they_came() -> None:
    outcome = fed(PLAIN)
    assert (outcome.status, outcome.phrase, outcome.body) == (200, b"OK", b"hello")
    assert outcome.fields == [(b"X-Foo", b"a"), (b"x-foo", b"b"), (b"Content-Length", b"5")]
    assert fed(CHUNKED).phrase == b"Made It"
    assert fed(CHUNKED).body == b"hello world"
    assert fed(INTERIM).interim == [103, 100]


def test_trailers_are_not_among_the_fields() -> None:
    assert fed(CHUNKED).fields == [(b"Transfer-Encoding", b"chunked")]


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\nhello"
    assert fed(data).complete is False
    outcome = fed(data, eof=True)
    assert (outcome.complete, outcome.body, outcome.reusable) == (True, b"hello", False)


def test_a_connection_that_breaks_is_no_end_of_an_answer() -> None:
    """P35: only an orderly end is one."""
    connection, _, owner = opened()
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nhello")
    connection.connection_lost(ConnectionResetError())
    assert (connection.complete, connection.error) == (False, "upstream_closed")
    assert owner.progress == 2


@pytest.mark.parametrize("data", [b"", PLAIN[:10], PLAIN[:-1], CHUNKED[:-1], INTERIM[:45]])
def test_an_end_before_the_end_is_an_error(data: bytes) -> None:
    outcome = fed(*([data] if data else []), eof=True)
    assert (outcome.complete, outcome.error, outcome.reusable) == (False, "upstream_closed", False)


def test_a_connection_is_used_again_and_nothing_of_the_last_answer_is_left() -> None:
    connection, transport, owner = opened()
    connection.data_received(CHUNKED)
    assert connection.take() == b"hello world"
    assert connection.release()
    connection.begin(owner, b"HEAD /b HTTP/1.1\r\n\r\n", no_body=True)
    assert (connection.head_done, connection.complete, connection.take(), connection.phrase) == (
        False,
        False,
        b"",
        b"",
    )
    connection.data_received(HEAD_ANSWER.replace(b"870", b"0"))
    assert (connection.status, connection.complete) == (200, True)
    assert connection.release()
    connection.begin(owner, b"GET /c HTTP/1.1\r\n\r\n", no_body=False)
    connection.data_received(PLAIN)
    assert (connection.take(), connection.complete, connection.error) == (b"hello", True, None)
    assert connection.requests == 3
    assert bytes(transport.written).count(b"HTTP/1.1\r\n\r\n") == 3


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b"X-Foo", b"Connection: close\r\nX-Foo"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN + b"x",
        PLAIN + PLAIN,
        EMPTY.replace(b"X-Foo: a", b"Connection: close"),
        EMPTY + b"hello",
    ],
)
def test_a_connection_is_not_used_again_when_the_upstream_closes_or_says_too_much(data: bytes) -> None:
    """P42."""
    outcome = fed(data)
    assert (outcome.complete, outcome.error, outcome.reusable) == (True, None, False)


def test_http_1_0_is_used_again_when_it_says_so() -> None:
    assert fed(
        PLAIN.replace(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n")
    ).reusable


def test_bytes_on_an_idle_connection_end_it() -> None:
    connection, transport, _ = opened()
    connection.data_received(PLAIN)
    assert connection.release()
    connection.data_received(b"HTTP/1.1 200 OK\r\n")
    assert transport.aborted


def test_a_retired_connection_serves_out_its_exchange_and_no_other() -> None:
    connection, transport, owner = opened()
    connection.data_received(PLAIN[:-1])
    connection.retire()
    connection.data_received(PLAIN[-1:])
    assert (connection.complete, connection.error, connection.take()) == (True, None, b"hello")
    assert owner.progress == 2
    assert not connection.release()
    assert transport.aborted


class House(Home):
    def __init__(self) -> None:
        self.lost: list[UpstreamConnection] = []

    def on_lost(self, connection: UpstreamConnection) -> None:
        self.lost.append(connection)


def test_a_connection_tells_its_home_when_it_ends() -> None:
    connection, _, _ = opened()
    connection.home = home = House()
    connection.connection_lost(None)
    assert home.lost == [connection]


def test_under_tls_it_is_the_socket_that_is_not_read_from() -> None:
    """What TLS has read and not handed on would be lost when the other side closes."""
    connection, raw, _ = opened()
    secure = FakeTransport()
    connection.secured(secure)
    connection.write(b"hello")
    assert secure.written == b"hello"
    connection.pause()
    assert (raw.paused, secure.paused) == (True, False)
    connection.resume()
    assert not raw.paused
    connection.close()
    assert raw.closing and secure.closing and not raw.aborted


def test_an_aborted_connection_tells_its_owner_nothing_more() -> None:
    connection, transport, owner = opened()
    connection.abort()
    assert transport.aborted
    connection.connection_lost(None)
    assert owner.progress == 0


def test_limits_of_a_head() -> None:
    field = b"X: " + b"a" * (MAX_HEAD - 100) + b"\r\n"
    assert fed(b"HTTP/1.1 200 OK\r\n" + field, b"Content-Length: 0\r\n\r\n").error is None
    assert fed(b"HTTP/1.1 200 OK\r\n" + field, field).error == "upstream_response_invalid"
    many = b"X: a\r\n" * (MAX_FIELDS - 1)
    assert fed(b"HTTP/1.1 200 OK\r\n" + many + b"Content-Length: 0\r\n\r\n").error is None
    assert fed(b"HTTP/1.1 200 OK\r\n" + many + b"X: b\r\nContent-Length: 0\r\n\r\n").error is not None
    hint = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    assert fed(hint * MAX_INTERIM + PLAIN).error is None
    assert fed(hint * (MAX_INTERIM + 1) + PLAIN).error == "upstream_response_invalid"


def test_reading_is_paused_and_resumed_once() -> None:
    connection, transport, _ = opened()
    connection.pause()
    connection.pause()
    assert transport.paused
    connection.resume()
    connection.resume()
    assert not transport.paused
    connection.data_received(PLAIN)
    connection.pause()
    assert connection.release()
    assert not transport.paused, "an idle connection reads, or it would never see its end"


def test_the_owner_hears_when_the_socket_takes_more() -> None:
    connection, _, owner = opened()
    connection.pause_writing()
    assert connection.writing_paused
    connection.resume_writing()
    assert (connection.writing_paused, owner.writable) == (False, 1)


NAMES = (
    b"Server",
    b"date",
    b"Connection",
    b"Keep-Alive",
    b"X-Compute-Request-Id",
    b"Upgrade",
    b"Content-Length",
    b"Via",
)
VALUES = (
    b"a",
    b"keep-alive",
    b"close",
    b"upgrade, x",
    b"  padded\t ",
    b"",
    b"5",
    b"caf\xe9",
    b"a\x00b",
    b"a\rb",
    b"a\n b",
)


@given(
    st.sampled_from((b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2")),
    st.sampled_from(
        (b"200 OK", b"404", b"404 ", b"204 No Content", b"304 Not", b"101 Up", b"600 Odd", b"200 a\x01b")
    ),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4),
    st.sampled_from((b"5", b"4", b"6", b" 5", b"5 ", b"+5", b"05", b"5, 5")),
    st.sampled_from((b"\r\n", b"\n")),
    st.booleans(),
)
def test_a_response_in_one_segment_is_what_it_is_in_many(
    version: bytes, status: bytes, lines: list[tuple[bytes, bytes]], length: bytes, end: bytes, no_body: bool
) -> None:
    fields = [b"%b: %b" % line for line in lines] + [b"Content-Length:" + length]
    message = b"".join([version, b" ", status, end, *(line + end for line in fields), end, b"hello"])
    whole = fed(message, no_body=no_body)
    parts = fed(message[:3], message[3:], no_body=no_body)
    # What is refused may have been understood up to different places.
    assert (whole.error, whole.reusable) == (parts.error, parts.reusable)
    if whole.error is None:
        assert whole == parts


def test_a_plain_response_keeps_its_section_as_it_came() -> None:
    connection, _, _ = opened()
    section = b"X-a:1\r\nCONTENT-length: 5\r\n"
    connection.data_received(b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\n" + section + b"\r\nhello")
    assert connection.section == section
    lines = [(b"Connection", b"Keep-Alive"), (b"X-a", b"1"), (b"CONTENT-length", b"5")]
    assert list(connection.fields) == lines
    assert connection.release()
    connection.begin(Owner(), b"GET / HTTP/1.1\r\n\r\n", no_body=False)
    assert connection.section == b""


# ---- trailers


def test_trailers_stand_apart_and_are_those_of_one_answer() -> None:
    connection, _, owner = opened()
    connection.data_received(CHUNKED)
    assert connection.trailers == [(b"X-Sum", b"1")]
    assert connection.release()
    connection.begin(owner, b"GET / HTTP/1.1\r\n\r\n", no_body=False)
    assert connection.trailers == []
    connection.data_received(CHUNKED.replace(b"X-Sum: 1\r\n", b""))
    assert (connection.complete, connection.trailers) == (True, [])


@pytest.mark.parametrize(
    "trailers",
    [
        b"X: " + b"a" * MAX_TRAILERS + b"\r\n",
        b"X: y\r\n" * (MAX_FIELDS + 1),
        b"X : y\r\n",
        b"X: y\r\n z\r\n",
        b"X: \x00\r\n",
    ],
    ids=["too large", "too many", "a space", "folded", "NUL"],
)
def test_an_answer_whose_trailers_are_broken_is_never_complete(trailers: bytes) -> None:
    outcome = fed(CHUNKED.replace(b"X-Sum: 1\r\n", trailers))
    assert (outcome.complete, outcome.error, outcome.reusable) == (
        False,
        "upstream_response_invalid",
        False,
    )


def test_a_trailer_section_without_end_is_an_error_in_the_end() -> None:
    head = CHUNKED[: CHUNKED.index(b"X-Sum")]
    outcome = fed(head + b"X-Sum: ", *[b"a" * 65536] * 5)
    assert (outcome.complete, outcome.error) == (False, "upstream_response_invalid")


def test_a_long_body_is_no_overhead() -> None:
    body = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    outcome = fed(head, *[body] * 200, b"0\r\n\r\n")
    assert (len(outcome.body), outcome.error, outcome.complete) == (200 * 4096, None, True)


def test_trailers_that_speak_of_the_connection_end_it() -> None:
    outcome = fed(CHUNKED.replace(b"X-Sum: 1", b"connection: close"))
    assert (outcome.complete, outcome.error, outcome.reusable) == (True, None, False)


# ---- switching protocols

SWITCH = b"HTTP/1.1 101 Up\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"


def offering(*protocols: bytes) -> tuple[UpstreamConnection, FakeTransport, Owner]:
    made = opened()
    made[0].offered = frozenset(protocols)
    return made


@given(points=st.lists(st.integers(0, 1000), max_size=30))
def test_a_101_leaves_what_follows_to_the_tunnel_however_its_segments_fall(points: list[int]) -> None:
    behind = b"\x81\x05helloHTTP/1.1 200 OK\r\n\r\n"
    hint = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    connection, transport, _ = offering(b"websocket")
    for segment in split(hint + SWITCH + behind, points):
        connection.data_received(segment)
    assert (connection.status, connection.protocol, connection.error) == (101, b"WebSocket", None)
    assert (connection.complete, connection.head_done) == (False, True)
    assert [interim.status for interim in connection.interim] == [103]
    connection.pause()
    assert connection.hand_over() == behind
    assert not transport.paused, "the tunnel reads on"
    assert not connection.release(), "never to the pool"


@pytest.mark.parametrize("offered", [(), (b"x",), (b"web",)])
def test_a_101_that_takes_what_was_not_offered_is_an_error(offered: tuple[bytes, ...]) -> None:
    connection, _, _ = offering(*offered)
    connection.data_received(SWITCH + b"hello")
    assert (connection.error, connection.protocol) == ("upstream_response_invalid", b"")
    assert connection.take() == b""


def test_what_one_request_offered_the_next_does_not() -> None:
    connection, _, owner = offering(b"websocket")
    connection.data_received(PLAIN)
    assert connection.release()
    connection.begin(owner, b"GET / HTTP/1.1\r\n\r\n", no_body=False)
    connection.data_received(SWITCH)
    assert connection.error == "upstream_response_invalid"


def test_an_end_behind_a_101_before_the_tunnel_is_an_error() -> None:
    connection, _, _ = offering(b"websocket")
    connection.data_received(SWITCH)
    connection.eof_received()
    assert connection.error == "upstream_closed"


async def test_a_connection_that_ends_in_order_has_a_time_to_say_its_last() -> None:
    connection, transport, _ = opened()
    connection.close(0.001)
    assert (transport.closing, transport.aborted) == (True, False)
    connection, transport, _ = opened()
    transport.buffered = 1
    connection.close(0.001)
    assert (transport.closing, transport.aborted) == (True, False)
    await until(lambda: transport.aborted, "the time is over")


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + OK,
        b"\r" + EMPTY,
        b"\n" + CHUNKED,
        b"HTTP/1.1 103 Early Hints\r\n\r\n\r\n" + OK,
        CHUNKED.replace(b";a=b", b";a="),
        CHUNKED.replace(b";a=b", b";;a=b"),
        CHUNKED.replace(b"chunked", b"chunked\t"),
    ],
    ids=["empty line", "CR", "LF", "empty line behind a 103", "extension", "two semicolons", "tab"],
)
def test_what_the_parser_would_let_pass_is_an_error(data: bytes) -> None:
    """The parser's leave is not the grammar's: whoever reads by the letter sees another message."""
    outcome = fed(data)
    assert (outcome.error, outcome.complete, outcome.reusable) == ("upstream_response_invalid", False, False)
    apart = fed(*(data[at : at + 1] for at in range(len(data))))
    assert (apart.error, apart.reusable) == ("upstream_response_invalid", False)


@pytest.mark.parametrize(
    "before", [(), (b"HTTP/1.1 103 Early Hints\r\n\r\n",)], ids=["first", "behind a 103"]
)
@pytest.mark.parametrize("data", [b"\r\n" * 100_000, b"\r", b"\n", b"HTTP/2", b"h"])
def test_what_begins_no_head_is_an_error_at_once(data: bytes, before: tuple[bytes, ...]) -> None:
    """Not when it is much: an upstream that sends empty lines alone, all for itself, would hold everybody up."""
    assert fed(*before, data).error == "upstream_response_invalid"
    begun = fed(*before, b"HTT")
    assert (begun.error, begun.complete) == (None, False)


@pytest.mark.parametrize("extra", [b"\r\n", b"\n", b"5", b"HTTP", b"\x00"])
@pytest.mark.parametrize(
    ("data", "no_body"),
    [
        (OK, False),
        (CHUNKED, False),
        (EMPTY, False),
        (HEAD_ANSWER, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", True),
    ],
    ids=["length", "chunked", "204", "head", "head of chunks"],
)
def test_bytes_behind_a_message_cost_the_connection_however_few(
    data: bytes, no_body: bool, extra: bytes
) -> None:
    """Otherwise the rest of them would be read as the answer to the next request."""
    outcome = fed(data + extra, no_body=no_body)
    assert (outcome.complete, outcome.error, outcome.reusable) == (True, None, False)
    outcome = fed(data[:20], data[20:] + extra, no_body=no_body)
    assert (outcome.complete, outcome.error, outcome.reusable) == (True, None, False)


def test_bytes_that_come_while_the_answer_is_looked_at_cost_the_connection() -> None:
    connection, _, _ = opened()
    connection.data_received(CHUNKED)
    connection.data_received(b"\r\n")
    assert connection.take() == b"hello world"
    assert connection.complete and not connection.release()


@pytest.mark.parametrize("end", [b" ", b"\t", b" \t "])
@pytest.mark.parametrize("status", [b"200 OK", b"203 \xe9"])
def test_white_space_behind_a_value_is_not_of_it(end: bytes, status: bytes) -> None:
    """RFC 9112 section 5.1: it is excluded before the value is looked at, a length too."""
    data = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2" + end + b"\r\nX-Foo: \ta b" + end + b"\r\n\r\nok"
    outcome = fed(data)
    assert (outcome.complete, outcome.error, outcome.body, outcome.reusable) == (True, None, b"ok", True)
    assert outcome.fields == [(b"Content-Length", b"2"), (b"X-Foo", b"a b")]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_close_wins_over_keep_alive(version: bytes) -> None:
    data = (
        b"HTTP/%b 200 OK\r\nConnection: keep-alive\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok"
        % version
    )
    outcome = fed(data)
    assert (outcome.complete, outcome.error, outcome.reusable) == (True, None, False)


@pytest.mark.parametrize(
    ("data", "no_body"),
    [
        (HEAD_ANSWER, True),
        (b"HTTP/1.1 200 OK\r\nX-Foo: a\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", False),
    ],
    ids=["head", "head without a length", "head of chunks", "304", "304 of chunks", "204"],
)
def test_content_that_was_announced_and_did_not_come_is_not_waited_for_by_another_request(
    data: bytes, no_body: bool
) -> None:
    """What came of it later would be that request's answer."""
    outcome = fed(data, no_body=no_body)
    assert (outcome.complete, outcome.error, outcome.reusable) == (True, None, False)


@pytest.mark.parametrize(
    ("data", "no_body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', False),
        (EMPTY, False),
    ],
    ids=["head of nothing", "304", "204"],
)
def test_where_none_was_announced_the_connection_is_used_again(data: bytes, no_body: bool) -> None:
    assert fed(data, no_body=no_body).reusable


@pytest.mark.parametrize(
    "trailer", [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked, gzip", b"Upgrade: x", b"X-Foo: y"]
)
def test_trailers_say_nothing_of_the_answer_that_follows(trailer: bytes) -> None:
    connection, _, owner = opened()
    connection.data_received(CHUNKED.replace(b"X-Sum: 1", trailer))
    assert (connection.take(), connection.error) == (b"hello world", None)
    assert connection.release()
    for data in (CHUNKED, INTERIM):
        connection.begin(owner, b"GET /b HTTP/1.1\r\n\r\n", no_body=False)
        for segment in split(data, list(range(0, len(data), 7))):
            connection.data_received(segment)
        assert (connection.error, connection.complete) == (None, True)
        assert connection.take() in (b"hello world", b"hello")
        assert connection.release()


# ---- turns

TINY = b"1\r\na\r\n" * 10_000
TINY_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def rested(connection: UpstreamConnection) -> bytes:
    """What comes of the body until nothing is held any more."""
    body = connection.take()
    while connection._held:
        await asyncio.sleep(0)
        piece = connection.take()
        assert len(piece) <= LINES
        body += piece
    return body


@pytest.mark.parametrize("apart", [False, True], ids=["with the head", "behind it"])
async def test_tiny_chunks_take_their_turns_and_arrive_whole(apart: bool) -> None:
    connection, transport, owner = opened()
    for segment in (TINY_HEAD, TINY) if apart else (TINY_HEAD + TINY,):
        connection.data_received(segment)
    assert transport.paused
    assert len(await rested(connection)) == 10_000
    assert owner.progress > 10_000 // LINES
    assert not transport.paused
    connection.data_received(b"0\r\n\r\n")
    assert (connection.complete, connection.error) == (True, None)
    assert connection.release()


async def test_chunks_of_any_size_but_the_smallest_are_read_at_once() -> None:
    connection, transport, _ = opened()
    connection.data_received(TINY_HEAD + b"400\r\n%b\r\n" % (b"a" * 1024) * 250)
    assert len(connection.take()) == 250 * 1024
    assert not transport.paused


async def test_what_comes_while_the_rest_is_held_comes_behind_it() -> None:
    connection, _, _ = opened()
    connection.data_received(TINY_HEAD + TINY)
    connection.data_received(b"2\r\nxy\r\n0\r\n\r\n")
    assert await rested(connection) == b"a" * 10_000 + b"xy"
    assert connection.complete


async def test_bytes_behind_an_answer_that_took_its_turns_end_the_connection() -> None:
    connection, _, _ = opened()
    connection.data_received(TINY_HEAD + TINY + b"0\r\n\r\n" + PLAIN)
    assert await rested(connection) == b"a" * 10_000
    assert (connection.complete, connection.error) == (True, None)
    assert not connection.release()


async def test_an_owner_that_pauses_meanwhile_is_obeyed() -> None:
    connection, transport, _ = opened()
    connection.data_received(TINY_HEAD + TINY)
    connection.pause()
    await rested(connection)
    assert transport.paused
    connection.resume()
    assert not transport.paused


async def test_an_owner_that_pauses_and_resumes_meanwhile_reads_nothing_early() -> None:
    connection, transport, _ = opened()
    connection.data_received(TINY_HEAD + TINY)
    connection.pause()
    connection.resume()
    assert transport.paused
    await rested(connection)
    assert not transport.paused


async def test_the_end_of_the_connection_loses_nothing_that_is_held() -> None:
    connection, _, owner = opened()
    connection.data_received(TINY_HEAD + TINY + b"0\r\n\r\n")
    connection.connection_lost(None)
    assert (len(connection.take()), connection.complete, connection.error) == (10_000, True, None)
    told = owner.progress
    await asyncio.sleep(0)
    assert owner.progress == told


async def test_an_attempt_that_is_given_up_hears_nothing_of_what_is_held() -> None:
    connection, transport, owner = opened()
    connection.data_received(TINY_HEAD + TINY)
    told = owner.progress
    connection.abort()
    await asyncio.sleep(0)
    assert owner.progress == told
    assert transport.aborted


async def test_a_malformed_chunk_of_a_later_turn_is_an_error() -> None:
    connection, _, _ = opened()
    connection.data_received(TINY_HEAD + TINY + b"zz\r\n")
    assert connection.error is None
    await rested(connection)
    assert connection.error == "upstream_response_invalid"
    assert not connection.release()
