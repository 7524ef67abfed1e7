"""Header fields that carry credentials."""

import pytest

from gateway.http.secret import is_secret_header


@pytest.mark.parametrize(
    "name",
    [
        "x-auth-token",
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-service-token",
        "x-subject-token",
        "x-storage-token",
        "x-auth-key",
        "x-api-key",
        "apikey",
        "api_key",
        "x-client-secret",
        "x-password",
    ],
)
def test_knows_the_headers_that_carry_secrets(name: str) -> None:
    assert is_secret_header(name)


@pytest.mark.parametrize(
    "name", ["host", "x-project-id", "content-type", "x-openstack-request-id", "keep-alive"]
)
def test_other_headers_are_told_as_they_are(name: str) -> None:
    assert not is_secret_header(name)
