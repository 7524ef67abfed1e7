"""The admin listener's pages: whether the gateway lives and is ready, its metrics, and what is in force in it.

Answers are plain text, or JSON where the Accept field asks for it (RFC 9110 section 12.5.1); they are never
cached, never sniffed for another type, and carry no leave for other origins. Everything but `/reload` is read-only.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

import orjson
from aiohttp import web

from gateway.admin.access import Access
from gateway.admin.exposition import wants_openmetrics
from gateway.admin.health import failed, told
from gateway.admin.service import Service
from gateway.metrics import CONTENT_TYPE, OPENMETRICS, render

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STOP = 1.0  # seconds that a scrape in progress is given when the listener closes

_IDLE = 75.0  # seconds that a connection without a request is kept
_BODY = 64 << 10  # bytes of a request, none of which needs a body
_PUBLIC: Final = frozenset(("/livez", "/readyz", "/healthz", "/healthcheck"))

_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class Admin:
    """The admin listener of a service. Its exchanges are no part of the request log or the metrics."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._access: Access | None = None
        self._runner: web.AppRunner | None = None

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
        application.on_response_prepare.append(_prepare)
        self._runner = runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=_STOP, keepalive_timeout=_IDLE
        )
        await runner.setup()
        context = access.context if access is not None else None
        try:
            for sock in sockets:
                await web.SockSite(runner, sock.dup(), ssl_context=context).start()
        except OSError:
            await self.close()
            raise

    async def close(self) -> None:
        """Stops listening; harmless when nothing was started."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        access = self._access
        if access is not None:
            refused = access.refuses(request.method, request.headers, public=request.path in _PUBLIC)
            if refused is not None:
                headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
                return _error(request, refused.status, refused.message, headers)
        try:
            return await handler(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _error(request, error.status, error.reason.lower(), allow)

    async def _livez(self, request: web.Request) -> web.Response:
        if _wants_json(request):
            return _json(200, {"status": "ok"})
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        checks = await self._service.readiness()
        excluded = request.query.getall("exclude", [])
        wrong = failed(checks, excluded)
        status = 503 if wrong else 200
        if _wants_json(request):
            told_ = [{"name": name, "ok": holds} for name, holds in checks if name not in excluded]
            return _json(status, {"status": "unavailable" if wrong else "ok", "checks": told_})
        lines = []
        if "verbose" in request.query:
            lines = told(checks, excluded)
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
        }
        return _json(200 if result.applied else 422, told)


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


async def _prepare(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.popall("Server", None)  # which software answers is nobody's business
