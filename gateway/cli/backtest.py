"""`weir backtest`: what another configuration would have made of the exchanges in a request log."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from gateway import application_log
from gateway.backtest.fit import FitError, fit
from gateway.backtest.recorded import UNDECIDABLE
from gateway.backtest.report import Subject, as_html, as_json, as_text
from gateway.backtest.run import DoubledError, Found, Question, backtest
from gateway.backtest.tally import CHANGED, NEWLY_ALLOWED, NEWLY_REFUSED
from gateway.cli.setting import load_or_exit, tell
from gateway.cli.value import seconds
from gateway.config.load import Loaded, load
from gateway.config.locate import locate
from gateway.config.problem import ConfigurationError
from gateway.console import printable
from gateway.inspect import reader
from gateway.inspect.grammar import QueryError, pointed
from gateway.plan import build_plan
from gateway.registry import Registry

_STYLES = {NEWLY_ALLOWED: "red", NEWLY_REFUSED: "yellow", CHANGED: "cyan", UNDECIDABLE: "magenta"}


class _Share(click.ParamType[float | int]):
    """A number, or a share in percent: then a float."""

    name = "N|P%"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | int:
        text = str(value)
        share = text.endswith("%")
        try:
            number = float(text[:-1]) / 100 if share else int(text)
        except ValueError:
            number = -1
        if number < 0 or (share and number > 1):
            self.fail(f"expected a number or a share such as 0.1%, got {text!r}", param, ctx)
        return number


_share = _Share()


@click.command("backtest")
@click.option("--config", help="The configuration to judge by. [default: that which `weir run` would take]")
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of a request log, plain, .gz or .zst; any number. [default: that of the configuration, and its rotated files]",
)
@click.argument("more", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE...]")
@click.option(
    "--against",
    default="recorded",
    show_default=True,
    help="What to hold it against: what was `recorded`, or another configuration.",
)
@click.option("--since", help="Exchanges from then on: 1h or 30m ago, 12:00, or 2026-01-31T12:00; UTC.")
@click.option("--until", help="Not those from then on.")
@click.option("--where", default="", help="Tell of these only: a query as for `weir logs query`.")
@click.option(
    "--recorded-callers",
    is_flag=True,
    help="Callers are who they were recorded to be, also where the filter that found them out is another now.",
)
@click.option(
    "--max-newly-allowed", type=_share, help="End with status 1 where there are more, or a greater share."
)
@click.option("--max-newly-refused", type=_share, help="The same of those that are newly refused.")
@click.option("--max-undecidable", type=_share, help="The same of those that cannot be decided.")
@click.option(
    "--fit",
    "fitted",
    metavar="ENTRY.LIMIT",
    help="Propose the lowest rate of this limit that history would have borne, in place of a report.",
)
@click.option(
    "--refuse-at-most",
    type=_share,
    default="0.1%",
    show_default=True,
    help="The share of the requests that it counts which a fitted limit may refuse.",
)
@click.option(
    "--processes", type=click.IntRange(1, 256), help="How many work side by side. [default: the cores]"
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "html"]), default="text", show_default=True
)
@click.option(
    "-n",
    "most",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Groups of each class, in text.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file.")
def command(
    config: str | None,
    logs: tuple[Path, ...],
    more: tuple[Path, ...],
    against: str,
    since: str | None,
    until: str | None,
    where: str,
    recorded_callers: bool,
    max_newly_allowed: float | None,
    max_newly_refused: float | None,
    max_undecidable: float | None,
    fitted: str | None,
    refuse_at_most: float,
    processes: int | None,
    form: str,
    most: int,
    output: Path | None,
) -> None:
    """Judge the exchanges of a request log again, by another configuration.

    Each is newly allowed (it was refused and would be forwarded), newly refused, changed, undecidable (what it is judged by is
    not recorded, or what limits had counted is not known), or unchanged. Nothing is guessed, and nothing is sent anywhere.

    The exit status is 0 within the bounds that are given, 1 beyond them, 2 for what is wrong with the question.
    """
    application_log.configure()
    path = locate(config)
    loaded, registry = load_or_exit(path, status=2)
    files = reader.distinct([*logs, *more]) or _configured(loaded.configuration.log.path)
    began, ended = seconds(since, float("-inf")), seconds(until, float("inf"))
    if fitted is not None:
        others = {
            "--where": where,
            "--against": against != "recorded",
            "--recorded-callers": recorded_callers,
            "--max-newly-allowed": max_newly_allowed is not None,
            "--max-newly-refused": max_newly_refused is not None,
            "--max-undecidable": max_undecidable is not None,
            "--format html": form == "html",
            "--output": output is not None,
        }
        if meaningless := [name for name, given in others.items() if given]:
            raise click.UsageError(f"{', '.join(meaningless)}: of no use with --fit.")
        _fit(loaded, registry, files, fitted, refuse_at_most, form, (began, ended))
        return
    old_text, old_path = None, Path()
    if against != "recorded":
        old_path = Path(against)
        try:
            old_text = load(old_path, registry=Registry()).text.decode("utf-8-sig")
        except ConfigurationError as error:
            tell(error)
            raise SystemExit(2) from None
    question = Question(
        *(loaded.text.decode("utf-8-sig"), str(path), path.parent),
        *(old_text, str(old_path), old_path.parent),
        *(began, ended),
        *(where, recorded_callers),
    )
    try:
        with _progress() as progress:
            found = backtest(question, files, processes=processes, progress=progress)
    except QueryError as error:
        raise click.UsageError(f"The query is not understood.\n\n{pointed(where, error)}") from None
    except ConfigurationError as error:
        tell(error)
        raise SystemExit(2) from None
    except reader.MissingExtra as error:
        raise click.UsageError(str(error)) from None
    except DoubledError as error:
        raise click.UsageError(f"{error}: name each file once, and no copy of it.") from None
    except OSError as error:
        raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}.") from None
    _warn(found.damaged)
    subject = Subject(str(path), against, len(files))
    _write(found, subject, form, most, output)
    bounds = (
        (NEWLY_ALLOWED, max_newly_allowed),
        (NEWLY_REFUSED, max_newly_refused),
        (UNDECIDABLE, max_undecidable),
    )
    if not found.tally.total and any(bound is not None for _, bound in bounds):
        raise click.UsageError("The log holds no exchange that could be judged.")
    beyond = [kind for kind, bound in bounds if bound is not None and _beyond(found, kind, bound)]
    for kind in beyond:
        click.echo(f"More are {kind.replace('_', ' ')} than may be: {found.tally.counts[kind]:,}.", err=True)
    if beyond:
        raise SystemExit(1)


def _fit(
    loaded: Loaded,
    registry: Registry,
    files: list[Path],
    name: str,
    share: float,
    form: str,
    period: tuple[float, float],
) -> None:
    """Proposes a limit."""
    if not isinstance(share, float):
        raise click.UsageError("--refuse-at-most: expected a share such as 0.1%.")
    try:
        with _progress() as progress:
            found = fit(build_plan(loaded, registry), files, name, share, period=period, progress=progress)
    except FitError as error:
        raise click.UsageError(f"--fit: {error}.") from None
    except ConfigurationError as error:
        tell(error)
        raise SystemExit(2) from None
    except reader.MissingExtra as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}.") from None
    _warn(found.damaged)
    if found.missing:
        click.echo(
            f"Note: {found.missing:,} records are missing, which the limit may have counted.", err=True
        )
    if form == "json":
        told = {
            **found._asdict(),
            "configured": found.configured._asdict(),
            "proposed": found.proposed._asdict(),
        }
        click.echo(json.dumps({**told, "curve": [point._asdict() for point in found.curve]}, indent=2))
        return
    click.echo(f"{found.limit} counts {found.requests:,} requests of the log.")
    most = max(point.refused for point in found.curve) or 1
    for point in found.curve:
        mark = "  <- proposed" if point.value == found.proposed.value else ""
        bar = "#" * round(40 * point.refused / most)
        click.echo(
            f"  {point.value:>10,}/{found.unit:<7} refuses {point.refused:>10,}  "
            f"{100 * point.refused / found.requests:6.2f} %  {bar}{mark}"
        )
    click.echo(
        f"configured: {found.configured.value}/{found.unit}, which refuses {found.configured.refused:,}; "
        f"proposed: rate: {found.proposed.value}/{found.unit}"
    )


def _warn(damaged: Sequence[str]) -> None:
    for file in damaged:
        click.echo(
            printable(f"Note: {file} could not be read to its end; what would follow is missing."), err=True
        )


def _beyond(found: Found, kind: str, bound: float) -> bool:
    count = found.tally.counts[kind]
    return count > (bound * found.tally.total if type(bound) is float else bound)


def _write(found: Found, subject: Subject, form: str, most: int, output: Path | None) -> None:
    if form == "text" and output is None:
        for line, kind in as_text(found, subject, most):
            click.secho(line, fg=_STYLES.get(kind))
        return
    if form == "text":
        text = "".join(f"{line}\n" for line, _ in as_text(found, subject, most))
    elif form == "json":
        text = json.dumps(as_json(found, subject), indent=2) + "\n"
    else:
        text = as_html(found, subject)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}.") from None


def _configured(written: str | None) -> list[Path]:
    if written is None or written == "-":
        raise click.UsageError("The configuration writes no request log to a file: name one with --log.")
    path = Path(written)
    files = reader.files(path)
    if not files:
        raise click.UsageError(f"There is no request log at {path}: name another with --log.")
    return files


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, and nothing elsewhere. Whoever asks must not be in the way of the gateway."""
    os.nice(10)
    if not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    with Progress(
        BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share: bar.update(task, completed=share)
