"""`weir shadow`: what filters in shadow would have done, and the edit that has them enforce."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import click

from gateway.cli.setting import load_or_exit
from gateway.config.edit import EditError, as_patch, promoted
from gateway.config.locate import locate
from gateway.console import printable
from gateway.inspect import reader
from gateway.inspect.period import Period, instant, utc_now
from gateway.inspect.shadow import Judged, greatest, report

_SHOWN = 5


@click.group("shadow")
def command() -> None:
    """Try filters before they enforce."""


@command.command("report")
@click.option(
    "--config", help="The configuration whose log is read. [default: that which `weir run` would take]"
)
@click.option(
    "--log", type=click.Path(path_type=Path), help="File of the request log; its rotated files are read too."
)
@click.option("--since", help="Records from then on: 1h or 30m ago, 12:00, or 2026-01-31T12:00; UTC.")
@click.option("--until", help="Not those from then on.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def report_(config: str | None, log: Path | None, since: str | None, until: str | None, form: str) -> None:
    """Say of each filter in shadow what enforcing would have done.

    Counts weigh records that log.sample has kept by chance by as many as each stands for.
    """
    path = log if log is not None else _configured(config)
    files = reader.files(path)
    if not files:
        raise click.UsageError(f"There is no request log at {path}.")
    try:
        now = utc_now()
        period = Period(*(None if text is None else instant(text, now) for text in (since, until)))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        skipped = reader.Skipped()
        found = report(_records(files, period, skipped))
    except reader.MissingExtra as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}.") from None
    if skipped:
        click.echo(printable(f"Note: {skipped}."), err=True)
    if form == "json":
        click.echo(json.dumps({name: _fields(judged) for name, judged in found.items()}, indent=2))
        return
    if not found:
        click.echo("No record tells of a filter in shadow.")
    for name, judged in sorted(found.items()):
        _print(name, judged)


@command.command("promote")
@click.argument("name")
@click.option("--config", help="The configuration. [default: that which `weir run` would take]")
def promote(name: str, config: str | None) -> None:
    """Print the edit that has the entry NAME enforce, as a patch: `weir shadow promote NAME | patch -p0`."""
    loaded, _ = load_or_exit(locate(config))
    try:
        click.echo(as_patch(loaded, promoted(loaded, name)), nl=False)
    except EditError as error:
        raise click.UsageError(f"{error}.") from None


def _configured(config: str | None) -> Path:
    loaded, _ = load_or_exit(locate(config))
    path = loaded.configuration.log.path
    if path is None or path == "-":
        raise click.UsageError("The configuration writes no request log to a file: name one with --log.")
    return Path(path)


def _records(files: list[Path], period: Period, skipped: reader.Skipped) -> Iterator[Mapping[str, Any]]:
    """The records of the period that tell of a filter in shadow."""
    since, until = (None if at is None else at.replace(tzinfo=UTC).timestamp() for at in period)
    for file in files:
        for line in reader.lines(file, skipped):
            if b'"shadow":true' not in line:
                continue
            fields = reader.parse(line)
            if fields is None or fields["kind"] != "request":
                skipped.lines += fields is None
                continue
            facts = fields.get("gateway.facts")
            at = facts.get("clock") if isinstance(facts, Mapping) else None
            if not isinstance(at, (int, float)):
                continue
            if (since is None or at >= since) and (until is None or at < until):
                yield fields


def _print(name: str, judged: Judged) -> None:
    click.echo(printable(f"{name}  {judged.source}"))
    click.secho(
        f"  would refuse {judged.refused:,.0f} of {judged.forwarded:,.0f} that were forwarded ({100 * judged.share:.2f} %)",
        fg="yellow" if judged.refused else "green",
    )
    if judged.judged > judged.forwarded:
        others = judged.judged - judged.forwarded
        click.echo(
            f"  judged {judged.judged:,.0f}; {others:,.0f} of them others did not forward, "
            f"{judged.doubled:,.0f} of which it would refuse too"
        )
    if judged.undecided:
        click.echo(f"  came to no verdict on {judged.undecided:,.0f}")
    for (reason, status), count in greatest(judged.reasons, _SHOWN):
        click.echo(printable(f"    {count:>9,.0f}  {status} {reason}"))
    if judged.projects:
        told = ", ".join(
            f"{project or '(none)'} {count:,.0f}" for project, count in greatest(judged.projects, _SHOWN)
        )
        click.echo(printable(f"    projects {told}"))
    for example in judged.examples:
        click.echo(printable(f"    {example.request_id}  {example.asked}"))


def _fields(judged: Judged) -> dict[str, Any]:
    return {
        "type": judged.type,
        "source": judged.source,
        "judged": judged.judged,
        "passed": judged.passed,
        "forwarded": judged.forwarded,
        "would_refuse": judged.refused,
        "share": judged.share,
        "refused_anyway": judged.doubled,
        "undecided": judged.undecided,
        "reasons": [
            {"reason": reason, "status": status, "count": count}
            for (reason, status), count in greatest(judged.reasons, 50)
        ],
        "projects": dict(greatest(judged.projects, 50)),
        "examples": [example._asdict() for example in judged.examples],
    }
