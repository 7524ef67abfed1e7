"""Types for options that are regular expressions to judge paths by, none of which can be made to run for long.

Python's engine tries every way to divide a text among repeats, and knows no deadline. So what stands inside a repeat
may not vary, or the time is exponential in the length of the path; and no more than two repeats may vary side by side,
or it is a higher power than the square: those that cannot take a `/` are side by side as long as none comes between.
A possessive repeat (`++`, `*+`) or an atomic group gives nothing back, and is free. With paths of at most `LONGEST`
characters that bounds what one match may cost.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, WithJsonSchema

LONGEST: Final = 2048
"""Characters of a path that is still matched."""

# What the engine makes of an expression; typeshed does not know of them.
kinds: Any = import_module("re._constants")
parser: Any = import_module("re._parser")

_SIDE_BY_SIDE: Final = 2

_GIVES_BACK = (kinds.MAX_REPEAT, kinds.MIN_REPEAT)
_KEEPS = (kinds.POSSESSIVE_REPEAT, kinds.ATOMIC_GROUP)


def compile_path(text: str) -> re.Pattern[str]:
    """The expression, to `fullmatch` a path. Its `.` takes line ends too: no character of a path is beyond it."""
    return re.compile(text, re.DOTALL)


def check_path(text: str) -> str:
    """The expression. Raises ValueError for what is none, and for one that could be made to run for long."""
    try:
        compile_path(text)
        tree = parser.parse(text, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None
    _walk(tree, _Beside(0, 0), within=False)
    return text


class _Beside(NamedTuple):
    """Repeats that vary, met so far: those that may take a "/", and others since the last "/"."""

    wide: int
    narrow: int


def _walk(tree: Any, beside: _Beside, *, within: bool) -> _Beside:
    """What has been met when the expression is over; `within` says that it stands inside a repeat.

    Raises ValueError for what may run for long.
    """
    for kind, value in tree:
        if kind in _GIVES_BACK:
            low, high, body = value
            if within and high != low:
                raise ValueError(
                    "what varies inside a repeat may match for ever: make it possessive, as in (?:/[^/]++)*"
                )
            after = _walk(body, beside, within=within or high > 1)
            if high > 1 and high != low:
                wide = _takes_slash(body)
                beside = _Beside(beside.wide + wide, beside.narrow + (not wide))
            else:
                beside = after if low else _most((beside, after))
        elif kind is kinds.BRANCH:
            if within:
                raise ValueError("alternatives inside a repeat may match for ever: put them in (?>...)")
            beside = _most(tuple(_walk(part, beside, within=within) for part in value[1]))
        elif kind is kinds.LITERAL:
            if value == ord("/"):
                beside = _Beside(beside.wide, 0)
        elif kind not in _KEEPS:
            for part in _parts(kind, value):
                beside = _walk(part, beside, within=within)
        if sum(beside) > _SIDE_BY_SIDE:
            raise ValueError(
                f"more than {_SIDE_BY_SIDE} repeats side by side may match for very long: write [^/]+ for a segment"
            )
    return beside


def _most(found: Sequence[_Beside]) -> _Beside:
    return _Beside(max(one.wide for one in found), max(one.narrow for one in found))


def _parts(kind: Any, value: Any) -> list[Any]:
    """The expressions inside one item that is neither a repeat nor a choice."""
    if kind is kinds.SUBPATTERN:
        return [value[3]]
    if kind in (kinds.ASSERT, kinds.ASSERT_NOT):
        return [value[1]]
    if kind is kinds.GROUPREF_EXISTS:
        return [part for part in value[1:] if part is not None]
    return []


def _takes_slash(body: Any) -> bool:
    """Whether a repeat's body may match a "/": for certain not where it is one character that is none."""
    if len(body) == 1:
        kind, value = body[0]
        if kind is kinds.LITERAL:
            return bool(value == ord("/"))
        if kind is kinds.NOT_LITERAL:
            return bool(value != ord("/"))
        if kind is kinds.IN:
            return _class_takes_slash(value)
    return True


def _class_takes_slash(items: Any) -> bool:
    negated = False
    for kind, value in items:
        if kind is kinds.NEGATE:
            negated = True
        elif (
            (kind is kinds.LITERAL and value == ord("/"))
            or (kind is kinds.RANGE and value[0] <= ord("/") <= value[1])
            or (kind is kinds.CATEGORY and value in _WITH_SLASH)
        ):
            return not negated
    return negated


_WITH_SLASH = (kinds.CATEGORY_NOT_DIGIT, kinds.CATEGORY_NOT_SPACE, kinds.CATEGORY_NOT_WORD)

PathRegex = Annotated[str, AfterValidator(check_path), WithJsonSchema({"type": "string", "format": "regex"})]
"""A regular expression for a whole path."""
