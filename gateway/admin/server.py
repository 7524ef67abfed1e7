"""The admin listener's pages: whether the gateway lives and is ready, its metrics, and what is in force in it.

Answers are plain text, or JSON where the Accept field asks for it (RFC 9110 section 12.5.1); they are never
cached, never sniffed for another type, and carry no leave for other origins. What changes anything is asked for by POST.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final, TypeAlias

import orjson
import structlog
from aiohttp import web
from pydantic import Field, ValidationError, model_validator

from gateway.admin.access import VIEWER, Access, Refused
from gateway.admin.exposition import wants_openmetrics
from gateway.admin.health import chosen, failed, told
from gateway.admin.page import ASSETS, ROLE, Page
from gateway.admin.question import Unanswered
from gateway.admin.selection import MOST, of_body, of_query
from gateway.admin.service import Service
from gateway.api.bucket import Selection
from gateway.api.check import Check
from gateway.api.option import Options
from gateway.api.revocation import Revocation
from gateway.buckets import Buckets
from gateway.buckets import told as told_bucket
from gateway.listener.tls import Credentials
from gateway.metrics import CONTENT_TYPE, OPENMETRICS, render
from gateway.task import spawn

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STOP = 1.0  # seconds that a scrape in progress is given when the listener closes

_IDLE = 75.0  # seconds that a connection is kept on which no request is, the first one included
_BACKLOG = 128
_NO_LIMIT: Final = "no filter that counts, or no limit of it, has this name"
_NOTHING: Final = (
    "nothing is in such a bucket, as far as this gateway knows; one whose key is named whole, with a value for each part of the "
    "limit's `key`, is emptied whether it is known or not, and any that /limits tells by its key_hash"
)
_BODY = 64 << 10  # bytes of a request, none of which needs a body
_PUBLIC: Final = frozenset(("/livez", "/readyz", "/healthz", "/healthcheck", *ASSETS))
_VIEWABLE: Final = _PUBLIC | {"/metrics", "/workers", "/upstreams", "/plan", "/live"}
"""For who may look only; and what is below `/records`."""

_Id = Annotated[str, Field(min_length=1, max_length=255)]


class _Whom(Options):
    """The body of `/tokens/revoke`."""

    token_hash: _Id | None = None
    user_id: _Id | None = None
    project_id: _Id | None = None

    @model_validator(mode="after")
    def _somebody(self) -> "_Whom":
        if not any(self.model_dump().values()):
            raise ValueError("nobody is named")
        return self


MAX_CONNECTIONS: Final = 256
"""Who comes when there are so many is turned away: a scraper that leaks connections takes none of the gateway's."""

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Admin:
    """The admin listener of a service. Its exchanges are no part of the request log or the metrics."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._page = Page(service)
        self._access: Access | None = None
        self._runner: web.AppRunner | None = None
        self._sockets: Sequence[socket.socket] = ()
        self._servers: list[asyncio.Server] = []
        self._renewal: asyncio.Task[None] | None = None

    async def start(self, sockets: Sequence[socket.socket], access: Access | None = None) -> None:
        """Accepts from sockets that listen, and that stay the caller's, by the rules of `access`; anybody's without.

        Raises OSError when it cannot.
        """
        self._access = access
        application = web.Application(middlewares=[self._guard], client_max_size=_BODY)
        router = application.router
        router.add_get("/livez", self._livez)
        router.add_get("/readyz", self._readyz)
        router.add_get("/healthz", self._readyz)
        router.add_get("/healthcheck", self._healthcheck)
        router.add_get("/metrics", self._metrics_page)
        router.add_get("/config", self._config)
        router.add_get("/workers", self._workers)
        router.add_get("/upstreams", self._upstreams)
        router.add_post("/reload", self._reload)
        router.add_post("/tokens/revoke", self._revoke)
        router.add_get("/limits", self._limits)
        router.add_post("/limits/reset", self._reset_limits)
        self._page.add_to(router)
        application.on_response_prepare.append(_prepare)
        self._runner = runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=_STOP, keepalive_timeout=_IDLE
        )
        await runner.setup()
        self._sockets = sockets
        credentials = access.credentials if access is not None else None
        try:
            await self._listen(credentials)
        except OSError:
            await self.close()
            raise
        if credentials is not None:
            credentials.check_dates()
            if credentials.tls.reload:
                self._renewal = spawn(self._renew(credentials), name="admin certificate")

    async def _listen(self, credentials: Credentials | None) -> None:
        """Accepts from now on with these credentials, and with the former no more. Raises OSError."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"backlog": _BACKLOG}
        if credentials is not None:
            options["ssl"] = credentials.context
            options["ssl_handshake_timeout"] = credentials.tls.handshake_timeout
        former, self._servers = self._servers, []
        try:
            for sock in self._sockets:
                self._servers.append(await loop.create_server(self._accept, sock=sock.dup(), **options))
        finally:
            for server in former:
                server.close()

    def _accept(self) -> asyncio.BaseProtocol:
        server = self._runner.server if self._runner is not None else None
        if server is None or len(server.connections) >= MAX_CONNECTIONS:
            return _TurnedAway()
        return server()

    async def _renew(self, credentials: Credentials) -> None:
        """Takes the files of TLS into use when they have changed. Whoever is connected stays."""
        while True:
            await asyncio.sleep(credentials.tls.reload)
            if not credentials.changed:
                continue
            context = credentials.context
            await credentials.renew()
            if credentials.context is not context:
                await self._listen(credentials)

    async def close(self) -> None:
        """Stops listening; harmless when nothing was started."""
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        self._page.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        access = self._access
        if access is not None:
            role = access.role(request.method, request.headers, public=request.path in _PUBLIC)
            if isinstance(role, Refused):
                headers = {"WWW-Authenticate": "Bearer"} if role.status == 401 else {}
                return _error(request, role.status, role.message, headers)
            if role == VIEWER and not _viewable(request):
                return _error(request, 403, "this is for operators", {})
            request[ROLE] = role
        try:
            return await handler(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _error(request, error.status, error.reason.lower(), allow)
        except Unanswered as error:
            return _json(error.status, {"error": str(error)})
        except Exception as error:  # noqa: BLE001 - a bug is told in the log, and not to who asks
            structlog.get_logger("gateway").error("admin_page_failed", path=request.path, error=repr(error))
            return _error(request, 500, "the gateway has failed to say it", {})

    async def _livez(self, request: web.Request) -> web.Response:
        if _wants_json(request):
            return _json(200, {"status": "ok"})
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        query = request.query
        checks: Sequence[Check] = await self._service.readiness()
        checks = chosen(checks, query.getall("include", []), query.getall("exclude", []))
        wrong = failed(checks)
        status = 503 if wrong else 200
        if _wants_json(request):
            listed = [{"name": name, "ok": holds, "counts": counts} for name, holds, counts in checks]
            return _json(status, {"status": "unavailable" if wrong else "ok", "checks": listed})
        lines = []
        if "verbose" in query:
            lines = told(checks)
        elif wrong:
            lines = [f"not ready: {name}" for name in wrong]
        if not wrong:
            lines.append("ok")
        return web.Response(status=status, text="".join(f"{line}\n" for line in lines))

    async def _healthcheck(self, request: web.Request) -> web.Response:
        """In the form of oslo.middleware, which balancers in front of OpenStack ask for."""
        wrong = failed(await self._service.readiness())
        status, reasons = (503, wrong) if wrong else (200, ["OK"])
        if request.method == "HEAD":
            return web.Response(status=503 if wrong else 204)
        if _wants_json(request):
            return _json(status, {"detailed": False, "reasons": reasons})
        return web.Response(status=status, text="\n".join(reasons))

    async def _metrics_page(self, request: web.Request) -> web.Response:
        families = await self._service.families()
        openmetrics = wants_openmetrics(request.headers.getall("Accept", ()))
        headers = {"Content-Type": OPENMETRICS if openmetrics else CONTENT_TYPE, "Vary": "Accept"}
        return web.Response(body=render(families, openmetrics=openmetrics), headers=headers)

    async def _config(self, request: web.Request) -> web.Response:
        return _json(200, self._service.config())

    async def _workers(self, request: web.Request) -> web.Response:
        return _json(200, {"workers": await self._service.workers()})

    async def _upstreams(self, request: web.Request) -> web.Response:
        return _json(200, {"upstreams": await self._service.upstreams()})

    async def _reload(self, request: web.Request) -> web.Response:
        result = await self._service.reload()
        told = {
            "applied": result.applied,
            "revision": result.revision,
            "error": result.error,
            "problems": [problem._asdict() for problem in result.problems],
            "state_lost": list(result.state_lost),
            "state_back": list(result.state_back),
        }
        return _json(200 if result.applied else 422, told)

    async def _revoke(self, request: web.Request) -> web.Response:
        try:
            whom = _Whom.model_validate_json(await request.read(), strict=True)
        except ValidationError:
            names = ", ".join(_Whom.model_fields)
            return _error(
                request, 400, f"expected a JSON object with one or more of {names}, each a text", {}
            )
        revocation = Revocation(whom.token_hash, whom.user_id, whom.project_id)
        revoked = await self._service.revoke_all(revocation)
        told = {
            "forgotten": revoked.forgotten,
            "complete": revoked.complete,
            "failures": list(revoked.failures),
        }
        structlog.get_logger("gateway").info("tokens_revoked", **whom.model_dump(exclude_none=True), **told)
        return _json(200 if revoked.complete else 503, told)

    async def _limits(self, request: web.Request) -> web.Response:
        try:
            selection, count = of_query(request.query)
        except ValueError as error:
            return _error(request, 400, str(error), {})
        buckets = await self._service.fullest_buckets(selection, count)
        if _of_nothing(buckets, selection):
            return _error(request, 404, _NO_LIMIT, {})
        found, failures = buckets.found, buckets.failures
        now = time.time()
        shown = [told_bucket(bucket, now) for bucket in found]
        told = {"buckets": shown, "failures": failures, "unseen": buckets.unseen}
        return _json(503 if failures and not found else 200, told)

    async def _reset_limits(self, request: web.Request) -> web.Response:
        try:
            selection = of_body(await request.read())
        except ValueError as error:
            return _error(request, 400, str(error), {})
        buckets = await self._service.empty_buckets(selection)
        if _of_nothing(buckets, selection):
            return _error(request, 404, _NO_LIMIT, {})
        failures = buckets.failures
        emptied = [found for found in buckets.found if found.bucket.use > 0]
        structlog.get_logger("gateway").info(
            "limits_reset", selection=asdict(selection), buckets=len(emptied), failures=failures
        )
        now = time.time()
        told: dict[str, Any] = {
            "reset": len(emptied),
            "buckets": [told_bucket(bucket, now) for bucket in emptied[:MOST]],
            "failures": failures,
            "unseen": buckets.unseen,
        }
        if failures:
            return _json(503, told)
        # What is known to be empty, or named whole, is what it was to become.
        done = emptied or (buckets.found and not buckets.unseen)
        return _json(200, told) if done else _json(404, {"error": _NOTHING, **told})


def _of_nothing(buckets: Buckets, selection: Selection) -> bool:
    """Whether what is asked for by a name is not there."""
    named = selection.limit is not None or selection.filter is not None
    return named and not buckets.meant and not buckets.failures


class _TurnedAway(asyncio.Protocol):
    """For a connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _error(request: web.Request, status: int, message: str, headers: Mapping[str, str]) -> web.Response:
    response = (
        _json(status, {"error": message})
        if _wants_json(request)
        else web.Response(status=status, text=f"{message}\n")
    )
    response.headers.update(headers)
    return response


def _json(status: int, value: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value) + b"\n", content_type="application/json")


def _wants_json(request: web.Request) -> bool:
    """Whether Accept names JSON; a wildcard is content with text."""
    accepted = request.headers.get("Accept", "").lower().split(",")
    return any(part.partition(";")[0].strip() == "application/json" for part in accepted)


def _viewable(request: web.Request) -> bool:
    return request.method in ("GET", "HEAD") and (
        request.path in _VIEWABLE or request.path == "/records" or request.path.startswith("/records/")
    )


async def _prepare(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update({name: value for name, value in _HEADERS.items() if name not in response.headers})
    response.headers.popall("Server", None)  # which software answers is nobody's business
