"""Values of OTLP."""

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from gateway.otlp import tell, utf8
from tests.support.otlp import values


def test_every_kind_of_value_is_told_as_what_it_is() -> None:
    given = {
        "text": "t",
        "empty": "",
        "yes": True,
        "number": -7,
        "half": 0.5,
        "list": [1, "a", {"deep": [True]}],
        "none at all": [],
        "mapping": {"a": {"b": 1.5}, "nothing": {}},
    }
    record = LogRecord()
    tell(record.attributes, {**given, "absent": None})
    assert values(record.attributes) == given


def test_what_the_protocol_cannot_hold_is_told_as_text() -> None:
    record = LogRecord()
    tell(record.attributes, {"many": 1 << 63, "odd \udcff": "a\udcff", "list": [None, 1]})
    assert values(record.attributes) == {
        "many": "9223372036854775808",
        "odd \\udcff": "a\\udcff",
        "list": [None, 1],
    }


def test_text_that_utf8_holds_is_as_it_is() -> None:
    assert utf8("žluť") == "žluť"
