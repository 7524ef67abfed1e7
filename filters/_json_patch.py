"""JSON Patch (RFC 6902) on paths that are JSON Pointers (RFC 6901)."""

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.api import Options

Pointer = tuple[str, ...]

_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


def parse_pointer(text: str) -> Pointer:
    """The tokens of a pointer. Raises ValueError for what is none."""
    if text and not text.startswith("/"):
        raise ValueError(f"a JSON Pointer is empty or begins with '/', got {text!r}")
    if _BAD_ESCAPE.search(text):
        raise ValueError(f"in a JSON Pointer '~' is written ~0, and '/' in a name ~1: got {text!r}")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:])


def _pointer(text: str) -> str:
    parse_pointer(text)
    return text


PointerText = Annotated[str, AfterValidator(_pointer)]


class Operation(Options):
    """One operation of a patch."""

    op: Literal["add", "remove", "replace", "move", "copy", "test"] = Field(description="What is done.")
    path: PointerText = Field(description="Where: a JSON Pointer, such as /server/name or /items/0.")
    from_: PointerText | None = Field(None, alias="from", description="Of move and copy: from where.")
    value: Any = Field(None, description="Of add, replace and test: any value of JSON.")

    @model_validator(mode="after")
    def _has_its_members(self) -> "Operation":
        given = self.model_fields_set
        if (self.op in ("add", "replace", "test")) != ("value" in given):
            raise ValueError(
                f"{self.op} needs value" if "value" not in given else f"{self.op} takes no value"
            )
        if (self.op in ("move", "copy")) != (self.from_ is not None):
            raise ValueError(f"{self.op} needs from" if self.from_ is None else f"{self.op} takes no from")
        if self.op == "move" and self.from_ is not None and self.path.startswith(f"{self.from_}/"):
            raise ValueError("what is moved cannot become a part of itself")
        if self.op == "remove" and not self.path:
            raise ValueError("the whole document cannot be removed")
        _check_value(self.value)
        return self


def _check_value(value: Any) -> None:
    """Raises ValueError for what YAML knows and JSON does not, a date, say."""
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise ValueError("the names of an object are text")
        for item in value.values():
            _check_value(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_value(item)
    elif not isinstance(value, (str, int, float, bool, type(None))) or (
        isinstance(value, float) and not abs(value) < float("inf")
    ):
        raise ValueError(f"{value!r} is no value of JSON")


class PatchFailed(Exception):  # noqa: N818 - it says what has happened
    """An operation does not fit the document.

    place  which one, counted from 0
    """

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


class Patch:
    """Operations that are applied to many documents."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._steps = tuple(
            (
                operation.op,
                parse_pointer(operation.path),
                () if operation.from_ is None else parse_pointer(operation.from_),
                _plain(operation.value),
            )
            for operation in operations
        )

    def apply(self, document: Any) -> Any:
        """The document after all of them; what is given is changed on the way. Raises PatchFailed."""
        for place, (op, path, source, value) in enumerate(self._steps):
            try:
                if op == "test":
                    if not _equal(_found(document, path), value):
                        raise _Unfit("the value is another")
                elif op == "remove":
                    document, _ = _without(document, path)
                elif op == "replace":
                    _found(document, path)
                    document = _with(document, path, deepcopy(value), instead=True)
                elif op == "add":
                    document = _with(document, path, deepcopy(value))
                elif op == "copy":
                    document = _with(document, path, deepcopy(_found(document, source)))
                elif path == source:
                    _found(document, path)
                else:
                    document, moved = _without(document, source)
                    document = _with(document, path, moved)
            except _Unfit as error:
                raise PatchFailed(place, str(error)) from None
        return document


class _Unfit(Exception):  # noqa: N818 - it says what is wrong
    """A pointer leads nowhere, or the value there is another."""


def _plain(value: Any) -> Any:
    """What a frozen option holds, as a reader of JSON would give it."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _key(container: Any, token: str, *, end: bool = False) -> str | int:
    """The key of a token in a container; one past the last index only where `end` says so."""
    if isinstance(container, dict):
        return token
    if isinstance(container, list):
        if token == "-" and end:  # noqa: S105 - a token of a pointer
            return len(container)
        if _INDEX.fullmatch(token) and int(token) < len(container) + end:
            return int(token)
        raise _Unfit("there is no such element")
    raise _Unfit("there is nothing inside of a plain value")


def _found(document: Any, path: Pointer) -> Any:
    for token in path:
        key = _key(document, token)
        if isinstance(document, dict) and key not in document:
            raise _Unfit("there is no such member")
        document = document[key]
    return document


def _with(document: Any, path: Pointer, value: Any, *, instead: bool = False) -> Any:
    if not path:
        return value
    container = _found(document, path[:-1])
    key = _key(container, path[-1], end=not instead)
    if isinstance(container, list) and not instead:
        assert isinstance(key, int)
        container.insert(key, value)
    else:
        container[key] = value
    return document


def _without(document: Any, path: Pointer) -> tuple[Any, Any]:
    """The document, and what is no longer in it."""
    taken = _found(document, path)
    if not path:
        return None, taken
    container = _found(document, path[:-1])
    del container[_key(container, path[-1])]
    return document, taken


def _equal(one: Any, other: Any) -> bool:
    """By section 4.6: numbers by their value, and neither of them is a truth value."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    # No text equals a number, in Python as in JSON.
    return bool(one == other)
