import socket
import sys
from pathlib import Path

import pytest

from tests.bench.server import Ports, Server, StartError

_LISTEN = """\
import signal, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
signal.pause()
"""


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_server_runs_on_a_reserved_port_until_the_block_ends(tmp_path: Path) -> None:
    with Ports() as ports:
        port = ports.take()
        assert not _accepts(port)
        with Server([sys.executable, "-c", _LISTEN, str(port)], port, tmp_path / "output"):
            assert _accepts(port)
        assert not _accepts(port)


def test_reserved_ports_differ() -> None:
    with Ports() as ports:
        assert len({ports.take() for _ in range(20)}) == 20


def test_a_server_that_dies_is_quoted(tmp_path: Path) -> None:
    with Ports() as ports:
        port = ports.take()
        server = Server([sys.executable, "-c", "raise SystemExit('no such file')"], port, tmp_path / "output")
        with pytest.raises(StartError, match="ended with status 1:\nno such file"), server:
            pass
