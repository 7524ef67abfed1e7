"""Where requests go: all that has a say in it, together, without an event loop."""

from collections import Counter
from collections.abc import Collection, Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Upstream
from gateway.upstream.member import Member
from gateway.upstream.selection import Refusal, Selection, Ticket

FAILED = "upstream_connect_failed"


class World:
    """A selection with a clock that the test moves, and what it has told."""

    def __init__(self, count: int = 3, *, seed: int = 1, **options: Any) -> None:
        self.now = 1000.0
        self.told: list[tuple[str, str]] = []
        self.facts: list[Mapping[str, object]] = []
        endpoints = [f"http://main:{number}" for number in range(1, count + 1)]
        upstream = Upstream.model_validate({"endpoints": endpoints, **options})
        self.selection = Selection(
            upstream, clock=lambda: self.now, random=Random(seed).random, tell=self._tell
        )

    def _tell(self, event: str, endpoint: str, facts: Mapping[str, object]) -> None:
        self.told.append((event, endpoint))
        self.facts.append(facts)

    @property
    def members(self) -> tuple[Member, ...]:
        return self.selection.members

    def choose(self, key: bytes | None = None, tried: Collection[Member] = ()) -> Member:
        member = self.selection.choose(key, tried)
        assert isinstance(member, Member), member
        return member

    def refused(self) -> Refusal:
        refusal = self.selection.choose(None, ())
        assert isinstance(refusal, Refusal), refusal
        return refusal

    def attempt(self, member: Member, failure: str | None = None, status: int = 200) -> None:
        self.selection.over(self.selection.begun(member), failure, status)

    def fail(self, member: Member, times: int = 1) -> None:
        for _ in range(times):
            self.attempt(member, FAILED)

    def check(self, member: Member, ok: bool, times: int = 1) -> None:
        for _ in range(times):
            self.selection.checked(member, ok, "status 200" if ok else "connection refused", self.now)

    def shares(self, count: int = 600, key: bytes | None = None) -> Counter[int]:
        return Counter(self.choose(key).index for _ in range(count))


def test_a_pool_that_nothing_is_asked_of_counts_nothing() -> None:
    assert not World().selection.counts
    assert not World(1, balance="least_request").selection.counts
    assert not World(health={"path": "/"}).selection.counts
    asked: list[dict[str, Any]] = [
        {"balance": "least_request"},
        {"ejection": {}},
        {"breaker": {"pool": {}}},
        {"max_connections": 1},
    ]
    for options in asked:
        assert World(**options).selection.counts


def test_weights_of_endpoints_are_obeyed() -> None:
    world = World(endpoints=[{"url": "http://a:1", "weight": 3}, "http://b:1"])
    assert world.shares(400) == {0: 300, 1: 100}


def test_another_endpoint_is_chosen_than_those_tried_while_there_is_one() -> None:
    world = World()
    one, two, three = world.members
    for _ in range(5):
        assert world.choose(None, [one, three]) is two
        assert world.choose(None, [one, two, three]) in world.members


def test_a_key_has_its_endpoint_and_another_one_while_that_is_out() -> None:
    world = World(balance="consistent_hash", hash="project_id", ejection={"failures": 1})
    mine = world.choose(b"p")
    assert {world.choose(b"p") for _ in range(5)} == {mine}
    world.fail(mine)
    other = world.choose(b"p")
    assert other is not mine
    assert {world.choose(b"p") for _ in range(5)} == {other}
    world.now += 30
    assert world.choose(b"p") is mine


def test_least_request_sees_what_is_in_progress() -> None:
    world = World(2, balance="least_request")
    tickets = [world.selection.begun(world.choose()) for _ in range(20)]
    assert [member.active for member in world.members] == [10, 10]
    for ticket in tickets:
        world.selection.over(ticket, None, 200)
        world.selection.over(ticket, None, 200)
    assert [member.active for member in world.members] == [0, 0]


# ---- canary

CANARY = {"endpoints": ["http://canary:1", "http://canary:2"], "percent": 10}


def test_the_canary_takes_its_share_whatever_the_number_of_its_endpoints() -> None:
    world = World(canary=CANARY)
    shares = world.shares(3000)
    assert shares[3] + shares[4] == pytest.approx(300, rel=0.2)
    assert shares[0] == pytest.approx(900, rel=0.1)


def test_a_project_is_on_one_side_where_the_canary_is_sticky() -> None:
    world = World(canary={**CANARY, "percent": 40, "sticky": True}, hash="project_id")
    sides = {}
    for number in range(200):
        key = b"%d" % number
        sides[key] = {world.choose(key).canary for _ in range(3)}
        assert len(sides[key]) == 1
    assert sum(side == {True} for side in sides.values()) == pytest.approx(80, rel=0.3)


def test_a_second_attempt_stays_on_the_side_of_the_first_and_then_takes_the_other() -> None:
    world = World(1, canary={**CANARY, "percent": 100})
    main, one, other = world.members
    assert world.choose(None, [one]) is other
    assert world.choose(None, [one, other]) is main
    assert world.choose(None, [main]).canary


def test_the_sides_stand_in_for_each_other() -> None:
    world = World(1, canary={**CANARY, "percent": 0}, ejection={"failures": 1, "max_ejected_percent": 67})
    main, one, other = world.members
    world.fail(main)
    assert {world.choose() for _ in range(10)} == {one, other}
    world = World(1, canary={**CANARY, "percent": 100}, ejection={"failures": 1, "max_ejected_percent": 67})
    main, one, other = world.members
    world.fail(one)
    world.fail(other)
    assert world.choose() is main


# ---- ejection


def test_an_endpoint_that_fails_again_and_again_is_left_out_and_comes_back() -> None:
    world = World(ejection={"failures": 2})
    bad = world.members[1]
    world.fail(bad, 2)
    assert world.told == [("endpoint_ejected", "main:2")]
    assert world.facts == [{"reason": FAILED, "failures": 2, "seconds": 30.0}]
    assert world.shares()[1] == 0
    assert world.selection.due == world.now + 30
    world.now += 30
    assert world.shares() == {0: 200, 1: 200, 2: 200}
    assert world.told[1:] == [("endpoint_back", "main:2")]
    assert world.selection.due == float("inf")


def test_those_that_are_out_come_back_one_after_the_other_without_any_request() -> None:
    world = World(4, ejection={"failures": 1})
    world.fail(world.members[0])
    world.now += 10
    world.fail(world.members[1])
    world.now += 20
    world.selection.refresh(world.now)
    assert world.told[-1] == ("endpoint_back", "main:1")
    assert world.selection.due == world.now + 10
    world.now += 10
    world.selection.refresh(world.now)
    assert world.told[-1] == ("endpoint_back", "main:2")


@pytest.mark.parametrize(
    ("failure", "status", "fails"),
    [
        (None, 200, False),
        (None, 404, False),
        (None, 500, False),
        (None, 503, True),
        ("upstream_first_byte_timeout", 0, True),
        ("upstream_closed", 200, True),
        ("upstream_response_invalid", 0, True),
        ("upstream_pool_exhausted", 0, None),
        ("client_disconnected", 0, None),
        ("body_timeout", 0, None),
    ],
)
def test_what_is_a_failure_of_the_endpoint(failure: str | None, status: int, fails: bool | None) -> None:
    world = World(ejection={"failures": 3})
    member = world.members[0]
    world.fail(member)
    world.attempt(member, failure, status)
    assert member.failures == (1 if fails is None else 2 if fails else 0)


def test_the_statuses_that_are_failures_can_be_named() -> None:
    world = World(ejection={"failures": 1}, gateway_errors=[500])
    world.attempt(world.members[0], None, 503)
    assert world.told == []
    world.attempt(world.members[0], None, 500)
    assert world.facts[0]["reason"] == "status 500"


def test_one_that_has_come_back_begins_with_a_part_of_its_share() -> None:
    world = World(2, ejection={"failures": 1}, slow_start=100)
    back = world.members[1]
    world.fail(back)
    world.now += 30
    world.selection.refresh(world.now)
    parts = []
    for seconds in (0, 10, 40, 50):
        world.now += seconds
        parts.append(world.shares(1000)[1] / 1000)
    assert parts == pytest.approx([0.1 / 1.1, 0.1 / 1.1, 0.5 / 1.5, 0.5], abs=0.01)


# ---- checks


def test_an_endpoint_is_used_until_a_check_says_otherwise() -> None:
    world = World(health={"path": "/", "healthy": 2})
    sick = world.members[0]
    assert world.shares(300) == {0: 100, 1: 100, 2: 100}
    world.check(sick, False)
    assert world.shares(300) == {1: 150, 2: 150}
    world.check(sick, True)
    assert world.shares(300)[0] == 0
    world.check(sick, True)
    assert world.shares(300)[0] == 100
    assert world.told == [("endpoint_unhealthy", "main:1"), ("endpoint_healthy", "main:1")]
    assert world.facts[0] == {"reason": "connection refused"}


def test_where_none_is_left_all_are_used_as_if_they_were_well() -> None:
    world = World(health={"path": "/"})
    for member in world.members:
        world.check(member, False)
    assert world.told[-1] == ("panic", "")
    assert world.shares(300) == {0: 100, 1: 100, 2: 100}
    world.check(world.members[2], True, 2)
    assert world.told[-1] == ("panic_over", "")
    assert world.shares(300) == {2: 300}


def test_the_share_below_which_that_happens_can_be_set() -> None:
    world = World(health={"path": "/"}, panic_percent=50)
    world.check(world.members[0], False)
    assert world.shares(300)[0] == 0
    world.check(world.members[1], False)
    assert world.shares(300)[0] == 100


def test_without_panic_a_request_is_refused_where_none_is_left() -> None:
    world = World(health={"path": "/", "interval": 7}, panic_percent=0)
    for member in world.members:
        world.check(member, False)
    assert world.refused() == Refusal("upstream_unavailable", 7)
    assert world.selection.refused["upstream_unavailable"] == 1


def test_the_client_is_told_when_the_next_one_comes_back() -> None:
    world = World(2, ejection={"failures": 1, "max_ejected_percent": 100}, panic_percent=0)
    world.fail(world.members[0])
    world.now += 9.5
    world.fail(world.members[1])
    assert world.refused() == Refusal("upstream_unavailable", 21)


# ---- breakers

BREAKER = {"requests": 2, "open": 5, "probes": 1}


def test_while_an_endpoint_s_breaker_is_open_requests_go_to_the_others() -> None:
    world = World(breaker={"endpoint": BREAKER})
    bad = world.members[0]
    world.fail(bad, 2)
    assert world.told == [("breaker_open", "main:1")]
    assert world.facts == [{"reason": FAILED, "seconds": 5.0}]
    assert world.shares()[0] == 0
    world.now += 5
    chosen = [world.choose() for _ in range(6)]
    assert bad in chosen
    probe = world.selection.begun(bad)
    assert world.shares()[0] == 0, "one probe at a time"
    world.selection.over(probe, None, 200)
    assert world.shares(300)[0] == 100
    assert world.told[1:] == [("breaker_closed", "main:1")]


def test_where_the_breakers_of_all_are_open_requests_are_refused() -> None:
    world = World(2, breaker={"endpoint": BREAKER})
    world.fail(world.members[0], 2)
    world.now += 1.5
    world.fail(world.members[1], 2)
    assert world.refused() == Refusal("upstream_circuit_open", 4)


def test_the_pool_s_breaker_refuses_all() -> None:
    world = World(2, breaker={"pool": {**BREAKER, "requests": 4}})
    world.fail(world.members[0], 2)
    world.fail(world.members[1], 2)
    assert world.told == [("breaker_open", "")]
    world.now += 0.5
    assert world.refused() == Refusal("upstream_circuit_open", 5)
    world.now += 4.5
    probe = world.selection.begun(world.choose())
    assert world.refused().reason == "upstream_circuit_open"
    world.selection.over(probe, None, 200)
    assert world.told[1:] == [("breaker_closed", "")]
    world.choose()


# ---- connections


def test_beyond_its_connections_an_endpoint_is_passed_over_and_then_a_few_may_wait() -> None:
    world = World(2, max_connections=2, max_pending=1)
    tickets = [world.selection.begun(world.choose()) for _ in range(4)]
    assert [member.active for member in world.members] == [2, 2]
    assert world.selection.pending == 0
    waiting = world.selection.begun(world.choose())
    assert world.selection.pending == 1
    assert world.refused() == Refusal("upstream_pool_exhausted", 1)
    world.selection.over(waiting, "upstream_pool_exhausted", 0)
    world.selection.over(tickets[0], None, 200)
    assert world.choose() is tickets[0].member


def test_a_key_spills_over_where_its_endpoint_has_too_much_to_do() -> None:
    world = World(balance="consistent_hash", hash="user_id", max_connections=1)
    first = world.choose(b"u")
    world.selection.begun(first)
    assert world.choose(b"u") is not first


# ---- laws

_OPTIONS: list[dict[str, Any]] = [
    {"ejection": {"failures": 1, "max_ejected_percent": 100}},
    {"ejection": {"failures": 2}, "slow_start": 60, "balance": "least_request"},
    {"ejection": {"failures": 1}, "health": {"path": "/"}, "balance": "consistent_hash", "hash": "user_id"},
    {"breaker": {"endpoint": BREAKER, "pool": BREAKER}, "max_connections": 2, "max_pending": 1},
    {"ejection": {"failures": 1}, "canary": CANARY, "breaker": {"endpoint": BREAKER}},
]
_STEPS = st.lists(
    st.tuples(st.sampled_from(["request", "good", "bad", "check"]), st.integers(0, 4), st.floats(0, 20)),
    max_size=60,
)


@given(st.sampled_from(_OPTIONS), st.sampled_from([0, 1, 60]), _STEPS, st.integers(0, 9))
def test_whatever_happens_counts_are_right_and_once_all_is_well_every_endpoint_is_used_again(
    options: dict[str, Any], panic: float, steps: list[tuple[str, int, float]], seed: int
) -> None:
    world = World(seed=seed, panic_percent=panic, **options)
    selection = world.selection
    running: list[Ticket] = []
    for what, number, seconds in steps:
        world.now += seconds
        if what == "request":
            chosen = selection.choose(b"%d" % number, [ticket.member for ticket in running[:1]])
            if isinstance(chosen, Refusal):
                assert chosen.retry_after >= 1
            else:
                assert selection.panics or chosen.well
                running.append(selection.begun(chosen))
        elif what == "check":
            if "health" in options:
                world.check(world.members[number % 3], number % 2 == 0)
        elif running:
            selection.over(running.pop(0), None if what == "good" else FAILED, 200)
        assert sum(member.active for member in world.members) == len(running)
        if "max_connections" in options:
            assert selection.pending <= 1
    for ticket in running:
        selection.over(ticket, "client_disconnected", 0)
    seen: set[int] = set()
    for _ in range(400):
        world.now += 10
        for member in world.members:
            if "health" in options:
                world.check(member, True)
        chosen = selection.choose(None, ())
        if isinstance(chosen, Member):
            world.attempt(chosen)
            seen.add(chosen.index)
    assert seen == {member.index for member in world.members}
    assert all(member.well for member in world.members) and not selection.panics
