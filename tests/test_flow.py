"""Records of one flow differ in nothing that is counted or that its lines have in common."""

from typing import Any

import pytest

from gateway import flow
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


SAME: list[tuple[Record, Record]] = [
    (record(), record(target=b"/other", duration=9.0, principal=ALICE, client="192.0.2.1", bytes_in=3)),
    (passed(1, 2, 3), passed(1_000, 5_000, 9_000)),
    (passed(1, noted("rate_counted", cost=1), 2, 3), passed(1, noted("rate_counted", cost=2), 2, 3)),
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
    (passed(1, 2, 3), passed(1, 2)),
    (passed(1, noted("rate_counted"), 2, 3), passed(1, 2, noted("rate_counted"), 3)),
    (passed(1, noted("rate_counted"), 2, 3), passed(1, noted("token_accepted"), 2, 3)),
    (passed(1, noted("rate_counted", ("limits",)), 2), passed(1, noted("rate_counted", ("other",)), 2)),
    (passed(1, 2, 3), passed(1, None, 3)),
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
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_who_what_and_how_long_make_no_other_flow(one: Record, two: Record) -> None:
    flows = Flows()
    assert flows.of(one) is flows.of(two)


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_what_was_decided_and_why_makes_another_flow(one: Record, two: Record) -> None:
    flows = Flows()
    assert flows.of(one) is not flows.of(two)


def test_too_many_flows_are_told_before_they_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "MAX_FLOWS", 3)
    kept: list[int] = []
    flows = Flows(lambda: kept.append(len(list(flows))))
    for status in range(200, 205):
        flows.of(record(status=status))
    assert kept == [3]
    assert len(list(flows)) == 2


def test_where_the_steps_of_a_trail_stand() -> None:
    first, second = GUARDS
    tried = step("tried")
    assert Flows().of(passed(1, noted("rate_counted"), 2, 3)).spans == [(0, 2, first), (2, 3, second)]
    assert Flows().of(passed(1, tried, 2, 3)).spans == [(1, 1, tried.entry), (2, 3, first)]
    assert Flows().of(passed(1, None, 3)).spans is None
    assert Flows().of(passed(1, noted("rate_counted"), tried)).spans is None
    assert Flows().of(record(steps=[tried])).spans == [(0, 0, tried.entry)]


def test_the_order_of_what_was_noted_tells_flows_apart() -> None:
    why, how = noted("rate_counted"), noted("token_accepted")
    flows = Flows()
    kinds = {flows.of(passed(*trail)) for trail in ([1, why, how, 2], [1, how, why, 2], [1, why, 2, how, 3])}
    assert len(kinds) == 3
    assert flows.of(passed(7, why, how, 9)) in kinds


def test_a_rule_that_cannot_be_a_key_costs_no_record() -> None:
    odd: Any = ["limits", 0]
    flows = Flows()
    one, two = (passed(1, Note("rate_counted", odd, {}), 2) for _ in range(2))
    assert flows.of(one) is flows.of(two)
    assert flows.of(one) is not flows.of(passed(1, noted("rate_counted"), 2))
