"""Records of exchanges from a few words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.api import Note, Principal, Rule
from gateway.record import Attempt, Record, Step

REQUEST_ID = "req-70a599e0-31e7-49b7-b260-868f441e862b"
WALL = 1_700_000_000.25  # 2023-11-14T22:13:20.250Z
ALICE = Principal("u-1", "alice", project_id="p-1", project_name="demo", roles=("member", "reader"))


@dataclass
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


@dataclass
class Facts:
    header_names: tuple[bytes, ...] = field(default=())
    secret_names: frozenset[bytes] = frozenset()


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
    return Attempt("compute", "127.0.0.1:8774", False, 0.001, 0.002, 0.003, 200, None)._replace(**changes)


def record(**changes: Any) -> Record:
    """A forwarded GET, but for `changes`; a `decider` is also the last of the steps."""
    fields: dict[str, Any] = {
        "method": "GET",
        "target": b"/v2/p-1/images",
        "host": "api.example:8080",
        "scheme": "http",
        "http_version": "1.1",
        "peer": "192.0.2.7",
        "peer_port": 54321,
        "client": "198.51.100.9",
        "request_id": REQUEST_ID,
        "global_id": None,
        "upstream_request_id": None,
        "wall": WALL,
        "duration": 0.0125,
        "chain_in": 0.001,
        "chain_out": 0.0005,
        "route_name": "images",
        "route_template": "/v2/{project_id}/images",
        "principal": None,
        "request_lines": (),
        "status": 200,
        "decision": "forward",
        "reason": "passed",
        "decider": None,
        "steps": [],
        "attempts": [],
        "bytes_in": 0,
        "bytes_out": 870,
        "revision": "abc123",
        "plan_facts": Facts(),
    }
    fields.update(changes)
    if fields["decider"] is not None and "steps" not in changes:
        fields["steps"] = [fields["decider"]]
    return Record(**fields)


def refused(
    reason: str = "method_not_allowed", filter: str = "methods", status: int = 405, **changes: Any
) -> Record:
    decider = step(filter, "refuse", reason, rule=("allow",), status=status)
    return record(decision="refuse", reason=reason, status=status, decider=decider, **changes)
