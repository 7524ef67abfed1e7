"""What a hook returns: nothing to pass the exchange on, a Fault to refuse it, a Response to answer it."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from mypy_extensions import mypyc_attr

from gateway.api.body import Body
from gateway.http.fields import Fields, RawField, encoded

Rule: TypeAlias = tuple[str | int, ...]


@mypyc_attr(allow_interpreted_subclasses=True)
class Fault:
    """A refusal, as data. The renderer chooses its form on the wire from the status.

    status       HTTP status, 400 to 599
    reason       a key of the reason registry, lower snake case
    message      one sentence for the client; never a token, a stack trace or an upstream's address
    rule         path inside the filter's own options that decided, e.g. ("limits", 2)
    headers      (name, value) pairs to add to the answer, e.g. Allow with a 405
    details      a second sentence for the client, or None
    retry_after  seconds the client should wait, sent as Retry-After (RFC 9110 section 10.2.3), or None
    retry_date   sends Retry-After as a date, for clients that know no other form; the body says seconds all the same
    facts        what the record should know of the decision, beside the reason
    """

    __slots__ = (
        "details",
        "facts",
        "headers",
        "message",
        "reason",
        "retry_after",
        "retry_date",
        "rule",
        "status",
    )

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        *,
        rule: Rule = (),
        headers: tuple[tuple[str, str], ...] = (),
        details: str | None = None,
        retry_after: int | None = None,
        retry_date: bool = False,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.rule = rule
        self.headers = headers
        self.details = details
        self.retry_after = retry_after
        self.retry_date = retry_date
        self.facts = facts

    def __repr__(self) -> str:
        return f"Fault({self.status}, {self.reason!r}, {self.message!r}, rule={self.rule!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fault):
            return NotImplemented
        return self._values() == other._values()

    def _values(self) -> tuple[object, ...]:
        return (
            *(self.status, self.reason, self.message, self.rule),
            *(self.headers, self.details, self.retry_after, self.retry_date, self.facts),
        )

    __hash__ = None  # type: ignore[assignment] # compared by value, never used as a key


@mypyc_attr(allow_interpreted_subclasses=True)
class Response:
    """A response on its way to the client: the upstream's, a filter's own, or a rendered fault.

    A filter that answers by itself returns one; `reason` and `rule` then say why in the record.
    `headers` takes (name, value) pairs and is held as Fields; `body` takes bytes and is held as a Body.
    """

    __slots__ = ("body", "headers", "phrase", "reason", "rule", "status")

    def __init__(
        self,
        status: int,
        headers: Fields | Iterable[tuple[str | bytes, str | bytes]] = (),
        body: Body | bytes = b"",
        *,
        reason: str = "answered",
        rule: Rule = (),
        phrase: bytes = b"",
    ) -> None:
        self.status = status
        self.headers = headers if isinstance(headers, Fields) else Fields(_encoded(headers))
        self.body = body if isinstance(body, Body) else Body(body)
        self.reason = reason
        self.rule = rule
        self.phrase = phrase

    def __repr__(self) -> str:
        return f"Response({self.status}, {self.headers!r})"


def _encoded(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> list[RawField]:
    return [encoded(name, value) for name, value in pairs]


class Refused(Exception):  # noqa: N818 - a verdict that must travel as an exception, not an error
    """The one exception that is a verdict: raised by a body wrapper, or by `Body.collect`."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


Verdict: TypeAlias = Fault | Response | None
