"""Where keys come from: a URL, or what an OpenID provider says of itself; and what is not taken for keys."""

from typing import Any

import pytest

from filters.token_auth.issuer import MAX_BODY, MAX_URL, Issuer
from filters.token_auth.key import MAX_KEYS
from filters.token_auth.option import JwtOptions
from filters.token_auth.remote import Trouble
from gateway.api import HttpAnswer, HttpClient, HttpError, HttpOptions, OptionError
from gateway.api.testing import FrozenServices
from tests.filters.token_auth.issuer_service import (
    BY_ISSUER,
    BY_URL,
    KEYS_URL,
    URL,
    IssuerService,
    answer,
)
from tests.filters.token_auth.signing import SECRET, ec_key, jwk, rsa_key


def issuer(service: IssuerService, **options: Any) -> Issuer:
    return Issuer(JwtOptions.model_validate(options or BY_URL), FrozenServices(answer=service))


async def trouble(service: IssuerService, **options: Any) -> str:
    with pytest.raises(Trouble) as caught:
        await issuer(service, **options).keys()
    return caught.value.why


async def test_a_set_is_asked_for_at_its_url() -> None:
    service = IssuerService(jwk(ec_key(), kid="one"), jwk(rsa_key(), kid="two"))
    keys, left_out = await issuer(service).keys()
    assert [(key.kid, set(key.algorithms)) for key in keys] == [("one", {"ES256"}), ("two", {"RS256"})]
    assert left_out == []
    assert service.asked == [KEYS_URL]


@pytest.mark.parametrize("url", [URL, URL + "/"])
async def test_an_openid_provider_says_where_its_keys_are(url: str) -> None:
    service = IssuerService()
    service.configuration["issuer"] = url
    keys, _ = await issuer(service, **{**BY_ISSUER, "issuer_url": url}).keys()
    assert [key.kid for key in keys] == ["one"]
    assert service.asked == [URL + "/.well-known/openid-configuration", KEYS_URL]


async def test_an_issuer_may_be_reached_at_another_url_than_its_name() -> None:
    service = IssuerService()
    service.configuration["issuer"] = "https://public.test"
    keys, _ = await issuer(service, **BY_ISSUER, issuer="https://public.test").keys()
    assert len(keys) == 1
    service.configuration["issuer"] = URL
    assert "another issuer" in await trouble(service, **BY_ISSUER, issuer="https://public.test")


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"issuer": URL + "/", "jwks_uri": KEYS_URL}, "another issuer"),
        ({"issuer": "https://evil.test", "jwks_uri": KEYS_URL}, "another issuer"),
        ({"issuer": [URL], "jwks_uri": KEYS_URL}, "another issuer"),
        ({"jwks_uri": KEYS_URL}, "another issuer"),
        ({"issuer": URL}, "no jwks_uri"),
        ({"issuer": URL, "jwks_uri": 1}, "no jwks_uri"),
        ({"issuer": URL, "jwks_uri": "https://a/" + "a" * MAX_URL}, "no jwks_uri"),
        ({"issuer": URL, "jwks_uri": "http://keys.test/"}, "not https"),
        ({"issuer": URL, "jwks_uri": "file:///etc/passwd"}, "not the URL"),
        ({"issuer": URL, "jwks_uri": "https:///keys"}, "not the URL"),
        ({"issuer": URL, "jwks_uri": "https://user:pw@keys.test/"}, "not the URL"),
        ({"issuer": URL, "jwks_uri": "https://keys.test/#x"}, "not the URL"),
        ({"issuer": URL, "jwks_uri": "https://keys.test/\r\nX: y"}, "not the URL"),
        ({"issuer": URL, "jwks_uri": "https://keys.test:x/"}, "not the URL"),
        ([], "cannot be read"),
        (b"<html>", "cannot be read"),
        (b'{"issuer": 1, "issuer": 2}', "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
    ],
)
async def test_what_an_openid_provider_may_not_say(configuration: Any, words: str) -> None:
    service = IssuerService()
    service.configuration = configuration
    assert words in await trouble(service, **BY_ISSUER)
    assert service.fetched == 0


@pytest.mark.parametrize("keys_at", ["http://keys.test/k", "https://keys.test/k"])
async def test_an_issuer_in_the_clear_may_have_its_keys_in_the_clear(keys_at: str) -> None:
    asked: list[str] = []
    url = "http://127.0.0.1:8080"

    def service(request: Any) -> HttpAnswer:
        asked.append(request.url)
        if request.url == keys_at:
            return answer({"keys": [jwk(ec_key())]})
        return answer({"issuer": url, "jwks_uri": keys_at})

    options = JwtOptions(issuer_url=url, algorithms=("ES256",))
    assert len((await Issuer(options, FrozenServices(answer=service)).keys())[0]) == 1
    assert asked == [url + "/.well-known/openid-configuration", keys_at]


async def test_a_server_may_publish_its_keys_at_its_root() -> None:
    asked: list[str] = []

    def service(request: Any) -> HttpAnswer:
        asked.append(request.url)
        return answer({"keys": [jwk(ec_key())]})

    options = JwtOptions(jwks_url="https://keys.test", algorithms=("ES256",))
    await Issuer(options, FrozenServices(answer=service)).keys()
    assert asked == ["https://keys.test/"]


@pytest.mark.parametrize("status", [201, 204, 301, 302, 401, 404, 429, 500, 503])
async def test_only_200_is_an_answer(status: int) -> None:
    service = IssuerService()
    service.instead = HttpAnswer(status, {"location": "https://evil.test/"}, b'{"keys": []}')
    assert await trouble(service) == f"it answered {status}"
    assert await trouble(service, **BY_ISSUER) == f"it answered {status}"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "not a JSON object"),
        (b"\xff\xfe", "not a JSON object"),
        (b"{" * 100_000, "not a JSON object"),
        ([jwk(ec_key())], "not a JSON object"),
        ({}, "a list named keys"),
        ({"keys": {}}, "a list named keys"),
        ({"keys": ["x"]}, "not an object"),
        ({"keys": []}, "no key in the set verifies with ES256, RS256"),
        ({"keys": [jwk(SECRET, kid="hs", alg="HS256")]}, "no key in the set"),
        ({"keys": [jwk(ec_key(), use="enc")]}, "no key in the set"),
        ({"keys": [jwk(ec_key())] * (MAX_KEYS + 1)}, "more than 64 keys"),
    ],
)
async def test_what_is_no_key_set(document: Any, words: str) -> None:
    service = IssuerService()
    service.instead = answer(document)
    assert words in await trouble(service)


async def test_how_it_is_asked_is_bounded() -> None:
    made: dict[str, HttpOptions] = {}

    class Services(FrozenServices):
        def http(self, name: str, options: HttpOptions) -> HttpClient:
            assert name not in made
            made[name] = options
            return super().http(name, options)

    options = {**BY_ISSUER, "fetch": {"timeout": "2s", "tls": {"ca": "ca.pem"}}}
    Issuer(JwtOptions.model_validate(options), Services())
    assert {one.url for one in made.values()} == {"https:", "https://login.test"}
    for one in made.values():
        assert (one.timeout, one.max_body, one.concurrency) == (2.0, MAX_BODY, 2)
        assert one.tls is not None
        assert one.tls.ca == "ca.pem"


async def test_what_the_client_raises_is_raised() -> None:
    service = IssuerService()
    service.instead = HttpError("timeout")
    with pytest.raises(HttpError):
        await issuer(service).keys()


def test_a_bad_file_is_said_to_be_bad_where_it_stands() -> None:
    class Services(FrozenServices):
        def http(self, name: str, options: HttpOptions) -> HttpClient:
            raise OptionError(("tls", "ca"), "cannot read it")

    options = JwtOptions.model_validate({**BY_URL, "fetch": {"tls": {"ca": "absent"}}})
    with pytest.raises(OptionError) as caught:
        Issuer(options, Services())
    assert (caught.value.rule, caught.value.messages) == (("fetch", "tls", "ca"), ("cannot read it",))
