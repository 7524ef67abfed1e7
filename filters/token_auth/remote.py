"""What providers have in common that ask a service over the network: one question for a token at a time, and a breaker.

What a service answers is either of the token, or it is trouble: then nobody is refused for it, or let in.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import fields, replace
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar
from urllib.parse import quote

from filters._breaker import ORDINARY, Breaker
from filters._identity import travels
from filters.token_auth.option import BreakerOptions
from filters.token_auth.provider import Answer, Grant, Unavailable
from gateway.api import Exchange, HttpAnswer, HttpError, Principal, Revocation, Services, SingleFlight
from gateway.http.retry_after import seconds_of

if TYPE_CHECKING:  # it costs a tenth of a second to import
    from filters.token_auth.shared_cache import SharedCache

K = TypeVar("K")

MAX_WAIT: Final = 300
"""Seconds at most for which a client is told to wait because the service asks for it."""


class Trouble(Exception):  # noqa: N818 - it says of whom there is no answer
    """A service gives no answer that says anything of the client's token.

    counts       whether it may be unwell, and is to be left alone
    retry_after  seconds that it asks for itself, 0 where it does not say
    """

    def __init__(self, why: str, *, counts: bool = True, retry_after: int = 0) -> None:
        super().__init__(why)
        self.why = why
        self.counts = counts
        self.retry_after = retry_after


_PARTS = re.compile(r"[/\\;]")


def segment(text: str) -> str | None:
    """The text as one segment of a path; None where no escape keeps it one.

    A dot segment is taken for another path (RFC 3986 section 5.2.4), and servers that decode before they look see one also
    between slashes that are escaped.
    """
    if not {".", ".."}.isdisjoint(_PARTS.split(text)):
        return None
    return quote(text, safe="")


def tellable(principal: Principal) -> Principal:
    """The caller, where header fields can hold all that a service has said of it. Raises Trouble, which shows no value."""
    for field in fields(principal):
        if not all(map(travels, _texts(getattr(principal, field.name)))):
            # It may be this caller alone, who may have chosen the name: nothing is wrong with the service then.
            raise Trouble(f"it gave a character that cannot travel in {field.name}", counts=False)
    if any(role != role.strip() for role in principal.roles):
        # It is lost in a header field: upstream the role would be another.
        raise Trouble("it gave a role with outer white space", counts=False)
    return principal


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _texts(each)


class Memory(Generic[K]):
    """What outlives a reload: how the service is, and the questions that are out, each by what it asks.

    silent  whether the last question had no answer in time
    """

    def __init__(self, options: BreakerOptions) -> None:
        self.breaker = Breaker(options.failures, options.pause)
        self.silent = False
        self.flight: SingleFlight[K, Answer] = SingleFlight()

    def revoke(self, revocation: Revocation) -> int:
        """Nobody is to be answered by a question that was asked before."""
        self.flight.part()
        return 0

    def close(self) -> None:
        self.flight.close()


class RemoteProvider(Generic[K]):
    """Base of the providers that ask a service of one URL. `K` is what tells one question from another."""

    kind: ClassVar[str]
    needs_token: ClassVar[bool] = True
    pure: ClassVar[bool] = False
    judges_expired: ClassVar[bool] = False
    header: bytes = b""
    forwards: bool = False

    fingerprint: bytes

    def __init__(
        self, services: Services, url: str, memory: Memory[K], shared: "SharedCache | None" = None
    ) -> None:
        self._services = services
        self._url = url
        self._memory = memory
        self._shared = shared

    @property
    def left_alone(self) -> bool:
        return self._memory.breaker.open or self._memory.silent

    def proof(self, value: bytes) -> str | None:
        return None

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        raise NotImplementedError

    def look_up_service(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        return self.look_up(token, exchange)

    def look_up_expired(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        raise NotImplementedError  # where judges_expired is False

    def _question(
        self, key: K, ask: Callable[[], Coroutine[Any, Any, Answer]], size: int, token: str
    ) -> Answer | Awaitable[Answer]:
        """What `ask` says of the `token`, which raises Trouble or HttpError where the service says nothing.

        `size` is how many bytes of the question are the client's: where they are many, what goes wrong may be its doing.

        Who asks for a key that is being asked for is answered with them. A service that is left alone is Unavailable, and so is
        one that fails for this token again and again. What other gateways know of the key comes first, and they are told.
        """
        memory = self._memory
        shared = self._shared
        ordinary = size <= ORDINARY
        if key in memory.flight:
            return memory.flight.join(key, lambda: self._judged(ask, ordinary, ""))
        who = self._services.keyed_hash(token.encode())
        if shared is not None:
            return memory.flight.join(key, lambda: self._known(shared, key, token, ask, ordinary, who))
        now = self._services.now().monotonic
        if not memory.breaker.admits(now, who):
            return Unavailable(memory.breaker.remaining(now, who))
        return memory.flight.join(key, lambda: self._judged(ask, ordinary, who))

    async def _known(
        self,
        shared: "SharedCache",
        key: K,
        token: str,
        ask: Callable[[], Coroutine[Any, Any, Answer]],
        ordinary: bool,
        who: str,
    ) -> Answer:
        name = shared.name(self.kind, self.fingerprint, repr(key))
        found = await shared.find(name, token)
        if found is not None:
            asked = self._services.now().monotonic - found.age
            return self.restored(replace(found, asked=asked))
        now, breaker = self._services.now(), self._memory.breaker
        if not breaker.admits(now.monotonic, who):
            return Unavailable(breaker.remaining(now.monotonic, who))
        answer = await self._judged(ask, ordinary, who)
        if isinstance(answer, Grant):
            shared.keep(name, answer, now.wall)
        return answer

    def restored(self, grant: Grant) -> Grant:
        return grant

    async def _judged(
        self, ask: Callable[[], Coroutine[Any, Any, Answer]], ordinary: bool, who: str
    ) -> Answer:
        memory = self._memory
        asked = self._services.now().monotonic
        try:
            answer = await ask()
        except Trouble as trouble:
            memory.silent = False
            trouble.counts = trouble.counts and ordinary
            return self._failed(trouble, who, asked)
        except HttpError as error:
            if error.reason not in ("busy", "closed"):
                memory.silent = error.reason == "timeout"
            # Else the service has not been asked, or a token may have brought it about.
            counts = error.reason in ("connect", "tls", "timeout") or (
                error.reason in ("broken", "garbled") and ordinary
            )
            reached = error.reason not in ("connect", "tls")
            return self._failed(Trouble(str(error), counts=counts), who if reached else None, asked)
        memory.silent = False
        memory.breaker.succeeded(self._services.now().monotonic, who)
        if isinstance(answer, Principal):
            return Grant(answer, asked=asked)
        return replace(answer, asked=asked) if isinstance(answer, Grant) else answer

    def _failed(self, trouble: Trouble, who: str | None, asked: float) -> Unavailable:
        """`who` is None for what no token can have brought about."""
        breaker, now = self._memory.breaker, self._services.now().monotonic
        if not trouble.counts:
            breaker.said_nothing(now, who)
        elif who is None:
            breaker.unreached(now, asked)
        else:
            breaker.failed(now, who, asked)
        self._services.warn(
            f"{self.kind}_unavailable", url=self._url, because=trouble.why, left_alone=breaker.open
        )
        return Unavailable(max(breaker.remaining(now, who), trouble.retry_after))

    def _unknown(self, answer: HttpAnswer, *also: int) -> bool:
        """Whether a 404, or one of the statuses `also`, says that what was asked about is not there. Raises Trouble for one
        that is somebody else's.

        What stands before the service, or a URL that leads elsewhere, answers 404 as well, and in no JSON as a rule.
        """
        if answer.status != 404 and answer.status not in also:
            return False
        if "json" not in answer.headers.get("content-type", "").lower():
            why = f"it answered {answer.status}, and not as an identity service does: is the URL right?"
            raise Trouble(why, counts=False)  # a client's token may have brought it about
        return True

    def _refused(self, answer: HttpAnswer) -> Trouble:
        """The trouble that a status is which says nothing of the token."""
        # A client's token may have brought about any 4xx but 429, which is the service's own.
        counts = answer.status >= 500 or answer.status == 429
        value = answer.headers.get("retry-after", "").encode("ascii", "replace")
        wait = min(MAX_WAIT, ceil(seconds_of(value, self._services.now().wall) or 0))
        return Trouble(f"it answered {answer.status}", counts=counts, retry_after=wait)
