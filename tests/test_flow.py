"""Records of one flow differ in nothing that is counted or that its lines have in common."""

from typing import Any

import pytest

from gateway.api import Note
from gateway.flow import Flows
from gateway.record import Record
from tests.support.records import ALICE, Entry, attempt, record, step

GUARDS = (Entry("token_auth"), Entry("methods"))


def passed(*trail: Any) -> Record:
    told = record(guards=GUARDS)
    told.exchange.trail.extend(trail)
    return told


def noted(reason: str, rule: tuple[str, ...] = ("limits",), **facts: object) -> Note:
    return Note(reason, rule, facts)


def denied(by: Entry = GUARDS[1], **changes: Any) -> Record:
    decider = step(
        by, "refuse", **{"reason": "method_not_allowed", "rule": ("allow",), "status": 405, **changes}
    )
    return record(decision="refuse", status=decider.status, decider=decider, guards=GUARDS)


SAME: list[tuple[Record, Record]] = [
    (record(), record(target=b"/other", duration=9.0, principal=ALICE, client="192.0.2.1", bytes_in=3)),
    (passed(1.0, 2.0, 3.0), passed(1_000.0, 5_000.0, 9_000.0)),
    (
        passed(1.0, noted("rate_counted", cost=1), 2.0, 3.0),
        passed(1.0, noted("rate_counted", cost=2), 2.0, 3.0),
    ),
    (denied(), denied(seconds=2.0, facts={"allow": "GET"})),
    (
        record(attempts=[attempt()], steps=[1.0, step(GUARDS[0], "refuse", facts={"a": 1}), 2.0]),
        record(attempts=[attempt()], steps=[5.0, step(GUARDS[0], "refuse", seconds=2.0), 7.0]),
    ),
    (
        record(guards=GUARDS, attempts=[attempt()], steps=[1.0, noted("rate_counted", cost=1), 2.0]),
        record(guards=GUARDS, attempts=[attempt()], steps=[3.0, noted("rate_counted", cost=2), 9.0]),
    ),
    (record(attempts=[attempt(total=1.0)]), record(attempts=[attempt(total=2.0, first_byte=0.5)])),
]

OTHER: list[tuple[Record, Record]] = [
    (record(), record(status=404)),
    (record(), record(method="PUT")),
    (record(), record(scheme="https")),
    (record(), record(http_version="1.0")),
    (record(), record(route_name="other")),
    (record(decision="fail"), record(decision="abort")),
    (record(reason="upstream_closed"), record(reason="upstream_connect_failed")),
    (passed(1.0, 2.0, 3.0), passed(1.0, 2.0)),
    (passed(1.0, noted("rate_counted"), 2.0, 3.0), passed(1.0, 2.0, noted("rate_counted"), 3.0)),
    (passed(1.0, noted("rate_counted"), 2.0, 3.0), passed(1.0, noted("token_accepted"), 2.0, 3.0)),
    (
        passed(1.0, noted("rate_counted", ("limits",)), 2.0),
        passed(1.0, noted("rate_counted", ("other",)), 2.0),
    ),
    (passed(1.0, 2.0, 3.0), passed(1.0, None, 3.0)),
    (record(steps=[step(GUARDS[0], "skip")]), record(steps=[step(GUARDS[1], "skip")])),
    (
        record(steps=[step(GUARDS[0], "refuse", status=403)]),
        record(steps=[step(GUARDS[0], "refuse", status=401)]),
    ),
    (record(attempts=[attempt()]), record(attempts=[attempt(), attempt()])),
    (record(attempts=[attempt()]), record(attempts=[attempt(reused=True)])),
    (record(attempts=[attempt()]), record(attempts=[attempt(first_byte=None)])),
    (record(attempts=[attempt()]), record(attempts=[attempt(status=500)])),
    (record(attempts=[attempt()]), record(attempts=[attempt(peer="192.0.2.1")])),
    (record(attempts=[attempt(error="a", detail="b")]), record(attempts=[attempt(error="a", detail="c")])),
    (denied(), denied(reason="other")),
    (denied(), denied(rule=("other",))),
    (denied(), denied(GUARDS[0])),
    (denied(), denied(status=400)),
    (record(steps=[step(GUARDS[0], "pass")]), record(steps=[step(GUARDS[0], "pass", note=[noted("a")])])),
    (
        record(steps=[step(GUARDS[0], "pass", rule=("a",))]),
        record(steps=[step(GUARDS[0], "pass", rule=("b",))]),
    ),
    (record(steps=[step(GUARDS[0], "pass")]), record(steps=[1.0])),
    (record(steps=[noted("a")]), record(steps=[step(GUARDS[0], "pass")])),
    (record(attempts=[attempt()]), record(attempts=[attempt(error="a")])),
    (record(attempts=[attempt()]), record(attempts=[attempt(connect=None)])),
    (record(attempts=[attempt()]), record(attempts=[attempt(upstream="other")])),
    (record(attempts=[attempt()]), record(attempts=[attempt(address="127.0.0.2:1")])),
    (
        record(guards=GUARDS, attempts=[attempt()], steps=[1.0, noted("rate_counted"), 2.0]),
        record(guards=GUARDS, attempts=[attempt()], steps=[1.0, 2.0, noted("rate_counted")]),
    ),
    (
        record(guards=GUARDS, attempts=[attempt()], steps=[1.0, noted("rate_counted"), 2.0]),
        record(guards=GUARDS, attempts=[attempt()], steps=[1.0, noted("rate_counted", ("other",)), 2.0]),
    ),
    (
        record(guards=GUARDS, attempts=[attempt()], steps=[1.0, 2.0]),
        record(guards=GUARDS, attempts=[attempt()], steps=[1.0, None, 2.0]),
    ),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_who_what_and_how_long_make_no_other_flow(one: Record, two: Record) -> None:
    flows = Flows()
    assert flows.of(one) is flows.of(two)


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_what_was_decided_and_why_makes_another_flow(one: Record, two: Record) -> None:
    flows = Flows()
    assert flows.of(one) is not flows.of(two)


@pytest.mark.parametrize(("one", "two"), SAME)
def test_records_of_one_header_section_are_known_by_the_last_of_them(one: Record, two: Record) -> None:
    flows = Flows()
    found, received = flows.of(one), two.received
    two.received = one.received
    assert flows.of(two) is found
    two.received = received


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_one_header_section_makes_no_flow_of_two(one: Record, two: Record) -> None:
    flows = Flows()
    found, received = flows.of(one), two.received
    two.received = one.received
    other = flows.of(two)
    assert other is not found
    assert flows.of(two) is other
    two.received = received


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_the_last_flow_on_a_route_is_not_that_of_another_record(one: Record, two: Record) -> None:
    flows = Flows()
    first, second = flows.of(one), flows.of(two)
    for told in (one, two):
        told.received.flow = None
    assert (flows.of(one), flows.of(two), flows.of(two)) == (first, second, second)


def test_a_likely_flow_of_somebody_else_or_that_is_forgotten_is_none() -> None:
    told, flows = record(attempts=[attempt()]), Flows()
    found = flows.of(told)
    assert Flows().of(told) is not found
    assert flows.of(told) is found
    flows.clear()
    assert flows.of(told) is not found
    assert len(list(flows)) == 1


def test_how_long_each_filter_took() -> None:
    flows = Flows()
    told = passed(1.0, noted("rate_counted"), 2.0, 5.0)
    assert flows.of(told).spent(told) == [(GUARDS[0], 1.0), (GUARDS[1], 3.0)]
    tried = step("tried", seconds=0.5)
    told = passed(1.0, tried, 2.0, 3.0)
    assert flows.of(told).spent(told) == [(tried.entry, 0.5), (GUARDS[0], 1.0)]
    told = passed(1.0, None, 3.0)
    assert flows.of(told).spent(told) == [(GUARDS[1], 2.0)]


def test_too_many_flows_are_told_before_they_are_forgotten() -> None:
    kept: list[int] = []
    flows = Flows(lambda: kept.append(len(list(flows))), most=3)
    for status in range(200, 205):
        flows.of(record(status=status))
    assert kept == [3]
    assert len(list(flows)) == 2


def test_where_the_steps_of_a_trail_stand() -> None:
    first, second = GUARDS
    tried = step("tried")
    assert Flows().of(passed(1.0, noted("rate_counted"), 2.0, 3.0)).spans == [(0, 2, first), (2, 3, second)]
    assert Flows().of(passed(1.0, tried, 2.0, 3.0)).spans == [(1, 1, tried.entry), (2, 3, first)]
    assert Flows().of(passed(1.0, None, 3.0)).spans is None
    assert Flows().of(passed(1.0, noted("rate_counted"), tried)).spans is None
    assert Flows().of(record(steps=[tried])).spans == [(0, 0, tried.entry)]


def test_the_order_of_what_was_noted_tells_flows_apart() -> None:
    why, how = noted("rate_counted"), noted("token_accepted")
    flows = Flows()
    kinds = {
        flows.of(passed(*trail))
        for trail in ([1.0, why, how, 2.0], [1.0, how, why, 2.0], [1.0, why, 2.0, how, 3.0])
    }
    assert len(kinds) == 3
    assert flows.of(passed(7.0, why, how, 9.0)) in kinds


def test_a_rule_that_cannot_be_a_key_costs_no_record() -> None:
    odd: Any = ["limits", 0]
    flows = Flows()
    one, two = (passed(1.0, Note("rate_counted", odd, {}), 2.0) for _ in range(2))
    assert flows.of(one) is flows.of(two)
    assert flows.of(one) is not flows.of(passed(1.0, noted("rate_counted"), 2.0))
