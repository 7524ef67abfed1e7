import socket
import sys
from dataclasses import replace
from pathlib import Path

from tests.bench.sample import Sample, watch
from tests.bench.server import Ports, Server

GOOD = Sample(
    row="weir",
    round=0,
    requests=1000,
    rps=1000.0,
    cpu_us=50.0,
    user_us=40.0,
    system_us=10.0,
    p50_ms=1.0,
    p99_ms=2.0,
    rss_mib=60.0,
    errors=0,
    unexpected=0,
    foreign=0.01,
    steal=0.0,
)


def test_a_good_sample_has_no_problem() -> None:
    assert GOOD.problems() == []


def test_every_kind_of_failure_is_named_with_row_and_round() -> None:
    bad = replace(GOOD, round=2, requests=0, errors=3, unexpected=7)
    assert bad.problems() == [
        "weir, round 2: no request was answered",
        "weir, round 2: 3 errors of connection",
        "weir, round 2: 7 answers with an unexpected status",
    ]


_BUSY = """\
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client = listener.accept()[0]
    if client.recv(1):
        sum(range(2_000_000))
        client.sendall(b"x")
    client.close()
"""


def test_a_server_is_watched_while_something_is_asked_of_it(tmp_path: Path) -> None:
    with Ports() as ports:
        port = ports.take()

        def ask() -> bytes:
            with socket.create_connection(("127.0.0.1", port), 10.0) as client:
                client.sendall(b"x")
                return client.recv(1)

        with Server([sys.executable, "-c", _BUSY, str(port)], port, tmp_path / "output") as server:
            answer, spent = watch(server, 0, ask)
    assert answer == b"x"
    assert spent.cpu > 0.001
    assert 0 < spent.share <= 1.1
    assert spent.rss > 1 << 20
