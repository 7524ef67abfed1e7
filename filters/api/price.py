"""What it costs to hold a value against the words of one schema, in nanoseconds: roughly what the validator took when measured.

Most words take about as long as a look at a type. These do not: a value is compared one by one with the numbers, lists and
objects of an `enum` that are not all integers, the worst of all with fractions; a pattern takes as long as a text is long, and as
many times as there are places that it can be at; the items of a list that must all differ are compared with one another.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from filters.api.place import places

KINDS: Final[tuple[type, ...]] = (dict, list, str, int, float, bool, type(None))
"""The types of values."""
MISFIT: Final = 5
"""What a value costs whose type does not fit."""
_LOOK: Final = 5
_WORD: Final = 10
_NAME: Final = 5
_MEMBER: Final = 20
_MULTIPLE: Final = 500
_FORMAT: Final = 100
_PLACE: Final = 10
"""Of a character, for each place of a pattern that it may be at."""
_BACK: Final = 1500
"""Of a text that is held against a pattern which goes back; what it takes more is bounded by itself."""
_HASHED: Final = 12
_INTEGER: Final = 130
_FRACTION: Final = 950
_TEXT: Final = 8
_OTHER: Final = 4
_COMPOSED: Final = 140
_UNLIKE: Final = 150
_UNLIKE_FRACTION: Final = 1300
_FEW: Final = 15
_NUMBERS: Final = (int, float)
_OF_KIND: Final[Mapping[type, Sequence[str]]] = {
    dict: ("minProperties", "maxProperties", "dependentRequired", "dependentSchemas"),
    list: ("minItems", "maxItems", "minContains", "maxContains"),
    str: ("minLength", "maxLength"),
    int: ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    float: ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}


class Price(NamedTuple):
    """What a value of one type costs, without what is inside it.

    base    of any such value
    char    more, of each character of a text
    each    more, of each member or item
    name    more, of each character of the names of its members
    unlike  how often its items are compared with one another
    """

    base: int
    char: int = 0
    each: int = 0
    name: int = 0
    unlike: int = 0


def price_of(schema: Mapping[str, Any], kind: type) -> Price:
    """What a value of that type costs."""
    base = _LOOK + sum(_WORD for word in _OF_KIND.get(kind, ()) if word in schema)
    char = each = name = unlike = 0
    if "const" in schema:
        base += compared([schema["const"]], kind)
    if "enum" in schema:
        base += compared(schema["enum"], kind)
    if kind is dict:
        base += _NAME * len(schema.get("required", ()))
        each += _WORD * ("properties" in schema) + _MEMBER * sum(
            word in schema for word in ("additionalProperties", "propertyNames", "unevaluatedProperties")
        )
        patterns = schema.get("patternProperties", ())
        each += _MEMBER * len(patterns) + sum(_BACK for one in patterns if not places(one))
        name += _PLACE * sum(places(one) for one in patterns)
    elif kind is list:
        each += _WORD * ("contains" in schema) + _MEMBER * ("unevaluatedItems" in schema)
        unlike += bool(schema.get("uniqueItems"))
    elif kind is str:
        base += _FORMAT * ("format" in schema)
        char += "format" in schema
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            base += _WORD if places(pattern) else _BACK
            char += _PLACE * places(pattern)
    elif kind in _NUMBERS and "multipleOf" in schema:
        base += _MULTIPLE
    return Price(base, char, each, name, unlike)


def compared(values: Sequence[Any], kind: type) -> int:
    """What it costs to tell whether a value of that type is one of these."""
    types = {type(value) for value in values if value is not None}
    if types == {str} or (types == {int} and len(values) > 1 and kind is not float):
        return _HASHED
    return sum(_comparison(value, kind) for value in values)


def _comparison(value: Any, kind: type) -> int:
    if kind in _NUMBERS and type(value) in _NUMBERS:
        return _INTEGER if type(value) is int and kind is int else _FRACTION
    if type(value) is not kind:
        return _OTHER
    return _COMPOSED * size(value) if kind in (dict, list) else _TEXT


def unlike(items: Sequence[Any]) -> int:
    """What it costs to tell whether all items of a list differ."""
    one, parts = _UNLIKE, 0
    pending: list[Any] = list(items)
    for part in pending:  # which grows meanwhile
        parts += 1
        if type(part) is float:
            one = _UNLIKE_FRACTION
        elif type(part) is dict:
            pending.extend(part.values())
        elif type(part) is list:
            pending.extend(part)
    return parts * one * (len(items) // 2 + 1 if len(items) <= _FEW else 1)


def size(value: Any) -> int:
    """The parts of a value, itself among them."""
    parts = [value]
    for part in parts:  # which grows meanwhile
        if type(part) is dict:
            parts.extend(part.values())
        elif type(part) is list:
            parts.extend(part)
    return len(parts)
