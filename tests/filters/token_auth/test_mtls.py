"""The provider `mtls`."""

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.token_auth.mtls import Mtls
from filters.token_auth.option import MtlsOptions
from filters.token_auth.provider import Refusal
from gateway.api import Certificate, Principal
from gateway.api.testing import FrozenServices, exchange

END = exchange().clock.wall + 60.0
OURS = Certificate(
    "CN=compute-1,O=Example",
    "compute-1",
    ("compute-1.example.test", "api.example.test"),
    ("spiffe://example/compute",),
    ("ops@example.test",),
    "0" * 64,
    END,
)


def provider(**options: Any) -> Mtls:
    return Mtls(MtlsOptions.model_validate(options), FrozenServices())


def name(certificate: Certificate | None = OURS, **options: Any) -> str | None:
    answer = provider(**options).look_up("", exchange(certificate=certificate))
    if answer is None:
        return None
    assert isinstance(answer, Principal)
    assert answer.user_id == answer.user_name
    return answer.user_id


def test_a_certificate_is_somebody() -> None:
    made = provider(roles=["service"], project_id="p1", project_name="web")
    assert made.look_up("", exchange(certificate=OURS)) == Principal(
        user_id="compute-1",
        user_name="compute-1",
        project_id="p1",
        project_name="web",
        roles=("service",),
        expires_at=END,
        provider="mtls",
    )
    assert made.look_up("a token", exchange()) is None


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("subject_cn", "compute-1"),
        ("subject", "CN=compute-1,O=Example"),
        ("san_dns", "compute-1.example.test"),
        ("san_uri", "spiffe://example/compute"),
        ("san_email", "ops@example.test"),
    ],
)
def test_the_name_is_of_the_kind_that_is_asked_for(user: str, expected: str) -> None:
    assert name(user=user) == expected
    assert name(Certificate("", expires_at=END), user=user) is None


@pytest.mark.parametrize(
    ("allow", "expected"),
    [
        (["api.example.test"], "api.example.test"),
        (["*.example.test"], "compute-1.example.test"),
        (["*"], "compute-1.example.test"),
        (["api.*", "compute-1.example.test"], "compute-1.example.test"),
        (["example.test"], None),
        (["api.example.tes"], None),
        (["api.example_test"], None),
        (["API.example.test"], None),
        (["."], None),
        (["a|compute-1.example.test"], None),
    ],
)
def test_only_names_that_are_allowed_are_known(allow: list[str], expected: str | None) -> None:
    assert name(user="san_dns", allow=allow) == expected


@given(st.text("ab*", min_size=1, max_size=6), st.text("ab", max_size=8))
def test_an_asterisk_stands_for_any_characters(pattern: str, text: str) -> None:
    found = name(Certificate("", text, expires_at=END), allow=[pattern])
    assert found == (text if text and fnmatchcase(text, pattern) else None)


def test_a_name_is_read_once_however_many_asterisks() -> None:
    long = "a" * 2000
    pattern = "*a" * 12 + "b"
    assert name(Certificate("", long, expires_at=END), allow=[pattern]) is None
    assert name(Certificate("", long + "b", expires_at=END), allow=[pattern]) == long + "b"


def test_a_certificate_ends_while_its_connection_lives() -> None:
    ended = Certificate("CN=a", "a", expires_at=exchange().clock.wall)
    assert provider().look_up("", exchange(certificate=ended)) == Refusal("certificate_expired")
    assert provider(allow=["b"]).look_up("", exchange(certificate=ended)) is None


def test_what_is_trusted_is_in_the_fingerprint() -> None:
    options: list[dict[str, Any]] = [{}, {"allow": ["a"]}, {"roles": ["a"]}, {"user": "subject"}]
    assert len({provider(**each).fingerprint for each in options}) == len(options)
    assert provider().fingerprint == provider().fingerprint


@pytest.mark.parametrize("options", [{"allow": []}, {"user": "serial"}, {"roles": ["a,b"]}, {"allow": [""]}])
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        provider(**options)
