"""`weir migrate`: the installation of another gateway, as a configuration of this one."""

import json
from pathlib import Path

import click

from gateway.config.load import loads
from gateway.config.model import parse_endpoint
from gateway.config.problem import ConfigurationError
from gateway.console import printable
from gateway.plan import build_plan
from gateway.registry import Registry


@click.group("migrate")
def command() -> None:
    """Move from another gateway."""


@command.command("repose")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; standard output where absent.",
)
@click.option("--force", is_flag=True, help="Write it over a file that is there.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file for the report, in place of standard error.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Of the report.",
)
@click.option("--cluster", default="", help="The repose-cluster to move. [default: the first]")
@click.option("--node", default="", help="The node whose ports it has. [default: the first]")
@click.option(
    "--shadow",
    metavar="URL",
    help="Put every filter in shadow, in front of the Repose at URL, which goes on to decide.",
)
def repose(
    directory: Path,
    output: Path | None,
    force: bool,
    report: Path | None,
    form: str,
    cluster: str,
    node: str,
    shadow: str | None,
) -> None:
    """Move the Repose whose configuration is in DIRECTORY (system-model.cfg.xml and the files that it names).

    Writes one configuration, with the file and line of Repose above each part, and a report: what has moved, what has moved with
    a difference, and what has not. Passwords are not written down: variables stand in their place.

    The exit status is 0 when the configuration may be put in force, 1 when it may not or when a check could not be moved and
    all its requests are refused in its place, 2 when a file cannot be read.
    """
    from gateway.migration.repose import MigrationError, migrate

    if shadow is not None:
        try:
            parse_endpoint(shadow)
        except ValueError as error:
            raise click.UsageError(f"--shadow: {error}.") from None

    if output is not None and output.exists() and not force:
        raise click.UsageError(f"{output} exists: write it elsewhere, or with --force.")
    registry = Registry()
    try:
        made = migrate(
            directory,
            cluster=cluster,
            node=node,
            shadow=shadow or "",
            beside=_directory(output),
            registry=registry,
        )
    except MigrationError as error:
        for problem in error.problems:
            click.echo(printable(f"{directory / str(problem.place)}: {problem}"), err=True)
        raise SystemExit(2) from None
    told = made.report.text() if form == "text" else json.dumps(made.report.as_json(), indent=2) + "\n"
    if report is None:
        click.echo(told, err=True, nl=False)
    else:
        report.write_text(told, encoding="utf-8")
    if output is None:
        click.echo(made.text, nl=False)
    else:
        output.write_text(made.text, encoding="utf-8")
    _check(made.text, output, registry)
    refusing = [f"{part.name} ({part.place})" for part in made.report.parts if part.refuses]
    if refusing:
        click.echo(
            printable(f"a check could not be moved, and refuses all its requests: {', '.join(refusing)}"),
            err=True,
        )
        raise SystemExit(1)


def _directory(output: Path | None) -> Path:
    return output.parent if output is not None else Path()


def _check(text: str, output: Path | None, registry: Registry) -> None:
    """What `weir check` would say; ends with status 1 where the configuration may not be put in force."""
    name = str(output) if output is not None else "the configuration"
    try:
        build_plan(loads(text, name, registry=registry, directory=_directory(output)), registry)
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        raise SystemExit(1) from None
