"""What a proxy holds in memory: of a body that one end does not read, and for clients that are only there."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

from tests.bench import proc, stall
from tests.bench.crowd import Crowd, connections_allowed
from tests.bench.latency import request
from tests.bench.pace import PaceError
from tests.bench.stage import Running, Stage
from tests.bench.stall import Halt, StallError, Transfer, Upstream
from tests.bench.subject import Subject
from tests.bench.workload import FILE, WORKLOADS, path

STALLED_CLIENT: Final = "stalled client"
STALLED_UPSTREAM: Final = "stalled upstream"
IDLE: Final = "idle connections"
BARE: Final = ("nginx", "envoy", "weir")
"""The subjects that are measured: a policy would refuse such a body for its size."""

BODY: Final = 200_000_000
CONNECTIONS: Final = 10_000

_FIRST: Final = 1 << 20  # bytes that go through before, so that what is set up once is not counted
_FIRST_CONNECTIONS: Final = 64
_REST: Final = 1.0  # seconds in which nothing is asked, before memory is read
_EVERY: Final = 0.01  # seconds between two looks at memory


@dataclass(frozen=True, slots=True)
class MemorySample:
    """Resident memory of one subject, in bytes.

    before  when it had served a little
    after   at its greatest while the body passed, or with all connections idle
    amount  bytes that passed, or connections
    held    bytes that had left their sender while the other end read nothing; 0 for connections
    """

    row: str
    kind: str
    before: int
    after: int
    amount: int
    held: int = 0
    problem: str = ""

    @property
    def growth(self) -> int:
        return self.after - self.before

    @property
    def each(self) -> float:
        """Bytes for each connection."""
        return self.growth / max(self.amount, 1)

    def problems(self) -> list[str]:
        return [f"{self.row}, {self.kind}: {self.problem}"] if self.problem else []

    def doubts(self) -> list[str]:
        if self.kind == IDLE and self.amount < CONNECTIONS:
            return [f"the limit of open files allowed {self.amount} connections of {CONNECTIONS}"]
        return []


class Watch:
    """The greatest resident memory of a process and its descendants while it is looked at."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = Event()
        self.greatest = proc.resident(pid)

    @contextmanager
    def looking(self) -> Iterator[None]:
        thread = Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _look(self) -> None:
        while not self._over.wait(_EVERY):
            try:
                self.greatest = max(self.greatest, proc.resident(self._pid))
            except proc.ProcError:  # it died: whoever asks it for something is told so
                return


def measure(
    stage: Stage, subjects: Sequence[Subject], tell: Callable[[str], None], *, halt: Halt, connections: int
) -> list[MemorySample]:
    """Raises StartError or ProcError; what goes wrong in one measurement stands in its sample."""
    room = connections_allowed(connections)
    token = stage.key.token()
    samples = []
    ends = ((STALLED_CLIENT, stall.down), (STALLED_UPSTREAM, stall.up))
    with Upstream().serving() as upstream:
        for kind, send in ends:
            for subject in subjects:
                running = stage.start(
                    subject, upstream.port, name=f"{subject.name} {kind}", workload=WORKLOADS["W4-up"]
                )
                samples.append(
                    through(subject.name, running, upstream, kind, send, token, Transfer(BODY, halt))
                )
                running.server.stop()
                tell(f"{kind}: {subject.name} {samples[-1].growth / (1 << 20):+.1f} MiB")
    upstream_port = stage.upstream(token)
    for subject in subjects:
        # Each connection needs another towards the upstream while it asks.
        running = stage.start(subject, upstream_port, name=f"{subject.name} {IDLE}", connections=room + 1024)
        samples.append(idle(subject.name, running, token, room))
        running.server.stop()
        tell(f"{IDLE}: {subject.name} {samples[-1].each / 1024:.1f} KiB each")
    return samples


def through(
    row: str,
    running: Running,
    upstream: Upstream,
    kind: str,
    send: Callable[[int, str, str, Transfer], None],
    token: str,
    transfer: Transfer,
    rest: float = _REST,
) -> MemorySample:
    """The transfer, by `send`, through a subject whose upstream is ours."""
    target = path(FILE)
    problem = ""
    watch = Watch(running.server.pid)
    before = watch.greatest
    try:
        for small in (stall.down, stall.up):
            upstream.transfer = Transfer(_FIRST)
            small(running.port, target, token, upstream.transfer)
        time.sleep(rest)
        watch = Watch(running.server.pid)
        before = watch.greatest
        upstream.transfer = transfer
        with watch.looking():
            send(running.port, target, token, transfer)
    except (StallError, OSError) as error:
        problem = str(error) or repr(error)
    return MemorySample(row, kind, before, watch.greatest, transfer.sent, transfer.held, problem)


def idle(row: str, running: Running, token: str, number: int, rest: float = _REST) -> MemorySample:
    """That many connections, each of which has had an answer and does nothing more."""
    sent = request(WORKLOADS["W1"], token)
    problem = ""
    before = after = proc.resident(running.server.pid)
    with Crowd(running.port, sent) as crowd:
        try:
            with Crowd(running.port, sent) as first:
                first.grow(_FIRST_CONNECTIONS)
            time.sleep(rest)
            before = proc.resident(running.server.pid)
            crowd.grow(number)
            time.sleep(rest)
            after = proc.resident(running.server.pid)
            alive = crowd.alive()
        except (PaceError, OSError) as error:
            problem = f"connection {len(crowd)}: {error}"
        else:
            if alive < number:
                problem = f"{number - alive} of {number} connections no longer answer"
        return MemorySample(row, IDLE, before, after, len(crowd), problem=problem)
