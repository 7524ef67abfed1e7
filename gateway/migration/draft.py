"""What is made of an installation while its parts are gone through: the chain, and what parts know of those before them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from gateway.api.regex import LONGEST
from gateway.condition import When
from gateway.config.problem import written
from gateway.migration import expression
from gateway.migration.report import Part, Report
from gateway.migration.source import VARIABLE, Element, Installation, Place
from gateway.migration.template import meets
from gateway.migration.writing import Noted, Reference, plain, variables
from gateway.registry import ENTRY_KEYS, Registry, RegistryError

UNSET: Final = "change-me"
"""What stands for a secret until somebody sets the variable."""

_NOT_MOVED: Final = (
    "NOT MOVED: a check of it cannot be said, see the report. Write it, and take this refusal away."
)

_ONLY_VARIABLES: Final = re.compile(rf"(?:(?:Basic|Bearer) )?(?:{VARIABLE.pattern})+")
"""A secret that the environment has, and the file does not."""

_STAND_INS: Final = ("http://unset", "unset", "1", "/unset")
"""What a variable may be that is not set where the installation is moved: an option is wrong if none of these will do."""

_OF_PATHS: Final = ("path", "regex", "description", "drop_segment", "suffixes")
"""Keys of options and conditions that depend on the path."""

WHO: Final = ("x-pp-user", "x-pp-groups")
"""Fields by which Repose counts."""

ROLES: Final = "x-roles"

IDENTITY: Final = (
    *WHO,
    ROLES,
    *(
        "x-user-id",
        "x-user-name",
        "x-tenant-id",
        "x-tenant-name",
        "x-tenant",
        "x-project-id",
        "x-project-name",
    ),
    *(
        "x-authorization",
        "x-identity-status",
        "x-map-roles",
        "x-domain-id",
        "x-default-region",
        "x-contact-id",
    ),
    *("x-impersonator-id", "x-impersonator-name", "x-impersonator-roles"),
)
"""Fields by which filters that ask for a token tell the upstream who is calling."""

Condition = dict[str, Any]
"""`when` of an entry."""


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


def negated(condition: Condition) -> Condition:
    """A condition that holds where another does not."""
    return condition["not"] if list(condition) == ["not"] else {"not": condition}


class Asking(NamedTuple):
    """Where the token of Keystone v2 is asked for.

    name     of the entry that has been the only one at first
    when     which requests are asked for one
    entries  of which each of these requests sees one, each with what else holds of its requests
    """

    name: str
    when: list[Condition]
    entries: list[tuple[Entry, list[Condition]]]


class User(NamedTuple):
    """What a filter finds of who is calling.

    qualities  that X-PP-User may have from it
    when       which requests it sees
    always     whether it finds somebody for each of these that passes it
    token      whether it has asked for a token
    """

    qualities: frozenset[float]
    when: tuple[Condition, ...]
    always: bool
    token: bool


class Draft:
    """The configuration in the making.

    core       keys beside `filters` and `routes`
    entries    of the chain
    routes     before the one for all that is left, whose upstream is `default`
    routers    that decide of routes, in the order of the chain
    root_paths of upstreams: where the service is mounted
    asking     where a token of Keystone v2 has been asked for last; None while none has
    users      what filters so far have found of who is calling, as Repose weighs it
    beside     where the configuration will be, for the files that it names
    nodes      how many gateways there are, of which this is one
    shared     whether they have a datastore in common, where none is named
    body_limit bytes that a request body may have
    written    names of header fields, in lower case, that filters so far have written or removed with no regard to whom the gateway
               knows: where
    given      those of them that have got a value: where
    known      whether a filter so far knows roles, so that tables of roles can be asked of somebody
    everybody  under which conditions a filter so far finds a user for every request; None while none does
    extracted  header fields that filters so far have filled from the path: the expressions, for whole paths
    rewritten  where a filter so far has changed the path, which later ones of Repose judge by; None while none has
    variables  what has to be set before the start
    """

    def __init__(self, installation: Installation, report: Report, registry: Registry) -> None:
        self.installation = installation
        self.registry = registry
        self.report = report
        self.core: dict[str, Any] = {}
        self.entries: list[Entry] = []
        self.routes: list[Any] = []
        self.routers: list[Router] = []
        self.default = ""
        self.root_paths: dict[str, str] = {}
        self.asking: Asking | None = None
        self.users: list[User] = []
        self.written: dict[str, Place] = {}
        self.given: dict[str, Place] = {}
        self.known = False
        self.everybody: list[Condition] | None = None
        self.nodes = 1
        self.shared = False
        self.beside = Path()
        self.body_limit: tuple[int, Place] | None = None
        self.extracted: dict[str, list[str]] = {}
        self.rewritten: Place | None = None
        self.variables: dict[str, Place] = {}
        self._secrets: dict[str, str] = {}
        self._names: set[str] = set()

    def secret(
        self, name: str, place: Place, part: Part, prefix: str = "", text: str = ""
    ) -> str | Reference:
        """What stands for a secret, which is written nowhere: a reference, or the `text` where that is variables only."""
        if _ONLY_VARIABLES.fullmatch(text):
            return text
        variable = "".join(char if char.isascii() and char.isalnum() else "_" for char in name).upper()
        base, number = variable, 1
        while self._secrets.setdefault(variable, text) != text:
            number += 1
            variable = f"{base}_{number}"
        self.variables.setdefault(variable, place)
        made_of = ", ".join(dict.fromkeys(VARIABLE.findall(text)))
        told = f"; Repose has made it of {made_of}" if made_of else ""
        part.differs(place, f"the secret is not written down: set the environment variable {variable}{told}")
        return Reference(variable, UNSET, prefix)

    def reads(self, value: Any, place: Place, part: Part) -> None:
        """Notes the variables of the environment that a value is made of."""
        for name in dict.fromkeys(variables(value)):
            part.differs(place, f"the environment variable {name} is read here too: set it before the start")

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
        condition = joined(entry.when) if entry.when else None
        unset = [name for name in variables([entry.options, condition]) if name not in environment]
        if not unset:
            return _refused(model, entry.options, condition, environment)
        # Only the start knows what it will be.
        problems = [
            _refused(model, entry.options, condition, {**environment, **dict.fromkeys(unset, one)})
            for one in _STAND_INS
        ]
        return problems[0] if all(problems) else ""

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


def _refused(
    model: type[BaseModel],
    options: dict[str, Any],
    condition: Condition | None,
    environment: Mapping[str, str],
) -> str:
    """What is wrong with options and condition; empty for nothing."""
    try:
        model.model_validate(plain(options, environment))
        if condition is not None:
            When.model_validate(plain(condition, environment))
    except ValidationError as error:
        first = error.errors()[0]
        return f"{written(first['loc'])}: {first['msg'].removeprefix('Value error, ')}"
    return ""


class Chain:
    """The place of one filter in the chain: what its translator adds stands there, under the filter's condition.

    bypass  what holds of requests that come to the chain at all: by the path as it was received, whatever becomes of it
    """

    def __init__(
        self,
        draft: Draft,
        part: Part,
        name: str,
        when: Sequence[Condition],
        *,
        bypass: Sequence[Condition] = (),
    ) -> None:
        self.draft = draft
        self.part = part
        self._name = name
        self._bypass = list(bypass)
        self._when = [*bypass, *when]
        self._refused: list[list[Condition]] = []

    def add(
        self,
        type: str,
        options: Mapping[str, Any],
        place: Place,
        *,
        when: Sequence[Condition] = (),
        rest: Mapping[str, Any] | None = None,
        comment: Sequence[str] = (),
        beside: str = "",
        checks: bool = True,
    ) -> Entry:
        """An entry. It is named as the filter was, and told apart by a number; by a word where it is only `beside` the one that is.

        One that cannot stand has its requests refused in its place, unless `checks` says that nothing passes for want of it.
        """
        entry = Entry(
            type,
            dict(options),
            place,
            self.draft.named(f"{self._name}-{beside}" if beside else self._name),
            [*self._when, *when],
            dict(rest or {}),
            tuple(comment),
        )
        wrong = self.draft.wrong(entry)
        judging = [_judged_by(entry), self._own(entry.when)]
        if not wrong and self.draft.rewritten is not None and _goes_by_path(judging):
            wrong = (
                f"it goes by the path, which Repose has changed by then ({self.draft.rewritten}) and which is judged as it was "
                "received here"
            )
        if wrong:
            self.part.left(place, f"{type}: {wrong}")
            if checks:
                self.refuse(place, when=when)
            return entry
        self._append(entry)
        self.draft.reads([entry.options, entry.when], place, self.part)
        return entry

    def own(self, when: Sequence[Condition] = ()) -> list[Condition]:
        """The conditions of the filter, and `when`; not what holds of all requests that come to the chain."""
        return self._own([*self._when, *when])

    def divides(
        self, entry: Entry, options: Mapping[str, Any], when: Sequence[Condition], place: Place
    ) -> Entry:
        """An entry before one that asks for a token, with other options, which sees those of its requests that fulfil `when`."""
        asking = self.draft.asking
        assert asking is not None
        at = next(at for at, (other, _) in enumerate(asking.entries) if other is entry)
        extra, others = asking.entries[at][1], [negated(joined(when))]
        made = replace(
            entry,
            options=dict(options),
            name=self.draft.named(self._name),
            when=[*entry.when, *when],
            comment=(*entry.comment, str(place)),
        )
        entry.when = [*entry.when, *others]
        asking.entries[at : at + 1] = [(made, [*extra, *when]), (entry, [*extra, *others])]
        entries = self.draft.entries
        entries.insert(next(at for at, other in enumerate(entries) if other is entry), made)
        return made

    def refuse(self, place: Place, *, when: Sequence[Condition] = ()) -> None:
        """For a check that cannot be moved, which is noted: without it more would pass than before, so nothing does.

        Where the condition cannot be said either, or goes by another path, all requests are refused.
        """
        self.part.refuses = True
        self.part.left(
            place, "all its requests are refused (`respond`) until what is not moved is written by hand"
        )
        entry = Entry("respond", {"status": 503}, place, comment=(_NOT_MOVED,))
        for condition in ([*self._when, *when], list(self._when), list(self._bypass)):
            entry.when = condition
            of_another_path = self.draft.rewritten is not None and _goes_by_path(self._own(condition))
            if not of_another_path and not self.draft.wrong(entry):
                break
        if entry.when not in self._refused:
            self._refused.append(entry.when)
            entry.name = self.draft.named(f"{self._name}-not-moved")
            self._append(entry)

    def finds_everybody(self) -> None:
        """Notes that who comes to this place is known from here on."""
        if self.draft.everybody is None or len(self._when) < len(self.draft.everybody):
            self.draft.everybody = list(self._when)

    def finds_user(self, qualities: Iterable[float], *, always: bool = False) -> None:
        """Notes that a user has been found here."""
        self.draft.users.append(User(frozenset(qualities), tuple(self._when), always, token=False))

    def bounds_paths(self, element: Element, what: str) -> None:
        """Notes what becomes of a path that is too long for a regular expression."""
        self.differs(element, f"a path of more than {LONGEST:,} characters {what}")

    def finds_token(self, quality: float, *, when: Sequence[Condition], always: bool) -> None:
        """Notes that a token has been asked for here, in requests that fulfil `when` too."""
        self.draft.users.append(User(frozenset((quality,)), (*self._when, *when), always, token=True))

    def writes(self, names: Iterable[str], place: Place) -> None:
        """Notes that fields of a request have from here on what is said at a place, whoever is calling.

        Repose counts and judges by such fields, whoever has written them; here only the upstream is told.
        """
        for name in names:
            self.draft.written.setdefault(name.lower(), place)
            self.draft.given.setdefault(name.lower(), place)

    def removes(self, names: Iterable[str], place: Place) -> None:
        """Notes that fields of a request are gone from here on. Nothing of an identity is lost by it before there is one."""
        for name in names if self.draft.users else ():
            self.draft.written.setdefault(name.lower(), place)

    def keeps(self, names: Iterable[str], place: Place) -> None:
        """Notes that all fields of a request but these are gone from here on."""
        kept = {name.lower() for name in names}
        self.removes([name for name in (*WHO, ROLES) if name not in kept], place)

    def written(self, *names: str) -> Place | None:
        """Where one of the fields, by its name in lower case, has been written with no regard to whom the gateway knows."""
        return next((self.draft.written[name] for name in names if name in self.draft.written), None)

    def replaces(self, element: Element, names: Sequence[str]) -> None:
        """Notes that what filters so far have written into fields is gone where a filter says who is calling."""
        for place in dict.fromkeys(self.draft.given[name] for name in names if name in self.draft.given):
            of_it = [name for name in names if self.draft.given.get(name) == place]
            self.differs(
                element,
                f"what {place} has written into {', '.join(of_it)} is replaced by who is calling, where Repose adds to it: put that "
                "filter behind this one",
            )

    def knows_roles(self, element: Element) -> bool:
        """Whether a filter before this one knows roles; noted where none does.

        Where a filter has written them since, all requests are refused: nobody here goes by that.
        """
        written = self.written(ROLES)
        if written is not None:
            self.left(element, f"its roles are those of {written}, which only the upstream is told of")
            self.refuse(element.place)
            return False
        if not self.draft.known:
            self.differs(
                element,
                "roles are those of the principal, never of a field that a client sends: no filter before this one knows any, so put a "
                "`token_auth` there",
            )
        return self.draft.known

    def knows_everybody(self) -> bool:
        """Whether who comes to this place is known."""
        everybody = self.draft.everybody
        return everybody is not None and all(self.seen_by(condition) for condition in everybody)

    def seen_by(self, condition: Condition, *, spared: Sequence[Condition] = ()) -> bool:
        """Whether all requests that come to this place, but for those `spared`, fulfil a condition."""
        return any(_implies(own, condition) for own in (*self._when, *spared))

    def _own(self, conditions: Sequence[Condition]) -> list[Condition]:
        """Those that Repose holds against the request as filters have made it."""
        return [one for one in conditions if not any(one is other for other in self._bypass)]

    def _append(self, entry: Entry) -> None:
        self.draft.entries.append(entry)
        told = f"{entry.type} {entry.name!r}" if entry.name != entry.type else entry.type
        self.part.into.append(told)

    def paths(self, regex: str, element: Element, *, anywhere: bool = False) -> list[str] | None:
        """What a condition says of the paths that an expression matches; None where it cannot, which is noted."""
        try:
            return expression.paths(regex, anywhere=anywhere)
        except ValueError as error:
            self.part.left(element.place, f"the expression {regex!r}: {error}")
            return None

    def quality(self, element: Element, name: str = "quality", default: float | None = None) -> float:
        """An attribute that is a quality (RFC 9110 section 12.4.2): from 0 to 1; one beyond is the nearest that is. Raises SourceError."""
        told = element.number(name, default)
        quality = min(max(told, 0.0), 1.0)
        if quality != told:
            self.differs(element, f"{name} is {quality:g}, since a quality is from 0 to 1, and not {told:g}")
        return quality

    def differs(self, element: Element, text: str) -> None:
        self.part.differs(element.place, text)

    def left(self, element: Element, text: str) -> None:
        self.part.left(element.place, text)


class Router(NamedTuple):
    """What sends requests to paths, which are templates, to an upstream.

    quality  by which it is weighed against others
    """

    chain: Chain
    place: Place
    wanted: str
    paths: tuple[str, ...]
    quality: float


def _goes_by_path(value: Any) -> bool:
    """Whether what options or conditions say depends on the path."""
    if isinstance(value, Noted):
        return _goes_by_path(value.value)
    if isinstance(value, dict):
        if any(key in value for key in _OF_PATHS):
            return True
        return any(_goes_by_path(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(_goes_by_path(item) for item in value)


def _judged_by(entry: Entry) -> dict[str, Any]:
    return {} if entry.type == "json_patch" else entry.options  # a path of a patch is in the body


def _implies(one: Condition, other: Condition) -> bool:
    """Whether the one holds only where the other does; False also where that is not plain to see."""
    if one == other:
        return True
    if list(one) != ["not"] or list(other) != ["not"]:
        return False
    wider, narrower = one["not"], other["not"]
    if list(wider) != ["path"] or list(narrower) != ["path"]:
        return False
    return set(_texts(narrower["path"])) <= set(_texts(wider["path"]))


def holds(conditions: Sequence[Condition], other: Condition) -> bool:
    """Whether a condition holds where all of some do; False also where that is not plain to see."""
    if list(other) == ["all"]:
        return all(holds(conditions, one) for one in other["all"])
    if len(other) > 1:
        return all(holds(conditions, {key: value}) for key, value in other.items())
    return any(_implies(one, other) for one in _single(conditions))


def apart(conditions: Sequence[Condition]) -> bool:
    """Whether no request fulfils all of some conditions; False also where that is not plain to see."""
    single = list(_single(conditions))
    methods = [set(one["method"]) for one in single if "method" in one]
    if methods and not set.intersection(*methods):
        return True
    paths = [_texts(one["path"]) for one in single if "path" in one]
    if any(not _meet(one, other) for one, other in combinations(paths, 2)):
        return True
    return any("not" in one and holds(single, one["not"]) for one in single)


def _meet(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether there may be a path that both have."""
    return any(
        one.startswith(expression.REGEX) or other.startswith(expression.REGEX) or meets(one, other)
        for one in some
        for other in others
    )


def _single(conditions: Sequence[Condition]) -> Iterator[Condition]:
    """Conditions of one key each that hold where all of some do."""
    for condition in conditions:
        for key, value in condition.items():
            if key == "all":
                yield from _single(value)
            else:
                yield {key: value}


def _texts(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [value]


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
