"""Which route takes a request, and why the others do not."""

from collections.abc import Sequence
from typing import NamedTuple

from gateway.config.load import Loaded
from gateway.config.model import Route
from gateway.http.host import name_of
from gateway.http.target import matchable
from gateway.http.template import Segment, parse


class Considered(NamedTuple):
    """A route, and why it does not take the request; empty for the one that does."""

    name: str
    template: str
    source: str
    because: str


def considered(loaded: Loaded, taken: str | None, method: str, host: str, path: str) -> list[Considered]:
    """Every route, that named `taken` first, then as they stand in the configuration."""
    routes = list(enumerate(loaded.configuration.routes))
    routes.sort(key=lambda item: item[1].name != taken)
    told = []
    for number, route in routes:
        because = "" if route.name == taken else _because(route, taken, method, host, path)
        source = str(loaded.marks.position(("routes", number)))
        told.append(Considered(route.name, route.path, source, because))
    return told


def _because(route: Route, taken: str | None, method: str, host: str, path: str) -> str:
    if route.host is not None and not _is_host(route.host, host):
        return f"it is for the host {route.host}"
    differs = _difference(parse(route.path), path)
    if differs:
        return differs
    if route.methods is not None and method not in route.methods:
        return f"it is for {', '.join(sorted(route.methods))}"
    return (
        f"{taken} says more of the path" if taken is not None else "another template of the path comes first"
    )


def _is_host(wanted: str, host: str) -> bool:
    name = name_of(host)
    if wanted.startswith("*."):
        return name.endswith(wanted[1:].lower())
    return name == wanted.lower()


def _difference(template: Sequence[Segment], path: str) -> str:
    """Where the path is another than the template's; empty where it fits."""
    parts = matchable(path).split("/")[1:]
    for place, segment in enumerate(template):
        if segment.rest:
            return "" if len(parts) > place else f"its path goes on behind {path}"
        if place >= len(parts):
            return f"its path goes on behind {path}"
        if segment.literal is not None and parts[place] != segment.literal:
            return f"its path has {segment.literal!r} where this has {parts[place]!r}"
    if len(parts) > len(template):
        return "its path ends before this one does"
    return ""
