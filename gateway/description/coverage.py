"""Holds the routes of a configuration against a description: what is open and not described, and what is described and cannot
be reached."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

from gateway.config.load import Loaded
from gateway.config.model import Entry, Route
from gateway.config.problem import Position
from gateway.description.draft import IN_PATHS
from gateway.description.model import Description, Operation, Resource
from gateway.http.target import decode
from gateway.http.template import Segment, parse
from gateway.router import Router, RouteSpec

METHODS: Final = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
"""Those that a route takes which names none, as far as it matters."""

_ANY_VALUE: Final = "~0~"
"""A value of a parameter that no literal of a route is."""
_NO_HOST: Final = "host.invalid"


class Finding(NamedTuple):
    """Something that one of them has and the other has not, and where it stands."""

    kind: Literal["open", "unreachable"]
    position: Position
    message: str

    def __str__(self) -> str:
        return f"{self.position}: {self.message}"


Enforced: TypeAlias = Callable[[Iterable[Entry]], list[Description]]
"""The descriptions that filters enforce, without a condition."""

ReadOther: TypeAlias = Callable[[Path, str | None], Description]
"""The description in a file that an `api` names, whose paths begin at its `base`. Raises what the caller knows of."""


def compare(
    loaded: Loaded, description: Description, file: Path, base: str | None, read: ReadOther
) -> list[Finding]:
    """What differs.

    file  of the description, and `base` what it has been read with: a route on which a filter enforces it is open to nothing else
    read  reads what another filter enforces: a route is open to that alone, and what that does not have cannot be reached
    """
    known: dict[tuple[Path, str | None], Description] = {(file.resolve(), base): description}

    def enforced(entries: Iterable[Entry]) -> list[Description]:
        found = []
        for entry in _always(entries, "api"):
            name = loaded.directory / str(getattr(entry.options, "description", ""))
            key = (name.resolve(), getattr(entry.options, "base", None))
            if key not in known:
                known[key] = read(name, key[1])
            found.append(known[key])
        return found

    configuration = loaded.configuration
    found = list(_open(loaded, description, enforced))
    specs = [
        RouteSpec(
            route.host, route.path, frozenset(route.methods) if route.methods is not None else None, route
        )
        for route in configuration.routes
    ]
    router = Router(specs)
    hosts = [_NO_HOST, *(_of_host(route.host) for route in configuration.routes if route.host is not None)]
    for resource in description.resources:
        for operation in resource.operations:
            why = _unreachable(router, hosts, configuration.filters, resource, operation, enforced)
            if why is not None:
                found.append(Finding("unreachable", operation.position, why))
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.kind, finding.position))


def _of_host(host: str) -> str:
    return f"any{host[1:]}" if host.startswith("*.") else host


# ---- what is open


def _open(loaded: Loaded, description: Description, enforced: Enforced) -> Iterator[Finding]:
    configuration = loaded.configuration
    for place, route in enumerate(configuration.routes):
        entries = (*configuration.filters, *route.filters)
        segments = parse(route.path)
        position = loaded.marks.position(("routes", place, "path"))
        held = enforced(entries)
        if held:
            for told in _open_by_others(route, segments, entries, held, description):
                yield Finding("open", position, told)
            continue
        covering = [one for one in description.resources if _covers(one, segments)]
        missing = sorted(_methods(route, entries).difference(*(one.methods for one in covering)))
        if not missing:
            continue
        told = "every method" if METHODS.issubset(missing) else ", ".join(missing)
        if covering:
            message = f"the route {route.name!r} takes {told}, which is not described of {route.path}"
        elif any(_touches(one, segments) for one in description.resources):
            message = f"the route {route.name!r} takes more paths than are described: {route.path}"
        else:
            message = f"the route {route.name!r} takes what is not described: {told} of {route.path}"
        yield Finding("open", position, message)


def _open_by_others(
    route: Route,
    segments: Sequence[Segment],
    entries: Sequence[Entry],
    held: Sequence[Description],
    description: Description,
) -> Iterator[str]:
    """What comes through a route whose filters hold requests against all of `held`."""
    if any(one is description for one in held):
        return
    methods = _methods(route, entries)
    for resource in held[0].resources:
        if not _touches(resource, segments):
            continue
        taken = methods.intersection(resource.methods).difference(
            *(one.methods for one in description.resources if _has(one, resource))
        )
        missing = sorted(method for method in taken if all(_takes(one, resource, method) for one in held[1:]))
        if missing:
            yield (
                f"the route {route.name!r} takes what is not described, but in {held[0].file}: "
                f"{', '.join(missing)} of {resource.path}"
            )


def _has(resource: Resource, other: Resource) -> bool:
    """Whether the first has every path of the second, but for what parameters may be."""
    return len(resource.segments) == len(other.segments) and all(
        own == theirs if len(own) == 1 else own[::2] in (("", ""), theirs[::2])
        for own, theirs in zip(resource.segments, other.segments, strict=True)
    )


def _takes(description: Description, resource: Resource, method: str) -> bool:
    """Whether a description has a method of all paths of a resource of another."""
    return any(_has(one, resource) and method in one.methods for one in description.resources)


def _always(entries: Iterable[Entry], kind: str) -> Iterator[Entry]:
    return (one for one in entries if one.type == kind and one.mode == "enforce" and one.when is None)


def _methods(route: Route, entries: Sequence[Entry]) -> frozenset[str]:
    """The methods that a request may come through the route with."""
    found = frozenset(route.methods) if route.methods is not None else METHODS
    for entry in _always(entries, "methods"):
        found &= frozenset(getattr(entry.options, "allow", METHODS))
    return found


def _covers(resource: Resource, template: Sequence[Segment]) -> bool:
    """Whether the resource has every path that the template has."""
    return len(resource.segments) == len(template) and all(
        other.literal is not None and decode(other.literal) == own[0]
        if len(own) == 1
        else own[::2] == ("", "") and not other.rest and other.literal != ""
        for own, other in zip(resource.segments, template, strict=True)
    )


def _touches(resource: Resource, template: Sequence[Segment]) -> bool:
    """Whether the resource has a path that the template has too."""
    own = resource.segments
    for place, other in enumerate(template):
        if other.rest:
            return len(own) > place or len(template) == 1
        if place >= len(own):
            return False
        if len(own[place]) == 1 and other.literal is not None and decode(other.literal) != own[place][0]:
            return False
    return len(own) == len(template)


# ---- what cannot be reached


def _unreachable(
    router: Router,
    hosts: Sequence[str],
    filters: Sequence[Entry],
    resource: Resource,
    operation: Operation,
    enforced: Enforced,
) -> str | None:
    path = "/" + "/".join(
        "".join(_ANY_VALUE if place % 2 else quote(text, safe=IN_PATHS) for place, text in enumerate(segment))
        for segment in resource.segments
    )
    asked = f"{operation.method} {resource.path}"
    by_method: list[str] = []
    by_description: list[tuple[str, str]] = []
    allowed: set[str] = set()
    for host in hosts:
        match = router.match(host, path, operation.method)
        if match.payload is None:
            allowed.update(match.allow or ())
            continue
        route: Route = match.payload
        if operation.method not in _methods_that(route, filters, operation.method):
            by_method.append(route.name)
            continue
        others = (
            one for one in enforced((*filters, *route.filters)) if not _takes(one, resource, operation.method)
        )
        other = next(others, None)
        if other is None:
            return None
        by_description.append((route.name, other.file))
    if by_description:
        name, file = by_description[0]
        return f"{asked} is described, and `api` of the route {name!r} refuses it: {file}, as it is read there, has no such operation"
    if by_method:
        return f"{asked} is described, and a filter of the route {by_method[0]!r} refuses the method"
    if allowed:
        return f"{asked} is described, and the routes of the path take only {', '.join(sorted(allowed))}"
    return f"{asked} is described, and no route takes it"


def _methods_that(route: Route, filters: Sequence[Entry], method: str) -> frozenset[str]:
    """As `_methods`; a method that is seldom is one that a route without methods takes too."""
    if route.methods is None and method not in METHODS:
        return _methods(route.model_copy(update={"methods": (method,)}), (*filters, *route.filters))
    return _methods(route, (*filters, *route.filters))
