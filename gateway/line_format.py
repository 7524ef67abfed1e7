"""Lines of a web server's log, by a format: Apache's `combined`, or a string as Repose's http-logging has it.

`%s` and its like stand for what a record says; text of clients is escaped as Apache does: `\\xhh` for bytes that do not
print, a backslash before a quote. What a record does not say cannot be written, and the format is refused.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

COMBINED: Final = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'

Fields = Mapping[str, Any]
Value = Callable[[Fields], str]

_DIRECTIVE: Final = re.compile(
    r"%(?P<statuses>!?\d{3}(?:,\d{3})*)?[<>]?(?:\{(?P<argument>[^}]*)\})?(?P<letter>[A-Za-z])"
)
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PORTS: Final = {"http": "80", "https": "443"}
_NONE: Final = "-"
_REFERER: Final = frozenset({"referer"})


def _escapes(byte: int) -> bytes:
    if byte in b'"\\':
        return b"\\%c" % byte
    if byte in b"\b\n\r\t\v":
        return {8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 13: b"\\r"}[byte]
    return b"%c" % byte if 0x20 <= byte < 0x7F else b"\\x%02x" % byte


_ESCAPED: Final = [_escapes(byte) for byte in range(256)]
_ALONE: Final = [b"\\x20" if byte == 0x20 else escaped for byte, escaped in enumerate(_ESCAPED)]


class LineFormat:
    """Makes the line of a record.

    headers  request header fields that the record must tell, lower case
    """

    def __init__(self, text: str) -> None:
        """Raises ValueError for a format that cannot be written, with the place of what is wrong with it."""
        names: set[str] = set()
        self._parts = _parts(text, names)
        if len(self._parts) == 1:
            raise ValueError("expected combined, ecs, or a format with codes such as %h and %s")
        self.headers = frozenset(names)

    @classmethod
    def headers_of(cls, form: str) -> frozenset[str]:
        """The request header fields that records must tell for a form: `combined`, `ecs`, or a format. Raises ValueError as above."""
        return _REFERER if form == "ecs" else cls(COMBINED if form == "combined" else form).headers

    def line(self, fields: Fields) -> bytes:
        """The line of the record with these fields, with its end."""
        return (
            b"".join([part if isinstance(part, bytes) else part.written(fields) for part in self._parts])
            + b"\n"
        )


class _Part(NamedTuple):
    """What is written of a record.

    value     makes the text
    escapes   of each byte; None for a text of ours
    statuses  of answers for which it is written, else `-`; None for all
    negated   whether it is for all others
    """

    value: Value
    escapes: list[bytes] | None
    statuses: frozenset[int] | None
    negated: bool

    def written(self, fields: Fields) -> bytes:
        if self.statuses is not None:
            status = fields.get("http.response.status_code")
            if (status in self.statuses) is self.negated:
                return b"-"
        text = self.value(fields)
        escapes = self.escapes
        if escapes is None:
            return text.encode("ascii", "backslashreplace")
        return b"".join([escapes[byte] for byte in text.encode("utf-8", "backslashreplace")])


def _parts(text: str, headers: set[str]) -> list[bytes | _Part]:
    parts: list[bytes | _Part] = []
    literal, quoted, place = "", False, 0
    while place < len(text):
        char = text[place]
        if char == "\\":
            escape = text[place + 1 : place + 2]
            if escape not in ("t", '"', "\\"):
                raise ValueError(f'expected \\t, \\" or \\\\ at character {place + 1} of the format')
            literal += "\t" if escape == "t" else escape
            quoted ^= escape == '"'
            place += 2
        elif text.startswith("%%", place):
            literal += "%"
            place += 2
        elif char == "%":
            match = _DIRECTIVE.match(text, place)
            if match is None:
                raise ValueError(
                    f"what follows % at character {place + 1} of the format is none of its codes"
                )
            try:
                part = _part(match, quoted, headers)
            except ValueError as error:
                raise ValueError(f"{error}, at character {place + 1} of the format") from None
            parts += (literal.encode(), part)
            literal, place = "", match.end()
        elif not char.isprintable():
            raise ValueError(
                f"a record is one line: nothing that does not print, at character {place + 1} of the format"
            )
        else:
            quoted ^= char == '"'
            literal += char
            place += 1
    parts.append(literal.encode())
    return parts


def _part(match: re.Match[str], quoted: bool, headers: set[str]) -> _Part:
    letter, argument, given = match["letter"], match["argument"], match["statuses"]
    statuses = frozenset(int(status) for status in given.lstrip("!").split(",")) if given else None
    negated = bool(given) and given.startswith("!")
    if letter == "i":
        if argument is None or not _TOKEN.fullmatch(argument):
            raise ValueError("%i needs the name of a header field, as in %{Referer}i")
        name = argument.lower()
        if name == "user-agent":  # which every record tells
            return _Part(_plain("user_agent.original"), _ESCAPED if quoted else _ALONE, statuses, negated)
        headers.add(name)
        return _Part(lambda fields: _header(fields, name), _ESCAPED if quoted else _ALONE, statuses, negated)
    if letter == "t":
        return _Part(_time(argument), None, statuses, negated)
    if letter in _UNKNOWN:
        raise ValueError(f"%{letter}, {_UNKNOWN[letter]}, is not in records")
    if argument is not None:
        raise ValueError(f"%{letter} takes nothing in braces")
    if letter not in _VALUES:
        raise ValueError(f"%{letter} is none of the codes {' '.join(sorted(_VALUES))}, i and t")
    # Nothing that a client has written may look as if it were two fields.
    alone = not quoted and letter != "r"
    return _Part(_VALUES[letter], _ALONE if alone else _ESCAPED, statuses, negated)


def _plain(key: str) -> Value:
    def value(fields: Fields) -> str:
        found = fields.get(key)
        return _NONE if found in (None, "") else str(found)

    return value


def _header(fields: Fields, name: str) -> str:
    facts = fields.get("gateway.facts")
    headers = facts.get("headers") if isinstance(facts, dict) else None
    found = headers.get(name) if isinstance(headers, dict) else None
    if found is None:
        return _NONE
    lines = found if isinstance(found, list) else [found]
    return ", ".join(line if isinstance(line, str) else "[redacted]" for line in lines)


def _method(fields: Fields) -> str:
    return str(fields.get("http.request.method_original") or fields.get("http.request.method") or _NONE)


def _protocol(fields: Fields) -> str:
    return f"HTTP/{fields.get('network.protocol.version', '')}"


def _request_line(fields: Fields) -> str:
    facts = fields.get("gateway.facts")
    target = facts.get("target") if isinstance(facts, dict) else None
    return f"{_method(fields)} {target or _NONE} {_protocol(fields)}"


def _query(fields: Fields) -> str:
    query = fields.get("url.query")
    return "" if query is None else f"?{query}"


def _port(fields: Fields) -> str:
    return str(fields.get("server.port") or _PORTS.get(str(fields.get("url.scheme")), _NONE))


def _size(fields: Fields) -> str:
    return str(fields.get("http.response.body.size") or _NONE)


def _micro(fields: Fields) -> str:
    return str(round(float(fields.get("gateway.duration_ms") or 0) * 1000))


def _seconds(fields: Fields) -> str:
    return str(int(float(fields.get("gateway.duration_ms") or 0) / 1000))


def _instant(fields: Fields) -> datetime:
    return datetime.fromisoformat(str(fields["timestamp"])).astimezone(UTC)


def _time(argument: str | None) -> Value:
    if argument is None:
        return lambda fields: _common(_instant(fields))
    if argument == "ISO_8601":
        return lambda fields: str(fields["timestamp"])
    if argument in ("sec", "msec"):
        factor = 1 if argument == "sec" else 1000
        return lambda fields: str(int(_instant(fields).timestamp() * factor))
    if "%" not in argument:
        raise ValueError("%t takes ISO_8601, sec, msec, or a format such as %{%d/%b/%Y}t")
    return lambda fields: _instant(fields).strftime(argument)


def _common(at: datetime) -> str:
    """As Apache writes an instant, whatever the language of the system."""
    return f"[{at:%d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000]"


_VALUES: Final[Mapping[str, Value]] = {
    "a": _plain("client.address"),
    "B": lambda fields: str(fields.get("http.response.body.size") or 0),
    "b": _size,
    "D": _micro,
    "g": _plain("gateway.request_id"),
    "H": _protocol,
    "h": _plain("client.address"),
    "l": lambda fields: _NONE,
    "M": _plain("gateway.reason"),
    "m": _method,
    "p": _port,
    "q": _query,
    "r": _request_line,
    "s": _plain("http.response.status_code"),
    "T": _seconds,
    "U": _plain("url.path"),
    "u": _plain("user.name"),
    "v": _plain("server.address"),
}
_UNKNOWN: Final[Mapping[str, str]] = {
    "A": "the address that a request came to",
    "o": "a field of the answer",
    "e": "the environment",
    "n": "a note of a module",
    "C": "a cookie",
}
