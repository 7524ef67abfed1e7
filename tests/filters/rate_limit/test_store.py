"""The table in memory: one decision for all the limits of a request, and bounds on what is kept."""

from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit.algorithm import Algorithm, Cell, FixedWindow, Gcra
from filters.rate_limit.store import Charge, MemoryStore

LIMITS: tuple[Algorithm, ...] = (Gcra(3, 60.0, 3), FixedWindow(5, 60.0), Gcra(1, 1.0, 2))


def charge(limit: int, key: str = "k", cost: int = 1) -> Charge:
    return limit, LIMITS[limit], key, cost


def test_keys_and_limits_are_apart() -> None:
    store = MemoryStore()
    for _ in range(3):
        assert store.decide([charge(0, "a")], 0.0)[1] == -1
    assert store.decide([charge(0, "a")], 0.0)[1] == 0
    assert store.decide([charge(0, "b")], 0.0)[1] == -1
    assert store.decide([charge(1, "a")], 0.0)[1] == -1


def test_the_cells_before_and_after_are_told() -> None:
    store = MemoryStore()
    one, two, three, window = (20.0, 0.0, 0.0), (40.0, 0.0, 0.0), (60.0, 0.0, 0.0), (60.0, 1.0, 0.0)
    assert store.decide([charge(0)], 0.0) == (0.0, -1, (None,), (one,))
    assert store.decide([charge(0)], 0.0) == (0.0, -1, (one,), (two,))
    assert store.decide([charge(0), charge(1)], 0.0) == (0.0, -1, (two, None), (three, window))
    assert store.decide([charge(1), charge(0)], 0.0) == (20.0, 1, (window, three), (window, three))


def test_a_cost_is_taken_whole_or_not_at_all() -> None:
    store = MemoryStore()
    assert store.decide([charge(1, cost=3)], 0.0)[1] == -1
    assert store.decide([charge(1, cost=3)], 0.0)[:2] == (60.0, 0)
    assert store.decide([charge(1, cost=2), charge(0, cost=4)], 0.0)[:2] == (20.0, 1)
    assert store.decide([charge(1, cost=2)], 0.0)[1] == -1
    assert store.decide([charge(1, cost=1)], 0.0)[1] == 0


def test_a_cost_of_nothing_only_looks() -> None:
    store = MemoryStore()
    assert store.decide([charge(0, cost=0)], 0.0) == (0.0, -1, (None,), (None,))
    assert store.decide([charge(0, cost=0), charge(1, cost=0)], 0.0) == (0.0, -1, (None, None), (None, None))
    assert len(store) == 0
    store.decide([charge(0, cost=3)], 0.0)
    full = (60.0, 0.0, 0.0)
    assert store.decide([charge(0, cost=0)], 0.0) == (0.0, -1, (full,), (full,))
    assert store.decide([charge(0, cost=0), charge(1)], 0.0)[1] == -1
    assert store.decide([charge(0, cost=0)], 0.0)[2] == (full,)


def test_a_late_charge_cannot_be_refused() -> None:
    store = MemoryStore()
    limit: Charge = (7, FixedWindow(5, 60.0, debt=10), "k", 1)
    assert store.charge_late([limit, charge(0, "other")], 0.0) == (
        (None, None),
        ((60.0, 1.0, 0.0), (20.0, 0.0, 0.0)),
    )
    assert store.decide([limit], 0.0)[2] == ((60.0, 1.0, 0.0),)
    assert store.charge_late([(*limit[:3], 9)], 0.0) == (((60.0, 2.0, 0.0),), ((60.0, 11.0, 0.0),))
    assert store.decide([limit], 0.0) == (60.0, 0, ((60.0, 11.0, 0.0),), ((60.0, 11.0, 0.0),))
    store.charge_late([(*limit[:3], 900)], 0.0)
    assert store.decide([limit], 0.0)[2] == ((60.0, 15.0, 0.0),)


def test_a_refusal_charges_no_limit() -> None:
    store = MemoryStore()
    for _ in range(3):
        store.decide([charge(0)], 0.0)
    for _ in range(50):
        assert store.decide([charge(1), charge(0)], 0.0)[1] == 1
    for _ in range(5):
        assert store.decide([charge(1)], 0.0)[1] == -1


def test_the_longest_wait_is_told() -> None:
    store = MemoryStore()
    both = [charge(2), charge(0)]
    waits = [store.decide(both, 0.0)[:2] for _ in range(3)]
    assert waits == [(0.0, -1), (0.0, -1), (1.0, 0)]
    assert store.decide([charge(0)], 0.0)[1] == -1
    assert store.decide(both, 0.0)[:2] == (20.0, 1)


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=3, unique=True),
            st.sampled_from("ab"),
            st.sampled_from([0.0, 0.3, 1.0, 20.0, 60.0]),
            st.sampled_from([1, 1, 2, 3]),
        ),
        max_size=60,
    )
)
def test_all_or_nothing(requests: list[tuple[list[int], str, float, int]]) -> None:
    """Against a model that asks every limit first, and writes only when all agree."""
    store, now = MemoryStore(), 0.0
    cells: dict[tuple[int, str], Cell] = {}
    for limits, key, gap, cost in requests:
        now += gap
        wait, refused, before, after = store.decide([charge(limit, key, cost) for limit in limits], now)
        answers = [LIMITS[limit].charge(cells.get((limit, key)), now, cost) for limit in limits]
        assert wait == max(answer[0] for answer in answers)
        assert (refused < 0) == (wait == 0.0)
        if refused >= 0:
            assert answers[refused][0] == wait
        else:
            cells.update(((limit, key), left) for limit, (_, left) in zip(limits, answers, strict=True))
            assert after == tuple(left for _, left in answers)
        for limit, cell in zip(limits, before, strict=True):
            if cell is None:  # swept, and so expired, or never there
                assert cells.get((limit, key), (0.0, 0.0, 0.0))[0] <= now or refused < 0


def test_dead_cells_are_swept_as_new_ones_come() -> None:
    store = MemoryStore()
    for number in range(1000):
        store.decide([charge(2, str(number))], 0.0)
    assert len(store) == 1000
    for number in range(1000, 1600):
        store.decide([charge(2, str(number))], 100.0)
    assert len(store) == 600


def test_live_cells_outlive_a_sweep() -> None:
    store = MemoryStore()
    for _ in range(5):
        store.decide([charge(1, "busy")], 0.0)
    for number in range(1000):
        store.decide([charge(1, str(number))], 1.0)
    assert store.decide([charge(1, "busy")], 2.0)[1] == 0


def test_keys_without_end_do_not_use_up_the_memory() -> None:
    store = MemoryStore(max_cells=100)
    for number in range(10_000):
        store.decide([charge(1, str(number))], 0.0)
    assert len(store) == 100
    assert store.decide([charge(1, "9999")], 0.0)[2] == ((60.0, 1.0, 0.0),)
