"""`weir logs`: what the gateway decided, and why, as the request log tells it."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway import console
from gateway.inspect import output, reader, sidecar
from gateway.inspect.database import Database, Failed, Result
from gateway.inspect.field import BY_NAME, FIELDS, Field
from gateway.inspect.grammar import Query, QueryError, parse, pointed
from gateway.inspect.period import Period, instant, utc_now
from gateway.inspect.predicate import predicate
from gateway.inspect.tree import print_tree

_POLL = 0.2  # seconds between two looks at a log that is followed

_log_option = click.option(
    "--log",
    type=click.Path(path_type=Path),
    help="File of the request log. [default: log.path of the configuration that `weir run` would take]",
)


F = TypeVar("F", bound=Callable[..., Any])

_query_argument = click.argument("query", default="")

_COLUMNS = (
    "time",
    "method",
    "path",
    "status",
    "decision",
    "reason",
    "filter",
    "project_id",
    "duration",
    "request_id",
)
_ALIASES = {"project": "project_id", "user": "user_id"}


def _period_options(function: F) -> F:
    """Which records: the log, and from when to when."""
    for option in (
        click.option("--until", help="Not those from then on: a time as for --since."),
        click.option(
            "--since",
            help="Those from then on: 1h or 30m ago, 12:00, or 2026-01-31T12:00; all times are UTC.",
        ),
        _log_option,
    ):
        function = option(function)
    return function


_format_option = click.option(
    "--format", "form", type=click.Choice(output.FORMATS), default="table", show_default=True
)


def _fields(text: str) -> list[Field]:
    """Fields by their names, separated by commas."""
    found: list[Field] = []
    for name in text.split(","):
        field = BY_NAME.get(_ALIASES.get(name.strip(), name.strip()))
        if field is None:
            raise click.UsageError(f"There is no field {name.strip()!r}: there are {', '.join(BY_NAME)}.")
        found.append(field)
    return found


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
    path = existing_log(log)
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
            print_tree(fields)


@command.command("tail")
@_query_argument
@_log_option
@click.option(
    "-n", "count", type=click.IntRange(min=0), default=10, show_default=True, help="Lines to begin with."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is appended, across rotation.")
def tail(query: str, log: Path | None, count: int, follow: bool) -> None:
    """Print the last records, one readable line each; with a QUERY those that it asks for (see `weir logs query`)."""
    path = existing_log(log)
    asked = predicate(_parsed(query))
    skipped = reader.Skipped()
    colour = sys.stdout.isatty()
    follower = None
    try:
        if follow:
            follower = reader.Follower(path)
        for fields in reader.last(
            path, count, skipped, until=follower.position if follower else None, wanted=asked
        ):
            click.echo(console.line(fields, colour=colour))
        _tell(skipped)
        if follower is not None:
            for fields in follower.records(reader.Skipped(), lambda: time.sleep(_POLL)):
                if not asked(fields):
                    continue
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


@command.command("query")
@_query_argument
@_period_options
@click.option(
    "--columns", default=",".join(_COLUMNS), show_default=True, help="Fields, separated by commas; `all`."
)
@click.option(
    "-n", "count", type=click.IntRange(min=0), default=100, show_default=True, help="Rows; 0 for all."
)
@click.option(
    "--order", default="-time", show_default=True, help="A field; with - in front the greatest first."
)
@click.option(
    "--sql", help="A SELECT of your own, of the table `records`, in place of QUERY and what it is told as."
)
@_format_option
def query_(
    query: str,
    log: Path | None,
    since: str | None,
    until: str | None,
    columns: str,
    count: int,
    order: str,
    sql: str | None,
    form: str,
) -> None:
    """Search records.

    QUERY is such as `status >= 400 and reason = rate_limited and not (method in (GET, HEAD))`. Comparisons are = != < <= >
    >=, in (...), is null, and ~ with a pattern in which * stands for anything: path ~ '/v2/*/images*'. `weir logs fields`
    lists what can be asked for.
    """
    shown = list(FIELDS) if columns == "all" else _fields(columns)
    (by,) = _fields(order.removeprefix("-"))
    asked = _parsed(query)
    with _database(log, since, until) as database:
        if sql is not None:
            _write(form, database.sql(sql))
            return
        found = database.records(
            asked, columns=shown, order=by.name, descending=order.startswith("-"), limit=count or None
        )
        _write(form, found)


@command.command("top")
@_query_argument
@_period_options
@click.option(
    "--by", default="reason", show_default=True, help="Field whose values are counted; project, user."
)
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many, at most."
)
@_format_option
def top(
    query: str, log: Path | None, since: str | None, until: str | None, by: str, count: int, form: str
) -> None:
    """Count records by the values of a field: those that most have, what became of them, and how long they took (ms).

    A record that log.sample has kept by chance counts for as many as it stands for, so counts and quantiles are estimates
    where there are such records. Quantiles are at most 1 % too large.
    """
    (field,) = _fields(by)
    asked = _parsed(query)
    with _database(log, since, until) as database:
        _write(form, database.top(field, asked, limit=count))


@command.command("stats")
@_query_argument
@_period_options
@_format_option
def stats(query: str, log: Path | None, since: str | None, until: str | None, form: str) -> None:
    """Count records, status classes and quantiles of the duration (ms): in all, by route, and by route and filter.

    Where log.sample has left some out these are estimates, as those of `weir logs top` are.
    """
    asked = _parsed(query)
    with _database(log, since, until) as database:
        _write(form, database.stats(asked))


@command.command("series")
@_query_argument
@_period_options
@click.option("--every", default="1m", show_default=True, help="How long each row is of.")
@_format_option
def series(query: str, log: Path | None, since: str | None, until: str | None, every: str, form: str) -> None:
    """Count records over time: how many, what became of them, and quantiles of the duration (ms).

    Where log.sample has left some out these are estimates, as those of `weir logs top` are.
    """
    from gateway.api.option import parse_duration

    try:
        seconds = int(parse_duration(every))
        if not 1 <= seconds <= 366 * 86400:
            raise ValueError("expected a time from 1s to a year")
    except ValueError as error:
        raise click.UsageError(f"--every: {error}") from None
    asked = _parsed(query)
    with _database(log, since, until) as database:
        _write(form, database.series(seconds, asked))


@command.command("export")
@_query_argument
@_period_options
@click.option(
    "--parquet", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to be written."
)
def export(query: str, log: Path | None, since: str | None, until: str | None, parquet: Path) -> None:
    """Write records to a Parquet file, with all fields."""
    asked = _parsed(query)
    with _database(log, since, until, target=parquet) as database:
        count = database.export(asked, parquet)
    click.echo(f"{count} record{'' if count == 1 else 's'} written to {parquet}", err=True)


@command.command("fields")
def fields_() -> None:
    """List the fields of records that can be asked for."""
    output.write(
        "table", ("FIELD", "KIND", "WHAT"), iter([(field.name, field.kind, field.help) for field in FIELDS])
    )


@command.command("sidecars")
@_log_option
def sidecars(log: Path | None) -> None:
    """Make the sidecars of rotated files, by which searches are fast; a running gateway makes them by itself."""
    path = existing_log(log)
    try:
        made = sidecar.make_all(path, time.time())
    except (reader.MissingExtra, OSError) as error:
        raise _Unreadable(str(error)) from None
    for file in made:
        click.echo(file)


def _parsed(query: str) -> Query:
    try:
        return parse(query)
    except QueryError as error:
        raise click.UsageError(f"The query is not understood.\n\n{pointed(query, error)}") from None


@contextmanager
def _database(
    log: Path | None, since: str | None, until: str | None, target: Path | None = None
) -> Iterator[Database]:
    """The records; what is wrong with them ends the command. On a terminal a bar tells how far a long question has come."""
    path = existing_log(log)
    now = utc_now()
    try:
        period = Period(*(None if text is None else instant(text, now) for text in (since, until)))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    os.nice(10)  # whoever asks must not be in the way of whoever is asked about
    try:
        with _progress() as progress:
            database = Database(path, period, progress=progress, target=target)
            try:
                yield database
            finally:
                database.close()
    except (reader.MissingExtra, Failed) as error:
        raise _Unreadable(str(error)) from None
    except OSError as error:
        raise _unreadable(path, error) from None


@contextmanager
def _progress() -> Iterator[Callable[[float], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    parts = (TextColumn("reading"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=100.0)
        yield lambda percent: bar.update(task, completed=percent)


def _write(form: str, result: Result) -> None:
    output.write(form, result.names, result.rows)


def existing_log(log: Path | None) -> Path:
    """The log that is given, or else that of the configuration. Raises click.UsageError where there is none."""
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
