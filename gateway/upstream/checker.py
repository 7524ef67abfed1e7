"""Active checks: asks an endpoint for a path again and again, over connections of its own.

What becomes of the results is decided in `gateway.upstream.health`.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway import __version__
from gateway.api.option import statuses_of
from gateway.config.model import Health
from gateway.task import spawn
from gateway.upstream.balance import Random
from gateway.upstream.connection import Owner, UpstreamConnection
from gateway.upstream.dialer import ConnectError, Reach

USER_AGENT: Final = f"Weir/{__version__} (health check)"

Take = Callable[[bool, str], None]
"""Takes the result of a check: whether the endpoint is well, and what was found."""


class Checker:
    """Checks one endpoint from `start`, and then at once, to `close`.

    authority  the Host field, where the options name none
    """

    def __init__(self, options: Health, authority: bytes, dialer: Reach, take: Take, random: Random) -> None:
        self._options = options
        self._dialer = dialer
        self._take = take
        self._random = random
        host = options.host.encode("latin-1") if options.host is not None else authority
        self._request = (
            b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: %b\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            % (options.path.encode("ascii"), host, USER_AGENT.encode("ascii"))
        )
        self._good = tuple(statuses_of(text) for text in options.status)
        self._task: asyncio.Task[None] | None = None
        self.known = asyncio.Event()
        """Set when the first check is over."""

    def start(self) -> None:
        self._task = spawn(self._run(), name="health check")

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            self._take(*await self.check())
            self.known.set()
            await asyncio.sleep(pause(self._options.interval, self._options.jitter, self._random))

    async def check(self) -> tuple[bool, str]:
        """Whether the endpoint is well, and what was found."""
        try:
            async with asyncio.timeout(self._options.timeout):
                return await self._asked()
        except ConnectError as error:
            return False, error.detail
        except TimeoutError:
            return False, "no answer in time"

    async def _asked(self) -> tuple[bool, str]:
        connection = await self._dialer.connect()
        try:
            answer = _Answer(connection)
            connection.begin(answer, self._request, no_body=False)
            await answer.known
        finally:
            connection.abort()
        if connection.error is not None:
            return False, connection.detail or connection.error
        status = connection.status
        return any(status in row for row in self._good), f"status {status}"


class _Answer(Owner):
    """Waits for the head of an answer; the body does not matter."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self.known: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_progress(self) -> None:
        connection = self._connection
        if (connection.head_done or connection.error is not None) and not self.known.done():
            self.known.set_result(None)

    def on_writable(self) -> None:
        """The request is written already."""


def pause(interval: float, jitter: float, random: Random) -> float:
    """Seconds from a check to the next: `interval`, give or take at most `jitter` percent of it."""
    return interval * (1 + (2 * random() - 1) * jitter / 100)
