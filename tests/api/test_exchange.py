"""The exchange, and its overlay for shadow filters."""

import pytest

from gateway.api import Body, Principal, Response, ShadowExchange
from gateway.api.testing import exchange


def test_notes_are_kept_in_order_with_their_facts() -> None:
    subject = exchange()
    subject.note("rate_counted", rule=("limits", 1), cost=2)
    assert subject.notes is not None
    assert subject.notes[0] == ("rate_counted", ("limits", 1), {"cost": 2})


def test_deferred_callbacks_are_handed_out_once_last_first() -> None:
    subject = exchange()
    calls: list[int] = []
    subject.defer(lambda: calls.append(1))
    subject.defer(lambda: calls.append(2))
    for callback in subject.take_deferred():
        callback()
    assert calls == [2, 1]
    assert subject.take_deferred() == []


def test_an_overlay_reads_through_until_it_is_edited() -> None:
    base = exchange(headers={"X-One": "1"})
    shadow = ShadowExchange(base, Body())
    base.principal = Principal(user_id="real")
    shadow.follow()
    assert shadow.principal == base.principal
    shadow.principal = None
    shadow.follow()
    assert shadow.principal is None
    assert base.principal is not None
    shadow.request.headers.set("X-One", "2")
    base.request.headers.set("X-Two", "2")
    assert base.request.headers.get("x-one") == "1"
    assert (shadow.request.headers.get("x-one"), shadow.request.headers.get("x-two")) == ("2", "2")


def test_an_overlay_has_an_answer_of_its_own() -> None:
    base = exchange()
    shadow = ShadowExchange(base, Body())
    shadow.response = Response(200)
    assert base.response is None


def test_another_target_for_the_upstream_leaves_what_was_received() -> None:
    base = exchange(target="/a?b")
    assert base.outgoing == b"/a?b"
    shadow = ShadowExchange(base, Body())
    base.retarget(b"/c?d")
    shadow.retarget(b"/shadow")
    assert (base.outgoing, base.target, base.path, base.query) == (b"/c?d", b"/a?b", "/a", "b")
    assert ShadowExchange(base, Body()).outgoing == b"/c?d"


@pytest.mark.parametrize(
    "target", [b"/a/../b", b"/a//b", b"/%2f", b"/a b", b"/a#b", b"/a\r\nb", b"a", b"", b"/a?%zz"]
)
def test_a_target_that_could_be_read_in_two_ways_is_not_taken(target: bytes) -> None:
    base = exchange(target="/a")
    with pytest.raises(ValueError):
        base.retarget(target)
    assert base.outgoing == b"/a"
