"""`weir reference`: the reference of all options, in Markdown."""

import click

from gateway.config.reference import reference
from gateway.config.repose import page
from gateway.registry import Registry


@click.command("reference")
@click.option("--repose", is_flag=True, help="Print what Repose's filters are called here instead.")
def command(repose: bool) -> None:
    """Print the reference of all options, every installed filter included, in Markdown."""
    click.echo(page() if repose else reference(Registry()), nl=False)
