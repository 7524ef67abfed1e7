"""Routes made from a description, as the text of a configuration with what is to be filled in commented out."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from gateway.config.document import resolve
from gateway.description.model import Description, Operation, Parameter, Resource, Roles, Segment
from gateway.http.template import parse

_HERE: Final = "http://127.0.0.1:8774"
_PLAIN: Final = re.compile(r"/[A-Za-z0-9_/{}.~-]*|[A-Za-z0-9_][A-Za-z0-9_./-]*")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?")
IN_PATHS: Final = "-._~!$&'()*+,;=:@"
_LONGEST: Final = 200
_LONGEST_NAME: Final = 56
_MANY: Final = 50
_LIMIT: Final = "{ rate_limit: { limits: [{ rate: 100/minute, burst: 10, key: [project_id] }] } }"
_UUID_PATTERN: Final = re.compile(r"\[[^\[\]]*(?:0-9a-f|a-f0-9)[^\[\]]*\]\{8\}-.*\{12\}")


class _Route(NamedTuple):
    """Operations that stand at paths of one shape."""

    path: str
    resources: list[Resource]
    uuids: dict[str, bool]
    """Parameters that are UUIDs, and whether upper case is one too."""
    whole: bool
    """Whether the template is the path, and not wider."""

    @property
    def operations(self) -> list[Operation]:
        return [operation for resource in self.resources for operation in resource.operations]

    @property
    def methods(self) -> list[str]:
        return sorted({operation.method for operation in self.operations})


def draft(
    description: Description,
    *,
    file: str,
    upstream: str = "api",
    by_hand: bool = False,
    allow_unchecked: bool = False,
) -> str:
    """The text of a configuration; `file` is what it calls the description.

    What the description asks and nobody looks at stops the start, unless `allow_unchecked`.

    The filter `api` judges by the description; or, `by_hand`, others that are told here what it says of methods, UUIDs and
    media types, and nothing of the rest. Raises ValueError where nothing in it can be a route.
    """
    routes, left_out = _routes(description)
    if not routes:
        raise ValueError(
            "; ".join([f"{description.file} has no path that can be a route", *left_out[:_MANY]])
        )
    many = len({id(operation) for route in routes for operation in route.operations})
    lines = [
        f"# Made from {_told(file)}: {description.language}, {_told(description.title) or 'without a title'}; "
        f"{_count(len(routes), 'route')}, {_count(many, 'operation')}.",
        "# What is to be filled in is commented out; all options are in REFERENCE.md.",
        *(f"# Not a route: {_told(why)}" for why in left_out[:_MANY]),
        *(f"# Not checked: {_told(str(problem))}" for problem in description.unchecked[:_MANY]),
        "",
        "upstreams:",
        f"  {_text(upstream)}:",
        f"    endpoints: [{_text(_endpoint(description.server))}]",
        "",
        *_filters(description, file, by_hand, allow_unchecked),
        "",
    ]
    lines.append("routes:")
    names: set[str] = set()
    for route in routes:
        lines += _written(route, _named(route, names), upstream, by_hand)
    return "\n".join([*lines, ""])


def _written(route: _Route, name: str, upstream: str, by_hand: bool) -> Iterable[str]:
    for operation in route.operations:
        told = ": ".join(filter(None, (_told(operation.name), _told(operation.summary))))
        yield f"  # {operation.method} {told}".rstrip()
        if by_hand and operation.roles is not None:
            yield f"  #   Nobody asks for who is calling: it is for {_told(whom(operation.roles))}."
    if not route.whole:
        yield "  # This takes more than the path, of which a part of a segment is a parameter."
    yield f"  - name: {_text(name)}"
    yield f"    path: {_text(route.path)}"
    yield f"    upstream: {_text(upstream)}"
    yield f"    methods: [{', '.join(route.methods)}]"
    if not by_hand:
        yield f"    # filters: [{_LIMIT}]"
        return
    yield "    filters:"
    yield f"      - methods: {{ allow: [{', '.join(route.methods)}] }}"
    for lenient in (False, True):
        params = [param for param, either in route.uuids.items() if either == lenient]
        if params:
            yield f"      - uuid: {{ params: [{', '.join(map(_text, params))}]{', lenient: true' if lenient else ''} }}"
    kinds = _kinds(route.operations)
    if kinds:
        yield f"      - content_type: {{ allow: [{', '.join(map(json.dumps, kinds))}] }}"
    yield "      - body_size: { max: 112KiB }"
    yield f"      # - {_LIMIT[2:-2]}"


def _filters(description: Description, file: str, by_hand: bool, allow_unchecked: bool) -> Iterable[str]:
    """Those for every request, as far as they can be known."""
    allow = ", unchecked: allow" if description.unchecked and allow_unchecked else ""
    yield "# filters:" if by_hand else "filters:"
    yield "  # - token_auth: { providers: [...] }       who is calling; see examples/keystone.yaml"
    if not by_hand:
        yield f"  - api: {{ description: {_text(file)}{allow} }}"
    yield f"  # - {_LIMIT[2:-2]}"


def _routes(description: Description) -> tuple[list[_Route], list[str]]:
    """The routes, and why a path is none."""
    found: dict[tuple[str | None, ...], _Route] = {}
    left_out: list[str] = []
    for resource in description.resources:
        shape = tuple(segment[0] if len(segment) == 1 else None for segment in resource.segments)
        route = found.get(shape)
        if route is None:
            names = _params(resource.segments)
            path = "/" + "/".join(
                f"{{{name}}}" if name else quote(segment[0], safe=IN_PATHS)
                for segment, name in zip(resource.segments, names, strict=True)
            )
            try:
                parse(path)
            except ValueError as error:
                left_out.append(f"{resource.path}: {error}")
                continue
            whole = all(segment[::2] == ("", "") for segment in resource.segments if len(segment) > 1)
            found[shape] = _Route(path, [resource], _uuids(resource, names, description.schemas), whole)
        else:
            route.resources.append(resource)
            uuids = _uuids(resource, _params(resource.segments), description.schemas)
            for name in list(route.uuids):
                if name in uuids:
                    route.uuids[name] |= uuids[name]
                else:
                    del route.uuids[name]
    return list(found.values()), left_out


def _params(segments: tuple[Segment, ...]) -> list[str]:
    """What a template calls the parameter of each segment, which has stricter names; "" for a literal."""
    names: list[str] = []
    for segment in segments:
        if len(segment) == 1:
            names.append("")
            continue
        text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", segment[1])
        text = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_") or "param"
        name = text = text if not text[0].isdigit() else f"param_{text}"
        number = 1
        while name in names:
            number += 1
            name = f"{text}_{number}"
        names.append(name)
    return names


def _uuids(resource: Resource, names: list[str], schemas: Mapping[str, Any]) -> dict[str, bool]:
    """Parameters that are UUIDs whatever the operation, and whether upper case is one too in any of them."""
    found: dict[str, bool] | None = None
    for operation in resource.operations:
        own = [one for one in operation.parameters if one.where == "path"]
        by_name = {one.name: one for one in (*resource.parameters, *own)}
        of_one: dict[str, bool] = {}
        for segment, name in zip(resource.segments, names, strict=True):
            parameter = by_name.get(segment[1]) if segment[::2] == ("", "") else None
            either = _is_uuid(parameter, schemas) if parameter is not None else None
            if either is not None:
                of_one[name] = either
        found = (
            of_one
            if found is None
            else {name: found[name] or of_one[name] for name in found if name in of_one}
        )
    return found or {}


def whom(roles: Roles) -> str:
    """Whom an operation is for, in words."""
    either = [" and ".join(sorted(one)) for one in roles if one]
    if len(either) < len(roles):
        return "whoever is known"
    return f"the roles {' or '.join(either)}" if len(either) > 1 else f"the role {either[0]}"


def _is_uuid(parameter: Parameter, schemas: Mapping[str, Any]) -> bool | None:
    """Whether upper case is a UUID too; None of what is none."""
    schema = schemas.get(parameter.schema or "")
    for _ in range(8):
        if not isinstance(schema, Mapping):
            return None
        if schema.get("format") == "uuid":
            return True
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            return "A-F" in pattern if _UUID_PATTERN.search(pattern) is not None else None
        schema = schemas.get(str(schema.get("$ref", "")).removeprefix("#/$defs/"))
    return None


def _kinds(operations: Iterable[Operation]) -> list[str]:
    return sorted({media.range for operation in operations for media in operation.media})


def _named(route: _Route, taken: set[str]) -> str:
    parts = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in _words(route.path)]
    text = "-".join(filter(None, parts))[:_LONGEST_NAME].rstrip("-") or "root"
    name, number = text, 1
    while name in taken:
        number += 1
        name = f"{text}-{number}"
    taken.add(name)
    return name


def _words(path: str) -> list[str]:
    """The literals of a path, and its last parameter where it ends in one."""
    segments = parse(path)
    last = segments[-1]
    return [
        *(one.literal for one in segments if one.literal is not None),
        *([last.name] if last.name else []),
    ]


def _endpoint(server: str) -> str:
    """Where the server is, as an endpoint has it."""
    try:
        parts = urlsplit(server)
        if parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc) and parts.port != 0:
            return f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        pass
    return _HERE


def _text(text: str) -> str:
    """A text as YAML has it, with nothing in it that a configuration would fill in."""
    plain = _PLAIN.fullmatch(text) is not None and resolve(text) == text
    return text if plain else f'"{"".join(map(_escaped, text.replace("$", "$$")))}"'


def _escaped(character: str) -> str:
    """A character between double quotes of YAML (section 5.7 of its specification)."""
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _told(text: str) -> str:
    """A text of the description as a comment may have it: of one line, short, with nothing that a terminal obeys."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
