"""`weir limits`: how full the buckets of a running gateway's limits are, who has filled them, and how to empty them."""

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import click

from gateway.cli.asking import Unreachable, admin_options, ask, place
from gateway.config.locate import locate
from gateway.console import printable

_ENDLESS = 1 << 16  # columns

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_MINUTES_FROM = 120

_NOT_FOUND = 404

_NEAR = 0.8
"""Use from which on a bucket is shown in another colour."""

_PARTS = ("project_id", "user_id", "client_ip", "token", "route", "method")

F = TypeVar("F", bound=Callable[..., Any])


def _which(function: F) -> F:
    """The options that say which buckets, and of which gateway."""
    for option in reversed(
        (
            click.option("--config", help="The configuration that the gateway runs with."),
            click.option("--filter", "filter_", help="Those of the entry of this name."),
            click.option(
                "--limit",
                help="Those of the limit of this name, in whichever group, GROUP.NAME of one; or in this place: limits[0].",
            ),
            click.option("--project-id", help="Those whose key has this project."),
            click.option("--user-id", help="Those whose key has this user."),
            click.option("--client-ip", help="Those whose key has this address."),
            click.option("--token", help="Those whose key has the token of this hash, as records have it."),
            click.option("--route", help="Those whose key has this route."),
            click.option("--method", help="Those whose key has this method."),
            click.option("--key-hash", help="The one whose key has this hash, as records have it."),
        )
    ):
        function = option(function)
    return admin_options(function)


_format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="`json` prints what the gateway says, as it says it.",
)


@click.group("limits")
def command() -> None:
    """Look at the limits of a running gateway, and reset them.

    Each asks the gateway's admin listener, with the token that the configuration has for it. The exit status is 0 when all
    is told or done, 1 when a part of the gateway has not answered, or a reset finds no such bucket, 2 when no
    gateway answers, none of its limits has the name, or what is to be an address is none. Of what has been counted a gateway knows the keys of its workers, those
    that have ended included, some thousands at least, and any that you name whole. With a store it knows of other machines,
    and of itself before it was started, only the counts, not the keys that have come to these alone, nor who has filled a bucket
    there: ask each. While the store is away, and a machine counts by itself, its own counts are shown and emptied: ask each again.
    """


@command.command("top")
@click.option(
    "-n", "count", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many, at most."
)
@_format_option
@_which
def top(count: int, form: str, **options: Any) -> None:
    """Show the buckets that are used most."""
    _, told = _asked(options, "GET", f"/limits?{urlencode({**_query(options), 'top': count})}")
    if form == "json":
        _print_json(told)
    elif told["buckets"]:
        _print_table(told["buckets"])
    for unseen in told["unseen"]:
        click.echo(f"weir: {printable(unseen)}", err=True)
    _end(told)


@command.command("show")
@_format_option
@_which
def show(form: str, **options: Any) -> None:
    """Show buckets with all that is known of them: of a key that you name empty ones too."""
    query = _query(options)
    if not query.keys() & {*_PARTS, "key_hash", "limit"}:
        raise click.UsageError(
            "Say whose: --project-id, --user-id, --client-ip, --token, --route, --method, --key-hash; or --limit."
        )
    _, told = _asked(options, "GET", f"/limits?{urlencode({**query, 'top': 1000})}")
    if form == "json":
        _print_json(told)
    else:
        for number, bucket in enumerate(told["buckets"]):
            _print_bucket(bucket, first=number == 0)
    if not told["buckets"] and not told["failures"]:
        click.echo(
            "No limit counts by such a key, as far as this gateway knows."
            if query.keys() & {*_PARTS, "key_hash"}
            else "Nothing is in a bucket of this limit, as far as this gateway knows.",
            err=True,
        )
        raise SystemExit(1)
    _end(told)


@command.command("reset")
@_format_option
@_which
def reset(form: str, **options: Any) -> None:
    """Empty buckets: whoever was refused by them passes again at once."""
    query = _query(options)
    if not query:
        raise click.UsageError("Say which: --limit, --filter, or whose: --project-id, --user-id, ...")
    key = {name: value for name, value in query.items() if name in _PARTS}
    body: dict[str, Any] = {name: value for name, value in query.items() if name not in _PARTS}
    status, told = _asked(options, "POST", "/limits/reset", {**body, "key": key} if key else body)
    if form == "json":
        _print_json(told)
    else:
        click.echo(f"{told['reset']} bucket{'' if told['reset'] == 1 else 's'} emptied")
        for bucket in told["buckets"]:
            click.echo(f"{_name(bucket)}  {_key(bucket)}  {_left(bucket)}")
    for unseen in told["unseen"]:
        click.echo(f"weir: {printable(unseen)}", err=True)
    if not told["reset"] and status != _NOT_FOUND and not told["failures"]:
        click.echo("weir: the bucket of this key was empty: nothing is counted in it", err=True)
    if status == _NOT_FOUND:
        click.echo(
            "weir: nothing is in such a bucket, as far as this gateway knows. To be sure, name a whole key, which is emptied "
            "whether it is known or not: a value for each part of the limit's `key` (--project-id, --user-id, ...), or where it "
            "has none the address that stands in for it (--client-ip); of one that `weir limits top` shows, the --key-hash that "
            "`weir limits show` tells.",
            err=True,
        )
        raise SystemExit(1)
    _end(told)


def _query(options: Mapping[str, Any]) -> dict[str, str]:
    names = {"filter": "filter_", "limit": "limit", "key_hash": "key_hash", **{part: part for part in _PARTS}}
    return {name: options[option] for name, option in names.items() if options[option] is not None}


def _asked(
    options: Mapping[str, Any], method: str, target: str, body: object = None
) -> tuple[int, dict[str, Any]]:
    """Status and answer, which has buckets; without that the command ends."""
    path = locate(options["config"])
    listener = place(Path(path), options["admin"])
    if listener is None:
        raise click.UsageError("The configuration has no admin listener to ask.")
    try:
        status, told = ask(listener, path.parent, options["certificate"], method, target, body)
    except Unreachable as error:
        click.echo(f"weir: {listener} (admin): {error}", err=True)
        raise SystemExit(2) from None
    if "buckets" not in told:
        click.echo(f"weir: {listener} (admin): {told.get('error', f'status {status}')}", err=True)
        raise SystemExit(2)
    return status, told


def _end(told: Mapping[str, Any]) -> None:
    for failure in told["failures"]:
        click.echo(f"weir: {printable(failure)}", err=True)
    if told["failures"]:
        raise SystemExit(1)


def _print_json(told: Mapping[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(told))


def _print_table(buckets: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify, least in (
        ("USE", "right", 4),
        ("LIMIT", "left", 8),
        ("KEY", "left", 12),
        ("RATE", "right", 8),
        ("LEFT", "right", 6),
        ("NEXT", "left", 4),
        ("CONSUMERS", "left", 9),
    ):
        table.add_column(title, justify=justify, min_width=least, overflow="fold")  # type: ignore[arg-type]
    for bucket in buckets:
        style = "red" if bucket["wait"] != 0 else "yellow" if bucket["use"] >= _NEAR else ""
        row = (
            f"{bucket['use']:.0%}",
            _name(bucket),
            _key(bucket),
            _rate(bucket),
            _left(bucket),
            _next(bucket),
            _consumers(bucket),
        )
        table.add_row(*(Text(text, style) for text in row))
    # A terminal wraps; what goes to a file or a pipe keeps each bucket on one line.
    Console(highlight=False, width=None if sys.stdout.isatty() else _ENDLESS).print(table)


def _print_bucket(bucket: Mapping[str, Any], *, first: bool) -> None:
    if not first:
        click.echo()
    shadow = "" if bucket["mode"] == "enforce" else f" ({bucket['mode']})"
    click.echo(f"{_name(bucket)}{shadow}  {_key(bucket)}")
    lines = {
        "rate": _rate(bucket),
        "but": _but(bucket),
        "left": _left(bucket),
        "next": f"{_next(bucket)} ({bucket['next_available']})" if bucket["value"] else _next(bucket),
        "all back": (f"in {_span(bucket['reset'])}" if bucket["reset"] else "now") if bucket["value"] else "",
        "algorithm": bucket["algorithm"],
        "consumers": _consumers(bucket),
        "source": bucket["source"],
        "override": bucket["override"],
        "key hash": bucket["key_hash"],
    }
    for name, value in lines.items():
        if value:
            click.echo(f"  {name:<10} {printable(str(value))}")


def _name(bucket: Mapping[str, Any]) -> str:
    return printable(f"{bucket['filter']}: {bucket['limit']}")


def _key(bucket: Mapping[str, Any]) -> str:
    """What cannot be told of it, a header's value, is told by its hash."""
    told = printable(
        " ".join(
            name if value is True else f"{name}={_value(value)}" for name, value in bucket["key"].items()
        )
    )
    return told or f"#{bucket['key_hash'][:8]}"


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _left(bucket: Mapping[str, Any]) -> str:
    return f"{bucket['remaining']}/{bucket['capacity']}"


def _but(bucket: Mapping[str, Any]) -> str:
    """Who is counted elsewhere."""
    count = bucket["exceptions"]
    if not count:
        return ""
    if count == 1:
        return "1 project has a rate and buckets of its own: this is that of all others"
    return f"{count} projects have rates and buckets of their own: this is that of all others"


def _rate(bucket: Mapping[str, Any]) -> str:
    return f"{bucket['value']}/{bucket['unit'].lower()}"


def _next(bucket: Mapping[str, Any]) -> str:
    if not bucket["value"]:
        return "never: blocked"
    return f"in {_span(bucket['wait'])}" if bucket["wait"] else "now"


def _span(seconds: float) -> str:
    """A time in its two greatest units, rounded up: whoever waits that long has waited long enough."""
    if seconds < _MINUTES_FROM:
        return f"{seconds:g} s"
    for (name, unit), (lesser, part) in pairwise(_UNITS):
        count = ceil(seconds / part)
        if count * part >= unit:
            whole, rest = divmod(count, unit // part)
            return f"{whole} {name} {rest} {lesser}" if rest else f"{whole} {name}"
    raise AssertionError


def _consumers(bucket: Mapping[str, Any]) -> str:
    return printable(", ".join(f"{consumer['id']} {consumer['count']}" for consumer in bucket["consumers"]))
