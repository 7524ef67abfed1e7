"""The target condemns a gateway that does what it must not, and sees requests forwarded by one that does not."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.api.exchange import Exchange
from gateway.http import message
from gateway.http.framing import Problem
from gateway.listener import connection as connection_module
from gateway.listener.connection import Connection
from gateway.listener.handler import Handler
from tests.fuzz import listener as target
from tests.fuzz.listener import Choices, check, choices, coded
from tests.smuggling.recorder import Recorder
from tests.support.client import chunked, get, post

PLAIN = Choices(0, False, False, False, 0, 1)
SAID = (
    get("/a")
    + post(b"hello", target="/b")
    + b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunked(b"ab", b"cd")
    + get("/d", method="HEAD")
)
ALL = [
    PLAIN._replace(cut=cut, lenient=lenient, eager=eager, narrow=narrow, end=end, step=7)
    for cut in range(4)
    for lenient in (False, True)
    for eager in (False, True)
    for narrow in (False, True)
    for end in range(3)
]


@pytest.mark.parametrize("made", ALL[::5], ids=str)
def test_an_input_says_how_it_is_played(made: Choices) -> None:
    assert choices(coded(b"GET", made)) == made


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xff"])
def test_an_input_may_be_short(data: bytes) -> None:
    check(data)


def seen(monkeypatch: pytest.MonkeyPatch, data: bytes) -> list[tuple[bytes, bytes]]:
    """The requests that reach the upstream whole: target and body."""
    made: list[Recorder] = []

    def recorder(**options: Any) -> Recorder:
        made.append(Recorder(**options))
        return made[-1]

    monkeypatch.setattr(target, "Recorder", recorder)
    check(data)
    return [(entry.message.target, entry.message.body) for entry in made[0].entries if entry.whole]


@pytest.mark.parametrize("made", ALL, ids=str)
def test_what_is_right_is_forwarded(made: Choices, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that forwards nothing would find nothing."""
    expected = [(b"/a", b""), (b"/b", b"hello"), (b"/c", b"abcd"), (b"/d", b"")]
    forwarded = seen(monkeypatch, coded(SAID, made))
    if made.end == 1 or made.eager:
        # A client that resets the connection ends what waits; an answer before the end of a body ends the connection.
        assert forwarded == expected[: len(forwarded)] and forwarded
    else:
        assert forwarded == expected


def test_a_request_that_is_sent_again_and_again_is_forwarded_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forwarded = seen(monkeypatch, coded(get("/a") * 5, PLAIN._replace(cut=3)))
    assert forwarded == [(b"/a", b"")] * 5


UPGRADE = get("/t", "Connection: Upgrade", "Upgrade: WebSocket")


@pytest.mark.parametrize("cut", [0, 1, 2])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("end", [0, 1, 2])
def test_behind_an_upgrade_is_a_tunnel(
    cut: int, narrow: bool, end: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Choices(cut, False, False, narrow, end, 7, True)
    said = get("/a") + UPGRADE + b"\x00\x01" + get("/b")
    assert seen(monkeypatch, coded(said, made)) == [(b"/a", b""), (b"/t", b"")]
    assert len(seen(monkeypatch, coded(said, made._replace(tunnel=False)))) <= 3


def _other_target(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    def begin(self: Handler, head: Any, payload: Any) -> None:
        wrapped(self, head._replace(target=b"/other"), payload)

    return begin


def test_another_target_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "begin", _other_target(Handler.begin))
    with pytest.raises(AssertionError, match="target b'/other' for b'/a'"):
        check(coded(get("/a")))


def test_a_field_that_was_not_sent_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    section = message.field_section
    monkeypatch.setattr(
        message, "field_section", lambda lines, drop, ours: b"X-Odd: a\r\n" + section(lines, drop, ours)
    )
    with pytest.raises(AssertionError, match="X-Odd"):
        check(coded(get("/a")))


def test_an_answer_that_is_no_response_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "status_line", lambda status, phrase=b"": b"HTTP/1.1 200\n")
    with pytest.raises(AssertionError, match="no response"):
        check(coded(get("/a")))


def test_a_connection_that_stays_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "on_deadline", lambda self, now: None)
    with pytest.raises(AssertionError, match="stays for ever"):
        check(coded(get("/a"), PLAIN._replace(end=2)))


def test_a_client_that_is_never_read_from_again_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target._Client, "resume_reading", lambda self: None)
    with pytest.raises(AssertionError, match="not read from"):
        check(coded(b"GET / HTTP/1.1\r\nHost:a\r\n\r\n" * 40, PLAIN._replace(cut=2, step=256)))


def test_an_exception_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Exchange | Problem:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.listener.handler.open_exchange", broken)
    with pytest.raises(ZeroDivisionError):
        check(coded(get("/a")))


def test_an_exception_at_a_deadline_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Connection, now: float) -> None:
        if self.transport is not None:
            self.transport.close()
        raise ZeroDivisionError

    monkeypatch.setattr(connection_module.Connection, "on_deadline", broken)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        check(coded(b"GET", PLAIN._replace(end=2)))
