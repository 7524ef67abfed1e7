"""Segments of a path that hold parameters between texts: `v{major}.{minor}`.

Where a text may be divided in several ways, all of them count, and none of it takes more steps than are counted: what a
client sends has no say in how long this takes.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from gateway.description.model import Segment

Fits: TypeAlias = Callable[[str], bool]

MAX_STEPS: Final = 65_536
"""Characters of a segment that are held against its parameters, in all the ways to divide it."""
_EACH: Final = 16
"""Characters that one more try counts for, however short."""


class Form:
    """A segment with parameters, each of one character at least."""

    __slots__ = ("_between", "_first", "_last")

    def __init__(self, segment: Segment) -> None:
        self._first, *self._between, self._last = segment[::2]

    def takes(self, text: str) -> bool:
        """Whether a text has its texts where they stand. Reads it once: if it can be divided at all, it can where each text
        comes first."""
        if not text.startswith(self._first) or not text.endswith(self._last):
            return False
        place, end = len(self._first), len(text) - len(self._last)
        for literal in self._between:
            place = text.find(literal, place + 1, end)
            if place < 0:
                return False
            place += len(literal)
        return place < end

    def misfit(self, text: str, fits: Sequence[Fits | None]) -> int | None:
        """None where a text that it takes can be divided so that each parameter fits, of which None fits always; else the
        number of the first that does not, however the text is divided. One that has not by `MAX_STEPS` does not."""
        steps = MAX_STEPS
        end = len(text) - len(self._last)
        starts = [len(self._first)]  # where the parameter may begin, with all before it fitting
        for number, fit in enumerate(fits):
            literal = self._between[number] if number < len(self._between) else None
            following: list[int] = []
            for stop in (end,) if literal is None else _places(text, literal, starts[0] + 1, end):
                for start in starts:
                    if start >= stop:
                        break
                    if fit is not None:
                        steps -= stop - start + _EACH
                        if steps < 0:
                            return number
                        if not fit(text[start:stop]):
                            continue
                    following.append(stop + len(literal or ""))
                    break
            if not following:
                return number
            starts = following
        return None


def _places(text: str, literal: str, start: int, end: int) -> list[int]:
    found = []
    place = text.find(literal, start, end)
    while place >= 0:
        found.append(place)
        place = text.find(literal, place + 1, end)
    return found
