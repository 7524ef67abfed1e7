"""Limits in a real Redis: the same verdicts as in this process, all or none, one call for all."""

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hiredis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters.rate_limit import remote, script
from filters.rate_limit.algorithm import Algorithm, CalendarWindow, Closed, FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.remote import RemoteStore
from filters.rate_limit.store import Charge, MemoryStore
from gateway.api import StoreError
from tests.support.redis import Redis, redis


class Direct:
    """A client that waits for each answer; what it sent is kept."""

    def __init__(self, server: Redis) -> None:
        self._sock = socket.create_connection(("127.0.0.1", server.port), 20.0)
        self._reader = hiredis.Reader(notEnoughData=...)
        self.sent: list[tuple[Any, ...]] = []

    async def command(self, *parts: Any) -> Any:
        self.sent.append(parts)
        self._sock.sendall(hiredis.pack_command(parts))
        while (answer := self._reader.gets()) is ...:
            data = self._sock.recv(1 << 16)
            assert data, "the server has gone"
            self._reader.feed(data)
        if isinstance(answer, hiredis.ReplyError):
            raise StoreError("refused", str(answer).partition(" ")[0])
        return answer

    def tell(self, *parts: Any) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Redis]:
    async with redis(tmp_path) as server:
        yield server


@pytest.fixture
def direct(server: Redis) -> Iterator[Direct]:
    made = Direct(server)
    yield made
    made.close()


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script takes its instant from a key, and not from the server's clock."""
    changed = script.SCRIPT.replace("== 'late', instant()", "== 'late', tonumber(redis.call('GET', 'clock'))")
    assert changed != script.SCRIPT
    monkeypatch.setattr(remote, "SCRIPT", changed)
    monkeypatch.setattr(remote, "_SHA", "0" * 40)


def algorithms() -> st.SearchStrategy[Algorithm]:
    values, units, debts = st.integers(1, 6), st.sampled_from([1.0, 7.0, 60.0]), st.integers(0, 4)
    return st.one_of(
        st.builds(Gcra, values, units, st.integers(1, 9), debts),
        st.builds(FixedWindow, values, units, debts),
        st.builds(SlidingWindow, values, units, debts),
        st.builds(CalendarWindow, values, st.integers(4, 6), st.floats(1e6, 1e6 + 60), debts),
        st.builds(Closed, units),
    )


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0, 3.5]) | st.floats(0, 70),
        st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.integers(0, 3)), min_size=1, max_size=3
        ),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=25,
)
_examples = iter(range(1 << 60))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(algorithms(), min_size=3, max_size=3), STEPS)
async def test_it_decides_as_this_process_does(
    direct: Direct,
    clocked: None,
    limits: list[Algorithm],
    steps: list[tuple[float, list[tuple[int, str, int]], bool]],
) -> None:
    store, model = RemoteStore(direct, "weir", str(next(_examples))), MemoryStore()
    now = 1e6
    for gap, told, late in steps:
        now += gap
        await direct.command("SET", "clock", repr(now))
        unique = {(limit, key): cost for limit, key, cost in told}
        charges: list[Charge] = [(limit, limits[limit], key, cost) for (limit, key), cost in unique.items()]
        if late:
            await store.charge_late(charges)
            model.charge_late(charges, now)
            charges = [(*charge[:3], 0) for charge in charges]  # what has come of it
        answer, expected = await store.decide(charges), model.decide(charges, now)
        assert answer.decision[:2] == expected[:2]
        assert answer.granted == tuple(cost if expected[1] < 0 else 0 for *_, cost in charges)
        for place, (_, algorithm, *_) in enumerate(charges):
            for mine, theirs in zip(answer.decision[2:], expected[2:], strict=True):
                assert algorithm.remaining(mine[place], now) == algorithm.remaining(theirs[place], now)
                assert algorithm.reset(mine[place], now) == algorithm.reset(theirs[place], now)
        assert answer.now == now


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(algorithms(), st.lists(st.tuples(st.floats(0, 5), st.integers(1, 3), st.integers(0, 9)), max_size=20))
async def test_a_share_is_what_fits_and_never_more(
    direct: Direct, clocked: None, limit: Algorithm, steps: list[tuple[float, int, int]]
) -> None:
    store, model = RemoteStore(direct, "weir", str(next(_examples))), MemoryStore()
    now = 1e6
    for gap, cost, share in steps:
        now += gap
        await direct.command("SET", "clock", repr(now))
        answer = await store.decide([(0, limit, "a", cost)], share=share)
        (cell,) = answer.decision[2]
        room = limit.remaining(cell, now)
        if answer.decision[1] < 0:
            assert answer.granted == (max(cost, min(share, room)),)
            assert model.decide([(0, limit, "a", answer.granted[0])], now)[1] < 0
        else:
            assert answer.granted == (0,)
            assert model.decide([(0, limit, "a", cost)], now)[1] == 0


async def test_the_servers_clock_decides(direct: Direct) -> None:
    store = RemoteStore(direct, "weir", "a")
    limit = Gcra(2, 3600.0, 2)
    answers = [await store.decide([(0, limit, "p1", 1)]) for _ in range(3)]
    assert [answer.decision[1] for answer in answers] == [-1, -1, 0]
    assert answers[2].decision[0] == pytest.approx(1800, abs=60)
    seconds, _ = await direct.command("TIME")
    assert answers[2].now == pytest.approx(int(seconds) - script.EPOCH, abs=60)


async def test_one_call_decides_all_and_its_keys_are_in_one_slot(direct: Direct) -> None:
    store = RemoteStore(direct, "weir", "a")
    charges: list[Charge] = [(0, Gcra(1, 1.0, 1), "p1", 1), (1, FixedWindow(9, 60.0), ("u1", "p1"), 1)]
    await store.decide(charges)
    await store.decide(charges)
    assert [parts[0] for parts in direct.sent] == ["EVALSHA", "EVAL", "EVALSHA"]  # the script is sent once
    keys = await direct.command("KEYS", "*")
    assert len(keys) == 2
    assert len({key[: key.index(b"}") + 1] for key in keys}) == 1
    assert all(key.startswith(b"weir:{") and b"p1" not in key for key in keys)


async def test_what_says_nothing_any_more_is_gone(direct: Direct) -> None:
    store = RemoteStore(direct, "weir", "a")
    await store.decide([(0, Gcra(1, 60.0, 1), "p1", 1)])
    (key,) = await direct.command("KEYS", "*")
    assert 0 < await direct.command("PTTL", key) <= 60_000


async def test_names_limits_kinds_and_keys_are_apart(direct: Direct) -> None:
    first, second = RemoteStore(direct, "weir", "a"), RemoteStore(direct, "weir", "b")
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

        def tell(self, *parts: Any) -> None:
            raise NotImplementedError

    with pytest.raises(StoreError, match="broken"):
        await RemoteStore(Odd(), "weir", "a").decide([(0, Gcra(1, 1.0, 1), "k", 1)])


async def test_a_cell_that_somebody_else_has_written_is_no_cell(direct: Direct) -> None:
    store = RemoteStore(direct, "weir", "a")
    await store.decide([(0, Gcra(1, 60.0, 1), "p1", 1)])
    (key,) = await direct.command("KEYS", "*")
    await direct.command("SET", key, "nonsense")
    assert (await store.decide([(0, Gcra(1, 60.0, 1), "p1", 1)])).decision[1] == -1
