"""What a record says."""

from typing import Any

import orjson
import pytest

from gateway.api.exchange import Instant
from gateway.backtest.line import UNREADABLE, StepFacts, read
from gateway.backtest.recorded import (
    ANSWER,
    FORWARD,
    PASSED,
    REFUSE,
    UNDECIDABLE,
    UNKNOWN_PAST,
    Mark,
    Past,
    PastEntry,
    Recorded,
    Verdict,
    at_work,
    cells_of,
    mark_of,
    past_of,
)
from gateway.backtest.sealed import Unread
from tests.backtest import logged

FACTS: dict[str, Any] = {
    "method": "POST",
    "target": "/a?b=1",
    "scheme": "https",
    "host": "api.test",
    "client": "192.0.2.9",
    "peer": "192.0.2.1",
    "headers": {"x-own": ["1", "2"], "x-auth-token": {"hash": "abc"}},
    "content_type": "application/json",
    "content_length": 5,
    "clock": 100.5,
    "principal": {"user_id": "u", "roles": ["a", "b"], "assignments": [["r", None]]},
}


def recorded(
    steps: list[dict[str, Any]] | None = None, facts: dict[str, Any] | None = None, **fields: Any
) -> Recorded:
    made = {
        "gateway.request_id": "req-1",
        "gateway.decision": "forward",
        "gateway.reason": "passed",
        "gateway.facts": {**FACTS, **(facts or {})},
        "gateway.filters": steps or [],
        "gateway.upstream.attempts": [{}],
        **{name.replace("__", "."): value for name, value in fields.items()},
    }
    made = {name: value for name, value in made.items() if value is not None}
    return logged.recorded(made)


def step(verdict: str, **members: Any) -> dict[str, Any]:
    return {"name": "f", "phase": "request", "verdict": verdict, "source": "g.yaml:1:1", **members}


def test_an_exchange_is_made_of_what_is_known() -> None:
    made = recorded().exchange(Instant(100.5, 7.0))
    assert (made.method, made.path, made.query, made.scheme, made.host) == (
        "POST",
        "/a",
        "b=1",
        "https",
        "api.test",
    )
    assert (made.client, made.peer, made.clock.monotonic) == ("192.0.2.9", "192.0.2.1", 7.0)
    headers = made.request.headers
    assert headers.all("x-own") == ["1", "2"] and headers.has("x-auth-token")
    with pytest.raises(Unread):
        headers.get("x-auth-token")
    assert headers.get("content-type") == "application/json" and made.request.body.length == 5
    principal = recorded().principal
    assert principal is not None and principal.roles == ("a", "b") and principal.assignments == (("r", None),)


def test_what_ends_behind_it_has_begun_no_sooner_than_what_was_under_way_at_its_end() -> None:
    own: dict[str, Any] = {"record_version": 2, "gateway__duration_ms": 1500.0}
    assert (recorded(**own).ended, recorded(**own).behind) == (102.0, 102.0)
    assert recorded(**own, gateway__under_way_ms=30_000.0).behind == 72.0
    for version in (1, 77):
        assert recorded(**{**own, "record_version": version}).behind == float("-inf")


@pytest.mark.parametrize(
    ("steps", "fields", "verdict"),
    [
        ([], {}, PASSED),
        (
            [step("pass"), step("refuse", status=405, reason="method_not_allowed")],
            {"gateway__decision": "refuse"},
            Verdict(REFUSE, 405, "f", "method_not_allowed", "g.yaml:1:1"),
        ),
        (
            [step("answer", status=200, reason="answered")],
            {"gateway__decision": "answer"},
            Verdict(ANSWER, 200, "f", "answered", "g.yaml:1:1"),
        ),
        ([step("refuse", status=405, reason="x", shadow=True)], {}, PASSED),
        (
            [],
            {
                "gateway__decision": "refuse",
                "gateway__reason": "route_not_found",
                "http__response__status_code": 404,
            },
            Verdict(REFUSE, 404, "", "route_not_found"),
        ),
        ([], {"gateway__decision": "fail", "gateway__reason": "upstream_closed"}, PASSED),
        ([], {"gateway__decision": "refuse", "gateway__reason": "upstream_concurrency_exceeded"}, PASSED),
    ],
)
def test_what_the_filters_decided(
    steps: list[dict[str, Any]], fields: dict[str, Any], verdict: Verdict
) -> None:
    assert recorded(steps, **fields).verdict() == verdict


def test_who_went_before_he_was_judged_was_not_judged() -> None:
    gone: dict[str, Any] = {"gateway__decision": "abort", "gateway__reason": "client_disconnected"}
    assert recorded(**gone).verdict().kind == FORWARD
    assert recorded(**gone, gateway__upstream__attempts=None).verdict().kind == UNDECIDABLE


def test_what_was_refused_before_any_filter_saw_it() -> None:
    refused: dict[str, Any] = {
        "gateway__decision": "refuse",
        "gateway__reason": "host_invalid",
        "http__response__status_code": 400,
    }
    assert not recorded(**refused).entered
    assert recorded().entered


@pytest.mark.parametrize(
    ("facts", "path", "query"),
    [
        ({}, True, True),
        ({"redacted": True, "target": "/a?token=[redacted]"}, True, False),
        ({"redacted": True, "target": "/[redacted]/a"}, False, False),
    ],
)
def test_what_was_left_out_of_a_target(facts: dict[str, Any], path: bool, query: bool) -> None:
    made = recorded(facts=facts)
    assert (made.path_is_known, made.query_is_known) == (path, query)


def test_the_size_of_a_body_is_known_where_the_request_said_it_or_there_was_none() -> None:
    assert recorded().length_is_known and not recorded().body_is_empty
    facts = {name: value for name, value in FACTS.items() if name != "content_length"}
    streamed = logged.recorded({"gateway.facts": facts, "http.request.body.size": 9})
    assert not streamed.length_is_known
    empty = logged.recorded({"gateway.facts": facts, "http.request.body.size": 0})
    assert empty.length_is_known and empty.body_is_empty


def test_what_has_been_left_out_of_a_field_or_of_the_caller_is_not_known() -> None:
    facts = {"headers": {"x-own": "a [redacted] b", "x-other": "c"}, "content_type": "text/[redacted]"}
    headers = recorded(facts=facts).exchange(Instant(100.5, 7.0)).request.headers
    assert headers.get("x-other") == "c"
    for name in ("x-own", "content-type"):
        with pytest.raises(Unread):
            headers.all(name)
    assert recorded().principal_is_known
    assert not recorded(facts={"principal": {"user_id": "[redacted]"}}).principal_is_known


def test_what_connection_names_was_not_seen_by_filters() -> None:
    for connection, seen in (("close, X-Own", False), (["close", "x-own"], False), ("keep-alive", True)):
        facts = {"headers": {"connection": connection, "x-own": "1"}}
        made = recorded(facts=facts).exchange(Instant(100.5, 7.0), {"x-own"})
        assert made.request.headers.has("x-own") is seen


def test_what_is_no_record() -> None:
    with pytest.raises(ValueError, match="no facts"):
        logged.recorded({})
    for facts in (7, {"clock": "noon"}, {}, {"clock": 1.0, "target": None}):
        with pytest.raises(UNREADABLE):
            logged.recorded({"gateway.facts": facts})


@pytest.mark.parametrize("clock", [1e12, -1e12, 1e308, -1.0])
def test_what_is_of_no_time_is_no_record(clock: float) -> None:
    with pytest.raises(ValueError, match="of no time"):
        recorded(facts={"clock": clock})


def test_a_configuration_of_the_past() -> None:
    past = past_of(
        {
            "timestamp": "2026-01-01T12:00:00.000Z",
            "gateway.plan": {
                "entries": [
                    {
                        "name": "a",
                        "type": "t",
                        "mode": "shadow",
                        "digest": "d",
                        "limits": {"x": "y"},
                        "judges": ["x-own"],
                    }
                ],
                "headers": ["h"],
                "core": "c",
                "since": 5.0,
            },
        }
    )
    assert past.entries["a"] == PastEntry("t", "shadow", "d", {"x": "y"}, None, frozenset({"x-own"}))
    assert (past.headers, past.core, past.since, past.at) == (frozenset({"h"}), "c", 5.0, 1_767_268_800.0)
    older = past_of({"gateway.plan": {"entries": [{"name": "a", "type": "t"}]}})
    assert older.headers is None and older.entries["a"].digest == ""
    assert past_of({"gateway.plan": None}) == UNKNOWN_PAST
    assert (
        past_of({"gateway.plan": {"entries": [{"name": "a", "judges": 5}]}}).entries["a"].judges
        == frozenset()
    )
    for damaged in (5, "x", [1, 2], {"a": 1}):
        assert past_of({"gateway.plan": {"entries": damaged, "bounds": damaged}}).entries == {}
    told = past_of({"gateway.plan": {"bounds": {"header_count": 7, "max_hops": "x"}, "origin": "o"}})
    assert (told.bounds, told.origin) == ({"header_count": 7}, "o")


def test_the_cells_of_a_step() -> None:
    assert cells_of(StepFacts(1.5, [["a", "k", 1, None]])) == (1.5, [["a", "k", 1, None]])
    assert cells_of(StepFacts("noon", 7)) == (None, ())
    assert cells_of(None) == (None, ())


def _told(worker: int | None, key: str | None, since: float = 5.0) -> Past:
    plan = {"entries": [], "since": since, **({} if key is None else {"hashed_by": key})}
    return past_of({"gateway.worker": worker, "gateway.plan": plan})


@pytest.mark.parametrize(
    ("pasts", "worker", "told"),
    [
        ([_told(0, None)], 0, "r1"),  # by an older gateway
        ([UNKNOWN_PAST], 0, ""),
        ([_told(0, "a"), _told(1, "b")], 1, "b"),
        ([_told(0, "a"), _told(0, "a")], 0, "a"),
        ([_told(0, "a"), _told(1, "a")], 3, ""),
        ([_told(0, "a"), _told(0, "b"), _told(0, "a")], 0, ""),
        ([_told(None, "a"), _told(0, "b", 6.0)], None, "a"),
    ],
)
def test_by_what_key_secrets_were_hashed(pasts: list[Past], worker: int | None, told: str) -> None:
    past = pasts[0]
    for other in pasts[1:]:
        past = past.with_writers_of(other)
    fields = {"gateway.facts": FACTS, "gateway.worker": worker, "gateway.revision": "r1"}
    assert Recorded(read(orjson.dumps(fields)), past, since=5.0).hashed_by == told


def test_of_a_record_that_was_kept_by_chance_its_worker_may_have_said_since_when() -> None:
    told, silent = (
        past_of(
            {
                "gateway.worker": 0,
                "gateway.generation": 2,
                "gateway.plan": {"since": 5.0, "hashed_by": "a", **more},
            }
        )
        for more in ({"sample": {"passed": 0.1, "slow": 1.0}}, {})
    )
    fields = {"gateway.facts": FACTS, "gateway.worker": 0, "gateway.sample": 0.1}
    for past, since, sampled in (
        (told, 5.0, False),
        (told, 6.0, True),
        (silent, 5.0, True),
        (UNKNOWN_PAST, 5.0, True),
    ):
        assert Recorded(read(orjson.dumps(fields)), past, since=since).sampled == sampled
    assert silent.with_writers_of(told).samples == told.with_writers_of(silent).samples == {(5.0, 0)}


_MARK: dict[str, Any] = {
    "timestamp": "2026-01-01T12:00:00.000Z",
    "gateway.worker": 3,
    "gateway.since": 5.0,
    "gateway.sequence": 7,
    "gateway.last": 1_767_268_790.5,
    "gateway.under_way_ms": 2500.0,
    "gateway.workers": [0, 3],
}


def test_what_a_worker_says_of_its_records() -> None:
    assert mark_of(_MARK) == Mark(5.0, 3, 7, 1_767_268_790.5, 1_767_268_797.5)
    idle = {key: value for key, value in _MARK.items() if key not in ("gateway.last", "gateway.under_way_ms")}
    assert mark_of({**idle, "gateway.sequence": 0}) == Mark(5.0, 3, 0, float("-inf"), 1_767_268_800.0)
    for damage in ({"timestamp": "noon"}, {"gateway.sequence": None}, {"gateway.under_way_ms": "long"}):
        with pytest.raises(ValueError, match="damaged"):
            mark_of({**_MARK, **damage})


def test_who_was_at_work() -> None:
    assert at_work(_MARK) == (5.0, 1_767_268_800.0, frozenset((0, 3)))
    for damage in ({"gateway.workers": None}, {"gateway.since": None}, {"timestamp": None}):
        assert at_work({**_MARK, **damage}) is None
