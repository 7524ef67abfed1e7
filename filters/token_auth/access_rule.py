"""Access rules of Keystone's application credentials: the requests that a token may be used for.

Rules are written by users, so they are hostile: nothing of a rule is a regular expression, and matching takes time in
proportion to the path, whatever wildcards there are.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

MAX_RULES: Final = 256
"""Rules of one credential that are judged by; a credential with more may do nothing here."""
MAX_PATH: Final = 4096
"""Bytes of a path that a rule may allow."""

_SLASH: Final = 0x2F


class AccessRule(NamedTuple):
    """One rule: `service` is a service type of the catalog, in `path` `*` and `{name}` stand for one segment or part of
    one, `**` for anything."""

    service: str
    method: str
    path: str


class _Matcher:
    """Paths of several rules in one automaton, which is in all its states at once: bit i is set where the pattern up to
    its i-th character, of all patterns written one after another, matches what has been read."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._literal: dict[int, int] = {}
        self._segment = self._start = self._end = 0
        self._any_loop = self._segment_loop = 0
        state = 0
        for pattern in patterns:
            self._start |= 1 << state
            for kind in _symbols(pattern):
                if kind == "**":
                    self._any_loop |= 1 << state
                    continue
                if kind == "*":
                    self._segment |= 1 << state
                    self._segment_loop |= 1 << (state + 1)
                else:
                    for byte in kind.encode("utf-8"):
                        self._literal[byte] = self._literal.get(byte, 0) | 1 << state
                        state += 1
                    continue
                state += 1
            self._end |= 1 << state
            state += 1  # the states of a pattern are its own

    def matches(self, path: bytes) -> bool:
        states = self._start
        literal, any_loop, segment_loop = self._literal, self._any_loop, self._segment_loop
        for byte in path:
            step = literal.get(byte, 0)
            stay = any_loop
            if byte != _SLASH:
                step |= self._segment
                stay |= segment_loop
            states = (states & step) << 1 | (states & stay)
            if not states:
                return False
        return bool(states & self._end)


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
    """What one credential may do with one service; `rules` are those that count, none where it may do nothing."""

    def __init__(self, rules: Iterable[AccessRule], service: str | None) -> None:
        paths: dict[str, list[str]] = {}
        told = tuple(rules)
        self.service = service
        self.rules = tuple(rule for rule in told if rule.service == service) if len(told) <= MAX_RULES else ()
        for rule in self.rules:
            paths.setdefault(rule.method, []).append(rule.path)
        self._matchers = {method: _Matcher(patterns) for method, patterns in paths.items()}

    def allow(self, method: str, path: str) -> bool:
        """Whether some rule allows the request; `path` is raw, and judged as the service will read it."""
        matcher = self._matchers.get(method)
        if matcher is None or len(path) > MAX_PATH:
            return False
        decoded = unquote_to_bytes(path)
        if any(segment in (b".", b"..") for segment in decoded.split(b"/")):
            return False  # who resolves them on the way to the service would make another path of it
        return matcher.matches(decoded)


def read_rules(value: Any, service: str | None) -> AccessRules | None:
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
    return AccessRules([_rule(rule) for rule in rules], service)


def _rule(value: Any) -> AccessRule:
    if not isinstance(value, dict):
        raise ValueError("access_rules")
    service, method, path = value.get("service"), value.get("method"), value.get("path")
    if not (isinstance(service, str) and isinstance(method, str) and isinstance(path, str)):
        raise ValueError("access_rules")
    return AccessRule(service, method, path)
