"""What never reaches a log: tokens, cookies and credentials, wherever a client has put them.

A secret is known by the name of the field, query key or path parameter that carries it. Once known, its value is looked for in
everything else that the same request brings along: a token that a client also wrote into the path is no less a
token there.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.api.regex import LONGEST
from gateway.http.secret import is_secret_header
from gateway.http.target import matchable
from gateway.http.template import parse, pattern

REDACTED: Final = "[redacted]"

SHORTEST: Final = 8
"""A shorter value is no credential: it is replaced only where it is a whole path segment or query value.

Replaced anywhere, a token of one letter would blank out most of a record.
"""

_QUERY_LIKE = re.compile(
    rb"token|passw|key|secret|signature|credential|auth|session|ticket|(?<![a-z])(?:sig|pwd|sid|code|jwt)(?![a-z])",
    re.IGNORECASE,
)
_REDACTED = REDACTED.encode()
_MEMBER_LIKE: Final = re.compile(
    r"passw|pass$|secret|token|credential|signature|authorization|cookie|jwt|(?:private|api|access)[-_]?key",
    re.IGNORECASE,
)
_PAIR: Final = re.compile(rb"[^&;]+")
_PART: Final = re.compile(rb"[^/?&;=]+")
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?]*")
_USERINFO = re.compile(rb"^((?:(?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?)[^/?#]*@")


def is_secret_member(name: str) -> bool:
    """Whether the member `name` of a JSON object is a credential."""
    return _MEMBER_LIKE.search(name) is not None


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


class Redacted(NamedTuple):
    """A request target without its secrets.

    text    with `[redacted]` in their places
    values  those that were known by their place, each as it was written and as it reads decoded: longest first
    """

    text: bytes
    values: Sequence[bytes]


class Redaction:
    """What a configuration takes for secret, beside what is known by its name everywhere.

    headers, query, params  regular expressions for whole names: of header fields, of keys in queries, of path parameters
    templates               path templates of all routes
    """

    def __init__(
        self,
        headers: Sequence[str] = (),
        query: Sequence[str] = (),
        params: Sequence[str] = (),
        templates: Sequence[str] = (),
    ) -> None:
        self._headers = _Names(headers)
        self._query = _Names(query)
        self._param_names = names = _Names(params)
        self._places: dict[str, list[tuple[int, bool]]] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        for template in templates if params else ():
            places = [
                (place, segment.rest)
                for place, segment in enumerate(parse(template))
                if segment.name and names.hold(segment.name)
            ]
            if places:
                self._places[template] = places
                self._patterns.append((pattern(template), template))

    @property
    def by_place(self) -> bool:
        """Whether something in paths is secret by its place."""
        return bool(self._places)

    def params_of(self, names: Iterable[str]) -> list[str]:
        """Those of these names of path parameters that are secret."""
        return [name for name in names if self._param_names.hold(name)]

    def is_secret_header(self, name: str) -> bool:
        """Whether the value of the header field `name` (lower case) is a credential."""
        return is_secret_header(name) or self._headers.hold(name)

    def target(self, target: bytes, secrets: Iterable[bytes] = (), template: str | None = None) -> Redacted:
        """The request target without user information, secret path parameters, values of secret keys, and `secrets`.

        `template` is that of the route; without one, that of any route which the path fits.
        """
        spans = _spans_of(target, secrets)
        own: list[tuple[int, int]] = []
        begin, end = _path_of(target)
        if self._places and target[begin : begin + 1] == b"/":
            own += self._params(target, begin, end, template)
        if end < len(target):
            own += self._values(target, end + 1)
        if not spans and not own:
            return Redacted(target, ())
        values = set()
        for first, last in own:
            value = target[first:last]
            values |= {value, unquote_to_bytes(value), unquote_to_bytes(value.replace(b"+", b" "))}
        return Redacted(_cut(target, [*spans, *own]), sorted(values, key=lambda value: (-len(value), value)))

    def _params(self, target: bytes, begin: int, end: int, template: str | None) -> list[tuple[int, int]]:
        path = target[begin:end]
        if template is not None:
            places = self._places.get(template, [])
        else:
            readable = matchable(path.decode("latin-1"))
            places = [
                place
                for expression, known in self._patterns
                if expression.fullmatch(readable) is not None
                for place in self._places[known]
            ]
        if not places:
            return []
        starts = [begin + 1]
        starts += [begin + at + 1 for at in range(1, len(path)) if path[at : at + 1] == b"/"]
        spans = []
        for place, rest in places:
            if place < len(starts):
                last = end if rest or place + 1 == len(starts) else starts[place + 1] - 1
                if last > starts[place]:
                    spans.append((starts[place], last))
        return spans

    def _values(self, target: bytes, begin: int) -> list[tuple[int, int]]:
        """Where the values of secret keys are in the query, which begins at `begin`. A key is judged percent-decoded: `to%6ben` is a token too."""
        query = target[begin:]
        if not (self._query or _QUERY_LIKE.search(query) or b"%" in query or b"+" in query):
            return []
        spans = []
        for pair in _PAIR.finditer(target, begin):
            key, _, value = pair[0].partition(b"=")
            if value and self._is_secret_key(unquote_to_bytes(key)):
                spans.append((pair.end() - len(value), pair.end()))
        return spans

    def _is_secret_key(self, key: bytes) -> bool:
        return _QUERY_LIKE.search(key) is not None or self._query.hold(key.decode("utf-8", "replace"))


class _Names:
    """Names by regular expressions, of any case."""

    def __init__(self, expressions: Sequence[str]) -> None:
        self._patterns = [re.compile(text, re.DOTALL | re.IGNORECASE) for text in expressions]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def hold(self, name: str) -> bool:
        """Whether it is one of them; a name that is too long to be judged is."""
        if not self._patterns:
            return False
        return len(name) > LONGEST or any(known.fullmatch(name) is not None for known in self._patterns)


_PLAIN_REDACTION: Final = Redaction()


def redact_target(target: bytes, secrets: Iterable[bytes] = ()) -> bytes:
    """The request target without credentials: user information, secret query keys, and `secrets` as values."""
    return _PLAIN_REDACTION.target(target, secrets).text


def _path_of(target: bytes) -> tuple[int, int]:
    """Where the path begins and ends in a target of any form."""
    end = target.find(b"?")
    end = len(target) if end < 0 else end
    scheme = _SCHEME.match(target, 0, end)
    return (0, end) if scheme is None else (scheme.end(), end)


def _spans_of(target: bytes, secrets: Iterable[bytes]) -> list[tuple[int, int]]:
    """Where `secrets` are in the target, in any spelling, and the user information. One may lie over another."""
    spans: list[tuple[int, int]] = []
    escaped = b"%" in target
    for secret in secrets:
        if len(secret) >= SHORTEST:
            at = target.find(secret)
            while at >= 0:
                spans.append((at, at + len(secret)))
                at = target.find(secret, at + 1)
            if escaped and secret in unquote_to_bytes(target):
                spans += [match.span() for match in _spellings(secret).finditer(target)]
        elif secret in target or escaped:
            spans += [part.span() for part in _PART.finditer(target) if unquote_to_bytes(part[0]) == secret]
    if b"@" in target:
        user = _USERINFO.match(target)
        if user is not None:
            spans.append((user.end(1), user.end() - 1))
    return spans


def _cut(target: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The target with a mark in place of each span; those that lie over each other have one."""
    pieces: list[bytes] = []
    done = -1  # where the last span that was taken out ends
    for begin, end in sorted(spans):
        if begin < done:
            done = max(done, end)
            continue
        pieces += (target[max(done, 0) : begin], _REDACTED)
        done = end
    return b"".join(pieces) + target[max(done, 0) :]


def redact_value(value: bytes, secrets: Iterable[bytes]) -> bytes:
    """The value of a field without any of `secrets`."""
    for secret in secrets:
        if len(secret) >= SHORTEST:
            value = value.replace(secret, _REDACTED)
    return value


def _spellings(secret: bytes) -> "re.Pattern[bytes]":
    """`secret` with any of its bytes percent-encoded, in either case of the digits (RFC 3986 section 2.1)."""
    return re.compile(b"".join(b"(?:%s|(?i:%%%02x))" % (re.escape(bytes([byte])), byte) for byte in secret))


def scrub(value: object, secrets: Sequence[str], wholes: AbstractSet[str] = frozenset()) -> object:
    """A JSON value with every one of `secrets` replaced in its text, keys included, and texts that are one of `wholes`."""
    if isinstance(value, str):
        if value in wholes:
            return REDACTED
        for secret in secrets:
            value = value.replace(secret, REDACTED)
        return value
    if isinstance(value, Mapping):
        return {str(scrub(key, secrets, wholes)): scrub(item, secrets, wholes) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrub(item, secrets, wholes) for item in value]
    return value
