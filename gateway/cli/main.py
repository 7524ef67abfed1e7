"""The command `weir`: finds the command's module by its name and imports it only when it runs."""

import importlib
from collections.abc import Mapping
from typing import Final

import click

from gateway import __version__, form

# name -> what `weir --help` says of it: told here, so that help imports no command.
COMMANDS: Final[Mapping[str, str]] = {
    "run": "Run the gateway.",
    "reload": "Have a running gateway put its configuration in force as it is now.",
    "demo": "Run the gateway in front of a bundled metadata API, with sample requests.",
    "check": "Check a configuration and say all that is wrong with it.",
    "explain": "Say what becomes of a request, and why.",
    "test": "Run the tests of a configuration.",
    "diff": "Say how a configuration differs from another.",
    "backtest": "Judge the exchanges of a request log again, by another configuration.",
    "replay": "Send recorded requests again, and compare the answers.",
    "shadow": "Say what filters in shadow would have done.",
    "routes": "Make routes from a description of an API, and hold a configuration against one.",
    "schema": "Print the JSON Schema of the configuration.",
    "reference": "Print the reference of all options.",
    "key": "Make a key for the provider api_key of token_auth, and its hash.",
    "logs": "Search request logs.",
    "top": "Show what goes on in a running gateway.",
    "migrate": "Move from another gateway.",
    "limits": "Look at the limits of a running gateway, and reset them.",
}


class Lazy(click.Group):
    """A group whose commands are the modules of this package, each with a click command named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"gateway.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="weir", message=f"%(prog)s, version %(version)s, {form()}")
def main() -> None:
    """Weir: an API gateway that says why."""
