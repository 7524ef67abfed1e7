"""The decision record of an exchange: all that is known of it when it is over.

The end of an exchange costs one `Record`: no dictionary is built and nothing is formatted there. The request log's
thread makes lines of records later.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from gateway.api.exchange import Note
from gateway.api.principal import Principal
from gateway.api.verdict import Rule

METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Methods with a name of their own in records and metrics; any other is `_OTHER`."""


class EntryInfo(Protocol):
    """What the record needs to know of an entry of the chain."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def source(self) -> Callable[[Rule], str]:
        """Gives `file:line:column` of the entry, or of a rule inside its options."""


class PlanFacts(Protocol):
    """What a plan's filters declare that they read."""

    @property
    def header_names(self) -> tuple[bytes, ...]:
        """Names of request header fields, lower case."""

    @property
    def secret_names(self) -> frozenset[bytes]:
        """Names of those whose values are credentials, lower case, beside the ones known by their names."""


class Step(NamedTuple):
    """One filter's part in an exchange.

    verdict  "pass", "refuse", "answer", "skip", "error" or "undecided"
    status   0 for a pass
    phase    "request" or "response"
    """

    entry: EntryInfo
    verdict: str
    reason: str | None
    rule: Rule
    seconds: float
    status: int
    note: tuple[Note, ...] | None
    facts: Mapping[str, object] | None
    phase: str


class Attempt(NamedTuple):
    """One attempt to forward an exchange to an upstream; seconds, None where it was not reached."""

    upstream: str
    address: str
    reused: bool
    connect: float | None
    first_byte: float | None
    total: float
    status: int
    error: str | None


class Record:
    """All that is known of one exchange when it is over; never changed afterwards.

    Give the arguments by position on the hot path: by keyword the call costs three times as much.

    method               as received, "" when the head could not be read
    global_id            the X-Openstack-Request-Id that the client sent, when it is a valid one
    upstream_request_id  the id in the upstream's answer
    wall                 seconds since the epoch when the head arrived
    duration             seconds from the head to the end of the answer
    chain_in, chain_out  seconds spent in filters, inward and outward
    route_template       None when no route was found
    request_lines        the raw header lines as received
    status               0 when nothing was sent
    decision             "forward", "refuse", "answer", "fail" or "abort"
    decider              the step that decided, None when it was the core
    bytes_in, bytes_out  size of the bodies as they travelled
    revision             of the configuration that the exchange ran under
    """

    __slots__ = (
        "attempts",
        "bytes_in",
        "bytes_out",
        "chain_in",
        "chain_out",
        "client",
        "decider",
        "decision",
        "duration",
        "global_id",
        "host",
        "http_version",
        "method",
        "peer",
        "peer_port",
        "plan_facts",
        "principal",
        "reason",
        "request_id",
        "request_lines",
        "revision",
        "route_name",
        "route_template",
        "scheme",
        "status",
        "steps",
        "target",
        "upstream_request_id",
        "wall",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        host: str,
        scheme: str,
        http_version: str,
        peer: str,
        peer_port: int,
        client: str,
        request_id: str,
        global_id: str | None,
        upstream_request_id: str | None,
        wall: float,
        duration: float,
        chain_in: float,
        chain_out: float,
        route_name: str | None,
        route_template: str | None,
        principal: Principal | None,
        request_lines: Sequence[tuple[bytes, bytes]],
        status: int,
        decision: str,
        reason: str,
        decider: Step | None,
        steps: Sequence[Step],
        attempts: Sequence[Attempt],
        bytes_in: int,
        bytes_out: int,
        revision: str,
        plan_facts: PlanFacts,
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.scheme = scheme
        self.http_version = http_version
        self.peer = peer
        self.peer_port = peer_port
        self.client = client
        self.request_id = request_id
        self.global_id = global_id
        self.upstream_request_id = upstream_request_id
        self.wall = wall
        self.duration = duration
        self.chain_in = chain_in
        self.chain_out = chain_out
        self.route_name = route_name
        self.route_template = route_template
        self.principal = principal
        self.request_lines = request_lines
        self.status = status
        self.decision = decision
        self.reason = reason
        self.decider = decider
        self.steps = steps
        self.attempts = attempts
        self.bytes_in = bytes_in
        self.bytes_out = bytes_out
        self.revision = revision
        self.plan_facts = plan_facts
