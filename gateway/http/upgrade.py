"""Upgrades to another protocol: what a client offers, and what an upstream may take of it (RFC 9110 section 7.8)."""

import re
from collections.abc import Set as AbstractSet
from typing import Final

from gateway.http.framing import connection_options

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
PROTOCOL: Final = re.compile(rf"{_WORD}(?:/{_WORD})?")
"""A protocol's name, and its version if it has one."""

NEVER: Final = frozenset(("h2", "h2c", "h3", "http", "tls"))
"""Names of protocols that carry requests, lower case: through a tunnel they would pass every filter by. Behind an upgrade
to TLS comes HTTP (RFC 2817)."""


def offered(
    method: str, index: dict[bytes, bytes | list[bytes]], allowed: AbstractSet[bytes]
) -> tuple[bytes, ...]:
    """The protocols of `allowed` (lower case) that a request of HTTP/1.1 without a body offers, as it spells them.

    Empty where it is a request like any other, since a recipient may ignore an Upgrade.
    """
    options = connection_options(index.get(b"connection", b""))
    if any(b'"' in option for option in options):  # see _members
        return ()
    if method != "GET" or b"upgrade" not in options or b"close" in options:
        return ()
    names = _members(index.get(b"upgrade", b""))
    return tuple(dict.fromkeys(name for name in names if name.lower() in allowed))


def taken(index: dict[bytes, bytes | list[bytes]], offered: AbstractSet[bytes]) -> bytes:
    """The protocols that a 101 switches to, as they came; empty unless each is one of `offered` (lower case)."""
    names = _members(index.get(b"upgrade", b""))
    if b"upgrade" not in connection_options(index.get(b"connection", b"")):
        return b""
    if not all(name.lower() in offered for name in names):
        return b""
    return b", ".join(names)


def _members(value: bytes | list[bytes]) -> list[bytes]:
    """The members of an Upgrade field; none where quotes, which no protocol's name holds, could hide a comma."""
    lines = value if isinstance(value, list) else [value]
    names = [name for line in lines for part in line.split(b",") if (name := part.strip(b" \t"))]
    return names if not any(b'"' in name for name in names) else []
