"""`weir top`: what goes on in a running gateway, at a glance, in the terminal."""

import sys
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.asking import Unreachable, admin_options, place, watch
from gateway.config.locate import locate
from gateway.console import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_LAST: Final = 12  # requests that are shown
_MEBIBYTE: Final = 1 << 20
_COLOURS: Final = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}


@click.command("top")
@click.argument("config", required=False)
@click.option(
    "--query", default="", help="Of the requests show those that it asks for, see `weir logs query`."
)
@click.option("--once", is_flag=True, help="Print what there is to say after two seconds, and end.")
@admin_options
def command(config: str | None, query: str, once: bool, admin: str | None, certificate: str | None) -> None:
    """Show what goes on in the gateway that runs with CONFIG: rates, latency, refusals, upstreams, workers, full buckets.

    Asks the gateway's admin listener, with the token that CONFIG has for it. The exit status is 2 when no gateway answers.
    """
    from rich.console import Console
    from rich.live import Live

    path = locate(config)
    listener = place(path, admin)
    if listener is None:
        raise click.UsageError("The configuration has no admin listener to ask.")
    console = Console(highlight=False)
    records: deque[Mapping[str, Any]] = deque(maxlen=_LAST)
    try:
        with Live(console=console, screen=console.is_terminal and not once, auto_refresh=False) as live:
            for name, told in watch(listener, path.parent, certificate, query):
                if name == "records":
                    records.extend(told["records"])
                elif not once:
                    live.update(screen(told, records), refresh=True)
                elif "requests" in told:
                    live.update(screen(told, records), refresh=True)
                    return
        raise Unreachable("it says no more")
    except KeyboardInterrupt:
        return  # the way to end it
    except Unreachable as error:
        click.echo(f"weir: {listener} (admin): {printable(str(error))}", err=True)
        sys.exit(2)


def screen(summary: Mapping[str, Any], records: "deque[Mapping[str, Any]]") -> "RenderableType":
    """All that is shown. What a client has written is escaped."""
    from rich.columns import Columns
    from rich.console import Group
    from rich.text import Text

    classes = summary.get("classes", {})
    quantiles = summary.get("quantiles", {})
    figures = [
        ("requests/s", summary.get("requests")),
        *((f"{name}/s", classes.get(name, 0)) for name in ("2xx", "4xx", "5xx")),
        *((f"{name} ms", value) for name, value in quantiles.items()),
        ("in progress", summary.get("active")),
        ("connections", summary.get("connections")),
    ]
    head = Text("   ".join(f"{name} {_figure(value)}" for name, value in figures), "bold")
    refusals = [
        (each["filter"], each["reason"], _figure(each["rate"])) for each in summary.get("refusals", ())
    ] + [
        (f"{each['filter']} (shadow)", each["reason"], _figure(each["rate"]))
        for each in summary.get("shadow", ())
    ]
    routes = [(name or "(none)", _figure(rate)) for name, rate in summary.get("routes", {}).items()]
    endpoints = sorted(
        {
            (name, str(each.get("address", each.get("url", ""))), str(each.get("state", "")))
            for name, workers in summary.get("upstreams", {}).items()
            for standing in workers.values()
            for each in standing.get("endpoints", ())
        }
    )
    workers = [
        (
            str(each["slot"]),
            f"{each['memory_bytes'] // _MEBIBYTE} MiB" if "memory_bytes" in each else "-",
            str(each.get("requests", "-")),
            str(each.get("restarts", 0)),
        )
        for each in summary.get("workers", ())
    ]
    limits = [
        (
            f"{each['use']:.0%}",
            f"{each['filter']}: {each['limit']}",
            " ".join(f"{name}={value}" for name, value in each["key"].items()),
        )
        for each in summary.get("limits", ())[:8]
    ]
    last = [
        (
            str(each.get("time", ""))[11:19],
            Text(str(each.get("status", "-")), _COLOURS.get(int(each.get("status", 0)) // 100, "red")),
            str(each.get("method", "")),
            str(each.get("path", each.get("template", ""))),
            ": ".join(filter(None, (each.get("filter"), each.get("reason")))),
        )
        for each in records
    ]
    return Group(
        head,
        Columns(
            [
                _table(refusals, "refused by", "reason", "/s"),
                _table(routes, "route", "/s"),
                _table(endpoints, "upstream", "endpoint", "state"),
                _table(workers, "worker", "memory", "requests", "restarts"),
                _table(limits, "use", "limit", "key"),
            ],
            padding=(1, 4),
        ),
        _table(last, "time", "status", "method", "path", "decision"),
    )


def _table(rows: "list[tuple[Any, ...]]", *titles: str) -> "Table":
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        made.add_column(title, overflow="ellipsis", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in row))
    return made


def _figure(value: Any) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
