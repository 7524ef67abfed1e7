"""Which paths a limit is for, and what of a path is part of its key.

A path is read percent-decoded, so that no spelling of it escapes a limit or has a bucket of its own, and as it came,
where that is what fits.
"""

import re
from collections.abc import Hashable
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from filters._key import bounded
from gateway.api.regex import LONGEST, compile_path

Captured: TypeAlias = tuple[Hashable, ...]
"""Texts of groups in their order, None for one that took no part: members of a tuple, so that `abc` and `def` are not `abcde` and `f`."""

REGEX: Final = "regex:"

_SPECIAL = re.compile(r"[.^$*+?()\[\]{}|\\]")
_PARAMETER = re.compile(r"(\{\w+\*?\})")
_SIDE_BY_SIDE = re.compile(r"\}[^/]*\{|\*\}.*\{", re.DOTALL)
"""Parameters of a template among which a path can be divided in many ways."""


def pattern_of(path: str) -> re.Pattern[str]:
    """The expression of a template or of a regular expression. Raises ValueError for what is neither."""
    if path.startswith(REGEX):
        return compile_path(path.removeprefix(REGEX))
    parts = []
    for part in _PARAMETER.split(path):
        if not _PARAMETER.fullmatch(part):
            parts.append(re.escape(part))
        elif part.endswith("*}"):
            parts.append(f"(?P<{part[1:-2]}>.+)")
        else:
            parts.append(f"(?P<{part[1:-1]}>[^/]+)")
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise ValueError(f"not a template: {error.msg}") from None


def told_of(path: str) -> str:
    """The expression as clients are told it: of a template one that any language reads, without names for what it captures."""
    if path.startswith(REGEX):
        return path.removeprefix(REGEX)
    return "".join(
        _SPECIAL.sub(r"\\\g<0>", part)
        if not _PARAMETER.fullmatch(part)
        else ".+"
        if part.endswith("*}")
        else "[^/]+"
        for part in _PARAMETER.split(path)
    )


def group_of(pattern: re.Pattern[str], name: str) -> int | None:
    """The number of a group, which is named by its name or its number; None where there is none."""
    if name.isascii() and name.isdigit():
        return int(name) if 0 < int(name) <= pattern.groups else None
    return pattern.groupindex.get(name)


class PathTest:
    """Whether a path is one of a limit's, and what its key takes of it: the texts of `groups`, by their numbers.

    captures  whether it takes any
    """

    __slots__ = ("_bounded", "_groups", "_pattern", "captures")

    def __init__(self, path: str, groups: tuple[int, ...] = ()) -> None:
        self._pattern = pattern_of(path)
        self._bounded = path.startswith(REGEX) or _SIDE_BY_SIDE.search(path) is not None
        self._groups = groups
        self.captures = bool(groups)

    def captured(self, path: str) -> Captured | None:
        """None for another path. One that is too long for a regular expression, or to be divided among parameters, is every
        one's."""
        if self._bounded and len(path) > LONGEST:
            return ("too long",) if self._groups else ()
        pattern = self._pattern
        if "%" not in path:
            match = pattern.fullmatch(path)
            return None if match is None else tuple([bounded(match[group]) for group in self._groups])
        match = pattern.fullmatch(_decoded(path))
        if match is not None:
            return tuple([bounded(match[group]) for group in self._groups])
        match = pattern.fullmatch(path)
        if match is None:
            return None
        texts = [match[group] for group in self._groups]
        return tuple([bounded(None if text is None else _decoded(text)) for text in texts])


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")
