"""Servers as processes: started on a core, waited for, and stopped by their own id."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.bench import proc

_START: Final = 20.0
_STOP: Final = 5.0
_POLL: Final = 0.05


class StartError(Exception):
    """A server did not start; the message ends with what it printed."""


class Ports:
    """Free ports of loopback, kept reserved until closed.

    A socket that is bound and does not listen keeps the system from giving its port to anybody else, while a server
    that sets SO_REUSEADDR, as all of these do, can still listen on it.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self) -> int:
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._held.append(held)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port

    def __enter__(self) -> "Ports":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._held:
            self._held.pop().close()


class Server:
    """A server process; as a context it runs from the first accepted connection to the end of the block."""

    def __init__(self, command: list[str], port: int, output: Path) -> None:
        """Starts `command`, which is to listen on `port`; what it prints goes to the file `output`."""
        self._command = command
        self._port = port
        self._output = output
        with output.open("wb") as stream:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        return self._port

    def __enter__(self) -> "Server":
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise StartError(
                    f"{self._told()} ended with status {self._process.returncode}{self._printed()}"
                )
            try:
                socket.create_connection(("127.0.0.1", self._port), 1.0).close()
            except OSError:
                time.sleep(_POLL)
            else:
                return
        raise StartError(f"{self._told()} does not listen after {_START:.0f} s{self._printed()}")

    def stop(self) -> None:
        """SIGTERM, and after a while SIGKILL for it and what descends from it."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            for pid in reversed(proc.tree(self.pid)):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self._process.wait()

    def _told(self) -> str:
        return " ".join(self._command)

    def _printed(self) -> str:
        text = self._output.read_text(errors="replace").strip()
        return f":\n{text[-2000:]}" if text else ""
