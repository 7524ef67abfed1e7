"""Which keys are taken, and for which algorithms."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from filters.token_auth.key import Key, load_keys, read_published, without_duplicates
from filters.token_auth.option import KeyOptions
from gateway.api.testing import FrozenServices
from tests.filters.token_auth.signing import (
    SECRET,
    b64,
    ec384_key,
    ec_key,
    ed_key,
    jwk,
    pem,
    rsa_key,
    small_rsa_key,
)


def load(directory: Path | None = None, **options: Any) -> list[Key]:
    return load_keys(KeyOptions.model_validate(options), FrozenServices(directory=directory))[0]


def algorithms(**options: Any) -> list[set[str]]:
    return [set(key.algorithms) for key in load(**options)]


def test_a_key_is_bound_to_the_pinned_algorithms_of_its_kind() -> None:
    assert algorithms(pem=pem(rsa_key()), algorithms=["RS256", "PS512"]) == [{"RS256", "PS512"}]
    assert algorithms(pem=pem(ec_key()), algorithms=["ES256"]) == [{"ES256"}]
    assert algorithms(pem=pem(ed_key()), algorithms=["EdDSA"]) == [{"EdDSA"}]
    assert algorithms(jwk=jwk(ec384_key()), algorithms=["ES384"]) == [{"ES384"}]
    assert algorithms(jwk=jwk(ed_key()), algorithms=["EdDSA"]) == [{"EdDSA"}]
    assert algorithms(jwk=jwk(SECRET), algorithms=["HS256"]) == [{"HS256"}]


def test_the_alg_of_a_jwk_narrows_the_pinned_ones() -> None:
    assert algorithms(jwk=jwk(rsa_key(), alg="RS256"), algorithms=["RS256", "RS512"]) == [{"RS256"}]


def test_a_public_key_is_never_a_shared_secret() -> None:
    with pytest.raises(ValueError, match="not one for HS256"):
        load(pem=pem(rsa_key()), algorithms=["HS256"])


def test_a_certificate_is_taken_for_its_key() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, ec_key().public_key(), 1, begin, begin + timedelta(days=1))
        .sign(ec_key(), hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    assert algorithms(pem=certificate.decode(), algorithms=["ES256"]) == [{"ES256"}]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"use": "enc"}, "use is not sig"),
        ({"use": None}, "use is not sig"),
        ({"key_ops": ["sign"]}, "key_ops do not hold verify"),
        ({"key_ops": "verify"}, "key_ops do not hold verify"),
        ({"alg": "ES384"}, "alg is not one of"),
        ({"alg": 1}, "alg is not one of"),
        ({"kid": 1}, "kid is not text"),
        ({"kty": "XX"}, "kty is none of"),
        ({"kty": ["EC"]}, "kty is none of"),
        ({"crv": "secp256k1"}, "crv is none of"),
        ({"crv": "P-384"}, "do not make a key"),
        ({"x": "AAAA"}, "do not make a key"),
        ({"y": None}, "has no y"),
        ({"d": "AAAA"}, "private key"),
    ],
)
def test_a_jwk_that_must_not_verify_is_refused(members: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load(jwk=jwk(ec_key(), **members), algorithms=["ES256"])


@pytest.mark.parametrize(
    "spoil", [lambda x: x + "=", lambda x: x[:-1] + "/", lambda x: x + "\n", lambda x: x + "é"]
)
def test_a_jwk_in_another_base64_is_refused(spoil: Any) -> None:
    made = jwk(ec_key())
    with pytest.raises(ValueError, match="base64url"):
        load(jwk={**made, "x": spoil(made["x"])}, algorithms=["ES256"])


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 31), ("HS384", 47), ("HS512", 63)])
def test_a_shared_secret_shorter_than_its_hash_is_refused(algorithm: str, length: int) -> None:
    with pytest.raises(ValueError, match=f"{length} bytes; at least {length + 1}"):
        load(jwk=jwk(b"x" * length), algorithms=[algorithm])
    assert load(jwk=jwk(b"x" * (length + 1)), algorithms=[algorithm])


def test_a_weak_rsa_key_is_refused() -> None:
    with pytest.raises(ValueError, match="1024 bits"):
        load(pem=pem(small_rsa_key()), algorithms=["RS256"])


def test_a_private_key_is_refused() -> None:
    text = ec_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(ValueError, match="private key"):
        load(pem=text, algorithms=["ES256"])


def test_a_set_gives_the_keys_that_fit_and_skips_the_rest() -> None:
    keys = [
        jwk(rsa_key(), kid="enc", use="enc"),
        jwk(ec384_key(), kid="other-curve"),
        jwk(ec_key(), kid="mine", use="sig", key_ops=["verify"]),
        {"kty": "future"},
    ]
    assert [key.kid for key in load(jwks={"keys": keys}, algorithms=["ES256"])] == ["mine"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{}", "a list named keys"),
        ('{"keys": []}', "no key in the set"),
        ('{"keys": [1]}', "not an object"),
        ('{"keys": [], "keys": []}', "twice"),
        ("[]", "inline|cannot read|not a JSON object"),
        ("{", "not a JSON object"),
        (json.dumps({"keys": [{"kty": "oct", "k": "AA=="}]}), "base64url"),
    ],
)
def test_a_wrong_set_is_told(document: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load(jwks=document, algorithms=["HS256"])


def test_keys_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(pem(ec_key()))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [jwk(ec_key(), kid="a")]}))
    assert len(load(tmp_path, pem="key.pem", algorithms=["ES256"])) == 1
    assert load(tmp_path, jwks="keys.json", algorithms=["ES256"])[0].kid == "a"
    with pytest.raises(ValueError, match=r"pem: cannot read none\.pem"):
        load(tmp_path, pem="none.pem", algorithms=["ES256"])
    (tmp_path / "bad.pem").write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match=r"pem: bad\.pem: not a public key"):
        load(tmp_path, pem="bad.pem", algorithms=["ES256"])


def test_no_error_shows_the_secret() -> None:
    with pytest.raises(ValueError, match="at least 32") as caught:
        load(jwk=jwk(b"hidden-secret"), algorithms=["HS256"])
    assert b64(b"hidden-secret").decode() not in str(caught.value)


def test_the_digest_follows_key_and_algorithms() -> None:
    def digest(**options: Any) -> bytes:
        return load_keys(KeyOptions.model_validate(options), FrozenServices())[1]

    text = pem(rsa_key())
    assert digest(pem=text, algorithms=["RS256"]) == digest(pem=text, algorithms=["RS256"])
    assert digest(pem=text, algorithms=["RS256"]) != digest(pem=text, algorithms=["RS512"])
    assert digest(pem=text, algorithms=["RS256"]) != digest(pem=text + "\n", algorithms=["RS256"])


def test_a_name_stands_once_in_an_object() -> None:
    assert without_duplicates([("a", 1), ("b", 2)]) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="twice"):
        without_duplicates([("a", 1), ("a", 1)])


def test_a_signature_of_any_form_is_judged_without_an_exception() -> None:
    (key,) = load(pem=pem(ec_key()), algorithms=["ES256"])
    for signature in (b"", b"\0" * 64, b"x", b"\xff" * 64, b"x" * 4096):
        assert key.verifies("ES256", b"signed", signature) is False


# ---- sets that somebody publishes


PUBLIC = frozenset({"ES256", "RS256", "EdDSA"})


def published(*members: Any) -> tuple[list[Key], list[str]]:
    return read_published(json.dumps({"keys": members}).encode(), PUBLIC)


def test_a_published_set_gives_the_keys_that_may_verify() -> None:
    keys, left_out = published(
        jwk(ec_key(), kid="a", use="sig", key_ops=["verify"]),
        jwk(rsa_key(), kid="b", alg="RS256"),
        jwk(rsa_key(), kid="c", use="enc"),
        jwk(rsa_key(), kid="d", key_ops=["wrapKey"]),
        jwk(rsa_key(), kid="e", alg="RS512"),
        jwk(ec384_key(), kid="f"),
        {"kty": "future", "kid": "g"},
    )
    assert [(key.kid, set(key.algorithms)) for key in keys] == [("a", {"ES256"}), ("b", {"RS256"})]
    assert left_out == []


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (jwk(SECRET, kid="s"), "a shared secret"),
        (jwk(SECRET, alg="HS256"), "a shared secret"),
        (jwk(small_rsa_key()), "an RSA key of 1024 bits"),
        ({**jwk(ec_key()), "d": "AA"}, "a private key"),
        ({**jwk(ec_key()), "kid": 1}, "kid is not text"),
        ({**jwk(ec_key()), "x": "AA"}, "do not make a key"),
        ({**jwk(ec_key()), "x": None}, "the key has no x"),
        (None, "not an object"),
        ("key", "not an object"),
    ],
)
def test_one_bad_key_is_left_out_and_the_others_stay(member: Any, words: str) -> None:
    keys, (why,) = published(member, jwk(ed_key(), kid="good"))
    assert [key.kid for key in keys] == ["good"]
    assert words in why


def test_two_published_keys_may_have_one_kid() -> None:
    keys, _ = published(jwk(ec_key(), kid="a"), jwk(ec_key(), kid="a"))
    assert [key.kid for key in keys] == ["a", "a"]


def test_a_key_is_told_by_its_material_and_what_it_may_verify() -> None:
    (one, named, narrow, other), _ = published(
        jwk(ec_key()), jwk(ec_key(), kid="a"), jwk(rsa_key(), alg="RS256"), jwk(ed_key())
    )
    assert one.identity == named.identity
    assert len({one.identity, narrow.identity, other.identity}) == 3


def test_a_set_without_a_key_that_fits_says_what_there_was() -> None:
    with pytest.raises(ValueError, match=r"verifies with ES256, EdDSA, RS256; left out: a shared secret$"):
        published(jwk(SECRET), jwk(SECRET, kid="b"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_MEMBER = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct"]) | _JSON},
    optional={
        **{
            name: _JSON | st.just("AQAB")
            for name in ("kid", "use", "key_ops", "alg", "n", "e", "x", "y", "k", "d")
        },
        "crv": st.sampled_from(["P-256", "Ed25519"]) | _JSON,
    },
)


@given(st.lists(_MEMBER | _JSON, max_size=4))
def test_whatever_is_published_is_a_set_or_a_value_error(members: list[Any]) -> None:
    with contextlib.suppress(ValueError):
        published(*members)
    good = [member for member in members if isinstance(member, dict)]
    keys, _ = published(*good, jwk(ec_key(), kid="good"))
    assert keys[-1].kid == "good"


@given(st.binary(max_size=200))
def test_bytes_that_are_no_set(text: bytes) -> None:
    with pytest.raises(ValueError):
        read_published(text, PUBLIC)
