"""A principal is a value: what is not known is None, and nothing of the token is in it."""

import dataclasses

import pytest

from gateway.api import Principal


def test_a_principal_cannot_be_changed_in_place() -> None:
    principal = Principal(user_id="u", roles=("member",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        principal.user_id = "v"  # type: ignore[misc] # that is what is tested
    assert dataclasses.replace(principal, user_id="v").roles == ("member",)


def test_what_is_not_known_is_none() -> None:
    assert Principal().project_id is None
    assert Principal().roles == ()
