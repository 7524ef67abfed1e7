"""The page of the admin listener: its files, what goes on at the moment, questions about what has been, and what would become
of a request.

Read only. What a viewer asks for is told without identities, addresses and whatever else a client has written.
"""

import asyncio
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

import orjson
from aiohttp import web
from pydantic import ValidationError

from gateway.admin.access import VIEWER
from gateway.admin.live import Live, Watcher
from gateway.admin.question import Questions, Unanswered
from gateway.admin.service import Service
from gateway.inspect.field import BY_NAME, FIELDS
from gateway.inspect.grammar import And, Compare, Not, Or, Query, QueryError, parse
from gateway.inspect.predicate import predicate
from gateway.trial.case import Circumstances, given_of

ROLE: Final = web.RequestKey("role", str)
"""Of who asks, in the request."""

WATCHERS: Final = 32
"""Who comes when so many watch is told to come later."""

_BEAT: Final = 15.0  # seconds after which a connection on which nothing happens is told so
_MOST: Final = 1000

ASSETS: Final[Mapping[str, tuple[str, str]]] = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

SEEN_BY_VIEWERS: Final = frozenset(
    (
        *(
            "time",
            "request_id",
            "method",
            "scheme",
            "route",
            "template",
            "status",
            "decision",
            "reason",
            "filter",
        ),
        *("source", "duration", "chain_in", "chain_out", "upstream_time", "attempts", "upstream", "bytes_in"),
        *("bytes_out", "shadow", "error", "protocol", "tls", "revision", "worker", "sequence", "sample"),
    )
)
"""Fields of records."""
_HIDDEN: Final = frozenset(BY_NAME) - SEEN_BY_VIEWERS
_STEP_SEEN: Final = frozenset(
    ("name", "type", "mode", "phase", "verdict", "source", "reason", "rule", "status", "shadow", "ms")
)
_ATTEMPT_SEEN: Final = frozenset(
    ("upstream", "reused", "status", "error", "connect_ms", "first_byte_ms", "total_ms")
)


class Page:
    """The routes of the page, of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._live = Live(service)
        self._questions = Questions()
        self._watching = 0

    def add_to(self, router: web.UrlDispatcher) -> None:
        for path in ASSETS:
            router.add_get(path, self._asset)
        router.add_get("/live", self._watch)
        router.add_get("/records", self._records)
        router.add_get("/records/top", self._top)
        router.add_get("/records/series", self._series)
        router.add_get("/records/{request_id}", self._record)
        router.add_get("/plan", self._plan)
        router.add_get("/source", self._source)
        router.add_post("/explain", self._explain)

    def close(self) -> None:
        self._live.close()

    async def _asset(self, request: web.Request) -> web.Response:
        name, kind = ASSETS[request.path]
        body = (files("gateway.admin") / "assets" / name).read_bytes()
        headers = {"Content-Security-Policy": _POLICY, "Content-Type": f"{kind}; charset=utf-8"}
        return web.Response(body=body, headers=headers)

    # ---- now

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: `summary` each second, `records` as they come."""
        query = _query(request)
        if self._watching >= WATCHERS:
            return _told(503, {"error": f"{WATCHERS} are watching already"})
        watcher = Watcher(predicate(query), _HIDDEN if _is_viewer(request) else frozenset())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        self._watching += 1
        self._live.join(watcher)
        try:
            await response.prepare(request)
            events = watcher.events()
            coming = asyncio.ensure_future(anext(events))
            while True:
                done, _ = await asyncio.wait((coming,), timeout=_BEAT)
                if not done:
                    await response.write(b": nothing\n\n")
                    continue
                name, value = coming.result()
                if name == "summary" and _is_viewer(request):
                    value = {**value, "limits": []}
                await response.write(
                    b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(value, default=str))
                )
                coming = asyncio.ensure_future(anext(events))
        except ConnectionError:  # the watcher has gone
            return response
        finally:
            coming.cancel()
            self._live.leave(watcher)
            self._watching -= 1

    # ---- what has been

    async def _records(self, request: web.Request) -> web.Response:
        """Records, newest first."""
        query = _query(request)
        columns = [field.name for field in FIELDS if not _is_viewer(request) or field.name in SEEN_BY_VIEWERS]
        count = _number(request, "count", 200, _MOST)
        words = ["--columns", ",".join(columns), "-n", str(count), *_period(request)]
        return await self._asked(request, query, "query", *words)

    async def _top(self, request: web.Request) -> web.Response:
        """Values of a field by how many records have them."""
        by = request.query.get("by", "reason")
        if by not in BY_NAME or (_is_viewer(request) and by not in SEEN_BY_VIEWERS):
            raise Unanswered(400, f"by: there is no field {by!r}")
        count = _number(request, "count", 10, _MOST)
        return await self._asked(
            request, _query(request), "top", "--by", by, "-n", str(count), *_period(request)
        )

    async def _series(self, request: web.Request) -> web.Response:
        """How much and how fast, over time."""
        every = _number(request, "every", 60, 366 * 86400)
        words = ("--every", f"{every}s", *_period(request))
        return await self._asked(request, _query(request), "series", *words)

    async def _asked(self, request: web.Request, query: Query, command: str, *words: str) -> web.Response:
        text = request.query.get("query", "")
        body = await self._questions.ask(self._service.log_path(), command, *words, "--", text)
        return web.Response(body=body, content_type="application/json")

    async def _record(self, request: web.Request) -> web.Response:
        """One record, whole."""
        request_id = request.match_info["request_id"]
        body = await self._questions.ask(self._service.log_path(), "show", "--", request_id)
        record = orjson.loads(body.partition(b"\n")[0])
        return _told(200, _for_viewers(record) if _is_viewer(request) else record)

    # ---- what is in force

    async def _plan(self, request: web.Request) -> web.Response:
        """Chain and routes, with how often each filter has decided what."""
        return _told(200, {**self._service.planned(), "hits": _hits(await self._service.families())})

    async def _source(self, request: web.Request) -> web.Response:
        """The configuration around a line."""
        line = _number(request, "line", 1, 1_000_000)
        return _told(200, {"file": self._service.config()["file"], "lines": self._service.source(line)})

    async def _explain(self, request: web.Request) -> web.Response:
        """What would become of a request, which the body describes as a test of `weir test` does."""
        try:
            said = Circumstances.model_validate_json(await request.read())
            given_of(said, 0.0)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            said_of_it = first["msg"].removeprefix("Value error, ")
            raise Unanswered(400, f"{place}: {said_of_it}" if place else said_of_it) from None
        except ValueError as error:
            raise Unanswered(400, str(error)) from None
        body = await self._questions.explain(self._service.loaded(), said)
        return web.Response(body=body, content_type="application/json")


def _is_viewer(request: web.Request) -> bool:
    return request.get(ROLE) == VIEWER


def _query(request: web.Request) -> Query:
    """Raises Unanswered."""
    text = request.query.get("query", "")
    try:
        query = parse(text)
    except QueryError as error:
        raise Unanswered(400, f"query: {error} (at {error.position})") from None
    if _is_viewer(request) and not _names(query) <= SEEN_BY_VIEWERS:
        raise Unanswered(
            403, f"these fields are for operators: {', '.join(sorted(_names(query) - SEEN_BY_VIEWERS))}"
        )
    return query


def _names(query: Query) -> set[str]:
    match query:
        case And(parts) | Or(parts):
            return set().union(*map(_names, parts))
        case Not(part):
            return _names(part)
        case Compare(field, _, _):
            return {field.name}


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    """Raises Unanswered."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise Unanswered(400, f"{name}: expected a number from 1 to {most}")
    return int(text)


def _period(request: web.Request) -> list[str]:
    return [f"--{name}={text}" for name in ("since", "until") if (text := request.query.get(name))]


def _for_viewers(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a viewer sees of a record: what is known to name nobody, and nothing else."""
    keys = {BY_NAME[name].key for name in SEEN_BY_VIEWERS} - {"gateway.filters", "gateway.upstream.attempts"}
    shown = {
        key: value for key, value in record.items() if key in keys or key in ("kind", "gateway.queue_ms")
    }
    for key, seen in (("gateway.filters", _STEP_SEEN), ("gateway.upstream.attempts", _ATTEMPT_SEEN)):
        parts = record.get(key)
        if isinstance(parts, list):
            shown[key] = [
                {name: value for name, value in part.items() if name in seen}
                for part in parts
                if isinstance(part, Mapping)
            ]
    return shown


def _hits(families: Any) -> dict[str, dict[str, float]]:
    """Of each filter, how often it has come to each verdict."""
    found: dict[str, dict[str, float]] = {}
    for family in families:
        if family.name in ("gateway_filter_decisions", "gateway_filter_shadow_decisions"):
            for sample in family.samples:
                verdicts = found.setdefault(sample.labels["filter"], {})
                verdict = sample.labels["verdict"]
                verdicts[verdict] = verdicts.get(verdict, 0.0) + sample.value
    return found


def _told(status: int, value: object) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(value, default=str) + b"\n", content_type="application/json"
    )
