"""Finds what stands at a path: a tree of segments. A literal is more specific than a segment that is one in part, and that than a
parameter; what begins more specifically comes first. Segments are compared percent-decoded."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from gateway.description.model import Segment
from gateway.description.split import Form

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("literals", "mixed", "parameter", "values")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.mixed: dict[Segment, tuple[Form, _Node[T]]] = {}
        self.parameter: _Node[T] | None = None
        self.values: list[T] = []


class Matcher(Generic[T]):
    """Values by the paths that they stand at."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def at(self, segments: Sequence[Segment]) -> list[T]:
        """What stands at paths of exactly this shape, to be added to."""
        node = self._root
        for segment in segments:
            if len(segment) == 1:
                node = node.literals.setdefault(segment[0], _Node())
            elif segment[0] or segment[2:] != ("",):
                node = node.mixed.setdefault(segment[::2], (Form(segment), _Node()))[1]
            else:
                node.parameter = node = node.parameter or _Node()
        return node.values

    def find(self, parts: Sequence[str]) -> list[T]:
        """What stands at a path, the most specific first; of one shape in the order in which it was added."""
        node = self._root
        for part in parts:  # as long as there is one way to go, which is nearly always
            following = node.literals.get(part)
            if node.mixed or (following is not None and node.parameter is not None):
                return self._find_all(parts)
            if following is None:
                following = node.parameter if part else None
                if following is None:
                    return []
            node = following
        return node.values

    def _find_all(self, parts: Sequence[str]) -> list[T]:
        nodes = [self._root]
        for part in parts:
            following: list[_Node[T]] = []
            for node in nodes:
                literal = node.literals.get(part)
                if literal is not None:
                    following.append(literal)
                if node.mixed:
                    following += [child for form, child in node.mixed.values() if form.takes(part)]
                if node.parameter is not None and part:
                    following.append(node.parameter)
            nodes = following
            if not nodes:
                return []
        if len(nodes) == 1:
            return nodes[0].values
        return [value for node in nodes for value in node.values]
