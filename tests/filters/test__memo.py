"""What is worked out once for a key is remembered, within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from filters._memo import Memo


def test_what_comes_again_is_worked_out_once() -> None:
    made: list[int] = []

    def square(number: int) -> int:
        made.append(number)
        return number * number

    memo = Memo(square, 8)
    assert [memo[3], memo[3], memo[4], memo[3]] == [9, 9, 16, 9]
    assert made == [3, 4]


def test_what_is_in_use_outlives_what_is_not() -> None:
    made: list[int] = []

    def same(number: int) -> int:
        made.append(number)
        return number

    memo = Memo(same, 4)
    for number in range(100):
        assert memo[-1] == -1
        assert memo[number] == number
    assert made.count(-1) == 1


@given(st.lists(st.integers(0, 30)), st.integers(2, 12))
def test_it_knows_at_most_so_many_and_the_last_half_of_them_at_least(keys: list[int], most: int) -> None:
    memo: Memo[int, str] = Memo(str, most)
    for key in keys:
        assert memo[key] == str(key)
    known = memo.known()
    assert len(known) == len(set(known)) <= most
    recent = list(dict.fromkeys(reversed(keys)))[: most // 2]
    assert set(recent) <= set(known)
