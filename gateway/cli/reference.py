"""`weir reference`: the reference of all options, in Markdown."""

import click

from gateway.config.reference import reference
from gateway.registry import Registry


@click.command("reference")
def command() -> None:
    """Print the reference of all options, every installed filter included, in Markdown."""
    click.echo(reference(Registry()), nl=False)
