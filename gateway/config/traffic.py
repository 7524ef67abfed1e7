"""Options that say whether a request goes again, how many are under way at once, who goes first, and who gets a copy."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from gateway.api.option import Duration, Options, Size
from gateway.config.section import Section

Status: TypeAlias = Annotated[int, Field(ge=400, le=599)]
"""A status that says that a request has failed."""


def _not_repeated(value: tuple[str | int, ...]) -> tuple[str | int, ...]:
    for place, item in enumerate(value):
        if item in value[:place]:
            raise ValueError(f"{item} is listed twice")
    return value


class Backoff(Section):
    """How long a retry is put off."""

    base: Duration = Field(
        default=0.025,
        description="At the most before the first retry, doubled for each one after it; how long it really is, is drawn "
        "between nothing and that.",
    )
    max: Duration = Field(default=0.25, description="At the most before any retry.")


class RetryBudget(Section):
    """How many retries an upstream gets, so that one that fails is not asked several times as often."""

    percent: float = Field(
        default=20.0,
        ge=0,
        le=100,
        description="Retries, as a share of the requests: of those that are under way, and of those of the last seconds.",
    )
    min_concurrent: int = Field(
        default=3, ge=0, le=100_000, description="How many retries may be under way whatever the share."
    )
    min_per_second: float = Field(
        default=1.0,
        ge=0,
        le=100_000,
        description="How many retries a second there may be whatever the share.",
    )


class Retries(Section):
    """When a request is sent again. The filters, and the client, see only the last answer."""

    attempts: int = Field(
        default=3, ge=2, le=10, description="How often a request may be sent, the first time included."
    )
    on: Annotated[
        tuple[Literal["connect_failure", "refused", "reset", "timeout"] | Status, ...], Field(min_length=1)
    ] = Field(
        default=("connect_failure", "reset"),
        description="After what: `connect_failure` no connection could be made; `refused` it was refused, and in no other "
        "case of these; `reset` the connection ended before the first byte of an answer; `timeout` the head of an answer "
        "was not there in time; or a status. What may have been acted on is sent again by an idempotent method only.",
    )
    per_try_timeout: Duration | None = Field(
        default=None,
        gt=0,
        description="One attempt, from its beginning to the head of the answer; `timeout` in `on` then tries again. Null "
        "leaves it to `timeouts`.",
    )
    idempotency_key: bool = Field(
        default=False,
        description="Whether a request of any method with an Idempotency-Key field is sent again like an idempotent one: "
        "the upstream has to tell a repetition by that key.",
    )
    buffer: Size = Field(
        default=64 << 10,
        description="How much of a request body is kept to be sent again; a request with a larger body that has begun "
        "to be sent is not. A body that a filter has collected is kept anyway.",
    )
    backoff: Backoff = Field(
        default=Backoff(),
        description="How long a retry is put off. A Retry-After of the upstream is waited for if it ends before "
        "`timeouts.total`; else the answer is passed on.",
    )
    budget: RetryBudget = Field(
        default=RetryBudget(),
        description="How many retries there may be; beyond, failures are passed on, but for a connection that `on` lists and that "
        "could not be made: such a request goes to an endpoint that is not known to be out of reach, if there is one.",
    )

    _each_once = field_validator("on")(_not_repeated)

    @model_validator(mode="after")
    def _time_is_for_timeout(self) -> "Retries":
        if self.per_try_timeout is not None and "timeout" not in self.on:
            raise ValueError("per_try_timeout needs timeout among `on`: it is no other time limit")
        return self


class Adaptive(Section):
    """A limit that follows how long the upstream takes to begin its answers."""

    min: int = Field(default=4, ge=1, le=100_000, description="The limit never falls below.")
    max: int = Field(default=1000, ge=1, le=100_000, description="The limit never rises above.")
    start: int = Field(default=20, ge=1, le=100_000, description="The limit at first.")
    tolerance: float = Field(
        default=1.5,
        ge=1,
        le=10,
        description="How many times as long as usual answers may take before the limit falls.",
    )
    interval: Duration = Field(default=1.0, ge=0.1, description="How often the limit is set anew.")

    @model_validator(mode="after")
    def _in_order(self) -> "Adaptive":
        if not self.min <= self.start <= self.max:
            raise ValueError("expected min, start and max in this order")
        return self


class Concurrency(Options):
    """How many requests are under way at once; more wait in a short queue, and beyond it are answered 503."""

    limit: int | None = Field(
        default=None, ge=1, le=1_000_000, description="How many at once, in each worker."
    )
    adaptive: Adaptive | None = Field(
        default=None,
        description="A limit by measurement, in place of `limit`: it rises while answers begin as soon as they usually "
        "do, and falls when they take longer.",
    )
    queue: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="How many may wait for their turn. Higher classes of `priority` go first; when the queue is full, the "
        "last of the lowest class is refused.",
    )
    queue_timeout: Duration = Field(default=1.0, gt=0, description="How long one may wait; then 503.")

    @field_validator("adaptive", mode="before")
    @classmethod
    def _written_but_empty(cls, value: object) -> object:
        return {} if value is None else value

    @model_validator(mode="after")
    def _is_one_limit(self) -> "Concurrency":
        if (self.limit is None) == (self.adaptive is None):
            raise ValueError("expected exactly one of limit, adaptive")
        return self


class Mirror(Options):
    """Copies of requests for a second upstream, whose answers nobody sees."""

    upstream: str = Field(description="Name of the upstream that gets the copies.")
    percent: float = Field(default=100.0, ge=0, le=100, description="Share of the requests that are copied.")
    max_in_flight: int = Field(
        default=64,
        ge=1,
        le=100_000,
        description="How many copies there may be at once, in each worker; a request beyond is not copied.",
    )
    max_body: Size = Field(
        default=64 << 10,
        description="The largest request body that is copied; a request with a larger one is not.",
    )
    timeout: Duration = Field(
        default=10.0,
        gt=0,
        description="How long a copy may take, from its first byte to the end of the answer.",
    )


class PriorityClass(Options):
    """Which requests are of a class: those for which every key that is given names what they have."""

    name: str = Field(min_length=1, max_length=64, description="Name of the class, unique.")
    roles: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="The principal has one of these roles."
    )
    users: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="The principal is one of these users, by id or by name."
    )
    projects: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="The principal's project is one of these, by id or by name."
    )
    routes: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="The route is one of these, by name."
    )
