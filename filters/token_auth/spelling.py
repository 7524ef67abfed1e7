"""Spellings of a token: what else an identity service would take for the same token.

Whoever holds a token may write it otherwise, where the service reads it leniently. What is remembered is remembered of one spelling,
so a token that is revoked by its hash would go on in another. Those that are never issued are refused; and where two may be
issued, and nobody can tell which was, each is known by the other too.
"""

import base64
import binascii
import json
import re
from typing import Any, Final

_FERNET: Final = "gAAAAA"
"""How 0x80 and a time before the year 2106 begin, in base64url."""
_LEAST: Final = 98
"""Characters of one with nothing in it: 73 bytes."""
_NO_BASE64: Final = re.compile("[^A-Za-z0-9+/_-]+")
_STANDARD: Final = str.maketrans("+/", "-_")
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256 (FIPS 186-5)."""


def issued_so(token: str) -> bool:
    """Whether an ASCII token may have been issued as it is written.

    Keystone issues Fernet tokens without padding, and reads them as Python reads base64: with any padding, with characters of
    neither alphabet anywhere, with those of both, and with any bits behind the last byte. So it reads a JWS' signature,
    which has one spelling (RFC 7515 section 2); what stands before that is signed as it is written.
    """
    plain = _NO_BASE64.sub("", token).translate(_STANDARD)
    if plain.startswith(_FERNET) and len(plain) >= _LEAST:
        return token == plain and _canonical(plain)
    if token.count(".") != 2:
        return True
    return _header(token.partition(".")[0]) is None or _canonical(token.rpartition(".")[2])


def twin(token: str) -> str | None:
    """The other spelling of an ASCII token that is signed with ES256: where (r, s) is a signature, (r, n - s) is one too."""
    signed, _, last = token.rpartition(".")
    header = _header(signed.partition(".")[0])
    if header is None or header.get("alg") != "ES256" or not _canonical(last):
        return None
    signature = from_base64url(last.encode("ascii"))
    s = int.from_bytes(signature[32:])
    if len(signature) != 64 or not 0 < s < _ORDER:
        return None
    return f"{signed}.{to_base64url(signature[:32] + (_ORDER - s).to_bytes(32))}"


def from_base64url(segment: bytes) -> bytes:
    """The bytes of unpadded base64url, in its one canonical spelling (RFC 7515 section 2), or ValueError."""
    try:
        raw = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except binascii.Error:
        raise ValueError("not base64url in canonical form") from None
    if to_base64url(raw).encode("ascii") != segment:
        raise ValueError("not base64url in canonical form")
    return raw


def to_base64url(raw: bytes) -> str:
    """That spelling."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _canonical(text: str) -> bool:
    try:
        from_base64url(text.encode("ascii"))
    except ValueError:
        return False
    return True


def _header(segment: str) -> dict[str, Any] | None:
    """The JSON object that a JWS begins with; None where it is none."""
    try:
        header = json.loads(from_base64url(segment.encode("ascii")))
    except (ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None
