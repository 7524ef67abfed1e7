"""A description's text in YAML or JSON, to values with their places. Hostile text is bounded: its size, its depth, what its
aliases grow to."""

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from posixpath import normpath
from typing import Any, Final
from urllib.parse import unquote

from gateway.config import document
from gateway.config.problem import ConfigurationError, Marks, Path, Position, Problem

MAX_BYTES: Final = 16 << 20
MAX_VALUES: Final = 1_000_000

UNCHECKED: Final = "unchecked"
UNCHECKED_XPATH: Final = "unchecked_xpath"
UNCHECKED_XML: Final = "unchecked_xml"
UNCHECKED_ASSERT: Final = "unchecked_assert"
UNCHECKED_ROLE: Final = "unchecked_role"
"""Codes of what a description asks of requests and nobody here looks at."""


class Source:
    """A text that has been read; what is wrong with it is collected."""

    def __init__(self, file: str, value: Any, marks: Marks | None, text: str) -> None:
        self.file = file
        self.value = value
        self.problems: list[Problem] = []
        self.unchecked: list[Problem] = []
        self._marks = marks
        self._text = text

    def position(self, path: Path) -> Position:
        return self._found.position(path)

    def wrong(self, path: Path, message: str, code: str = "description") -> None:
        """Notes that something at a place cannot stand."""
        self.problems.append(Problem(*self.position(path), code, message, pointer(path)))

    def not_checked(self, path: Path, message: str) -> None:
        """Notes that something at a place is asked of requests, and that nobody here looks at it."""
        self.unchecked.append(Problem(*self.position(path), UNCHECKED, message, pointer(path)))

    @cached_property
    def _found(self) -> Marks:
        return self._marks if self._marks is not None else _json_marks(self._text, self.file)


def read_source(data: bytes, file: str) -> Source:
    """Reads it. Raises ConfigurationError."""
    text = document.decode(data, file, MAX_BYTES)
    if text.lstrip(" \t\r\n").startswith("{"):
        return Source(file, _json(text, file), None, text)
    found = document.read(text, file, None, MAX_VALUES)
    if found.problems:
        raise ConfigurationError(found.problems)
    return Source(file, found.value, found.marks, text)


def _json(text: str, file: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problem = Problem(file, error.lineno, error.colno, "syntax", f"not JSON: {error.msg}")
    except RecursionError:
        problem = Problem(file, 1, 1, "depth", f"nested more than {document.MAX_DEPTH} deep")
    except ValueError as error:
        problem = Problem(file, 1, 1, "syntax", f"not JSON: {error}")
    else:
        bound = _beyond_bounds(value)
        if bound is None:
            return value
        problem = Problem(file, 1, 1, *bound)
    raise ConfigurationError([problem])


_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]++')


def _json_marks(text: str, file: str) -> Marks:
    """Where the values of a JSON text stand, which has been read already: its reader knows no places."""
    lines = [0, *(match.end() for match in re.finditer("\n", text))]
    places: dict[Path, tuple[int, int]] = {}
    above: list[tuple[Path, bool, Any]] = []
    container: Path = ()
    in_list = key_next = False
    key: Any = None  # of the value that comes next, or its number in a list
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign == ":":
            key_next = False
        elif sign == ",":
            if in_list:
                key += 1
            key_next = not in_list
        elif sign in ("}", "]"):
            container, in_list, key = above.pop()
        else:
            line = bisect_right(lines, match.start())
            place = line, match.start() - lines[line - 1] + 1
            if key_next:
                key = json.loads(sign)
            here = (*container, key) if above else ()
            if key_next or in_list or not above:
                places[here] = place
            if sign in ("{", "["):
                above.append((container, in_list, key))
                container, in_list, key, key_next = here, sign == "[", 0, sign == "{"
    return Marks(file, places)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {repeated[:80]!r} twice")
    return made


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _beyond_bounds(value: Any) -> tuple[str, str] | None:
    """Code and message where it is too deep or has too many values."""
    count, depth, level = 0, 0, [value]
    while level:
        count += len(level)
        if count > MAX_VALUES:
            return "too_many_values", f"more than {MAX_VALUES} values"
        if depth > document.MAX_DEPTH:
            return "depth", f"nested more than {document.MAX_DEPTH} deep"
        following: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                following.extend(item.values())
            elif isinstance(item, list):
                following.extend(item)
        level = following
        depth += 1
    return None


def is_beside(name: str) -> bool:
    """Whether it names a file in the same directory as what names it, or below: nothing else is ever read."""
    path = normpath(name)
    return ":" not in name and "\\" not in name and not path.startswith(("/", "..")) and path != "."


def pointer(path: Sequence[str | int]) -> str:
    """`path` as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def path_of(reference: Any) -> Path | None:
    """The parts of a reference to a place in the same document (RFC 6901 section 6); None for another."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    text = unquote(reference[1:])
    if text and not text.startswith("/"):
        return None
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def typed(value: Any, path: Path) -> Path | None:
    """The same path with the places of lists as numbers; None where it leads nowhere."""
    found: list[str | int] = []
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
            found.append(part)
        elif isinstance(value, list) and str(part).isdecimal() and int(part) < len(value):
            value = value[int(part)]
            found.append(int(part))
        else:
            return None
    return tuple(found)


def at(value: Any, path: Path) -> Any:
    """What stands at a path; None where there is nothing."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value
