"""`weir schema`: the JSON Schema of the configuration, for editors."""

import json

import click

from gateway.config.reference import schema
from gateway.registry import Registry


@click.command("schema")
def command() -> None:
    """Print the JSON Schema (2020-12) of the configuration, every installed filter included."""
    click.echo(json.dumps(schema(Registry()), indent=2))
