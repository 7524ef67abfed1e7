from typing import Any

import pytest

from gateway.api import Note
from gateway.http.trace_context import Parent
from gateway.record import Record
from gateway.span import Spans
from gateway.trace import Sending, Trace, TraceSource
from tests.support.otlp import Told, read
from tests.support.records import WALL, Entry, Facts, attempt, record, refused, step

TRACE = "12345678901234567890123456789012"
SPAN = "1234567890123456"
TOKEN = b"sesame-open-wide"


def trace(**changes: Any) -> Trace:
    made = TraceSource("always", 1.0).trace({b"traceparent": f"00-{TRACE}-{SPAN}-01".encode()}, False)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def traced(made: Record, **changes: Any) -> Record:
    made.trace = trace(**changes)
    return made


def spans(*records: Record) -> list[Told]:
    all_of_them = Spans({"service.name": "weir"}, "1.0")
    for one in records:
        all_of_them.add(one)
    return read(all_of_them.take())


def server(made: Record, **changes: Any) -> Told:
    return spans(traced(made, **changes))[0]


def test_an_exchange_is_a_span_below_the_clients() -> None:
    span = server(record(), state=b"foo=1")
    assert (span.name, span.kind, span.status) == ("GET /v2/{project_id}/images", "server", "unset")
    assert (span.trace_id, span.parent, span.state) == (TRACE, SPAN, "foo=1")
    assert span.begin == pytest.approx(WALL * 1e9, abs=1000)
    assert span.end - span.begin == pytest.approx(12.5e6, abs=1000)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/v2/p-1/images",
        "http.route": "/v2/{project_id}/images",
        "http.response.status_code": 200,
        "http.request.body.size": 0,
        "http.response.body.size": 870,
        "client.address": "198.51.100.9",
        "network.peer.address": "192.0.2.7",
        "network.peer.port": 54321,
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "server.address": "api.example",
        "server.port": 8080,
        "gateway.request_id": "req-70a599e0-31e7-49b7-b260-868f441e862b",
        "gateway.decision": "forward",
        "gateway.reason": "passed",
        "gateway.route": "images",
        "gateway.revision": "abc123",
    }


def test_flags_tell_that_the_parent_is_remote() -> None:
    assert server(record()).flags == 0x301
    assert server(record(), parent_id=None).flags == 0x101


def test_a_trace_that_begins_here_has_no_parent_and_links_to_what_is_not_believed() -> None:
    span = server(record(), parent_id=None, link=Parent("ab" * 16, "cd" * 8, False))
    assert (span.parent, span.links) == ("", [("ab" * 16, "cd" * 8)])


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"status": 404}, "unset", None),
        ({"status": 500}, "error", "500"),
        (
            {"status": 503, "decision": "fail", "reason": "upstream_connect_failed"},
            "error",
            "upstream_connect_failed",
        ),
        (
            {"status": 0, "decision": "abort", "reason": "client_disconnected"},
            "unset",
            "client_disconnected",
        ),
        ({"status": 200, "decision": "abort", "reason": "upstream_closed"}, "unset", "upstream_closed"),
    ],
)
def test_an_error_is_what_is_not_the_clients(changes: dict[str, Any], status: str, error: str | None) -> None:
    span = server(record(**changes))
    assert span.status == status
    assert span.attributes.get("error.type") == error
    assert span.attributes.get("http.response.status_code") == (changes["status"] or None)


def test_a_refusal_names_filter_and_source() -> None:
    span = server(refused())
    assert (span.status, span.attributes["gateway.decision"]) == ("unset", "refuse")
    assert span.attributes["gateway.filter"] == "methods"
    assert span.attributes["gateway.source"] == "gateway.yaml:12:9"


def test_without_a_route_the_name_is_the_method() -> None:
    assert server(record(route_template=None)).name == "GET"


def test_an_unknown_method_is_other_and_its_name_stays_small() -> None:
    span = server(record(method="BREW"))
    assert span.name == "HTTP /v2/{project_id}/images"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


def test_filters_are_events_in_the_order_of_time() -> None:
    made = record(
        steps=[
            step("methods", seconds=0.001),
            step("rate_limit", note=[Note("under_limit", ("limits", 2), {"left": 3})], seconds=0.002),
            step(
                Entry("headers", mode="shadow"),
                "refuse",
                "too_much",
                rule=("request", "set"),
                status=403,
                seconds=0.0005,
                phase="response",
            ),
        ],
        attempts=[attempt(first_byte=0.006)],
        chain_in=0.003,
    )
    span = server(made)
    assert [name for name, _, _ in span.events] == ["gateway.filter"] * 3
    first, second, third = (attributes for _, _, attributes in span.events)
    assert first == {
        "gateway.filter.name": "methods",
        "gateway.filter.type": "methods",
        "gateway.filter.mode": "enforce",
        "gateway.filter.phase": "request",
        "gateway.filter.verdict": "pass",
        "gateway.filter.duration_ms": 1.0,
    }
    assert (second["gateway.filter.reason"], second["gateway.filter.rule"]) == ("under_limit", "limits[2]")
    assert (third["gateway.filter.verdict"], third["gateway.filter.mode"]) == ("refuse", "shadow")
    assert (third["gateway.filter.status"], third["gateway.filter.rule"]) == (403, "request.set")
    times = [(at - span.begin) / 1e6 for _, at, _ in span.events]
    assert times == pytest.approx([1.0, 3.0, 9.5], abs=0.001)


def test_each_attempt_is_a_span_with_the_id_that_the_upstream_was_told() -> None:
    made = record(
        attempts=[
            attempt(
                address="10.0.0.1:8774",
                reused=True,
                status=0,
                error="upstream_closed",
                detail="reset",
                connect=None,
                first_byte=None,
                total=0.002,
            ),
            attempt(
                address="[2001:db8::1]:8775",
                status=0,
                error="upstream_connect_failed",
                connect=None,
                first_byte=None,
                total=0.003,
            ),
            attempt(
                address="nova.internal:8774",
                status=404,
                peer="10.0.0.9",
                connect=0.001,
                first_byte=0.004,
                total=0.005,
            ),
        ],
        chain_in=0.001,
    )
    # The clock of the record begins at 1000.
    sendings = [Sending(0, "a" * 16, 1000.0015), Sending(2, "b" * 16, 1000.0075)]
    told, first, second, third = spans(traced(made, sendings=sendings))
    assert [span.kind for span in (first, second, third)] == ["client"] * 3
    assert {span.parent for span in (first, second, third)} == {told.span_id}
    assert {span.trace_id for span in (first, second, third)} == {TRACE}
    assert (first.span_id, third.span_id) == ("a" * 16, "b" * 16)
    assert len({first.span_id, second.span_id, third.span_id, "0" * 16}) == 4

    def life(span: Told) -> list[float]:
        return [(at - told.begin) / 1e6 for at in (span.begin, span.end)]

    assert life(first) == pytest.approx([1.5, 3.5], abs=0.001)
    assert life(second) == pytest.approx([3.5, 6.5], abs=0.001)
    assert life(third) == pytest.approx([6.5, 11.5], abs=0.001)
    assert [span.status for span in (first, second, third)] == ["error"] * 3
    assert first.attributes == {
        "http.request.method": "GET",
        "error.type": "upstream_closed",
        "server.address": "10.0.0.1",
        "server.port": 8774,
        "gateway.upstream.name": "compute",
        "gateway.upstream.reused": True,
    }
    assert (second.attributes["server.address"], second.attributes["server.port"]) == ("2001:db8::1", 8775)
    assert [span.attributes.get("http.request.resend_count") for span in (first, second, third)] == [
        None,
        1,
        2,
    ]
    assert (third.attributes["error.type"], third.attributes["http.response.status_code"]) == ("404", 404)
    assert third.attributes["network.peer.address"] == "10.0.0.9"
    assert third.attributes["gateway.upstream.first_byte_ms"] == pytest.approx(4)
    assert third.attributes["gateway.upstream.body_ms"] == pytest.approx(1)


def test_an_attempt_that_went_well_is_no_error_and_a_socket_has_no_port() -> None:
    _, span = spans(traced(record(attempts=[attempt(address="unix:///run/nova.sock")])))
    assert (span.name, span.status) == ("GET", "unset")
    assert span.attributes["server.address"] == "/run/nova.sock"
    assert "server.port" not in span.attributes
    assert "error.type" not in span.attributes


# ---- what must not be told


@pytest.mark.parametrize("name", [b"X-Auth-Token", b"x-house-key", b"AUTHORIZATION"])
def test_no_credential_is_told_wherever_a_client_has_written_it(name: bytes) -> None:
    made = record(
        target=b"/v2/" + TOKEN + b"/images?x=" + TOKEN + b"&password=hunter2",
        host="api.example",
        method=TOKEN.decode(),
        request_lines=[(name, TOKEN), (b"User-Agent", b"curl " + TOKEN)],
    )
    made.plan = Facts(secret_names=frozenset({b"x-house-key"}))
    made.trace = trace(state=b"vendor=" + TOKEN)
    all_of_them = Spans({}, "1.0")
    all_of_them.add(made)
    data = all_of_them.take()
    assert TOKEN not in data
    assert b"hunter2" not in data
    (span,) = read(data)
    assert span.attributes["url.path"] == "/v2/[redacted]/images"
    assert span.attributes["url.query"] == "x=[redacted]&password=[redacted]"
    assert span.attributes["user_agent.original"] == "curl [redacted]"


def test_a_credential_that_does_not_print_is_not_told_either() -> None:
    secret = b"caf\xe9-\xf0\x9f\x8c\x8a-sesame"
    made = record(target=b"/" + secret, request_lines=[(b"X-Auth-Token", secret), (b"User-Agent", secret)])
    span = server(made)
    assert "sesame" not in str(span)
    assert span.attributes["user_agent.original"] == "[redacted]"


def test_values_of_fields_and_facts_of_filters_are_not_told() -> None:
    made = record(
        request_lines=[(b"X-Tenant", b"hidden-tenant")],
        steps=[
            step("methods", facts={"seen": "hidden-fact"}, note=[Note("fine", (), {"of": "hidden-note"})])
        ],
    )
    all_of_them = Spans({}, "1.0")
    all_of_them.add(traced(made))
    assert b"hidden" not in all_of_them.take()


def test_user_information_in_a_host_is_not_told() -> None:
    span = server(record(host="admin:hunter2@api.example:81"))
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("api.example", 81)
    assert "hunter2" not in str(span)


def test_what_utf_8_cannot_hold_is_escaped() -> None:
    made = record(target=b"/caf\xe9/\xf0\x9f\x8c\x8a", steps=[step("x\udcff", reason="\ud800")])
    span = server(made)
    assert span.attributes["url.path"] == "/caf\\xe9/\U0001f30a"
    assert span.events[0][2]["gateway.filter.name"] == "x\\udcff"


# ---- several


def test_a_record_that_cannot_be_told_leaves_nothing_behind() -> None:
    class Odd(Entry):
        def source(self, rule: Any) -> str:
            raise RuntimeError("odd")

    good, bad = record(), record(decider=step(Odd("odd"), "refuse"), attempts=[attempt()])
    all_of_them = Spans({}, "1.0")
    all_of_them.add(traced(good))
    with pytest.raises(RuntimeError):
        all_of_them.add(traced(bad))
    assert len(all_of_them) == 1
    assert len(read(all_of_them.take())) == 1
    assert len(all_of_them) == 0
