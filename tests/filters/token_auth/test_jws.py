"""Tokens in compact form: what is read of them, and which key is the one meant."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth.jws import claims_of, json_object, read_jws, verified
from filters.token_auth.key import Key
from tests.filters.token_auth.signing import b64, ec_key, rsa_key, sign

CLAIMS = {"sub": "u1"}


def key(private: Any, kid: str | None = None, *algorithms: str) -> Key:
    return Key(kid, frozenset(algorithms or ("ES256",)), private.public_key())


def test_the_parts_of_a_token() -> None:
    token = sign(CLAIMS, header={"kid": "k"})
    jws = read_jws(token)
    assert jws is not None
    assert (jws.algorithm, jws.kid, claims_of(jws)) == ("ES256", "k", CLAIMS)
    assert jws.signed.decode() == token.rpartition(".")[0]


@pytest.mark.parametrize(
    "header",
    [
        {"alg": 1},
        {"alg": None},
        {"kid": 1},
        {"kid": None},
        {"crit": ["exp"], "exp": 1},
        {"b64": True},
        b"[]",
        b'{"alg":"ES256","alg":"none"}',
        b'{"alg":"ES256","x":NaN}',
        b"\xff",
        b'{"alg":"ES256","x":' + b"[" * 3000,
    ],
)
def test_a_header_that_leaves_a_doubt(header: Any) -> None:
    assert read_jws(sign(CLAIMS, header=header)) is None


@given(st.text(st.characters(max_codepoint=126, min_codepoint=33), max_size=60))
def test_anything_else_is_none(token: str) -> None:
    assert read_jws(token) is None
    assert read_jws(f"e30.e30.{token}") is None  # a header without alg


@pytest.mark.parametrize("signature", [b"", bytes(64)])
def test_no_signature_is_no_token(signature: bytes) -> None:
    head, body, _ = sign(CLAIMS).split(".")
    assert read_jws(f"{head}.{body}.{b64(signature).decode()}") is None


def test_a_kid_chooses_among_the_keys_that_fit() -> None:
    named = read_jws(sign(CLAIMS, header={"kid": "a"}))
    nameless = read_jws(sign(CLAIMS))
    assert named is not None
    assert nameless is not None
    ours, other = ec_key(), rsa_key()
    assert verified(named, [key(ours, "a")])
    assert verified(named, [key(ours)])
    assert not verified(named, [key(ours, "b")])
    assert not verified(named, [key(ours), key(ec.generate_private_key(ec.SECP256R1()), "a")])
    assert verified(named, [key(ours, "a"), key(other, "a", "RS256")])
    assert verified(nameless, [key(other, "a", "RS256"), key(ours, "b")])
    assert not verified(nameless, [])
    assert not verified(nameless, [key(ours, None, "ES384")])


@pytest.mark.parametrize("payload", [b"[]", b"{", b'{"a":1,"a":2}', b'{"a":Infinity}', b"\xc3"])
def test_a_payload_that_is_no_object_has_no_claims(payload: bytes) -> None:
    jws = read_jws(sign(payload))
    assert jws is not None
    assert claims_of(jws) is None


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none()))
def test_an_object_is_read_as_it_was_written(members: dict[str, Any]) -> None:
    assert json_object(b64(json.dumps(members).encode())) == members
