"""What is made of an installation while its parts are gone through: the chain, and what parts know of those before them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from gateway.condition import When
from gateway.config.problem import written
from gateway.migration import expression
from gateway.migration.report import Part, Report
from gateway.migration.source import Element, Installation, Place
from gateway.migration.writing import Noted, Reference, plain
from gateway.registry import ENTRY_KEYS, Registry, RegistryError

UNSET: Final = "change-me"
"""What stands for a secret until somebody sets the variable."""

_CHECKS: Final = ("token_auth", "rbac")
"""Types of filters without which more would pass."""

Condition = dict[str, Any]
"""`when` of an entry."""

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")


@dataclass(slots=True)
class Entry:
    """An entry of `filters`.

    place  of what it was made of
    rest   keys that every entry may carry
    """

    type: str
    options: dict[str, Any]
    place: Place
    name: str = ""
    when: list[Condition] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)
    comment: tuple[str, ...] = ()

    def value(self) -> Noted:
        keys: dict[str, Any] = {"name": self.name} if self.name not in ("", self.type) else {}
        if self.when:
            keys["when"] = joined(self.when)
        options = {**keys, **self.rest, **self.options}
        comment = (str(self.place), *self.comment)
        return Noted({self.type: options} if options else self.type, comment)


def joined(conditions: Sequence[Condition]) -> Condition:
    """A condition that holds where all do."""
    if len(conditions) == 1:
        return conditions[0]
    keys = [key for condition in conditions for key in condition]
    if len(keys) == len(set(keys)):  # side by side all must hold
        return {key: value for condition in conditions for key, value in condition.items()}
    return {"all": list(conditions)}


class Draft:
    """The configuration in the making.

    core       keys beside `filters` and `routes`
    entries    of the chain
    routes     before the one for all that is left, whose upstream is `default`
    root_paths of upstreams: where the service is mounted
    user       quality of the user that filters so far have found, as Repose weighs it; None while there is none
    beside     where the configuration will be, for the files that it names
    nodes      how many gateways there are, of which this is one
    body_limit bytes that a request body may have
    known      whether a filter so far knows roles, so that tables of roles can be asked of somebody
    extracted  header fields that filters so far have filled from the path: the expressions, for whole paths
    variables  what has to be set before the start
    """

    def __init__(self, installation: Installation, report: Report, registry: Registry) -> None:
        self.installation = installation
        self.registry = registry
        self.report = report
        self.core: dict[str, Any] = {}
        self.entries: list[Entry] = []
        self.routes: list[Any] = []
        self.default = ""
        self.root_paths: dict[str, str] = {}
        self.user: float | None = None
        self.known = False
        self.nodes = 1
        self.beside = Path()
        self.body_limit: tuple[int, Place] | None = None
        self.extracted: dict[str, list[str]] = {}
        self.variables: dict[str, Place] = {}
        self._names: set[str] = set()

    def secret(self, name: str, place: Place, part: Part, prefix: str = "") -> Reference:
        """A reference that stands for a secret, which is written nowhere."""
        variable = "".join(char if char.isascii() and char.isalnum() else "_" for char in name).upper()
        self.variables.setdefault(variable, place)
        part.differs(place, f"the secret is not written down: set the environment variable {variable}")
        return Reference(variable, UNSET, prefix)

    def wrong(self, entry: Entry) -> str:
        """Why an entry cannot be in a configuration; empty where it can."""
        try:
            model = self.registry.get(entry.type).Config
        except RegistryError as error:
            return str(error)
        unknown = [key for key in entry.rest if key not in ENTRY_KEYS]
        if unknown:
            return f"there is no {unknown[0]} of entries"
        environment = self.installation.environment
        try:
            model.model_validate(plain(entry.options, environment))
            if entry.when:
                When.model_validate(plain(joined(entry.when), environment))
        except ValidationError as error:
            first = error.errors()[0]
            return f"{written(first['loc'])}: {first['msg'].removeprefix('Value error, ')}"
        return ""

    def route(self, name: str, path: str, upstream: str) -> dict[str, Any]:
        """A route to an upstream, with the path that its service is mounted at."""
        route: dict[str, Any] = {"name": name, "path": path, "upstream": upstream}
        mounted = self.root_paths.get(upstream)
        if mounted is not None:
            route["filters"] = [{"rewrite": {"add_prefix": mounted}}]
        return route

    def named(self, wanted: str) -> str:
        """A name for an entry that no other has."""
        base = "".join(
            char if char.isascii() and (char.isalnum() or char in "-_.") else "-" for char in wanted
        )
        base = base.strip("-_.")[:56] or "filter"
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base}-{number}"
        self._names.add(name)
        return name


class Chain:
    """The place of one filter in the chain: what its translator adds stands there, under the filter's condition."""

    def __init__(self, draft: Draft, part: Part, name: str, when: Sequence[Condition]) -> None:
        self.draft = draft
        self.part = part
        self._name = name
        self._when = list(when)

    def add(
        self,
        type: str,
        options: Mapping[str, Any],
        place: Place,
        *,
        when: Sequence[Condition] = (),
        rest: Mapping[str, Any] | None = None,
        comment: Sequence[str] = (),
    ) -> Entry:
        """An entry. It is named as the filter was, and told apart by a number."""
        entry = Entry(
            type,
            dict(options),
            place,
            self.draft.named(self._name),
            [*self._when, *when],
            dict(rest or {}),
            tuple(comment),
        )
        wrong = self.draft.wrong(entry)
        if wrong:
            self.part.left(place, f"{type}: {wrong}")
            if type in _CHECKS:
                self.refuse(place, when=when)
            return entry
        self.draft.entries.append(entry)
        self.part.into.append(f"{type} {entry.name!r}" if entry.name != type else type)
        return entry

    def refuse(self, place: Place, *, when: Sequence[Condition] = ()) -> None:
        """For a check that cannot be moved, which is noted: without it more would pass than before, so nothing does."""
        self.part.refuses = True
        self.part.left(
            place, "all its requests are refused (`respond`) until what is not moved is written by hand"
        )
        self.add(
            "respond",
            {"status": 503},
            place,
            when=when,
            comment=[
                "NOT MOVED: a check of it cannot be said, see the report. Write it, and take this refusal away."
            ],
        )

    def paths(self, regex: str, element: Element, *, anywhere: bool = False) -> list[str] | None:
        """What a condition says of the paths that an expression matches; None where it cannot, which is noted."""
        try:
            return expression.paths(regex, anywhere=anywhere)
        except ValueError as error:
            self.part.left(element.place, f"the expression {regex!r}: {error}")
            return None

    def differs(self, element: Element, text: str) -> None:
        self.part.differs(element.place, text)

    def left(self, element: Element, text: str) -> None:
        self.part.left(element.place, text)


def methods(words: Sequence[str]) -> list[str]:
    """Methods of a list; none where it means all."""
    upper = [word.upper() for word in words]
    return [] if "ALL" in upper else upper


def target_condition(element: Element, chain: Chain) -> list[Condition] | None:
    """The condition of `uri-regex` and `http-methods` of an element; None where it cannot be said, which is noted."""
    regex, listed = element.get("uri-regex"), methods(element.words("http-methods"))
    found: list[Condition] = []
    if regex and not expression.is_everything(regex):
        paths = chain.paths(regex, element)
        if paths is None:
            return None
        found.append({"path": paths})
    if listed:
        found.append({"method": listed})
    return found
