"""A block of core options."""

from pydantic import model_validator

from gateway.api.option import Options


class Section(Options):
    """A block of core options; one that is written but empty stands for its defaults."""

    @model_validator(mode="before")
    @classmethod
    def _written_but_empty(cls, value: object) -> object:
        return {} if value is None else value
