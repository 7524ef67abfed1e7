"""What is known of an endpoint before anything has happened."""

from gateway.config.model import Health as Options
from gateway.upstream.health import Health
from gateway.upstream.member import Member


def test_a_new_member_is_well_and_has_its_whole_share() -> None:
    member = Member(1, "a:1", 3)
    assert member.well and not member.canary
    assert (member.share, member.active, member.ejections) == (3.0, 0, 0)


def test_it_is_well_while_neither_its_checks_nor_its_failures_leave_it_out() -> None:
    member = Member(0, "a:1", 1)
    member.health = Health(Options(path="/"))
    assert member.well
    member.ejected = True
    assert not member.well
    member.ejected = False
    member.health.take(False, "status 500", 0.0)
    assert not member.well


def test_two_addresses_have_two_hashes_and_one_has_always_the_same() -> None:
    one, other, again = Member(0, "a:1", 1), Member(1, "a:2", 1), Member(5, "a:1", 9)
    assert one.hash.digest() == again.hash.digest() != other.hash.digest()
