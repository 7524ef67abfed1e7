"""Dialects of JSON Schema, read as 2020-12: what an earlier one calls otherwise, and what it does not have.

Formats are those of 2020-12 in all of them, `dependencies` count in all of them, and 1.0 is an integer, as it is in all but
draft-04.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.config.problem import Path

_IF: Final = ("if", "then", "else")
_SINCE_2019: Final = (
    *("dependentRequired", "dependentSchemas", "minContains", "maxContains"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_SINCE_2020: Final = ("prefixItems",)


class Dialect(NamedTuple):
    """A dialect.

    lacks      keys of 2020-12 that mean nothing in it
    alone      whether what stands beside a `$ref` counts for nothing
    lists      whether `items` may be a list, and `additionalItems` is of what comes behind
    switches   whether `exclusiveMinimum` and `exclusiveMaximum` say of the other bound that it does not belong to what it bounds
    identity   the key that says what references are relative to
    """

    name: str
    lacks: frozenset[str] = frozenset()
    alone: bool = False
    lists: bool = False
    switches: bool = False
    identity: str = "$id"


OPENAPI_3_0: Final = Dialect("OpenAPI 3.0", alone=True, switches=True)
DRAFT_2020_12: Final = Dialect("2020-12")
_KNOWN: Final = {
    "http://json-schema.org/draft-04/schema": Dialect(
        "draft-04",
        frozenset((*_IF, *_SINCE_2019, *_SINCE_2020, "const", "contains", "propertyNames")),
        alone=True,
        lists=True,
        switches=True,
        identity="id",
    ),
    "http://json-schema.org/draft-06/schema": Dialect(
        "draft-06", frozenset((*_IF, *_SINCE_2019, *_SINCE_2020)), alone=True, lists=True
    ),
    "http://json-schema.org/draft-07/schema": Dialect(
        "draft-07", frozenset((*_SINCE_2019, *_SINCE_2020)), alone=True, lists=True
    ),
    "https://json-schema.org/draft/2019-09/schema": Dialect("2019-09", frozenset(_SINCE_2020), lists=True),
    "https://json-schema.org/draft/2020-12/schema": DRAFT_2020_12,
}
_OF_OPENAPI: Final = re.compile(r"https://spec\.openapis\.org/oas/3\.1/dialect/(?:base|\d{4}-\d\d-\d\d)")
NAMES: Final = "draft-04, draft-06, draft-07, 2019-09 and 2020-12"
"""Those that are known."""


def dialect_of(uri: object) -> Dialect | None:
    """The dialect that `$schema` or `jsonSchemaDialect` names; None for one that is not known."""
    if not isinstance(uri, str):
        return None
    name = uri.removesuffix("#")
    return DRAFT_2020_12 if _OF_OPENAPI.fullmatch(name) is not None else _KNOWN.get(name)


class Said(NamedTuple):
    """What stands under a key of 2020-12, and where that is, from the schema on."""

    value: Any
    path: Path


def spelled(schema: Mapping[str, Any], dialect: Dialect) -> dict[str, Said]:
    """What a schema of a dialect says, by the keys of 2020-12; not what is in it. `dependencies` are those that are schemas, which
    stand beside `dependentSchemas`."""
    if dialect.alone and "$ref" in schema:
        return {"$ref": Said(schema["$ref"], ("$ref",))}
    said = {key: Said(value, (key,)) for key, value in schema.items() if key not in dialect.lacks}
    if dialect.lists:
        more = said.pop("additionalItems", None)
        if isinstance(schema.get("items"), list):
            first = said.pop("items")
            if first.value:
                said["prefixItems"] = first
            if more is not None:
                said["items"] = more
    depends = said.pop("dependencies", None)
    if depends is not None and isinstance(depends.value, dict):
        schemas = {name: of for name, of in depends.value.items() if not isinstance(of, list)}
        if schemas:
            said["dependencies"] = depends._replace(value=schemas)
        names = {name: of for name, of in depends.value.items() if isinstance(of, list)}
        required = said.get("dependentRequired", Said({}, depends.path))
        if names and isinstance(required.value, dict):
            said["dependentRequired"] = required._replace(value=_together(required.value, names))
    return said


def _together(one: Mapping[str, Any], other: Mapping[str, list[Any]]) -> dict[str, Any]:
    """What both require of each name; what is no list is for the validator to find."""
    both = {**other, **one}
    for name, required in other.items():
        first = both[name]
        if isinstance(first, list):
            both[name] = [*first, *(each for each in required if each not in first)]
    return both
