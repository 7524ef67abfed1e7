"""What a configuration does with a request: the route, what each filter said and changed, and what both sides see."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.trial.routing import Considered
from gateway.trial.witness import Change


class Judged(NamedTuple):
    """One filter's part.

    told      the step as the record tells it: name, type, mode, phase, verdict, reason, rule, source, facts, notes
    undecided why it cannot judge by what is supposed; empty where it can. Then nothing of the verdict counts
    changes   what it changed in the message
    supposed  what its verdict rests on, beside the request; empty for nothing
    """

    told: Mapping[str, Any]
    undecided: str
    changes: Sequence[Change]
    supposed: str


class Message(NamedTuple):
    """A request or an answer as it goes out. `line` is a request line, or a status and its phrase."""

    line: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.line.partition(" ")[0])


class Outcome(NamedTuple):
    """What becomes of a request.

    record     its fields as the request log would have them
    routes     all of the configuration's, that which takes the request first
    params     path parameters of the route
    steps      what the filters did, in order
    forwarded  what the upstream gets; None where it gets nothing
    answer     what the client gets; None where that is up to the upstream, or where it is undecided
    undecided  names of the filters that enforce and cannot judge, each with the reason
    """

    record: Mapping[str, Any]
    routes: Sequence[Considered]
    params: Mapping[str, str]
    steps: Sequence[Judged]
    forwarded: Message | None
    answer: Message | None
    undecided: Mapping[str, str]

    @property
    def decision(self) -> str:
        """`forward`, `refuse`, `answer` or `fail` as in records; `undecidable` where that cannot be known."""
        return "undecidable" if self.undecided else str(self.record["gateway.decision"])

    @property
    def reason(self) -> str:
        return "undecidable" if self.undecided else str(self.record["gateway.reason"])

    @property
    def route(self) -> str | None:
        """The name of the route."""
        name = self.record.get("gateway.route")
        return name if isinstance(name, str) else None

    @property
    def filter(self) -> str | None:
        """The name of the filter that decided."""
        name = self.record.get("gateway.filter")
        return name if isinstance(name, str) and not self.undecided else None

    @property
    def status(self) -> int | None:
        """Of the answer to the client."""
        return self.answer.status if self.answer is not None else None


def message_of(data: bytes) -> Message:
    """A message as it was sent: one request, or an answer behind those that were only interim."""
    head, _, rest = data.partition(b"\r\n\r\n")
    while head.startswith((b"HTTP/1.1 100", b"HTTP/1.1 103")):
        head, _, rest = rest.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip(" \t")) for name, _, value in (text.partition(":") for text in lines)]
    coding = [value for name, value in headers if name.lower() == "transfer-encoding"]
    if coding:
        rest = _joined(rest)
    if line.startswith("HTTP/1."):
        line = line.partition(" ")[2]
    return Message(line, headers, rest)


def _joined(rest: bytes) -> bytes:
    """A body that is sent in chunks."""
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.partition(b";")[0] or b"0", 16)
        if not length:
            break
        body += rest[:length]
        rest = rest[length + 2 :]
    return body
