"""From a record to spans, as messages of OTLP (the OpenTelemetry protocol, version 1).

Names follow the conventions of OpenTelemetry for HTTP spans; what they have no name for is under `gateway.`. An exchange
is one span of the server's kind, with an event for each filter, and below it a span of the client's kind for each
attempt. What a client has written is told as the request log tells it: without credentials.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.api.verdict import Rule
from gateway.http.trace_context import SpanIds
from gateway.otlp import Value, tell, utf8
from gateway.record import METHODS, Attempt, Record, Step
from gateway.redaction import SHORTEST, credentials, redact_target, redact_value, scrub
from gateway.serializer import host_parts, readable, rule_text
from gateway.trace import Trace

EVENT: Final = "gateway.filter"
"""Name of the event of each filter."""

SERVER_ERROR: Final = 500
"""From this status on a server's span is one of an error; below, the client has erred."""
CLIENT_ERROR: Final = 400
"""From this status on a client's span is one of an error."""

_MEMO_MAX: Final = 4096
_SAMPLED: Final = 0x01
_REMOTE_KNOWN: Final = 0x100  # SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE: Final = 0x200  # SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


class _Told(NamedTuple):
    """What a request has to say for itself, without credentials."""

    method: str
    path: str
    query: str | None
    host: str
    port: int | None
    user_agent: str | None
    state: str


class _Life(NamedTuple):
    """Beginning and end of an attempt, in seconds of the monotonic clock."""

    begin: float
    end: float


class Spans:
    """The spans of some exchanges, made into one request to a collector. For one thread at a time.

    resource  what all of them say of the gateway
    version   of the gateway
    """

    def __init__(self, resource: Mapping[str, str], version: str) -> None:
        self._ids = SpanIds()
        self._request = ExportTraceServiceRequest()
        of_gateway = self._request.resource_spans.add()
        tell(of_gateway.resource.attributes, resource)
        scope = of_gateway.scope_spans.add()
        scope.scope.name = "weir"
        scope.scope.version = version
        self._spans = scope.spans
        self._events: dict[tuple[Any, ...], Span.Event] = {}

    def __len__(self) -> int:
        return len(self._spans)

    def add(self, record: Record) -> None:
        """Adds the spans of an exchange with a trace. Raises what an odd record may raise, and has added none then."""
        before = len(self._spans)
        try:
            self._add(record)
        except BaseException:
            del self._spans[before:]
            raise

    def take(self) -> bytes:
        """The request to the collector; the spans in it are forgotten."""
        data = self._request.SerializeToString()
        del self._spans[:]
        return data

    def _add(self, record: Record) -> None:
        trace, exchange = record.trace, record.exchange
        assert trace is not None
        wall, monotonic = exchange.clock
        # A float holds the time of day to a quarter of a microsecond only.
        arrived = int(wall * 1e9)

        def instant(at: float) -> int:
            return arrived + int((at - monotonic) * 1e9)

        over = monotonic + record.duration
        told = _told(record, trace)
        name = exchange.method if exchange.method in METHODS else "HTTP"
        route = exchange.route
        lives = _lives(record, trace)
        span = self._spans.add(
            trace_id=bytes.fromhex(trace.trace_id),
            span_id=bytes.fromhex(trace.span_id),
            trace_state=told.state,
            flags=_SAMPLED | _REMOTE_KNOWN,
            name=f"{name} {utf8(route.template)}" if route is not None else name,
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=instant(monotonic),
            end_time_unix_nano=instant(over),
        )
        if trace.parent_id is not None:
            span.parent_span_id = bytes.fromhex(trace.parent_id)
            span.flags |= _REMOTE
        if trace.link is not None:
            flags = _REMOTE_KNOWN | _REMOTE | (_SAMPLED if trace.link.sampled else 0)
            span.links.add(
                trace_id=bytes.fromhex(trace.link.trace_id),
                span_id=bytes.fromhex(trace.link.span_id),
                flags=flags,
            )
        if record.status >= SERVER_ERROR:
            span.status.code = Status.STATUS_CODE_ERROR
        tell(span.attributes, _of_server(record, told))
        at = {"request": monotonic, "response": _answered_at(record, lives)}
        for step in record.steps:
            at[step.phase] += step.seconds
            event = span.events.add()
            event.CopyFrom(self._event(step))
            event.time_unix_nano = instant(at[step.phase])
            event.attributes.add(key="gateway.filter.duration_ms").value.double_value = step.seconds * 1000

        ids = {sending.number: sending.span_id for sending in trace.sendings}
        for number, (attempt, life) in enumerate(zip(record.attempts, lives, strict=True)):
            child = self._spans.add(
                trace_id=span.trace_id,
                # One that was never sent has no id that anybody knows.
                span_id=bytes.fromhex(ids.get(number) or self._ids.span()),
                parent_span_id=span.span_id,
                trace_state=told.state,
                flags=_SAMPLED | _REMOTE_KNOWN,
                name=name,
                kind=Span.SPAN_KIND_CLIENT,
                start_time_unix_nano=instant(life.begin),
                # The clock is read for both: an attempt that ended last is not to seem the later one.
                end_time_unix_nano=instant(min(life.end, over)),
            )
            if attempt.error is not None or attempt.status >= CLIENT_ERROR:
                child.status.code = Status.STATUS_CODE_ERROR
                child.status.message = utf8(attempt.detail or "")
            tell(child.attributes, _of_client(attempt, number, told))

    def _event(self, step: Step) -> Span.Event:
        """What the event of a step has in common with those of others like it."""
        reason, rule = step.reason, step.rule
        if reason is None and step.note:
            reason, rule = step.note[0].reason, rule or step.note[0].rule
        key = (step.entry, step.verdict, reason, rule, step.status, step.phase)
        try:
            event = self._events.get(key)
        except TypeError:  # a plugin's rule that cannot be a key
            return _event(step, reason, rule)
        if event is None:
            if len(self._events) >= _MEMO_MAX:
                self._events.clear()
            event = self._events[key] = _event(step, reason, rule)
        return event


def _event(step: Step, reason: str | None, rule: Rule) -> Span.Event:
    event = Span.Event(name=EVENT)
    tell(
        event.attributes,
        {
            "gateway.filter.name": step.entry.name,
            "gateway.filter.type": step.entry.type,
            "gateway.filter.mode": step.entry.mode,
            "gateway.filter.phase": step.phase,
            "gateway.filter.verdict": step.verdict,
            "gateway.filter.reason": reason,
            "gateway.filter.rule": rule_text(rule) or None,
            "gateway.filter.status": step.status or None,
        },
    )
    return event


def _lives(record: Record, trace: Trace) -> list[_Life]:
    """When each attempt was made: by when it was sent, or, if it never was, behind the one before it."""
    sent_at = {sending.number: sending.at for sending in trace.sendings}
    last = record.exchange.clock.monotonic + record.chain_in
    lives: list[_Life] = []
    for number, attempt in enumerate(record.attempts):
        begin = max(last, sent_at[number] - (attempt.connect or 0.0)) if number in sent_at else last
        last = begin + attempt.total
        lives.append(_Life(begin, last))
    return lives


def _answered_at(record: Record, lives: Sequence[_Life]) -> float:
    """When the answer began its way outward."""
    if lives:
        first_byte = record.attempts[-1].first_byte
        return lives[-1].end if first_byte is None else lives[-1].begin + first_byte
    return record.exchange.clock.monotonic + max(record.chain_in, record.duration - record.chain_out)


def _of_server(record: Record, told: _Told) -> dict[str, Value]:
    exchange, peer = record.exchange, record.peer
    route, decider = exchange.route, record.decider
    known = exchange.method in METHODS
    failed = record.status >= SERVER_ERROR or not record.status or record.decision in ("fail", "abort")
    return {
        "http.request.method": exchange.method if known else "_OTHER",
        "http.request.method_original": None if known else told.method,
        "url.scheme": exchange.scheme,
        "url.path": told.path,
        "url.query": told.query,
        "http.route": route.template if route is not None else None,
        "http.response.status_code": record.status or None,
        "error.type": _error(record.reason, record.status) if failed else None,
        "http.request.body.size": record.bytes_in,
        "http.response.body.size": record.bytes_out,
        "client.address": exchange.client,
        "network.peer.address": peer.address,
        "network.peer.port": peer.port or None,
        "network.protocol.name": "http",
        "network.protocol.version": exchange.http_version,
        "server.address": told.host,
        "server.port": told.port,
        "tls.protocol.version": peer.tls,
        "user_agent.original": told.user_agent,
        "gateway.request_id": exchange.request_id,
        "gateway.decision": record.decision,
        "gateway.reason": record.reason,
        "gateway.route": route.name if route is not None else None,
        "gateway.filter": decider.entry.name if decider is not None else None,
        "gateway.source": decider.entry.source(decider.rule) if decider is not None else None,
        "gateway.revision": record.plan.revision,
    }


def _of_client(attempt: Attempt, number: int, told: _Told) -> dict[str, Value]:
    host, port = _endpoint(attempt.address)
    error = attempt.error
    if error is None and attempt.status >= CLIENT_ERROR:
        error = str(attempt.status)
    return {
        "http.request.method": told.method if told.method in METHODS else "_OTHER",
        "http.request.resend_count": number or None,
        "http.response.status_code": attempt.status or None,
        "error.type": error,
        "server.address": host,
        "server.port": port,
        "network.peer.address": attempt.peer,
        "gateway.upstream.name": attempt.upstream,
        "gateway.upstream.reused": attempt.reused,
        "gateway.upstream.connect_ms": _ms(attempt.connect),
        "gateway.upstream.first_byte_ms": _ms(attempt.first_byte),
        "gateway.upstream.body_ms": _ms(attempt.body),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _error(reason: str, status: int) -> str:
    """The upstream's own failure has no reason of ours; the conventions then want the status."""
    return reason if reason != "passed" else str(status)


def _endpoint(address: str) -> tuple[str, int | None]:
    """The address and the port of an endpoint as records name it; of a socket its path."""
    if address.startswith("unix:"):
        return address.removeprefix("unix://"), None
    return host_parts(address)


def _told(record: Record, trace: Trace) -> _Told:
    """What stands in a span of what the client has written."""
    exchange, plan = record.exchange, record.plan
    secrets: list[bytes] = []
    user_agent: bytes | None = None
    redaction = plan.redaction
    for raw_name, value in record.received.lines:
        lower = raw_name.lower()
        if lower in plan.secret_names or redaction.is_secret_header(lower.decode("latin-1")):
            secrets += credentials(lower.decode("latin-1"), value)
        elif lower == b"user-agent":
            user_agent = value
    secrets.sort(key=len, reverse=True)
    route = exchange.route
    target, placed = redaction.target(exchange.target, secrets, None if route is None else route.template)
    secrets = sorted({*secrets, *placed}, key=len, reverse=True)
    path, mark, query = target.partition(b"?")
    host = exchange.host
    if "@" in host:
        host = readable(redact_target(host.encode("utf-8", "backslashreplace"), secrets))
    name, port = host_parts(host.rpartition("@")[2])
    told = _Told(
        exchange.method,
        readable(path),
        readable(query) if mark else None,
        name,
        port,
        readable(redact_value(user_agent, secrets)) if user_agent is not None else None,
        trace.state.decode("ascii"),
    )
    # A token is no less one where a client has written it into some other part of its request.
    texts = [form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)]
    return _Told(*(scrub(part, texts) for part in told)) if texts else told  # type: ignore[arg-type]


def _forms(secret: bytes) -> list[str]:
    """A secret as it may stand in what is told."""
    text = secret.decode("latin-1")
    if text.isascii() and text.isprintable():
        return [text]
    return sorted({text, secret.decode("utf-8", "backslashreplace"), readable(secret)})
