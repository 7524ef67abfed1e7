import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bench import stall
from tests.bench.memory import CONNECTIONS, IDLE, STALLED_CLIENT, MemorySample, Watch, idle, through
from tests.bench.server import Ports, Server
from tests.bench.stage import Running
from tests.bench.stall import Halt, Transfer, Upstream
from tests.bench.subject import SUBJECTS

_MIB = 1 << 20

_RELAY = """\
import socket, sys, threading
port, upstream, hold = map(int, sys.argv[1:])
def pump(source, sink):
    data = bytearray()
    while piece := source.recv(65536):
        data += piece
        if len(data) > hold:
            sink.sendall(data)
            data.clear()
    sink.close()
def serve(client):
    server = socket.create_connection(("127.0.0.1", upstream))
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    pump(server, client)
listener = socket.create_server(("127.0.0.1", port), backlog=100)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
"""A proxy that passes bytes on, and keeps back as many as it is told to."""

_ONCE = """\
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=100)
while True:
    client = listener.accept()[0]
    if client.recv(65536):
        client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    client.close()
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _running(stack: ExitStack, directory: Path, script: str, *arguments: object) -> Running:
    port = stack.enter_context(Ports()).take()
    command = [sys.executable, "-c", script, str(port), *map(str, arguments)]
    server = stack.enter_context(Server(command, port, directory / "output"))
    return Running("a relay", SUBJECTS["weir"], server, port, directory, None)


def _sample(kind: str = STALLED_CLIENT, amount: int = 200_000_000, problem: str = "") -> MemorySample:
    return MemorySample(
        "weir", kind, before=60 * _MIB, after=63 * _MIB, amount=amount, held=5 * _MIB, problem=problem
    )


def test_growth_is_between_before_and_after() -> None:
    assert _sample().growth == 3 * _MIB
    assert _sample(IDLE, amount=1024).each == 3 * 1024


def test_a_problem_names_subject_and_measurement() -> None:
    assert _sample().problems() == []
    assert _sample(problem="closed").problems() == ["weir, stalled client: closed"]


def test_fewer_connections_than_meant_are_a_doubt() -> None:
    assert _sample(IDLE, amount=CONNECTIONS).doubts() == []
    assert _sample(IDLE, amount=500).doubts() == ["the limit of open files allowed 500 connections of 10000"]
    assert _sample(amount=500).doubts() == []


def test_memory_is_watched_at_its_greatest() -> None:
    watch = Watch(os.getpid())
    before = watch.greatest
    with watch.looking():
        block = bytearray(b"x" * (64 * _MIB))
        while watch.greatest < before + 32 * _MIB:
            assert len(block) == 64 * _MIB
        del block
    assert watch.greatest >= before + 32 * _MIB


@pytest.mark.parametrize("send", [stall.down, stall.up])
def test_a_proxy_that_passes_a_body_on_does_not_grow_by_it(
    stack: ExitStack, tmp_path: Path, send: object
) -> None:
    assert callable(send)
    upstream = stack.enter_context(Upstream().serving())
    running = _running(stack, tmp_path, _RELAY, upstream.port, 0)
    transfer = Transfer(48 * _MIB, Halt(still=0.1, slow=0.05, pause=0.01))
    sample = through("relay", running, upstream, STALLED_CLIENT, send, "token", transfer, rest=0.05)
    assert sample.problem == ""
    assert sample.amount == 48 * _MIB
    assert sample.growth < 16 * _MIB


def test_a_body_that_does_not_arrive_is_a_problem_and_no_figure(stack: ExitStack, tmp_path: Path) -> None:
    upstream = stack.enter_context(Upstream().serving())
    running = _running(stack, tmp_path, _ONCE)
    sample = through(
        "relay", running, upstream, STALLED_CLIENT, stall.down, "token", Transfer(_MIB), rest=0.05
    )
    assert sample.problem == f"0 bytes were announced, {_MIB} are meant"


def test_connections_that_stay_are_counted(stack: ExitStack, tmp_path: Path) -> None:
    upstream = stack.enter_context(Upstream().serving())
    running = _running(stack, tmp_path, _RELAY, upstream.port, 0)
    sample = idle("relay", running, "token", 20, rest=0.05)
    assert (sample.amount, sample.problem) == (20, "")
    assert sample.kind == IDLE


def test_connections_that_do_not_stay_are_a_problem(stack: ExitStack, tmp_path: Path) -> None:
    running = _running(stack, tmp_path, _ONCE)
    assert idle("relay", running, "token", 20, rest=0.05).problem == "20 of 20 connections no longer answer"
