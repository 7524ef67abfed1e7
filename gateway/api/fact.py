"""What a filter's verdict may depend on.

A filter declares the facts that its hooks read. The record keeps the declared facts of every exchange, so
that the exchange can be judged again later; in tests an exchange raises when a hook reads another.
"""

from collections.abc import Iterable
from typing import Final, NewType

Fact = NewType("Fact", str)

METHOD: Final = Fact("method")
TARGET: Final = Fact("target")  # also path and query
PARAMS: Final = Fact("params")
SCHEME: Final = Fact("scheme")
HOST: Final = Fact("host")
PEER: Final = Fact("peer")
CLIENT: Final = Fact("client")
CLOCK: Final = Fact("clock")
ROUTE: Final = Fact("route")
CERTIFICATE: Final = Fact("certificate")  # the client's own
PRINCIPAL: Final = Fact("principal")
LENGTH: Final = Fact("length")  # of the request body
BODY: Final = Fact("body")  # its bytes
RESPONSE: Final = Fact("response")  # status and header fields of the answer

_HEADER = "header:"


def header(name: str) -> Fact:
    """The fact that a request header field is read."""
    return Fact(_HEADER + name.lower())


def header_names(facts: Iterable[Fact]) -> list[str]:
    """The names of the request header fields among `facts`, lower case, sorted."""
    return sorted(fact[len(_HEADER) :] for fact in facts if fact.startswith(_HEADER))
