"""What schemas refer to, and how many schemas they are."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

_REF: Final = "#/$defs/"
_VALUES: Final = 16
_ONE: Final = frozenset(
    (
        *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
        *("unevaluatedItems", "unevaluatedProperties"),
    )
)
_MANY: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_NAMED: Final = frozenset(("properties", "patternProperties", "dependentSchemas"))


def target_of(schema: Mapping[str, Any]) -> str | None:
    """The key of the schema that this one refers to."""
    reference = schema.get("$ref")
    return reference.removeprefix(_REF) if isinstance(reference, str) else None


def referred(schema: Any, schemas: Mapping[str, Any]) -> list[str]:
    """The keys of those that one and all that is in it refer to."""
    parts = [schema]
    found: dict[str, None] = {}
    for part in parts:  # which grows meanwhile
        if isinstance(part, dict):
            key = target_of(part)
            if key is not None and key in schemas:
                found[key] = None
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)
    return list(found)


def reached(keys: Iterable[str], schemas: Mapping[str, Any]) -> list[str]:
    """Those keys, and of all that they lead to."""
    found = dict.fromkeys(keys)
    pending = list(found)
    for key in pending:  # which grows meanwhile
        fresh = [one for one in referred(schemas[key], schemas) if one not in found]
        found.update(dict.fromkeys(fresh))
        pending.extend(fresh)
    return pending


def reaching(keys: Iterable[str], schemas: Mapping[str, Any]) -> set[str]:
    """Those keys, and of all that lead to one of them."""
    users: dict[str, list[str]] = {key: [] for key in schemas}
    for key, schema in schemas.items():
        for one in referred(schema, schemas):
            users[one].append(key)
    found = set(keys)
    pending = list(found)
    for key in pending:  # which grows meanwhile
        fresh = [one for one in users[key] if one not in found]
        found.update(fresh)
        pending.extend(fresh)
    return found


def size(schema: Any) -> int:
    """How many schemas one is: itself, and all that stand in it. So many values of an enumeration as _VALUES count as one."""
    parts = [schema]
    values = 0
    for part in parts:  # which grows meanwhile
        for word, value in part.items() if isinstance(part, dict) else ():
            if word == "enum" and isinstance(value, list):
                values += len(value)
            elif word in _ONE:
                parts.append(value)
            elif word in _MANY and isinstance(value, list):
                parts.extend(value)
            elif word in _NAMED and isinstance(value, dict):
                parts.extend(value.values())
    return len(parts) + values // _VALUES
