"""`weir key`: a new key for the provider `api_key`, and what a file of keys says of it."""

import hashlib
import secrets

import click


@click.command("key")
def command() -> None:
    """Print a new API key, and the hash of it that a file of keys holds."""
    key = secrets.token_urlsafe(32)
    click.echo(f"key: {key}")
    click.echo(f"key_sha256: {hashlib.sha256(key.encode('ascii')).hexdigest()}")
