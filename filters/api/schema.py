"""JSON Schema, by jsonschema-rs: whether a value fits, and where it does not."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import islice
from typing import Any, Final, NamedTuple

from gateway.api import OptionError
from gateway.description.model import Description

_URI: Final = "urn:weir:description"
_MASK: Final = "the value"
_MOST: Final = 200
"""Failures of one value that are looked at, and characters of a sentence on one."""
_LONGEST: Final = 1000
"""Characters of a pointer: what an object calls its members is up to whoever sent it."""
_DEEPEST: Final = 8
_PATTERN: Final = 4 << 20
"""Bytes of a pattern, compiled."""
_STEPS: Final = 10_000
"""Steps back that the match of a pattern may take; a text that takes more does not fit."""


class Failure(NamedTuple):
    """Where a value does not fit, as the parts of a JSON pointer (RFC 6901), and why."""

    path: tuple[str | int, ...]
    why: str

    @property
    def pointer(self) -> str:
        text = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.path)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class Schemas:
    """The schemas of a description, compiled as they are asked for."""

    def __init__(self, description: Description) -> None:
        if find_spec("jsonschema_rs") is None:
            raise OptionError((), "needs more than is installed: pip install 'weir-gateway[openapi]'")
        import jsonschema_rs

        self._library = jsonschema_rs
        self._description = description
        self._linear = jsonschema_rs.RegexOptions(size_limit=_PATTERN, dfa_size_limit=_PATTERN)
        self._counted = jsonschema_rs.FancyRegexOptions(backtrack_limit=_STEPS, size_limit=_PATTERN)
        self._registry = jsonschema_rs.Registry(
            [(_URI, {"$defs": dict(description.schemas)})],
            draft=jsonschema_rs.Draft202012,
            retriever=_nothing,
        )
        self._known: dict[str, Any] = {}

    def validator(self, key: str) -> Any:
        """The validator of a schema. Raises OptionError for a schema that is none."""
        text = json.dumps(self._description.schemas[key], sort_keys=True)
        known = self._known.get(text)  # many parameters are alike
        if known is None:
            try:
                known = self._compiled(key, self._linear)
            except ValueError:
                # Perhaps for a pattern that looks ahead or back, for which there is an engine whose steps are counted.
                known = self._told(key)
            self._known[text] = known
        return known

    def _told(self, key: str) -> Any:
        try:
            return self._compiled(key, self._counted)
        except ValueError as error:
            place = self._description.places[key]
            why = str(error).splitlines()[0][:_MOST]
            raise OptionError(("description",), f"{place}: the schema cannot be used: {why}") from None

    def _compiled(self, key: str, patterns: Any) -> Any:
        return self._library.Draft202012Validator(
            {"$ref": f"{_URI}#/$defs/{key}"},
            registry=self._registry,
            validate_formats=True,
            retriever=_nothing,
            mask=_MASK,
            pattern_options=patterns,
        )


def _nothing(uri: str) -> Any:
    raise ValueError(f"nothing is fetched: {uri}")


def failure(validator: Any, value: Any) -> Failure:
    """Where and why a value does not fit: of several places the deepest, of alternatives the one that went furthest."""
    try:
        return _deepest(islice(validator.iter_errors(value), _MOST), 0)
    except ValueError as error:  # a value that it cannot take at all
        return Failure((), str(error)[:_MOST])


def _deepest(errors: Any, depth: int) -> Failure:
    best: Failure | None = None
    for error in errors:
        found = Failure(tuple(error.instance_path), error.message[:_MOST])
        branches: Sequence[Any] = getattr(error.kind, "context", None) or () if depth < _DEEPEST else ()
        for branch in branches:
            inner = _deepest(branch[:_MOST], depth + 1) if branch else found
            if len(inner.path) > len(found.path):
                found = inner
        if best is None or len(found.path) > len(best.path):
            best = found
    return best if best is not None else Failure((), "it does not fit")
