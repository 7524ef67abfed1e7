"""The rows of `rbac` by the paths that they have: a tree of segments for the templates, a list for the regular expressions.

Segments are compared percent-decoded, so that no spelling of a path is a way around a row: `/%61dmin` is `/admin`, and
`/a%3Ab` is `/a:b`, as they are to what serves them. A look-up goes down the tree once, however many rows there are.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from gateway.http.target import decode
from gateway.http.template import Segment, parse


class Reading(NamedTuple):
    """A path as it is judged.

    segments  between the slashes, percent-decoded; a slash within one is there as "/"
    text      of the whole, for regular expressions; a slash within a segment is there as "%2F"
    """

    segments: list[str]
    text: str


class Node:
    """A place in the tree: the rows that end here, those that take all that is left, and what may follow."""

    __slots__ = ("literals", "parameter", "rest", "rows")

    def __init__(self) -> None:
        self.literals: dict[str, Node] = {}
        self.parameter: Node | None = None
        self.rest: list[int] = []
        self.rows: list[int] = []


class Table:
    """Finds the rows of a path. Rows are known by their number."""

    def __init__(self) -> None:
        self._root = Node()
        self._everything: list[int] = []
        self._regexes: list[tuple[int, re.Pattern[str]]] = []

    def add_template(self, number: int, template: str) -> None:
        segments = parse(template)
        if len(segments) == 1 and segments[0].rest:
            self._everything.append(number)  # "/" too, which no other `{rest*}` takes
            return
        node = self._root
        for segment in segments:
            if segment.rest:
                node.rest.append(number)
                return
            if segment.literal is not None:
                node = node.literals.setdefault(decode(segment.literal), Node())
            else:
                node.parameter = node = node.parameter or Node()
        node.rows.append(number)

    def add_regex(self, number: int, pattern: re.Pattern[str]) -> None:
        self._regexes.append((number, pattern))

    @property
    def has_regexes(self) -> bool:
        return bool(self._regexes)

    def rows(self, reading: Reading) -> list[int]:
        """The numbers of the rows that have the path, in order."""
        found = list(self._everything)
        nodes = [self._root]
        last = len(reading.segments) - 1
        for place, segment in enumerate(reading.segments):
            following: list[Node] = []
            for node in nodes:
                if node.rest and (segment or place < last):
                    found += node.rest
                literal = node.literals.get(segment)
                if literal is not None:
                    following.append(literal)
                if node.parameter is not None and segment:
                    following.append(node.parameter)
            nodes = following
            if not nodes:
                break
        for node in nodes:
            found += node.rows
        for number, pattern in self._regexes:
            if pattern.fullmatch(reading.text) is not None:
                found.append(number)
        if len(found) > 1:
            found.sort()
        return found


def covers(earlier: Sequence[Segment], later: Sequence[Segment]) -> bool:
    """Whether the template `earlier` has every path that `later` has."""
    for place, segment in enumerate(earlier):
        if segment.rest:
            if len(earlier) == 1:
                return True
            left = later[place:]
            return len(left) > 1 or (
                len(left) == 1 and left[0].literal != ""
            )  # it takes one character at least
        if place >= len(later):
            return False
        other = later[place]
        if segment.literal is not None:
            if other.literal is None or decode(other.literal) != decode(segment.literal):
                return False
        elif other.rest or other.literal == "":
            return False
    return len(earlier) == len(later)
