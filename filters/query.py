"""Forwards only the query parameters that are allowed, each so many times, and in order of their names if that is asked for.

What goes on is sent byte for byte as it came; filters go on judging by what was received. A parameter with a bare `;` is never
one that is allowed: some servers read what is behind it as another one.
"""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from filters._target import retarget
from gateway.api import Exchange, Fault, Filter, Options, Services, Verdict
from gateway.api.fact import TARGET
from gateway.http.target import decode


class ParameterOptions(Options):
    """One parameter that is allowed."""

    name: str = Field(
        min_length=1, description="Its name, decoded; the name alone may stand for the mapping."
    )
    max: int = Field(0, ge=0, description="How often it may be there: the first ones go on; 0 is any number.")
    case_sensitive: bool = Field(True, description="Whether another case makes it another parameter.")


def _parameter(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class _NameOrMapping:
    """The schema of a parameter, which its name alone may stand for."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}


Parameter = Annotated[ParameterOptions, BeforeValidator(_parameter), _NameOrMapping()]


class QueryConfig(Options):
    allow: tuple[Parameter, ...] | None = Field(
        None,
        description="The parameters that are allowed: names, or mappings that say more; all where unset.",
    )
    others: Literal["drop", "refuse"] = Field(
        "drop",
        description="What becomes of others, and of those that are there too often: they are left out, or the request is "
        "answered 400.",
    )
    sort: bool = Field(
        False,
        description="Whether parameters are sent in order of their names; those of one name in their own order.",
    )

    @model_validator(mode="after")
    def _does_something(self) -> "QueryConfig":
        if self.allow is None and not self.sort:
            raise ValueError("expected allow, sort, or both")
        if self.allow is None and self.others == "refuse":
            raise ValueError("others is for allow")
        names = [
            parameter.name if parameter.case_sensitive else parameter.name.lower()
            for parameter in self.allow or ()
        ]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]} is allowed twice")
        return self

    def only_refuses(self) -> bool:
        """But for empty parameters, which say nothing, and go."""
        return self.others == "refuse" and not self.sort


class Query(Filter[QueryConfig]):
    name = "query"
    Config = QueryConfig
    # What is not allowed may be left out alone, and another case may be counted apart: more of `allow` need not let more pass.
    access = {"others": ("refuse", "drop"), "sort": "none"}
    only_refuses = True
    reads = frozenset({TARGET})

    def __init__(self, config: QueryConfig, services: Services) -> None:
        super().__init__(config, services)
        self._exact = {
            parameter.name: parameter.max for parameter in config.allow or () if parameter.case_sensitive
        }
        self._folded = {
            parameter.name.lower(): parameter.max
            for parameter in config.allow or ()
            if not parameter.case_sensitive
        }
        self._judges = config.allow is not None
        self._refusal = Fault(
            400,
            "query_not_allowed",
            "The query has a parameter that is not accepted here, or one too often.",
            rule=("allow",),
        )

    def on_request(self, exchange: Exchange) -> Verdict:
        path, mark, query = exchange.outgoing.partition(b"?")
        if not mark:
            return None
        parts = query.decode("latin-1").split("&")
        kept = list(parts)
        if self._judges:
            kept = self._allowed([part for part in parts if part])
            if self.config.others == "refuse" and len(kept) != sum(map(bool, parts)):
                return self._refusal
        if self.config.sort:
            kept.sort(key=_name)
        if kept != parts:
            after = "&".join(kept).encode("latin-1")
            rule = ("allow",) if self._judges else ("sort",)
            return retarget(exchange, path + b"?" + after if after else path, rule)
        return None

    def _allowed(self, parts: list[str]) -> list[str]:
        kept: list[str] = []
        counted: Counter[str] = Counter()
        for part in parts:
            name = _name(part)
            most = self._exact.get(name)
            if most is None:
                name = name.lower()
                most = self._folded.get(name)
            if most is None or ";" in part:
                continue
            counted[name] += 1
            if not most or counted[name] <= most:
                kept.append(part)
        return kept


def _name(part: str) -> str:
    return decode(part.partition("=")[0].replace("+", " "))
