"""Has no options."""

from gateway.api import Filter, Options


class MarkConfig(Options):
    pass


class Mark(Filter[MarkConfig]):
    name = "mark"
    Config = MarkConfig
