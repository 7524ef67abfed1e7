"""A filter with a bug, for the test of what its bug may do."""

from gateway.api import Exchange, Filter, Options, Verdict


class BrokenConfig(Options):
    pass


class Broken(Filter[BrokenConfig]):
    name = "contract.broken"
    Config = BrokenConfig

    def on_request(self, exchange: Exchange) -> Verdict:
        raise RuntimeError("the secret of the broken filter")
