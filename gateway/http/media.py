"""Media types as Content-Type names them (RFC 9110 section 8.3.1)."""

import re
from functools import lru_cache
from typing import NamedTuple

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105 - the token of RFC 9110 section 5.6.2, no password
_QUOTED = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]++|\\[^\x00-\x08\x0a-\x1f\x7f])*+"'
_CONTENT_TYPE = re.compile(
    rf"[ \t]*+({_TOKEN}/{_TOKEN})(?:[ \t]*+;[ \t]*+(?:{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))?+)*+[ \t]*+"
)
_PARAMETER = re.compile(rf"[ \t]*+;[ \t]*+(?:({_TOKEN})=({_TOKEN}|{_QUOTED}))?+")
_ESCAPED = re.compile(r"\\(.)")


class MediaType(NamedTuple):
    """What a value of Content-Type names.

    kind        "type/subtype" in lower case
    parameters  but for the charset: names in lower case, and values; None where one stands twice
    charset     in lower case; None for none
    """

    kind: str
    parameters: frozenset[tuple[str, str]] | None
    charset: str | None

    def __str__(self) -> str:
        told = [f"{name}={_written(value)}" for name, value in sorted(self.parameters or ())]
        return "; ".join([self.kind, *told, *([f"charset={self.charset}"] if self.charset else ())])


def _written(value: str) -> str:
    if re.fullmatch(_TOKEN, value):
        return value
    return '"' + re.sub(r'["\\]', r"\\\g<0>", value) + '"'


@lru_cache(maxsize=256)
def parsed(value: str) -> MediaType | None:
    """The media type with its parameters; None when the value is malformed."""
    match = _CONTENT_TYPE.fullmatch(value)
    if match is None:
        return None
    found: dict[str, str] = {}
    twice = False
    place = match.end(1)
    while (one := _PARAMETER.match(value, place)) is not None:
        place = one.end()
        if one[1] is not None:
            name, text = one[1].lower(), one[2]
            twice = twice or name in found
            found[name] = _ESCAPED.sub(r"\1", text[1:-1]) if text.startswith('"') else text
    charset = found.pop("charset", None)
    return MediaType(
        match[1].lower(),
        None if twice else frozenset(found.items()),
        charset.lower() if charset is not None else None,
    )


@lru_cache(maxsize=256)
def media_type(value: str) -> str | None:
    """The "type/subtype" in lower case, without its parameters; None when the value is malformed."""
    match = _CONTENT_TYPE.fullmatch(value)
    return match[1].lower() if match is not None else None
