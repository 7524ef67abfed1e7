"""Limits in a real Redis: all or none, one call for all, and what is not a decision."""

from typing import Any

import pytest

from filters.rate_limit import script
from filters.rate_limit.algorithm import Algorithm, FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.remote import Names, RemoteStore
from filters.rate_limit.store import Charge
from gateway.api import StoreError
from tests.filters.rate_limit.direct import Direct


async def test_the_servers_clock_decides(direct: Direct) -> None:
    store = RemoteStore(direct, Names("weir", "a"))
    limit = Gcra(2, 3600.0, 2)
    answers = [await store.decide([(0, limit, "p1", 1)]) for _ in range(3)]
    assert [answer.decision[1] for answer in answers] == [-1, -1, 0]
    assert answers[2].decision[0] == pytest.approx(1800, abs=60)
    seconds, _ = await direct.command("TIME")
    assert answers[2].now == pytest.approx(int(seconds) - script.EPOCH, abs=60)


async def test_one_call_decides_all_and_its_keys_are_in_one_slot(direct: Direct) -> None:
    store = RemoteStore(direct, Names("weir", "a"))
    charges: list[Charge] = [(0, Gcra(1, 1.0, 1), "p1", 1), (1, FixedWindow(9, 60.0), ("u1", "p1"), 1)]
    await store.decide(charges)
    await store.decide(charges)
    assert [parts[0] for parts in direct.sent] == ["EVALSHA", "EVAL", "EVALSHA"]  # the script is sent once
    keys = await direct.command("KEYS", "*")
    assert len(keys) == 2
    assert len({key[: key.index(b"}") + 1] for key in keys}) == 1
    assert all(key.startswith(b"weir:{") and b"p1" not in key for key in keys)


async def test_what_says_nothing_any_more_is_gone(direct: Direct) -> None:
    store = RemoteStore(direct, Names("weir", "a"))
    await store.decide([(0, Gcra(1, 60.0, 1), "p1", 1)])
    (key,) = await direct.command("KEYS", "*")
    assert 0 < await direct.command("PTTL", key) <= 60_000


async def test_names_limits_kinds_and_keys_are_apart(direct: Direct) -> None:
    first, second = RemoteStore(direct, Names("weir", "a")), RemoteStore(direct, Names("weir", "b"))
    one, other = Gcra(1, 60.0, 1), FixedWindow(1, 60.0)
    charged = [
        await store.decide([(limit, algorithm, key, 1)])
        for store in (first, second)
        for limit in (0, 1)
        for algorithm in (one, other)
        for key in ("p", ("p",), ("p", ""), ("pp",))
    ]
    assert {answer.decision[1] for answer in charged} == {-1}
    assert len(await direct.command("KEYS", "*")) == 32


@pytest.mark.parametrize(
    "said",
    [None, b"OK", 1, [], [b"", -1], [b"\0" * 16, -1], [b"\0" * 16, 1, b"", b"", 0], [b"\0" * 16, -1, b"x", b"", 0],
     [b"\xff" * 16, -1, b"", b"", 0], [b"\0" * 16, "0", b"", b"", 0]],
)  # fmt: skip
async def test_an_answer_that_is_no_decision_is_a_broken_store(said: Any) -> None:
    class Odd:
        async def command(self, *parts: Any) -> Any:
            return said

        def available(self) -> bool:
            return True

        def tell(self, *parts: Any) -> None:
            raise NotImplementedError

    with pytest.raises(StoreError, match="broken"):
        await RemoteStore(Odd(), Names("weir", "a")).decide([(0, Gcra(1, 1.0, 1), "k", 1)])


async def test_a_cell_that_somebody_else_has_written_is_no_cell(direct: Direct) -> None:
    store = RemoteStore(direct, Names("weir", "a"))
    await store.decide([(0, Gcra(1, 60.0, 1), "p1", 1)])
    (key,) = await direct.command("KEYS", "*")
    await direct.command("SET", key, "nonsense")
    assert (await store.decide([(0, Gcra(1, 60.0, 1), "p1", 1)])).decision[1] == -1


@pytest.mark.parametrize("algorithm", [Gcra(1, 60.0, 1), FixedWindow(1, 60.0), SlidingWindow(1, 60.0)])
async def test_what_is_forgotten_is_so_by_whatever_algorithm_it_was_counted(
    direct: Direct, algorithm: Algorithm
) -> None:
    names = Names("weir", "a")
    store = RemoteStore(direct, names)
    await store.decide([(0, algorithm, "p1", 1)])
    await RemoteStore(direct, Names("weir", "a")).forget([(0, "p1")])
    assert await direct.command("KEYS", "*") == []
    await store.forget([(0, "p2")])
    assert names.known() == [(0, algorithm.spec[0], "p1")], "what was only forgotten was not met"
