"""Who is calling, for filters that ask for roles."""

from filters._caller import roles_of, unknown_caller
from gateway.api import Principal
from gateway.api.testing import exchange


def test_roles_are_compared_without_regard_to_case() -> None:
    assert roles_of(exchange(principal=Principal(roles=("Admin", "reader")))) == {"admin", "reader"}
    assert roles_of(exchange()) == frozenset()


def test_a_401_has_the_challenge_that_is_configured_or_some() -> None:
    assert unknown_caller(exchange(), ("roles",), "Bearer").headers == (("WWW-Authenticate", "Bearer"),)
    assert unknown_caller(exchange(), (), None).headers == (("WWW-Authenticate", "Keystone"),)


def test_it_has_none_where_an_earlier_filter_adds_its_own() -> None:
    asked = exchange()
    asked.note("auth_decision_delayed")
    assert unknown_caller(asked, (), None).headers == ()
    assert unknown_caller(asked, (), "Bearer").headers == (("WWW-Authenticate", "Bearer"),)
