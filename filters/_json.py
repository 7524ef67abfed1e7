"""JSON that no two readers take for two things: how deep it nests, and whether an object names a key twice."""

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import orjson


class TooDeep(Exception):  # noqa: N818 - it names what was found
    """Arrays and objects nest too deep."""


class DuplicateKey(Exception):  # noqa: N818 - it names what was found
    """An object names a key twice."""


# A string, also one that never ends. Possessive and without a way to fail, so that hostile text is read once.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def check_depth(raw: bytes, most: int) -> None:
    """Raises TooDeep, also of a text that is no JSON, so that a parser which recurses need not see it first."""
    if raw.count(b"[") + raw.count(b"{") > most and _depth(raw) > most:
        raise TooDeep


def check_keys(raw: bytes, document: Any) -> None:
    """Raises DuplicateKey where `document`, which a reader that keeps the last of two equal keys has made of `raw`, lacks one.

    Every member has a colon outside of strings: where there are no more of them than the document has members, no member
    was dropped.
    """
    members, _ = _counted(document)
    if raw.count(b":") != members and _names_twice(raw, members):
        raise DuplicateKey


def loads(raw: bytes, most: int) -> Any:
    """The document, which nests `most` deep. Raises TooDeep, DuplicateKey, and ValueError for what is not strict JSON, or has a
    number beyond a double."""
    try:
        document = orjson.loads(raw)  # no hostile depth is followed: it gives up at 1024 levels
    except ValueError:
        check_depth(raw, most)
        raise
    members, containers = _counted(document)
    if raw.count(b":") != members and _names_twice(raw, members):
        check_depth(raw, most)
        raise DuplicateKey
    if containers > most:  # fewer cannot nest deeper
        check_depth(raw, most)
    return document


def _depth(raw: bytes) -> int:
    """How deep the brackets outside of strings nest: never less than a parser gets before it finds an error."""
    steps = _STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


def _names_twice(raw: bytes, members: int) -> bool:
    return _STRING.sub(b"", raw).count(b":") != members


def _counted(document: Any) -> tuple[int, int]:
    """How many members the objects of a document have, all told, and how many objects and arrays there are."""
    members = 0
    containers: list[Any] = [document] if type(document) is dict or type(document) is list else []
    for container in containers:  # which grows meanwhile
        values: Iterable[Any] = container
        if type(container) is dict:
            members += len(container)
            values = container.values()
        for value in values:
            if type(value) is str:  # as most are
                continue
            if type(value) is dict or type(value) is list:
                containers.append(value)
    return members, len(containers)
