"""What gateways have dropped that they had counted."""

from typing import Any

import pytest

from gateway.backtest.drop import Drop, drops
from gateway.backtest.recorded import Past, past_of
from gateway.config.load import loads
from gateway.plan import Plan, build_plan
from gateway.registry import Registry
from tests.backtest.logged import text_of

LIMITS: dict[str, Any] = {"limits": [{"name": "l", "rate": "3/day", "key": ["global"]}]}
STORE: dict[str, Any] = {"url": "redis://127.0.0.1:1"}


def _plan(options: dict[str, Any] | None) -> Plan:
    registry = Registry()
    filters = [] if options is None else [{"rate_limit": {**LIMITS, **options}}]
    return build_plan(loads(text_of(filters=filters), "gateway.yaml", registry=registry), registry)


def _past(plan: Plan, *told: tuple[float, float, int]) -> Past:
    return past_of({"gateway.plan": plan.describe()})._replace(told=told)


@pytest.mark.parametrize(
    ("there", "other", "dropped"),
    [
        ({}, None, True),
        ({}, {"mode": "shadow"}, True),
        ({}, {"name": "renamed"}, True),
        ({}, {"limits": [{"name": "l", "rate": "5/day", "key": ["method"]}]}, False),
        ({}, {"limits": [{"name": "k", "rate": "3/day", "key": ["global"]}]}, False),
        ({"store": STORE}, None, False),
        ({"store": {**STORE, "lease": {"share": 2, "time": "5s"}}}, None, True),
    ],
    ids=[
        "gone",
        "in shadow",
        "renamed",
        "another rate",
        "another limit",
        "in a store",
        "in shares of a store",
    ],
)
def test_what_a_configuration_has_not_is_dropped(
    there: dict[str, Any], other: dict[str, Any] | None, dropped: bool
) -> None:
    plan = _plan(there)
    pasts = [_past(plan, (1.0, 10.0, 1), (1.0, 30.0, 1)), _past(_plan(other), (1.0, 20.0, 1))]
    assert drops(pasts, plan, {1.0}) == ([Drop(20.0, [0])] if dropped else [])


def test_what_was_not_there_before_is_not_dropped() -> None:
    plan = _plan({})
    pasts = [_past(plan, (1.0, 30.0, 1)), _past(_plan(None), (1.0, 20.0, 1))]
    assert drops(pasts, plan, {1.0}) == []


def test_other_gateways_drop_what_is_theirs() -> None:
    plan, other = _plan({}), _plan(None)
    assert drops([_past(plan, (1.0, 10.0, 1)), _past(other, (2.0, 20.0, 1))], plan, {1.0}) == []
    assert drops([_past(plan, (1.0, 10.0, 1)), _past(other, (0.0, 20.0, 1))], plan, {1.0}) == [
        Drop(20.0, [0])
    ]


def test_what_counts_nothing_has_nothing_dropped() -> None:
    assert drops([_past(_plan({}), (1.0, 10.0, 1))], _plan(None), {1.0}) == []
