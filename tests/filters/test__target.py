"""Another target for the upstream."""

from filters._target import retarget
from gateway.api.testing import exchange


def test_what_is_sent_is_noted_and_what_came_stays() -> None:
    made = exchange(target="/a")
    assert retarget(made, b"/b?c", ("add_prefix",)) is None
    assert (made.target, made.path, made.outgoing) == (b"/a", "/a", b"/b?c")
    (note,) = made.notes
    assert (note.reason, note.rule) == ("target_rewritten", ("add_prefix",))


def test_a_target_that_could_be_read_in_two_ways_is_refused() -> None:
    made = exchange(target="/a")
    for target in (b"/a//b", b"/a/..", b"/a%00", b"/a b", b"a", b"/a?%", b"/a#b", b"/a\r\nX: y"):
        fault = retarget(made, target, ("allow",))
        assert fault is not None
        assert (fault.status, fault.reason, fault.rule) == (400, "target_ambiguous", ("allow",))
    assert made.outgoing == b"/a"
    assert made.notes == []
