"""Schemas of a document, as JSON Schema 2020-12, with all that they refer to and bounds on what they may cost.

OpenAPI 3.1 has that dialect, unless it names another; earlier ones are translated, and so is the one of 3.0 (section 4.7.24 of
its specification): `nullable`, `exclusiveMinimum: true`, and no key beside a `$ref` counts. What only an answer has (`readOnly`) is not required of a
request, and the other way round. Only references within the document are followed.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from gateway.config.problem import Path, Position
from gateway.description.dialect import DRAFT_2020_12, NAMES, OPENAPI_3_0, Dialect, dialect_of, spelled
from gateway.description.discriminator import DISCRIMINATOR, Discriminators, divide, parts_of, word_of
from gateway.description.model import ALL_TYPES, Part, Types
from gateway.description.source import Source, at, path_of, typed

Side = Literal["request", "answer"]

MAX_SCHEMAS: Final = 50_000
"""Schemas of a document, each counted as often as something else is made of it."""
MAX_WIDTH: Final = 10_000
"""Schemas that one value may have to be held against."""

_WORDS: Final = frozenset(
    (
        *("type", "enum", "const", "format", "multipleOf", "pattern", "required", "dependentRequired"),
        *("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength"),
        *("maxItems", "minItems", "uniqueItems", "maxContains", "minContains"),
        *("maxProperties", "minProperties"),
    )
)
"""Keys that say something of a value and hold no schema."""
_ONE: Final = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_MANY: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED: Final = ("properties", "patternProperties", "dependentSchemas")
_SAME_VALUE: Final = ("allOf", "anyOf", "oneOf")
_MOVING: Final = ("$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor")
"""Keys that change what a reference refers to."""
_BASE64: Final = {"pattern": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"}
"""Texts of the format `byte` (RFC 4648 section 4), which is OpenAPI's own."""
_FLOAT: Final = float.fromhex("0x1.fffffefffffffp+127")
"""The largest double that is a float when it is rounded (IEEE 754 section 4.3.1)."""
_RANGES: Final = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "float": (-_FLOAT, _FLOAT),
}
_DIVIDED: Final = 1e30
"""The largest number that is divided to tell whether it is a multiple: of much larger ones each takes as long as ten."""
_FAR: Final = 16
_MANY_TYPES: Final = 64
_MANY_PARTS: Final = 1024
"""Schemas that are looked at to tell what a value is, one time for each way to them."""
_CONVERTED: Final[Types] = frozenset(("integer", "number", "boolean"))
_CHAIN: Final = 128


_NONE: Final[frozenset[str]] = frozenset()


class _Use(NamedTuple):
    """A schema as it is used; `left_out` is not required, for what stands beside it."""

    path: Path
    side: Side
    left_out: frozenset[str]
    undivided: bool
    """Whether its discriminator does not count, for it is used by what that tells apart."""


class Schemas:
    """Takes schemas out of a document. `old` says that they are of OpenAPI 3.0; `plain` that they are JSON Schema, to which a
    discriminator means nothing, nor who may send what; `dialect` is of those that name none."""

    def __init__(
        self,
        source: Source,
        *,
        old: bool,
        prefix: str = "",
        plain: bool = False,
        dialect: Dialect = DRAFT_2020_12,
    ) -> None:
        self.made: dict[str, Any] = {}
        """By key."""
        self.places: dict[str, Position] = {}
        self._source = source
        self._old = old
        self._dialect = OPENAPI_3_0 if old else dialect
        self._prefix = prefix
        self._keys: dict[_Use, str] = {}
        self._paths: dict[str, Path] = {}
        self._pending: deque[_Use] = deque()
        self._count = 0
        self._discriminators = None if plain else Discriminators(source, old=old)
        self._untold: set[Path] = set()
        self._strange: set[Path] = set()

    def add(self, path: Path, side: Side = "request") -> str:
        """The key of the schema that stands at `path`, or where that does nothing but refer to."""
        key = self._key(self._led(path), side)
        # One after the other, so that no chain of references nests.
        while self._pending:
            use = self._pending.popleft()
            dialect = self._dialect_at(use.path[:-1])
            self.made[self._keys[use]] = self._made(at(self._source.value, use.path), *use, dialect=dialect)
        return key

    def _dialect_at(self, path: Path) -> Dialect:
        """That of what stands at a path: of the innermost `$schema` around it."""
        found, value = self._dialect, self._source.value
        for place, part in enumerate(path):
            found = self._named(value, path[:place], found)
            value = at(value, (part,))
        return self._named(value, path, found)

    def _named(self, value: Any, path: Path, dialect: Dialect) -> Dialect:
        """The dialect that the schema at a path names; `dialect` where it names none."""
        if self._old or not isinstance(value, dict) or "$schema" not in value:
            return dialect
        named = dialect_of(value["$schema"])
        if named is None and isinstance(value["$schema"], str) and path not in self._strange:
            self._strange.add(path)
            self._source.wrong(
                (*path, "$schema"), f"of the dialects of JSON Schema only {NAMES} are supported"
            )
        return named or dialect

    def _led(self, path: Path) -> Path:
        for _ in range(_CHAIN):
            value = at(self._source.value, path)
            if not isinstance(value, dict) or "$ref" not in value:
                break
            if len(value) > 1 and not self._dialect_at(path).alone:
                break
            target = self.target(value["$ref"], path)
            if target is None:
                break
            path = target
        return path

    def _key(self, path: Path, side: Side, left_out: frozenset[str] = _NONE, undivided: bool = False) -> str:
        if left_out:
            required, own = self._required(at(self._source.value, path), side)
            left_out = (left_out & required) - own
        if undivided:
            undivided = self._discriminators is not None and self._discriminators.divides(path)
        use = _Use(path, side, left_out, undivided)
        key = self._keys.get(use)
        if key is None:
            key = self._keys[use] = f"{self._prefix}{len(self._keys)}"
            self._paths[key] = path
            self.places[key] = self._source.position(path)
            self._pending.append(use)
        return key

    def finish(self) -> None:
        """Notes what cannot be judged by: a schema that is itself by way of others, or is made of too many."""
        widths: dict[str, int | None] = {}
        for key in self.made:
            self._width_of(key, widths)

    def types(self, key: str) -> Types:
        """Types that a value of that key may have, as far as that is easily told."""
        return self.types_of(self.made.get(key, True))

    def types_of(self, schema: Any) -> Types:
        """The same of a schema that has been made."""
        return types_of(schema, self.made)

    def told(self, key: str) -> Types:
        """Types that are named of a value of that key, wherever that is."""
        named: set[str] = set()
        for part in _alike(self.made.get(key, True), self.made):
            named.update(kind for kind in _listed(part.get("type")) if isinstance(kind, str))
        return frozenset(named)

    def items(self, key: str) -> Part:
        """What an item of a list of that key is."""
        return self._part(key, "array", _items, "items", [_MANY_PARTS])

    def members(self, key: str) -> tuple[dict[str, Part], Part]:
        """What members of an object of that key are, those that are named and all others."""
        names: dict[str, None] = {}
        for part in _alike(self.made.get(key, True), self.made):
            names.update(dict.fromkeys(part.get("properties", ())))
        left = [_MANY_PARTS * _MANY_TYPES]
        others = self._part(key, "object", _others, "others", left)
        made = {
            name: self._part(key, "object", partial(_member, name=name), f"members-{place}", left)
            for place, name in enumerate(names)
        }
        return made, others

    def _part(
        self, key: str, kind: str, of: Callable[[Mapping[str, Any]], Any], name: str, left: list[int]
    ) -> Part:
        schema = _below(self.made.get(key, True), self.made, kind, of, left)
        types = self.types_of(schema)
        if schema is True or "string" not in types or not types & _CONVERTED:
            return Part(types)
        inner = f"{key}-{name}"
        self.made[inner] = schema
        self._paths[inner], self.places[inner] = self._paths[key], self.places[key]
        return Part(types, inner)

    def _too_many(self, path: Path) -> bool:
        self._count += 1
        if self._count == MAX_SCHEMAS + 1:
            self._source.wrong(path, f"there are more than {MAX_SCHEMAS} schemas", "too_many_schemas")
        return self._count > MAX_SCHEMAS

    def _made(
        self,
        value: Any,
        path: Path,
        side: Side,
        left_out: frozenset[str] = _NONE,
        undivided: bool = False,
        *,
        dialect: Dialect,
    ) -> Any:
        if self._too_many(path):
            return True
        if isinstance(value, bool):
            return value
        if not isinstance(value, dict):
            self._source.wrong(path, "expected a schema: a mapping, or true or false")
            return True
        dialect = self._named(value, path, dialect)
        made: dict[str, Any] = {}
        reference = value.get("$ref")
        if "allOf" in value or reference is not None:
            left_out |= self._required(value, side)[1]
        if reference is not None:
            target = self.target(reference, path)
            if target is not None:
                heir = self._discriminators is not None and self._discriminators.inherits(path, target)
                made["$ref"] = f"#/$defs/{self._key(target, side, left_out, undivided or heir)}"
            if dialect.alone:
                return made
        self._stays(value, path, dialect)
        said = spelled(value, dialect)
        made.update((word, said[word].value) for word in _WORDS if word in said)
        for word in _ONE:
            if word in said:
                made[word] = self._made(said[word].value, (*path, *said[word].path), side, dialect=dialect)
        dropped = word_of(value) if undivided and DISCRIMINATOR in value else None
        for word in _MANY:
            if word in said and word != dropped:
                here = (*path, *said[word].path)
                left = left_out if word == "allOf" else _NONE
                made[word] = [
                    self._made(item, (*here, place), side, left, dialect=dialect)
                    for place, item in enumerate(self._list(said[word].value, here))
                ]
        for word in _NAMED:
            if word in said:
                here = (*path, *said[word].path)
                made[word] = {
                    name: self._made(item, (*here, name), side, dialect=dialect)
                    for name, item in self._mapping(said[word].value, here).items()
                }
        if "dependencies" in said:
            here = (*path, *said["dependencies"].path)
            found: dict[str, Any] = made.setdefault("dependentSchemas", {})
            for name, item in said["dependencies"].value.items():
                one = self._made(item, (*here, name), side, dialect=dialect)
                found[name] = {"allOf": [found[name], one]} if name in found else one
        if dialect.switches:
            _translate(made, value, nullable=self._old)
        if DISCRIMINATOR in value and self._discriminators is not None and not undivided:
            self._discriminate(made, value, path, side, left_out)
        self._bound(made)
        self._leave_out(made, value, side, left_out)
        return made

    def _stays(self, value: Mapping[str, Any], path: Path, dialect: Dialect) -> None:
        """Notes what moves references: all but what a document by itself is called, whose places stay where they are."""
        for word in (*_MOVING, dialect.identity):
            named = word in value and (word != "id" or isinstance(value[word], str))
            if named and not (word == dialect.identity and path == ()):
                self._source.wrong(
                    (*path, word), f"{word} is not supported: a reference is to a place, as #/a/b"
                )
        if dialect.lists and "unevaluatedItems" in value and "unevaluatedItems" not in dialect.lacks:
            self._source.wrong(
                (*path, "unevaluatedItems"), f"unevaluatedItems is not supported in {dialect.name}"
            )

    def _discriminate(
        self, made: dict[str, Any], value: dict[str, Any], path: Path, side: Side, left_out: frozenset[str]
    ) -> None:
        """Has that alternative alone judge a value which a property of it names."""
        assert self._discriminators is not None
        choice = self._discriminators.choice(value, path)
        if isinstance(choice, str):
            if side == "request" and path not in self._untold:
                self._untold.add(path)
                self._source.not_checked((*path, DISCRIMINATOR), choice)
            return
        alternatives: list[tuple[Sequence[str], Any]] = []
        parts = made.pop(choice.word) if choice.word is not None else None
        for number, (place, names) in enumerate(choice.alternatives):
            if parts is not None:
                alternatives.append((names, parts[number]))
            elif place == path:
                alternatives.append((names, True))
            elif not self._too_many(path):
                key = self._key(place, side, left_out, undivided=True)
                alternatives.append((names, {"$ref": f"#/$defs/{key}"}))
        divided = divide(choice.property, alternatives)
        if parts is not None:
            divided["type"] = "object"
        made["allOf"] = [*made.get("allOf", ()), divided]

    def _list(self, value: Any, path: Path) -> list[Any]:
        if isinstance(value, list):
            return value
        self._source.wrong(path, "expected a list of schemas")
        return []

    def _mapping(self, value: Any, path: Path) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self._source.wrong(path, "expected a mapping of schemas")
        return {}

    def _bound(self, made: dict[str, Any]) -> None:
        if made.get("format") == "byte":
            made["allOf"] = [*made.get("allOf", ()), _BASE64]
        bounds = _RANGES.get(made["format"]) if isinstance(made.get("format"), str) else None
        kinds = ("integer", "number") if made.get("format") == "float" else ("integer",)
        if bounds is not None and any(kind in kinds for kind in _listed(made.get("type"))):
            _within(made, *bounds)
        if "multipleOf" in made:
            _within(made, -_DIVIDED, _DIVIDED)

    def _leave_out(
        self, made: dict[str, Any], value: dict[str, Any], side: Side, left_out: frozenset[str]
    ) -> None:
        """Requires nothing that the other side alone has; `left_out` is what schemas of the same value say is so."""
        required, properties = made.get("required"), value.get("properties")
        if not isinstance(required, list):
            return
        # What is no name is for the validator to find.
        kept = [
            name
            for name in required
            if not (isinstance(name, str) and (name in left_out or self._is_other(name, properties, side)))
        ]
        if kept or not required:
            made["required"] = kept
        else:
            del made["required"]

    def _required(self, value: Any, side: Side) -> tuple[frozenset[str], frozenset[str]]:
        """Names that a schema requires with all that stand for the same value as it does; those of them that the other side
        alone has."""
        parts = [value]
        for part in parts:  # which grows meanwhile
            if not isinstance(part, dict) or len(parts) > _CHAIN:
                continue
            target = path_of(part.get("$ref"))
            found = typed(self._source.value, target) if target is not None else None
            if found is not None:
                parts.append(at(self._source.value, found))
            if isinstance(part.get("allOf"), list) and not (self._old and "$ref" in part):
                parts.extend(part["allOf"])
        schemas = [part for part in parts if isinstance(part, dict) and not (self._old and "$ref" in part)]
        names = frozenset(
            name
            for part in schemas
            if isinstance(part.get("required"), list)
            for name in part["required"]
            if isinstance(name, str)
        )
        properties = [part.get("properties") for part in schemas]
        return names, frozenset(
            name for name in names if any(self._is_other(name, of, side) for of in properties)
        )

    def _is_other(self, name: str, properties: Any, side: Side) -> bool:
        word = "readOnly" if side == "request" else "writeOnly"
        return (
            self._discriminators is not None
            and isinstance(properties, dict)
            and self._says(properties.get(name), word)
        )

    def _says(self, value: Any, word: str) -> bool:
        for _ in range(8):
            if not isinstance(value, dict):
                return False
            if value.get(word) is True:
                return True
            path = path_of(value.get("$ref"))
            if path is None:
                return False
            value = at(self._source.value, path)
        return False

    def target(self, reference: Any, path: Path) -> Path | None:
        """The place that a reference at `path` refers to; None, and noted, where there is none."""
        found = path_of(reference)
        if found is None:
            message = "only references within the document are followed, such as #/components/schemas/Name"
            self._source.wrong((*path, "$ref"), f"{message}: got {str(reference)[:80]!r}", "reference")
            return None
        found = typed(self._source.value, found)
        if found is None:
            self._source.wrong((*path, "$ref"), f"{str(reference)[:80]!r} refers to nothing", "reference")
        return found

    def _width_of(self, key: str, widths: dict[str, int | None], depth: int = 0) -> int:
        """How many schemas a value is held against by the one of that key, alternatives included; 0 where it cannot be told."""
        if key in widths:
            known = widths[key]
            if known is None:
                self._refuse(
                    key, "is itself by way of what it refers to, so that no value can be judged by it"
                )
            return known or 0
        if depth > _CHAIN:
            self._refuse(key, f"is behind more than {_CHAIN} others that refer to one another")
            return 0
        widths[key] = None
        width = self._width(self.made.get(key, True), widths, depth)
        if width > MAX_WIDTH:
            self._refuse(key, f"is made of more than {MAX_WIDTH} schemas for one value")
            width = 0
        widths[key] = width
        return width

    def _refuse(self, key: str, message: str) -> None:
        self._source.wrong(self._paths[key], f"the schema {message}", "recursion")

    def _width(self, schema: Any, widths: dict[str, int | None], depth: int) -> int:
        if not isinstance(schema, dict):
            return 1
        parts = [item for word in _SAME_VALUE for item in schema.get(word, ())]
        parts += [schema[word] for word in ("not", "if", "then", "else") if word in schema]
        parts += list(schema.get("dependentSchemas", {}).values())
        width = 1 + sum(self._width(part, widths, depth) for part in parts)
        if "$ref" in schema:
            width += self._width_of(schema["$ref"].removeprefix("#/$defs/"), widths, depth + 1)
        return width


def _translate(made: dict[str, Any], value: Mapping[str, Any], *, nullable: bool) -> None:
    """What OpenAPI 3.0 and draft-04 say otherwise; `nullable` of the former alone."""
    for word, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(word), bool) and made.pop(word) and bound in made:
            made[word] = made.pop(bound)
    if nullable and value.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]


def _within(made: dict[str, Any], low: float, high: float) -> None:
    lower, upper = made.get("minimum", low), made.get("maximum", high)
    if isinstance(lower, (int, float)) and isinstance(upper, (int, float)):
        made["minimum"], made["maximum"] = max(low, lower), min(high, upper)


def _listed(kind: Any) -> list[Any]:
    return kind if isinstance(kind, list) else [kind]


def types_of(schema: Any, schemas: Mapping[str, Any], depth: int = 0, left: list[int] | None = None) -> Types:
    """Types that a value may have, as far as that is easily told; all where it is not."""
    left = [_MANY_PARTS] if left is None else left
    left[0] -= 1
    if not isinstance(schema, Mapping) or depth > _FAR or left[0] < 0:
        return ALL_TYPES
    types = ALL_TYPES
    if "type" in schema:
        types &= frozenset(kind for kind in _listed(schema["type"]) if isinstance(kind, str))
        if "number" in types:
            types |= {"integer"}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        types &= types_of(_referred(reference, schemas), schemas, depth + 1, left)
    for part in schema.get("allOf", ())[:_MANY_TYPES]:
        types &= types_of(part, schemas, depth + 1, left)
    for word in ("anyOf", "oneOf"):
        if 0 < len(schema.get(word, ())) <= _MANY_TYPES:
            types &= frozenset().union(*(types_of(part, schemas, depth + 1, left) for part in schema[word]))
    return types


def _referred(reference: str, schemas: Mapping[str, Any]) -> Any:
    return schemas.get(reference.removeprefix("#/$defs/"), True)


def _alike(schema: Any, schemas: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas that a value may be held against by one, alternatives included, itself first."""
    parts = [schema]
    for part in parts:  # which grows meanwhile
        if not isinstance(part, Mapping):
            continue
        yield part
        if len(parts) > _MANY_PARTS:
            continue
        if isinstance(part.get("$ref"), str):
            parts.append(_referred(part["$ref"], schemas))
        for word in _SAME_VALUE:
            parts.extend(part.get(word, ()))
        parts.extend(parts_of(part))


def _below(
    schema: Any,
    schemas: Mapping[str, Any],
    kind: str,
    of: Callable[[Mapping[str, Any]], Any],
    left: list[int],
    depth: int = 0,
) -> Any:
    """A schema of what is in a value that is of one: `of` says what that itself says of it. Of alternatives those count whose
    values may be of the kind that has something in it."""
    left[0] -= 1
    if not isinstance(schema, Mapping) or depth > _FAR or left[0] < 0:
        return True
    found = [of(schema)]
    if isinstance(schema.get("$ref"), str):
        found.append(_below(_referred(schema["$ref"], schemas), schemas, kind, of, left, depth + 1))
    found += [_below(part, schemas, kind, of, left, depth + 1) for part in schema.get("allOf", ())]
    for choice in (schema.get("anyOf", ()), schema.get("oneOf", ()), parts_of(schema)):
        chosen = [
            _below(part, schemas, kind, of, left, depth + 1)
            for part in choice
            if kind in types_of(part, schemas, 0, left)
        ]
        found.append(_any_of(chosen))
    said = [part for part in found if part is not True and part != {}]
    if len(said) < 2:
        return said[0] if said else True
    return {"allOf": said}


def _any_of(schemas: list[Any]) -> Any:
    """What is of one of these; everything where there is none, or one that is of everything."""
    if not schemas or True in schemas or {} in schemas:
        return True
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _items(schema: Mapping[str, Any]) -> Any:
    first = list(schema.get("prefixItems", ()))
    return _any_of([*first, schema.get("items", True)])


def _member(schema: Mapping[str, Any], name: str) -> Any:
    return schema.get("properties", {}).get(name, _others(schema))


def _others(schema: Mapping[str, Any]) -> Any:
    patterns = list(schema.get("patternProperties", {}).values())
    return _any_of([*patterns, schema.get("additionalProperties", True)])
