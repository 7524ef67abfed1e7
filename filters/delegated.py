"""Answers a request that a filter before has left the refusal of to this one, by X-Delegated, as Repose's derp does.

Such a field is set by an entry in shadow that has `delegate`, and by `token_auth` with `headers: repose` where it delays its
decision. Of several the one with the highest quality is the answer, and of equal ones the first. A field that cannot be read is
answered 500, where there is no other. A client's own X-Delegated never gets here.
"""

from gateway.api import Exchange, Fault, Filter, Options, Verdict
from gateway.api.fact import header
from gateway.http import delegation

_UNREADABLE = Fault(
    500, "delegation_unreadable", "The server has left a decision to itself that it cannot read."
)


class DelegatedConfig(Options):
    pass


class Delegated(Filter[DelegatedConfig]):
    name = "delegated"
    Config = DelegatedConfig
    reads = frozenset({header(delegation.NAME)})
    owns = delegation.SPELLINGS

    def on_request(self, exchange: Exchange) -> Verdict:
        lines = exchange.request.headers.all(delegation.NAME)
        if not lines:
            return None
        told = [found for line in lines if (found := delegation.read(line)) is not None]
        # A status below 400 is no refusal, whoever may have written it.
        refusals = [found for found in told if 400 <= found.status <= 599]
        if not refusals:
            return _UNREADABLE
        heaviest = max(refusals, key=lambda found: found.quality)
        return Fault(
            heaviest.status,
            "delegated",
            heaviest.message or "The request is refused.",
            facts={"component": heaviest.component, "quality": heaviest.quality},
        )
