"""A collector of traces and logs that a test reads: a real HTTP server, in threads of its own, that decodes what it is sent."""

import gzip
import ssl
import threading
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.deadline import until

KINDS = {Span.SPAN_KIND_SERVER: "server", Span.SPAN_KIND_CLIENT: "client"}
STATUSES = {Status.STATUS_CODE_UNSET: "unset", Status.STATUS_CODE_ERROR: "error"}


def values(attributes: Iterable[Any]) -> dict[str, Any]:
    """Attributes of OTLP as a mapping; each may be there once."""
    told: dict[str, Any] = {}
    for attribute in attributes:
        assert attribute.key not in told, attribute.key
        told[attribute.key] = value(attribute.value)
    return told


def value(told: Any) -> Any:
    """An AnyValue as Python has it; None for an empty one."""
    kind = told.WhichOneof("value")
    if kind == "kvlist_value":
        return values(told.kvlist_value.values)
    if kind == "array_value":
        return [value(member) for member in told.array_value.values]
    return None if kind is None else getattr(told, kind)


class Logged(NamedTuple):
    """A log record as a test reads it; ids in hexadecimal digits, empty where there are none."""

    body: str
    severity: str
    number: int
    event: str
    at: int
    observed: int
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]


def logged(data: bytes) -> list[Logged]:
    """The log records of a request to a collector."""
    request = ExportLogsServiceRequest.FromString(data)
    return [
        Logged(
            value(record.body),
            record.severity_text,
            record.severity_number,
            record.event_name,
            record.time_unix_nano,
            record.observed_time_unix_nano,
            record.trace_id.hex(),
            record.span_id.hex(),
            values(record.attributes),
        )
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


class Told(NamedTuple):
    """A span as a test reads it; ids in hexadecimal digits, `parent` empty where there is none."""

    name: str
    kind: str
    status: str
    trace_id: str
    span_id: str
    parent: str
    state: str
    begin: int
    end: int
    attributes: Mapping[str, Any]
    events: list[tuple[str, int, Mapping[str, Any]]]
    links: list[tuple[str, str]]
    flags: int


def told(span: Any) -> Told:
    return Told(
        span.name,
        KINDS[span.kind],
        STATUSES[span.status.code],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        values(span.attributes),
        [(event.name, event.time_unix_nano, values(event.attributes)) for event in span.events],
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        span.flags,
    )


def read(data: bytes) -> list[Told]:
    """The spans of a request to a collector."""
    request = ExportTraceServiceRequest.FromString(data)
    return [
        told(span)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    collector: "Receiver"

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            data = gzip.decompress(data)
        status, fields, body = self.collector.taken(self.path, dict(self.headers.items()), data)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if fields.get("Connection") == "close":
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a gateway that ends leaves its connection


class Receiver:
    """Takes traces, or logs, on a port of its own.

    answers  status, fields and body of the first answers; from then on 200
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        """Path and fields of each request."""
        self.connections = 0
        self.gate = threading.Event()
        """While it is not set, no answer is given."""
        self.gate.set()
        self._data: list[bytes] = []
        handler = type("Handler", (_Handler,), {"collector": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def taken(self, path: str, fields: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
        self.requests.append((path, fields))
        self.gate.wait()
        answer = self.answers.pop(0) if self.answers else (200, {}, b"")
        if answer[0] == 200:
            self._data.append(data)
        return answer

    @property
    def resources(self) -> list[dict[str, Any]]:
        """What the spans, or the log records, of each request say of the gateway."""
        return [
            values(resource.resource.attributes)
            for data in self._data
            for resource in ExportTraceServiceRequest.FromString(data).resource_spans
        ]

    @property
    def spans(self) -> list[Told]:
        """Those that it has taken."""
        return [span for data in self._data for span in read(data)]

    @property
    def logs(self) -> list[Logged]:
        """Those that it has taken, where it is sent logs."""
        return [record for data in self._data for record in logged(data)]

    async def server_spans(self, count: int) -> list[Told]:
        """Waits for as many spans of exchanges."""

        def servers() -> list[Told]:
            return [span for span in self.spans if span.kind == "server"]

        await until(lambda: len(servers()) >= count, f"{count} exchanges have been told of")
        assert len(servers()) == count
        return servers()

    async def exchange(self) -> tuple[Told, list[Told]]:
        """The spans of the only exchange: the server's, and the clients' in order."""
        (server,) = await self.server_spans(1)
        return server, [span for span in self.spans if span.kind == "client"]


def partial(rejected: int) -> tuple[int, dict[str, str], bytes]:
    """An answer of a collector that has not taken all spans."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = "too many attributes"
    return 200, {"Content-Type": "application/x-protobuf"}, response.SerializeToString()
