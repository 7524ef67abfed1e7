"""Which route an exchange takes: by host, then path template, then method.

Theory of operation. The templates of one host form a tree of segments, and the tree is written down as one
regular expression: at each node the literals come first, then a parameter, then the rest of the path, so that
the order in which the expression tries its branches *is* the order from the most specific template to the
least. Every template ends in an empty group of its own, and the number of the last group that matched
(`lastindex`) says which template it was. A request costs one match, however many routes there are.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.http.host import name_of, valid
from gateway.http.target import decode, matchable
from gateway.http.template import Segment, literal_pattern, parameter_pattern, parse


class RouteSpec(NamedTuple):
    """What the router knows of a route.

    host      a name, `*.example.com` for the names below it, or None for any; a port is ignored
    template  path template
    methods   upper case; None for all
    payload   handed back by `match`
    """

    host: str | None
    template: str
    methods: frozenset[str] | None
    payload: Any


class Match(NamedTuple):
    """What was found.

    payload   of the route; None when there is none for this method, or none at all
    params    path parameters of the route, percent-decoded once
    template  the most specific one that matches; None when there is none
    allow     where the template has no route for the method, the methods that it has, sorted; else None
    """

    payload: Any | None
    params: dict[str, str]
    template: str | None
    allow: tuple[str, ...] | None


class RouteConflict(ValueError):  # noqa: N818 - it names what is wrong
    """Two routes with equal host and equivalent templates share a method."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"routes {first} and {second} take the same requests")
        self.first = first
        self.second = second


class TemplateError(ValueError):
    """A route's path template or host is malformed."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index
        self.message = message


class _Choice(NamedTuple):
    """A route of one template: what `match` needs of it."""

    payload: Any
    template: str
    groups: tuple[tuple[str, int], ...]
    """Parameter's name, and the number of its group."""


class _Leaf:
    """All routes of one template (and of those that differ from it in parameter names only)."""

    __slots__ = ("_routes", "any_method", "by_method", "template")

    def __init__(self, template: str) -> None:
        self.template = template
        self.by_method: dict[str, _Choice] = {}
        self.any_method: _Choice | None = None
        self._routes: list[tuple[int, RouteSpec, list[str]]] = []

    def add(self, index: int, spec: RouteSpec, names: list[str]) -> None:
        for earlier, other, _ in self._routes:
            if other.methods is None or spec.methods is None or other.methods & spec.methods:
                raise RouteConflict(earlier, index)
        self._routes.append((index, spec, names))

    def compile(self, groups: Sequence[int]) -> None:
        for _, spec, names in self._routes:
            choice = _Choice(spec.payload, spec.template, tuple(zip(names, groups, strict=True)))
            if spec.methods is None:
                self.any_method = choice
            else:
                self.by_method.update(dict.fromkeys(spec.methods, choice))


class _Node:
    """A place in the tree: what may follow there, and the template that ends there."""

    __slots__ = ("leaf", "literals", "parameter", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.rest: _Node | None = None
        self.leaf: _Leaf | None = None

    def child(self, segment: Segment) -> "_Node":
        if segment.literal is not None:
            # Escapes are equal in either case; those that are left are of reserved characters.
            return self.literals.setdefault(_same_case(segment.literal), _Node())
        if segment.rest:
            self.rest = self.rest or _Node()
            return self.rest
        self.parameter = self.parameter or _Node()
        return self.parameter


_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


def _same_case(literal: str) -> str:
    return _ESCAPE.sub(lambda escape: escape[0].upper(), literal)


_PARAMETER = Segment(None, "", False)
_REST = Segment(None, "", True)


class _Group:
    """The templates of one host as one regular expression."""

    __slots__ = ("_groups", "_root", "fullmatch", "leaf_of")

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, index: int, spec: RouteSpec) -> None:
        try:
            segments = parse(spec.template)
        except ValueError as error:
            raise TemplateError(index, str(error)) from None
        node = self._root
        for segment in segments:
            node = node.child(segment)
        if node.leaf is None:
            node.leaf = _Leaf(spec.template)
        node.leaf.add(index, spec, [segment.name for segment in segments if segment.literal is None])

    def compile(self) -> None:
        """Writes the tree down; nothing can be added after."""
        self.leaf_of: dict[int, _Leaf] = {}
        self._groups = 0
        self.fullmatch = re.compile(self._written(self._root, (), root=True), re.DOTALL).fullmatch

    def _next_group(self) -> int:
        # Groups are numbered by their opening parenthesis: called in the order in which they are written.
        self._groups += 1
        return self._groups

    def _written(self, node: _Node, captured: tuple[int, ...], *, root: bool = False) -> str:
        """The expression for all that may stand from this node on; `captured` are the groups before it."""
        if node.leaf is not None:
            node.leaf.compile(captured)
            self.leaf_of[self._next_group()] = node.leaf
        branches = [
            literal_pattern(literal) + self._written(child, captured)
            for literal, child in sorted(node.literals.items())
        ]
        for child, segment in ((node.parameter, _PARAMETER), (node.rest, _REST)):
            if child is not None:
                group = (*captured, self._next_group())
                branches.append(f"({parameter_pattern(segment, alone=root)}){self._written(child, group)}")
        below = f"/(?:{'|'.join(branches)})" if branches else ""
        if node.leaf is None:
            return below
        return rf"(?:()\Z|{below})" if below else r"()\Z"


class Router:
    """Finds the route of a request. Raises RouteConflict or TemplateError for specs that cannot stand."""

    def __init__(self, specs: Sequence[RouteSpec]) -> None:
        self._exact: dict[str, _Group] = {}
        wildcards: dict[str, _Group] = {}
        anywhere: _Group | None = None
        for index, spec in enumerate(specs):
            if spec.host is None:
                group = anywhere = anywhere or _Group()
            elif spec.host.startswith("*."):
                group = wildcards.setdefault("." + _host(index, spec.host[2:]), _Group())
            else:
                group = self._exact.setdefault(_host(index, spec.host), _Group())
            group.add(index, spec)
        # The longest suffix is the most specific.
        self._wildcards = sorted(wildcards.items(), key=lambda item: -len(item[0]))
        self._anywhere = anywhere
        for group in (*self._exact.values(), *wildcards.values(), *((anywhere,) if anywhere else ())):
            group.compile()
        self._by_host = bool(self._exact or wildcards)

    def match(self, host: str, path: str, method: str) -> Match:
        """The route for a request. `host` may carry a port; `path` is raw."""
        path = matchable(path)
        if self._by_host:
            for group in self._of_host(name_of(host)):
                found = group.fullmatch(path)
                if found is not None:
                    return _chosen(group, found, path, method)
        anywhere = self._anywhere
        if anywhere is not None:
            found = anywhere.fullmatch(path)
            if found is not None:
                return _chosen(anywhere, found, path, method)
        return Match(None, {}, None, None)

    def _of_host(self, name: str) -> list[_Group]:
        exact = self._exact.get(name)
        groups = [exact] if exact is not None else []
        for suffix, group in self._wildcards:
            if name.endswith(suffix) and len(name) > len(suffix):
                groups.append(group)
        return groups


def _host(index: int, host: str) -> str:
    if "*" in host or not valid(host.encode("utf-8", "replace")):
        raise TemplateError(index, f"a host is a name, or '*.' and a name: got {host!r}")
    return name_of(host)


_match = tuple.__new__  # a Match in a third of the time that its constructor takes


def _chosen(group: _Group, found: re.Match[str], path: str, method: str) -> Match:
    assert found.lastindex is not None, "every template ends in a group"
    leaf = group.leaf_of[found.lastindex]
    choice = leaf.by_method.get(method) or leaf.any_method
    if choice is None:
        return Match(None, {}, leaf.template, tuple(sorted(leaf.by_method)))
    params: dict[str, str] = {}
    for name, group_number in choice.groups:
        params[name] = found[group_number]
    if params and ("%" in path or not path.isascii()):
        params = {name: decode(value) for name, value in params.items()}
    return _match(Match, (choice.payload, params, choice.template, None))
