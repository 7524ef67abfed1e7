r"""Patterns that no linear engine takes, as those that look ahead or back: how long the texts may be that they are held against.

Such an engine goes back, and counts how often. What it does between is not counted: a pattern that may begin anywhere, such as
`(?!admin)\w+@example\.com$`, is tried at each place of a text, and each time to its end, so that the time grows with the square
of the length: 3,000 characters take about 7 ms. One that begins at the start is tried once.

A format before each such pattern asks whether a text is too long for it, and adds up the texts of one value.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

LONGEST: Final = 3_000
"""Characters of a text that a pattern may begin anywhere in."""
LONGEST_FROM_START: Final = 16_384
"""Characters of a text that is tried from its start alone."""
_TOTAL: Final = 20_000_000
"""Of all texts of one value together, the squares of their characters; about 20 ms."""
_CHEAPER: Final = 16
"""How many times less a text is counted for that is tried from its start alone."""
ANYWHERE: Final = "weir-backtracking"
FROM_START: Final = "weir-backtracking-from-start"

DATA: Final = ("const", "enum", "default", "example", "examples")
"""Words of a schema with values."""
NAMED: Final = ("properties", "patternProperties", "dependentSchemas", "$defs")
"""Words of a schema with schemas by name."""
_LOOK: Final = re.compile(r"\(\?<?[=!]")
_REPEATED: Final = re.compile(r"[*+{]")


class Texts:
    """The texts of one value that such patterns are held against.

    is_over  whether one of them was too long, or all together: what then is told of the value means nothing
    """

    def __init__(self) -> None:
        self.is_over = False
        self._left = _TOTAL

    def begin(self) -> None:
        """Begins another value."""
        self.is_over = False
        self._left = _TOTAL

    @property
    def formats(self) -> Mapping[str, Callable[[str], bool]]:
        """What is to be asked before a pattern, by the names that `guarded` gives them."""
        return {ANYWHERE: self._anywhere, FROM_START: self._from_start}

    def _anywhere(self, text: str) -> bool:
        return self._takes(len(text) <= LONGEST, len(text) ** 2)

    def _from_start(self, text: str) -> bool:
        return self._takes(len(text) <= LONGEST_FROM_START, len(text) ** 2 // _CHEAPER)

    def _takes(self, is_short: bool, costs: int) -> bool:
        self._left -= costs
        if not is_short or self._left < 0:
            self.is_over = True
        return not self.is_over


def guarded(schema: Any, is_linear: Callable[[str], bool]) -> Any:
    """The same schema, that asks for the format of a text before it holds a pattern against it which is not linear."""
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word in DATA:
            made[word] = value
        elif word in NAMED and isinstance(value, dict):
            made[word] = {name: guarded(part, is_linear) for name, part in value.items()}
        elif isinstance(value, list):
            made[word] = [guarded(part, is_linear) for part in value]
        else:
            made[word] = guarded(value, is_linear)
    pattern = made.get("pattern")
    if isinstance(pattern, str) and not is_linear(pattern):
        del made["pattern"]
        asked = {"if": {"format": _format(pattern)}, "then": {"pattern": pattern}, "else": False}
        made["allOf"] = [*made.get("allOf", ()), asked]
    names = [name for name in made.get("patternProperties", ()) if not is_linear(name)]
    if names:
        every = {"allOf": [{"format": _format(name)} for name in names]}
        made = {"if": {"propertyNames": every}, "then": made, "else": False}
    return made


def _format(pattern: str) -> str:
    return FROM_START if begins_at_start(pattern) else ANYWHERE


def begins_at_start(pattern: str) -> bool:
    """Whether a pattern is plainly tried from the start of a text alone, and looks far ahead or back only there."""
    if not pattern.startswith("^"):
        return False
    place, depth, is_first = 1, 0, True
    while place < len(pattern):
        one = pattern[place]
        look = _LOOK.match(pattern, place)
        if look is not None:
            end = _end(pattern, place)
            if not is_first and _REPEATED.search(pattern, look.end(), end):
                return False
            place = end
            continue
        if one == "\\":
            place += 1
        elif one == "[":
            place = _class_end(pattern, place)
        elif one == "(":
            depth += 1
        elif one == ")":
            depth -= 1
        elif one == "|" and depth == 0:
            return False
        is_first = False
        place += 1
    return True


def _end(pattern: str, place: int) -> int:
    """What follows a group that begins there."""
    depth = 0
    while place < len(pattern):
        one = pattern[place]
        if one == "\\":
            place += 1
        elif one == "[":
            place = _class_end(pattern, place)
        elif one in "()":
            depth += 1 if one == "(" else -1
            if depth == 0:
                return place + 1
        place += 1
    return place


def _class_end(pattern: str, place: int) -> int:
    """Where the class of characters ends that begins there."""
    place += 2 if pattern.startswith("[^", place) else 1
    place += pattern.startswith("]", place)
    while place < len(pattern) and pattern[place] != "]":
        place += 2 if pattern[place] == "\\" else 1
    return place
