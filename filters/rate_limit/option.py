"""The options of a rate limit, as people write them."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from filters.rate_limit.key import key_facts
from gateway.api import Fact, Options
from gateway.api.fact import CLOCK, METHOD, TARGET

UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_ALIASES = {
    alias: unit for unit in UNITS for alias in (unit, unit + "s", unit[0], unit.upper(), unit.upper() + "S")
}
_RATE = re.compile(r"\s*(\d+)\s*(?:/|\bper\b)\s*([A-Za-z]+)\s*")
_HEADER_KEY = re.compile(r"header:[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_METHOD = re.compile(r"[A-Z][A-Z-]*")
PLAIN_KEYS = ("project_id", "user_id", "client_ip", "token", "route", "method")


def _unit(value: Any) -> Any:
    return _ALIASES.get(value, value) if isinstance(value, str) else value


class Rate(Options):
    """How many requests in which time; as text, `10/minute`."""

    value: int = Field(ge=1, le=1_000_000_000, description="How many requests.")
    unit: Annotated[Literal["second", "minute", "hour", "day"], BeforeValidator(_unit)] = Field(
        description="In which time."
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


def _key_part(value: str) -> str:
    if value not in PLAIN_KEYS and not _HEADER_KEY.fullmatch(value):
        raise ValueError(f"expected {', '.join(PLAIN_KEYS)} or header:NAME, got {value!r}")
    return value


def _method(value: str) -> str:
    upper = value.upper()
    if not _METHOD.fullmatch(upper):
        raise ValueError(f"not a method: {value!r}")
    return upper


def _path(value: str) -> str:
    if value.startswith("regex:"):
        try:
            re.compile(value[len("regex:") :])
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
    elif not value.startswith("/"):
        raise ValueError("expected a path that begins with /, or regex:...")
    elif re.search(r"[{}]", re.sub(r"\{[A-Za-z_]\w*\}", "", value)):
        raise ValueError("expected parameters as {name}")
    return value


class LimitOptions(Options):
    """One limit: what it counts, by what it tells callers apart, and how many it lets through."""

    name: str | None = Field(
        default=None, min_length=1, description="What records call the limit; its place when unset."
    )
    rate: Rate = Field(description="The rate: 10/minute, or value and unit (second, minute, hour, day).")
    burst: int | None = Field(
        default=None,
        ge=1,
        description="How many requests may come at once after a pause; the rate's value when unset.",
    )
    key: tuple[Annotated[str, AfterValidator(_key_part)], ...] = Field(
        default=("project_id",),
        min_length=1,
        description="What is counted apart: project_id, user_id, client_ip, token, route, method, header:NAME. Where "
        "a request lacks a part (no valid token, no such field, no route), its client's address stands in "
        "for it. An IPv6 address counts as its /64 network, since one host owns all of that.",
    )
    methods: tuple[Annotated[str, AfterValidator(_method)], ...] = Field(
        default=(), description="Only requests with these methods count; every method when empty."
    )
    path: Annotated[str, AfterValidator(_path)] | None = Field(
        default=None,
        description="Only requests for this path count: a template such as /v2/{project_id}/servers, where {name} is "
        "one segment, or regex:... which must match the whole path. It is matched against the path as "
        "it came and as it reads percent-decoded, so that no spelling escapes the limit.",
    )
    algorithm: Literal["gcra", "sliding_window", "fixed_window"] = Field(
        default="gcra",
        description="gcra gives requests back one by one, evenly; sliding_window counts those of about the last unit, "
        "the one before it in proportion; fixed_window gives them all back one unit after the first, as Repose does, and "
        "so may let twice the value through around that moment.",
    )

    @model_validator(mode="after")
    def _burst_fits(self) -> "LimitOptions":
        if self.burst is not None and self.algorithm != "gcra":
            raise ValueError(f"burst has no meaning for {self.algorithm}, whose burst is the rate's value")
        return self


class RateLimitConfig(Options):
    limits: tuple[LimitOptions, ...] = Field(
        min_length=1, description="The limits; a request must fit every one that matches it."
    )
    status: Literal[413, 429] = Field(
        default=413, description="413 is what the compute API documents; 429 is what RFC 6585 names for it."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> "RateLimitConfig":
        names = [limit.name for limit in self.limits if limit.name is not None]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two limits are named {name!r}")
        return self

    def reads(self) -> frozenset[Fact]:
        facts = {CLOCK, METHOD}.union(*(key_facts(limit.key) for limit in self.limits))
        if any(limit.path is not None for limit in self.limits):
            facts.add(TARGET)
        return frozenset(facts)
