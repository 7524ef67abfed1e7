"""The admin listener's pages: `/livez`, `/readyz` and `/metrics`.

Answers are plain text, or JSON where the Accept field asks for it (RFC 9110 section 12.5.1); they are never
cached, never sniffed for another type, and carry no leave for other origins. Everything is read-only.
"""

from collections.abc import Callable
from typing import Final

import orjson
from aiohttp import web

from gateway.metrics import CONTENT_TYPE, Metrics

Readiness = Callable[[], list[tuple[str, bool]]]
"""Gives what must hold before requests are welcome, each in a few words, and whether it does."""

_STOP = 1.0  # seconds that a scrape in progress is given when the listener closes

_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class Admin:
    """The admin listener. Its exchanges are no part of the request log or the metrics."""

    def __init__(self, *, metrics: Metrics, readiness: Readiness) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens, and gives the port that was bound. Raises OSError when it cannot be."""
        application = web.Application()
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics_page)
        application.on_response_prepare.append(_prepare)
        self._runner = runner = web.AppRunner(application, access_log=None, shutdown_timeout=_STOP)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await self.close()
            raise
        bound: int = runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        """Stops listening; harmless when nothing was started."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _livez(self, request: web.Request) -> web.Response:
        if _wants_json(request):
            return _json(200, {"status": "ok"})
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        checks = self._readiness()
        failed = [name for name, holds in checks if not holds]
        status = 503 if failed else 200
        if _wants_json(request):
            told = [{"name": name, "ok": holds} for name, holds in checks]
            return _json(status, {"status": "unavailable" if failed else "ok", "checks": told})
        lines = []
        if "verbose" in request.query:
            lines = [f"[+] {name}: ok" if holds else f"[-] {name}: failed" for name, holds in checks]
        elif failed:
            lines = [f"not ready: {name}" for name in failed]
        if not failed:
            lines.append("ok")
        return web.Response(status=status, text="".join(f"{line}\n" for line in lines))

    async def _metrics_page(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})


def _json(status: int, value: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value) + b"\n", content_type="application/json")


def _wants_json(request: web.Request) -> bool:
    """Whether Accept names JSON; a wildcard is content with text."""
    accepted = request.headers.get("Accept", "").lower().split(",")
    return any(part.partition(";")[0].strip() == "application/json" for part in accepted)


async def _prepare(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.popall("Server", None)  # which software answers is nobody's business
