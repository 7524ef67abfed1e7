"""What the gateway changes between a client and a service: answers side by side, and the kinds of differences that are meant.

Each kind has its line, with the reason, in docs/openstack.md.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple


class Answer(NamedTuple):
    """A status, the values of the fields by lower-case name, and the body."""

    status: int
    fields: Mapping[str, tuple[str, ...]]
    body: bytes


class Ask(NamedTuple):
    """A request, the same for both; `{NAME}` stands for what is known when it is sent.

    service  whom it is for: identity, image or compute
    token    whose token it carries: the name of one, or "" for none
    """

    service: str
    method: str
    path: str
    token: str = "demo"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def __str__(self) -> str:
        fields = "".join(f" {name}: {value[:40]}" for name, value in self.headers)
        of = f" as {self.token or 'nobody'}"
        return f"{self.service}: {self.method} {self.path[:200]}{of}{fields} {(self.body or b'')[:80]!r}"


class Pair(NamedTuple):
    """What one request got from the service itself and through the gateway."""

    ask: Ask
    direct: Answer
    through: Answer


class Difference(NamedTuple):
    """One of them: in the status, in the body, or in the field `where`. None is absent."""

    where: str
    direct: object
    through: object


_VOLATILE = (
    (re.compile(rb"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), b"<request id>"),
    (re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), b"<id>"),
    (re.compile(rb"\b[0-9a-f]{32}\b"), b"<id>"),
    (re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?"), b"<time>"),
    (re.compile(rb'"audit_ids": \[[^]]*\]'), b'"audit_ids": <ids>'),
)
_VALUELESS = ("date", "x-subject-token")
"""Fields whose value is another each time: whether they are there is compared."""

REQUEST_IDS = ("x-compute-request-id", "x-openstack-request-id")


class Kind(NamedTuple):
    """Differences that are meant. `covers` says of one whether it is of the kind."""

    name: str
    covers: Callable[[Pair, Difference], bool]


def _own(status: int, fault: str, *, of: Callable[[Pair], bool]) -> Callable[[Pair, Difference], bool]:
    """The gateway has answered in the service's place, with a fault; all of the answer may be another."""

    def covers(pair: Pair, difference: Difference) -> bool:
        through = pair.through
        own = through.body.startswith(b'{"%s": {"code": %d' % (fault.encode(), status))
        return through.status == status and (own or pair.ask.method == "HEAD") and of(pair)

    return covers


_AMBIGUOUS = re.compile(r"//|/\.\.?(/|$)|%(2e|2f|5c|00)|%(?![0-9a-f]{2})", re.IGNORECASE)
_LONGEST_BODY = 112 * 1024
_LONGEST_TARGET = 8 * 1024
_LONGEST_FIELD = 16 * 1024
_KNOWN = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _longest(pair: Pair) -> int:
    return max((len(value) for _, value in pair.ask.headers), default=0)


def _rates(pair: Pair, difference: Difference) -> bool:
    """The limits that the gateway counts, beside the service's own, which are as they were; in the form that Accept asks for."""
    path = pair.ask.path.partition("?")[0]
    if not path.endswith("/v2.1/limits"):
        return False
    if difference.where == "vary":
        return difference.through == (*pair.direct.fields.get("vary", ()), "Accept")
    if difference.where not in ("body", "content-length"):
        return False
    try:
        direct, through = (json.loads(answer.body)["limits"] for answer in (pair.direct, pair.through))
    except (ValueError, KeyError, TypeError):
        return False
    return bool(direct["rate"] == [] != through["rate"] and direct["absolute"] == through["absolute"])


KINDS = (
    Kind("Via", lambda _, difference: difference.where == "via" and difference.direct is None),
    Kind(
        "Request ids",
        lambda _, difference: difference.where in REQUEST_IDS and difference.direct is None,
    ),
    Kind("Connections", lambda _, difference: difference.where == "connection"),
    Kind(
        "No valid token",
        _own(401, "unauthorized", of=lambda pair: pair.direct.status == 401),
    ),
    Kind(
        "Ambiguous targets", _own(400, "badRequest", of=lambda pair: bool(_AMBIGUOUS.search(pair.ask.path)))
    ),
    Kind("No route", _own(404, "itemNotFound", of=lambda pair: pair.direct.status in (300, 302, 401, 404))),
    Kind("Methods", _own(501, "notImplemented", of=lambda pair: pair.ask.method not in _KNOWN)),
    Kind(
        "Large bodies",
        _own(413, "overLimit", of=lambda pair: len(pair.ask.body or b"") > _LONGEST_BODY),
    ),
    Kind("Long targets", _own(414, "computeFault", of=lambda pair: len(pair.ask.path) > _LONGEST_TARGET)),
    Kind("Rates", _rates),
    Kind("Large fields", _own(431, "computeFault", of=lambda pair: _longest(pair) > _LONGEST_FIELD)),
)


def kind_of(pair: Pair, difference: Difference) -> str | None:
    """The name of the first kind that covers it; None where none does, and it is not meant."""
    return next((kind.name for kind in KINDS if kind.covers(pair, difference)), None)


def settled(data: bytes) -> bytes:
    """The text without what is another in every answer."""
    for pattern, word in _VOLATILE:
        data = pattern.sub(word, data)
    return data


def differences(direct: Answer, through: Answer) -> Iterator[Difference]:
    if direct.status != through.status:
        yield Difference("status", direct.status, through.status)
    for name in sorted({*direct.fields, *through.fields}):
        one, other = direct.fields.get(name), through.fields.get(name)
        absent = one is None or other is None
        if absent or (name not in _VALUELESS and _settled(one or ()) != _settled(other or ())):
            yield Difference(name, one, other)
    if settled(direct.body) != settled(through.body):
        yield Difference("body", direct.body, through.body)


def _settled(values: tuple[str, ...]) -> list[bytes]:
    return [settled(value.encode("latin-1")) for value in values]
