"""The bundled image-metadata API: a small real service to put the gateway in front of.

All six operations of the Compute API v2 on the metadata of an image, with its limits and faults:

    GET POST PUT      /v2/{project_id}/images/{image_id}/metadata
    GET PUT DELETE    /v2/{project_id}/images/{image_id}/metadata/{key}

It trusts the identity headers that the gateway sets (X-Identity-Status, X-Project-Id, X-Roles) and answers
401 unless the status is Confirmed: do not expose it. Any role of the project reads, `member` and `admin` write.

It answers as Nova does where Nova is right: 404 to a method or path that it does not have (405 is for the
gateway), 400 for a project in the path that is not the caller's, a whole set after POST, 413 `overLimit` with
`Retry-After: 0` beyond the item quota (403 on request, as newer Nova). Requests are JSON; XML in a request is
415, as in today's Nova, while answers and faults come in XML when Accept asks for it. Some seeded images make
the rarer answers reachable: one that is being saved refuses writes with 409, one on a broken store answers
500, one on a store that is offline answers 503 with Retry-After; so does a database that another process
holds locked.

Every answer has an id of its own in X-Compute-Request-Id and X-Openstack-Request-Id. An inbound
X-Openstack-Request-Id is a global id: it is written to the log and nowhere else. (Bytes that are not an HTTP
request never reach the API: aiohttp's server answers those 400 by itself.)
"""

import asyncio
import logging
import os
import re
import signal
import sqlite3
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from urllib.parse import unquote

import click
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.demo import render, rule
from gateway.demo.render import Form
from gateway.demo.sample import (
    BROKEN_IMAGE,
    FOREIGN_IMAGE,
    OFFLINE_IMAGE,
    OTHER_PROJECT,
    PUBLIC_IMAGE,
    SAMPLE_IMAGE,
    SAMPLE_METADATA,
    SAMPLE_PROJECT,
    SAVING_IMAGE,
    UNKNOWN_IMAGE,
)
from gateway.demo.store import Caller, Denied, Image, Store, Why

__all__ = [
    "BODY_MAX",
    "BROKEN_IMAGE",
    "FOREIGN_IMAGE",
    "OFFLINE_IMAGE",
    "OTHER_PROJECT",
    "PUBLIC_IMAGE",
    "SAMPLE_IMAGE",
    "SAMPLE_METADATA",
    "SAMPLE_PROJECT",
    "SAVING_IMAGE",
    "UNKNOWN_IMAGE",
    "Service",
    "build_app",
    "main",
    "seed",
    "serve",
]

T = TypeVar("T")

BODY_MAX: Final = 112 * 1024  # oslo.middleware's default: 114688 bytes pass, one more is refused
BODY_TIMEOUT: Final = 30.0  # seconds from the head of a write to the end of its body

_LOG = logging.getLogger("gateway.demo")
_GLOBAL_ID = re.compile(r"req-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_JSON_TYPES = frozenset({"application/json", "application/vnd.openstack.compute+json"})


class Fault(NamedTuple):
    """A refusal, to be rendered in the form that the client takes."""

    status: int
    message: str
    retry_after: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False  # the body was not read, or cannot be: RFC 9112 section 9.3


class _Refused(Exception):  # noqa: N818 - a verdict that must travel as an exception, not an error
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Backend(NamedTuple):
    """The store and the one thread that may touch it: the event loop never waits for the disk."""

    store: Store
    thread: ThreadPoolExecutor
    over_quota_status: int

    async def run(self, call: Callable[[Store], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, call, self.store)


class _Target(NamedTuple):
    project_id: str
    image_id: str
    key: str | None


_BACKEND = web.AppKey("backend", _Backend)
_REQUEST_ID = web.RequestKey("request_id", str)
_FORM = web.RequestKey("form", Form)


def build_app(database: Path | str, *, quota: int = 128, over_quota_status: int = 413) -> web.Application:
    """The API on `database`, which is opened when the application starts and closed when it is cleaned up.

    quota              items that one image may hold
    over_quota_status  413 with `Retry-After: 0` as Nova until 2014.1, or 403 as Nova since
    """
    if over_quota_status not in (413, 403):
        raise ValueError(f"over_quota_status is 413 or 403, not {over_quota_status}")

    async def backend(app: web.Application) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="image-metadata") as thread:
            store = await loop.run_in_executor(thread, partial(Store, database, quota=quota))
            try:
                app[_BACKEND] = _Backend(store, thread, over_quota_status)
                yield
            finally:
                await loop.run_in_executor(thread, store.close)

    app = web.Application(middlewares=[_answer])
    app.cleanup_ctx.append(backend)
    app.on_response_prepare.append(_identify)
    app.router.add_route("*", "/{target:(?s:.*)}", _operate)
    return app


async def _identify(request: web.Request, response: web.StreamResponse) -> None:
    request_id = request.get(_REQUEST_ID) or _new_request_id()  # none yet after a 417
    response.headers["X-Compute-Request-Id"] = request_id
    response.headers["X-Openstack-Request-Id"] = request_id
    response.headers["Server"] = "image-metadata"  # RFC 9110 section 10.2.4: no fine-grained versions


def _new_request_id() -> str:
    return f"req-{uuid.uuid4()}"


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gives the exchange its id, its log line, and a fault for whatever is raised."""
    request_id = request[_REQUEST_ID] = _new_request_id()
    form = request[_FORM] = render.negotiated(request.headers.getall("Accept", []))
    response: web.StreamResponse
    try:
        response = await handler(request)
    except _Refused as refused:
        response = _rendered(refused.fault, form)
    except web.HTTPException:  # aiohttp's own, for a target that no route matches
        response = _rendered(_NOT_FOUND, form)
    except Exception:  # noqa: BLE001 - a bug is answered and logged, and tells the client nothing
        _LOG.exception("%s failed", request_id)
        response = _rendered(_FAULTS[Why.BROKEN], form)
    global_id = request.headers.get("X-Openstack-Request-Id", "")
    _LOG.info(
        "%s %s %s %d%s",
        request_id,
        request.method,
        ascii(request.raw_path),
        response.status,
        f" global {global_id}" if _GLOBAL_ID.fullmatch(global_id) else "",
    )
    return response


def _rendered(fault: Fault, form: Form) -> web.Response:
    response = web.Response(
        status=fault.status,
        body=render.fault(fault.status, fault.message, fault.retry_after, form),
        headers={"Content-Type": f"{form.value}; charset=UTF-8", "Vary": "Accept", **dict(fault.headers)},
    )
    if fault.retry_after is not None:
        response.headers["Retry-After"] = str(fault.retry_after)
    if fault.close:
        response.force_close()
    return response


# In order: size, identity, path and method, project, media type, body, then what the store knows. Nova's
# pipeline has the same order.
async def _operate(request: web.Request) -> web.StreamResponse:
    if request.content_length is not None and request.content_length > BODY_MAX:
        raise _Refused(_TOO_LARGE)
    caller = _caller(request)
    target = _target(request.raw_path)
    operation = _OPERATIONS.get((request.method, target.key is not None)) if target is not None else None
    if target is None or operation is None:
        raise _Refused(_NOT_FOUND)
    if target.project_id != caller.project_id:
        raise _Refused(_wrong_project(target, caller))
    body = await _body(request) if request.method in ("POST", "PUT") else b""
    backend = request.app[_BACKEND]
    try:
        call = operation(body, caller, target)
        if not rule.valid_image_id(target.image_id):
            raise Denied(Why.IMAGE_NOT_FOUND)
        answer = await backend.run(call)
    except rule.Malformed as error:
        raise _Refused(Fault(400, str(error))) from None
    except Denied as denied:
        raise _Refused(_fault(denied.why, target.image_id, backend.over_quota_status)) from None
    return _response(answer, target, request[_FORM])


def _response(answer: "_Answer", target: _Target, form: Form) -> web.Response:
    if answer is None:
        return web.Response(status=204)
    if isinstance(answer, str):
        assert target.key is not None
        content = render.meta(target.key, answer, form)
    else:
        content = render.metadata(answer, form)
    return web.Response(body=content, headers={"Content-Type": form.value, "Vary": "Accept"})


def _caller(request: web.Request) -> Caller:
    if request.headers.get("X-Identity-Status") != "Confirmed":
        raise _Refused(_UNAUTHORIZED)
    roles = request.headers.get("X-Roles", "").split(",")
    return Caller(
        request.headers.get("X-Project-Id"), frozenset(role.strip().lower() for role in roles if role.strip())
    )


def _target(raw: str) -> _Target | None:
    """The parts of a request target, split before they are decoded, so that `%2F` is never a separator."""
    path = (
        raw if raw.startswith("/") else "/" + "/".join(raw.split("/")[3:])
    )  # absolute form: RFC 9112 section 3.2.2
    match path.partition("?")[0].split("/"):
        case ["", "v2", project_id, "images", image_id, "metadata"]:
            return _Target(unquote(project_id), unquote(image_id), None)
        case ["", "v2", project_id, "images", image_id, "metadata", key] if key:
            return _Target(unquote(project_id), unquote(image_id), unquote(key))
        case _:
            return None


async def _body(request: web.Request) -> bytes:
    """The body of a write, counted as it arrives. No Content-Type at all is taken for JSON, as in Nova."""
    if "Content-Type" in request.headers and request.content_type not in _JSON_TYPES:
        raise _Refused(_BAD_TYPE)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Refused(_BAD_ENCODING)
    body = bytearray()
    try:
        # After a malformed chunk aiohttp neither ends nor fails the stream: only the clock does.
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > BODY_MAX:
                    raise _Refused(_TOO_LARGE)
    except TimeoutError:
        raise _Refused(_TOO_SLOW) from None
    except ConnectionError:  # nobody reads this answer, the log does
        raise _Refused(_CUT_OFF) from None
    return bytes(body)


_Answer = dict[str, str] | str | None
_Call = Callable[[Store], _Answer]


def _index(body: bytes, caller: Caller, target: _Target) -> _Call:
    return lambda store: store.items(caller, target.image_id)


def _create(body: bytes, caller: Caller, target: _Target) -> _Call:
    items = rule.metadata_of(body)
    return lambda store: store.merge(caller, target.image_id, items)


def _update_all(body: bytes, caller: Caller, target: _Target) -> _Call:
    items = rule.metadata_of(body)

    def call(store: Store) -> _Answer:
        store.replace(caller, target.image_id, items)
        return items

    return call


def _show(body: bytes, caller: Caller, target: _Target) -> _Call:
    return lambda store: store.item(caller, target.image_id, _stored(target.key))


def _update(body: bytes, caller: Caller, target: _Target) -> _Call:
    key = target.key or ""
    value = rule.meta_of(body, key)

    def call(store: Store) -> _Answer:
        store.merge(caller, target.image_id, {key: value})
        return value

    return call


def _delete(body: bytes, caller: Caller, target: _Target) -> _Call:
    return lambda store: store.remove(caller, target.image_id, _stored(target.key))


def _stored(key: str | None) -> str:
    """`key`, or a key that no image can have when the rules do not allow it: an absent item, whatever it is."""
    return key if key is not None and rule.valid_key(key) else ""


_OPERATIONS: Final[dict[tuple[str, bool], Callable[[bytes, Caller, _Target], _Call]]] = {
    ("GET", False): _index,
    ("POST", False): _create,
    ("PUT", False): _update_all,
    ("GET", True): _show,
    ("PUT", True): _update,
    ("DELETE", True): _delete,
}

_NOT_FOUND: Final = Fault(404, "The resource could not be found.")
_UNAUTHORIZED: Final = Fault(
    401,
    "The request you have made requires authentication.",
    headers=(("WWW-Authenticate", 'Keystone realm="image-metadata"'),),
)
_BAD_TYPE: Final = Fault(415, "Unsupported Content-Type", headers=(("Accept", "application/json"),))
_BAD_ENCODING: Final = Fault(415, "Unsupported Content-Encoding", headers=(("Accept-Encoding", "identity"),))
_CUT_OFF: Final = Fault(400, "Malformed request body", close=True)
_TOO_SLOW: Final = Fault(408, "The request body did not arrive in time.", close=True)
# No Retry-After: the same body will never fit (RFC 9110 section 15.5.14).
_TOO_LARGE: Final = Fault(413, f"Request is too large. At most {BODY_MAX} bytes are accepted.", close=True)

_FAULTS: Final = {
    Why.IMAGE_NOT_FOUND: Fault(404, "Image not found."),
    Why.KEY_NOT_FOUND: Fault(404, "Invalid metadata key"),
    Why.BROKEN: Fault(
        500, "The server has either erred or is incapable of performing the requested operation."
    ),
    Why.OFFLINE: Fault(503, "The image store is temporarily unavailable.", retry_after=30),
    Why.LOCKED: Fault(503, "The image store is busy.", retry_after=1),
}


def _wrong_project(target: _Target, caller: Caller) -> Fault:
    return Fault(
        400,
        f"Malformed request URL: URL's project_id '{target.project_id}' "
        f"doesn't match Context's project_id '{caller.project_id}'",
    )


def _fault(why: Why, image_id: str, over_quota_status: int) -> Fault:
    if why is Why.NOT_AUTHORIZED:
        return Fault(403, f"Not authorized for image {image_id}.")
    if why is Why.SAVING:
        return Fault(409, f"Image {image_id} is being saved: its metadata cannot be changed now.")
    if why is Why.OVER_QUOTA:
        return Fault(
            over_quota_status,
            "Image metadata limit exceeded",
            retry_after=0 if over_quota_status == 413 else None,
        )
    return _FAULTS[why]


def seed(database: Path | str) -> None:
    """Adds the sample images that are not there yet; what has been written to one is never touched."""
    store = Store(database)
    try:
        for image, metadata in _SAMPLES:
            store.add_image(image, metadata)
    finally:
        store.close()


_SAMPLES: Final[tuple[tuple[Image, dict[str, str]], ...]] = (
    (Image(SAMPLE_IMAGE, SAMPLE_PROJECT, "webserver"), SAMPLE_METADATA),
    (Image(SAVING_IMAGE, SAMPLE_PROJECT, "snapshot-in-progress", status="SAVING"), {"label": "Snapshot"}),
    (Image(BROKEN_IMAGE, SAMPLE_PROJECT, "on-a-broken-store", backend="broken"), {}),
    (Image(OFFLINE_IMAGE, SAMPLE_PROJECT, "on-an-offline-store", backend="offline"), {}),
    (Image(PUBLIC_IMAGE, OTHER_PROJECT, "debian", visibility="public"), {"os_distro": "debian"}),
    (Image(FOREIGN_IMAGE, OTHER_PROJECT, "private-of-another"), {"label": "Hidden"}),
)


class Service:
    """The API on a listening socket."""

    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner = runner
        self.host = host
        self.port = port
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def close(self) -> None:
        """Stops listening, lets requests in progress end, closes the database."""
        await self._runner.cleanup()


async def serve(
    database: Path | str,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    quota: int = 128,
    over_quota_status: int = 413,
) -> Service:
    """Starts the API on `host`; port 0 takes a free one, which `Service.port` tells."""
    runner = web.AppRunner(
        build_app(database, quota=quota, over_quota_status=over_quota_status),
        access_log=None,
        shutdown_timeout=5.0,
        lingering_time=2.0,
    )
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
    except BaseException:
        await runner.cleanup()
        raise
    return Service(runner, host, runner.addresses[0][1])


@click.command()
@click.option(
    "--database", required=True, type=click.Path(dir_okay=False), help="SQLite file, made when absent."
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", default=8774, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option("--quota", default=128, show_default=True, type=click.IntRange(0), help="Items per image.")
@click.option(
    "--over-quota-status",
    default="413",
    show_default=True,
    type=click.Choice(["413", "403"]),
    help="Answer beyond the quota.",
)
@click.option(
    "--stop-with-stdin",
    is_flag=True,
    help="Stop also when standard input ends: a parent that holds it open is never survived, however it dies.",
)
def main(
    database: str, host: str, port: int, quota: int, over_quota_status: str, stop_with_stdin: bool
) -> None:
    """Runs the image-metadata API with its sample images until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        seed(database)
        asyncio.run(_run(database, host, port, quota, int(over_quota_status), stop_with_stdin))
    except sqlite3.Error as error:
        raise click.ClickException(f"{database}: {error}") from None
    except Denied:
        raise click.ClickException(f"{database}: another process holds it locked") from None
    except OSError as error:
        # asyncio's own text repeats the address; a name that cannot be resolved has no errno of the system's.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise click.ClickException(f"{host}:{port}: {reason}") from None


async def _run(
    database: str, host: str, port: int, quota: int, over_quota_status: int, stop_with_stdin: bool
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = await serve(database, host, port, quota=quota, over_quota_status=over_quota_status)
    if stop_with_stdin:
        threading.Thread(target=_await_end_of_stdin, args=(loop, stop), name="stdin", daemon=True).start()
    try:
        sys.stdout.write(f"listening on {service.url}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await service.close()


def _await_end_of_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Sets `stop` when standard input ends. In a thread: an event loop cannot watch every kind of file."""
    with suppress(OSError):  # closed, or a terminal that is gone: an end too
        while os.read(0, 4096):  # not sys.stdin, whose lock this thread would hold when the interpreter ends
            pass
    with suppress(RuntimeError):  # the loop has ended by itself
        loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    main()
