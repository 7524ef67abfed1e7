import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bench.install import Tools, find
from tests.bench.server import StartError
from tests.bench.setting import Setting
from tests.bench.stage import Stage, probed
from tests.bench.subject import Launch, Subject
from tests.bench.workload import WORKLOADS

_SERVE = """\
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def _launch(setting: Setting, tools: Tools) -> Launch:
    setting.write("told", f"{setting.leaf} {setting.methods} {setting.connections} {setting.upstream_port}")
    return Launch([sys.executable, "-c", _SERVE, str(setting.port)], setting.log)


_SUBJECT = Subject("a server", "answers everybody", "", False, _launch)


def _tools(directory: Path, redis: Path | None = None) -> Tools:
    """A taskset that says what it was asked for, and pins nothing."""
    program = directory / "taskset"
    program.write_text('#!/bin/sh\necho pinned "$1" "$2"\nshift 2\nexec "$@"\n')
    program.chmod(0o755)
    return Tools(None, None, program, None, redis)


def test_a_subject_is_started_on_its_core_as_the_workload_wants_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stage = Stage(stack, _tools(tmp_path), tmp_path / "stage", 3, 4)
        running = stage.start(_SUBJECT, 80, name="a row", workload=WORKLOADS["W4-up"], connections=7)
        assert running.home == tmp_path / "stage" / "a-row"
        assert (running.home / "told").read_text() == "file False 7 80"
        assert running.log == running.home / "request.log"
        assert (running.home / "output").read_text().startswith("pinned -c 3\n")


def test_a_redis_is_started_beside_the_load(tmp_path: Path) -> None:
    program = find(tmp_path).redis
    assert program is not None, "the tests need Redis; on Debian and Ubuntu: apt-get install redis-server"
    with ExitStack() as stack:
        stage = Stage(stack, _tools(tmp_path, program), tmp_path / "stage", 3, 4)
        server = stage.redis()
        assert (tmp_path / "stage" / "redis" / "output").read_text().startswith("pinned -c 4\n")
        with socket.create_connection(("127.0.0.1", server.port), 5.0) as connection:
            connection.sendall(b"CONFIG GET save\r\n")
            assert connection.recv(100) == b"*2\r\n$4\r\nsave\r\n$0\r\n\r\n"


def test_a_subject_that_does_something_else_is_found_out(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stage = Stage(stack, _tools(tmp_path), tmp_path / "stage", 3, 4)
        running = stage.start(_SUBJECT, 80)
        with pytest.raises(StartError, match="a server: the workload's request is answered with 0 bytes"):
            probed(running, WORKLOADS["W1"], "token")
