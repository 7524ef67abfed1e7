"""Which requests are the canary's."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Canary as Options
from gateway.upstream.canary import Canary

KEYS = [f"project-{number}".encode() for number in range(2000)]


def canary(percent: float, *, sticky: bool = False, seed: int = 1) -> Canary:
    options = {"endpoints": ["http://a:1"], "percent": percent, "sticky": sticky}
    return Canary(Options.model_validate(options), Random(seed).random)


@pytest.mark.parametrize("percent", [0, 5, 50, 100])
@pytest.mark.parametrize("sticky", [True, False])
def test_takes_its_share(percent: float, sticky: bool) -> None:
    made = canary(percent, sticky=sticky)
    taken = sum(made.takes(key) for key in KEYS)
    assert taken == pytest.approx(len(KEYS) * percent / 100, abs=len(KEYS) * 0.02 * (0 < percent < 100))


@given(st.binary(), st.floats(0, 100), st.floats(0, 100), st.integers())
def test_sticky_a_key_stays_on_its_side_and_where_the_share_grows_none_leaves(
    key: bytes, one: float, other: float, seed: int
) -> None:
    small, great = sorted((one, other))
    taken = canary(small, sticky=True).takes(key)
    assert canary(small, sticky=True, seed=seed).takes(key) is taken
    assert not taken or canary(great, sticky=True).takes(key)


def test_without_a_key_a_sticky_one_casts_lots() -> None:
    made = canary(50, sticky=True)
    assert len({made.takes(None) for _ in range(50)}) == 2


def test_keys_of_the_canary_are_no_particular_ones_of_the_balancer() -> None:
    """Else some endpoints would lose more of their keys to the canary than others."""
    from gateway.upstream.balance import ConsistentHash
    from gateway.upstream.member import Member

    members, balance = [Member(0, "a:1", 1), Member(1, "a:2", 1)], ConsistentHash()
    made = canary(30, sticky=True)
    left = [balance.pick(members, key).index for key in KEYS if not made.takes(key)]
    assert sum(left) == pytest.approx(len(left) / 2, rel=0.1)
