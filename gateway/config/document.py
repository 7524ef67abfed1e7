"""YAML text to plain values, each with its place: YAML 1.2 core schema (section 10.3), variables filled in.

PyYAML's parser gives the events; values are resolved here, because PyYAML resolves by YAML 1.1, where `no` is
false and `1:30` is ninety. A text is hostile: its depth, its size and what its aliases grow to are bounded.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from gateway.api.message import did_you_mean
from gateway.config.problem import ConfigurationError, Marks, Path, Problem, written

MAX_DEPTH = 64
MAX_VALUES = 100_000
MAX_BYTES = 4 << 20

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser where PyYAML was built with it

_LONGEST_NUMBER = 300  # digits; what is longer is a mistake, and slow to convert
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("true", "True", "TRUE"))
_FALSE = frozenset(("false", "False", "FALSE"))
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = frozenset((".nan", ".NaN", ".NAN"))

_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}|\$\{")
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # YAML 1.2 section 5.1

_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"

_TEXT_TAG = "tag:yaml.org,2002:str"

# libyaml's words, and ours where they are not plain.
_SYNTAX = {
    "found character that cannot start any token": "unexpected character {character}",
    "mapping values are not allowed in this context": "unexpected ':'; a value that holds ': ' must be quoted",
    "could not find expected ':'": "expected ':' after this key",
    "did not find expected key": "expected a key; is the indentation right?",
    "did not find expected '-' indicator": "expected '- '; is the indentation right?",
    "did not find expected ',' or '}'": "expected ',' or '}'",
    "did not find expected ',' or ']'": "expected ',' or ']'",
    "did not find expected node content": "expected a value",
    "found unexpected end of stream": "the text ends inside a quoted value",
    "found undefined alias": "unknown alias",
}


class _Scalar(NamedTuple):
    text: str
    plain: bool
    place: tuple[int, int]


class _List(NamedTuple):
    items: "list[_Node]"
    place: tuple[int, int]


class _Mapping(NamedTuple):
    pairs: "list[tuple[_Node, _Node]]"
    place: tuple[int, int]


_Node = _Scalar | _List | _Mapping


class Document(NamedTuple):
    """A text read.

    value      mappings, lists, text, numbers, booleans and None
    marks      where each value stands
    problems   what is wrong with the text, so far as reading could go on
    broken     paths whose value could not be made; None stands in their place
    variables  paths whose value came from the environment, and how it is written: a value from there may be a
               secret, so that messages show this instead
    """

    value: Any
    marks: Marks
    problems: list[Problem]
    broken: frozenset[Path]
    variables: Mapping[Path, str]


def decode(data: bytes, file: str, most: int = MAX_BYTES) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises ConfigurationError."""
    if len(data) > most:
        raise ConfigurationError(
            [Problem(file, 0, 0, "too_large", f"the file is larger than {most >> 20} MiB")]
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise ConfigurationError(
            [Problem(file, line, column, "encoding", f"not UTF-8: byte 0x{data[error.start]:02x}")]
        ) from None


def read(text: str, file: str, environment: Mapping[str, str] | None, most: int = MAX_VALUES) -> Document:
    """Reads `text`; `file` names it in positions. Without an environment a text with a `$` is like any other.

    Raises ConfigurationError where no value can be made at all, and where there are more than `most`.
    """
    text = text.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - text.rfind("\n", 0, bad.start())
        what = (
            "a NUL character"
            if bad[0] == "\0"
            else f"the character U+{ord(bad[0]):04X}, which YAML does not allow"
        )
        raise ConfigurationError([Problem(file, line, column, "character", f"the text holds {what}")])
    try:
        root = _Composer(file).compose(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError([_syntax(error, text, file)]) from None
    if root is None:
        raise ConfigurationError([Problem(file, 1, 1, "empty", "the configuration is empty")])
    return _Reader(file, environment, most).document(root)


def _syntax(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.split("\n")
    here = lines[line] if line < len(lines) else ""
    character = here[column : column + 1]
    problem = error.problem or "not YAML"
    if character == "\t":
        message = "a tab cannot indent or stand before a value; use spaces"
    elif character == "{" and here[column - 1 : column] == "$":
        message = "inside { } or [ ], a value with ${NAME} must be quoted"
    else:
        message = _SYNTAX.get(problem, problem).replace("{character}", repr(character))
    return Problem(file, line + 1, column + 1, "syntax", message)


class _Composer:
    """Events to nodes; the place of a node is its first character, counted from 1."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._anchors: dict[str, _Node] = {}

    def compose(self, events: Iterator[yaml.Event]) -> _Node | None:
        root: _Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._error(
                        event, "documents", "a configuration is one document; '---' begins a second"
                    )
                root = self._node(next(events), events, 0)
        # A text of comments alone still is a document to some parsers: one empty plain scalar.
        return None if isinstance(root, _Scalar) and root.plain and not root.text else root

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> _Node:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._error(event, "alias", f"there is no anchor '&{event.anchor}' before this alias")
            return self._anchors[event.anchor]
        if depth > MAX_DEPTH:
            raise self._error(event, "depth", _TOO_DEEP)
        place = self._place(event)
        anchor: str | None = getattr(event, "anchor", None)
        tag: str | None = getattr(event, "tag", None)
        node: _Node
        if isinstance(event, yaml.ScalarEvent):
            if tag not in (None, "!", _TEXT_TAG):
                raise self._error(event, "tag", f"the tag {_tag(tag)} is not supported")
            node = _Scalar(event.value, event.implicit[0] and not event.style and tag is None, place)
        elif tag is not None and tag != "!":
            raise self._error(event, "tag", f"the tag {_tag(tag)} is not supported")
        elif isinstance(event, yaml.SequenceStartEvent):
            items: list[_Node] = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                items.append(self._node(event, events, depth + 1))
            node = _List(items, place)
        else:
            pairs: list[tuple[_Node, _Node]] = []
            while not isinstance(event := next(events), yaml.MappingEndEvent):
                key = self._node(event, events, depth + 1)
                pairs.append((key, self._node(next(events), events, depth + 1)))
            node = _Mapping(pairs, place)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _place(self, event: yaml.Event) -> tuple[int, int]:
        mark: Any = event.start_mark
        return mark.line + 1, mark.column + 1

    def _error(self, event: yaml.Event, code: str, message: str) -> ConfigurationError:
        return ConfigurationError([Problem(self._file, *self._place(event), code, message)])


def _tag(tag: str | None) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")


class _Reader:
    """Nodes to values."""

    def __init__(self, file: str, environment: Mapping[str, str] | None, most: int) -> None:
        self._file = file
        self._environment = environment
        self._most = most
        self._problems: list[Problem] = []
        self._places: dict[Path, tuple[int, int]] = {}
        self._broken: set[Path] = set()
        self._variables: dict[Path, str] = {}
        self._values = 0

    def document(self, root: _Node) -> Document:
        self._places[()] = root.place
        value = self._value(root, ())
        return Document(
            value, Marks(self._file, self._places), self._problems, frozenset(self._broken), self._variables
        )

    def _problem(self, place: tuple[int, int], code: str, message: str, path: Path) -> None:
        self._problems.append(Problem(self._file, *place, code, message, written(path)))

    def _value(self, node: _Node, path: Path) -> Any:
        self._count(node, len(path))
        if isinstance(node, _Scalar):
            return self._scalar(node, path)
        if isinstance(node, _List):
            values = []
            for place, item in enumerate(node.items):
                here = (*path, place)
                self._places[here] = item.place
                values.append(self._value(item, here))
            return values
        mapping: dict[str, Any] = {}
        for name, (key_place, item) in self._pairs(node, path).items():
            here = (*path, name)
            self._places[here] = key_place
            mapping[name] = self._value(item, here)
        return mapping

    def _pairs(
        self, node: _Mapping, path: Path, merging: int = 0
    ) -> dict[str, tuple[tuple[int, int], _Node]]:
        """Keys with their places and values; a key of the mapping itself wins over a merged one."""
        own: dict[str, tuple[tuple[int, int], _Node]] = {}
        merged: dict[str, tuple[tuple[int, int], _Node]] = {}
        for key, value in node.pairs:
            self._count(key, merging)
            if not isinstance(key, _Scalar):
                self._problem(key.place, "key", "a key must be text, not a list or a mapping", path)
            elif key.plain and key.text == "<<":
                self._merge(value, merged, path, merging + 1)
            elif key.text in own:
                line, column = own[key.text][0]
                message = f"duplicate key {key.text!r}, first on line {line}, column {column}"
                self._problem(key.place, "duplicate_key", message, path)
            else:
                own[key.text] = key.place, value
        for name, pair in merged.items():
            own.setdefault(name, pair)
        return own

    def _merge(
        self, value: _Node, merged: dict[str, tuple[tuple[int, int], _Node]], path: Path, merging: int
    ) -> None:
        sources = value.items if isinstance(value, _List) else [value]
        for source in sources:
            if not isinstance(source, _Mapping):
                self._problem(source.place, "merge", "'<<' takes a mapping, or a list of mappings", path)
                continue
            self._count(source, merging)
            for name, pair in self._pairs(source, path, merging).items():
                merged.setdefault(name, pair)

    def _count(self, node: _Node, depth: int) -> None:
        """Bounds what aliases grow to: a few lines can stand for billions of values, or for endless depth."""
        self._values += 1
        if self._values > self._most:
            message = f"more than {self._most} values, aliases counted as often as they are used"
            raise ConfigurationError([Problem(self._file, *node.place, "too_many_values", message)])
        if depth > MAX_DEPTH:
            raise ConfigurationError([Problem(self._file, *node.place, "depth", _TOO_DEEP)])

    def _scalar(self, node: _Scalar, path: Path) -> Any:
        text, plain = node.text, node.plain
        if "$" in text and self._environment is not None:
            whole = _VARIABLE.fullmatch(text)
            filled = self._filled(text, node, path)
            if filled is None:
                self._broken.add(path)
                return None
            plain = plain and whole is not None and whole[1] is not None
            text = filled
        return resolve(text) if plain else text

    def _filled(self, text: str, node: _Scalar, path: Path) -> str | None:
        """`text` with its variables filled in; None, and a problem noted, where one has no value."""
        assert self._environment is not None
        parts: list[str] = []
        end = 0
        broken = False
        for match in _VARIABLE.finditer(text):
            parts.append(text[end : match.start()])
            end = match.end()
            name, default = match[1], match[2]
            if match[0] == "$$":
                parts.append("$")
            elif name is None:
                self._problem(
                    node.place,
                    "variable",
                    "a variable is ${NAME} or ${NAME:-default}; '$$' is a plain '$'",
                    path,
                )
                broken = True
            elif self._environment.get(name) or (default is None and name in self._environment):
                parts.append(self._environment[name])
                self._variables[path] = text
            elif default is not None:
                parts.append(default[2:])  # it stands in the file: no secret
            else:
                near = did_you_mean(name, self._environment)
                self._problem(
                    node.place, "variable_unset", f"the environment variable {name} is not set{near}", path
                )
                broken = True
        parts.append(text[end:])
        return None if broken else "".join(parts)


def resolve(text: str) -> Any:
    """The value of a plain scalar by the YAML 1.2 core schema."""
    if len(text) > _LONGEST_NUMBER:
        return text
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, 0)
    if _HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    infinite = _INFINITE.fullmatch(text)
    if infinite is not None:
        return float(f"{infinite[1]}inf")
    return float("nan") if text in _NAN else text
