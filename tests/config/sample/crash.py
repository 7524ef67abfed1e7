"""Has options whose check has a bug."""

from pydantic import Field, field_validator

from gateway.api import Filter, Options


class CrashConfig(Options):
    word: str = Field(default="", description="Text.")

    @field_validator("word")
    @classmethod
    def _bug(cls, value: str) -> str:
        raise TypeError(value)


class Crash(Filter[CrashConfig]):
    name = "crash"
    Config = CrashConfig
