"""Single flight: one question for all who ask the same."""

import asyncio

import pytest

from gateway.api import Pending, SingleFlight
from tests.support.deadline import until


class Service:
    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.asked += 1
        await self.go.wait()
        return self.asked


async def test_fifty_who_ask_the_same_are_answered_by_one_question() -> None:
    flight, service = SingleFlight[str, int](), Service()
    waiting = [asyncio.ensure_future(flight.join("a", service)) for _ in range(50)]
    await asyncio.sleep(0)
    assert "a" in flight
    service.go.set()
    assert await asyncio.gather(*waiting) == [1] * 50
    assert service.asked == 1
    assert len(flight) == 0
    assert await flight.join("a", service) == 2  # nothing is remembered


async def test_other_questions_are_asked_for_themselves() -> None:
    flight, service = SingleFlight[str, int](), Service()
    service.go.set()
    await asyncio.gather(flight.join("a", service), flight.join("b", service))
    assert service.asked == 2


async def test_who_goes_away_takes_the_answer_from_nobody() -> None:
    flight, service = SingleFlight[str, int](), Service()
    first = asyncio.ensure_future(flight.join("a", service))
    second = asyncio.ensure_future(flight.join("a", service))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert first.cancelled()
    service.go.set()
    assert await second == 1


async def test_a_failure_is_everybodys() -> None:
    async def fails() -> int:
        raise LookupError("broken")

    flight = SingleFlight[str, int]()
    outcomes = await asyncio.gather(flight.join("a", fails), flight.join("a", fails), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LookupError, LookupError]
    assert "a" not in flight


async def test_closed_it_ends_what_is_out() -> None:
    flight, service = SingleFlight[str, int](), Service()
    waiting = asyncio.ensure_future(flight.join("a", service))
    await asyncio.sleep(0)
    flight.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(flight) == 0


async def test_who_asks_after_a_parting_is_answered_by_another_question() -> None:
    flight, service = SingleFlight[str, int](), Service()
    first = asyncio.ensure_future(flight.join("a", service))
    await asyncio.sleep(0)
    flight.part()
    assert "a" not in flight
    second = asyncio.ensure_future(flight.join("a", service))
    await asyncio.sleep(0)
    assert service.asked == 2
    service.go.set()
    await asyncio.gather(first, second)
    assert len(flight) == 0


async def test_the_end_of_a_question_from_before_a_parting_ends_none_that_came_after() -> None:
    go = asyncio.Event()

    async def slow() -> int:
        await go.wait()
        return 2

    async def quick() -> int:
        return 1

    flight = SingleFlight[str, int]()
    first = flight.join("a", quick)
    flight.part()
    second = flight.join("a", slow)
    assert await first == 1
    assert "a" in flight
    go.set()
    assert await second == 2


async def test_closing_ends_what_was_parted_from_too() -> None:
    flight, service = SingleFlight[str, int](), Service()
    waiting = flight.join("a", service)
    flight.part()
    flight.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_answer_that_comes_in_time_is_told_to_who_waits_alone() -> None:
    pending, service, told = Pending[int](), Service(), list[int]()
    service.go.set()
    assert await pending.within(60, service(), told.append) == 1
    assert not told and not pending


async def test_an_answer_that_comes_too_late_is_told_once_it_comes() -> None:
    pending, service, told = Pending[int](), Service(), list[int]()
    with pytest.raises(TimeoutError):
        await pending.within(0.001, service(), told.append)
    pending.tell(service(), told.append)
    await asyncio.sleep(0)
    assert len(pending) == 2 and not told
    service.go.set()
    await until(lambda: not pending, "the answers have come")
    assert told == [2, 2]


async def test_what_is_raised_is_raised_for_who_waits_and_told_to_nobody() -> None:
    pending, told = Pending[int](), list[int]()

    async def fail() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        await pending.within(60, fail(), told.append)
    pending.tell(fail(), told.append)
    cancelled = asyncio.get_running_loop().create_future()
    pending.tell(cancelled, told.append)
    cancelled.cancel()
    await until(lambda: not pending, "both are over")
    assert not told


async def test_who_goes_away_does_not_end_what_others_have_asked() -> None:
    flight, pending, service = SingleFlight[str, int](), Pending[int](), Service()
    waiting = asyncio.ensure_future(pending.within(60, flight.join("a", service), print))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    service.go.set()
    assert await flight.join("a", service) == 1
