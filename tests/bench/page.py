"""A session as a page of the documentation: Markdown, and a picture beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.bench import latency, report
from tests.bench.bound import DECISIONS, Finding
from tests.bench.chart import Bar, Panel, describe, draw
from tests.bench.decision import ROWS as DECIDERS
from tests.bench.result import YARDSTICK_US, Result, rows
from tests.bench.session import Session
from tests.bench.subject import SUBJECTS, YARDSTICK
from tests.bench.workload import LIMITS

_OWN: Final = "weir"
_PICTURED: Final = ("W1", "W3", "W4-up", "W4-down", "W1v", "W2", DECISIONS, LIMITS)
"""Workloads in the picture, in this order; chains of filters are in the table only."""

_TITLE: Final = "What a request costs in Weir, nginx and Envoy"
_COMMANDS: Final = """\
```console
make bench-report     # all of it, and this page: twelve to eighteen minutes on a quiet machine
make bench            # W1 only, without the page
```"""


def write(session: Session, path: Path) -> None:
    """Writes the page, and the picture beside it under the same name with `.svg`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_suffix(".svg")
    picture.write_text(chart(session), encoding="utf-8")
    path.write_text(page(session, picture.name), encoding="utf-8")


def chart(session: Session) -> str:
    return draw(_TITLE, panels(session), own="Weir", other="others")


def panels(session: Session) -> list[Panel]:
    """CPU by workload, and the tail of latency at the highest rate."""
    by_name = {result.workload: result for result in session.results}
    found = [_cpu(by_name[name]) for name in _PICTURED if name in by_name]
    if tails := latency.rows(session.latencies):
        highest = max(row.rate for row in tails)
        samples = [sample for sample in session.latencies if sample.rate == highest]
        bars = []
        for row in tails:
            if row.rate == highest:
                each = [sample.pace.p99_ms for sample in samples if sample.row == row.name]
                bars.append(Bar(row.name, row.p99_ms, min(each), max(each), row.name.startswith(_OWN)))
        axis = "milliseconds, 99th percentile (less is better)"
        found.append(Panel(f"Latency at {highest:,} requests a second", axis, bars))
    return found


def _cpu(result: Result) -> Panel:
    """In milliseconds where microseconds are thousands."""
    measured = [row for row in rows(result) if row.name in SUBJECTS or row.name in DECIDERS]
    large = any(row.cpu_us >= 1000 for row in measured)
    scale, unit = (1000, "milliseconds") if large else (1, "microseconds")
    bars = [
        Bar(row.name, row.cpu_us / scale, row.cpu_low / scale, row.cpu_high / scale, _is_own(row.name))
        for row in measured
    ]
    return Panel(
        f"{result.workload}: {result.title}",
        f"CPU {unit} per {result.unit} (less is better)",
        bars,
    )


def _is_own(row: str) -> bool:
    return DECIDERS[row].own if row in DECIDERS else row.startswith(_OWN)


def page(session: Session, picture: str) -> str:
    """The Markdown; `picture` is the file beside it."""
    parts = [
        "# Benchmark",
        "",
        "Written by `make bench-report`; [tests/bench](../tests/bench/README.md) has the method, and what cannot be "
        "compared. Figures are CPU time of all processes of a proxy on one core, medians of "
        f"{session.rounds} interleaved rounds of {session.seconds} s, with the least and the greatest round in "
        "brackets.",
        *_warnings(session),
        "",
        f"![{_alternative(session)}]({picture})",
        "",
        "## Bounds",
        "",
        *markdown(
            ("on", "what", "figure", "by round", "must", "aim", ""),
            [
                report.finding_cells(each) if isinstance(each, Finding) else report.promise_cells(each)
                for each in session.bounded()
            ],
            words=2,
        ),
        "",
        f"A figure in us is normalised: {YARDSTICK} bare on W1, in this run, costs {YARDSTICK_US:.0f}. Memory is "
        "Weir's.",
    ]
    others = [finding for finding in session.findings() if finding.bound.must is finding.bound.aim is None]
    if others:
        parts += ["", "## Other comparisons", ""]
        lines = [report.finding_cells(finding)[:4] for finding in others]
        parts += markdown(report.FINDING_HEAD[:4], lines, words=2)
    limits = [result for result in session.results if result.workload in (LIMITS, DECISIONS)]
    if workloads := [result for result in session.results if result not in limits]:
        parts += ["", "## CPU by workload", *_workloads(workloads)]
    if limits:
        parts += ["", "## What limits cost", *_workloads(limits)]
        if any(result.workload == DECISIONS for result in limits):
            parts += ["", *_deciders()]
    if session.results:
        parts += ["", "## Subjects", "", *_subjects(session.results)]
    if session.latencies:
        parts += ["", "## Latency at a fixed rate", "", *_latency(session)]
    if session.memories:
        parts += ["", "## Memory", "", *_memory(session)]
    return "\n".join([*parts, "", *_made(session)]) + "\n"


def _warnings(session: Session) -> Iterator[str]:
    """What a reader must know before any figure."""
    problems, doubts = session.problems(), session.doubts()
    lines = [f"> - **Invalid**: {problem}." for problem in problems]
    lines += [f"> - **Not for publishing**: {doubt}." for doubt in doubts]
    if lines:
        yield ""
        yield from lines


def _alternative(session: Session) -> str:
    return describe(panels(session)[:1]) or "No workload was measured."


def _workloads(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        yield ""
        yield f"**{result.workload}**: {result.title}; {result.connections} connections."
        yield ""
        yield from markdown(report.row_head(result), [report.row_cells(row) for row in rows(result)])


def _deciders() -> Iterator[str]:
    yield (
        "A decision is by four limits that nobody reaches, in a process that does nothing else. A row that ends with "
        "`server` is what Redis used for those decisions, on the other core; nothing of it is in the row above. The library "
        "charges limit by limit, Weir all or none."
    )
    yield ""
    yield from markdown(
        ("row", "who decides"), [(name, row.title) for name, row in DECIDERS.items()], words=2
    )


def _subjects(results: Sequence[Result]) -> Iterator[str]:
    measured = {sample.row for result in results for sample in result.samples}
    lines = [(name, subject.title) for name, subject in SUBJECTS.items() if name in measured]
    yield from markdown(("subject", "what it does"), lines, words=2)


def _latency(session: Session) -> Iterator[str]:
    yield (
        "W1 at a rate that no answer slows down: latency counts from the instant at which a request was due, also when "
        "it had to wait. `late` is how late the load itself was, which is part of the latency."
    )
    yield ""
    yield from markdown(
        report.LATENCY_HEAD, [report.latency_cells(row) for row in latency.rows(session.latencies)]
    )


def _memory(session: Session) -> Iterator[str]:
    yield (
        "Resident memory of all processes of a subject. `held` is what had left the sender while the other end read "
        "nothing: it is in the kernel's buffers and in the proxy."
    )
    yield ""
    yield from markdown(
        report.MEMORY_HEAD, [report.memory_cells(sample) for sample in session.memories], words=2
    )


def _made(session: Session) -> Iterator[str]:
    machine = session.machine
    yield "## How it was made"
    yield ""
    yield from markdown(
        ("", ""),
        [
            ("date", session.date),
            ("processor", f"{machine['cpu']}, {machine['cores']} cores"),
            ("kernel", machine["kernel"]),
            ("load at start", machine["load"]),
            *session.versions.items(),
            ("command", f"`{session.command}`"),
        ],
        words=2,
    )
    yield ""
    yield _COMMANDS


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]], *, words: int = 1) -> list[str]:
    """A table; the first columns, which are words, to the left, the others to the right."""
    rule = ["---" if place < words else "---:" for place in range(len(head))]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in (head, rule, *lines)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
