"""Log records of OTLP: all that the line says, and nothing else."""

import orjson
import pytest

from gateway.log_record import LogRecords
from gateway.serializer import Serializer
from gateway.trace import TraceSource
from tests.support.otlp import Logged, logged
from tests.support.records import attempt, record, refused

SERIALIZER = Serializer(b"k" * 32, 3)


def told(line: bytes) -> Logged:
    records = LogRecords({"service.name": "weir"}, "1", lambda: 1_700_000_001.5)
    records.add(line)
    assert len(records) == 1
    (made,) = logged(records.take())
    assert len(records) == 0
    return made


def test_a_record_is_told_by_its_own_names() -> None:
    line = SERIALIZER.line(record(attempts=[attempt()]), 7)
    made = told(line)
    fields = orjson.loads(line)
    assert fields.pop("timestamp") == "2023-11-14T22:13:20.250Z"
    assert made.attributes == {name: value for name, value in fields.items() if value is not None}
    assert made.at == 1_700_000_000_250_000_000
    assert made.observed == 1_700_000_001_500_000_000
    assert (made.event, made.trace_id, made.span_id) == ("gateway.request", "", "")


def test_the_ids_of_a_trace_have_their_own_places() -> None:
    traced = record()
    traced.trace = TraceSource("always", 1.0).trace({}, False)
    made = told(SERIALIZER.line(traced, 1))
    assert (made.trace_id, made.span_id) == (traced.trace.trace_id, traced.trace.span_id)
    assert "trace_id" not in made.attributes


def test_the_body_is_a_short_line_that_prints() -> None:
    made = told(SERIALIZER.line(refused(), 1))
    assert made.body.endswith(" 405 methods: method_not_allowed")
    fields = orjson.loads(SERIALIZER.line(record(), 1))
    fields["url.path"] = "/a\x1b[31m\u202e"
    assert told(orjson.dumps(fields)).body.startswith("GET /a\\x1b[31m\\u202e ")


@pytest.mark.parametrize(
    ("status", "decision", "severity", "number"),
    [
        (200, "forward", "INFO", 9),
        (404, "forward", "INFO", 9),
        (200, "answer", "INFO", 9),
        (413, "refuse", "WARN", 13),
        (200, "abort", "WARN", 13),
        (503, "refuse", "ERROR", 17),
        (500, "forward", "ERROR", 17),
        (0, "fail", "ERROR", 17),
    ],
)
def test_severity_says_who_has_failed(status: int, decision: str, severity: str, number: int) -> None:
    fields = orjson.loads(SERIALIZER.line(record(), 1))
    made = told(orjson.dumps({**fields, "http.response.status_code": status, "gateway.decision": decision}))
    assert (made.severity, made.number) == (severity, number)


@pytest.mark.parametrize("line", [b"no json", b"[]", b"{}", b'{"timestamp":"yesterday"}'])
def test_what_is_no_record_adds_nothing(line: bytes) -> None:
    records = LogRecords({}, "1")
    with pytest.raises((ValueError, TypeError, AttributeError)):
        records.add(line)
    assert len(records) == 0
