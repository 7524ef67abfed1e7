"""Discriminators (OpenAPI 3.1.1 section 4.8.25): a property of a value names the alternative that judges it.

JSON Schema has no such word. It is said with `if` and `then` for each alternative, so that a value is held against the one that
it names and against no other, and what does not fit is told of that one.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

from gateway.config.problem import Path
from gateway.description.source import Source, at, path_of, typed

DISCRIMINATOR: Final = "discriminator"
_SCHEMAS: Final[Path] = ("components", "schemas")
_CHOICES: Final = ("oneOf", "anyOf")
_FAR: Final = 128


class Choice(NamedTuple):
    """What a schema with a discriminator chooses among.

    property      of the value, that names the alternative
    word          that the alternatives stand under, in their order; None where they are what inherits from the schema, and it
                  itself
    alternatives  where each stands, and its names
    """

    property: str
    word: str | None
    alternatives: tuple[tuple[Path, tuple[str, ...]], ...]


class Discriminators:
    """Those of a document. `old` says that it is of OpenAPI 3.0."""

    def __init__(self, source: Source, *, old: bool) -> None:
        self._source = source
        self._old = old
        self._known: dict[Path, frozenset[Path] | None] = {}

    def divides(self, path: Path) -> bool:
        """Whether the schema there, or where it refers to, has one."""
        value = at(self._source.value, self._led(path))
        return isinstance(value, dict) and DISCRIMINATOR in value

    def inherits(self, path: Path, target: Path) -> bool:
        """Whether a named schema inherits by the reference at `path` from one that has it among its alternatives, and so must
        not lead back to it."""
        if path[:2] != _SCHEMAS or len(path) < 4 or any(word != "allOf" for word in path[3::2]):
            return False
        alternatives = self._alternatives(self._led(target))
        return alternatives is None or path[:3] in alternatives

    def choice(self, value: Mapping[str, Any], path: Path) -> Choice | str:
        """What the schema at `path` chooses among; or why that cannot be told."""
        given = value[DISCRIMINATOR]
        name = given.get("propertyName") if isinstance(given, dict) else None
        if not isinstance(name, str):
            return "a discriminator without a `propertyName` is not looked at"
        told = f"the discriminator {name[:80]!r} is not looked at"
        word = word_of(value)
        if word is not None:
            found = [self._place(part) for part in value[word]]
            if not found or None in found:
                return f"{told}: of the alternatives not all are references, which alone have names"
            places = [place for place in found if place is not None]
            if len(set(places)) < len(places):
                return f"{told}: two of the alternatives are the same"
        else:
            places = [path, *self._heirs(path)] if _is_named(path) else []
        known = set(places)
        mapping = given.get("mapping", {})
        if not isinstance(mapping, dict):
            return f"{told}: its mapping is none"
        if word is None and len(places) < 2 and not mapping:
            return f"{told}: no schema has an `allOf` that refers to this one, and it has no alternatives"
        names: dict[str, Path] = {}
        for key, to in mapping.items():
            place = self._mapped(to)
            if place is None or (word is not None and place not in known):
                return f"{told}: what {str(key)[:80]!r} is mapped to is none of the alternatives"
            names[key] = place
        for place in places:
            if _is_named(place):
                names.setdefault(str(place[2]), place)
        by_place: dict[Path, list[str]] = {place: [] for place in places}
        for key, place in names.items():
            by_place.setdefault(place, []).append(key)
        if word is not None and not all(by_place.values()):
            return f"{told}: one of the alternatives has no name"
        return Choice(name, word, tuple((place, tuple(of)) for place, of in by_place.items()))

    def _alternatives(self, path: Path) -> frozenset[Path] | None:
        """Where those of the schema there stand; None where it has none but what inherits from it."""
        if path not in self._known:
            value = at(self._source.value, path)
            word = word_of(value) if isinstance(value, dict) else None
            places = map(self._place, value[word]) if word is not None else ()
            found = frozenset(self._led(place) for place in places if place is not None)
            self._known[path] = found if word is not None else None
        return self._known[path]

    def _place(self, part: Any) -> Path | None:
        found = path_of(part.get("$ref")) if isinstance(part, dict) else None
        return typed(self._source.value, found) if found is not None else None

    def _mapped(self, to: Any) -> Path | None:
        """Where what a mapping names stands: the name of a schema, or a reference."""
        if not isinstance(to, str):
            return None
        found = (*_SCHEMAS, to)
        if isinstance(at(self._source.value, found), dict):
            return found
        return self._place({"$ref": to})

    def _led(self, path: Path) -> Path:
        """Where references lead that nothing else is said with."""
        for _ in range(_FAR):
            value = at(self._source.value, path)
            alone = isinstance(value, dict) and (self._old or len(value) == 1)
            target = self._place(value) if alone else None
            if target is None:
                break
            path = target
        return path

    def _heirs(self, base: Path) -> list[Path]:
        """What inherits from the schema at `base`, also by way of others."""
        found = [base]
        known = {base}
        for path in found:  # which grows meanwhile
            for heir in self._by_base.get(path, ()):
                if heir not in known:
                    known.add(heir)
                    found.append(heir)
        return found[1:]

    @cached_property
    def _by_base(self) -> Mapping[Path, Sequence[Path]]:
        """What names each schema in an `allOf`."""
        found: dict[Path, list[Path]] = {}
        schemas = at(self._source.value, _SCHEMAS)
        for name, value in schemas.items() if isinstance(schemas, dict) else ():
            parts = [value]
            for part in parts:  # which grows meanwhile
                inner = part.get("allOf") if isinstance(part, dict) else None
                for one in inner if isinstance(inner, list) else ():
                    place = self._place(one)
                    if place is not None:
                        found.setdefault(self._led(place), []).append((*_SCHEMAS, name))
                    parts.append(one)
        return found


def divide(name: str, alternatives: Iterable[tuple[Sequence[str], Any]]) -> dict[str, Any]:
    """The schema of values whose property of that name has one of the names of an alternative, and which fit that one."""
    given = list(alternatives)
    return {
        # It means nothing to a validator, and tells others that the parts exclude one another.
        DISCRIMINATOR: {"propertyName": name},
        "required": [name],
        "properties": {name: {"enum": [one for names, _ in given for one in names]}},
        "allOf": [
            {
                "if": {"type": "object", "required": [name], "properties": {name: {"enum": list(names)}}},
                "then": schema,
            }
            for names, schema in given
        ],
    }


def parts_of(schema: Mapping[str, Any]) -> list[Any]:
    """The alternatives of a schema that `divide` has made; none of another."""
    return [part["then"] for part in schema["allOf"]] if DISCRIMINATOR in schema else []


def word_of(value: Mapping[str, Any]) -> str | None:
    """The word that the alternatives of a schema stand under."""
    return next((word for word in _CHOICES if isinstance(value.get(word), list)), None)


def _is_named(path: Path) -> bool:
    return path[:2] == _SCHEMAS and len(path) == 3
