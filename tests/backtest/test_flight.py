"""What is under way otherwise than it was."""

import pytest

from gateway.backtest.flight import Flight, Flights
from gateway.config.load import loads
from gateway.plan import Plan, build_plan
from gateway.registry import Registry
from tests.backtest.logged import text_of


def _plan(total: str, **route: object) -> Plan:
    registry = Registry()
    text = text_of(
        upstreams={"main": {"endpoints": ["http://upstream.invalid:1"], "timeouts": {"total": total}}},
        routes=[{"name": "all", "path": "/{rest*}", "upstream": "main", **route}],
    )
    return build_plan(loads(text, "gateway.yaml", registry=registry), registry)


def test_one_that_is_not_there_is_lacked_until_it_was_over() -> None:
    flight = Flight(10.0)
    assert not flight.fewer(0.0)
    flight.lack(5.0)
    flight.lack(3.0)
    assert flight.fewer(5.0) and not flight.fewer(5.1)
    assert flight.more(0.0) == 0


def test_those_that_come_are_under_way_for_as_long_as_they_may() -> None:
    flight = Flight(10.0)
    flight.add(0.0)
    flight.add(4.0)
    assert [flight.more(now) for now in (4.0, 10.0, 11.0, 14.5)] == [2, 2, 1, 0]


def test_of_many_it_is_only_known_that_there_are() -> None:
    flight = Flight(10.0)
    for number in range(5000):
        flight.add(number / 1000)
    assert flight.more(5.0) > 4000
    assert flight.more(15.0) == 0


def test_an_exchange_is_over_when_timeouts_have_it_so() -> None:
    flight = Flights(_plan("20s")).at(0)
    flight.add(0.0)
    assert [flight.more(now) for now in (79.0, 81.0)] == [1, 0]


def test_a_tunnel_is_never_over() -> None:
    flight = Flights(_plan("20s", upgrade=["websocket"])).at(0)
    flight.add(0.0)
    assert flight.more(1e9) == 1


@pytest.mark.parametrize("known", [True, False])
def test_what_may_be_otherwise_is_so_at_every_entry(known: bool) -> None:
    flights = Flights(_plan("20s"))
    if known:
        assert flights.at(1).more(0.0) == 0
    flights.doubt(5.0)
    assert flights.at(1).fewer(5.0) and flights.at(1).more(5.0) == float("inf")
    assert not flights.at(1).fewer(6.0) and flights.at(1).more(90.0) == 0
