"""The decision record of an exchange: all that is known of it when it is over.

A record is written as its exchange goes on, mostly by letting its class's values stand; no dictionary is built and
nothing is formatted. The request log makes lines of records later.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from gateway.api.certificate import Certificate
from gateway.api.exchange import Exchange, Note
from gateway.api.principal import Principal
from gateway.api.verdict import Rule
from gateway.excerpt import Excerpt
from gateway.http.fields import RawField
from gateway.redaction import Redaction
from gateway.trace import Trace

if TYPE_CHECKING:
    from gateway.flow import Flow

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
    """What the record needs to know of the plan: its revision, and what its filters declare that they read."""

    @property
    def revision(self) -> str: ...

    @property
    def hash_key(self) -> bytes:
        """The key of the hashes that stand for secret header values, and of those that its filters tell."""

    @property
    def header_names(self) -> tuple[bytes, ...]:
        """Names of request header fields, lower case."""

    @property
    def secret_names(self) -> frozenset[bytes]:
        """Names of those whose values are credentials, lower case, beside the ones known by their names."""

    @property
    def redaction(self) -> Redaction:
        """What is taken for secret beside."""


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
    """One attempt to forward an exchange to an upstream.

    address  the endpoint: host and port, or a socket
    error    a reason code
    detail   what more is known of the error
    peer     the IP address that was reached, where the endpoint is a name
    connect, first_byte, total  seconds, None where it was not reached
    """

    upstream: str
    address: str
    reused: bool
    status: int
    error: str | None
    detail: str | None
    peer: str | None
    connect: float | None
    first_byte: float | None
    total: float

    @property
    def body(self) -> float | None:
        """Seconds from the first byte of the answer to its end."""
        return None if self.first_byte is None else self.total - self.first_byte


class Peer(NamedTuple):
    """The other end of a connection.

    address      in normal form; `unix` through a Unix socket, empty where the system does not know
    port         0 where there is none
    scheme       "https" under TLS, else "http"
    proxy        address of the balancer that has told of `address` by the PROXY protocol; None without one
    tls          version of TLS, such as "1.3"; None without
    certificate  by which the client is known; None without
    """

    address: str
    port: int
    scheme: str
    proxy: str | None = None
    tls: str | None = None
    certificate: Certificate | None = None


class Received:
    """The header section of a request as it came, and what the request log has to say of it.

    lines  raw (name, value) pairs
    told   the request log's own: what it worked out of the lines, kept for the next record that has them
    flow   that of the last record that had them, which the next is likely to have too
    """

    __slots__ = ("flow", "lines", "told")

    def __init__(self, lines: Sequence[RawField] = ()) -> None:
        self.lines = lines
        self.told: Any = None
        self.flow: Flow | None = None


class Aside:
    """What few records have to say.

    queue  seconds that the exchange waited for its turn, see `gateway.upstream.passage`
    share  of records like this one that are kept, where not all are, see `gateway.sampling`
    traced whether the client was told where the time went, see `gateway.request_trace`
    request_body, response_body  the beginnings of bodies, see `gateway.excerpt`
    """

    queue: float | None = None
    share: float | None = None
    traced = False
    request_body: Excerpt | None = None
    response_body: Excerpt | None = None


class Record:
    """All that is known of one exchange when it is over; never changed after it is published.

    exchange             with its principal, and the trail that the chain left on it
    plan                 the one that the exchange ran under
    peer                 the connection's other end
    guards               the entries that passes in the trail belong to, in order
    global_id            the X-Openstack-Request-Id that the client sent, when it is a valid one
    upstream_request_id  the id in the upstream's answer
    duration             seconds from the head to the end of the answer
    under_way            seconds for which the oldest of the worker's other exchanges has been under way at that end; 0 for none
    chain_in, chain_out  seconds spent in filters, inward and outward
    status               0 when nothing was sent
    decision             "forward", "refuse", "answer", "fail" or "abort"
    decider              the step that decided, None when it was the core
    bytes_in, bytes_out  size of the bodies as they travelled
    flow                 what the record has in common with others, once it has been counted
    trace                the trace that the exchange is part of; None while there is no tracing
    aside                what few records have to say; None for most
    """

    # What most exchanges leave as it is belongs to the class.
    exchange: Exchange
    plan: PlanFacts
    received: Received
    peer: Peer
    guards: Sequence[EntryInfo] = ()
    global_id: str | None = None
    upstream_request_id: str | None = None
    duration = 0.0
    under_way = 0.0
    chain_in = 0.0
    chain_out = 0.0
    status = 0
    decision = "refuse"
    reason = "passed"
    decider: Step | None = None
    attempts: Sequence[Attempt] = ()
    bytes_in = 0
    bytes_out = 0
    flow: "Flow | None" = None
    trace: Trace | None = None
    aside: Aside | None = None

    def more(self) -> Aside:
        """Where what few records have to say is put."""
        if self.aside is None:
            self.aside = Aside()
        return self.aside

    @property
    def steps(self) -> list[Step]:
        """What each filter did, in order."""
        return steps(self.guards, self.exchange.trail)


def members(known: Principal | Certificate) -> dict[str, object]:
    """What is known, by the names that the filters know it by."""
    return {name: value for name in known.__slots__ if (value := getattr(known, name)) not in (None, ())}


def steps(guards: Sequence[EntryInfo], trail: Sequence[object]) -> list[Step]:
    """A trail read out.

    It begins with the instant, in seconds, at which the chain began. The chain then writes the instant at
    which each guard passed the exchange, behind what that guard noted; None for a guard that is passed over
    without a word. Whatever else befalls is a whole Step, with an instant behind it if the chain goes on.
    """
    told: list[Step] = []
    notes: list[Note] = []
    place = 0
    began = 0.0
    begins = True  # the next instant is one from which time is counted, and not that of a pass
    for item in trail:
        if isinstance(item, Step):
            told.append(item)
            begins = True
            if place < len(guards) and item.entry is guards[place]:
                place += 1
        elif isinstance(item, Note):
            notes.append(item)
        elif item is None:
            place += 1
        else:
            assert isinstance(item, float)
            if not begins:
                seconds = item - began
                noted = tuple(notes) or None
                told.append(Step(guards[place], "pass", None, (), seconds, 0, noted, None, "request"))
                notes = []
                place += 1
            began, begins = item, False
    return told
