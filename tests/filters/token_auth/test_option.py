"""The options of token_auth: what is accepted, and what is refused in which words."""

from typing import Any

import pytest
from pydantic import ValidationError

from filters.token_auth.option import KeyOptions, StaticToken, TokenAuthConfig
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
