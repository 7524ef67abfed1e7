from time import monotonic

import pytest

from gateway.http.trace_context import Parent, SpanIds
from gateway.record import Record
from gateway.trace import TraceSource, Trust

TRACE = "12345678901234567890123456789012"
SPAN = "1234567890123456"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()
NOT_SAMPLED = f"00-{TRACE}-{SPAN}-00".encode()


def source(trust: Trust = "always", sample: float = 1.0, entropy: bytes = b"") -> TraceSource:
    return TraceSource(trust, sample, SpanIds(lambda size: (entropy * size)[:size]) if entropy else None)


def test_a_request_without_a_parent_begins_a_trace() -> None:
    traces = source()
    one, other = traces.trace({}, False), traces.trace({b"tracestate": b"foo=1"}, True)
    assert one.trace_id != other.trace_id
    assert (one.parent_id, one.link, other.state) == (None, None, b"")


def test_a_parent_is_followed_with_a_span_of_our_own() -> None:
    trace = source().trace({b"traceparent": PARENT, b"tracestate": [b"foo=1", b"bar=2"]}, False)
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (TRACE, SPAN, True)
    assert trace.state == b"foo=1,bar=2"
    assert trace.span_id not in (SPAN, "0" * 16)


@pytest.mark.parametrize(
    "index",
    [
        {b"traceparent": [PARENT, PARENT], b"tracestate": b"foo=1"},
        {b"traceparent": PARENT + b"-more", b"tracestate": b"foo=1"},
    ],
)
def test_a_parent_that_is_none_begins_a_trace_and_takes_the_state_along(
    index: dict[bytes, bytes | list[bytes]],
) -> None:
    trace = source().trace(index, True)
    assert trace.trace_id != TRACE
    assert (trace.parent_id, trace.state, trace.link) == (None, b"", None)


@pytest.mark.parametrize(
    ("trust", "trusted", "believed"),
    [
        ("always", False, True),
        ("always", True, True),
        ("trusted_proxies", True, True),
        ("trusted_proxies", False, False),
        ("never", True, False),
    ],
)
def test_only_whom_the_configuration_trusts_is_believed(trust: Trust, trusted: bool, believed: bool) -> None:
    index: dict[bytes, bytes | list[bytes]] = {b"traceparent": NOT_SAMPLED, b"tracestate": b"foo=1"}
    trace = source(trust).trace(index, trusted)
    assert (trace.trace_id == TRACE) is believed
    assert trace.sampled is not believed
    assert trace.state == (b"foo=1" if believed else b"")
    assert trace.link == (None if believed else Parent(TRACE, SPAN, False))


@pytest.mark.parametrize(
    ("sample", "entropy", "sampled"),
    [
        (0.0, b"\x00\x00\x00\x00\x00\x00\x00\x01", False),
        (0.5, b"\x7f" + b"\xff" * 7, True),
        (0.5, b"\x80" + b"\x00" * 7, False),
        (1.0, b"\xff", True),
    ],
)
def test_a_share_of_the_traces_begun_here_is_sampled(sample: float, entropy: bytes, sampled: bool) -> None:
    assert source("always", sample, entropy).trace({}, False).sampled is sampled


@pytest.mark.parametrize("sample", [0.0, 1.0])
@pytest.mark.parametrize(("parent", "sampled"), [(PARENT, True), (NOT_SAMPLED, False)])
def test_of_others_the_client_has_decided(sample: float, parent: bytes, sampled: bool) -> None:
    assert source("always", sample).trace({b"traceparent": parent}, False).sampled is sampled


def test_each_attempt_carries_a_span_of_its_own() -> None:
    trace = source().trace({b"traceparent": PARENT, b"tracestate": b"foo=1"}, False)
    before = monotonic()
    first, second = trace.send(0), trace.send(2)
    assert [sending.number for sending in trace.sendings] == [0, 2]
    assert before <= trace.sendings[0].at <= trace.sendings[1].at <= monotonic()
    for sending, lines in zip(trace.sendings, (first, second), strict=True):
        assert lines == f"traceparent: 00-{TRACE}-{sending.span_id}-01\r\ntracestate: foo=1\r\n".encode(
            "ascii"
        )
    assert len({trace.span_id, *(sending.span_id for sending in trace.sendings)}) == 3


def test_what_is_not_sampled_says_so_upstream_and_is_not_exported() -> None:
    exported: list[Record] = []
    traces = source()
    traces.export = exported.append
    quiet = traces.trace({b"traceparent": NOT_SAMPLED}, False)
    assert quiet.send(0).endswith(b"-00\r\n")
    quiet.export(Record())
    assert exported == []
    record = Record()
    traces.trace({}, False).export(record)
    assert exported == [record]


def test_without_an_exporter_nothing_is_exported() -> None:
    source().trace({}, False).export(Record())
