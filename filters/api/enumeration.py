"""Enumerations of texts and integers together, said so that a validator judges them fast.

It finds a text among texts at once, and an integer among integers; where other values are among them, null apart, it compares
a value with each. So those of many values are told apart by their types.
"""

from typing import Any, Final

from filters.api.backtracking import DATA, NAMED
from gateway.description.discriminator import DISCRIMINATOR

FEW: Final = 16
"""Values that are compared one by one."""


def by_type(schema: Any) -> Any:
    """The same schema, with an alternative for each type of value of such enumerations."""
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word in DATA:
            made[word] = value
        elif word in NAMED and isinstance(value, dict):
            made[word] = {name: by_type(part) for name, part in value.items()}
        elif isinstance(value, list):
            made[word] = [by_type(part) for part in value]
        else:
            made[word] = by_type(value)
    kinds = _kinds(made.get("enum", ()))
    if len(kinds) > 1 and DISCRIMINATOR not in made:
        del made["enum"]
        made["allOf"] = [*made.get("allOf", ()), {"anyOf": [{"enum": some} for some in kinds]}]
    return made


def _kinds(values: Any) -> list[list[Any]]:
    """The values by type; all together where they are few, or found at once."""
    texts = [value for value in values if type(value) is str]
    integers = [value for value in values if type(value) is int]
    others = [value for value in values if type(value) not in (str, int)]
    kinds = [some for some in (texts, integers, others) if some]
    if max(len(texts), len(integers)) <= FEW or sum(some != [None] for some in kinds) < 2:
        return [list(values)]
    return kinds
