"""A request at the gates of its route and its upstream, by a script of the loop."""

import asyncio
from typing import Any

from gateway.api.verdict import Fault
from gateway.config.traffic import Concurrency
from gateway.upstream.concurrency import Limiter
from gateway.upstream.passage import Gate, Passage, latency
from gateway.upstream.priority import Ranking
from tests.support.deadline import until
from tests.support.records import attempt, record


def limiter(scope: str = "route", **options: Any) -> Limiter:
    options = {"limit": 1, "queue": 1, "queue_timeout": 60, **options}
    return Limiter(scope, "a", Concurrency.model_validate(options), lambda: 0.0)


class Guest:
    def __init__(self, *limiters: Limiter) -> None:
        self.told: list[str] = []
        gate = Gate(limiters, Ranking([]))
        loop = asyncio.get_running_loop()
        self.passage = Passage(gate, record().exchange, loop, self._passed, self._refused)

    def _passed(self) -> None:
        self.told.append("passed")

    def _refused(self, fault: Fault) -> None:
        self.told.append(fault.reason)


async def test_passes_at_once_where_there_is_room() -> None:
    route, upstream = limiter(), limiter("upstream")
    guest = Guest(route, upstream)
    assert guest.passage.enter() is None
    assert guest.passage.passed and guest.told == []
    assert (route.active, upstream.active) == (1, 1)
    guest.passage.leave(0.1)
    guest.passage.leave(0.1)
    assert (route.active, upstream.active) == (0, 0)


async def test_waits_at_the_second_with_a_place_at_the_first() -> None:
    route, upstream = limiter(limit=5), limiter("upstream")
    first, second = Guest(upstream), Guest(route, upstream)
    first.passage.enter()
    assert second.passage.enter() is None
    assert (second.passage.passed, route.active, upstream.waiting) == (False, 1, 1)
    first.passage.leave(None)
    assert second.told == [], "the other is in the midst of its end"
    await until(lambda: second.told == ["passed"], "it is told")
    second.passage.leave(None)
    assert (route.active, upstream.active) == (0, 0)
    assert second.passage.waited is not None and second.passage.waited > 0
    assert first.passage.waited is None


async def test_is_kept_out_without_leaving_a_place_taken() -> None:
    route, upstream = limiter(limit=5), limiter("upstream", queue=0)
    first, second = Guest(upstream), Guest(route, upstream)
    first.passage.enter()
    assert second.passage.enter() is upstream.fault
    assert (route.active, second.told) == (0, [])
    first.passage.leave(None)


async def test_is_refused_when_its_time_is_up() -> None:
    route = limiter(queue_timeout=0.01)
    first, second = Guest(route), Guest(route)
    first.passage.enter()
    second.passage.enter()
    await until(lambda: second.told == ["route_concurrency_exceeded"], "its time is up")
    assert second.passage.waited is not None and second.passage.waited > 0
    assert (route.waiting, route.refused["queue_timeout"]) == (0, 1)
    first.passage.leave(None)
    assert route.active == 0


async def test_one_that_leaves_between_its_turn_and_the_news_of_it_gives_the_place_on() -> None:
    route = limiter(queue=2)
    first, second, third = Guest(route), Guest(route), Guest(route)
    for guest in (first, second, third):
        guest.passage.enter()
    first.passage.leave(None)
    second.passage.leave(None)
    await until(lambda: third.told == ["passed"], "the next has its turn")
    assert second.told == []
    third.passage.leave(None)
    assert (route.active, route.waiting) == (0, 0)


async def test_one_that_leaves_the_queue_is_told_nothing() -> None:
    route = limiter()
    first, second = Guest(route), Guest(route)
    first.passage.enter()
    second.passage.enter()
    second.passage.leave(None)
    first.passage.leave(None)
    await asyncio.sleep(0)
    assert (second.told, route.active, route.waiting) == ([], 0, 0)


def test_the_latency_is_that_of_the_last_attempt() -> None:
    assert latency([]) is None
    assert latency([attempt(first_byte=None, error="upstream_closed"), attempt(first_byte=0.2)]) == 0.2
    late = attempt(first_byte=None, error="upstream_first_byte_timeout", total=60.0)
    assert latency([late]) == 60.0
    assert latency([attempt(first_byte=None, error="upstream_connect_failed")]) is None
    assert latency([attempt(first_byte=None, error="client_disconnected")]) is None
