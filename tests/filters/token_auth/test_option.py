"""The options of token_auth: what is accepted, and what is refused in which words."""

from typing import Any

import pytest
from pydantic import ValidationError

from filters.token_auth.option import (
    FetchOptions,
    JwtOptions,
    KeyOptions,
    KeystoneOptions,
    StaticToken,
    TokenAuthConfig,
)
from gateway.api import Secret
from gateway.api.fact import CLOCK, header

STATIC = {"static": {"tokens": [{"token": "t", "user_id": "u"}]}}


def config(**options: Any) -> TokenAuthConfig:
    return TokenAuthConfig.model_validate({"providers": [STATIC], **options})


def test_defaults_are_safe() -> None:
    made = config()
    assert made.header == "X-Auth-Token"
    assert made.delay_auth_decision is False
    assert made.forward_token is True
    assert (made.cache.ttl, made.cache.size, made.cache.negative_ttl) == (300.0, 10_000, 5.0)


def test_reads_its_header_and_the_clock() -> None:
    assert config(header="X-Token").reads() == {header("x-token"), CLOCK}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"providers": []}, "at least 1 item"),
        ({"providers": [{}]}, "exactly one of static, jwt"),
        (
            {"providers": [{**STATIC, "jwt": {"keys": [{"pem": "a", "algorithms": ["ES256"]}]}}]},
            "exactly one of",
        ),
        ({"providers": [{"ldap": {}}]}, "Extra inputs"),
        ({"header": "X Token"}, "not a header field name"),
        ({"header": "x-user_id"}, "a client's own is stripped"),
        ({"cache": {"size": 0}}, "greater than or equal to 1"),
        ({"auth_url": 'http://a/"; x="'}, "http or https URL"),
        ({"auth_url": "javascript:x"}, "http or https URL"),
        ({"auth_url": "http://a/\r\nX: y"}, "http or https URL"),
    ],
)
def test_refuses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**options)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ({"user_id": "u"}, "exactly one of token, token_sha256"),
        ({"token": "a", "token_sha256": "0" * 64, "user_id": "u"}, "exactly one of"),
        ({"token": "a"}, "stands for somebody"),
        ({"token": "a b\n", "user_id": "u"}, "printable ASCII"),
        ({"token": "ž", "user_id": "u"}, "printable ASCII"),
        ({"token_sha256": "0" * 63, "user_id": "u"}, "64 hexadecimal"),
        ({"token": "a", "user_id": "u\r\nX: y"}, "control character"),
        ({"token": "a", "user_id": "u", "roles": ["a,b"]}, "comma"),
        ({"token": "a", "user_id": "u", "expires": "2030-01-01T00:00:00"}, "no zone"),
        ({"token": "a", "user_id": "u", "expires": "tomorrow"}, "expected a time"),
    ],
)
def test_refuses_a_static_token(token: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        StaticToken.model_validate(token)


@pytest.mark.parametrize(
    "expires", [1900000000, "1900000000", "2030-03-17T17:46:40Z", "2030-03-17T18:46:40+01:00"]
)
def test_expiry_is_an_instant(expires: Any) -> None:
    assert (
        StaticToken.model_validate({"token": "a", "user_id": "u", "expires": expires}).expires == 1900000000.0
    )


def test_a_path_stays_text_and_an_inline_key_becomes_a_secret() -> None:
    algorithms = ["HS256"]
    assert KeyOptions.model_validate({"jwk": "keys/a.json", "algorithms": algorithms}).jwk == "keys/a.json"
    for jwk in ({"kty": "oct", "k": "c2VjcmV0"}, '{"kty": "oct", "k": "c2VjcmV0"}'):
        made = KeyOptions.model_validate({"jwk": jwk, "algorithms": algorithms})
        assert isinstance(made.jwk, Secret)
        assert "c2VjcmV0" not in repr(made) + made.model_dump_json()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ({"pem": "a"}, "algorithms"),
        ({"pem": "a", "algorithms": []}, "at least 1 item"),
        ({"pem": "a", "algorithms": ["none"]}, "RS256"),
        ({"algorithms": ["RS256"]}, "exactly one of pem, jwk, jwks"),
        ({"pem": "a", "jwk": "b", "algorithms": ["RS256"]}, "exactly one of"),
    ],
)
def test_refuses_a_key(key: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        KeyOptions.model_validate(key)


def test_the_schema_of_every_option_can_be_written() -> None:
    schema = TokenAuthConfig.model_json_schema()
    assert schema["properties"]["header"]["default"] == "X-Auth-Token"
    assert all("description" in option for option in schema["properties"].values())


# ---- keys that are fetched


FETCHED = {"jwks_url": "https://login.test/keys", "algorithms": ["ES256"]}


def test_fetched_keys_have_safe_defaults() -> None:
    made = JwtOptions.model_validate(FETCHED)
    assert made.fetch == FetchOptions()
    assert (made.fetch.period, made.fetch.cooldown, made.fetch.stale_for) == (600.0, 30.0, 86400.0)
    assert JwtOptions(issuer_url="http://localhost:8080/realms/a", algorithms=("RS256",)).issuer is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "exactly one of keys, jwks_url, issuer_url"),
        ({**FETCHED, "issuer_url": "https://login.test"}, "exactly one of keys, jwks_url, issuer_url"),
        ({"keys": [], **FETCHED}, "at least 1 item"),
        ({**FETCHED, "algorithms": None}, "expected algorithms"),
        ({**FETCHED, "algorithms": []}, "at least 1 item"),
        ({**FETCHED, "algorithms": ["HS256"]}, "Input should be 'RS256'"),
        ({**FETCHED, "algorithms": ["none"]}, "Input should be 'RS256'"),
        ({**FETCHED, "jwks_url": "ftp://login.test"}, "http or https"),
        ({**FETCHED, "jwks_url": "https://user:pw@login.test/"}, "without a user"),
        ({**FETCHED, "jwks_url": "https://login.test/#keys"}, "without a user or a fragment"),
        ({**FETCHED, "jwks_url": "https://:443/"}, "the URL of a server"),
        ({**FETCHED, "jwks_url": "https://login.test:99999/"}, "the URL of a server"),
        ({"issuer_url": "https://login.test/?a=b", "algorithms": ["ES256"]}, "no query"),
        ({**FETCHED, "fetch": {"period": "0.5s"}}, "greater than or equal to 1"),
        ({**FETCHED, "fetch": {"cooldown": 0}}, "greater than or equal to 0.1"),
        ({**FETCHED, "jwks_url": "http://login.test/", "fetch": {"tls": {}}}, "tls is for an https URL"),
        (
            {"keys": [{"pem": "a", "algorithms": ["ES256"]}], "algorithms": ["ES256"]},
            "each of keys has its own",
        ),
        (
            {"keys": [{"pem": "a", "algorithms": ["ES256"]}], "fetch": {}},
            "fetch is for jwks_url and issuer_url",
        ),
    ],
)
def test_refuses_of_fetched_keys(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        JwtOptions.model_validate(options)


@pytest.mark.parametrize(
    "prefix", ["", "/", "compute", "/compute/", "//compute", "/a/../b", "/a/.", "/a%2Fb", "/a b"]
)
def test_a_prefix_is_the_beginning_of_a_path_that_has_one_reading(prefix: str) -> None:
    keystone = {"url": "http://k/v3", "account": {"user": "g", "password": "p", "project_name": "s"}}
    good = {**keystone, "service_type": "compute", "strip_prefixes": ["/compute", "/a/b.c"]}
    assert KeystoneOptions.model_validate(good).strip_prefixes == ("/compute", "/a/b.c")
    with pytest.raises(ValidationError, match="beginning of a path"):
        KeystoneOptions.model_validate({**good, "strip_prefixes": [prefix]})
    with pytest.raises(ValidationError, match="without service_type"):
        KeystoneOptions.model_validate({**keystone, "strip_prefixes": ["/compute"]})


def test_the_files_of_tokens_and_keys_are_named_and_nothing_else() -> None:
    options = TokenAuthConfig.model_validate(
        {
            "providers": [
                {"static": {"file": "tokens.yaml"}},
                {"static": {"tokens": [{"token": "some-token", "user": "u"}]}},
                {"api_key": {"file": "keys.yaml", "header": "X-Key"}},
                {"jwt": {"keys": [{"jwks": "keys.json", "algorithms": ["RS256"]}], "issuer": "i"}},
            ]
        }
    )
    assert options.files() == ("tokens.yaml", "keys.yaml", "keys.json")
