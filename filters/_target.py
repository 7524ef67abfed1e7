"""Another target for the upstream, where it can be read in one way only."""

from gateway.api import Exchange, Fault, Rule


def retarget(exchange: Exchange, target: bytes, rule: Rule) -> Fault | None:
    """Sends the upstream `target`, and notes `rule` for it; the fault of a request whose target would be ambiguous."""
    try:
        exchange.retarget(target)
    except ValueError as error:  # what came was odd already, on a route that is lenient
        return Fault(
            400, "target_ambiguous", "The request target is ambiguous.", rule=rule, details=str(error)
        )
    exchange.note("target_rewritten", rule=rule)
    return None
