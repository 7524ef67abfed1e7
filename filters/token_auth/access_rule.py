"""Access rules of Keystone's application credentials: the requests that a token may be used for.

Rules are written by users, so they are hostile: nothing of a rule is a regular expression, matching takes time in proportion
to the path and the rules, whatever wildcards there are, and it has a bound.
"""

import re
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.http.target import matchable

MAX_RULES: Final = 256
"""Rules of one credential that are judged by; a credential with more may do nothing here."""
MAX_PATH: Final = 4096
"""Bytes of a path that a rule may allow."""

MAX_WORK: Final = 8 << 20
"""What a request may cost, in bytes of its path and `STEP` more for each character of a rule that is looked at: some two
milliseconds. What has not been allowed by then is not. Rules whose text up to the first wildcard is not that of the path cost
nothing of it, and others no more than up to where they part from it, so that it takes hundreds made for that."""
STEP: Final = 1024

_DOTS: Final = re.compile(rb"(?:\A|[/\\])\.{1,2}(?=[/\\;]|\Z)")
"""A dot segment, as any server may see one."""
_SLASH: Final = 0x2F
_PART: Final = 256
_ANYTHING: Final = 257
_DIGITS: Final = [bytes(0x31 if byte == value else 0x30 for byte in range(256)) for value in range(256)]
"""For each byte, what makes a text of ones and zeros of a path: whether it stands there."""


class AccessRule(NamedTuple):
    """One rule: `service` is a service type of the catalog, in `path` `*` and `{name}` stand for one segment or part of
    one, `**` for anything."""

    service: str
    method: str
    path: str


class _Path:
    """A path, read by several patterns: sets of places in it are numbers, in which bit i stands for the place before byte i.

    every     all places, that behind the last byte too
    segments  those before a byte that is no slash
    left      steps that may be taken yet
    """

    __slots__ = ("_occurrences", "_reversed", "every", "left", "segments", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._reversed = text[::-1]
        self.every = (2 << len(text)) - 1
        self._occurrences: dict[int, int] = {}
        self.left = MAX_WORK // (len(text) + STEP)
        self.segments = (self.every >> 1) & ~self.before(_SLASH)

    def before(self, byte: int) -> int:
        """The places before a byte of this value."""
        found = self._occurrences.get(byte)
        if found is None:
            digits = self._reversed.translate(_DIGITS[byte])
            found = self._occurrences[byte] = int(digits, 2) if digits else 0
        return found


class _Pattern:
    """The path of a rule: the text that it begins with, and the steps behind that."""

    __slots__ = ("_begin", "_least", "_steps")

    def __init__(self, pattern: str) -> None:
        steps: list[int] = []
        for kind in _symbols(pattern):
            if kind == "**":
                if steps[-1:] != [_ANYTHING]:  # a second one adds nothing
                    steps.append(_ANYTHING)
            else:
                steps += [_PART] if kind == "*" else kind.encode("utf-8")
        plain = 0
        while plain < len(steps) and steps[plain] < _PART:
            plain += 1
        self._begin = bytes(steps[:plain])
        self._steps = array("H", steps[plain:])
        self._least = len(steps) - steps.count(_ANYTHING)

    def matches(self, path: _Path) -> bool:
        """All places that the pattern can have come to are looked at in one step, so that none is tried twice."""
        if not path.text.startswith(self._begin) or len(path.text) < self._least:
            return False
        places = 1 << len(self._begin)
        for step in self._steps:
            if not path.left:
                return False
            path.left -= 1
            if step < _PART:
                places = (places & path.before(step)) << 1
            elif step == _PART:
                # Added to the run of ones that it stands in, a bit carries to the end of that run.
                segments = path.segments
                begun = places & segments
                places = ((((begun + segments) ^ segments) & segments) | begun) << 1
            else:
                places = path.every & -(places & -places)
            if not places:
                return False
        return places >> len(path.text) != 0


def _symbols(pattern: str) -> Iterable[str]:
    """Characters of a pattern, `*` for what stands for a part of a segment, `**` for what stands for anything."""
    place = 0
    while place < len(pattern):
        letter = pattern[place]
        if letter == "*":
            double = pattern.startswith("**", place)
            yield "**" if double else "*"
            place += 2 if double else 1
            continue
        if letter == "{":
            end = pattern.find("}", place)
            if end > place + 1 and "/" not in pattern[place:end]:
                yield "*"
                place = end + 1
                continue
        yield letter
        place += 1


class AccessRules:
    """What one credential may do with one service; `rules` are those that count, none where it may do nothing.

    prefixes  what may stand before the path that rules are of; the longest that does is left out
    """

    def __init__(
        self, rules: Iterable[AccessRule], service: str | None, prefixes: Sequence[str] = ()
    ) -> None:
        paths: dict[str, list[str]] = {}
        told = tuple(rules)
        self.service = service
        self.prefixes = tuple(sorted(prefixes, key=len, reverse=True))
        self.rules = tuple(rule for rule in told if rule.service == service) if len(told) <= MAX_RULES else ()
        for rule in self.rules:
            paths.setdefault(rule.method, []).append(rule.path)
        self._patterns: dict[str, tuple[_Pattern, ...]] = {}
        for method, texts in paths.items():
            self._patterns[method] = tuple(map(_Pattern, dict.fromkeys(texts)))

    @property
    def size(self) -> int:
        """Bytes that they take, about."""
        return sum(len(rule.service) + len(rule.method) + 4 * len(rule.path) for rule in self.rules)

    def allow(self, method: str, path: str) -> bool:
        """Whether some rule allows the request; `path` is raw, and judged as the service will read it."""
        patterns = self._patterns.get(method)
        if patterns is None or len(path) > MAX_PATH:
            return False
        if self.prefixes:
            path = self._behind_prefix(path)
        decoded = unquote_to_bytes(path)
        if _DOTS.search(decoded) is not None:
            return False  # who resolves them on the way to the service would make another path of it
        told = _Path(decoded)
        return any(pattern.matches(told) for pattern in patterns)

    def _behind_prefix(self, path: str) -> str:
        plain = matchable(path)  # as routes compare it
        for prefix in self.prefixes:
            if plain.startswith(prefix) and plain[len(prefix) : len(prefix) + 1] in ("", "/"):
                return plain[len(prefix) :]
        return path


def read_rules(value: Any, service: str | None, prefixes: Sequence[str] = ()) -> AccessRules | None:
    """The rules of a token's `application_credential`, None where it has none. Raises ValueError."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("application_credential")
    rules = value.get("access_rules")
    if rules is None:
        return None
    if not isinstance(rules, list):
        raise ValueError("access_rules")
    return AccessRules([_rule(rule) for rule in rules], service, prefixes)


def _rule(value: Any) -> AccessRule:
    if not isinstance(value, dict):
        raise ValueError("access_rules")
    service, method, path = value.get("service"), value.get("method"), value.get("path")
    if not (isinstance(service, str) and isinstance(method, str) and isinstance(path, str)):
        raise ValueError("access_rules")
    return AccessRule(service, method, path)
