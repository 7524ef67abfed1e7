"""Somebody who watches: as long as there is something to be seen, and no longer."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench import watcher
from tests.bench.server import StartError
from tests.bench.watcher import Watcher


class _Events(BaseHTTPRequestHandler):
    gone = threading.Event()
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/live" else 404)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"event: summary\n\n")
                if self.gone.wait(0.01):
                    return
        except OSError:
            self.gone.set()

    def log_message(self, format: str, *arguments: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    _Events.gone.clear()
    _Events.status = 200
    with ThreadingHTTPServer(("127.0.0.1", 0), _Events) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        _Events.gone.set()
        server.shutdown()
        thread.join()


def test_events_are_taken_until_the_end(port: int) -> None:
    with Watcher([sys.executable, "-m", watcher.__name__, str(port)]):
        assert not _Events.gone.is_set()
    assert _Events.gone.wait(10)


def test_where_there_is_nothing_to_be_seen_it_is_told(port: int) -> None:
    _Events.status = 501
    with (
        pytest.raises(StartError, match="sees no events"),
        Watcher([sys.executable, "-m", watcher.__name__, str(port)]),
    ):
        pass
