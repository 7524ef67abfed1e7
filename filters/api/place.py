r"""How many places of a pattern a text can be at, at once.

A linear engine goes through a text once, and keeps all places of the pattern that the text so far may have led to. Behind the
start of a text that is one; behind what may repeat without an end, or begin anywhere, it is each place of what follows, and of
`[ab]*a[ab]{1000}` a thousand. As long as the sets of places that occur are few, the engine remembers what follows each, and all
patterns take about as long; where they are many it does not, and each place takes its time with each character of the text.
"""

import re
from functools import cache
from typing import Final

_MOST: Final = 1 << 20
_BACK: Final = re.compile(r"\(\?<?[=!>]|\(\?>|\\[1-9]|\\k<")
_REPEATED: Final = re.compile(r"\{(\d+)(,(\d*))?\}")
_ESCAPED: Final = re.compile(
    r"\\(?:[pP](?:\{[^}]*\}|.)|x\{[^}]*\}|x[0-9a-fA-F]{2}|u\{[^}]*\}|u[0-9a-fA-F]{4}|.)", re.DOTALL
)
_GROUP: Final = re.compile(r"\((?:\?(?:P?<\w+>|[a-zA-Z-]*:))?")


@cache
def places(pattern: str) -> int:
    """The most places; 0 of a pattern that no linear engine takes, as it looks ahead or back."""
    if _BACK.search(_without_escaped(pattern)):
        return 0
    try:
        found, _, _ = _Reading(pattern).alternatives(1 if _starts(pattern) else _MOST)
    except RecursionError:
        return _MOST
    return max(1, min(found, _MOST))


def _without_escaped(pattern: str) -> str:
    """The pattern without what is escaped, save references back."""
    return re.sub(r"\\[^1-9k]", "x", pattern)


def _starts(pattern: str) -> bool:
    """Whether it is tried from the start of a text alone."""
    return pattern.startswith("^") and "|" not in re.sub(r"\\.|\[[^]]*\]|\([^()]*\)", "", pattern)


class _Reading:
    """A pattern, read once from left to right. What is not understood counts as characters that it would be.

    `ways` is at how many places of the text what is read may begin, as seen from one place of the text behind it.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0

    def alternatives(self, ways: int) -> tuple[int, int, int]:
        """Places at once; places in all; and the ways behind."""
        found = total = behind = 0
        while True:
            some, all_, after = self._sequence(ways)
            found, total, behind = found + some, total + all_, behind + after
            if not self._pattern.startswith("|", self._place):
                return min(found, _MOST), min(total, _MOST), min(max(1, behind), _MOST)
            self._place += 1

    def _sequence(self, ways: int) -> tuple[int, int, int]:
        found = total = 0
        while self._place < len(self._pattern) and self._pattern[self._place] not in "|)":
            some, all_, ways = self._repeated(ways)
            found, total = found + some, total + all_
        return min(found, _MOST), min(total, _MOST), ways

    def _repeated(self, ways: int) -> tuple[int, int, int]:
        begin = self._place
        some, all_, after = self._one(ways)
        least, most = self._times()
        if (least, most) == (1, 1):
            return some, all_, after
        if ways < _MOST and (
            most is None or (most > 1 and after > ways)
        ):  # of what is not always as long, each may have begun anywhere
            self._place, end = begin, self._place
            some, all_, after = self._one(_MOST)
            self._place = end
        total = min(all_ * max(1, least if most is None else most), _MOST)
        if most is None:
            return min(some * max(1, least), total), total, _MOST
        behind = min(_MOST, max(ways, after) + most - least)
        # Of so many times one after the other, those are at once whose beginnings differ.
        at_once = total if after >= _MOST else min(total, some * max(1, behind) if ways > 1 else some)
        return at_once, total, behind

    def _one(self, ways: int) -> tuple[int, int, int]:
        one = self._pattern[self._place]
        if one == "(":
            opening = _GROUP.match(self._pattern, self._place)
            assert opening is not None
            self._place = opening.end()
            found = self.alternatives(ways)
            self._place += 1
            return found
        if one in "^$":
            self._place += 1
            return 0, 0, ways
        if one == "[":
            self._place = _class_end(self._pattern, self._place) + 1
        else:
            escaped = _ESCAPED.match(self._pattern, self._place)
            self._place = escaped.end() if escaped is not None else self._place + 1
        return 1, 1, ways

    def _times(self) -> tuple[int, int | None]:
        """How often what was read may stand: at least and at most."""
        following = self._pattern[self._place : self._place + 1]
        least, most, end = 1, 1, self._place
        unbounded = False
        counted = _REPEATED.match(self._pattern, self._place)
        if following and following in "*+?":
            least, unbounded, end = int(following == "+"), following != "?", end + 1
        elif counted is not None:
            least, end = min(int(counted[1][:7]), _MOST), counted.end()
            unbounded = counted[2] == ","
            most = min(int(counted[3][:7]), _MOST) if counted[3] else least
        else:
            return 1, 1
        while self._pattern[end : end + 1] in ("?", "+"):
            end += 1
        self._place = end
        return least, None if unbounded else most


def _class_end(pattern: str, place: int) -> int:
    """Where the class of characters ends that begins there."""
    depth = 0
    while place < len(pattern):
        one = pattern[place]
        if one == "\\":
            place += 1
        elif one == "[":
            depth += 1
            place += pattern.startswith("^", place + 1)
            place += pattern.startswith("]", place + 1)
        elif one == "]":
            depth -= 1
            if depth == 0:
                return place
        place += 1
    return place
