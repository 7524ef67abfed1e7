"""Simple types of XML Schema as JSON Schema of their texts (XML Schema 1.1 part 2): what a WADL types parameters with."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from gateway.config.problem import Problem
from gateway.description.model import Numbers, Space
from gateway.description.source import UNCHECKED
from gateway.description.xml import Element, Name

XSD: Final = "http://www.w3.org/2001/XMLSchema"

MAX_TYPES: Final = 10_000
_DEEPEST: Final = 32

_TEXT: Final = ("string", "normalizedString", "token", "anyURI", "anySimpleType", "anyType", "anyAtomicType")
_AS_IT_IS: Final = ("string", "anySimpleType", "anyType", "anyAtomicType")
"""Types whose white space is part of the value; that of `normalizedString` is replaced, and of all others collapsed."""
_SPACES: Final[Mapping[str | None, Space]] = {
    "preserve": "preserve",
    "replace": "replace",
    "collapse": "collapse",
}
_START: Final = (
    "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
"""Characters that a name begins with, but for the colon (XML 1.0 section 2.3)."""
_GOES_ON: Final = f"{_START}.0-9\xb7\u0300-\u036f\u203f\u2040"
_NCNAME: Final = f"[{_START}][{_GOES_ON}-]*"
_ZONE: Final = "(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))?"
_MONTH: Final = "(?:0[1-9]|1[0-2])"
_SHORT_DAY: Final = f"{_MONTH}-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31"
"""A month and a day that each year has."""
_YEAR: Final = "(?:[1-9][0-9]{3,}|0[0-9]{3})"
_BY_FOUR: Final = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP: Final = f"(?:[1-9][0-9]*)?(?:[0-9]{{2}}{_BY_FOUR}|(?:00|{_BY_FOUR})00)"
_DATE: Final = f"-?(?:{_YEAR}-(?:{_SHORT_DAY})|{_LEAP}-02-29)"
_TIME: Final = r"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?|24:00:00(?:\.0+)?)"
_DAYS: Final = "(?:[0-9]+Y(?:[0-9]+M)?(?:[0-9]+D)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
_SECONDS: Final = r"[0-9]+(?:\.[0-9]+)?S"
_HOURS: Final = f"T(?:[0-9]+H(?:[0-9]+M)?(?:{_SECONDS})?|[0-9]+M(?:{_SECONDS})?|{_SECONDS})"
_SIXTY_FOUR: Final = "[A-Za-z0-9+/]"
_PATTERNS: Final = {
    "date": f"^{_DATE}{_ZONE}$",
    "dateTime": f"^{_DATE}T{_TIME}{_ZONE}$",
    "time": f"^{_TIME}{_ZONE}$",
    "gYear": f"^-?{_YEAR}{_ZONE}$",
    "gYearMonth": f"^-?{_YEAR}-{_MONTH}{_ZONE}$",
    "gMonth": f"^--{_MONTH}{_ZONE}$",
    "gMonthDay": f"^--(?:{_SHORT_DAY}|02-29){_ZONE}$",
    "gDay": f"^---(?:0[1-9]|[12][0-9]|3[01]){_ZONE}$",
    "hexBinary": "^(?:[0-9a-fA-F]{2})*$",
    "base64Binary": f"^(?:(?:{_SIXTY_FOUR} ?){{4}})*(?:(?:{_SIXTY_FOUR} ?){{2}}(?:{_SIXTY_FOUR}|=) ?=)?$",
    "language": "^[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8})*$",
    "NMTOKEN": f"^[:{_GOES_ON}-]+$",
    "Name": f"^[:{_START}][:{_GOES_ON}-]*$",
    **dict.fromkeys(("NCName", "ID", "IDREF", "ENTITY"), f"^{_NCNAME}$"),
    "QName": f"^(?:{_NCNAME}:)?{_NCNAME}$",
    "duration": f"^-?P(?:{_DAYS}(?:{_HOURS})?|{_HOURS})$",
}
_BOUNDS: Final[Mapping[str, tuple[int | None, int | None]]] = {
    "integer": (None, None),
    "long": (-(2**63), 2**63 - 1),
    "int": (-(2**31), 2**31 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-128, 127),
    "nonNegativeInteger": (0, None),
    "positiveInteger": (1, None),
    "nonPositiveInteger": (None, 0),
    "negativeInteger": (None, -1),
    "unsignedLong": (0, 2**64 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedByte": (0, 255),
}
_FLOATING: Final = ("double", "float")
_INFINITE: Final = {"INF": "up", "+INF": "up", "-INF": "down", "NaN": "both"}
"""Doubles that are no numbers of JSON, and which bound none of them is within."""
_UP: Final = ("maximum", "exclusiveMaximum")
_DOWN: Final = ("minimum", "exclusiveMinimum")
_NUMBER_FACETS: Final = {
    "minInclusive": "minimum",
    "maxInclusive": "maximum",
    "minExclusive": "exclusiveMinimum",
    "maxExclusive": "exclusiveMaximum",
}
_LENGTH_FACETS: Final = {
    "length": ("minLength", "maxLength"),
    "minLength": ("minLength",),
    "maxLength": ("maxLength",),
}
_NUMBERS: Final = frozenset(("decimal", *_FLOATING, *_BOUNDS))
_EQUAL: Final = {"true": "1", "1": "true", "false": "0", "0": "false", "INF": "+INF", "+INF": "INF"}
"""Booleans, and doubles that are no numbers, which are written in two ways."""
_AS_WRITTEN: Final = frozenset(
    (
        *("date", "dateTime", "time", "gYear", "gYearMonth", "gMonth", "gMonthDay", "gDay", "duration"),
        *("hexBinary", "base64Binary", "QName"),
    )
)
"""Types of which one value may be written in several ways, and is compared by how it is."""
_NUMERAL: Final = re.compile(
    r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,3})?"
)
_EXACT: Final = 2**64
"""Integers below it are compared exactly, others as doubles."""
_SPACE: Final = re.compile(r"[\t\n\r]")
_WITHOUT_MEANING: Final = ("annotation", "whiteSpace")


class _Kind(NamedTuple):
    """A type of XML Schema that a value is of; `space` is what becomes of its white space, and `is_any` says that nothing else is
    asked of it."""

    name: str
    space: Space
    is_any: bool

    @property
    def is_number(self) -> bool:
        return self.name in _NUMBERS


_ANY: Final = frozenset((_Kind("anyType", "preserve", True),))


def tidied(text: str, space: Space) -> str:
    """A text with its white space as XML Schema has it before a value is judged."""
    if space == "preserve":
        return text
    text = _SPACE.sub(" ", text)
    return text if space == "replace" else " ".join(filter(None, text.split(" ")))


class Types:
    """The simple types of grammars, by name. `problems` takes what is wrong with them."""

    def __init__(self, problems: list[Problem]) -> None:
        self._elements: dict[Name, Element] = {}
        self._made: dict[Name, Any] = {}
        self._kinds: dict[Name, frozenset[_Kind]] = {}
        self._problems = problems
        self.unchecked: list[Problem] = []
        """What is asked of values, and nobody here looks at."""
        self.has_elements = False
        """Whether they say what documents look like, which nobody here looks at."""

    def add(self, schema: Element) -> None:
        """Takes the types of an `xsd:schema`."""
        space = schema.get("targetNamespace") or ""
        self.has_elements = self.has_elements or bool(schema.named(XSD, "element"))
        for element in schema.named(XSD, "simpleType"):
            if len(self._elements) >= MAX_TYPES:
                self._wrong(element, f"there are more than {MAX_TYPES} types")
                return
            self._elements[Name(space, element.get("name") or "")] = element

    def schema(self, name: Name, element: Element, depth: int = 0) -> Any:
        """The schema of the type of that name, which `element` speaks of."""
        if name.space == XSD:
            built_in = _built_in(name.local)
            if built_in is None:
                self._wrong(element, f"the type {name.local!r} of XML Schema is not known here")
                return True
            return built_in
        if name not in self._made:
            found = self._elements.get(name)
            if found is None:
                self._wrong(element, f"there is no simple type {name.local!r} in the grammars")
                return True
            if depth > _DEEPEST:
                self._wrong(found, f"more than {_DEEPEST} types are made of one another")
                return True
            self._made[name] = True  # for one that is made of itself, which the bound is met by
            self._made[name] = self._simple(found, depth + 1)
        return self._made[name]

    def named(self, text: str, element: Element) -> Any:
        """The same of a name with a prefix, with the doubles that are no numbers."""
        return _with_infinities(self._named(text, element, 0))

    def space(self, text: str, element: Element) -> Space:
        """What becomes of the white space of a value of the type of that name (XML Schema 1.1 part 2, section 4.3.6), but of
        numbers, which have none. That of a union is of the member which the value is of, and not looked at where members
        differ in it."""
        kinds = [one for one in self._kinds_of(element.resolve(text)) if not one.is_number]
        spaces = {one.space for one in kinds}
        if len(spaces) > 1 and not any(one.is_any for one in kinds):
            message = (
                f"white space in a value of the union {text!r}, whose members differ in it, is not looked at"
            )
            self._not_checked(element, message)
        return "preserve" if len(spaces) > 1 else spaces.pop() if spaces else "collapse"

    def values(self, texts: Iterable[str], text: str, element: Element) -> list[Any]:
        """What equals one of these in the type of that name, in JSON: a number may be written in many ways, and a boolean in
        two."""
        kinds = self._kinds_of(element.resolve(text))
        self._compared(kinds, element)
        return list(dict.fromkeys(value for one in texts for value in _equal(one, kinds) or [one]))

    def _compared(self, kinds: Iterable[_Kind], element: Element) -> None:
        for name in sorted({one.name for one in kinds} & _AS_WRITTEN):
            message = f"values of {name} are compared by how they are written, in which equal ones may differ"
            self._not_checked(element, message)

    def _kinds_of(self, name: Name | None, depth: int = 0) -> frozenset[_Kind]:
        """What a value of the type of that name may be."""
        if name is None:
            return _ANY
        if name.space == XSD:
            if name.local in _AS_IT_IS:
                return frozenset((_Kind(name.local, "preserve", True),))
            space: Space = "replace" if name.local == "normalizedString" else "collapse"
            return frozenset((_Kind(name.local, space, False),))
        if name not in self._kinds:
            found = self._elements.get(name)
            if found is None or depth > _DEEPEST:
                return _ANY
            self._kinds[name] = _ANY
            self._kinds[name] = self._kinds_in(found, depth + 1)
        return self._kinds[name]

    def _kinds_in(self, element: Element, depth: int) -> frozenset[_Kind]:
        if depth > _DEEPEST:
            return _ANY
        for child in element.named(XSD, "union"):
            names = (child.get("memberTypes") or "").split()
            found = [self._kinds_of(child.resolve(text), depth) for text in names]
            found += [self._kinds_in(inner, depth + 1) for inner in child.named(XSD, "simpleType")]
            return frozenset().union(*found)
        for child in element.named(XSD, "restriction"):
            said = [facet.get("value") for facet in child.named(XSD, "whiteSpace")]
            space = _SPACES.get(said[0]) if said else None
            asks = any(facet.name.local not in (*_WITHOUT_MEANING, "simpleType") for facet in child.children)
            return frozenset(
                _Kind(one.name, space or one.space, one.is_any and not asks)
                for one in self._kinds_below(child, depth)
            )
        return _ANY

    def _kinds_below(self, restriction: Element, depth: int) -> frozenset[_Kind]:
        base, inner = restriction.get("base"), restriction.named(XSD, "simpleType")
        if base is not None:
            return self._kinds_of(restriction.resolve(base), depth)
        return self._kinds_in(inner[0], depth + 1) if inner else _ANY

    def _named(self, text: str, element: Element, depth: int) -> Any:
        name = element.resolve(text)
        if name is None:
            self._wrong(element, f"the prefix of the type {text!r} stands for nothing")
            return True
        return self.schema(name, element, depth)

    def _simple(self, element: Element, depth: int) -> Any:
        if depth > _DEEPEST:
            self._wrong(element, f"more than {_DEEPEST} types are made of one another")
            return True
        for child in element.named(XSD, "restriction"):
            return self._restriction(child, depth)
        for child in element.named(XSD, "union"):
            parts = [self._named(text, child, depth) for text in (child.get("memberTypes") or "").split()]
            parts += [self._simple(inner, depth + 1) for inner in child.named(XSD, "simpleType")]
            return {"anyOf": parts} if parts else True
        for child in element.named(XSD, "list"):
            self._wrong(child, "a type that is a list is not supported")
            return True
        self._wrong(element, "a simple type is a restriction or a union")
        return True

    def _restriction(self, element: Element, depth: int) -> Any:
        base = element.get("base")
        inner = element.named(XSD, "simpleType")
        of: Any = True
        if base is not None:
            of = self._named(base, element, depth)
        elif inner:
            of = self._simple(inner[0], depth + 1)
        facets: dict[str, Any] = {}
        patterns: list[str] = []
        values: list[Any] = []
        kinds = self._kinds_below(element, depth)
        for child in element.children:
            if child.name.space != XSD or child.name.local in (*_WITHOUT_MEANING, "simpleType"):
                continue
            self._facet(child, facets, patterns, values, kinds)
        if patterns:
            facets["pattern"] = f"^(?:{'|'.join(patterns)})$"
        if values:
            self._compared(kinds, element)
            facets["enum"] = list(dict.fromkeys(values))
        if not facets:
            return of
        if isinstance(of, dict) and not facets.keys() & of.keys():
            return {**of, **facets}
        return {"allOf": [of, facets]} if of is not True else facets

    def _facet(
        self,
        child: Element,
        facets: dict[str, Any],
        patterns: list[str],
        values: list[Any],
        kinds: frozenset[_Kind],
    ) -> None:
        kind, value = child.name.local, child.get("value") or ""
        numbers = [one for one in kinds if one.is_number]
        numeric = len(numbers) == len(kinds)
        try:
            if kind == "pattern":
                pattern = f"(?:{anchored(value)})"
                if numbers:
                    message = "the pattern of a number is not looked at: numbers are judged by their value"
                    self._not_checked(child, message)
                if not numeric:
                    patterns.append(pattern)
            elif kind == "enumeration":
                found = _equal(value, kinds)
                if not found:
                    raise ValueError(f"{value!r} is no value of its type")
                values.extend(found)
            elif kind in _NUMBER_FACETS and numeric:
                facets[_NUMBER_FACETS[kind]] = _number(value)
            elif kind in _NUMBER_FACETS:
                self._not_checked(child, "the bound of what is no number is not looked at")
            elif kind in _LENGTH_FACETS:
                self._length(child, int(value), facets, {one.name for one in kinds})
            else:
                self._wrong(child, f"the facet {kind!r} is not supported")
        except ValueError as error:
            self._wrong(child, f"{kind}: {error}")

    def _length(self, child: Element, length: int, facets: dict[str, Any], names: set[str]) -> None:
        """Notes a length in characters; that of `hexBinary` is of octets, each of which is two."""
        if names == {"hexBinary"}:
            length *= 2
        elif names & {"hexBinary", "base64Binary", "QName"}:
            self._not_checked(child, "the length of what is no text is not looked at")
            return
        facets.update((word, length) for word in _LENGTH_FACETS[child.name.local])

    def _not_checked(self, element: Element, message: str) -> None:
        self.unchecked.append(Problem(*element.position, UNCHECKED, message, element.name.local))

    def _wrong(self, element: Element, message: str) -> None:
        self._problems.append(Problem(*element.position, "grammar", message, element.name.local))


def numbers_of(schema: Any) -> Numbers:
    """How numbers are written that a schema made here is of."""
    if not isinstance(schema, dict):
        return "decimal"
    parts = (part for word in ("allOf", "anyOf") for part in schema.get(word, ()))
    floating = schema.get("format") == "double" or any(numbers_of(part) == "double" for part in parts)
    return "double" if floating else "decimal"


def _with_infinities(schema: Any) -> Any:
    """The same, of a type of doubles with those that are no numbers, in so far as they are within its bounds."""
    if not isinstance(schema, dict):
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [_with_infinities(part) for part in schema["anyOf"]]}
    parts = [schema]
    for part in parts:  # which grows meanwhile
        parts.extend(one for one in part.get("allOf", ()) if isinstance(one, dict))
    words = {word for part in parts for word in part}
    if not any(part.get("format") == "double" for part in parts) or "enum" in words:
        return schema
    bounded = {"up": not words.isdisjoint(_UP), "down": not words.isdisjoint(_DOWN)}
    bounded["both"] = bounded["up"] or bounded["down"]
    texts = [text for text, bound in _INFINITE.items() if not bounded[bound]]
    return {"anyOf": [schema, {"type": "string", "enum": texts}]} if texts else schema


def _built_in(name: str) -> Any:
    if name in _TEXT:
        return {"type": "string"}
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        made: dict[str, Any] = {"type": "integer"}
        if low is not None:
            made["minimum"] = low
        if high is not None:
            made["maximum"] = high
        return made
    if name == "decimal":
        return {"type": "number"}
    if name in _FLOATING:
        return {"type": "number", "format": "double"}
    if name == "boolean":
        return {"type": "string", "enum": ["true", "false", "1", "0"]}
    if name in _PATTERNS:
        return {"type": "string", "pattern": _PATTERNS[name]}
    return None


def _equal(text: str, kinds: Iterable[_Kind]) -> list[Any]:
    """What equals the value that is written so in one of these types; nothing where it is no value of any."""
    found: list[Any] = []
    for one in sorted(kinds):
        written = tidied(text, one.space)
        if not one.is_number or (one.name in _FLOATING and written in _INFINITE):
            found.append(written)
        else:
            with suppress(ValueError):
                found.append(_number(written))
        if one.name in ("boolean", *_FLOATING) and written in _EQUAL:
            found.append(_EQUAL[written])
    return found


def _number(text: str) -> int | float:
    if _NUMERAL.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no number")
    value = float(text)
    if value == float("inf") or value == float("-inf"):
        raise ValueError(f"{text!r} is no bound")
    whole = int(text) if text.lstrip("+-").isdecimal() else int(value) if value.is_integer() else value
    return whole if abs(whole) < _EXACT else value


def anchored(text: str) -> str:
    """A regular expression of XML Schema, which always is of the whole, as one of ECMA-262 to stand between `^` and `$`.

    There `^` and `$` are characters like others. Raises ValueError for what the other language cannot say.
    """
    written: list[str] = []
    escaped = inside = False
    for place, character in enumerate(text):
        if escaped:
            if character in "iIcC":
                raise ValueError(f"\\{character} is not supported in patterns")
            if character == "p" and text[place + 1 : place + 4] == "{Is":
                raise ValueError("blocks of Unicode are not supported in patterns")
            escaped = False
        elif character == "\\":
            escaped = True
        elif inside:
            if character == "[":
                if written[-1] == "-":
                    raise ValueError("a class without another is not supported in patterns")
                character = "\\["
            elif character == "]":
                inside = False
        elif character == "[":
            inside = True
        elif character in "^$":
            character = "\\" + character
        written.append(character)
    if escaped or inside:
        raise ValueError("the pattern ends too early")
    return "".join(written)
