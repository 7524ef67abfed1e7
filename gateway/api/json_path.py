"""Paths into JSON, a small part of JSONPath (RFC 9535): `$`, `.name`, `['name']`, `[2]`, `[*]` and `..name`.

Nothing here recurses: what is looked at is a client's.
"""

import re
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator

_NAME: Final = r"[A-Za-z_\u0080-\uffff][\w\u0080-\uffff-]*"
_STEP: Final = re.compile(
    rf"\.\.(?P<deep>{_NAME})|\.(?P<name>{_NAME})|\['(?P<quoted>[^'\\]*)'\]|\[(?P<index>\d{{1,6}})\]|(?P<all>\[\*\])"
)


class Step(NamedTuple):
    """From values to values inside them.

    name    of a member; None where it is not by name
    number  of an element; None where it is not by number
    deep    whether the member may be at any depth
    """

    name: str | None = None
    number: int | None = None
    deep: bool = False


Path = tuple[Step, ...]


def parse_path(text: str) -> Path:
    """The steps of a path. Raises ValueError that says where it cannot be read."""
    if text[:1] != "$":
        raise ValueError(f"a path into JSON begins with '$', got {text!r}")
    steps: list[Step] = []
    place = 1
    while place < len(text):
        match = _STEP.match(text, place)
        if match is None:
            raise ValueError(
                f"expected .name, ['name'], [2], [*] or ..name at character {place + 1} of {text!r}"
            )
        if match["deep"] is not None:
            steps.append(Step(match["deep"], deep=True))
        elif match["index"] is not None:
            steps.append(Step(number=int(match["index"])))
        elif match["all"] is not None:
            steps.append(Step())
        else:
            steps.append(Step(match["name"] if match["name"] is not None else match["quoted"]))
        place = match.end()
    return tuple(steps)


def _readable(text: str) -> str:
    parse_path(text)
    return text


JsonPath = Annotated[str, AfterValidator(_readable)]
"""A path, as an option."""


class Place(NamedTuple):
    """Where a value is: in a container, under a key."""

    container: Any
    key: Any


def places(root: list[Any], path: Path) -> list[Place]:
    """Where the values are that the path leads to, each once; `root` is a list of nothing but the whole document."""
    found = [Place(root, 0)]
    for step in path:
        following: list[Place] = []
        known: set[int] = set()
        for container, key in found:
            following += _inside(container[key], step, known)
        found = following
    return found


def _inside(value: Any, step: Step, known: set[int]) -> list[Place]:
    """`known` are the containers that have been looked into at any depth: values that lie in one another share what is inside,
    and would have it looked at as often as there are ways to it."""
    if step.deep:
        return [
            place
            for place in _walk(value, known)
            if place.key == step.name and isinstance(place.container, dict)
        ]
    if step.name is not None:
        return [Place(value, step.name)] if isinstance(value, dict) and step.name in value else []
    if step.number is not None:
        return [Place(value, step.number)] if isinstance(value, list) and step.number < len(value) else []
    return _members(value)


def _members(value: Any) -> list[Place]:
    if isinstance(value, dict):
        return [Place(value, key) for key in value]
    return [Place(value, index) for index in range(len(value))] if isinstance(value, list) else []


def walk(value: Any) -> list[Place]:
    """Where all values are that are inside this one, at any depth; an outer one before those inside it."""
    return _walk(value, set())


def _walk(value: Any, known: set[int]) -> list[Place]:
    found = _new_members(value, known)
    for container, key in found:  # which grows on the way
        found += _new_members(container[key], known)
    return found


def _new_members(value: Any, known: set[int]) -> list[Place]:
    if not isinstance(value, (dict, list)) or id(value) in known:
        return []
    known.add(id(value))
    return _members(value)


def depth(value: Any) -> int:
    """How many containers stand around what is deepest."""
    level, deepest = [value], 0
    while True:
        level = [
            item
            for outer in level
            if isinstance(outer, (dict, list))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return deepest
        deepest += 1
