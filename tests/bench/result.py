"""What one workload's rounds come to: medians of each row, and whether the figures may be believed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple, Protocol

from tests.bench.sample import QUIET, Sample

YARDSTICK_US: Final = 24.0
"""What the yardstick cost on the machine where the project's design was measured; normalised figures refer to it."""


class Disturbed(Protocol):
    """What says how far others had the core under test."""

    @property
    def foreign(self) -> float: ...
    @property
    def steal(self) -> float: ...


class Row(NamedTuple):
    """Medians of a row's samples, with the range of its CPU figure and the sum of what went wrong."""

    name: str
    cpu_us: float
    cpu_low: float
    cpu_high: float
    normalised: float | None
    user_us: float
    system_us: float
    rps: float
    p50_ms: float
    p99_ms: float
    rss_mib: float
    errors: int
    unexpected: int


@dataclass(frozen=True, slots=True)
class Result:
    """All rounds of one workload.

    unit       what a figure is the cost of
    yardstick  the row that figures are normalised by
    problems   why the figures are not valid, from what was seen beside the samples
    """

    workload: str
    title: str
    unit: str
    connections: int
    yardstick: str
    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def all_problems(self) -> list[str]:
        found = self.problems + [problem for sample in self.samples for problem in sample.problems()]
        return [f"{self.workload}: {problem}" for problem in found]

    def cpu(self, row: str) -> dict[int, float]:
        """CPU microseconds of a row, by round."""
        return {sample.round: sample.cpu_us for sample in self.samples if sample.row == row}


def rows(result: Result) -> list[Row]:
    """Medians, in the order in which the rows were first measured."""
    by_name: dict[str, list[Sample]] = {}
    for sample in result.samples:
        by_name.setdefault(sample.row, []).append(sample)
    measure = result.cpu(result.yardstick)
    unit = median(measure.values()) if measure else None
    return [_row(name, samples, unit) for name, samples in by_name.items()]


def _row(name: str, samples: Sequence[Sample], unit: float | None) -> Row:
    cpu = [sample.cpu_us for sample in samples]
    return Row(
        name=name,
        cpu_us=median(cpu),
        cpu_low=min(cpu),
        cpu_high=max(cpu),
        normalised=None if not unit else median(cpu) / unit * YARDSTICK_US,
        user_us=median(sample.user_us for sample in samples),
        system_us=median(sample.system_us for sample in samples),
        rps=median(sample.rps for sample in samples),
        p50_ms=median(sample.p50_ms for sample in samples),
        p99_ms=median(sample.p99_ms for sample in samples),
        rss_mib=max(sample.rss_mib for sample in samples),
        errors=sum(sample.errors for sample in samples),
        unexpected=sum(sample.unexpected for sample in samples),
    )


def doubts(samples: Iterable[Disturbed]) -> list[str]:
    """What does not make figures invalid, and unfit for publishing."""
    samples = list(samples)
    found = []
    for title, share in (
        ("others used up to {:.0%} of the core under test", max((s.foreign for s in samples), default=0)),
        ("the hypervisor kept up to {:.0%} of it", max((s.steal for s in samples), default=0)),
    ):
        if share > QUIET:
            found.append(title.format(share))
    return found
