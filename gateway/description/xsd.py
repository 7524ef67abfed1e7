"""Simple types of XML Schema as JSON Schema of their texts (XML Schema 1.1 part 2): what a WADL types parameters with."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.config.problem import Problem
from gateway.description.model import Numbers
from gateway.description.xml import Element, Name

XSD: Final = "http://www.w3.org/2001/XMLSchema"

MAX_TYPES: Final = 10_000
_DEEPEST: Final = 32

_TEXT: Final = (
    *("string", "normalizedString", "token", "anyURI", "NMTOKEN", "Name", "NCName", "ID", "IDREF", "QName"),
    *("language", "anySimpleType", "anyType", "anyAtomicType"),
)
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

    def named(self, text: str, element: Element, depth: int = 0) -> Any:
        """The same of a name with a prefix."""
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
            parts = [self.named(text, child, depth) for text in (child.get("memberTypes") or "").split()]
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
            of = self.named(base, element, depth)
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
            if kind == "pattern":
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
