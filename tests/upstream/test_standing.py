"""What an operator is told of an endpoint."""

from gateway.config.model import Breaker as BreakerOptions
from gateway.config.model import Health as HealthOptions
from gateway.upstream.breaker import Breaker
from gateway.upstream.health import Health
from gateway.upstream.member import Member
from gateway.upstream.standing import describe, describe_breaker, state_of

WALL = 1_700_000_000.0


def test_the_state_is_the_first_reason_that_leaves_it_out() -> None:
    member = Member(0, "a:1", 2)
    assert state_of(member, 2.0) == "up"
    assert state_of(member, 0.2) == "slow_start"
    member.health = Health(HealthOptions(path="/"))
    assert state_of(member, 2.0) == "unchecked"
    member.health.take(True, "", 0.0)
    assert state_of(member, 2.0) == "up"
    member.ejected = True
    assert state_of(member, 2.0) == "ejected"
    for _ in range(3):
        member.health.take(False, "", 0.0)
    assert state_of(member, 2.0) == "unhealthy"


def test_instants_are_told_in_seconds_since_the_epoch() -> None:
    member = Member(0, "a:1", 1, canary=True)
    member.ejected, member.ejected_until, member.ejections = True, 530.0, 4
    member.health = Health(HealthOptions(path="/"))
    member.health.take(True, "status 204", WALL - 3)
    assert describe(member, 1.0, 500.0, WALL) == {
        "address": "a:1",
        "state": "ejected",
        "canary": True,
        "weight": 1.0,
        "share": 1.0,
        "active": 0,
        "failures": 0,
        "ejections": 4,
        "ejected_until": WALL + 30,
        "breaker": None,
        "check": {"ok": True, "found": "status 204", "at": WALL - 3, "count": 1},
    }


def test_a_breaker_is_told_as_it_stands_now() -> None:
    made = Breaker(BreakerOptions(requests=1, open=5))
    assert describe_breaker(made, 100.0, WALL) == {"state": "closed", "until": None}
    made.over(made.begun(), False, 100.0)
    assert describe_breaker(made, 101.0, WALL) == {"state": "open", "until": WALL + 4}
    made.admits(105.0)
    told = describe_breaker(made, 105.0, WALL)
    assert told is not None and told["state"] == "half_open"
    assert describe_breaker(None, 0.0, WALL) is None
