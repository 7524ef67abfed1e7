"""A session as text for a terminal."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.bench import latency
from tests.bench.bound import Finding, Promise
from tests.bench.memory import IDLE, MemorySample
from tests.bench.result import YARDSTICK_US, Result, Row, rows
from tests.bench.session import Session, unmeasured
from tests.bench.subject import YARDSTICK


def text(session: Session) -> str:
    """The report for a reader."""
    machine = session.machine
    parts = [
        f"{machine['cpu']}, {machine['cores']} cores; {machine['kernel']}; load at start {machine['load']}",
        ", ".join(f"{name} {version}" for name, version in session.versions.items()),
        f"{session.date}; medians of {session.rounds} rounds of {session.seconds} s",
    ]
    for result in session.results:
        parts += ["", *_workload(result)]
    if session.latencies:
        parts += ["", *_latency(session)]
    if session.memories:
        parts += ["", *_memory(session.memories)]
    if findings := session.findings():
        parts += ["", *table(FINDING_HEAD, [finding_cells(each) for each in findings], words=2)]
    if left := unmeasured(session.bounded()):
        parts += ["", "Not measured, and bounded (`--workload all` measures everything):"]
        parts += [f"{each.workload}: {each.title}" for each in left]
    problems, doubts = session.problems(), session.doubts()
    if doubts:
        parts += ["", *(f"Not for publishing: {doubt}." for doubt in doubts)]
    if problems:
        parts += ["", *(f"INVALID: {problem}." for problem in problems)]
    return "\n".join(parts) + "\n"


def _workload(result: Result) -> Iterator[str]:
    yield f"{result.workload}: {result.title}; {result.connections} connections"
    yield from table(row_head(result), [row_cells(row) for row in rows(result)])
    yield f"norm: in units in which {YARDSTICK} bare on W1, in this run, costs {YARDSTICK_US:.0f}"


def _latency(session: Session) -> Iterator[str]:
    yield "latency: W1 at a fixed rate, counted from the instant at which each request was due"
    yield from table(LATENCY_HEAD, [latency_cells(row) for row in latency.rows(session.latencies)])


def _memory(samples: Sequence[MemorySample]) -> Iterator[str]:
    yield "memory: resident, of all processes of the subject"
    yield from table(MEMORY_HEAD, [memory_cells(sample) for sample in samples], words=2)


def row_head(result: Result) -> tuple[str, ...]:
    return (
        "subject",
        f"CPU us/{result.unit}",
        "norm",
        "user",
        "system",
        f"{result.unit}s/s",
        "p50 ms",
        "p99 ms",
        "RSS MiB",
        "errors",
        "unexpected",
    )


def row_cells(row: Row) -> tuple[str, ...]:
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


LATENCY_HEAD: Final = ("subject", "req/s", "p50 ms", "p99 ms", "worst ms", "of the core", "late p99 ms")


def latency_cells(row: latency.LatencyRow) -> tuple[str, ...]:
    return (
        row.name,
        str(row.rate),
        f"{row.p50_ms:.2f}",
        f"{row.p99_ms:.2f}",
        f"{row.worst_ms:.1f}",
        f"{row.share:.0%}",
        f"{row.lag_p99_ms:.2f}",
    )


MEMORY_HEAD: Final = (
    "subject",
    "what",
    "before MiB",
    "after MiB",
    "growth MiB",
    "amount",
    "held MiB",
    "each KiB",
)


def memory_cells(sample: MemorySample) -> tuple[str, ...]:
    idle = sample.kind == IDLE
    return (
        sample.row,
        sample.kind,
        f"{sample.before / (1 << 20):.1f}",
        f"{sample.after / (1 << 20):.1f}",
        f"{sample.growth / (1 << 20):+.1f}",
        f"{sample.amount} connections" if idle else f"{sample.amount / 1e6:.0f} MB",
        "-" if idle else f"{sample.held / (1 << 20):.1f}",
        f"{sample.each / 1024:.1f}" if idle else "-",
    )


FINDING_HEAD: Final = ("on", "what", "figure", "by round", "must", "aim", "")


def finding_cells(finding: Finding) -> tuple[str, ...]:
    unit = f" {finding.unit}" if finding.unit else ""
    span = "" if finding.low == finding.high == finding.value else f"{finding.low:.2f}..{finding.high:.2f}"
    return (
        finding.workload,
        finding.title,
        f"{finding.value:.2f}{unit}",
        span,
        limit(finding.bound.must),
        limit(finding.bound.aim),
        finding.verdict,
    )


def promise_cells(promise: Promise) -> tuple[str, ...]:
    """A bound that was not measured, in the columns of a finding."""
    must, aim = limit(promise.bound.must), limit(promise.bound.aim)
    return promise.workload, promise.title, "not measured", "", must, aim, ""


def limit(most: float | None) -> str:
    return "" if most is None else f"<= {most:.2f}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]], *, words: int = 1) -> list[str]:
    """Columns as wide as they need; the first ones, which are words, to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *lines)
    ]
