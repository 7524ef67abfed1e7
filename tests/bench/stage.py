"""What every measurement stands on: an upstream, ports, a token, and subjects started on the core under test."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import nginx, watcher
from tests.bench.install import Tools
from tests.bench.probe import check, probes
from tests.bench.server import Ports, Server, StartError
from tests.bench.setting import Setting
from tests.bench.subject import Subject
from tests.bench.workload import WORKLOADS, SigningKey, Workload


@dataclass(frozen=True, slots=True)
class Running:
    """A subject that has been started; `home` holds its files, `log` the log that it writes, if any."""

    name: str
    subject: Subject
    server: Server
    port: int
    home: Path
    log: Path | None


@dataclass(frozen=True, slots=True)
class Stage:
    """Where subjects run, until `stack` is closed.

    directory  for their files; each measurement has one of its own
    core       of the subject under test
    load_core  of the load, of the upstream and of a store
    """

    stack: ExitStack
    tools: Tools
    directory: Path
    core: int
    load_core: int
    key: SigningKey = field(default_factory=SigningKey)
    ports: Ports = field(default_factory=Ports)

    def __post_init__(self) -> None:
        self.directory.mkdir()
        self.stack.enter_context(self.ports)

    def pinned(self, command: Sequence[str], core: int) -> list[str]:
        return [str(self.tools.taskset), "-c", str(core), *command]

    def upstream(self, token: str) -> int:
        """Starts the upstream; its port."""
        home = self.directory / "upstream"
        home.mkdir()
        port = self.ports.take()
        path = home / "nginx.conf"
        path.write_text(nginx.upstream(home, port, token), encoding="utf-8")
        command = self.pinned(nginx.command(self.tools, path), self.load_core)
        self.stack.enter_context(Server(command, port, home / "output"))
        return port

    def redis(self) -> Server:
        """Starts a Redis that keeps nothing on disk."""
        home = self.directory / "redis"
        home.mkdir()
        port = self.ports.take()
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": home}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = self.pinned([str(self.tools.redis), *words], self.load_core)
        return self.stack.enter_context(Server(command, port, home / "output"))

    def start(
        self,
        subject: Subject,
        upstream_port: int,
        *,
        name: str = "",
        workload: Workload = WORKLOADS["W1"],
        connections: int = 4096,
    ) -> Running:
        """Starts a subject, as the workload wants it. Raises StartError."""
        name = name or subject.name
        home = self.directory / name.replace(" ", "-")
        home.mkdir()
        setting = Setting(
            home,
            self.ports.take(),
            self.ports.take(),
            upstream_port,
            self.key,
            methods=workload.refused,
            leaf=workload.leaf,
            connections=connections,
        )
        launch = subject.launch(setting, self.tools)
        command = self.pinned(launch.command, self.core)
        server = self.stack.enter_context(Server(command, setting.port, home / "output"))
        if launch.page is not None:
            watching = [sys.executable, "-m", watcher.__name__, str(launch.page)]
            self.stack.enter_context(watcher.Watcher(self.pinned(watching, self.load_core)))
        return Running(name, subject, server, setting.port, home, launch.log)


def probed(running: Running, workload: Workload, token: str) -> Running:
    """The same, found to do what it is measured for. Raises StartError."""
    for probe in probes(workload, token, policy=running.subject.policy):
        if problem := check(running.port, probe):
            raise StartError(f"{running.name}: {problem}")
    return running
