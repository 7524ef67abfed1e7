"""Shares by weight, what is in progress, and keys that stay where they are."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.balance import ConsistentHash, LeastRequest, RoundRobin, balancer
from gateway.upstream.member import Member

WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def members(*weights: int) -> list[Member]:
    return [Member(index, f"10.0.0.{index}:80", weight) for index, weight in enumerate(weights)]


def test_an_upstream_s_word_makes_the_balancer() -> None:
    random = Random(0).random
    assert isinstance(balancer("round_robin", random), RoundRobin)
    assert isinstance(balancer("least_request", random), LeastRequest)
    assert isinstance(balancer("consistent_hash", random), ConsistentHash)


@given(WEIGHTS, st.integers(1, 3))
def test_round_robin_gives_each_its_weight_exactly(weights: list[int], rounds: int) -> None:
    made, all = RoundRobin(), members(*weights)
    picked = Counter(made.pick(all, None).index for _ in range(rounds * sum(weights)))
    assert picked == Counter({index: rounds * weight for index, weight in enumerate(weights)})


@given(WEIGHTS, st.integers(1, 40))
def test_round_robin_is_never_far_from_the_weights(weights: list[int], count: int) -> None:
    """At any point, each has been picked within `members` of its part: it comes evenly, not in runs."""
    made, all = RoundRobin(), members(*weights)
    picked = Counter(made.pick(all, None).index for _ in range(count))
    for index, weight in enumerate(weights):
        assert abs(picked[index] - count * weight / sum(weights)) <= len(weights)


def test_round_robin_spreads_a_heavy_one_evenly() -> None:
    made, all = RoundRobin(), members(5, 1, 1)
    assert [made.pick(all, None).index for _ in range(7)] == [0, 0, 1, 0, 2, 0, 0]


@given(st.lists(st.sets(st.integers(0, 3), min_size=1), max_size=50))
def test_round_robin_holds_where_members_come_and_go(present: list[set[int]]) -> None:
    made, all = RoundRobin(), members(1, 2, 3, 1)
    for indices in present:
        assert made.pick([all[index] for index in sorted(indices)], None).index in indices
    picked = Counter(made.pick(all, None).index for _ in range(700))
    for index, weight in enumerate((1, 2, 3, 1)):
        assert abs(picked[index] - 100 * weight) <= 60


def test_least_request_takes_the_one_with_less_to_do_of_two() -> None:
    made, (one, other) = LeastRequest(Random(1).random), members(1, 1)
    one.active = 1
    assert {made.pick([one, other], None) for _ in range(20)} == {other}
    assert made.pick([one], None) is one


def test_least_request_weighs_what_is_in_progress() -> None:
    made, (heavy, light) = LeastRequest(Random(1).random), members(4, 1)
    heavy.active, light.active = 3, 1
    assert {made.pick([heavy, light], None) for _ in range(20)} == {heavy}
    heavy.active = 5
    assert {made.pick([heavy, light], None) for _ in range(20)} == {light}


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1), (5, 2, 1)])
def test_least_request_goes_by_weight_where_nothing_is_in_progress(weights: tuple[int, ...]) -> None:
    made, all = LeastRequest(Random(7).random), members(*weights)
    picked = Counter(made.pick(all, None).index for _ in range(4000))
    for index, weight in enumerate(weights):
        assert picked[index] == pytest.approx(4000 * weight / sum(weights), rel=0.15)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9)), min_size=2, max_size=6), st.integers())
def test_least_request_never_takes_the_busiest_alone(loads: list[tuple[int, int]], seed: int) -> None:
    all = members(*(weight for weight, _ in loads))
    for member, (_, active) in zip(all, loads, strict=True):
        member.active = active
    picked = LeastRequest(Random(seed).random).pick(all, None)
    others = [member.active / member.weight for member in all if member is not picked]
    assert picked.active / picked.weight <= max(others)


KEYS = [f"project-{number}".encode() for number in range(2000)]


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1), (5, 2, 1)])
def test_consistent_hash_spreads_keys_by_weight(weights: tuple[int, ...]) -> None:
    made, all = ConsistentHash(), members(*weights)
    picked = Counter(made.pick(all, key).index for key in KEYS)
    for index, weight in enumerate(weights):
        assert picked[index] == pytest.approx(len(KEYS) * weight / sum(weights), rel=0.2)


@given(WEIGHTS.filter(lambda weights: len(weights) > 1), st.binary(), st.data())
def test_consistent_hash_moves_only_the_keys_of_one_that_goes(
    weights: list[int], key: bytes, data: st.DataObject
) -> None:
    made, all = ConsistentHash(), members(*weights)
    before = made.pick(all, key)
    gone = data.draw(st.sampled_from(all))
    after = made.pick([member for member in all if member is not gone], key)
    assert after is not gone
    assert after is before or before is gone


@given(st.lists(st.binary(), unique=True, max_size=30), st.permutations(range(4)))
def test_consistent_hash_knows_no_order_and_no_history(keys: list[bytes], order: list[int]) -> None:
    """Two gateways that list the endpoints in another order send a key to the same one."""
    all = members(1, 2, 3, 4)
    shuffled = [all[index] for index in order]
    one, other = ConsistentHash(), ConsistentHash()
    assert [one.pick(all, key) for key in keys] == [other.pick(shuffled, key) for key in keys]


def test_consistent_hash_moves_keys_of_others_to_one_that_grows_and_none_between_them() -> None:
    made, all = ConsistentHash(), members(1, 1, 1)
    before = [made.pick(all, key).index for key in KEYS]
    all[2].share = 2.0
    after = [made.pick(all, key).index for key in KEYS]
    moves = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
    assert moves == {(0, 2), (1, 2)}


def test_consistent_hash_takes_requests_without_a_key_in_turn() -> None:
    made, all = ConsistentHash(), members(1, 1)
    assert [made.pick(all, None).index for _ in range(4)] == [0, 1, 0, 1]


def test_where_a_key_goes_is_the_same_in_every_release() -> None:
    """Gateways of two releases that serve one upstream side by side have to agree."""
    made, all = ConsistentHash(), members(1, 1, 1)
    assert [made.pick(all, key).index for key in KEYS[:12]] == [1, 1, 1, 1, 1, 1, 0, 2, 1, 0, 0, 0]
