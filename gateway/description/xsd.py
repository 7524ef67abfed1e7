"""Simple types of XML Schema as JSON Schema of their texts (XML Schema 1.1 part 2): what a WADL types parameters with."""

from collections.abc import Mapping
from typing import Any, Final

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
_DAY: Final = (
    "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_BY_FOUR: Final = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP: Final = f"[0-9]{{0,5}}(?:[0-9]{{2}}{_BY_FOUR}|(?:00|{_BY_FOUR})00)"
_DATE: Final = f"-?(?:[0-9]{{4,9}}-{_DAY}|{_LEAP}-02-29)"
_TIME: Final = r"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?|24:00:00(?:\.0+)?)"
_DAYS: Final = "(?:[0-9]+Y(?:[0-9]+M)?(?:[0-9]+D)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
_SECONDS: Final = r"[0-9]+(?:\.[0-9]+)?S"
_HOURS: Final = f"T(?:[0-9]+H(?:[0-9]+M)?(?:{_SECONDS})?|[0-9]+M(?:{_SECONDS})?|{_SECONDS})"
_SIXTY_FOUR: Final = "[A-Za-z0-9+/]"
_PATTERNS: Final = {
    "date": f"^{_DATE}{_ZONE}$",
    "dateTime": f"^{_DATE}T{_TIME}{_ZONE}$",
    "time": f"^{_TIME}{_ZONE}$",
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
_WITHOUT_MEANING: Final = ("annotation", "whiteSpace")


class Types:
    """The simple types of grammars, by name. `problems` takes what is wrong with them."""

    def __init__(self, problems: list[Problem]) -> None:
        self._elements: dict[Name, Element] = {}
        self._made: dict[Name, Any] = {}
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
        """What becomes of the white space of a value of the type of that name (XML Schema 1.1 part 2, section 4.3.6)."""
        name = element.resolve(text)
        for _ in range(_DEEPEST):
            if name is None:
                break
            if name.space == XSD:
                if name.local == "normalizedString":
                    return "replace"
                return "preserve" if name.local in _AS_IT_IS else "collapse"
            found = self._elements.get(name)
            if found is None:
                break
            union, restriction = found.named(XSD, "union"), found.named(XSD, "restriction")
            if union:
                return self._space_of_union(union[0])
            if not restriction:
                break
            said = [facet.get("value") for facet in restriction[0].named(XSD, "whiteSpace")]
            if said and said[0] in _SPACES:
                return _SPACES[said[0]]
            name = restriction[0].resolve(restriction[0].get("base") or "")
        return "preserve"

    def _space_of_union(self, element: Element) -> Space:
        """Collapsed where it is in all members that have a name."""
        names = [element.resolve(text) for text in (element.get("memberTypes") or "").split()]
        built_in = all(
            name is not None and name.space == XSD and name.local not in (*_AS_IT_IS, "normalizedString")
            for name in names
        )
        return "collapse" if names and built_in and not element.named(XSD, "simpleType") else "preserve"

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
        for child in element.children:
            if child.name.space != XSD or child.name.local in (*_WITHOUT_MEANING, "simpleType"):
                continue
            self._facet(child, facets, patterns, values, of)
        if patterns:
            facets["pattern"] = f"^(?:{'|'.join(patterns)})$"
        if values:
            facets["enum"] = values
        if not facets:
            return of
        if isinstance(of, dict) and not facets.keys() & of.keys():
            return {**of, **facets}
        return {"allOf": [of, facets]} if of is not True else facets

    def _facet(
        self, child: Element, facets: dict[str, Any], patterns: list[str], values: list[Any], of: Any
    ) -> None:
        kind, value = child.name.local, child.get("value") or ""
        numeric = isinstance(of, dict) and of.get("type") in ("integer", "number")
        try:
            if kind == "pattern" and numeric:
                anchored(value)
                message = "the pattern of a number is not looked at: numbers are judged by their value"
                self.unchecked.append(Problem(*child.position, UNCHECKED, message, kind))
            elif kind == "pattern":
                patterns.append(f"(?:{anchored(value)})")
            elif kind == "enumeration":
                values.append(_number(value) if numeric else value)
            elif kind in _NUMBER_FACETS:
                facets[_NUMBER_FACETS[kind]] = _number(value)
            elif kind in _LENGTH_FACETS:
                facets.update((word, int(value)) for word in _LENGTH_FACETS[kind])
            else:
                self._wrong(child, f"the facet {kind!r} is not supported")
        except ValueError as error:
            self._wrong(child, f"{kind}: {error}")

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
    if schema.get("format") != "double" or "enum" in schema:
        return schema
    bounded = {
        "up": any(word in schema for word in _UP),
        "down": any(word in schema for word in _DOWN),
    }
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


def _number(text: str) -> int | float:
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{text!r} is no bound")
    return int(value) if value.is_integer() and len(text) < 18 else value


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
