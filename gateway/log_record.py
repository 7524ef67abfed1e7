"""From a line of the request log to a log record of OTLP (the OpenTelemetry protocol, version 1).

Attributes have the names that the record's fields have. The line has been redacted; nothing else is told here.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber

from gateway.console import decision, printable
from gateway.otlp import tell, utf8

EVENT: Final = "gateway.request"
"""Name of the event that a record is."""

_INFO: Final = (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO")
_WARN: Final = (SeverityNumber.SEVERITY_NUMBER_WARN, "WARN")
_ERROR: Final = (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR")
_SERVER_ERROR: Final = 500
_ELSEWHERE: Final = (
    "timestamp",
    "trace_id",
    "span_id",
)  # fields that a log record has a place of its own for


class LogRecords:
    """Log records of some exchanges, made into one request to a collector. For one thread at a time.

    resource  what all of them say of the gateway
    version   of the gateway
    clock     tells the time of day
    """

    def __init__(
        self, resource: Mapping[str, str], version: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._request = ExportLogsServiceRequest()
        of_gateway = self._request.resource_logs.add()
        tell(of_gateway.resource.attributes, resource)
        scope = of_gateway.scope_logs.add()
        scope.scope.name = "weir"
        scope.scope.version = version
        self._records = scope.log_records

    def __len__(self) -> int:
        return len(self._records)

    def add(self, item: bytes) -> None:
        """Adds the log record of a line about a request. Raises ValueError for what is none, and has added nothing then."""
        fields: dict[str, Any] = orjson.loads(item)
        at, trace_id, span_id = (fields.pop(name, None) for name in _ELSEWHERE)
        number, text = severity(fields)
        made = LogRecord(
            time_unix_nano=round(datetime.fromisoformat(at).timestamp() * 1000) * 1_000_000,
            observed_time_unix_nano=int(self._clock() * 1e9),
            severity_number=number,
            severity_text=text,
            event_name=EVENT,
        )
        made.body.string_value = utf8(body(fields))
        if trace_id is not None and span_id is not None:
            made.trace_id, made.span_id = bytes.fromhex(trace_id), bytes.fromhex(span_id)
        tell(made.attributes, fields)
        self._records.append(made)

    def take(self) -> bytes:
        """The request to the collector; the records in it are forgotten."""
        data = self._request.SerializeToString()
        del self._records[:]
        return data


def severity(fields: Mapping[str, Any]) -> tuple[SeverityNumber.ValueType, str]:
    """ERROR where the gateway or its upstream has failed, WARN where a request was refused or cut off, else INFO."""
    status = fields.get("http.response.status_code")
    verdict = fields.get("gateway.decision")
    if verdict == "fail" or (isinstance(status, int) and status >= _SERVER_ERROR):
        return _ERROR
    return _WARN if verdict in ("refuse", "abort") else _INFO


def body(fields: Mapping[str, Any]) -> str:
    """A short line for people: `DELETE /v2/p/images 405 methods: method_not_allowed`."""
    method = fields.get("http.request.method", "-")
    path = printable(str(fields.get("url.path", "-")))
    return f"{method} {path} {fields.get('http.response.status_code', '-')} {decision(fields)}"
