"""The client that filters ask services by: aiohttp's ClientSession, bounded, and with its exceptions told in one word each.

It speaks to identity services and the like; requests are forwarded by `gateway.upstream.leg`, which costs a tenth of it.
"""

import asyncio
import os
import ssl
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import aiohttp
from yarl import URL

from gateway import __version__
from gateway.api.network import HttpAnswer, HttpError, HttpOptions
from gateway.task import spawn
from gateway.tls import words

KEEP_ALIVE: Final = 4.0
"""Seconds that an idle connection is kept. Apache, before most Keystones, closes one after five: a request that is not
idempotent must not meet that."""

MAX_FIELD: Final = 64 << 10
"""Bytes of one field of an answer: a service may quote a target or a field of the request, which has up to 16 KiB unless the
limits are others, each byte as three (RFC 3986 section 2.1)."""

MAX_FIELDS: Final = 128
"""Fields of an answer. With the other bound it bounds a head."""

_TOO_LARGE: Final = ("Got more than ", "Too many headers")
"""How the parser's sentences begin for a head beyond these bounds; there is no other sign of it."""

USER_AGENT: Final = f"Weir/{__version__}"


class SessionClient:
    """A client of one service, which opens nothing before its first request. `context` is for an https one."""

    def __init__(self, options: HttpOptions, context: ssl.SSLContext | None) -> None:
        self._options = options
        self._context = context
        self._base = options.url.rstrip("/")
        self._places = options.concurrency + options.queue
        self._busy = 0
        self._turns = asyncio.Semaphore(options.concurrency)
        self._closed = False
        self._session: Any = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        timeout: float | None = None,
    ) -> HttpAnswer:
        if self._closed:
            raise HttpError("closed")
        if self._busy >= self._places:
            raise HttpError("busy")
        self._busy += 1
        seconds = self._options.timeout if timeout is None else timeout
        waits = True
        begun: list[HttpAnswer] = []
        try:
            async with asyncio.timeout(seconds) as limit, self._turns:
                waits = False
                # What it has waited is no time of the service's: else a crowd could make one seem to be too slow.
                limit.reschedule(asyncio.get_running_loop().time() + seconds)
                return await self._asked(
                    method, URL(self._base + path, encoded=True), list(headers), body, begun
                )
        except TimeoutError:
            failure = HttpError("busy" if waits else "timeout")
        except HttpError as error:
            failure = error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _told(error)
        finally:
            self._busy -= 1
            if self._closed and self._busy == 0:
                self._end()
        failure.answer = begun[0] if begun else None
        raise failure from None

    async def _asked(
        self,
        method: str,
        url: URL,
        headers: list[tuple[str, str]],
        body: bytes,
        begun: list[HttpAnswer],
    ) -> HttpAnswer:
        """The answer; what of it comes before its body is put into `begun` first."""
        if self._session is None:
            self._session = self._opened()
        response: Any = await self._session.request(
            method, url, headers=headers, data=body or None, allow_redirects=False
        )
        try:
            fields: dict[str, str] = {}
            repeated: list[tuple[str, str]] = []
            for name, value in response.headers.items():
                lower = name.lower()
                if lower in fields:
                    repeated.append((lower, value))
                else:
                    fields[lower] = value
            head = HttpAnswer(response.status, fields, b"", tuple(repeated))
            begun.append(head)
            return replace(head, body=await self._whole(response))
        except BaseException:
            response.close()  # what is left of the answer is not waited for
            raise
        finally:
            response.release()

    async def _whole(self, response: Any) -> bytes:
        pieces: list[bytes] = []
        room = self._options.max_body
        while True:
            piece: bytes = await response.content.readany()
            if not piece:
                return b"".join(pieces)
            room -= len(piece)
            if room < 0:
                raise HttpError("too_large", f"more than {self._options.max_body} bytes")
            pieces.append(piece)

    def _opened(self) -> Any:
        connector = aiohttp.TCPConnector(
            limit=self._options.concurrency,
            ssl=self._context if self._context is not None else True,
            keepalive_timeout=KEEP_ALIVE,
            resolver=aiohttp.ThreadedResolver(),
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # the whole of a request is timed above
            auto_decompress=False,  # nothing is asked for that would be, and a small answer cannot become a large one
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            trust_env=False,
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
        )

    def close(self) -> None:
        """Refuses new requests; what it has open is closed once the last request that is out is over."""
        self._closed = True
        if self._busy == 0:
            self._end()

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            spawn(session.close(), name="end of a client")


def _told(error: Exception) -> HttpError:
    """What has happened, in a word; never with what the other side has sent."""
    if isinstance(error, TimeoutError):  # the kernel's, for a connection
        return HttpError("timeout")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        certificate_error: Any = error.certificate_error
        return HttpError(
            "tls", words(certificate_error) if isinstance(certificate_error, ssl.SSLError) else ""
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return HttpError("tls")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return HttpError("connect", "the name has no address")
    if isinstance(error, aiohttp.ClientConnectorError):
        return HttpError("connect", os.strerror(error.errno).lower() if error.errno else "")
    if isinstance(error, aiohttp.ClientResponseError):
        return (
            HttpError("too_large", "its head")
            if error.message.startswith(_TOO_LARGE)
            else HttpError("garbled")
        )
    return HttpError("broken")
