"""Has one option of every kind. It passes everything.

This second paragraph is no part of the reference.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gateway.api import Duration, Filter, Options, Secret, Size


class Rate(Options):
    value: int = Field(description="How many.")
    unit: Literal["second", "minute"] = Field(description="In which time.")


class Item(Options):
    rate: str | Rate = Field(description="A rate.")
    name: str | None = Field(default=None, description="Its name.")


class Static(Options):
    token: Secret = Field(description="A secret in a list.")
    user: str = Field(description="Whose it is.")


class GateConfig(Options):
    count: int = Field(default=1, ge=1, le=10, description="A whole number.")
    ratio: float | None = Field(default=None, description="A number | null.")
    switch: bool = Field(default=False, description="A switch.")
    word: Literal["red", "green"] = Field(default="red", description="One of two.")
    label: Annotated[str, Field(min_length=1)] | None = Field(default=None, description="Text.")
    wait: Duration = Field(default=0.25, description="A duration.")
    room: Size = Field(default=1024, description="A size.")
    password: Secret | None = Field(default=None, description="A secret.")
    key: str | None = Field(default=None, description="Text that may be a secret.")
    items: tuple[Item, ...] = Field(default=(), description="A list of mappings.")
    people: tuple[Static, ...] = Field(default=(), description="A list with secrets.")
    numbers: dict[str, int] = Field(default_factory=dict, description="A mapping.")
    low: int = Field(default=0, description="Not above `high`.")
    high: int = Field(default=9, description="Not below `low`.")

    @field_validator("label")
    @classmethod
    def _no_spaces(cls, value: str | None) -> str | None:
        if value is not None and " " in value:
            raise ValueError(f"a label has no spaces, got {value!r}")
        return value

    @field_validator("key")
    @classmethod
    def _long(cls, value: str | None) -> str | None:
        if value is not None and len(value) < 8:
            raise ValueError(f"{value} is too short")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> "GateConfig":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Gate(Filter[GateConfig]):
    name = "gate"
    Config = GateConfig
