"""Limits ready for use: all that a request needs of them, worked out once."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Final, TypeAlias

from filters._key import CAPTURE, CAPTURES, PROJECT, KeyFunction, described, key_function
from filters.rate_limit import calendar
from filters.rate_limit.algorithm import Algorithm, Cell, Closed, FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.consumer import Consumers
from filters.rate_limit.field import policy_name
from filters.rate_limit.option import UNITS, LimitOptions
from filters.rate_limit.path import Captured, PathTest, group_of, pattern_of, told_of
from filters.rate_limit.query import folded_name
from gateway.api import Exchange, Instant, Rule, Tariff

_PERSONAL: Final = (PROJECT, "user_id", "client_ip", "token")
_APART: Final = ("apart",)
"""What no key begins with."""


class Terms:
    """How much passes, and how it is counted: those of a limit, or a project's own.

    source  where a file says it, `file:line:column`; None for the limit's
    unit    of time, as the compute API names it
    apart   what tells its cells from those of the limit's own terms: the unit where that is another one, since what was
            counted of a day says nothing of a minute, and the project where the key does not, since one who works for two
            projects would have one of them count, and forget, what the other has; empty where nothing does
    """

    __slots__ = ("_calendar", "_debt", "_unit", "_value", "algorithm", "apart", "details", "source", "unit")

    def __init__(
        self,
        options: LimitOptions,
        *,
        blocked: bool = False,
        source: str | None = None,
        usual: LimitOptions | None = None,
        project: str = "",
    ) -> None:
        """`usual` are the options of the limit, where these are of `project` alone."""
        rate = options.rate
        self.apart: tuple[str, ...] = ()
        pace: float | None = None
        if usual is not None:
            pace = UNITS[usual.rate.unit] / usual.rate.value
            if PROJECT not in usual.key:
                self.apart = (rate.unit, project)
            elif rate.unit != usual.rate.unit:
                self.apart = (rate.unit,)
        unit = UNITS[rate.unit]
        debt = options.cost.max or 0
        self._value = 0 if blocked else rate.value
        self._unit = unit
        self._debt = debt
        self._calendar: calendar.Calendar | None = None
        self.source = source
        self.unit = rate.unit.upper()
        self.algorithm: Algorithm | None
        if blocked:
            self.algorithm = Closed(unit)
        elif options.algorithm == "gcra":
            burst = options.burst if options.burst is not None else rate.value
            self.algorithm = Gcra(rate.value, unit, burst, debt, usual=pace)
        elif options.algorithm == "sliding_window":
            self.algorithm = SlidingWindow(rate.value, unit, debt)
        elif options.algorithm == "fixed_window":
            self.algorithm = FixedWindow(rate.value, unit, debt)
        else:
            self.algorithm = None  # another one for each exchange
            self._calendar = calendar.Calendar(rate.unit, calendar.zone(options.time_zone or "UTC"))
        # The words of Nova's limiter: clients have patterns for them.
        self.details: tuple[str, str] = (
            f"Only {self._value} ",
            f" request(s) can be made to {options.told} every {rate.unit}.",
        )

    def cell(self, key: Hashable, captured: Captured = ()) -> Hashable:
        """What the cell of a key is known by, among those of the limit."""
        whole = (key, captured) if captured else key
        return (_APART, self.apart, whole) if self.apart else whole

    def counting(self, clock: Instant) -> Algorithm:
        """The algorithm at this moment."""
        if self._calendar is not None:
            return self._calendar.algorithm(clock, self._value, self._debt)
        assert self.algorithm is not None
        return self.algorithm

    def quota(self, clock: Instant) -> tuple[int, int]:
        """How many requests, and in how many seconds."""
        if self._calendar is not None:
            return self._value, round(self._calendar.length(clock))
        return self._value, int(self._unit)


class Limit:
    """One limit.

    index       what stores know it by, see `RateLimitConfig.numbers`
    label       what records, operators and tests call it: its name, with that of its group where another group has one of
                this name; its place where it has none
    rule        its place in the options
    costs       by method, where it says so
    header      field of the answer that says more of the cost, lower case; None without one
    terms       what holds for everybody
    overridden  what holds for some projects in place of that, by their ids; None where nothing is counted
    consumers   None where nobody shares a bucket
    plain       whether method and key are all that it looks at, and all requests weigh the same
    uri, regex  what it is for, as clients are told it
    personal    whether its buckets are callers' own, so that a caller can be told what is in his
    """

    __slots__ = (
        "consumers",
        "cost",
        "costs",
        "greatest",
        "header",
        "index",
        "key",
        "label",
        "methods",
        "name",
        "overridden",
        "parts",
        "path",
        "personal",
        "plain",
        "policy",
        "query",
        "regex",
        "rule",
        "status",
        "strip",
        "tariffed",
        "terms",
        "uri",
    )

    def __init__(
        self,
        index: int,
        options: LimitOptions,
        rule: Rule,
        place: str,
        status: int,
        overridden: Mapping[str, Terms | None] | None,
        consumers: Consumers | None,
        label: str | None = None,
    ) -> None:
        self.index = index
        self.name = options.name
        self.label = label or options.name or place
        self.policy = policy_name(options.name or place) or policy_name(place) or '"limit"'
        self.rule = rule
        self.status = options.status or status
        self.parts = options.key
        self.key: KeyFunction = key_function(options.key)
        self.methods = frozenset(options.methods)
        self.path = None if options.path is None else PathTest(options.path, _groups(options))
        self.uri = options.told
        self.regex = ".*" if options.path is None else told_of(options.path)
        self.personal = all(part in _PERSONAL or part.startswith("header:") for part in options.key)
        self.query: frozenset[str] | None = frozenset(map(folded_name, options.query)) or None
        cost = options.cost
        self.cost = cost.default
        self.costs: dict[str, int] | None = dict(cost.methods) or None
        self.header: str | None = cost.header.lower() if cost.header is not None else None
        self.greatest = cost.max or 0
        self.strip = cost.strip
        self.terms = Terms(options)
        self.tariffed: tuple[Algorithm, Tariff] | None = None
        self.overridden: dict[str, Terms | None] | None = dict(overridden) if overridden else None
        self.consumers = consumers if options.shared else None
        self.plain = (
            self.path is None
            and self.query is None
            and self.costs is None
            and self.cost > 0
            and self.header is None
            and self.overridden is None
            and self.terms.algorithm is not None
        )

    def cost_of(self, method: str | None) -> int:
        """What a request costs; where its method is not known, one of a method without a cost of its own, or else the cheapest that
        costs something."""
        costs = self.costs
        if costs is None:
            return self.cost
        if method is not None:
            return costs.get(method, self.cost)
        methods = self.methods or costs.keys()
        usual = 0 if self.methods and self.methods <= costs.keys() else self.cost
        return usual or min((cost for name, cost in costs.items() if cost and name in methods), default=0)

    def wait(self, algorithm: Algorithm, cell: Cell | None, now: float, method: str | None) -> float:
        """Seconds until such a request passes."""
        cost = self.cost_of(method)
        return algorithm.charge(cell, now, cost)[0] if cost else 0.0

    def tariff(self, algorithm: Algorithm) -> Tariff:
        """What is said with each charge that counts by `algorithm`; mostly it is the one of the last charge."""
        last = self.tariffed
        if last is None or last[0] is not algorithm:
            tariff = Tariff(
                self.label, algorithm.spec, algorithm.age, self.status, self.rule, self.header is not None
            )
            last = self.tariffed = algorithm, tariff
        return last[1]

    def opened(self, cell: Hashable) -> tuple[tuple[str, ...], Hashable, Captured]:
        """What `Terms.cell` has put together: what the terms are told apart by, the key, and what is captured."""
        apart: tuple[str, ...] = ()
        captured: Captured = ()
        if isinstance(cell, tuple) and cell[0] == _APART:
            _, apart, cell = cell
        if self.path is not None and self.path.captures:
            assert isinstance(cell, tuple)
            cell, captured = cell
        return apart, cell, captured

    def alike(self, cell: Hashable) -> list[Hashable]:
        """The cell, and all that its key may have by other terms: those of a former file of overrides, say."""
        apart, key, captured = self.opened(cell)
        whole = (key, captured) if captured else key
        if PROJECT in self.parts:
            return [whole, *((_APART, (unit,), whole) for unit in UNITS)]
        return [(_APART, (unit, apart[1]), whole) for unit in UNITS] if apart else [cell]

    def described(self, cell: Hashable) -> dict[str, Hashable]:
        """Whose cell it is, for people to read."""
        apart, key, captured = self.opened(cell)
        told = described(self.parts, key, captured)
        return {PROJECT: apart[1], **told} if len(apart) > 1 else told

    def terms_of(self, exchange: Exchange) -> Terms | None:
        """Those that hold for an exchange; None where it is not counted."""
        if self.overridden is None:
            return self.terms
        principal = exchange.principal
        return self.terms_for(None if principal is None else principal.project_id)

    def terms_for(self, project: str | None) -> Terms | None:
        """Those that hold for a project, or for whoever is of none."""
        if self.overridden is None or project is None:
            return self.terms
        return self.overridden.get(project, self.terms)


def _groups(options: LimitOptions) -> tuple[int, ...]:
    """The groups of its path that are part of a limit's key."""
    assert options.path is not None
    pattern = pattern_of(options.path)
    if CAPTURES in options.key:
        return tuple(range(1, pattern.groups + 1))
    found = [
        group_of(pattern, part.removeprefix(CAPTURE)) for part in options.key if part.startswith(CAPTURE)
    ]
    return tuple(number for number in found if number is not None)


Limits: TypeAlias = tuple[Limit, ...]

NOTHING: Final[Limits] = ()


class Table:
    """The limits that hold for some callers, by method.

    all    in their order
    plain  whether all of them are
    """

    __slots__ = ("_by_method", "_others", "all", "plain")

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.all: Limits = tuple(limits)
        named = {method for limit in limits for method in limit.methods}
        self._by_method: dict[str, Limits] = {
            method: tuple(limit for limit in limits if not limit.methods or method in limit.methods)
            for method in named
        }
        self._others: Limits = tuple(limit for limit in limits if not limit.methods)
        self.plain = all(limit.plain for limit in limits)

    def of(self, method: str) -> Limits:
        return self._by_method.get(method, self._others)
