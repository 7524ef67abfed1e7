"""`weir reload`: has a running gateway put its configuration in force as it is in the file now."""

from pathlib import Path

import click

from gateway.cli.asking import NOT_ASKED, Unreachable, admin_options, ask, place
from gateway.config.load import load_admin
from gateway.config.locate import locate
from gateway.config.model import AdminListen
from gateway.config.problem import ConfigurationError, Problem


@click.command("reload")
@click.argument("config", required=False)
@admin_options
def command(config: str | None, admin: str | None, certificate: str | None) -> None:
    """Have the gateway that runs with CONFIG put it in force, as it is in its file now.

    Asks the gateway's admin listener, with the token that CONFIG has for it. The exit status is 0 when the
    configuration is in force, 1 when it was rejected and nothing has changed, 2 when no gateway answers.
    """
    path = locate(config)
    options = place(path, admin)
    if options is None:
        raise click.UsageError("the configuration has no admin listener to ask: send SIGHUP to the gateway")
    try:
        status, told = ask(options, path.parent, certificate, "POST", "/reload")
    except Unreachable as error:
        raise _unanswered(path, options, str(error)) from None
    if status == 200:
        click.echo(f"applied, revision {told['revision'][:8]}")
        for name in told["state_lost"]:
            click.echo(
                f"{name}: leaves behind what it has counted, for its definition or its name is another"
            )
        for name in told["state_back"]:
            click.echo(f"{name}: goes on with what it had counted when it was last defined so")
        return
    if status != 422:
        raise _unanswered(path, options, str(told.get("error", f"status {status}")))
    click.echo(f"weir: rejected: {told['error']}; revision {told['revision'][:8]} stays in force", err=True)
    for problem in told["problems"]:
        click.echo(str(Problem(**problem)), err=True)
    raise SystemExit(1)


def _unanswered(path: Path, options: AdminListen, why: str) -> SystemExit:
    click.echo(f"weir: {options} (admin): {why}", err=True)
    try:
        load_admin(path)
    except ConfigurationError:  # which has been told
        click.echo(NOT_ASKED, err=True)
        return SystemExit(1)
    click.echo("weir: where `admin` itself is what has changed, send SIGHUP to the gateway", err=True)
    return SystemExit(2)
