"""A record of the request log as far as a back-test reads it, and how it is read.

What is not named here is passed over in the line and never becomes an object: of what reading a record takes that is the half.
Members stand in the order in which a line has them: the decoder looks for each behind the one before.
"""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, field

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `read` and `principal_of` raise for what is no record."""


class StepFacts(Struct, gc=False):
    """What a filter that counts has noted, or one in shadow that has found out who is calling, as it says it: from others anything
    may come."""

    instant: Any = None
    cells: Any = None
    because: Any = None
    used: Any = None
    principal: Raw = Raw()


class Note(Struct, gc=False):
    """A further note of a step."""

    facts: StepFacts | None = None


class Step(Struct, gc=False):
    """What a filter said."""

    name: str
    phase: Literal["request", "response"]
    verdict: Literal["pass", "refuse", "answer", "skip", "error", "undecided"]
    source: str = ""
    reason: str = ""
    status: int = 0
    shadow: bool = False
    ms: float = 0.0
    facts: StepFacts | None = None
    notes: tuple[Note, ...] = ()


class Facts(Struct, gc=False, kw_only=True):
    """What filters may judge by. The principal is as it stands in the line, since few of them are many records' own."""

    method: str = ""
    target: str = ""
    scheme: str = ""
    host: str = ""
    client: str = ""
    peer: str = ""
    headers: dict[str, Any] = {}
    certificate: dict[str, Any] | None = None
    content_type: str | None = None
    content_length: int | str | None = None
    clock: float
    principal: Raw = Raw()
    redacted: bool = False


class Line(Struct, gc=False):
    """One record; or a line of another kind, of which nothing else is known. See docs/records.md."""

    kind: str = ""
    version: Any = field(name="record_version", default=1)
    request_id: str = field(name="gateway.request_id", default="")
    path: str = field(name="url.path", default="")
    decision: str = field(name="gateway.decision", default="")
    reason: str = field(name="gateway.reason", default="")
    duration: float = field(name="gateway.duration_ms", default=0.0)
    chain_in: float = field(name="gateway.chain.in_ms", default=0.0)
    body_size: int = field(name="http.request.body.size", default=0)
    protocol_version: str = field(name="network.protocol.version", default="1.1")
    status: int = field(name="http.response.status_code", default=0)
    template: str = field(name="http.route", default="")
    route: str = field(name="gateway.route", default="")
    filter: str | None = field(name="gateway.filter", default=None)
    attempts: Raw = field(name="gateway.upstream.attempts", default=Raw())
    project: str = field(name="gateway.project.id", default="")
    under_way: float = field(name="gateway.under_way_ms", default=0.0)
    filters: tuple[Step, ...] = field(name="gateway.filters", default=())
    facts: Facts | None = field(name="gateway.facts", default=None)
    revision: str = field(name="gateway.revision", default="")
    worker: int | None = field(name="gateway.worker", default=None)
    since: float = field(name="gateway.since", default=0.0)
    sequence: int | None = field(name="gateway.sequence", default=None)
    sample: Raw = field(name="gateway.sample", default=Raw())


read = msgspec.json.Decoder(Line).decode
"""A line of bytes as a Line."""

principal_of = msgspec.json.Decoder(dict[str, Any]).decode
"""The members of a principal as it stands in a line."""
