"""What never reaches a log: tokens, cookies and credentials, wherever a client has put them.

A secret is known by the name of the field or query key that carries it. Once known, its value is looked for in
everything else that the same request brings along: a token that a client also wrote into the path is no less a
token there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

REDACTED: Final = "[redacted]"

SHORTEST: Final = 8
"""A shorter value is no credential: it is replaced only where it is a whole path segment or query value.

Replaced anywhere, a token of one letter would blank out most of a record.
"""

_HEADERS = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-auth-key",
        "x-auth-token",
        "x-service-token",
        "x-storage-token",
        "x-subject-token",
    }
)
_HEADER_LIKE = re.compile(
    r"auth|cookie|credential|passw|secret|token|signature|session|ticket|jwt|(?:api|access|private)[-_]?key"
)
_QUERY_LIKE = re.compile(
    rb"token|passw|key|secret|signature|credential|auth|session|ticket|(?<![a-z])(?:sig|pwd|sid|code|jwt)(?![a-z])",
    re.IGNORECASE,
)
_REDACTED = REDACTED.encode()
_USERINFO = re.compile(rb"^((?:(?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?)[^/?#]*@")


def is_secret_header(name: str) -> bool:
    """Whether the value of the header field `name` (lower case) is a credential."""
    return name in _HEADERS or _HEADER_LIKE.search(name) is not None


def credentials(name: str, value: bytes) -> list[bytes]:
    """The parts of a secret field's value that would let somebody in: longest first, none empty.

    The value itself; after an authentication scheme the one word that follows it (RFC 9110 section 11.4); of
    a cookie each value (RFC 6265 section 4.2.1).
    """
    value = value.strip()
    if name in ("cookie", "set-cookie"):
        parts = {pair.partition(b"=")[2].strip().strip(b'"') for pair in value.split(b";")}
        parts.add(value)
    elif name.endswith("authorization") and len(words := value.split()) == 2:
        parts = {value, words[1]}
    else:
        return [value] if value else []
    return sorted(filter(None, parts), key=lambda part: (-len(part), part))


def redact_query(query: bytes) -> bytes:
    """The query with the values of secret-looking keys replaced; everything else byte for byte.

    A key is judged percent-decoded: `to%6ben` is a token too.
    """
    if not _QUERY_LIKE.search(query) and b"%" not in query and b"+" not in query:
        return query
    pairs = re.split(rb"([&;])", query)
    for place in range(0, len(pairs), 2):
        key, equals, value = pairs[place].partition(b"=")
        if value and _QUERY_LIKE.search(unquote_to_bytes(key)):
            pairs[place] = key + equals + _REDACTED
    return b"".join(pairs)


def redact_target(target: bytes, secrets: Iterable[bytes] = ()) -> bytes:
    """The request target without credentials: user information, secret query keys, and `secrets` as values.

    `secrets` go first: the other rules could cut one in two, and half of it would stay.
    """
    for secret in secrets:
        if len(secret) >= SHORTEST:
            target = target.replace(secret, _REDACTED)
            if b"%" in target and secret in unquote_to_bytes(target):
                target = _spellings(secret).sub(_REDACTED, target)
        elif secret in target or b"%" in target:
            target = _without_values(target, secret)
    if b"@" in target:
        target = _USERINFO.sub(lambda match: match[1] + _REDACTED + b"@", target)
    path, mark, query = target.partition(b"?")
    return path + mark + redact_query(query) if query else target


def redact_value(value: bytes, secrets: Iterable[bytes]) -> bytes:
    """The value of a field without any of `secrets`."""
    for secret in secrets:
        if len(secret) >= SHORTEST:
            value = value.replace(secret, _REDACTED)
    return value


def _spellings(secret: bytes) -> "re.Pattern[bytes]":
    """`secret` with any of its bytes percent-encoded, in either case of the digits (RFC 3986 section 2.1)."""
    return re.compile(b"".join(b"(?:%s|(?i:%%%02x))" % (re.escape(bytes([byte])), byte) for byte in secret))


def _without_values(target: bytes, secret: bytes) -> bytes:
    parts = re.split(rb"([/?&;=])", target)
    for place in range(0, len(parts), 2):
        if unquote_to_bytes(parts[place]) == secret:
            parts[place] = _REDACTED
    return b"".join(parts)


def scrub(value: object, secrets: Sequence[str]) -> object:
    """A JSON value with every one of `secrets` replaced in its text, keys included."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REDACTED)
        return value
    if isinstance(value, Mapping):
        return {str(scrub(key, secrets)): scrub(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrub(item, secrets) for item in value]
    return value
