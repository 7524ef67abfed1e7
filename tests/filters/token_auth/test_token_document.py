"""What Keystone says of a token, read strictly."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth.token_document import Document, instant, read_document
from gateway.api import Principal
from tests.filters.token_auth.identity_service import NOW, document


def read(token: Any, service_type: str | None = None) -> Document:
    return read_document(
        json.dumps({"token": token}).encode(), service_type=service_type, provider="keystone"
    )


def test_all_of_a_principal() -> None:
    assert read(document("u1", "member")).principal == Principal(
        user_id="u1",
        user_name="name-u1",
        user_domain_id="default",
        user_domain_name="Default",
        project_id="p1",
        project_name="web",
        project_domain_id="default",
        project_domain_name="Default",
        roles=("member",),
        expires_at=NOW + 3600,
        provider="keystone",
        is_admin_project=True,
        audit_ids=("oQcF",),
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24T00:13:46.000000Z", 1795479226.0),
        ("2026-11-24T00:13:46Z", 1795479226.0),
        ("2026-11-24T01:13:46+01:00", 1795479226.0),
    ],
)
def test_a_time_has_its_zone(text: str, seconds: float) -> None:
    assert instant(text) == seconds


@pytest.mark.parametrize(
    "value", ["2026-11-24T00:13:46", "soon", "", None, 1795479226, "0001-01-01T00:00:00+23:59"]
)
def test_what_is_no_time_is_an_error(value: Any) -> None:
    if value == "0001-01-01T00:00:00+23:59":
        assert instant(value) < 0  # long ago, and so it has ended
        return
    with pytest.raises(ValueError, match="expires_at"):
        instant(value)


def test_an_error_names_the_place_and_shows_no_value() -> None:
    with pytest.raises(ValueError, match=r"^id$"):
        read({**document(), "user": {"id": 7, "name": "secret"}})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "domain", "all", "url"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.sampled_from(
        [
            "user",
            "project",
            "domain",
            "roles",
            "system",
            "catalog",
            "expires_at",
            "application_credential",
            "is_admin_project",
        ]
    ),
    _JSON,
)
def test_whatever_stands_there_it_is_read_or_a_value_error(key: str, value: Any) -> None:
    try:
        found = read({**document(), key: value})
    except ValueError:
        return
    principal = found.principal
    assert isinstance(principal.user_id, str) and principal.user_id
    assert all(isinstance(role, str) for role in principal.roles)
    assert isinstance(principal.expires_at, float)


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with pytest.raises(ValueError, match="token"):
        read_document(body, service_type=None, provider="keystone")
