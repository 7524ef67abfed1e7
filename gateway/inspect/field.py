"""The fields of a record by which records are searched, told and counted: their short names, and where they stand."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["text", "texts", "number", "share", "milliseconds", "bytes", "time"]
Value: TypeAlias = str | int | float | datetime
Record: TypeAlias = Mapping[str, Any]


class Field(NamedTuple):
    """One of them.

    name  in queries, tables and sidecars
    kind  of its values; `texts` are several, and compared one by one
    key   in the record; where `read` is given, the member of the record that it reads
    help  what it is, in a few words
    read  makes the value of that member, where it is not the value itself
    sql   does the same in SQL, of the column `{}`
    type  of that column, by which the record's member is read
    """

    name: str
    kind: Kind
    key: str
    help: str
    read: Callable[[Any], Any] | None = None
    sql: str = "{}"
    type: str = ""

    def value(self, record: Record) -> Any:
        """Its value in a record, as `Value`, a list of texts, or None where there is none."""
        found = record.get(self.key)
        if self.read is not None:
            return self.read(found)
        return found if isinstance(found, _PYTHON[self.kind]) and not isinstance(found, bool) else None

    @property
    def column_type(self) -> str:
        """Of the values, in SQL."""
        return _SQL[self.kind]

    @property
    def source_type(self) -> str:
        """Of the record's member, in SQL."""
        return self.type or _SQL[self.kind]


_PYTHON: Final[Mapping[Kind, Any]] = {
    "text": str,
    "texts": list,
    "number": (int, float),
    "share": (int, float),
    "milliseconds": (int, float),
    "bytes": (int, float),
    "time": str,
}
_SQL: Final[Mapping[Kind, str]] = {
    "text": "VARCHAR",
    "texts": "VARCHAR[]",
    "number": "BIGINT",
    "share": "DOUBLE",
    "milliseconds": "DOUBLE",
    "bytes": "BIGINT",
    "time": "TIMESTAMP",
}


def _time(text: Any) -> datetime | None:
    """Of a record: always UTC, with a Z."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _texts(values: Any) -> list[str] | None:
    if not isinstance(values, list):
        return None
    return [value for value in values if isinstance(value, str)]


def _members(values: Any) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _count(values: Any) -> int:
    return len(_members(values))


def _upstream_time(attempts: Any) -> float | None:
    """Milliseconds that all attempts took together."""
    times = [attempt.get("total_ms") for attempt in _members(attempts)]
    known = [time for time in times if isinstance(time, (int, float))]
    return float(sum(known)) if known else None


def _shadow(steps: Any) -> list[str] | None:
    """The reasons for which filters in shadow would have refused or answered."""
    found = [
        step.get("reason")
        for step in _members(steps)
        if step.get("shadow") is True and step.get("verdict") in ("refuse", "answer")
    ]
    return [reason for reason in found if isinstance(reason, str)]


_ATTEMPTS: Final = "STRUCT(total_ms DOUBLE)[]"
_STEPS: Final = "STRUCT(shadow BOOLEAN, verdict VARCHAR, reason VARCHAR)[]"

FIELDS: Final[Sequence[Field]] = (
    Field("time", "time", "timestamp", "when the request came, UTC", _time),
    Field("request_id", "text", "gateway.request_id", "the gateway's id of the request"),
    Field("method", "text", "http.request.method", "`_OTHER` for one that HTTP does not define"),
    Field("scheme", "text", "url.scheme", "http or https"),
    Field("host", "text", "server.address", "the host that the client asked for"),
    Field("path", "text", "url.path", "the path, redacted"),
    Field("query", "text", "url.query", "the query, redacted"),
    Field("route", "text", "gateway.route", "name of the route"),
    Field("template", "text", "http.route", "path template of the route"),
    Field("status", "number", "http.response.status_code", "status of the answer; none where none was sent"),
    Field("decision", "text", "gateway.decision", "forward, refuse, answer, fail or abort"),
    Field("reason", "text", "gateway.reason", "reason code of the decision"),
    Field("filter", "text", "gateway.filter", "name of the filter that decided"),
    Field("source", "text", "gateway.source", "file:line:column of what decided"),
    Field("duration", "milliseconds", "gateway.duration_ms", "from head to end"),
    Field("queue", "milliseconds", "gateway.queue_ms", "waited for its turn; none where it did not"),
    Field("chain_in", "milliseconds", "gateway.chain.in_ms", "spent in filters on the way inward"),
    Field("chain_out", "milliseconds", "gateway.chain.out_ms", "spent in filters on the way outward"),
    Field(
        "upstream_time",
        "milliseconds",
        "gateway.upstream.attempts",
        "spent on attempts upstream",
        _upstream_time,
        "list_sum(list_transform({}, lambda x: x.total_ms))",
        _ATTEMPTS,
    ),
    Field(
        "attempts",
        "number",
        "gateway.upstream.attempts",
        "how often an upstream was asked",
        _count,
        "coalesce(len({}), 0)",
        _ATTEMPTS,
    ),
    Field("upstream", "text", "gateway.upstream.name", "name of the upstream"),
    Field("endpoint", "text", "gateway.upstream.address", "address of its endpoint, of the last attempt"),
    Field("upstream_request_id", "text", "gateway.upstream.request_id", "the upstream's id of the request"),
    Field("global_request_id", "text", "gateway.global_request_id", "the id that the client sent"),
    Field("bytes_in", "bytes", "http.request.body.size", "body of the request"),
    Field("bytes_out", "bytes", "http.response.body.size", "body of the answer"),
    Field("client", "text", "client.address", "the client's address"),
    Field("peer", "text", "network.peer.address", "address at the other end of the connection"),
    Field("user_agent", "text", "user_agent.original", "User-Agent of the request"),
    Field("user_id", "text", "user.id", "id of the user"),
    Field("user_name", "text", "user.name", "name of the user"),
    Field("roles", "texts", "user.roles", "roles of the user", _texts),
    Field("project_id", "text", "gateway.project.id", "id of the project"),
    Field("project_name", "text", "gateway.project.name", "name of the project"),
    Field(
        "shadow",
        "texts",
        "gateway.filters",
        "reasons for which filters in shadow would have refused",
        _shadow,
        "list_transform(list_filter({}, lambda x: x.shadow AND x.verdict IN ('refuse', 'answer')), lambda x: x.reason)",
        _STEPS,
    ),
    Field("error", "text", "error.type", "kind of the error, by the OpenTelemetry conventions"),
    Field("protocol", "text", "network.protocol.version", "version of HTTP"),
    Field("tls", "text", "tls.protocol.version", "version of TLS; none in the clear"),
    Field("trace_id", "text", "trace_id", "id of the trace"),
    Field("revision", "text", "gateway.revision", "revision of the configuration"),
    Field("worker", "number", "gateway.worker", "number of the worker"),
    Field("sequence", "number", "gateway.sequence", "number of the record in its worker"),
    Field("sample", "share", "gateway.sample", "share of such records that is kept; none where all are"),
)

BY_NAME: Final[Mapping[str, Field]] = {field.name: field for field in FIELDS}
