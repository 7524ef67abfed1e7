"""Callers as people write them."""

import pytest

from gateway.api.principal import Principal
from gateway.trial.identity import identity_of, parse_identity


def test_the_members_of_a_principal_and_their_short_names() -> None:
    assert parse_identity("user=u1, project=p1,roles=member,reader,user_name=Ann").principal == Principal(
        user_id="u1", project_id="p1", roles=("member", "reader"), user_name="Ann"
    )


def test_nobody() -> None:
    assert parse_identity("nobody").principal is None


def test_a_mapping() -> None:
    assert identity_of({"user": "u1", "roles": "member", "groups": ["a", "b"]}).principal == Principal(
        user_id="u1", roles=("member",), groups=("a", "b")
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u1", "expected NAME=VALUE, got 'u1'"),
        ("user=u1,p1", "expected NAME=VALUE, got 'p1'"),
        ("projet=p1", r"a caller has no 'projet' \(did you mean 'project'\?\)"),
        ("expires_at=3", "a caller has no 'expires_at'"),
    ],
)
def test_what_is_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_identity(text)


def test_values_of_another_kind() -> None:
    with pytest.raises(ValueError, match="user: expected text, got 3"):
        identity_of({"user": 3})
    with pytest.raises(ValueError, match="roles: expected a list of texts"):
        identity_of({"roles": [3]})
