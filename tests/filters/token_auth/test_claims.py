"""Claims: whom a token is for, when it is good, and whose it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth.claims import EXPIRED, INVALID, NOT_YET, ClaimReader, addressed, is_time, timely
from filters.token_auth.option import ClaimOptions
from filters.token_auth.provider import Refusal
from gateway.api import Principal
from gateway.api.testing import FrozenServices

NOW = 1_700_000_000.0


def read(claims: dict[str, Any], **options: str | None) -> Principal | Refusal:
    services = FrozenServices()
    reader = ClaimReader(ClaimOptions.model_validate(options), services, "kind", "issuer")
    found = reader.principal(claims, None)
    assert (found == INVALID) == bool(services.warnings)
    return found


def test_an_issuer_must_be_the_one_and_without_one_any_will_do() -> None:
    assert addressed({"iss": "a"}, "a", frozenset())
    assert addressed({"iss": "a"}, None, frozenset())
    assert not addressed({}, "a", frozenset())
    assert not addressed({"iss": ["a"]}, "a", frozenset())


@pytest.mark.parametrize(
    ("aud", "ours", "fits"),
    [
        (..., (), True),
        (..., ("a",), False),
        ("a", (), False),
        ("a", ("a", "b"), True),
        (["x", "b"], ("a", "b"), True),
        (["x"], ("a",), False),
        ([], ("a",), False),
        (["a", 1], ("a",), False),
        ({"a": 1}, ("a",), False),
        (None, ("a",), False),
    ],
)
def test_a_token_for_somebody_else_is_not_for_us(aud: Any, ours: tuple[str, ...], fits: bool) -> None:
    assert addressed({} if aud is ... else {"aud": aud}, None, frozenset(ours)) is fits


@given(st.floats(-100, 100), st.floats(0, 30))
def test_a_token_ends_with_its_exp_and_the_leeway(ahead: float, leeway: float) -> None:
    answer = timely({"exp": NOW + ahead}, NOW, leeway)
    assert answer == (EXPIRED if NOW + ahead + leeway <= NOW else None)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_may_yet_begin(claim: str) -> None:
    assert timely({"exp": NOW + 60, claim: NOW + 11}, NOW, 10) == NOT_YET
    assert timely({"exp": NOW + 60, claim: NOW + 9}, NOW, 10) is None
    assert timely({"exp": NOW + 60, claim: "soon"}, NOW, 10) == INVALID


@pytest.mark.parametrize("value", [True, None, "1", 1e300, float("nan"), float("inf"), 10**400, [1]])
def test_what_is_no_time(value: Any) -> None:
    assert not is_time(value)
    assert timely({"exp": value}, NOW, 0) == INVALID


def test_the_caller_is_where_the_options_say() -> None:
    found = read(
        {"a": {"b": "u1"}, "a.n": "Name", "p": 7, "r": "x  y"},
        user_id="a.b",
        user="a.n",
        project_id="p",
        roles="r",
    )
    assert found == Principal(
        user_id="u1", user_name="Name", project_id="7", roles=("x", "y"), provider="kind"
    )


def test_a_claim_that_no_option_names_is_not_looked_at() -> None:
    assert read({"sub": "u1", "project_id": ["x"], "roles": 1}, project_id=None, roles=None) == Principal(
        user_id="u1", provider="kind"
    )


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": ""},
        {"sub": " u1"},
        {"sub": True},
        {"sub": ["u1"]},
        {"sub": "u1\r\nX-Roles: admin"},
        {"sub": "u1", "project_id": {}},
        {"sub": "u1", "roles": [1]},
        {"sub": "u1", "roles": ["a,admin"]},
        {"sub": "u1", "roles": "a\tb\n"},
    ],
)
def test_a_caller_that_cannot_be_told_upstream_is_refused(claims: dict[str, Any]) -> None:
    assert read(claims) == INVALID
