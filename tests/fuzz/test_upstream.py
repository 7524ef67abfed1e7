"""The target condemns a parser that delivers what is not there, and reads what is."""

from typing import Any

import pytest

from gateway.upstream.connection import UpstreamConnection
from tests.fuzz.upstream import Choices, check, choices, coded

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@pytest.mark.parametrize("cut", range(4))
@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("idle", [True, False])
def test_an_input_says_how_it_is_played(cut: int, ended: bool, idle: bool) -> None:
    made = Choices(cut, 5, ended, idle, 9)
    assert choices(coded(OK, made)) == made
    check(coded(OK + CHUNKED, made))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xff"])
def test_an_input_may_be_short(data: bytes) -> None:
    check(data)


def test_what_is_right_is_delivered_on_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = list[bool]()
    begin = UpstreamConnection.begin

    def counted(self: UpstreamConnection, owner: Any, data: bytes, *, no_body: bool) -> None:
        begun.append(no_body)
        begin(self, owner, data, no_body=no_body)

    monkeypatch.setattr(UpstreamConnection, "begin", counted)
    check(coded(OK + CHUNKED + OK[:-2], Choices(3, 4, True, False, 1)))
    assert begun == [False, False, True]


SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize("cut", range(3))
@pytest.mark.parametrize("ended", [True, False])
def test_behind_a_101_is_a_tunnel(cut: int, ended: bool) -> None:
    made = Choices(cut, 0, ended, False, 9, True)
    assert choices(coded(OK, made)) == made
    check(coded(OK + SWITCH + b"\x00" + OK, Choices(3, 0, ended, False, 9, True)))
    check(coded(SWITCH + b"\x00" + OK, made))
    check(coded(SWITCH + b"\x00" + OK, made._replace(offer=False)))


def test_a_byte_more_in_a_tunnel_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    take = UpstreamConnection.take
    monkeypatch.setattr(UpstreamConnection, "take", lambda self: take(self) + b"!")
    with pytest.raises(AssertionError, match="in the tunnel"):
        check(coded(SWITCH + b"a", Choices(0, 0, True, False, 9, True)))


def test_a_body_with_a_byte_more_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    take = UpstreamConnection.take
    monkeypatch.setattr(UpstreamConnection, "take", lambda self: take(self) + b"!")
    with pytest.raises(AssertionError, match="body b'ok!' for b'ok'"):
        check(coded(OK))


def test_a_message_that_is_none_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UpstreamConnection, "_agrees", lambda self, data, *, followed: True)
    with pytest.raises(AssertionError, match="a message is delivered that is none"):
        check(coded(CHUNKED.replace(b"2\r\n", b"2;a=\r\n")))


def test_bytes_left_for_another_exchange_are_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UpstreamConnection, "_agrees", lambda self, data, *, followed: True)
    with pytest.raises(AssertionError, match="are left for another"):
        check(coded(CHUNKED + b"\r\n"))


def test_a_connection_that_is_neither_kept_nor_ended_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UpstreamConnection, "release", lambda self: False)
    with pytest.raises(AssertionError, match="neither kept nor ended"):
        check(coded(OK))


def test_a_broken_message_that_is_whole_is_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(self: UpstreamConnection, *, clean: bool) -> None:
        self.complete = True

    monkeypatch.setattr(UpstreamConnection, "_end", end)
    with pytest.raises(AssertionError):
        check(coded(OK[:-1]))
