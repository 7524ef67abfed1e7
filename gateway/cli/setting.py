"""What the commands that run a gateway share: a configuration or a clear end, and what the command line sets."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from gateway import application_log
from gateway.config.load import Loaded, load
from gateway.config.model import (
    AdminListen,
    Endpoint,
    UnixAddress,
    UpstreamEndpoint,
    admin_at,
    listen_at,
    parse_place,
)
from gateway.config.problem import ConfigurationError
from gateway.registry import Registry

if TYPE_CHECKING:
    from gateway.alone import Alone

_UNSET = object()


def load_or_exit(path: Path, *, status: int = 1) -> tuple[Loaded, Registry]:
    """The configuration in `path`; what is wrong with it goes to standard error, and the exit status is `status`."""
    registry = Registry()
    try:
        return load(path, registry=registry), registry
    except ConfigurationError as error:
        tell(error)
        raise SystemExit(status) from None


def adjusted(
    loaded: Loaded,
    *,
    listen: str | None = None,
    admin: str | None = None,
    log_path: Any = _UNSET,
    endpoint: tuple[str, Endpoint] | None = None,
) -> Loaded:
    """The configuration with what the command line says in its place; click.UsageError for a bad address."""
    update: dict[str, Any] = {}
    configuration = loaded.configuration
    try:
        if listen is not None:
            update["listen"] = (listen_at(listen),)
        if admin is not None:
            update["admin"] = moved(configuration.admin, admin)
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if log_path is not _UNSET:
        update["log"] = configuration.log.model_copy(update={"path": log_path})
    if endpoint is not None:
        name, address = endpoint
        upstream = configuration.upstreams[name].model_copy(
            update={"endpoints": (UpstreamEndpoint(url=address),)}
        )
        update["upstreams"] = {**configuration.upstreams, name: upstream}
    return replace(loaded, configuration=configuration.model_copy(update=update))


def moved(admin: AdminListen | None, text: str) -> AdminListen:
    """The admin listener at another place, with the guards that it has. Raises ValueError."""
    if admin is None:
        return admin_at(text)
    place = parse_place(text)
    options: dict[str, Any] = (
        {"token": admin.token} if admin.tls is None else {"token": admin.token, "tls": admin.tls}
    )
    if isinstance(place, UnixAddress):
        if admin.unix is not None:
            options["mode"] = admin.mode
        return AdminListen(unix=place.path, **options)
    return AdminListen(address=place, **options)


def serve_or_exit(
    loaded: Loaded,
    registry: Registry,
    *,
    on_start: "Callable[[Alone], None]" = lambda gateway: None,
    on_record: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Serves until a signal; a gateway that cannot start says why, and the status is 1."""
    with exit_telling():
        from gateway.alone import serve

        serve(loaded, registry, on_start=on_start, on_record=on_record)


@contextmanager
def exit_telling() -> Iterator[None]:
    """For what runs a gateway: one that cannot start says why, and the status is 1."""
    from gateway.app import StartError
    from gateway.listener.parser import UnsupportedAiohttp

    application_log.configure()
    try:
        yield
    except ConfigurationError as error:
        tell(error)
        raise SystemExit(1) from None
    except (StartError, UnsupportedAiohttp) as error:
        click.echo(f"weir: {error}", err=True)
        raise SystemExit(1) from None


def tell(error: ConfigurationError) -> None:
    """What is wrong, a line each, to standard error."""
    for problem in error.problems:
        click.echo(str(problem), err=True)
