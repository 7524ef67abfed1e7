"""Who is left out, for how long, and that everybody comes back."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Ejection
from gateway.upstream.ejection import Ejector
from gateway.upstream.member import Member


def made(count: int, **options: float) -> tuple[Ejector, list[Member]]:
    members = [Member(index, f"a:{index}", 1) for index in range(count)]
    return Ejector(Ejection.model_validate(options), members), members


def test_failures_in_a_row_eject_and_a_success_ends_the_row() -> None:
    ejector, (member, _) = made(2, failures=3)
    assert [ejector.failed(member, 0.0) for _ in range(2)] == [0, 0]
    ejector.succeeded(member)
    assert [ejector.failed(member, 1.0) for _ in range(3)] == [0, 0, 30]
    assert member.ejected and member.ejected_until == 31.0 and member.ejections == 1


def test_one_that_is_left_out_comes_back_when_its_time_is_up_and_begins_a_new_row() -> None:
    ejector, (member, _) = made(2, failures=2)
    for _ in range(2):
        ejector.failed(member, 0.0)
    assert ejector.failed(member, 10.0) == 0  # that of a request that had begun before
    assert not ejector.take_back(member, 29.9)
    assert ejector.take_back(member, 30.0)
    assert not ejector.take_back(member, 31.0)
    assert ejector.failed(member, 31.0) == 0
    assert ejector.failed(member, 31.0) > 0


def test_each_time_is_longer_up_to_the_longest_and_long_good_standing_is_forgiven() -> None:
    ejector, (member, _) = made(2, failures=1, time=30, max_time=100)
    now, times = 0.0, []
    for _ in range(5):
        times.append(ejector.failed(member, now))
        now = member.ejected_until
        assert ejector.take_back(member, now)
    assert times == [30, 60, 90, 100, 100]
    assert ejector.failed(member, now + 99) == 100
    ejector.take_back(member, member.ejected_until)
    assert ejector.failed(member, member.ejected_until + 100) == 30


def test_one_that_the_cap_has_kept_in_is_ejected_as_soon_as_there_is_room() -> None:
    ejector, (one, other) = made(2, failures=1)
    assert ejector.failed(one, 0.0) == 30
    assert ejector.failed(other, 1.0) == 0
    assert ejector.take_back(one, 30.0)
    assert ejector.failed(other, 31.0) == 30


def test_an_only_endpoint_stays() -> None:
    ejector, (member,) = made(1, failures=1)
    assert ejector.failed(member, 0.0) == 0 and not member.ejected


_STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["fail", "succeed"]), st.floats(0, 200)), max_size=80
)


@given(st.integers(1, 6), st.floats(0, 100), st.integers(1, 4), _STEPS)
def test_never_more_than_the_cap_are_out_and_everybody_comes_back(
    count: int, percent: float, failures: int, steps: list[tuple[int, str, float]]
) -> None:
    ejector, members = made(count, max_ejected_percent=percent, failures=failures)
    now = 0.0
    for place, what, seconds in steps:
        now += seconds
        for member in members:
            ejector.take_back(member, now)
        member = members[place % count]
        if what == "succeed":
            ejector.succeeded(member)
        elif ejector.failed(member, now):
            assert 0 < member.ejected_until - now <= 300
        out = sum(1 for member in members if member.ejected)
        assert out == ejector.count() and out * 100 <= percent * count
    for member in members:
        ejector.take_back(member, now + 300)
    assert not any(member.ejected for member in members)
