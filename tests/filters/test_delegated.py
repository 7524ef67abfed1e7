"""Refusals that were left to this filter."""

import pytest

from filters.delegated import Delegated
from gateway.api import Fault
from gateway.api.testing import build, exchange, judge
from tests.trial.tried import given as request
from tests.trial.tried import outcome


def line(status: int, component: str, quality: str = ";q=0.5") -> tuple[str, str]:
    return "X-Delegated", f"status_code={status}`component={component}`message=No.{quality}"


def test_nothing_was_left() -> None:
    assert judge(build(Delegated), exchange()) is None


@pytest.mark.parametrize(
    ("lines", "status", "component"),
    [
        ([line(404, "a")], 404, "a"),
        ([line(403, "rbac", ";q=0.3"), line(401, "keystone", ";q=0.7")], 401, "keystone"),
        ([line(403, "first"), line(404, "second")], 403, "first"),
        ([line(403, "a", ";q=0.9"), line(405, "b", "")], 405, "b"),
        ([("X-Delegated", "nonsense"), line(404, "a", ";q=0")], 404, "a"),
        ([line(200, "a", ";q=1"), line(404, "b", ";q=0.1")], 404, "b"),
    ],
)
def test_the_heaviest_refusal_is_given(lines: list[tuple[str, str]], status: int, component: str) -> None:
    verdict = judge(build(Delegated), exchange(headers=lines))
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.message) == (status, "delegated", "No.")
    assert verdict.facts is not None
    assert verdict.facts["component"] == component


@pytest.mark.parametrize("value", ["", "nonsense", "status_code=200`component=a`message=b;q=0.5"])
def test_what_cannot_be_read_is_our_own_error(value: str) -> None:
    verdict = judge(build(Delegated), exchange(headers={"X-Delegated": value}))
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason) == (500, "delegation_unreadable")


SHADOWS = [
    {"methods": {"allow": ["GET"], "mode": "shadow", "delegate": 0.3}},
    {"ip_allow": {"allow": ["203.0.113.0/24"], "mode": "shadow", "delegate": 0.7}},
]


async def test_what_entries_in_shadow_would_refuse_is_refused_by_the_heaviest() -> None:
    found = await outcome(request("POST"), filters=[*SHADOWS, {"delegated": {}}])
    assert (found.status, found.filter, found.reason) == (403, "delegated", "delegated")
    assert found.forwarded is None
    found = await outcome(request("POST", peer="203.0.113.1"), filters=[*SHADOWS, {"delegated": {}}])
    assert found.status == 405
    found = await outcome(request(peer="203.0.113.1"), filters=[*SHADOWS, {"delegated": {}}])
    assert found.status == 200


async def test_without_it_the_upstream_is_told_and_a_client_can_tell_nothing() -> None:
    spoofed = (("X-Delegated", "mine"), ("x_delegated", "mine"))
    found = await outcome(request("POST", headers=spoofed), filters=SHADOWS)
    assert found.forwarded is not None
    told = [
        value for name, value in found.forwarded.headers if name.lower().replace("_", "-") == "x-delegated"
    ]
    assert told == [
        "status_code=405`component=methods`message=Method not allowed.;q=0.3",
        "status_code=403`component=ip_allow`message=Access from this address is not allowed.;q=0.7",
    ]
    assert found.status == 200
