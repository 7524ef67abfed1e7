"""`weir explain`: what the configuration does with a request, step by step, and which line of it decides."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from gateway import application_log
from gateway.cli.setting import load_or_exit, tell
from gateway.cli.value import header_pairs, seconds
from gateway.config.load import Loaded
from gateway.config.locate import locate
from gateway.config.problem import ConfigurationError
from gateway.redaction import Redaction
from gateway.registry import Registry
from gateway.trial.given import Answer, Given, Identity, address_of, count_of, instant_of
from gateway.trial.identity import parse_identity
from gateway.trial.outcome import Outcome
from gateway.trial.report import Line, Sources, as_json, as_text
from gateway.trial.trial import NoSuchLimit, Trial, TrialError

T = TypeVar("T")

_STYLES: Final[dict[str, dict[str, Any]]] = {
    "good": {"fg": "green"},
    "bad": {"fg": "yellow"},
    "doubtful": {"fg": "magenta"},
    "dim": {"dim": True},
    "title": {"fg": "cyan"},
    "": {},
}


@click.command("explain")
@click.argument("what", nargs=-1, required=True, metavar="[CONFIG] TARGET | REQUEST_ID")
@click.option("-X", "--request", "method", help="Method. [default: GET, or POST where there is a body]")
@click.option("-H", "--header", "headers", multiple=True, help="Header field, as `Name: value`.")
@click.option("-d", "--data", help="Body; @FILE is read from a file, @- from standard input.")
@click.option(
    "--as",
    "identity",
    metavar="WHO",
    help="Who is calling, whatever the token: user=u1,project=p1,roles=member,reader; or `nobody`.",
)
@click.option("--client", default="192.0.2.1", show_default=True, help="Address that the request comes from.")
@click.option("--https", is_flag=True, help="It comes under TLS.")
@click.option("--at", help="When: a time as 2026-01-31T12:00, in UTC. [default: now]")
@click.option(
    "--counted",
    multiple=True,
    metavar="LIMIT=N",
    help="So many requests like it have been counted by the limit of this name. [default: none]",
)
@click.option("--answer", type=click.IntRange(200, 599), help="Status that the upstream answers with.")
@click.option("--answer-header", "answer_headers", multiple=True, help="Header field of that answer.")
@click.option("--answer-data", help="Body of that answer; @FILE is read from a file.")
@click.option("--live", is_flag=True, help="Ask the services that filters ask; the upstream is not asked.")
@click.option("--log", type=click.Path(path_type=Path), help="File of the request log, for a REQUEST_ID.")
@click.option(
    "--config",
    "again",
    help="For a REQUEST_ID: say too what this configuration would make of it, by all that the log holds.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    what: tuple[str, ...],
    method: str | None,
    headers: tuple[str, ...],
    data: str | None,
    identity: str | None,
    client: str,
    https: bool,
    at: str | None,
    counted: tuple[str, ...],
    answer: int | None,
    answer_headers: tuple[str, ...],
    answer_data: str | None,
    live: bool,
    log: Path | None,
    again: str | None,
    form: str,
) -> None:
    """Say what becomes of a request, and why.

    With a TARGET, such as /v2/p1/images, the configuration CONFIG (that which `weir run` would take) is tried: without a
    port and without a network. Filters that would ask a service are told who is calling by --as, ask in earnest with --live,
    or are undecidable. With a REQUEST_ID the request log says what became of that request.

    The exit status is 0 for what is forwarded or answered below 400, 1 for what is refused, 3 for what is undecidable, and 2 for
    what is wrong with the question or the configuration.
    """
    if len(what) > 2:
        raise click.UsageError("One CONFIG and one TARGET, or one REQUEST_ID.")
    if len(what) == 1 and not what[0].startswith(("/", "http://", "https://", "*")):
        _recorded(what[0], log, form)
        if again is not None:
            _judged_again(what[0], log, Path(again), form)
        return
    if again is not None:
        raise click.UsageError("With a TARGET the configuration is named before it.")
    path = locate(what[0] if len(what) == 2 else None)
    given = Given(
        method=method or ("POST" if data is not None else "GET"),
        target=what[-1],
        headers=header_pairs(headers),
        body=_content(data),
        peer=_checked("--client", address_of, client),
        scheme="https" if https else "http",
        identity=_identity(identity),
        wall=_checked("--at", instant_of, seconds(at, time.time())),
        counts=_counts(counted),
        answer=_answer(answer, answer_headers, answer_data),
    )
    loaded, registry = load_or_exit(path, status=2)
    outcome, redaction = asyncio.run(_tried(loaded, registry, given, live=live))
    if form == "json":
        click.echo(json.dumps(as_json(outcome, redaction), indent=2))
    else:
        for line in as_text(outcome, Sources(loaded.text), redaction):
            _echo(line)
    if outcome.undecided:
        raise SystemExit(3)
    if (outcome.status or 0) >= 400:
        raise SystemExit(1)


async def _tried(
    loaded: Loaded, registry: Registry, given: Given, *, live: bool
) -> tuple[Outcome, Redaction]:
    application_log.configure(logging.ERROR)
    try:
        trial = Trial(loaded, registry, live=live)
        await trial.start()
    except ConfigurationError as error:
        tell(error)
        raise SystemExit(2) from None
    try:
        return await trial.run(given), trial.plan.redaction
    except NoSuchLimit as error:
        raise click.UsageError(f"--counted: {error}.") from None
    except (TrialError, ValueError) as error:
        raise click.UsageError(f"The request cannot be tried: {error}.") from None
    finally:
        await trial.close()


def _recorded(request_id: str, log: Path | None, form: str) -> None:
    """What became of a request, as the log has it."""
    from gateway.cli.logs import show

    context = click.get_current_context()
    try:
        context.invoke(show, request_id=request_id, log=log, form=form)
    except click.ClickException as error:
        raise click.UsageError(error.format_message()) from None
    except SystemExit:
        raise SystemExit(2) from None  # here 1 is what is said of a request that is refused


def _judged_again(request_id: str, log: Path | None, config: Path, form: str) -> None:
    """What a configuration makes of a recorded request, with what limits had counted by then as far as the log tells."""
    from gateway.backtest.report import described
    from gateway.backtest.run import Question, backtest
    from gateway.cli.logs import existing_log
    from gateway.inspect import reader

    loaded, _ = load_or_exit(config, status=2)
    quoted = "'" + request_id.replace("'", "''") + "'"
    question = Question(
        loaded.text.decode("utf-8-sig"), str(config), config.parent, where=f"request_id = {quoted}"
    )
    application_log.configure(logging.ERROR)
    found = backtest(question, reader.files(existing_log(log)), processes=1)
    groups = found.tally.ordered()
    kind = groups[0][0].kind if groups else "unchanged"
    if form == "json":
        after = groups[0][0].after._asdict() if groups else None
        click.echo(json.dumps({"config": str(config), "class": kind, "after": after}))
        return
    click.secho(f"by {config}", fg="cyan")
    if not groups:
        click.echo(
            "  the same" if found.tally.total else "  nothing: only the gateway's own id names one request"
        )
    for key, _ in groups:
        click.echo(f"  {kind.replace('_', ' ')}: {described(key.after)}")


def _echo(line: Line) -> None:
    click.secho(line.text, **_STYLES[line.style])


def _content(data: str | None) -> bytes:
    if data is None:
        return b""
    if not data.startswith("@"):
        return data.encode("utf-8", "surrogateescape")
    try:
        with click.open_file(data[1:], "rb") as stream:
            content: bytes = stream.read()
    except OSError as error:
        raise click.UsageError(f"{data[1:]} cannot be read: {error.strerror}.") from None
    return content


def _identity(text: str | None) -> Identity | None:
    if text is None:
        return None
    try:
        return parse_identity(text)
    except ValueError as error:
        raise click.UsageError(f"--as: {error}.") from None


def _counts(texts: tuple[str, ...]) -> dict[str, int]:
    counts = {}
    for text in texts:
        name, mark, number = text.rpartition("=")
        if not mark or not number.isascii() or not number.isdigit():
            raise click.UsageError(f"Expected --counted LIMIT=N, got {text!r}.")
        counts[name] = _checked("--counted", count_of, int(number.lstrip("0")[:20] or "0"))
    return counts


def _checked(option: str, check: Callable[[T], T], value: T) -> T:
    try:
        return check(value)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}.") from None


def _answer(status: int | None, headers: tuple[str, ...], data: str | None) -> Answer | None:
    if status is None:
        if headers or data is not None:
            raise click.UsageError("--answer-header and --answer-data need --answer.")
        return None
    return Answer(status, header_pairs(headers), _content(data))
