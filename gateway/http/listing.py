"""Lists in field values: members between commas, where a quoted string may hold commas (RFC 9110 5.6.1)."""

import re
from functools import cache

_QUOTED = r'"(?:[^"\\]++|\\.)*+"'


@cache
def _member(separator: str) -> re.Pattern[str]:
    return re.compile(rf'(?:[^"{separator}]++|{_QUOTED})*+', re.DOTALL)


def members(value: str, separator: str = ",") -> list[str] | None:
    """The members of a list, stripped of outer white space; empty ones are left out.

    None when a quoted string never ends: where the members part is then anybody's guess. `separator` is
    "," or, for the parameters of one member, ";".
    """
    if '"' not in value:
        return [stripped for part in value.split(separator) if (stripped := part.strip(" \t"))]
    pattern = _member(separator)
    found: list[str] = []
    end = 0
    while True:
        match = pattern.match(value, end)
        assert match is not None, "the pattern matches the empty string"
        if stripped := match[0].strip(" \t"):
            found.append(stripped)
        end = match.end()
        if end == len(value):
            return found
        if value[end] != separator:
            return None
        end += 1


_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def unquoted(value: str) -> str:
    """The text of a quoted string; any other value as it is (RFC 9110 section 5.6.4)."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return _ESCAPED.sub(r"\1", value[1:-1])
    return value
