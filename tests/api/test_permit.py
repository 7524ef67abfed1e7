"""Permits in a filter's test are as those in the gateway, but that nobody else has them."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.api import Claim, Permits
from gateway.api.testing import FrozenServices
from gateway.shared.memory import SharedMemory
from gateway.shared.permit import SharedPermits
from tests.support.deadline import within


@pytest.fixture(params=["in the gateway", "in a test"])
def permits(request: pytest.FixtureRequest) -> Iterator[Permits]:
    if request.param == "in a test":
        yield FrozenServices().permits("a")
        return
    memory = SharedMemory.create(slots=64)
    yield SharedPermits(memory.claim("a", "a"), memory)
    memory.close()


def claimed(permits: Permits, **limits: int) -> Claim:
    return permits.claim([(permits.place(key.encode()), most) for key, most in limits.items()])


def test_are_had_all_or_none(permits: Permits) -> None:
    first = claimed(permits, a=2, b=1)
    assert (first.full, first.used) == (-1, 1)
    second = claimed(permits, a=2, b=1)
    assert (second.full, second.used) == (1, 1)
    third = claimed(permits, a=2)
    assert (third.full, third.used) == (-1, 2)
    second.release()
    assert claimed(permits, a=2).full == 0
    first.release()
    first.release()
    assert claimed(permits, a=2, b=1).full == -1
    assert claimed(permits, a=2).full == 0


async def test_those_who_wait_have_their_turns(permits: Permits) -> None:
    first, second, third, fourth = (claimed(permits, a=1) for _ in range(4))
    assert (second.queue(2), third.queue(2), fourth.queue(2)) == (True, True, False)
    turn = asyncio.ensure_future(second.turn(60.0))
    assert not await within(third.turn(0.01), "its time is up")
    first.release()
    assert await within(turn, "its turn has come")
    assert second.full == -1
    second.release()
    assert claimed(permits, a=1).full == -1
