"""Signed tokens in compact form (RFC 7515 section 7.1): how they are read, and by which keys they are verified.

What a token says of keys (`jku`, `x5u`, `jwk`, `x5c`) is never followed. Whoever sent a token chooses every byte of it, so
parsing is strict and each doubt is a no.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from filters.token_auth.key import Key, without_duplicates
from filters.token_auth.spelling import from_base64url


class Jws(NamedTuple):
    """The parts of a token, of which nobody has said yet that they are true.

    algorithm  what the header says that it is signed with
    kid        of the key that it names, None where it names none
    payload    the segment as it came
    signed     the bytes that `signature` is over
    """

    algorithm: str
    kid: str | None
    payload: bytes
    signed: bytes
    signature: bytes


def read_jws(token: str) -> Jws | None:
    """The parts of an ASCII token, or None where it has another form, or one that is not to be trusted."""
    parts = token.encode("ascii").split(b".")
    if len(parts) != 3:
        return None
    try:
        header = json_object(parts[0])
        signature = from_base64url(parts[2])
    except ValueError:
        return None
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or not signature or not signature.strip(b"\0"):
        return None
    # RFC 7515 section 4.1.11: an extension that is not understood and marked critical ends it. There is none
    # that we understand; b64 (RFC 7797) would change what was signed.
    if "crit" in header or "b64" in header or ("kid" in header and not isinstance(kid, str)):
        return None
    return Jws(algorithm, kid, parts[1], parts[0] + b"." + parts[1], signature)


def verified(jws: Jws, keys: Iterable[Key]) -> bool:
    """Whether one of `keys` has signed it; its kid chooses among them and never adds one."""
    fitting = [key for key in keys if jws.algorithm in key.algorithms]
    if jws.kid is not None:
        # A key without a kid (PEM has none) may be the one meant, but only where none has that very kid.
        named = [key for key in fitting if key.kid == jws.kid]
        fitting = named or [key for key in fitting if key.kid is None]
    return any(key.verifies(jws.algorithm, jws.signed, jws.signature) for key in fitting)


def claims_of(jws: Jws) -> Mapping[str, Any] | None:
    """The claims, None where the payload is not an object that has one meaning."""
    try:
        return json_object(jws.payload)
    except ValueError:
        return None


def json_object(segment: bytes) -> dict[str, Any]:
    """The JSON object of a segment: UTF-8, no name twice, no NaN or Infinity. Raises ValueError."""
    try:
        members = json.loads(
            from_base64url(segment).decode("utf-8"),
            object_pairs_hook=without_duplicates,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(members, dict):
        raise ValueError("not an object")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
