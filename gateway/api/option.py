"""What options are made of: the base of their models, and durations, sizes and secrets as people write them."""

import re
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from gateway.api.verdict import Rule

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB|kB|MB|GB)?")
_SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_duration(value: Any) -> float:
    """Seconds of `30s`, `1m30s`, `250ms`, or of a bare number of seconds. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("expected a duration such as 30s, 1m30s or 250ms")
    if isinstance(value, (int, float)):
        seconds = float(value)
    else:
        end, seconds = 0, 0.0
        for match in _DURATION.finditer(value):
            if match.start() != end:
                break
            end = match.end()
            seconds += float(match[1]) * _DURATION_UNITS[match[2]]
        if end != len(value) or not value:
            raise ValueError(f"expected a duration such as 30s, 1m30s or 250ms, got {value!r}")
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a duration cannot be {value!r}")
    return seconds


def parse_size(value: Any) -> int:
    """Bytes of `64KiB`, `10MB`, or of a bare whole number of bytes. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("expected a size such as 64KiB or 10MB")
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"a size cannot be {value}")
        return value
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError(f"expected a size such as 64KiB or 10MB, got {value!r}")
    return int(match[1]) * _SIZE_UNITS[match[2] or "B"]


_STATUSES = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?")


def _statuses(value: object) -> str:
    expected = "expected a status such as 200, or statuses such as 200-299"
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(expected)
    match = _STATUSES.fullmatch(str(value))
    if match is None or (match[2] is not None and match[2] < match[1]):
        raise ValueError(f"{expected}, got {value!r}")
    return match[0]


def statuses_of(text: str) -> range:
    """The statuses that an option of the type `Statuses` names."""
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


class Options(BaseModel):
    """Base of every filter's options: frozen, unknown keys refused, every option described.

    A filter whose facts depend on its options gives its model a method `reads() -> frozenset[Fact]`; one that reads files
    which are to be watched like the configuration itself, a method `files() -> tuple[str, ...]`, and where these name further
    ones a method `files_in(name: str, content: bytes) -> tuple[str, ...]` that says which. Where what an option is when
    unset depends on another, a method `terse() -> Self` tells the same without it where it is written out: two that are
    the same then mean the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=False)


class OptionError(ValueError):
    """An option is wrong beyond its form, the file that it names, say. For the constructor of a filter to raise.

    rule      path of the option inside the filter's options: the configuration is said to be wrong there
    messages  one for each thing that is wrong; never with a secret in it
    """

    def __init__(self, rule: Rule, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.rule = rule
        self.messages = messages


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"},
            ]
        }
    ),
]
"""Seconds, written as 30s, 1m30s or 250ms."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\d+(B|KiB|MiB|GiB|kB|MB|GB)?$"},
            ]
        }
    ),
]
"""Bytes, written as 64KiB or 10MB."""

Statuses = Annotated[
    str,
    PlainValidator(_statuses),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                {"type": "string", "pattern": "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$"},
            ]
        }
    ),
]
"""One status, or the first and the last of a row of them."""


class Secret:
    """Text that never prints: only `reveal()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(**********)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from_text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=from_text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_text]),
            serialization=core_schema.plain_serializer_function_ser_schema(repr),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "writeOnly": True}
