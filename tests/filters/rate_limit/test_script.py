"""The arithmetic in a real Redis, by a clock that the test moves: the same verdicts as in this process."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filters.rate_limit import remote, script
from filters.rate_limit.algorithm import Algorithm, CalendarWindow, Closed, FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.remote import Names, RemoteStore
from filters.rate_limit.store import Charge, MemoryStore
from tests.filters.rate_limit.direct import Direct


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
        st.builds(Gcra, values, units, st.integers(1, 9), debts, usual=st.sampled_from([0.5, 7.0])),
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
    store, model = RemoteStore(direct, Names("weir", str(next(_examples)))), MemoryStore()
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4), st.booleans(), st.booleans()), max_size=20),
)
async def test_what_was_counted_by_other_terms_is_taken_over(
    direct: Direct, clocked: None, steps: list[tuple[float, int, bool, bool]]
) -> None:
    usual, own = Gcra(3, 7.0, 3, 2), Gcra(40, 7.0, 40, 2, usual=7.0 / 3)
    store, model = RemoteStore(direct, Names("weir", str(next(_examples)))), MemoryStore()
    now = 1e6
    for gap, cost, others, late in steps:
        now += gap
        await direct.command("SET", "clock", repr(now))
        charges: list[Charge] = [(0, usual if others else own, "a", cost)]
        if late:
            assert (await store.charge_late(charges)).decision[3] == model.charge_late(charges, now)[1]
        else:
            assert (await store.decide(charges)).decision == model.decide(charges, now)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(algorithms(), st.lists(st.tuples(st.floats(0, 5), st.integers(1, 3), st.integers(0, 9)), max_size=20))
async def test_a_share_is_what_fits_and_never_more(
    direct: Direct, clocked: None, limit: Algorithm, steps: list[tuple[float, int, int]]
) -> None:
    store, model = RemoteStore(direct, Names("weir", str(next(_examples)))), MemoryStore()
    now = 1e6
    for gap, cost, share in steps:
        now += gap
        await direct.command("SET", "clock", repr(now))
        answer = await store.decide([(0, limit, "a", cost)], shares=(share,))
        (cell,) = answer.decision[2]
        room = limit.remaining(cell, now)
        if answer.decision[1] < 0:
            assert answer.granted == (max(cost, min(share, room)),)
            assert model.decide([(0, limit, "a", answer.granted[0])], now)[1] < 0
        else:
            assert answer.granted == (0,)
            assert model.decide([(0, limit, "a", cost)], now)[1] == 0
