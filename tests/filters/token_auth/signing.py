"""Keys and tokens for these tests, and the means to build tokens that no library would."""

import base64
import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

SECRET = b"0123456789abcdef0123456789abcdef"


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ec384_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def small_rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "ascii")


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    """The public JWK of a private key, with other members beside; of bytes, a shared secret."""
    if isinstance(key, bytes):
        return {"kty": "oct", "k": b64(key).decode(), **members}
    algorithm: Any = (
        RSAAlgorithm
        if isinstance(key, rsa.RSAPrivateKey)
        else OKPAlgorithm
        if isinstance(key, ed25519.Ed25519PrivateKey)
        else ECAlgorithm
    )
    made = algorithm.to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return {**made, **members}


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def sign(claims: Any, key: Any = None, algorithm: str = "ES256", header: Any = None) -> str:
    """A signed token; `claims` and `header` may be bytes, to say what JSON would not."""
    key = key or ec_key()
    head = header if isinstance(header, bytes) else json.dumps({"alg": algorithm, **(header or {})}).encode()
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = b64(head) + b"." + b64(body)
    handler: Any = jwt.get_algorithm_by_name(algorithm)
    return (signed + b"." + b64(handler.sign(signed, key))).decode("ascii")
