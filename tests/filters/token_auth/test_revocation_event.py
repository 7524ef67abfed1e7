"""What Keystone tells of revoked tokens, and who is asked about anew for it."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth.revocation_event import OVERLAP, EventReader, Seen, read_events
from gateway.api import HttpAnswer, HttpError, Principal, Revocation
from gateway.api.testing import FrozenServices
from tests.support.deadline import until, within

WHO = Principal(
    user_id="u1",
    project_id="p1",
    user_domain_id="d1",
    project_domain_id="d2",
    audit_ids=("own-id", "first-id"),
)
BEFORE = {"issued_before": "2026-11-29T14:00:00.000000Z"}


@pytest.mark.parametrize(
    ("event", "fits"),
    [
        ({"audit_id": "own-id"}, True),
        ({"audit_id": "other-id"}, False),
        ({"audit_chain_id": "first-id"}, True),
        ({"user_id": "u1"}, True),
        ({"user_id": "u2"}, False),
        ({"user_id": "u1", "project_id": "p1"}, True),
        ({"user_id": "u1", "project_id": "p2"}, False),
        ({"project_id": "p1"}, True),
        ({"domain_id": "d1"}, True),
        ({"domain_id": "d2"}, True),
        ({"domain_id": "d3"}, False),
        ({"user_id": "u1", "role_id": "r9"}, True),  # of roles only the names are known
        ({"role_id": "r9"}, True),
        ({"OS-TRUST:trust_id": "t1"}, True),
        ({"user_id": "u2", "OS-TRUST:trust_id": "t1"}, False),
        ({}, True),
    ],
)
def test_who_is_judged_anew(event: dict[str, str], fits: bool) -> None:
    ((_, revocation),) = read_events(json.dumps({"events": [{**event, **BEFORE}], "links": {}}).encode())
    assert revocation.fits(WHO) is fits


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"events": {}}',
        b'{"events": [1]}',
        b'{"events": [{"user_id": 7}]}',
        b"[" * 100_000,
    ],
)
def test_nonsense_is_told_and_shows_no_value(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(Expecting|document|events|user_id)"):
        read_events(body)


@given(st.lists(st.lists(st.integers(0, 20), max_size=6), max_size=8))
def test_each_event_is_passed_on_once_while_it_is_told_of(answers: list[list[int]]) -> None:
    seen, told = Seen(), set[str]()
    for number, answer in enumerate(answers):
        body = json.dumps({"events": [{"user_id": str(user)} for user in answer]}).encode()
        new = {event.identity for event in seen.new(read_events(body), float(number))}
        now = {event.identity for event in read_events(body)}
        assert new == now - told
        told = now


class Keystone:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.instead: HttpAnswer | HttpError | None = None

    async def __call__(self, path: str) -> HttpAnswer:
        self.asked.append(path)
        if isinstance(self.instead, HttpError):
            raise self.instead
        return self.instead or HttpAnswer(200, {}, json.dumps({"events": self.events}).encode())


def reader(
    keystone: Keystone, seen: Seen | None = None
) -> tuple[EventReader, FrozenServices, list[Revocation]]:
    services = FrozenServices()
    told: list[Revocation] = []
    return EventReader(30.0, keystone, seen or Seen(), services, told.append), services, told


def since(path: str) -> float:
    name, _, value = path.partition("?since=")
    assert name == "/OS-REVOKE/events"
    return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()


async def test_it_asks_since_it_last_heard_with_a_little_more() -> None:
    keystone = Keystone()
    made, services, told = reader(keystone)
    began = services.now().wall
    keystone.events = [{"user_id": "u1"}]
    await made.read()
    services.advance(30)
    keystone.events.append({"user_id": "u2"})
    await made.read()
    assert [since(path) for path in keystone.asked] == [began - OVERLAP, began - OVERLAP]
    services.advance(30)
    await made.read()
    assert since(keystone.asked[-1]) == began + 30 - OVERLAP
    assert [each.user_id for each in told] == ["u1", "u2"]
    made.close()


async def test_it_begins_as_far_back_as_what_is_had_from_others_may_be_old() -> None:
    keystone = Keystone()
    keystone.events = [{"user_id": "u1"}]
    services = FrozenServices()
    told: list[Revocation] = []
    seen = Seen()
    made = EventReader(30.0, keystone, seen, services, told.append, 900.0)
    made.start()
    await until(lambda: bool(told), "it has heard")
    assert since(keystone.asked[0]) == services.now().wall - 900 - OVERLAP
    made.close()
    # What outlives a reload has heard of it.
    services.advance(30)
    again = EventReader(30.0, keystone, seen, services, told.append, 900.0)
    again.start()
    await until(lambda: len(keystone.asked) == 2, "it asks again")
    assert since(keystone.asked[1]) == services.now().wall - 30 - OVERLAP
    again.close()
    assert [each.user_id for each in told] == ["u1"]


@pytest.mark.parametrize(
    "trouble",
    [HttpError("connect"), HttpAnswer(500, {}, b""), HttpAnswer(403, {}, b""), HttpAnswer(200, {}, b"{}}")],
)
async def test_what_happens_while_keystone_says_nothing_is_heard_of_later(
    trouble: HttpAnswer | HttpError,
) -> None:
    keystone = Keystone()
    made, services, told = reader(keystone)
    await made.read()
    services.advance(30)
    keystone.instead = trouble
    for _ in range(20):
        await made.read()
        services.advance(30)
    assert [event for event, _ in services.warnings] == ["revocation_events_unavailable"] * 20
    keystone.instead = None
    keystone.events = [{"user_id": "u1"}]
    await made.read()
    assert since(keystone.asked[-1]) == services.now().wall - 630 - OVERLAP
    assert [each.user_id for each in told] == ["u1"]
    made.close()


async def test_more_than_can_be_told_of_has_everybody_judged_anew_and_ends_there() -> None:
    keystone = Keystone()
    made, services, told = reader(keystone)
    await made.read()
    services.advance(3600)
    keystone.instead = HttpError("too_large")
    await made.read()
    assert told == [Revocation()]
    keystone.instead = None
    keystone.events = [{"user_id": "u1"}]
    services.advance(30)
    await made.read()
    assert since(keystone.asked[-1]) == services.now().wall - 30 - OVERLAP
    assert told[1:] == [Revocation(user_id="u1")]
    made.close()


async def test_closed_while_a_question_is_out_it_asks_no_more() -> None:
    asking, ended = asyncio.Event(), asyncio.Event()

    async def hangs(path: str) -> HttpAnswer:
        asking.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    made = EventReader(30.0, hangs, Seen(), FrozenServices(), lambda _: None)
    made.start()
    await within(asking.wait(), "a question is out")
    made.close()
    await within(ended.wait(), "the question has ended")
    await until(lambda: not made._flight, "the question is over")
    assert not made._timer.is_set
