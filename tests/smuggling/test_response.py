"""The reference reads responses by the letter, and says where it stops."""

import pytest

from tests.smuggling.response import Replies, Reply, Stop, parse_replies

GET, HEAD = b"GET", b"HEAD"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 201 Made It\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello"


def one(data: bytes, method: bytes = GET, *, ended: bool = True) -> Reply:
    """The only response, and nothing is wrong with it."""
    (reply,), stop = parse_replies(data, [method], ended=ended)
    assert stop is None
    return reply


def stopped(data: bytes, method: bytes = GET, *, ended: bool = True) -> Stop:
    replies, stop = parse_replies(data, [method], ended=ended)
    assert replies == () and stop is not None
    return stop


def test_a_body_by_its_length() -> None:
    reply = one(OK)
    assert (reply.status, reply.phrase, reply.version, reply.body) == (200, b"OK", (1, 1), b"ok")
    assert (reply.fields, reply.ending, reply.closes) == (((b"Content-Length", b"2"),), "length", False)
    assert reply.end == len(OK)


def test_a_body_in_chunks() -> None:
    reply = one(CHUNKED)
    assert (reply.body, reply.trailers, reply.ending) == (b"ok", ((b"X-Sum", b"1"),), "chunked")
    assert reply.end == len(CHUNKED)


def test_interim_responses_stand_before_the_final_one() -> None:
    reply = one(HINTS + b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert [(interim.status, interim.phrase) for interim in reply.interim] == [
        (103, b"Early Hints"),
        (100, b"Continue"),
    ]
    assert reply.interim[0].fields == ((b"Link", b"</a>"),)
    assert (reply.status, reply.body) == (200, b"ok")


@pytest.mark.parametrize(
    ("data", "method"),
    [
        (NO_CONTENT, GET),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", GET),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 870\r\n\r\n", GET),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 870\r\n\r\n", HEAD),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD),
        (b"HTTP/1.1 200 OK\r\n\r\n", HEAD),
    ],
)
def test_a_response_without_a_body_ends_with_its_head(data: bytes, method: bytes) -> None:
    reply = one(data, method)
    assert (reply.body, reply.ending, reply.end, reply.closes) == (b"", "none", len(data), False)
    replies, stop = parse_replies(data + OK, [method, GET], ended=True)
    assert [each.body for each in replies] == [b"", b"ok"] and stop is None


def test_a_body_until_the_end_is_whole_by_an_end_in_good_order_only() -> None:
    reply = one(UNTIL_CLOSE)
    assert (reply.body, reply.ending, reply.closes) == (b"hello", "close", True)
    stop = stopped(UNTIL_CLOSE, ended=False)
    assert stop.reason == "" and stop.begun is not None and stop.begun.body == b"hello"


@pytest.mark.parametrize(
    ("lines", "version", "closes"),
    [
        (b"", b"1.1", False),
        (b"Connection: keep-alive\r\n", b"1.1", False),
        (b"Connection: Close\r\n", b"1.1", True),
        (b"Connection: keep-alive\r\nConnection: close\r\n", b"1.1", True),
        (b"", b"1.0", True),
        (b"Connection: keep-alive\r\n", b"1.0", False),
        (b"Connection: keep-alive, close\r\n", b"1.0", True),
    ],
)
def test_whether_another_may_follow(lines: bytes, version: bytes, closes: bool) -> None:
    data = b"HTTP/" + version + b" 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\nok"
    assert one(data).closes is closes
    replies, stop = parse_replies(data + OK, [GET, GET], ended=True)
    assert len(replies) == 2 - closes
    assert stop == (Stop(len(data), "nobody asked") if closes else None)


def test_what_nobody_asked_for_is_no_response() -> None:
    assert parse_replies(OK + OK, [GET], ended=True) == Replies((one(OK),), Stop(len(OK), "nobody asked"))


@pytest.mark.parametrize("data", [OK[:-1], CHUNKED[:-1], HINTS, b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 2"])
def test_what_is_not_whole(data: bytes) -> None:
    stop = stopped(data)
    assert (stop.at, stop.reason) == (len(data), "")
    assert (stop.begun is not None) is (data in (OK[:-1], CHUNKED[:-1]))


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"]
)
def test_a_phrase_may_be_absent(data: bytes) -> None:
    assert one(data).phrase == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\r\n" + OK, "status line"),
        (b"\n" + OK, "bare LF"),
        (b"\r" + OK, "bare CR"),
        (b"HTTP/1.1  200 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 099 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "status line"),
        (b"http/1.1 200 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 O\x00K\r\n\r\n", "status line"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "version"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok", "bare LF"),
        (b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "field line"),
        (b"HTTP/1.1 200 OK\r\nX: a\x00\r\n\r\n", "field line"),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "obs-fold"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "a change of protocol that nobody asked for"),
        (b"HTTP/1.1 103 a\r\nContent-Length: 0\r\n\r\n" + OK, "Content-Length in an interim response"),
        (b"HTTP/1.1 204 a\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding where there is no body"),
        (b"HTTP/1.0 200 a\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding in HTTP/1.0"),
        (
            b"HTTP/1.1 200 a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
            "Transfer-Encoding beside Content-Length",
        ),
        (b"HTTP/1.1 200 a\r\nContent-Length: +2\r\n\r\nok", "Content-Length"),
        (b"HTTP/1.1 200 a\r\nContent-Length: 2, 3\r\n\r\nok", "different Content-Lengths"),
        (b"HTTP/1.1 200 a\r\nTransfer-Encoding: gzip\r\n\r\nok", "the last transfer coding is not chunked"),
        (b"HTTP/1.1 200 a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk line"),
        (b"HTTP/1.1 200 a\r\nTransfer-Encoding: chunked\r\n\r\n2;\r\nok\r\n0\r\n\r\n", "chunk line"),
    ],
)
def test_what_is_malformed(data: bytes, reason: str) -> None:
    assert stopped(data).reason == reason


def test_of_a_broken_body_its_beginning_is_known() -> None:
    stop = stopped(b"HTTP/1.1 200 a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n")
    assert stop.begun is not None and stop.begun.body == b"ok"


SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: x, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"


def test_a_101_takes_what_was_offered_and_what_follows_is_a_tunnel() -> None:
    replies, stop = parse_replies(
        HINTS + SWITCH + b"\x00" + OK, [GET, GET], ended=True, offered=(b"websocket",)
    )
    assert stop is None
    (reply,) = replies
    assert (reply.status, reply.ending, reply.body) == (101, "none", b"")
    assert reply.end == len(HINTS + SWITCH)


@pytest.mark.parametrize(
    ("data", "method", "offered"),
    [
        (SWITCH, GET, ()),
        (SWITCH, GET, (b"x",)),
        (SWITCH, HEAD, (b"websocket",)),
        (SWITCH.replace(b"WebSocket", b"websocket, h2c"), GET, (b"websocket",)),
        (SWITCH.replace(b"Upgrade: WebSocket\r\n", b""), GET, (b"websocket",)),
        (SWITCH.replace(b"x, Upgrade", b"x"), GET, (b"websocket",)),
        (SWITCH.replace(b"HTTP/1.1", b"HTTP/1.0"), GET, (b"websocket",)),
    ],
)
def test_a_101_that_takes_something_else_is_malformed(
    data: bytes, method: bytes, offered: tuple[bytes, ...]
) -> None:
    replies, stop = parse_replies(data, [method], ended=True, offered=offered)
    assert replies == () and stop is not None
    assert stop.reason == "a change of protocol that nobody asked for"
