"""`weir routes`: routes made from a description of an API, and held against one."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gateway.description.model import Description

_base_option = click.option(
    "--base", help="Where its paths begin, such as /v2; by default where it says that its servers are."
)


@click.group("routes")
def command() -> None:
    """Make routes from a description of an API, OpenAPI 3.0 or 3.1 or WADL, and hold a configuration against one."""


@command.command("import")
@click.argument("description", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write, which must not be there; standard output where absent.",
)
@click.option("--upstream", default="api", show_default=True, help="What the upstream is called.")
@click.option(
    "--by-hand",
    is_flag=True,
    help="Filters that are told what it says of methods, UUIDs and media types, in place of `api`.",
)
@click.option(
    "--allow-unchecked",
    is_flag=True,
    help="Have pass what the description asks of requests and `api` does not look at (`unchecked: allow`).",
)
@_base_option
def import_(
    description: Path,
    output: Path | None,
    upstream: str,
    by_hand: bool,
    allow_unchecked: bool,
    base: str | None,
) -> None:
    """Write a configuration with a route for each path of DESCRIPTION.

    Limits, and who may call, are to be filled in. What DESCRIPTION asks of requests and nobody looks at is listed; `weir check`
    refuses it until it is allowed. The exit status is 1 where DESCRIPTION cannot be used.
    """
    from gateway.description.draft import draft

    read = _read(description, base)
    directory = output.parent if output is not None else Path()
    file = os.path.relpath(description, directory)
    try:
        text = draft(read, file=file, upstream=upstream, by_hand=by_hand, allow_unchecked=allow_unchecked)
    except ValueError as error:
        raise click.ClickException(f"{error}.") from None
    _tell_unchecked(read, by_hand=by_hand, allowed=allow_unchecked)
    if by_hand:
        _tell_roles(read)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None


def _tell_roles(read: "Description") -> None:
    """Whom operations are for, where no filter is told, on standard error."""
    from gateway.console import printable
    from gateway.description.draft import whom

    for resource in read.resources:
        for operation in resource.operations:
            if operation.roles is not None:
                told = f"{operation.method} {resource.path} is for {whom(operation.roles)}"
                click.echo(printable(f"nobody asks for who is calling: {told}"), err=True)


def _tell_unchecked(read: "Description", *, by_hand: bool, allowed: bool) -> None:
    """What nobody will look at, on standard error, and what comes of it."""
    from gateway.console import printable

    for problem in read.unchecked:
        click.echo(printable(f"not checked: {problem}"), err=True)
    if read.unchecked and not by_hand:
        told = (
            "it passes (`unchecked: allow`)" if allowed else "`weir check` refuses it, or --allow-unchecked"
        )
        click.echo(told, err=True)


@command.command("lint")
@click.argument("description", type=click.Path(path_type=Path))
@click.argument("config", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="`json` prints a list of findings, empty when there are none.",
)
@_base_option
def lint(description: Path, config: str | None, form: str, base: str | None) -> None:
    """Say what CONFIG lets through that DESCRIPTION does not have, and what it has and no request can reach.

    A route whose filters enforce the description (`api`) is open to nothing else. The exit status is 0 where they agree, 1
    where they do not, 2 where one of them cannot be used.
    """
    from gateway.cli.setting import load_or_exit
    from gateway.config.locate import locate
    from gateway.description.coverage import compare

    read = _read(description, base, status=2)
    loaded, _ = load_or_exit(locate(config), status=2)
    findings = compare(loaded, read, description, base, lambda file, begin: _read(file, begin, status=2))
    if form == "json":
        told = [{"kind": one.kind, **one.position._asdict(), "message": one.message} for one in findings]
        click.echo(json.dumps(told, indent=2))
    else:
        for finding in findings:
            click.echo(str(finding))
        if not findings:
            many = len(read.resources)
            click.echo(f"{loaded.marks.file}: as described, {many} path{'' if many == 1 else 's'}")
    if findings:
        raise SystemExit(1)


def _content(name: str, /, *, beside: str | None = None) -> bytes:
    from gateway.api.file import hold_beside, read_regular

    if beside is not None:
        hold_beside(Path(name), Path(beside))
    return read_regular(Path(name))


def _read(file: Path, base: str | None, *, status: int = 1) -> "Description":
    """The description; what is wrong with it goes to standard error, and the exit status is `status`."""
    from gateway.cli.setting import tell
    from gateway.description.read import DescriptionError, read_description

    try:
        return read_description(str(file), _content, base=base)
    except DescriptionError as error:
        tell(error)
        raise SystemExit(status) from None
