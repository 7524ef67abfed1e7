"""Refuses requests beyond a number that may be under way at once: 429 or 503 with Retry-After (RFC 6585 section 4, RFC 9110 section 15.6.4).

A request that matches several limits has a permit of each, or none and waits for one that has none left, where it may. All
workers of a machine count as one. Permits are given back when the exchange is over, however it ends, and those of a worker
that is killed when they are wanted.
"""

from collections.abc import Awaitable, Hashable, Iterable
from math import ceil
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from filters._key import PLAIN, KeyFunction, described, key_facts, key_function, known, numbers_of, places
from gateway.api import Claim, Duration, Exchange, Fact, Fault, Filter, Options, Rule, Services, Verdict

_LIMITS: Final[Rule] = ("limits",)


def _key_part(value: str) -> str:
    if not known(value):
        raise ValueError(f"expected {', '.join(PLAIN)} or header:NAME, got {value!r}")
    return value


class QueueOptions(Options):
    """Requests that wait for others of their key to end."""

    max: int = Field(
        ge=1, le=1_000_000, description="How many may wait at once; one more is refused at once."
    )
    timeout: Duration = Field(
        default=5.0, gt=0, le=3600, description="How long one may wait; then it is refused."
    )


class LimitOptions(Options):
    """One limit: by what it tells callers apart, and how many requests of each may be under way."""

    name: str | None = Field(
        default=None, min_length=1, description="What records call the limit; its place when unset."
    )
    key: tuple[Annotated[str, AfterValidator(_key_part)], ...] = Field(
        default=("project_id",),
        min_length=1,
        description="What is counted apart: project_id, user_id, client_ip, token, route, method, header:NAME, or global for all "
        "as one. Where a request lacks a part (no valid token, no such field, no route), its client's address stands in for it. An "
        "IPv6 address counts as its /64 network, since one host owns all of that.",
    )
    max: int = Field(
        ge=1,
        le=1_000_000,
        description="How many may be under way at once, over all workers. A client that resets its connection, or ends it under "
        "TLS, gives its place back at once; one that closes a plain connection may still wait for its answer, and keeps it until the "
        "upstream has answered, unless the listener says `half_close: false`.",
    )
    queue: QueueOptions | None = Field(
        default=None, description="Has requests beyond that wait; without it they are refused at once."
    )
    status: Literal[429, 503] | None = Field(
        default=None, description="Of a request that this limit refuses; that of the entry when unset."
    )


class ConcurrencyConfig(Options):
    limits: tuple[LimitOptions, ...] = Field(
        min_length=1, max_length=100, description="The limits; a request must fit all of them."
    )
    status: Literal[429, 503] = Field(
        default=429, description="429 tells callers that it is them, 503 that it is the service."
    )
    retry_after: Duration = Field(
        default=1.0, gt=0, le=86400, description="What is said in Retry-After, in whole seconds."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> "ConcurrencyConfig":
        names = [limit.name for limit in self.limits if limit.name is not None]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two limits are named {name!r}")
        return self

    def terse(self) -> Self:
        """The same without statuses of limits that are that of the entry."""
        limits = tuple(
            limit.model_copy(update={"status": None}) if limit.status == self.status else limit
            for limit in self.limits
        )
        return self.model_copy(update={"limits": limits})

    def remembered(self) -> tuple[()]:
        """Nothing: what is under way belongs to limits, each by itself, see `numbers`."""
        return ()

    def numbers(self) -> tuple[int, ...]:
        """Of each limit, what its permits are known by: its name and key, and where several have these in common the place among
        them. However many may be under way, or wait, those that are stay counted."""
        return numbers_of([(limit.name, limit.key) for limit in self.limits])

    def reads(self) -> frozenset[Fact]:
        return frozenset().union(*(key_facts(limit.key) for limit in self.limits))


class _Limit:
    """One limit, ready to use."""

    __slots__ = ("key", "label", "most", "number", "parts", "queue", "rule", "status")

    def __init__(self, number: int, index: int, options: LimitOptions, status: int) -> None:
        self.number = number
        self.label = options.name if options.name is not None else f"limits[{index}]"
        self.rule: Rule = ("limits", index)
        self.parts = options.key
        self.key: KeyFunction = key_function(options.key)
        self.most = options.max
        self.queue = options.queue
        self.status = options.status or status


class Concurrency(Filter[ConcurrencyConfig]):
    name = "concurrency"
    Config = ConcurrencyConfig
    access = {
        "limits": "fewer",
        "limits.max": "greater",
        "limits.queue": "more",
        "limits.queue.max": "greater",
        "limits.queue.timeout": "greater",
        "limits.status": "none",
        "status": "none",
        "retry_after": "none",
    }
    only_refuses = True
    # What is under way at the moment no record has: the verdict cannot be found out afterwards.
    pure = False

    def __init__(self, config: ConcurrencyConfig, services: Services) -> None:
        super().__init__(config, services)
        self._limits = tuple(
            _Limit(number, index, options, config.status)
            for index, (number, options) in enumerate(zip(config.numbers(), config.limits, strict=True))
        )
        for limit in self._limits:  # so that it is known of which what is under way is not counted on
            services.state(f"under way {limit.number:x} of {limit.label}", object)
        self._permits = services.permits("permits")
        self._waiting: dict[Claim, tuple[_Limit, ...]] = services.state("waiting", dict)
        self._most: dict[int, int] = services.state("most", dict)
        self._places = places(self._permits.place)
        self._queues = tuple(0 if limit.queue is None else limit.queue.max for limit in self._limits)
        self._retry_after = max(1, ceil(config.retry_after))

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        keys: list[Hashable] = [limit.key(exchange) for limit in self._limits]
        claim = self._permits.claim(
            [
                (self._places[limit.number, key], limit.most)
                for limit, key in zip(self._limits, keys, strict=True)
            ]
        )
        exchange.defer(claim.release)
        if claim.full < 0:
            exchange.note("concurrency_counted", rule=_LIMITS, used=claim.used)
            return None
        limit = self._limits[claim.full]
        if limit.queue is None or not claim.queue(*self._queues):
            return self._refusal("concurrency_exceeded", claim, keys)
        return self._wait(exchange, claim, keys, limit.queue)

    def put_in_force(self) -> None:
        """Has those who have come to wait by a former definition wait by this one, as far as it has their limits; those too
        who come to it later, since their exchanges began before."""
        self._most.clear()
        self._most.update((limit.number, limit.most) for limit in self._limits)
        for claim, limits in self._waiting.items():
            self._amend(claim, limits)

    def _amend(self, claim: Claim, limits: Iterable[_Limit]) -> None:
        claim.amend(*(self._most.get(limit.number, limit.most) for limit in limits))

    async def _wait(
        self, exchange: Exchange, claim: Claim, keys: list[Hashable], queue: QueueOptions
    ) -> Verdict:
        began = self.services.now().monotonic
        self._waiting[claim] = self._limits
        self._amend(claim, self._limits)
        try:
            passed = await claim.turn(queue.timeout)
        finally:
            del self._waiting[claim]
        if not passed:
            reason = "concurrency_exceeded" if claim.shed else "concurrency_timeout"
            return self._refusal(reason, claim, keys)
        waited = self.services.now().monotonic - began
        exchange.note("concurrency_waited", rule=_LIMITS, used=claim.used, waited=round(waited, 4))
        return None

    def _refusal(self, reason: str, claim: Claim, keys: list[Hashable]) -> Fault:
        limit = self._limits[claim.full]
        return Fault(
            limit.status,
            reason,
            "Too many requests are under way.",
            rule=limit.rule,
            details=f"Only {limit.most} request(s) can be under way at once.",
            retry_after=self._retry_after,
            facts={
                "limit": limit.label,
                "key": described(limit.parts, keys[claim.full], ()),
                "used": claim.used,
            },
        )
