"""How much it takes to judge a value by a schema, told before it is judged.

A validator holds a value against every part of a schema that may say something of it. Where two alternatives both look into the
same member, and two of that again, a value deep inside is held against a number of schemas that doubles with each level: a few
hundred bytes are enough for hours. Of most schemas the number is small whatever the value is. Of the others it is counted for each
value, where equal work is counted without being done.

What recurs by a reference of a schema to itself is done once for each value: the validator remembers it.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.description.discriminator import DISCRIMINATOR, parts_of

FEW: Final = 64
"""Schemas that one value may be held against without anybody counting."""
STEPS: Final = 1_000_000
"""Schemas that all parts of a value together may be held against; about a tenth of a second."""
_LOOKS: Final = 200_000
"""Parts of schemas with parts of values that are looked at to count them."""
_PARTS: Final = 1_000_000
"""Parts of schemas that are looked at to bound what they take; where that is not enough, values are counted."""
_TIMES: Final = 12
"""How often the bound of a schema may grow."""
_LIST: Final = "[]"
_REF: Final = "#/$defs/"
_SAME_VALUE: Final = ("allOf", "anyOf", "oneOf")
_SAME_VALUE_ONCE: Final = ("not", "if", "then", "else")
_EVERY_MEMBER: Final = ("unevaluatedProperties", "propertyNames")
_ITEMS: Final = ("items", "contains", "unevaluatedItems")


class _Bound(NamedTuple):
    """Schemas that a value is held against by one; and, by what is inside it, the most that any value in there is, however deep:
    by name of a member, None for all others, and _LIST for the items of a list."""

    itself: int
    inside: Mapping[str | None, int]

    @property
    def any(self) -> int:
        return max(self.itself, max(self.inside.values(), default=0))


_NOTHING: Final = _Bound(1, {})
_UNBOUNDED: Final = _Bound(FEW + 1, {None: FEW + 1, _LIST: FEW + 1})


class _TooMuch(Exception):  # noqa: N818 - it ends a count, and is no error
    pass


class Work:
    """Of the schemas of a description, by key."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._bounds = dict.fromkeys(schemas, _NOTHING)
        users: dict[str, set[str]] = {key: set() for key in schemas}
        pending = deque(schemas)
        waiting = set(schemas)
        times = dict.fromkeys(schemas, 0)
        self._left = _PARTS
        while pending:  # bounds only grow, and no further than a little over FEW
            key = pending.popleft()
            waiting.discard(key)
            times[key] += 1
            # What has grown so often will go on; and where there is too much to look at, so may what is left.
            ended = times[key] > _TIMES or self._left < 0
            bound = _UNBOUNDED if ended else self._bound(schemas[key], key, users)
            if bound != self._bounds[key]:
                self._bounds[key] = bound
                fresh = users[key] - waiting
                pending.extend(fresh)
                waiting |= fresh

    def is_bounded(self, key: str) -> bool:
        """Whether no value takes much, but by its size."""
        return self._bounds[key].any <= FEW

    def is_affordable(self, key: str, value: Any) -> bool:
        """Whether a value can be judged by the schema of that key in so many steps."""
        try:
            return _Counting(self._schemas).total(key, value) <= STEPS
        except (_TooMuch, RecursionError):
            return False

    def _bound(self, schema: Any, key: str, users: Mapping[str, set[str]]) -> _Bound:
        self._left -= 1
        if not isinstance(schema, dict):
            return _NOTHING
        parts = [self._bound(part, key, users) for part in _parts(schema)]
        if DISCRIMINATOR in schema:  # of its alternatives one judges
            alternatives = [self._bound(part, key, users) for part in parts_of(schema)]
            parts = [_NOTHING] * len(alternatives)
            parts.append(self._joined(alternatives, most=True))
        target = _target(schema)
        if target is not None and target in users:
            users[target].add(key)
            parts.append(self._bounds[target])
        parts.append(_Bound(1, self._inside(schema, key, users)))
        return self._joined(parts)

    def _inside(
        self, schema: Mapping[str, Any], key: str, users: Mapping[str, set[str]]
    ) -> dict[str | None, int]:
        def of(part: Any) -> int:
            return self._bound(part, key, users).any

        found: dict[str | None, int] = {}
        every = sum(of(part) for part in schema.get("patternProperties", {}).values())
        every += sum(of(schema[word]) for word in _EVERY_MEMBER if word in schema)
        others = every + (of(schema["additionalProperties"]) if "additionalProperties" in schema else 0)
        if others:
            found[None] = others
        for name, part in schema.get("properties", {}).items():
            found[name] = found.get(name, 0) + every + of(part)
        items = max((of(part) for part in schema.get("prefixItems", ())), default=0)
        items += sum(of(schema[word]) for word in _ITEMS if word in schema)
        if items:
            found[_LIST] = found.get(_LIST, 0) + items
        return found

    def _joined(self, parts: Sequence[_Bound], *, most: bool = False) -> _Bound:
        """What a value is held against by all of these; or the most that it is by any."""
        if len(parts) == 1:
            return parts[0]
        several = max if most else sum
        names = {name for part in parts for name in part.inside}
        self._left -= len(names) * len(parts)
        return _Bound(
            min(several([part.itself for part in parts]), FEW + 1) if parts else 0,
            {
                name: min(
                    several([part.inside.get(name, part.inside.get(None, 0)) for part in parts]), FEW + 1
                )
                for name in names
            },
        )


class _Counting:
    """The steps of one value."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._known: dict[tuple[int, int], int] = {}
        self._left = _LOOKS
        self._remembered: set[tuple[str, int]] = set()
        self._pending: list[tuple[str, Any]] = []

    def total(self, key: str, value: Any) -> int:
        """All steps. Raises _TooMuch where they are too many, or too many to count."""
        self._pending.append((key, value))
        steps = 0
        while self._pending:
            key, value = self._pending.pop()
            steps += self._steps(self._schemas.get(key, True), value, key)
            if steps > STEPS:
                raise _TooMuch
        return steps

    def _steps(self, schema: Any, value: Any, key: str) -> int:
        if not isinstance(schema, dict):
            return 1
        composed = isinstance(value, (dict, list))
        name = (id(schema), id(value) if composed else 0)
        known = self._known.get(name)
        if known is not None:
            return known
        self._left -= 1
        if self._left < 0:
            raise _TooMuch
        parts = list(_parts(schema))
        if DISCRIMINATOR in schema:
            parts = [True] * len(parts) + [part["then"] for part in parts if _names(part["if"], value)]
        steps = 1 + sum(self._steps(part, value, key) for part in parts)
        target = _target(schema)
        if target == key:
            steps += 1
            if (key, id(value)) not in self._remembered:
                self._remembered.add((key, id(value)))
                self._pending.append((key, value))
        elif target is not None:
            steps += self._steps(self._schemas.get(target, True), value, target)
        if isinstance(value, dict):
            steps += sum(
                self._steps(part, inner, key)
                for member, item in value.items()
                for part, inner in _of_member(schema, member, item)
            )
        elif isinstance(value, list):
            first = schema.get("prefixItems", ())
            steps += sum(self._steps(part, item, key) for part, item in zip(first, value, strict=False))
            for word in _ITEMS:
                if word in schema:
                    part = schema[word]
                    rest = value[len(first) :] if word == "items" else value
                    steps += sum(self._steps(part, item, key) for item in rest)
        if steps > STEPS:
            raise _TooMuch
        self._known[name] = steps
        return steps


def _target(schema: Mapping[str, Any]) -> str | None:
    reference = schema.get("$ref")
    return reference.removeprefix(_REF) if isinstance(reference, str) else None


def _parts(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas in one that are of the same value."""
    for word in _SAME_VALUE:
        yield from schema.get(word, ())
    for word in _SAME_VALUE_ONCE:
        if word in schema:
            yield schema[word]
    yield from schema.get("dependentSchemas", {}).values()


def _names(condition: Mapping[str, Any], value: Any) -> bool:
    """Whether a value names the alternative of that condition, as `divide` has made it."""
    (name,) = condition["required"]
    return isinstance(value, dict) and value.get(name) in condition["properties"][name]["enum"]


def _of_member(schema: Mapping[str, Any], member: str, item: Any) -> Iterator[tuple[Any, Any]]:
    """The schemas that a member may be held against, or its name."""
    own = schema.get("properties", {})
    if member in own:
        yield own[member], item
    elif "additionalProperties" in schema:
        yield schema["additionalProperties"], item
    for part in schema.get("patternProperties", {}).values():
        yield part, item
    if "unevaluatedProperties" in schema:
        yield schema["unevaluatedProperties"], item
    if "propertyNames" in schema:
        yield schema["propertyNames"], member
