"""How the endpoints of a pool stand, in plain values for an operator."""

from typing import Any, Final

from gateway.upstream.breaker import STATES, Breaker
from gateway.upstream.member import Member

Standing = dict[str, Any]
"""Numbers, texts, switches, and mappings of them: what JSON can carry."""

_PLACES: Final = 3  # of a second


def state_of(member: Member, share: float) -> str:
    """`up`; `slow_start` while it is up with a `share` that is less than its weight; `unchecked` while it is used without
    a check; or why it is left out: `unhealthy` by its checks, `ejected` by its failures.
    """
    health = member.health
    if health is not None and not health.well:
        return "unhealthy"
    if member.ejected:
        return "ejected"
    if health is not None and not health.checks:
        return "unchecked"
    return "slow_start" if share < member.weight else "up"


def describe(member: Member, share: float, now: float, wall: float) -> Standing:
    """What is known of a member; `now` is on the pool's clock, `wall` the same moment in seconds since the epoch.

    Instants that are told are in seconds since the epoch.
    """
    health = member.health
    return {
        "address": member.address,
        "state": state_of(member, share),
        "canary": member.canary,
        "weight": member.weight,
        "share": round(share, _PLACES),
        "active": member.active,
        "failures": member.failures,
        "ejections": member.ejections,
        "ejected_until": round(wall + member.ejected_until - now, _PLACES) if member.ejected else None,
        "breaker": describe_breaker(member.breaker, now, wall),
        "check": None
        if health is None
        else {
            "ok": health.last_ok,
            "found": health.last_detail,
            "at": None if health.last_at is None else round(health.last_at, _PLACES),
            "count": health.checks,
        },
    }


def describe_breaker(breaker: Breaker | None, now: float, wall: float) -> Standing | None:
    if breaker is None:
        return None
    state = STATES[breaker.look(now)]
    until = None if state == "closed" else round(wall + breaker.until - now, _PLACES)
    return {"state": state, "until": until}
