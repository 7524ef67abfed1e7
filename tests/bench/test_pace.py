import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.pace import Book, PaceError, drive, percentile, run

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def _book(*, rate: int = 1000, count: int = 10, skip: int = 0) -> Book:
    return Book(begin=100.0, rate=rate, count=count, skip=skip)


def _due(book: Book, now: float) -> list[int]:
    found = []
    while (number := book.due(now)) is not None:
        found.append(number)
    return found


def test_a_request_is_due_at_its_instant_and_once() -> None:
    book = _book(rate=10, count=3)
    assert _due(book, 99.9) == []
    assert _due(book, 100.1) == [0, 1]
    assert book.next_due == pytest.approx(100.2)
    assert _due(book, 500.0) == [2]
    assert book.next_due is None


def test_requests_that_had_to_wait_for_a_halt_count_as_slow() -> None:
    """One answer in ten is late; that the nine behind it could not leave is the proxy's doing as well."""
    book = _book(rate=10, count=10)
    for number in _due(book, 101.0):
        book.answered(number, 101.0, expected=True)
    pace = book.pace()
    assert pace.worst_ms == pytest.approx(1000)
    assert pace.p50_ms == pytest.approx(500)


def test_what_the_load_is_late_by_is_told_apart() -> None:
    book = _book(rate=10, count=1)
    (number,) = _due(book, 100.25)
    book.left_at_once(number, 100.25)
    book.answered(number, 100.5, expected=True)
    assert book.pace().lag_p99_ms == pytest.approx(250)
    assert book.pace().worst_ms == pytest.approx(500)


def test_the_rate_is_that_of_the_answers() -> None:
    kept, behind = _book(rate=10, count=10), _book(rate=10, count=10)
    for number in range(10):
        kept.answered(number, kept.instant(number) + 0.01, expected=True)
        behind.answered(number, 100.0 + (number + 1) * 0.2, expected=True)
    assert kept.pace().rate == pytest.approx(10)
    assert behind.pace().rate == pytest.approx(5)


def test_the_warm_up_is_not_counted() -> None:
    book = _book(rate=10, count=4, skip=2)
    for number, late in enumerate((9.0, 9.0, 0.001, 0.001)):
        book.answered(number, book.instant(number) + late, expected=number >= 2)
    pace = book.pace()
    assert (pace.answered, pace.unexpected) == (2, 0)
    assert pace.worst_ms == pytest.approx(1)
    assert pace.rate == pytest.approx(10)


def test_lost_and_unanswered_requests_are_errors() -> None:
    book = _book(count=4)
    book.answered(0, 100.0, expected=False)
    book.failed()
    pace = book.pace()
    assert (pace.answered, pace.unexpected, pace.errors) == (1, 1, 3)


def test_no_answer_at_all_is_no_pace() -> None:
    with pytest.raises(PaceError, match="no request was answered"):
        _book().pace()


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_that_enough_do_not_exceed(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


@contextmanager
def _serving(answer: Callable[[socket.socket], bool]) -> Iterator[int]:
    """A server that calls `answer` for each request until it says that the connection is over."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(1 << 16) and answer(self.request):
                pass

    class Listener(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Listener(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield listener.server_address[1]
        finally:
            listener.shutdown()
            thread.join()


def _ok(connection: socket.socket) -> bool:
    connection.sendall(_OK)
    return True


def _bytewise(connection: socket.socket) -> bool:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in _OK:
        connection.sendall(bytes((byte,)))
    return True


@pytest.mark.parametrize("answer", [_ok, _bytewise])
def test_every_request_is_sent_and_answered_once(answer: Callable[[socket.socket], bool]) -> None:
    with _serving(answer) as port:
        pace = drive(port, _REQUEST, rate=200, seconds=0.25, warm_up=0.05, connections=4, status=200)
    assert (pace.answered, pace.errors, pace.unexpected) == (50, 0, 0)
    assert 0 < pace.p50_ms <= pace.p99_ms <= pace.worst_ms


def test_one_connection_that_waits_makes_those_behind_it_late() -> None:
    held = threading.Event()
    first = threading.Event()

    def slow_at_first(connection: socket.socket) -> bool:
        if not first.is_set():
            first.set()
            held.wait(0.2)
        return _ok(connection)

    with _serving(slow_at_first) as port:
        pace = drive(port, _REQUEST, rate=100, seconds=0.2, warm_up=0, connections=1, status=200)
    assert pace.answered == 20
    assert pace.worst_ms >= 200
    assert pace.p50_ms >= 100


def test_another_status_is_unexpected() -> None:
    with _serving(_ok) as port:
        pace = drive(port, _REQUEST, rate=100, seconds=0.05, warm_up=0, connections=1, status=405)
    assert (pace.answered, pace.unexpected) == (5, 5)


@pytest.mark.parametrize("extra", [b"", b"HTTP/1.1 200 OK\r\n\r\n", _OK + b"x"])
def test_a_connection_that_ends_or_says_nonsense_is_an_error(extra: bytes) -> None:
    answered = threading.Event()

    def once(connection: socket.socket) -> bool:
        if not answered.is_set():
            answered.set()
            return _ok(connection)
        if extra:
            connection.sendall(extra)
        return False

    with _serving(once) as port:
        pace = drive(port, _REQUEST, rate=100, seconds=0.05, warm_up=0, connections=1, status=200)
    assert (pace.answered, pace.errors) == (1, 4)


def test_the_command_reports_what_it_saw() -> None:
    with _serving(_ok) as port:
        pace = run([], port, _REQUEST, rate=50, seconds=1, warm_up=0, connections=2)
    assert (pace.answered, pace.errors) == (50, 0)


def test_a_load_that_fails_says_why() -> None:
    prefix = [sys.executable, "-c", "raise SystemExit('no such server')"]
    with pytest.raises(PaceError, match="status 1: no such server"):
        run(prefix, 1, _REQUEST, rate=50, seconds=1, connections=2)
