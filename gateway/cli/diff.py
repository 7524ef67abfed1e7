"""`weir diff`: what of a configuration has changed, in words, and what that does to access."""

import json
from collections import Counter
from pathlib import Path

import click

from gateway.cli.setting import tell
from gateway.config.difference import EITHER, LOOSENS, RISKS, TIGHTENS, Change, differences
from gateway.config.load import Loaded, load
from gateway.config.problem import ConfigurationError
from gateway.console import printable
from gateway.plan import build_plan
from gateway.registry import Registry
from gateway.state import StateStore, lost

_STYLES = {LOOSENS: "red", EITHER: "magenta", TIGHTENS: "yellow"}


@click.command("diff")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--fail-on",
    type=click.Choice(RISKS),
    multiple=True,
    help="End with status 1 where there is a change of this kind. May be given several times.",
)
def command(old: Path, new: Path, form: str, fail_on: tuple[str, ...]) -> None:
    """Say how the configuration NEW differs from OLD: by what it means, not by how it is written.

    Each change loosens access, tightens it, may do either, or is neutral: it is either where it is not certain. What loosens comes
    first. What filters have counted or remembered is lost where the options that it belongs to change; all but what is said to need a
    restart is put in force by a reload.
    """
    registry = Registry()
    try:
        sides = load(old, registry=registry), load(new, registry=registry)
        changes = differences(*sides, registry)
        forgotten = _lost(*sides, registry)
    except ConfigurationError as error:
        tell(error)
        raise SystemExit(2) from None
    if form == "json":
        click.echo(
            json.dumps({"changes": [change._asdict() for change in changes], "lost": forgotten}, indent=2)
        )
    else:
        for change in changes:
            _print(change)
        for name in forgotten:
            click.echo(printable(f"{name}: what it has counted or remembered is lost"))
        click.echo(_summary(changes))
    if any(change.risk in fail_on for change in changes):
        raise SystemExit(1)


def _lost(old: Loaded, new: Loaded, registry: Registry) -> list[str]:
    """The entries, or parts of them, whose state a reload from `old` to `new` does not take over. Raises ConfigurationError."""
    held = []
    for loaded in (old, new):
        state = StateStore()
        plan = build_plan(loaded, registry, state=state)
        held.append(state.held(plan.holder))
    before, after = ({key for key in keys if not key.startswith(("route ", "upstream "))} for keys in held)
    return lost(before, after)


def _print(change: Change) -> None:
    told = [f"{change.risk:<8}", printable(str(change)), change.source]
    if change.restart:
        told.append("(needs a restart)")
    click.secho("  ".join(told), fg=_STYLES.get(change.risk))


def _summary(changes: list[Change]) -> str:
    if not changes:
        return "They mean the same."
    counts = Counter(change.risk for change in changes)
    told = ", ".join(f"{counts[risk]} {risk}" for risk in RISKS if counts[risk])
    live = (
        "A restart is needed."
        if any(change.restart for change in changes)
        else "A reload puts them in force."
    )
    return f"{len(changes)} change{'' if len(changes) == 1 else 's'}: {told}. {live}"
