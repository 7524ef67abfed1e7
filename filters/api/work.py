"""How much it takes to judge a value by a schema, told before it is judged.

A validator holds a value against every part of a schema that may say something of it. Where two alternatives both look into the
same member, and two of that again, a value deep inside is held against a number of schemas that doubles with each level: a few
hundred bytes are enough for hours. And what it is to be held against one differs: a list of objects, each compared with the
value, takes a thousand times longer than a type.

So each part of a schema has a price (`filters.api.price`), and three bounds are asked in turn. The first is told at load, for
any value of a usual size: most schemas are within it, and of these nobody counts. The second goes through the value once: which
schemas its parts are held against, and how often, follows from the names of members and the types, as the states of an automaton
do, each of which is made once. The third counts what the validator does: it takes `type`, `const`, `enum` and `required` of a
schema first, then the members of an object in their order and the items of a list, and ends with the first that fails, so that
an alternative with the tag of another is over at once. Equal work is counted once, with how often it is done.

What recurs by a reference back to a schema that is being followed is done once for each value: the validator remembers it.
Every look at a part of a schema is taken from a budget, so that no count goes on for long; a value that it is not enough for
is not judged.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from filters.api.price import KINDS, MISFIT, Price, price_of, unlike
from filters.api.reach import referred, target_of
from gateway.description.discriminator import DISCRIMINATOR

ALLOWED: Final = 100_000_000
"""The price that a value may have: nanoseconds, roughly."""
USUAL: Final = 112 << 10
"""Bytes of a value that nobody counts for, where the schema is within the bound for any value."""
LOOKS: Final = 60_000
"""Looks at parts of schemas, to count for one value; about 60 ms."""
_SPREAD: Final = 20_000
"""As many to bound any value, for one schema."""
_SPREADS: Final = 300_000
"""As many for all schemas together."""
_STATES: Final = 20_000
"""States that are kept from one value to the next."""
_RULES: Final = 50_000
"""Parts of schemas, with the ways to them, that are."""
_MAKING: Final = 3
"""Looks that it takes to make one of these."""
_SHARE: Final = 16
"""Names and the like that are as much as one look."""
_FIRST_ITEMS: Final = 8
"""Items of a list whose texts are compared to tell whether they fail."""
_MANY: Final = 1 << 62
_EXACT: Final = 1 << 53
"""The largest integer that is equal to no other as a double."""
_DEARER: Final = (dict, list, str, int, float)
"""The types of values that none of another costs more than."""
_PART: Final = 2
"""Bytes that a part of a value takes at least."""
_SAME_VALUE_ONCE: Final = ("not", "if", "then", "else")
_LATE: Final = ("unevaluatedProperties", "unevaluatedItems")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int, float),
    "number": (int, float),
}
_ALL: Final = frozenset(KINDS)

_Times: TypeAlias = "dict[_Rule, int]"
"""What a value is held against, and how often."""


class _TooMuch(Exception):  # noqa: N818 - it ends a count, and is no error
    pass


class _Looks:
    """How many looks there are left."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, some: int = 1) -> None:
        if some > self.left:
            self.left = 0
            raise _TooMuch
        self.left -= some


class _Rule:
    """A schema with the way to it: the schemas that are being followed, the last of which it is in.

    kinds   of values that do not fail by their type alone
    every   those each of which the value must fit, or it fails
    groups  of each of which the value must fit one
    others  that the value is held against, too
    back    what is referred to that is being followed already
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.kinds = _kinds(schema)
        self._schema = schema
        self._prices: dict[type, Price] = {}
        self.required: frozenset[str] = frozenset(schema.get("required", ()))
        self.only = _only(schema)
        self.tag: str | None = None
        self.choices: dict[str, list[_Rule]] = {}
        self.every: list[_Rule] = []
        self.groups: list[list[_Rule]] = []
        self.others: list[_Rule] = []
        self.back: _Rule | None = None
        self.twice = any(word in schema for word in _LATE)
        self.named: dict[str, _Rule | None] = {}
        self.rest: _Rule | None = None
        self.patterned: list[_Rule] = []
        self.names: _Rule | None = None
        self.prefix: list[_Rule | None] = []
        self.items: _Rule | None = None
        self.whole: list[_Rule] = []

    def price(self, kind: type) -> Price:
        """What a value of that type costs, without what is inside it."""
        found = self._prices.get(kind)
        if found is None:
            found = self._prices[kind] = price_of(self._schema, kind)
        return found

    def fails(self, value: Any) -> bool:
        """Whether a value plainly is not what the schema says with the words that the validator takes first."""
        if type(value) not in self.kinds:
            return True
        if type(value) is dict:
            return not self.required <= value.keys()
        if self.only is None or (type(value) is not str and (type(value) is not int or abs(value) > _EXACT)):
            return False
        return value not in self.only

    def parts(self, names: Mapping[str, Any] | None) -> Iterator["_Rule"]:
        """The schemas in it that are of the same value: of those that a tag tells apart the one that it names, by the members
        of the value, or all where these are not told."""
        yield from self.every
        for group in self.groups:
            yield from group
        yield from self.others
        if self.tag is None:
            return
        if names is None:
            yield from dict.fromkeys(rule for some in self.choices.values() for rule in some)
        else:
            name = names.get(self.tag)
            yield from self.choices.get(name, ()) if isinstance(name, str) else ()

    def at_member(self, name: str) -> "_Rule | None":
        return self.named.get(name, self.rest)

    def at_item(self, place: int) -> "_Rule | None":
        return self.prefix[place] if place < len(self.prefix) else self.items


class _Rules:
    """Those of some schemas, each made when it is asked for, once."""

    def __init__(self, schemas: Mapping[str, Any], looks: _Looks, rings: Mapping[str, int]) -> None:
        self._schemas = schemas
        self._rings = rings
        self._looks = looks
        self._made: dict[tuple[int, tuple[str, ...]], _Rule] = {}
        self._waiting: dict[_Rule, tuple[Mapping[str, Any], tuple[str, ...]]] = {}

    def __len__(self) -> int:
        return len(self._made)

    def of(self, key: str) -> _Rule | None:
        return self._rule(self._schemas.get(key, True), (key,))

    def _rule(self, schema: Any, way: tuple[str, ...]) -> _Rule | None:
        """None for a schema that says nothing."""
        if not isinstance(schema, dict) or not schema:
            return None
        name = (id(schema), way)
        if name not in self._made:
            self._looks.take(_MAKING + len(schema.get("enum", ())) // _SHARE)
            rule = self._made[name] = _Rule(schema)
            self._waiting[rule] = (schema, way)
        return self._made[name]

    def opened(self, rule: _Rule) -> _Rule:
        """The same, with the schemas that are in it."""
        if rule not in self._waiting:
            return rule
        schema, way = self._waiting.pop(rule)

        def one(part: Any) -> _Rule | None:
            return self._rule(part, way)

        def some(parts: Iterable[Any]) -> list[_Rule]:
            return [made for part in parts if (made := one(part)) is not None]

        if DISCRIMINATOR in schema:
            rule.tag = schema[DISCRIMINATOR]["propertyName"]
            for part in schema["allOf"]:
                for name in part["if"]["properties"][rule.tag]["enum"]:
                    rule.choices.setdefault(name, []).extend(some([part["then"]]))
        else:
            rule.every += some(schema.get("allOf", ()))
        for word in ("anyOf", "oneOf"):
            group = some(schema.get(word, ()))
            if group and len(group) == len(schema[word]):
                rule.groups.append(group)
            else:
                rule.others += group
        rule.others += some(schema[word] for word in _SAME_VALUE_ONCE if word in schema)
        rule.others += some(schema.get("dependentSchemas", {}).values())
        target = target_of(schema)
        if target is not None and target in way:
            rule.back = self._rule(self._schemas.get(target, True), way[: way.index(target) + 1])
        elif target is not None:
            onward = _onward(way, target, self._rings)
            found = self._rule(self._schemas.get(target, True), onward)
            rule.every += [found] if found is not None else []
        rule.named = {name: one(part) for name, part in schema.get("properties", {}).items()}
        rule.rest = one(schema.get("additionalProperties", True))
        rule.patterned = some(schema.get("patternProperties", {}).values())
        rule.patterned += some([schema.get("unevaluatedProperties", True)])
        rule.names = one(schema.get("propertyNames", True))
        rule.prefix = [one(part) for part in schema.get("prefixItems", ())]
        rule.items = one(schema.get("items", True))
        rule.whole = some(schema[word] for word in ("contains", "unevaluatedItems") if word in schema)
        return rule


class _State:
    """What a part of a value is held against, whatever it is, and how often. `closures` by the type of a value, of an object
    also by the alternatives that it names; `tags` are the members that name them, with their names."""

    def __init__(self, times: _Times) -> None:
        self.times = times
        self.closures: dict[Any, _Closure] = {}
        self.tags: Mapping[str, frozenset[str]] | None = None


class _Closure:
    """What a value of one type is held against, with all that is of the same value; and what that costs."""

    def __init__(self, times: _Times, price: Price) -> None:
        self.times = times
        self.price = price
        self.named: dict[str, _State | None] = dict.fromkeys(name for rule in times for name in rule.named)
        self.others: _State | None = None
        self.names: _State | None = None
        self.items: list[_State] = []


class Work:
    """Of the schemas of a description, by key."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._looks = _Looks(0)
        self._schemas = schemas
        self._rings = _rings(schemas)
        self._rules = _Rules(schemas, self._looks, self._rings)
        self._states: dict[frozenset[tuple[_Rule, int]], _State] = {}
        self._bounded: dict[str, bool] = {}
        self._spreads = _SPREADS

    @property
    def looks(self) -> int:
        """Looks that were taken for the last value."""
        return LOOKS - self._looks.left

    def is_bounded(self, key: str) -> bool:
        """Whether no value of a usual size takes much. It is told once, and remembered."""
        if key not in self._bounded:
            self._looks.left = most = min(_SPREAD, self._spreads)
            try:
                self._bounded[key] = self._dearest(key) * USUAL <= ALLOWED
            except _TooMuch:
                self._bounded[key] = False
            self._spreads -= most - max(0, self._looks.left)
        return self._bounded[key]

    def is_affordable(self, key: str, value: Any) -> bool:
        """Whether a value can be judged by the schema of that key for what is allowed."""
        if len(self._states) > _STATES or len(self._rules) > _RULES:
            self._states = {}
            self._rules = _Rules(self._schemas, self._looks, self._rings)
        self._looks.left = LOOKS
        try:
            times = self._at_first(key)
            return self._is_cheap(value, times) or self._costs(value, times)
        except (_TooMuch, RecursionError):
            return False

    def _at_first(self, key: str) -> _Times:
        rule = self._rules.of(key)
        return {rule: 1} if rule is not None else {}

    def _dearest(self, key: str) -> float:
        """The most that a byte of any value costs."""
        pending = [self._state(self._at_first(key))]
        seen = set(pending)
        part = each = byte = 0
        for state in pending:  # which grows meanwhile
            for kind in _DEARER:
                self._looks.take()
                closure = self._closure(state, kind, None)
                price = closure.price
                if price.unlike:
                    return _MANY
                part, each = max(part, price.base), max(each, price.each)
                byte = max(byte, price.char, price.name)
                if kind is dict:
                    inner = [self._member(closure, name) for name in (*closure.named, None)]
                    inner.append(self._names(closure))
                elif kind is list:
                    inner = self._items(closure)
                else:
                    continue
                pending += dict.fromkeys(one for one in inner if one not in seen)
                seen.update(inner)
        return max((part + each) / _PART, byte)

    def _is_cheap(self, value: Any, times: _Times) -> bool:
        """Whether a value costs no more than what is allowed if nothing ends before it is done."""
        left = ALLOWED
        pending: list[tuple[Any, _State]] = [(value, self._state(times))]
        while pending:
            part, state = pending.pop()
            if not state.times:
                continue
            kind = type(part)
            closure = state.closures.get(kind) if kind is not dict else None
            if closure is None:
                closure = self._closure(state, kind, part)
            left -= closure.price.base
            if kind is str:
                left -= closure.price.char * len(part)
            elif kind is dict:
                left -= _of_members(closure.price, part)
                names = self._names(closure)
                for name, item in part.items():
                    pending.append((item, self._member(closure, name)))
                    if names.times:
                        pending.append((name, names))
            elif kind is list:
                left -= _of_items(closure.price, part)
                states = self._items(closure)
                pending += zip(part, states, strict=False)
                last = states[-1]
                if last.times:
                    pending += [(item, last) for item in part[len(states) :]]
            if left < 0:
                return False
        return True

    def _state(self, times: _Times) -> _State:
        name = frozenset(times.items())
        found = self._states.get(name)
        if found is None:
            self._looks.take(1 + len(times))
            found = self._states[name] = _State(times)
        return found

    def _closure(self, state: _State, kind: type, value: Any) -> _Closure:
        """`value`, where it is an object, says which alternatives it names."""
        name: Any = kind
        if kind is dict:
            if state.tags is None:
                made = state.closures[(dict, None)] = self._closed(state.times, dict, None)
                tags: dict[str, frozenset[str]] = {}
                for rule in made.times:
                    if rule.tag is not None:
                        tags[rule.tag] = tags.get(rule.tag, frozenset()) | rule.choices.keys()
                state.tags = tags
            if value is None or not state.tags:
                return state.closures[(dict, None)]
            told = {tag: value.get(tag) for tag in state.tags}
            known = {tag: one for tag, one in told.items() if isinstance(one, str) and one in state.tags[tag]}
            name = (dict, *known.items())
        if name not in state.closures:
            state.closures[name] = self._closed(state.times, kind, known if kind is dict else None)
        return state.closures[name]

    def _closed(self, times: _Times, kind: type, names: Mapping[str, Any] | None) -> _Closure:
        opened = _Opening(self._rules, self._looks, kind, names)
        opened.all(times, lambda rule: kind in rule.kinds)
        self._looks.take(sum(len(rule.named) for rule in opened.times) // _SHARE)
        return _Closure(opened.times, opened.price)

    def _joined(self, rules: Iterable[tuple[_Rule | None, int]]) -> _State:
        return self._state(_sum(self._looks, rules))

    def _member(self, closure: _Closure, name: str | None) -> _State:
        """What the member of that name is held against; any other of None."""
        found = closure.named.get(name) if name is not None else None
        if found is not None:
            return found
        if name is None or name not in closure.named:
            if closure.others is None:
                rules = [(rule.rest, times) for rule, times in closure.times.items()]
                closure.others = self._joined([*rules, *_patterned(closure.times)])
            return closure.others
        rules = [(rule.at_member(name), times) for rule, times in closure.times.items()]
        found = closure.named[name] = self._joined([*rules, *_patterned(closure.times)])
        return found

    def _names(self, closure: _Closure) -> _State:
        if closure.names is None:
            closure.names = self._joined((rule.names, times) for rule, times in closure.times.items())
        return closure.names

    def _items(self, closure: _Closure) -> list[_State]:
        """What the first items of a list are held against, one by one, and last what all others are."""
        if not closure.items:
            for place in range(1 + max((len(rule.prefix) for rule in closure.times), default=0)):
                rules = [(rule.at_item(place), times) for rule, times in closure.times.items()]
                closure.items.append(self._joined([*rules, *_whole(closure.times)]))
        return closure.items

    def _costs(self, value: Any, times: _Times) -> bool:
        """Whether a value costs no more than what is allowed, as the validator ends with what fails."""
        _Counting(self, self._rules, self._looks).failed(value, times)
        return True

    def plainly_fails(self, key: str, value: Any) -> bool:
        """Whether a count tells that a value does not fit; False where it does not say. Raises _TooMuch."""
        self._looks.left = LOOKS
        times = self._at_first(key)
        return not times.keys().isdisjoint(_Counting(self, self._rules, self._looks).failed(value, times))

    def scalar(self, value: Any, state: _State) -> int:
        """What a text, a number or the like costs."""
        closure = state.closures.get(type(value)) or self._closure(state, type(value), None)
        return closure.price.base + (closure.price.char * len(value) if type(value) is str else 0)

    def state(self, times: _Times) -> _State:
        return self._state(times)


class _Opening:
    """The schemas that a value is held against together with some, and what they cost."""

    def __init__(self, rules: _Rules, looks: _Looks, kind: type, names: Mapping[str, Any] | None) -> None:
        self.times: _Times = {}
        self.failed: set[_Rule] = set()
        self._rules = rules
        self._looks = looks
        self._kind = kind
        self._names = names
        self._sums = [0] * len(Price._fields)

    @property
    def price(self) -> Price:
        return Price(*self._sums)

    def all(self, times: _Times, may_fit: Callable[[_Rule], bool]) -> None:
        recalled: set[_Rule] = set()
        while times:
            inner: _Times = {}
            for rule, often in times.items():
                self._looks.take(1 + len(rule.required) // _SHARE)
                if not may_fit(rule):
                    self._sums[0] += often * (
                        rule.price(self._kind).base if self._kind in rule.kinds else MISFIT
                    )
                    self.failed.add(rule)
                    continue
                self._rules.opened(rule)
                self.times[rule] = min(_MANY, self.times.get(rule, 0) + often)
                for place, one in enumerate(rule.price(self._kind)):
                    self._sums[place] += often * one
                more = min(_MANY, often * 2 if rule.twice else often)
                for part in rule.parts(self._names):
                    inner[part] = min(_MANY, inner.get(part, 0) + more)
                if rule.back is None:
                    continue
                if self._kind not in (dict, list):  # and so is done each time
                    inner[rule.back] = min(_MANY, inner.get(rule.back, 0) + more)
                elif rule.back not in recalled:
                    recalled.add(rule.back)
                    inner[rule.back] = inner.get(rule.back, 0) + 1
            times = inner


class _Counting:
    """What a value costs, as the validator ends with the first that fails. Raises _TooMuch where it is more than what is
    allowed, or takes too many looks."""

    def __init__(self, work: Work, rules: _Rules, looks: _Looks) -> None:
        self._work = work
        self._rules = rules
        self._looks = looks
        self._left = ALLOWED

    def failed(self, value: Any, times: _Times) -> set[_Rule]:
        """Those of the schemas that the value is held against, and of what is in them, which it plainly does not fit."""
        kind = type(value)
        if kind is not dict and kind is not list:
            self._looks.take(len(times))
            self._spend(self._work.scalar(value, self._work.state(times)))
            return {rule for rule in times if rule.fails(value)}
        opened = _Opening(self._rules, self._looks, kind, value if kind is dict else None)
        opened.all(times, lambda rule: not rule.fails(value))
        self._spend(opened.price.base)
        if kind is dict:
            self._spend(_of_members(opened.price, value))
            failed = self._members(value, opened.times)
        else:
            self._spend(_of_items(opened.price, value))
            failed = self._items(value, opened.times)
        failed |= opened.failed
        for rule in reversed(opened.times):  # what is in another comes behind it
            if any(part in failed for part in rule.every) or any(
                all(part in failed for part in group) for group in rule.groups
            ):
                failed.add(rule)
        return failed

    def _members(self, value: Mapping[str, Any], times: _Times) -> set[_Rule]:
        failed: set[_Rule] = set()
        named = {rule: often for rule, often in times.items() if rule.named or rule.rest is not None}
        always = _sum(self._looks, _patterned(times))
        names = _sum(self._looks, ((rule.names, often) for rule, often in times.items()))
        for name, item in value.items():
            if names:
                self.failed(name, names)
            inner = [(rule.at_member(name), often) for rule, often in named.items()]
            found = self._inside(item, _sum(self._looks, [*inner, *always.items()]))
            if found:
                over = [rule for rule in named if rule.at_member(name) in found]
                failed.update(over)
                for rule in over:
                    del named[rule]
            elif not named and not always and not names:
                break
        return failed

    def _items(self, value: list[Any], times: _Times) -> set[_Rule]:
        failed: set[_Rule] = set()
        going = {rule: often for rule, often in times.items() if rule.prefix or rule.items is not None}
        always = list(_sum(self._looks, _whole(times)).items())
        longest = max((len(rule.prefix) for rule in going), default=0)
        inner: _Times | None = None
        known: dict[type, int] = {}
        for place, item in enumerate(value):
            kind = type(item)
            if inner is None or place <= longest:
                parts = [(rule.at_item(place), often) for rule, often in going.items()]
                inner = _sum(self._looks, [*parts, *always])
                state = self._work.state(inner)
                known.clear()
            if not inner:
                if place >= longest:
                    break
                continue
            if place >= _FIRST_ITEMS and place > longest and kind in known:
                # None of what is left fails by the type of the item.
                self._spend(self._work.scalar(item, state))
                continue
            found = self._inside(item, inner)
            if found:
                self._looks.take(len(going))
            over = [rule for rule in going if rule.at_item(place) in found] if found else []
            if over:
                failed.update(over)
                for rule in over:
                    del going[rule]
                inner = None
            elif kind is not dict and kind is not list and place >= _FIRST_ITEMS:
                known[kind] = place
        return failed

    def _inside(self, item: Any, times: _Times) -> set[_Rule]:
        return self.failed(item, times) if times else set()

    def _spend(self, price: int) -> None:
        self._left -= price
        if self._left < 0:
            raise _TooMuch


def _sum(looks: _Looks, rules: Iterable[tuple[_Rule | None, int]]) -> _Times:
    found: _Times = {}
    for rule, often in rules:
        looks.take()
        if rule is not None:
            found[rule] = min(_MANY, found.get(rule, 0) + often)
    return found


def _patterned(times: _Times) -> Iterator[tuple[_Rule, int]]:
    for rule, often in times.items():
        for part in rule.patterned:
            yield part, often


def _whole(times: _Times) -> Iterator[tuple[_Rule, int]]:
    for rule, often in times.items():
        for part in rule.whole:
            yield part, often


def _of_members(price: Price, value: Mapping[str, Any]) -> int:
    return price.each * len(value) + (price.name * sum(map(len, value)) if price.name else 0)


def _of_items(price: Price, value: list[Any]) -> int:
    return price.each * len(value) + (price.unlike * unlike(value) if price.unlike else 0)


def _kinds(schema: Mapping[str, Any]) -> frozenset[type]:
    """The types of values that do not fail by their type alone."""
    found = _ALL
    kinds = schema.get("type")
    if kinds is not None:
        named = kinds if isinstance(kinds, list) else [kinds]
        found &= {kind for name in named for kind in _TYPES.get(name, KINDS)}
    for values in ([schema["const"]] if "const" in schema else None, schema.get("enum")):
        if values is not None:
            types: set[type] = {type(value) for value in values}
            if types & {int, float}:
                types |= {int, float}
            found &= types
    return found


def _only(schema: Mapping[str, Any]) -> frozenset[Any] | None:
    """The only texts and numbers that fit; None where others may."""
    if "const" in schema:
        return _plain([schema["const"]])
    return _plain(schema["enum"]) if "enum" in schema else None


def _plain(values: Iterable[Any]) -> frozenset[Any]:
    return frozenset(value for value in values if type(value) in (str, int, float))


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
