"""How much it takes to judge a value by a schema, told before it is judged.

A validator holds a value against every part of a schema that may say something of it. Where two alternatives both look into the
same member, and two of that again, a value deep inside is held against a number of schemas that doubles with each level: a few
hundred bytes are enough for hours. Of most schemas the number is small whatever the value is. Of the others it is counted for each
value, where equal work is counted without being done.

What is counted is what the validator does. It takes `type`, `const`, `enum` and `required` of a schema first, then the members of
an object in their order, and ends with what fails, so that an alternative with the tag of another is over at once. What recurs by
a reference back to a schema that is being followed is done once for each value: the validator remembers it.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, zip_longest
from typing import Any, Final, NamedTuple

from filters.api.reach import referred, target_of
from gateway.description.discriminator import DISCRIMINATOR, parts_of

FEW: Final = 64
"""Schemas that one value may be held against without anybody counting."""
STEPS: Final = 3_000_000
"""Schemas that all parts of a value together may be held against; 20 to 100 ms, the latter where each has a pattern."""
_LOOKS: Final = 6_000
"""Parts of schemas with parts of values that are looked at to count them; about 20 ms. It is counted only where the most that a
value of that form could take is too much."""
_PARTS: Final = 1_000_000
"""Parts of schemas that are looked at to bound what they take; where that is not enough, values are counted."""
_SPREAD: Final = 50_000
"""Parts of schemas, with the ways to them, that are looked at to tell the most that values take by one schema."""
_SPREADS: Final = 150_000
"""As many by all schemas together."""
_TIMES: Final = 12
"""How often the bound of a schema may grow."""
_LIST: Final = "[]"
_SAME_VALUE: Final = ("allOf", "anyOf", "oneOf")
_SAME_VALUE_ONCE: Final = ("not", "if", "then", "else")
_EVERY_MEMBER: Final = ("unevaluatedProperties", "propertyNames")
_ITEMS: Final = ("items", "contains", "unevaluatedItems")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int, float),
    "number": (int, float),
}


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
        self._rings = _rings(schemas)
        self._spreads: dict[str, Sequence[int] | None] = {}
        self._spreading = _SPREADS
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
            return (
                self._most(key, value) <= STEPS
                or _Counting(self._schemas, self._rings).total(key, value) <= STEPS
            )
        except (_TooMuch, RecursionError):
            return False

    def _most(self, key: str, value: Any) -> int:
        """Steps that a value of that form takes at most; more than there are where it may be too many."""
        spread = self.spread(key)
        if spread is None:
            return STEPS + 1
        steps = depth = 0
        level = [value]
        while level and steps <= STEPS:
            steps += len(level) * spread[min(depth, len(spread) - 1)]
            inner: list[Any] = []
            for part in level:
                if isinstance(part, dict):
                    inner.extend(part.values())
                elif isinstance(part, list):
                    inner.extend(part)
            level, depth = inner, depth + 1
        return steps

    def spread(self, key: str) -> Sequence[int] | None:
        """The most schemas that a part of a value is held against, by how deep inside it is; None where it takes too long to
        tell. It is told once, and remembered."""
        if key not in self._spreads:
            most = min(_SPREAD, self._spreading)
            spreading = _Spreading(self._schemas, self._rings, most)
            try:
                self._spreads[key] = spreading.of(key)
            except (_TooMuch, RecursionError):
                self._spreads[key] = None
            self._spreading -= most - max(0, spreading.left)
        return self._spreads[key]

    def _bound(self, schema: Any, key: str, users: Mapping[str, set[str]]) -> _Bound:
        self._left -= 1
        if not isinstance(schema, dict):
            return _NOTHING
        parts = [self._bound(part, key, users) for part in _parts(schema)]
        if DISCRIMINATOR in schema:  # of its alternatives one judges
            alternatives = [self._bound(part, key, users) for part in parts_of(schema)]
            parts = [_NOTHING] * len(alternatives)
            parts.append(self._joined(alternatives, most=True))
        target = target_of(schema)
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


class _Spreading:
    """The most that parts of values are held against, by depth."""

    def __init__(self, schemas: Mapping[str, Any], rings: Mapping[str, int], left: int) -> None:
        self._schemas = schemas
        self._rings = rings
        self._known: dict[tuple[int, tuple[str, ...]], list[int]] = {}
        self.left = left
        self._pending: list[tuple[str, ...]] = []

    def of(self, key: str) -> Sequence[int]:
        """For each depth, all that is done for a part there. Raises _TooMuch where it cannot be told soon."""
        self._pending = [(key,)]
        total: list[int] = []
        for way in self._pending:  # which grows meanwhile
            total = _sum((total, self._levels(self._schemas.get(way[-1], True), way)))
        return list(accumulate(total))

    def _levels(self, schema: Any, way: tuple[str, ...]) -> list[int]:
        if not isinstance(schema, dict):
            return [1]
        name = (id(schema), way)
        known = self._known.get(name)
        if known is not None:
            return known
        self.left -= 1
        if self.left < 0:
            raise _TooMuch
        if DISCRIMINATOR in schema:  # of its alternatives one judges
            alternatives = parts_of(schema)
            found = [[1 + len(alternatives)], _most_of([self._levels(part, way) for part in alternatives])]
        else:
            found = [[1], *(self._levels(part, way) for part in _parts(schema))]
        target = target_of(schema)
        if target is not None and target in way:
            found.append([1])
            back = way[: way.index(target) + 1]
            if back not in self._pending:
                self._pending.append(back)
        elif target is not None:
            found.append(self._levels(self._schemas.get(target, True), _onward(way, target, self._rings)))
        every = list(schema.get("patternProperties", {}).values())
        every += [schema[word] for word in (*_EVERY_MEMBER, "additionalProperties") if word in schema]
        members = _most_of([self._levels(part, way) for part in schema.get("properties", {}).values()])
        members = _sum([members, *(self._levels(part, way) for part in every)])
        items = _most_of([self._levels(part, way) for part in schema.get("prefixItems", ())])
        items = _sum([items, *(self._levels(schema[word], way) for word in _ITEMS if word in schema)])
        made = _sum([*found, [0, *_most_of([members, items])]])
        self.left -= len(made)
        self._known[name] = made
        return made


def _sum(levels: Iterable[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip_longest(*levels, fillvalue=0)]


def _most_of(levels: Iterable[Sequence[int]]) -> list[int]:
    return [max(column) for column in zip_longest(*levels, fillvalue=0)]


class _Counting:
    """The steps of one value."""

    def __init__(self, schemas: Mapping[str, Any], rings: Mapping[str, int]) -> None:
        self._schemas = schemas
        self._rings = rings
        self._known: dict[tuple[int, Any, tuple[str, ...]], int] = {}
        self._left = _LOOKS
        self._remembered: set[tuple[tuple[str, ...], int]] = set()
        self._pending: list[tuple[tuple[str, ...], Any]] = []

    def total(self, key: str, value: Any) -> int:
        """All steps. Raises _TooMuch where they are too many, or too many to count."""
        self._pending.append(((key,), value))
        steps = 0
        while self._pending:
            way, value = self._pending.pop()
            steps += self._steps(self._schemas.get(way[-1], True), value, way)
            if steps > STEPS:
                raise _TooMuch
        return steps

    def _steps(self, schema: Any, value: Any, way: tuple[str, ...]) -> int:
        """`way` names the schemas that are being followed, the last of which this one is in."""
        if not isinstance(schema, dict) or _fails(schema, value):
            return 1
        composed = isinstance(value, (dict, list))
        name = (id(schema), id(value) if composed else (type(value), value), way)
        known = self._known.get(name)
        if known is not None:
            return known
        self._left -= 1
        if self._left < 0:
            raise _TooMuch
        parts = list(_parts(schema))
        if DISCRIMINATOR in schema:
            parts = [True] * len(parts) + [part["then"] for part in parts if _names(part["if"], value)]
        steps = 1 + sum(self._steps(part, value, way) for part in parts)
        target = target_of(schema)
        if target is not None and target in way:
            steps += 1
            back = way[: way.index(target) + 1]
            if not composed:  # and so is done each time
                steps += self._steps(self._schemas.get(back[-1], True), value, back)
            elif (back, id(value)) not in self._remembered:
                self._remembered.add((back, id(value)))
                self._pending.append((back, value))
        elif target is not None:
            steps += self._steps(self._schemas.get(target, True), value, _onward(way, target, self._rings))
        if isinstance(value, dict):
            steps += self._members(schema, value, way)
        elif isinstance(value, list):
            first = schema.get("prefixItems", ())
            steps += sum(self._steps(part, item, way) for part, item in zip(first, value, strict=False))
            for word in _ITEMS:
                if word in schema:
                    part = schema[word]
                    rest = value[len(first) :] if word == "items" else value
                    steps += sum(self._steps(part, item, way) for item in rest)
        if steps > STEPS:
            raise _TooMuch
        self._known[name] = steps
        return steps

    def _members(self, schema: Mapping[str, Any], value: Mapping[str, Any], way: tuple[str, ...]) -> int:
        steps = 0
        own = schema.get("properties", {})
        for member, item in value.items():  # in the order in which the validator takes them
            if member in own:
                steps += self._steps(own[member], item, way)
                if _fails(own[member], item):
                    break
        every = list(schema.get("patternProperties", {}).values())
        if "unevaluatedProperties" in schema:
            every.append(schema["unevaluatedProperties"])
        others = schema.get("additionalProperties")
        for member, item in value.items() if every or others is not None or "propertyNames" in schema else ():
            steps += sum(self._steps(part, item, way) for part in every)
            if others is not None and member not in own:
                steps += self._steps(others, item, way)
            if "propertyNames" in schema:
                steps += self._steps(schema["propertyNames"], member, way)
        return steps


def _fails(schema: Any, value: Any) -> bool:
    """Whether a value plainly is not what a schema says with the words that the validator takes first."""
    if not isinstance(schema, dict):
        return schema is False
    kinds = schema.get("type")
    if kinds is not None:
        named = kinds if isinstance(kinds, list) else [kinds]
        if not any(isinstance(value, _TYPES.get(kind, object)) for kind in named):
            return True
    if isinstance(value, dict):
        return any(name not in value for name in schema.get("required", ()))
    if isinstance(value, str):  # which is equal to no other than itself; of numbers that is less plain
        if "const" in schema and value != schema["const"]:
            return True
        return "enum" in schema and value not in schema["enum"]
    return False


def _onward(way: tuple[str, ...], target: str, rings: Mapping[str, int]) -> tuple[str, ...]:
    """The schemas that are being followed, as far as what is behind a reference can lead back to them."""
    return (*way, target) if rings.get(target) == rings.get(way[-1]) else (target,)


def _rings(schemas: Mapping[str, Any]) -> Mapping[str, int]:
    """A number for each key, the same for those that lead to one another by references (Kosaraju's algorithm)."""
    leads = {key: referred(schema, schemas) for key, schema in schemas.items()}
    back: dict[str, list[str]] = {key: [] for key in schemas}
    order: list[str] = []
    seen: set[str] = set()
    for start in schemas:
        stack = [(start, iter(leads[start]))] if start not in seen else []
        seen.add(start)
        while stack:
            key, rest = stack[-1]
            for following in rest:
                back[following].append(key)
                if following not in seen:
                    seen.add(following)
                    stack.append((following, iter(leads[following])))
                    break
            else:
                order.append(key)
                stack.pop()
    rings: dict[str, int] = {}
    for number, start in enumerate(reversed(order)):
        pending = [start]
        while pending:
            key = pending.pop()
            if key not in rings:
                rings[key] = number
                pending.extend(one for one in back[key] if one not in rings)
    return rings


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
