"""The files of the installation that is moved: XML, read with the line of everything.

A file is data of somebody else. No document type, no entity and nothing that stands elsewhere is read; size, depth and
number of elements are bounded (`gateway.description.xml`); and whatever is wrong is told with file and line.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from gateway.api.file import hold_beside, read_regular
from gateway.config.problem import ConfigurationError
from gateway.description import xml

MAX_BYTES: Final = 4 << 20

_COMMENT: Final = re.compile(r"\{!.*?!\}", re.DOTALL)
_BLOCK: Final = re.compile(r"\{%")
VARIABLE: Final = re.compile(r"\{\$\s*([A-Za-z_][A-Za-z0-9_]*)\s*\$\}")
"""How Repose writes a variable of the environment: `{$ NAME $}`."""

_TRUE: Final = ("true", "1")
_FALSE: Final = ("false", "0")


class Place(NamedTuple):
    """A line of a file; `file` is relative to the installation's directory."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class SourceError(Exception):
    """A file cannot be read, or says what cannot be. The message is a sentence without the place."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


class Element:
    """An element, without its namespace.

    place  of its first character
    text   what stands directly in it
    """

    __slots__ = ("_attributes", "_children", "_environment", "_read", "name", "place", "text")

    def __init__(
        self, name: str, place: Place, attributes: Mapping[str, str], environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.place = place
        self.text = ""
        self._attributes = attributes
        self._children: list[Element] = []
        self._environment = environment
        self._read: set[str] = set()

    def get(self, name: str, default: str = "") -> str:
        """An attribute without outer white space; `default` where it is not there."""
        self._read.add(f"@{name}")
        return self._attributes.get(name, default).strip()

    def has(self, name: str) -> bool:
        """Whether the attribute is written."""
        return name in self._attributes

    def required(self, name: str) -> str:
        """An attribute that must be there. Raises SourceError."""
        value = self.get(name)
        if not value:
            raise SourceError(self.place, f"{self.name} needs the attribute {name}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean attribute. Raises SourceError."""
        text = self.filled(self.get(name, str(default).lower()))
        if text.lower() not in _TRUE + _FALSE:
            raise SourceError(self.place, f"{name} of {self.name} is true or false, not {text!r}")
        return text.lower() in _TRUE

    def number(self, name: str, default: float | None = None, *, least: float | None = None) -> float:
        """A numeric attribute, which is not below `least`. Raises SourceError."""
        if default is not None and not self.get(name):
            return default
        value = number(self.filled(self.required(name)), f"{name} of {self.name}", self.place)
        if least is not None and value < least:
            raise SourceError(self.place, f"{name} of {self.name} is at least {least:g}, not {value:g}")
        return value

    def whole(self, name: str, default: int | None = None, *, least: int | None = None) -> int:
        """An attribute that is a whole number. Raises SourceError."""
        value = self.number(name, default, least=least)
        if value != int(value):
            raise SourceError(self.place, f"{name} of {self.name} is a whole number")
        return int(value)

    def words(self, name: str) -> list[str]:
        """An attribute that is a list, parted by white space of XML: a no-break space is part of a word."""
        return xml.words(self.get(name))

    def all(self, name: str) -> list["Element"]:
        """The elements of a name directly in it."""
        self._read.add(name)
        return [child for child in self._children if child.name == name]

    def first(self, *path: str) -> "Element | None":
        """The first element of a name directly in it, or of a path of names."""
        found: Element | None = self
        for name in path:
            if found is None:
                return None
            found = next(iter(found.all(name)), None)
        return found

    def elements(self) -> list["Element"]:
        """All elements directly in it."""
        self._read.update(child.name for child in self._children)
        return list(self._children)

    def content(self) -> str:
        """What stands in it, without outer white space."""
        self._read.add("text")
        return self.text.strip()

    def filled(self, text: str) -> str:
        """The text with variables of the environment filled in, where a value has to be known. Raises SourceError."""

        def value(match: "re.Match[str]") -> str:
            if match[1] not in self._environment:
                raise SourceError(
                    self.place,
                    f"the environment variable {match[1]} is not set, and its value has to be known here",
                )
            return self._environment[match[1]]

        return VARIABLE.sub(value, text)

    def ignore(self, *names: str) -> None:
        """Says of attributes (`@name`), elements and `text` that nothing is lost without them."""
        self._read.update(names)

    def forget(self) -> None:
        """Says that nothing is lost without it, or that it has been told as a whole."""
        self._read.update(("text", *(f"@{name}" for name in self._attributes)))
        for child in self.elements():
            child.forget()

    def unread(self) -> Iterator[tuple[Place, str]]:
        """What nobody has asked for: attributes, elements and text."""
        for name in self._attributes:
            if f"@{name}" not in self._read:
                yield self.place, f"the attribute {name} of {self.name}"
        if "text" not in self._read and self.text.strip():
            yield self.place, f"the text of {self.name}"
        for child in self._children:
            if child.name in self._read:
                yield from child.unread()
            else:
                yield child.place, f"the element {child.name} of {self.name}"


def number(text: str, what: str, place: Place) -> float:
    """The number that a text is. Raises SourceError."""
    try:
        value = float(text)
    except ValueError:
        raise SourceError(place, f"{what} is a number, not {text!r}") from None
    if not -1e15 < value < 1e15:
        raise SourceError(place, f"{what} is too large: {text!r}")
    return value


class Installation:
    """The directory with the configuration of a Repose."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.environment = os.environ if environment is None else environment
        self._opened: set[str] = set()

    def read(self, file: str, root: str = "", asked: Place | None = None) -> Element | None:
        """The root element of a file; None where there is no such file. Raises SourceError.

        root   the name that it must have
        asked  who names the file
        """
        data = self._bytes(file, asked)
        return None if data is None else parse(data, file, self.environment, root)

    def text(self, file: str, asked: Place) -> str | None:
        """The text of a file that another one names; None where there is no such file. Raises SourceError."""
        data = self._bytes(file, asked)
        if data is None:
            return None
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise SourceError(Place(file, line), "the file is not UTF-8") from None

    def content(self, file: str, asked: Place, beside: str | None = None) -> bytes:
        """The bytes of a file. Raises OSError where it cannot be read.

        beside  a file that names it, whose directory it must be in, or below
        """
        if beside is not None:
            hold_beside(self.directory / file, self.directory / beside)
        try:
            data = self._bytes(file, asked)
        except SourceError as error:
            raise OSError(str(error)) from None
        if data is None:
            raise FileNotFoundError(2, "no such file")
        return data

    def named(self, href: str) -> str | None:
        """The name of a file of this directory that a reference leads to; None for a file of another, or an address."""
        scheme, mark, rest = href.partition("://")
        if mark and scheme != "file":
            return None
        path = Path(os.path.normpath(self.directory.absolute() / (rest if mark else href)))
        base = Path(os.path.normpath(self.directory.absolute()))
        return str(path.relative_to(base)) if path.is_relative_to(base) else None

    def unopened(self) -> list[str]:
        """Configuration files that nobody has read."""
        found = sorted(path.name for path in self.directory.glob("*.cfg.xml"))
        return [name for name in found if name not in self._opened]

    def _bytes(self, file: str, asked: Place | None) -> bytes | None:
        name = self.named(file)
        if name is None:
            raise SourceError(asked or Place(file, 0), f"{file!r} is not a file of this directory")
        path = self.directory / name
        self._opened.add(name)
        try:
            data = read_regular(path, MAX_BYTES)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SourceError(Place(file, 0), f"the file cannot be read: {reason}") from None
        return data


def parse(data: bytes, file: str, environment: Mapping[str, str], root: str = "") -> Element:
    """The root element of a document, which must have the name `root` if one is given. Raises SourceError."""
    try:
        found = _converted(xml.read_xml(_plain(data, file), file), environment)
    except ConfigurationError as error:
        problem = error.problems[0]
        raise SourceError(Place(file, problem.line), problem.message) from None
    if root and found.name != root:
        raise SourceError(found.place, f"expected the element {root}, got {found.name}")
    return found


def _plain(data: bytes, file: str) -> bytes:
    """The document without Repose's own comments, its lines where they were. Raises SourceError where it is a template."""
    if b"{!" not in data and b"{%" not in data:
        return data
    text = data.decode("utf-8", "surrogateescape")
    text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    block = _BLOCK.search(text)
    if block is not None:
        line = text.count("\n", 0, block.start()) + 1
        raise SourceError(
            Place(file, line), "a block of a template: write down what Repose makes of it, and move that"
        )
    return text.encode("utf-8", "surrogateescape")


def _converted(found: xml.Element, environment: Mapping[str, str]) -> Element:
    """An element without namespaces: attributes of another one are for those who read schemas."""
    own = {name.local: value for name, value in found.attributes.items() if not name.space}
    place = Place(found.position.file, found.position.line)
    element = Element(found.name.local, place, own, environment)
    element.text = found.text
    element._children = [_converted(child, environment) for child in found.children]
    return element
