"""Hostile tokens: each is answered 401, by the filter alone and by a whole gateway, and none ever raises.

RFC 8725 and RFC 7515 section 10 name most of the attacks; forgery.py holds the catalogue.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st

from filters.token_auth import TokenAuth
from gateway.api import Exchange, Fault, Verdict
from gateway.api.testing import FrozenServices, build, exchange, judge
from tests.filters.token_auth import forgery
from tests.filters.token_auth.forgery import CLAIMS, HONEST, HOSTILE, WRONG_KID, awkward, but, grown, sealed
from tests.filters.token_auth.signing import SECRET, b64, ec384_key, ec_key, ed_key, jwk, pem, rsa_key
from tests.support.client import Client, get, post
from tests.support.expect import marked
from tests.support.gateway import Running, proxy
from tests.support.message import Answer
from tests.support.upstream import Upstream, answers

ALGORITHMS = ["ES256", "RS256", "EdDSA", "HS256"]
KEYS = {"ec": ec_key(), "rsa": rsa_key(), "ed": ed_key(), "hs": SECRET}
NAMED_KEYS = [{"jwks": {"keys": [jwk(key, kid=kid) for kid, key in KEYS.items()]}, "algorithms": ALGORITHMS}]
NAMELESS_KEYS = [
    {"pem": pem(ec_key()), "algorithms": ["ES256"]},
    {"pem": pem(rsa_key()), "algorithms": ["RS256"]},
    {"pem": pem(ed_key()), "algorithms": ["EdDSA"]},
    {"jwk": jwk(SECRET), "algorithms": ["HS256"]},
]
OPAQUE = "f064c46a782c444cb4ba4b6434288f7d"


def options(keys: Any = NAMED_KEYS, **more: Any) -> dict[str, Any]:
    """The options of a filter that takes the honest tokens, and an opaque one as well."""
    return {
        "providers": [
            {"jwt": {"issuer": "issuer", "audience": "weir", "keys": keys}},
            {"static": {"tokens": [{"token": OPAQUE, "user_id": "opaque"}]}},
        ],
        **more,
    }


def guard(keys: Any = NAMED_KEYS, **more: Any) -> TokenAuth:
    return build(TokenAuth, options(keys, **more))


NAMED, NAMELESS, DELAYED = guard(), guard(NAMELESS_KEYS), guard(delay_auth_decision=True)


def asked(filter: TokenAuth, token: bytes, *more: tuple[str, str]) -> tuple[Verdict, Exchange]:
    made = exchange(headers=[("X-Auth-Token", token.decode("latin-1")), *more])
    return judge(filter, made), made


def refused(filter: TokenAuth, token: bytes) -> None:
    """A 401 with a challenge that shows nothing of the token, the first time and from memory."""
    for _ in range(2):
        verdict, made = asked(filter, token, ("X-Roles", "admin"), ("X-Identity-Status", "Confirmed"))
        assert isinstance(verdict, Fault)
        assert verdict.status == 401
        assert verdict.reason in ("token_invalid", "token_expired")
        assert verdict.headers == (("WWW-Authenticate", "Keystone"),)
        assert verdict.message in ("The token is not valid.", "The token has expired.")
        assert verdict.details is None
        assert made.principal is None
        assert [name for name, _ in made.request.headers] == [b"X-Auth-Token"]


def user_of(filter: TokenAuth, token: bytes) -> str | None:
    """The user that a token stands for; None where it is refused, and never anything between."""
    verdict, made = asked(filter, token)
    if verdict is None:
        assert made.principal is not None
        assert made.request.headers.all("X-Identity-Status") == ["Confirmed"]
        return made.principal.user_id
    assert isinstance(verdict, Fault)
    assert verdict.status == 401
    assert made.principal is None
    return None


# ---- the catalogue


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("filter", [NAMED, NAMELESS], ids=["named", "nameless"])
def test_what_the_forgeries_are_made_from_is_honest(filter: TokenAuth, alg: str) -> None:
    """Or the catalogue would prove nothing."""
    assert user_of(filter, HONEST[alg]) == "u1"
    assert user_of(filter, f" \t{HONEST[alg].decode()} ".encode()) == "u1"


def test_the_forgeries_are_honest_but_for_one_thing() -> None:
    assert user_of(NAMED, forgery.token({"kid": "ec"})) == "u1"
    assert user_of(NAMED, sealed(awkward({"alg": "ES256"}), awkward(CLAIMS))) == "u1"
    assert user_of(NAMED, forgery.token(b'  {"x":[1,{"y":{}}], "alg" : "ES256"}\n')) == "u1"
    assert user_of(NAMED, forgery.token(claims=forgery.spelt("exp", b"4102444800.25"))) == "u1"
    assert user_of(NAMED, forgery.token(claims=but(aud=["them", "weir"], roles="a  b", project_id=7))) == "u1"
    assert user_of(NAMED, grown(8192)) == "u1"
    assert user_of(NAMED, forgery.resigned(lambda signature: signature)) == "u1"
    assert user_of(NAMED, OPAQUE.encode()) == "opaque"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_token_is_401(name: str) -> None:
    refused(NAMED, HOSTILE[name])
    refused(NAMELESS, HOSTILE[name])


@pytest.mark.parametrize("name", WRONG_KID)
def test_a_kid_that_names_no_key_of_ours_is_401(name: str) -> None:
    refused(NAMED, WRONG_KID[name])


def test_the_catalogue_is_as_large_as_it_was_meant_to_be() -> None:
    assert len(HOSTILE) + len(WRONG_KID) > 900


def test_where_the_decision_is_delayed_a_hostile_token_is_nobodys() -> None:
    for name, token in {**HOSTILE, **WRONG_KID}.items():
        verdict, made = asked(DELAYED, token, ("X-User-Id", "admin"))
        assert verdict is None, name
        assert made.principal is None, name
        assert [line for line in made.request.headers if line[0] != b"X-Auth-Token"] == [
            (b"X-Identity-Status", b"Invalid")
        ], name


def test_a_mirrored_signature_of_ecdsa_is_the_same_caller() -> None:
    """(r, n - s) is valid wherever (r, s) is: RFC 7518 section 3.4 asks for no low s, and signers do not make it so."""

    def mirrored(signature: bytes) -> bytes:
        return signature[:32] + (forgery.P256_ORDER - int.from_bytes(signature[32:], "big")).to_bytes(
            32, "big"
        )

    assert user_of(NAMED, forgery.resigned(mirrored)) == "u1"


def test_two_tokens_are_ambiguous_even_when_one_is_honest() -> None:
    for token in (b"", HONEST["RS256"], HOSTILE["alg none, no signature"]):
        verdict, made = asked(NAMED, HONEST["ES256"], ("x-auth-token", token.decode("latin-1")))
        assert isinstance(verdict, Fault)
        assert (verdict.status, verdict.reason) == (401, "token_ambiguous")
        assert made.principal is None


def test_what_a_token_says_of_keys_is_never_read() -> None:
    """No key, address or path of a token reaches the services of the filter."""

    class Offline(FrozenServices):
        def read_file(self, path: str, *, beside: str | None = None) -> bytes:
            raise AssertionError(f"the token made us read {path}")

    filter = build(TokenAuth, options(), Offline())
    for name in ("attacker's keys everywhere", "jku 'file:///etc/passwd'", "attacker's key in x5u"):
        refused(filter, HOSTILE[name])


def test_what_an_issuer_signs_and_we_cannot_use_is_told_without_the_value() -> None:
    services = FrozenServices()
    filter = build(TokenAuth, options(), services)
    refused(filter, forgery.token(claims=but(sub="u\r\nX-Roles: admin")))
    refused(filter, forgery.token(claims=but(roles=[" hidden"])))
    # Remembered for a while, so that a flood of one token is one line of the log.
    assert [event for event, _ in services.warnings] == ["token_claims_unusable"] * 2
    assert "admin" not in repr(services.warnings)
    assert "hidden" not in repr(services.warnings)


# ---- keys and tokens that a configuration may not hold


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8 or 1, "big")).decode()


def frame(kind: str, raw: bytes) -> str:
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(raw).decode()}-----END {kind}-----\n"


RSA_N = rsa_key().public_key().public_numbers().n
ZEROS = b64(bytes(32)).decode()
RSA_JWK = {"kty": "RSA", "n": number(RSA_N), "e": "AQAB"}
CERTIFICATE = forgery.certificate(ec_key(), Encoding.DER)
DER = ec_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PKCS1 = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()

WRONG_KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "for encryption": ({"jwk": jwk(ec_key(), use="enc")}, "use is not sig"),
    "of a use in capitals": ({"jwk": jwk(ec_key(), use="SIG")}, "use is not sig"),
    "of a use in a list": ({"jwk": jwk(ec_key(), use=["sig"])}, "use is not sig"),
    "for signing only": ({"jwk": jwk(ec_key(), key_ops=["sign"])}, "key_ops do not hold verify"),
    "for no operation": ({"jwk": jwk(ec_key(), key_ops=[])}, "key_ops do not hold verify"),
    "of null operations": ({"jwk": jwk(ec_key(), key_ops=None)}, "key_ops do not hold verify"),
    "for wrapping, whatever its use says": (
        {"jwk": jwk(ec_key(), use="sig", key_ops=["wrapKey", "deriveKey"])},
        "key_ops do not hold verify",
    ),
    "of a text as operations": ({"jwk": jwk(ec_key(), key_ops="verify")}, "key_ops do not hold verify"),
    "of another algorithm": ({"jwk": jwk(ec_key(), alg="ES384")}, "alg is not one of"),
    "of algorithm none": ({"jwk": jwk(ec_key(), alg="none")}, "alg is not one of"),
    "of an encrypting algorithm": ({"jwk": jwk(rsa_key(), alg="RSA1_5")}, "alg is not one of"),
    "with a padded member": ({"jwk": {**jwk(ec_key()), "x": jwk(ec_key())["x"] + "="}}, "base64url"),
    "in base64": ({"jwk": {**jwk(SECRET), "k": "+/" * 24}}, "base64url"),
    "with spare bits": (
        {"jwk": {"kty": "oct", "k": forgery.twin(b64(SECRET)).decode()}, "algorithms": ["HS256"]},
        "base64url",
    ),
    "with a line end": ({"jwk": {**jwk(ec_key()), "y": jwk(ec_key())["y"] + "\n"}}, "base64url"),
    "beyond ASCII": ({"jwk": {**jwk(ec_key()), "y": "\u00e4" * 43}}, "base64url"),
    "half of a pair": ({"jwk": '{"kty":"oct","k":"\\ud800"}'}, "base64url"),
    "at the origin": ({"jwk": {**jwk(ec_key()), "x": ZEROS, "y": ZEROS}}, "do not make a key"),
    "beside the curve": ({"jwk": {**jwk(ec_key()), "y": jwk(ec_key())["x"]}}, "do not make a key"),
    "of another curve's name": ({"jwk": jwk(ec_key(), crv="P-384")}, "do not make a key"),
    "of a curve that is not for signing": (
        {"jwk": {"kty": "OKP", "crv": "X25519", "x": ZEROS}},
        "crv is none of",
    ),
    "of an EC curve as OKP": ({"jwk": {"kty": "OKP", "crv": "P-256", "x": ZEROS}}, "do not make a key"),
    "of an OKP curve as EC": (
        {"jwk": {"kty": "EC", "crv": "Ed25519", "x": ZEROS, "y": ZEROS}},
        "do not make a key",
    ),
    "of a short Ed25519": ({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}}, "do not make a key"),
    "of an EC as RSA": ({"jwk": {**jwk(ec_key()), "kty": "RSA"}}, "has no n"),
    "of an RSA as secret": ({"jwk": {**RSA_JWK, "kty": "oct"}}, "has no k"),
    "with exponent 1": ({"jwk": {**RSA_JWK, "e": number(1)}}, "do not make a key"),
    "with an even exponent": ({"jwk": {**RSA_JWK, "e": number(65536)}}, "do not make a key"),
    "with exponent 0": ({"jwk": {**RSA_JWK, "e": number(0)}}, "do not make a key"),
    "with an empty exponent": ({"jwk": {**RSA_JWK, "e": ""}}, "do not make a key"),
    "with modulus 1": ({"jwk": {**RSA_JWK, "n": number(1)}}, "do not make a key"),
    "of 1024 bits": ({"jwk": jwk(rsa.generate_private_key(65537, 1024))}, "1024 bits; at least 2048"),
    "with a number for a text": ({"jwk": {**RSA_JWK, "e": 65537}}, "has no e"),
    "private": ({"jwk": {**jwk(ec_key()), "d": ZEROS}}, "private key"),
    "of RSA with primes": ({"jwk": {**RSA_JWK, "p": "Aw"}}, "private key"),
    "of no kind": ({"jwk": {"k": b64(SECRET).decode()}}, "kty is none of"),
    "of kind null": ({"jwk": jwk(SECRET, kty=None)}, "kty is none of"),
    "of kind none": ({"jwk": jwk(SECRET, kty="none")}, "kty is none of"),
    "with a number for its kid": ({"jwk": jwk(SECRET, kid=1)}, "kid is not text"),
    "of 31 bytes": ({"jwk": jwk(b"x" * 31), "algorithms": ["HS256"]}, "31 bytes; at least 32"),
    "of 32 bytes for a longer hash": (
        {"jwk": jwk(b"x" * 32), "algorithms": ["HS256", "HS512"]},
        "32 bytes; at least 64",
    ),
    "of no byte": ({"jwk": {"kty": "oct", "k": ""}, "algorithms": ["HS256"]}, "0 bytes; at least 32"),
    "a public PEM as secret": ({"jwk": jwk(pem(rsa_key()).encode())}, "is no shared secret"),
    "a public DER as secret": ({"jwk": jwk(DER)}, "is no shared secret"),
    "a certificate as secret": (
        {"jwk": jwk(frame("CERTIFICATE", CERTIFICATE).encode())},
        "is no shared secret",
    ),
    "a certificate's DER as secret": ({"jwk": jwk(CERTIFICATE)}, "is no shared secret"),
    "a public JWK as secret": ({"jwk": jwk(json.dumps(RSA_JWK).encode())}, "is no shared secret"),
    "a public PEM for HS256": (
        {"pem": pem(rsa_key()), "algorithms": ["HS256", "HS512"]},
        "not one for HS256",
    ),
    "a secret for RS256": (
        {"jwk": jwk(SECRET), "algorithms": ["RS256", "ES256"]},
        "not one for ES256, RS256",
    ),
    "P-256 for ES384": ({"pem": pem(ec_key()), "algorithms": ["ES384"]}, "not one for ES384"),
    "secp256k1": ({"pem": pem(ec.generate_private_key(ec.SECP256K1()))}, "not one for"),
    "Brainpool": ({"pem": pem(ec.generate_private_key(ec.BrainpoolP256R1()))}, "not one for"),
    "X25519": ({"pem": pem(x25519.X25519PrivateKey.generate())}, "not one for"),
    "Ed448": ({"pem": pem(ed448.Ed448PrivateKey.generate())}, "not one for"),
    "DSA": ({"pem": pem(dsa.generate_private_key(2048))}, "not one for"),
    "two in one PEM": ({"pem": pem(ec_key()) + pem(ec384_key())}, "more than one key"),
    "two of PKCS1 in one PEM": ({"pem": PKCS1 * 2}, "more than one key"),
    "PEM of no key": ({"pem": frame("PUBLIC KEY", b"\0" * 40)}, "not a public key or certificate"),
    "PEM of nothing": ({"pem": "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"}, "not a public key"),
    "PEM cut short": ({"pem": pem(ec_key())[:100]}, "not a public key"),
    "a certificate cut short": ({"pem": frame("CERTIFICATE", CERTIFICATE[:90])}, "not a public key"),
    "a certificate of version 6": (
        {"pem": frame("CERTIFICATE", CERTIFICATE.replace(b"\xa0\3\2\1\2", b"\xa0\3\2\1\5", 1))},
        "not a public key",
    ),
    "private PEM": (
        {"pem": ec_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()},
        "private key",
    ),
    "private PEM of old": (
        {
            "pem": ec_key()
            .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
            .decode()
        },
        "private key",
    ),
    "a set of nothing": ({"jwks": {"keys": []}}, "no key in the set"),
    "a set without a list": ({"jwks": {"keys": {"ec": jwk(ec_key())}}}, "a list named keys"),
    "a set for encryption": ({"jwks": {"keys": [jwk(ec_key(), use="enc")]}}, "no key in the set"),
    "a set with a private key": ({"jwks": {"keys": [{**jwk(ec_key()), "d": ZEROS}]}}, "private key"),
    "a set with one kid twice": (
        {"jwks": {"keys": [jwk(ec_key(), kid="a"), jwk(forgery.attacker(), kid="a")]}},
        "two keys of the set have the kid 'a'",
    ),
    "with a member twice": ({"jwk": '{"kty":"oct","kty":"oct","k":"AA"}'}, "twice"),
    "nested too deep": ({"jwk": '{"a":' + "[" * 5000}, "not a JSON object"),
    "algorithm none": ({"pem": pem(ec_key()), "algorithms": ["none"]}, "algorithms"),
    "algorithm in small letters": ({"pem": pem(ec_key()), "algorithms": ["es256"]}, "algorithms"),
    "every algorithm": ({"pem": pem(ec_key()), "algorithms": ["*"]}, "algorithms"),
    "no algorithm": ({"pem": pem(ec_key()), "algorithms": []}, "algorithms"),
}


@pytest.mark.parametrize("name", WRONG_KEYS)
def test_a_wrong_key_ends_the_load(name: str) -> None:
    entry, words = WRONG_KEYS[name]
    with pytest.raises(ValueError, match=words):
        guard([{"algorithms": ALGORITHMS, **entry}])


def test_keys_of_two_kinds_may_share_a_kid() -> None:
    keys = [jwk(ec_key(), kid="a"), jwk(rsa_key(), kid="a"), jwk(ed_key()), jwk(SECRET)]
    filter = guard([{"jwks": {"keys": keys}, "algorithms": ALGORITHMS}])
    for alg, signer in (("ES256", forgery.es256), ("RS256", forgery.rs256)):
        assert user_of(filter, forgery.token({"alg": alg, "kid": "a"}, signer=signer)) == "u1"
    assert user_of(filter, forgery.token({"alg": "ES256", "kid": "a"}, signer=forgery.rs256)) is None


@pytest.mark.parametrize(
    "expires", [float("nan"), float("inf"), -float("inf"), True, False, -1, "9" * 400, "nan", ".inf", ""]
)
def test_a_static_token_without_a_sensible_end_ends_the_load(expires: Any) -> None:
    """Above all NaN: nothing is later than it, and the token would be good for ever."""
    tokens = [{"token": "a", "user_id": "u", "expires": expires}]
    with pytest.raises(ValueError, match="expires"):
        build(TokenAuth, {"providers": [{"static": {"tokens": tokens}}]})


@pytest.mark.parametrize(
    "text",
    [
        "- token: *hidden",
        "- token: !hidden!x y",
        "- token: &hidden-value a\n  user: &hidden-value b",
        "- token: &hidden\n  user_id: *hidden-value",
        "- token: [hidden",
        "- token: 'hidden",
        "- {token: hidden, user_id: u, user_id: v}",
        "- token: hidden\n  user_id: u\n  expires: .nan",
        "- token: hidden\n  user_id: [u]",
        "- &a [*a]",
        "- " + "[" * 3000,
    ],
)
def test_a_hostile_file_of_tokens_ends_the_load_and_shows_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "tokens.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"^tokens\.yaml") as caught:
        build(
            TokenAuth,
            {"providers": [{"static": {"file": "tokens.yaml"}}]},
            FrozenServices(directory=tmp_path),
        )
    assert "hidden" not in str(caught.value)


# ---- laws


@given(st.binary(max_size=300))
@example(b"\x0b\x0c")
def test_no_bytes_are_a_token(raw: bytes) -> None:
    assert user_of(NAMED, raw) is None


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_parts_are_a_token(parts: list[bytes]) -> None:
    assert user_of(NAMED, b".".join(map(b64, parts))) is None


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
PARAMETER = st.sampled_from(
    ["alg", "kid", "crit", "b64", "typ", "cty", "jwk", "jku", "x5u", "x5c", "x5t", "zip", "enc", "exp"]
)


@given(st.dictionaries(PARAMETER, JSON, max_size=4))
def test_a_header_signed_by_our_secret_never_raises_and_passes_only_when_it_is_plain(header: Any) -> None:
    user = user_of(NAMED, forgery.token({"alg": "HS256", **header}, signer=forgery.hs256))
    plain = (
        header.get("alg", "HS256") == "HS256"
        and header.get("kid", "hs") == "hs"
        and not header.keys() & {"crit", "b64"}
    )
    if not plain:
        assert user is None
    elif not re.search("NaN|Infinity", json.dumps(header)):
        assert user == "u1"


@given(st.dictionaries(st.sampled_from(sorted(CLAIMS)), JSON, min_size=1))
def test_claims_signed_by_our_secret_never_raise(changes: Any) -> None:
    token = forgery.token({"alg": "HS256"}, {**CLAIMS, **changes}, forgery.hs256)
    verdict, made = asked(NAMED, token)
    if verdict is not None:
        assert isinstance(verdict, Fault)
        assert verdict.status == 401
        return
    # Upstream reads the very names that the gateway judges by.
    assert made.principal is not None
    told = {name.lower(): value.decode() for name, value in made.request.headers if name != b"X-Auth-Token"}
    assert told[b"x-user-id"] == made.principal.user_id
    assert told.get(b"x-project-id") == made.principal.project_id
    assert tuple(role for role in told.get(b"x-roles", "").split(",") if role) == made.principal.roles


@given(st.sampled_from(ALGORITHMS), st.binary(max_size=600))
def test_no_signature_is_guessed_and_none_raises(alg: str, signature: bytes) -> None:
    header, payload, _ = HONEST[alg].split(b".")
    assert user_of(NAMED, b".".join((header, payload, b64(signature)))) is None


@given(st.sampled_from(ALGORITHMS), st.sampled_from(["flip", "insert", "delete"]), st.data())
def test_a_token_with_one_byte_changed_is_nobody(alg: str, change: str, data: st.DataObject) -> None:
    honest = HONEST[alg]
    place = data.draw(st.integers(0, len(honest) - (change != "insert")))
    byte = bytes([data.draw(st.integers(0, 255))]) if change != "delete" else b""
    mutated = honest[:place] + byte + honest[place + (change != "insert") :]
    # White space around a field value is no part of it, and a byte may be flipped into itself.
    expected = "u1" if mutated.strip(b" \t") == honest else None
    assert user_of(NAMED, mutated) == expected
    assert user_of(NAMELESS, mutated) == expected


@given(st.sampled_from(ALGORITHMS), st.integers(0, 2000), st.integers(0, 2000))
def test_a_piece_of_a_token_is_nobody(alg: str, begin: int, end: int) -> None:
    piece = HONEST[alg][begin:end]
    assert user_of(NAMED, piece) == ("u1" if piece == HONEST[alg] else None)


@given(st.tuples(*[st.sampled_from(ALGORITHMS)] * 3))
def test_parts_of_different_tokens_are_nobody(algs: tuple[str, str, str]) -> None:
    """All four say the same; what is signed is the header as well."""
    spliced = b".".join(HONEST[alg].split(b".")[place] for place, alg in enumerate(algs))
    assert user_of(NAMED, spliced) == ("u1" if algs[0] == algs[2] else None)


# ---- through a whole gateway


def request(token: bytes, more: bytes = b"") -> bytes:
    return b"GET /servers HTTP/1.1\r\nHost: api.test\r\nX-Auth-Token: %b\r\n%b\r\n" % (token, more)


def unauthorized(answer: Answer, token: bytes) -> None:
    assert (answer.status, answer.fault) == (401, "unauthorized"), (answer.status, answer.body)
    assert answer.get("www-authenticate") == "Keystone"
    marked(answer)
    if len(token) > 20:
        assert token not in answer.body + b"".join(value.encode() for _, value in answer.head.lines)


async def served(client: Client) -> None:
    answer = await client.ask(request(HONEST["ES256"]))
    assert answer.status == 200, answer.body


TRAVELS = {
    name: token
    for name, token in {**HOSTILE, **WRONG_KID}.items()
    if not set(token) & {*range(9), *range(10, 32), 127} and token.strip(b" \t")
}


async def test_every_hostile_token_is_401_on_a_connection_that_stays_usable() -> None:
    async with (
        Upstream(answers()) as upstream,
        proxy(upstream, filters=[{"token_auth": options()}]) as gateway,
    ):
        client = await gateway.connect()
        for name, token in TRAVELS.items():
            await client.send(request(token, b"X-User-Id: admin\r\n"))
            answer = await client.answer()
            assert not answer.closes, name
            unauthorized(answer, token)
        assert upstream.requests == []
        await no_trace(gateway)


async def no_trace(gateway: Running) -> None:
    """The records say why, and show no token."""
    records = await gateway.records(len(TRAVELS))
    assert {record["gateway.reason"] for record in records} == {"token_invalid", "token_expired"}
    written = repr(records)
    for name, token in TRAVELS.items():
        assert len(token) < 40 or token.decode("latin-1") not in written, name


@pytest.mark.parametrize("token", [HOSTILE["alg none, no signature"], HOSTILE["ff inside"], grown(8193)])
async def test_after_a_hostile_token_the_next_request_is_served(token: bytes) -> None:
    async with (
        Upstream(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as upstream,
        proxy(upstream, filters=[{"token_auth": options()}]) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(2):
            unauthorized(await client.ask(request(token)), token)
            await served(client)
        await client.send(request(token) + request(HONEST["RS256"]) + request(token))
        assert [(await client.answer()).status for _ in range(3)] == [401, 200, 401]
        assert [received.get("x-user-id") for received in upstream.requests] == ["u1"] * 3


@pytest.mark.parametrize("odd", [*range(9), 11, 12, *range(14, 32), 127], ids=lambda byte: f"{byte:02x}")
async def test_a_control_byte_in_a_token_is_400_and_ends_the_connection(odd: int) -> None:
    async with Upstream() as upstream, proxy(upstream, filters=[{"token_auth": options()}]) as gateway:
        for token in (
            bytes([odd]) + HONEST["ES256"],
            HONEST["ES256"][:50] + bytes([odd]) + HONEST["ES256"][50:],
            HONEST["ES256"] + bytes([odd]),
        ):
            client = await gateway.connect()
            answer = await client.ask(request(token))
            assert (answer.status, answer.closes) == (400, True)
            marked(answer)
            await client.ended()
        assert upstream.conversations == []


@pytest.mark.parametrize(
    ("size", "status"), [(8193, 401), (16_000, 401), (17_000, 431), (100_000, 431), (1_000_000, 431)]
)
async def test_a_huge_token_is_401_and_beyond_the_limit_of_a_field_431(size: int, status: int) -> None:
    async with Upstream() as upstream, proxy(upstream, filters=[{"token_auth": options()}]) as gateway:
        client = await gateway.connect()
        try:
            await client.send(request(b"x" * size))
        except ConnectionError:
            assert status == 431  # refused before all of it was sent
        answer = await client.answer()
        assert (answer.status, answer.closes) == (status, status == 431)
        marked(answer)
        assert upstream.conversations == []


@pytest.mark.parametrize(
    "lines",
    [
        b"X-Auth-Token: %b\r\nX-Auth-Token: %b\r\n",
        b"X-Auth-Token: %b\r\nx-auth-TOKEN:%b\r\n",
        b"X-Auth-Token: %b\r\nX-Auth-Token:\r\nX-Spare: %b\r\n",
        b"X-Auth-Token: %b, %b\r\n",
        b"X_Auth_Token: %b\r\nX-Spare: %b\r\n",
        b"Authorization: Bearer %b\r\nCookie: X-Auth-Token=%b\r\n",
        b"X-Auth-Token: Bearer %b\r\nX-Spare: %b\r\n",
        b"X-Subject-Token: %b\r\nX-Spare: %b\r\n",
    ],
)
async def test_an_honest_token_in_the_wrong_place_is_401(lines: bytes) -> None:
    async with Upstream() as upstream, proxy(upstream, filters=[{"token_auth": options()}]) as gateway:
        client = await gateway.connect()
        head = b"GET / HTTP/1.1\r\nHost: api.test\r\n" + lines % (HONEST["ES256"], HONEST["ES256"])
        for _ in range(2):
            unauthorized(await client.ask(head + b"\r\n"), HONEST["ES256"])
        assert upstream.conversations == []


async def test_a_body_behind_a_hostile_token_goes_nowhere() -> None:
    async with Upstream() as upstream, proxy(upstream, filters=[{"token_auth": options()}]) as gateway:
        client = await gateway.connect()
        inner = request(HONEST["ES256"])
        token = HOSTILE["alg none, no signature"].decode()
        answer = await client.ask(post(inner, f"X-Auth-Token: {token}"))
        unauthorized(answer, token.encode())
        if not answer.closes:
            unauthorized(await client.ask(request(token.encode())), token.encode())
        else:
            await client.ended()
        assert upstream.conversations == []


async def test_without_a_token_it_is_401_as_well() -> None:
    async with Upstream() as upstream, proxy(upstream, filters=[{"token_auth": options()}]) as gateway:
        client = await gateway.connect()
        for head in (get("/"), request(b""), request(b" \t "), get("/", "X-Auth-Token:")):
            unauthorized(await client.ask(head), b"")
        assert upstream.conversations == []
