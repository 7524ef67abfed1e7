"""Asking the admin listener of a gateway that runs: where it is, by the configuration that it runs with, and what it says."""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click
from pydantic import ValidationError

from gateway.cli.setting import moved, tell
from gateway.config.load import load_admin
from gateway.config.model import Address, AdminListen, ListenTLS
from gateway.config.problem import ConfigurationError

NOT_ASKED = "weir: the gateway has not been asked; nothing has changed"

_CONNECT = 5.0  # seconds
_TIMEOUT = 120.0  # seconds, for as long as workers may take to build a configuration

_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

F = TypeVar("F", bound=Callable[..., Any])


class Unreachable(Exception):  # noqa: N818 - named for what it says
    """No gateway answers; the message says why."""


def admin_options(function: F) -> F:
    """The options that say where to ask, and as whom."""
    function = click.option(
        "--certificate",
        type=click.Path(dir_okay=False),
        help="Our certificate with its key, in PEM form, where the listener asks for one.",
    )(function)
    return click.option(
        "--admin", help="Ask the admin listener there, and not where the configuration says that it is."
    )(function)


def place(path: Path, admin: str | None) -> AdminListen | None:
    """Where to ask, None where the configuration has no admin listener. What is wrong with that, be it in the file, is told and
    ends the command, unless `admin` says where it is: then it is asked there, without what the file may say of a token."""
    options: AdminListen | None = None
    try:
        options = load_admin(path)
    except ConfigurationError as error:
        tell(error)
        if admin is None:
            click.echo(NOT_ASKED, err=True)
            raise SystemExit(1) from None
    if admin is None:
        return options
    try:
        return moved(options, admin)
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def ask(
    options: AdminListen,
    directory: Path,
    certificate: str | None,
    method: str,
    target: str,
    body: object = None,
) -> tuple[int, dict[str, Any]]:
    """Status and answer; a `body` is sent as JSON. Raises Unreachable."""
    headers = _headers(options)
    sent = None
    if body is not None:
        sent = json.dumps(body)
        headers["Content-Type"] = "application/json"
    connection = _connection(options, directory, certificate)
    try:
        connection.request(method, target, sent, headers)
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


def watch(
    options: AdminListen, directory: Path, certificate: str | None, query: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What goes on, as server-sent events: the name of each and what it says. Raises Unreachable."""
    connection = _connection(options, directory, certificate)
    try:
        connection.request("GET", f"/live?query={quote(query)}", headers=_headers(options))
        response = connection.getresponse()
        if response.status != 200:
            raise Unreachable(str(json.loads(response.read()).get("error", f"status {response.status}")))
        name = ""
        for line in response:
            field, _, value = line.decode("utf-8", "replace").rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)
    except OSError as error:
        raise Unreachable(error.strerror or str(error)) from None
    except (http.client.HTTPException, ValueError, AttributeError):
        raise Unreachable("what answers is no gateway") from None
    finally:
        connection.close()


def _headers(options: AdminListen) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if options.token is not None:
        headers["Authorization"] = f"Bearer {options.token.reveal()}"
    return headers


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
