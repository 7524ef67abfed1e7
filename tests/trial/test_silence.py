"""Who asks the silent network is known."""

import asyncio

import pytest

from gateway.api.network import HttpError, HttpOptions
from gateway.trial.silence import listen, silent


async def _ask() -> None:
    with pytest.raises(HttpError):
        await silent(HttpOptions("http://service.invalid"), None).request("GET", "/")


async def test_whoever_asks_is_heard_and_so_are_the_tasks_that_he_begins() -> None:
    asked = listen()
    await asyncio.create_task(_ask())
    assert asked == ["http://service.invalid"]


async def test_who_begins_to_listen_hears_nothing_of_before() -> None:
    before = listen()
    task = asyncio.create_task(_ask())
    after = listen()
    await task
    assert (before, after) == (["http://service.invalid"], [])


async def test_nobody_need_listen() -> None:
    await _ask()
