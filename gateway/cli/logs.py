"""`weir logs`: what the gateway decided, and why, as the request log tells it."""

import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway import console
from gateway.inspect import reader

_POLL = 0.2  # seconds between two looks at a log that is followed

_ENDLESS = 1 << 16  # columns

_log_option = click.option(
    "--log",
    type=click.Path(path_type=Path),
    help="File of the request log. [default: log.path of the configuration that `weir run` would take]",
)


@click.group("logs")
def command() -> None:
    """Read request logs."""


@command.command("show")
@click.argument("request_id")
@_log_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="`json` prints the record as it stands in the log.",
)
def show(request_id: str, log: Path | None, form: str) -> None:
    """Show how a request was decided.

    REQUEST_ID is the id that the gateway gave the request, the one that the upstream gave it, or the global one
    that the client sent. The rotated files of the log are searched too. The exit status is 1 when no record
    has the id.
    """
    path = _existing(log)
    skipped = reader.Skipped()
    try:
        found = reader.find(path, request_id, skipped)
    except OSError as error:
        raise _unreadable(path, error) from None
    _tell(skipped)
    if not found:
        click.echo(
            f"No record in {path} or its rotated files has the id {console.printable(request_id)}.", err=True
        )
        raise SystemExit(1)
    for fields in found:
        if form == "json":
            import orjson

            click.echo(orjson.dumps(fields))
        else:
            _print_tree(fields)


@command.command("tail")
@_log_option
@click.option(
    "-n", "count", type=click.IntRange(min=0), default=10, show_default=True, help="Lines to begin with."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is appended, across rotation.")
def tail(log: Path | None, count: int, follow: bool) -> None:
    """Print the last records, one readable line each."""
    path = _existing(log)
    skipped = reader.Skipped()
    colour = sys.stdout.isatty()
    follower = None
    try:
        if follow:
            follower = reader.Follower(path)
        for fields in reader.last(path, count, skipped, until=follower.position if follower else None):
            click.echo(console.line(fields, colour=colour))
        _tell(skipped)
        if follower is not None:
            for fields in follower.records(reader.Skipped(), lambda: time.sleep(_POLL)):
                click.echo(console.line(fields, colour=colour))
    except BrokenPipeError:
        raise  # click ends quietly when the reader of our output has gone
    except OSError as error:
        raise _unreadable(path, error) from None
    except KeyboardInterrupt:
        pass  # the way to end a tail
    finally:
        if follower is not None:
            follower.close()


def _existing(log: Path | None) -> Path:
    path = _configured() if log is None else log
    if path.is_dir():
        raise click.UsageError(f"{path} is a directory, not a request log.")
    if not path.parent.is_dir() or not reader.files(path):
        raise click.UsageError(f"There is no request log at {path}. Give another with --log.")
    return path


def _configured() -> Path:
    """`log.path` of the configuration that would be run."""
    from gateway.config.load import load
    from gateway.config.locate import locate
    from gateway.config.problem import ConfigurationError
    from gateway.registry import Registry

    where = locate()
    try:
        path = load(where, registry=Registry()).configuration.log.path
    except ConfigurationError as error:
        problem = error.problems[0]
        raise click.UsageError(
            f"The configuration does not say where the log is: {problem}. Use --log."
        ) from None
    if path is None or path == "-":
        kept = "is written to standard output" if path else "is off"
        raise click.UsageError(f"By {where} the request log {kept}. Give a file with --log.")
    return Path(path)


def _unreadable(path: Path, error: OSError) -> click.ClickException:
    return _Unreadable(f"{path} cannot be read: {error.strerror}")


class _Unreadable(click.ClickException):
    exit_code = 2


def _tell(skipped: reader.Skipped) -> None:
    if skipped:
        click.echo(f"Note: {skipped}.", err=True)


_PARTS = (
    (
        "request",
        "http.request.method",
        "url.scheme",
        "server.address",
        "server.port",
        "url.path",
        "url.query",
    ),
    ("ids", "gateway.request_id", "gateway.upstream.request_id", "gateway.global_request_id"),
    ("client", "client.address", "network.peer.address", "network.peer.port", "user_agent.original"),
    ("principal", "user.id", "user.name", "user.roles", "gateway.project.id", "gateway.project.name"),
    ("route", "gateway.route", "http.route"),
    ("bytes", "http.request.body.size", "http.response.body.size"),
    ("timings", "gateway.duration_ms", "gateway.chain.in_ms", "gateway.chain.out_ms"),
    ("gateway", "gateway.revision", "gateway.worker", "gateway.sequence"),
)
_STYLES = {"refuse": "yellow", "answer": "cyan", "error": "red", "undecided": "magenta", "skip": "dim"}


def _print_tree(fields: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def text(plain: str, style: str = "") -> Text:
        return Text(console.printable(plain), style)

    root = Tree(text(re.sub(" {2,}", "  ", console.line(fields, colour=False)), "bold"))
    for title, lines in _branches(fields):
        branch = root.add(text(title, "cyan"))
        for line, style in lines:
            branch.add(text(line, style))
    # A terminal wraps; what goes to a file or a pipe keeps each fact on one line.
    Console(highlight=False, width=None if sys.stdout.isatty() else _ENDLESS).print(root)


def _branches(fields: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Title, and lines with their style, of each part of the tree that the record has something for."""
    decision = f"{_shown(fields.get('gateway.decision', '-'))}  {console.decision(fields)}"
    yield "decision", [("  ".join(filter(None, (decision, fields.get("gateway.source")))), "bold")]
    for title, *names in _PARTS:
        lines = [
            (f"{name} = {_shown(fields[name])}", "")
            for name in names
            if fields.get(name) not in (None, "", [])
        ]
        if lines:
            yield title, lines
    facts = fields.get("gateway.facts")
    headers = facts.get("headers") if isinstance(facts, Mapping) else None
    if isinstance(headers, Mapping) and headers:
        yield "header facts", [(f"{name}: {_shown(value)}", "") for name, value in headers.items()]
    if steps := console.steps(fields):
        yield "filters", [(_step(step), _STYLES.get(str(step.get("verdict")), "")) for step in steps]
    attempts = fields.get("gateway.upstream.attempts")
    if isinstance(attempts, list) and attempts:
        yield "upstream attempts", [(_shown(attempt), "") for attempt in attempts]


def _step(step: Mapping[str, Any]) -> str:
    name = str(step.get("name", "-"))
    parts = [
        name if step.get("type") in (None, name) else f"{name} ({step['type']})",
        "on the response" if step.get("phase") == "response" else "",
        "in shadow" if step.get("shadow") else "",
        " ".join(str(step[key]) for key in ("verdict", "status") if key in step),
        str(step.get("reason", "")),
        f"{step['ms']} ms" if "ms" in step else "",
        " ".join(str(step[key]) for key in ("source", "rule") if key in step),
        _shown(step["facts"]) if "facts" in step else "",
        *(_shown(note) for note in step.get("notes", ())),
    ]
    return "  ".join(filter(None, parts))


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
