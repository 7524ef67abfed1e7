"""The three answers of a provider, and the base of the local ones."""

import pytest

from filters.token_auth.provider import Grant, LocalProvider, Refusal, Unavailable
from gateway.api import Principal
from gateway.api.testing import exchange


def test_a_no_and_a_failure_are_different_answers() -> None:
    answers: list[object] = [
        Refusal("token_invalid"),
        Refusal("token_invalid", lasting=False),
        Unavailable(5),
    ]
    assert len(set(answers)) == 3
    assert Refusal("token_invalid").lasting
    with pytest.raises(AttributeError):
        Refusal("token_invalid").reason = "other"  # type: ignore[misc] # frozen, since answers are shared


async def test_a_local_provider_has_nothing_to_start_or_close() -> None:
    provider = LocalProvider()
    await provider.start()
    await provider.close()


def test_a_local_provider_knows_no_token_that_has_expired() -> None:
    assert LocalProvider.pure and not LocalProvider.judges_expired
    with pytest.raises(NotImplementedError):
        LocalProvider().look_up_expired("token", exchange())


def test_a_grant_is_without_a_catalog_and_rules_where_nothing_is_said_of_them() -> None:
    grant = Grant(Principal(user_id="u"))
    assert (grant.catalog, grant.rules) == (None, None)
