from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__, form, metrics
from gateway.api import Note
from gateway.flow import BUCKETS
from gateway.metrics import TIMED_OF, Metrics, merged, render
from gateway.record import Record
from tests.support.records import Entry, attempt, record, refused, step

strictly: Any = openmetrics.text_string_to_metric_families  # which has no types

ROUTE = "/v2/{project_id}/images"


def scraped(told: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(told.render().decode())
        for sample in family.samples
    }


def value(told: Metrics, name: str, **labels: str) -> float | None:
    return scraped(told).get((name, frozenset(labels.items())))


def observed(*records: Record) -> Metrics:
    told = Metrics()
    for one in records:
        told.observe(one)
    return told


def test_counts_by_method_route_and_status() -> None:
    told = observed(
        record(), record(), record(method="PUT"), refused(), record(route_template=None, status=404)
    )
    assert value(told, "gateway_requests_total", method="GET", route=ROUTE, status="200") == 2
    assert value(told, "gateway_requests_total", method="PUT", route=ROUTE, status="200") == 1
    assert value(told, "gateway_requests_total", method="GET", route=ROUTE, status="405") == 1
    assert value(told, "gateway_requests_total", method="GET", route="", status="404") == 1


def test_both_formats_tell_the_same() -> None:
    """By the official parsers, of which that of OpenMetrics is a strict one."""
    told = observed(record(attempts=[attempt()]), refused(), record(route_template="/caf\u00e9/{x}"))
    told.gauges("gateway_size", "In bytes.", ("of",), lambda: [(('a"b\\c\n',), 1.5)])
    families = told.families()
    plain = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(render(families).decode())
        for sample in family.samples
    }
    text = render(families, openmetrics=True).decode()
    strict = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in strictly(text)
        for sample in family.samples
    }
    assert text.endswith("# EOF\n")
    assert plain == strict
    assert len(plain) > 20


def test_an_unknown_method_is_other() -> None:
    told = observed(record(method="BREW"), record(method="X" * 9))
    assert value(told, "gateway_requests_total", method="_OTHER", route=ROUTE, status="200") == 2


def test_a_path_never_becomes_a_label() -> None:
    assert b"hunter" not in observed(record(target=b"/v2/hunter/images")).render()


def test_the_histogram_is_by_route() -> None:
    told = observed(
        *(record(duration=seconds) for seconds in (0.001, 0.005, 0.006, 60.0)), refused(duration=0.02)
    )
    name = "http_server_request_duration_seconds"
    assert value(told, f"{name}_bucket", http_route=ROUTE, le="0.005") == 2
    assert value(told, f"{name}_bucket", http_route=ROUTE, le="0.01") == 3
    assert value(told, f"{name}_bucket", http_route=ROUTE, le="10.0") == 4
    assert value(told, f"{name}_bucket", http_route=ROUTE, le="+Inf") == 5
    assert value(told, f"{name}_count", http_route=ROUTE) == 5
    assert value(told, f"{name}_sum", http_route=ROUTE) == pytest.approx(60.032)


def test_the_buckets_are_those_of_the_convention() -> None:
    assert BUCKETS == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


@given(st.lists(st.floats(0, 100), max_size=20))
def test_every_exchange_is_in_the_histogram_once(durations: list[float]) -> None:
    told = observed(*(record(duration=seconds) for seconds in durations))
    list(told.collect())
    (*cells,) = told._requests.values()
    assert sum(sum(cell.counts) for cell in cells) == len(durations)
    assert all(cell.number == sum(cell.counts) for cell in cells)


def test_verdicts_by_filter_and_reason() -> None:
    note = [Note("rate_counted", (), {})]
    told = observed(
        refused(),
        refused(),
        record(steps=[step("uuid"), step("limit", note=note), step("body", "skip", "condition_false")]),
        record(steps=[step("headers", "error", "filter_failed", status=500)]),
    )
    name = "gateway_filter_decisions_total"
    assert value(told, name, filter="methods", verdict="refuse", reason="method_not_allowed") == 2
    assert value(told, name, filter="limit", verdict="pass", reason="rate_counted") == 1
    assert value(told, name, filter="body", verdict="skip", reason="condition_false") == 1
    assert value(told, name, filter="headers", verdict="error", reason="filter_failed") == 1
    assert value(told, name, filter="uuid", verdict="pass", reason="passed") == 1


def test_shadow_verdicts_are_counted_apart() -> None:
    told = observed(record(steps=[step(Entry("try", mode="shadow"), "refuse", "rate_limited", status=413)]))
    labels = {"filter": "try", "verdict": "refuse", "reason": "rate_limited"}
    assert value(told, "gateway_filter_shadow_decisions_total", **labels) == 1
    assert value(told, "gateway_filter_decisions_total", **labels) is None


def test_decisions_of_the_core_have_their_reason() -> None:
    told = observed(
        record(), record(decision="fail", reason="upstream_connect_failed", status=502), refused()
    )
    name = "gateway_decisions_total"
    assert value(told, name, decision="fail", reason="upstream_connect_failed") == 1
    assert value(told, name, decision="refuse", reason="method_not_allowed") == 1
    assert value(told, name, decision="forward", reason="passed") is None


def test_attempts_by_upstream_and_result() -> None:
    told = observed(record(attempts=[attempt(error="upstream_connect_failed"), attempt(), attempt()]))
    name = "gateway_upstream_attempts_total"
    assert value(told, name, upstream="compute", result="upstream_connect_failed") == 1
    assert value(told, name, upstream="compute", result="ok") == 2


def test_every_attempt_is_in_the_histogram_of_its_upstream() -> None:
    told = observed(
        record(attempts=[attempt(total=0.003), attempt(total=0.3)]), record(attempts=[attempt(total=11.0)])
    )
    name = "http_client_request_duration_seconds"
    below = {
        bound: value(told, f"{name}_bucket", upstream="compute", le=bound)
        for bound in ("0.005", "0.5", "+Inf")
    }
    assert below == {"0.005": 1, "0.5": 2, "+Inf": 3}
    assert value(told, f"{name}_count", upstream="compute") == 3
    assert value(told, f"{name}_sum", upstream="compute") == pytest.approx(11.303)


def of_worker(up: float, breaker: float, requests: int) -> list[Any]:
    told = observed(*[record()] * requests)
    told.gauges("gateway_upstream_endpoint_up", "Up.", ("endpoint",), lambda: [(("a",), up)])
    told.gauges("gateway_upstream_breaker_state", "State.", ("endpoint",), lambda: [(("a",), breaker)])
    told.gauge("gateway_connections", "Open.", lambda: 2)
    return told.families()


def test_the_metrics_of_processes_are_added_up_where_they_are_amounts() -> None:
    workers = [of_worker(1, 0, 3), of_worker(0, 2, 4)]
    for _ in range(2):  # what has been merged is as it was
        whole = {family.name: family.samples for family in merged(workers)}
        assert [sample.value for sample in whole["gateway_requests"]] == [7]
        assert [sample.value for sample in whole["gateway_connections"]] == [4]
        assert [sample.value for sample in whole["gateway_build"]] == [1]
        assert [sample.value for sample in whole["gateway_upstream_endpoint_up"]] == [0]
        assert [sample.value for sample in whole["gateway_upstream_breaker_state"]] == [2]


def test_bytes_by_route() -> None:
    told = observed(record(bytes_in=10, bytes_out=20), record(method="PUT", bytes_in=5, bytes_out=1))
    assert value(told, "gateway_request_body_bytes_total", route=ROUTE) == 15
    assert value(told, "gateway_response_body_bytes_total", route=ROUTE) == 21


def test_numbers_kept_elsewhere_are_read_when_scraped() -> None:
    told = Metrics()
    state: dict[str, Any] = {"open": 1, "dropped": 2, "revision": "abc"}
    told.gauge("gateway_connections_open", "Open connections.", lambda: state["open"])
    told.counter("gateway_log_dropped", "Records not written.", lambda: state["dropped"])
    told.counters("gateway_refused", "Refused.", ("reason",), lambda: [(("early",), 3), (("late",), 0)])
    told.gauges("gateway_ends", "When.", ("listen", "kind"), lambda: [(("[::1]:1", "a"), 1.5)])
    told.info(
        "gateway_config_revision", "The configuration in force.", lambda: {"revision": state["revision"]}
    )
    state.update(open=5, dropped=7, revision="def")
    assert value(told, "gateway_connections_open") == 5
    assert value(told, "gateway_log_dropped_total") == 7
    assert value(told, "gateway_refused_total", reason="early") == 3
    assert value(told, "gateway_ends", listen="[::1]:1", kind="a") == 1.5
    assert value(told, "gateway_config_revision_info", revision="def") == 1
    assert value(told, "gateway_build_info", version=__version__, form=form()) == 1


def test_sets_of_labels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_MAX_SERIES", 3)
    told = observed(
        *(
            record(
                status=200 + number,
                decision="fail",
                reason=f"reason_{number}",
                attempts=[attempt(error=f"error_{number}")],
                steps=[step("x", "refuse", f"reason_{number}")],
            )
            for number in range(10)
        )
    )
    assert value(told, "gateway_requests_total", method="_OTHER", route="_OTHER", status="0") == 7
    assert value(told, "gateway_decisions_total", decision="_OTHER", reason="_OTHER") == 7
    assert value(told, "gateway_upstream_attempts_total", upstream="_OTHER", result="_OTHER") == 7
    assert (
        value(told, "gateway_filter_decisions_total", filter="_OTHER", verdict="_OTHER", reason="_OTHER") == 7
    )


def test_the_time_of_filters_is_added_up_of_one_exchange_in_so_many() -> None:
    metrics = Metrics()
    steps = [step("token_auth", seconds=0.001), step("rate_limit", seconds=0.002)]
    for _ in range(2 * TIMED_OF):
        metrics.observe(record(steps=list(steps)))
    labels = {"filter": "rate_limit", "type": "rate_limit"}
    assert value(metrics, "gateway_filter_duration_seconds_count", **labels) == 2
    assert value(metrics, "gateway_filter_duration_seconds_sum", **labels) == pytest.approx(0.004)
