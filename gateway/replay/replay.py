"""Sends requests at the pace at which they came, or at another, and tells what is other in the answers."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gateway.api.json_path import Path
from gateway.api.network import HttpAnswer, HttpClient, HttpError
from gateway.replay.comparison import VOLATILE, Answer, Difference, differences
from gateway.replay.request import Request

EXAMPLES: Final = 20

Token = Callable[[Request], str | None]
"""The token that a request is sent with; None for none."""


class Pace(NamedTuple):
    """When requests are sent: at `rate` a second, or else `speed` times as fast as they came."""

    speed: float = 1.0
    rate: float | None = None

    def due(self, number: int, request: Request, first: float) -> float:
        """Seconds after the beginning."""
        if self.rate is not None:
            return number / self.rate
        return (request.at - first) / self.speed


class Example(NamedTuple):
    """A request whose answer is other."""

    request_id: str
    asked: str
    differences: Sequence[Difference]


class Sum:
    """sent, same and different requests; `failed` got no answer, by reason; `kinds` counts differences by what is other."""

    def __init__(self) -> None:
        self.sent = self.same = self.different = 0
        self.failed: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.examples: list[Example] = []


class Replay:
    """Sends requests to `target`, each answer held against that of `against`, or against what was recorded.

    token         chooses the token, which goes in the field `token_header`
    headers       of all requests, beside their own
    volatile      header fields that do not count; `paths` in JSON bodies that do not
    at_once       requests under way at once: when all are, the next ones wait
    """

    def __init__(
        self,
        target: HttpClient,
        *,
        against: HttpClient | None = None,
        token: Token = lambda request: None,
        token_header: str = "X-Auth-Token",  # noqa: S107 - a name
        headers: Sequence[tuple[str, str]] = (),
        volatile: frozenset[str] = VOLATILE,
        paths: Sequence[Path] = (),
        at_once: int = 16,
    ) -> None:
        self._target = target
        self._against = against
        self._token = token
        self._token_header = token_header
        self._headers = tuple(headers)
        self._volatile = volatile
        self._paths = paths
        self._turns = asyncio.Semaphore(at_once)
        self.sum = Sum()

    async def run(self, requests: Iterable[Request], pace: Pace) -> Sum:
        """Sends all of them, which come in the order of time. Raises what getting them does."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        first: float | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for number, request in enumerate(requests):
                    first = request.at if first is None else first
                    await asyncio.sleep(max(0.0, began + pace.due(number, request, first) - loop.time()))
                    await self._turns.acquire()
                    group.create_task(self._one(request))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return self.sum

    async def _one(self, request: Request) -> None:
        try:
            self.sum.sent += 1
            before = Answer(request.status, None, request.answer)
            if self._against is None:
                after = await self._asked(self._target, request)
            else:
                before, after = await asyncio.gather(
                    self._asked(self._against, request), self._asked(self._target, request)
                )
            self._compare(request, before, after)
        except HttpError as error:
            self.sum.failed[error.reason] += 1
        finally:
            self._turns.release()

    async def _asked(self, client: HttpClient, request: Request) -> Answer:
        lines = [("Host", request.host)] if request.host else []
        lines += [*request.headers, *self._headers]
        token = self._token(request)
        if token is not None:
            lines.append((self._token_header, token))
        answer: HttpAnswer = await client.request(
            request.method, request.target, headers=lines, body=request.body
        )
        headers: Mapping[str, str] = answer.headers
        return Answer(answer.status, headers, answer.body)

    def _compare(self, request: Request, before: Answer, after: Answer) -> None:
        found = differences(before, after, headers=self._volatile, paths=self._paths)
        if not found:
            self.sum.same += 1
            return
        self.sum.different += 1
        for difference in found:
            self.sum.kinds[difference.what] += 1
        if len(self.sum.examples) < EXAMPLES:
            asked = f"{request.method} {request.target}"
            self.sum.examples.append(Example(request.request_id, asked, found))
