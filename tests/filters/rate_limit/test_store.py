"""The table in memory: one decision for all the limits of a request, and bounds on what is kept."""

from hypothesis import given
from hypothesis import strategies as st

from filters.rate_limit.algorithm import Algorithm, FixedWindow, Gcra
from filters.rate_limit.store import MemoryStore, Place

LIMITS: tuple[Algorithm, ...] = (Gcra(3, 60.0, 3), FixedWindow(5, 60.0), Gcra(1, 1.0, 2))


def place(limit: int, key: str = "k") -> Place:
    return limit, LIMITS[limit], key


def test_keys_and_limits_are_apart() -> None:
    store = MemoryStore()
    for _ in range(3):
        assert store.decide([place(0, "a")], 0.0)[1] == -1
    assert store.decide([place(0, "a")], 0.0)[1] == 0
    assert store.decide([place(0, "b")], 0.0)[1] == -1
    assert store.decide([place(1, "a")], 0.0)[1] == -1


def test_the_cells_before_are_told() -> None:
    store = MemoryStore()
    assert store.decide([place(0)], 0.0) == (0.0, -1, (None,))
    assert store.decide([place(0)], 0.0) == (0.0, -1, ((20.0, 0),))
    assert store.decide([place(0), place(1)], 0.0) == (0.0, -1, ((40.0, 0), None))
    assert store.decide([place(1), place(0)], 0.0) == (20.0, 1, ((60.0, 1), (60.0, 0)))


def test_a_refusal_charges_no_limit() -> None:
    store = MemoryStore()
    for _ in range(3):
        store.decide([place(0)], 0.0)
    for _ in range(50):
        assert store.decide([place(1), place(0)], 0.0)[1] == 1
    for _ in range(5):
        assert store.decide([place(1)], 0.0)[1] == -1


def test_the_longest_wait_is_told() -> None:
    store = MemoryStore()
    both = [place(2), place(0)]
    waits = [store.decide(both, 0.0)[:2] for _ in range(3)]
    assert waits == [(0.0, -1), (0.0, -1), (1.0, 0)]
    assert store.decide([place(0)], 0.0)[1] == -1
    assert store.decide(both, 0.0)[:2] == (20.0, 1)


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=3, unique=True),
            st.sampled_from("ab"),
            st.sampled_from([0.0, 0.3, 1.0, 20.0, 60.0]),
        ),
        max_size=60,
    )
)
def test_all_or_nothing(requests: list[tuple[list[int], str, float]]) -> None:
    """Against a model that asks every limit first, and writes only when all agree."""
    store, now = MemoryStore(), 0.0
    cells: dict[tuple[int, str], tuple[float, int]] = {}
    for limits, key, gap in requests:
        now += gap
        wait, refused, before = store.decide([place(limit, key) for limit in limits], now)
        answers = [LIMITS[limit].charge(cells.get((limit, key)), now) for limit in limits]
        assert wait == max(answer[0] for answer in answers)
        assert (refused < 0) == (wait == 0.0)
        if refused >= 0:
            assert answers[refused][0] == wait
        else:
            cells.update(((limit, key), after) for limit, (_, after) in zip(limits, answers, strict=True))
        for limit, cell in zip(limits, before, strict=True):
            if cell is None:  # swept, and so expired, or never there
                assert cells.get((limit, key), (0.0, 0))[0] <= now or refused < 0


def test_dead_cells_are_swept_as_new_ones_come() -> None:
    store = MemoryStore()
    for number in range(1000):
        store.decide([place(2, str(number))], 0.0)
    assert len(store) == 1000
    for number in range(1000, 1600):
        store.decide([place(2, str(number))], 100.0)
    assert len(store) == 600


def test_live_cells_outlive_a_sweep() -> None:
    store = MemoryStore()
    for _ in range(5):
        store.decide([place(1, "busy")], 0.0)
    for number in range(1000):
        store.decide([place(1, str(number))], 1.0)
    assert store.decide([place(1, "busy")], 2.0)[1] == 0


def test_keys_without_end_do_not_use_up_the_memory() -> None:
    store = MemoryStore(max_cells=100)
    for number in range(10_000):
        store.decide([place(1, str(number))], 0.0)
    assert len(store) == 100
    assert store.decide([place(1, "9999")], 0.0)[2] == ((60.0, 1),)
