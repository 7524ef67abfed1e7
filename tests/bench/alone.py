"""What is measured in a process of its own that does nothing else: how it is started, and what it tells."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.bench import proc
from tests.bench.sample import Sample
from tests.bench.wrk import LoadError

SERVER: Final = ", server"
"""What the name of a row ends with that is of the server which another row asks."""


class Told(NamedTuple):
    """What such a process prints, as JSON: seconds, of CPU where nothing else is said.

    calls         how often that was done which is measured
    wall          on the clock
    user, system  parts of cpu, more coarsely
    server        what a server used meanwhile which is asked by each call; None where there is none
    process       of the whole process, its start included
    """

    calls: int
    wall: float
    cpu: float
    user: float
    system: float
    server: float | None
    process: float


class Mark(NamedTuple):
    """What this process has used up to one instant, and the server that it asks."""

    wall: float
    cpu: float
    user: float
    system: float
    pid: int | None
    server: proc.Usage | None

    @classmethod
    def now(cls, pid: int | None = None) -> "Mark":
        """`pid` is that of the server."""
        own = resource.getrusage(resource.RUSAGE_SELF)
        server = None if pid is None else proc.usage(pid)
        return cls(time.monotonic(), time.process_time(), own.ru_utime, own.ru_stime, pid, server)

    def told(self, calls: int) -> Told:
        """What so many calls have taken since then."""
        now = Mark.now(self.pid)
        server = None
        if self.server is not None and now.server is not None:
            server = proc.cpu_seconds(self.server, now.server)
        return Told(
            calls=calls,
            wall=now.wall - self.wall,
            cpu=now.cpu - self.cpu,
            user=now.user - self.user,
            system=now.system - self.system,
            server=server,
            process=now.cpu,
        )


def tell(told: Told) -> None:
    """What such a process ends with."""
    json.dump(told._asdict(), sys.stdout)


def take(command: Sequence[str], row: str, core: int, *, number: int, seconds: int) -> list[Sample]:
    """Measures a row by `command`, which runs on that core: a sample of it, and one of the server that it asks, if any.

    Raises LoadError.
    """
    began, before = time.monotonic(), proc.core_time(core)
    try:
        done = subprocess.run(
            [*command, row, "--seconds", str(seconds)],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LoadError(f"{row}: has not ended after {seconds + 60} s") from None
    after, span = proc.core_time(core), time.monotonic() - began
    if done.returncode:
        raise LoadError(f"{row}: {done.stderr.strip().splitlines()[-1:]}")
    told = Told(**json.loads(done.stdout))
    foreign = max(0.0, after.busy - before.busy - told.process) / span
    steal = (after.steal - before.steal) / span
    samples = [_sample(told, row, number, told.cpu, told.user, told.system, foreign, steal)]
    if told.server is not None:
        samples.append(_sample(told, row + SERVER, number, told.server, 0.0, 0.0, foreign, steal))
    return samples


def _sample(
    told: Told, row: str, number: int, cpu: float, user: float, system: float, foreign: float, steal: float
) -> Sample:
    each = 1e6 / max(told.calls, 1)
    return Sample(
        row=row,
        round=number,
        requests=told.calls,
        rps=told.calls / told.wall,
        cpu_us=cpu * each,
        user_us=user * each,
        system_us=system * each,
        p50_ms=0.0,
        p99_ms=0.0,
        rss_mib=0.0,
        errors=0,
        unexpected=0,
        foreign=foreign,
        steal=steal,
    )
