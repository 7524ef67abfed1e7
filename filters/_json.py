"""JSON that no two readers take for two things: how deep it nests, and whether an object names a key twice."""

import re
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
    """Raises TooDeep. Before any parser sees the text: a parser recurses, and hostile depth ends in its limit instead."""
    if raw.count(b"[") + raw.count(b"{") > most and _depth(raw) > most:
        raise TooDeep


def check_keys(raw: bytes, document: Any) -> None:
    """Raises DuplicateKey where `document`, which a reader that keeps the last of two equal keys has made of `raw`, lacks one.

    Every member has a colon outside of strings: where there are no more of them than the document has members, no member
    was dropped.
    """
    members = _members(document)
    if raw.count(b":") != members and _STRING.sub(b"", raw).count(b":") != members:
        raise DuplicateKey


def loads(raw: bytes, most: int) -> Any:
    """The document, which nests `most` deep. Raises TooDeep, DuplicateKey, and ValueError for what is not strict JSON, or has a
    number beyond a double."""
    check_depth(raw, most)
    document = orjson.loads(raw)
    check_keys(raw, document)
    return document


def _depth(raw: bytes) -> int:
    """How deep the brackets outside of strings nest: never less than a parser gets before it finds an error."""
    steps = _STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


def _members(document: Any) -> int:
    """How many members the objects of a document have, all told."""
    count = 0
    pending = [document]
    for value in pending:
        if type(value) is dict:
            count += len(value)
            pending.extend(value.values())
        elif type(value) is list:
            pending.extend(value)
    return count
