"""`weir replay`: sends recorded requests again, and says what is other in the answers."""

import asyncio
import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from gateway.api.json_path import parse_path
from gateway.cli.value import header_pairs, seconds
from gateway.console import printable
from gateway.inspect import reader
from gateway.inspect.grammar import QueryError, parse, pointed
from gateway.inspect.predicate import predicate
from gateway.replay.comparison import VOLATILE
from gateway.replay.replay import Pace, Replay, Sum, Token
from gateway.replay.request import Request, Unsendable, request_of

_WINDOW: Final = 10_000
"""Records among which those are sorted by time: a log has them in the order in which exchanges ended."""


@click.command("replay")
@click.argument("target")
@click.option(
    "--log",
    "logs",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="File of a request log, plain, .gz or .zst; any number, in the order of time.",
)
@click.option(
    "--against",
    help="Send each to this gateway too, and compare the two answers. [default: what was recorded]",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Times the recorded pace.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Requests a second, in place of the recorded pace.",
)
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=10_000, show_default=True, help="Requests, at most."
)
@click.option("--since", help="Requests from then on: 1h or 30m ago, 12:00, or 2026-01-31T12:00; UTC.")
@click.option("--until", help="Not those from then on.")
@click.option("--where", default="", help="These only: a query as for `weir logs query`.")
@click.option(
    "--unsafe", is_flag=True, help="Also those that may change something: others than GET, HEAD, OPTIONS."
)
@click.option(
    "--tokens",
    type=click.Path(path_type=Path),
    help="JSON or YAML file of tokens by id of a project or of a user; `default` for all others. None is ever recorded.",
)
@click.option(
    "--token-header", default="X-Auth-Token", show_default=True, help="Field that a token is sent in."
)
@click.option(
    "-H", "--header", "headers", multiple=True, help="Header field of all requests, as `Name: value`."
)
@click.option(
    "--ignore-header", multiple=True, help="Header field that may differ, beside those that always do."
)
@click.option("--ignore", multiple=True, help="What may differ in JSON: $.servers[*].updated, $..links.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds for an answer.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="Requests under way at once.",
)
@click.option(
    "--max-different",
    type=click.IntRange(min=0),
    help="End with status 1 where more answers are other, or missing.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    target: str,
    logs: tuple[Path, ...],
    against: str | None,
    speed: float,
    rate: float | None,
    count: int,
    since: str | None,
    until: str | None,
    where: str,
    unsafe: bool,
    tokens: Path | None,
    token_header: str,
    headers: tuple[str, ...],
    ignore_header: tuple[str, ...],
    ignore: tuple[str, ...],
    timeout: float,
    at_once: int,
    max_different: int | None,
    form: str,
) -> None:
    """Send recorded requests to TARGET, a URL such as http://127.0.0.1:8080, and compare the answers.

    Status, header fields and bodies are compared with those of another gateway (--against), or status and, where the record
    holds it, body with what was recorded. JSON is compared by what it says.

    The exit status is 1 where nothing answers, or more than --max-different answers are other or missing; 2 for what is wrong
    with the question, and where the log holds nothing that could be sent.
    """
    for url in (target, *([against] if against is not None else [])):
        if not _is_gateway(url):
            raise click.UsageError(f"Expected a URL such as http://127.0.0.1:8080, got {url!r}.")
    try:
        paths = [parse_path(text) for text in ignore]
    except ValueError as error:
        raise click.UsageError(f"--ignore: {error}.") from None
    skipped: Counter[str] = Counter()
    wanted = _wanted(where)
    began, ended = seconds(since, float("-inf")), seconds(until, float("inf"))
    for log in logs:
        if not reader.present(log).is_file():
            raise click.UsageError(f"There is no request log at {log}.")

    passed_over = reader.Skipped()

    def requests() -> Iterator[Request]:
        given = 0
        for request in _in_order(
            _requests(reader.distinct(logs), wanted, skipped, passed_over, unsafe=unsafe)
        ):
            if began <= request.at < ended:
                given += 1
                yield request
                if given >= count:
                    return

    try:
        total = asyncio.run(
            _replayed(
                target,
                against,
                requests(),
                Pace(speed, rate),
                timeout,
                token=_token(tokens),
                token_header=token_header,
                headers=header_pairs(headers),
                volatile=VOLATILE | {name.lower() for name in ignore_header},
                paths=paths,
                at_once=at_once,
            )
        )
    except reader.MissingExtra as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}.") from None
    if passed_over:
        click.echo(printable(f"Note: {passed_over}."), err=True)
    if form == "json":
        click.echo(json.dumps(_fields(total, skipped, passed_over), indent=2))
    else:
        _print(total, skipped)
    if not total.sent:
        raise click.UsageError("The log holds no request that could be sent.")
    if not total.same + total.different:
        click.echo(f"Nothing has answered: is {target} there?", err=True)
        raise SystemExit(1)
    if max_different is not None and total.different + sum(total.failed.values()) > max_different:
        raise SystemExit(1)


async def _replayed(
    target: str, against: str | None, requests: Iterator[Request], pace: Pace, timeout: float, **options: Any
) -> Sum:
    from gateway.api.network import HttpOptions
    from gateway.upstream.http_client import SessionClient

    def client(url: str) -> SessionClient:
        context = None
        if url.startswith("https:"):
            import ssl

            context = ssl.create_default_context()
        at_once = options["at_once"]
        return SessionClient(
            HttpOptions(url, timeout=timeout, concurrency=at_once, queue=at_once, max_body=64 << 20), context
        )

    made = client(target)
    other = client(against) if against is not None else None
    try:
        return await Replay(made, against=other, **options).run(requests, pace)
    finally:
        for one in (made, other):
            if one is not None:
                one.close()
        await asyncio.sleep(0)


def _is_gateway(url: str) -> bool:
    try:
        parts = urlsplit(url)
        told = parts.port != 0 and parts.hostname and parts.username is None
    except ValueError:  # no port, or no address
        return False
    return parts.scheme in ("http", "https") and bool(told)


def _requests(
    logs: Sequence[Path], wanted: Any, skipped: Counter[str], passed_over: reader.Skipped, *, unsafe: bool
) -> Iterator[Request]:
    for log in logs:
        for line in reader.lines(log, passed_over):
            fields = reader.parse(line)
            if fields is None:
                passed_over.lines += 1
                continue
            if fields["kind"] != "request" or not wanted(fields):
                continue
            try:
                yield request_of(fields, unsafe=unsafe)
            except Unsendable as why:
                skipped[str(why)] += 1


def _in_order(requests: Iterator[Request]) -> Iterator[Request]:
    held: list[tuple[float, int, Request]] = []
    for number, request in enumerate(requests):
        heapq.heappush(held, (request.at, number, request))
        if len(held) > _WINDOW:
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]


def _wanted(where: str) -> Any:
    try:
        return predicate(parse(where))
    except QueryError as error:
        raise click.UsageError(f"The query is not understood.\n\n{pointed(where, error)}") from None


def _token(path: Path | None) -> Token:
    if path is None:
        return lambda request: None
    import yaml

    try:
        told = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        raise click.UsageError(f"{path} cannot be read as JSON or YAML.") from None
    if not isinstance(told, Mapping) or not all(isinstance(token, str) for token in told.values()):
        raise click.UsageError(f"{path}: expected tokens by id of a project or of a user.")
    tokens: dict[str, str] = {str(name): token for name, token in told.items()}

    def token(request: Request) -> str | None:
        return tokens.get(request.project) or tokens.get(request.user) or tokens.get("default")

    return token


def _print(total: Sum, skipped: Counter[str]) -> None:
    click.echo(f"{total.sent:,} requests sent: {total.same:,} answers the same, {total.different:,} other")
    for reason, count in total.failed.most_common():
        click.secho(f"  {count:>9,}  got no answer: {reason}", fg="red")
    for what, count in total.kinds.most_common(20):
        click.secho(printable(f"  {count:>9,}  {what}"), fg="yellow")
    for example in total.examples[:5]:
        click.echo(printable(f"{example.request_id}  {example.asked}"))
        for what, before, after in example.differences[:5]:
            click.echo(printable(f"    {what}: {before} -> {after}"))
    for why, count in skipped.most_common():
        click.echo(f"  {count:>9,}  not sent: {why}")


def _fields(total: Sum, skipped: Counter[str], passed_over: reader.Skipped) -> dict[str, Any]:
    return {
        "sent": total.sent,
        "same": total.same,
        "different": total.different,
        "failed": dict(total.failed),
        "kinds": dict(total.kinds),
        "examples": [
            {
                "request_id": example.request_id,
                "asked": example.asked,
                "differences": [difference._asdict() for difference in example.differences],
            }
            for example in total.examples
        ],
        "not_sent": dict(skipped),
        "skipped": passed_over.lines,
        "damaged": passed_over.files,
    }
