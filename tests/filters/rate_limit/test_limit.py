"""Limits ready for use."""

from typing import Any

import pytest

from filters.rate_limit.algorithm import CalendarWindow, Closed, FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.limit import Limit, Table, Terms
from filters.rate_limit.option import LimitOptions
from gateway.api import Instant, Principal
from gateway.api.testing import exchange

NOON = Instant(1_700_000_000.0, 1000.0)


def options(**given: Any) -> LimitOptions:
    return LimitOptions.model_validate({"rate": "10/minute", **given})


def limit(**given: Any) -> Limit:
    return Limit(3, options(**given), ("limits", 3), "limits[3]", 413, None, None)


@pytest.mark.parametrize(
    ("given", "kind", "spec"),
    [
        ({}, Gcra, (6.0, 60.0, 0.0)),
        ({"burst": 2, "cost": {"header": "X-Cost", "max": 5}}, Gcra, (6.0, 12.0, 30.0)),
        ({"algorithm": "fixed_window"}, FixedWindow, (10.0, 60.0, 0.0)),
        ({"algorithm": "sliding_window"}, SlidingWindow, (10.0, 60.0, 0.0)),
    ],
)
def test_terms_count_by_their_algorithm(given: dict[str, Any], kind: type, spec: tuple[float, ...]) -> None:
    terms = Terms(options(**given))
    assert type(terms.algorithm) is kind
    assert terms.counting(NOON) is terms.algorithm
    assert terms.counting(NOON).spec[1] == spec
    assert terms.quota(NOON) == (10, 60)


def test_terms_of_the_calendar_count_anew_in_each_window() -> None:
    terms = Terms(options(rate="5/day", algorithm="calendar_window"))
    assert terms.algorithm is None
    assert isinstance(terms.counting(NOON), CalendarWindow)
    assert terms.quota(NOON) == (5, 86400)
    assert terms.counting(NOON).spec != terms.counting(Instant(NOON.wall + 86400, 87400.0)).spec


def test_blocked_terms_let_nothing_through() -> None:
    terms = Terms(options(), blocked=True, source="a.yaml:1:2")
    assert isinstance(terms.algorithm, Closed)
    assert (terms.source, terms.quota(NOON), terms.details[0]) == ("a.yaml:1:2", (0, 60), "Only 0 ")


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({}, True),
        ({"methods": ["GET"], "key": ["user_id", "method"], "cost": 2, "status": 503}, True),
        ({"path": "/a"}, False),
        ({"query": ["a"]}, False),
        ({"cost": 0}, False),
        ({"cost": {"methods": {"GET": 2}}}, False),
        ({"cost": {"header": "X-Cost", "max": 5}}, False),
        ({"rate": "1/day", "algorithm": "calendar_window"}, False),
    ],
)
def test_a_plain_limit_looks_at_method_and_key_only(given: dict[str, Any], plain: bool) -> None:
    made = limit(**given)
    assert made.plain is plain
    assert Table([made]).plain is plain


def test_a_project_may_have_terms_of_its_own() -> None:
    own = Terms(options(rate="99/minute"))
    made = Limit(0, options(), ("limits", 0), "limits[0]", 429, {"p1": own, "p2": None}, None)
    assert made.terms_of(exchange(principal=Principal(project_id="p1"))) is own
    assert made.terms_of(exchange(principal=Principal(project_id="p2"))) is None
    for principal in (Principal(project_id="p3"), Principal(), None):
        assert made.terms_of(exchange(principal=principal)) is made.terms
    assert (made.label, made.policy, made.status) == ("limits[0]", '"limits[0]"', 429)


def test_a_name_that_no_field_can_hold_gives_way_to_the_place() -> None:
    assert limit(name="žluť").policy == '"limits[3]"'
    assert limit(name="žluť").label == "žluť"


def test_a_table_knows_its_limits_by_method() -> None:
    reads, writes, every = limit(methods=["get"]), limit(methods=["PUT", "POST"]), limit()
    table = Table([reads, writes, every])
    assert table.of("GET") == (reads, every)
    assert table.of("POST") == table.of("PUT") == (writes, every)
    assert table.of("BREW") == (every,)
    assert Table([reads]).of("PUT") == ()


@pytest.mark.parametrize(
    ("given", "method", "cost"),
    [
        ({"cost": 3}, None, 3),
        ({"cost": {"default": 2, "methods": {"POST": 5}}}, "POST", 5),
        ({"cost": {"default": 2, "methods": {"POST": 5}}}, "PUT", 2),
        ({"cost": {"default": 2, "methods": {"POST": 5}}}, None, 2),
        ({"cost": {"default": 0, "methods": {"POST": 5, "PUT": 3, "GET": 0}}}, None, 3),
        ({"cost": {"default": 2, "methods": {"POST": 5, "PUT": 3}}, "methods": ["POST"]}, None, 5),
    ],
)
def test_a_cost_is_told_with_and_without_a_method(
    given: dict[str, Any], method: str | None, cost: int
) -> None:
    assert limit(**given).cost_of(method) == cost
