"""`weir check`: is this configuration right, and if not, what is wrong and where?"""

import json

import click

from gateway.config.load import Loaded, load
from gateway.config.locate import locate
from gateway.config.model import Configuration
from gateway.config.problem import ConfigurationError, Problem
from gateway.plan import build_plan
from gateway.registry import Registry


@click.command("check")
@click.argument("config", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="`json` prints a list of problems, empty when there are none.",
)
def command(config: str | None, form: str) -> None:
    """Check CONFIG and say all that is wrong with it.

    The exit status is 0 when it may be put in force, 1 when it may not.
    """
    path = locate(config)
    registry = Registry()
    try:
        loaded = load(path, registry=registry)
        _build(loaded, registry)
    except ConfigurationError as error:
        if form == "json":
            click.echo(json.dumps([problem._asdict() for problem in error.problems], indent=2))
        else:
            for problem in error.problems:
                click.echo(str(problem), err=True)
        raise SystemExit(1) from None
    if form == "json":
        click.echo("[]")
        return
    filters, routes = _counted(loaded.configuration)
    click.echo(f"{path}: ok, {filters}, {routes}, revision {loaded.revision[:8]}")


def _build(loaded: Loaded, registry: Registry) -> None:
    """Builds what a start would. Raises ConfigurationError with all that is wrong."""
    from gateway.admin.access import load_access
    from gateway.listener.tls import load_credentials

    problems: list[Problem] = []
    for build in (
        lambda: load_credentials(loaded),
        lambda: load_access(loaded),
        lambda: build_plan(loaded, registry),
    ):
        try:
            build()
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)


def _counted(configuration: Configuration) -> tuple[str, str]:
    filters = len(configuration.filters) + sum(len(route.filters) for route in configuration.routes)
    routes = len(configuration.routes)
    return f"{filters} filter{'' if filters == 1 else 's'}", f"{routes} route{'' if routes == 1 else 's'}"
