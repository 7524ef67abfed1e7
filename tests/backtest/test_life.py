"""From when until when workers were at work, as others have it."""

import pytest

from gateway.backtest.life import Life, lives_of


@pytest.mark.parametrize(
    ("lines", "worker", "life"),
    [
        ([((0, 1), 5.0, 5.0)], 1, Life(None, None)),
        ([((0,), 3.0, 3.0), ((0, 1), 5.0, 9.0)], 1, Life(2.0, None)),
        ([((0, 1), 5.0, 9.0), ((0,), 20.0, 30.0)], 1, Life(None, 21.0)),
        ([((0,), 1.0, 3.0), ((0, 1), 5.0, 9.0), ((0, 2), 20.0, 30.0)], 1, Life(2.0, 21.0)),
        ([((0,), 1.0, 3.0), ((0, 1), 5.0, 9.0), ((0, 2), 20.0, 30.0)], 2, Life(8.0, None)),
        ([((0,), 1.0, 7.0), ((0, 1), 5.0, 9.0)], 1, Life(0.0, None)),
    ],
    ids=[
        "all the time",
        "it has come",
        "it was over",
        "it has come and was over",
        "in the place of another",
        "a line is late",
    ],
)
def test_between_the_lines_without_it_a_worker_may_have_been_there(
    lines: list[tuple[tuple[int, ...], float, float]], worker: int, life: Life
) -> None:
    parts = [{(1.0, frozenset(numbers)): (first, last)} for numbers, first, last in lines]
    assert lives_of(parts)[1.0, worker] == life
    assert lives_of(parts[::-1])[1.0, worker] == life


def test_what_is_counted_in_another_memory_is_of_others() -> None:
    lives = lives_of([{(1.0, frozenset((0, 1))): (5.0, 9.0), (2.0, frozenset((0,))): (20.0, 30.0)}])
    assert lives == {(1.0, 0): Life(), (1.0, 1): Life(), (2.0, 0): Life()}
