"""Tables of roles: simple-rbac and regex-rbac."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from gateway.http.target import decode
from gateway.http.template import parse
from gateway.migration import expression
from gateway.migration.draft import Chain
from gateway.migration.source import Element, Place
from gateway.migration.writing import Noted

_ALL: Final = ("ALL", "ANY")
_BASIC: Final = ("GET", "PUT", "POST", "DELETE")
"""What Repose's simple-rbac takes ALL for."""

_SEGMENT: Final = re.compile(r"\{([^{}/]*)\}")


class _Line(NamedTuple):
    """One resource: `PATH METHODS ROLES`."""

    place: Place
    path: str
    methods: list[str]
    roles: list[str]


def simple_rbac(config: Element, chain: Chain) -> None:
    """`simple-rbac`: what is not in the table is refused."""
    for name in ("enable-api-coverage", "dot-output", "wadl-output"):
        config.ignore(f"@{name}")
    lost = False
    for name, usual in (("roles-header-name", "X-Roles"), ("tenants-header-name", "X-Tenant-Id")):
        if config.get(name, usual).lower() != usual.lower():
            chain.left(config, f"{name} {config.get(name)!r}: roles and tenant are the principal's")
            lost = True
    resources: list[_Resource] = []
    lines, _ = _lines(config, chain)
    for line in lines:
        template = _template(line.path)
        if template is None:
            chain.part.left(line.place, f"the path {line.path!r} is no template")
            continue
        methods = list(_BASIC) if set(line.methods) & set(_ALL) else line.methods
        _put(resources, template, methods, line)
    _share(resources, config, chain)
    _add(config, chain, [row for resource in resources for row in _rows(resource)], "first")
    if lost:
        chain.refuse(config.place)


class _Resource(NamedTuple):
    """All that lines say of equal paths: the roles of each method, and where it is said."""

    template: str
    literals: tuple[str | None, ...]
    roles: dict[str, list[str]]
    places: dict[str, list[str]]

    def covers(self, other: "_Resource") -> bool:
        """Whether it has every path of the other."""
        return _pairs(self, other, lambda own, others: own is None or own == others)

    def meets(self, other: "_Resource") -> bool:
        """Whether there is a path that both have."""
        return _pairs(self, other, lambda own, others: own is None or others is None or own == others)

    def add(self, method: str, roles: list[str], places: list[str]) -> None:
        for known, more in ((self.roles, roles), (self.places, places)):
            listed = known.setdefault(method, [])
            listed += [one for one in more if one not in listed]


def _pairs(one: _Resource, other: _Resource, fits: Callable[[str | None, str | None], bool]) -> bool:
    if len(one.literals) != len(other.literals):
        return False
    # A parameter takes one character at least.
    return all(
        fits(own, others) and not (own != others and "" in (own, others))
        for own, others in zip(one.literals, other.literals, strict=True)
    )


def _put(resources: list[_Resource], template: str, methods: list[str], line: _Line) -> None:
    """What a line says, to the others of its path; a path that a template has too comes before that."""
    literals = tuple(
        None if segment.literal is None else decode(segment.literal) for segment in parse(template)
    )
    found = next((resource for resource in resources if resource.literals == literals), None)
    if found is None:
        found = _Resource(template, literals, {}, {})
        place = next((n for n, other in enumerate(resources) if other.covers(found)), len(resources))
        resources.insert(place, found)
    for method in methods:
        found.add(method, line.roles, [str(line.place)])


def _share(resources: list[_Resource], config: Element, chain: Chain) -> None:
    """Whoever may come by a template may also come to a path that is in the table by itself: one fitting line is enough."""
    said = [(resource, dict(resource.roles), dict(resource.places)) for resource in resources]
    for number, resource in enumerate(resources):
        for other, roles, places in said[number + 1 :]:
            both = [method for method in resource.roles if method in roles]
            if other.covers(resource):
                for method in both:
                    resource.add(method, roles[method], places[method])
            elif both and other.meets(resource):
                chain.differs(
                    config,
                    f"for paths that both {resource.template} and {other.template} have, the roles of the first are asked for, where "
                    "those of either were enough",
                )


def _rows(resource: _Resource) -> Iterator[Noted]:
    """A row for the methods that the same roles may use."""
    seen: list[str] = []
    for method, roles in resource.roles.items():
        if method in seen:
            continue
        alike = [other for other, others in resource.roles.items() if set(others) == set(roles)]
        seen += alike
        places = dict.fromkeys(place for other in alike for place in resource.places[other])
        yield Noted(
            {"path": resource.template, "methods": alike, "roles": _asked(roles)}, (", ".join(places),)
        )


def regex_rbac(config: Element, chain: Chain) -> None:
    """`regex-rbac`: all rows that fit must be satisfied."""
    rows = []
    lines, malformed = _lines(config, chain)
    lost = malformed  # it is unknown what it would have refused
    for line in lines:
        try:
            text = expression.whole(line.path)
        except ValueError as error:
            # The others let through what this one would have refused.
            chain.part.left(line.place, f"the expression {line.path!r}: {error}")
            lost = True
            continue
        rows.append(_row(text, [] if set(line.methods) & set(_ALL) else line.methods, line))
    if lost:
        config.ignore("@mask-rax-roles-403")
        for delegating in config.all("delegating"):
            delegating.forget()
        chain.left(
            config, "all rows that fit must be satisfied, so that the table is moved whole or not at all"
        )
        chain.refuse(config.place)
        return
    chain.bounds_paths(config, "is answered 414")
    _add(config, chain, rows, "all")


def _lines(config: Element, chain: Chain) -> tuple[list[_Line], bool]:
    """The lines of the table, and whether one of them cannot be read, which is noted."""
    found: list[_Line] = []
    malformed = False
    resources = config.first("resources")
    if resources is None:
        return found, malformed
    text, place = resources.text, resources.place
    href = resources.get("href")
    resources.ignore("text")
    if not text.strip() and href:
        name = chain.draft.installation.named(href)
        read = None if name is None else chain.draft.installation.text(name, resources.place)
        if name is None or read is None:
            chain.left(resources, f"there is no file {href!r}")
            return found, malformed
        text, place = read, Place(name, 1)
    for number, line in enumerate(text.split("\n")):
        here = Place(place.file, place.line + number)
        words = line.strip(" \t\r").split(None, 2) if line.strip() else []
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 3:
            chain.part.left(here, "a resource is PATH METHODS ROLES")
            malformed = True
            continue
        path, methods, roles = words
        found.append(
            _Line(
                here,
                path,
                [method.strip().upper() for method in methods.split(",") if method.strip()],
                [role.strip().replace("\xa0", " ") for role in roles.split(",") if role.strip()],
            )
        )
    return found, malformed


def _row(regex: str, methods: list[str], line: _Line) -> Noted:
    row: dict[str, Any] = {"regex": regex}
    if methods:
        row["methods"] = methods
    row["roles"] = _asked(line.roles)
    return Noted(row, (str(line.place),))


def _asked(roles: list[str]) -> str | list[str]:
    anybody = any(role.upper() in _ALL for role in roles)
    return "any" if anybody else roles[0] if len(roles) == 1 else roles


def _template(path: str) -> str | None:
    """The path with names of parameters as templates have them."""
    taken: set[str] = set()

    def named(found: "re.Match[str]") -> str:
        base = re.sub(r"[^a-z0-9_]", "_", found[1].lower())
        base = base if base[:1].isalpha() or base[:1] == "_" else f"p_{base}"
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        return f"{{{name}}}"

    template = _SEGMENT.sub(named, path)
    try:
        parse(template)
    except ValueError:
        return None
    return template


def _add(config: Element, chain: Chain, rows: list[Noted], match: str) -> None:
    masked = config.flag("mask-rax-roles-403")
    delegating = config.first("delegating")
    if not rows:
        chain.left(config, "no row of the table can be moved")
        chain.refuse(config.place)
        return
    options: dict[str, Any] = {"rows": rows}
    if match != "first":
        options["match"] = match
    if masked:
        options["mask"] = 404
        chain.differs(config, "with a mask all that is refused is answered 404, also another method")
    else:
        chain.differs(
            config,
            "a path that is not in the table is answered 403, in place of 404; `mask: 404` answers 404 to all",
        )
    chain.differs(
        config,
        "roles compare without regard to case, and a request of nobody is answered 401 where a row asks for a role",
    )
    chain.knows_roles(config)
    rest: dict[str, Any] = {}
    if delegating is not None:
        rest = {"mode": "shadow", "delegate": chain.quality(delegating, default=0.3)}
        delegating.ignore("@component-name")
    chain.add("rbac", options, config.place, rest=rest)
