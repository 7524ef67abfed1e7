"""`weir reload`: has a running gateway put its configuration in force as it is in the file now."""

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import click

from gateway.cli.setting import adjusted, load_or_exit
from gateway.config.load import Loaded
from gateway.config.locate import locate
from gateway.config.model import Address, AdminListen, ListenTLS
from gateway.config.problem import Problem

_TIMEOUT = 120.0  # seconds, for as long as workers may take to build a configuration


class Unreachable(Exception):  # noqa: N818 - named for what it says
    """No gateway answers; the message says why."""


@click.command("reload")
@click.argument("config", required=False)
@click.option("--admin", help="Ask the admin listener there, and not where CONFIG says that it is.")
@click.option(
    "--certificate",
    type=click.Path(dir_okay=False),
    help="Our certificate with its key, in PEM form, where the listener asks for one.",
)
def command(config: str | None, admin: str | None, certificate: str | None) -> None:
    """Have the gateway that runs with CONFIG put it in force, as it is in its file now.

    Asks the gateway's admin listener, with the token that CONFIG has for it. The exit status is 0 when the
    configuration is in force, 1 when it was rejected and nothing has changed, 2 when no gateway answers.
    """
    loaded, _ = load_or_exit(locate(config))
    loaded = adjusted(loaded, admin=admin)
    options = loaded.configuration.admin
    if options is None:
        raise click.UsageError("the configuration has no admin listener to ask: send SIGHUP to the gateway")
    try:
        status, told = _post(options, loaded, certificate)
    except Unreachable as error:
        click.echo(f"weir: {options} (admin): {error}", err=True)
        raise SystemExit(2) from None
    if status == 200:
        click.echo(f"applied, revision {told['revision'][:8]}")
        for name in told["state_lost"]:
            click.echo(f"{name}: begins anew, for its definition or its name is another")
        return
    if status != 422:
        click.echo(f"weir: {options} (admin): {told.get('error', f'status {status}')}", err=True)
        raise SystemExit(2)
    click.echo(f"weir: rejected: {told['error']}; revision {told['revision'][:8]} stays in force", err=True)
    for problem in told["problems"]:
        click.echo(str(Problem(**problem)), err=True)
    raise SystemExit(1)


def _post(options: AdminListen, loaded: Loaded, certificate: str | None) -> tuple[int, dict[str, Any]]:
    """Status and answer. Raises Unreachable."""
    headers = {"Accept": "application/json"}
    if options.token is not None:
        headers["Authorization"] = f"Bearer {options.token.reveal()}"
    connection = _connection(options, loaded.directory, certificate)
    try:
        connection.request("POST", "/reload", headers=headers)
        response = connection.getresponse()
        told = json.loads(response.read())
    except OSError as error:
        raise Unreachable(error.strerror or str(error)) from None
    except (http.client.HTTPException, ValueError):
        raise Unreachable("what answers is no gateway") from None
    finally:
        connection.close()
    if not isinstance(told, dict):
        raise Unreachable("what answers is no gateway")
    return response.status, told


def _connection(options: AdminListen, directory: Path, certificate: str | None) -> http.client.HTTPConnection:
    """Raises Unreachable."""
    context = _context(options.tls, directory, certificate) if options.tls is not None else None
    place = options.address or Address("localhost", 0)
    # Where it listens, seen from here.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place.host, place.host)  # noqa: S104
    connection = http.client.HTTPConnection(host, place.port, timeout=_TIMEOUT)
    sock: socket.socket | None = None
    try:
        if options.unix is not None:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(_TIMEOUT)
            sock.connect(str(directory / options.unix))
        else:
            sock = socket.create_connection((host, place.port), _TIMEOUT)
        connection.sock = context.wrap_socket(sock) if context is not None else sock
    except OSError as error:
        if sock is not None:
            sock.close()
        raise Unreachable(error.strerror or str(error)) from None
    return connection


def _context(tls: ListenTLS, directory: Path, certificate: str | None) -> ssl.SSLContext:
    """Trusts the certificate that the configuration names, by whatever name the listener is asked. Raises Unreachable."""
    try:
        context = ssl.create_default_context(cafile=str(directory / tls.certificate))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
        if certificate is not None:
            context.load_cert_chain(certificate)
    except OSError as error:
        raise Unreachable(f"TLS files: {error.strerror or error}") from None
    return context
