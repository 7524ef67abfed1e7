"""Which header fields carry credentials, by their names."""

import re
from typing import Final

_NAMES: Final = frozenset(
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
_LIKE: Final = re.compile(
    r"auth|cookie|credential|passw|secret|token|signature|session|ticket|jwt|(?:api|access|private)[-_]?key"
)


def is_secret_header(name: str) -> bool:
    """Whether the value of the header field `name` (lower case) is a credential."""
    return name in _NAMES or _LIKE.search(name) is not None
