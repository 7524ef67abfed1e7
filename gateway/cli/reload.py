"""`weir reload`: has a running gateway put its configuration in force as it is in the file now."""

import http.client
import json
import re
import socket
import ssl
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from gateway.cli.setting import moved, tell
from gateway.config.load import load_admin
from gateway.config.locate import locate
from gateway.config.model import Address, AdminListen, ListenTLS
from gateway.config.problem import ConfigurationError, Problem

_CONNECT = 5.0  # seconds
_TIMEOUT = 120.0  # seconds, for as long as workers may take to build a configuration

_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


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
    path = locate(config)
    options = _place(path, admin)
    try:
        status, told = _post(options, path.parent, certificate)
    except Unreachable as error:
        raise _unanswered(options, str(error)) from None
    if status == 200:
        click.echo(f"applied, revision {told['revision'][:8]}")
        for name in told["state_lost"]:
            click.echo(f"{name}: begins anew, for its definition or its name is another")
        return
    if status != 422:
        raise _unanswered(options, str(told.get("error", f"status {status}")))
    click.echo(f"weir: rejected: {told['error']}; revision {told['revision'][:8]} stays in force", err=True)
    for problem in told["problems"]:
        click.echo(str(Problem(**problem)), err=True)
    raise SystemExit(1)


def _place(path: Path, admin: str | None) -> AdminListen:
    """Where to ask; what is wrong with that, be it in the file, ends the command."""
    try:
        options = load_admin(path)
    except ConfigurationError as error:
        tell(error)
        click.echo("weir: the gateway has not been asked; nothing has changed", err=True)
        raise SystemExit(1) from None
    if admin is not None:
        try:
            return moved(options, admin)
        except ValidationError as error:
            raise click.UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    if options is None:
        raise click.UsageError("the configuration has no admin listener to ask: send SIGHUP to the gateway")
    return options


def _unanswered(options: AdminListen, why: str) -> SystemExit:
    click.echo(f"weir: {options} (admin): {why}", err=True)
    click.echo("weir: where `admin` itself is what has changed, send SIGHUP to the gateway", err=True)
    return SystemExit(2)


def _post(options: AdminListen, directory: Path, certificate: str | None) -> tuple[int, dict[str, Any]]:
    """Status and answer. Raises Unreachable."""
    headers = {"Accept": "application/json"}
    if options.token is not None:
        headers["Authorization"] = f"Bearer {options.token.reveal()}"
    connection = _connection(options, directory, certificate)
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
            sock.settimeout(_CONNECT)
            sock.connect(str(directory / options.unix))
        else:
            sock = socket.create_connection((host, place.port), _CONNECT)
        if context is not None:
            sock = context.wrap_socket(sock)
        sock.settimeout(_TIMEOUT)
        connection.sock = sock
    except OSError as error:
        if sock is not None:
            sock.close()
        raise Unreachable(error.strerror or str(error)) from None
    return connection


def _context(tls: ListenTLS, directory: Path, certificate: str | None) -> ssl.SSLContext:
    """Trusts the very certificate that the configuration names, and no other that its authority has issued.

    So it does not matter by what name the listener is asked. Raises Unreachable.
    """
    try:
        own = _FIRST.search((directory / tls.certificate).read_text())
        context = ssl.create_default_context(cadata=own[0] if own is not None else "")
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.check_hostname = False
        if certificate is not None:
            context.load_cert_chain(certificate)
    except (OSError, ValueError) as error:
        raise Unreachable(f"TLS files: {getattr(error, 'strerror', None) or error}") from None
    return context
