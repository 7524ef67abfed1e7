"""What a back-test found, as text, as JSON, and as one page of HTML that can be sent to a colleague."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any, Final, NamedTuple

from gateway.backtest.recorded import FORWARD, UNDECIDABLE, Verdict
from gateway.backtest.run import Found
from gateway.backtest.tally import CHANGED, CLASSES, NEWLY_ALLOWED, NEWLY_REFUSED, UNCHANGED, Group, Key
from gateway.console import printable

TITLES: Final[Mapping[str, str]] = {
    NEWLY_ALLOWED: "newly allowed",
    NEWLY_REFUSED: "newly refused",
    CHANGED: "changed",
    UNDECIDABLE: "undecidable",
    UNCHANGED: "unchanged",
}
_COLOURS: Final = {
    NEWLY_ALLOWED: "#c0392b",
    NEWLY_REFUSED: "#d68910",
    CHANGED: "#2e86c1",
    UNDECIDABLE: "#884ea0",
    UNCHANGED: "#7f8c8d",
}
_PROJECTS: Final = 5


class Subject(NamedTuple):
    """What was held against what. `against` is a file, or `recorded`."""

    config: str
    against: str
    files: int


def as_text(found: Found, subject: Subject, most: int) -> Iterator[tuple[str, str]]:
    """Lines, each with the class that it is about or nothing; of groups no more than `most` in each class."""
    tally = found.tally
    told = f"{tally.total:,} exchanges"
    if tally.total:
        told += f" from {_time(tally.first)} to {_time(tally.last)}"
    yield f"{told}, judged by {subject.config}, against {_against(subject)}", ""
    for kind in CLASSES:
        count = tally.counts[kind]
        share = f"{100 * count / tally.total:6.2f} %" if tally.total else ""
        yield f"  {TITLES[kind]:<14} {count:>12,}  {share}", kind if count else ""
    for kind in CLASSES:
        groups = [item for item in tally.ordered() if item[0].kind == kind]
        if groups:
            yield "", ""
            yield TITLES[kind], kind
        for key, group in groups[:most]:
            yield from ((line, "") for line in _group(key, group))
        if len(groups) > most:
            rest = sum(group.count for _, group in groups[most:])
            yield f"  and {rest:,} more in {len(groups) - most} groups", ""
    if tally.shadows:
        yield "", ""
    for name, (refused, passed) in sorted(tally.shadows.items()):
        yield printable(f"{name} in shadow: would newly refuse {refused:,}, newly pass {passed:,}"), ""
    for line in _remarks(found):
        yield "", ""
        yield printable(line), ""


def _against(subject: Subject) -> str:
    return "what was recorded" if subject.against == "recorded" else subject.against


def _remarks(found: Found) -> Iterator[str]:
    if found.damaged:
        number = len(found.damaged)
        told = "A file" if number == 1 else f"{number} files"
        yield f"{told} could not be read to the end, and what would follow is missing: {', '.join(found.damaged)}."
    if found.skipped:
        yield f"{found.skipped:,} lines were no records that can be judged."
    if found.sampled:
        yield "The log is a sample: what limits had counted is known only where they are as they were."
    if found.unheard:
        told = "a worker that was" if found.unheard == 1 else f"{found.unheard} workers that were"
        yield f"There is no line of {told} at work: what was counted there meanwhile is not known."
    if found.open:
        yield (
            "That a worker has ended is not said of each: what was counted behind the last that is heard of such a one is not known, "
            "until another has its place."
        )
    if found.gaps:
        yield "Records are missing: behind each gap it is not known what limits had counted, until a bucket must have been empty."


def _group(key: Key, group: Group) -> Iterator[str]:
    yield printable(
        f"  {group.count:>9,}  {key.route or '(no route)'}: {described(key.before)}  ->  {described(key.after)}"
    )
    projects = [f"{name or '(none)'} {count:,}" for name, count in group.projects.most_common(_PROJECTS)]
    yield printable(f"             projects {', '.join(projects)}")
    for example in group.examples[:2]:
        yield printable(f"             {example.request_id}  {example.asked}")


def described(verdict: Verdict) -> str:
    """A verdict in words."""
    if verdict.kind == UNDECIDABLE:
        return f"undecidable: {verdict.filter + ': ' if verdict.filter else ''}{verdict.reason}"
    if verdict.kind == FORWARD:
        return "forwarded"
    parts = [
        str(verdict.status or ""),
        f"{verdict.filter}:" if verdict.filter else "",
        verdict.reason,
        verdict.source,
    ]
    return " ".join(filter(None, parts))


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def as_json(found: Found, subject: Subject) -> dict[str, Any]:
    """All of it."""
    tally = found.tally
    return {
        "config": subject.config,
        "against": subject.against,
        "files": subject.files,
        "total": tally.total,
        "since": _time(tally.first) + "Z" if tally.total else None,
        "until": _time(tally.last) + "Z" if tally.total else None,
        "counts": {kind: tally.counts[kind] for kind in CLASSES},
        "groups": [
            {
                "class": key.kind,
                "count": group.count,
                "route": key.route or None,
                "before": key.before._asdict(),
                "after": key.after._asdict(),
                "projects": dict(group.projects.most_common(50)),
                "examples": [example._asdict() for example in group.examples],
            }
            for key, group in tally.ordered()
        ],
        "shadows": {
            name: {"newly_refused": refused, "newly_passed": passed}
            for name, (refused, passed) in sorted(tally.shadows.items())
        },
        "skipped": found.skipped,
        "damaged": list(found.damaged),
        "sampled": found.sampled,
        "gaps": found.gaps,
        "open": found.open,
        "unheard": found.unheard,
    }


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Back-test of {config}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8884; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
code {{ font-size: 90%; overflow-wrap: anywhere; }}
h2 {{ margin-top: 2rem; }}
svg text {{ font: 13px system-ui, sans-serif; fill: currentColor; }}
</style></head><body>
<h1>Back-test</h1>
<p>{summary}</p>
{picture}
{sections}
{remarks}
</body></html>
"""


def as_html(found: Found, subject: Subject) -> str:
    """One page without anything from elsewhere."""
    tally = found.tally
    summary = f"{tally.total:,} exchanges"
    if tally.total:
        summary += f" from {_time(tally.first)} to {_time(tally.last)} UTC"
    summary += f", judged by {subject.config}, against {_against(subject)}."
    sections = "".join(_section(found, kind) for kind in CLASSES)
    shadows = "".join(
        f"<p>{escape(name)} in shadow: would newly refuse {refused:,}, newly pass {passed:,}.</p>"
        for name, (refused, passed) in sorted(tally.shadows.items())
    )
    remarks = "".join(f"<p>{escape(line)}</p>" for line in _remarks(found))
    return _PAGE.format(
        config=escape(subject.config),
        summary=escape(summary),
        picture=_picture(found),
        sections=sections,
        remarks=shadows + remarks,
    )


def _picture(found: Found) -> str:
    """How many of each class, as bars; the scale is that of square roots, so that few can be seen beside many."""
    counts = found.tally.counts
    most = max([*counts.values(), 1])
    rows = []
    for number, kind in enumerate(CLASSES):
        count = counts[kind]
        width = 520 * (count / most) ** 0.5
        y = 8 + 28 * number
        rows.append(
            f'<text x="0" y="{y + 15}">{TITLES[kind]}</text>'
            f'<rect x="120" y="{y}" width="{width:.1f}" height="20" fill="{_COLOURS[kind]}"></rect>'
            f'<text x="{126 + width:.1f}" y="{y + 15}">{count:,}</text>'
        )
    height = 16 + 28 * len(CLASSES)
    return f'<svg role="img" viewBox="0 0 760 {height}" width="760" height="{height}">{"".join(rows)}</svg>'


def _section(found: Found, kind: str) -> str:
    groups = [item for item in found.tally.ordered() if item[0].kind == kind]
    if not groups:
        return ""
    most = max(group.count for _, group in groups)
    rows = []
    for key, group in groups:
        bar = f'<svg width="80" height="10"><rect width="{80 * group.count / most:.1f}" height="10" fill="{_COLOURS[kind]}"></rect></svg>'
        projects = ", ".join(
            f"{escape(name or '(none)')} {count:,}" for name, count in group.projects.most_common(_PROJECTS)
        )
        examples = "<br>".join(
            f"<code>{escape(example.request_id)} {escape(printable(example.asked))}</code>"
            for example in group.examples
        )
        rows.append(
            f'<tr><td class="n">{group.count:,}<br>{bar}</td><td>{escape(key.route or "(no route)")}</td>'
            f"<td>{escape(described(key.before))}</td><td>{escape(described(key.after))}</td>"
            f"<td>{projects}</td><td>{examples}</td></tr>"
        )
    return (
        f"<h2>{TITLES[kind].capitalize()}</h2><table><thead><tr><th>exchanges</th><th>route</th><th>before</th>"
        f"<th>after</th><th>projects</th><th>examples</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )
