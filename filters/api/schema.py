"""JSON Schema, by jsonschema-rs: whether a value fits, and where it does not.

The library compiles a schema once for each validator that reaches it. Of schemas that all refer to one another, each with a
validator of its own, that is the square of their number. So they are compiled as one, an object that has a member for each of
them, and a value is held against one of them as that member.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from importlib.util import find_spec
from itertools import islice
from typing import Any, Final, NamedTuple

from filters.api.backtracking import Texts, guarded
from filters.api.enumeration import by_type
from filters.api.explain import ONE, WAYS, Explaining
from filters.api.reach import reached, reaching, size
from filters.api.work import Work
from gateway.api import OptionError
from gateway.description.model import Description

MAX_COMPILED: Final = 150_000
"""Schemas that are compiled of one description, those by which to say why a value does not fit among them; each takes 6 to
20 us, and 1 to 4 KiB."""
_URI: Final = "urn:weir:description"
_MASK: Final = "the value"
_UNFIT: Final = "the value does not fit"
_LONG: Final = "a text is too long for its pattern, which looks ahead or back"
_ENDED: Final = "Error executing regex:"
_MANY_STEPS: Final = "a text takes too many steps for its pattern"
TOO_MUCH: Final = "it takes too many steps to judge the value"
_MOST: Final = 200
"""Failures of one value that are looked at, and characters of a sentence on one."""
_LONGEST: Final = 1000
"""Characters of a pointer: what an object calls its members is up to whoever sent it."""
_DEEPEST: Final = 8
_LARGE: Final = 256
"""Parts of a value, itself and all that is in it."""
_PATTERN: Final = 16 << 20
"""Bytes of a pattern, compiled: 255 letters of any script take nearly as many."""
_NO_PATTERN: Final = 'is not a "regex"'
_STEPS: Final = 10_000
"""Steps back that the match of a pattern may take; a text that takes more does not fit. What a step takes grows with the text,
whose length is bounded where such a pattern is held against it."""


class Failure(NamedTuple):
    """Where a value does not fit, as the parts of a JSON pointer (RFC 6901), and why."""

    path: tuple[str | int, ...]
    why: str

    @property
    def pointer(self) -> str:
        text = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.path)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class Validator(NamedTuple):
    """A schema, compiled: whether a value fits, and the library's validators that say why not.

    all         for a value of few parts: tells all failures
    first       for a large one: tells one, where all would take time with each
    fits        whether a value that is affordable fits
    affordable  whether a value can be judged in the steps that there are; None where every one can, as others do not fit
    texts       those that patterns which go back are held against; None where there are no such patterns
    """

    is_valid: Callable[[Any], bool]
    all: Any
    first: Any
    fits: Callable[[Any], bool]
    affordable: Callable[[Any], bool] | None = None
    texts: Texts | None = None


class _Member:
    """One of the schemas that are compiled as one. Places that it tells begin with its name."""

    __slots__ = ("_name", "_valid", "_whole")

    def __init__(self, whole: Any, name: str) -> None:
        self._whole = whole
        self._valid: Callable[[Any], bool] = whole.is_valid
        self._name = name

    def is_valid(self, value: Any) -> bool:
        return self._valid({self._name: value})

    def iter_errors(self, value: Any) -> Iterator[Any]:
        found: Iterator[Any] = self._whole.iter_errors({self._name: value})
        return found

    def validate(self, value: Any) -> None:
        self._whole.validate({self._name: value})


class Schemas:
    """The schemas of a description, compiled: those that are `asked` for, by default all, with what they refer to.

    compiled  how many schemas that are, each counted as often as it is compiled

    Raises OptionError where they are too many, and for one that is none.
    """

    def __init__(self, description: Description, asked: Iterable[str] | None = None) -> None:
        if find_spec("jsonschema_rs") is None:
            raise OptionError((), "needs more than is installed: pip install 'weir-gateway[openapi]'")
        import jsonschema_rs

        self._library = jsonschema_rs
        self._description = description
        self._linear = jsonschema_rs.RegexOptions(size_limit=_PATTERN, dfa_size_limit=_PATTERN)
        self._counted = jsonschema_rs.FancyRegexOptions(backtrack_limit=_STEPS, size_limit=_PATTERN)
        given = description.schemas
        first: dict[str, str] = {}
        self._alike = {
            key: first.setdefault(json.dumps(given[key], sort_keys=True), key)
            for key in (given if asked is None else asked)
        }
        """The first that is equal to each that is asked for: many parameters are alike."""
        keys = list(first.values())
        used = {key: by_type(given[key]) for key in reached(keys, given)}
        self._explaining = Explaining(used, keys)
        judged = {key: self._explaining.judged(schema) for key, schema in used.items()}
        self._schemas = {**judged, **self._explaining.made}
        self._texts = Texts()
        self.compiled = 0
        compiled = self._compiled(keys)
        self._work = Work(judged)
        self._validators = {key: self._validator(key, *made) for key, made in compiled.items()}

    def validator(self, key: str) -> Validator:
        """The validator of a schema that is asked for."""
        return self._validators[self._alike[key]]

    def takes_text(self, key: str) -> bool:
        """Whether it plainly takes every text."""
        return self._description.schemas[key] in (True, {}, {"type": "string"})

    def _compiled(self, keys: Sequence[str]) -> Mapping[str, tuple[Any, Any]]:
        """For each what it is compiled in, and by which engine its patterns are."""
        self._count([keys])
        try:
            whole = self._one(keys, self._linear)
            return dict.fromkeys(keys, (whole, self._linear))
        except ValueError:
            pass  # perhaps for a pattern that looks ahead or back, for which there is an engine whose steps are counted
        changed = {key for key, schema in self._guarded.items() if schema != self._schemas[key]}
        going_back = reaching(changed, self._schemas)
        back = [key for key in keys if key in going_back]
        ahead = [key for key in keys if key not in going_back]
        self._count([ahead, back])
        made: dict[str, tuple[Any, Any]] = {}
        for some, patterns in ((ahead, self._linear), (back, self._counted)):
            made |= dict.fromkeys(some, (self._told(some, patterns), patterns))
        return made

    def _count(self, groups: Iterable[Sequence[str]]) -> None:
        self.compiled = sum(
            size(self._schemas[name]) for keys in groups for name in reached(self._names(keys), self._schemas)
        )
        if self.compiled > MAX_COMPILED:
            raise OptionError(
                ("description",),
                f"{self._description.file}: it takes {self.compiled} compiled schemas to judge by it and to say why, "
                f"and more than {MAX_COMPILED} are not supported",
            )

    def _names(self, keys: Iterable[str]) -> list[str]:
        """Of those keys, and of what explains them."""
        return list(
            dict.fromkeys(
                name
                for key in keys
                for name in (key, *(self._explaining.key(key, ways) for ways in (WAYS, ONE)))
            )
        )

    def _told(self, keys: Sequence[str], patterns: Any) -> Any:
        """These as one. Raises OptionError for the first that is none."""
        try:
            return self._one(keys, patterns)
        except ValueError as error:
            half = len(keys) // 2
            if half:
                self._told(keys[:half], patterns)
                self._told(keys[half:], patterns)
            place = self._description.places[keys[0]]
            why = str(error).splitlines()[0][:_MOST]
            if why.endswith(_NO_PATTERN):
                why = f"a pattern is no regular expression, or takes more than {_PATTERN >> 20} MiB when it is compiled"
            raise OptionError(("description",), f"{place}: the schema cannot be used: {why}") from None

    def _one(self, keys: Iterable[str], patterns: Any) -> Any:
        counted = patterns is self._counted
        return self._library.Draft202012Validator(
            {"properties": {name: {"$ref": f"{_URI}#/$defs/{name}"} for name in self._names(keys)}},
            registry=self._registered(self._guarded if counted else self._schemas),
            formats=dict(self._texts.formats) if counted else None,
            validate_formats=True,
            retriever=_nothing,
            mask=_MASK,
            pattern_options=patterns,
        )

    def _registered(self, schemas: Mapping[str, Any]) -> Any:
        return self._library.Registry(
            [(_URI, {"$defs": dict(schemas)})], draft=self._library.Draft202012, retriever=_nothing
        )

    @cached_property
    def _guarded(self) -> Mapping[str, Any]:
        """The schemas, none of whose patterns that go back is held against a text that is too long for it."""
        is_linear = cache(self._is_linear)
        return {key: guarded(schema, is_linear) for key, schema in self._schemas.items()}

    def _is_linear(self, pattern: str) -> bool:
        try:
            self._library.Draft202012Validator({"pattern": pattern}, pattern_options=self._linear)
        except ValueError:
            return False
        return True

    def _validator(self, key: str, whole: Any, patterns: Any) -> Validator:
        own = _Member(whole, key)
        every, first = (_Member(whole, self._explaining.key(key, ways)) for ways in (WAYS, ONE))
        fits: Callable[[Any], bool] = own.is_valid
        texts = self._texts if patterns is self._counted else None
        if texts is not None:
            fits = partial(_fits, own.is_valid, texts)
        if self._work.is_bounded(key):
            return Validator(fits, every, first, fits, None, texts)
        affordable = partial(self._work.is_affordable, key)
        return Validator(
            lambda value: affordable(value) and fits(value), every, first, fits, affordable, texts
        )


def _fits(is_valid: Callable[[Any], bool], texts: Texts, value: Any) -> bool:
    texts.begin()
    return is_valid(value) and not texts.is_over


def _nothing(uri: str) -> Any:
    raise ValueError(f"nothing is fetched: {uri}")


def failure(validator: Validator, value: Any, *, counted: bool = False) -> Failure:
    """Where and why a value does not fit: of several places the deepest, of alternatives the one that went furthest; of a
    large value the first. `counted` says that it is known to be affordable."""
    if not counted and validator.affordable is not None and not validator.affordable(value):
        return Failure((), TOO_MUCH)
    texts = validator.texts
    if texts is not None:
        texts.begin()
    try:
        if _is_large(value):
            found = _first(validator.first, value)
        else:
            found = _deepest(islice(validator.all.iter_errors(value), _MOST), 0)
        return Failure(found.path, _LONG) if texts is not None and texts.is_over else found
    except ValueError as error:  # a value that it cannot take at all
        return Failure((), str(error)[:_MOST])


def _first(validator: Any, value: Any) -> Failure:
    try:
        validator.validate(value)
    except ValueError as error:
        if hasattr(error, "instance_path"):  # the library, which may not be installed, names no class here
            return _deepest((error,), 0)
        raise
    return Failure((), _UNFIT)


def _is_large(value: Any) -> bool:
    parts = [value]
    for part in parts:  # which grows meanwhile
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        if len(parts) + len(inner) > _LARGE:
            return True
        parts.extend(inner)
    return False


def _deepest(errors: Any, depth: int) -> Failure:
    best: Failure | None = None
    for error in errors:
        why = _UNFIT if error.schema_path[-1:] == ["else"] else error.message[:_MOST]
        if why.startswith(_ENDED):
            why = _MANY_STEPS
        found = Failure(tuple(error.instance_path[1:]), why)
        branches: Sequence[Any] = getattr(error.kind, "context", None) or () if depth < _DEEPEST else ()
        for branch in branches:
            inner = _deepest(branch[:_MOST], depth + 1) if branch else found
            if len(inner.path) > len(found.path):
                found = inner
        if best is None or len(found.path) > len(best.path):
            best = found
    return best if best is not None else Failure((), _UNFIT)
