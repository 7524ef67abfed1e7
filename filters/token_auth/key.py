"""Keys for signed tokens: PEM, JWK and JWK Set (RFC 7517), each bound to the algorithms it may verify.

Only the arithmetic is PyJWT's. Which key may verify what is decided here, because PyJWT takes a JWK whose
`use` or `key_ops` forbids it, and padded base64.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

from filters.token_auth.option import KeyOptions
from filters.token_auth.spelling import from_base64url
from gateway.api import Secret, Services

_ALGORITHMS: Final[dict[str, Algorithm]] = get_default_algorithms()
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",), "oct": ("k",)}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_RSA_BITS = 2048  # RFC 7518 section 3.3
_HASH_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518 section 3.2: a key at least as long
# What the libraries raise for bytes that are no key, or no signature.
_UNUSABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, PyJWTError)


MAX_KEYS: Final = 64
"""Of a published set. A token without a kid is verified with each that fits its algorithm."""


class Unsuitable(ValueError):  # noqa: N818 - it names what the key is
    """A sound key that may not, or cannot, verify with the algorithms asked for."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that is trusted: for these algorithms, and under this `kid` when it has one."""

    kid: str | None
    algorithms: frozenset[str]
    material: Any

    @property
    def identity(self) -> tuple[bytes, frozenset[str]]:
        """What tells a public key from others: its material and what it may verify, whatever it is called."""
        spki = self.material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return spki, self.algorithms

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        try:
            return bool(_ALGORITHMS[algorithm].verify(signed, self.material, signature))
        except _UNUSABLE:
            return False


_NO_OBJECT: Final = "a member of keys is not an object"


def load_keys(options: KeyOptions, services: Services) -> tuple[list[Key], bytes]:
    """The keys of one entry and a digest of their text. Raises ValueError that says what is wrong with them."""
    form = "pem" if options.pem is not None else "jwk" if options.jwk is not None else "jwks"
    source = getattr(options, form)
    if isinstance(source, Secret):
        text, place = source.reveal().encode("utf-8"), form
    else:
        place = f"{form}: {source}"
        try:
            text = services.read_file(source)
        except OSError as error:
            raise ValueError(f"{form}: cannot read {source}: {error.strerror or error}") from None
    try:
        keys = _parse(form, text, frozenset(options.algorithms))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return keys, hashlib.sha256(repr((form, text, options.algorithms)).encode()).digest()


def _parse(form: str, text: bytes, algorithms: frozenset[str]) -> list[Key]:
    if form == "pem":
        return [_pem(text, algorithms)]
    document = json_document(text)
    if form == "jwk":
        return [_jwk(document, algorithms)]
    keys: list[Key] = []
    for member in _members(document):
        if not isinstance(member, dict):
            raise ValueError(_NO_OBJECT)
        try:
            key = _jwk(member, algorithms)
        except Unsuitable:
            continue  # a set holds encryption keys too, and those of algorithms to come: RFC 7517 section 5
        if any(_confusable(key, other) for other in keys):
            raise ValueError(f"two keys of the set have the kid {key.kid!r}")
        keys.append(key)
    if not keys:
        raise ValueError(f"no key in the set verifies with {', '.join(sorted(algorithms))}")
    return keys


def read_published(text: bytes, algorithms: frozenset[str]) -> tuple[list[Key], list[str]]:
    """The public keys of a set that somebody publishes, and why others of it are left out.

    What cannot verify with `algorithms` is passed over without a word. No shared secret is taken from a place that anybody
    may read. Raises ValueError for what is no key set, or has no key that fits, or too many.
    """
    keys: list[Key] = []
    left_out: list[str] = []
    for member in _members(json_document(text)):
        if not isinstance(member, dict):
            left_out.append(_NO_OBJECT)
            continue
        if member.get("kty") == "oct":
            left_out.append("a shared secret")
            continue
        try:
            keys.append(_jwk(member, algorithms))
        except Unsuitable:
            continue
        except ValueError as error:
            left_out.append(
                str(error)
            )  # one bad key is no reason to do without the others: RFC 7517 section 5
    if not keys:
        why = "".join(f"; left out: {reason}" for reason in dict.fromkeys(left_out))
        raise ValueError(f"no key in the set verifies with {', '.join(sorted(algorithms))}{why}")
    if len(keys) > MAX_KEYS:
        raise ValueError(f"a set of more than {MAX_KEYS} keys")
    return keys, left_out


def _members(document: Mapping[str, Any]) -> list[Any]:
    members = document.get("keys")
    if not isinstance(members, list):
        raise ValueError("a JSON Web Key Set has a list named keys")
    return members


def _confusable(one: Key, other: Key) -> bool:
    """Whether a kid leaves open which of two is meant; keys of two kinds may share one (RFC 7517 section 4.5)."""
    return one.kid is not None and one.kid == other.kid and not one.algorithms.isdisjoint(other.algorithms)


def json_document(text: bytes) -> dict[str, Any]:
    """The object that `text` is; ValueError where it is none, or names a member twice."""
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError):
        raise ValueError("not a JSON object, or one that names a member twice") from None
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of a JSON object; ValueError when a name stands twice (RFC 7519 section 4)."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return members


def _pem(text: bytes, algorithms: frozenset[str]) -> Key:
    if b"PRIVATE KEY" in text:
        raise ValueError("a private key; verifying needs the public one only")
    if (
        text.count(b"PUBLIC KEY-----") > 2
    ):  # PKCS1 says RSA PUBLIC KEY; each is named where it begins and ends
        raise ValueError("more than one key; each needs an entry of its own")
    try:
        if b"BEGIN CERTIFICATE" in text:
            public: object = x509.load_pem_x509_certificate(text).public_key()
        else:
            public = load_pem_public_key(text)
    except _UNUSABLE:
        raise ValueError("not a public key or certificate in PEM form") from None
    return _bound(None, public, algorithms, algorithms)


def _jwk(jwk: Mapping[str, Any], algorithms: frozenset[str]) -> Key:
    kty, kid = jwk.get("kty"), jwk.get("kid")
    members = _PUBLIC_MEMBERS.get(kty) if isinstance(kty, str) else None
    if members is None:
        raise Unsuitable("the key's kty is none of RSA, EC, OKP, oct")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("the key's kid is not text")
    if jwk.get("use", "sig") != "sig":
        raise Unsuitable("the key's use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise Unsuitable("the key's key_ops do not hold verify")
    asked = algorithms
    if "alg" in jwk:
        asked = frozenset({jwk["alg"]}) & algorithms if isinstance(jwk["alg"], str) else frozenset()
        if not asked:
            raise Unsuitable("the key's alg is not one of the algorithms")
    if kty != "oct" and not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise ValueError("a private key; verifying needs the public one only")
    for member in members:
        value = jwk.get(member)
        if not isinstance(value, str):
            raise ValueError(f"the key has no {member}")
        from_base64url(value.encode("ascii", "replace"))
    if kty in ("EC", "OKP") and jwk.get("crv") not in ("P-256", "P-384", "P-521", "Ed25519"):
        raise Unsuitable("the key's crv is none of P-256, P-384, P-521, Ed25519")
    public = {name: jwk[name] for name in ("kty", "crv", *members) if name in jwk}
    return _bound(kid, _material(public), asked, algorithms)


def _material(jwk: Mapping[str, Any]) -> object:
    if jwk["kty"] == "oct":
        return _secret(from_base64url(jwk["k"].encode("ascii")))
    family = {"RSA": "RS256", "OKP": "EdDSA"}.get(jwk["kty"], "ES256")
    try:
        return _ALGORITHMS[family].from_jwk(dict(jwk))
    except _UNUSABLE:
        raise ValueError("the key's members do not make a key") from None


def _secret(secret: bytes) -> bytes:
    """`secret`, unless it is a public key or certificate: everybody knows those, and could sign with them."""
    try:
        if secret:  # an empty one is told its length
            _ALGORITHMS["HS256"].prepare_key(secret)
    except _UNUSABLE:
        raise ValueError("a public key or certificate is no shared secret") from None
    return secret


def _bound(kid: str | None, public: object, asked: frozenset[str], pinned: frozenset[str]) -> Key:
    """The key with those of the `asked` algorithms that are for its kind; `pinned` names them in the error."""
    fitting = frozenset(name for name in asked if _fits(name, public))
    if not fitting:
        raise Unsuitable(f"the key is not one for {', '.join(sorted(pinned))}")
    if isinstance(public, RSAPublicKey) and public.key_size < _RSA_BITS:
        raise ValueError(f"an RSA key of {public.key_size} bits; at least {_RSA_BITS} are needed")
    if isinstance(public, bytes):
        needed = max(_HASH_BYTES[name] for name in fitting)
        if len(public) < needed:
            raise ValueError(f"a shared secret of {len(public)} bytes; at least {needed} are needed")
    return Key(kid, fitting, public)


def _fits(algorithm: str, public: object) -> bool:
    if isinstance(public, bytes):
        return algorithm.startswith("HS")
    if isinstance(public, RSAPublicKey):
        return algorithm.startswith(("RS", "PS"))
    if isinstance(public, EllipticCurvePublicKey):
        return _CURVES.get(algorithm) == public.curve.name
    return isinstance(public, Ed25519PublicKey) and algorithm == "EdDSA"
