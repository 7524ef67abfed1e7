"""Reads OpenAPI 3.0 and 3.1: what a description asks of requests, and what it says of answers."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from gateway.config.problem import ConfigurationError, Path
from gateway.description.dialect import DRAFT_2020_12, NAMES, dialect_of
from gateway.description.model import (
    Answer,
    Check,
    Description,
    Media,
    Operation,
    Parameter,
    Resource,
    Roles,
    Segment,
    form_of,
)
from gateway.description.schema import Schemas
from gateway.description.source import Source, at
from gateway.http.media import MediaType, media_type, parsed

MAX_OPERATIONS: Final = 10_000

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_VERSION: Final = re.compile(r"3\.([01])(?:\.\d+)?")
_NAME: Final = re.compile(r"\{([^{}]*)\}")
_MANY_REFERENCES: Final = 32
_MANY_SERVERS: Final = 64
_STATUS: Final = re.compile(r"[1-5](?:\d\d|XX)|default")
_NOT_PARAMETERS: Final = ("accept", "content-type", "authorization")
"""Header fields that the specification says elsewhere, section 4.7.12.1."""
_SEPARATORS: Final = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|", "simple": ","}
_OF_QUERIES: Final = ("spaceDelimited", "pipeDelimited")
_NESTED: Final = frozenset(("array", "object", "null"))
_STYLES: Final = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}


class _Given(NamedTuple):
    """A parameter as it is written, and where."""

    value: Mapping[str, Any]
    path: Path


def read_openapi(source: Source, base: str | None) -> Description:
    """Reads it; `base` stands in place of the paths of its servers. Raises ConfigurationError with all that is wrong."""
    return _Reader(source, base).description()


class _Reader:
    def __init__(self, source: Source, base: str | None) -> None:
        self._source = source
        self._base = base
        self._operations = 0
        value = source.value
        version = value.get("openapi") if isinstance(value, dict) else None
        found = _VERSION.fullmatch(str(version))
        if found is None:
            source.wrong(
                ("openapi",) if version is not None else (),
                "expected a description in OpenAPI 3.0 or 3.1: `openapi: 3.1.0` says so",
            )
            raise ConfigurationError(source.problems)
        self._old = found[1] == "0"
        dialect = DRAFT_2020_12
        if not self._old and "jsonSchemaDialect" in value:
            named = dialect_of(value["jsonSchemaDialect"])
            if named is None:
                source.wrong(
                    ("jsonSchemaDialect",), f"of the dialects of JSON Schema only {NAMES} are supported"
                )
            dialect = named or dialect
        self._schemas = Schemas(source, old=self._old, dialect=dialect)

    def description(self) -> Description:
        source, value = self._source, self._source.value
        paths = self._mapping(value.get("paths", {}), ("paths",))
        resources = [
            resource
            for path in paths
            if not path.startswith("x-")
            for resource in self._resources(path, ("paths", path))
        ]
        self._schemas.finish()
        if source.problems:
            raise ConfigurationError(source.problems)
        info = value.get("info")
        return Description(
            source.file,
            "OpenAPI 3.0" if self._old else "OpenAPI 3.1",
            str(info.get("title", "")) if isinstance(info, dict) else "",
            self._server(),
            tuple(resources),
            self._schemas.made,
            self._schemas.places,
            tuple(source.unchecked),
        )

    # -- references and forms

    def _mapping(self, value: Any, path: Path) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        self._source.wrong(path, "expected a mapping")
        return {}

    def _list(self, value: Any, path: Path) -> list[Any]:
        if isinstance(value, list):
            return value
        self._source.wrong(path, "expected a list")
        return []

    def _resolved(self, path: Path) -> _Given:
        """The mapping at `path`, or where its `$ref` leads."""
        for _ in range(_MANY_REFERENCES):
            value = at(self._source.value, path)
            if not isinstance(value, dict) or "$ref" not in value:
                return _Given(self._mapping(value, path), path)
            target = self._schemas.target(value["$ref"], path)
            if target is None:
                return _Given({}, path)
            path = target
        self._source.wrong(
            path, f"more than {_MANY_REFERENCES} references lead from one to the next", "recursion"
        )
        return _Given({}, path)

    # -- paths

    def _resources(self, text: str, path: Path) -> Iterator[Resource]:
        item, where = self._resolved(path)
        found: dict[tuple[str, ...], list[tuple[Operation, tuple[_Given, ...]]]] = {}
        common = self._given(item, where)
        for method in _METHODS:
            if method not in item:
                continue
            here = (*where, method)
            given = self._mapping(item[method], here)
            self._operations += 1
            if self._operations > MAX_OPERATIONS:
                if self._operations == MAX_OPERATIONS + 1:
                    self._source.wrong(
                        here, f"there are more than {MAX_OPERATIONS} operations", "too_many_operations"
                    )
                return
            prefixes = self._prefixes(
                next(
                    (
                        (*of, "servers")
                        for value, of in ((given, here), (item, where), (self._source.value, ()))
                        if "servers" in value
                    ),
                    None,
                )
            )
            parameters = {**common, **self._given(given, here)}
            in_path = tuple(one for key, one in parameters.items() if key[0] == "path")
            operation = self._operation(method.upper(), given, here, parameters)
            found.setdefault(prefixes, []).append((operation, in_path))
        for prefixes, operations in found.items():
            shared = _shared([of for _, of in operations])
            own = self._parameters(shared)
            values = [one.value for one in shared]
            made = tuple(
                operation._replace(
                    parameters=(
                        *self._parameters([one for one in of if one.value not in values]),
                        *operation.parameters,
                    )
                )
                for operation, of in operations
            )
            names = {one.value.get("name") for _, of in operations for one in of}
            for prefix in prefixes:
                segments = self._segments(prefix + text, path, names)
                yield Resource(segments, own, made, self._source.position(path))

    def _segments(self, text: str, path: Path, known: set[Any]) -> tuple[Segment, ...]:
        if not text.startswith("/"):
            self._source.wrong(path, "a path begins with '/'")
            return ()
        segments = []
        names: list[str] = []
        for part in text[1:].split("/"):
            pieces = _NAME.split(part)
            names += pieces[1::2]
            if "{" in "".join(pieces[::2]) or "}" in "".join(pieces[::2]) or not all(pieces[1::2]):
                self._source.wrong(path, f"the segment {part[:80]!r} is no template, such as {{name}}")
            if any(not between for between in pieces[2:-1:2]):
                self._source.wrong(path, f"two parameters of {part[:80]!r} have nothing between them")
            segments.append(
                tuple(piece if place % 2 else unquote(piece) for place, piece in enumerate(pieces))
            )
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                self._source.wrong(path, f"the parameter {name!r} stands twice in the path")
            if name not in known:
                self._source.wrong(path, f"nothing is said of the parameter {name!r} of the path")
        return tuple(segments)

    def _prefixes(self, path: Path | None) -> tuple[str, ...]:
        """What stands before the paths, by the servers at `path`."""
        if self._base is not None:
            return (self._base.rstrip("/"),)
        if path is None:
            return ("",)
        found: dict[str, None] = {}
        for place, _ in enumerate(self._list(at(self._source.value, path), path)):
            here = (*path, place)
            server = self._mapping(at(self._source.value, here), here)
            for url in self._urls(server, here):
                try:
                    prefix = urlsplit(url).path.rstrip("/")
                except ValueError:
                    self._source.wrong((*here, "url"), "not a URL")
                    continue
                found[prefix if not prefix or prefix.startswith("/") else "/" + prefix] = None
        return tuple(found) or ("",)

    def _urls(self, server: Mapping[str, Any], path: Path) -> Iterator[str]:
        url = str(server.get("url", ""))
        names = list(dict.fromkeys(_NAME.findall(url)))
        variables = self._mapping(server.get("variables", {}), (*path, "variables"))
        choices: list[list[str]] = []
        many = 1
        for name in names:
            variable = variables.get(name)
            if not isinstance(variable, dict) or "default" not in variable:
                self._source.wrong((*path, "url"), f"the variable {name!r} has no default")
                return
            values = variable.get("enum", [variable["default"]])
            choices.append([str(value) for value in values] if isinstance(values, list) else [])
            many *= len(choices[-1])
        if many > _MANY_SERVERS:
            self._source.wrong((*path, "variables"), f"they make more than {_MANY_SERVERS} servers")
            return
        for chosen in product(*choices):
            given = dict(zip(names, chosen, strict=True))
            yield _NAME.sub(lambda match: given[match[1]], url)  # noqa: B023 - it is used up at once

    def _server(self) -> str:
        servers = self._source.value.get("servers")
        first = servers[0] if isinstance(servers, list) and servers else None
        return str(first.get("url", "")) if isinstance(first, dict) else ""

    # -- parameters

    def _given(self, value: Mapping[str, Any], path: Path) -> dict[tuple[Any, Any], _Given]:
        """Parameters by what they are a part of, and name."""
        found: dict[tuple[Any, Any], _Given] = {}
        for place, _ in enumerate(self._list(value.get("parameters", []), (*path, "parameters"))):
            one = self._resolved((*path, "parameters", place))
            if not one.value:
                continue
            name, where = one.value.get("name"), one.value.get("in")
            if not isinstance(name, str) or not isinstance(where, str) or where not in _STYLES:
                self._source.wrong(
                    one.path, "a parameter has a `name`, and is `in` path, query, header or cookie"
                )
                continue
            key = (where, name.lower() if where == "header" else name)
            if key in found:
                self._source.wrong(one.path, f"the parameter {name!r} in {where} is given twice")
            found[key] = one
        return found

    def _parameters(self, given: Iterable[_Given]) -> tuple[Parameter, ...]:
        return tuple(made for one in given if (made := self._parameter(one)) is not None)

    def _parameter(self, given: _Given) -> Parameter | None:
        """None for one that is not looked at."""
        value, path = given
        name, where = value["name"], value["in"]
        if where == "header" and name.lower() in _NOT_PARAMETERS:
            return None
        if where == "cookie":
            self._source.not_checked(path, f"cookies are not looked at: {name!r}")
            return None
        required = value.get("required") is True
        if where == "path" and not required:
            self._source.wrong(path, f"the parameter {name!r} of the path must be `required: true`")
        made = Parameter(
            name,
            where,
            required,
            None,
            self._source.position(path),
            may_be_empty=value.get("allowEmptyValue") is True,
        )
        if "content" in value:
            content = self._mapping(value["content"], (*path, "content"))
            kind = next(iter(content), "")
            if form_of(media_type(kind) or "") != "json":
                self._source.not_checked(
                    path, f"the parameter {name!r} is {kind!r}, and only JSON is looked at"
                )
                return made
            return made._replace(schema=self._schema(content[kind], (*path, "content", kind)), form="json")
        if "schema" not in value:
            return made
        style = str(value.get("style", _STYLES[where]))
        separator = _SEPARATORS.get(style)
        key = self._schemas.add((*path, "schema"))
        types, told = self._schemas.types(key), self._schemas.told(key)
        if style == "deepObject" and where == "query" and "object" in types:
            members, others = self._schemas.members(key)
            nested = [member for member, part in members.items() if part.types <= _NESTED]
            if nested:
                self._source.not_checked(
                    path, f"of the object {name!r} the member {nested[0]!r} is a list or an object itself"
                )
                return None
            return made._replace(schema=key, form="object", members=members, others=others)
        if separator is None or (style in _OF_QUERIES and where != "query"):
            self._source.not_checked(path, f"the style {style!r} of the parameter {name!r} is not looked at")
            return None if where == "query" else made
        if "object" in types & told:
            self._source.not_checked(path, f"the object {name!r} is looked at as `deepObject` alone")
            return None if where == "query" else made
        if "array" not in types & told:
            return made._replace(schema=key, types=types)
        explode = value.get("explode", style == "form")
        if where == "query" and explode is True:
            separator = None
        return made._replace(
            schema=key,
            form="list",
            separator=separator,
            types=types - {"array", "object"},
            item=self._schemas.items(key),
        )

    def _schema(self, value: Any, path: Path) -> str | None:
        return self._schemas.add((*path, "schema")) if isinstance(value, dict) and "schema" in value else None

    # -- operations

    def _operation(
        self, method: str, value: Mapping[str, Any], path: Path, parameters: Mapping[tuple[Any, Any], _Given]
    ) -> Operation:
        looked_at = [(one, self._parameter(one)) for (where, _), one in parameters.items() if where != "path"]
        body = self._resolved((*path, "requestBody")) if "requestBody" in value else _Given({}, path)
        return Operation(
            method,
            str(value.get("operationId", "")),
            self._source.position(path),
            str(value.get("summary", "")),
            tuple(one for _, one in looked_at if one is not None),
            any(one is None and given.value.get("in") == "query" for given, one in looked_at),
            self._media(body, "request"),
            body.value.get("required") is True,
            self._roles(value, path),
            self._answers(value, path),
        )

    def _media(self, given: _Given, side: str) -> tuple[Media, ...]:
        if "content" not in given.value:
            return ()
        found: dict[MediaType, Media] = {}
        path = (*given.path, "content")
        for kind, value in self._mapping(given.value["content"], path).items():
            here = (*path, kind)
            known = parsed(kind)
            if known is None or known.parameters is None or not kind.isascii():
                self._source.wrong(here, f"{kind[:80]!r} is no media type")
                continue
            form = form_of(known.kind)
            made = Media(known.kind, form, parameters=known.parameters, charset=known.charset)
            if made.type in found:
                self._source.wrong(here, f"the media type {str(made.type)[:80]!r} is given twice")
            if isinstance(value, dict) and "schema" in value:
                if form == "json":
                    key = self._schemas.add((*here, "schema"), "request" if side == "request" else "answer")
                    made = made._replace(checks=(Check(key),))
                elif side == "request" and not _says_nothing(value["schema"]):
                    self._source.not_checked(
                        here, f"of {kind} only the media type is looked at, not its schema"
                    )
            found[made.type] = made
        return tuple(found.values())

    def _answers(self, value: Mapping[str, Any], path: Path) -> tuple[Answer, ...]:
        found = []
        for status in self._mapping(value.get("responses", {}), (*path, "responses")):
            if status.startswith("x-"):
                continue
            if _STATUS.fullmatch(status) is None:
                self._source.wrong((*path, "responses", status), f"{status[:20]!r} is no status")
                continue
            found.append(Answer(status, self._media(self._resolved((*path, "responses", status)), "answer")))
        return tuple(found)

    def _roles(self, value: Mapping[str, Any], path: Path) -> Roles | None:
        """What `security` asks for: a scope, or a role as 3.1 has it for schemes without scopes, is a role here."""
        given, where = (
            (value["security"], path) if "security" in value else (self._source.value.get("security"), ())
        )
        if given is None:
            return None
        found: list[frozenset[str]] = []
        schemes = at(self._source.value, ("components", "securitySchemes"))
        for place, requirement in enumerate(self._list(given, (*where, "security"))):
            here = (*where, "security", place)
            roles: set[str] = set()
            for name, scopes in self._mapping(requirement, here).items():
                if not isinstance(schemes, dict) or name not in schemes:
                    self._source.wrong((*here, name), f"there is no security scheme {name[:80]!r}")
                roles.update(str(scope).lower() for scope in self._list(scopes, (*here, name)))
            if not requirement:
                return None
            found.append(frozenset(roles))
        return tuple(found) or None


def _shared(operations: list[tuple[_Given, ...]]) -> tuple[_Given, ...]:
    """The parameters that all operations have, equal in all but their place: they are the path's own."""
    first, *others = operations
    return tuple(one for one in first if all(any(one.value == other.value for other in of) for of in others))


def _says_nothing(schema: Any) -> bool:
    return schema is True or (
        isinstance(schema, dict)
        and not schema.keys() - {"type", "format", "description", "title", "example", "examples"}
        and schema.get("type", "string") == "string"
        and schema.get("format", "binary") == "binary"
    )
