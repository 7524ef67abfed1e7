"""The provider `keystone`: asks an OpenStack Identity service, v3, whose a token is (GET /v3/auth/tokens).

Its 404 is a no: the token is unknown, expired, revoked or garbage. Its 401 and 403 speak of the gateway's own token and
never of the client's. Whatever else comes, or does not come, is no answer; nobody is refused for it, or let in.
"""

import hashlib
from collections.abc import Awaitable
from math import ceil
from typing import ClassVar, Final

from filters._breaker import Breaker
from filters.token_auth.option import KeystoneOptions
from filters.token_auth.provider import Answer, Grant, Refusal, Unavailable
from filters.token_auth.service_token import ServiceToken, Trouble
from filters.token_auth.token_document import MAX_CATALOG, read_document
from gateway.api import Exchange, HttpAnswer, HttpError, HttpOptions, Revocation, Services, SingleFlight
from gateway.http.retry_after import seconds_of

MAX_TOKEN: Final = 4096
"""Bytes. Keystone's tokens have some hundreds, and servers before it refuse the whole request for a field that is much
longer, which would look like a failure."""

MAX_WAIT: Final = 300
"""Seconds at most for which a client is told to wait because the service asks for it."""

_EXPIRED = Refusal("token_expired")


class Memory:
    """What outlives a reload: the gateway's own token, how the service is, and the questions that are out."""

    def __init__(self, options: KeystoneOptions) -> None:
        self.own = ServiceToken()
        self.breaker = Breaker(options.breaker.failures, options.breaker.pause)
        self.flight: SingleFlight[tuple[str, bool], Answer] = SingleFlight()

    def revoke(self, revocation: Revocation) -> int:
        """Nobody is to be answered by a question that was asked before."""
        self.flight.part()
        return 0

    def close(self) -> None:
        self.flight.close()
        self.own.close()


class Keystone:
    """Asks for each token once, however many requests carry it; what it learns is remembered by the filter."""

    kind: ClassVar[str] = "keystone"
    needs_token: ClassVar[bool] = True
    pure: ClassVar[bool] = False
    judges_expired: ClassVar[bool] = True

    def __init__(self, config: KeystoneOptions, services: Services) -> None:
        self._config = config
        self._services = services
        self.fingerprint = hashlib.sha256(repr(config).encode()).digest()
        name = f"keystone {self.fingerprint.hex()}"
        self._client = services.http(
            name,
            HttpOptions(
                config.url,
                config.tls,
                timeout=config.timeout,
                concurrency=config.concurrency,
                queue=config.concurrency * 16,
            ),
        )
        self._memory = services.state(name, lambda: Memory(config))
        flags = [] if config.include_catalog else ["nocatalog"]
        self._path = "/auth/tokens" + _query(flags)
        self._path_expired = "/auth/tokens" + _query([*flags, "allow_expired=1"])

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        return self._look_up(token, False)

    def look_up_expired(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        """The same of a token that may have expired; for a request that a service vouches for."""
        return self._look_up(token, True)

    def _look_up(self, token: str, expired: bool) -> Answer | Awaitable[Answer]:
        if len(token) > MAX_TOKEN or not token.isprintable():
            return None
        memory = self._memory
        key = (token, expired)
        if key not in memory.flight:
            now = self._services.now().monotonic
            if not memory.breaker.admits(now):
                return Unavailable(memory.breaker.remaining(now))
        return memory.flight.join(key, lambda: self._judged(token, expired))

    async def _judged(self, token: str, expired: bool) -> Answer:
        breaker = self._memory.breaker
        try:
            answer = self._read(await self._asked(token, expired), token, expired)
        except Trouble as trouble:
            return self._failed(trouble)
        except HttpError as error:
            # Neither says anything of the service: it has not been asked.
            return self._failed(Trouble(str(error), counts=error.reason not in ("busy", "closed")))
        breaker.succeeded()
        return answer

    def _failed(self, trouble: Trouble) -> Unavailable:
        breaker, now = self._memory.breaker, self._services.now().monotonic
        if trouble.counts:
            breaker.failed(now)
        self._services.warn(
            "keystone_unavailable", url=self._config.url, because=trouble.why, left_alone=breaker.open
        )
        return Unavailable(max(breaker.remaining(now), trouble.retry_after))

    async def _asked(self, token: str, expired: bool) -> HttpAnswer:
        """Keystone's answer, which speaks of the client's token."""
        config, services, client, own = self._config, self._services, self._client, self._memory.own
        mine = await own.get(client, config, services)
        answer = await self._ask(token, mine, expired)
        if answer.status in (401, 403):
            mine = await own.other(client, config, services, mine)
            answer = await self._ask(token, mine, expired)
        if answer.status == 401:
            raise Trouble("it does not accept the gateway's own token")
        if answer.status == 403:
            raise Trouble(
                "the gateway's own account may not validate tokens (403): it lacks the role service"
            )
        return answer

    async def _ask(self, token: str, mine: str, expired: bool) -> HttpAnswer:
        return await self._client.request(
            "GET",
            self._path_expired if expired else self._path,
            headers=(
                ("X-Auth-Token", mine),
                ("X-Subject-Token", token),
                # Without it Keystone refuses tokens that have access rules: whoever asks could not know of them.
                ("OpenStack-Identity-Access-Rules", "1"),
                ("Accept", "application/json"),
            ),
        )

    def _wait(self, answer: HttpAnswer) -> int:
        """Seconds that the service asks to be left alone, as far as that is within reason."""
        value = answer.headers.get("retry-after", "").encode("ascii", "replace")
        return min(MAX_WAIT, ceil(seconds_of(value, self._services.now().wall) or 0))

    def _read(self, answer: HttpAnswer, token: str, expired: bool) -> Answer:
        if answer.status == 404:
            return None  # its body may hold the whole token: it is not looked at
        if answer.status != 200:
            # A client's token may have brought about any 4xx but 429, which is Keystone's own.
            counts = answer.status >= 500 or answer.status == 429
            raise Trouble(f"it answered {answer.status}", counts=counts, retry_after=self._wait(answer))
        if answer.headers.get("x-subject-token", token) != token:
            raise Trouble("it answered for another token than it was asked for")
        config = self._config
        try:
            document = read_document(answer.body, service_type=config.service_type, provider=self.kind)
        except ValueError as error:
            raise Trouble(f"it gave an answer that cannot be read: {error}") from None
        principal = document.principal
        assert principal.expires_at is not None
        if not expired and principal.expires_at <= self._services.now().wall:
            return _EXPIRED
        if config.include_catalog and document.catalog is None:
            self._services.warn(
                "catalog_left_out", because=f"it is empty, or longer than {MAX_CATALOG} bytes"
            )
        if document.rules is not None and config.service_type is None:
            self._services.warn("access_rules_unjudged", because="service_type is not set")
        return Grant(principal, document.catalog if config.include_catalog else None, document.rules)


def _query(flags: list[str]) -> str:
    return "?" + "&".join(flags) if flags else ""
