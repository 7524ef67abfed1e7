import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.bench import stall
from tests.bench.stall import Halt, StallError, Transfer, Upstream
from tests.support.deadline import DEADLINE


class _Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(10)
        there.settimeout(10)
        yield here, there


def test_an_end_reads_nothing_then_slowly_then_all(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    transfer, time = Transfer(4 << 20, Halt(still=3.0, slow=0.05, pause=0.01)), _Time()
    thread = threading.Thread(target=transfer.send, args=(there,))
    thread.start()
    transfer.receive(here, 0, clock=time.clock, sleep=time.sleep)
    thread.join()
    assert time.slept[0] == 3.0
    assert 5 <= time.slept.count(0.01) <= 6
    assert transfer.sent == 4 << 20
    assert transfer.held < transfer.sent


def test_a_body_that_ends_early_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    there.sendall(b"abc")
    there.close()
    with pytest.raises(StallError, match="5 of 9 bytes arrived"):
        Transfer(9).receive(here, 2)


def test_a_body_that_is_too_long_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    there.sendall(b"abc")
    with pytest.raises(StallError, match="3 bytes arrived, 2 were sent"):
        Transfer(2).receive(here, 0)


@pytest.mark.parametrize("send", [stall.down, stall.up])
def test_a_body_passes_both_ends(send: object) -> None:
    assert callable(send)
    with Upstream().serving() as upstream:
        for size in (0, 3_000_000):
            upstream.transfer = Transfer(size)
            send(upstream.port, "/", "token", upstream.transfer)
            # The end that sends may be told of its last bytes after the other has them.
            end = time.monotonic() + DEADLINE
            while upstream.transfer.sent < size and time.monotonic() < end:
                time.sleep(0.001)
            assert upstream.transfer.sent == size


def test_an_answer_of_another_length_is_an_error() -> None:
    with (
        Upstream(Transfer(5)).serving() as upstream,
        pytest.raises(StallError, match="5 bytes were announced, 6 are meant"),
    ):
        stall.down(upstream.port, "/", "token", Transfer(6))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", "answered HTTP/1.1 413 Too Large"),
        (b"", "closed without an answer"),
    ],
)
def test_a_refusal_is_an_error(answer: bytes, problem: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(StallError, match=problem):
            stall.up(listener.getsockname()[1], "/", "token", Transfer(0))
        thread.join()
