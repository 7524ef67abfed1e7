"""One measurement: a load on one subject for a few seconds, and what the subject used meanwhile."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from tests.bench import proc
from tests.bench.server import Server
from tests.bench.workload import Workload
from tests.bench.wrk import Load, run

MIB = 1 << 20

QUIET: Final = 0.10
"""Share of the subject's core that others may use before its figures are doubtful."""

ATTEMPTS: Final = 3
"""Times that a measurement is made at most, if others are in its way."""

UPKEEP: Final = ", upkeep"
"""What the name of a row ends with that is of the process which looks after closed log files."""

T = TypeVar("T")


class Spent(NamedTuple):
    """What a subject used while something was asked of it.

    cpu, user, system  seconds, the latter two from clock ticks and so coarser
    rss                bytes at the end
    upkeep             seconds of what looks after its closed log files, which are not in cpu
    share              of its core that the subject had
    foreign            share of that core that went to others
    steal              share of it that the hypervisor kept
    """

    cpu: float
    user: float
    system: float
    rss: int
    upkeep: float
    share: float
    foreign: float
    steal: float


def watch(server: Server, core: int, ask: Callable[[], T]) -> tuple[T, Spent]:
    """What `ask` returns, and what the server, which has `core`, used meanwhile. Raises ProcError."""
    began, core_before, before = time.monotonic(), proc.core_time(core), proc.usage(server.pid)
    asked = ask()
    after, core_after, ended = proc.usage(server.pid), proc.core_time(core), time.monotonic()
    cpu = proc.cpu_seconds(before, after)
    upkeep = after.upkeep - before.upkeep
    span = ended - began
    return asked, Spent(
        cpu=cpu,
        user=after.user - before.user,
        system=after.system - before.system,
        rss=after.rss,
        upkeep=upkeep,
        share=cpu / span,
        foreign=max(0.0, core_after.busy - core_before.busy - cpu - upkeep) / span,
        steal=(core_after.steal - core_before.steal) / span,
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of one subject in one round.

    cpu_us      CPU microseconds per request, of all threads of all its processes
    user_us     the part spent in its own code, and
    system_us   in the kernel: both from clock ticks, so coarser than cpu_us
    errors      connections, reads, writes and time-outs that failed
    unexpected  answers with another kind of status than the workload's
    foreign     share of the subject's core that went to others
    steal       share of it that the hypervisor kept
    upkeep_us   as cpu_us, of what looks after closed log files with the lowest priority
    """

    row: str
    round: int
    requests: int
    rps: float
    cpu_us: float
    user_us: float
    system_us: float
    p50_ms: float
    p99_ms: float
    rss_mib: float
    errors: int
    unexpected: int
    foreign: float
    steal: float
    upkeep_us: float = 0.0

    def upkeep(self) -> "Sample":
        """What looks after closed log files, as a row of its own."""
        return replace(
            self, row=self.row + UPKEEP, cpu_us=self.upkeep_us, user_us=0.0, system_us=0.0, upkeep_us=0.0
        )

    @property
    def disturbed(self) -> bool:
        return max(self.foreign, self.steal) > QUIET

    def problems(self) -> list[str]:
        """Why this measurement is not valid; empty when it is."""
        found = []
        if self.requests == 0:
            found.append("no request was answered")
        if self.errors:
            found.append(f"{self.errors} errors of connection")
        if self.unexpected:
            found.append(f"{self.unexpected} answers with an unexpected status")
        return [f"{self.row}, round {self.round}: {problem}" for problem in found]


@dataclass(frozen=True, slots=True)
class Bench:
    """How the load is applied: by which command, from which script, and which core is the subject's."""

    wrk: list[str]
    script: Path
    path: str
    core: int
    connections: int

    def load(self, port: int, seconds: int) -> Load:
        """Applies it. Raises LoadError."""
        return run(
            self.wrk,
            self.script,
            f"http://127.0.0.1:{port}{self.path}",
            seconds=seconds,
            connections=self.connections,
        )


def take(
    bench: Bench, server: Server, port: int, workload: Workload, *, row: str, number: int, seconds: int
) -> Sample:
    """Measures one subject. Raises LoadError or ProcError."""
    load, spent = watch(server, bench.core, lambda: bench.load(port, seconds))
    requests = max(load.requests, 1)
    return Sample(
        row=row,
        round=number,
        requests=load.requests,
        rps=load.requests / load.seconds,
        cpu_us=spent.cpu / requests * 1e6,
        user_us=spent.user / requests * 1e6,
        system_us=spent.system / requests * 1e6,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        rss_mib=spent.rss / MIB,
        errors=load.errors,
        unexpected=load.requests - load.refused if workload.refused else load.refused,
        foreign=spent.foreign,
        steal=spent.steal,
        upkeep_us=spent.upkeep / requests * 1e6,
    )
