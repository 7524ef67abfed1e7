"""Media types as Content-Type names them (RFC 9110 section 8.3.1)."""

import re
from functools import lru_cache

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105 - the token of RFC 9110 section 5.6.2, no password
_QUOTED = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]++|\\[^\x00-\x08\x0a-\x1f\x7f])*+"'
_CONTENT_TYPE = re.compile(
    rf"[ \t]*+({_TOKEN}/{_TOKEN})(?:[ \t]*+;[ \t]*+(?:{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))?+)*+[ \t]*+"
)


@lru_cache(maxsize=256)
def media_type(value: str) -> str | None:
    """The "type/subtype" in lower case, without its parameters; None when the value is malformed."""
    match = _CONTENT_TYPE.fullmatch(value)
    return match[1].lower() if match is not None else None
