"""Parameters of a request: values of their texts, and whether they fit (OpenAPI 3.1 section 4.8.12, styles)."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import unquote_plus

from filters._json import DuplicateKey, TooDeep, loads
from filters.api.schema import Schemas, failure
from gateway.api import Exchange, Fault
from gateway.description.model import Numbers, Parameter, Part, Segment, Types
from gateway.description.split import Form
from gateway.description.xsd import tidied
from gateway.http.target import decode

Query: TypeAlias = Mapping[str, Sequence[str]]

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,299})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,299})(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?")
_DECIMAL: Final = r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})"
_XSD_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,300}")
_LEXICAL: Final = {
    "json": (_INTEGER, _NUMBER),
    "decimal": (_XSD_INTEGER, re.compile(_DECIMAL)),
    "double": (_XSD_INTEGER, re.compile(_DECIMAL + "(?:[eE][+-]?[0-9]{1,3})?")),
}
"""Integers and numbers by how they are written."""
_XML_SPACE: Final = " \t\n\r"
_BOOLEANS: Final = {"true": True, "false": False}
_CONVERTED: Final[Types] = frozenset(("integer", "number", "boolean", "null"))


def query_of(text: str) -> Query:
    """The parameters of a query by decoded name, with all their values, not decoded yet, for a comma that is decoded parts
    nothing (OpenAPI 3.1.1, appendix E); `text` is latin-1, as an exchange has it."""
    found: dict[str, list[str]] = {}
    raw = text.encode("latin-1").decode("utf-8", "replace")
    for pair in raw.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            found.setdefault(_decoded(name), []).append(value)
    return found


def _decoded(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def value_of(text: str, types: Types, numbers: Numbers = "json") -> Any:
    """What a text stands for where the value may be of these types; the text itself where it is nothing else."""
    integer, number = _LEXICAL[numbers]
    # In XML Schema white space around a number is none of it, also where the value may be a text that has it.
    written = text if numbers == "json" else text.strip(_XML_SPACE)
    if "integer" in types and integer.fullmatch(written) is not None:
        return int(written)
    if "number" in types and number.fullmatch(written) is not None:
        return float(written)
    if "boolean" in types and text in _BOOLEANS:
        return _BOOLEANS[text]
    if "null" in types and not text and "string" not in types:
        return None
    return text


class PathSegment:
    """The parameters of one segment of the path, which is `parts[place]`."""

    __slots__ = ("_fits", "_form", "_names", "fits", "is_list", "name", "place")

    def __init__(
        self,
        place: int,
        segment: Segment,
        parameters: Mapping[str, Parameter],
        schemas: Schemas,
        max_depth: int,
    ) -> None:
        self.place = place
        self._names = segment[1::2]
        self._form = Form(segment) if any(segment[::2]) else None
        self._fits = tuple(
            _fitting(parameters[name], schemas, max_depth) if name in parameters else None
            for name in self._names
        )
        self.name = self._names[0]
        self.fits = self._fits[0] if self._form is None else None
        """Whether it fits that is one parameter and nothing else; None for another segment, for which there is `misfit`."""
        only = parameters.get(self.name)
        self.is_list = self.fits is not None and only is not None and only.form == "list"
        """Whether `fits` is of the text as it is written: in a list, a comma that is encoded parts nothing."""
        if self.is_list:
            assert only is not None
            self.fits = _fitting(only, schemas, max_depth, decode)

    @property
    def judges(self) -> bool:
        """Whether there is anything that does not fit."""
        return any(fit is not None for fit in self._fits)

    def misfit(self, text: str) -> str | None:
        """The first parameter that does not fit, where there is more than one or text beside it, in a segment of that form."""
        assert self._form is not None
        number = self._form.misfit(text, self._fits)
        return None if number is None else self._names[number]


def path_segments(
    own: Iterable[Parameter],
    shared: Iterable[Parameter],
    segments: Sequence[Segment],
    schemas: Schemas,
    max_depth: int,
) -> tuple[PathSegment, ...]:
    """The segments that hold one of a path's `own` parameters; those that are `shared` have to fit beside them."""
    names = {one.name for one in own}
    parameters = {one.name: one for one in (*shared, *own)}
    made = (
        PathSegment(place, segment, parameters, schemas, max_depth)
        for place, segment in enumerate(segments)
        if names.intersection(segment[1::2])
    )
    return tuple(one for one in made if one.judges)


def misfit(segments: Iterable[PathSegment], parts: Sequence[str], written: Sequence[str]) -> str | None:
    """The first parameter of a path that does not fit; `written` are its segments before they were decoded."""
    for one in segments:
        fits = one.fits
        if fits is None:
            name = one.misfit(parts[one.place])
            if name is not None:
                return name
        elif not fits((written if one.is_list else parts)[one.place]):
            return one.name
    return None


def _fitting(
    parameter: Parameter, schemas: Schemas, max_depth: int, decoded: Callable[[str], str] = str
) -> Callable[[str], bool] | None:
    """Whether a text is a value of the parameter; None where every text is. Of a list, `decoded` decodes its items."""
    if parameter.schema is None:
        return None if parameter.form != "json" else lambda text: _is_json(text, max_depth)
    if parameter.form == "text" and schemas.takes_text(parameter.schema):
        return None
    fits: Callable[[Any], bool] = schemas.validator(parameter.schema).is_valid
    if parameter.form == "json":
        return lambda text: _is_json(text, max_depth, fits)
    alone = _alone(parameter, fits)
    if parameter.form == "list":
        value = _valuing(parameter.item, parameter, schemas)

        def item(text: str) -> Any:
            return value(decoded(text))

        return lambda text: fits(_listed(text, parameter.separator, item)) or alone(decoded(text))
    return alone


def _alone(parameter: Parameter, fits: Callable[[Any], bool]) -> Callable[[str], bool]:
    """Whether a text is a value by itself, no list."""
    types, numbers, space = parameter.types, parameter.numbers, parameter.space
    if not types:
        return lambda text: False
    if not types & _CONVERTED:
        return fits if space == "preserve" else lambda text: fits(tidied(text, space))

    def either(text: str) -> bool:
        text = tidied(text, space)
        value = value_of(text, types, numbers)
        return fits(value) or (type(value) is not str and "string" in types and fits(text))

    return either


def _valuing(part: Part, parameter: Parameter, schemas: Schemas) -> Callable[[str], Any]:
    """What a text stands for that is a part of a value: where it may be text too, what fits."""
    types, numbers, space = part.types, parameter.numbers, parameter.space
    fits = schemas.validator(part.schema).is_valid if part.schema is not None and "string" in types else None

    def value(text: str) -> Any:
        text = tidied(text, space)
        made = value_of(text, types, numbers)
        return made if fits is None or type(made) is str or fits(made) else text

    return value


def _listed(text: str, separator: str | None, value: Callable[[str], Any]) -> list[Any]:
    return [value(item) for item in text.split(separator)] if text else []


def _is_json(text: str, max_depth: int, fits: Callable[[Any], bool] | None = None) -> bool:
    try:
        document = loads(text.encode(), max_depth)
    except (TooDeep, DuplicateKey, ValueError):
        return False
    return fits is None or fits(document)


class FieldParameter:
    """One of the query or of the header fields."""

    __slots__ = (
        "_alone",
        "_fits",
        "_invalid",
        "_item",
        "_member_name",
        "_members",
        "_missing",
        "_others",
        "_parameter",
        "_required",
        "_twice",
        "_validator",
        "name",
    )

    def __init__(self, parameter: Parameter, schemas: Schemas, max_depth: int) -> None:
        self.name = parameter.name
        self._parameter = parameter
        self._required = parameter.required
        self._fits = _fitting(parameter, schemas, max_depth)
        self._validator = schemas.validator(parameter.schema) if parameter.schema is not None else None
        self._alone = (
            _alone(parameter, self._validator.is_valid) if self._validator is not None else _any_text
        )
        self._item = _valuing(parameter.item, parameter, schemas)
        self._member_name = (
            re.compile(re.escape(parameter.name) + r"\[([^\[\]]*)\]").fullmatch
            if parameter.form == "object"
            else None
        )
        self._members = {name: _valuing(part, parameter, schemas) for name, part in parameter.members.items()}
        self._others = _valuing(parameter.others, parameter, schemas)
        what = "header field" if parameter.where == "header" else "query parameter"
        self._missing = _fault("parameter_missing", f"The {what} {self.name} is required.", self.name)
        self._invalid = _fault(
            "parameter_invalid", f"The {what} {self.name} is not as it has to be.", self.name
        )
        self._twice = _fault("parameter_invalid", f"The {what} {self.name} is given twice.", self.name)

    def of_header(self, exchange: Exchange) -> Fault | None:
        """What is wrong with it in a request's header."""
        lines = exchange.request.headers.all(self.name)
        if not lines:
            return self._missing if self._required else None
        if len(lines) > 1 and self._parameter.form != "list":
            return self._twice
        text = ",".join(lines) if len(lines) > 1 else lines[0]
        if self._parameter.form == "list":
            if len(lines) == 1 and self._alone(text):
                return None
            return self._judged(_listed(text, ",", lambda item: self._item(item.strip())))
        return None if self._fits is None or self._fits(text) else self._told(text)

    def of_query(self, query: Query) -> Fault | None:
        """What is wrong with it in a query."""
        if self._member_name is not None:
            return self._of_members(query)
        texts = query.get(self.name)
        if texts is None:
            return self._missing if self._required else None
        if self._parameter.may_be_empty and list(texts) == [""]:
            return None
        separator = self._parameter.separator
        if self._parameter.form == "list":
            if len(texts) > 1:
                if separator is not None:
                    return self._twice
            elif self._alone(_decoded(texts[0])):
                return None
            return self._judged(self._listed_in_query(texts, separator))
        if len(texts) > 1:
            return self._twice
        text = _decoded(texts[0])
        return None if self._fits is None or self._fits(text) else self._told(text)

    @property
    def is_object(self) -> bool:
        """Whether it is given member by member."""
        return self._member_name is not None

    def takes(self, name: str) -> bool:
        """Whether a parameter of the query of this name is it, or a part of it."""
        return name == self.name if self._member_name is None else self._member_name(name) is not None

    def _listed_in_query(self, texts: Sequence[str], separator: str | None) -> list[Any]:
        if separator is None:
            return [self._item(_decoded(text)) for text in texts]
        if separator != ",":  # a space and a bar cannot stand in a query but encoded
            return _listed(_decoded(texts[0]), separator, self._item)
        return _listed(texts[0], separator, lambda text: self._item(_decoded(text)))

    def _of_members(self, query: Query) -> Fault | None:
        assert self._member_name is not None
        value: dict[str, Any] = {}
        for name, texts in query.items():
            match = self._member_name(name)
            if match is not None:
                if len(texts) > 1:
                    return self._twice
                value[match[1]] = self._members.get(match[1], self._others)(_decoded(texts[0]))
        if not value:
            return self._missing if self._required else None
        return self._judged(value)

    def _judged(self, value: Any) -> Fault | None:
        if self._validator is None or self._validator.is_valid(value):
            return None
        return self._because(value)

    def _told(self, text: str) -> Fault:
        parameter = self._parameter
        if parameter.form == "json":
            return self._invalid
        return self._because(value_of(tidied(text, parameter.space), parameter.types, parameter.numbers))

    def _because(self, value: Any) -> Fault:
        assert self._validator is not None
        found = failure(self._validator, value)
        where = f"At {found.pointer}: " if found.path else ""
        return Fault(
            400,
            self._invalid.reason,
            self._invalid.message,
            rule=self._invalid.rule,
            details=f"{where}{found.why}.",
            facts=self._invalid.facts,
        )


def _any_text(text: str) -> bool:
    return True


def _fault(reason: str, message: str, name: str) -> Fault:
    return Fault(400, reason, message, rule=("description",), facts={"parameter": name})
