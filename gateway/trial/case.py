"""What a file of configuration tests holds: requests with their circumstances, and what is expected of each.

configuration: gateway.yaml
tests:
  - name: the eleventh POST of a minute is refused
    given:
      request: POST /v2/p1/images/9a3c.../metadata
      identity: { user: u1, project: p1, roles: [member] }
      counters: { post-images: 10 }
    expect: { status: 413, filter: rate_limit, headers: { Retry-After: "6" } }
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from gateway.api.option import Duration, Options
from gateway.trial.given import Answer, Given, Identity, address_of, count_of, instant_of
from gateway.trial.identity import NOBODY, identity_of, parse_identity

_LONGEST: Final = 366 * 86_400.0
"""Seconds between two requests of a test."""
_LINE: Final = "expected METHOD TARGET, such as GET /v2/p1/images"

Headers = dict[str, str | list[str]]


def _request(value: str) -> str:
    method, _, target = value.partition(" ")
    if not method or not target or " " in target:
        raise ValueError(_LINE)
    return value


def _instant(value: Any) -> Any:
    """Seconds since the epoch of an instant in ISO 8601, in UTC where it names no zone."""
    if isinstance(value, str):
        try:
            given = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"expected a time such as 2026-01-31T12:00:00Z, got {value!r}") from None
        return (given if given.tzinfo is not None else given.replace(tzinfo=UTC)).timestamp()
    return value


def _identity(value: Any) -> Any:
    if isinstance(value, dict):
        identity_of(value)
    elif isinstance(value, str):
        parse_identity(value)
    elif value is not None:
        raise ValueError(
            f"expected a mapping such as {{user: u1, project: p1, roles: [member]}}, or {NOBODY}"
        )
    return value


def _patterns(wanted: Any) -> Any:
    """What is expected of a value, once every pattern in it is known to be one. Raises ValidationError with their places."""
    wrong = list(_no_patterns(wanted, ()))
    if wrong:
        raise ValidationError.from_exception_data("patterns", wrong)
    return wanted


def _no_patterns(wanted: Any, place: tuple[str | int, ...]) -> Iterator[InitErrorDetails]:
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            yield from _no_patterns(value, (*place, name))
    elif isinstance(wanted, list):
        for number, value in enumerate(wanted):
            yield from _no_patterns(value, (*place, number))
    elif isinstance(wanted, str):
        try:
            pattern_of(wanted)
        except ValueError as error:
            kind = PydanticCustomError("pattern", "{why}", {"why": str(error)})
            yield InitErrorDetails(type=kind, loc=place, input=wanted)


def pattern_of(wanted: str) -> re.Pattern[str] | None:
    """The pattern between two slashes, which has to fit all of a text; None for plain text. Raises ValueError."""
    if len(wanted) < 2 or not (wanted.startswith("/") and wanted.endswith("/")):
        return None
    try:
        return re.compile(wanted[1:-1])
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


class UpstreamAnswer(Options):
    """What the upstream answers."""

    status: int = Field(default=200, ge=200, le=599, description="Status.")
    headers: Headers = Field(default={}, description="Header fields.")
    body: JsonValue = Field(default=None, description="Text, or what is sent as JSON.")


class Circumstances(Options):
    """A request, and all that the configuration may judge it by."""

    request: Annotated[str, AfterValidator(_request)] | None = Field(
        default=None, description="Method and target."
    )
    headers: Headers = Field(default={}, description="Header fields of the request.")
    body: JsonValue = Field(default=None, description="Text, or what is sent as JSON with its Content-Type.")
    client: Annotated[str, AfterValidator(address_of)] | None = Field(
        default=None, description="Address that the request comes from."
    )
    https: bool | None = Field(default=None, description="Whether it comes under TLS.")
    identity: Annotated[JsonValue, BeforeValidator(_identity)] = Field(
        default=None,
        description="Who is calling, whatever the token: user, project, roles and the like; or `nobody`.",
    )
    clock: Annotated[float, BeforeValidator(_instant), AfterValidator(instant_of)] | None = Field(
        default=None, description="When the request comes."
    )
    counters: dict[str, Annotated[int, AfterValidator(count_of)]] = Field(
        default={}, description="How many requests like it have been counted, by the names of limits."
    )
    upstream: UpstreamAnswer | None = Field(default=None, description="What the upstream answers.")


ExpectedHeaders = Annotated[dict[str, str | list[str] | None], AfterValidator(_patterns)]
ExpectedBody = Annotated[JsonValue, AfterValidator(_patterns)]


class ForwardedExpected(Options):
    """What the upstream is to get."""

    request: Annotated[str, AfterValidator(_request)] | None = Field(
        default=None, description="Method and target."
    )
    headers: ExpectedHeaders = Field(
        default={}, description="Header fields; null for one that must not be there."
    )
    body: ExpectedBody = Field(
        default=None, description="Text, or JSON of which at least this must be there."
    )


class Expected(Options):
    """What is to become of the request; what is not named may be anything."""

    status: int | None = Field(default=None, ge=100, le=599, description="Status that the client gets.")
    headers: ExpectedHeaders = Field(
        default={},
        description="Header fields that the client gets; null for one that must not be there, /.../ for a pattern.",
    )
    body: ExpectedBody = Field(
        default=None, description="Text that the client gets, or JSON of which at least this must be there."
    )
    decision: Literal["forward", "refuse", "answer", "fail", "undecidable"] | None = Field(
        default=None, description="As in records."
    )
    reason: str | None = Field(default=None, description="Reason code.")
    filter: str | None = Field(default=None, description="Name of the entry that decides.")
    rule: str | None = Field(default=None, description="The option of it by which it does: limits[0].")
    route: str | None = Field(default=None, description="Name of the route.")
    forwarded: ForwardedExpected | Literal[False] | None = Field(
        default=None, description="What the upstream gets; false for nothing."
    )

    @model_validator(mode="after")
    def _of_something(self) -> "Expected":
        if not self.model_fields_set:
            raise ValueError("a test that expects nothing cannot fail")
        return self


class Step(Options):
    """One request of several."""

    wait: Duration = Field(default=0.0, ge=0, le=_LONGEST, description="Time that passes before it.")
    times: int = Field(default=1, ge=1, le=10_000, description="How often it is sent; the last is judged.")
    given: Circumstances = Field(
        default=Circumstances(), description="As of a test; what it leaves out is the test's."
    )
    expect: Expected | None = Field(default=None, description="As of a test.")


class Test(Options):
    """One test: a request, or several that come one after the other."""

    __test__ = False  # for pytest, which looks for names like this

    name: str = Field(min_length=1, description="What is to be so.")
    given: Circumstances = Field(default=Circumstances(), description="The request and its circumstances.")
    expect: Expected | None = Field(default=None, description="What is to become of it.")
    steps: tuple[Step, ...] | None = Field(
        default=None,
        min_length=1,
        description="Several requests, in place of one; what has been counted goes on.",
    )

    @model_validator(mode="after")
    def _expects(self) -> "Test":
        steps = self.steps
        if steps is None:
            if self.expect is None:
                raise ValueError("expect is missing: a test that expects nothing cannot fail")
        elif self.expect is not None:
            raise ValueError("expect stands in the steps, where there are any")
        elif all(step.expect is None for step in steps):
            raise ValueError("no step expects anything: a test that expects nothing cannot fail")
        return self


class Suite(Options):
    """A file of tests."""

    configuration: str | None = Field(
        default=None,
        description="The file that is tested, relative to this one; else the one on the command line.",
    )
    given: Circumstances = Field(default=Circumstances(), description="What tests leave out.")
    tests: tuple[Test, ...] = Field(min_length=1, description="The tests.")

    @field_validator("tests")
    @classmethod
    def _named_once(cls, tests: tuple[Test, ...]) -> tuple[Test, ...]:
        names = [test.name for test in tests]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two tests are named {name!r}")
        return tests


NOON: Final = 1_767_268_800.0
"""2026-01-01T12:00:00Z: when requests come of which it is not said when."""


def merged(*layers: Circumstances) -> Circumstances:
    """What each says, the later ones in place of the earlier; header fields and counters one by one."""
    values: dict[str, Any] = {}
    for layer in layers:
        for name in layer.model_fields_set:
            value = getattr(layer, name)
            if name in ("headers", "counters"):
                value = {**values.get(name, {}), **value}
            values[name] = value
    return Circumstances.model_construct(**values)


def given_of(said: Circumstances, later: float) -> Given:
    """The request, so many seconds later. Raises ValueError where it is not said what is asked."""
    if said.request is None:
        raise ValueError("given.request is missing")
    method, _, target = said.request.partition(" ")
    headers = _pairs(said.headers)
    body, is_json = content_of(said.body)
    if is_json and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    identity: Identity | None = None
    if isinstance(said.identity, dict):
        identity = identity_of(said.identity)
    elif isinstance(said.identity, str):
        identity = parse_identity(said.identity)
    answer = None
    if said.upstream is not None:
        answer_body, answer_is_json = content_of(said.upstream.body)
        fields = _pairs(said.upstream.headers)
        if answer_is_json and not any(name.lower() == "content-type" for name, _ in fields):
            fields.append(("Content-Type", "application/json"))
        answer = Answer(said.upstream.status, tuple(fields), answer_body)
    return Given(
        method,
        target,
        tuple(headers),
        body,
        peer=said.client or "192.0.2.1",
        scheme="https" if said.https else "http",
        identity=identity,
        wall=(NOON if said.clock is None else said.clock) + later,
        counts=said.counters,
        answer=answer,
    )


def content_of(body: JsonValue) -> tuple[bytes, bool]:
    """The bytes of a body, and whether they are JSON that was written as YAML."""
    if body is None:
        return b"", False
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape"), False
    return json.dumps(body).encode(), True


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
