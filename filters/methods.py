"""Refuses a request whose method is not among those allowed: 405 with `Allow` (RFC 9110 section 15.5.6)."""

from pydantic import Field

from filters._names import MethodName
from gateway.api import Exchange, Fault, Filter, Options, Services, Verdict
from gateway.api.fact import METHOD


class MethodsConfig(Options):
    allow: tuple[MethodName, ...] = Field(
        min_length=1,
        description="Methods that pass. No method implies another: list HEAD beside GET where both are served.",
    )


class Methods(Filter[MethodsConfig]):
    name = "methods"
    Config = MethodsConfig
    access = {"allow": "more"}
    only_refuses = True
    reads = frozenset({METHOD})

    def __init__(self, config: MethodsConfig, services: Services) -> None:
        super().__init__(config, services)
        self._allowed = frozenset(config.allow)
        allow = ", ".join(sorted(self._allowed))
        self._refusal = Fault(
            405, "method_not_allowed", "Method not allowed.", rule=("allow",), headers=(("Allow", allow),)
        )

    def on_request(self, exchange: Exchange) -> Verdict:
        return None if exchange.method in self._allowed else self._refusal
