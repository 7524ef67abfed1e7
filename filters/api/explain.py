"""Schemas by which to say why a value does not fit, when whether it does has been told.

A validator that tells all failures follows every way through alternatives and parts, and so visits a value as often as the
schema has ways to it: a number exponential in how deep both nest. Here the ways are counted, and what is behind too many of
them is held against the value as a whole, which needs one visit. Alternatives that a constant tells apart are one way, for
only that of the constant which the value has is followed.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from filters.api.reach import size
from gateway.description.discriminator import DISCRIMINATOR, divide

WAYS: Final = 16
"""Ways to one value that are followed, save that the outermost choice is, however wide."""
ONE: Final = 0
"""One way only, not even the outermost choice: for a value that is large."""
_MOST: Final = 50_000
"""Schemas made of those of a description."""
_PARTS: Final = 40_000
"""What these may have in them where it is neither all ways that are followed nor one. What is behind that is held against a
value as a whole."""
_REF: Final = "#/$defs/"
_SAME_VALUE: Final = ("allOf", "anyOf", "oneOf")
_CHOICES: Final = ("oneOf", "anyOf")
_FAR: Final = 8
_BRANCHES: Final = ("then", "else")
_INSIDE: Final = ("items", "additionalProperties")
_LATE: Final = ("unevaluatedItems", "unevaluatedProperties")


class Explaining:
    """Those of a description's schemas, by key; of those that are `asked` for, by default all.

    made  what stands beside them: a key of its own for each number of ways that remain
    """

    def __init__(self, schemas: Mapping[str, Any], asked: Iterable[str] | None = None) -> None:
        self.made: dict[str, Any] = {}
        self._schemas = schemas
        self._left: dict[str, tuple[str, int]] = {}
        self._users: dict[str, set[str]] = {}
        self._changed: set[str] = set()
        self._pending: deque[str] = deque()
        self._now = ""
        self._parts = _PARTS
        for key in schemas if asked is None else asked:
            self._key(key, WAYS)
            self._key(key, ONE)
        while self._pending:
            self._now = self._pending.popleft()
            key, left = self._left[self._now]
            schema = schemas.get(key, True)
            if left not in (WAYS, ONE):  # of each of these there is one, as of the schema itself
                self._parts -= size(schema)
                if self._parts < 0:
                    self._changed.add(self._now)
                    self.made[self._now] = {"if": {"$ref": _REF + key}, "else": False}
                    continue
            self.made[self._now] = self._shortened(schema, left)
        self._spread()

    def key(self, key: str, ways: int) -> str:
        """The one in place of the schema of that key, where so many ways are followed; itself where it will do."""
        name = _name(key, ways)
        return name if name in self._changed else key

    def _spread(self) -> None:
        pending = list(self._changed)
        while pending:
            for user in self._users.get(pending.pop(), ()):
                if user not in self._changed:
                    self._changed.add(user)
                    pending.append(user)

    def _key(self, key: str, left: int) -> str:
        name = _name(key, left)
        if name not in self._left:
            self._left[name] = (key, left)
            self._pending.append(name)
        return name

    def _shortened(self, schema: Any, left: int) -> Any:
        if not isinstance(schema, dict):
            return schema
        divided = self._divided(schema)
        if divided is not None:
            self._changed.add(self._now)
            schema = divided
        ways = _ways(schema)
        if (ways > max(1, left) and left < WAYS) or (ways > 1 and len(self._left) > _MOST):
            self._changed.add(self._now)
            return {"if": schema, "else": False}
        left = max(1, left // ways) if ways > 1 and left != ONE else left
        made = dict(schema)
        if isinstance(schema.get("$ref"), str):
            name = self._key(schema["$ref"].removeprefix(_REF), left)
            self._users.setdefault(name, set()).add(self._now)
            made["$ref"] = _REF + name
        for word in (*_SAME_VALUE, "prefixItems"):
            if isinstance(schema.get(word), list):
                made[word] = [self._shortened(part, left) for part in schema[word]]
        for word in (*_BRANCHES, *_INSIDE, *_LATE):
            if word in schema:
                made[word] = self._shortened(schema[word], left)
        for word in ("properties", "patternProperties", "dependentSchemas"):
            if isinstance(schema.get(word), dict):
                made[word] = {name: self._shortened(part, left) for name, part in schema[word].items()}
        return made

    def judged(self, schema: Any) -> Any:
        """The same schema, whose alternatives are judged by the one that a value names, where each must have a name."""
        if not isinstance(schema, dict):
            return schema
        divided = self._divided(schema)
        made = dict(divided if divided is not None and divided["allOf"][-1].get("type") else schema)
        for word in (*_SAME_VALUE, "prefixItems"):
            if isinstance(made.get(word), list):
                made[word] = [self.judged(part) for part in made[word]]
        for word in (*_BRANCHES, *_INSIDE, *_LATE, "if", "not", "contains"):
            if word in made:
                made[word] = self.judged(made[word])
        for word in ("properties", "patternProperties", "dependentSchemas"):
            if isinstance(made.get(word), dict):
                made[word] = {name: self.judged(part) for name, part in made[word].items()}
        return made

    def _divided(self, schema: Mapping[str, Any]) -> dict[str, Any] | None:
        """The same, of whose alternatives a value is held against one only, where each takes other texts in one property."""
        for word in _CHOICES:
            given = schema.get(word)
            if not isinstance(given, list) or len(given) < 2:
                continue
            parts = [self._led(part) for part in given]
            properties = parts[0].get("properties")
            for name in properties if isinstance(properties, dict) else ():
                names = [_constants(part, name) for part in parts]
                every = [one for of in names for one in of]
                if not all(names) or len(set(every)) < len(every):
                    continue
                divided = divide(name, zip(names, given, strict=True))
                if all(part.get("type") == "object" and _requires(part, name) for part in parts):
                    divided["type"] = "object"
                else:  # what has no such property is held against all, as a whole
                    has_it = {"type": "object", "required": [name]}
                    divided = {"if": has_it, "then": divided, "else": {"if": {word: given}, "else": False}}
                made = {key: value for key, value in schema.items() if key != word}
                return {**made, "allOf": [*made.get("allOf", ()), divided]}
        return None

    def _led(self, schema: Any) -> Mapping[str, Any]:
        """Where references lead that nothing else is said with."""
        for _ in range(_FAR):
            if not isinstance(schema, dict) or schema.keys() != {"$ref"}:
                break
            schema = self._schemas.get(str(schema["$ref"]).removeprefix(_REF), True)
        return schema if isinstance(schema, dict) else {}


def _constants(schema: Mapping[str, Any], name: str) -> list[str]:
    """The texts that the property of that name may be, where they are said; none where it may be something else too."""
    properties = schema.get("properties")
    told = properties.get(name) if isinstance(properties, dict) else None
    if not isinstance(told, dict):
        return []
    found = [told["const"]] if "const" in told else told.get("enum")
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return []
    return list(dict.fromkeys(found))


def _requires(schema: Mapping[str, Any], name: str) -> bool:
    required = schema.get("required")
    return isinstance(required, list) and name in required


def _name(key: str, left: int) -> str:
    return f"{key}@{left}"


def _ways(schema: Mapping[str, Any]) -> int:
    """How often this schema may visit the same value inside the one that it is of."""
    if DISCRIMINATOR in schema:  # its alternatives exclude one another
        return 1
    same = sum(len(schema.get(word, ())) for word in _SAME_VALUE)
    same += sum(word in schema for word in ("$ref", *_LATE))
    same += any(word in schema for word in _BRANCHES)
    same += any(word in schema for word in ("properties", "prefixItems", *_INSIDE))
    return same + sum(len(schema.get(word, ())) for word in ("patternProperties", "dependentSchemas"))
