"""The options of a rate limit, as people write them."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from filters._key import CAPTURE, CAPTURES, GLOBAL, PLAIN, key_facts, known, numbers_of
from filters._names import FieldName, MethodName
from filters._network import Network
from filters.rate_limit import calendar
from filters.rate_limit.path import REGEX, group_of, pattern_of
from gateway.api import Duration, Fact, Options, StoreOptions
from gateway.api.fact import CLIENT, CLOCK, METHOD, PRINCIPAL, TARGET, header
from gateway.api.regex import check_path

UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0, "month": 2_678_400.0}
"""Seconds; those of a month are at most as many."""

_ALIASES = {
    alias: unit
    for unit in UNITS
    for alias in (unit, unit + "s", unit.upper(), unit.upper() + "S", *(unit[0] if unit != "month" else ()))
}
_RATE = re.compile(r"\s*(\d+)\s*(?:/|\bper\b)\s*([A-Za-z]+)\s*")
_CAPTURE_KEY = re.compile(r"capture:\w+")
_METHOD = re.compile(r"[A-Z][A-Z-]*")


def _unit(value: Any) -> Any:
    return _ALIASES.get(value, value) if isinstance(value, str) else value


class Rate(Options):
    """How many requests in which time; as text, `10/minute`."""

    value: int = Field(ge=1, le=1_000_000_000, description="How many requests.")
    unit: Annotated[Literal["second", "minute", "hour", "day", "month"], BeforeValidator(_unit)] = Field(
        description="In which time; `month` with `algorithm: calendar_window` only."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        match = _RATE.fullmatch(data)
        if match is None or match[2] not in _ALIASES:
            raise ValueError("expected a rate such as 10/minute, per second, minute, hour or day")
        return {"value": int(match[1]), "unit": match[2]}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        text = {"type": "string", "pattern": r"^\s*\d+\s*(/|per)\s*[A-Za-z]+\s*$", "examples": ["10/minute"]}
        return {"anyOf": [text, handler(schema)], "description": cls.__doc__}


Cost = Annotated[int, Field(ge=0, le=1_000_000_000)]


class CostOptions(Options):
    """What a request costs; as a number, the same for all."""

    default: Cost = Field(default=1, description="Of a request with any other method.")
    methods: dict[MethodName, Cost] = Field(
        default={}, description="By method. A request that costs 0 is no concern of the limit."
    )
    header: FieldName | None = Field(
        default=None,
        description="Field of the upstream's answer that says what the request has cost, a whole number. What goes beyond "
        "the cost at the start is taken afterwards, and so may make the next ones wait; less is not given back. Where the answer "
        "never comes, since the client has reset its connection, say, the cost at the start is all that is taken: give requests that are "
        "dear a cost at the start.",
    )
    max: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="The most that one answer may cost, and that a bucket may owe.",
    )
    strip: bool = Field(default=False, description="Whether the client does not get to see the field.")

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, data: Any) -> Any:
        return {"default": data} if isinstance(data, int) and not isinstance(data, bool) else data

    @model_validator(mode="after")
    def _bounded(self) -> "CostOptions":
        if (self.header is None) != (self.max is None):
            raise ValueError("header and max belong together: a cost that an answer says has a bound")
        if self.strip and self.header is None:
            raise ValueError("strip means nothing without header")
        if self.header is not None and 0 in (self.default, *self.methods.values()):
            raise ValueError("with header a request costs at least 1 at the start")
        return self

    def terse(self) -> Self:
        """The same without the methods that cost what others do."""
        methods = {method: cost for method, cost in self.methods.items() if cost != self.default}
        return self.model_copy(update={"methods": methods})

    @property
    def greatest(self) -> int:
        """The most that a request costs at the start."""
        return max(self.default, *self.methods.values(), 0)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "anyOf": [{"type": "integer", "minimum": 0}, handler(schema)],
            "description": cls.__doc__,
        }


def _key_part(value: str) -> str:
    if not known(value) and value != CAPTURES and not _CAPTURE_KEY.fullmatch(value):
        raise ValueError(f"expected {', '.join(PLAIN)}, captures, capture:NAME or header:NAME, got {value!r}")
    return value


def _method(value: str) -> str:
    upper = value.upper()
    if not _METHOD.fullmatch(upper):
        raise ValueError(f"not a method: {value!r}")
    return upper


def _path(value: str) -> str:
    if value.startswith(REGEX):
        check_path(value[len(REGEX) :])
        return value
    if not value.startswith("/"):
        raise ValueError("expected a path that begins with /, or regex:...")
    if re.search(r"[{}]", re.sub(r"\{[A-Za-z_]\w*\*?\}", "", value)):
        raise ValueError("expected parameters as {name}")
    text = pattern_of(value).pattern
    try:
        check_path(text)
    except ValueError:
        raise ValueError(
            "three parameters side by side, in one segment or with a star, may match for very long"
        ) from None
    return value


Path = Annotated[str, AfterValidator(_path)]


def _named(value: str) -> str:
    if not value or value != value.strip():
        raise ValueError("expected a name without outer white space")
    return value


Name = Annotated[str, AfterValidator(_named)]


def _zone(value: str) -> str:
    calendar.zone(value)
    return value


def _uri(path: str | None) -> str:
    return "*" if path is None else path.removeprefix(REGEX)


class CallerOptions(Options):
    """Callers, of whom one name is enough."""

    roles: tuple[Name, ...] = Field((), description="Whoever has one of these roles; case is ignored.")
    projects: tuple[Name, ...] = Field((), description="Ids of projects.")
    users: tuple[Name, ...] = Field((), description="Ids of users.")
    groups: tuple[Name, ...] = Field(
        (),
        description="Groups of the principal, as the provider names them: what Repose calls X-PP-Groups. Of those of "
        "`token_auth` it is `keystone` with `groups`, and `keystone_v2`, who know any; the filter `principal` has its own.",
    )
    networks: tuple[Network, ...] = Field(
        (),
        description="Networks of clients: 192.0.2.0/24, one address, or `unix` for those of a Unix socket.",
    )

    @property
    def facts(self) -> frozenset[Fact]:
        by_principal = self.roles or self.projects or self.users or self.groups
        facts = {PRINCIPAL} if by_principal else set()
        return frozenset(facts | {CLIENT} if self.networks else facts)

    @model_validator(mode="after")
    def _somebody(self) -> "CallerOptions":
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError(f"names nobody: expected one of {', '.join(type(self).model_fields)}")
        return self


class ExemptOptions(CallerOptions):
    """Requests that no limit counts; one name is enough."""

    paths: tuple[Path, ...] = Field(
        (), description="Paths, written as those of limits: a template, or regex:... for the whole path."
    )


class LimitOptions(Options):
    """One limit: what it counts, by what it tells callers apart, and how many it lets through."""

    name: str | None = Field(
        default=None,
        min_length=1,
        description="What records and header fields call the limit; its place when unset. Where limits of several groups have one "
        "name, records and operators call each GROUP.NAME.",
    )
    rate: Rate = Field(
        description="The rate: 10/minute, or value and unit (second, minute, hour, day, month)."
    )
    burst: int | None = Field(
        default=None,
        ge=1,
        description="How many requests may come at once after a pause; the rate's value when unset.",
    )
    key: tuple[Annotated[str, AfterValidator(_key_part)], ...] = Field(
        default=("project_id",),
        min_length=1,
        description="What is counted apart: project_id, user_id, client_ip, token, route, method, header:NAME, `captures` for "
        "all parameters or groups of `path`, capture:NAME for one of them, by name or number; or `global` alone, for one "
        "bucket for all. Where a request lacks a part (no valid token, no such field, no route), its client's address "
        "stands in for it. An IPv6 address counts as its /64 network, since one host owns all of that.",
    )
    methods: tuple[Annotated[str, AfterValidator(_method)], ...] = Field(
        default=(), description="Only requests with these methods count; every method when empty."
    )
    path: Path | None = Field(
        default=None,
        description="Only requests for this path count: a template such as /v2/{project_id}/servers, where {name} is "
        "one segment, or one of two parts of it, and {name*} all that is left, or regex:... which must match the whole "
        "path. It is matched against the path as it came and as it reads percent-decoded, so that no spelling escapes "
        "the limit. One of more than 2,048 characters counts for each regular expression.",
    )
    uri: str | None = Field(
        default=None,
        min_length=1,
        description="What clients are told the limit is for, by `endpoint` and in the details of a refusal; `path` when unset. "
        "Nothing is counted by it.",
    )
    query: tuple[Name, ...] = Field(
        default=(),
        description="Only requests whose query has parameters of all these names count, whatever their values. Names "
        "compare percent-decoded and without regard to case; parameters of a form in the body are none.",
    )
    algorithm: Literal["gcra", "sliding_window", "fixed_window", "calendar_window"] = Field(
        default="gcra",
        description="gcra gives requests back one by one, evenly; sliding_window counts those of about the last unit, "
        "the one before it in proportion; fixed_window gives them all back one unit after the first, as Repose does, and "
        "so may let twice the value through around that moment; calendar_window is a quota for each day or month of the "
        "calendar.",
    )
    time_zone: Annotated[str, AfterValidator(_zone)] | None = Field(
        default=None,
        description="Where the days and months of calendar_window are those of, such as Europe/Prague; UTC when unset.",
    )
    cost: CostOptions = Field(
        default=CostOptions(),
        description="What a request counts for: a number, or by method, or as the upstream's answer says.",
    )
    status: Literal[413, 429, 503] | None = Field(
        default=None,
        description="Answers a refusal by this limit; the filter's `status` when unset. 503 is for a limit on all together, "
        "which is not the caller's doing.",
    )

    @model_validator(mode="after")
    def _fits(self) -> "LimitOptions":
        rate = self.rate
        if self.burst is not None and self.algorithm != "gcra":
            raise ValueError(f"burst has no meaning for {self.algorithm}, whose burst is the rate's value")
        if self.algorithm == "calendar_window":
            if rate.unit not in calendar.UNITS:
                raise ValueError("a calendar_window is a day or a month")
        elif rate.unit == "month":
            raise ValueError("months differ in length: only algorithm: calendar_window counts by them")
        elif self.time_zone is not None:
            raise ValueError("time_zone means nothing without algorithm: calendar_window")
        most = rate.value if self.burst is None else self.burst
        if self.cost.greatest > most:
            raise ValueError(
                f"a request that costs {self.cost.greatest} can never pass, where at most {most} may"
            )
        if GLOBAL in self.key and len(self.key) > 1:
            raise ValueError("global stands for one bucket for all, so nothing can stand beside it in key")
        captures = [part for part in self.key if part == CAPTURES or part.startswith(CAPTURE)]
        if captures and self.path is None:
            raise ValueError(f"{captures[0]} means nothing without path")
        if captures and self.path is not None:
            pattern = pattern_of(self.path)
            for part in captures:
                if part == CAPTURES and not pattern.groups:
                    raise ValueError("captures: the path has neither parameters nor groups")
                if part != CAPTURES and group_of(pattern, part.removeprefix(CAPTURE)) is None:
                    raise ValueError(f"{part}: the path has no such parameter or group")
        return self

    @property
    def told(self) -> str:
        """What clients are told the limit is for."""
        return _uri(self.path) if self.uri is None else self.uri

    @property
    def shared(self) -> bool:
        """Whether several callers may have one bucket."""
        return not {"user_id", "token", "client_ip"}.intersection(self.key)

    def terse(self) -> Self:
        """The same without what is so anyway."""
        return self.model_copy(
            update={
                "burst": None if self.burst == self.rate.value else self.burst,
                "time_zone": None if self.time_zone == "UTC" else self.time_zone,
                "uri": None if self.uri == _uri(self.path) else self.uri,
                "methods": tuple(sorted(set(self.methods))),
                "query": tuple(sorted(set(self.query))),
            }
        )

    def counted(self) -> str:
        """What its buckets are of, as text: what was counted by another says nothing of them. How a refusal is answered is no
        part of it."""
        told = self.terse()
        cost = told.cost.terse()
        cost = cost.model_copy(update={"methods": dict(sorted(cost.methods.items())), "strip": False})
        told = told.model_copy(update={"cost": cost, "status": None, "uri": None})
        return told.model_dump_json(exclude_defaults=True)

    def reads(self) -> frozenset[Fact]:
        facts = set(key_facts(self.key))
        if self.path is not None or self.query:
            facts.add(TARGET)
        return frozenset(facts)


class GroupOptions(Options):
    """Callers that have limits of their own."""

    name: Name = Field(description="Name of the group.")
    for_: CallerOptions | None = Field(
        None, alias="for", description="Who is in it; everybody that is in no group before it when unset."
    )
    limits: tuple[LimitOptions, ...] = Field(
        (), description="Their limits, beside those for all; none when empty."
    )


class OverrideOptions(Options):
    """Terms of their own for single projects."""

    file: str = Field(
        min_length=1,
        description="YAML or JSON beside the configuration: ids of projects, for each the names of limits, and for each of "
        "these a rate, a mapping of `rate` and `burst`, `unlimited`, or `blocked`; or one of these two words for all "
        "limits. It is read again by every reload, and watched where the configuration is. What a project has taken stays taken "
        "where another rate or burst of the same unit becomes its own; by another unit it begins anew, and what passes while it "
        "is `unlimited` is not counted. Where `key` has no project_id, a project with terms of its own has buckets of its own "
        "too.",
    )


class EndpointOptions(Options):
    """Where clients ask for their limits."""

    path: Path = Field(
        description="Path of the request, such as `/v2.1/limits`, which is asked for as `/v2.1/limits/`, `.json` and `.xml` too, or `regex:...`; GET and "
        "HEAD. It is counted as others are.",
    )
    absolute: bool = Field(
        False,
        description="Ask the upstream too, and keep the `absolute` limits that it tells; unset, there are none.",
    )


class LeaseOptions(Options):
    """Shares of limits that a process draws ahead, so that most requests wait for no store."""

    share: int = Field(
        16,
        ge=2,
        le=100_000,
        description="How much is drawn at once, at most; a key that is seldom asked for is drawn for one by one.",
    )
    time: Duration = Field(
        1.0,
        ge=0.1,
        le=60.0,
        description="For how long; what is not spent by then is lost, which may be more than half of a limit whose requests come "
        "in short bursts: such a one is better decided by the store. At any time N processes may together admit more than a "
        "limit says, by the least of N times `share` and what comes back to the limit in `time`.",
    )


class LimitStoreOptions(StoreOptions):
    """A Redis or Valkey that decides for gateways on several machines: one call for all limits of a request, by its clock."""

    prefix: str = Field(
        "weir",
        pattern=r"^[!-z|~]{1,64}$",
        description="What the names of all keys begin with. A `username` needs the right to keys `PREFIX:*` and to the commands "
        "ping, eval, evalsha, time, get, set and del, with a database to select, in a cluster to asking. Gateways with the same prefix count together what entries of the same "
        "name and mode count by the same limits.",
    )
    lease: LeaseOptions | None = Field(
        None, description="Draw shares ahead; unset, each request is decided by the store."
    )


class RateLimitConfig(Options):
    limits: tuple[LimitOptions, ...] = Field(
        (), description="The limits; a request must fit every one that matches it."
    )
    groups: tuple[GroupOptions, ...] = Field(
        (), description="Limits for some callers only. The first group that a caller is in is the only one."
    )
    exempt: ExemptOptions | None = Field(None, description="Requests that pass uncounted.")
    overrides: OverrideOptions | None = Field(None, description="Other rates for some projects, in a file.")
    status: Literal[413, 429] = Field(
        default=413, description="413 is what the compute API documents; 429 is what RFC 6585 names for it."
    )
    retry_after: Literal["seconds", "date"] = Field(
        "seconds",
        description="Form of Retry-After; a date is what Repose sends, and many clients cannot read.",
    )
    headers: tuple[Literal["ietf", "x-ratelimit", "three-field"], ...] = Field(
        ("ietf",),
        description="Fields that tell a client where it stands: `ietf` for RateLimit and RateLimit-Policy (as of "
        "draft-ietf-httpapi-ratelimit-headers-10), with an item for each limit; `x-ratelimit` for X-RateLimit-Limit, "
        "-Remaining and -Reset, in seconds, of the limit of which least remains; `three-field` for the same without the X-. Whoever waits until the reset of a limit that "
        "refused him has room in it again, and none is told where he is blocked: then `t`, -Reset and Retry-After are left out.",
    )
    headers_on: Literal["refusals", "all"] = Field(
        "refusals",
        description="Which answers have these fields: refusals only, or those that a limit has counted too.",
    )
    partition_key: bool = Field(
        False,
        description="Adds to RateLimit and RateLimit-Policy which bucket it was (`pk`), as a keyed hash.",
    )
    consumers: bool = Field(
        True,
        description="Whether to remember who uses a bucket that several share, for the record of its refusals: of all workers, as "
        "they tell each other twice a second, those that have ended included. It is kept in memory that they share, never in the store: "
        "with the last process of a gateway it is gone, and of another machine it is not known.",
    )

    endpoint: EndpointOptions | None = Field(
        None,
        description="Answers clients that ask for their limits, as Nova did and Repose does (JSON and XML): those for all and "
        "those of the caller's group, as far as they are the caller's own. What counts the path, the method, the route or "
        "all callers together is not told.",
    )
    store: LimitStoreOptions | None = Field(
        None,
        description="Where gateways on several machines count together; unset, the workers of this one do.",
    )
    on_store_error: Literal["local", "allow", "deny"] = Field(
        "local",
        description="While the store gives no decision: the workers of this machine count by themselves, or everything passes "
        "uncounted, or nothing does (503). The record says so.",
    )

    @model_validator(mode="after")
    def _store_is_whole(self) -> "RateLimitConfig":
        if self.store is None and self.on_store_error != "local":
            raise ValueError("on_store_error needs a store")
        if self.store is not None and self.store.lease is not None and self.headers_on == "all":
            raise ValueError("headers_on: all needs a store without lease: what is left is not known here")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> "RateLimitConfig":
        if not self.limits and not self.groups:
            raise ValueError("expected limits or groups, with at least 1 item")
        for group in self.groups[:-1]:
            if group.for_ is None:
                raise ValueError(
                    f"the group {group.name!r} takes everybody: those behind it can never be reached"
                )
        for limits in ((), *(group.limits for group in self.groups)):
            names = [limit.name for limit in (*self.limits, *limits) if limit.name is not None]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"two limits are named {name!r}")
        names = [group.name for group in self.groups]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two groups are named {name!r}")
        if len(set(self.headers)) < len(self.headers):
            raise ValueError("a form of headers stands twice")
        return self

    def terse(self) -> Self:
        """The same without statuses of limits that are that of the entry."""

        def without(limits: tuple[LimitOptions, ...]) -> tuple[LimitOptions, ...]:
            return tuple(
                limit.model_copy(update={"status": None}) if limit.status == self.status else limit
                for limit in limits
            )

        groups = tuple(group.model_copy(update={"limits": without(group.limits)}) for group in self.groups)
        return self.model_copy(update={"limits": without(self.limits), "groups": groups})

    def remembered(self) -> tuple[()]:
        """Nothing: what was counted belongs to limits, each by itself, see `numbers`."""
        return ()

    def numbers(self) -> tuple[int, ...]:
        """Of each of all limits, what its buckets are known by: the same wherever the same is counted, and of no two the same.

        That is for the name of its group, of which everybody may become a member, and for what is told by `counted`; where
        several limits have it in common, for the place among these.
        """
        groups = ["", *(group.name for group in self.groups)]
        each = [self.limits, *(group.limits for group in self.groups)]
        told = [
            (group, limit.counted()) for group, limits in zip(groups, each, strict=True) for limit in limits
        ]
        return numbers_of(told)

    def labels(self) -> tuple[str | None, ...]:
        """Of each of all limits, what tells it from the others: its name, or GROUP.NAME where other groups have one of this name;
        None where it has no name, or there is another that is called so."""
        groups = [None] * len(self.limits) + [group.name for group in self.groups for _ in group.limits]
        names = [limit.name for limit in self.all_limits]
        labels = [
            f"{group}.{name}" if group is not None and name is not None and names.count(name) > 1 else name
            for group, name in zip(groups, names, strict=True)
        ]
        return tuple(label if labels.count(label) == 1 else None for label in labels)

    @property
    def all_limits(self) -> tuple[LimitOptions, ...]:
        return self.limits + tuple(limit for group in self.groups for limit in group.limits)

    def only_refuses(self) -> bool:
        """But for who asks for limits: that is answered, whatever a filter behind it would say."""
        return self.endpoint is None

    def files(self) -> tuple[str, ...]:
        return () if self.overrides is None else (self.overrides.file,)

    def reads(self) -> frozenset[Fact]:
        facts = {CLOCK, METHOD}.union(*(limit.reads() for limit in self.all_limits))
        for group in self.groups:
            if group.for_ is not None:
                facts |= group.for_.facts
        if self.endpoint is not None:
            facts |= {TARGET, header("Accept")}
        if self.exempt is not None:
            facts |= self.exempt.facts
            if self.exempt.paths:
                facts.add(TARGET)
        if self.overrides is not None:
            facts.add(PRINCIPAL)
        if self.consumers and any(limit.shared for limit in self.all_limits):
            facts |= {PRINCIPAL, CLIENT}
        return frozenset(facts)
