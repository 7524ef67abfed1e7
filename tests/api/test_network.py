"""What filters have of the network."""

import pytest
from pydantic import ValidationError

from gateway.api import HttpAnswer, HttpError, HttpOptions, TlsOptions
from gateway.api.network import NoNetwork
from gateway.api.testing import FrozenServices, HttpRequest


async def test_without_a_network_every_request_fails() -> None:
    with pytest.raises(HttpError, match=r"^closed$") as caught:
        await NoNetwork().request("GET", "/")
    assert caught.value.reason == "closed"


def test_a_key_needs_its_certificate() -> None:
    with pytest.raises(ValidationError, match="a key needs its certificate"):
        TlsOptions(key="key.pem")
    assert TlsOptions(certificate="both.pem").key is None


async def test_a_test_plays_the_service() -> None:
    services = FrozenServices()
    client = services.http("identity", HttpOptions("http://identity.test/v3/"))
    with pytest.raises(HttpError, match=r"^connect"):
        await client.request("GET", "/x")
    services.answer = lambda request: HttpAnswer(200, {}, request.url.encode())
    assert (
        await client.request("POST", "/x?y", headers=[("X-A", "b")], body=b"c")
    ).body == b"http://identity.test/v3/x?y"
    assert services.requests[-1] == HttpRequest("POST", "http://identity.test/v3/x?y", {"x-a": "b"}, b"c")
    assert services.http("identity", HttpOptions("http://identity.test/v3/")) is client
