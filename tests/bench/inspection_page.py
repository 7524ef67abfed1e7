"""A study of inspection as text for a terminal, and as a page of the documentation with a picture beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.chart import Bar, Panel, describe, draw, figure
from tests.bench.page import markdown
from tests.bench.question import MUST, TOOLS, Asked, Study, shown
from tests.bench.report import table

_TITLE: Final = "How long a question about a request log takes"
_HEAD: Final = ("question", "asked of", "records", "s", "first, s", "CPU s", "s for all")
_COMMANDS: Final = """\
```console
make bench-logs     # writes this page; 30 GB of disk, and a quarter of an hour on a quiet machine
```"""


def text(study: Study) -> str:
    """The report for a reader."""
    parts = [
        f"{study.machine['cpu']}, {study.machine['cores']} cores; load at start {study.machine['load']}",
        ", ".join(f"{name} {version}" for name, version in study.versions.items()),
        "",
        *table(_HEAD, [_cells(study, each) for each in study.asked], words=2),
        "",
        *[f"{what}: {how}" for what, how in _closing(study)],
        "",
        _bound(study),
        *[f"Not for publishing: {doubt}." for doubt in study.doubts()],
    ]
    return "\n".join(parts) + "\n"


def write(study: Study, path: Path) -> None:
    """Writes the page, and the picture beside it under the same name with `.svg`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = path.with_suffix(".svg")
    picture.write_text(draw(_TITLE, panels(study), own="Weir", other="others"), encoding="utf-8")
    path.write_text(page(study, picture.name), encoding="utf-8")


def panels(study: Study) -> list[Panel]:
    """Seconds for all records, a panel for each question."""
    found: dict[str, list[Bar]] = {}
    for each in study.asked:
        scale = study.records / each.records
        bar = Bar(
            each.tool,
            each.median * scale,
            min(each.seconds) * scale,
            max(each.seconds) * scale,
            TOOLS[each.tool].own,
        )
        found.setdefault(each.question.title, []).append(bar)
    axis = f"seconds for {study.records:,} records (less is better)"
    return [Panel(title[:1].upper() + title[1:], axis, bars) for title, bars in found.items()]


def page(study: Study, picture: str) -> str:
    """The Markdown; `picture` is the file beside it."""
    questions = list(dict.fromkeys(each.question for each in study.asked))
    parts = [
        "# Questions about request logs",
        "",
        "Written by `make bench-logs`; [records.md](records.md) explains records, "
        "[tests/bench](../tests/bench/README.md) the method. "
        f"The log has {study.records:,} records of {study.plain / study.records:,.0f} bytes, as the gateway's serializer writes "
        f"them, {len(study.made)} closed files and an open one. What is not asked about all of them is asked about a file "
        f"of {study.part:,}, not compressed, and `s for all` is that many times as long.",
        *[f"\n> - **Not for publishing**: {doubt}." for doubt in study.doubts()],
        "",
        f"![{describe(panels(study))}]({picture})",
        "",
        _bound(study),
        "",
        *markdown(_HEAD, [_cells(study, each) for each in study.asked], words=2),
        "",
        f"Medians of {study.rounds} times, with the least and the greatest in brackets; `first` is before these, when the kernel had "
        "nothing of the files in memory. Each time is that of the whole command, its start included, which for `weir logs` is half "
        "a second where the rest is short. Weir's answer has more in it than a count: what became of the requests, and quantiles "
        "of how long they took. All tools have told the same counts of the file that they were asked about.",
        "",
        "## What the gateway does with closed files",
        "",
        "By a process of its own with the lowest priority, a file at a time, when it has rotated one (`log.sidecars`, "
        "`log.compress`); nobody waits for it. Files are compressed with zstd here, after their sidecars were made.",
        "",
        *markdown(("", ""), list(_closing(study)), words=2),
        "",
        "## Commands",
        "",
    ]
    for question in questions:
        parts += [f"{question.title[:1].upper()}{question.title[1:]}:", "", "```sh"]
        parts += list(
            dict.fromkeys(shown(each.tool, question) for each in study.asked if each.question == question)
        )
        parts += ["```", ""]
    parts += [
        "## How it was made",
        "",
        *markdown(
            ("", ""),
            [
                ("date", study.date),
                ("processor", f"{study.machine['cpu']}, {study.machine['cores']} cores"),
                ("kernel", study.machine["kernel"]),
                ("load at start", study.machine["load"]),
                *study.versions.items(),
                ("command", f"`{study.command}`"),
            ],
            words=2,
        ),
        "",
        _COMMANDS,
    ]
    return "\n".join(parts) + "\n"


def _bound(study: Study) -> str:
    verdict = "held" if study.held else "MISSED"
    return f"All records by reason, with sidecars: {study.answered:.2f} s; must be no more than {MUST:g} s: {verdict}."


def _cells(study: Study, asked: Asked) -> Sequence[str]:
    return (
        asked.question.title,
        TOOLS[asked.tool].title,
        f"{asked.records:,}",
        f"{asked.median:.2f} [{min(asked.seconds):.2f}..{max(asked.seconds):.2f}]",
        f"{asked.first:.2f}",
        f"{median(asked.cpu):.2f}",
        figure(asked.of(study.records)),
    )


def _closing(study: Study) -> Iterator[tuple[str, str]]:
    for what, took in (("sidecars", study.made), ("compression", study.compressed)):
        wall, cpu = (sum(each[place] for each in took) for place in (0, 1))
        millions = study.closed / 1e6
        yield (
            f"{what} of {study.closed:,} records",
            f"{wall:.0f} s, {cpu:.0f} s of CPU; {wall / millions:.1f} s and {cpu / millions:.1f} s for a million",
        )
    yield "bytes as they were written", f"{study.plain / 1e9:.1f} GB"
    yield "bytes as they are kept", f"{study.packed / 1e9:.1f} GB"
    yield "bytes of sidecars", f"{study.sidecars / 1e9:.2f} GB"
