"""The client that filters ask services by: aiohttp's ClientSession, bounded, and with its exceptions told in one word each.

It speaks to identity services and the like; requests are forwarded by `gateway.upstream.leg`, which costs a tenth of it.
"""

import asyncio
import os
import ssl
from collections.abc import Iterable
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
        try:
            async with asyncio.timeout(seconds) as limit, self._turns:
                waits = False
                # What it has waited is no time of the service's: else a crowd could make one seem to be too slow.
                limit.reschedule(asyncio.get_running_loop().time() + seconds)
                return await self._asked(method, URL(self._base + path, encoded=True), list(headers), body)
        except TimeoutError:
            raise HttpError("busy" if waits else "timeout") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _told(error) from None
        finally:
            self._busy -= 1
            if self._closed and self._busy == 0:
                self._end()

    async def _asked(self, method: str, url: URL, headers: list[tuple[str, str]], body: bytes) -> HttpAnswer:
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
            return HttpAnswer(response.status, fields, await self._whole(response), tuple(repeated))
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
    return HttpError("broken")
