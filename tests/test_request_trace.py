"""Who may ask where the time of a request goes, and what the answer says."""

import pytest

from gateway.api import Principal
from gateway.http.fields import Fields
from gateway.request_trace import RequestTrace, server_timing
from tests.support.records import Entry, record, step

TRACE = RequestTrace("X-Trace-Request", ["10.0.0.0/8"], ["Admin"])


@pytest.mark.parametrize(
    ("lines", "asked"),
    [
        ([(b"X-Trace-Request", b"true")], True),
        ([(b"x-trace-request", b" TRUE ")], True),
        ([(b"X-Trace-Request", b"1")], False),
        ([(b"X-Trace-Request", b"true"), (b"X-Trace-Request", b"true")], False),
        ([], False),
    ],
)
def test_a_request_asks_by_one_field_that_says_true(lines: list[tuple[bytes, bytes]], asked: bool) -> None:
    assert TRACE.asked_by(Fields(lines)) is asked


def test_who_comes_from_a_network_or_has_a_role_may() -> None:
    assert TRACE.allows(record(client="10.1.2.3").exchange)
    assert not TRACE.allows(record(client="192.0.2.1").exchange)
    assert TRACE.allows(record(client="192.0.2.1", principal=Principal("u", roles=("admin",))).exchange)
    assert not TRACE.allows(record(client="192.0.2.1", principal=Principal("u", roles=("member",))).exchange)


def test_each_filter_is_told_of_once_and_by_a_token() -> None:
    both = Entry("rate limit; all")
    steps = [
        step(both, seconds=0.001),
        step("uuid", seconds=0.0),
        step(both, seconds=0.002, phase="response"),
    ]
    assert server_timing(steps, 0.5, 0.25, 1.0) == (
        b"Server-Timing: rate_limit__all;dur=3.000, uuid;dur=0.000, queue;dur=500.000, upstream;dur=250.000, total;dur=1000.000"
    )
    assert server_timing([], None, None, 0.001) == b"Server-Timing: total;dur=1.000"
