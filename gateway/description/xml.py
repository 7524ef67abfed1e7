"""XML without what makes it dangerous: no document type, and so no entities of its own, and nothing fetched.

Elements of a description keep their places; of a body no more is told than whether it is well-formed, and its root.
"""

import re
from typing import Final, NamedTuple
from xml.parsers import expat

from gateway.config.problem import ConfigurationError, Position, Problem

MAX_BYTES: Final = 16 << 20
MAX_DEPTH: Final = 64
MAX_ELEMENTS: Final = 200_000

_BETWEEN: Final = "}"  # of a namespace and a name: no URI has it
_SPACE: Final = re.compile(r"[ \t\r\n]+")


class Name(NamedTuple):
    """A name in a namespace; "" for none."""

    space: str
    local: str


class Element:
    """An element. `attributes` are by name; `scope` says what prefixes stand for; `text` is all text right inside it."""

    __slots__ = ("attributes", "children", "name", "position", "scope", "text")

    def __init__(
        self, name: Name, attributes: dict[Name, str], scope: dict[str, str], position: Position
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.scope = scope
        self.position = position
        self.children: list[Element] = []
        self.text = ""

    def get(self, name: str, space: str = "") -> str | None:
        return self.attributes.get(Name(space, name))

    def named(self, space: str, *names: str) -> "list[Element]":
        """Those of its children that have one of these names."""
        return [child for child in self.children if child.name.space == space and child.name.local in names]

    def resolve(self, text: str) -> Name | None:
        """A name with a prefix, as a value has it; None where the prefix is unknown."""
        prefix, mark, local = text.strip().rpartition(":")
        space = self.scope.get(prefix, None if mark else "")
        return Name(space, local) if space is not None else None


def words(text: str) -> list[str]:
    """The words of a list, parted by white space of XML (section 2.3) and no other: a no-break space is part of a word."""
    return [word for word in _SPACE.split(text) if word]


def role_names(text: str) -> list[str]:
    """The roles of a list as Repose has it, in which a no-break space is a space within a name."""
    return [word.replace("\xa0", " ") for word in words(text)]


class _Refused(Exception):  # noqa: N818 - it is told to whoever sent the text
    """Code and message."""


def _named(text: str) -> Name:
    space, _, local = text.rpartition(_BETWEEN)
    return Name(space, local)


def _bare() -> expat.XMLParserType:
    parser = expat.ParserCreate(namespace_separator=_BETWEEN)

    def doctype(*_: object) -> None:
        raise _Refused("doctype", "a document type is not accepted: it could define entities")

    parser.StartDoctypeDeclHandler = doctype
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    return parser


def read_xml(data: bytes, file: str) -> Element:
    """The root of a document. Raises ConfigurationError."""
    parser = _bare()
    parser.buffer_text = True
    parser.ordered_attributes = True
    open_elements: list[Element] = []
    roots: list[Element] = []
    scopes: list[dict[str, str]] = [{"xml": "http://www.w3.org/XML/1998/namespace"}]
    declared: dict[str, str] = {}
    count = 0

    def declare(prefix: str | None, space: str | None) -> None:
        declared[prefix or ""] = space or ""

    def start(name: str, attributes: list[str]) -> None:
        nonlocal count, declared
        count += 1
        if count > MAX_ELEMENTS:
            raise _Refused("too_many_values", f"more than {MAX_ELEMENTS} elements")
        if len(open_elements) >= MAX_DEPTH:
            raise _Refused("depth", f"nested more than {MAX_DEPTH} deep")
        scope = scopes[-1] if not declared else {**scopes[-1], **declared}
        declared = {}
        scopes.append(scope)
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        position = Position(file, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)
        element = Element(
            _named(name), {_named(attribute): value for attribute, value in pairs}, scope, position
        )
        (open_elements[-1].children if open_elements else roots).append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        open_elements.pop()
        scopes.pop()

    def text(data: str) -> None:
        open_elements[-1].text += data

    parser.StartNamespaceDeclHandler = declare
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    if len(data) > MAX_BYTES:
        raise ConfigurationError(
            [Problem(file, 0, 0, "too_large", f"the file is larger than {MAX_BYTES >> 20} MiB")]
        )
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        problem = Problem(
            file, error.lineno, error.offset + 1, "syntax", f"not XML: {expat.ErrorString(error.code)}"
        )
    except _Refused as refused:
        code, message = refused.args
        problem = Problem(file, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1, code, message)
    except (ValueError, LookupError) as error:
        problem = Problem(file, 1, 1, "encoding", f"not XML: {error}")
    else:
        return roots[0]
    raise ConfigurationError([problem])


class TooDeep(Exception):  # noqa: N818 - it names what is wrong
    """A body nests too deep."""


def root_of(data: bytes, most: int) -> str:
    """The root of a body, as `{namespace}name`; elements may nest `most` deep.

    Raises TooDeep; and ValueError where it is not well-formed, or has a document type.
    """
    parser = _bare()
    found = ""
    depth = 0

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal depth, found
        depth += 1
        if depth > most:
            raise TooDeep
        if not found:
            space, local = _named(name)
            found = f"{{{space}}}{local}"

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, _Refused, LookupError) as error:
        raise ValueError(str(error)) from None
    return found
