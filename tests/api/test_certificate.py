"""A client's certificate is a value; a shadow filter sees the same one."""

import dataclasses

import pytest

from gateway.api import Body, Certificate, ShadowExchange
from gateway.api.testing import exchange


def test_a_certificate_cannot_be_changed_in_place() -> None:
    certificate = Certificate("CN=a", "a", dns=("a.test",), fingerprint="00" * 32)
    with pytest.raises(dataclasses.FrozenInstanceError):
        certificate.subject = "CN=b"  # type: ignore[misc] # that is what is tested
    assert (certificate.uri, certificate.email) == ((), ())


def test_an_exchange_has_none_until_there_is_one() -> None:
    assert exchange().certificate is None
    certificate = Certificate("CN=a")
    subject = exchange(certificate=certificate)
    assert ShadowExchange(subject, Body()).certificate is certificate
