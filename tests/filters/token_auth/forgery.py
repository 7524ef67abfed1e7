"""A catalogue of hostile tokens: each is an honest one but for one thing, and each must be refused.

Where a part of a token is spelt wrong, the signature is made over the wrong spelling, as by an issuer that was
talked into it: what refuses the token is then the rule meant, and not merely a signature that no longer fits.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.filters.token_auth.signing import SECRET, b64, ec384_key, ec_key, ed_key, jwk, pem, rsa_key

Signer = Callable[[bytes], bytes]

CLAIMS: Final[dict[str, Any]] = {
    "iss": "issuer",
    "aud": "weir",
    "sub": "u1",
    "iat": 1_600_000_000,
    "nbf": 1_600_000_000,
    "exp": 4_102_444_800,
    "project_id": "p1",
    "roles": ["member"],
}
"""Good by the clocks of the tests and by that of the machine."""

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ED25519_ORDER = (1 << 252) + 27742317777372353535851937790883648493


# ---- how tokens are made


def es256(signed: bytes, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    r, s = decode_dss_signature((key or ec_key()).sign(signed, ec.ECDSA(hashes.SHA256())))
    return raw(r, s)


def raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def rs256(signed: bytes, key: rsa.RSAPrivateKey | None = None) -> bytes:
    return (key or rsa_key()).sign(signed, padding.PKCS1v15(), hashes.SHA256())


def eddsa(signed: bytes, key: ed25519.Ed25519PrivateKey | None = None) -> bytes:
    return (key or ed_key()).sign(signed)


def hs256(signed: bytes) -> bytes:
    return hmac.digest(SECRET, signed, "sha256")


def mac(secret: bytes, algorithm: str = "HS256") -> Signer:
    return lambda signed: hmac.digest(secret, signed, f"sha{algorithm[2:]}")


def sealed(header: bytes, payload: bytes, signer: Signer = es256) -> bytes:
    """A token of two segments as they are given, and their signature."""
    signed = header + b"." + payload
    return signed + b"." + b64(signer(signed))


def token(header: Any = None, claims: Any = CLAIMS, signer: Signer = es256) -> bytes:
    """A token of a header and claims; bytes stand for what JSON would not say."""
    head = header if isinstance(header, bytes) else text({"alg": "ES256", **(header or {})})
    return sealed(b64(head), b64(claims if isinstance(claims, bytes) else text(claims)), signer)


def text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def but(**changes: Any) -> dict[str, Any]:
    """The honest claims with changes; `...` leaves one out."""
    return {name: value for name, value in {**CLAIMS, **changes}.items() if value is not ...}


def spelt(name: str, value: bytes) -> bytes:
    """The honest claims as text, with `value` as it is for the value of `name`."""
    return text(but(**{name: "?"})).replace(b'"?"', value)


def always(signature: bytes) -> Callable[[bytes], bytes]:
    return lambda _: signature


def cut_to(size: int) -> Callable[[bytes], bytes]:
    return lambda signature: signature[:size]


def pkcs1(hash: hashes.HashAlgorithm) -> Signer:
    return lambda signed: rsa_key().sign(signed, padding.PKCS1v15(), hash)


def pss(signed: bytes) -> bytes:
    return rsa_key().sign(signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def resigned(change: Callable[[bytes], bytes], alg: str = "ES256", signer: Signer = es256) -> bytes:
    """An honest token whose signature was changed."""
    return token({"alg": alg}, signer=lambda signed: change(signer(signed)))


HONEST: Final = {
    "ES256": token(),
    "RS256": token({"alg": "RS256"}, signer=rs256),
    "EdDSA": token({"alg": "EdDSA"}, signer=eddsa),
    "HS256": token({"alg": "HS256"}, signer=hs256),
}
_HEADER, _PAYLOAD, _SIGNATURE = HONEST["ES256"].split(b".")


# ---- the attacker's own


@cache
def attacker() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def attacker_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def by_attacker(signed: bytes) -> bytes:
    return es256(signed, attacker())


def certificate(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, encoding: Encoding) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=36500))
    return made.sign(key, hashes.SHA256()).public_bytes(encoding)


# ---- the catalogue


def _algorithms() -> Iterator[tuple[str, bytes]]:
    for name in ["".join(letters) for letters in product(*zip("none", "NONE", strict=True))]:
        yield f"alg {name}, no signature", token({"alg": name}, signer=lambda _: b"")
        yield f"alg {name}, another's signature", token({"alg": name})
    for none in ("none ", " none", "none\0", "non\u0435", "", "null", "undefined", "plain"):
        yield f"alg {none!r}, no signature", token({"alg": none}, signer=lambda _: b"")
    for name in (
        *("es256", "ES256 ", " ES256", "ES256\0", "\uff25\uff33256", "ES-256", "ES256K", "ES521", "ES384"),
        *("ESB256", "RSA-OAEP", "dir", "A256KW", "PBES2-HS256+A128KW", "SHA256withECDSA", "EdDSA", "RS256"),
        *("PS256", "HS256", "HS512", "ES256,HS256", "ES256;none", "../ES256", "*", "A" * 4000),
    ):
        yield f"alg {name[:20]!r} for ES256", token({"alg": name})
    for value in (
        None,
        True,
        False,
        0,
        256,
        1e9,
        [],
        ["ES256"],
        ["none"],
        {},
        {"ES256": 1},
        {"alg": "ES256"},
    ):
        yield f"alg {value!r}", token({"alg": value})
    yield "alg missing", token(b"{}")
    yield "alg missing, no signature", token(b"{}", signer=lambda _: b"")
    yield "alg in another case", token(b'{"ALG":"ES256"}')
    yield "alg of JWE beside", token({"enc": "A256GCM", "alg": "dir"})
    yield (
        "alg not pinned to our RSA key",
        token(
            {"alg": "PS256"},
            signer=pss,
        ),
    )
    yield (
        "alg RS384 by our RSA key",
        token(
            {"alg": "RS384"},
            signer=pkcs1(hashes.SHA384()),
        ),
    )
    yield "alg HS512 by our secret", token({"alg": "HS512"}, signer=mac(SECRET, "HS512"))


def _public_forms() -> Iterator[tuple[str, bytes]]:
    """What an attacker may take for the secret: all of it is known to everybody."""
    info = PublicFormat.SubjectPublicKeyInfo
    for name, key in (("RSA", rsa_key()), ("EC", ec_key()), ("Ed25519", ed_key())):
        public = key.public_key()
        lines = pem(key).encode()
        yield f"{name} PEM", lines
        yield f"{name} PEM without its last line end", lines.rstrip()
        yield f"{name} PEM with CRLF", lines.replace(b"\n", b"\r\n")
        yield f"{name} PEM without line ends", lines.replace(b"\n", b"")
        yield f"{name} PEM without its frame", b"".join(lines.splitlines()[1:-1])
        yield f"{name} DER", public.public_bytes(Encoding.DER, info)
        yield f"{name} OpenSSH", public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        yield f"{name} JWK", text(jwk(key))
        yield f"{name} JWK with spaces", json.dumps(jwk(key)).encode()
        yield f"{name} JWK set", text({"keys": [jwk(key)]})
        if not isinstance(key, rsa.RSAPrivateKey):
            yield f"{name} x", base64.urlsafe_b64decode(jwk(key)["x"] + "=")
            yield f"{name} x in base64url", jwk(key)["x"].encode()
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            yield f"{name} certificate", certificate(key, Encoding.PEM)
            yield f"{name} certificate in DER", certificate(key, Encoding.DER)
    yield "RSA PKCS1 PEM", rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    yield "RSA PKCS1 DER", rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    yield "RSA n", base64.urlsafe_b64decode(jwk(rsa_key())["n"] + "==")
    yield "RSA n in base64url", jwk(rsa_key())["n"].encode()
    point = ec_key().public_key()
    yield "EC point", point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    yield "EC point, compressed", point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def _confusions() -> Iterator[tuple[str, bytes]]:
    for (name, public), alg in product(_public_forms(), ("HS256", "HS384", "HS512")):
        yield f"{alg} by {name}", token({"alg": alg}, signer=mac(public, alg))
    for secret in (b"", b"\0", b"\0" * 32, b"secret", b"null", b"None", b"weir", b"0" * 32, b64(SECRET)):
        yield f"HS256 by {secret!r}", token({"alg": "HS256"}, signer=mac(secret))
    yield "HS256 by an attacker's secret of good length", token({"alg": "HS256"}, signer=mac(b"x" * 64))
    for alg, signer in (("RS256", es256), ("RS256", eddsa), ("ES256", eddsa), ("EdDSA", es256)):
        yield f"{alg} by {signer.__name__}", token({"alg": alg}, signer=signer)
    yield "ES256 by an RSA key", token(signer=rs256)
    yield "ES256 by a secret", token(signer=hs256)
    yield "HS256 by an EC key", token({"alg": "HS256"})
    yield "ES256 by an attacker", token(signer=by_attacker)
    yield "RS256 by an attacker", token({"alg": "RS256"}, signer=lambda s: rs256(s, attacker_rsa()))
    yield (
        "EdDSA by an attacker",
        token({"alg": "EdDSA"}, signer=lambda s: eddsa(s, ed25519.Ed25519PrivateKey.generate())),
    )
    yield (
        "ES384 by an attacker",
        token({"alg": "ES384"}, signer=lambda s: ec384_key().sign(s, ec.ECDSA(hashes.SHA384()))),
    )


def _embedded() -> Iterator[tuple[str, bytes]]:
    mine = jwk(attacker(), kid="ec", use="sig", alg="ES256")
    chain = [base64.b64encode(certificate(attacker(), Encoding.DER)).decode()]
    thumb = b64(hashlib.sha256(certificate(attacker(), Encoding.DER)).digest()).decode()
    members: dict[str, Any] = {
        "jwk": mine,
        "jku": "http://127.0.0.1:1/keys",
        "x5u": "http://127.0.0.1:1/chain.pem",
        "x5c": chain,
        "x5t": thumb,
        "x5t#S256": thumb,
    }
    for name, value in members.items():
        yield f"attacker's key in {name}", token({name: value}, signer=by_attacker)
        yield f"attacker's key in {name}, our kid", token({name: value, "kid": "ec"}, signer=by_attacker)
    yield "attacker's keys everywhere", token({**members, "kid": "ec"}, signer=by_attacker)
    yield "attacker's secret in jwk", token({"alg": "HS256", "jwk": jwk(b"x" * 32)}, signer=mac(b"x" * 32))
    for url in ("file:///etc/passwd", "https://issuer@attacker.test/", "data:application/json,{}", "//x", ""):
        yield f"jku {url!r}", token({"jku": url}, signer=by_attacker)
    for value in (None, 1, [], {}, [mine], {"keys": [mine]}, "x"):
        yield f"jwk of {type(value).__name__} {str(value)[:12]}", token({"jwk": value}, signer=by_attacker)


def _critical() -> Iterator[tuple[str, bytes]]:
    values: tuple[Any, ...] = (
        ["exp"],
        ["b64"],
        ["kid"],
        ["http://example.test/ext"],
        [],
        None,
        "exp",
        {},
        0,
        False,
        [None],
    )
    for value in values:
        yield f"crit {value!r}", token({"crit": value, "exp": 4_102_444_800})
    for value in (False, True, None, "false", 0):
        yield f"b64 {value!r}", token({"b64": value})
    yield "b64 false and critical", token({"b64": False, "crit": ["b64"]})
    yield (
        "payload not encoded",
        sealed(b64(text({"alg": "ES256", "b64": False, "crit": ["b64"]})), text(CLAIMS)),
    )
    yield "payload not encoded, unsaid", sealed(_HEADER, text(CLAIMS))


def _kids() -> Iterator[tuple[str, bytes]]:
    """A kid names a key that we hold, or none: by our EC key, whose kid is `ec`."""
    for value in (
        *(None, True, False, 0, 1, -1, 1.5, [], ["ec"], {}, {"ec": "ec"}, [["ec"]]),
        *("", "EC", "ec ", " ec", "ec\0", "ec\0rsa", "e", "ecc", "\ud800", "\u0435c", "rsa", "hs", "ed", "*"),
        *("../../../etc/passwd", "/dev/null", "file:///dev/null", "http://127.0.0.1:1/", "\\\\host\\share"),
        *("' or '1'='1", "ec' UNION SELECT 'key", "ec; DROP TABLE keys", "$(id)", "|id", "${jndi:ldap://x}"),
        *("%65c", "&#101;c", "ec\r\nX-Roles: admin", "ec" * 2000),
    ):
        yield f"kid {str(value)[:24]!r} of {type(value).__name__}", token({"kid": value})
    yield "kid of our secret by an EC key", token({"kid": "hs"})
    yield "kid of our EC key by our secret", token({"kid": "ec", "alg": "HS256"}, signer=hs256)
    yield "kid of our RSA key by our secret", token({"kid": "rsa", "alg": "HS256"}, signer=hs256)
    yield "kid twice", token(b'{"alg":"ES256","kid":"x","kid":"ec"}')


def _shapes() -> Iterator[tuple[str, bytes]]:
    honest = HONEST["ES256"]
    other_header, other_payload, other_signature = token(
        {"typ": "JWT"}, but(sub="u2", roles=["admin"]), by_attacker
    ).split(b".")
    for dots in (1, 2, 3, 4, 5, 100, 8192):
        yield f"{dots} dots", b"." * dots
    yield "an opaque word", b"f064c46a782c444cb4ba4b6434288f7c"
    yield "one part", _HEADER
    yield "two parts", _HEADER + b"." + _PAYLOAD
    yield "no signature", _HEADER + b"." + _PAYLOAD + b"."
    yield "no header", b"." + _PAYLOAD + b"." + _SIGNATURE
    yield "no header, signed so", sealed(b"", _PAYLOAD)
    yield "no payload", _HEADER + b".." + _SIGNATURE
    yield "no payload, signed so", sealed(_HEADER, b"")
    yield "nothing but a signature", b".." + _SIGNATURE
    yield "a dot before", b"." + honest
    yield "a dot behind", honest + b"."
    yield "a fourth part", honest + b"." + _SIGNATURE
    yield "two signatures in one", honest + _SIGNATURE
    yield "a comma instead of a dot", honest.replace(b".", b",")
    yield "a dot percent-encoded", honest.replace(b".", b"%2E", 1)
    yield "parts in another order", b".".join((_PAYLOAD, _HEADER, _SIGNATURE))
    yield "header of another token", b".".join((other_header, _PAYLOAD, _SIGNATURE))
    yield "payload of another token", b".".join((_HEADER, other_payload, _SIGNATURE))
    yield "signature of another token", b".".join((_HEADER, _PAYLOAD, other_signature))
    yield "signature of the header alone", b".".join((_HEADER, _PAYLOAD, b64(es256(_HEADER))))
    yield "signature of the payload alone", b".".join((_HEADER, _PAYLOAD, b64(es256(_PAYLOAD))))
    yield (
        "signature of what is decoded",
        b".".join((_HEADER, _PAYLOAD, b64(es256(text({"alg": "ES256"}) + b"." + text(CLAIMS))))),
    )
    yield "two tokens with a comma", honest + b", " + honest
    yield "two tokens with a space", honest + b" " + honest
    yield "a scheme before", b"Bearer " + honest
    yield "in quotes", b'"' + honest + b'"'
    yield "in brackets", b"<" + honest + b">"
    yield "with a parameter", honest + b";v=1"
    yield "with disclosures", honest + b"~WyJhIiwiYiJd~"
    yield "encoded once more", b64(honest)
    yield "in capitals", honest.upper()
    yield "backwards", honest[::-1]
    yield "twice as a whole", honest * 2
    yield "a nested token", token({"cty": "JWT"}, HONEST["HS256"])
    yield "a nested token as text", token({"cty": "JWT"}, text(HONEST["HS256"].decode()))
    yield (
        "flattened JSON",
        text({"protected": _HEADER.decode(), "payload": _PAYLOAD.decode(), "signature": _SIGNATURE.decode()}),
    )
    yield (
        "general JSON",
        text(
            {
                "payload": _PAYLOAD.decode(),
                "signatures": [{"protected": _HEADER.decode(), "signature": _SIGNATURE.decode()}],
            }
        ),
    )
    # The header of a JWE on a JWS and the other way: both have been taken for one another.
    for alg in ("dir", "RSA-OAEP", "RSA1_5", "ECDH-ES", "PBES2-HS256+A128KW", "A128KW"):
        header = {"alg": alg, "enc": "A128GCM", "p2c": 2**31 - 1, "p2s": "AAAA", "zip": "DEF"}
        yield (
            f"JWE {alg}",
            b".".join((b64(text(header)), b"", b64(b"i" * 12), b64(b"c" * 40), b64(b"t" * 16))),
        )
    yield "JWE of an ES256", b".".join((_HEADER, b"", b64(b"i" * 12), _PAYLOAD, _SIGNATURE))
    yield "JSON and compact at once", b'{"protected":"' + honest + b'"}'


_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def twin(segment: bytes) -> bytes:
    """Another spelling of the same bytes: the last character's spare bits are set."""
    assert len(segment) % 4 in (2, 3), "no spare bits in this one"
    return segment[:-1] + bytes([_ALPHABET[_ALPHABET.index(segment[-1]) | 1]])


def awkward(members: dict[str, Any]) -> bytes:
    """A segment with `-`, `_` and spare bits; another member makes it so."""
    segments = (b64(text({**members, "x": "?>?>?>" + "x" * length})) for length in range(3))
    made = next(segment for segment in segments if len(segment) % 4)
    assert b"-" in made and b"_" in made
    return made


def _spellings() -> Iterator[tuple[str, bytes]]:
    header, payload = awkward({"alg": "ES256"}), awkward(CLAIMS)
    changes: dict[str, Callable[[bytes], bytes]] = {
        "padded": lambda part: part + b"=" * (-len(part) % 4),
        "with one =": lambda part: part + b"=",
        "with four =": lambda part: part + b"====",
        "with = before": lambda part: b"=" + part,
        "with = inside": lambda part: part[:4] + b"=" + part[4:],
        "padded with a percent": lambda part: part + b"%3D",
        "with spare bits": twin,
        "with a letter more": lambda part: part + b"A" * (1 if len(part) % 4 == 0 else 5 - len(part) % 4),
        "with a letter less": lambda part: part[:-1],
        "with a space inside": lambda part: part[:4] + b" " + part[4:],
        "with a tab inside": lambda part: part[:4] + b"\t" + part[4:],
        "with a line end inside": lambda part: part[:4] + b"\r\n" + part[4:],
        "with a line end behind": lambda part: part + b"\n",
        "with a space behind": lambda part: part + b" ",
        "with a NUL between": lambda part: part[:4] + b"\0" + part[4:],
        "with a mark of no alphabet": lambda part: part[:4] + b"!" + part[4:],
        "in base64": lambda part: b"+/" + part[2:],
        "in base32": base64.b32encode,
        "in hexadecimal": lambda part: part.hex().encode(),
    }
    for name, change in changes.items():
        yield f"header {name}", sealed(change(header), _PAYLOAD)
        yield f"payload {name}", sealed(_HEADER, change(payload))
        if not name.endswith("behind"):  # white space behind a token is not part of it
            yield f"signature {name}", b".".join((_HEADER, _PAYLOAD, change(_SIGNATURE)))
    for old, new in ((b"-", b"+"), (b"_", b"/")):
        yield f"header with {new!r} for {old!r}", sealed(header.replace(old, new), _PAYLOAD)
        yield f"payload with {new!r} for {old!r}", sealed(_HEADER, payload.replace(old, new))


def _texts() -> Iterator[tuple[str, bytes]]:
    """Bytes that are no JSON object of UTF-8, signed all the same."""
    head, body = b'{"alg":"ES256"}', text(CLAIMS)
    bad: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda good: b"",
        "null": lambda good: b"null",
        "a list": lambda good: b"[" + good + b"]",
        "a list of pairs": lambda good: b'[["alg","ES256"],["sub","u1"]]',
        "a text": lambda good: text(good.decode()),
        "a number": lambda good: b"1",
        "true": lambda good: b"true",
        "NaN": lambda good: b"NaN",
        "not UTF-8": lambda good: good[:-1] + b',"x":"\xff"}',
        "an overlong form": lambda good: good[:-1] + b',"x":"\xc0\xae"}',
        "half of a pair in UTF-8": lambda good: good[:-1] + b',"x":"\xed\xa0\x80"}',
        "UTF-16": lambda good: good.decode().encode("utf-16"),
        "UTF-16 without a mark": lambda good: good.decode().encode("utf-16-le"),
        "UTF-32": lambda good: good.decode().encode("utf-32"),
        "UTF-7": lambda good: b"+AHs-" + good[1:],
        "with a byte order mark": lambda good: b"\xef\xbb\xbf" + good,
        "with a NUL behind": lambda good: good + b"\0",
        "with a NUL inside": lambda good: good[:-1] + b',"x":"\0"}',
        "with a line end in a text": lambda good: good[:-1] + b',"x":"a\nb"}',
        "cut short": lambda good: good[:-1],
        "with something behind": lambda good: good + b"x",
        "twice": lambda good: good + good,
        "with a comma too many": lambda good: good[:-1] + b",}",
        "with a comment": lambda good: good + b"//",
        "in single quotes": lambda good: good.replace(b'"', b"'"),
        "with a bare name": lambda good: good[:-1] + b",x:1}",
        "with a NaN inside": lambda good: good[:-1] + b',"x":NaN}',
        "with an Infinity inside": lambda good: good[:-1] + b',"x":[{"y":Infinity}]}',
        "with a -Infinity inside": lambda good: good[:-1] + b',"x":-Infinity}',
        "with a number of 5000 digits": lambda good: good[:-1] + b',"x":' + b"9" * 5000 + b"}",
        "with a leading zero": lambda good: good[:-1] + b',"x":01}',
        "with a hexadecimal number": lambda good: good[:-1] + b',"x":0x1}',
        "with a bad escape": lambda good: good[:-1] + b',"x":"\\x41"}',
        "with lists in lists": lambda good: good[:-1] + b',"x":' + b"[" * 2500 + b"]" * 2500 + b"}",
        "with objects in objects": lambda good: good[:-1] + b',"x":' + b'{"":' * 1100 + b"1" + b"}" * 1101,
        "of lists without an end": lambda good: b"[" * 5500,
        "of objects without an end": lambda good: b'{"a":' * 1100,
        "with a name twice": lambda good: good[:-1] + b',"x":1,"x":1}',
        "with a name twice inside": lambda good: good[:-1] + b',"x":[{"y":1,"y":2}]}',
        "with an empty name twice": lambda good: good[:-1] + b',"":1,"":1}',
    }
    for name, change in bad.items():
        yield f"header {name}", token(change(head))
        yield f"payload {name}", token(claims=change(body))
    for header in (
        b'{"alg":"none","alg":"ES256"}',
        b'{"alg":"ES256","alg":"none"}',
        b'{"alg":"ES256","alg":"ES256"}',
        b'{"alg":"ES256","\\u0061lg":"none"}',
        b'{"\\u0061lg":"none","alg":"ES256"}',
    ):
        yield f"header {header.decode()}", token(header)
    for twice in (
        b'"sub":"admin"',
        b'"\\u0073ub":"admin"',
        b'"exp":4102444801',
        b'"exp":1',
        b'"iss":"issuer"',
        b'"aud":"weir"',
        b'"roles":["admin"]',
        b'"project_id":"p2"',
    ):
        yield f"payload with {twice.decode()} before", token(claims=b"{" + twice + b"," + body[1:])
        yield f"payload with {twice.decode()} behind", token(claims=body[:-1] + b"," + twice + b"}")


def _times() -> Iterator[tuple[str, bytes]]:
    wrong = (
        *(b"null", b"true", b"false", b'"4102444800"', b'""', b'"never"', b"[]", b"[4102444800]", b"{}"),
        *(b"1e999", b"-1e999", b"NaN", b"Infinity", b"-Infinity", b"9007199254740992", b"-9007199254740992"),
        *(b"9" * 400, b"9" * 5000, b"-" + b"9" * 400, b"1e308", b"0x7fffffff", b'"2099-01-01T00:00:00Z"'),
    )
    for name, value in product(("exp", "nbf", "iat"), wrong):
        yield f"{name} {value[:24].decode()}{len(value)}", token(claims=spelt(name, value))
    for value in (b"0", b"-1", b"-0", b"1", b"0.5", b"1600000000", b"1600000000.999", b"1e9", b"-1e15"):
        yield f"exp {value.decode()}", token(claims=spelt("exp", value))
    for name, value in product(
        ("nbf", "iat"), (b"4102444800", b"4102444800.5", b"4.1e9", b"9007199254740991")
    ):
        yield f"{name} {value.decode()}", token(claims=spelt(name, value))
    yield "exp missing", token(claims=but(exp=...))
    yield "exp in another case", token(claims=but(exp=..., EXP=4_102_444_800))
    yield "exp in the header alone", token({"exp": 4_102_444_800}, but(exp=...))


def _audiences() -> Iterator[tuple[str, bytes]]:
    issuers = (..., None, "", "Issuer", "issuer ", " issuer", "issue", "issuer2", "issuer\0", "\u0456ssuer")
    for issuer in (*issuers, 1, True, ["issuer"], {"issuer": 1}, [], "issuer issuer", "i"):
        yield f"iss {issuer!r}", token(claims=but(iss=issuer))
    audiences = (
        ...,
        None,
        "",
        "Weir",
        "weir ",
        " weir",
        "wei",
        "weir2",
        "weir\0",
        "weir other",
        "weir,other",
    )
    for audience in (
        *(*audiences, 1, True, {"weir": 1}, [], ["them"], [["weir"]], [None], [1, "weir"], ["weir", None]),
        *([{"weir": 1}], ["weir", ["weir"]], "w", "w*", "*"),
    ):
        yield f"aud {audience!r}", token(claims=but(aud=audience))


def _callers() -> Iterator[tuple[str, bytes]]:
    """Claims of the caller that cannot be told to an upstream as they are."""
    controls = (
        "u\r\nX-Roles: admin",
        "u\n",
        "\ru",
        "u\0",
        "\0",
        "u\x1b[31m",
        "u\x7f",
        "u\x08",
        "u\x0b",
        "\x0cu",
    )
    others = (" u", "u ", "\tu", "u\t", "\u00a0u", "u\u2003", " ", "\ud800", "u\udfff")
    wrong: tuple[Any, ...] = (True, False, 1.5, [], ["u1"], {}, {"id": "u1"}, [None])
    for value in (*controls, *others, *wrong, ..., None, ""):
        yield f"sub {value!r}", token(claims=but(sub=value))
    yield "sub in another case", token(claims=but(sub=..., SUB="u1"))
    for value in (*controls, *others, *wrong):
        yield f"project_id {value!r}", token(claims=but(project_id=value))
    for roles in (
        *(True, False, 0, 1, 1.5, {}, {"admin": True}, [1], [None], [True], ["member", 1], [["admin"]]),
        *([{"name": "admin"}], ["member,admin"], ["member", ",admin"], ["member\r\nX-User-Id: u2"], ["a\0"]),
        *([" admin"], ["admin "], ["\tadmin"], ["admin\u00a0"], [" "], ["\ud800"], "member,admin", "a\0b"),
        *(
            "member\nadmin",
            "member\r\nadmin",
            "member\x0badmin",
            "member\x1cadmin",
            "\u00a0admin",
            "a admin\t",
        ),
    ):
        yield f"roles {roles!r}", token(claims=but(roles=roles))


def _signatures() -> Iterator[tuple[str, bytes]]:
    order = P256_ORDER
    for name, signature in {
        **{f"{size} zeros": b"\0" * size for size in (1, 32, 63, 64, 65, 70, 96, 132)},
        **{f"{size} times ff": b"\xff" * size for size in (1, 64, 96)},
        **{
            f"r={r:.3e} s={s:.3e}": raw(r, s)
            for r, s in product((0, 1, order - 1, order, order + 1, (1 << 256) - 1), repeat=2)
        },
        "r of the base point": raw(
            int("6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296", 16), 1
        ),
        "the word null": b"null",
        "an empty DER": b"\x30\x00",
        "DER of zeros": b"\x30\x06\x02\x01\x00\x02\x01\x00",
    }.items():
        yield f"ES256 signature {name}", resigned(always(signature))
    yield "ES256 signature null as text", _HEADER + b"." + _PAYLOAD + b".null"
    halves: dict[str, Callable[[bytes], bytes]] = {
        "cut": lambda signature: signature[:-1],
        "halved": lambda signature: signature[: len(signature) // 2],
        "longer by a zero": lambda signature: signature + b"\0",
        "with a zero before": lambda signature: b"\0" + signature,
        "twice": lambda signature: signature * 2,
        "backwards": lambda signature: signature[::-1],
        "with halves changed": lambda signature: (
            signature[len(signature) // 2 :] + signature[: len(signature) // 2]
        ),
        "inverted": lambda signature: bytes(byte ^ 255 for byte in signature),
        "in hexadecimal": lambda signature: signature.hex().encode(),
        "encoded twice": b64,
        "hashed": lambda signature: hashlib.sha256(signature).digest(),
        "with its first half zero": lambda signature: (
            b"\0" * (len(signature) // 2) + signature[len(signature) // 2 :]
        ),
        "with its second half zero": lambda signature: (
            signature[: len(signature) // 2] + b"\0" * (len(signature) // 2)
        ),
    }
    signers: dict[str, Signer] = {"ES256": es256, "RS256": rs256, "EdDSA": eddsa, "HS256": hs256}
    for (alg, signer), (name, change) in product(signers.items(), halves.items()):
        yield f"{alg} signature {name}", resigned(change, alg, signer)
    yield "ES256 signature in DER", token(signer=lambda s: ec_key().sign(s, ec.ECDSA(hashes.SHA256())))
    yield (
        "ES256 signature of SHA-1",
        token(signer=lambda s: raw(*decode_dss_signature(ec_key().sign(s, ec.ECDSA(hashes.SHA1()))))),
    )
    yield (
        "ES256 r and s with 48 bytes each",
        resigned(lambda signature: b"\0" * 16 + signature[:32] + b"\0" * 16 + signature[32:]),
    )
    modulus = rsa_key().public_key().public_numbers().n
    for name, number in {
        "0": 0,
        "1": 1,
        "n - 1": modulus - 1,
        "n": modulus,
        "n + 1": modulus + 1,
        "2 ** 2048 - 1": (1 << 2048) - 1,
    }.items():
        yield f"RS256 signature {name}", resigned(always(number.to_bytes(256, "big")), "RS256")
    yield (
        "RS256 signature plus n",
        resigned(
            lambda signature: (int.from_bytes(signature, "big") + modulus).to_bytes(257, "big"),
            "RS256",
            rs256,
        ),
    )
    for hash in (hashes.SHA1(), hashes.SHA224(), hashes.SHA384(), hashes.SHA512(), hashes.MD5()):
        yield (
            f"RS256 signature of {hash.name}",
            token(
                {"alg": "RS256"},
                signer=pkcs1(hash),
            ),
        )
    yield (
        "RS256 signature with PSS",
        token(
            {"alg": "RS256"},
            signer=pss,
        ),
    )
    yield (
        "RS256 padding that was never signed",
        resigned(
            lambda signature: (
                b"\0\1"
                + b"\xff" * 202
                + b"\0"
                + bytes.fromhex("3031300d060960864801650304020105000420")
                + b"h" * 32
            ),
            "RS256",
            rs256,
        ),
    )
    yield (
        "EdDSA signature with s plus the order",
        resigned(
            lambda signature: (
                signature[:32]
                + (int.from_bytes(signature[32:], "little") + _ED25519_ORDER).to_bytes(32, "little")
            ),
            "EdDSA",
            eddsa,
        ),
    )
    for name, point in (
        ("identity", b"\1" + b"\0" * 31),
        ("point of order 4", b"\0" * 32),
        ("-0", b"\1" + b"\0" * 30 + b"\x80"),
    ):
        yield f"EdDSA signature of the {name}", resigned(always(point + b"\0" * 32), "EdDSA")
    for size in (1, 8, 16, 31):
        yield f"HS256 signature of {size} bytes", resigned(cut_to(size), "HS256", hs256)
    yield (
        "HS256 signature of a plain hash",
        token({"alg": "HS256"}, signer=lambda s: hashlib.sha256(SECRET + s).digest()),
    )


def _sizes() -> Iterator[tuple[str, bytes]]:
    for size in (8192, 8193, 12_000):
        yield f"{size} letters", b"a" * size
    yield "8193 bytes, signed", grown(8193)
    yield "12000 bytes, signed", grown(12_000)
    yield "a signature of 6000 bytes", _HEADER + b"." + _PAYLOAD + b"." + b64(b"s" * 6000)
    yield "8000 parts", b"a." * 4000
    yield "8000 =", b"=" * 8000
    yield "many members", token(claims=text({**CLAIMS, "iss": "", **{str(n): n for n in range(400)}}))


def grown(size: int) -> bytes:
    """An honest token of this many bytes."""
    for more in range(4):  # base64 has no text of 4n + 1 letters: then the header must be longer
        header = {"typ": "x" * more}
        bare = len(token(header, but(filler="")))
        for length in range((size - bare) * 3 // 4 - 3, (size - bare) * 3 // 4 + 4):
            made = token(header, but(filler="x" * length))
            if len(made) == size:
                return made
    raise AssertionError(f"no token has {size} bytes")


def _beyond_ascii() -> Iterator[tuple[str, bytes]]:
    honest = HONEST["ES256"]
    for name, odd in {
        "an umlaut in latin-1": b"\xe4",
        "an umlaut in UTF-8": b"\xc3\xa4",
        "ff": b"\xff",
        "80": b"\x80",
        "a no-break space": b"\xa0",
        "a no-break space in UTF-8": b"\xc2\xa0",
        "a byte order mark": b"\xef\xbb\xbf",
        "a wide dot": "\uff0e".encode(),
        "NUL": b"\0",
        "SOH": b"\1",
        "backspace": b"\b",
        "escape": b"\x1b",
        "DEL": b"\x7f",
        "NEL": b"\x85",
    }.items():
        yield f"{name} before", odd + honest
        yield f"{name} inside", honest[:50] + odd + honest[50:]
        yield f"{name} behind", honest + odd
        yield f"{name} alone", odd
    yield (
        "wide letters",
        honest[:3].decode().translate({c: c + 0xFEE0 for c in range(33, 127)}).encode() + honest[3:],
    )
    yield "all high bytes", bytes(range(128, 256))


HOSTILE: Final[dict[str, bytes]] = {
    name: made
    for group in (
        *(_algorithms, _confusions, _embedded, _critical, _shapes, _spellings, _texts, _times, _audiences),
        *(_callers, _signatures, _sizes, _beyond_ascii),
    )
    for name, made in group()
}
"""To be refused whatever the names of our keys are."""

WRONG_KID: Final[dict[str, bytes]] = dict(_kids())
"""To be refused where the keys have names."""
