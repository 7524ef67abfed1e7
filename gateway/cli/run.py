"""`weir run`: the gateway, a supervisor and its workers, until SIGTERM."""

import sys

import click

from gateway.cli.setting import adjusted, exit_telling, load_or_exit
from gateway.config.load import Loaded, load
from gateway.config.locate import locate


@click.command("run")
@click.argument("config", required=False)
@click.option(
    "--listen",
    help="Listen here instead of where the configuration says, on host:port or unix:PATH; port 0 takes a free one.",
)
@click.option("--admin", help="The same for the admin listener.")
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    help="Processes that carry requests, instead of what the configuration says, or one for each core.",
)
def command(config: str | None, listen: str | None, admin: str | None, workers: int | None) -> None:
    """Run the gateway with CONFIG until SIGTERM or SIGINT, then drain it.

    Without CONFIG it takes config/gateway.yaml, /etc/weir/gateway.yaml, or the one that came along. Where the
    request log is standard output and that is a terminal, records are shown as readable lines.

    SIGHUP puts the configuration in force as it is in the file by then, if nothing is wrong with it. SIGUSR1 has
    every worker open the request log anew, after somebody has moved it. SIGUSR2 has a new process of the program take over,
    as it is installed by then.
    """
    path = locate(config)
    loaded, registry = load_or_exit(path)
    terminal = sys.stdout.isatty()

    def changed(loaded: Loaded) -> Loaded:
        loaded = adjusted(loaded, listen=listen, admin=admin)
        if terminal and loaded.configuration.log.path == "-":
            loaded = adjusted(loaded, log_path=None)
        return loaded

    console = terminal and loaded.configuration.log.path == "-"
    loaded = changed(loaded)
    with exit_telling():
        from gateway.supervisor.count import worker_count
        from gateway.supervisor.supervisor import supervise

        supervise(
            loaded,
            load=lambda: changed(load(path, registry=registry)),
            workers=worker_count(loaded, registry, workers),
            count=lambda loaded, running: worker_count(loaded, registry, workers, running),
            console=console,
        )
