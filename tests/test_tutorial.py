"""The commands of the tutorials are run, and print what these say that they print."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.process import START, WEIR
from tests.support.redis import free_port

DOCUMENTS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"^```(yaml|xml|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"""(127\.0\.0\.1:| port=")(\d+)""")
_LISTENS = re.compile(r"""^(?:listen|admin): "?127\.0\.0\.1:(\d+)""", re.MULTILINE)
_NAME = re.compile(r"(?:# |<!-- )(\S+)")


class _Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _answer  # noqa: N815 - the names that the class asks for

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def upstream() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def _commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that it is said to print."""
    command, printed = "", list[str]()
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, printed
            command, printed = line[2:], []
        else:
            printed.append(line)
    yield command, printed


def _listens(port: int) -> None:
    end = time.monotonic() + START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            assert time.monotonic() < end, "the gateway does not listen"
            time.sleep(0.05)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorial's requests are sent by curl")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("document", ["changing-a-limit.md", "moving-from-repose.md"])
def test_every_command_does_what_is_said(tmp_path: Path, upstream: int, document: str) -> None:
    ports = {port: free_port() for port in ("8080", "8090", "9901", "9902")}
    ports |= {"8774": upstream, "8088": upstream}
    environment = {**os.environ, "PATH": f"{WEIR.parent}{os.pathsep}{os.environ['PATH']}"}
    running: list[subprocess.Popen[bytes]] = []
    try:
        for kind, block in _BLOCK.findall((DOCUMENTS / document).read_text()):
            text = _PORT.sub(lambda match: f"{match[1]}{ports[match[2]]}", block)
            if kind != "console":
                name = _NAME.match(text)
                assert name is not None
                (tmp_path / name[1]).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name[1]).write_text(text)
                continue
            for command, printed in _commands(text):
                if command.endswith(" &"):
                    running.append(
                        subprocess.Popen(
                            f"exec {command[:-2]}",
                            shell=True,
                            cwd=tmp_path,
                            env=environment,
                            stderr=subprocess.DEVNULL,
                        )
                    )
                    configuration = (tmp_path / command.split()[2]).read_text()
                    for port in _LISTENS.findall(configuration):
                        _listens(int(port))
                    continue
                done = _ran(command, tmp_path, environment, printed)
                told = f"$ {command}\n{done}"
                for line in printed:
                    assert _within(line, done), f"{line!r} is not printed by\n{told}"
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(START)


def _ran(command: str, directory: Path, environment: dict[str, str], printed: list[str]) -> str:
    """What a command prints. Records are written a moment after their exchanges: who asks for them asks again."""
    end = time.monotonic() + START
    while True:
        done = subprocess.run(
            command, shell=True, cwd=directory, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        if all(_within(line, done.stdout) for line in printed) or time.monotonic() > end:
            return done.stdout
        time.sleep(0.1)


def _within(line: str, text: str) -> bool:
    """Whether a line is there, whatever space is between its words and whatever follows it."""
    return re.search(r"\s+".join(map(re.escape, line.split())), text) is not None
