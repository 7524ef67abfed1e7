"""What the service manager is told, and what it hands over."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.supervisor import notify
from gateway.supervisor.notify import Notifier, listening


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_says_each_state_in_the_words_of_sd_notify(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready("2 workers")
    assert heard(manager) == ["READY=1", "STATUS=2 workers"]
    notifier.reloading()
    state, instant = heard(manager)
    assert state == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=[0-9]+", instant)
    notifier.stopping("draining")
    assert heard(manager) == ["STOPPING=1", "STATUS=draining"]
    notifier.alive()
    assert heard(manager) == ["WATCHDOG=1"]
    notifier.successor(42)
    assert heard(manager) == ["MAINPID=42"]


def test_speaks_to_an_abstract_socket() -> None:
    name = f"weir-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": "@" + name})
        notifier.alive()
        assert sock.recv(100) == b"WATCHDOG=1"
        assert notifier.path == "@" + name


def test_says_nothing_where_nobody_asks_or_listens(tmp_path: Path) -> None:
    Notifier({}).ready("")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "absent")}).ready("")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_obeyed_by_the_process_that_is_meant(
    given: dict[str, str], expected: float | None
) -> None:
    environment = dict(given)
    assert Notifier(environment).watchdog == expected
    assert environment == {}  # so that no worker says it again


def test_sockets_are_taken_over_by_the_process_that_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as made:
        monkeypatch.setattr(notify, "FIRST", os.dup(made.fileno()))
        environment = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "weir"}
        (sock,) = listening(environment)
        with sock:
            assert sock.getsockname() == made.getsockname()
            assert not os.get_inheritable(sock.fileno())
            assert not sock.getblocking()
        assert environment == {}


@pytest.mark.parametrize(
    "given", [{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())}]
)
def test_sockets_for_another_process_are_left_alone(given: dict[str, str]) -> None:
    assert listening(dict(given)) == []


def test_a_manager_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
        for _ in range(2000):  # more than any queue holds
            notifier.alive()
        notifier.stopping("draining")
