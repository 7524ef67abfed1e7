"""What a record says of an exchange: what filters may judge by, what they said, and what is not known any more."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final, NamedTuple

from gateway.api.body import Body
from gateway.api.certificate import Certificate
from gateway.api.exchange import Exchange, Instant, Request
from gateway.api.principal import Principal
from gateway.http.fields import Fields, RawField

FORWARD: Final = "forward"
REFUSE: Final = "refuse"
ANSWER: Final = "answer"
UNDECIDABLE: Final = "undecidable"

NOT_ROUTED: Final = frozenset(("route_not_found", "method_not_routed"))
"""Reasons by which the router refuses, behind the filters of all routes."""
BEHIND_THE_CHAIN: Final = frozenset(
    ("route_concurrency_exceeded", "upstream_concurrency_exceeded", "max_forwards_reached")
)
"""Reasons for which the gateway answers what all filters have passed."""
UNFINISHED: Final = frozenset(("client_disconnected", "gateway_stopped", "body_timeout"))
"""Reasons of ends that may come before the filters have judged."""


class Verdict(NamedTuple):
    """What became of a request, as far as the gateway decides it.

    kind    forward, refuse, answer or undecidable
    status  of the gateway's own answer; 0 where the upstream answers
    filter  name of the entry that decided; empty for none
    reason  reason code; of what is undecidable, why
    source  where in the configuration
    """

    kind: str
    status: int = 0
    filter: str = ""
    reason: str = ""
    source: str = ""

    def same(self, other: "Verdict") -> bool:
        """Whether a client sees the same, and for the same reason."""
        return self[:4] == other[:4]


PASSED: Final = Verdict(FORWARD, reason="passed")


def undecidable(filter: str, why: str) -> Verdict:
    return Verdict(UNDECIDABLE, 0, filter, why)


class PastEntry(NamedTuple):
    """An entry of a configuration that was in force.

    limits  digests of its limits by their names
    scope   of which exchanges it judged; None where that is not told
    """

    type: str
    mode: str
    digest: str
    limits: Mapping[str, str]
    scope: str | None = None


class Past(NamedTuple):
    """A configuration that was in force, as far as the log describes it.

    entries  by name
    headers  names of the request header fields that records hold; None where that is not known
    core     digest of what is judged before any filter
    since    since when its limits may have counted anything, in seconds since the epoch
    at       when the log first told of it
    """

    entries: Mapping[str, PastEntry]
    headers: frozenset[str] | None
    core: str
    since: float = 0.0
    at: float = 0.0


UNKNOWN_PAST: Final = Past({}, None, "")


def past_of(fields: Mapping[str, Any]) -> Past:
    """The configuration that a line of kind `plan` describes; what it does not say is unknown."""
    plan = fields.get("gateway.plan")
    entries: dict[str, PastEntry] = {}
    if not isinstance(plan, Mapping):
        return UNKNOWN_PAST
    for entry in plan.get("entries") or ():
        limits = entry.get("limits")
        entries[str(entry.get("name"))] = PastEntry(
            str(entry.get("type", "")),
            str(entry.get("mode", "")),
            str(entry.get("digest", "")),
            limits if isinstance(limits, Mapping) else {},
            str(entry["scope"]) if "scope" in entry else None,
        )
    headers, since = plan.get("headers"), plan.get("since")
    return Past(
        entries,
        frozenset(map(str, headers)) if isinstance(headers, list) else None,
        str(plan.get("core", "")),
        float(since) if isinstance(since, (int, float)) else 0.0,
        _instant(fields.get("timestamp")),
    )


def _instant(text: object) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


class Recorded:
    """One record.

    at        seconds since the epoch, when the head of the request had arrived
    steps     of the filters inward, by name of the entry
    late      of those outward
    sampled   whether there are exchanges like this one without a record
    """

    __slots__ = ("_fields", "at", "facts", "late", "past", "sampled", "steps")

    def __init__(self, fields: dict[str, Any], past: Past) -> None:
        """Raises ValueError for what is no record."""
        facts = fields.get("gateway.facts")
        if not isinstance(facts, dict) or not isinstance(facts.get("clock"), (int, float)):
            raise ValueError("the record has no facts")
        self._fields = fields
        self.facts: dict[str, Any] = facts
        self.past = past
        self.at: float = facts["clock"]
        self.sampled = "gateway.sample" in fields
        self.steps: dict[str, dict[str, Any]] = {}
        self.late: list[dict[str, Any]] = []
        steps: list[dict[str, Any]] = fields.get("gateway.filters") or []
        for step in steps:
            if step["phase"] == "request":
                self.steps[step["name"]] = step
            else:
                self.late.append(step)

    @property
    def request_id(self) -> str:
        return str(self._fields.get("gateway.request_id", ""))

    @property
    def route(self) -> str:
        """The route's name; empty for none."""
        return str(self._fields.get("gateway.route", ""))

    @property
    def project(self) -> str:
        """The project's id; empty where it is not known."""
        return str(self._fields.get("gateway.project.id", ""))

    @property
    def asked(self) -> str:
        """Method and path."""
        return f"{self.facts.get('method', '')} {self._fields.get('url.path', '')}"

    @property
    def status(self) -> int:
        """Of the answer; 0 where none was sent."""
        status = self._fields.get("http.response.status_code")
        return status if isinstance(status, int) else 0

    @property
    def entered(self) -> bool:
        """Whether filters were asked at all: what is refused before leaves no trace of them."""
        return not (
            self._fields["gateway.decision"] == REFUSE
            and "gateway.filter" not in self._fields
            and self._fields["gateway.reason"] not in NOT_ROUTED
            and self._fields["gateway.reason"] not in BEHIND_THE_CHAIN
        )

    @property
    def reason(self) -> str:
        return str(self._fields["gateway.reason"])

    def verdict(self) -> Verdict:
        """What the filters decided of the request on its way inward."""
        fields = self._fields
        decision, reason = fields["gateway.decision"], fields["gateway.reason"]
        for name, step in self.steps.items():
            if step["verdict"] in ("refuse", "answer", "error") and not step.get("shadow"):
                kind = ANSWER if step["verdict"] == "answer" else REFUSE
                return Verdict(kind, step["status"], name, step["reason"], step["source"])
        if decision == REFUSE and reason in NOT_ROUTED:
            return Verdict(REFUSE, self.status, "", reason)
        if decision == REFUSE and not self.entered:
            return Verdict(REFUSE, self.status, "", reason)
        if reason in UNFINISHED and "gateway.upstream.attempts" not in fields:
            return undecidable("", f"the exchange ended before it was judged: {reason}")
        return PASSED

    def exchange(self, clock: Instant, names: AbstractSet[str] | None = None) -> Exchange:
        """The exchange as far as it is known; what is not is empty. `names` are the header fields that are wanted, None all."""
        facts = self.facts
        target: str = facts["target"]
        path, mark, query = target.partition("?")
        lines: list[RawField] = []
        if names is None or names:
            headers: dict[str, Any] = facts["headers"]
            for name in headers:
                if names is None or name in names:
                    told = headers[name]
                    if isinstance(told, str):
                        lines.append((name.encode("latin-1"), told.encode("latin-1", "replace")))
                    else:
                        _add(lines, name, told)
            if (names is None or "content-type" in names) and "content-type" not in headers:
                content_type = facts.get("content_type")
                if content_type is not None:
                    lines.append((b"content-type", content_type.encode("latin-1", "replace")))
        length = facts.get("content_length")
        body = Body(None, length if isinstance(length, int) else None) if length else Body()
        made = Exchange(
            facts["method"],
            target.encode("latin-1", "replace"),
            path,
            query if mark else None,
            facts["scheme"],
            facts["host"],
            facts["peer"],
            facts["client"],
            str(self._fields.get("network.protocol.version", "1.1")),
            self.request_id,
            clock,
            Request(Fields.over(lines), body),
        )
        certificate = facts.get("certificate")
        if certificate is not None:
            made.certificate = _certificate(certificate)
        return made

    @property
    def principal(self) -> Principal | None:
        """Who was calling, when all filters had found out."""
        told = self.facts.get("principal")
        return _principal(told) if told is not None else None

    @property
    def length_is_known(self) -> bool:
        """Whether the size of the request's body is known without its bytes: it said so, or there was none."""
        return "content_length" in self.facts or not self._fields.get("http.request.body.size")

    @property
    def body_is_empty(self) -> bool:
        return not self._fields.get("http.request.body.size") and not self.facts.get("content_length")

    @property
    def path_is_known(self) -> bool:
        """Whether nothing of the path has been left out."""
        return not (self.facts.get("redacted") and "[redacted]" in self.facts["target"].partition("?")[0])

    @property
    def query_is_known(self) -> bool:
        return not self.facts.get("redacted")


def _add(lines: list[RawField], name: str, told: Any) -> None:
    """The lines of a header field, where there are several, or a hash stands for its value."""
    for value in told if isinstance(told, list) else (told,):
        text = value if isinstance(value, str) else value.get("hash", "")
        lines.append((name.encode("latin-1"), text.encode("latin-1", "replace")))


_LISTS: Final = frozenset(("roles", "groups", "authenticated_by", "impersonator_roles", "audit_ids"))


def _principal(told: Mapping[str, Any]) -> Principal:
    members: dict[str, Any] = {
        name: tuple(value) if name in _LISTS else tuple(map(tuple, value)) if name == "assignments" else value
        for name, value in told.items()
    }
    return Principal(**members)


def _certificate(told: Mapping[str, Any]) -> Certificate:
    members: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
    }
    return Certificate(**members)


def cells_of(step: dict[str, Any]) -> tuple[float | None, Sequence[Sequence[Any]]]:
    """The instant at which a filter counted, and the cells as they were: limit, hash of the key, cost, and what it held."""
    facts = step.get("facts") or {}
    cells = facts.get("cells")
    instant = facts.get("instant")
    return (instant if isinstance(instant, (int, float)) else None), cells if isinstance(cells, list) else ()
