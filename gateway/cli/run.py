"""`weir run`: the gateway, in one process, until SIGTERM."""

import sys
from collections.abc import Mapping
from typing import Any

import click

from gateway.cli.setting import adjusted, load_or_exit, serve_or_exit
from gateway.config.locate import locate


@click.command("run")
@click.argument("config", required=False)
@click.option(
    "--listen",
    help="Listen here instead of where the configuration says, on host:port or unix:PATH; port 0 takes a free one.",
)
@click.option("--admin", help="The same for the admin listener.")
def command(config: str | None, listen: str | None, admin: str | None) -> None:
    """Run the gateway with CONFIG until SIGTERM or SIGINT, then drain it.

    Without CONFIG it takes config/gateway.yaml, /etc/weir/gateway.yaml, or the one that came along. Where the
    request log is standard output and that is a terminal, records are shown as readable lines.
    """
    loaded, registry = load_or_exit(locate(config))
    loaded = adjusted(loaded, listen=listen, admin=admin)
    show = None
    if loaded.configuration.log.path == "-" and sys.stdout.isatty():
        loaded = adjusted(loaded, log_path=None)
        show = _show
    serve_or_exit(loaded, registry, on_record=show)


def _show(fields: Mapping[str, Any]) -> None:
    from gateway import console

    print(console.line(fields, colour=True), flush=True)
