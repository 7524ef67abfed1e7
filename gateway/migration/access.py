"""Tables of roles: simple-rbac and regex-rbac."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

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
    if config.get("roles-header-name", "X-Roles").lower() != "x-roles":
        chain.left(
            config, f"roles-header-name {config.get('roles-header-name')!r}: roles are the principal's"
        )
    rows = []
    for line in _lines(config, chain):
        template = _template(line.path)
        if template is None:
            chain.part.left(line.place, f"the path {line.path!r} is no template")
            continue
        methods = list(_BASIC) if set(line.methods) & set(_ALL) else line.methods
        rows.append(_row("path", template, methods, line))
    _add(config, chain, rows, "first")


def regex_rbac(config: Element, chain: Chain) -> None:
    """`regex-rbac`: all rows that fit must be satisfied."""
    rows, lost = [], False
    for line in _lines(config, chain):
        try:
            text = expression.whole(line.path)
        except ValueError as error:
            # The others let through what this one would have refused.
            chain.part.left(line.place, f"the expression {line.path!r}: {error}")
            lost = True
            continue
        rows.append(_row("regex", text, [] if set(line.methods) & set(_ALL) else line.methods, line))
    if lost:
        config.ignore("@mask-rax-roles-403")
        for delegating in config.all("delegating"):
            delegating.forget()
        chain.left(
            config, "all rows that fit must be satisfied, so that the table is moved whole or not at all"
        )
        chain.refuse(config.place)
        return
    _add(config, chain, rows, "all")


def _lines(config: Element, chain: Chain) -> Iterator[_Line]:
    resources = config.first("resources")
    if resources is None:
        return
    text, place = resources.text, resources.place
    href = resources.get("href")
    resources.ignore("text")
    if not text.strip() and href:
        name = chain.draft.installation.named(href)
        found = None if name is None else chain.draft.installation.text(name, resources.place)
        if name is None or found is None:
            chain.left(resources, f"there is no file {href!r}")
            return
        text, place = found, Place(name, 1)
    for number, line in enumerate(text.split("\n")):
        here = Place(place.file, place.line + number)
        words = line.strip(" \t\r").split(None, 2) if line.strip() else []
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 3:
            chain.part.left(here, "a resource is PATH METHODS ROLES")
            continue
        path, methods, roles = words
        yield _Line(
            here,
            path,
            [method.strip().upper() for method in methods.split(",") if method.strip()],
            [role.strip().replace("\xa0", " ") for role in roles.split(",") if role.strip()],
        )


def _row(kind: str, path: str, methods: list[str], line: _Line) -> Noted:
    row: dict[str, Any] = {kind: path}
    if methods:
        row["methods"] = methods
    anybody = any(role.upper() in _ALL for role in line.roles)
    row["roles"] = "any" if anybody else line.roles[0] if len(line.roles) == 1 else line.roles
    return Noted(row, (str(line.place),))


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
    if not chain.draft.known:
        chain.differs(
            config,
            "roles are those of the principal, never of a field that a client sends: no filter before this one knows any, so put a "
            "`token_auth` there",
        )
    rest: dict[str, Any] = {}
    if delegating is not None:
        rest = {"mode": "shadow", "delegate": delegating.number("quality", 0.3)}
        delegating.ignore("@component-name")
    chain.add("rbac", options, config.place, rest=rest)
