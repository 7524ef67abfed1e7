"""A real Redis in a directory of its own, on a port with or without TLS."""

import asyncio
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.support.deadline import until

SERVER = shutil.which("valkey-server") or shutil.which("redis-server")
CLI = shutil.which("valkey-cli") or shutil.which("redis-cli")
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


class Cluster:
    """Masters that have the slots among them."""

    def __init__(self, nodes: list[Redis]) -> None:
        self.nodes = nodes

    async def told(self, node: Redis, *words: str | int) -> str:
        """What a node answers; fails where it refuses."""
        assert CLI is not None, "the tests need redis-cli; on Debian and Ubuntu: apt-get install redis-tools"
        command = [CLI, "-e", "-h", "127.0.0.1", "-p", str(node.port), *map(str, words)]
        run = asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=START)
        done: subprocess.CompletedProcess[str] = await run
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    async def name(self, node: Redis) -> str:
        return await self.told(node, "CLUSTER", "MYID")

    async def owner(self, slot: int) -> Redis:
        """Who has a slot, as the first of them says."""
        for line in (await self.told(self.nodes[0], "CLUSTER", "NODES")).splitlines():
            (
                _,
                place,
                *_,
            ) = fields = line.split()
            for first, _, last in (share.partition("-") for share in fields[8:] if share[0].isdigit()):
                if int(first) <= slot <= int(last or first):
                    port = int(place.partition("@")[0].rpartition(":")[2])
                    return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    async def move(self, slot: int, source: Redis, target: Redis) -> None:
        """Hands an empty slot over, and all know of it."""
        name = await self.name(target)
        for node in (target, source, *self.nodes):
            await self.told(node, "CLUSTER", "SETSLOT", slot, "NODE", name)


@asynccontextmanager
async def cluster(directory: Path, *options: str, masters: int = 3) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        nodes: list[Redis] = []
        for number in range(masters):
            own = directory / f"node-{number}"
            own.mkdir()
            bus = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            nodes.append(await stack.enter_async_context(redis(own, *bus, *options)))
        made = Cluster(nodes)
        places = [f"127.0.0.1:{node.port}" for node in nodes]
        await made.told(nodes[0], "--cluster", "create", *places, "--cluster-yes")
        async with asyncio.timeout(START):
            for node in nodes:
                while "cluster_state:ok" not in await made.told(node, "CLUSTER", "INFO"):
                    await asyncio.sleep(0.05)
        yield made
