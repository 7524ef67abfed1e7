"""Says who may do what: rows of path, methods and roles; the project in the path is to be the caller's own.

A path that no row has is answered 403, another method than the rows of a path have 405 with Allow (RFC 9110 section
15.5.6), a caller without the roles, or of another project, 403; and whoever has no principal 401 with a challenge,
whatever it was about.

What is matched is the path percent-decoded once, segment by segment and with regard to case, never the query; a
trailing slash is another path. A path that some server could read in another way is judged in that reading as well, and
must pass where a row has it: without `;` parameters, without a slash at its end, and, on a route with
`target: lenient`, without empty segments and with encoded slashes as slashes. There a dot segment is answered 400.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from filters._caller import roles_of, unknown_caller
from filters.rbac.option import RbacConfig, RowOptions
from filters.rbac.role import RoleTest, compile_roles
from filters.rbac.table import Reading, Table, covers
from gateway.api import Exchange, Fault, Filter, Note, OptionError, Principal, Rule, Services, Verdict
from gateway.api.regex import LONGEST, compile_path
from gateway.http.target import decode
from gateway.http.template import parse

_ODD = re.compile(r"[;%\\]|/[/.]|/\Z")
"""What a path holds that could be read in another way than segment by segment."""

_SLASHES = re.compile(r"[/\\]")
_DOTS = (".", "..")


class _Row(NamedTuple):
    """A row with all that a request needs of it.

    methods  None for all
    test     None where no role is asked for
    segment  place of the project in the path; None where a template has none
    pattern  of a row with a regular expression that has a group for the project
    """

    methods: frozenset[str] | None
    test: RoleTest | None
    segment: int | None
    pattern: re.Pattern[str] | None
    granted: Note
    refusal: Fault


class Rbac(Filter[RbacConfig]):
    name = "rbac"
    Config = RbacConfig
    access = {
        "default": ("deny", "allow"),
        "mask": "none",
        "challenge": "none",
        "bypass_roles": "more",
        "project_param": "fewer",
    }
    only_refuses = True

    def __init__(self, config: RbacConfig, services: Services) -> None:
        super().__init__(config, services)
        self._table = Table()
        self._first = config.match == "first"
        self._param = config.project_param
        self._prefixes = sorted(config.strip_prefixes, key=len, reverse=True)
        self._bypass = frozenset(role.lower() for role in config.bypass_roles)
        self._rows = tuple(self._compiled(number, row) for number, row in enumerate(config.rows))
        if self._first:
            _check_reachable(config.rows)
        if self._param is not None and not any(_has_project(row) for row in self._rows):
            self.params = {self._param: ("project_param",)}
        # Where nothing asks who is calling, nobody is told to say so.
        self._asks = self._param is not None or any(row.test is not None for row in self._rows)
        self._unlisted = (
            self._refusal("path_not_listed", "Access to this path is not allowed.", ("default",))
            if config.default == "deny"
            else None
        )
        self._allowed = Note("path_not_listed", ("default",), {})
        self._foreign = self._refusal(
            "project_mismatch", "The project in the path is not the one of the token.", ("project_param",)
        )

    def _compiled(self, number: int, row: RowOptions) -> _Row:
        rule: Rule = ("rows", number)
        segment, pattern = None, None
        if row.path is not None:
            self._table.add_template(number, row.path)
            names = [part.name for part in parse(row.path)]
            segment = names.index(self._param) if self._param in names else None
        else:
            assert row.regex is not None
            compiled = compile_path(row.regex)
            self._table.add_regex(number, compiled)
            pattern = compiled if self._param in compiled.groupindex else None
        return _Row(
            frozenset(row.methods) if row.methods is not None else None,
            compile_roles(row.roles),
            segment,
            pattern,
            Note("access_granted", rule, {}),
            self._refusal("role_missing", "Your roles do not allow this.", rule),
        )

    def _refusal(self, reason: str, message: str, rule: Rule) -> Fault:
        if self.config.mask == 404:
            return Fault(404, reason, "Resource not found.", rule=rule)
        return Fault(403, reason, message, rule=rule)

    def on_request(self, exchange: Exchange) -> Verdict:
        path = exchange.path
        segments = path[1:].split("/")
        if _ODD.search(path) is None:
            return self._verdict(exchange, Reading(segments, path))
        segments = [decode(segment) for segment in segments]
        reading = Reading(segments, "/" + "/".join([segment.replace("/", "%2F") for segment in segments]))
        judged = [segments]
        for plain in (_plainest(segments), _plainest([segment.partition(";")[0] for segment in segments])):
            if plain is None:
                return Fault(400, "target_ambiguous", "The path contains a dot segment.", rule=("rows",))
            if plain not in judged:
                judged.append(plain)
                # Whoever reads the path so is to serve only what a row lets through. Where no row has it, it is judged as
                # it came.
                other = Reading(plain, "/" + "/".join(plain))
                verdict = self._verdict(exchange, other, as_it_came=False)
                if verdict is not None:
                    return verdict
        return self._verdict(exchange, reading)

    def _verdict(self, exchange: Exchange, reading: Reading, *, as_it_came: bool = True) -> Verdict:
        if self._table.has_regexes and len(reading.text) > LONGEST:
            return Fault(414, "target_too_long", "The path is too long to be judged.", rule=("rows",))
        found = self._table.rows(reading)
        if not found:
            if not as_it_came:
                return None
            if self._unlisted is not None:
                return self._refused(exchange, self._unlisted)
            exchange.trail.append(self._allowed)
            return None
        method = exchange.method
        decider: _Row | None = None
        for number in found:
            row = self._rows[number]
            if row.methods is None or method in row.methods:
                verdict = self._judged(exchange, row, reading)
                if verdict is not None:
                    return self._refused(exchange, verdict)
                decider = row
                if self._first:
                    break
        if decider is None:
            return self._refused(exchange, self._other_method(found))
        if as_it_came:
            exchange.trail.append(
                decider.granted
            )  # what exchange.note() does, without building the note again
        return None

    def _judged(self, exchange: Exchange, row: _Row, reading: Reading) -> Fault | None:
        test = row.test
        param = self._param
        if test is None and param is None:
            return None
        principal = exchange.principal
        held = roles_of(exchange)
        if test is not None and (principal is None or not test(held)):
            return row.refusal
        if param is not None and self._bypass.isdisjoint(held):
            named = [exchange.params.get(param)]
            if row.segment is not None:
                named.append(reading.segments[row.segment])
            elif row.pattern is not None:
                match = row.pattern.fullmatch(reading.text)
                named.append(match[param] if match is not None else None)
            for project in named:
                if project is not None and not self._is_own(principal, project):
                    return self._foreign
        return None

    def _is_own(self, principal: Principal | None, project: str) -> bool:
        if principal is None or not principal.project_id:
            return False
        if project == principal.project_id:
            return True
        for prefix in self._prefixes:
            if project.startswith(prefix):
                return project[len(prefix) :] == principal.project_id
        return False

    def _other_method(self, found: Sequence[int]) -> Fault:
        rule: Rule = ("rows", found[0])
        if self.config.mask == 404:
            return Fault(404, "method_not_allowed", "Resource not found.", rule=rule)
        methods = frozenset().union(*(self._rows[number].methods or () for number in found))
        allow = ", ".join(sorted(methods))
        return Fault(405, "method_not_allowed", "Method not allowed.", rule=rule, headers=(("Allow", allow),))

    def _refused(self, exchange: Exchange, refusal: Fault) -> Fault:
        """The refusal; to somebody who has not said who it is, only that."""
        if exchange.principal is not None or not self._asks:
            return refusal
        return unknown_caller(exchange, refusal.rule, self.config.challenge)


def _has_project(row: _Row) -> bool:
    return row.segment is not None or row.pattern is not None


def _plainest(segments: Sequence[str]) -> list[str] | None:
    """The segments as the least particular server reads them; None where one of them is a dot segment. It may look for
    parameters behind `;` before slashes that were encoded, or after."""
    found: list[str] = []
    for segment in segments:
        for piece in _SLASHES.split(segment):
            name = piece.partition(";")[0]
            if name in _DOTS:
                return None
            if name:
                found.append(name)
    return found or [""]


def _check_reachable(rows: Sequence[RowOptions]) -> None:
    """Raises OptionError for a row whose every request an earlier one takes."""
    for number, row in enumerate(rows):
        taken: set[str] = set()
        for earlier, other in enumerate(rows[:number]):
            if not _takes_paths(other, row):
                continue
            taken.update(other.methods or ())
            if other.methods is None or (row.methods is not None and taken.issuperset(row.methods)):
                raise OptionError(
                    ("rows", number),
                    f"can never be reached: rows[{earlier}] "
                    + (
                        "takes all its requests"
                        if other.methods is None
                        else "and those before it take all its requests"
                    ),
                )


def _takes_paths(earlier: RowOptions, later: RowOptions) -> bool:
    if earlier.path is not None and later.path is not None:
        return covers(parse(earlier.path), parse(later.path))
    if earlier.regex is not None:
        return earlier.regex in ("/.*", ".*") or earlier.regex == later.regex
    return earlier.path is not None and len(segments := parse(earlier.path)) == 1 and segments[0].rest
