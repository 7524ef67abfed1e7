"""Records of exchanges from a few words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.api import Note, Principal, Rule
from gateway.api.body import Body
from gateway.api.exchange import Exchange, Instant, Request, Route
from gateway.http.fields import Fields
from gateway.record import Attempt, Peer, Received, Record, Step
from gateway.redaction import Redaction

REQUEST_ID = "req-70a599e0-31e7-49b7-b260-868f441e862b"
WALL = 1_700_000_000.25  # 2023-11-14T22:13:20.250Z
ALICE = Principal("u-1", "alice", project_id="p-1", project_name="demo", roles=("member", "reader"))


@dataclass(eq=False)
class Entry:
    """An entry of a chain as the record sees it."""

    name: str
    type: str = ""
    mode: str = "enforce"
    index: int = 0
    line: int = 12

    def __post_init__(self) -> None:
        self.type = self.type or self.name

    def source(self, rule: Rule) -> str:
        return f"gateway.yaml:{self.line}:{7 + 2 * len(rule)}"


@dataclass(eq=False)
class Facts:
    header_names: tuple[bytes, ...] = field(default=())
    secret_names: frozenset[bytes] = frozenset()
    revision: str = "abc123"
    redaction: Redaction = field(default_factory=Redaction)
    hash_key: bytes = b"k" * 32


def step(
    entry: Entry | str,
    verdict: str = "pass",
    reason: str | None = None,
    *,
    rule: Rule = (),
    seconds: float = 0.0005,
    status: int = 0,
    note: Sequence[Note] | None = None,
    facts: Mapping[str, object] | None = None,
    phase: str = "request",
) -> Step:
    return Step(
        Entry(entry) if isinstance(entry, str) else entry,
        verdict,
        reason,
        rule,
        seconds,
        status,
        tuple(note) if note is not None else None,
        facts,
        phase,
    )


def attempt(**changes: Any) -> Attempt:
    attempt = Attempt("compute", "127.0.0.1:8774", False, 200, None, None, None, 0.001, 0.002, 0.003)
    return attempt._replace(**changes)


FACTS = Facts()


def record(**changes: Any) -> Record:
    """A forwarded GET, but for `changes`; a `decider` is also the last of the steps."""
    given: dict[str, Any] = {
        "method": "GET",
        "target": b"/v2/p-1/images",
        "host": "api.example:8080",
        "scheme": "http",
        "http_version": "1.1",
        "peer": "192.0.2.7",
        "client": "198.51.100.9",
        "request_id": REQUEST_ID,
        "wall": WALL,
        "route_name": "images",
        "route_template": "/v2/{project_id}/images",
        "principal": None,
        "request_lines": (),
        "steps": None,
        **changes,
    }
    told = Record()
    told.plan = FACTS
    told.peer = Peer(given["peer"], 54321, given["scheme"])
    told.duration, told.chain_in, told.chain_out = 0.0125, 0.001, 0.0005
    told.status = 200
    told.decision = "forward"
    told.bytes_out = 870
    template = given.pop("route_template")
    name = given.pop("route_name")
    lines, steps = given.pop("request_lines"), given.pop("steps")
    exchange = Exchange(
        given.pop("method"),
        given.pop("target"),
        "",
        None,
        given.pop("scheme"),
        given.pop("host"),
        given.pop("peer"),
        given.pop("client"),
        given.pop("http_version"),
        given.pop("request_id"),
        Instant(given.pop("wall"), 1000.0),
        Request(Fields(), Body()),
        Route(name, template, "compute") if template is not None else None,
    )
    exchange.principal = given.pop("principal")
    told.exchange = exchange
    told.received = Received(lines)
    for field_name, value in given.items():
        assert hasattr(told, field_name), field_name
        setattr(told, field_name, value)
    if steps is None:
        steps = [] if told.decider is None else [told.decider]
    exchange.trail.extend(steps)
    return told


def refused(
    reason: str = "method_not_allowed", filter: str = "methods", status: int = 405, **changes: Any
) -> Record:
    decider = step(filter, "refuse", reason, rule=("allow",), status=status)
    return record(decision="refuse", reason=reason, status=status, decider=decider, **changes)
