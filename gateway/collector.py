"""The way to a collector of traces or logs: OTLP over HTTP (OpenTelemetry protocol 1, section "OTLP/HTTP").

It blocks, and is for a thread of its own.
"""

import gzip
import ssl
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from gateway import __version__
from gateway.config.model import CollectorURL, Export

MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read."""

_TRY_AGAIN: Final = frozenset((429, 502, 503, 504))
_PROTOBUF: Final = "application/x-protobuf"


class Outcome(NamedTuple):
    """What has become of a request.

    failure   why it failed, in a few words; None when it was taken
    again     whether the same request may be sent again
    wait      seconds that the collector asks to be left alone
    rejected  spans or records that it has refused though it took the request
    """

    failure: str | None = None
    again: bool = False
    wait: float = 0.0
    rejected: int = 0


class Collector:
    """A collector and the connection to it, kept between requests. `context` is for an https one."""

    def __init__(self, options: Export, context: ssl.SSLContext | None) -> None:
        self._url: CollectorURL = options.endpoint
        self._timeout = options.timeout
        self._context = context
        self._compresses = options.compression == "gzip"
        self._fields = {
            **{name: secret.reveal() for name, secret in options.headers.items()},
            "Content-Type": _PROTOBUF,
            "User-Agent": f"Weir/{__version__}",
        }
        if self._compresses:
            self._fields["Content-Encoding"] = "gzip"
        self._connection: HTTPConnection | None = None

    def send(self, data: bytes) -> Outcome:
        """Sends an ExportTraceServiceRequest or an ExportLogsServiceRequest. Never raises."""
        if self._compresses:
            data = gzip.compress(data, 1)
        reused = self._connection is not None
        try:
            return self._exchange(data)
        except (ConnectionError, HTTPException) as error:
            self.close()
            if not reused:
                return _failed(error)
        except OSError as error:
            self.close()
            return _failed(error)
        # The connection had been kept longer than the collector keeps one: a new one will do.
        try:
            return self._exchange(data)
        except (OSError, HTTPException) as error:
            self.close()
            return _failed(error)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(self, data: bytes) -> Outcome:
        until = monotonic() + self._timeout
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect()
        connection.request("POST", self._url.path, data, self._fields)
        response = connection.getresponse()
        body = _read(response, until)
        whole = response.isclosed() or response.length == 0
        response.close()
        if not whole or response.will_close:
            self.close()
        if 200 <= response.status < 300:
            return Outcome(rejected=_rejected(response, body))
        again = response.status in _TRY_AGAIN
        return Outcome(f"it answered {response.status}", again, _seconds(response.getheader("Retry-After")))

    def _connect(self) -> HTTPConnection:
        url = self._url
        if self._context is None:
            return HTTPConnection(url.host, url.port, timeout=self._timeout)
        return HTTPSConnection(url.host, url.port, timeout=self._timeout, context=self._context)


def _read(response: HTTPResponse, until: float) -> bytes:
    """The body, as far as it is of any use. Raises TimeoutError when it takes too long."""
    body = b""
    while len(body) < MAX_ANSWER:
        chunk = response.read1(MAX_ANSWER - len(body))
        if not chunk:
            break
        if monotonic() > until:
            raise TimeoutError("timed out")
        body += chunk
    return body


def _rejected(response: HTTPResponse, body: bytes) -> int:
    if response.getheader("Content-Type", "").partition(";")[0].strip() != _PROTOBUF:
        return 0
    try:
        # The answer to logs is the same message under another name.
        return max(0, ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans)
    except DecodeError:
        return 0


def _failed(error: OSError | HTTPException) -> Outcome:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Outcome(reason[:1].lower() + reason[1:], again=True)


def _seconds(value: str | None) -> float:
    """Of a Retry-After that gives them; a date, which the clock of the collector tells, counts for none."""
    return (
        float(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 7 else 0.0
    )
