"""When keys are fetched anew, how long they are trusted, and who is told that they are others."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth.issuer import Issuer
from filters.token_auth.key_set import KeySet, Reader
from filters.token_auth.option import FetchOptions, JwtOptions
from gateway.api import HttpAnswer, HttpError
from gateway.api.testing import FrozenServices, HttpRequest
from tests.filters.token_auth.issuer_service import BY_URL, IssuerService, answer
from tests.filters.token_auth.signing import SECRET, ec384_key, ec_key, jwk, rsa_key
from tests.support.deadline import until

DOWN = HttpError("connect")


class Desk:
    """A set of keys, somebody who reads it, and the clock of both."""

    def __init__(self, **fetch: Any) -> None:
        self.service = IssuerService()
        self.services = FrozenServices(answer=self.service)
        self.options = JwtOptions.model_validate({**BY_URL, "fetch": fetch})
        self.changes: list[bool] = []
        self.set = KeySet(self.options.fetch)
        self.reader = self.another(self.changes)

    def another(self, changes: list[bool]) -> Reader:
        return Reader(Issuer(self.options, self.services), self.services, changes.append)

    async def fetch(self) -> list[str | None]:
        await self.set.refresh(self.reader)
        return self.kids

    @property
    def now(self) -> float:
        return self.services.now().monotonic

    @property
    def kids(self) -> list[str | None]:
        return [key.kid for key in self.set.trusted(self.now)]


async def test_there_are_none_until_they_are_fetched() -> None:
    desk = Desk()
    assert desk.kids == []
    assert desk.set.may_ask(desk.now)
    assert await desk.fetch() == ["one"]
    assert not desk.set.failing


async def test_fifty_who_want_them_ask_once() -> None:
    desk = Desk()
    await asyncio.gather(*(desk.fetch() for _ in range(50)))
    assert desk.service.fetched == 1


async def test_they_are_trusted_for_their_period_and_while_they_cannot_be_fetched_for_a_time_more() -> None:
    desk = Desk(period="10m", stale_for="1h")
    await desk.fetch()
    desk.service.instead = DOWN
    desk.services.advance(4199)
    assert await desk.fetch() == ["one"]
    assert desk.set.failing
    desk.services.advance(1)
    assert desk.kids == []
    desk.service.instead = None
    assert await desk.fetch() == ["one"]


async def test_what_cannot_be_read_leaves_those_that_are_there() -> None:
    desk = Desk()
    await desk.fetch()
    documents: list[Any] = [{"keys": []}, b"<html>", {"keys": [jwk(SECRET)]}]
    for document in documents:
        desk.service.instead = answer(document)
        assert await desk.fetch() == ["one"]
    assert desk.changes == []
    event, facts = desk.services.warnings[-1]
    assert (event, facts["known_keys"]) == ("keys_unavailable", 1)


async def test_who_reads_is_told_of_other_keys_and_whether_one_is_gone() -> None:
    desk = Desk()
    desk.set.attach(desk.reader)
    assert await desk.fetch() == ["one"]
    assert await desk.fetch() == ["one"]
    assert desk.changes == [False]
    for keys, told in (
        ([jwk(ec_key(), kid="one"), jwk(rsa_key(), kid="two")], [False]),
        ([jwk(rsa_key(), kid="two")], [True]),
        ([jwk(rsa_key(), kid="three")], [False]),  # called otherwise, and no other key
        ([jwk(rsa_key(), kid="three", alg="RS256")], []),  # it verified with no other here
        ([jwk(rsa_key(), kid="three", use="enc"), jwk(ec_key())], [True]),
    ):
        desk.changes.clear()
        desk.service.keys = keys
        await desk.fetch()
        await desk.fetch()
        assert desk.changes == told
    desk.set.close()


async def test_a_key_that_may_verify_less_is_gone() -> None:
    desk = Desk()
    desk.options = JwtOptions.model_validate({**BY_URL, "algorithms": ["RS256", "PS256"]})
    desk.reader = desk.another(desk.changes)
    desk.service.keys = [jwk(rsa_key())]
    desk.set.attach(desk.reader)
    await desk.fetch()
    desk.service.keys = [jwk(rsa_key(), alg="PS256")]
    await desk.fetch()
    assert desk.changes == [False, True]
    desk.set.close()


async def test_keys_that_are_left_out_are_told_of_once() -> None:
    desk = Desk()
    desk.service.keys += [jwk(SECRET, kid="hs"), {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]
    for _ in range(3):
        await desk.fetch()
    (warning,) = desk.services.warnings
    assert warning == (
        "keys_left_out",
        {
            "url": BY_URL["jwks_url"],
            "because": "a shared secret; the key's members do not make a key",
        },
    )


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=40), st.floats(0.1, 60))
def test_tokens_bring_about_at_most_one_fetch_in_a_cooldown(
    steps: list[tuple[float, bool]], cooldown: float
) -> None:
    desk = Desk(cooldown=cooldown)
    instants: list[float] = []

    async def run() -> None:
        await desk.fetch()
        for seconds, up in steps:
            desk.services.advance(seconds)
            desk.service.instead = None if up else DOWN
            if desk.set.may_ask(desk.now):
                instants.append(desk.now)
                await desk.fetch()
            else:
                assert 1 <= desk.set.wait(desk.now) <= cooldown + 1
        assert desk.service.fetched == 1 + len(instants)

    asyncio.run(run())
    assert all(later - earlier >= cooldown * 0.999 for earlier, later in pairwise(instants))


async def test_without_any_keys_it_is_tried_again_sooner_and_then_less_often() -> None:
    desk = Desk(cooldown="10s")
    desk.service.instead = DOWN
    waits: list[int] = []
    for _ in range(6):
        assert desk.set.may_ask(desk.now)
        await desk.fetch()
        assert not desk.set.may_ask(desk.now)
        waits.append(desk.set.wait(desk.now))
        desk.services.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 10, 10]


async def test_who_comes_while_they_are_fetched_waits_for_them() -> None:
    desk = Desk()
    gate = asyncio.Event()

    async def slow(request: HttpRequest) -> HttpAnswer:
        await gate.wait()
        return answer({"keys": desk.service.keys})

    desk.services.answer = slow
    fetching = asyncio.ensure_future(desk.fetch())
    await asyncio.sleep(0)
    assert desk.set.may_ask(desk.now)
    gate.set()
    assert await fetching == ["one"]
    assert not desk.set.may_ask(desk.now)


async def test_of_many_who_seek_a_key_one_has_them_fetched_and_who_is_late_does_not() -> None:
    desk = Desk(cooldown="10s")
    await desk.fetch()
    desk.services.advance(10)
    seeking = [desk.set.seek(desk.reader) for _ in range(50)]
    assert desk.set.may_ask(desk.now)
    await asyncio.gather(*seeking[:25])
    for late in seeking[25:]:  # the fetch is over that was out when it began
        await late
    assert desk.service.fetched == 2
    desk.services.advance(10)
    await desk.set.seek(desk.reader)
    assert desk.service.fetched == 3


async def test_they_are_fetched_when_the_first_begins_to_read_and_then_by_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    monkeypatch.setattr(desk.set, "_options", FetchOptions.model_construct(period=0.0, stale_for=60.0))
    desk.set.attach(desk.reader)
    await until(lambda: desk.service.fetched > 3, "keys are fetched again and again")
    desk.set.detach(desk.reader)
    await desk.set.refresh(desk.reader)
    fetched = desk.service.fetched
    for _ in range(10):
        await asyncio.sleep(0)
    assert desk.service.fetched == fetched


async def test_after_a_reload_they_are_there_and_the_new_reader_fetches() -> None:
    desk = Desk()
    desk.set.attach(desk.reader)
    await desk.fetch()
    changes: list[bool] = []
    other = desk.another(changes)
    desk.set.attach(other)
    desk.set.detach(desk.reader)
    assert desk.service.fetched == 1
    assert desk.kids == ["one"]
    desk.service.keys = [jwk(rsa_key(), kid="two")]
    await desk.set.refresh(other)
    assert (changes, desk.changes) == ([True], [False])
    desk.set.detach(other)
    desk.set.detach(other)
    # One that comes when all are gone has the clock set again.
    assert not desk.set._timer.is_set
    desk.set.attach(other)
    assert desk.set._timer.is_set
    desk.set.close()


async def test_a_plan_that_was_prepared_in_vain_leaves_the_former_in_charge() -> None:
    desk = Desk()
    desk.set.attach(desk.reader)
    await desk.fetch()
    prepared = desk.another([])
    desk.set.attach(prepared)
    desk.set.detach(prepared)
    desk.service.keys = [jwk(ec_key(), kid="two")]
    desk.set._due()
    await desk.fetch()
    assert desk.kids == ["two"]
    desk.set.close()


async def test_closing_ends_a_fetch_and_its_clock() -> None:
    desk = Desk()
    gate = asyncio.Event()

    async def never(request: HttpRequest) -> HttpAnswer:
        await gate.wait()
        raise AssertionError

    desk.services.answer = never
    desk.set.attach(desk.reader)
    waiting = desk.set.refresh(desk.reader)
    await asyncio.sleep(0)
    desk.set.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    desk.set._due()
    assert not desk.set._timer.is_set


async def test_a_bug_does_not_end_the_fetching() -> None:
    desk = Desk()
    desk.set.attach(desk.reader)
    await desk.fetch()

    def bug(request: HttpRequest) -> HttpAnswer:
        raise RuntimeError("bug")

    desk.services.answer = bug
    with pytest.raises(RuntimeError):
        await desk.set.refresh(desk.reader)
    assert desk.set.failing
    assert desk.set._timer.is_set
    desk.set.close()


def test_a_key_of_another_curve_is_passed_over() -> None:
    desk = Desk()
    desk.service.keys = [jwk(ec384_key(), kid="384"), jwk(ec_key(), kid="256")]
    assert asyncio.run(desk.fetch()) == ["256"]
    assert desk.services.warnings == []
