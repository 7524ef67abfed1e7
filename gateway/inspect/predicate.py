"""A query as a test of one record: for what comes in as it is written."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from gateway.inspect.field import Field, Record
from gateway.inspect.grammar import And, Compare, Not, Or, Query

Predicate: TypeAlias = Callable[[Record], bool]


def predicate(query: Query) -> Predicate:
    """Says whether a record is asked for."""
    match query:
        case And(parts):
            tests = [predicate(part) for part in parts]
            return lambda record: all(test(record) for test in tests)
        case Or(parts):
            tests = [predicate(part) for part in parts]
            return lambda record: any(test(record) for test in tests)
        case Not(part):
            test = predicate(part)
            return lambda record: not test(record)
        case Compare(field, operator, values):
            return _comparison(field, operator, values)


def _comparison(field: Field, operator: str, values: Sequence[Any]) -> Predicate:
    if operator == "null":
        return lambda record: field.value(record) is None
    holds = _HOLDS[operator]
    if field.kind == "texts":
        return lambda record: any(holds(value, values) for value in field.value(record) or ())

    def test(record: Record) -> bool:
        value = field.value(record)
        return value is not None and holds(value, values)

    return test


def _like(text: str, values: Sequence[Any]) -> bool:
    """Whether the text is as the pattern says, in which `*` stands for anything."""
    first, *rest = values[0].split("*")
    if not rest:
        return bool(text == first)
    *middle, last = rest
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


_HOLDS: dict[str, Callable[[Any, Sequence[Any]], bool]] = {
    "=": lambda value, values: bool(value == values[0]),
    "<": lambda value, values: bool(value < values[0]),
    "<=": lambda value, values: bool(value <= values[0]),
    ">": lambda value, values: bool(value > values[0]),
    ">=": lambda value, values: bool(value >= values[0]),
    "in": lambda value, values: value in values,
    "range": lambda value, values: bool(values[0] <= value <= values[1]),
    "~": _like,
}
