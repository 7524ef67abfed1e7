"""What an exchange knows of the trace that it is part of, and whose word is taken for that.

The trace is made with the exchange: its ids go upstream and into the request log. Spans are made of the record when
the exchange is over, see `gateway.tracing`.
"""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from gateway.http.trace_context import Parent, SpanIds, parent_line, parse_parent, parse_state

if TYPE_CHECKING:
    from gateway.record import Record

Trust = Literal["always", "trusted_proxies", "never"]

_WHOLE: Final = 1 << 64


class Sending(NamedTuple):
    """An attempt that has been sent upstream.

    number   place of the attempt among those of its exchange
    span_id  of the attempt's own span
    at       seconds on the clock of `time.monotonic`
    """

    number: int
    span_id: str
    at: float


class Trace:
    """One exchange's part of a trace.

    trace_id   32 hexadecimal digits
    span_id    16, of the gateway's own span
    parent_id  of the client's span, None when the trace begins here
    sampled    whether its spans are exported; the upstream is told
    state      the tracestate that the request came with
    link       what a client said that is not believed, None otherwise
    sendings   the attempts that have been sent, in order
    """

    __slots__ = ("_source", "link", "parent_id", "sampled", "sendings", "span_id", "state", "trace_id")

    def __init__(
        self,
        source: "TraceSource",
        trace_id: str,
        parent_id: str | None,
        sampled: bool,
        state: bytes,
        link: Parent | None,
    ) -> None:
        self._source = source
        self.trace_id = trace_id
        self.span_id = source.ids.span()
        self.parent_id = parent_id
        self.sampled = sampled
        self.state = state
        self.link = link
        self.sendings: list[Sending] = []

    def send(self, number: int) -> bytes:
        """The fields that an attempt which is sent now carries: whole lines; `number` is as in Sending."""
        span_id = self._source.ids.span()
        self.sendings.append(Sending(number, span_id, monotonic()))
        line = parent_line(self.trace_id, span_id, self.sampled)
        return b"%btracestate: %b\r\n" % (line, self.state) if self.state else line

    def export(self, record: "Record") -> None:
        """Hands over the record of the exchange, if the trace is sampled. Never waits."""
        if self.sampled and self._source.export is not None:
            self._source.export(record)


class TraceSource:
    """Gives each exchange its trace. For one plan.

    trust   whose traceparent is believed
    sample  share of the traces begun here that are exported, 0 to 1; of others the client has decided
    export  takes the record of every exchange whose trace is sampled; None exports nothing
    """

    export: "Callable[[Record], None] | None" = None

    def __init__(self, trust: Trust, sample: float, ids: SpanIds | None = None) -> None:
        self._trust = trust
        self._bound = round(sample * _WHOLE)
        self.ids = ids or SpanIds()

    def trace(self, index: Mapping[bytes, bytes | list[bytes]], trusted: bool) -> Trace:
        """The trace of an exchange whose request has these fields; `trusted` says whether a trusted proxy sent it."""
        given = index.get(b"traceparent")
        # Two of them are as good as none.
        parent = parse_parent(given) if isinstance(given, bytes) else None
        if parent is not None and (self._trust == "always" or (trusted and self._trust == "trusted_proxies")):
            lines = index.get(b"tracestate")
            state = b"" if lines is None else parse_state(lines if isinstance(lines, list) else (lines,))
            return Trace(self, parent.trace_id, parent.span_id, parent.sampled, state, None)
        trace_id = self.ids.trace()
        # As the SDKs of OpenTelemetry judge: by the lower half of the id, so that many agree on one trace.
        sampled = self._bound >= _WHOLE or int(trace_id[16:], 16) < self._bound
        return Trace(self, trace_id, None, sampled, b"", parent)
