"""The service that is asked, and what outlives a reload: answers that are remembered, questions that are out, the breaker."""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from cachetools import LRUCache

from filters._breaker import ORDINARY, Breaker
from filters.external_auth.convention import Lines, No, Trouble, Yes
from filters.external_auth.option import CacheOptions, ExternalAuthConfig
from gateway.api import HttpAnswer, HttpError, HttpOptions, Revocation, Services, SingleFlight

_MAX_AGE: Final = re.compile(r"max-age=\"?(\d{1,9})")


class Kept(NamedTuple):
    """An answer, until a monotonic instant."""

    answer: Yes | No
    until: float


class Memory:
    """What outlives a reload with the same definition.

    slow  is told of those failures alone that `on_error: allow` lets pass: while it is open nobody needs to be asked for that
    """

    def __init__(self, config: ExternalAuthConfig) -> None:
        self.breaker = Breaker(config.breaker.failures, config.breaker.pause)
        self.flight: SingleFlight[str, Yes | No] = SingleFlight()
        self.kept: LRUCache[str, Kept] = LRUCache(config.cache.size if config.cache is not None else 1)
        self.slow = Breaker(config.breaker.failures, config.breaker.pause)
        self.epoch = 0

    def revoke(self, revocation: Revocation) -> int:
        """Forgets all answers, since whose they are is known to the service alone; what is out is not to be kept either."""
        self.epoch += 1
        self.flight.part()
        forgotten = len(self.kept)
        self.kept.clear()
        return forgotten

    def close(self) -> None:
        self.flight.close()


class Service:
    """Asks; raises Trouble where there is no answer that says anything of the request."""

    def __init__(
        self, config: ExternalAuthConfig, services: Services, read: Callable[[HttpAnswer], Yes | No]
    ) -> None:
        self._services = services
        self._cache = config.cache
        self._read = read
        self._lenient = config.on_error == "allow"
        self._relays = config.convention == "traefik"
        self._url = config.url
        self._client = services.http(
            "service",
            HttpOptions(
                config.url,
                config.tls,
                timeout=config.timeout,
                concurrency=config.concurrency,
                queue=config.concurrency * 16,
                max_body=config.max_body,
            ),
        )
        self._memory = services.state("memory", lambda: Memory(config))

    def remembered(self, key: str, now: float) -> Yes | No | None:
        kept = self._memory.kept.get(key)
        return kept.answer if kept is not None and now < kept.until else None

    async def ask(self, key: str | None, lines: Lines, who: str = "") -> Yes | No:
        """The service's answer; who asks for a key that is being asked for is answered with it. None asks alone.

        `who` stands for what the question is about: where the service fails for one again and again, it is left alone with that.
        """
        memory = self._memory
        if key is not None and key in memory.flight:
            return await memory.flight.join(key, lambda: self._asked(key, lines, who))
        if not memory.breaker.admits(self._services.now().monotonic, who):
            # What one alone brings about lets nobody pass, himself neither.
            lenient = memory.breaker.open and memory.slow.open
            raise Trouble("it is left alone", counts=False, lenient=lenient)
        if key is None:
            return await self._asked(None, lines, who)
        return await memory.flight.join(key, lambda: self._asked(key, lines, who))

    def retry_after(self, who: str = "") -> int:
        """Whole seconds until it may be worth to ask again, at least one."""
        return self._memory.breaker.remaining(self._services.now().monotonic, who)

    async def _asked(self, key: str | None, lines: Lines, who: str) -> Yes | No:
        memory = self._memory
        epoch = memory.epoch
        asked = self._services.now().monotonic
        try:
            answered = await self._answered(lines)
            answer = self._read(answered)
        except (HttpError, Trouble) as error:
            trouble = blamed(error, lines)
            self._failed(trouble, who, asked)
            raise trouble from None
        now = self._services.now().monotonic
        memory.breaker.succeeded(now, who)
        memory.slow.succeeded(now, who)
        if key is not None and self._cache is not None and epoch == memory.epoch:
            seconds = lifetime(self._cache, answered)
            if seconds > 0:
                memory.kept[key] = Kept(answer, self._services.now().monotonic + seconds)
        return answer

    async def _answered(self, lines: Lines) -> HttpAnswer:
        try:
            return await self._client.request("GET", "", headers=lines)
        except HttpError as error:
            if error.answer is None or self._relays:
                raise
            return error.answer  # auth_request goes by status and fields alone

    def _failed(self, trouble: Trouble, who: str, asked: float) -> None:
        memory = self._memory
        breaker = memory.breaker
        now = self._services.now().monotonic
        if not trouble.counts:
            breaker.said_nothing(now, who)
        elif not trouble.lenient:
            breaker.failed(now, who, asked)
        else:
            for told in (breaker, memory.slow):
                if trouble.unreached:
                    told.unreached(now, asked)
                else:  # left alone, one would pass unasked for what he brings about, or not pass a service that is slow
                    told.failed(now, who, asked, alone=not self._lenient)
        self._services.warn(
            "external_auth_unavailable", url=self._url, because=trouble.why, left_alone=breaker.open
        )


def blamed(error: HttpError | Trouble, lines: Lines) -> Trouble:
    """The trouble that a question comes to nothing, by whose doing that may be: what a request may have brought about lets
    none pass, and says nothing of the service."""
    ordinary = sum(len(name) + len(value) for name, value in lines) <= ORDINARY
    if isinstance(error, Trouble):
        return error if ordinary else Trouble(error.why, counts=False, lenient=False)
    reason = error.reason
    unreached = reason in ("connect", "tls")
    silent = unreached or (reason == "timeout" and error.answer is None)
    # What is too large, or no HTTP, may quote the request; busy and closed are no word of the service's.
    counts = silent or (ordinary and reason in ("broken", "timeout"))
    return Trouble(
        str(error),
        counts=counts,
        lenient=silent or reason == "closed",
        unreached=unreached,
    )


def lifetime(cache: CacheOptions, answer: HttpAnswer) -> float:
    """Seconds for which an answer may be remembered, by the configuration and by what it says of itself (RFC 9111)."""
    if 200 <= answer.status <= 299:
        seconds = cache.ttl
    elif answer.status in (401, 403):
        seconds = cache.negative_ttl
    else:
        return 0
    control = ",".join(value for name, value in answer.lines if name == "cache-control").lower()
    if "no-store" in control or "no-cache" in control:
        return 0
    age = _MAX_AGE.search(control)
    return min(seconds, float(age[1])) if age is not None else seconds
