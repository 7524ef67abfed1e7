"""A real Redis in a directory of its own, on a port with or without TLS."""

import asyncio
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.deadline import until

SERVER = shutil.which("valkey-server") or shutil.which("redis-server")
START = 30.0
"""Seconds that it may take to start or to end on a busy machine."""


class Redis:
    """A server that keeps nothing on disk. It can be stopped, started again on the same places, and frozen."""

    def __init__(self, directory: Path, *options: str, port: int = 0, tls_port: int = 0) -> None:
        self._directory = directory
        self.port = port
        self.tls_port = tls_port
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        assert SERVER is not None, "the tests need Redis; on Debian and Ubuntu: apt-get install redis-server"
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(
                        SERVER,
                        "--port",
                        str(self.port),
                        "--bind",
                        "127.0.0.1",
                        "--save",
                        "",
                        "--appendonly",
                        "no",
                    ),
                    *("--dir", str(self._directory), "--tls-port", str(self.tls_port), *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await until(self._listens, "redis listens", START)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "redis.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port or self.tls_port), 1.0).close()
        except OSError:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT lets it go on."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait, START)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@asynccontextmanager
async def redis(directory: Path, *options: str, tls: bool = False) -> AsyncIterator[Redis]:
    """A server on a port that was free; another is tried where somebody takes it in between."""
    for attempt in range(5):
        port = free_port()
        server = Redis(directory, *options, **({"tls_port": port} if tls else {"port": port}))
        try:
            await server.start()
            break
        except AssertionError:
            await server.stop()
            if attempt == 4:
                raise
    try:
        yield server
    finally:
        await server.stop()
