"""What a record says of an exchange: what filters may judge by, what they said, and what is not known any more."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final, NamedTuple

from gateway.api.body import Body
from gateway.api.certificate import Certificate
from gateway.api.exchange import Exchange, Instant, Request
from gateway.api.principal import Principal
from gateway.backtest.line import Facts, Line, Step, StepFacts, principal_of
from gateway.backtest.sealed import REDACTED, SealedFields, sealed
from gateway.http.fields import Fields, RawField
from gateway.http.framing import PROTECTED, connection_options

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


_CLOSING: Final = 2
"""Version of records from which on workers write a last line."""

ENDLESS: Final = float("inf")
_UNKNOWN_LONG_AGO: Final = -ENDLESS
_REDACTED: Final = REDACTED.decode()
_VERSIONS: Final = (1, 2)
_LATEST: Final = 32_503_680_000.0
"""The year 3000."""
_SHORT: Final = 0.05
"""Milliseconds within which filters are asked that have nothing to wait for."""
_PLAIN_CONNECTION: Final = (b"keep-alive", b"close")

PASSED: Final = Verdict(FORWARD, reason="passed")


def undecidable(filter: str, why: str) -> Verdict:
    return Verdict(UNDECIDABLE, 0, filter, why)


class PastEntry(NamedTuple):
    """An entry of a configuration that was in force.

    limits  digests of its limits by their names
    scope   of which exchanges it judged; None where that is not told
    judges  names of the header fields that it judged as clients send them
    """

    type: str
    mode: str
    digest: str
    limits: Mapping[str, str]
    scope: str | None = None
    judges: frozenset[str] = frozenset()


class Past(NamedTuple):
    """A configuration that was in force, as far as the log describes it.

    entries  by name
    headers  names of the request header fields that records hold; None where that is not known
    core     digest of what is judged before any filter
    bounds   of it what is a number, by its name
    origin   digest of whom it believed about clients; None where that is not known
    owned    names of the request header fields that were taken from clients, if none of a chain judged them
    since    since when its limits may have counted anything, in seconds since the epoch
    begins   whether the line is the first of its worker; false for one that a file repeats, and for one of a reload
    at       when the log first told of it
    over     numbers of the workers in whose place that one is which tells of it, and which had ended by then
    hashed_by  what tells apart the keys of the hashes that stand for secrets, by `since` and the worker; empty for one that has
               had several
    rehashed   when the key has changed first, in seconds since the epoch, of those whose key has
    samples    by `since` and the worker, who says which records are left out of the log
    told     whenever the log tells of it: `since`, when, in seconds since the epoch, and the number of the configuration then; 0 where
             it has none
    """

    entries: Mapping[str, PastEntry]
    headers: frozenset[str] | None
    core: str
    since: float = 0.0
    begins: bool = True
    at: float = 0.0
    bounds: Mapping[str, int] = {}
    origin: str | None = None
    over: Sequence[int] = ()
    hashed_by: Mapping[tuple[float, int | None], str] = {}
    owned: frozenset[str] = frozenset()
    rehashed: Mapping[tuple[float, int | None], float] = {}
    samples: frozenset[tuple[float, int | None]] = frozenset()
    told: Sequence[tuple[float, float, int]] = ()

    def with_writers_of(self, other: "Past") -> "Past":
        """The same, which knows too by what the other says that secrets were hashed, and who says which records are left out."""
        mine, theirs, samples = self.hashed_by, other.hashed_by, self.samples | other.samples
        if samples == self.samples and all(mine.get(writer) in (key, "") for writer, key in theirs.items()):
            return self
        known = {writer: key if mine.get(writer, key) == key else "" for writer, key in theirs.items()}
        return self._replace(hashed_by={**mine, **known}, samples=samples)


UNKNOWN_PAST: Final = Past({}, None, "")


def past_of(fields: Mapping[str, Any]) -> Past:
    """The configuration that a line of kind `plan` describes; what it does not say is unknown."""
    plan = fields.get("gateway.plan")
    entries: dict[str, PastEntry] = {}
    if not isinstance(plan, Mapping):
        return UNKNOWN_PAST
    told = plan.get("entries")
    for entry in told if isinstance(told, list) else ():
        if not isinstance(entry, Mapping):
            continue
        limits, judges = entry.get("limits"), entry.get("judges")
        entries[str(entry.get("name"))] = PastEntry(
            str(entry.get("type", "")),
            str(entry.get("mode", "")),
            str(entry.get("digest", "")),
            limits if isinstance(limits, Mapping) else {},
            str(entry["scope"]) if "scope" in entry else None,
            frozenset(map(str, judges)) if isinstance(judges, list) else frozenset(),
        )
    headers, since = plan.get("headers"), plan.get("since")
    bounds, origin, over = plan.get("bounds"), plan.get("origin"), plan.get("over")
    began = float(since) if isinstance(since, (int, float)) else 0.0
    worker, hashed_by, owned = fields.get("gateway.worker"), plan.get("hashed_by"), plan.get("owned")
    writer = began, worker if isinstance(worker, int) else None
    at, number = instant_of(fields.get("timestamp")), fields.get("gateway.generation")
    return Past(
        entries,
        frozenset(map(str, headers)) if isinstance(headers, list) else None,
        str(plan.get("core", "")),
        began,
        fields.get("gateway.begins") is not False,  # older gateways do not say
        at,
        {name: bound for name, bound in bounds.items() if isinstance(bound, int)}
        if isinstance(bounds, Mapping)
        else {},
        origin if isinstance(origin, str) else None,
        [number for number in over if isinstance(number, int)] if isinstance(over, list) else (),
        {writer: hashed_by} if isinstance(hashed_by, str) else {},
        frozenset(map(str, owned)) if isinstance(owned, list) else frozenset(),
        samples=frozenset((writer,))
        if isinstance(plan.get("sample"), Mapping) and "gateway.generation" in fields
        else frozenset(),
        told=[(began, at, number if isinstance(number, int) else 0)],
    )


def instant_of(text: object) -> float:
    """What a `timestamp` says, in seconds since the epoch; 0 where it says nothing."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def since_of(fields: Mapping[str, Any]) -> float:
    """Since when the memory has been there of the gateway whose line it is; 0 where it does not say."""
    plan, since = fields.get("gateway.plan"), fields.get("gateway.since")
    if since is None and isinstance(plan, Mapping):
        since = plan.get("since")
    return float(since) if isinstance(since, (int, float)) else 0.0


class End(NamedTuple):
    """What the last line of a worker says that has ended in order: when, the number of its last record, and when the exchange of
    that was over; where it does not tell, when the worker was."""

    since: float
    worker: int
    sequence: int
    at: float
    last: float


def end_of(fields: Mapping[str, Any]) -> End:
    """What a line of kind `end` says. Raises ValueError for one that is damaged."""
    since, worker, sequence = (
        fields.get(name) for name in ("gateway.since", "gateway.worker", "gateway.sequence")
    )
    if not (isinstance(worker, int) and isinstance(sequence, int)):
        raise ValueError("the last line of a worker is damaged")
    known = float(since) if isinstance(since, (int, float)) else 0.0
    at, last = instant_of(fields.get("timestamp")), fields.get("gateway.last")
    return End(known, worker, sequence, at, float(last) if isinstance(last, (int, float)) else at)


class Mark(NamedTuple):
    """What a worker says while it is at work: that up to this instant nothing is missing of it.

    sequence  number of its last record
    last      when the exchange of that was over; minus infinity where there is none
    behind    when at the earliest an exchange began that has a later number
    """

    since: float
    worker: int
    sequence: int
    last: float
    behind: float


def mark_of(fields: Mapping[str, Any]) -> Mark:
    """What a line of kind `mark` says. Raises ValueError for one that is damaged."""
    end = end_of(fields)
    under_way = fields.get("gateway.under_way_ms", 0.0)
    if not isinstance(under_way, (int, float)) or not end.at:
        raise ValueError("what a worker says of its records is damaged")
    last = end.last if "gateway.last" in fields else _UNKNOWN_LONG_AGO
    return Mark(end.since, end.worker, end.sequence, last, end.at - under_way / 1000)


def at_work(fields: Mapping[str, Any]) -> tuple[float, float, frozenset[int]] | None:
    """Which workers were at work as a line of a worker has it: since when its memory has been there, when the line was written, and
    their numbers. None where it does not say."""
    told, since, at = (
        fields.get("gateway.workers"),
        fields.get("gateway.since"),
        instant_of(fields.get("timestamp")),
    )
    if not isinstance(told, list) or not isinstance(since, (int, float)) or not at:
        return None
    return float(since), at, frozenset(number for number in told if isinstance(number, int))


class Recorded:
    """One record.

    at        seconds since the epoch, when the head of the request had arrived
    steps     of the filters inward, by name of the entry
    late      of those outward
    foreign   whether it is of a version of which nobody here knows what it says
    sampled   whether there are exchanges like this one without a record, and its worker has not said since when
    told      whether it is to be told of
    since     since when there has been the memory that limits were counted in; 0 where that is not known
    """

    __slots__ = ("_line", "at", "facts", "foreign", "late", "past", "sampled", "since", "steps", "told")

    def __init__(self, line: Line, past: Past, *, told: bool = True, since: float = 0.0) -> None:
        """Raises ValueError for what is no record."""
        facts = line.facts
        if facts is None:
            raise ValueError("the record has no facts")
        if not 0 <= facts.clock < _LATEST:
            raise ValueError("the record is of no time")
        self._line = line
        self.facts: Facts = facts
        self.past = past
        self.told = told
        self.since = since
        self.at: float = facts.clock
        self.foreign = type(line.version) is not int or line.version not in _VERSIONS
        self.sampled = bool(line.sample) and (since, line.worker) not in past.samples
        self.steps: dict[str, Step] = {}
        self.late: list[Step] = []
        for step in line.filters:
            if step.phase == "request":
                self.steps[step.name] = step
            else:
                self.late.append(step)

    @property
    def worker(self) -> int:
        """Which worker wrote it. Raises ValueError where the record does not say."""
        number = self._line.worker
        if number is None:
            raise ValueError("the record does not say whose it is")
        return number

    @property
    def sequence(self) -> int:
        """The number of the record among its worker's. Raises ValueError where the record does not say."""
        number = self._line.sequence
        if number is None:
            raise ValueError("the record has no number")
        return number

    @property
    def closes(self) -> bool:
        """Whether its worker says so when it ends in order: those of older gateways do not."""
        return bool(self.foreign or self._line.version >= _CLOSING)

    @property
    def ended(self) -> float:
        """When the exchange was over, and its record got its number, in seconds since the epoch."""
        return self.at + self._line.duration / 1000

    @property
    def behind(self) -> float:
        """The earliest instant at which an exchange may have begun that has a later number of the same worker: those that were under
        way when this one ended have begun after it, and all others later. Of older gateways nobody knows."""
        if self.foreign or not self.closes:
            return _UNKNOWN_LONG_AGO
        return self.ended - self._line.under_way / 1000

    @property
    def hashed_by(self) -> str:
        """What tells the key of the hashes in it from others; empty where that is not known, as where the log does not describe its
        configuration. Older gateways do not tell of the key: then it is taken to be one for each configuration."""
        known = self.past.hashed_by
        if not known:
            return "" if self.past is UNKNOWN_PAST else self._line.revision
        return known.get((self.since, self._line.worker), "")

    @property
    def token_hashed_by(self) -> str:
        """The same of the key of tokens that the principal has. What a gateway remembers of a token when its key of hashes changes it
        has hashed by the one before."""
        changed = self.past.rehashed.get((self.since, self._line.worker))
        return self.hashed_by if changed is None or self.at < changed else ""

    def waited(self, names: Sequence[str]) -> float:
        """Seconds for which entries of these names have held the request."""
        if self._line.chain_in < _SHORT:
            return 0.0
        steps = self.steps
        return sum(steps[name].ms for name in names if name in steps) / 1000

    @property
    def request_id(self) -> str:
        return self._line.request_id

    @property
    def route(self) -> str:
        """The route's name; empty for none."""
        return self._line.route

    @property
    def template(self) -> str:
        """Of the route's path; empty for none."""
        return self._line.template

    @property
    def project(self) -> str:
        """The project's id; empty where it is not known."""
        return self._line.project

    @property
    def asked(self) -> str:
        """Method and path."""
        return f"{self.facts.method} {self._line.path}"

    @property
    def status(self) -> int:
        """Of the answer; 0 where none was sent."""
        return self._line.status

    @property
    def entered(self) -> bool:
        """Whether filters were asked at all: what is refused before leaves no trace of them."""
        line = self._line
        return not (
            line.decision == REFUSE
            and line.filter is None
            and line.reason not in NOT_ROUTED
            and line.reason not in BEHIND_THE_CHAIN
        )

    @property
    def reason(self) -> str:
        return self._line.reason

    def verdict(self) -> Verdict:
        """What the filters decided of the request on its way inward."""
        line = self._line
        if line.decision == FORWARD and line.reason == "passed":
            return PASSED  # so no filter has said anything else
        for name, step in self.steps.items():
            said = step.verdict
            if said != "pass" and not step.shadow and said in ("refuse", "answer", "error"):
                kind = ANSWER if said == "answer" else REFUSE
                return Verdict(kind, step.status, name, step.reason, step.source)
        reason = line.reason
        if line.decision == REFUSE and (reason in NOT_ROUTED or not self.entered):
            return Verdict(REFUSE, self.status, "", reason)
        if reason in UNFINISHED and not line.attempts:
            return undecidable("", f"the exchange ended before it was judged: {reason}")
        return PASSED

    def exchange(self, clock: Instant, names: AbstractSet[str] | None = None) -> Exchange:
        """The exchange as far as it is known; what is not is empty. `names` are the header fields that are wanted, None all."""
        facts = self.facts
        target: str = facts.target
        path, mark, query = target.partition("?")
        lines: list[RawField] = []
        whole = True
        if names is None or names:
            headers: dict[str, Any] = facts.headers
            if "connection" in headers:
                headers = _seen(headers)
            for name in headers:
                if names is None or name in names:
                    told = headers[name]
                    if isinstance(told, str) and _REDACTED not in told:
                        lines.append((name.encode("latin-1"), told.encode("latin-1", "replace")))
                    else:
                        whole = _add(lines, name, told) and whole
            if (names is None or "content-type" in names) and "content-type" not in headers:
                content_type = facts.content_type
                if content_type is not None:
                    whole = _add(lines, "content-type", content_type) and whole
        length = facts.content_length
        body = Body(None, length if isinstance(length, int) else None) if length else Body()
        made = Exchange(
            facts.method,
            target.encode("latin-1", "replace"),
            path,
            query if mark else None,
            facts.scheme,
            facts.host,
            facts.peer,
            facts.client,
            self._line.protocol_version,
            self.request_id,
            clock,
            Request(Fields.over(lines) if whole else SealedFields.over(lines), body),
        )
        certificate = facts.certificate
        if certificate is not None:
            made.certificate = _certificate(certificate)
        return made

    @property
    def principal_text(self) -> bytes:
        """The principal as it stands in the record; empty for none."""
        return bytes(self.facts.principal)

    @property
    def principal(self) -> Principal | None:
        """Who was calling, when all filters had found out."""
        told = self.principal_text
        return principal_in(told) if told else None

    def found_in_shadow(self, name: str) -> bytes:
        """Who was calling by the word of an entry that was in shadow: text as above, `null` for nobody; empty where it is not told."""
        facts = self.steps[name].facts
        return bytes(facts.principal) if facts is not None else b""

    @property
    def principal_is_known(self) -> bool:
        """Whether nothing of the principal has been left out, because it was a secret of the request too."""
        return self.principal_text.find(REDACTED) < 0  # for bytes, `in` is an error inside first

    @property
    def length_is_known(self) -> bool:
        """Whether the size of the request's body is known without its bytes: it said so, or there was none."""
        return self.facts.content_length is not None or not self._line.body_size

    @property
    def body_size(self) -> int:
        """Bytes of the request's body that have come."""
        return int(self._line.body_size)

    @property
    def body_is_empty(self) -> bool:
        return not self._line.body_size and not self.facts.content_length

    @property
    def path_is_known(self) -> bool:
        """Whether nothing of the path has been left out."""
        return not (self.facts.redacted and _REDACTED in self.facts.target.partition("?")[0])

    @property
    def query_is_known(self) -> bool:
        return not self.facts.redacted


def _seen(headers: dict[str, Any]) -> dict[str, Any]:
    """Without the fields that Connection names, which no filter has seen; newer records do not have them."""
    told = headers["connection"]
    values = [value.encode("latin-1", "replace") for value in (told if isinstance(told, list) else [told])]
    named = {option.decode("latin-1") for option in connection_options(values) - PROTECTED}
    if len(values) == 1 and values[0].lower() in _PLAIN_CONNECTION:
        return headers
    return {name: value for name, value in headers.items() if name not in named}


def _add(lines: list[RawField], name: str, told: Any) -> bool:
    """Adds the lines of a header field; whether all of their values are known."""
    whole = True
    for value in told if isinstance(told, list) else (told,):
        if isinstance(value, str) and _REDACTED not in value:
            lines.append((name.encode("latin-1"), value.encode("latin-1", "replace")))
        else:
            whole = False
            lines.append(
                (name.encode("latin-1"), sealed(value if isinstance(value, str) else value.get("hash", "")))
            )
    return whole


_LISTS: Final = frozenset(("roles", "groups", "authenticated_by", "impersonator_roles", "audit_ids"))


def principal_in(text: bytes) -> Principal:
    """The principal that stands in a record."""
    told = principal_of(text)
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


def cells_of(facts: StepFacts | None) -> tuple[float | None, Sequence[Sequence[Any]]]:
    """The instant at which a filter counted, and the cells as they were: limit, hash of the key, cost, and what it held."""
    if facts is None:
        return None, ()
    instant, cells = facts.instant, facts.cells
    if not isinstance(instant, (int, float)):
        instant = None
    if cells is None or not isinstance(cells, list):
        return instant, ()
    for cell in cells:
        _, hashed, cost, held = cell
        if not isinstance(hashed, str) or not isinstance(cost, int):
            raise TypeError("the cells of the record are damaged")
        if held is not None:
            left, x, y = held
            if not (isinstance(left, float) and isinstance(x, (int, float)) and isinstance(y, (int, float))):
                raise TypeError("the cells of the record are damaged")
    return instant, cells
