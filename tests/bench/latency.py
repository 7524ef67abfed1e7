"""Latency under a load that does not wait: every subject at a fixed rate, in turn, round after round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final, NamedTuple

from tests.bench.pace import Pace, run
from tests.bench.sample import ATTEMPTS, QUIET, watch
from tests.bench.stage import Running, Stage, probed
from tests.bench.subject import Subject
from tests.bench.workload import WORKLOADS, Workload

RATES: Final = (1000, 2000)
"""Requests a second: a fraction of what any of the subjects can do on one core."""

_LATE: Final = (
    1.0  # milliseconds by which one request in a hundred may leave late, all else being the subject's time
)
_KEPT: Final = 0.99  # share of the rate that must be answered


@dataclass(frozen=True, slots=True)
class LatencySample:
    """Figures of one subject at one rate in one round.

    share           of its core that the subject needed
    foreign, steal  shares of it that went to others and that the hypervisor kept
    """

    row: str
    rate: int
    round: int
    pace: Pace
    share: float
    foreign: float
    steal: float

    @property
    def late(self) -> bool:
        """Whether the load itself was late: then it says nothing about the subject."""
        return self.pace.lag_p99_ms > _LATE

    @property
    def disturbed(self) -> bool:
        return max(self.foreign, self.steal) > QUIET

    def problems(self) -> list[str]:
        """Why this measurement is not valid; empty when it is."""
        pace, found = self.pace, []
        if pace.errors:
            found.append(f"{pace.errors} requests without an answer, or connections closed")
        if pace.unexpected:
            found.append(f"{pace.unexpected} answers with an unexpected status")
        if pace.rate < self.rate * _KEPT:
            found.append(f"{pace.rate:.0f} requests answered a second")
        if self.late:
            found.append(
                f"the load did not keep its rate: one request in a hundred left {pace.lag_p99_ms:.1f} ms late"
            )
        return [f"{self.row} at {self.rate}/s, round {self.round}: {problem}" for problem in found]


class LatencyRow(NamedTuple):
    """Medians of a subject at one rate; `worst_ms` and `lag_p99_ms` are the greatest of all rounds."""

    name: str
    rate: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    share: float
    lag_p99_ms: float


def rows(samples: Sequence[LatencySample]) -> list[LatencyRow]:
    """By rate, then in the order in which the subjects were first measured."""
    grouped: dict[tuple[int, str], list[LatencySample]] = {}
    for sample in samples:
        grouped.setdefault((sample.rate, sample.row), []).append(sample)
    return [
        LatencyRow(
            name=name,
            rate=rate,
            p50_ms=median(each.pace.p50_ms for each in group),
            p99_ms=median(each.pace.p99_ms for each in group),
            worst_ms=max(each.pace.worst_ms for each in group),
            share=median(each.share for each in group),
            lag_p99_ms=max(each.pace.lag_p99_ms for each in group),
        )
        for (rate, name), group in sorted(grouped.items(), key=lambda item: item[0][0])
    ]


def request(workload: Workload, token: str) -> bytes:
    """The bytes of the workload's request."""
    fields = {"Host": "127.0.0.1", "X-Auth-Token": token, **workload.headers}
    if workload.body:
        fields["Content-Length"] = str(len(workload.body))
    lines = [
        f"{workload.method} {workload.path} HTTP/1.1",
        *(f"{name}: {text}" for name, text in fields.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + workload.body


def measure(
    stage: Stage,
    subjects: Sequence[Subject],
    *,
    rounds: int,
    seconds: int,
    connections: int,
    tell: Callable[[str], None],
) -> list[LatencySample]:
    """Raises StartError, PaceError or ProcError."""
    workload = WORKLOADS["W1"]
    token = stage.key.token()
    upstream_port = stage.upstream(token)
    started = [probed(stage.start(subject, upstream_port), workload, token) for subject in subjects]
    sent = request(workload, token)
    samples = []
    for rate in RATES:
        for number in range(rounds):
            first = number % len(started)
            for running in started[first:] + started[:first]:
                load = partial(
                    run,
                    stage.pinned([], stage.load_core),
                    running.port,
                    sent,
                    rate=rate,
                    seconds=seconds,
                    connections=connections,
                )
                sample = take(stage, running, load, rate=rate, number=number)
                samples.append(sample)
                p99 = sample.pace.p99_ms
                tell(f"{rate}/s, round {number + 1} of {rounds}: {running.name} p99 {p99:.2f} ms")
    return samples


def take(
    stage: Stage, running: Running, load: Callable[[], Pace], *, rate: int, number: int
) -> LatencySample:
    """Measures one subject, again while the load was late or others were in its way. Raises PaceError or ProcError."""
    for _ in range(ATTEMPTS):
        pace, spent = watch(running.server, stage.core, load)
        sample = LatencySample(running.name, rate, number, pace, spent.share, spent.foreign, spent.steal)
        if not sample.late and not sample.disturbed:
            break
    return sample
