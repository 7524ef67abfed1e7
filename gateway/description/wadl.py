"""Reads WADL, with the extensions by which Repose validated requests (`rax:`).

What stands in a method's request is required as Repose's checker requires it: a representation means that there is a body,
parameters by their `required`, types by the grammars, roles by `rax:roles`. Parameters of style `plain` are XPath: of JSON
those that name a member, and may say of which kind it is; others are told as not looked at.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from posixpath import dirname, join
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from gateway.config.problem import ConfigurationError, Position, Problem
from gateway.description.model import (
    Answer,
    Check,
    Description,
    Media,
    Operation,
    Parameter,
    Part,
    Resource,
    Roles,
    Segment,
    form_of,
)
from gateway.description.schema import Schemas, types_of
from gateway.description.source import (
    UNCHECKED,
    UNCHECKED_ASSERT,
    UNCHECKED_ROLE,
    UNCHECKED_XML,
    UNCHECKED_XPATH,
    is_beside,
    read_source,
)
from gateway.description.xml import Element, Name, read_xml, role_names
from gateway.description.xsd import XSD, Types, numbers_of
from gateway.http.media import MediaType, parsed

WADL: Final = "http://wadl.dev.java.net/2009/02"
RAX: Final = "http://docs.rackspace.com/api"

MAX_RESOURCES: Final = 10_000
MAX_OPERATIONS: Final = 10_000
_DEEPEST: Final = 64
_MANY_FILES: Final = 32
_NAME: Final = re.compile(r"\{([^{}]*)\}")
_EVERYBODY: Final = "#all"
_PLAIN: Final = re.compile(
    r"\$(?:body|_)((?:\?[A-Za-z_][\w.-]*)+)(?:\s+instance\s+of\s+(map\(\*\)|array\(\*\)|xs:\w+))?"
)
_KINDS: Final = {
    "map(*)": "object",
    "array(*)": "array",
    "xs:string": "string",
    "xs:boolean": "boolean",
    "xs:double": "number",
    "xs:decimal": "number",
    "xs:integer": "integer",
}
_ASKS: Final = ("assert", "preprocess")
_ASKS_NOTHING: Final = ("id", "original-wadl", "invisible")
"""Attributes of Repose's extensions that say nothing of requests."""
_SAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "resource": ("roles",),
    "resource_type": ("roles",),
    "method": ("roles",),
    "param": ("message", "code", "anyMatch"),
}
"""Those that are looked at, by the element that they stand at."""


class _Scope(NamedTuple):
    """What holds for all that stands below a resource."""

    segments: tuple[Segment, ...]
    parameters: tuple[Parameter, ...]
    roles: frozenset[str]


def read_wadl(root: Element, file: str, beside: Callable[[str], bytes], base: str | None) -> Description:
    """Reads it. `beside` gives files by names relative to it; `base` stands in place of the path of its own `base`.

    Raises ConfigurationError with all that is wrong.
    """
    return _Reader(root, file, beside, base).description()


class _Reader:
    def __init__(self, root: Element, file: str, beside: Callable[[str], bytes], base: str | None) -> None:
        self._root = root
        self._file = file
        self._beside = beside
        self._base = base
        self._problems: list[Problem] = []
        self._unchecked: list[Problem] = []
        self._types = Types(self._problems)
        self._schemas: dict[str, Any] = {}
        self._places: dict[str, Position] = {}
        self._known: dict[str, str] = {}
        self._json_checks: list[Check] = []
        self._operations = 0
        self._resource_count = 0
        self._files: set[str] = set()
        if root.name != Name(WADL, "application"):
            self._wrong(root, "expected the element `application` of WADL")
            raise ConfigurationError(self._problems)
        self._ids = {
            element.get("id"): element
            for element in root.named(WADL, "method", "representation", "resource_type", "param")
            if element.get("id")
        }

    def description(self) -> Description:
        self._extensions(self._root)
        for grammars in self._root.named(WADL, "grammars"):
            self._grammars(grammars)
        resources: list[Resource] = []
        server = ""
        for element in self._root.named(WADL, "resources"):
            url = element.get("base") or ""
            server = server or url
            self._extensions(element)
            prefix = self._base if self._base is not None else urlsplit(url).path
            segments = tuple((unquote(text),) for text in prefix.strip("/").split("/") if text)
            scope = _Scope(segments, (), frozenset())
            for child in element.named(WADL, "resource"):
                resources += self._resources(child, scope, 0)
        if self._problems:
            raise ConfigurationError(self._problems)
        return Description(
            self._file,
            "WADL",
            _title(self._root),
            server,
            tuple(resources),
            self._schemas,
            self._places,
            tuple(dict.fromkeys([*self._unchecked, *self._types.unchecked])),
        )

    def _wrong(self, element: Element, message: str) -> None:
        self._problems.append(Problem(*element.position, "description", message, element.name.local))

    def _not_checked(self, element: Element, message: str, code: str = UNCHECKED) -> None:
        self._unchecked.append(Problem(*element.position, code, message, element.name.local))

    # -- grammars

    def _grammars(self, element: Element) -> None:
        for schema in element.named(XSD, "schema"):
            self._schema_document(schema, "")
        for include in element.named(WADL, "include"):
            self._include(include, include.get("href") or "", "")

    def _include(self, element: Element, name: str, directory: str) -> None:
        path = join(directory, name)
        if not name or not is_beside(path):
            self._wrong(
                element, f"only files beside the description, or below, are read: {name[:80]!r} is none"
            )
            return
        if path in self._files:
            return
        self._files.add(path)
        if len(self._files) > _MANY_FILES:
            self._wrong(element, f"more than {_MANY_FILES} files are included")
            return
        try:
            data = self._beside(path)
            if path.endswith(".json"):
                self._json_grammar(data, path)
            else:
                self._schema_document(read_xml(data, path), dirname(path))
        except ConfigurationError as error:
            self._problems += error.problems

    def _schema_document(self, schema: Element, directory: str) -> None:
        if schema.name != Name(XSD, "schema"):
            self._wrong(schema, "expected the element `schema` of XML Schema")
            return
        self._types.add(schema)
        for child in schema.named(XSD, "include", "import", "redefine"):
            location = child.get("schemaLocation")
            if location is not None:
                self._include(child, location, directory)

    def _json_grammar(self, data: bytes, path: str) -> None:
        source = read_source(data, path)
        prefix = f"grammar{len(self._files)}-"
        schemas = Schemas(source, old=False, prefix=prefix, plain=True)
        self._json_checks.append(Check(schemas.add(())))
        schemas.finish()
        self._problems += source.problems
        self._schemas.update(schemas.made)
        self._places.update(schemas.places)

    def _key(self, schema: Any, element: Element) -> str | None:
        """The key of a schema; None of one that takes everything. Equal ones are one."""
        if schema is True or schema == {"type": "string"}:
            return None
        text = repr(schema)
        key = self._known.get(text)
        if key is None:
            key = self._known[text] = str(len(self._known))
            self._schemas[key] = schema
            self._places[key] = element.position
        return key

    # -- resources

    def _resources(self, element: Element, scope: _Scope, depth: int) -> Iterator[Resource]:
        self._resource_count += 1
        if depth > _DEEPEST or self._resource_count > MAX_RESOURCES:
            if self._resource_count <= MAX_RESOURCES:
                self._wrong(element, f"resources are nested more than {_DEEPEST} deep")
            elif self._resource_count == MAX_RESOURCES + 1:
                self._wrong(element, f"there are more than {MAX_RESOURCES} resources")
            return
        parts = [element, *self._resource_types(element)]
        given = [one for part in parts for one in self._params(part)]
        segments = self._segments(
            element, scope, {one.get("name") for one in given if one.get("style") == "template"}
        )
        own = [made for one in given if (made := self._parameter(one)) is not None]
        inner = _Scope(
            (*scope.segments, *segments),
            (*scope.parameters, *(one for one in own if one.where == "path")),
            scope.roles | self._role_names(element),
        )
        fields = tuple(one for one in own if one.where != "path")
        for part in parts:
            self._extensions(part)
        operations = [
            operation
            for part in parts
            for method in part.named(WADL, "method")
            for operation in self._method(method, fields, inner.roles)
        ]
        if operations:
            yield Resource(inner.segments, inner.parameters, tuple(operations), element.position)
        for part in parts:
            for child in part.named(WADL, "resource"):
                yield from self._resources(child, inner, depth + 1)

    def _resource_types(self, element: Element) -> list[Element]:
        found = []
        for reference in (element.get("type") or "").split():
            target = self._referred(element, reference, "resource_type")
            if target is not None:
                found.append(target)
        return found

    def _segments(self, element: Element, scope: _Scope, known: set[str | None]) -> list[Segment]:
        taken = {name for segment in scope.segments for name in segment[1::2]}
        found: list[Segment] = []
        for part in (element.get("path") or "").strip("/").split("/"):
            if not part:
                continue
            pieces = _NAME.split(part)
            literal = "".join(pieces[::2])
            if "{" in literal or "}" in literal or any(not between for between in pieces[2:-1:2]):
                self._wrong(element, f"the segment {part[:80]!r} is no template, such as {{name}}")
            for name in pieces[1::2]:
                if name in taken:
                    self._wrong(element, f"the parameter {name!r} stands twice in the path")
                taken.add(name)
                if name not in known:
                    self._wrong(element, f"nothing is said of the parameter {name!r} of the path")
            found.append(tuple(text if place % 2 else unquote(text) for place, text in enumerate(pieces)))
        return found

    def _referred(self, element: Element, reference: str, kind: str) -> Element | None:
        if not reference.startswith("#"):
            self._wrong(
                element, f"only references within the description are followed: got {reference[:80]!r}"
            )
            return None
        target = self._ids.get(reference[1:])
        if target is None or target.name.local != kind:
            self._wrong(element, f"there is no {kind} with the id {reference[1:80]!r}")
            return None
        return target

    def _extensions(self, element: Element) -> None:
        """Notes what of Repose's extensions nobody here looks at."""
        looked_at = (*_ASKS_NOTHING, *_SAYS.get(element.name.local, ()))
        for name in element.attributes:
            if name.space == RAX and name.local not in looked_at:
                code = UNCHECKED_ROLE if name.local in ("isTenant", "roles") else UNCHECKED
                self._not_checked(element, f"rax:{name.local} is not looked at", code)
        for child in element.children:
            if child.name.space == RAX:
                code = UNCHECKED_ASSERT if child.name.local in _ASKS else UNCHECKED
                self._not_checked(child, f"rax:{child.name.local} is not looked at", code)

    def _role_names(self, element: Element) -> frozenset[str]:
        names = role_names(element.get("roles", RAX) or "")
        for name in names:
            if "/{" in name:
                message = f"the role {name[:80]!r} of one tenant is looked at in the caller's own alone"
                self._not_checked(element, message, UNCHECKED_ROLE)
        return frozenset(name.partition("/{")[0].lower() for name in names)

    # -- parameters

    def _params(self, element: Element) -> Iterator[Element]:
        for param in element.named(WADL, "param"):
            if param.get("href") is None:
                yield param
                continue
            target = self._referred(param, param.get("href") or "", "param")
            if target is not None:
                yield target

    def _parameter(self, element: Element) -> Parameter | None:
        """None for one that is not looked at."""
        name, style = element.get("name") or "", element.get("style")
        self._extensions(element)
        if style == "plain":
            if element.get("required") in ("true", "1"):
                message = (
                    f"a parameter of style 'plain' is looked at in a representation alone: {name[:80]!r}"
                )
                self._not_checked(element, message, UNCHECKED_XPATH)
            return None
        if style not in ("template", "query", "header"):
            self._not_checked(element, f"parameters of style {style!r} are not looked at: {name[:80]!r}")
            return None
        schema = (
            self._types.named(element.get("type") or "xsd:string", element) if element.get("type") else True
        )
        options = [option.get("value") or "" for option in element.named(WADL, "option")]
        fixed = element.get("fixed")
        if fixed is not None:
            options = [fixed]
        if options:
            values = {"enum": self._types.values(options, element.get("type") or "xsd:string", element)}
            schema = values if schema in (True, {"type": "string"}) else {"allOf": [schema, values]}
        required = element.get("required") in ("true", "1")
        types, numbers = types_of(schema, {}), numbers_of(schema)
        space = self._types.space(element.get("type") or "xsd:string", element)
        if style == "template":
            return Parameter(
                name,
                "path",
                True,
                self._key(schema, element),
                element.position,
                types=types,
                numbers=numbers,
                space=space,
            )
        where: Any = style
        made = Parameter(name, where, required, None, element.position, numbers=numbers, space=space)
        key = self._key(schema, element)
        if element.get("repeating") not in ("true", "1"):
            return made._replace(schema=key, types=types)
        separator = "," if style == "header" else None
        each = "contains" if element.get("anyMatch", RAX) in ("true", "1") else "items"
        of = {"type": "array"} if schema is True else {"type": "array", each: schema}
        return made._replace(
            schema=self._key(of, element),
            form="list",
            separator=separator,
            types=frozenset(),
            item=Part(types, key),
        )

    # -- methods

    def _method(
        self, element: Element, fields: tuple[Parameter, ...], roles: frozenset[str]
    ) -> Iterator[Operation]:
        place = element
        if element.get("href") is not None:
            target = self._referred(element, element.get("href") or "", "method")
            if target is None:
                return
            roles |= self._role_names(element)
            self._extensions(element)
            element = target
        self._operations += 1
        if self._operations > MAX_OPERATIONS:
            if self._operations == MAX_OPERATIONS + 1:
                self._wrong(place, f"there are more than {MAX_OPERATIONS} operations")
            return
        self._extensions(element)
        asked = roles | self._role_names(element)
        requests = element.named(WADL, "request")
        given = [
            made
            for request in requests
            for one in self._params(request)
            if (made := self._parameter(one)) is not None
        ]
        for request in requests:
            self._extensions(request)
        media = [one for request in requests for one in self._media(request, True)]
        answers = tuple(
            Answer(status, _once_each(self._media(response, False)))
            for response in element.named(WADL, "response")
            for status in (response.get("status") or "default").split()
        )
        # Several representations of one media type are alternatives, as several methods are.
        for bodies in _apart(media) or [()]:
            yield Operation(
                (element.get("name") or "").upper(),
                element.get("id") or "",
                element.position,
                _title(element),
                (*fields, *given),
                False,
                bodies,
                bool(bodies),
                self._asked(asked),
                answers,
            )

    def _asked(self, roles: frozenset[str]) -> Roles | None:
        if not roles or _EVERYBODY in roles:
            return None
        return tuple(frozenset((role,)) for role in sorted(roles))

    def _media(self, element: Element, asked: bool) -> tuple[Media, ...]:
        found = []
        for given in element.named(WADL, "representation"):
            representation: Element | None = given
            if given.get("href") is not None:
                representation = self._referred(given, given.get("href") or "", "representation")
            if representation is None:
                continue
            kind = representation.get("mediaType") or "*/*"
            known = parsed(kind)
            if known is None or known.parameters is None or not kind.isascii():
                self._wrong(representation, f"{kind[:80]!r} is no media type")
                continue
            form = form_of(known.kind)
            root = representation.get("element")
            name = representation.resolve(root) if root is not None and form == "xml" else None
            checks: tuple[Check, ...] = ()
            if asked:
                self._extensions(representation)
                checks = self._checks(representation, form)
            root = f"{{{name.space}}}{name.local}" if name is not None else None
            found.append(Media(known.kind, form, checks, root, known.parameters, known.charset))
        return tuple(found)

    def _checks(self, representation: Element, form: str) -> tuple[Check, ...]:
        if form == "xml" and self._types.has_elements:
            self._not_checked(
                representation, "of XML no more is looked at than its form: not the XML Schema", UNCHECKED_XML
            )
        checks = list(self._json_checks) if form == "json" else []
        for param in self._params(representation):
            if param.get("style") != "plain":
                if _asks_something(param):
                    message = (
                        f"what a body has of parameters is not looked at: {(param.get('name') or '')[:80]!r}"
                    )
                    self._not_checked(param, message)
                continue
            self._extensions(param)
            if param.get("required") not in ("true", "1"):
                continue
            path = param.get("path") or ""
            schema = plain(path) if form == "json" else None
            if schema is None:
                self._not_checked(param, f"the expression {path[:120]!r} is not looked at", UNCHECKED_XPATH)
                continue
            code = param.get("code", RAX) or "400"
            if not (code.isdecimal() and 400 <= int(code) <= 599):
                self._wrong(param, f"rax:code is a status from 400 to 599, not {code[:20]!r}")
                continue
            key = self._key(schema, param)
            assert key is not None
            # Before the grammar, as the more particular one, whose words the description itself may have.
            checks.insert(
                len(checks) - len(self._json_checks), Check(key, int(code), param.get("message", RAX))
            )
        return tuple(checks)


def _apart(media: Iterable[Media]) -> list[tuple[Media, ...]]:
    """The same media in sets, none of which has a media type twice; equal ones are one."""
    sets: list[list[Media]] = []
    seen: Counter[MediaType] = Counter()
    for one in dict.fromkeys(media):
        if seen[one.type] == len(sets):
            sets.append([])
        sets[seen[one.type]].append(one)
        seen[one.type] += 1
    return [tuple(of) for of in sets]


def _once_each(media: Iterable[Media]) -> tuple[Media, ...]:
    """Each media type once, with any root where there are several."""
    found: dict[MediaType, Media] = {}
    for one in media:
        other = found.setdefault(one.type, one)
        if one.root != other.root:
            found[one.type] = other._replace(root=None)
    return tuple(found.values())


def _asks_something(param: Element) -> bool:
    """Whether a parameter has to be there, or may not be any text."""
    return (
        param.get("required") in ("true", "1")
        or (param.get("type") or "xsd:string").rpartition(":")[2] != "string"
        or param.get("fixed") is not None
        or bool(param.named(WADL, "option"))
    )


def _title(element: Element) -> str:
    return next((doc.get("title") or "" for doc in element.named(WADL, "doc")), "")


def plain(path: str) -> dict[str, Any] | None:
    """A schema for XPath 3.1 on JSON: `$body?member?member`, which is to be there, `instance of map(*)` perhaps, and several of
    these with `and` between them. None for any other."""
    made: list[dict[str, Any]] = []
    for text in re.split(r"\s+and\s+", path.strip()):
        match = _PLAIN.fullmatch(text)
        if match is None or (match[2] is not None and match[2] not in _KINDS):
            return None
        schema: dict[str, Any] = {} if match[2] is None else {"type": _KINDS[match[2]]}
        for name in reversed(match[1][1:].split("?")):
            schema = {"type": "object", "required": [name], "properties": {name: schema}}
        made.append(schema)
    return made[0] if len(made) == 1 else {"allOf": made}
