"""From samples to what is printed: medians, ratios, and whether the run may be believed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Final, NamedTuple

from tests.bench.sample import Sample
from tests.bench.subject import YARDSTICK

YARDSTICK_US: Final = 24.0
"""What the yardstick cost on the machine where the project's design was measured; normalised figures refer to it."""

_QUIET: Final = 0.10  # share of the subject's core that others may use before figures are doubtful


class Comparison(NamedTuple):
    """Two rows to divide. `bound` is what the ratio must not exceed, on workload W1."""

    title: str
    row: str
    by: str
    bound: float | None = None


COMPARISONS: Final = (
    Comparison("full policy / Envoy, JWT not cached", "weir+policy", "envoy+policy", bound=1.0),
    Comparison("full policy / Envoy, JWT cached", "weir+policy", "envoy+policy+cache"),
    Comparison("full policy / nginx, auth_request", "weir+policy", "nginx+policy"),
    Comparison("bare / Envoy bare", "weir", "envoy"),
    Comparison("bare / nginx bare", "weir", "nginx"),
)


class Ratio(NamedTuple):
    """Median CPU per request of one row by that of another.

    low, high  least and greatest ratio within one round: what noise does to it
    held       whether it is within its bound, None where there is none
    """

    title: str
    value: float
    low: float
    high: float
    bound: float | None
    held: bool | None


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
    """A whole run.

    yardstick  the row that figures are normalised by
    problems   why the run is not valid, from what was seen beside the samples
    """

    workload: str
    title: str
    seconds: int
    rounds: int
    connections: int
    machine: dict[str, str]
    versions: dict[str, str]
    yardstick: str
    samples: list[Sample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def all_problems(self) -> list[str]:
        return self.problems + [problem for sample in self.samples for problem in sample.problems()]

    def doubts(self) -> list[str]:
        """What does not make the run invalid, and its figures unfit for publishing."""
        found = []
        for title, share in (
            (
                "others used up to {:.0%} of the core under test",
                max((s.foreign for s in self.samples), default=0),
            ),
            ("the hypervisor kept up to {:.0%} of it", max((s.steal for s in self.samples), default=0)),
        ):
            if share > _QUIET:
                found.append(title.format(share))
        return found


def rows(result: Result) -> list[Row]:
    """Medians, in the order in which the rows were first measured."""
    by_name: dict[str, list[Sample]] = {}
    for sample in result.samples:
        by_name.setdefault(sample.row, []).append(sample)
    measure = by_name.get(result.yardstick)
    unit = None if measure is None else median(sample.cpu_us for sample in measure)
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


def ratios(result: Result, comparisons: Iterable[Comparison] = COMPARISONS) -> list[Ratio]:
    """Those of the comparisons for which both rows were measured."""
    cpu: dict[str, dict[int, float]] = {}
    for sample in result.samples:
        cpu.setdefault(sample.row, {})[sample.round] = sample.cpu_us
    found = []
    for title, row, by, bound in comparisons:
        above, below = cpu.get(row, {}), cpu.get(by, {})
        shared = above.keys() & below.keys()
        if not shared or not all(below.values()):
            continue
        value = median(above.values()) / median(below.values())
        each = [above[number] / below[number] for number in shared]
        own_bound = bound if result.workload == "W1" else None
        held = None if own_bound is None else value <= own_bound
        found.append(Ratio(title, value, min(each), max(each), own_bound, held))
    return found


def passed(result: Result) -> bool:
    """Whether the run is valid and every bound holds."""
    return not result.all_problems() and all(ratio.held is not False for ratio in ratios(result))


def as_json(result: Result) -> dict[str, Any]:
    """All of it, samples included."""
    return {
        **asdict(result),
        "problems": result.all_problems(),
        "doubts": result.doubts(),
        "rows": [row._asdict() for row in rows(result)],
        "ratios": [ratio._asdict() for ratio in ratios(result)],
        "passed": passed(result),
    }


def text(result: Result) -> str:
    """The report for a reader."""
    machine, versions = result.machine, result.versions
    parts = [
        f"{result.workload}: {result.title}; {result.connections} connections, "
        f"median of {result.rounds} rounds of {result.seconds} s",
        f"{machine['cpu']}, {machine['cores']} cores; {machine['kernel']}; load at start {machine['load']}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        "",
        *_table(_ROW_HEAD, [_cells(row) for row in rows(result)]),
        f"norm: in units in which {YARDSTICK} bare on W1, in this run, costs {YARDSTICK_US:.0f}",
    ]
    if found := ratios(result):
        parts += ["", *_table(_RATIO_HEAD, [_ratio_cells(ratio) for ratio in found])]
    problems, doubts = result.all_problems(), result.doubts()
    if doubts:
        parts += ["", *(f"Not for publishing: {doubt}." for doubt in doubts)]
    if problems:
        parts += ["", *(f"INVALID: {problem}." for problem in problems)]
    return "\n".join(parts) + "\n"


_ROW_HEAD: Final = (
    "subject",
    "CPU us/request",
    "norm",
    "user",
    "system",
    "req/s",
    "p50 ms",
    "p99 ms",
    "RSS MiB",
    "errors",
    "unexpected",
)
_RATIO_HEAD: Final = ("CPU per request", "ratio", "by round", "must be", "")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.cpu_us:.1f} [{row.cpu_low:.1f}..{row.cpu_high:.1f}]",
        "-" if row.normalised is None else f"{row.normalised:.1f}",
        f"{row.user_us:.1f}",
        f"{row.system_us:.1f}",
        f"{row.rps:.0f}",
        f"{row.p50_ms:.2f}",
        f"{row.p99_ms:.2f}",
        f"{row.rss_mib:.0f}",
        str(row.errors),
        str(row.unexpected),
    )


def _ratio_cells(ratio: Ratio) -> tuple[str, ...]:
    bound = "" if ratio.bound is None else f"<= {ratio.bound:.2f}"
    verdict = "" if ratio.held is None else "held" if ratio.held else "MISSED"
    return ratio.title, f"{ratio.value:.2f}", f"{ratio.low:.2f}..{ratio.high:.2f}", bound, verdict


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they need; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *lines)
    ]
