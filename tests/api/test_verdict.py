"""Verdicts are data."""

import pytest

from gateway.api import Body, Fault, Refused, Response
from gateway.http.fields import Fields


def test_faults_compare_by_value() -> None:
    assert Fault(405, "method_not_allowed", "No.") == Fault(405, "method_not_allowed", "No.")
    assert Fault(405, "method_not_allowed", "No.") != Fault(405, "method_not_allowed", "No!")
    assert Fault(405, "method_not_allowed", "No.") != "fault"


def test_a_response_takes_plain_values() -> None:
    response = Response(200, [("Content-Type", "text/plain")], b"hello")
    assert response.headers.get("content-type") == "text/plain"
    assert response.body.complete == b"hello"
    fields, body = Fields(), Body()
    kept = Response(204, fields, body)
    assert kept.headers is fields
    assert kept.body is body


@pytest.mark.parametrize("header", [("X-A", "a\r\nX-B: b"), ("X A", "a"), ("", "a"), ("X-A", "\0")])
def test_a_response_cannot_be_split(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError):
        Response(200, [header])


def test_a_refusal_carries_its_fault() -> None:
    fault = Fault(413, "body_too_large", "Too large.")
    assert Refused(fault).fault is fault
    assert str(Refused(fault)) == "body_too_large"
