"""A request that asks where its time goes: who is answered, and the answer (Server-Timing, of the W3C).

The record of such a request is always kept.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.api.exchange import Exchange
from gateway.http.fields import Fields
from gateway.http.forwarded import Trust
from gateway.record import Step

_NO_TOKEN: Final = re.compile(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]")


class RequestTrace:
    """Who may ask, and how.

    header    name of the field that asks when it says `true`; never forwarded
    networks  from where anybody may
    roles     of a principal who may, of any case
    """

    def __init__(self, header: str, networks: Sequence[str], roles: Iterable[str]) -> None:
        self.header = header.lower().encode("latin-1")
        self._networks = Trust(networks)
        self._roles = frozenset(role.lower() for role in roles)

    def asked_by(self, fields: Fields) -> bool:
        """Whether the request with these fields asks."""
        value = fields.index().get(self.header)
        return isinstance(value, bytes) and value.strip().lower() == b"true"

    def allows(self, exchange: Exchange) -> bool:
        """Whether who is known to be asking, as things stand, may."""
        if exchange.client in self._networks:
            return True
        principal = exchange.principal
        return principal is not None and any(role.lower() in self._roles for role in principal.roles)


def server_timing(steps: Iterable[Step], queue: float | None, upstream: float | None, total: float) -> bytes:
    """The line of the field: milliseconds of each filter, of waiting for a turn, of the upstream, and all together.

    What is given in seconds is what has passed so far. A filter that sees the answer too is told of once.
    """
    seconds: dict[str, float] = {}
    for step in steps:
        seconds[step.entry.name] = seconds.get(step.entry.name, 0.0) + step.seconds
    told = [(_NO_TOKEN.sub("_", name), spent) for name, spent in seconds.items()]
    if queue is not None:
        told.append(("queue", queue))
    if upstream is not None:
        told.append(("upstream", upstream))
    told.append(("total", total))
    text = ", ".join(f"{name};dur={spent * 1000:.3f}" for name, spent in told)
    return b"Server-Timing: " + text.encode("ascii")
